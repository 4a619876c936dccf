//! Cut points of a column of numbers: of equal frequency, found by counts without labels.

use crate::credit::report::Numbers;
use trefoil_circuits::credit::{FEATURE_LIMIT, Number};

/// Cut points for each doubling of the distance from the mean: between the distances where most values of a column lie, and elsewhere.
const STEPS: [i32; 2] = [32, 4];
/// These distances, in deviations, as powers of two. No value is beyond 128 deviations, so outliers on one side, however few and far, move the mean away from the others by a hundredth of a deviation at least.
const NEAR: std::ops::Range<i32> = -7..2;
/// The distances of all cut points.
const ALL: std::ops::Range<i32> = -12..7;

/// A value between two bins: numbers that are not above it are in the lower one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cut {
    /// In the unit of the column.
    pub(super) value: f64,
    /// Standardized, in units of [`Number::ULP`].
    pub(super) at: i64,
}

impl Cut {
    pub(super) fn new(value: f64, (mean, sd): (f64, f64)) -> Self {
        Self { value, at: ((value - mean) / sd / Number::ULP).round() as i64 }
    }
}

/// Rising cut points that lie the closer the nearer they are to the mean: one table of moments, one grid. They are round numbers, so that what is told of them is exact.
pub(super) fn grid(moments: (f64, f64)) -> Vec<Cut> {
    let (mean, sd) = moments;
    let steps = |power: i32| STEPS[usize::from(!NEAR.contains(&power))];
    let distance = |power: i32| {
        let steps = steps(power);
        (0..steps).map(move |k| (f64::from(power) + f64::from(k) / f64::from(steps)).exp2())
    };
    let above: Vec<f64> = ALL.flat_map(distance).collect();
    let all: Vec<f64> = above.iter().rev().map(|z| -z).chain([0.0]).chain(above.iter().copied()).collect();
    let gap = |k: usize| {
        let gap = |k: usize| Some(all.get(k + 1)? - all.get(k)?);
        gap(k).into_iter().chain(k.checked_sub(1).and_then(gap)).fold(f64::INFINITY, f64::min)
    };
    let mut cuts: Vec<Cut> = Vec::new();
    for (k, z) in all.iter().enumerate() {
        let cut = Cut::new(round(mean + z * sd, gap(k) * sd), moments);
        let within = cut.at.unsigned_abs() as f64 * Number::ULP <= FEATURE_LIMIT;
        if within && cut.value.is_finite() && cuts.last().is_none_or(|last| last.at < cut.at) {
            cuts.push(cut);
        }
    }
    cuts
}

/// That all values are whole is taken for granted if it would be by chance with this probability.
const CHANCE: f64 = 1e-3;

/// What the values of a column are, of which so many were counted between cut points.
///
/// A range that was told ends where customers are: between the last two cut points. If a whole number is between these, at the end of every range, and the cut points are too close for that to be chance, all values
/// are whole.
pub(super) fn numbers(cuts: &[Cut], counts: &[u64]) -> Numbers {
    let mut chance = 1.0;
    let ends = cuts.windows(2).zip(counts.iter().skip(1)).filter(|(_, count)| **count > 0);
    for (pair, _) in ends {
        let (before, at) = (pair[0].value, pair[1].value);
        if at.floor() < before {
            return Numbers::Any;
        }
        chance *= (at - before).min(1.0);
    }
    if chance < CHANCE { Numbers::Whole } else { Numbers::Any }
}

/// The nearest decimal number with no digit below those of a gap.
fn round(value: f64, gap: f64) -> f64 {
    let digits = gap.log10().floor() as i32;
    // Powers of ten of whole exponents are exact up to 22, and so one division rounds to the nearest decimal.
    if digits < 0 {
        let unit = 10_f64.powi(-digits);
        (value * unit).round() / unit
    } else {
        let unit = 10_f64.powi(digits);
        (value / unit).round() * unit
    }
}

