//! Planes of batches as bits of all rows.

use crate::arith::fixed::PROBABILITY_BITS;
use trefoil_engine::prelude::*;

/// The planes of all batches of `batch` rows, in their order, as bits of `rows` rows without gaps: the lowest of all rows, then the next. Lanes past the last row of the last batch hold zeros. Local.
pub(super) fn packed(batches: &[View<'_, Lanes>], batch: usize, rows: usize) -> Shares<Lanes> {
    let words = Lanes::words(PROBABILITY_BITS * rows);
    Shares::rearrange(Shares::concat(batches).view(), words, |planes, bits| {
        let mut planes = planes.iter();
        for from in (0..rows).step_by(batch) {
            for k in 0..PROBABILITY_BITS {
                for (word, plane) in planes.by_ref().take(Lanes::words(batch.min(rows - from))).enumerate() {
                    let at = k * rows + from + word * Lanes::COUNT;
                    let shift = (at % Lanes::COUNT) as u32;
                    let halves = [plane.0 << shift, plane.0.checked_shr(64 - shift).unwrap_or(0)];
                    bits[at / Lanes::COUNT..].iter_mut().zip(halves).for_each(|(bits, half)| bits.0 ^= half);
                }
            }
        }
    })
}
