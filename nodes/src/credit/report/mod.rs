//! What a credit-risk team reads of a model: one [`Report`] of released aggregates, as JSON and as a self-contained page.
//!
//! [`Aggregates`] are counts over a population. [`Aggregates::release`] makes a report of them in which no cell counts fewer than a
//! minimum of good or of bad customers: neighbouring bins are merged until none does, rather than blanked, since a blank can often be
//! computed from the totals. Every figure by score, and every figure by one column, is computed from the same merged bins, so that
//! no difference of two of them is about fewer customers.

mod aggregates;
mod bounds;
mod cells;
mod context;
mod html;
mod left_out;
mod release;

pub use aggregates::{Aggregates, AttributeCounts, AttributeKind, Exact, Numbers, ScoreSum, StabilityCounts};
pub use bounds::{Bound, Bounds, Rate, Rates};
pub(crate) use bounds::{ks, share_error, used};
pub use cells::{Merge, merge_ordered};
pub use context::{Context, CountedTable, Standardized};
pub use html::to_html;
pub(crate) use left_out::{LeftOut, area, gini};

use super::TableError;
use serde::{Deserialize, Serialize};

/// The version of the form of a report.
pub const REPORT_FORMAT: u32 = 3;

/// Released figures of a model on a population. All numbers are finite.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Version of this form: [`REPORT_FORMAT`].
    pub format: u32,
    /// What the report is about.
    pub title: String,
    /// The model, for people.
    pub model: String,
    /// The population, for people.
    pub population: String,
    /// What was evaluated, when and how, if that is known.
    pub context: Option<Context>,
    /// How the model was trained, in the words of whoever made the report.
    pub training: Option<String>,
    /// No cell counts fewer good, or fewer bad, customers than this.
    pub minimum_cell: u64,
    /// Good customers.
    pub goods: u64,
    /// Bad customers.
    pub bads: u64,
    /// Customers beside these, whose labels are not told, since their owners have too few good or bad ones. The mean score, and the stability index, are of them too.
    pub left_out: u64,
    /// Those of them of whom nothing is told at all, since their owners have too few customers.
    pub uncounted: u64,
    /// The figures of separation.
    pub figures: Figures,
    /// The mean score, beside which stands the rate of bad customers.
    pub mean_score: Option<MeanScore>,
    /// Customers by score, lowest first, after merging.
    pub scores: Vec<ScoreBin>,
    /// What a threshold makes of the customers; `None` if a cell would be too small.
    pub confusion: Option<ConfusionCells>,
    /// What that comes to.
    pub rates: Option<Rates>,
    /// Tenths of the population, worst scores first; `None` if a single bin of scores is left.
    pub deciles: Option<Vec<Decile>>,
    /// How the population has moved.
    pub stability: Option<Stability>,
    /// What single columns tell.
    pub attributes: Vec<Attribute>,
    /// Columns of which nothing is told, since too few of their good or bad customers are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns_left_out: Vec<String>,
    /// The coefficients of the model, if they are released.
    pub coefficients: Vec<Coefficient>,
    /// The scale of the scorecard, if points are given.
    pub scorecard: Option<Scale>,
}

/// How well scores separate.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Figures {
    /// Area under the ROC curve.
    pub auc: f64,
    /// How far `auc` can be from that of the scores of the customers counted by label; 0 if it was computed from them.
    pub auc_error: f64,
    /// What that of the scores of all customers is between, whatever those are like who were left out.
    pub auc_bounds: Bounds,
    /// `2 auc - 1`.
    pub gini: f64,
    /// What that of the scores of all customers is between.
    pub gini_bounds: Bounds,
    /// Kolmogorov-Smirnov, over the borders of the bins unless it was computed from the scores; `None` if a single bin is left.
    pub ks: Option<f64>,
    /// What that of the scores of all customers is between: of a single bin, by the area under the ROC curve alone.
    pub ks_bounds: Bounds,
}

/// The mean of the scores of all customers.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MeanScore {
    /// As nearly as it is known.
    pub mean: f64,
    /// How far it can be from that of the scores of all customers; 0 if it was computed from them.
    pub error: f64,
}

/// Customers whose score (probability of being bad) falls into a range.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreBin {
    /// Lower border, included.
    pub from: f64,
    /// Upper border, included in the last bin only.
    pub to: f64,
    /// Good customers.
    pub goods: u64,
    /// Bad customers.
    pub bads: u64,
    /// The mean score as nearly as it is known, or the middle of the range.
    pub predicted: f64,
    /// How far it can be from that of the scores themselves; 0 if it was computed from them.
    pub predicted_error: f64,
}

/// What a threshold makes of the customers.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ConfusionCells {
    /// Scores from here up are called bad, as asked for.
    pub threshold: f64,
    /// The next one that could be counted, if that is another by more than rounding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold_used: Option<f64>,
    /// Bad, and called bad.
    pub true_bad: u64,
    /// Good, but called bad.
    pub false_bad: u64,
    /// Good, and called good.
    pub true_good: u64,
    /// Bad, but called good.
    pub false_good: u64,
}

