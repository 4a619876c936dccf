//! What can go wrong, sorted by who must act.

use crate::{Party, transport::Path};

/// Why a protocol step failed. The variants say who has to act.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A peer sent something no honest implementation sends. Look at that peer; nothing more is opened.
    #[error("{peer} misbehaved: {fault}; nothing more is opened: look at that node before the job is run again")]
    Peer {
        /// The peer whose message was wrong.
        peer: Party,
        /// What was wrong with it.
        fault: PeerFault,
    },
    /// The link to a peer failed. The job may be run again, under a new session id.
    #[error(
        "the link to {peer} failed: {cause}; look at that node and the network, then run the job again in a new session"
    )]
    Link {
        /// The peer at the other end of the link.
        peer: Party,
        /// What the transport reported.
        cause: LinkFault,
    },
    /// A check of the malicious mode failed: a party deviated from the protocol. Nothing was opened, and the job is never retried.
    #[error("{what}; {} deviated from the protocol, nothing more is opened: look at these nodes before the job is run again", names(*suspects))]
    Abort {
        /// What did not hold.
        what: Deviation,
        /// The party that deviated is one of these two.
        suspects: [Party; 2],
    },
    /// The two holders of a component of an input hold different ones. Nothing was computed on it.
    #[error(
        "the copies of the input at {me} and {peer} differ: the client sent inconsistent shares, or {peer} deviated from the protocol; send the input again, and look at {peer} if it happens twice"
    )]
    Input {
        /// The party that noticed.
        me: Party,
        /// The other holder.
        peer: Party,
    },
    /// The caller passed vectors whose public shapes do not fit together.
    #[error("shape mismatch in {what}: expected {expected}, got {got}; pass vectors whose public lengths fit together")]
    Shape {
        /// Which argument.
        what: &'static str,
        /// The length or count required.
        expected: usize,
        /// The length or count passed.
        got: usize,
    },
    /// A strand was verified while children of it were neither joined nor verified (a bug of the caller).
    #[error("{0} forked strand(s) were not taken back; `join` or `join_verified` each before `verify`")]
    UnjoinedFork(u32),
    /// A strand was checked or joined while sites were open on it (a bug of the caller).
    #[error("{0} site(s) are open on this strand; `close` each before it is checked, verified or joined")]
    OpenSite(u32),
    /// A strand was to be verified that was forked from gates nobody had checked (a bug of the caller).
    #[error(
        "strand {child} rests on gates that its parent had not checked when it forked; `check` the parent before it forks, or join the strand and verify the parent"
    )]
    Unchecked {
        /// The strand.
        child: Path,
    },
    /// A strand was joined, or a site used, on one that did not make it (a bug of the caller).
    #[error("strand {child} is not a child of strand {parent}; join it into the strand that forked it")]
    ForeignStrand {
        /// The strand that was to be joined.
        child: Path,
        /// The strand it was joined into.
        parent: Path,
    },
    /// A round of this strand was cancelled or failed part-way, so its streams may have diverged.
    #[error("this strand was poisoned by an earlier cancelled or failed round; start a new session")]
    Poisoned,
    /// A stream of randomness has reached its safe length; split the job into more strands or sessions.
    #[error("a PRSS stream has reached its safe length; split the job into more strands or sessions")]
    StreamExhausted,
    /// The operating system refused to give randomness.
    #[error("the system's random source failed: {0}; let the process call getrandom, and run the job again")]
    Entropy(String),
}

/// What did not hold when parties were checked.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Deviation {
    /// A proof of products was rejected: the prover's messages were wrong, or a verifier lied.
    #[error("the product check failed")]
    Product,
    /// The parties saw different challenges.
    #[error("the parties were shown different challenges")]
    Coins,
    /// The copies of an opened component differ.
    #[error("two copies of an opened value differ")]
    Opening,
    /// The parties did not do the same, or one of them did not accept.
    #[error("the parties' accounts of the session differ")]
    Account,
}

fn names([a, b]: [Party; 2]) -> String {
    if a == b { a.to_string() } else { format!("{a} or {b}") }
}

/// What was wrong with a peer's message.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerFault {
    /// A frame of another length than the public shape asks for.
    #[error("frame of {got} bytes where {expected} were due")]
    WrongLength {
        /// Bytes the shape asks for.
        expected: usize,
        /// Bytes the peer announced.
        got: usize,
    },
    /// A frame that belongs to another session, strand or position.
    #[error("frame {got} of another position where frame {expected} was due")]
    WrongFrame {
        /// The sequence number due.
        expected: u64,
        /// The sequence number the peer announced.
        got: u64,
    },
    /// A frame labelled with another session or strand.
    #[error("frame of another session or strand")]
    WrongStrand,
    /// Two copies of one value differ.
    #[error("the doubly held copies of a value differ")]
    Inconsistent,
    /// Anything else the transport recognised as a violation of its format.
    #[error("{0}")]
    Malformed(String),
}

/// Why a link failed without anybody having misbehaved.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkFault {
    /// The connection was closed or lost.
    #[error("connection lost ({0})")]
    Lost(String),
    /// Nothing arrived within the deadline.
    #[error("nothing arrived within {0} ms")]
    Stalled(u64),
    /// The peer ended the session and gave a cause.
    #[error("the peer ended the session: {0}")]
    Ended(String),
    /// The peer says that a check of it failed. A party that has followed the protocol can tell two: the peer, and the one it accuses.
    #[error("the peer rejected what it was sent: {0}")]
    Rejected(String),
}
