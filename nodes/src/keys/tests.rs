//! Three nodes in one process, over the engine's in-memory network, with stores on the disk that fail where a test says so.

mod expiry;
mod lies;
mod recovery;

use super::*;
use crate::{
    cluster_files::{ClusterFiles, ClusterPlan, NodeSettings, default_hosts},
    config::{Address, Listen, NodeConfig},
    job::{Failure, FailureKind, Seat, Session, Sessions},
    pki::ClientName,
    places::Crowded,
    receipt::Receipt,
    store::{Space, Store, Whose, tests::When},
    tables::{Clock, Expiry},
};
use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa::KeyPair,
    signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents},
};
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::{
    collections::{BTreeSet, HashMap},
    fmt::Debug,
    future::Future,
    str::FromStr,
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};
use tempfile::TempDir;
use tokio::sync::Barrier;
use trefoil_auth::{
    Error as AuthError,
    rsa::{Hash, Message, NodeKey, NodePartials, PrivateKey, PublicKey, Split, combine, randomness},
    token::{Claims, Request, Times, Token},
    webauthn::{Bit, Match},
};
use trefoil_engine::{
    Error, Party,
    transport::{
        BoxFuture, SessionId, Transport,
        memory::{Conditions, Memory},
    },
};

type Barriers = HashMap<(SessionId, [u8; 32]), Arc<Barrier>>;

/// A session is joined when three have met at its barrier.
#[derive(Clone)]
struct Meetings {
    me: Party,
    net: Arc<Memory>,
    barriers: Arc<Mutex<Barriers>>,
}

struct Meeting(Arc<dyn Transport>);

impl Sessions for Meetings {
    fn join(&self, session: SessionId, digest: [u8; 32]) -> BoxFuture<'_, Result<Box<dyn Session>, Failure>> {
        Box::pin(async move {
            let barrier = {
                let mut barriers = self.barriers.lock().unwrap_or_else(PoisonError::into_inner);
                barriers.entry((session, digest)).or_insert_with(|| Arc::new(Barrier::new(3))).clone()
            };
            let missing = |_| Failure::new(FailureKind::Missing, "the others did not come");
            tokio::time::timeout(Duration::from_secs(20), barrier.wait()).await.map_err(missing)?;
            Ok(Box::new(Meeting(self.net.seat(self.me))) as Box<dyn Session>)
        })
    }
}

impl Session for Meeting {
    fn seat(&mut self) -> Result<Seat, Error> {
        Err(Error::Poisoned)
    }

    fn network(&self) -> Arc<dyn Transport> {
        self.0.clone()
    }

    fn end(self: Box<Self>, _: Option<&Failure>) {}
}

/// Seconds by which the nodes' clocks are ahead.
#[derive(Clone, Default)]
struct Later(Arc<AtomicU64>);

impl Later {
    fn clock(&self) -> Clock {
        let later = self.clone();
        Arc::new(move || SystemTime::now() + Duration::from_secs(later.0.load(Relaxed)))
    }
}

struct World {
    files: ClusterFiles,
    meetings: [Meetings; 3],
    stores: [Store; 3],
    nodes: [Arc<Keys>; 3],
    later: Later,
    _dir: TempDir,
}

/// A key that was made elsewhere, PKCS#8.
static KEY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let key = KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).expect("a key");
    AsDer::<Pkcs8V1Der<'static>>::as_der(&key).expect("a form").as_ref().to_vec()
});

fn name<T: FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().expect("a name")
}

fn id() -> KeyId {
    KeyId { owner: name("alice"), name: name("release") }
}

fn exchange() -> ExchangeId {
    ExchangeId::random().expect("randomness")
}

fn spec() -> KeySpec {
    KeySpec { enrolment: exchange(), signers: [name("bob")].into(), usage: None, expires: None }
}

