//! Models and counts as files.

use crate::{
    Error,
    credit::{
        NamedMoments,
        report::{Aggregates, AttributeCounts, AttributeKind, Coefficient, Exact, Scale, StabilityCounts},
    },
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{fmt, fs, path::Path};
use trefoil_circuits::credit::{
    Auc, encode_model,
    reference::{Binning, Histogram, Model},
};
use zeroize::Zeroize;

/// The version of the forms of models and evaluations.
const FORMAT: u32 = 1;

/// A model in the clear, with all that is needed to use it. Its coefficients may be a secret: they are wiped on drop, and not printed.
#[derive(Clone, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    /// Version of this form: 1.
    pub format: u32,
    /// The features in order, and what they are standardized by.
    pub moments: NamedMoments,
    /// The intercept.
    pub intercept: f64,
    /// The weights of the standardized features.
    pub weights: Vec<f64>,
}

impl ModelFile {
    /// A model of features with these moments.
    pub fn new(moments: NamedMoments, model: Model) -> Self {
        Self { format: FORMAT, moments, intercept: model.intercept, weights: model.weights }
    }

    /// Reads and checks one.
    ///
    /// # Errors
    /// [`Error::System`] if it cannot be read; [`Error::Usage`] for another form, another number of weights than of features, or weights beyond 32.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let file: Self = read_json(path, "a model as `trefoil credit train --out` writes it")?;
        let fault = |cause: String| Err(Error::Usage(format!("{}: {cause}", path.display())));
        if file.format != FORMAT {
            return fault(format!("its format is {} and {FORMAT} is read", file.format));
        }
        check(path, &file.moments)?;
        if file.weights.len() != file.moments.features.len() {
            return fault("weights and features are not equally many".to_owned());
        }
        match encode_model(&file.model()) {
            Ok(_) => Ok(file),
            Err(e) => fault(format!("{e}; correct the coefficients")),
        }
    }

    /// Its coefficients.
    pub fn model(&self) -> Model {
        Model { intercept: self.intercept, weights: self.weights.clone() }
    }

    /// Its coefficients by name, as reports list them.
    pub fn coefficients(&self) -> Vec<Coefficient> {
        let names = std::iter::once("intercept").chain(self.moments.features.iter().map(String::as_str));
        let values = std::iter::once(self.intercept).chain(self.weights.iter().copied());
        let coefficient =
            |(name, value): (&str, f64)| Coefficient { name: name.to_owned(), value, standard_error: None, p: None };
        names.zip(values).map(coefficient).collect()
    }
}

impl Drop for ModelFile {
    fn drop(&mut self) {
        self.intercept.zeroize();
        self.weights.zeroize();
    }
}

impl fmt::Debug for ModelFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelFile").field("features", &self.moments.features).finish_non_exhaustive()
    }
}

/// Customers counted by score and label over the tables of several institutions: what a report is made of.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationFile {
    /// Version of this form: 1.
    pub format: u32,
    /// The model, for people.
    pub model: String,
    /// The population, for people.
    pub population: String,
    /// Customers of all tables.
    pub rows: u64,
    /// Bins that count fewer good or fewer bad customers of an owner are merged, from 2 on: the count of all of them is that of the last one, and the others are zero.
    pub minimum: u64,
    /// The bin from which customers are called bad.
    pub threshold: usize,
    /// Good customers in equal bins of the probability of being bad, lowest first.
    pub goods: Vec<u64>,
    /// Bad customers in them.
    pub bads: Vec<u64>,
    /// What the area under the ROC curve follows from: see [`Auc`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pairs: Option<[u64; 4]>,
    /// Good and bad customers by single columns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<ColumnCounts>,
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
}

