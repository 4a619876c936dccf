//! Peers that hold the right certificate and say the wrong thing.

use super::*;
use crate::mesh::wire::{HELLO, Hello, RunId, StreamName, preamble};
use quinn::{Connection, SendStream};
use zeroize::Zeroizing;

const ID: SessionId = SessionId([1; 16]);

/// P1 without a mesh of its own, connected to the meshes of P0 and P2.
struct Deviating {
    _endpoint: quinn::Endpoint,
    to: [(Party, Connection); 2],
}

impl Deviating {
    async fn start(ids: &[Identity; 3], nodes: [SocketAddr; 3]) -> Self {
        let MeshConfig { credentials: Credentials { mut server, mut client, .. }, settings, .. } =
            config(Party::P1, ids, &ids[1], nodes);
        server.alpn_protocols = vec![ALPN.to_vec()];
        client.alpn_protocols = vec![ALPN.to_vec()];
        let transport = Arc::new(settings.quinn(&nodes, 4 << 20));
        let mut server = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(server).unwrap()));
        server.transport_config(transport);
        let endpoint = quinn::Endpoint::server(server, nodes[1]).unwrap();
        let client = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(client).unwrap()));
        let to_p2 = endpoint.connect_with(client, nodes[2], "node.trefoil").unwrap().await.unwrap();
        let to_p0 = endpoint.accept().await.unwrap().await.unwrap();
        Self { _endpoint: endpoint, to: [(Party::P0, to_p0), (Party::P2, to_p2)] }
    }

    /// Says hello to both, with the nonce that `nonce` gives for each.
    async fn greet(&self, nonce: impl Fn(Party) -> [u8; 32]) -> Vec<SendStream> {
        let mut streams = Vec::new();
        for (peer, connection) in &self.to {
            let hello =
                Hello { cluster: [1; 32], job: JOB, nonce: nonce(*peer), contribution: Zeroizing::new([3; 32]) };
            let mut out = connection.open_uni().await.unwrap();
            out.write_all(&preamble(StreamName::Control(ID))).await.unwrap();
            out.write_all(&*hello.to_bytes()).await.unwrap();
            streams.push(out);
        }
        streams
    }
}

async fn with_deviating_p1() -> (Mesh, Deviating, Mesh) {
    let (ids, nodes) = ([(); 3].map(|()| identity()), addresses());
    let [p0, p2] = [Party::P0, Party::P2].map(|p| Mesh::start(config(p, &ids, &ids[p.index()], nodes)).unwrap());
    let p1 = Deviating::start(&ids, nodes).await;
    (p0, p1, p2)
}

#[tokio::test]
async fn an_end_message_longer_than_allowed_is_not_read() {
    let (p0, p1, p2) = with_deviating_p1().await;
    let speak = async {
        let mut streams = p1.greet(|_| [2; 32]).await;
        for out in &mut streams {
            // The end of the session, blaming P0, in 65,535 bytes of text that never come.
            out.write_all(&[1, 0, 255, 255]).await.unwrap();
        }
        streams
    };
    let (a, b, _streams) = tokio::join!(p0.session(ID, JOB), p2.session(ID, JOB), speak);
    for end in [a, b] {
        let e = end.unwrap_err();
        assert!(e.blamed() == Some(Party::P1) && e.to_string().contains("65535 bytes, 512 being allowed"), "{e}");
    }
}

#[tokio::test]
async fn two_stories_are_found_out_before_a_session_begins() {
    let (p0, p1, p2) = with_deviating_p1().await;
    let (a, b, _streams) =
        tokio::join!(p0.session(ID, JOB), p2.session(ID, JOB), p1.greet(|to| [to.index() as u8; 32]));
    for end in [a, b] {
        let e = end.unwrap_err();
        assert!(e.to_string().contains("two stories"), "{e}");
    }
}

#[tokio::test]
async fn a_confirmation_of_another_kind_is_refused() {
    let (p0, p1, p2) = with_deviating_p1().await;
    let speak = async {
        let mut streams = p1.greet(|_| [2; 32]).await;
        streams[0].write_all(&[7, 7]).await.unwrap();
        streams
    };
    let (a, b, _streams) = tokio::join!(p0.session(ID, JOB), p2.session(ID, JOB), speak);
    // P0 finds it out and tells P2.
    for end in [a, b] {
        let e = end.unwrap_err();
        assert!(e.blamed() == Some(Party::P1) && e.to_string().contains("unknown kind"), "{e}");
    }
}