impl World {
    async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let listen = |port| Listen {
            mesh: Address::new(&default_hosts()[0], port).expect("an address"),
            api: Address::new(&default_hosts()[0], port).expect("an address"),
            admin: None,
        };
        let nodes = [1, 2, 3].map(|port| (listen(port), listen(port)));
        let plan = ClusterPlan { dir: dir.path().to_owned(), nodes, days: 1, settings: NodeSettings::default() };
        let files = plan.create().expect("a cluster");
        let (net, barriers) = (Memory::new(Conditions::default()), Arc::default());
        let meetings = Party::ALL.map(|me| Meetings { me, net: net.clone(), barriers: Arc::clone(&barriers) });
        let mut stores = Vec::new();
        for party in Party::ALL {
            let config = NodeConfig::load(&files.node(party)).expect("a configuration");
            let whose = Whose { cluster: config.cluster.id(), party };
            stores.push(Store::open(&config.store, whose).await.expect("a store"));
        }
        let stores: [Store; 3] = stores.try_into().expect("three");
        let later = Later::default();
        let nodes = nodes_of(&files, &meetings, &stores, &later);
        Self { files, meetings, stores, nodes, later, _dir: dir }
    }

    /// All nodes end and start again with what is in their stores.
    fn restart(&mut self) {
        self.nodes = nodes_of(&self.files, &self.meetings, &self.stores, &self.later);
    }

    /// Does something at all three nodes at the same time.
    async fn all<T, F: Future<Output = T>>(&self, work: impl Fn(Arc<Keys>, Party) -> F) -> [T; 3] {
        let [a, b, c] = Party::ALL.map(|party| Box::pin(work(self.nodes[party.index()].clone(), party)));
        let (a, b, c) = tokio::join!(a, b, c);
        [a, b, c]
    }

    async fn enrol(&self, spec: &KeySpec, shares: &[NodeKey; 3]) -> [Result<(KeyStatus, bool), KeyFault>; 3] {
        let exchange = exchange();
        self.all(|node, party| {
            let share = NodeKey::decode(&shares[party.index()].encode()).expect("a share");
            let enrolment = Enrolment { spec: spec.clone(), share };
            async move { node.enrol(id(), enrolment, exchange).await }
        })
        .await
    }

    async fn refresh(&self) -> [Result<KeyStatus, KeyFault>; 3] {
        let exchange = exchange();
        self.all(|node, _| async move { node.refresh(&name("alice"), id(), exchange).await }).await
    }

    async fn settle(&self) -> [Result<KeyStatus, KeyFault>; 3] {
        let exchange = exchange();
        self.all(|node, _| async move { node.settle(&name("bob"), id(), exchange).await }).await
    }

    /// The parts of these nodes, as a client collects them: of the newest epoch that one of them has in use.
    async fn parts(&self, of: &[Party], message: &Message) -> Vec<NodePartials> {
        let mut parts = Vec::new();
        for party in of {
            parts.push(self.nodes[party.index()].sign(&id(), message.clone(), None).await.expect("a part").partials);
        }
        let newest = parts.iter().map(NodePartials::epoch).max().expect("a part");
        for (party, part) in of.iter().zip(&mut parts) {
            if part.epoch() != newest {
                let again = self.nodes[party.index()].sign(&id(), message.clone(), Some(newest)).await;
                *part = again.expect("it has prepared them").partials;
            }
        }
        parts
    }

    /// Every two nodes sign, and another implementation verifies.
    async fn signs(&self, public: &PublicKey, context: &str) {
        let document = format!("document {context}");
        let message = Message::of(Hash::Sha256, document.as_bytes());
        for missing in Party::ALL {
            let parts = self.parts(&missing.peers(), &message).await;
            let signed = combine(public, &message, None, &parts).unwrap_or_else(|e| panic!("{context}: {e}"));
            verified(public, document.as_bytes(), &signed.signature);
        }
    }
}

fn nodes_of(files: &ClusterFiles, meetings: &[Meetings; 3], stores: &[Store; 3], later: &Later) -> [Arc<Keys>; 3] {
    Party::ALL.map(|party| {
        let config = NodeConfig::load(&files.node(party)).expect("a configuration");
        let keys = KeysConfig {
            cluster: config.cluster.id(),
            identity: &config.identity,
            store: stores[party.index()].clone(),
            sessions: Box::new(meetings[party.index()].clone()),
            signatures: 1000,
            client_keys: 2,
            clock: later.clock(),
        };
        Keys::new(party, keys).expect("keys")
    })
}

