//! The figures of a ranking from counts in bins of the score.

use super::{Confusion, DataError, matrix::both_classes, ranking::bin_of};

/// Good and bad rows by the bin of their probability: `bins` equal bins of `[0, 1]`, lowest first, the last one closed.
///
/// These counts are all that a report computed on shares has to release. AUC and KS of them are those of scores rounded down to
/// their bin: the AUC errs by at most half the share of pairs (of a good and a bad row) within one bin, which
/// [`auc_error`](Self::auc_error) gives, and KS is too small by at most the largest share of one class within one bin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    goods: Vec<u64>,
    bads: Vec<u64>,
}

impl Histogram {
    /// Counts probabilities into `bins` bins.
    ///
    /// # Errors
    /// Another number of labels than of scores, one label only, a score that is no probability, or no bin.
    pub fn of(scores: &[f64], labels: &[bool], bins: usize) -> Result<Self, DataError> {
        DataError::setting(
            (1..=1 << 20).contains(&bins),
            "the number of bins",
            bins as f64,
            "it must be 1 to 1048576",
        )?;
        DataError::lengths("labels", labels.len(), scores.len())?;
        both_classes(labels)?;
        let mut histogram = Self { goods: vec![0; bins], bads: vec![0; bins] };
        for (&score, &bad) in scores.iter().zip(labels) {
            let side = if bad { &mut histogram.bads } else { &mut histogram.goods };
            side[bin_of(score, bins)?] += 1;
        }
        Ok(histogram)
    }

    /// A histogram from its counts, lowest bin first.
    ///
    /// # Errors
    /// Two lengths, no good or no bad row, or counts whose sum is beyond `2^53`.
    pub fn from_counts(goods: Vec<u64>, bads: Vec<u64>) -> Result<Self, DataError> {
        DataError::lengths("bins of bad rows", bads.len(), goods.len())?;
        let total = |counts: &[u64]| counts.iter().copied().map(u128::from).sum::<u128>();
        let (all_goods, all_bads) = (total(&goods), total(&bads));
        let rows = all_goods + all_bads;
        DataError::setting(rows <= 1 << 53, "the number of rows", rows as f64, "it must be at most 2^53")?;
        if all_goods == 0 || all_bads == 0 { Err(DataError::OneClass) } else { Ok(Self { goods, bads }) }
    }

    /// Good rows per bin, lowest first.
    pub fn goods(&self) -> &[u64] {
        &self.goods
    }

    /// Bad rows per bin, lowest first.
    pub fn bads(&self) -> &[u64] {
        &self.bads
    }

    /// All rows per bin, lowest first.
    pub fn totals(&self) -> Vec<u64> {
        self.counts().map(|(goods, bads)| goods + bads).collect()
    }

    /// Area under the ROC curve through the bins, by trapezoids.
    pub fn auc(&self) -> f64 {
        let mut goods_below = 0;
        let mut doubled = 0u128;
        for (goods, bads) in self.counts() {
            doubled += u128::from(bads) * u128::from(2 * goods_below + goods);
            goods_below += goods;
        }
        doubled as f64 / 2.0 / self.pairs()
    }

    /// How far [`auc`](Self::auc) can be from that of the scores themselves.
    pub fn auc_error(&self) -> f64 {
        self.counts().map(|(goods, bads)| goods as f64 * bads as f64).sum::<f64>() / 2.0 / self.pairs()
    }

    /// `2 AUC - 1`.
    pub fn gini(&self) -> f64 {
        2.0 * self.auc() - 1.0
    }

    /// Kolmogorov-Smirnov over the borders of the bins.
    pub fn ks(&self) -> f64 {
        self.roc().iter().map(|(false_bad, true_bad)| (true_bad - false_bad).abs()).fold(0.0, f64::max)
    }

    /// The ROC curve over the borders of the bins, from the origin to `(1, 1)`: shares of good and of bad rows in the bins from the
    /// border up.
    pub fn roc(&self) -> Vec<(f64, f64)> {
        let (all_goods, all_bads) = self.classes();
        let (mut goods, mut bads) = (0, 0);
        let mut curve = vec![(0.0, 0.0)];
        for (g, b) in self.counts().rev() {
            (goods, bads) = (goods + g, bads + b);
            curve.push((goods as f64 / all_goods as f64, bads as f64 / all_bads as f64));
        }
        curve
    }

    /// The confusion where scores from the lower border of `bin` up are called bad. `bin` may be one beyond the last: nothing is.
    ///
    /// # Errors
    /// A bin beyond that.
    pub fn confusion(&self, bin: usize) -> Result<Confusion, DataError> {
        DataError::setting(bin <= self.goods.len(), "the bin", bin as f64, "it must be at most the number of bins")?;
        let (goods, bads) = self.classes();
        let false_bad = self.goods[bin..].iter().sum();
        let true_bad = self.bads[bin..].iter().sum();
        Ok(Confusion { true_bad, false_bad, true_good: goods - false_bad, false_good: bads - true_bad })
    }

    /// Lift of `groups` groups of equal size, worst first; ten groups are the deciles. A bin that straddles two groups is divided
    /// evenly, so rows are fractions: `(rows, bad rows, lift)`.
    ///
    /// # Errors
    /// No group, or more than 1000.
    pub fn lift(&self, groups: usize) -> Result<Vec<(f64, f64, f64)>, DataError> {
        DataError::setting(
            (1..=1000).contains(&groups),
            "the number of groups",
            groups as f64,
            "it must be 1 to 1000",
        )?;
        let (goods, bads) = self.classes();
        let size = (goods + bads) as f64 / groups as f64;
        let overall = bads as f64 / (goods + bads) as f64;
        let bads_until = self.bads_among_worst((1..=groups).map(|g| g as f64 * size));
        let mut before = 0.0;
        let part = bads_until.into_iter().map(|until| {
            let own = until - before;
            before = until;
            (size, own, own / size / overall)
        });
        Ok(part.collect())
    }

    /// Observed rate of bad rows per bin against the middle of the bin, with the rows, empty bins left out.
    pub fn calibration(&self) -> Vec<(f64, f64, u64)> {
        let bins = self.goods.len() as f64;
        let bin = |(i, (goods, bads)): (usize, (u64, u64))| {
            let rows = goods + bads;
            (rows > 0).then(|| ((i as f64 + 0.5) / bins, bads as f64 / rows as f64, rows))
        };
        self.counts().enumerate().filter_map(bin).collect()
    }

    /// For each number of rows, in rising order, the bad rows among that many worst ones.
    fn bads_among_worst(&self, targets: impl Iterator<Item = f64>) -> Vec<f64> {
        let mut bins = self.counts().rev();
        let (mut rows, mut bads) = (0.0, 0.0);
        let mut current = (0.0, 0.0);
        let mut found = Vec::new();
        for target in targets {
            while rows + current.0 < target {
                let Some((g, b)) = bins.next() else { break };
                (rows, bads) = (rows + current.0, bads + current.1);
                current = ((g + b) as f64, b as f64);
            }
            let share = if current.0 > 0.0 { ((target - rows) / current.0).min(1.0) } else { 0.0 };
            found.push(bads + share * current.1);
        }
        found
    }

    fn counts(&self) -> impl DoubleEndedIterator<Item = (u64, u64)> + ExactSizeIterator {
        self.goods.iter().copied().zip(self.bads.iter().copied())
    }

    fn classes(&self) -> (u64, u64) {
        (self.goods.iter().sum(), self.bads.iter().sum())
    }

    fn pairs(&self) -> f64 {
        let (goods, bads) = self.classes();
        goods as f64 * bads as f64
    }
}
