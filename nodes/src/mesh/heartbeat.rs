//! Heartbeats: each node tells both peers, again and again, that it runs, with which cluster file, and what its clock says.
//!
//! QUIC keeps a connection alive below the program; a heartbeat shows that the program itself moves. One stream in each direction of a connection carries
//! them, so they cost a few bytes where there would be a keep-alive packet. They say how a link is; of sessions that have failed, they tell sooner who is to blame.
//! Version 1 of the protocol has none.

use super::wire::{array, heartbeats};
use crate::clock::now_unix_ms;
use quinn::{Connection, RecvStream};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Cluster digest 32, milliseconds since 1970-01-01 UTC 8.
const HEARTBEAT: usize = 40;

/// The last thing that a peer has said of itself.
#[derive(Clone, Copy, Debug)]
pub struct Heartbeat {
    /// When it was heard.
    pub at: Instant,
    /// The digest of the peer's definition of the cluster, which does not depend on certificates.
    pub cluster: [u8; 32],
    /// The peer's clock against this node's, in milliseconds; above zero if the peer's is ahead. Off by the time that the message took.
    pub clock_ms: i64,
}

/// What was heard of one peer.
#[derive(Debug, Default)]
pub(super) struct Heard(watch::Sender<Option<Heartbeat>>);

impl Heard {
    pub(super) fn last(&self) -> Option<Heartbeat> {
        *self.0.borrow()
    }

    /// What was heard last, and what is from now on.
    pub(super) fn subscribe(&self) -> watch::Receiver<Option<Heartbeat>> {
        self.0.subscribe()
    }

    /// Hears a peer's stream of heartbeats to its end.
    pub(super) async fn listen(&self, mut stream: RecvStream) {
        let mut message = [0; HEARTBEAT];
        // The connection ends if nothing at all comes for `idle_deadline`.
        while stream.read_exact(&mut message).await.is_ok() {
            let (cluster, time): ([u8; 32], [u8; 8]) = (array(&message[..32]), array(&message[32..]));
            let clock_ms = u64::from_le_bytes(time).wrapping_sub(now_unix_ms()).cast_signed();
            self.0.send_replace(Some(Heartbeat { at: Instant::now(), cluster, clock_ms }));
        }
    }
}

/// Tells a peer, until the connection ends.
pub(super) async fn tell(connection: Connection, cluster: [u8; 32], interval: Duration) {
    let Ok(mut out) = connection.open_uni().await else { return };
    // Not behind the frames of strands.
    let _ = out.set_priority(1);
    let mut message = [0; HEARTBEAT];
    message[..32].copy_from_slice(&cluster);
    if out.write_all(&heartbeats()).await.is_err() {
        return;
    }
    loop {
        message[32..].copy_from_slice(&now_unix_ms().to_le_bytes());
        if out.write_all(&message).await.is_err() {
            return;
        }
        tokio::select! {
            _ = connection.closed() => return,
            () = tokio::time::sleep(interval) => {}
        }
    }
}