/// A key as it is split with a device, anew each time.
fn with_device() -> Split {
    let mut rng = randomness().expect("randomness");
    PrivateKey::from_pkcs8_der(&KEY).expect("a key").split(&mut rng)
}

/// The key, split anew each time.
fn shares() -> [NodeKey; 3] {
    let mut rng = randomness().expect("randomness");
    PrivateKey::from_pkcs8_der(&KEY).expect("a key").split_among_nodes(&mut rng)
}

fn verified(public: &PublicKey, document: &[u8], signature: &[u8]) {
    let components = RsaPublicKeyComponents { n: public.modulus(), e: [1, 0, 1].to_vec() };
    components.verify(&RSA_PKCS1_2048_8192_SHA256, document, signature).expect("it verifies");
}

fn good<T, E: Debug>(results: [Result<T, E>; 3]) -> [T; 3] {
    results.map(|result| result.expect("done"))
}

#[tokio::test]
async fn a_key_lives_from_enrolment_to_deletion() {
    let mut world = World::start().await;
    let (spec, shares) = (spec(), shares());
    let public = shares[0].public().clone();
    for (status, new) in good(world.enrol(&spec, &shares).await) {
        assert_eq!((status.epoch, status.usage, status.unsettled, new), (1, Some(KeyUse::Documents), false, true));
    }
    world.signs(&public, "enrolled").await;
    // A repeated enrolment finds it; another one of that name is refused.
    assert!(good(world.enrol(&spec, &shares).await).iter().all(|(_, new)| !new));
    let other = KeySpec { enrolment: exchange(), ..spec.clone() };
    for taken in world.enrol(&other, &shares).await {
        assert!(matches!(taken, Err(KeyFault::Taken(..))), "{taken:?}");
    }

    for status in good(world.refresh().await) {
        assert_eq!((status.epoch, status.unsettled), (2, false));
    }
    world.signs(&public, "refreshed").await;
    let message = Message::of(Hash::Sha256, b"old");
    let old = world.nodes[0].sign(&id(), message, Some(1)).await.expect_err("the old shares are erased");
    assert!(old.to_string().contains("no shares of epoch 1"), "{old}");
    world.restart();
    world.signs(&public, "after a restart").await;

    let config = NodeConfig::load(&world.files.node(Party::P0)).expect("a configuration");
    let listed = world.nodes[0].list(&name("alice")).await.expect("readable");
    assert_eq!(listed.len(), 1);
    assert!(world.nodes[0].list(&name("bob")).await.expect("readable").is_empty());
    let nonce = exchange();
    let delete = || world.all(|node, _| async move { node.delete(&name("alice"), id(), (None, Some(nonce))).await });
    let receipts = good(delete().await);
    // An answer that was lost is had again, by the same request alone.
    assert_eq!(good(delete().await), receipts);
    for (other, only) in [(nonce, Some(exchange())), (exchange(), None)] {
        let refused = world.nodes[0].delete(&name("alice"), id(), (only, Some(other))).await;
        assert!(matches!(refused, Err(KeyFault::Invalid(_) | KeyFault::Missing(_))), "{refused:?}");
    }
    for (party, receipt) in Party::ALL.into_iter().zip(&receipts) {
        let deletion = receipt.verify::<Deletion>(&config.cluster, party).expect("a receipt of that node");
        assert_eq!((deletion.name, deletion.epoch, deletion.nonce), (id().name, 2, Some(nonce)));
        assert_eq!(deletion.key_sha256.0, public.id());
        assert!(receipt.verify::<Deletion>(&config.cluster, party.next()).is_err(), "of another node");
        let forged = Receipt { statement: receipt.statement.replace("release", "another"), ..receipt.clone() };
        assert!(forged.verify::<Deletion>(&config.cluster, party).is_err(), "forged");
    }
    for keys in &world.nodes {
        let gone = keys.sign(&id(), Message::of(Hash::Sha256, b"late"), None).await;
        assert!(matches!(gone, Err(KeyFault::Missing(_))), "{gone:?}");
    }
}

