//! Counts of which a report is made.

use super::{Coefficient, Context, MeanScore, Scale};
use crate::credit::TableError;
use serde::{Deserialize, Serialize};
use trefoil_circuits::credit::reference::{Binning, Histogram, Ranking};

/// Counts over a population, as computed on shares or on a table of one's own, before small cells are merged.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregates {
    /// What the report is about.
    pub title: String,
    /// The model, for people.
    pub model: String,
    /// The population, for people.
    pub population: String,
    /// What was evaluated, when and how, if that is known.
    pub context: Option<Context>,
    /// Customers by probability of being bad, between `cuts`. Where some were merged, the last of them has the count of all, and the others have zero.
    pub scores: Histogram,
    /// Rising cut points between these bins.
    pub cuts: Vec<f64>,
    /// The sum of the probabilities in each bin, as nearly as it is known.
    pub score_sums: Option<Vec<ScoreSum>>,
    /// The bin from which customers are called bad; it may be one beyond the last.
    pub threshold: usize,
    /// The probability that this was to be.
    pub threshold_asked: f64,
    /// Customers beside these, whose labels are not told.
    pub left_out: u64,
    /// Those of them who are not even counted without labels.
    pub uncounted: u64,
    /// Figures computed from the scores themselves, or nearly.
    pub exact: Option<Exact>,
    /// The mean score of all customers, if it is known.
    pub mean_score: Option<MeanScore>,
    /// The scores of an earlier population.
    pub stability: Option<StabilityCounts>,
    /// What single columns tell.
    pub attributes: Vec<AttributeCounts>,
    /// Columns of which too few customers are known.
    pub columns_left_out: Vec<String>,
    /// The coefficients of the model, if they are released.
    pub coefficients: Vec<Coefficient>,
    /// The scale of the scorecard, if points are given.
    pub scorecard: Option<Scale>,
}

/// The sum of the probabilities of the customers in a bin.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ScoreSum {
    /// As nearly as it is known.
    pub sum: f64,
    /// How far it can be off.
    pub error: f64,
}

/// Figures computed from the scores themselves, or from far more bins than are counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exact {
    /// Area under the ROC curve.
    pub auc: f64,
    /// How far it can be from that of the scores themselves.
    pub auc_error: f64,
    /// Kolmogorov-Smirnov, if it was computed.
    pub ks: Option<f64>,
}

/// Customers of an earlier population by score.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StabilityCounts {
    /// The earlier population, for people.
    pub reference: String,
    /// Its customers in the bins of this one's scores.
    pub expected: Vec<u64>,
    /// Those of this one in the same bins, counted without labels as these are; if not, its good and bad customers are compared.
    pub actual: Option<Vec<u64>>,
    /// Whether small bins were merged: then a count that is not zero is of all bins after the one before that is not.
    pub merged: bool,
}

/// Good and bad customers by the value of one column.
#[derive(Clone, Debug, PartialEq)]
pub struct AttributeCounts {
    /// The column.
    pub name: String,
    /// The counts.
    pub kind: AttributeKind,
    /// The bins or levels that were to be counted: fewer are told where some count too few.
    pub meant: usize,
}

/// The counts of a column.
#[derive(Clone, Debug, PartialEq)]
pub enum AttributeKind {
    /// A column of numbers.
    Ordered(Binning, Numbers),
    /// A category: name of the level, good customers, bad customers.
    Nominal(Vec<(String, u64, u64)>),
}

/// What the numbers of a column are.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Numbers {
    /// Any.
    #[default]
    Any,
    /// Whole ones.
    Whole,
    /// Truth values: 0 for no and 1 for yes.
    Bits,
}

impl Aggregates {
    /// The aggregates of scores (probabilities) on a table of one's own: histogram of `bins` equal bins, sums, exact figures.
    ///
    /// The threshold is a probability and is moved up to the next border of a bin.
    ///
    /// # Errors
    /// Scores that are no probabilities, one label only, other lengths, or no bin.
    pub fn of_scores(scores: &[f64], labels: &[bool], bins: usize, threshold: f64) -> Result<Self, TableError> {
        let histogram = Histogram::of(scores, labels, bins)?;
        let ranking = Ranking::new(scores, labels)?;
        let mut sums = vec![ScoreSum::default(); bins];
        for &score in scores {
            if let Some(sum) = sums.get_mut(bin(score, bins)) {
                sum.sum += score;
            }
        }
        let border = (0..bins).find(|&border| border as f64 >= threshold * bins as f64).unwrap_or(bins);
        Ok(Self {
            title: "Credit model".into(),
            model: String::new(),
            population: String::new(),
            context: None,
            scores: histogram,
            cuts: (1..bins).map(|border| border as f64 / bins as f64).collect(),
            mean_score: Some(MeanScore { mean: scores.iter().sum::<f64>() / scores.len() as f64, error: 0.0 }),
            score_sums: Some(sums),
            threshold: border,
            threshold_asked: threshold,
            left_out: 0,
            uncounted: 0,
            exact: Some(Exact { auc: ranking.auc(), auc_error: 0.0, ks: Some(ranking.ks()) }),
            stability: None,
            attributes: Vec::new(),
            columns_left_out: Vec::new(),
            coefficients: Vec::new(),
            scorecard: None,
        })
    }
}

/// The bin of a probability, which [`Histogram::of`] has checked.
fn bin(score: f64, bins: usize) -> usize {
    #[allow(clippy::cast_sign_loss)]
    let bin = (score * bins as f64) as usize;
    bin.min(bins.saturating_sub(1))
}
