//! How well scores separate bad customers from good ones, exactly, from all scores.

use super::{DataError, matrix::both_classes};

/// Scores with their labels, highest score first. Equal scores keep the order in which they were given.
///
/// A score is anything that is higher for a worse customer: the probability of default or its logit.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    rows: Vec<(f64, bool)>,
    bads: u64,
}

/// Rows by what they are and what a threshold calls them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Confusion {
    /// Bad, and called bad.
    pub true_bad: u64,
    /// Good, but called bad.
    pub false_bad: u64,
    /// Good, and called good.
    pub true_good: u64,
    /// Bad, but called good.
    pub false_good: u64,
}

/// A point of the receiver operating characteristic: what is called bad from a threshold up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RocPoint {
    /// Scores from here up are called bad.
    pub threshold: f64,
    /// The share of good rows that are.
    pub false_bad_rate: f64,
    /// The share of bad rows that are.
    pub true_bad_rate: f64,
}

/// A tenth (or another part) of the rows, in the order of their score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Group {
    /// Its rows.
    pub rows: u64,
    /// Its bad rows.
    pub bads: u64,
    /// Its mean score.
    pub mean_score: f64,
    /// Its rate of bad rows by that of all rows.
    pub lift: f64,
}

/// Rows whose predicted probability falls into one bin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CalibrationBin {
    /// Its rows.
    pub rows: u64,
    /// The mean predicted probability.
    pub predicted: f64,
    /// The share of bad rows.
    pub observed: f64,
}

impl Ranking {
    /// Ranks scores.
    ///
    /// # Errors
    /// Another number of labels than of scores, a score that is not finite, or one label only.
    pub fn new(scores: &[f64], labels: &[bool]) -> Result<Self, DataError> {
        DataError::lengths("labels", labels.len(), scores.len())?;
        DataError::finite("score", scores)?;
        both_classes(labels)?;
        let mut rows: Vec<_> = scores.iter().copied().zip(labels.iter().copied()).collect();
        rows.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        let bads = count(rows.iter().map(|r| r.1));
        Ok(Self { rows, bads })
    }

    /// Area under the ROC curve: the probability that a bad row scores above a good one, ties counted half.
    pub fn auc(&self) -> f64 {
        let mut doubled = 0u128;
        let mut bads_above = 0u64;
        for (bads, goods) in self.ties() {
            doubled += u128::from(goods) * u128::from(2 * bads_above + bads);
            bads_above += bads;
        }
        doubled as f64 / 2.0 / (self.bads as f64 * self.goods() as f64)
    }

    /// `2 AUC - 1`.
    pub fn gini(&self) -> f64 {
        2.0 * self.auc() - 1.0
    }

    /// Kolmogorov-Smirnov: the widest gap between the two rates of the ROC curve.
    pub fn ks(&self) -> f64 {
        self.roc().iter().map(|p| (p.true_bad_rate - p.false_bad_rate).abs()).fold(0.0, f64::max)
    }

    /// The ROC curve: one point for each distinct score, highest first. It starts at the origin, which is not in the list.
    pub fn roc(&self) -> Vec<RocPoint> {
        let (mut bads, mut goods) = (0, 0);
        let groups = self.rows.chunk_by(tied);
        let rates = self.ties().map(|(b, g)| {
            (bads, goods) = (bads + b, goods + g);
            (goods as f64 / self.goods() as f64, bads as f64 / self.bads as f64)
        });
        let points = groups.zip(rates).map(|(group, (false_bad_rate, true_bad_rate))| RocPoint {
            threshold: group[0].0,
            false_bad_rate,
            true_bad_rate,
        });
        points.collect()
    }

    /// The confusion at a threshold: a score from it up is called bad.
    pub fn confusion(&self, threshold: f64) -> Confusion {
        let mut confusion = Confusion::default();
        for &(score, bad) in &self.rows {
            *match (bad, score >= threshold) {
                (true, true) => &mut confusion.true_bad,
                (false, true) => &mut confusion.false_bad,
                (false, false) => &mut confusion.true_good,
                (true, false) => &mut confusion.false_good,
            } += 1;
        }
        confusion
    }