impl EvaluationFile {
    pub(super) fn new(model: String, population: String) -> Self {
        let (goods, bads, columns) = (Vec::new(), Vec::new(), Vec::new());
        Self { format: FORMAT, model, population, rows: 0, minimum: 0, threshold: 0, goods, bads, pairs: None, columns }
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`Error::System`] if it cannot be read, [`Error::Usage`] for another form.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let file: Self = read_json(path, "counts as `trefoil credit evaluate --out` writes them")?;
        if file.format == FORMAT {
            return Ok(file);
        }
        Err(Error::Usage(format!("{}: its format is {} and {FORMAT} is read", path.display(), file.format)))
    }

    /// Customers of owners who were not left out.
    pub fn counted(&self) -> u64 {
        self.goods.iter().chain(&self.bads).fold(0, |sum, n| sum.saturating_add(*n))
    }

    /// Customers of owners with fewer good or fewer bad ones than the minimum, of whom nothing is known.
    pub fn left_out(&self) -> u64 {
        self.rows.saturating_sub(self.counted())
    }

    /// How far an AUC of the customers counted can be from that of all, whatever the others are: at the worst they are good and bad in the numbers that make most pairs, and
    /// stand on the wrong side in each.
    pub fn left_out_error(&self) -> f64 {
        let total = |counts: &[u64]| counts.iter().fold(0, |sum: u64, n| sum.saturating_add(*n)) as f64;
        let (goods, bads, left_out) = (total(&self.goods), total(&self.bads), self.left_out() as f64);
        let more_bads = f64::midpoint(goods - bads, left_out).clamp(0.0, left_out);
        let pairs = (bads + more_bads) * (goods + left_out - more_bads);
        if left_out > 0.0 { 1.0 - goods * bads / pairs } else { 0.0 }
    }

    /// Whether the counts tell how many customers are called bad: it is known where bins were not merged across the threshold.
    pub fn tells_confusion(&self) -> bool {
        let below = self.threshold.checked_sub(1).and_then(|bin| self.goods.get(bin));
        self.minimum < 2 || below.is_none_or(|goods| *goods > 0)
    }

    /// Bins that remain after small ones were merged.
    pub fn bins(&self) -> usize {
        if self.minimum < 2 { self.goods.len() } else { self.goods.iter().filter(|goods| **goods > 0).count() }
    }

    /// How far the accuracy of the customers counted can be from that of all: as if all others were called right, or all wrong.
    pub fn left_out_accuracy(&self, accuracy: f64) -> f64 {
        self.left_out() as f64 / self.rows.max(1) as f64 * accuracy.max(1.0 - accuracy)
    }

    /// The area under the ROC curve of all customers, and how far it can be from that of the scores themselves: from far more bins than are counted, if that was computed.
    pub fn area(&self, histogram: &Histogram) -> (f64, f64) {
        let fine = self.pairs.and_then(Auc::area);
        let (area, error) = fine.unwrap_or_else(|| (histogram.auc(), histogram.auc_error()));
        (area, error + self.left_out_error())
    }

    /// The counts by score.
    ///
    /// # Errors
    /// [`Error::Usage`] if more than a tenth of the customers is left out; [`Error::Table`] if one label has no customers, or bins do not fit together.
    pub fn histogram(&self) -> Result<Histogram, Error> {
        let left_out = self.left_out();
        if left_out > self.rows / 10 {
            return Err(Error::Usage(format!(
                "{left_out} of {} customers are of owners with fewer than {} good or bad ones, of whom nothing is told, so that figures of the others would mislead; pool more customers, or evaluate without these tables",
                self.rows, self.minimum
            )));
        }
        let histogram = Histogram::from_counts(self.goods.clone(), self.bads.clone());
        Ok(histogram.map_err(crate::credit::TableError::from)?)
    }

    /// What a report is made of.
    ///
    /// # Errors
    /// As [`histogram`](Self::histogram); an earlier population in other bins is found by [`Aggregates::release`]. A column of which nothing is known of more than a tenth of the customers is
    /// left out.
    pub fn aggregates(
        &self,
        title: &str,
        earlier: Option<&Self>,
        (model, scorecard): (Option<&ModelFile>, Option<Scale>),
    ) -> Result<Aggregates, Error> {
        let total = |(goods, bads): (&u64, &u64)| goods.saturating_add(*bads);
        let stability = earlier.map(|earlier| StabilityCounts {
            reference: earlier.population.clone(),
            expected: earlier.goods.iter().zip(&earlier.bads).map(total).collect(),
            merged: earlier.minimum >= 2,
        });
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
            scores,
            score_sums: None,
            // Beyond the last bin there is no confusion to tell.
            threshold: if self.tells_confusion() { self.threshold } else { self.goods.len() },
            exact: Some(Exact { auc, auc_error, ks: None }),
            stability,
            attributes: told.into_iter().map(ColumnCounts::attribute).collect::<Result<_, _>>()?,
            columns_left_out: left_out.into_iter().map(|column| column.name.clone()).collect(),
            coefficients: model.map(ModelFile::coefficients).unwrap_or_default(),
            scorecard,
        })
    }
}

