//! What a session has sent and received, counted exactly.

use super::wire::{FRAME_HEADER, PREAMBLE};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The bytes a session's strands have put on their streams and taken from them.
///
/// QUIC and UDP add their own headers below: see [`PeerStatus`](super::PeerStatus) for the datagrams of a connection, which
/// all sessions share.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Traffic {
    /// Frames sent to both peers together.
    pub frames_sent: u64,
    /// Bytes of their payload.
    pub payload_sent: u64,
    /// Bytes of frame headers and stream preambles sent with them.
    pub framing_sent: u64,
    /// Frames received from both peers together.
    pub frames_received: u64,
    /// Bytes of their payload.
    pub payload_received: u64,
}

/// Counts while strands run on any thread.
#[derive(Debug, Default)]
pub(super) struct Meter {
    strands_opened: AtomicU64,
    frames_sent: AtomicU64,
    payload_sent: AtomicU64,
    frames_received: AtomicU64,
    payload_received: AtomicU64,
}

impl Meter {
    pub(super) fn opened(&self) {
        self.strands_opened.fetch_add(1, Relaxed);
    }

    pub(super) fn sent(&self, payload: usize) {
        self.frames_sent.fetch_add(1, Relaxed);
        self.payload_sent.fetch_add(payload as u64, Relaxed);
    }

    pub(super) fn received(&self, payload: usize) {
        self.frames_received.fetch_add(1, Relaxed);
        self.payload_received.fetch_add(payload as u64, Relaxed);
    }

    pub(super) fn read(&self) -> Traffic {
        let frames_sent = self.frames_sent.load(Relaxed);
        Traffic {
            frames_sent,
            payload_sent: self.payload_sent.load(Relaxed),
            framing_sent: frames_sent * FRAME_HEADER as u64 + self.strands_opened.load(Relaxed) * PREAMBLE as u64,
            frames_received: self.frames_received.load(Relaxed),
            payload_received: self.payload_received.load(Relaxed),
        }
    }
}
