//! Scorecard points and reason codes.

use super::{DataError, Model};
use std::f64::consts::LN_2;

/// The scale of a scorecard: a customer with `odds` good to one bad has `base_score` points, and each doubling of the odds adds
/// `pdo` points. More points are better.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scorecard {
    base_score: f64,
    odds: f64,
    pdo: f64,
}

/// Why a customer has no more points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reason {
    /// The attribute, by its position.
    pub attribute: usize,
    /// The points lost against the reference, above 0.
    pub lost: f64,
}

impl Scorecard {
    /// A scale.
    ///
    /// # Errors
    /// Odds or points to double them that are not above 0, or values that are not finite.
    pub fn new(base_score: f64, odds: f64, pdo: f64) -> Result<Self, DataError> {
        DataError::setting(base_score.is_finite(), "the base score", base_score, "it must be finite")?;
        DataError::setting(odds.is_finite() && odds > 0.0, "the base odds", odds, "they must be above 0")?;
        DataError::setting(pdo.is_finite() && pdo > 0.0, "the points to double the odds", pdo, "they must be above 0")?;
        Ok(Self { base_score, odds, pdo })
    }

    /// Points per unit of the logit of a good customer: `pdo / ln 2`.
    pub fn factor(&self) -> f64 {
        self.pdo / LN_2
    }

    /// The points at even odds: `base_score - factor * ln(odds)`.
    pub fn offset(&self) -> f64 {
        self.base_score - self.factor() * self.odds.ln()
    }

    /// The points of a customer with this logit of being bad.
    pub fn points(&self, logit: f64) -> f64 {
        self.offset() - self.factor() * logit
    }

    /// The points of each attribute of a row, whose sum is [`points`](Self::points) of the row's logit.
    ///
    /// `attributes[j]` is the attribute that feature `j` belongs to: the features of a one-hot column belong to one. Offset and
    /// intercept are spread evenly over the attributes.
    ///
    /// # Errors
    /// Other numbers of values or attributes than of weights, or an attribute number beyond the number of features.
    pub fn attribute_points(&self, model: &Model, row: &[f64], attributes: &[usize]) -> Result<Vec<f64>, DataError> {
        DataError::lengths("values of the row", row.len(), model.weights.len())?;
        DataError::lengths("attributes", attributes.len(), model.weights.len())?;
        let Some(&last) = attributes.iter().max() else { return Err(DataError::Empty("feature")) };
        let accepted = "attributes are numbered from 0 without gaps";
        DataError::setting(last < attributes.len(), "an attribute", last as f64, accepted)?;
        let even = self.points(model.intercept) / (last + 1) as f64;
        let mut points = vec![even; last + 1];
        for ((&attribute, weight), x) in attributes.iter().zip(&model.weights).zip(row) {
            points[attribute] -= self.factor() * weight * x;
        }
        Ok(points)
    }
}

impl Reason {
    /// The attributes in which a customer lost most points against a reference (the average customer's points, or the best
    /// attainable), most first, at most `limit`; of equal losses the lower position first.
    ///
    /// # Errors
    /// Two lengths.
    pub fn of(points: &[f64], reference: &[f64], limit: usize) -> Result<Vec<Self>, DataError> {
        DataError::lengths("points of the reference", reference.len(), points.len())?;
        let lost = points.iter().zip(reference).enumerate();
        let mut reasons: Vec<Self> = lost
            .map(|(attribute, (own, other))| Self { attribute, lost: other - own })
            .filter(|reason| reason.lost > 0.0)
            .collect();
        reasons.sort_by(|a, b| b.lost.total_cmp(&a.lost));
        reasons.truncate(limit);
        Ok(reasons)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Siddiqi, Credit Risk Scorecards (2006), chapter 6: 600 points at odds of 50 to 1, 20 points to double them.
    #[test]
    fn the_textbook_scale() {
        let card = Scorecard::new(600.0, 50.0, 20.0).unwrap();
        assert!((card.factor() - 28.8539).abs() < 5e-5);
        assert!((card.offset() - 487.123).abs() < 5e-4);
        assert!((card.points(-50f64.ln()) - 600.0).abs() < 1e-9);
        assert!((card.points(-100f64.ln()) - 620.0).abs() < 1e-9);
    }

    #[test]
    fn attribute_points_add_up_and_reasons_are_sorted() {
        let card = Scorecard::new(600.0, 50.0, 20.0).unwrap();
        let model = Model { intercept: -1.0, weights: vec![0.5, -0.25, 0.75] };
        let points = card.attribute_points(&model, &[1.0, 2.0, -1.0], &[0, 1, 1]).unwrap();
        assert_eq!(points.len(), 2);
        assert!((points.iter().sum::<f64>() - card.points(-1.0 + 0.5 - 0.5 - 0.75)).abs() < 1e-9);
        let reasons = Reason::of(&[10.0, 20.0, 30.0, 5.0], &[15.0, 20.0, 20.0, 15.0], 3).unwrap();
        assert_eq!(reasons, [Reason { attribute: 3, lost: 10.0 }, Reason { attribute: 0, lost: 5.0 }]);
        assert!(card.attribute_points(&model, &[1.0, 2.0, -1.0], &[0, 1, 9]).is_err());
        assert!(Scorecard::new(600.0, 0.0, 20.0).is_err() && Scorecard::new(600.0, 50.0, f64::NAN).is_err());
    }
}