#[cfg(test)]
mod tests {
    use super::{super::quantiles, *};
    use crate::credit::{Schema, Values, read};
    use proptest::prelude::*;
    use std::path::PathBuf;
    use trefoil_circuits::credit::{Counts, OnCut, Split};

    const MINIMUM: u64 = 10;

    fn moments(values: &[f64]) -> (f64, f64) {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        (mean, (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt())
    }

    /// What the nodes tell of the values of several owners between cut points.
    fn counted(parts: &[Vec<f64>], cuts: &[Cut], moments: (f64, f64)) -> Vec<u64> {
        let points: Vec<f64> = cuts.iter().map(|cut| cut.at as f64 * Number::ULP).collect();
        let rows = parts.iter().map(Vec::len).collect();
        let counts = Counts::new(rows, (&points, OnCut::Lower), Split::Whole, MINIMUM).expect("cut points");
        let values: Vec<i64> = parts.iter().flatten().map(|x| Cut::new(*x, moments).at).collect();
        counts.plain(&values, &[]).remove(0)
    }

    /// The cut points of a column that one owner has, and how many values are between them.
    fn binned(values: &[f64]) -> (Vec<f64>, Vec<usize>) {
        let moments = moments(values);
        let grid = grid(moments);
        let cuts: Vec<f64> =
            quantiles(&counted(&[values.to_vec()], &grid, moments), 10).iter().map(|k| grid[*k].value).collect();
        let mut bins = vec![0; cuts.len() + 1];
        for x in values {
            bins[cuts.partition_point(|cut| cut < x)] += 1;
        }
        (cuts, bins)
    }

    #[test]
    fn a_grid_rises_and_its_numbers_are_round() {
        for (mean, sd) in [(66_074.8, 61_981.2), (0.17, 0.1), (2015.0, 3.0), (6.0, 250.0), (-3e9, 2e7), (1e-6, 1e-7)] {
            let grid = grid((mean, sd));
            assert!(grid.len() > 500 && grid.len() < 1024, "{}", grid.len());
            assert!(grid.windows(2).all(|pair| pair[0].at < pair[1].at && pair[0].value < pair[1].value));
            let digits = |cut: &Cut| format!("{:e}", cut.value).len();
            assert!(grid.iter().all(|cut| digits(cut) <= 15), "{mean} {sd}");
        }
        assert_eq!(round(36_523.456, 30.0).to_string(), "36520");
        assert_eq!(round(0.123_456, 0.002).to_string(), "0.123");
    }

    #[test]
    fn bins_of_the_loans_have_a_tenth_of_the_customers_each() {
        let dir: PathBuf = [env!("CARGO_MANIFEST_DIR"), "data", "credit"].iter().collect();
        let schema = Schema::read(&dir.join("schema.toml")).expect("the schema");
        let loans = read(&schema, &dir.join("credit_risk_dataset.csv")).expect("the loans");
        for name in ["person_income", "loan_amnt", "loan_int_rate", "loan_percent_income"] {
            let place = schema.columns().iter().position(|column| column.name == name).expect(name);
            let Values::Numbers(values) = &loans.columns()[place] else { panic!("{name} has no numbers") };
            let (cuts, bins) = binned(values);
            assert_eq!(seen(values), Numbers::Any, "{name}");
            let tenth = values.len() / 10;
            // Many loans have the same round sum or rate, and no cut point divides these.
            let most = if name == "person_income" { tenth / 20 } else { tenth / 2 };
            assert!(cuts.len() == 9 && bins.iter().all(|bin| bin.abs_diff(tenth) <= most), "{name}: {bins:?}");
        }
    }

    /// What the values of three owners seem to be.
    fn seen(values: &[f64]) -> Numbers {
        let moments = moments(values);
        let grid = grid(moments);
        let parts: Vec<Vec<f64>> = (0..3).map(|k| values.iter().skip(k).step_by(3).copied().collect()).collect();
        numbers(&grid, &counted(&parts, &grid, moments))
    }

    #[test]
    fn whole_numbers_are_told_from_others() {
        let dir: PathBuf = [env!("CARGO_MANIFEST_DIR"), "data", "credit"].iter().collect();
        let schema = Schema::read(&dir.join("schema.toml")).expect("the schema");
        let loans = read(&schema, &dir.join("credit_risk_dataset.csv")).expect("the loans");
        for name in ["person_age", "cb_person_cred_hist_length"] {
            let place = schema.columns().iter().position(|column| column.name == name).expect(name);
            let Values::Numbers(values) = &loans.columns()[place] else { panic!("{name} has no numbers") };
            assert_eq!((seen(values), seen(&values[..375])), (Numbers::Whole, Numbers::Whole), "{name}");
            let halves: Vec<f64> = values.iter().map(|value| value / 2.0).collect();
            assert_eq!(seen(&halves), Numbers::Any, "{name}");
        }
    }

    #[test]
    fn outliers_do_not_put_all_others_into_one_bin() {
        // Nearly all below 1.1, a few far away: on one side, or on both.
        for far in [[16_000.0, 16_000.0], [20_000.0, -9_000.0]] {
            let near = (0..32_000).map(|k| 1.1 * f64::from(k * 7919 % 32_000) / 32_000.0);
            let values: Vec<f64> = near.chain(far.into_iter().cycle().take(6)).collect();
            let (_, bins) = binned(&values);
            assert!(bins.len() >= 6 && bins.iter().all(|bin| *bin <= 8_000), "{bins:?}");
        }
    }

    #[test]
    fn few_values_have_few_cut_points_and_one_value_none() {
        let values: Vec<f64> = (0..400).map(|k| f64::from(k % 4 / 2)).collect();
        assert_eq!(binned(&values).1, [200, 200]);
        let mostly: Vec<f64> = (0..400).map(|k| if k % 4 == 0 { f64::from(k) } else { 0.0 }).collect();
        let bins = binned(&mostly).1;
        assert!(bins[0] == 301 && bins.len() >= 3, "{bins:?}");
        assert!(quantiles(&counted(&[vec![7.0; 400]], &grid((7.0, 1.0)), (7.0, 1.0)), 10).is_empty());
        assert!(quantiles(&[], 10).is_empty() && quantiles(&[0, 0, 30], 10).is_empty());
        assert_eq!(quantiles(&[0, 50, 0, 40, 0, 10], 10), [1, 3]);
    }

    proptest! {
        /// Between any two neighbouring borders of the two counts together is nobody of an owner, or enough, if the owner is counted at all.
        #[test]
        fn no_difference_of_the_two_counts_is_about_few_customers(
            parts in prop::collection::vec(prop::collection::vec(-50..400_i32, 0..200), 1..4),
        ) {
            let parts: Vec<Vec<f64>> = parts.iter().map(|part| part.iter().map(|x| f64::from(*x)).collect()).collect();
            let moments = (60.0, 100.0);
            let grid = grid(moments);
            let first = counted(&parts, &grid, moments);
            let ends: Vec<usize> = (0..grid.len()).filter(|k| first[*k] > 0).collect();
            let second: Vec<Cut> = quantiles(&first, 10).iter().map(|k| grid[*k]).collect();
            prop_assert!(quantiles(&first, 10).iter().all(|k| ends.contains(k)));
            let mut borders: Vec<f64> = ends.iter().map(|k| grid[*k].value).chain(second.iter().map(|cut| cut.value)).collect();
            borders.sort_by(f64::total_cmp);
            borders.dedup();
            for part in parts.iter().filter(|part| part.len() as u64 >= MINIMUM) {
                let mut bins = vec![0; borders.len() + 1];
                for x in part {
                    bins[borders.partition_point(|border| border < x)] += 1;
                }
                prop_assert!(bins.iter().all(|bin| *bin >= MINIMUM), "{bins:?}");
            }
        }
    }
}
