//! Logins without a device.

use super::{
    super::*,
    world::{Probe, World, shares, spec as login, token_key},
};
use crate::{clock::now_unix_ms, job::JobId, keys::KeyFault, pki::ClientName, store::Space};
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use futures_util::future::join_all;
use trefoil_auth::{
    rsa::{NodePartials, combine},
    token::{Claims, Expected, Jwk, Token, verify},
    webauthn::{Bit, Bytes, Match},
};
use trefoil_engine::Party;

const URL: &str = "https://login.example.org";

fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a name")
}

fn issuer() -> IssuerSpec {
    IssuerSpec {
        key: name("tokens"),
        url: URL.to_owned(),
        audiences: vec!["shop".to_owned(), "portal".to_owned()],
        lifetime_seconds: 300,
        terminals: vec![name("kiosk")],
    }
}

fn asked(nonce: &str) -> TokenSpec {
    TokenSpec {
        owner: name("bank"),
        issuer: name("main"),
        user: name("alice"),
        audience: "shop".to_owned(),
        nonce: nonce.to_owned(),
        issued: now_unix_ms() / 1000,
        expires_ms: now_unix_ms() + 60_000,
        probe: login(0).probe.expect("a probe"),
    }
}

async fn world() -> World {
    let world = World::start(Verification::Required).await;
    for node in &world.nodes {
        assert!(node.put_issuer(&name("bank"), &name("main"), issuer()).await.expect("stored"));
        assert!(!node.put_issuer(&name("bank"), &name("main"), issuer()).await.expect("there"));
    }
    world
}

type Answers = Vec<Result<Answer, AuthFault>>;

/// The same for all three nodes, but for what one of them may be told.
async fn ask(world: &World, caller: &str, id: JobId, specs: [&TokenSpec; 3], probe: Probe) -> Answers {
    let caller: ClientName = name(caller);
    let all = world.nodes.iter().zip(shares(probe)).zip(specs);
    join_all(all.map(|((node, share), spec)| node.token(&caller, id, spec.clone(), share))).await
}

async fn ask_all(world: &World, spec: &TokenSpec, probe: Probe) -> Answers {
    ask(world, "kiosk", JobId::random().expect("randomness"), [spec; 3], probe).await
}

