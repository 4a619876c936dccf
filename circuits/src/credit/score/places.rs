//! What can come up where when rows are scored.

use super::{Report, Score, Weights, threshold};
use crate::credit::{
    FEATURE_LIMIT,
    number::EXACT,
    places::{Kept, Place, largest_logit},
};

impl Score {
    /// What can come up where, and what has room there.
    pub fn places(&self) -> Vec<Place> {
        let logit = match &self.weights {
            Weights::Shared => largest_logit(self.table.columns()),
            Weights::Public(model) => {
                let weights: f64 = model.weights.iter().map(|weight| weight.abs()).sum();
                (model.intercept.abs() + weights * FEATURE_LIMIT).max(1.0) * f64::from(EXACT).exp2()
            }
        };
        let mut places = vec![Place::truncated("a logit", logit, Kept::Inputs)];
        for report in &self.reports {
            places.extend(match report {
                Report::Logit | Report::Probability | Report::ProbabilityBits => None,
                Report::Decision(p) => {
                    let largest = logit + threshold(*p).unsigned_abs() as f64;
                    Some(Place::compared("a logit less that of the threshold", largest, Kept::Inputs))
                }
                Report::Reasons(_) => {
                    Some(Place::compared("what one column adds less what another does", 2.0 * logit, Kept::Inputs))
                }
            });
        }
        places
    }
}