#[tokio::test]
async fn who_is_not_named_has_nothing_of_a_key() {
    let world = World::start().await;
    good(world.enrol(&spec(), &shares()).await);
    let node = &world.nodes[0];
    let request = SignRequest { hash: HashName::Sha256, digest: "00".repeat(32), epoch: None };
    for signer in ["alice", "bob"] {
        node.sign_document(&name(signer), &id(), &request).await.expect("it may sign");
        node.get(&name(signer), &id()).await.expect("it may see it");
    }
    let missing = |result: Result<(), KeyFault>| {
        assert!(matches!(result, Err(KeyFault::Missing(_) | KeyFault::Withheld(_))), "{result:?}");
    };
    let mallory: ClientName = name("mallory");
    missing(node.sign_document(&mallory, &id(), &request).await.map(drop));
    missing(node.get(&mallory, &id()).await.map(drop));
    missing(node.settle(&mallory, id(), exchange()).await.map(drop));
    // Who may sign may not replace or delete.
    for other in ["bob", "mallory"] {
        missing(node.refresh(&name(other), id(), exchange()).await.map(drop));
        missing(node.delete(&name(other), id(), (None, None)).await.map(drop));
    }
    // A key of the same name of one's own is another one.
    let own = KeyId { owner: mallory.clone(), ..id() };
    let none = node.sign_document(&mallory, &own, &request).await;
    assert!(matches!(none, Err(KeyFault::Missing(_))), "{none:?}");
    let short = SignRequest { digest: "00".repeat(31), ..request };
    let refused = node.sign_document(&name("alice"), &id(), &short).await.expect_err("31 bytes");
    assert!(refused.to_string().contains("32 for SHA-256"), "{refused}");
}

#[tokio::test]
async fn shares_that_do_not_fit_are_kept_by_nobody() {
    let world = World::start().await;
    let (mut mixed, whole) = (shares(), shares());
    mixed[1] = shares().into_iter().nth(1).expect("three");
    for refused in world.enrol(&spec(), &mixed).await {
        assert!(matches!(refused, Err(KeyFault::Key(AuthError::Shares { .. }))), "{refused:?}");
    }
    for node in &world.nodes {
        assert!(node.list(&name("alice")).await.expect("readable").is_empty());
    }
    let exchanged = [1, 0, 2].map(|k: usize| NodeKey::decode(&whole[k].encode()).expect("a share"));
    let share = NodeKey::decode(&exchanged[0].encode()).expect("a share");
    let refused = world.nodes[0].enrol(id(), Enrolment { spec: spec(), share }, exchange()).await;
    assert!(refused.expect_err("the share of P1").to_string().contains("this node is P0"));
    // The name is free for shares that fit.
    good(world.enrol(&spec(), &whole).await);
    world.signs(whole[0].public(), "after a refusal").await;
}

/// Steps of one client that wait at one node alone for the others, or for each other, keep no other client waiting, and none of its own keys but theirs.
#[tokio::test]
async fn a_client_with_many_steps_keeps_no_other_waiting() {
    let world = World::start().await;
    let (mallory, shares) = (name::<ClientName>("mallory"), shares());
    good(world.enrol(&spec(), &shares).await);
    let asks = |key: String, nodes: &Arc<Keys>| {
        let share = NodeKey::decode(&shares[0].encode()).expect("a share");
        let id = KeyId { owner: mallory.clone(), name: name(&key) };
        let (node, enrolment) = (nodes.clone(), Enrolment { spec: spec(), share });
        tokio::spawn(async move { node.enrol(id, enrolment, exchange()).await })
    };
    // Many keys, and many requests for one key.
    for of in [|k: usize| format!("key-{k}"), |_| "one".to_owned()] {
        let mut asked: FuturesUnordered<_> = (0..70).map(|k| asks(of(k), &world.nodes[0])).collect();
        for _ in 0..70 - 32 {
            let refused = asked.next().await.expect("one of them").expect("it ends");
            assert!(matches!(refused, Err(KeyFault::Crowded(Crowded::Own(32)))), "{refused:?}");
        }
        let refreshed = tokio::time::timeout(Duration::from_secs(8), world.refresh()).await;
        good(refreshed.expect("others go on at once"));
        drop(asked);
    }
}