impl ColumnCounts {
    fn attribute(&self) -> Result<AttributeCounts, Error> {
        let kind = if self.levels.is_empty() {
            let binning = Binning::from_counts(self.cuts.clone(), self.goods.clone(), self.bads.clone());
            AttributeKind::Ordered(binning.map_err(crate::credit::TableError::from)?)
        } else {
            let counts = self.goods.iter().zip(&self.bads);
            let levels = self.levels.iter().zip(counts);
            AttributeKind::Nominal(levels.map(|(name, (goods, bads))| (name.clone(), *goods, *bads)).collect())
        };
        Ok(AttributeCounts { name: self.name.clone(), kind })
    }
}

/// Reads moments.
///
/// # Errors
/// [`Error::System`] if the file cannot be read, [`Error::Usage`] if it is none of moments.
pub fn read_moments(path: &Path) -> Result<NamedMoments, Error> {
    let moments =
        read_json(path, "moments as `trefoil credit moments` or `trefoil credit share --own-moments` writes them")?;
    check(path, &moments)?;
    Ok(moments)
}

fn check(path: &Path, moments: &NamedMoments) -> Result<(), Error> {
    let NamedMoments { features, mean, sd } = moments;
    let equally = mean.len() == features.len() && sd.len() == features.len();
    if equally && mean.iter().all(|m| m.is_finite()) && sd.iter().all(|sd| sd.is_normal() && *sd > 0.0) {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "{}: features, means and deviations are not equally many, or a deviation is not above 0; take the file as it was written",
        path.display()
    )))
}

/// The longest file of a model, moments or counts, in bytes.
const MOST: u64 = 16 << 20;

