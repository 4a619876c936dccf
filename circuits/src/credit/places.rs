//! What can come up where in a program, and what has room there: known before anything runs.

use super::{CreditError, FEATURE_LIMIT, WEIGHT_LIMIT, number::EXACT};

/// The largest absolute value that can come up at one place of a program, whatever the inputs are within their limits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// What is computed there.
    pub name: &'static str,
    /// The value is an integer of at most so many bits, besides its sign.
    pub bits: f64,
    /// So many have room.
    pub room: f64,
    /// What keeps the values that lead there within the limits that the bound follows from.
    pub kept: Kept,
}

/// What keeps values within limits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kept {
    /// Inputs are within theirs, which is checked, and the settings are public.
    Inputs,
    /// A flag is raised if a coefficient, a gradient or a matrix leaves its range, before it is used once more; nothing is released then.
    Flag,
}

/// Bits of a number before it is truncated. Half a unit that is added has room, too.
const TRUNCATED: f64 = 61.0 - 1e-9;
/// Bits of a number whose sign is looked at.
const SIGNED: f64 = 63.0;

impl Place {
    /// A place where values are truncated.
    pub(super) fn truncated(name: &'static str, largest: f64, kept: Kept) -> Self {
        Self { name, bits: largest.log2(), room: TRUNCATED, kept }
    }

    /// A place where values are compared.
    pub(super) fn compared(name: &'static str, largest: f64, kept: Kept) -> Self {
        Self { name, bits: largest.log2(), room: SIGNED, kept }
    }

    /// Whether nothing can overflow there.
    pub fn fits(&self) -> bool {
        self.bits < self.room
    }

    /// Refuses a program in which something can overflow unnoticed.
    pub(super) fn check(places: &[Self]) -> Result<(), CreditError> {
        match places.iter().find(|place| !place.fits()) {
            None => Ok(()),
            Some(&Self { name, bits, room, .. }) => Err(CreditError::Overflow { name, bits, room }),
        }
    }
}

/// The largest logit of features and coefficients at their limits, with twice the fractional bits, as an integer.
pub(super) fn largest_logit(columns: usize) -> f64 {
    WEIGHT_LIMIT * (1.0 + columns as f64 * FEATURE_LIMIT) * f64::from(EXACT).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credit::{
        MOST_FEATURES, NewtonSettings, NewtonTrain, Pooled, Reasons, Report, Score, Settings, Train, Weights,
        reference::{Batch, Model},
    };

    const ROWS: [usize; 8] = [1, 2, 100, 447, 8191, 8193, 28_632, 1 << 20];

    fn pooled(rows: usize, columns: usize) -> Pooled {
        Pooled::Vertical { rows, columns: vec![columns] }
    }

    #[test]
    fn nothing_overflows_in_any_program_that_can_be_set_up() {
        for columns in [1, 26, MOST_FEATURES] {
            let reasons = Reasons { most: 1, columns: vec![columns] };
            let reports = vec![Report::Logit, Report::Decision(1e-300), Report::Reasons(reasons)];
            for weight in [WEIGHT_LIMIT, -WEIGHT_LIMIT, 0.0] {
                let model = Model { intercept: weight, weights: vec![weight; columns] };
                assert!(Score::new(pooled(1, columns), Weights::Public(model), reports.clone()).is_ok());
            }
            assert!(Score::new(pooled(1, columns), Weights::Shared, reports).is_ok());
            for rows in ROWS {
                for l2 in [0.0, 1.0, 16_384.0_f64.min(rows as f64)] {
                    assert!(NewtonTrain::new(pooled(rows, columns), NewtonSettings { iterations: 2, l2 }).is_ok());
                }
                for (rate, momentum) in [(1e-6, 0.0), (0.5, 0.75), (16.0, 0.0), (16.0, 0.999)] {
                    for (l2, batch) in [(0.0, Batch::Full), (16_384.0, Batch::Full), (16_384.0, Batch::Rows(3))] {
                        let settings = Settings { rate, momentum, epochs: 1, batch, l2 };
                        let train = Train::new(pooled(rows, columns), settings);
                        assert!(train.is_ok(), "{rows} rows: {:?} of {settings:?}", train.err());
                    }
                }
            }
        }
    }

    #[test]
    fn what_could_overflow_is_refused_with_what_to_do() {
        // As wide a table as would be accepted if there were no limit on columns.
        let wide = Place::truncated("a logit", largest_logit(512), Kept::Flag);
        let refused = Place::check(&[wide]).unwrap_err().to_string();
        assert!(refused.contains("a logit can have 61.0 bits") && refused.contains("take fewer columns"), "{refused}");
        assert!(Place::check(&[Place::truncated("a logit", largest_logit(511), Kept::Flag)]).is_ok());
    }

    /// The bound of a public model is that of its own weights, and is reached.
    #[test]
    fn a_bound_is_no_larger_than_it_has_to_be() {
        let model = Model { intercept: 1.0, weights: vec![-2.0, 0.5] };
        let score = Score::new(pooled(1, 2), Weights::Public(model), vec![Report::Logit]).unwrap();
        let limit = 128_i64 << 20;
        let reached = crate::credit::columns::plain_logits(1, &[-limit, limit], &[1 << 20, -2 << 20, 1 << 19])[0];
        let [place] = score.places()[..] else { panic!("one place") };
        assert!((place.bits - (reached as f64).log2()).abs() < 1e-9 && place.fits(), "{place:?}");
    }
}
