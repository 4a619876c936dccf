//! What a circuit on bits costs, before it runs.

use trefoil_engine::{Cost, Lanes};

/// The exact cost of a boolean circuit for one lane.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LaneCost {
    /// Messages in sequence.
    pub rounds: u64,
    /// Bits each party sends for one lane.
    pub bits: u64,
}

impl LaneCost {
    /// This circuit, then another one that waits for it.
    #[must_use]
    pub const fn then(self, next: Self) -> Self {
        Self { rounds: self.rounds + next.rounds, bits: self.bits + next.bits }
    }

    /// For planes of so many words: what [`Ctx::cost`](trefoil_engine::Ctx::cost) will say.
    #[must_use]
    pub const fn over(self, words: usize) -> Cost {
        let products = self.bits * words as u64;
        Cost { rounds: self.rounds, bytes_sent: products * size_of::<Lanes>() as u64, products }
    }
}
