//! Weight of evidence and information value of a column cut into bins.

use super::DataError;

/// Good and bad rows in each bin of one column, lowest values first.
#[derive(Debug, Clone, PartialEq)]
pub struct Binning {
    cuts: Vec<f64>,
    goods: Vec<u64>,
    bads: Vec<u64>,
}

/// Whether the rate of bad rows rises or falls with the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Higher values are worse.
    Rising,
    /// Higher values are better.
    Falling,
}

/// The values that cut a column into `bins` bins of equal frequency: its quantiles, interpolated linearly, without the two extremes.
/// Equal cuts are given once, so a column with few distinct values has fewer bins.
///
/// # Errors
/// No value, one that is not finite, or no bin.
pub fn equal_frequency_cuts(values: &[f64], bins: usize) -> Result<Vec<f64>, DataError> {
    DataError::setting((1..=1 << 20).contains(&bins), "the number of bins", bins as f64, "it must be 1 to 1048576")?;
    if values.is_empty() {
        return Err(DataError::Empty("value"));
    }
    DataError::finite("value", values)?;
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (least, most) = (sorted[0], sorted[sorted.len() - 1]);
    let mut cuts: Vec<f64> = (1..bins)
        .map(|i| {
            let scaled = i * (sorted.len() - 1);
            let (rank, rest) = (scaled / bins, (scaled % bins) as f64 / bins as f64);
            let low = sorted[rank];
            low + rest * (sorted[(rank + 1).min(sorted.len() - 1)] - low)
        })
        .filter(|&cut| cut > least && cut < most)
        .collect();
    cuts.dedup();
    Ok(cuts)
}

impl Binning {
    /// Counts a column into the bins between rising `cuts`. A value on a cut belongs to the lower bin, as in pandas' `qcut`.
    ///
    /// # Errors
    /// Another number of labels than of values, a value that is not finite, or cuts that do not rise.
    pub fn of(values: &[f64], labels: &[bool], cuts: Vec<f64>) -> Result<Self, DataError> {
        DataError::lengths("labels", labels.len(), values.len())?;
        DataError::finite("value", values)?;
        let bins = cuts.len() + 1;
        let mut binning = Self::from_counts(cuts, vec![0; bins], vec![0; bins])?;
        for (value, &bad) in values.iter().zip(labels) {
            let bin = binning.cuts.partition_point(|cut| cut < value);
            let side = if bad { &mut binning.bads } else { &mut binning.goods };
            side[bin] += 1;
        }
        Ok(binning)
    }

    /// A binning from its counts, lowest bin first.
    ///
    /// # Errors
    /// Other numbers of counts than one more than there are cuts, or cuts that do not rise.
    pub fn from_counts(cuts: Vec<f64>, goods: Vec<u64>, bads: Vec<u64>) -> Result<Self, DataError> {
        DataError::lengths("bins of good rows", goods.len(), cuts.len() + 1)?;
        DataError::lengths("bins of bad rows", bads.len(), cuts.len() + 1)?;
        DataError::finite("cut", &cuts)?;
        let falling = cuts.windows(2).find(|pair| pair[0] >= pair[1]);
        let value = falling.map_or(0.0, |pair| pair[1]);
        DataError::setting(falling.is_none(), "a cut", value, "cuts must rise")?;
        Ok(Self { cuts, goods, bads })
    }

    /// The values between the bins.
    pub fn cuts(&self) -> &[f64] {
        &self.cuts
    }

    /// Good rows per bin.
    pub fn goods(&self) -> &[u64] {
        &self.goods
    }

    /// Bad rows per bin.
    pub fn bads(&self) -> &[u64] {
        &self.bads
    }

    /// Weight of evidence of each bin: `ln(share of all good rows / share of all bad rows)`, above 0 where customers are better
    /// than all. If any bin lacks one class, half a row of each class is added to each bin, so that all weights are finite.
    pub fn woe(&self) -> Vec<f64> {
        self.shares().map(|(g, b)| (g / b).ln()).collect()
    }

    /// Information value: the sum over the bins of (share of good - share of bad) * weight of evidence. Below 0.02 a column is
    /// usually called useless, above 0.3 strong.
    pub fn information_value(&self) -> f64 {
        self.shares().map(|(g, b)| (g - b) * (g / b).ln()).sum()
    }

