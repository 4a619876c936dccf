//! Strands among each other: windows, waiting, counting.

use super::*;
use crate::{
    listening::listening,
    mesh::wire::{FRAME_HEADER, FrameTag, PREAMBLE, StreamName, preamble},
};
use std::{
    io,
    sync::{Mutex, PoisonError},
};

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

/// What is logged while a test runs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn lines(&self, what: &str) -> Vec<String> {
        let text = self.0.lock().unwrap();
        String::from_utf8_lossy(&text).lines().filter(|line| line.contains(what)).map(str::to_owned).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_long_wait_is_logged_with_what_is_awaited_and_counted_once() {
    let log = Log::default();
    let writer = log.clone();
    let lines = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _logged = listening(lines);
    let meshes = meshes(|_| {});
    let sessions = sessions(&meshes, 1).await;
    let (path, peer) = (Path::root().child(7), &sessions[1].shared);
    let [mut a, _b, _c] = links(&sessions, path).await;
    let run = *peer.run.get().unwrap();
    // Three bytes of eight come, and then nothing.
    let mut out = peer.connection(Party::P0).open_uni().await.unwrap();
    let header = FrameTag::new(run, path, Party::P1, Party::P0).header(0, 8);
    for part in [&preamble(StreamName::Strand(run, path))[..], &header, &[7; 3]] {
        out.write_all(part).await.unwrap();
    }
    let mut x = [0; 8];
    let rest = async {
        until("it is told twice", || log.lines("still waiting").len() >= 2).await;
        out.write_all(&[7; 5]).await.unwrap();
    };
    let (received, ()) = tokio::join!(a.recv(Party::P1, &mut x), rest);
    assert!(received.is_ok() && x == [7; 8], "{received:?}");
    let id = sessions[0].id().to_string();
    for line in log.lines("still waiting") {
        for part in [id.as_str(), "step=\"compute\"", "awaited=P1", "frame=0", "bytes=8", "received=3"] {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
    assert_eq!([Step::Compute, Step::Turn].map(|step| meshes[0].stalls(Party::P1, step)), [1, 0]);
    sessions.into_iter().for_each(Session::finish);
}

/// A session to which nobody has to come: that nobody does is not told.
#[tokio::test]
async fn who_does_not_come_to_what_nobody_has_asked_for_does_not_stall() {
    let log = Log::default();
    let writer = log.clone();
    let lines = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _logged = listening(lines);
    let meshes = meshes(|config| {
        if config.me == Party::P0 {
            config.settings.join_deadline = Duration::from_secs(2);
        }
    });
    // With links that are made, and several times the time after which a peer is waited for.
    sessions(&meshes, 1).await.into_iter().for_each(Session::finish);
    let missed = meshes[0].chance_session(SessionId([2; 16]), JOB).await;
    assert!(matches!(missed, Err(MeshError::NotJoined { .. })), "{missed:?}");
    let stalls = [Party::P1, Party::P2].map(|peer| meshes[0].stalls(peer, Step::Join));
    assert_eq!((stalls, log.lines("still waiting for a peer").len()), ([0; 2], 0));
    assert_eq!(meshes[0].sessions_failed(FailedBy::NotJoined), 0);
    let missed = meshes[0].session(SessionId([3; 16]), JOB).await;
    assert!(matches!(missed, Err(MeshError::NotJoined { .. })), "{missed:?}");
    assert_ne!([Party::P1, Party::P2].map(|peer| meshes[0].stalls(peer, Step::Join)), [0; 2]);
}

#[tokio::test]
async fn what_goes_between_two_nodes_is_counted_at_both() {
    let meshes = meshes(|_| {});
    let sessions = sessions(&meshes, 1).await;
    let results = around(links(&sessions, Path::root()).await, 1000).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    // Each sends to its prev.
    let [next, prev] = meshes[0].totals();
    assert_eq!((next.frames, prev.frames), ([0, 1], [1, 0]));
    assert_eq!(prev.frame_bytes[0], (1000 + FRAME_HEADER + PREAMBLE) as u64);
    assert!(next.link.udp_bytes[1] > 1000 && next.link.connections == 1, "{next:?}");
    assert_eq!(meshes[0].sessions_started(), 1);
    sessions[1].abort("enough");
    sessions[0].ended().await;
    drop(sessions);
    assert_eq!(meshes[0].sessions_failed(FailedBy::Ended), 1);
}

#[tokio::test]
async fn peers_are_heard_of_and_say_which_cluster_file_they_have() {
    let meshes = meshes(|c| {
        c.settings.keep_alive = Duration::from_millis(20);
        if c.me == Party::P2 {
            c.credentials.cluster_digest = [2; 32];
        }
    });
    let heard = |k: usize| meshes[0].status()[k].heartbeat;
    until("both are heard", || heard(0).is_some() && heard(1).is_some()).await;
    assert_eq!([0, 1].map(|k| heard(k).unwrap().cluster), [[1; 32], [2; 32]]);
    // The clock of this very machine.
    assert!([0, 1].iter().all(|k| heard(*k).unwrap().clock_ms.abs() < 60_000));
    let first = heard(0).unwrap().at;
    until("again and again", || heard(0).unwrap().at > first).await;
}

#[tokio::test]
async fn what_goes_over_a_link_that_is_replaced_is_counted_once() {
    let meshes = meshes(|_| {});
    let sessions = sessions(&meshes, 1).await;
    let results = around(links(&sessions, Path::root()).await, 1 << 20).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let sent = |k: usize| meshes[0].totals()[k].link;
    let before = [0, 1].map(sent);
    assert!(before.iter().all(|link| link.connections == 1), "{before:?}");
    let lines = sessions[0].shared.lines.each_ref().map(|line| line.connection().clone());
    for connection in &lines {
        connection.close(9_u32.into(), b"gone");
    }
    until("the links are back", || [0, 1].iter().all(|k| sent(*k).connections == 2)).await;
    assert!([0, 1].iter().all(|k| sent(*k).udp_bytes[0] >= before[*k].udp_bytes[0]));
}