/// Requests for one key have one place among those under way: the client's other keys have the rest.
#[tokio::test]
async fn who_waits_for_its_key_has_no_place() {
    let world = World::start().await;
    let shares = shares();
    good(world.enrol(&spec(), &shares).await);
    let settles = || {
        let node = world.nodes[0].clone();
        tokio::spawn(async move { node.refresh(&name("alice"), id(), exchange()).await })
    };
    let waiting: Vec<_> = (0..24).map(|_| settles()).collect();
    let other = KeyId { name: name("other"), ..id() };
    let (exchange, spec) = (exchange(), spec());
    let enrolled = world.all(|node, party| {
        let share = NodeKey::decode(&shares[party.index()].encode()).expect("a share");
        let enrolment = Enrolment { spec: spec.clone(), share };
        let other = other.clone();
        async move { node.enrol(other, enrolment, exchange).await }
    });
    good(tokio::time::timeout(Duration::from_secs(8), Box::pin(enrolled)).await.expect("at once"));
    // Who may sign does not stand in the owner's way.
    let bob = world.nodes[0].settle(&name("bob"), id(), self::exchange()).await;
    assert!(matches!(bob, Err(KeyFault::UnderWay(_))), "{bob:?}");
    drop(waiting);
}

#[tokio::test]
async fn a_client_has_as_many_keys_as_the_node_takes() {
    let world = World::start().await;
    let shares = shares();
    for (key, expected) in [("one", true), ("two", true), ("three", false)] {
        let exchange = exchange();
        let spec = spec();
        let enrolled = world
            .all(|node, party| {
                let share = NodeKey::decode(&shares[party.index()].encode()).expect("a share");
                let enrolment = Enrolment { spec: spec.clone(), share };
                async move { node.enrol(KeyId { name: name(key), ..id() }, enrolment, exchange).await }
            })
            .await;
        for result in enrolled {
            assert_eq!(result.is_ok(), expected, "{key}: {result:?}");
            assert!(expected || result.expect_err("full").to_string().contains("limits.client_keys"));
        }
    }
}

/// At every node, at every write of a step, before it and after it: the key signs at once, and the next step ends in one epoch at all three.
#[tokio::test]
async fn a_crash_at_any_write_leaves_a_key_that_signs() {
    let (mut world, shares) = (World::start().await, shares());
    let public = shares[0].public().clone();
    good(world.enrol(&spec(), &shares).await);
    let (mut epoch, mut ends) = (1, [0; 2]);
    for party in Party::ALL {
        for (write, when) in [(0, When::Before), (0, When::After), (1, When::Before), (1, When::After)] {
            let context = format!("refresh, {party} fails {when:?} write {write}");
            world.stores[party.index()].fail_after(write, when);
            let results = world.refresh().await;
            assert!(results[party.index()].is_err(), "{context}");
            assert!(world.stores[party.index()].heal(), "{context}: it has failed");
            world.restart();
            world.signs(&public, &context).await;
            let settled = good(world.settle().await).map(|status| (status.epoch, status.unsettled));
            assert_eq!(settled, [settled[0]; 3], "{context}");
            assert!(!settled[0].1 && (settled[0].0 == epoch || settled[0].0 == epoch + 1), "{context}: {settled:?}");
            ends[usize::from(settled[0].0 != epoch)] += 1;
            epoch = settled[0].0;
            world.signs(&public, &format!("{context}, settled")).await;
        }
    }
    assert!(ends.iter().all(|&end| end > 0), "both ends have come about: {ends:?}");
    assert_eq!(good(world.refresh().await).map(|status| status.epoch), [epoch + 1; 3]);
}

/// The same for the first shares: after the next attempt all three have the key, whatever became of this one.
#[tokio::test]
async fn a_crash_during_enrolment_leaves_all_or_nothing() {
    let shares = shares();
    for (party, write, when) in [
        (Party::P0, 0, When::Before),
        (Party::P1, 0, When::After),
        (Party::P2, 1, When::Before),
        (Party::P0, 1, When::After),
    ] {
        let context = format!("enrolment, {party} fails {when:?} write {write}");
        let (mut world, spec) = (World::start().await, spec());
        world.stores[party.index()].fail_after(write, when);
        let first = world.enrol(&spec, &shares).await;
        assert!(first[party.index()].is_err(), "{context}");
        assert!(world.stores[party.index()].heal(), "{context}: it has failed");
        world.restart();
        // As a client goes on: where one has the key in use, the others have to hear of it.
        let again = if first.iter().any(Result::is_ok) {
            good(world.settle().await)
        } else {
            good(world.enrol(&spec, &shares).await).map(|(status, _)| status)
        };
        assert_eq!(again.map(|status| (status.epoch, status.unsettled)), [(1, false); 3], "{context}");
        world.signs(shares[0].public(), &context).await;
    }
}

