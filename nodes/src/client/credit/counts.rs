//! Counts of scores as a file.

use super::{
    ModelFile,
    files::{FORMAT, read_json},
};
use crate::{
    Error,
    credit::{
        TableError,
        report::{Aggregates, AttributeCounts, AttributeKind, Exact, MeanScore, Scale, StabilityCounts},
    },
};
use serde::{Deserialize, Serialize};
use std::path::Path;
use trefoil_circuits::credit::{
    Auc,
    reference::{Binning, Histogram},
};

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
    /// The probability of being bad from which customers are called so.
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
}

impl EvaluationFile {
    pub(super) fn new(model: String, population: String) -> Self {
        Self {
            format: FORMAT,
            model,
            population,
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
        let file: Self = read_json(path, "counts as `trefoil credit evaluate --out` writes them")?;
        let fault = |cause: String| Err(Error::Usage(format!("{}: {cause}", path.display())));
        if file.format != FORMAT {
            return fault(format!("its format is {} and {FORMAT} is read", file.format));
        }
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

    /// The bin from which customers are called bad, if the counts tell how many are: that is known where bins were not merged across the threshold.
    pub fn called_bad(&self) -> Option<usize> {
        let below = self.cuts.iter().position(|cut| cut.to_bits() == self.threshold.to_bits())?;
        let told = self.minimum < 2 || self.goods.get(below).is_some_and(|goods| *goods > 0);
        told.then_some(below + 1)
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
        Ok(histogram.map_err(TableError::from)?)
    }

    /// The mean score of all customers, and how far it can be from that of the scores themselves: from the distribution, if it is known.
    pub fn mean_score(&self) -> Option<MeanScore> {
        let Distribution { counts, .. } = self.distribution.as_ref()?;
        let all = counts.iter().fold(0, |sum: u64, count| sum.saturating_add(*count));
        let (mut from, mut below, mut sum, mut off) = (0.0, 0, 0.0, 0.0);
        for (end, until) in self.told().into_iter().chain([(1.0, all)]) {
            let customers = until.saturating_sub(below) as f64;
            sum += customers * f64::midpoint(from, end);
            off += customers * (end - from) / 2.0;
            (from, below) = (end, until);
        }
        (all > 0).then(|| MeanScore { mean: sum / all as f64, error: off / all as f64 })
    }

    /// What a report is made of.
    ///
    /// # Errors
    /// As [`histogram`](Self::histogram); [`Error::Usage`] if no cut point of the scores is known of the earlier population too. A column of which nothing is known of more than a tenth of the customers is
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
            scores,
            cuts: self.cuts.clone(),
            score_sums: self.score_sums(),
            // Beyond the last bin there is no confusion to tell.
            threshold: self.called_bad().unwrap_or(self.goods.len()),
            exact: Some(Exact { auc, auc_error, ks: None }),
            mean_score: self.mean_score(),
            stability: earlier.map(|earlier| self.stability(earlier)).transpose()?,
            attributes: told.into_iter().map(ColumnCounts::attribute).collect::<Result<_, _>>()?,
            columns_left_out: left_out.into_iter().map(|column| column.name.clone()).collect(),
            coefficients: model.map(ModelFile::coefficients).unwrap_or_default(),
            scorecard,
        })
    }

    /// Customers of an earlier population between those cut points of this one that are known of it.
    fn stability(&self, earlier: &Self) -> Result<StabilityCounts, Error> {
        let told = earlier.told();
        let all = earlier.distribution.as_ref().map_or(earlier.counted(), |all| all.counts.iter().sum());
        let below = |cut: &f64| told.iter().find(|(end, _)| end.to_bits() == cut.to_bits()).map(|(_, below)| *below);
        let mut before = 0;
        let mut counted = |until: Option<u64>| {
            let count = until.map_or(0, |until| until.saturating_sub(before));
            before = until.unwrap_or(before);
            count
        };
        let expected: Vec<u64> = self.cuts.iter().map(below).chain([Some(all)]).map(&mut counted).collect();
        if self.goods.len() > 1 && expected.iter().filter(|count| **count > 0).count() < 2 {
            return Err(Error::Usage(format!(
                "{} is counted between other cut points than {}; count both populations with this version of `trefoil credit evaluate`",
                earlier.population, self.population
            )));
        }
        Ok(StabilityCounts { reference: earlier.population.clone(), expected, merged: true })
    }

    /// The cut points that are known, each with the customers below: those of the distribution, which are more, or else those of the counts by label.
    fn told(&self) -> Vec<(f64, u64)> {
        let by_label = || self.goods.iter().zip(&self.bads).map(|(goods, bads)| goods.saturating_add(*bads)).collect();
        let (cuts, counts): (&[f64], Vec<u64>) = match &self.distribution {
            Some(all) => (&all.cuts, all.counts.clone()),
            None => (&self.cuts, by_label()),
        };
        let mut below: u64 = 0;
        let end = |(cut, count): (&f64, &u64)| {
            below = below.saturating_add(*count);
            (self.minimum < 2 || *count > 0).then_some((*cut, below))
        };
        cuts.iter().zip(&counts).filter_map(end).collect()
    }

    /// The sum of the scores in each bin, as nearly as it follows from the distribution. That of merged bins is that of the last one.
    fn score_sums(&self) -> Option<Vec<f64>> {
        let Distribution { cuts, counts } = self.distribution.as_ref()?;
        let border = |k: usize| k.checked_sub(1).map_or(0.0, |k| cuts.get(k).copied().unwrap_or(1.0));
        let (mut sums, mut first, mut from) = (Vec::with_capacity(self.goods.len()), 0, 0.0);
        for (k, (goods, bads)) in self.goods.iter().zip(&self.bads).enumerate() {
            let customers = goods.saturating_add(*bads);
            if customers == 0 {
                sums.push(0.0);
                continue;
            }
            let to = self.cuts.get(k).copied().unwrap_or(1.0);
            // Places of the distribution that are within the bins; what was merged in it has the count of all at the last place.
            let (mut sum, mut all) = (0.0, 0.0);
            while first < counts.len() && border(first + 1) <= to {
                let count = counts[first] as f64;
                if count > 0.0 {
                    sum += count * f64::midpoint(from, border(first + 1));
                    all += count;
                    from = border(first + 1);
                }
                first += 1;
            }
            sums.push(if all > 0.0 { sum / all } else { f64::midpoint(from, to) } * customers as f64);
            from = to;
        }
        Some(sums)
    }
}

