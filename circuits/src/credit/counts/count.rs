//! How many lanes of planes are set.

use crate::{
    arith::{b2a, b2a_cost},
    boolean::{popcount, popcount_cost},
    gates::OnShares,
};
use trefoil_engine::{Cost, prelude::*};

/// The number of lanes set in each of some planes of so many words: by adders on bits within each lane, one gate a bit, and as integers from there on.
pub(super) async fn count<M: Mode>(
    ctx: &mut Ctx<M>,
    words: usize,
    planes: View<'_, Lanes>,
) -> Result<Shares<Z64>, Error> {
    let each = planes.len() / words.max(1);
    // The words of a lane one after the other.
    let turned = Shares::rearrange(planes, planes.len(), |planes, turned| {
        for (k, word) in turned.iter_mut().enumerate() {
            *word = planes[k % each * words + k / each];
        }
    });
    let counts = popcount(&mut OnShares::new(ctx, each), &turned).await?;
    let lanes = b2a(ctx, each * Lanes::COUNT, counts.view()).await?;
    Ok(Shares::rearrange(lanes.view(), each, |lanes, counts| {
        for (count, lanes) in counts.iter_mut().zip(lanes.chunks_exact(Lanes::COUNT)) {
            *count = lanes.iter().fold(Z64(0), |sum, &x| sum + x);
        }
    }))
}

/// The exact cost of [`count`] of so many planes.
pub(super) fn count_cost(words: usize, planes: usize) -> [Cost; 2] {
    [popcount_cost(words).over(planes), b2a_cost().over(planes * Lanes::COUNT)]
}

/// Bits of several owners as one plane, those of the next after the last one of each.
pub(super) fn joined(parts: &[(Shares<Lanes>, usize)]) -> Shares<Lanes> {
    let all: usize = parts.iter().map(|(_, count)| count).sum();
    let every = Shares::concat(&parts.iter().map(|(part, _)| part.view()).collect::<Vec<_>>());
    Shares::rearrange(every.view(), Lanes::words(all), |mut words, joined| {
        let mut at = 0;
        for &(_, count) in parts {
            let (mine, rest) = words.split_at(Lanes::words(count));
            words = rest;
            for (k, word) in mine.iter().enumerate() {
                let (count, at) = ((count - k * Lanes::COUNT).min(Lanes::COUNT), at + k * Lanes::COUNT);
                let (word, shift) = (word.0 & (u64::MAX >> (Lanes::COUNT - count)), at % Lanes::COUNT);
                joined[at / Lanes::COUNT].0 |= word << shift;
                if shift + count > Lanes::COUNT {
                    joined[at / Lanes::COUNT + 1].0 |= word >> (Lanes::COUNT - shift);
                }
            }
            at += count;
        }
    })
}
