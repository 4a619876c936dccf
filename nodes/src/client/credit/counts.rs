//! Counts of scores as a file.

mod stability;

use super::{ModelFile, ModelIdentity, evaluate::countable, files::read_json};
use crate::{
    Error,
    credit::{
        TableError,
        report::{
            Aggregates, AttributeCounts, AttributeKind, Bounds, Context, Exact, MeanScore, Numbers, Scale, ScoreSum,
            area, ks, share_error, used,
        },
    },
};
use serde::{Deserialize, Serialize};
use stability::Basis;
use std::path::Path;
use trefoil_circuits::credit::{
    Auc,
    reference::{Binning, Histogram},
};

/// The version of the form of counts.
pub const COUNTS_FORMAT: u32 = 2;

/// Customers counted by score and label over the tables of several institutions: what a report is made of.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationFile {
    /// Version of this form: [`COUNTS_FORMAT`].
    pub format: u32,
    /// The model, for people.
    pub model: String,
    /// What tells the model from others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<ModelIdentity>,
    /// The population, for people.
    pub population: String,
    /// What was evaluated, when and how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Context>,
    /// Customers of all tables.
    pub rows: u64,
    /// Bins that count fewer good or fewer bad customers of an owner are merged, from 2 on: the count of all of them is that of the last one, and the others are zero.
    pub minimum: u64,
    /// The probability of being bad from which customers are called so, as it was asked for: the cut point is the nearest one that scores can have.
    pub threshold: f64,
    /// Rising cut points of the probability of being bad. One on a cut point is above it.
    pub cuts: Vec<f64>,
    /// Good customers between them, lowest first.
    pub goods: Vec<u64>,
    /// Bad customers in them.
    pub bads: Vec<u64>,
    /// All customers between more cut points, of which those of `cuts` are some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distribution: Option<Distribution>,
    /// What the area under the ROC curve follows from: see [`Auc`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pairs: Option<[u64; 4]>,
    /// Good and bad customers by single columns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<ColumnCounts>,
}

/// Customers by the probability of being bad, whatever their label. Bins that count too few customers of an owner are merged as others are.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Distribution {
    /// Rising cut points. A probability on one is above it.
    pub cuts: Vec<f64>,
    /// Customers between them, lowest first.
    pub counts: Vec<u64>,
}

/// Good and bad customers by the value of one column. Bins of numbers are merged as those of scores; levels that count too few are with others.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnCounts {
    /// The column.
    pub name: String,
    /// Rising cut points of a column of numbers; none for levels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cuts: Vec<f64>,
    /// The levels; none for numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub levels: Vec<String>,
    /// Good customers of each bin or level.
    pub goods: Vec<u64>,
    /// Bad customers of each bin or level.
    pub bads: Vec<u64>,
    /// What the numbers of a column of numbers are, as nearly as their counts tell.
    #[serde(default)]
    pub numbers: Numbers,
    /// The bins or levels that were to be counted, of which some may have too few customers.
    pub meant: usize,
}

/// What all versions of the file have.
#[derive(Deserialize)]
struct Form {
    format: u32,
}

