//! What arithmetic on integers costs, before it runs.

use crate::boolean::LaneCost;
use trefoil_engine::{Cost, Lanes, Z64};

/// The exact cost of a map on each of `n` integers, of P0 (no party sends more).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ElementCost {
    /// Messages in sequence.
    pub rounds: u64,
    /// Bits sent by gates on lanes, for each integer.
    pub bits: u64,
    /// Integers of 64 bits sent by gates.
    pub integers: u64,
    /// Masked bits shown to the holders of component 0.
    pub shown: u64,
}

impl ElementCost {
    /// Gates on lanes.
    pub const fn lanes(cost: LaneCost) -> Self {
        Self { rounds: cost.rounds, bits: cost.bits, integers: 0, shown: 0 }
    }

    /// So many integers sent in so many rounds.
    pub const fn integers(rounds: u64, integers: u64) -> Self {
        Self { rounds, bits: 0, integers, shown: 0 }
    }

    /// This map, then another one that waits for it.
    #[must_use]
    pub const fn then(self, next: Self) -> Self {
        Self { rounds: self.rounds + next.rounds, ..self.beside(next) }
    }

    /// This map and another one in the same rounds.
    #[must_use]
    pub const fn beside(self, other: Self) -> Self {
        Self {
            rounds: if self.rounds > other.rounds { self.rounds } else { other.rounds },
            bits: self.bits + other.bits,
            integers: self.integers + other.integers,
            shown: self.shown + other.shown,
        }
    }

    /// The map on `k` times as many integers, in the same rounds.
    #[must_use]
    pub const fn times(self, k: u64) -> Self {
        Self { rounds: self.rounds, bits: k * self.bits, integers: k * self.integers, shown: k * self.shown }
    }

    /// Bits that one integer costs when lanes are full.
    pub const fn bits_sent(self) -> u64 {
        self.bits + self.shown + 64 * self.integers
    }

    /// For `n` integers, each plane padded to whole words: what [`Ctx::cost`](trefoil_engine::Ctx::cost) of P0 will say in semi-honest mode.
    #[must_use]
    pub const fn over(self, n: usize) -> Cost {
        let words = Lanes::words(n) as u64;
        let products = self.bits * words + self.integers * n as u64;
        let shown = self.shown * words * size_of::<Lanes>() as u64;
        Cost { rounds: self.rounds, bytes_sent: products * size_of::<Z64>() as u64 + shown, products }
    }
}