/// A tenth of the population. Its borders may cut through a bin, which is then divided evenly: counts are not whole.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Decile {
    /// Its customers.
    pub rows: f64,
    /// Its bad customers.
    pub bads: f64,
    /// Its rate of bad customers by that of all.
    pub lift: f64,
    /// What that is between, in whatever order the customers of a bin stand.
    pub lift_bounds: Bounds,
    /// The share of all bad customers in this tenth and the worse ones.
    pub captured: f64,
    /// What that is between.
    pub captured_bounds: Bounds,
}

/// How the scores of a population compare with those of an earlier one.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Stability {
    /// The earlier population, for people.
    pub reference: String,
    /// Population stability index; `None` if a single bin is known of both populations.
    pub psi: Option<f64>,
    /// Whether it is that of tenths of the earlier population, or of fewer parts.
    pub bound: Bound,
    /// The bins, lowest scores first.
    pub bins: Vec<StabilityBin>,
}

/// Customers of two populations whose score falls into a range.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StabilityBin {
    /// Lower border, included.
    pub from: f64,
    /// Upper border.
    pub to: f64,
    /// Of the earlier population.
    pub expected: u64,
    /// Of this one.
    pub actual: u64,
}

/// What a single column tells of the label.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Attribute {
    /// The column.
    pub name: String,
    /// Information value.
    pub information_value: f64,
    /// Whether it is that of all bins or levels that were to be counted, or of merged ones.
    pub bound: Bound,
    /// The bins or levels that were to be counted.
    pub meant: usize,
    /// Its bins, after merging.
    pub bins: Vec<AttributeBin>,
}

/// One range, or some levels, of a column.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AttributeBin {
    /// The range or the levels.
    pub label: String,
    /// Good customers.
    pub goods: u64,
    /// Bad customers.
    pub bads: u64,
    /// Weight of evidence: above 0 where customers are better than all.
    pub woe: f64,
}

/// A coefficient of the model.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Coefficient {
    /// The feature, or `intercept`.
    pub name: String,
    /// The coefficient of the standardized feature.
    pub value: f64,
    /// Its standard error, if computed.
    pub standard_error: Option<f64>,
    /// Its p-value, if computed.
    pub p: Option<f64>,
}

/// The scale of a scorecard.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// The points at the base odds.
    pub base_score: f64,
    /// The base odds, good to one bad.
    pub odds: f64,
    /// Points to double the odds.
    pub pdo: f64,
}

impl MeanScore {
    /// What the mean of the scores of all customers is between.
    pub fn bounds(&self) -> Bounds {
        Bounds { at_least: (self.mean - self.error).max(0.0), at_most: (self.mean + self.error).min(1.0) }
    }

    /// Whether it is so nearly known that a single number stands for it.
    pub fn near(&self) -> bool {
        self.error <= 0.1
    }
}

impl Figures {
    /// The area under the ROC curve for people, with what it is between.
    pub fn auc_words(&self, digits: usize) -> String {
        let Bounds { at_least, at_most } = self.auc_bounds;
        if at_most - at_least > 2.0 * self.auc_error + 1e-9 {
            return format!("{:.digits$}, from {at_least:.digits$} to {at_most:.digits$} of all customers", self.auc);
        }
        format!("{:.digits$} (within {:.4})", self.auc, self.auc_error)
    }

    /// Kolmogorov-Smirnov for people, with what it is between.
    pub fn ks_words(&self, digits: usize) -> String {
        self.ks_bounds.words(self.ks, digits)
    }
}

impl Report {
    /// Whether more is told by score than that there are customers: a single bin has no curve, no tenths and no widest gap.
    pub fn by_score(&self) -> bool {
        self.scores.len() > 1
    }

    /// The report as JSON, with line breaks.
    ///
    /// # Errors
    /// A number that is not finite, which [`Aggregates::release`] and [`from_json`](Self::from_json) exclude.
    pub fn to_json(&self) -> Result<String, TableError> {
        serde_json::to_string_pretty(self)
            .map_err(|e| TableError::Mismatch(format!("the report cannot be written: {e}")))
    }

    /// A report from its JSON.
    ///
    /// # Errors
    /// Text that is no report of this form, or counts beyond `2^62` together.
    pub fn from_json(text: &str) -> Result<Self, TableError> {
        let refused = |cause: String| TableError::Mismatch(format!("this is no report of this program: {cause}"));
        let report: Self = serde_json::from_str(text).map_err(|e| refused(e.to_string()))?;
        if report.format != REPORT_FORMAT {
            return Err(refused(format!("its format is {} and {REPORT_FORMAT} is read", report.format)));
        }
        let total = report.counts().try_fold(0u64, u64::checked_add);
        if total.is_some_and(|total| total <= 1 << 62) {
            Ok(report)
        } else {
            Err(refused("its counts are too large".into()))
        }
    }

    /// Every count.
    fn counts(&self) -> impl Iterator<Item = u64> {
        let scores = self.scores.iter().flat_map(|bin| [bin.goods, bin.bads]);
        let cells = self.confusion.iter().flat_map(|c| [c.true_bad, c.false_bad, c.true_good, c.false_good]);
        let stability = self.stability.iter().flat_map(|s| &s.bins).flat_map(|bin| [bin.expected, bin.actual]);
        let attributes = self.attributes.iter().flat_map(|a| &a.bins).flat_map(|bin| [bin.goods, bin.bads]);
        [self.goods, self.bads, self.left_out, self.uncounted]
            .into_iter()
            .chain(scores)
            .chain(cells)
            .chain(stability)
            .chain(attributes)
    }
}
