//! Callers with no certificate, the wrong one, somebody else's token, or strange requests: each is refused with its status, named in a log, and changes nothing for others.

use super::{PROGRAM, authority, serves};
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use reqwest::{Method, RequestBuilder, StatusCode};
use rustls::{ClientConfig, crypto::aws_lc_rs::default_provider, pki_types::ServerName};
use serde_json::{Value, json};
use std::{
    fs,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use trefoil_engine::Party;
use trefoil_nodes::{
    api::{Problem, ProblemKind},
    cluster_files::ClusterFiles,
    config::Cluster,
    job::{InputSpec, JobId, JobSpec, Limits, MEDIA_TYPE, ModeSpec, MomentsSpec, ProgramSpec, TableInput, encode_head},
    local::{LocalCluster, LocalOptions},
    pki::{Identity, Lifetime},
    tables::TABLE_MEDIA_TYPE,
    tls::{self, Expect, Verifier},
};

const ISSUER: &str = "https://login.example.org";

/// A cluster whose nodes take tokens of an issuer, and that issuer.
pub(super) struct World {
    pub(super) local: LocalCluster,
    pub(super) cluster: Cluster,
    key: EcdsaKeyPair,
    dir: tempfile::TempDir,
}

pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

fn text(bytes: impl AsRef<[u8]>) -> String {
    Base64UrlUnpadded::encode_string(bytes.as_ref())
}

impl World {
    /// With these limits, and more rules in the nodes' policies.
    pub(super) async fn start(limits: Limits, rules: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut options = LocalOptions { dir: Some(dir.path().to_owned()), ..LocalOptions::of(PROGRAM) };
        options.settings.limits = limits;
        let first = LocalCluster::start(&options).await.expect("a cluster");
        let files = first.files().clone();
        first.shutdown().await;
        for name in ["alice", "bob"] {
            files.add_client(&name.parse().expect("a name"), Lifetime::days(1)).expect("issued");
        }
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        let point = key.public_key().as_ref();
        let set = json!({"keys": [
            {"kty": "EC", "crv": "P-256", "kid": "k", "x": text(&point[1..33]), "y": text(&point[33..])},
        ]});
        for party in Party::ALL {
            let (node, keys) = (files.node(party), files.node_dir(party).join("jwks.json"));
            fs::write(keys, set.to_string()).expect("written");
            let oidc =
                format!("\n[oidc]\nissuer = \"{ISSUER}\"\naudience = \"trefoil-{party}\"\njwks = \"jwks.json\"\n");
            fs::write(&node, fs::read_to_string(&node).expect("readable") + &oidc).expect("written");
            let policy = files.policy(party);
            let text = fs::read_to_string(&policy).expect("readable").replace("serial = 1", "serial = 2");
            fs::write(&policy, text + rules).expect("written");
            let mut sign = std::process::Command::new(PROGRAM);
            let signed = sign.args(["policy", "sign"]).arg(&policy).arg("--key").arg(files.policy_key()).output();
            assert!(signed.expect("it runs").status.success());
        }
        let local = LocalCluster::start(&options).await.expect("the same cluster");
        let cluster = Cluster::load(&files.cluster()).expect("good");
        Self { local, cluster, key, dir }
    }

    /// Where its files are.
    pub(super) fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    pub(super) fn files(&self) -> &ClusterFiles {
        self.local.files()
    }

    fn identity(&self, name: &str) -> Identity {
        Identity::named(&self.files().client(&name.parse().expect("a name"))).expect("readable")
    }

    pub(super) fn as_client(&self, name: &str) -> ClientConfig {
        tls::api_client(&self.identity(name), &self.cluster, Party::P0).expect("TLS")
    }

    /// TLS without a certificate.
    pub(super) fn as_nobody(&self) -> ClientConfig {
        let provider = Arc::new(default_provider());
        let verifier = Verifier::new(&self.cluster, Expect::Node(Party::P0), provider.clone()).expect("a verifier");
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13]);
        let config = config.expect("TLS 1.3").dangerous().with_custom_certificate_verifier(Arc::new(verifier));
        config.with_no_client_auth()
    }

    pub(super) fn request(&self, tls: ClientConfig, method: Method, path: &str) -> RequestBuilder {
        Self::http(tls).request(method, self.url(path))
    }

    pub(super) fn http(tls: ClientConfig) -> reqwest::Client {
        reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().expect("a client")
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.cluster.node(Party::P0).api)
    }

    pub(super) fn token(&self, changes: &[(&str, Value)]) -> String {
        let mut claims = json!({
            "iss": ISSUER, "aud": "trefoil-P0", "sub": "alice", "iat": now(), "exp": now() + 300, "jti": "1",
        });
        for (claim, value) in changes {
            claims[*claim] = value.clone();
        }
        let header = json!({"alg": "ES256", "kid": "k"});
        let signed = format!("{}.{}", text(header.to_string()), text(claims.to_string()));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).expect("signed");
        format!("{signed}.{}", text(signature))
    }

    /// What a node has written down.
    pub(super) fn log(&self, name: &str) -> String {
        fs::read_to_string(self.files().node_dir(Party::P0).join(name)).expect("readable")
    }

    /// Sends bytes as they are, and reads the first line of the answer.
    pub(super) async fn raw(&self, tls: ClientConfig, request: &[u8]) -> String {
        let address = self.cluster.node(Party::P0).api.to_string();
        let stream = TcpStream::connect(&address).await.expect("connected");
        let name = ServerName::try_from("127.0.0.1").expect("an address");
        let connector = tokio_rustls::TlsConnector::from(Arc::new(tls));
        let mut stream = connector.connect(name, stream).await.expect("a handshake");
        let answer = async {
            // The node may have answered and closed before all of it is sent.
            let _ = stream.write_all(request).await;
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
        };
        tokio::time::timeout(Duration::from_mins(1), answer).await.expect("an answer or an end")
    }
}

