//! How far figures can be from those of the customers themselves, of whom only counts in bins are told.

use super::Decile;
use crate::credit::TableError;
use serde::{Deserialize, Serialize};
use trefoil_circuits::credit::reference::{Confusion, Histogram};

/// The least and the most that a figure can be.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// The least.
    pub at_least: f64,
    /// The most.
    pub at_most: f64,
}

/// Whether a sum over bins is what was asked for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Every bin or level that was to be counted was.
    Exact,
    /// Some were merged, since they count too few customers: apart they give as much or more.
    AtLeast,
}

/// What a threshold comes to.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// The share of customers that are called what they are.
    pub accuracy: Rate,
    /// The share of those called bad that are; `None` if nobody is called so.
    pub precision: Option<Rate>,
    /// The share of bad customers that are called so.
    pub recall: Rate,
}

/// A share of the customers counted.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// The share.
    pub value: f64,
    /// How far it can be from that of all customers, whatever those are like who were left out; 0 if nobody was.
    pub error: f64,
}

impl Bounds {
    pub(super) fn exactly(value: f64) -> Self {
        Self { at_least: value, at_most: value }
    }

    /// Wider by so much on both sides, but from 0 to 1.
    fn widened(self, by: f64) -> Self {
        Self { at_least: (self.at_least - by).max(0.0), at_most: (self.at_most + by).min(1.0) }
    }

    /// The figure that follows from the bins that are told, if it does, for people, with what it is at least and at most.
    pub fn words(&self, told: Option<f64>, digits: usize) -> String {
        let [least, most] = [self.at_least, self.at_most].map(|value| format!("{value:.digits$}"));
        match told.map(|told| format!("{told:.digits$}")) {
            None => format!("not told (by the AUC, from {least} to {most})"),
            Some(told) if told == least && told == most => told,
            Some(told) if told == least => format!("at least {told}, at most {most}"),
            Some(told) => format!("{told}, from {least} to {most} of all customers"),
        }
    }
}

impl Bound {
    /// Exact if as many bins are told as were to be.
    pub(super) fn of(told: usize, meant: usize) -> Self {
        if told < meant { Self::AtLeast } else { Self::Exact }
    }

    /// A figure for people.
    pub(super) fn words(self, figure: f64) -> String {
        match self {
            Self::Exact => format!("{figure:.4}"),
            Self::AtLeast => format!("at least {figure:.4}"),
        }
    }
}

impl Rates {
    /// Those of a confusion, where so many more customers were left out.
    pub(crate) fn of(cells: &Confusion, left_out: u64) -> Self {
        let rate = |part: u64, whole: u64| {
            let value = part as f64 / whole.max(1) as f64;
            Rate { value, error: share_error(value, whole, left_out) }
        };
        let Confusion { true_bad, false_bad, true_good, false_good } = *cells;
        let called_bad = true_bad + false_bad;
        Self {
            accuracy: rate(true_bad + true_good, called_bad + true_good + false_good),
            precision: (called_bad > 0).then(|| rate(true_bad, called_bad)),
            recall: rate(true_bad, true_bad + false_good),
        }
    }
}

/// The probability from which customers were called bad in place of the one asked for, if these differ by more than the rounding of scores.
pub(crate) fn used(asked: f64, used: f64) -> Option<f64> {
    ((asked - used).abs() > asked.min(1.0 - asked).abs() / 1000.0).then_some(used)
}

/// How far a share of so many customers can be from that of these and others, if all of the others count or none.
pub(crate) fn share_error(share: f64, customers: u64, others: u64) -> f64 {
    let all = customers.saturating_add(others).max(1);
    others as f64 / all as f64 * share.max(1.0 - share)
}

/// Kolmogorov-Smirnov over the borders of the bins, and what that of the scores of all customers is between, of whom so many were left out.
/// Of a single bin nothing is told but what follows from what the area under the ROC curve of all customers is between.
pub(crate) fn ks(scores: &Histogram, left_out: u64, area: Bounds) -> (Option<f64>, Bounds) {
    let by_area = ks_by_area(area);
    if scores.totals().iter().filter(|customers| **customers > 0).count() < 2 {
        return (None, by_area);
    }
    let told = scores.ks();
    // Within a bin the ROC curve rises from one corner of a rectangle to the opposite one, and may pass by either of the other two.
    let curve = scores.roc();
    let corners = curve.windows(2).flat_map(|ends| [ends[1].1 - ends[0].0, ends[1].0 - ends[0].1]);
    let bounds = Bounds { at_least: told, at_most: corners.fold(told, f64::max) };
    let total = |counts: &[u64]| counts.iter().sum::<u64>() as f64;
    let bounds = bounds.widened(ks_error((total(scores.goods()), total(scores.bads())), left_out as f64));
    (Some(told), Bounds { at_most: bounds.at_most.min(by_area.at_most).max(bounds.at_least), ..bounds })
}

