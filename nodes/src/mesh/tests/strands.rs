//! Strands among each other: windows, waiting, counting.

use super::*;
use crate::mesh::wire::{FRAME_HEADER, PREAMBLE};
use std::sync::PoisonError;

/// Waits until `done`, for ten seconds at most.
pub(super) async fn until(what: &str, done: impl Fn() -> bool) {
    let wait = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await.unwrap_or_else(|_| panic!("{what}"));
}

/// Whether the node has heard that strands of `who` wait long for `whom`.
pub(super) fn waits_long(session: &Session, who: Party, whom: Party) -> bool {
    let claims = session.shared.claims.lock().unwrap_or_else(PoisonError::into_inner);
    claims[who.index()].contains(whom)
}

#[tokio::test]
async fn frames_that_nobody_reads_do_not_keep_out_the_one_that_is_awaited() {
    let meshes = meshes(|c| (c.settings.stream_window, c.settings.streams) = (64 << 10, 64));
    let sessions = sessions(&meshes, 1).await;
    let mut held = Vec::new();
    // 2.4 MB, more than the send window of 1 MiB, lie unread at P0.
    for k in 0..40 {
        let [_, mut b, _] = links(&sessions, Path::root().child(k)).await;
        b.send(Party::P0, Bytes::from(vec![0; 60_000])).await.unwrap();
        held.push(b);
    }
    let results = around(links(&sessions, Path::root()).await, 1 << 20).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
}

#[tokio::test]
async fn a_peer_that_takes_nothing_is_blamed_although_another_was_received_from() {
    let meshes = meshes(|_| {});
    let sessions = sessions(&meshes, 1).await;
    let [mut a, _b, mut c] = links(&sessions, Path::root()).await;
    let mut z = [0; 8];
    a.send(Party::P2, Bytes::from_static(&[0; 8])).await.unwrap();
    // More than P1's window holds, and P1 does not read.
    let frame = Bytes::from(vec![0; 8 << 20]);
    let end = c.exchange(Party::P1, frame, Party::P0, &mut z).await;
    assert!(matches!(end, Err(Error::Link { peer: Party::P1, cause: LinkFault::Stalled(4_000) })), "{end:?}");
    for k in [0, 1] {
        assert_eq!(sessions[k].ended().await.blamed, Party::P1);
    }
}

#[tokio::test]
async fn long_waits_are_told_and_taken_back() {
    let meshes = meshes(|_| {});
    let sessions = sessions(&meshes, 1).await;
    let [mut a, mut b, _c] = links(&sessions, Path::root()).await;
    let told = |peer: usize| waits_long(&sessions[peer], Party::P0, Party::P1);
    let mut x = [0; 8];
    let late = async {
        until("P2 hears that P0 waits for P1", || told(2) && told(1)).await;
        b.send(Party::P0, Bytes::from_static(&[0; 8])).await.unwrap();
    };
    let (received, ()) = tokio::join!(a.recv(Party::P1, &mut x), late);
    received.unwrap();
    until("P2 hears that P0 no longer waits", || !told(2) && !told(1)).await;
}

#[tokio::test]
async fn traffic_is_counted_to_the_byte() {
    let meshes = meshes(|_| {});
    let sessions = sessions(&meshes, 1).await;
    for (k, len) in [100_usize, 200_000].into_iter().enumerate() {
        let results = around(links(&sessions, Path::root().child(k as u32)).await, len).await;
        assert!(results.iter().all(Result::is_ok), "{results:?}");
    }
    let expected = Traffic {
        frames_sent: 2,
        payload_sent: 200_100,
        framing_sent: 2 * (FRAME_HEADER + PREAMBLE) as u64,
        frames_received: 2,
        payload_received: 200_100,
    };
    for session in &sessions {
        assert_eq!(session.traffic(), expected);
    }
    for status in meshes[0].status() {
        let [sent, received] = status.udp_bytes.unwrap();
        assert!(sent > 200_100 || received > 200_100, "{status:?}");
    }
}
