//! Lost links and reports: who is named.

use super::{
    super::blame::DOUBT,
    strands::{until, waits_long},
    *,
};
use quinn::VarInt;
use std::net::UdpSocket;

/// An end that is no orderly shutdown, as of a process that was killed or a path that broke.
const BROKEN: VarInt = VarInt::from_u32(9);

/// Sessions that are waited for far longer than any rule of blame takes.
async fn blamed(session: &Session) -> SessionFault {
    tokio::time::timeout(Duration::from_secs(20), session.ended()).await.expect("it ends")
}

#[tokio::test]
async fn a_dead_node_is_named_although_the_link_of_the_others_broke_first() {
    let meshes = meshes(|_| {});
    let sessions = sessions(&meshes, 1).await;
    // P0 and P1 lose each other for a moment, and P2 for good.
    sessions[1].shared.connection(Party::P0).close(BROKEN, b"");
    meshes[2].endpoint.close(BROKEN, b"");
    for k in [0, 1] {
        assert_eq!(blamed(&sessions[k]).await.blamed, Party::P2, "{k}");
    }
}

#[tokio::test]
async fn two_dead_nodes_end_the_session_too() {
    let meshes = meshes(|_| {});
    let sessions = sessions(&meshes, 1).await;
    meshes[1].endpoint.close(BROKEN, b"");
    meshes[2].endpoint.close(BROKEN, b"");
    let fault = blamed(&sessions[0]).await;
    assert!(fault.blamed != Party::P0 && matches!(fault.cause, LinkFault::Lost(_)), "{fault:?}");
}

#[tokio::test]
async fn a_broken_link_names_its_end_and_the_third_is_told_whose_word_it_is() {
    let meshes = meshes(|_| {});
    let sessions = sessions(&meshes, 1).await;
    // It comes back, and the session's streams do not.
    sessions[0].shared.connection(Party::P1).close(BROKEN, b"");
    let fault = blamed(&sessions[2]).await;
    let text = fault.cause.to_string();
    let told = ["P0 reports of P1", "P1 reports of P0"].iter().any(|t| text.contains(t));
    assert!(told && fault.blamed != Party::P2, "{fault:?}");
}

#[tokio::test]
async fn a_peer_that_is_back_is_named_as_soon_as_the_third_is_known_to_run() {
    let meshes = meshes(|config| {
        // Silence alone would tell nobody who is gone.
        config.settings.idle_deadline = Duration::from_hours(1);
        config.settings.keep_alive = Duration::from_millis(100);
    });
    let sessions = sessions(&meshes, 1).await;
    let begin = std::time::Instant::now();
    sessions[0].shared.connection(Party::P1).close(BROKEN, b"");
    for session in &sessions {
        assert_ne!(blamed(session).await.blamed, Party::P2);
    }
    assert!(begin.elapsed() >= DOUBT, "what was heard before tells nothing");
}

#[tokio::test]
async fn a_node_that_shuts_down_is_named_by_its_own_word_and_names_nobody_else() {
    let meshes = meshes(|_| {});
    let sessions = sessions(&meshes, 1).await;
    meshes[1].close().await;
    for session in &sessions {
        assert_eq!(blamed(session).await.blamed, Party::P1);
    }
}

#[tokio::test]
async fn a_node_that_was_killed_says_when_it_is_back_that_its_connections_are_gone() {
    let (ids, nodes) = ([(); 3].map(|()| identity()), addresses());
    let config = |p: Party| {
        let mut config = config(p, &ids, &ids[p.index()], nodes);
        // Silence alone would never tell.
        config.settings.idle_deadline = Duration::from_hours(1);
        config.settings.keep_alive = Duration::from_millis(100);
        config
    };
    let [a, b, _c] = Party::ALL.map(|p| Mesh::start(config(p)).unwrap());
    for mesh in [&a, &b] {
        mesh.connected().await;
    }
    let old = a.peers.present()[0].clone().expect("P0 has called P1").connection;
    // It is away from its address without a word, as if it had been killed. What it sends from another one is nobody's to P0.
    let away = UdpSocket::bind("127.0.0.1:0").unwrap();
    let elsewhere = away.local_addr().unwrap();
    b.endpoint.rebind(away).unwrap();
    // The library leaves the socket of before when the first datagram comes to the new one.
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"any", elsewhere).unwrap();
    let again = async {
        loop {
            match Mesh::start(config(Party::P1)) {
                Ok(mesh) => return mesh,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    let _again = tokio::time::timeout(Duration::from_secs(10), again).await.expect("the port is free again");
    let reason = tokio::time::timeout(Duration::from_secs(20), old.closed()).await.expect("P0 is told");
    assert!(matches!(reason, quinn::ConnectionError::Reset), "{reason}");
    a.connected().await;
}

#[tokio::test]
async fn who_waits_for_a_dead_node_is_not_suspected_whatever_the_settings() {
    // A stall deadline below the time in which a dead node is noticed.
    let meshes = meshes(|c| c.settings.stall_deadline = Duration::from_millis(500));
    let sessions = sessions(&meshes, 1).await;
    let [mut a, mut b, _c] = links(&sessions, Path::root()).await;
    let (mut x, mut y) = ([0; 8], [0; 8]);
    let dies = async {
        until("P2 hears that P0 waits for it", || waits_long(&sessions[2], Party::P0, Party::P2)).await;
        meshes[2].endpoint.close(BROKEN, b"");
    };
    // P0 waits for P2, and P1 for P0.
    let (a, b, ()) = tokio::join!(a.recv(Party::P2, &mut x), b.recv(Party::P0, &mut y), dies);
    for end in [a, b] {
        assert!(matches!(end, Err(Error::Link { peer: Party::P2, .. })), "{end:?}");
    }
}
