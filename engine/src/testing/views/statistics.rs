//! Statistics of views, and what they must not exceed.
//!
//! The thresholds are not asymptotic. A sum of `n` independent signs exceeds `sqrt(2 n ln(2 / a))` with probability at most `a`
//! (Hoeffding, JASA 1963). The distance of a histogram of `n` independent draws from uniform, in the Euclidean norm, exceeds
//! `sqrt(1 / n) + sqrt(ln(1 / a) / n)` with probability at most `a` ("On the method of bounded differences", Surveys in
//! Combinatorics 1989); it is the root of Pearson's chi-square but for the scale. Each test has `a = 2^-72`, so that even `2^32`
//! of them raise a false alarm with probability below `2^-40`.

use super::Views;

/// What tests of views have found. Each figure is the largest statistic of its kind, relative to its threshold: above 1 the test
/// has failed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Verdict {
    /// Statistics computed.
    pub tests: u64,
    /// Single bits: each one, and each word with its lanes pooled.
    pub bits: f64,
    /// Sums of two bits: all within a word; those of one lane, also with lanes pooled, if the words are near each other
    /// or one of them is an input share.
    pub pairs: f64,
    /// Histograms: of each byte; of input shares and words received together, lane by lane, lanes pooled, if there are few.
    pub cells: f64,
}

impl Verdict {
    /// Whether nothing was found.
    pub fn passes(&self) -> bool {
        self.bits.max(self.pairs).max(self.cells) <= 1.0
    }
}

/// `ln(2^72)`.
const LOG: f64 = 72.0 * std::f64::consts::LN_2;
/// Words further apart than that are paired only if one of them is an input share.
const REACH: usize = 32;
/// Words in a joint histogram at most.
const JOINT: usize = 10;

impl Views {
    /// Words of one view.
    pub fn words(&self) -> usize {
        self.words
    }

    /// Tests that all bits of the view are independent and uniform.
    pub fn uniform(&self) -> Verdict {
        let n = self.runs as f64;
        let threshold = |pool: f64| (2.0 * pool * n * (LOG + std::f64::consts::LN_2)).sqrt();
        let mut verdict = Verdict::default();
        verdict.parities(&self.parities(), threshold);
        for histogram in self.histograms() {
            let (n, uniform) = (histogram.draws(), 1.0 / histogram.0.len() as f64);
            let square: f64 = histogram.frequencies().map(|p| (p - uniform).powi(2)).sum();
            verdict.cell(square.sqrt() / ((1.0 / n).sqrt() + (LOG / n).sqrt()));
        }
        verdict
    }

    /// Tests that the views of one party in two experiments have one distribution.
    ///
    /// # Panics
    /// If their shapes differ, or they have runs in common.
    pub fn same_as(&self, other: &Self) -> Verdict {
        assert!(
            self.first.abs_diff(other.first) >= self.runs as u64,
            "runs with the same randomness are no two samples"
        );
        assert_eq!(
            (self.runs, self.words, &self.received),
            (other.runs, other.words, &other.received),
            "shapes are public"
        );
        let n = self.runs as f64;
        // Twice as many signs.
        let threshold = |pool: f64| (4.0 * pool * n * (LOG + std::f64::consts::LN_2)).sqrt();
        let mut verdict = Verdict::default();
        verdict.parities(&self.parities().minus(&other.parities()), threshold);
        for (a, b) in self.histograms().into_iter().zip(other.histograms()) {
            let n = a.draws();
            let square: f64 = a.frequencies().zip(b.frequencies()).map(|(p, q)| (p - q).powi(2)).sum();
            // The mean is at most sqrt(2 / n), and each of 2 n draws moves the distance by sqrt(2) / n at most.
            verdict.cell(square.sqrt() / ((2.0 / n).sqrt() + (2.0 * LOG / n).sqrt()));
        }
        verdict
    }

    fn column(&self, word: usize, lane: usize) -> &[u64] {
        let batches = self.runs / 64;
        &self.columns[(64 * word + lane) * batches..][..batches]
    }