impl EvaluationFile {
    pub(super) fn new(model: String, population: String) -> Self {
        Self {
            format: COUNTS_FORMAT,
            model,
            identity: None,
            population,
            context: None,
            rows: 0,
            minimum: 0,
            threshold: 0.5,
            cuts: Vec::new(),
            goods: Vec::new(),
            bads: Vec::new(),
            distribution: None,
            pairs: None,
            columns: Vec::new(),
        }
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`Error::System`] if the file cannot be read, [`Error::Usage`] for another form, or cut points that do not rise from 0 to 1 or do not fit the counts.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let what = "counts as `trefoil credit evaluate --out` writes them";
        let fault = |cause: String| Err(Error::Usage(format!("{}: {cause}", path.display())));
        let Form { format } = read_json(path, what)?;
        if format != COUNTS_FORMAT {
            return fault(format!(
                "these are counts of format {format}, of another version of this program, and {COUNTS_FORMAT} is read; run `trefoil credit evaluate` again"
            ));
        }
        let file: Self = read_json(path, what)?;
        let fits = |cuts: &[f64], counts: &[u64]| {
            let within = cuts.iter().all(|cut| *cut > 0.0 && *cut < 1.0);
            within && cuts.windows(2).all(|pair| pair[0] < pair[1]) && counts.len() == cuts.len() + 1
        };
        let of_all = file.distribution.iter().all(|all| fits(&all.cuts, &all.counts));
        if of_all && fits(&file.cuts, &file.goods) && fits(&file.cuts, &file.bads) {
            return Ok(file);
        }
        fault("its cut points do not rise between 0 and 1, or are not one fewer than its counts; take the file as it was written".to_owned())
    }

    /// Customers of owners who were not left out.
    pub fn counted(&self) -> u64 {
        total(&self.goods).saturating_add(total(&self.bads))
    }

    /// Customers of owners with fewer good or fewer bad ones than the minimum, whose labels are not known.
    pub fn left_out(&self) -> u64 {
        self.rows.saturating_sub(self.counted())
    }

    /// Those of them who are not even counted without labels: of owners with fewer customers than the minimum.
    pub fn uncounted(&self) -> u64 {
        let of_all = |all: &Distribution| self.rows.saturating_sub(total(&all.counts));
        self.distribution.as_ref().map_or(self.left_out(), of_all)
    }

    /// The bin from which customers are called bad, if the counts tell how many are: that is known where bins were not merged across the threshold.
    pub fn called_bad(&self) -> Option<usize> {
        let (asked, used) = (self.threshold.to_bits(), countable(self.threshold).to_bits());
        let below = self.cuts.iter().position(|cut| cut.to_bits() == asked || cut.to_bits() == used)?;
        let told = self.minimum < 2 || self.goods.get(below).is_some_and(|goods| *goods > 0);
        told.then_some(below + 1)
    }

    /// The probability from which customers are called bad in place of the one asked for, if that is another by more than rounding.
    pub fn threshold_used(&self) -> Option<f64> {
        used(self.threshold, countable(self.threshold))
    }

    /// Bins that remain after small ones were merged.
    pub fn bins(&self) -> usize {
        if self.minimum < 2 { self.goods.len() } else { self.goods.iter().filter(|goods| **goods > 0).count() }
    }

    /// Kolmogorov-Smirnov over the borders of the bins, and what that of the scores of all customers is between. Of a single bin nothing is told but what the area under the ROC curve tells.
    pub fn separation(&self, histogram: &Histogram) -> (Option<f64>, Bounds) {
        ks(histogram, self.left_out(), self.area_of_all(histogram))
    }

    /// The area under the ROC curve of the customers counted by label, and how far it can be from that of the scores themselves: from far more bins than are counted, if that was computed.
    pub fn area(&self, histogram: &Histogram) -> (f64, f64) {
        let fine = self.pairs.and_then(Auc::area);
        fine.unwrap_or_else(|| (histogram.auc(), histogram.auc_error()))
    }

    /// What the area under the ROC curve of all customers is between, whatever those are like who were left out.
    pub fn area_of_all(&self, histogram: &Histogram) -> Bounds {
        area(self.area(histogram), (total(&self.goods), total(&self.bads)), self.left_out())
    }

    /// The counts by score.
    ///
    /// # Errors
    /// [`Error::Usage`] if more than a tenth of the customers is left out; [`Error::Table`] if one label has no customers, or bins do not fit together.
    pub fn histogram(&self) -> Result<Histogram, Error> {
        let left_out = self.left_out();
        if left_out > self.rows / 10 {
            return Err(Error::Usage(format!(
                "{left_out} of {} customers are of owners with fewer than {} good or bad ones, whose labels are not told, so that figures of the others would mislead; {}",
                self.rows,
                self.minimum,
                self.more_customers()
            )));
        }
        let histogram = Histogram::from_counts(self.goods.clone(), self.bads.clone());
        Ok(histogram.map_err(TableError::from)?)
    }

    /// The mean score of all customers, and how far it can be from that of their scores: from the distribution, if it is known.
    pub fn mean_score(&self) -> Option<MeanScore> {
        let Distribution { counts, .. } = self.distribution.as_ref()?;
        let all = total(counts);
        let (mut from, mut below, mut sum, mut off) = (0.0, 0, 0.0, 0.0);
        for (end, until) in self.told(Basis::Scores).into_iter().chain([(1.0, all)]) {
            let customers = until.saturating_sub(below) as f64;
            sum += customers * f64::midpoint(from, end);
            off += customers * (end - from) / 2.0;
            (from, below) = (end, until);
        }
        let (mean, off) = (sum / all.max(1) as f64, off / all.max(1) as f64);
        // Of owners with fewer customers than the minimum nothing is known.
        (all > 0).then(|| MeanScore { mean, error: off + share_error(mean, all, self.rows.saturating_sub(all)) })
    }

    /// What a report is made of.
    ///
    /// # Errors
    /// As [`histogram`](Self::histogram); [`Error::Usage`] if the earlier population was counted between other cut points. A column of which nothing is known of more than a tenth of the customers is
    /// left out.
    pub fn aggregates(
        &self,
        title: &str,
        earlier: Option<&Self>,
        (model, scorecard): (Option<&ModelFile>, Option<Scale>),
    ) -> Result<Aggregates, Error> {
        let (told, left_out): (Vec<_>, Vec<_>) = self.columns.iter().partition(|column| {
            let counts = column.goods.iter().chain(&column.bads);
            self.rows.saturating_sub(counts.fold(0, |sum: u64, n| sum.saturating_add(*n))) <= self.rows / 10
        });
        let scores = self.histogram()?;
        let (auc, auc_error) = self.area(&scores);
        Ok(Aggregates {
            title: title.to_owned(),
            model: self.model.clone(),
            population: self.population.clone(),
            context: self.context.clone(),
            scores,
            // Seven digits tell any two scores apart.
            cuts: self.cuts.iter().map(|cut| (cut * 1e7).round() / 1e7).collect(),
            score_sums: self.score_sums(),
            // Beyond the last bin there is no confusion to tell.
            threshold: self.called_bad().unwrap_or(self.goods.len()),
            threshold_asked: self.threshold,
            left_out: self.left_out(),
            uncounted: self.uncounted(),
            exact: Some(Exact { auc, auc_error, ks: None }),
            mean_score: self.mean_score(),
            stability: earlier.map(|earlier| self.stability(earlier)).transpose()?,
            attributes: told.into_iter().map(ColumnCounts::attribute).collect::<Result<_, _>>()?,
            columns_left_out: left_out.into_iter().map(|column| column.name.clone()).collect(),
            coefficients: model.map(ModelFile::coefficients).unwrap_or_default(),
            scorecard,
        })
    }

    /// What owners can do about too few customers of one of them.
    fn more_customers(&self) -> &'static str {
        let tables = self.context.as_ref().map_or(&[][..], |context| &context.tables);
        // Side by side, tables have the same customers.
        if tables.len() > 1 && tables.iter().map(|table| table.rows).sum::<u64>() == self.rows {
            "their owners can share more test rows, as another --version; or all owners share again, as another --version, with a smaller --minimum (evaluate with that one too), or with a --pooled-with without those owners"
        } else {
            "share more test rows, as another --version, or share again with a smaller --minimum, and evaluate with that one too"
        }
    }

    /// The sum of the scores in each bin, as nearly as it follows from the distribution. That of merged bins is that of the last one.
    fn score_sums(&self) -> Option<Vec<ScoreSum>> {
        let Distribution { cuts, counts } = self.distribution.as_ref()?;
        let border = |k: usize| k.checked_sub(1).map_or(0.0, |k| cuts.get(k).copied().unwrap_or(1.0));
        let (mut sums, mut first, mut from) = (Vec::with_capacity(self.goods.len()), 0, 0.0);
        for (k, (goods, bads)) in self.goods.iter().zip(&self.bads).enumerate() {
            let customers = goods.saturating_add(*bads);
            if customers == 0 {
                sums.push(ScoreSum::default());
                continue;
            }
            let to = self.cuts.get(k).copied().unwrap_or(1.0);
            // Places of the distribution that are within the bins; what was merged in it has the count of all at the last place.
            let (start, mut sum, mut off, mut all) = (from, 0.0, 0.0, 0.0);
            while first < counts.len() && border(first + 1) <= to {
                let count = counts[first] as f64;
                if count > 0.0 {
                    sum += count * f64::midpoint(from, border(first + 1));
                    off += count * (border(first + 1) - from) / 2.0;
                    all += count;
                    from = border(first + 1);
                }
                first += 1;
            }
            let counted = customers as f64;
            let mean = if all > 0.0 { sum / all } else { f64::midpoint(start, to) };
            // Those who are in the distribution alone can be at either end of the bin.
            let (own, most) = (off / all.max(1.0), (mean - start).max(to - mean));
            let others = (all - counted).max(0.0) / counted * (most + own);
            let error = if all > 0.0 { (own + others).min(most) } else { most };
            sums.push(ScoreSum { sum: mean * counted, error: error * counted });
            from = to;
        }
        Some(sums)
    }
}

impl ColumnCounts {
    fn attribute(&self) -> Result<AttributeCounts, Error> {
        let kind = if self.levels.is_empty() {
            let binning = Binning::from_counts(self.cuts.clone(), self.goods.clone(), self.bads.clone());
            AttributeKind::Ordered(binning.map_err(TableError::from)?, self.numbers)
        } else {
            let counts = self.goods.iter().zip(&self.bads);
            let levels = self.levels.iter().zip(counts);
            AttributeKind::Nominal(levels.map(|(name, (goods, bads))| (name.clone(), *goods, *bads)).collect())
        };
        Ok(AttributeCounts { name: self.name.clone(), kind, meant: self.meant })
    }
}

/// As many as there are, whatever a file says.
fn total(counts: &[u64]) -> u64 {
    counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
}

#[cfg(test)]
mod tests;
