//! The three nodes, a key, a device and a user.

use super::super::*;
use crate::{
    clock::now_unix_ms,
    cluster_files::{ClusterPlan, NodeSettings, default_hosts},
    config::{Address, Listen, NodeConfig},
    job::{Failure, FailureKind, JobId, ModeSpec, Seat, Session, Sessions, Turns},
    keys::{KeyFault, KeyId},
    pki::ClientName,
    receipt::{Notary, Receipt},
    store::{Space, Store, tests::temporary},
};
use futures_util::future::join_all;
use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError},
    time::Duration,
};
use tempfile::TempDir;
use tokio::sync::Barrier;
use trefoil_auth::{
    rsa::{
        DeviceKey, DeviceSigner, KeySize, Message, NodePartials, NodeSigner, PrivateKey, PublicKey, Split, combine,
        randomness,
    },
    webauthn::{
        Assertion, AuthenticationResponse, Bit, Bytes, Client, ClientData, Match, Origin, RequestOptions,
        SignatureCounter,
    },
};
use trefoil_circuits::{
    matching::{Embedding, Template},
    program::InputVector,
};
use trefoil_engine::{
    Error, PairSecret, Party, SessionBinding, SessionKeys, Z64,
    client::split,
    prss::all_keys,
    transport::{
        BoxFuture, SessionId, Transport,
        memory::{Conditions, Memory},
    },
};

const BITS: usize = 256;

/// Templates of an owner.
pub(super) const MOST_TEMPLATES: u32 = 4;

/// Which biometric is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Probe {
    Right,
    Wrong,
    /// The right one, but one node has been given something else.
    Torn,
    None,
}

pub(super) struct World {
    pub(super) nodes: [Arc<Auth>; 3],
    meanwhile: Meanwhile,
    patience: Patience,
    stores: [(Store, Arc<TempDir>); 3],
}

struct Key {
    device: DeviceKey,
    nodes: [Mutex<NodeSigner>; 3],
    /// Of the nodes alone, for tokens.
    tokens: (PublicKey, [Mutex<NodeSigner>; 3]),
}

/// A node's shares of the one key.
struct Shares(Party);

/// Making keys takes time.
static KEY: LazyLock<Key> = LazyLock::new(|| {
    let mut rng = randomness().expect("randomness");
    let Split { device, nodes, .. } = PrivateKey::generate(KeySize::Rsa2048, &mut rng).expect("a key").split(&mut rng);
    let key = PrivateKey::generate(KeySize::Rsa2048, &mut rng).expect("a key");
    let public = key.public().clone();
    let [nodes, alone] = [nodes, key.split_among_nodes(&mut rng)]
        .map(|nodes| nodes.each_ref().map(|key| Mutex::new(NodeSigner::new(key))));
    Key { device, nodes, tokens: (public, alone) }
});

/// The key for tokens.
pub(super) fn token_key() -> &'static PublicKey {
    &KEY.tokens.0
}

/// Certificates, which sign receipts.
pub(super) static CONFIGS: LazyLock<[NodeConfig; 3]> = LazyLock::new(|| {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |port| Address::new(&default_hosts()[0], port).expect("an address");
    let at = |port| Listen { mesh: at(port), api: at(port), admin: None };
    let listen = [1, 2, 3].map(|port| (at(port), at(port)));
    let plan = ClusterPlan { dir: dir.path().to_owned(), nodes: listen, days: 1, settings: NodeSettings::default() };
    let files = plan.create().expect("a cluster");
    Party::ALL.map(|party| NodeConfig::load(&files.node(party)).expect("a configuration"))
});

impl Parts for Shares {
    fn public<'a>(&'a self, key: &'a KeyId) -> BoxFuture<'a, Result<PublicKey, AuthFault>> {
        let key =
            if key.owner.as_str() == "bank" { Ok(KEY.device.public().clone()) } else { Err(AuthFault::Absent("key")) };
        Box::pin(async { key })
    }

    fn for_tokens<'a>(&'a self, key: &'a KeyId) -> BoxFuture<'a, Result<PublicKey, AuthFault>> {
        let answer = match key.name.to_string().as_str() {
            "tokens" => Ok(token_key().clone()),
            "damaged" => Err(KeyFault::Bug("a record that cannot be read".to_owned()).into()),
            "deleted" => Err(KeyFault::Missing(key.clone()).into()),
            _ => Err(KeyFault::Use(key.clone()).into()),
        };
        Box::pin(async { answer })
    }