/// What Kolmogorov-Smirnov is between if the area under the ROC curve is between bounds: a curve that is nowhere farther than `k` above the diagonal has at most
/// `1 - (1 - k)^2 / 2` below it, and one that is so far above it somewhere has at least `k`; and the same below the diagonal.
fn ks_by_area(Bounds { at_least: low, at_most: high }: Bounds) -> Bounds {
    let at_least = [1.0 - low, high].map(|rest| 1.0 - (2.0 * rest).sqrt()).into_iter().fold(0.0, f64::max);
    Bounds { at_least, at_most: high.max(1.0 - low) }
}

/// How far two distributions of so many good and bad customers can move apart, or together, by others: each moves by the part that the others are
/// of its own, and they are good and bad in the numbers that move both most.
fn ks_error((goods, bads): (f64, f64), left_out: f64) -> f64 {
    let more_goods = (goods.sqrt() * (bads + left_out) - bads.sqrt() * goods) / (goods.sqrt() + bads.sqrt());
    let more_goods = more_goods.clamp(0.0, left_out);
    let more_bads = left_out - more_goods;
    more_goods / (goods + more_goods) + more_bads / (bads + more_bads)
}

/// Tenths of the customers, worst scores first; nothing of a single bin.
pub(super) fn deciles(scores: &Histogram) -> Result<Option<Vec<Decile>>, TableError> {
    let bins: Vec<(f64, f64)> =
        scores.goods().iter().zip(scores.bads()).map(|(g, b)| (*g as f64, *b as f64)).rev().collect();
    if bins.iter().filter(|(goods, bads)| goods + bads > 0.0).count() < 2 {
        return Ok(None);
    }
    let all: f64 = bins.iter().map(|bin| bin.1).sum();
    let customers: f64 = bins.iter().map(|bin| bin.0 + bin.1).sum();
    let (mut until, mut captured) = (0.0, 0.0);
    let decile = |(rows, bads, lift): (f64, f64, f64)| {
        let from = until;
        (until, captured) = (until + rows, captured + bads);
        let own = among(&bins, (from, until));
        let worst = among(&bins, (0.0, until));
        let lift_of = |bads: f64| bads / rows / (all / customers);
        Decile {
            rows,
            bads,
            lift,
            lift_bounds: Bounds { at_least: lift_of(own.at_least), at_most: lift_of(own.at_most) },
            captured: captured / all,
            captured_bounds: Bounds { at_least: worst.at_least / all, at_most: worst.at_most / all },
        }
    };
    Ok(Some(scores.lift(10)?.into_iter().map(decile).collect()))
}