pub(super) async fn refused(request: RequestBuilder) -> (StatusCode, Option<ProblemKind>, String) {
    let answer = request.send().await.expect("an answer");
    let status = answer.status();
    let problem: Problem = answer.json().await.expect("a problem");
    (status, problem.kind(), problem.detail)
}

/// A table of one row, and its description.
pub(super) fn table() -> Vec<u8> {
    let spec = json!({"upload": "00112233445566778899aabbccddeeff", "rows": 1, "columns": [{"name": "x", "ring": "z64"}], "permits": []});
    let spec = spec.to_string();
    [&(spec.len() as u32).to_le_bytes()[..], spec.as_bytes(), &[0; 16]].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn intruders_are_refused_named_in_a_log_and_without_effect() {
    let world = World::start(Limits::default(), "").await;
    let unauthorized = (StatusCode::UNAUTHORIZED, Some(ProblemKind::Token));

    // Nobody: neither a certificate nor a token.
    for path in ["/v1/tables", "/v1/status", "/livez", "/v1/nothing"] {
        let (status, kind, detail) = refused(world.request(world.as_nobody(), Method::GET, path)).await;
        assert_eq!((status, kind), unauthorized, "{path}");
        assert!(detail.contains(ISSUER), "{detail}");
    }
    // Another cluster's certificate and one that has expired end the handshake, as where there are no tokens.
    let other = tempfile::tempdir().expect("a directory");
    let init = std::process::Command::new(PROGRAM).args(["cluster", "init", "--dir"]).arg(other.path()).output();
    assert!(init.expect("it runs").status.success());
    let stranger = Identity::named(&other.path().join("client.crt")).expect("good");
    let late = super::expired_client(world.files(), other.path());
    for identity in [&stranger, &late] {
        let tls = tls::api_client(identity, &world.cluster, Party::P0).expect("TLS");
        assert!(world.request(tls, Method::GET, "/livez").send().await.is_err(), "{identity:?}");
    }
    // A node is no client.
    let dir = world.files().node_dir(Party::P1);
    let node = Identity::load(&dir.join("node.crt"), &dir.join("node.key")).expect("good");
    let tls = tls::api_client(&node, &world.cluster, Party::P0).expect("TLS");
    let (status, kind, _) = refused(world.request(tls, Method::GET, "/v1/tables")).await;
    assert_eq!((status, kind), (StatusCode::FORBIDDEN, Some(ProblemKind::Forbidden)));
    // A certificate with the name of a token names nobody.
    let name = "oidc:alice".parse().expect("a name");
    assert!(world.files().add_client(&name, Lifetime::days(1)).is_err());
    let forged = authority(world.files()).issue_client(&name, Lifetime::days(1)).expect("issued");
    let path = other.path().join("forged.crt");
    trefoil_nodes::pki::create_public(&path, forged.certificate_pem.as_bytes()).expect("written");
    trefoil_nodes::pki::create_private(&other.path().join("forged.key"), forged.key_pem.as_bytes()).expect("written");
    assert!(Identity::named(&path).expect_err("no role").to_string().contains("the name of a token"));

    // Tokens: a good one, and those of intruders. Signatures are tried where they are checked.
    let look = |token: String| world.request(world.as_nobody(), Method::GET, "/v1/tables").bearer_auth(token);
    let good = look(world.token(&[])).send().await.expect("an answer");
    assert_eq!((good.status(), good.text().await.expect("a body").as_str()), (StatusCode::OK, "[]"));
    let unsigned = {
        let token = world.token(&[]);
        let (_, rest) = token.split_once('.').expect("three parts");
        let (claims, _) = rest.split_once('.').expect("three parts");
        format!("{}.{claims}.", text(json!({"alg": "none", "kid": "k"}).to_string()))
    };
    for (token, why) in [
        (world.token(&[("exp", json!(now() - 100))]), "claim exp"),
        (world.token(&[("aud", json!("trefoil-P1"))]), "claim aud"),
        (world.token(&[("aud", json!(["trefoil-P0", "trefoil-P1"]))]), "and that alone"),
        (world.token(&[("iss", json!("https://evil.example"))]), "claim iss"),
        (unsigned, "`none`"),
        ("garbage".to_owned(), "cannot be read"),
    ] {
        let (status, kind, detail) = refused(look(token)).await;
        assert_eq!((status, kind), unauthorized, "{why}");
        assert!(detail.contains(why), "{detail}");
    }
    // Who has a token may no more than the policy says, and the default is for certificates.
    let token = world.token(&[("jti", json!("once"))]);
    let change = || {
        let request = world.request(world.as_nobody(), Method::PUT, "/v1/tables/loans/1").bearer_auth(&token);
        request.header("content-type", TABLE_MEDIA_TYPE).body(table())
    };
    let (status, kind, detail) = refused(change()).await;
    assert_eq!((status, kind), (StatusCode::FORBIDDEN, Some(ProblemKind::Policy)));
    assert!(detail.contains("requester (`oidc:alice`)"), "{detail}");
    // The same token on another connection.
    let (status, kind, detail) = refused(change()).await;
    assert_eq!((status, kind), unauthorized);
    assert!(detail.contains("another connection"), "{detail}");

    others_are_not_touched(&world).await;
    strange_paths_lead_nowhere(&world).await;

    let (log, audit) = (world.log("node.log"), world.log("audit/audit-000000000000.log"));
    assert!(log.contains("client `alice`: DELETE /v1/tables/.."), "whoever probes is named");
    for cause in ["claim exp: is past", "used on another connection", "show a certificate of the cluster, or a token"] {
        assert!(log.contains(cause), "the log has nothing of {cause}");
    }
    assert!(log.contains("refused a client at"), "strangers are named");
    assert!(audit.contains("client `oidc:alice`") && audit.contains("requester (`oidc:alice`)"));
    assert!(audit.contains("client `bob`") && audit.contains("\"status\":403"));
    serves(&world.local, &world.cluster).await;
    let dir = world.files().node_dir(Party::P0);
    world.local.shutdown().await;
    let log = fs::read_to_string(dir.join("node.log")).expect("readable");
    assert!(log.contains("client `alice`: 4 more requests that are out of form"), "and does not fill the log");
}

/// Bob asks for Alice's table in every way there is.
async fn others_are_not_touched(world: &World) {
    let put = world.request(world.as_client("alice"), Method::PUT, "/v1/tables/loans/1");
    let stored = put.header("content-type", TABLE_MEDIA_TYPE).body(table()).send().await.expect("an answer");
    assert_eq!(stored.status(), StatusCode::CREATED);
    let bob = |method, path: &str| world.request(world.as_client("bob"), method, path);
    for path in ["/v1/tables", "/v1/tables?permitted=true"] {
        let list = bob(Method::GET, path).send().await.expect("an answer").text().await.expect("a body");
        assert_eq!(list, "[]");
    }
    let (status, kind, _) = refused(bob(Method::DELETE, "/v1/tables/loans/1")).await;
    assert_eq!((status, kind), (StatusCode::NOT_FOUND, Some(ProblemKind::NotFound)));
    let input = TableInput {
        owner: "alice".parse().expect("a name"),
        name: "loans".parse().expect("a name"),
        version: 1,
        columns: Vec::new(),
    };
    let moments = MomentsSpec { columns: 1, rows: vec![1], limit: None };
    let spec = JobSpec {
        inputs: vec![InputSpec::Table(input)],
        ..JobSpec::new(ProgramSpec::Moments(moments), ModeSpec::Malicious)
    };
    let job = bob(Method::PUT, &format!("/v1/jobs/{}", JobId::random().expect("randomness")));
    let (status, kind, _) = refused(job.header("content-type", MEDIA_TYPE).body(encode_head(&spec))).await;
    assert_eq!((status, kind), (StatusCode::FORBIDDEN, Some(ProblemKind::Denied)));
    let list = world.request(world.as_client("alice"), Method::GET, "/v1/tables").send().await.expect("an answer");
    assert!(list.text().await.expect("a body").contains("\"loans\""), "it is there still");
}

/// Paths that a file server might fall for.
async fn strange_paths_lead_nowhere(world: &World) {
    let long = format!("/v1/tables/{}/1", "a".repeat(100_000));
    let longer_name = format!("/v1/tables/{}/1", "a".repeat(65));
    for (path, statuses) in [
        ("/v1/tables/../1", &[400][..]),
        ("/v1/tables/./1", &[400]),
        ("/v1/../v1/tables/loans/1", &[404]),
        ("/v1/%2e%2e/tables/loans/1", &[400]),
        ("/v1/tables%2floans/1", &[400]),
        ("/v1/tables/lo%00ans/1", &[400]),
        ("/v1/tables/lo\0ans/1", &[400]),
        ("/v1/tables/loans/1/", &[404]),
        ("//v1/tables/loans/1", &[404]),
        ("/v1//tables/loans/1", &[404]),
        ("/v1/tables/loans/01", &[400]),
        ("/v1/tables/loans/-1", &[400]),
        (&longer_name, &[400]),
        (&long, &[400, 414, 431]),
    ] {
        let request = format!("DELETE {path} HTTP/1.1\r\nHost: node\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let answer = world.raw(world.as_client("alice"), request.as_bytes()).await;
        let status =
            answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).and_then(|s| s.parse::<u16>().ok());
        let path: String = path.chars().take(40).collect();
        assert!(status.is_some_and(|status| statuses.contains(&status)), "{path:?}: {answer}");
    }
    let list = world.request(world.as_client("alice"), Method::GET, "/v1/tables").send().await.expect("an answer");
    assert!(list.text().await.expect("a body").contains("\"loans\""), "nothing was deleted");
}
