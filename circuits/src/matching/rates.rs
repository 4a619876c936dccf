//! Error rates of matching, with confidence intervals: the points of a detection error trade-off.

use super::{Threshold, reference::Distance};

/// Errors among trials.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Rate {
    /// Errors.
    pub errors: u64,
    /// Trials.
    pub trials: u64,
}

impl Rate {
    /// The share of errors; nothing without trials.
    pub fn value(self) -> Option<f64> {
        (self.trials > 0).then(|| self.errors as f64 / self.trials as f64)
    }

    /// An interval that holds the true rate with 95 % confidence (Wilson, JASA 22, 1927); from 0 to 1 without trials. Trials that share an eye are not independent, so for all pairs of a few eyes it is too narrow.
    pub fn interval(self) -> [f64; 2] {
        /// The normal quantile of 97.5 %.
        const Z: f64 = 1.959_963_984_540_054;
        let Some(p) = self.value() else { return [0.0, 1.0] };
        let n = self.trials as f64;
        let middle = p + Z * Z / (2.0 * n);
        let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        let by = 1.0 + Z * Z / n;
        [((middle - half) / by).max(0.0), ((middle + half) / by).min(1.0)]
    }
}

/// The rates at one threshold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Operating {
    /// The threshold.
    pub threshold: Threshold,
    /// Matches among pairs of different eyes: FMR.
    pub false_match: Rate,
    /// Pairs of the same eye that do not match: FNMR.
    pub false_non_match: Rate,
}

/// The rates at each of some thresholds, from the distances of each pair in all rotations.
pub fn trade_off(
    thresholds: impl IntoIterator<Item = Threshold>,
    [genuine, impostors]: [&[Vec<Distance>]; 2],
) -> Vec<Operating> {
    let rate = |pairs: &[Vec<Distance>], threshold: Threshold, error: bool| {
        let matches = |distances: &&Vec<Distance>| distances.iter().any(|d| d.is_below(threshold)) == error;
        Rate { errors: pairs.iter().filter(matches).count() as u64, trials: pairs.len() as u64 }
    };
    let at = |threshold| Operating {
        threshold,
        false_match: rate(impostors, threshold, true),
        false_non_match: rate(genuine, threshold, false),
    };
    thresholds.into_iter().map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::cast_sign_loss)] // from 0 to 1
    #[test]
    fn intervals_are_those_of_the_tables() {
        let rounded = |rate: Rate| rate.interval().map(|x| (x * 1e4).round() as u32);
        // Newcombe (Statistics in Medicine 17, 1998), table I, method 3.
        assert_eq!(rounded(Rate { errors: 81, trials: 263 }), [2553, 3662]);
        assert_eq!(rounded(Rate { errors: 15, trials: 148 }), [624, 1605]);
        assert_eq!(rounded(Rate { errors: 0, trials: 20 }), [0, 1611]);
        assert_eq!(rounded(Rate { errors: 1, trials: 29 }), [61, 1718]);
        assert_eq!(rounded(Rate::default()), [0, 10_000]);
    }

    #[test]
    fn rates_are_counted_at_each_threshold() {
        let pair = |differ: &[usize]| differ.iter().map(|&differ| Distance { differ, valid: 10 }).collect::<Vec<_>>();
        let (genuine, impostors) = ([pair(&[1, 5]), pair(&[3])], [pair(&[4, 6]), pair(&[5]), pair(&[2])]);
        let thresholds = ["0.3", "0.45"].map(|t| t.parse().unwrap());
        let rates = trade_off(thresholds, [&genuine, &impostors]);
        let counts = |o: &Operating| [o.false_match.errors, o.false_non_match.errors];
        assert_eq!(rates.iter().map(counts).collect::<Vec<_>>(), [[1, 1], [2, 0]]);
        assert_eq!((rates[0].false_match.trials, rates[0].false_non_match.trials), (3, 2));
    }
}