/// Reads a small file of JSON.
fn read_json<T: DeserializeOwned>(path: &Path, what: &str) -> Result<T, Error> {
    let failed = || Error::system(format!("read {}", path.display()));
    let length = fs::metadata(path).map_err(failed())?.len();
    if length > MOST {
        return Err(Error::Usage(format!("{} has {length} bytes; give {what}", path.display())));
    }
    let text = fs::read(path).map_err(failed())?;
    serde_json::from_slice(&text).map_err(|e| Error::Usage(format!("{}: {e}; give {what}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::credit::{NewFile, digest};

    #[test]
    fn moments_are_the_same_after_they_were_written_and_read() {
        // Marsaglia's xorshift: numbers of all digits, as sums over customers give them.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as f64 / (1_u64 << 53) as f64
        };
        let count = 4000;
        let moments = NamedMoments {
            features: (0..count).map(|k| format!("f{k}")).collect(),
            mean: (0..count).map(|k| random() * f64::from(k % 60 - 30).exp2()).collect(),
            sd: (0..count).map(|k| (random() + 1e-9) * f64::from(k % 60 - 30).exp2()).collect(),
        };
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("moments.json");
        let mut file = NewFile::create(&path).expect("free");
        file.fill_json(&moments).expect("written");
        file.place().expect("named");
        let read = read_moments(&path).expect("read");
        assert_eq!(digest(&read).expect("a digest"), digest(&moments).expect("a digest"));
    }

    #[test]
    fn customers_left_out_widen_the_error_and_too_many_give_no_figures() {
        let counts = |rows| EvaluationFile {
            rows,
            minimum: 10,
            goods: vec![700, 100, 0],
            bads: vec![0, 100, 100],
            ..EvaluationFile::new(String::new(), String::new())
        };
        assert_eq!((counts(1000).left_out(), counts(1000).left_out_error().to_bits()), (0, 0));
        assert!((counts(1100).left_out_error() - 100.0 / 300.0).abs() < 1e-12);
        // As many of either label: what is left out moves most if it is half of each.
        let even = EvaluationFile { goods: vec![100], bads: vec![100], ..counts(222) };
        assert!((even.left_out_error() - (1.0 - 1e4 / 111.0_f64.powi(2))).abs() < 1e-12);
        // 900 of 1,000 are called right by the last two bins: of 1,100 from 900 to 1,000.
        let error = counts(1100).left_out_accuracy(0.9);
        assert!((0.9 - error - 900.0 / 1100.0).abs() < 1e-12 && 0.9 + error > 1000.0 / 1100.0, "{error}");
        assert!(counts(1100).histogram().is_ok());
        let refused = counts(1200).histogram().expect_err("a sixth is left out").to_string();
        assert!(refused.starts_with("200 of 1200 customers are of owners with fewer than 10"), "{refused}");
    }

    #[test]
    fn where_bins_were_merged_there_is_no_confusion() {
        let counts = |threshold| EvaluationFile {
            rows: 1000,
            minimum: 10,
            threshold,
            goods: vec![0, 600, 0, 0, 200],
            bads: vec![0, 90, 0, 0, 110],
            ..EvaluationFile::new(String::new(), String::new())
        };
        assert_eq!(counts(2).bins(), 2);
        for (threshold, told) in [(1, false), (2, true), (3, false), (4, false)] {
            let report = counts(threshold).aggregates("", None, (None, None)).and_then(|all| Ok(all.release(10)?));
            let report = report.expect("a report");
            assert_eq!((report.confusion.is_some(), counts(threshold).tells_confusion()), (told, told), "{threshold}");
            assert_eq!(
                report.scores.iter().map(|bin| (bin.goods, bin.bads)).collect::<Vec<_>>(),
                [(600, 90), (200, 110)]
            );
            assert_eq!(report.scores[0].to.to_bits(), 0.4_f64.to_bits());
            assert!(report.confusion.is_none_or(|cells| (cells.true_good, cells.true_bad) == (600, 110)));
        }
        assert!(EvaluationFile { minimum: 1, ..counts(3) }.tells_confusion(), "zeros are zeros");
    }

    #[test]
    fn stability_is_by_bins_that_neither_population_merged() {
        let counts = |goods, bads| EvaluationFile {
            rows: 1000,
            minimum: 10,
            threshold: 2,
            goods,
            bads,
            ..EvaluationFile::new(String::new(), String::new())
        };
        let earlier = counts(vec![300, 0, 300, 200], vec![20, 0, 80, 100]);
        let now = counts(vec![200, 300, 150, 150], vec![20, 40, 40, 100]);
        let aggregates = now.aggregates("", Some(&earlier), (None, None)).expect("counts");
        let moved = aggregates.release(10).expect("a report").stability.expect("two populations");
        let bins: Vec<_> = moved.bins.iter().map(|bin| (bin.expected, bin.actual)).collect();
        assert_eq!(bins, [(320, 220), (380, 530), (300, 250)]);
    }

    #[test]
    fn a_model_is_not_printed() {
        let moments = NamedMoments { features: vec!["age".to_owned()], mean: vec![40.0], sd: vec![12.0] };
        let file = ModelFile::new(moments, Model { intercept: 0.125, weights: vec![0.375] });
        let text = format!("{file:?}");
        assert!(text.contains("age") && !text.contains("125") && !text.contains("375"), "{text}");
    }

    #[test]
    fn a_column_of_which_too_few_are_told_is_left_out_and_the_others_are_reported() {
        let column = |name: &str, goods: Vec<u64>, bads: Vec<u64>| {
            let levels = (0..goods.len()).map(|k| k.to_string()).collect();
            ColumnCounts { name: name.to_owned(), cuts: Vec::new(), levels, goods, bads }
        };
        let file = EvaluationFile {
            rows: 1000,
            minimum: 10,
            goods: vec![700, 100, 0],
            bads: vec![0, 100, 100],
            columns: vec![
                column("told", vec![600, 200], vec![50, 150]),
                // Of 150 it is not known what they have.
                column("hidden", vec![600, 50], vec![50, 150]),
                // Of all it is known, and nobody is bad.
                column("thin", vec![800, 195], vec![0, 5]),
            ],
            ..EvaluationFile::new(String::new(), String::new())
        };
        let aggregates = file.aggregates("", None, (None, None)).expect("counts");
        let report = aggregates.release(10).expect("a report");
        assert_eq!(report.attributes.iter().map(|a| a.name.as_str()).collect::<Vec<_>>(), ["told"]);
        assert_eq!(report.columns_left_out, ["hidden", "thin"]);
        let page = crate::credit::report::to_html(&report);
        assert!(page.contains("hidden, thin"), "the page says so");
    }
}