impl ColumnCounts {
    fn attribute(&self) -> Result<AttributeCounts, Error> {
        let kind = if self.levels.is_empty() {
            let binning = Binning::from_counts(self.cuts.clone(), self.goods.clone(), self.bads.clone());
            AttributeKind::Ordered(binning.map_err(TableError::from)?)
        } else {
            let counts = self.goods.iter().zip(&self.bads);
            let levels = self.levels.iter().zip(counts);
            AttributeKind::Nominal(levels.map(|(name, (goods, bads))| (name.clone(), *goods, *bads)).collect())
        };
        Ok(AttributeCounts { name: self.name.clone(), kind })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn customers_left_out_widen_the_error_and_too_many_give_no_figures() {
        let counts = |rows| EvaluationFile {
            rows,
            minimum: 10,
            cuts: vec![0.25, 0.5],
            goods: vec![700, 100, 0],
            bads: vec![0, 100, 100],
            ..EvaluationFile::new(String::new(), String::new())
        };
        assert_eq!((counts(1000).left_out(), counts(1000).left_out_error().to_bits()), (0, 0));
        assert!((counts(1100).left_out_error() - 100.0 / 300.0).abs() < 1e-12);
        // As many of either label: what is left out moves most if it is half of each.
        let even = EvaluationFile { cuts: vec![], goods: vec![100], bads: vec![100], ..counts(222) };
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
        let counts = |bin: usize| EvaluationFile {
            rows: 1000,
            minimum: 10,
            threshold: [0.2, 0.4, 0.6, 0.8][bin - 1],
            cuts: vec![0.2, 0.4, 0.6, 0.8],
            goods: vec![0, 600, 0, 0, 200],
            bads: vec![0, 90, 0, 0, 110],
            ..EvaluationFile::new(String::new(), String::new())
        };
        assert_eq!(counts(2).bins(), 2);
        for (threshold, told) in [(1, false), (2, true), (3, false), (4, false)] {
            let report = counts(threshold).aggregates("", None, (None, None)).and_then(|all| Ok(all.release(10)?));
            let report = report.expect("a report");
            assert_eq!(
                (report.confusion.is_some(), counts(threshold).called_bad()),
                (told, told.then_some(threshold)),
                "{threshold}"
            );
            assert_eq!(
                report.scores.iter().map(|bin| (bin.goods, bin.bads)).collect::<Vec<_>>(),
                [(600, 90), (200, 110)]
            );
            assert_eq!(report.scores[0].to.to_bits(), 0.4_f64.to_bits());
            assert!(report.confusion.is_none_or(|cells| (cells.true_good, cells.true_bad) == (600, 110)));
        }
        assert_eq!(EvaluationFile { minimum: 1, ..counts(3) }.called_bad(), Some(3), "zeros are zeros");
        assert_eq!(EvaluationFile { threshold: 0.5, ..counts(2) }.called_bad(), None, "no cut point");
    }

    #[test]
    fn stability_is_by_bins_that_neither_population_merged() {
        let counts = |goods, bads| EvaluationFile {
            rows: 1000,
            minimum: 10,
            cuts: vec![0.25, 0.5, 0.75],
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
    fn a_column_of_which_too_few_are_told_is_left_out_and_the_others_are_reported() {
        let column = |name: &str, goods: Vec<u64>, bads: Vec<u64>| {
            let levels = (0..goods.len()).map(|k| k.to_string()).collect();
            ColumnCounts { name: name.to_owned(), cuts: Vec::new(), levels, goods, bads }
        };
        let file = EvaluationFile {
            rows: 1000,
            minimum: 10,
            cuts: vec![0.25, 0.5],
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

    /// Each evaluation has cut points of its own; the distributions of both are between the same ones.
    #[test]
    fn stability_is_by_the_distribution_of_the_earlier_population() {
        let counts = |cuts: &[f64], goods: &[u64], all: &[u64]| EvaluationFile {
            rows: 1000,
            minimum: 10,
            cuts: cuts.to_vec(),
            goods: goods.to_vec(),
            bads: goods.to_vec(),
            distribution: Some(Distribution { cuts: vec![0.1, 0.2, 0.3, 0.4], counts: all.to_vec() }),
            ..EvaluationFile::new(String::new(), String::new())
        };
        let earlier = counts(&[0.3], &[250, 250], &[100, 200, 0, 300, 400]);
        let now = counts(&[0.1, 0.2, 0.3, 0.4], &[100, 100, 100, 100, 100], &[200; 5]);
        let aggregates = now.aggregates("", Some(&earlier), (None, None)).expect("counts");
        let moved = aggregates.release(10).expect("a report").stability.expect("two populations");
        let bins: Vec<_> = moved.bins.iter().map(|bin| (bin.to, bin.expected, bin.actual)).collect();
        assert_eq!(bins, [(0.1, 100, 200), (0.2, 200, 200), (0.4, 300, 400), (1.0, 400, 200)]);
        let other = EvaluationFile { cuts: vec![0.15], distribution: None, ..earlier };
        assert!(now.aggregates("", Some(&other), (None, None)).is_err(), "nothing is between the same cut points");
    }

    #[test]
    fn mean_scores_are_as_near_as_the_distribution_tells() {
        let scores: Vec<f64> = (0..1000).map(|k| f64::from(k * k) / 1e6).collect();
        let between = |cuts: &[f64]| {
            let mut counts = vec![0; cuts.len() + 1];
            for score in &scores {
                counts[cuts.partition_point(|cut| cut <= score)] += 1;
            }
            counts
        };
        let fine: Vec<f64> = (1..100).map(|k| f64::from(k) / 100.0).collect();
        let mut all = between(&fine);
        // The 33 customers of three ranges are told as one.
        (all[32], all[30], all[31]) = (all[30] + all[31] + all[32], 0, 0);
        let cuts = vec![0.09, 0.25, 0.64];
        let goods: Vec<u64> = between(&cuts).iter().map(|count| count / 2).collect();
        let file = EvaluationFile {
            rows: 1000,
            minimum: 10,
            cuts: cuts.clone(),
            bads: goods.clone(),
            goods,
            distribution: Some(Distribution { cuts: fine, counts: all }),
            ..EvaluationFile::new(String::new(), String::new())
        };
        let mean = file.mean_score().expect("a distribution");
        let exact = scores.iter().sum::<f64>() / 1000.0;
        assert!((mean.mean - exact).abs() <= mean.error && mean.error < 0.006, "{mean:?} {exact}");
        let report = file.aggregates("", None, (None, None)).and_then(|all| Ok(all.release(10)?)).expect("a report");
        assert_eq!(report.scores.len(), 4);
        for bin in &report.scores {
            let own: Vec<f64> = scores.iter().copied().filter(|score| (bin.from..bin.to).contains(score)).collect();
            let exact = own.iter().sum::<f64>() / own.len() as f64;
            assert!((bin.predicted - exact).abs() < 0.006, "{bin:?} {exact}");
        }
        assert_eq!(report.mean_score, Some(mean));
    }

    #[test]
    fn a_file_whose_cut_points_do_not_fit_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let counts = |cuts: &str, goods: &str| {
            format!(
                r#"{{"format":1,"model":"","population":"","rows":4,"minimum":0,"threshold":0.5,"cuts":{cuts},"goods":{goods},"bads":[1,1]}}"#
            )
        };
        for (k, (cuts, goods, well)) in [
            ("[0.5]", "[1,1]", true),
            ("[0.5]", "[2]", false),
            ("[1.5]", "[1,1]", false),
            ("[0.5,0.5]", "[1,1,1]", false),
        ]
        .into_iter()
        .enumerate()
        {
            let path = dir.path().join(k.to_string());
            std::fs::write(&path, counts(cuts, goods)).expect("written");
            assert_eq!(EvaluationFile::read(&path).is_ok(), well, "{cuts} {goods}");
        }
    }
}
