//! Nodes of two releases in one mesh.

use super::{strands::until, *};

const OLD: Versions = Versions { lowest: 1, highest: 1 };

#[tokio::test]
async fn old_and_new_nodes_work_together_in_all_mixtures() {
    for old in 0..8_u8 {
        let is_old = |p: Party| old >> p.index() & 1 == 1;
        let meshes = meshes(|c| {
            if is_old(c.me) {
                c.versions = OLD;
            }
        });
        let sessions = sessions(&meshes, 1).await;
        let results = around(links(&sessions, Path::root()).await, 1_000).await;
        assert!(results.iter().all(Result::is_ok), "{old}: {results:?}");
        for (me, mesh) in Party::ALL.into_iter().zip(&meshes) {
            for status in mesh.status() {
                assert_eq!(status.version, Some(if is_old(me) || is_old(status.peer) { 1 } else { 2 }));
            }
        }
    }
}

#[tokio::test]
async fn an_old_node_is_sent_no_heartbeats_and_sends_none() {
    let meshes = meshes(|c| {
        c.settings.keep_alive = Duration::from_millis(20);
        if c.me == Party::P1 {
            c.versions = OLD;
        }
    });
    let heard = |k: usize, peer: Party| {
        let status = meshes[k].status();
        status.iter().find(|s| s.peer == peer).and_then(|s| s.heartbeat).map(|h| h.at)
    };
    for mesh in &meshes {
        mesh.connected().await;
    }
    // The new ones hear each other, many times over.
    for _ in 0..5 {
        let first = [heard(0, Party::P2), heard(2, Party::P0)];
        until("the new nodes hear each other", || heard(0, Party::P2) > first[0] && heard(2, Party::P0) > first[1])
            .await;
    }
    assert_eq!([heard(0, Party::P1), heard(2, Party::P1), heard(1, Party::P0), heard(1, Party::P2)], [None; 4]);
    // Kinds of streams that version 1 does not know are refused, and the connection stays.
    let session = sessions(&meshes, 1).await;
    let connection = session[0].shared.connection(Party::P1);
    for mut kind in [wire::heartbeats(), wire::notice(wire::Notice::Renew)] {
        kind[1] = u8::from(kind[0] != 4);
        let mut out = connection.open_uni().await.unwrap();
        out.write_all(&kind).await.unwrap();
        assert!(out.stopped().await.unwrap().is_some(), "it is refused");
    }
    assert!(connection.close_reason().is_none());
    session.into_iter().for_each(Session::finish);
}

#[tokio::test]
async fn the_digest_is_that_of_the_version_that_all_three_speak() {
    for (old, agreed) in [(None, true), (Some(Party::P1), false)] {
        let meshes = meshes(|c| {
            if old == Some(c.me) {
                c.versions = OLD;
            }
            // P0 has other pins in its file.
            c.credentials.pinned_digest[0] = c.me.index().min(1) as u8;
        });
        let [a, b, c] = meshes.each_ref().map(|m| m.session(SessionId([1; 16]), JOB));
        let (a, b, c) = tokio::join!(a, b, c);
        for session in [a, b, c] {
            assert_eq!(session.is_ok(), agreed, "{session:?}");
            let text = session.err().map(|e| e.to_string()).unwrap_or_default();
            assert_eq!(text.contains("another cluster file"), !agreed, "{text}");
        }
    }
}

#[tokio::test]
async fn a_node_beyond_the_overlap_is_refused_and_both_ends_say_who_is_to_be_upgraded() {
    let meshes = meshes(|c| {
        if c.me == Party::P1 {
            c.versions = Versions { lowest: 3, highest: 4 };
        }
    });
    let said = |k: usize, peer: Party| {
        let status = meshes[k].status();
        status.iter().find(|s| s.peer == peer).and_then(|s| s.last_error.clone()).unwrap_or_default()
    };
    // P0 dials P1, and P1 dials P2: both ends of both connections.
    for k in [0, 2] {
        let peer = Party::ALL[k];
        until("the old node says it", || {
            said(k, Party::P1).contains("upgrade this node first: it speaks versions 1 to 2")
        })
        .await;
        let text =
            format!("upgrade node {peer} first: it speaks versions 1 to 2 of the mesh protocol, this one 3 to 4");
        until("the new node says it", || said(1, peer).contains(&text)).await;
    }
    let e = meshes[0].session(SessionId([1; 16]), JOB).await.unwrap_err();
    assert!(matches!(e, MeshError::Unreachable { peer: Party::P1, .. }) && e.to_string().contains("upgrade"), "{e}");
}
