//! What a job has computed, as it is handed out.

use super::Room;
use sha2::{Digest, Sha256};
use std::fmt;
use trefoil_circuits::program::OutputVector;
use zeroize::Zeroizing;

/// What a job has computed: this node's output shares, wiped when the last reader is done with them.
#[derive(Debug)]
pub struct Outputs {
    vectors: Vec<Option<(Vector, [u8; 32])>>,
    /// How often these shares were made anew.
    epoch: u64,
    /// Counted as held until then.
    pub(super) room: Option<Room>,
}

/// One output: both components, or the one that goes out in full.
enum Vector {
    Computed(OutputVector),
    Read(Zeroizing<Vec<u8>>),
}

/// Where the outputs of a job are when it is done.
#[derive(Debug)]
pub enum Released {
    /// Here, and gone when the node ends.
    Memory(Outputs),
    /// In the node's store.
    Store,
}

impl Outputs {
    /// Wraps what the computation released, without what nobody fetches. Hashes one component of each output.
    pub fn new(vectors: Vec<Option<OutputVector>>) -> Self {
        let hashed = vectors.into_iter().map(|vector| {
            let vector = vector?;
            let digest = Sha256::digest(vector.as_bytes()[1]).into();
            Some((Vector::Computed(vector), digest))
        });
        Self { vectors: hashed.collect(), epoch: 0, room: None }
    }

    /// Output `k` alone, as it was in the store, of an epoch.
    pub(super) fn read(k: usize, own: Zeroizing<Vec<u8>>, (digest, epoch): ([u8; 32], u64)) -> Self {
        let mut vectors: Vec<_> = (0..k).map(|_| None).collect();
        vectors.push(Some((Vector::Read(own), digest)));
        Self { vectors, epoch, room: None }
    }

    /// The component `own` of an output, and the SHA-256 of its component `next`.
    pub fn get(&self, k: usize) -> Option<(&[u8], &[u8; 32])> {
        let (vector, digest) = self.vectors.get(k)?.as_ref()?;
        Some((vector.own(), digest))
    }

    /// `own` or `next` of an output, as far as they are here.
    pub(super) fn component(&self, k: usize, c: usize) -> &[u8] {
        self.vectors.get(k).and_then(Option::as_ref).map_or(&[], |(vector, _)| vector.component(c))
    }

    /// How often its shares were made anew: those of one epoch fit together.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// How many a job has, those that nobody fetches among them.
    pub(super) fn len(&self) -> usize {
        self.vectors.len()
    }

    /// Bytes that it takes up.
    pub(in crate::job) fn bytes(&self) -> u64 {
        self.vectors.iter().flatten().map(|(vector, _)| vector.bytes()).sum()
    }
}

impl Vector {
    fn own(&self) -> &[u8] {
        self.component(0)
    }

    fn component(&self, c: usize) -> &[u8] {
        match self {
            Self::Computed(vector) => vector.as_bytes().get(c).copied().unwrap_or_default(),
            Self::Read(own) if c == 0 => own,
            Self::Read(_) => &[],
        }
    }

    fn bytes(&self) -> u64 {
        let components = match self {
            Self::Computed(vector) => vector.as_bytes().map(<[u8]>::len).iter().sum(),
            Self::Read(own) => own.len(),
        };
        components as u64
    }
}

impl fmt::Debug for Vector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vector({} bytes)", self.bytes())
    }
}
