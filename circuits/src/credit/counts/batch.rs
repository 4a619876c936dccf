//! Customers of several owners in words of lanes.

use crate::program::Inputs;
use trefoil_engine::prelude::*;

/// What is compared at once.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Batch {
    /// The first word.
    pub(super) from: usize,
    pub(super) pieces: Vec<Piece>,
}

/// Customers of one owner in a batch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Piece {
    pub(super) part: usize,
    pub(super) words: usize,
    pub(super) rows: usize,
}

impl Batch {
    pub(super) fn words(&self) -> usize {
        self.pieces.iter().map(|piece| piece.words).sum()
    }

    /// Lanes in which there are customers.
    pub(super) fn lanes(&self) -> Vec<Lanes> {
        let lanes = |piece: &Piece| {
            let last = piece.rows % Lanes::COUNT;
            let word = move |k: usize| if last > 0 && k == 0 { Lanes((1 << last) - 1) } else { Lanes::ONES };
            (0..piece.words).rev().map(word)
        };
        self.pieces.iter().flat_map(lanes).collect()
    }
}

/// The values of all owners, the first inputs, those of each padded to whole words. Local.
pub(super) fn values(rows: &[usize], inputs: &mut Inputs) -> Result<Shares<Z64>, Error> {
    let mut parts = Vec::new();
    for (k, &rows) in rows.iter().enumerate() {
        parts.push(inputs.z64(k)?);
        parts.push(Shares::zeros(Lanes::words(rows) * Lanes::COUNT - rows));
    }
    Ok(Shares::concat(&parts.iter().map(Shares::view).collect::<Vec<_>>()))
}

/// The labels of all owners, the inputs after the values, in one plane. Local.
pub(super) fn labels(rows: &[usize], inputs: &mut Inputs) -> Result<Shares<Lanes>, Error> {
    let parts = (rows.len()..2 * rows.len()).map(|k| inputs.bits(k)).collect::<Result<Vec<_>, _>>()?;
    Ok(Shares::concat(&parts.iter().map(Shares::view).collect::<Vec<_>>()))
}

/// What is compared at once, up to so many words, in order. The customers of each owner begin a word of their own.
pub(super) fn batches(rows: &[usize], most: usize) -> Vec<Batch> {
    let (mut batches, mut from, mut left) = (Vec::new(), 0, most);
    let mut pieces = Vec::new();
    for (part, &rows) in rows.iter().enumerate() {
        let mut rows = rows;
        while rows > 0 {
            let words = Lanes::words(rows).min(left);
            let mine = rows.min(words * Lanes::COUNT);
            pieces.push(Piece { part, words, rows: mine });
            (rows, left) = (rows - mine, left - words);
            if left == 0 {
                let batch = Batch { from, pieces: std::mem::take(&mut pieces) };
                (from, left) = (from + batch.words(), most);
                batches.push(batch);
            }
        }
    }
    batches.extend((!pieces.is_empty()).then_some(Batch { from, pieces }));
    batches
}
