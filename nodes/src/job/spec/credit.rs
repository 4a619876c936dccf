//! The programs of credit analysis, as a client names them: all numbers are whole, so that they have one form.

use super::SpecFault;
use serde::{Deserialize, Serialize};
use trefoil_circuits::{
    credit::{Auc, Counts, MOST_FEATURES, Number, OnCut, Pooled, Reasons, Report, Score, Split, Weights, decode_model},
    program::Tiling,
};
use trefoil_engine::Z64;

/// How the features of a table are divided among the inputs that bring them, each column after column.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PooledSpec {
    /// The same columns, other customers.
    Horizontal {
        /// Columns of each input.
        columns: u32,
        /// Customers of each input.
        rows: Vec<u64>,
    },
    /// The same customers in the same order, other columns.
    Vertical {
        /// Customers.
        rows: u64,
        /// Columns of each input.
        columns: Vec<u32>,
    },
}

/// A model as a job names it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelSpec {
    /// Known to all: its coefficients in units of 2^-20, the intercept first.
    Public(Vec<i64>),
    /// The last input: that of an owner, or one that was trained on shares and has stayed at the nodes.
    Shared,
}

/// What is told of each customer, as one output.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReportSpec {
    /// The logit, in units of 2^-20.
    Logit,
    /// The probability of being bad, in units of 2^-20.
    Probability,
    /// The same as 18 bits, in units of 2^-18: the lowest bit of all customers, then the next. Less is computed and told; it does not stay at the nodes.
    ProbabilityBits,
    /// A bit that is set if the probability is at least this, in units of 2^-32.
    Decision(u32),
    /// The columns that add most to the logit against that of a customer whose features are all zero.
    Reasons(ReasonsSpec),
}

/// Which reasons are told: for each customer, one after the other, the places of columns from 0 on, the one that adds most first; the number of columns if no further one adds anything.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ReasonsSpec {
    /// Reasons of each customer, at most 16.
    pub most: u32,
    /// Features of each column, in their order: what a column adds is what all of them add.
    pub columns: Vec<u32>,
}

/// Scores customers by a logistic model.
///
/// Inputs: the features of each owner in units of 2^-20, then the coefficients if they are [`ModelSpec::Shared`]. Outputs: one for each report.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreSpec {
    /// Who brings what.
    pub table: PooledSpec,
    /// By what.
    pub model: ModelSpec,
    /// What is told.
    pub reports: Vec<ReportSpec>,
}

/// Counts customers by bins of a value.
///
/// Inputs: the values of each owner in units of 2^-20, then, if they are split by it, the labels of each as bits that are set for bad customers. Outputs: for each bin,
/// lowest first, the good customers, then the bad ones; or all of them. With a minimum of 2 or more, bins that count too few are merged: the count of all of them is that of the last one, and the others are zero.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CountsSpec {
    /// Customers of each owner.
    pub rows: Vec<u64>,
    /// Rising cut points between the bins, in units of 2^-20.
    pub cuts: Vec<i64>,
    /// The bin of a value on a cut point.
    #[serde(with = "on_cut")]
    pub on_cut: OnCut,
    /// Whether good and bad customers are counted apart.
    pub by_label: bool,
    /// The least count of an owner that is told, of good and of bad customers; 0 or 1 for all.
    pub minimum: u64,
    /// The first bin of those above a cut point across which bins are not merged, unless one side of it counts too few: from 1 to the number of cut points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub around: Option<u32>,
}

/// The area under the ROC curve of scores, from bins of which no count is told.
///
/// Inputs: the probabilities of each owner in units of 2^-20, then the labels of each as bits that are set for bad customers. Output: four integers: over all pairs of a good and a bad customer, twice those in which the bad
/// one has the higher score and once those in one bin; the pairs in one bin; the good customers; the bad ones. Owners with fewer of either than the minimum are left out.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AucSpec {
    /// Customers of each owner.
    pub rows: Vec<u64>,
    /// Bins of one width between 0 and 1: 2 to 4,097.
    pub bins: u32,
    /// How many good and how many bad customers an owner has to have.
    pub minimum: u64,
}

/// Bytes of one shared number.
pub(super) const SHARE: u64 = 16;

/// Bytes that the bits of one row take while its sigmoid is under way, and is checked.
pub(super) const ROW: u64 = 4096;

impl PooledSpec {
    pub(super) fn resolve(&self) -> Result<Pooled, SpecFault> {
        let size = |n: u64| usize::try_from(n).ok().filter(|_| n <= 1 << 32).ok_or(SpecFault::Oversized);
        let sizes = |all: &[u64]| all.iter().map(|n| size(*n)).collect::<Result<Vec<_>, _>>();
        let pooled = match self {
            Self::Horizontal { columns, rows } => {
                Pooled::Horizontal { columns: size(u64::from(*columns))?, rows: sizes(rows)? }
            }
            Self::Vertical { rows, columns } => {
                let columns: Vec<u64> = columns.iter().map(|n| u64::from(*n)).collect();
                Pooled::Vertical { rows: size(*rows)?, columns: sizes(&columns)? }
            }
        };
        // Both factors are below 2^42, so that this is right; what is left of 64 bits holds every sum of sizes.
        let (rows, columns) = (pooled.rows() as u64, pooled.columns() as u64);
        let accepted = rows >= 1 && columns >= 1 && columns <= MOST_FEATURES as u64 && rows <= 1 << 32;
        if accepted { Ok(pooled) } else { Err(SpecFault::Pooled) }
    }

