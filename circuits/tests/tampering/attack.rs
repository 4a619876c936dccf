//! What a corrupt party sends instead of a frame.

use bytes::Bytes;
use std::collections::HashMap;
use trefoil_engine::{Party, transport::memory::Position};

/// Where in the protocol a frame is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Phase {
    /// Hashes of the copies of the input.
    Input,
    /// Products, proofs of them, coins.
    Gates,
    /// The last frames before anything is released: that all have accepted.
    Account,
    /// Openings.
    Opening,
}

/// A frame of an honest run.
#[derive(Clone)]
pub struct Frame {
    pub at: Position,
    pub phase: Phase,
    pub bytes: Bytes,
}

/// What is done to a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Attack {
    /// One bit differs.
    Flip,
    /// One byte differs.
    Byte,
    /// The last byte is missing.
    Truncate,
    /// There is a byte more.
    Extend,
    /// It is not sent.
    Drop,
    /// It is sent twice.
    Duplicate,
    /// It changes places with another frame of its size and sender.
    Swap,
    /// An older frame of its size and sender takes its place and its number.
    Replay,
    /// The frame before it on its strand comes again, under its old number.
    Repeat,
    /// The frame of this place in another session.
    Foreign,
}

impl Attack {
    pub const ALL: [Self; 10] = [
        Self::Flip,
        Self::Byte,
        Self::Truncate,
        Self::Extend,
        Self::Drop,
        Self::Duplicate,
        Self::Swap,
        Self::Replay,
        Self::Repeat,
        Self::Foreign,
    ];
}

/// What takes the place of which frames.
pub struct Plan {
    pub corrupt: Party,
    pub frames: HashMap<Position, Vec<(u64, Bytes)>>,
    /// The phase of the first frame at which something that must be noticed happens.
    first: Option<Phase>,
}

impl Plan {
    /// Whether what is done must be noticed, and before that phase is over.
    pub fn is_caught_before(&self, phase: Phase) -> bool {
        self.first.is_some_and(|first| first < phase)
    }

    /// Whether what is done must be noticed.
    pub fn is_caught(&self) -> bool {
        self.first.is_some()
    }
}

impl Attack {
    /// The attack on frame `k` of a tape, if it can be made there. `foreign` is the tape of another session, `random` a number to
    /// choose places with.
    pub fn on(self, tape: &[Frame], foreign: &[Frame], k: usize, random: u64) -> Option<Plan> {
        let frame = &tape[k];
        let (seq, bytes) = (frame.at.seq, frame.bytes.clone());
        let pick = |n: usize| (random % n.max(1) as u64) as usize;
        let like_it = |others: &[Frame]| {
            let like: Vec<Frame> = others
                .iter()
                .filter(|f| f.at.from == frame.at.from && f.at != frame.at && f.bytes.len() == bytes.len())
                .cloned()
                .collect();
            (!like.is_empty()).then(|| like[pick(like.len())].clone())
        };
        let changed = |at: usize, by: u8| {
            let mut changed = bytes.to_vec();
            changed[at] ^= by;
            vec![(seq, changed.into())]
        };
        let mut frames = HashMap::new();
        let instead = match self {
            Self::Flip => changed(pick(8 * bytes.len()) / 8, 1 << (random % 8)),
            Self::Byte => changed(pick(bytes.len()), 1 + (random >> 32) as u8 % 255),
            Self::Truncate => vec![(seq, bytes.slice(..bytes.len() - 1))],
            Self::Extend => vec![(seq, [&bytes[..], &[0]].concat().into())],
            Self::Drop => vec![],
            Self::Duplicate => vec![(seq, bytes.clone()), (seq, bytes.clone())],
            Self::Swap => {
                let other = like_it(tape)?;
                frames.insert(other.at, vec![(other.at.seq, bytes.clone())]);
                vec![(seq, other.bytes)]
            }
            Self::Replay => vec![(seq, like_it(&tape[..k])?.bytes)],
            Self::Repeat => {
                let before = Position { seq: seq.checked_sub(1)?, ..frame.at };
                vec![(before.seq, tape.iter().find(|f| f.at == before)?.bytes.clone())]
            }
            Self::Foreign => vec![(seq, foreign.iter().find(|f| f.at == frame.at)?.bytes.clone())],
        };
        frames.insert(frame.at, instead);
        // Another copy of what has been read is no harm, and seen only if something follows it.
        let must_be_seen = |f: &&Frame| {
            self != Self::Duplicate && frames.get(&f.at).is_some_and(|new| *new != [(f.at.seq, f.bytes.clone())])
        };
        let first = tape.iter().filter(must_be_seen).map(|f| f.phase).min();
        Some(Plan { corrupt: frame.at.from, frames, first })
    }
}

/// The last two frames of each party before the openings are its account.
pub fn mark_accounts(tape: &mut [Frame]) {
    for p in Party::ALL {
        let of_gates = tape.iter_mut().rev().filter(|f| f.at.from == p && f.phase == Phase::Gates);
        of_gates.take(2).for_each(|f| f.phase = Phase::Account);
    }
}