/// The bad customers from one place to another, if customers stand bin after bin, in whatever order within each.
fn among(bins: &[(f64, f64)], (from, to): (f64, f64)) -> Bounds {
    let (mut start, mut bounds) = (0.0, Bounds::exactly(0.0));
    for (goods, bads) in bins {
        let end = start + goods + bads;
        let part = (end.min(to) - start.max(from)).max(0.0);
        bounds.at_least += (part - goods).max(0.0);
        bounds.at_most += part.min(*bads);
        start = end;
    }
    bounds
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use trefoil_circuits::credit::reference::Ranking;

    #[test]
    fn a_single_bin_tells_nothing_and_two_tell_bounds() {
        let one = Histogram::from_counts(vec![0, 70], vec![0, 30]).expect("both labels");
        let (told, by_area) = ks(&one, 0, Bounds::exactly(0.92));
        assert_eq!((told, deciles(&one).expect("tenths")), (None, None));
        assert_eq!(by_area.words(told, 3), "not told (by the AUC, from 0.600 to 0.920)");
        let two = Histogram::from_counts(vec![60, 40], vec![20, 80]).expect("both labels");
        let (told, bounds) = ks(&two, 0, Bounds { at_least: 0.5, at_most: 0.9 });
        // From (0, 0) by (0.4, 0.8): at best straight up in the upper bin, or first in the lower one.
        assert!((bounds.at_least - 0.4).abs() < 1e-12, "{bounds:?}");
        assert!((bounds.at_most - 0.8).abs() < 1e-12, "{bounds:?}");
        assert_eq!(bounds.words(told, 3), "at least 0.400, at most 0.800");
        assert_eq!(Bounds::exactly(0.4).words(Some(0.4), 3), "0.400");
        assert_eq!(ks(&two, 0, Bounds::exactly(0.7)).1.words(told, 3), "at least 0.400, at most 0.700");
        let wider = ks(&two, 20, Bounds { at_least: 0.4, at_most: 1.0 }).1;
        assert_eq!(wider.words(told, 3), "0.400, from 0.218 to 0.982 of all customers");
    }

    proptest! {
        #[test]
        fn figures_of_the_scores_are_within_the_bounds(
            customers in prop::collection::vec((0..60_u32, any::<bool>()), 2..150),
            borders in prop::collection::btree_set(1..60_u32, 1..8),
            kept in 1..150_usize,
        ) {
            let kept = kept.min(customers.len());
            let labels = |of: &[(u32, bool)]| of.iter().map(|c| c.1).collect::<Vec<_>>();
            prop_assume!(labels(&customers[..kept]).contains(&true) && labels(&customers[..kept]).contains(&false));
            let ranking = |of: &[(u32, bool)]| {
                Ranking::new(&of.iter().map(|c| f64::from(c.0)).collect::<Vec<_>>(), &labels(of)).expect("both labels")
            };
            let mut counts = [vec![0; borders.len() + 1], vec![0; borders.len() + 1]];
            for (score, bad) in &customers[..kept] {
                counts[usize::from(*bad)][borders.iter().filter(|border| *border <= score).count()] += 1;
            }
            let [goods, bads] = counts;
            let binned = Histogram::from_counts(goods, bads).expect("both labels");
            // The others, if any, were left out of the bins.
            for (left_out, all) in [(0, &customers[..kept]), (customers.len() - kept, &customers[..])] {
                let (exact, area) = (ranking(all).ks(), ranking(all).auc());
                for bounds in [ks(&binned, left_out as u64, Bounds::exactly(area)).1, ks_by_area(Bounds::exactly(area))] {
                    prop_assert!(bounds.at_least <= exact + 1e-12 && exact <= bounds.at_most + 1e-12, "{exact} {bounds:?}");
                }
            }
            // Ties may stand in any order: take one.
            let mut sorted = customers[..kept].to_vec();
            sorted.sort_by_key(|c| std::cmp::Reverse(c.0));
            let all = sorted.iter().filter(|c| c.1).count() as f64;
            // Whole tenths alone can be counted.
            if let Some(tenths) = deciles(&binned).expect("tenths").filter(|_| kept % 10 == 0) {
                let mut captured = 0.0;
                for (tenth, own) in tenths.iter().zip(sorted.chunks(kept / 10)) {
                    let bads = own.iter().filter(|c| c.1).count() as f64;
                    captured += bads / all;
                    let lift = bads / own.len() as f64 / (all / kept as f64);
                    for (exact, told, bounds) in
                        [(lift, tenth.lift, tenth.lift_bounds), (captured, tenth.captured, tenth.captured_bounds)]
                    {
                        let within = bounds.at_least - 1e-9..bounds.at_most + 1e-9;
                        prop_assert!(within.contains(&exact) && within.contains(&told), "{exact} {told} {bounds:?}");
                    }
                }
            }
        }

        #[test]
        fn rates_of_all_customers_are_within_the_error(
            counted in prop::array::uniform4(0..200_u64), others in prop::array::uniform4(0..30_u64),
        ) {
            let cells = |[true_bad, false_bad, true_good, false_good]: [u64; 4]| Confusion {
                true_bad, false_bad, true_good, false_good,
            };
            let told = Rates::of(&cells(counted), others.iter().sum());
            let all: Vec<u64> = counted.iter().zip(&others).map(|(a, b)| a + b).collect();
            let all = Rates::of(&cells([all[0], all[1], all[2], all[3]]), 0);
            let near = |told: Rate, all: Rate| (told.value - all.value).abs() <= told.error + 1e-12 && all.error == 0.0;
            if counted.iter().sum::<u64>() > 0 {
                prop_assert!(near(told.accuracy, all.accuracy));
            }
            if counted[0] + counted[3] > 0 {
                prop_assert!(near(told.recall, all.recall), "{told:?} {all:?}");
            }
            if let (Some(told), Some(all)) = (told.precision, all.precision) {
                prop_assert!(near(told, all));
            }
        }
    }
}
