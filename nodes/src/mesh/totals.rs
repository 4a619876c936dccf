//! What a node has sent, received, lost and waited for since it started: all sessions and connections together.

use super::{error::MeshError, traffic::Meter, wire::FRAME_HEADER};
use quinn::Connection;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use trefoil_engine::{LinkFault, Party, transport::Path};

/// What sessions and strands count while they run.
#[derive(Debug, Default)]
pub(super) struct Totals {
    peers: [Meter; 3],
    started: AtomicU64,
    failed: [AtomicU64; FailedBy::ALL.len()],
    stalls: [[AtomicU64; Step::ALL.len()]; 3],
}

/// What went between this node and one peer since the node started.
#[derive(Clone, Copy, Debug)]
pub struct PeerTotals {
    /// The peer.
    pub peer: Party,
    /// Frames of strands sent to it and received from it.
    pub frames: [u64; 2],
    /// Bytes of these frames, headers included, sent and received.
    pub frame_bytes: [u64; 2],
    /// What QUIC made of it, over all connections.
    pub link: LinkTotals,
}

/// Datagrams of the connections to one peer, one after the other.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LinkTotals {
    /// Connections that were made.
    pub connections: u64,
    /// Bytes of UDP payload sent and received.
    pub udp_bytes: [u64; 2],
    /// Datagrams sent and received.
    pub datagrams: [u64; 2],
    /// Packets sent that were never acknowledged.
    pub lost_packets: u64,
}

/// Why sessions fail, in the words of metrics.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FailedBy {
    /// There was no connection to a peer.
    Unreachable,
    /// A peer did not join in time.
    NotJoined,
    /// The nodes have different cluster files, or were given different jobs.
    Mismatch,
    /// This node was not able to begin.
    Internal,
    /// A connection broke.
    Lost,
    /// A peer sent nothing for too long.
    Stalled,
    /// A check failed, at this node or a peer.
    Rejected,
    /// A node gave it up: a client has cancelled its job, or a peer sent what no honest node sends.
    Ended,
}

/// What a session waits for a peer in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// All three have to say hello.
    Join,
    /// The nodes compare what they hold.
    Agree,
    /// The coordinator says whose turn it is, and hears who is done.
    Turn,
    /// Inputs, computation, verification and outputs: the strands of a program.
    Compute,
}

impl FailedBy {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Unreachable,
        Self::NotJoined,
        Self::Mismatch,
        Self::Internal,
        Self::Lost,
        Self::Stalled,
        Self::Rejected,
        Self::Ended,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::NotJoined => "not-joined",
            Self::Mismatch => "mismatch",
            Self::Internal => "internal",
            Self::Lost => "lost",
            Self::Stalled => "stalled",
            Self::Rejected => "rejected",
            Self::Ended => "ended",
        }
    }

    pub(super) fn of_start(error: &MeshError) -> Self {
        match error {
            MeshError::Unreachable { .. } => Self::Unreachable,
            MeshError::NotJoined { .. } => Self::NotJoined,
            MeshError::OtherCluster { .. } | MeshError::OtherJob { .. } => Self::Mismatch,
            MeshError::Ended { .. } | MeshError::GaveUp { .. } => Self::Ended,
            _ => Self::Internal,
        }
    }

    pub(super) fn of_end(cause: &LinkFault) -> Self {
        match cause {
            LinkFault::Lost(_) => Self::Lost,
            LinkFault::Stalled(_) => Self::Stalled,
            LinkFault::Rejected(_) => Self::Rejected,
            _ => Self::Ended,
        }
    }
}

impl Step {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Join, Self::Agree, Self::Turn, Self::Compute];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Agree => "agree",
            Self::Turn => "turn",
            Self::Compute => "compute",
        }
    }

    /// What a link is for, by its path: see [`job::Turns`](crate::job::Turns). Programs have the root and its other children.
    pub(super) fn of(path: Path) -> Self {
        let turn = Path::root().child(u32::MAX);
        if path == turn {
            Self::Turn
        } else if (0..4).any(|k| path == turn.child(k)) {
            Self::Agree
        } else {
            Self::Compute
        }
    }
}

impl Totals {
    pub(super) fn peer(&self, peer: Party) -> &Meter {
        &self.peers[peer.index()]
    }

    pub(super) fn started(&self) {
        self.started.fetch_add(1, Relaxed);
    }

    pub(super) fn failed(&self, by: FailedBy) {
        self.failed[by as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn stalled(&self, peer: Party, step: Step) {
        self.stalls[peer.index()][step as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn sessions_started(&self) -> u64 {
        self.started.load(Relaxed)
    }

    pub(super) fn sessions_failed(&self, by: FailedBy) -> u64 {
        self.failed[by as usize].load(Relaxed)
    }

    pub(super) fn stalls(&self, peer: Party, step: Step) -> u64 {
        self.stalls[peer.index()][step as usize].load(Relaxed)
    }

    pub(super) fn of(&self, peer: Party, link: LinkTotals) -> PeerTotals {
        let traffic = self.peer(peer).read();
        let framing = FRAME_HEADER as u64;
        PeerTotals {
            peer,
            frames: [traffic.frames_sent, traffic.frames_received],
            frame_bytes: [
                traffic.payload_sent + traffic.framing_sent,
                traffic.payload_received + traffic.frames_received * framing,
            ],
            link,
        }
    }
}

impl LinkTotals {
    /// With what a connection has sent and received.
    pub(super) fn and(mut self, connection: &Connection) -> Self {
        let stats = connection.stats();
        self.connections += 1;
        for (sum, udp) in [(0, stats.udp_tx), (1, stats.udp_rx)] {
            self.udp_bytes[sum] += udp.bytes;
            self.datagrams[sum] += udp.datagrams;
        }
        self.lost_packets += stats.path.lost_packets;
        self
    }
}
