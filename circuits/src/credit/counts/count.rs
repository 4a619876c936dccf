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