    fn sign<'a>(&'a self, key: &'a KeyId, message: Message) -> BoxFuture<'a, Result<NodePartials, AuthFault>> {
        let signers = if key.name.to_string() == "tokens" { &KEY.tokens.1 } else { &KEY.nodes };
        let mut signer = signers[self.0.index()].lock().unwrap_or_else(PoisonError::into_inner);
        let parts = randomness().and_then(|mut rng| signer.sign(&message, &mut rng));
        Box::pin(async { Ok(parts?) })
    }

    fn sign_prepared<'a>(&'a self, _: &'a KeyId, _: Message) -> BoxFuture<'a, Result<Option<NodePartials>, AuthFault>> {
        Box::pin(async { Ok(None) })
    }
}

/// What happens once, when the nodes know what they will compute with and have not begun.
type Meanwhile = Arc<Mutex<Option<BoxFuture<'static, ()>>>>;

/// A session is joined when the three nodes have met at its barrier, for the same digest; the keys are dealt by the test.
struct InMemory {
    me: Party,
    meetings: Arc<Mutex<Meetings>>,
    meanwhile: Meanwhile,
    patience: Patience,
}

/// How long nodes wait for each other, if not as long as most tests want it.
type Patience = Arc<OnceLock<Duration>>;

/// A network for each session, so that the end of one is the end of nothing else.
type Meetings = HashMap<(SessionId, [u8; 32]), (Arc<Barrier>, Arc<Memory>)>;

struct Meeting {
    me: Party,
    session: SessionId,
    keys: Option<SessionKeys>,
    net: Arc<Memory>,
    meanwhile: Meanwhile,
}

impl Sessions for InMemory {
    fn join(&self, session: SessionId, digest: [u8; 32]) -> BoxFuture<'_, Result<Box<dyn Session>, Failure>> {
        Box::pin(async move {
            let (barrier, net) = {
                let mut meetings = self.meetings.lock().unwrap_or_else(PoisonError::into_inner);
                let new = || (Arc::new(Barrier::new(3)), Memory::new(Conditions::default()));
                meetings.entry((session, digest)).or_insert_with(new).clone()
            };
            let missing = |_| Failure::new(FailureKind::Missing, "the others did not come");
            let patience = self.patience.get().copied().unwrap_or(Duration::from_secs(2));
            tokio::time::timeout(patience, barrier.wait()).await.map_err(missing)?;
            let secrets = [1, 2, 3].map(|b| PairSecret::new([b; 32]));
            let binding = SessionBinding { session, job_digest: digest, nonces: [[7; 32]; 3] };
            let keys = all_keys(&secrets, &binding).into_iter().nth(self.me.index());
            let meanwhile = self.meanwhile.clone();
            Ok(Box::new(Meeting { me: self.me, session, keys, net, meanwhile }) as Box<dyn Session>)
        })
    }
}

impl Session for Meeting {
    fn seat(&mut self) -> Result<Seat, Error> {
        let work = self.meanwhile.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(work) = work {
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(work));
        }
        Ok(Seat { me: self.me, session: self.session, keys: self.keys.take().ok_or(Error::Poisoned)? })
    }

    fn network(&self) -> Arc<dyn Transport> {
        self.net.seat(self.me)
    }

    fn end(self: Box<Self>, failure: Option<&Failure>) {
        if failure.is_some() {
            self.net.stall();
        }
    }
}

/// The templates that a node says that it has erased.
pub(super) fn erased(receipt: &Receipt) -> Vec<TemplateStatus> {
    let erasure: Erasure = serde_json::from_str(&receipt.statement).expect("a statement");
    let Erased::Templates { templates, .. } = erasure.erased else { panic!("{:?}", erasure.erased) };
    templates
}

fn owner() -> ClientName {
    "bank".parse().expect("a name")
}

pub(super) fn matching(json: &str) -> Matching {
    serde_json::from_str(json).expect("JSON")
}