/// What the terminal makes of the answers.
fn finish(claims: &Claims, answers: Answers) -> String {
    let public = token_key();
    let token = Token::begin(claims, public, &Match::opened(claims.ceremony(), Bit::One)).expect("allowed");
    let parts = Party::ALL
        .into_iter()
        .zip(answers)
        .map(|(party, answer)| NodePartials::decode(&answer.expect("an answer").parts.0, party).expect("parts"));
    let signed = combine(public, &token.message(), None, &parts.collect::<Vec<_>>()).expect("a signature");
    assert_eq!(signed.wrong, []);
    token.finish(&signed.signature).expect("it verifies")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_gets_a_token_of_who_matches_and_of_nobody_else() {
    let world = world().await;
    let (spec, id) = (asked("nonce-01"), JobId::random().expect("randomness"));
    let answers = ask(&world, "kiosk", id, [&spec; 3], Probe::Right).await;
    let claims = issuer().claims(id, &spec).expect("claims");
    let token = finish(&claims, answers);
    let keys = world.nodes[1].jwks(&name("bank")).await.expect("keys");
    assert_eq!(keys.keys, [Jwk::of(token_key())]);
    let expected = Expected { issuer: URL, audience: "shop", nonce: "nonce-01", now: spec.issued };
    assert_eq!(verify(&token, &keys, expected).expect("good"), claims);
    assert_eq!((claims.sub.as_str(), claims.exp - claims.iat), ("alice", 300));
    // The id that the terminal has drawn is not enough to give two tokens the same number.
    for other in [asked("nonce-02"), TokenSpec { issued: spec.issued - 1, ..spec.clone() }] {
        assert_ne!(issuer().claims(id, &other).expect("claims").jti, claims.jti);
    }
    assert!(verify(&token, &keys, Expected { audience: "portal", ..expected }).is_err());
    assert!(verify(&token, &keys, Expected { now: claims.exp, ..expected }).is_err());
    // By another implementation.
    let (input, signature) = token.rsplit_once('.').expect("three parts");
    let signature: Bytes = serde_json::from_value(signature.into()).expect("base64url");
    let modulus = token_key().modulus();
    let key = RsaPublicKeyComponents { n: modulus.as_slice(), e: [1, 0, 1].as_slice() };
    key.verify(&RSA_PKCS1_2048_8192_SHA256, input.as_bytes(), &signature.0).expect("RS256");

    // The same nonce again, at another time: whoever has seen the probe's shares go by does not send them once more.
    for answer in ask_all(&world, &TokenSpec { issued: spec.issued - 1, ..spec.clone() }, Probe::Right).await {
        assert!(matches!(answer, Err(AuthFault::Replayed)), "{answer:?}");
    }
    // Another eye: nobody signs, and each node counts.
    for answer in ask_all(&world, &asked("nonce-02"), Probe::Wrong).await {
        assert!(matches!(answer, Err(AuthFault::NoMatch)), "{answer:?}");
    }
    assert_eq!(world.failures().await, [1; 3]);
    for answer in ask_all(&world, &asked("nonce-03"), Probe::Right).await {
        answer.expect("signed");
    }
    assert_eq!(world.failures().await, [0; 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_owner_has_not_allowed_is_not_signed() {
    let world = world().await;
    let now = now_unix_ms() / 1000;
    let refused = async |spec: TokenSpec, due: fn(&AuthFault) -> bool| {
        for answer in ask_all(&world, &spec, Probe::Right).await {
            assert!(answer.as_ref().is_err_and(due), "{answer:?}");
        }
    };
    refused(TokenSpec { audience: "other".to_owned(), ..asked("nonce-01") }, |e| matches!(e, AuthFault::Rule(_))).await;
    refused(asked("short"), |e| matches!(e, AuthFault::Rule(_))).await;
    for issued in [0, now - 90, now + 30, u64::MAX] {
        refused(TokenSpec { issued, ..asked("nonce-01") }, |e| matches!(e, AuthFault::Clock { .. })).await;
    }
    for expires_ms in [0, now_unix_ms() - 1, u64::MAX] {
        refused(TokenSpec { expires_ms, ..asked("nonce-01") }, |e| matches!(e, AuthFault::Expired)).await;
    }
    refused(TokenSpec { issuer: name("other"), ..asked("nonce-01") }, |e| matches!(e, AuthFault::Absent(_))).await;
    refused(TokenSpec { user: name("bob"), ..asked("nonce-01") }, |e| matches!(e, AuthFault::NoTemplate)).await;
    let id = JobId::random().expect("randomness");
    for answer in ask(&world, "stranger", id, [&asked("nonce-01"); 3], Probe::Right).await {
        assert!(matches!(answer, Err(AuthFault::Withheld(_))), "{answer:?}");
    }
    assert_eq!(world.failures().await, [0; 3]);
    // Wrong probes at a terminal lock the user, at logins too.
    for k in 0..guard::FREE {
        ask_all(&world, &asked(&format!("wrong-{k:04}")), Probe::Wrong).await;
    }
    refused(asked("nonce-02"), |e| matches!(e, AuthFault::Locked { .. })).await;
    for answer in world.login(&login(1), Probe::Right).await {
        assert!(matches!(answer, Err(AuthFault::Locked { .. })), "{answer:?}");
    }
}

/// In a semi-honest comparison one node turns the match bit, and no other notices: with a terminal it would have tokens of everybody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_semi_honest_match_is_worth_no_token() {
    let world = world().await;
    world.enrol_semi_honest("bob").await;
    let spec = TokenSpec { user: name("bob"), ..asked("nonce-01") };
    for answer in ask_all(&world, &spec, Probe::Right).await {
        assert!(matches!(answer, Err(AuthFault::SemiHonest)), "{answer:?}");
    }
    // Nothing was compared, so nothing is counted.
    for node in &world.nodes {
        let users = node.list(&name("bank")).await.expect("a list");
        assert!(users.iter().all(|status| status.failures == 0), "{users:?}");
    }
    for answer in ask_all(&world, &asked("nonce-02"), Probe::Right).await {
        answer.expect("alice's are malicious");
    }
}

/// Keys that the node cannot read are not silently left out of what relying parties get.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn public_keys_are_all_there_or_the_fault_is_told() {
    let world = world().await;
    let node = &world.nodes[0];
    let put = async |key: &str| {
        let record = records::written(&IssuerSpec { key: name(key), ..issuer() }).expect("JSON");
        node.store.put(Space::Credentials, "issuer/bank/more", record).await.expect("a disk");
    };
    // Deleted, or there for something else.
    for key in ["deleted", "alice"] {
        put(key).await;
        assert_eq!(node.jwks(&name("bank")).await.expect("keys").keys, [Jwk::of(token_key())]);
    }
    put("damaged").await;
    let fault = node.jwks(&name("bank")).await;
    assert!(matches!(fault, Err(AuthFault::Key(KeyFault::Bug(_)))), "{fault:?}");
}

/// A terminal that tells one node of another time, user or nonce, or a node that lies in the match: nobody signs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_different_things_gets_no_token() {
    let world = world().await;
    let (spec, id) = (asked("nonce-01"), JobId::random().expect("randomness"));
    let later = TokenSpec { issued: spec.issued + 1, ..spec.clone() };
    for answer in ask(&world, "kiosk", id, [&spec, &spec, &later], Probe::Right).await {
        assert!(matches!(answer, Err(AuthFault::Failed(_))), "{answer:?}");
    }
    for answer in ask_all(&world, &spec, Probe::Torn).await {
        assert!(matches!(answer, Err(AuthFault::Failed(_))), "{answer:?}");
    }
    assert_eq!(world.failures().await, [0; 3]);
    // An issuer that is another one at one node.
    let other = IssuerSpec { lifetime_seconds: 3600, ..issuer() };
    assert!(world.nodes[2].delete_issuer(&name("bank"), &name("main")).await.expect("a disk"));
    assert!(world.nodes[2].put_issuer(&name("bank"), &name("main"), other).await.expect("stored"));
    for answer in ask_all(&world, &spec, Probe::Right).await {
        assert!(matches!(answer, Err(AuthFault::Failed(_))), "{answer:?}");
    }
    assert_eq!(world.failures().await, [0; 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_has_a_key_for_tokens_and_an_https_address() {
    let world = world().await;
    let node = &world.nodes[0];
    let put = async |spec: IssuerSpec| node.put_issuer(&name("bank"), &name("more"), spec).await;
    let fault = put(IssuerSpec { key: name("alice"), ..issuer() }).await;
    assert!(matches!(fault, Err(AuthFault::Key(KeyFault::Use(_)))), "{fault:?}");
    for wrong in [
        IssuerSpec { url: "http://login.example.org".to_owned(), ..issuer() },
        IssuerSpec { audiences: vec![String::new()], ..issuer() },
        IssuerSpec { lifetime_seconds: 0, ..issuer() },
        IssuerSpec { lifetime_seconds: 3601, ..issuer() },
    ] {
        let fault = put(wrong).await;
        assert!(matches!(fault, Err(AuthFault::Rule(_))), "{fault:?}");
    }
    let changed = IssuerSpec { audiences: Vec::new(), ..issuer() };
    let fault = node.put_issuer(&name("bank"), &name("main"), changed).await;
    assert!(matches!(fault, Err(AuthFault::Known(..))), "{fault:?}");
    // An address is one owner's, however it is written.
    for url in [URL, "https://login.example.org/"] {
        let spec = IssuerSpec { url: url.to_owned(), ..issuer() };
        let fault = node.put_issuer(&name("shop"), &name("main"), spec).await;
        assert!(matches!(fault, Err(AuthFault::Known(..))), "{fault:?}");
    }
    let own = IssuerSpec { url: "https://login.example.com".to_owned(), ..issuer() };
    assert!(node.put_issuer(&name("shop"), &name("main"), own).await.expect("stored"));
    assert!(put(issuer()).await.expect("another one of the same owner"));
    for (caller, there) in [("bank", true), ("kiosk", true), ("stranger", false)] {
        assert_eq!(node.issuer(&name(caller), &name("bank"), name("main")).await.is_ok(), there, "{caller}");
    }
    assert!(node.delete_issuer(&name("bank"), &name("main")).await.expect("a disk"));
    assert!(!node.delete_issuer(&name("bank"), &name("main")).await.expect("a disk"));
    assert!(node.delete_issuer(&name("bank"), &name("more")).await.expect("a disk"));
    assert_eq!(node.jwks(&name("bank")).await.expect("keys").keys, []);
}
