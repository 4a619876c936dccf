//! Coins with few points, so that the check's error can be measured.

use std::cell::RefCell;

/// Which coins of a check have few points.
#[derive(Clone, Copy, Debug)]
pub enum Stage {
    /// All of them.
    All,
    /// The one thrown in this place: 0 for the weights, 1 for the first grid and so on.
    Only(usize),
}

/// Points of `bits` bits.
#[derive(Clone, Copy, Debug)]
pub struct Reduction {
    pub bits: u32,
    pub stage: Stage,
}

thread_local! {
    static REDUCTION: RefCell<Option<Reduction>> = const { RefCell::new(None) };
    static THROWN: RefCell<Vec<[u8; 16]>> = const { RefCell::new(Vec::new()) };
}

/// Runs `f` with the coins of this thread reduced.
pub fn with<T>(reduction: Option<Reduction>, f: impl FnOnce() -> T) -> T {
    REDUCTION.set(reduction);
    THROWN.take();
    let out = f();
    REDUCTION.set(None);
    out
}

/// The different coins thrown so far, in order.
pub fn thrown() -> Vec<[u8; 16]> {
    THROWN.with_borrow(Clone::clone)
}

/// What is left of a point drawn from a coin.
pub fn mask(coin: [u8; 16]) -> u64 {
    let at = THROWN.with_borrow_mut(|thrown| {
        thrown.iter().position(|c| *c == coin).unwrap_or_else(|| {
            thrown.push(coin);
            thrown.len() - 1
        })
    });
    REDUCTION.with_borrow(|reduction| match reduction {
        Some(Reduction { bits, stage: Stage::All }) => (1 << bits) - 1,
        Some(Reduction { bits, stage: Stage::Only(stage) }) if *stage == at => (1 << bits) - 1,
        _ => u64::MAX,
    })
}