    /// The direction that leaves the higher information value after [`monotonic`](Self::monotonic).
    pub fn direction(&self) -> Direction {
        let value = |direction| self.monotonic(direction).information_value();
        if value(Direction::Rising) >= value(Direction::Falling) { Direction::Rising } else { Direction::Falling }
    }

    /// Merges neighbouring bins until the rate of bad rows strictly rises or falls (pool adjacent violators: the merge that
    /// fits best in least squares). Bins without rows join a neighbour.
    #[must_use]
    pub fn monotonic(&self, direction: Direction) -> Self {
        let mut blocks: Vec<Block> = Vec::new();
        let ends = self.cuts.iter().copied().map(Some).chain([None]);
        for ((&goods, &bads), end) in self.goods.iter().zip(&self.bads).zip(ends) {
            let mut block = Block { goods, bads, end };
            while let Some(last) = blocks.pop_if(|last| !last.precedes(&block, direction)) {
                block = Block { goods: last.goods + block.goods, bads: last.bads + block.bads, end: block.end };
            }
            blocks.push(block);
        }
        Self {
            cuts: blocks.iter().filter_map(|b| b.end).collect(),
            goods: blocks.iter().map(|b| b.goods).collect(),
            bads: blocks.iter().map(|b| b.bads).collect(),
        }
    }

    /// Shares of all good and of all bad rows, bin by bin.
    fn shares(&self) -> impl Iterator<Item = (f64, f64)> {
        let added = if self.goods.iter().chain(&self.bads).any(|&c| c == 0) { 0.5 } else { 0.0 };
        let share = move |counts: &[u64]| {
            let total = counts.iter().map(|&c| c as f64 + added).sum::<f64>();
            counts.iter().map(|&c| (c as f64 + added) / total).collect::<Vec<_>>()
        };
        share(&self.goods).into_iter().zip(share(&self.bads))
    }
}

/// Merged bins, up to the cut `end` (`None`: to the highest value).
struct Block {
    goods: u64,
    bads: u64,
    end: Option<f64>,
}

impl Block {
    /// Whether this block may stand before another: both have rows and the rates differ the right way.
    fn precedes(&self, next: &Self, direction: Direction) -> bool {
        let cross = |a: &Self, b: &Self| u128::from(a.bads) * (u128::from(b.goods) + u128::from(b.bads));
        // a.bads / a.rows < b.bads / b.rows, without division; a block without rows precedes none.
        match direction {
            Direction::Rising => cross(self, next) < cross(next, self),
            Direction::Falling => cross(self, next) > cross(next, self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bin_without_one_class_gets_half_a_row_everywhere() {
        let binning = Binning::from_counts(vec![1.0], vec![3, 2], vec![0, 4]).unwrap();
        let expected = [(3.5f64 / 6.0) / (0.5 / 5.0), (2.5f64 / 6.0) / (4.5 / 5.0)];
        for (woe, ratio) in binning.woe().iter().zip(expected) {
            assert!((woe - ratio.ln()).abs() < 1e-15);
        }
    }

    #[test]
    fn few_distinct_values_give_few_bins_and_a_constant_column_one() {
        assert_eq!(equal_frequency_cuts(&[7.0; 20], 5).unwrap(), [0.0; 0]);
        assert_eq!(equal_frequency_cuts(&[0.0, 0.0, 1.0, 1.0, 2.0], 4).unwrap(), [1.0]);
        assert_eq!(equal_frequency_cuts(&[], 4), Err(DataError::Empty("value")));
        let labels = [true, false, true];
        assert!(matches!(Binning::of(&[1.0, 2.0, 3.0], &labels, vec![2.0, 2.0]), Err(DataError::Setting { .. })));
        let binning = Binning::of(&[1.0, 2.0, 3.0], &labels, vec![2.0]).unwrap();
        assert_eq!((binning.goods(), binning.bads()), (&[1, 0][..], &[1, 1][..]));
    }

    #[test]
    fn a_bin_without_rows_joins_a_neighbour() {
        let binning = Binning::from_counts(vec![1.0, 2.0], vec![5, 0, 5], vec![1, 0, 5]).unwrap();
        let merged = binning.monotonic(binning.direction());
        assert_eq!((merged.cuts().len(), merged.goods(), merged.bads()), (1, &[5, 5][..], &[1, 5][..]));
    }
}