    /// Bytes of the shares of all features. Call it on what [`ProgramSpec::shapes`](super::ProgramSpec::shapes) accepts.
    pub(super) fn bytes(&self) -> u64 {
        let (rows, columns) = self.size();
        rows.saturating_mul(columns).saturating_mul(SHARE)
    }

    /// Its rows and columns of features, all inputs together.
    pub fn size(&self) -> (u64, u64) {
        match self {
            Self::Horizontal { columns, rows } => {
                (rows.iter().fold(0, |sum, n| sum.saturating_add(*n)), u64::from(*columns))
            }
            Self::Vertical { rows, columns } => (*rows, columns.iter().fold(0, |sum, n| sum + u64::from(*n))),
        }
    }
}

impl ScoreSpec {
    /// Bytes that the computation takes beside its inputs and outputs: the pooled table, and the batches under way.
    pub(in crate::job) fn memory(&self) -> u64 {
        let (rows, columns) = self.table.size();
        let Tiling { batch, strands } = Score::TILING;
        let batch = ((batch * strands) as u64).min(rows);
        self.table.bytes() + batch * (2 * SHARE * columns + ROW)
    }

    /// The program.
    ///
    /// # Errors
    /// [`SpecFault::Pooled`], [`SpecFault::Oversized`] or [`SpecFault::Credit`].
    pub fn resolve(&self) -> Result<Score, SpecFault> {
        let weights = match &self.model {
            ModelSpec::Public(coefficients) => {
                let all: Vec<Z64> = coefficients.iter().map(|x| Z64(x.cast_unsigned())).collect();
                Weights::Public(decode_model(&all))
            }
            ModelSpec::Shared => Weights::Shared,
        };
        let report = |report: &ReportSpec| match report {
            ReportSpec::Logit => Report::Logit,
            ReportSpec::Probability => Report::Probability,
            ReportSpec::ProbabilityBits => Report::ProbabilityBits,
            ReportSpec::Decision(threshold) => Report::Decision(f64::from(*threshold) / f64::from(32).exp2()),
            ReportSpec::Reasons(ReasonsSpec { most, columns }) => {
                let columns = columns.iter().map(|features| *features as usize).collect();
                Report::Reasons(Reasons { most: *most as usize, columns })
            }
        };
        Ok(Score::new(self.table.resolve()?, weights, self.reports.iter().map(report).collect())?)
    }
}

impl CountsSpec {
    /// Bytes that the computation takes beside its inputs and outputs: values and labels as numbers, the comparisons under way, and what ranges of bins count.
    pub(in crate::job) fn memory(&self) -> u64 {
        let ranges = self.resolve().map_or(0, |counts| counts.ranges() as u64);
        counting(&self.rows).saturating_add(ranges.saturating_mul(SHARE))
    }

    /// The program.
    ///
    /// # Errors
    /// [`SpecFault::Pooled`], [`SpecFault::Oversized`] or [`SpecFault::Credit`].
    pub fn resolve(&self) -> Result<Counts, SpecFault> {
        let rows = rows_of(&self.rows)?;
        let cuts: Vec<f64> = self.cuts.iter().map(|cut| *cut as f64 * Number::ULP).collect();
        let split = if self.by_label { Split::Label } else { Split::Whole };
        let counts = Counts::new(rows, (&cuts, self.on_cut), split, self.minimum)?;
        let around = self.around.map(|bin| usize::try_from(bin).unwrap_or(usize::MAX));
        Ok(around.map_or(Ok(counts.clone()), |bin| counts.around(bin))?)
    }
}

impl AucSpec {
    /// Bytes that the computation takes beside its inputs and outputs.
    pub(in crate::job) fn memory(&self) -> u64 {
        counting(&self.rows)
    }

    /// The program.
    ///
    /// # Errors
    /// As [`CountsSpec::resolve`].
    pub fn resolve(&self) -> Result<Auc, SpecFault> {
        Ok(Auc::new(rows_of(&self.rows)?, usize::try_from(self.bins).unwrap_or(usize::MAX), self.minimum)?)
    }
}

/// Bytes that counting takes: values and labels as numbers, and the comparisons under way.
fn counting(rows: &[u64]) -> u64 {
    let rows = rows.iter().fold(0, |sum: u64, n| sum.saturating_add(*n));
    rows.saturating_mul(3 * SHARE).saturating_add(32 << 20)
}

/// Customers of each owner, who brings one value of each.
fn rows_of(rows: &[u64]) -> Result<Vec<usize>, SpecFault> {
    let pooled = PooledSpec::Horizontal { columns: 1, rows: rows.to_vec() };
    match pooled.resolve()? {
        Pooled::Horizontal { rows, .. } => Ok(rows),
        Pooled::Vertical { .. } => Err(SpecFault::Pooled),
    }
}

mod on_cut {
    use super::{Deserialize, OnCut};
    use serde::{Deserializer, Serializer, de};

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
    pub fn serialize<S: Serializer>(on_cut: &OnCut, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(match on_cut {
            OnCut::Lower => "lower",
            OnCut::Upper => "upper",
        })
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<OnCut, D::Error> {
        match String::deserialize(d)?.as_str() {
            "lower" => Ok(OnCut::Lower),
            "upper" => Ok(OnCut::Upper),
            _ => Err(de::Error::custom("a value on a cut point belongs to the bin `lower` or `upper`")),
        }
    }
}