fn codes() -> Matching {
    matching(&format!(r#"{{"kind":{{"binary":{{"bits":{BITS}}}}},"threshold":"0.32"}}"#))
}

fn template(probe: Probe) -> Template {
    let bit = |k: usize| match probe {
        Probe::Wrong => k.is_multiple_of(5),
        _ => k.is_multiple_of(3),
    };
    Template::binary(&(0..BITS).map(bit).collect::<Vec<_>>(), None).expect("a template")
}

pub(super) fn shares(probe: Probe) -> [InputVector; 3] {
    let [a, b, c] = split(&template(probe).to_bits()).expect("shares").map(InputVector::from);
    if probe == Probe::Torn {
        let [other, _, _] = split(&template(Probe::Wrong).to_bits()).expect("shares").map(InputVector::from);
        return [other, b, c];
    }
    [a, b, c]
}

pub(super) fn bits(template: &Template) -> [InputVector; 3] {
    split(&template.to_bits()).expect("shares").map(InputVector::from)
}

pub(super) fn integers(entries: &[i64]) -> [InputVector; 3] {
    let entries: Vec<Z64> = entries.iter().map(|x| Z64(x.cast_unsigned())).collect();
    split(&entries).expect("shares").map(InputVector::from)
}

pub(super) fn embedding(entries: &[f32]) -> [InputVector; 3] {
    integers(Embedding::new(entries).expect("a vector").entries())
}

/// A login for a challenge of its own.
pub(super) fn spec(challenge: u8) -> LoginSpec {
    let now = now_unix_ms();
    let options = RequestOptions {
        challenge: Bytes(vec![challenge; 32]),
        timeout: None,
        rp_id: Some("example.org".to_owned()),
        allow_credentials: Vec::new(),
        user_verification: trefoil_auth::webauthn::UserVerification::Preferred,
    };
    LoginSpec {
        owner: owner(),
        credential: Bytes(vec![9; 16]),
        ceremony: Ceremony::Get(options),
        origin: "https://login.example.org".to_owned(),
        // Several in a second.
        count: u32::try_from(now / 1000).expect("before 2106") - 300 + u32::from(challenge),
        expires_ms: now + 60_000,
        probe: Some(codes().kind),
    }
}

/// Puts the parts together with the device's.
pub(super) fn finish(
    spec: &LoginSpec,
    bit: Option<Bit>,
    answers: Vec<(Party, Result<Answer, AuthFault>)>,
) -> Result<AuthenticationResponse, trefoil_auth::Error> {
    let public = KEY.device.public();
    let Ceremony::Get(options) = &spec.ceremony else { panic!("an authentication") };
    let client = Client::page(Origin::parse(&spec.origin, trefoil_auth::webauthn::Hosts::Public)?);
    let ceremony = ClientData::get(options, &client)?.hash();
    let matched = bit.map(|bit| Match::opened(ceremony, bit));
    let count = SignatureCounter::stored(spec.count - 1).take(spec.count)?;
    let held = CredentialSpec {
        rp_id: "example.org".to_owned(),
        handle: Bytes(vec![1; 16]),
        user: "alice".parse().expect("a name"),
        key: "alice".parse().expect("a name"),
        verification: Verification::Required,
        discoverable: true,
        backup: Backing::None,
        devices: Vec::new(),
    };
    let credential = held.credential(&[9; 16], public.clone())?;
    let assertion = Assertion::begin(options, &client, &credential, count, matched.as_ref())?;
    let message = assertion.message()?;
    let parts = answers
        .into_iter()
        .map(|(party, answer)| NodePartials::decode(&answer.expect("an answer").parts.0, party).expect("parts"));
    let device = DeviceSigner::new(&KEY.device).sign(&message, &mut randomness()?)?;
    let signed = combine(public, &message, Some(&device), &parts.collect::<Vec<_>>())?;
    assert_eq!(signed.wrong, []);
    assertion.finish(&signed.signature)
}

impl World {
    pub(super) async fn start(verification: Verification) -> Self {
        let mut stores = Vec::new();
        for party in Party::ALL {
            let (store, dir) = temporary(party).await;
            stores.push((store, Arc::new(dir)));
        }
        let Ok(stores) = <[_; 3]>::try_from(stores) else { panic!("three stores") };
        let world = Self::of(stores);
        let spec = CredentialSpec {
            rp_id: "example.org".to_owned(),
            handle: Bytes(vec![1; 16]),
            user: "alice".parse().expect("a name"),
            key: "alice".parse().expect("a name"),
            verification,
            discoverable: true,
            backup: Backing::None,
            devices: vec!["phone".parse().expect("a name")],
        };
        for node in &world.nodes {
            assert!(node.put_credential(&owner(), &[9; 16], spec.clone()).await.expect("stored"));
            assert!(!node.put_credential(&owner(), &[9; 16], spec.clone()).await.expect("there"));
        }
        world.enrol_as("bank", "alice", "left", Probe::Right).await.expect("a template");
        world
    }

    fn of(stores: [(Store, Arc<TempDir>); 3]) -> Self {
        let meetings = Arc::<Mutex<Meetings>>::default();
        let (meanwhile, patience) = (Meanwhile::default(), Patience::default());
        let nodes = Party::ALL.map(|me| {
            let (meetings, meanwhile, patience) = (meetings.clone(), meanwhile.clone(), patience.clone());
            let sessions = InMemory { me, meetings, meanwhile, patience };
            let turns = Turns::new(me, 4, Duration::from_secs(5));
            let parts = Shares(me);
            let NodeConfig { cluster, identity, .. } = &CONFIGS[me.index()];
            let notary = Notary::new(cluster.id(), me, identity).expect("a key");
            Auth::new(AuthConfig {
                store: stores[me.index()].0.clone(),
                parts: Box::new(parts),
                sessions: Arc::new(sessions),
                turns: Arc::new(turns),
                notary,
                bounds: Bounds { templates: MOST_TEMPLATES, credentials: 3, sessions: 8 },
            })
        });
        Self { nodes, meanwhile, patience, stores }
    }

    /// Has something happen in the middle of the next session, when its first node takes its seat.
    pub(super) fn meanwhile(&self, work: impl Future<Output = ()> + Send + 'static) {
        *self.meanwhile.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::pin(work));
    }

    /// Nodes wait for each other for an hour from now on.
    pub(super) fn wait_long(&self) {
        self.patience.set(Duration::from_hours(1)).expect("once");
    }

    /// The nodes with what their stores have, and nothing in memory.
    pub(super) fn restarted(self) -> Self {
        let Self { nodes, stores, .. } = self;
        drop(nodes);
        Self::of(stores)
    }

    pub(super) async fn enrol_as(
        &self,
        owner: &str,
        user: &str,
        name: &str,
        probe: Probe,
    ) -> Result<TemplateStatus, AuthFault> {
        let owner: ClientName = owner.parse().expect("a name");
        let spec = EnrolSpec { session: JobId::random().expect("randomness"), matching: codes() };
        let [user, name] = [user.to_owned(), name.to_owned()];
        self.enrol(&owner, (&user, &name), &spec, shares(probe)).await
    }

    /// As [`enrol_as`](Self::enrol_as), of the user's own right probe, with semi-honest security.
    pub(super) async fn enrol_semi_honest(&self, user: &str) -> TemplateStatus {
        let matching = Matching { mode: ModeSpec::SemiHonest, ..codes() };
        let spec = EnrolSpec { session: JobId::random().expect("randomness"), matching };
        self.enrol(&owner(), (user, "left"), &spec, shares(Probe::Right)).await.expect("a template")
    }

    pub(super) async fn enrol_embedding(
        &self,
        matching: Matching,
        entries: &[f32],
    ) -> Result<TemplateStatus, AuthFault> {
        let spec = EnrolSpec { session: JobId::random().expect("randomness"), matching };
        self.enrol(&owner(), ("alice", "face"), &spec, embedding(entries)).await
    }

    /// Enrols a template of bits of Alice, which is matched as it says.
    pub(super) async fn enrol_bits(
        &self,
        matching: Matching,
        template: &Template,
    ) -> Result<TemplateStatus, AuthFault> {
        let spec = EnrolSpec { session: JobId::random().expect("randomness"), matching };
        self.enrol(&owner(), ("alice", "bits"), &spec, bits(template)).await
    }

    async fn enrol(
        &self,
        owner: &ClientName,
        (user, name): (&str, &str),
        spec: &EnrolSpec,
        shares: [InputVector; 3],
    ) -> Result<TemplateStatus, AuthFault> {
        let all = self.nodes.iter().zip(shares).map(|(node, share)| {
            let place = (user.parse().expect("a name"), name.parse().expect("a name"));
            node.enrol(owner, place, spec.clone(), share)
        });
        join_all(all).await.into_iter().collect::<Result<Vec<_>, _>>().map(|mut all| all.remove(0))
    }

    pub(super) async fn refresh(&self, id: u8) -> Vec<Result<Vec<TemplateStatus>, AuthFault>> {
        let spec = RefreshSpec { session: JobId::from([id; 16]) };
        let owner = owner();
        let all = self.nodes.iter().map(|node| node.refresh(&owner, "alice".parse().expect("a name"), spec.clone()));
        join_all(all).await
    }

    pub(super) async fn login(&self, spec: &LoginSpec, probe: Probe) -> Vec<Result<Answer, AuthFault>> {
        self.login_as(&owner(), spec, probe).await
    }

    pub(super) async fn login_as(
        &self,
        caller: &ClientName,
        spec: &LoginSpec,
        probe: Probe,
    ) -> Vec<Result<Answer, AuthFault>> {
        let all = self.at(&[0, 1, 2], (caller, spec), (probe != Probe::None).then(|| shares(probe))).await;
        all.into_iter().map(|(_, answer)| answer).collect()
    }

    pub(super) async fn login_at(
        &self,
        nodes: &[usize],
        spec: &LoginSpec,
        probe: Probe,
    ) -> Vec<(Party, Result<Answer, AuthFault>)> {
        self.at(nodes, (&owner(), spec), (probe != Probe::None).then(|| shares(probe))).await
    }

    pub(super) async fn login_with(
        &self,
        spec: &LoginSpec,
        shares: impl Fn() -> [InputVector; 3],
    ) -> Vec<Result<Answer, AuthFault>> {
        let all = self.at(&[0, 1, 2], (&owner(), spec), Some(shares())).await;
        all.into_iter().map(|(_, answer)| answer).collect()
    }

    async fn at(
        &self,
        nodes: &[usize],
        (caller, spec): (&ClientName, &LoginSpec),
        probe: Option<[InputVector; 3]>,
    ) -> Vec<(Party, Result<Answer, AuthFault>)> {
        let id = JobId::random().expect("randomness");
        let mut spec = spec.clone();
        if probe.is_none() {
            spec.probe = None;
        }
        let mut shares: Vec<Option<InputVector>> = match probe {
            Some(shares) => shares.into_iter().map(Some).collect(),
            None => vec![None, None, None],
        };
        let all = nodes.iter().map(|&k| {
            let (share, spec) = (shares[k].take(), spec.clone());
            async move { (Party::ALL[k], self.nodes[k].login(caller, id, spec, share).await) }
        });
        join_all(all).await
    }

    /// A login that has to end well, with the flag UV.
    pub(super) async fn verified(&self, spec: &LoginSpec, probe: Probe) -> AuthenticationResponse {
        let answers = self.login_at(&[0, 1, 2], spec, probe).await;
        finish(spec, Some(Bit::One), answers).expect("a signature")
    }

    pub(super) async fn failures(&self) -> [u32; 3] {
        let mut failures = [0; 3];
        for (node, failures) in self.nodes.iter().zip(&mut failures) {
            *failures = node.list(&owner()).await.expect("a list")[0].failures;
        }
        failures
    }

    pub(super) async fn forget_counter(&self, node: usize) {
        let store = &self.nodes[node].store;
        for name in store.list(Space::Counters, "credential/").await.expect("a disk") {
            assert!(store.remove(Space::Counters, name).await.expect("a disk"));
        }
    }

    /// The shares of templates that each node has stored.
    pub(super) async fn stored(&self) -> Vec<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut all = Vec::new();
        for node in &self.nodes {
            let mut of_node = Vec::new();
            for name in node.store.list(Space::Templates, "share/").await.expect("a disk") {
                let value = node.store.get(Space::Templates, name.clone()).await.expect("a disk").expect("there");
                of_node.push((name, value.to_vec()));
            }
            all.push(of_node);
        }
        all
    }
}
