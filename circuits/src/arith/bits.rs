//! Integers to planes of lanes and back, on components.

use trefoil_engine::{prelude::*, simd};

/// Bits of an integer.
pub(super) const WORD: usize = 64;

/// All planes of integers: 64 of [`Lanes::words`] words each.
pub(super) fn to_planes(x: &[Z64], planes: &mut [Lanes]) {
    simd::rows_to_planes(bytemuck::cast_slice(x), 1, bytemuck::cast_slice_mut(planes));
}

/// The inverse.
pub(super) fn to_integers(planes: &[Lanes], x: &mut [Z64]) {
    simd::planes_to_rows(bytemuck::cast_slice(planes), 1, bytemuck::cast_slice_mut(x));
}

/// Empties the lanes past the last of `count` integers in every plane. Linear.
pub(super) fn clear_unused(count: usize, planes: &mut [Lanes]) {
    let (words, used) = (Lanes::words(count), count % Lanes::COUNT);
    if used > 0 {
        planes.iter_mut().skip(words - 1).step_by(words).for_each(|last| last.0 &= (1 << used) - 1);
    }
}

/// Bits as integers that are 0 or 1, `count` for each plane.
pub(super) fn to_zero_one(planes: &[Lanes], count: usize, x: &mut [Z64]) {
    let words = Lanes::words(count).max(1);
    for (plane, x) in planes.chunks_exact(words).zip(x.chunks_exact_mut(count.max(1))) {
        for (word, x) in plane.iter().zip(x.chunks_mut(Lanes::COUNT)) {
            for (k, x) in x.iter_mut().enumerate() {
                *x = Z64(word.0 >> k & 1);
            }
        }
    }
}

/// Every component of integers times a public one.
pub(super) fn scaled(x: View<'_, Z64>, by: Z64) -> Shares<Z64> {
    let mut x = x.to_shares();
    x.update(|x| x.iter_mut().for_each(|x| *x = *x * by));
    x
}

/// Refuses a length that is not the one due.
pub(crate) fn same(what: &'static str, expected: usize, got: usize) -> Result<(), Error> {
    if expected == got { Ok(()) } else { Err(Error::Shape { what, expected, got }) }
}