#[tokio::test]
async fn one_client_has_so_many_signatures_a_second() {
    let world = World::start().await;
    good(world.enrol(&spec(), &shares()).await);
    let config = NodeConfig::load(&world.files.node(Party::P0)).expect("a configuration");
    let slow = Keys::new(
        Party::P0,
        KeysConfig {
            cluster: config.cluster.id(),
            identity: &config.identity,
            store: world.stores[0].clone(),
            sessions: Box::new(world.meetings[0].clone()),
            signatures: 1,
            client_keys: 1,
            clock: world.later.clock(),
        },
    );
    let slow = slow.expect("keys");
    let request = SignRequest { hash: HashName::Sha256, digest: "00".repeat(32), epoch: None };
    slow.sign_document(&name("alice"), &id(), &request).await.expect("the first");
    let mut refused = None;
    // Each takes some milliseconds; in a second there are many.
    for _ in 0..100 {
        if let Err(fault) = slow.sign_document(&name("alice"), &id(), &request).await {
            refused = Some(fault);
            break;
        }
    }
    assert!(matches!(refused, Some(KeyFault::Rate { rate: 1, .. })), "{refused:?}");
    slow.sign_document(&name("bob"), &id(), &request).await.expect("another client");
}

/// Nobody gets a token signed as a document, nor a document or an assertion with a key for tokens.
#[tokio::test]
async fn a_key_for_tokens_signs_nothing_else_and_no_other_key_signs_tokens() {
    let world = World::start().await;
    let spec = KeySpec { signers: BTreeSet::new(), usage: Some(KeyUse::Tokens), ..spec() };
    let shares = shares();
    let public = shares[0].public().clone();
    for wrong in [
        KeySpec { signers: [name("bob")].into(), ..spec.clone() },
        KeySpec { usage: Some(KeyUse::Device), ..spec.clone() },
    ] {
        for fault in world.enrol(&wrong, &shares).await {
            assert!(matches!(fault, Err(KeyFault::Invalid(_))), "{fault:?}");
        }
    }
    for (status, _) in good(world.enrol(&spec, &shares).await) {
        assert_eq!(status.usage, Some(KeyUse::Tokens));
    }
    let request = Request { audience: "shop", nonce: "nonce-01", id: "1" };
    let claims =
        Claims::new("https://login.example.org", "alice", request, Times { issued: 1_800_000_000, lifetime: 60 });
    let claims = claims.expect("claims");
    let token = Token::begin(&claims, &public, &Match::opened(claims.ceremony(), Bit::One)).expect("allowed").message();
    let others = [Message::of(Hash::Sha256, b"document"), Message::webauthn(&[0; 37], &[0; 32]).expect("long enough")];
    let request = SignRequest { hash: HashName::Sha256, digest: "00".repeat(32), epoch: None };
    let parts = world.parts(&[Party::P0, Party::P1], &token).await;
    combine(&public, &token, None, &parts).expect("a token");
    for node in &world.nodes {
        for epoch in [None, Some(1)] {
            for other in &others {
                let fault = node.sign(&id(), other.clone(), epoch).await;
                assert!(matches!(fault, Err(KeyFault::Use(_))), "{fault:?}");
            }
        }
        let fault = node.sign_document(&name("alice"), &id(), &request).await;
        assert!(matches!(fault, Err(KeyFault::Use(_))), "{fault:?}");
        node.delete(&name("alice"), id(), (None, None)).await.expect("deleted");
    }
    good(world.enrol(&self::spec(), &self::shares()).await);
    for node in &world.nodes {
        let fault = node.sign(&id(), token.clone(), None).await;
        assert!(matches!(fault, Err(KeyFault::Use(_))), "{fault:?}");
    }
}