    fn parities(&self) -> Parities {
        let runs = i32::try_from(self.runs).unwrap_or(i32::MAX);
        let sum = |ones: u32| runs - 2 * ones.cast_signed();
        let one = |x: &[u64]| sum(x.iter().map(|x| x.count_ones()).sum());
        let two = |x: &[u64], y: &[u64]| sum(x.iter().zip(y).map(|(x, y)| (x ^ y).count_ones()).sum());
        let mut out = Parities::default();
        for w in 0..self.words {
            out.bits.extend((0..64).map(|l| one(self.column(w, l))));
            for l in 0..64 {
                out.within.extend((0..l).map(|k| two(self.column(w, k), self.column(w, l))));
            }
            for v in (0..w).filter(|&v| v < self.inputs || v + REACH >= w) {
                out.across.extend((0..64).map(|l| two(self.column(v, l), self.column(w, l))));
            }
        }
        out
    }

    fn histograms(&self) -> Vec<Histogram> {
        let mut out: Vec<Histogram> = (0..8 * self.words).map(|_| Histogram(vec![0; 256])).collect();
        let joint: Vec<usize> = (0..self.inputs).chain(self.received.iter().copied()).collect();
        let mut together = Histogram(vec![0; if joint.len() <= JOINT { 1 << joint.len() } else { 0 }]);
        for row in self.rows.chunks_exact(self.words.max(1)) {
            for (histogram, byte) in out.iter_mut().zip(bytemuck::cast_slice::<u64, u8>(row)) {
                histogram.0[usize::from(*byte)] += 1;
            }
            for lane in 0..64 {
                if joint.len() > JOINT {
                    break;
                }
                let cell = joint.iter().fold(0, |cell, &w| cell << 1 | (row[w] >> lane & 1) as usize);
                together.0[cell] += 1;
            }
        }
        out.push(together);
        out.retain(|h| h.0.len() > 1);
        out
    }
}

/// Sums of signs over all runs: of bits, of pairs within a word, of pairs across words (64 lanes each).
#[derive(Default)]
struct Parities {
    bits: Vec<i32>,
    within: Vec<i32>,
    across: Vec<i32>,
}

impl Parities {
    fn minus(mut self, o: &Self) -> Self {
        let minus = |x: &mut Vec<i32>, y: &[i32]| x.iter_mut().zip(y).for_each(|(x, y)| *x -= y);
        minus(&mut self.bits, &o.bits);
        minus(&mut self.within, &o.within);
        minus(&mut self.across, &o.across);
        self
    }
}

impl Verdict {
    /// `threshold(k)` is that of a sum over `k` lanes.
    fn parities(&mut self, sums: &Parities, threshold: impl Fn(f64) -> f64) {
        let single = |sums: &[i32]| sums.iter().map(|s| s.abs()).max().map_or(0.0, f64::from) / threshold(1.0);
        let pooled = |sums: &[i32]| {
            let pools = sums.chunks_exact(64).map(|lanes| lanes.iter().sum::<i32>().abs());
            pools.max().map_or(0.0, f64::from) / threshold(64.0)
        };
        self.bits = single(&sums.bits).max(pooled(&sums.bits));
        self.pairs = single(&sums.within).max(single(&sums.across)).max(pooled(&sums.across));
        let lanes = sums.bits.len() + sums.across.len();
        self.tests += (sums.within.len() + lanes + lanes / 64) as u64;
    }

    fn cell(&mut self, ratio: f64) {
        self.cells = self.cells.max(ratio);
        self.tests += 1;
    }
}

struct Histogram(Vec<u32>);

impl Histogram {
    fn draws(&self) -> f64 {
        self.0.iter().map(|&k| f64::from(k)).sum()
    }

    fn frequencies(&self) -> impl Iterator<Item = f64> {
        let n = self.draws();
        self.0.iter().map(move |&k| f64::from(k) / n)
    }
}