    /// The rows in `groups` groups of equal size, worst scores first; ten groups are the deciles. Where the rows do not divide, the
    /// first groups have one more. Rows of equal score may fall into two groups.
    ///
    /// # Errors
    /// No group, or more groups than rows.
    pub fn lift(&self, groups: usize) -> Result<Vec<Group>, DataError> {
        let accepted = "it must be from 1 to the number of rows";
        DataError::setting((1..=self.rows.len()).contains(&groups), "the number of groups", groups as f64, accepted)?;
        let (each, extra) = (self.rows.len() / groups, self.rows.len() % groups);
        let overall = self.bads as f64 / self.rows.len() as f64;
        let mut rest = self.rows.as_slice();
        let mut lift = Vec::with_capacity(groups);
        for i in 0..groups {
            let (group, after) = rest.split_at(each + usize::from(i < extra));
            rest = after;
            let (rows, bads) = (group.len() as u64, count(group.iter().map(|r| r.1)));
            let mean_score = group.iter().map(|r| r.0).sum::<f64>() / rows as f64;
            lift.push(Group { rows, bads, mean_score, lift: bads as f64 / rows as f64 / overall });
        }
        Ok(lift)
    }

    /// Predicted against observed rates, in `bins` equal bins of the probability (the last one closed), empty bins left out.
    ///
    /// # Errors
    /// No bin, or scores that are not probabilities.
    pub fn calibration(&self, bins: usize) -> Result<Vec<CalibrationBin>, DataError> {
        DataError::setting(
            (1..=1 << 20).contains(&bins),
            "the number of bins",
            bins as f64,
            "it must be 1 to 1048576",
        )?;
        let mut sums = vec![(0u64, 0u64, 0.0); bins];
        for &(score, bad) in self.rows.iter().rev() {
            let (rows, bads, sum) = &mut sums[bin_of(score, bins)?];
            *rows += 1;
            *bads += u64::from(bad);
            *sum += score;
        }
        sums.retain(|s| s.0 > 0);
        let bin = |(rows, bads, sum)| CalibrationBin {
            rows,
            predicted: sum / rows as f64,
            observed: bads as f64 / rows as f64,
        };
        Ok(sums.into_iter().map(bin).collect())
    }

    /// Brier score: the mean squared difference of probability and label.
    pub fn brier(&self) -> f64 {
        let squares = self.rows.iter().map(|&(p, bad)| (p - f64::from(u8::from(bad))).powi(2));
        squares.sum::<f64>() / self.rows.len() as f64
    }

    fn goods(&self) -> u64 {
        self.rows.len() as u64 - self.bads
    }

    /// Bad and good rows of each distinct score, highest first.
    fn ties(&self) -> impl Iterator<Item = (u64, u64)> {
        self.rows.chunk_by(tied).map(|group| {
            let bads = count(group.iter().map(|r| r.1));
            (bads, group.len() as u64 - bads)
        })
    }
}

impl Confusion {
    /// All rows.
    pub fn rows(&self) -> u64 {
        self.true_bad + self.false_bad + self.true_good + self.false_good
    }

    /// The share of rows that are called what they are; 0 of no rows.
    pub fn accuracy(&self) -> f64 {
        ratio(self.true_bad + self.true_good, self.rows())
    }

    /// The share of rows called bad that are; 0 if none is called so.
    pub fn precision(&self) -> f64 {
        ratio(self.true_bad, self.true_bad + self.false_bad)
    }

    /// The share of bad rows that are called so; 0 if there is none.
    pub fn recall(&self) -> f64 {
        ratio(self.true_bad, self.true_bad + self.false_good)
    }
}

/// The bin of a probability among `bins` equal ones, of which the last is closed.
pub(super) fn bin_of(probability: f64, bins: usize) -> Result<usize, DataError> {
    let accepted = "it must be a probability, from 0 to 1";
    DataError::setting((0.0..=1.0).contains(&probability), "a score", probability, accepted)?;
    // Not negative and at most `bins`: the conversion is exact but for the fraction, which is meant to go.
    #[allow(clippy::cast_sign_loss)]
    let bin = (probability * bins as f64) as usize;
    Ok(bin.min(bins - 1))
}

/// Whether two rows have the same score. A tie is exact equality: rows a hair apart are ranked.
#[allow(clippy::float_cmp)]
fn tied(a: &(f64, bool), b: &(f64, bool)) -> bool {
    a.0 == b.0
}

fn count(labels: impl Iterator<Item = bool>) -> u64 {
    labels.map(u64::from).sum()
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