#[tokio::test]
async fn streams_of_unknown_runs_and_second_streams_are_stopped_and_disturb_nobody() {
    let meshes = meshes(|_| {});
    let old = sessions(&meshes, 1).await;
    let left_over = old[1].shared.run.get().copied().unwrap();
    old.into_iter().for_each(Session::finish);
    // The same id again: another run, for its nonces are fresh.
    let sessions = sessions(&meshes, 1).await;
    assert_ne!(sessions[1].shared.run.get(), Some(&left_over));
    let hostile = sessions[1].shared.connection(Party::P0);
    let path = Path::root();
    let unwanted = [
        StreamName::Strand(left_over, path),
        StreamName::Strand(RunId::of(&[9; 32]), path),
        StreamName::Control(SessionId([1; 16])),
    ];
    for name in unwanted {
        let mut out = hostile.open_uni().await.unwrap();
        out.write_all(&preamble(name)).await.unwrap();
        let stopped = tokio::time::timeout(Duration::from_secs(10), out.stopped()).await;
        assert!(matches!(stopped, Ok(Ok(Some(_)))), "{name:?} {stopped:?}");
    }
    let mut nonsense = hostile.open_uni().await.unwrap();
    nonsense.write_all(&[0xff; 49]).await.unwrap();
    let stopped = tokio::time::timeout(Duration::from_secs(10), nonsense.stopped()).await;
    assert!(matches!(stopped, Ok(Ok(Some(_)))), "{stopped:?}");
    let results = around(links(&sessions, path).await, 100).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(sessions.each_ref().map(Session::fault), [None, None, None]);
}

/// Returns when a node has confirmed to P1 that it has heard all hellos of [`ID`].
async fn confirmed(by: &Connection) {
    let own = preamble(StreamName::Control(ID));
    let mut others = Vec::new();
    loop {
        let mut stream = by.accept_uni().await.unwrap();
        let mut begin = own;
        stream.read_exact(&mut begin).await.unwrap();
        if begin == own {
            return stream.read_exact(&mut [0; HELLO + 33]).await.unwrap();
        }
        others.push(stream);
    }
}

#[tokio::test]
async fn a_node_that_gives_up_while_it_joins_says_so() {
    let (p0, p1, p2) = with_deviating_p1().await;
    let gives_up = async {
        tokio::select! {
            joined = p0.session(ID, JOB) => panic!("{joined:?} without a confirmation of P1"),
            () = confirmed(&p1.to[0].1) => {}
        }
    };
    let ((), end, _streams) = tokio::join!(gives_up, p2.session(ID, JOB), p1.greet(|_| [2; 32]));
    let e = end.unwrap_err();
    let is_told = matches!(&e, MeshError::Ended { cause, .. } if cause.contains("gave up the session"));
    assert!(is_told && e.blamed() == Some(Party::P0), "{e:?}");
}

#[tokio::test]
async fn sessions_that_a_peer_begins_alone_leave_room_for_others() {
    let meshes = meshes(|_| {});
    let running = sessions(&meshes, 1).await;
    // P1 is the first to join, so that its hello waits at P0, is refused in the end, and is said again when P0 joins.
    let id = SessionId([2; 16]);
    let mut joining = std::pin::pin!(meshes[1].session(id, JOB));
    let knows = async |is: bool| {
        let waiting = async {
            while meshes[0].registry.knows(id) != is {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("in time");
    };
    tokio::select! {
        joined = &mut joining => panic!("{joined:?} alone"),
        () = knows(true) => {}
    }
    let hostile = running[1].shared.connection(Party::P0);
    for n in 0..2 * settings().streams {
        let mut id = [7; 16];
        id[..4].copy_from_slice(&n.to_le_bytes());
        let opened = tokio::time::timeout(Duration::from_secs(10), hostile.open_uni()).await;
        let mut out = opened.expect("the connection takes no more streams").unwrap();
        out.write_all(&preamble(StreamName::Control(SessionId(id)))).await.unwrap();
        // As of a session that was given up.
        out.finish().unwrap();
    }
    knows(false).await;
    let results = around(links(&running, Path::root()).await, 100).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let joined = tokio::join!(meshes[0].session(id, JOB), joining, meshes[2].session(id, JOB));
    assert!(joined.0.is_ok() && joined.1.is_ok() && joined.2.is_ok(), "{joined:?}");
}

#[tokio::test]
async fn a_session_that_a_peer_began_alone_is_forgotten_in_time() {
    let meshes = meshes(|c| c.settings.join_deadline = Duration::from_secs(2));
    let hostile = sessions(&meshes, 1).await[1].shared.connection(Party::P0).clone();
    let mut out = hostile.open_uni().await.unwrap();
    out.write_all(&preamble(StreamName::Control(SessionId([9; 16])))).await.unwrap();
    let stopped = tokio::time::timeout(Duration::from_secs(10), out.stopped()).await;
    assert!(matches!(stopped, Ok(Ok(Some(_)))), "{stopped:?}");
}
