//! Customers of two populations between the same cut points.

use super::{EvaluationFile, total};
use crate::{Error, credit::report::StabilityCounts};

/// Which counts of scores.
#[derive(Clone, Copy)]
pub(super) enum Basis {
    /// Those without labels, if there are any: of all customers, between more cut points.
    Scores,
    /// Those by label.
    Labels,
}

impl EvaluationFile {
    /// Customers of both populations between those cut points of this one that are known of both: all of them, whatever their label, if both are counted so.
    pub(super) fn stability(&self, earlier: &Self) -> Result<StabilityCounts, Error> {
        let of_scores = self.distribution.is_some() && earlier.distribution.is_some();
        let basis = if of_scores { Basis::Scores } else { Basis::Labels };
        // Between the same cut points, too few customers may leave none of these known of both.
        let between = earlier.counts_by(basis).0;
        if !self.cuts.is_empty() && !self.cuts.iter().any(|cut| between.contains(cut)) {
            return Err(Error::Usage(format!(
                "{} is counted between other cut points than {}; count both populations with this version of `trefoil credit evaluate`",
                earlier.population, self.population
            )));
        }
        let reference = match &earlier.context {
            Some(context) => format!("{}, evaluated {}", earlier.population, context.evaluated),
            None => earlier.population.clone(),
        };
        let (expected, actual) = (earlier.between(&self.cuts, basis), self.between(&self.cuts, basis));
        Ok(StabilityCounts { reference, expected, actual: Some(actual), merged: true })
    }

    /// Customers between cut points; where one of these is not known, they are with those above it.
    fn between(&self, cuts: &[f64], basis: Basis) -> Vec<u64> {
        let (told, all) = (self.told(basis), total(&self.counts_by(basis).1));
        let below = |cut: &f64| told.iter().find(|(end, _)| end.to_bits() == cut.to_bits()).map(|(_, below)| *below);
        let mut before = 0;
        let counted = |until: Option<u64>| {
            let count = until.map_or(0, |until| until.saturating_sub(before));
            before = until.unwrap_or(before);
            count
        };
        cuts.iter().map(below).chain([Some(all)]).map(counted).collect()
    }

    /// Cut points, and the customers between them.
    fn counts_by(&self, basis: Basis) -> (&[f64], Vec<u64>) {
        if let (Some(all), Basis::Scores) = (&self.distribution, basis) {
            return (&all.cuts, all.counts.clone());
        }
        let by_label = self.goods.iter().zip(&self.bads);
        (&self.cuts, by_label.map(|(goods, bads)| goods.saturating_add(*bads)).collect())
    }

    /// The cut points that are known, each with the customers below.
    pub(super) fn told(&self, basis: Basis) -> Vec<(f64, u64)> {
        let (cuts, counts) = self.counts_by(basis);
        let mut below: u64 = 0;
        let end = |(cut, count): (&f64, &u64)| {
            below = below.saturating_add(*count);
            (self.minimum < 2 || *count > 0).then_some((*cut, below))
        };
        cuts.iter().zip(&counts).filter_map(end).collect()
    }
}
