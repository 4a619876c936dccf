//! What can come up where when a model is trained by Newton's method.

use super::{
    GRADIENT, NewtonTrain, Watch,
    curvature::{CURVATURE, Curvature},
    inverse::{INVERSE_BITS, UNIT_BITS},
};
use crate::credit::places::{Kept, Place, largest_logit};

impl NewtonTrain {
    /// What can come up where, and what has room there.
    pub fn places(&self) -> Vec<Place> {
        let (rows, size) = (self.table.rows(), (self.table.columns() + 1) as f64);
        let power = |bits: i32| f64::from(bits).exp2();
        let rate = self.rate_bits();
        // What is watched has twice the limit at most, and that only once.
        let [entry, gradient] =
            [CURVATURE, GRADIENT + 2].map(|bits| power(bits.saturating_add_signed(rate).cast_signed()));
        let [inverse, unit] = [INVERSE_BITS, UNIT_BITS].map(|bits| power(bits.cast_signed()));
        let mut places = vec![
            Place::truncated("a logit", largest_logit(self.table.columns()), Kept::Flag),
            Place::truncated("a sum of products of weighted features", Curvature::largest_sum(rows), Kept::Inputs),
            Place::truncated("a curvature times an inverse", size * entry * inverse, Kept::Flag),
            Place::truncated("an inverse times their product", size * inverse * unit, Kept::Flag),
            Place::truncated("an inverse times a gradient", size * inverse * gradient, Kept::Flag),
            Place::compared("what is watched", power(Watch::BITS.cast_signed() + 22), Kept::Flag),
        ];
        places.extend(self.scale().places(rows));
        places
    }
}
