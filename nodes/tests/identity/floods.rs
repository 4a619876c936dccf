//! Whoever opens connections without end, leaves bodies unsent or takes a node's log away shuts nobody else out, and is seen.

use super::intruders::{World, refused, table};
use reqwest::{Method, StatusCode};
use rustls::{ClientConfig, pki_types::ServerName};
use std::{fs, future::Future, sync::Arc, time::Duration};
use tokio::{io::AsyncReadExt as _, net::TcpStream, task::JoinSet};
use tokio_rustls::client::TlsStream;
use trefoil_engine::Party;
use trefoil_nodes::{api::ProblemKind, job::Limits, tables::TABLE_MEDIA_TYPE};

/// Connections at the same time, as the nodes are configured.
const CONNECTIONS: usize = 64;

/// Far from what a machine under load takes, and from the time after which a node gives up by itself.
async fn soon<T>(what: &str, it: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(40), it).await.unwrap_or_else(|_| panic!("not in time: {what}"))
}

async fn tcp(world: &World) -> TcpStream {
    let address = world.cluster.node(Party::P0).api.to_string();
    soon("a connection", TcpStream::connect(&address)).await.expect("connected")
}

async fn tls(world: &World, tls: ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("127.0.0.1").expect("an address");
    let connect = tokio_rustls::TlsConnector::from(Arc::new(tls)).connect(name, tcp(world).await);
    soon("a handshake", connect).await
}

/// Everybody is served: with a certificate, and with a token.
async fn all_are_served(world: &World, during: &str) {
    for name in ["bob", "alice"] {
        let asked = world.request(world.as_client(name), Method::GET, "/v1/tables").send();
        assert_eq!(soon(during, asked).await.expect("an answer").status(), StatusCode::OK, "{name}, {during}");
    }
    let asked = world.request(world.as_nobody(), Method::GET, "/v1/tables").bearer_auth(world.token(&[])).send();
    assert_eq!(soon(during, asked).await.expect("an answer").status(), StatusCode::OK, "a token, {during}");
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_shut_nobody_out() {
    // Nothing ends by itself while the test runs.
    let limits =
        Limits { connections: CONNECTIONS as u32, client_timeout: Duration::from_mins(10), ..Limits::default() };
    let world = World::start(limits, "").await;

    let mut silent = Vec::new();
    for _ in 0..2 * CONNECTIONS {
        silent.push(tcp(&world).await);
    }
    all_are_served(&world, "silent connections").await;

    let mut nameless = Vec::new();
    for _ in 0..2 * CONNECTIONS {
        // One that is displaced by the next may not see its handshake end.
        nameless.extend(tls(&world, world.as_nobody()).await.ok());
    }
    all_are_served(&world, "connections without a certificate").await;
    // The first refusal is the last on its connection.
    let request = b"GET /v1/tables HTTP/1.1\r\nHost: node\r\n\r\n";
    let answer = soon("the end after a refusal", world.raw(world.as_nobody(), request)).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");

    bodies_that_do_not_come_are_not_waited_for(&world).await;
    one_client_has_its_share(&world).await;
    a_log_that_is_taken_away_is_missed(&world).await;

    let dir = world.files().node_dir(Party::P0);
    let refusals = |log: &str| log.lines().filter(|line| line.contains("refused a client at")).count();
    assert!(refusals(&world.log("node.log")) < 2 * CONNECTIONS, "strangers do not fill the log");
    world.local.shutdown().await;
    let log = fs::read_to_string(dir.join("node.log")).expect("readable");
    assert!(log.contains("more clients for the reason `crowded`"), "and are counted");
    assert!(log.contains("client `alice`: it has a quarter of limits.connections"), "whose share is used up is named");
}

/// They are refused by their announced length.
async fn bodies_that_do_not_come_are_not_waited_for(world: &World) {
    let requests = [
        ("PUT", "/v1/auth/credentials/AAAA"),
        ("PUT", "/v1/auth/issuers/door"),
        ("POST", "/v1/auth/users/alice/refresh"),
        ("POST", "/v1/keys/code/sign"),
        ("POST", "/v1/keys/code/recovery/share"),
        ("POST", "/v1/keys/code/recovery/done"),
    ];
    let lengths = [
        ("bob", "Content-Length: 1000000000\r\n\r\n{\"a\"", "HTTP/1.1 413"),
        ("alice", "Transfer-Encoding: chunked\r\n\r\n4\r\n", "HTTP/1.1 411"),
    ];
    let asked = requests.iter().flat_map(|request| lengths.iter().map(move |length| (request, length)));
    let asked = asked.map(|((method, path), (client, rest, status))| async move {
        let head = "Host: node\r\nContent-Type: application/json\r\nConnection: close\r\n";
        let request = format!("{method} {path} HTTP/1.1\r\n{head}{rest}");
        let answer = soon(path, world.raw(world.as_client(client), request.as_bytes())).await;
        assert!(answer.starts_with(status), "{method} {path}: {answer}");
    });
    // Each connection is open for a few seconds after its refusal, so that the client reads it.
    futures_util::future::join_all(asked).await;
}

/// A quarter of the connections; others are let in meanwhile.
async fn one_client_has_its_share(world: &World) {
    let mut open = JoinSet::new();
    for _ in 0..CONNECTIONS + CONNECTIONS / 4 {
        let stream = tls(world, world.as_client("alice")).await;
        open.spawn(async move {
            if let Ok(mut stream) = stream {
                // An end and a reset are the same here.
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        });
    }
    for _ in 0..CONNECTIONS {
        soon("the end of a connection", open.join_next()).await;
    }
    let asked = world.request(world.as_client("bob"), Method::GET, "/v1/tables").send();
    assert_eq!(soon("bob", asked).await.expect("an answer").status(), StatusCode::OK);
}

/// The node says so, and does nothing that has to be in the log, until it is back.
async fn a_log_that_is_taken_away_is_missed(world: &World) {
    let audit = world.files().node_dir(Party::P0).join("audit");
    let elsewhere = audit.with_file_name("elsewhere");
    fs::rename(&audit, &elsewhere).expect("moved");
    // One client, so that the connections of the one before need not be gone.
    let bob = World::http(world.as_client("bob"));
    let is_ready = || async {
        let asked = bob.get(world.url("/readyz")).send();
        let answer = soon("readiness", asked).await.expect("an answer");
        (answer.status(), answer.text().await.expect("a body"))
    };
    let unready = async {
        loop {
            let (status, text) = is_ready().await;
            if status == StatusCode::SERVICE_UNAVAILABLE && text.contains("the audit log cannot be written") {
                return;
            }
        }
    };
    soon("the node misses its log", unready).await;
    let put = || bob.put(world.url("/v1/tables/late/1")).header("content-type", TABLE_MEDIA_TYPE).body(table());
    let (status, kind, _) = refused(put()).await;
    assert_eq!((status, kind), (StatusCode::INSUFFICIENT_STORAGE, Some(ProblemKind::Storage)));
    fs::rename(&elsewhere, &audit).expect("moved back");
    let ready = async { while is_ready().await.0 != StatusCode::OK {} };
    soon("the node finds its log", ready).await;
    assert_eq!(put().send().await.expect("an answer").status(), StatusCode::OK, "what was done stays done");
    assert!(world.log("audit/audit-000000000000.log").contains(r#""event":"resumed""#));
    assert!(world.log("node.log").contains("was moved away or removed while the node runs"));
}
