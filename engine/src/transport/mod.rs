//! What the engine asks of a network: ordered frames between three parties, one link per strand.
//!
//! The engine opens no sockets. `trefoil-nodes` implements [`Transport`] over QUIC; the in-memory
//! implementation with injectable latency and tampering is [`memory`].

pub mod memory;

use crate::{Error, Party};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::{fmt, future::Future, pin::Pin, task::Poll};

/// A boxed future that can move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Names one run of one job. Never reused for a second run: a failed session is not resumed.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SessionId(pub [u8; 16]);

/// Names one strand of a session: the full-width digest of the fork ordinals from the session's root.
///
/// Equal on all parties by construction, because ordinals are assigned when `fork` is called and not
/// when a task happens to run.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Path(pub [u8; 32]);

impl Path {
    /// The root strand of every session.
    #[must_use]
    pub fn root() -> Self {
        Self(Sha256::digest(b"trefoil/path/root").into())
    }

    /// The strand forked from this one with the given ordinal.
    #[must_use]
    pub fn child(self, ordinal: u32) -> Self {
        let mut h = Sha256::new();
        h.update(b"trefoil/path/child");
        h.update(self.0);
        h.update(ordinal.to_le_bytes());
        Self(h.finalize().into())
    }
}

fn hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|b| write!(f, "{b:02x}"))
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(f, &self.0)
    }
}
impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(f, &self.0[..8])
    }
}
impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Path({self})")
    }
}

/// Ordered frames to and from both peers, for one strand of one session.
///
/// A frame's length is public: the receiver states it, and an implementation compares the announced
/// length with it **before** it reads or allocates. Frames carry the session, the strand, a sequence
/// number per direction and their length, and an implementation refuses any that is out of place.
///
/// Not cancel safe: a dropped future leaves the position within the stream undefined, so the strand
/// above is poisoned.
pub trait Link: Send {
    /// Sends one frame. Returns when the transport has taken it; waits while its window is full.
    ///
    /// # Errors
    /// [`Error::Link`] if the connection is gone or the peer takes nothing within the deadline.
    fn send(&mut self, to: Party, frame: Bytes) -> BoxFuture<'_, Result<(), Error>>;

    /// Receives the next frame into `into`, whose length is the length the frame must have.
    ///
    /// # Errors
    /// [`Error::Peer`] for a frame that is not the one due, [`Error::Link`] if the connection is gone or
    /// nothing arrives within the deadline.
    fn recv<'a>(&'a mut self, from: Party, into: &'a mut [u8]) -> BoxFuture<'a, Result<(), Error>>;

    /// Sends `frame` and receives into `into` at the same time. Both directions make progress on their
    /// own: were the send awaited first, three parties with full windows would wait for each other.
    ///
    /// # Errors
    /// As [`send`](Self::send) and [`recv`](Self::recv).
    fn exchange<'a>(
        &'a mut self,
        to: Party,
        frame: Bytes,
        from: Party,
        into: &'a mut [u8],
    ) -> BoxFuture<'a, Result<(), Error>>;

    /// Lets the network and other strands of this thread go on, within a long computation. Unless an implementation knows better, it
    /// asks to be polled again and gives way once. Cancel safe.
    fn pause(&mut self) -> BoxFuture<'_, ()> {
        let mut paused = false;
        Box::pin(std::future::poll_fn(move |cx| {
            if std::mem::replace(&mut paused, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        }))
    }
}

/// Opens the links of a session's strands.
pub trait Transport: Send + Sync {
    /// The link of one strand. Both peers open the same path; which of them is first does not matter.
    ///
    /// # Errors
    /// [`Error::Link`] if a peer is not connected.
    fn open(&self, session: SessionId, path: Path) -> BoxFuture<'_, Result<Box<dyn Link>, Error>>;
}

#[cfg(test)]
mod tests {
    use super::Path;
    use std::collections::HashSet;

    #[test]
    fn paths_are_distinct_across_depth_and_ordinal() {
        let mut seen = HashSet::from([Path::root()]);
        let mut level = vec![Path::root()];
        for _ in 0..3 {
            level = level.iter().flat_map(|p| (0..5).map(|i| p.child(i))).collect();
            assert!(level.iter().all(|p| seen.insert(*p)));
        }
    }
}
