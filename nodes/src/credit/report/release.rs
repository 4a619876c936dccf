//! From counts to what is released.

use super::{
    Aggregates, Attribute, AttributeBin, AttributeCounts, AttributeKind, Bound, Bounds, ConfusionCells, Figures, Merge,
    Numbers, REPORT_FORMAT, Rates, Report, ScoreBin, ScoreSum, Stability, StabilityBin, StabilityCounts, area, bounds,
    cells::{merge_around, merge_by, merge_nominal, merge_ordered},
    gini,
};
use crate::credit::TableError;
use std::ops::Range;
use trefoil_circuits::credit::reference::{Binning, Confusion, Histogram, psi};

/// Parts of the earlier population over which the stability index is meant to be.
const TENTHS: usize = 10;

impl Aggregates {
    /// The report of what may be released: no cell of it counts fewer good, or fewer bad, customers than `minimum_cell`. A column that counts fewer in all is left out.
    ///
    /// # Errors
    /// Fewer good or fewer bad customers in all than that, so that nothing may be released; a minimum of 0; or counts that do not
    /// fit together.
    pub fn release(&self, minimum_cell: u64) -> Result<Report, TableError> {
        if minimum_cell == 0 {
            return Err(mismatch("the minimum cell size is 0; it must be at least 1, and 10 is usual"));
        }
        self.check()?;
        let (goods, bads) = (self.scores.goods(), self.scores.bads());
        let (merge, border) = merge_around(self.threshold, goods, bads, minimum_cell);
        let Merge::Into(ranges) = merge else { return Err(too_few("the population", minimum_cell)) };
        let scores = self.score_bins(&ranges);
        let merged = Histogram::from_counts(
            scores.iter().map(|bin| bin.goods).collect(),
            scores.iter().map(|bin| bin.bads).collect(),
        )?;
        let (auc, auc_error) =
            self.exact.map_or((merged.auc(), merged.auc_error()), |exact| (exact.auc, exact.auc_error));
        let counted = (goods.iter().sum(), bads.iter().sum());
        let auc_bounds = area((auc, auc_error), counted, self.left_out);
        let exact_ks = self.exact.and_then(|exact| exact.ks).map(|ks| (Some(ks), Bounds::exactly(ks)));
        let (ks, ks_bounds) = exact_ks.unwrap_or_else(|| bounds::ks(&merged, self.left_out, auc_bounds));
        let confusion = if border { Some(self.scores.confusion(self.threshold)?) } else { None };
        let earlier =
            self.stability.as_ref().map(|counts| stability(counts, &scores, &ranges, minimum_cell)).transpose()?;
        let mut attributes = Vec::with_capacity(self.attributes.len());
        let mut columns_left_out = self.columns_left_out.clone();
        for counts in &self.attributes {
            match attribute(counts, minimum_cell)? {
                Some(attribute) => attributes.push(attribute),
                None => columns_left_out.push(counts.name.clone()),
            }
        }
        Ok(Report {
            format: REPORT_FORMAT,
            title: self.title.clone(),
            model: self.model.clone(),
            population: self.population.clone(),
            context: self.context.clone(),
            training: None,
            minimum_cell,
            goods: counted.0,
            bads: counted.1,
            left_out: self.left_out,
            uncounted: self.uncounted,
            figures: Figures {
                auc,
                auc_error,
                auc_bounds,
                gini: 2.0 * auc - 1.0,
                gini_bounds: gini(auc_bounds),
                ks,
                ks_bounds,
            },
            mean_score: self.mean_score,
            scores,
            confusion: confusion.as_ref().map(|cells| self.cells(cells)),
            rates: confusion.as_ref().map(|cells| Rates::of(cells, self.left_out)),
            deciles: bounds::deciles(&merged)?,
            stability: earlier,
            attributes,
            columns_left_out,
            coefficients: self.coefficients.clone(),
            scorecard: self.scorecard,
        })
    }

    /// Refuses what does not fit together, or is not finite.
    fn check(&self) -> Result<(), TableError> {
        let bins = self.scores.goods().len();
        let numbers = self.coefficients.iter().flat_map(|c| [Some(c.value), c.standard_error, c.p]);
        let scale = self.scorecard.iter().flat_map(|s| [s.base_score, s.odds, s.pdo].map(Some));
        let exact = self.exact.iter().flat_map(|e| [Some(e.auc), Some(e.auc_error), e.ks]);
        let exact = exact.chain(self.mean_score.iter().flat_map(|m| [m.mean, m.error].map(Some)));
        if numbers.chain(scale).chain(exact).flatten().any(|number| !number.is_finite()) {
            return Err(mismatch(
                "a coefficient, a figure or the scale of the scorecard is no finite number; leave it out",
            ));
        }
        match &self.score_sums {
            Some(sums) if sums.len() != bins => Err(mismatch("there is another number of sums than of bins of scores")),
            Some(sums) if sums.iter().any(|sum| !(sum.sum.is_finite() && sum.error.is_finite())) => {
                Err(mismatch("a sum of scores is no finite number"))
            }
            _ if self.cuts.len() + 1 != bins || !self.cuts.is_sorted() => {
                Err(mismatch("the cut points of scores do not rise, or are not one fewer than the bins"))
            }
            _ if self.threshold > bins || !self.threshold_asked.is_finite() => {
                Err(mismatch("the threshold is beyond the last bin of scores"))
            }
            _ => Ok(()),
        }
    }

    fn score_bins(&self, ranges: &[Range<usize>]) -> Vec<ScoreBin> {
        let bin = |range: &Range<usize>| {
            let (from, to) = (self.border(range.start), self.border(range.end));
            let (goods, bads) = (sum(self.scores.goods(), range), sum(self.scores.bads(), range));
            let sums = self.score_sums.as_ref().and_then(|sums| sums.get(range.clone()));
            let mean = |of: fn(&ScoreSum) -> f64| Some(sums?.iter().map(of).sum::<f64>() / (goods + bads) as f64);
            let predicted = mean(|sum| sum.sum).unwrap_or(f64::midpoint(from, to));
            let predicted_error = mean(|sum| sum.error).unwrap_or((to - from) / 2.0);
            ScoreBin { from, to, goods, bads, predicted, predicted_error }
        };
        ranges.iter().map(bin).collect()
    }

    /// The score between a bin and the one before.
    fn border(&self, bin: usize) -> f64 {
        bin.checked_sub(1).map_or(0.0, |below| self.cuts.get(below).copied().unwrap_or(1.0))
    }

    fn cells(&self, c: &Confusion) -> ConfusionCells {
        ConfusionCells {
            threshold: self.threshold_asked,
            threshold_used: bounds::used(self.threshold_asked, self.border(self.threshold)),
            true_bad: c.true_bad,
            false_bad: c.false_bad,
            true_good: c.true_good,
            false_good: c.false_good,
        }
    }
}

/// Compares over bins that are unions of the score's: other ones would tell of few customers by difference.
fn stability(
    counts: &StabilityCounts,
    scores: &[ScoreBin],
    ranges: &[Range<usize>],
    minimum: u64,
) -> Result<Stability, TableError> {
    let (expected, last) = (&counts.expected, ranges.last().map_or(0, |last| last.end));
    if [Some(expected), counts.actual.as_ref()].into_iter().flatten().any(|counts| counts.len() != last) {
        return Err(mismatch("the earlier population is counted in another number of bins"));
    }
    // Bins of this population, by their places, between borders that are known of the earlier one too.
    let told = |counts: &Vec<u64>, end: usize| counts.get(end - 1) > Some(&0);
    let both = |end: usize| told(expected, end) && counts.actual.iter().all(|actual| told(actual, end));
    let known = |end: usize| !counts.merged || end == last || both(end);
    let mut common: Vec<Range<usize>> = Vec::new();
    for (i, _) in ranges.iter().enumerate().filter(|(_, range)| known(range.end)) {
        common.push(common.last().map_or(0, |last| last.end)..i + 1);
    }
    let all: Vec<u64> = match &counts.actual {
        Some(actual) => ranges.iter().map(|range| sum(actual, range)).collect(),
        None => scores.iter().map(|bin| bin.goods + bin.bads).collect(),
    };
    let now: Vec<u64> = common.iter().map(|bins| sum(&all, bins)).collect();
    let before: Vec<u64> = ranges.iter().map(|range| sum(expected, range)).collect();
    let then: Vec<u64> = common.iter().map(|bins| sum(&before, bins)).collect();
    // Tenths of the earlier population, as nearly as its bins allow: the index grows with the number of bins.
    let tenth = then.iter().sum::<u64>() / TENTHS as u64;
    let Merge::Into(merged) = merge_by(&then, &now, (minimum.max(tenth), minimum)) else {
        return Err(TableError::Mismatch(format!(
            "the earlier population counts fewer than {minimum} customers, so nothing may be released of it; leave it out"
        )));
    };
    let bin = |range: &Range<usize>| {
        let (first, last) = (common.get(range.start)?, common.get(range.end.checked_sub(1)?)?);
        let (first, last) = (scores.get(first.start)?, scores.get(last.end - 1)?);
        Some(StabilityBin { from: first.from, to: last.to, expected: sum(&then, range), actual: sum(&now, range) })
    };
    let bins: Vec<_> = merged.iter().filter_map(bin).collect();
    let side = |of: fn(&StabilityBin) -> u64| bins.iter().map(of).collect::<Vec<_>>();
    let psi = psi(&side(|bin| bin.expected), &side(|bin| bin.actual))?;
    let psi = (bins.len() > 1).then_some(psi);
    Ok(Stability { reference: counts.reference.clone(), psi, bound: Bound::of(bins.len(), TENTHS), bins })
}

/// What a column tells; nothing if too few were counted.
fn attribute(counts: &AttributeCounts, minimum: u64) -> Result<Option<Attribute>, TableError> {
    let cells = match &counts.kind {
        AttributeKind::Ordered(binning, numbers) => ordered(binning, *numbers, minimum)?,
        // One cell of all customers tells nothing.
        AttributeKind::Nominal(levels) => {
            nominal(levels, minimum).filter(|cells| cells.len() > 1).map(|cells| (cells.len(), cells))
        }
    };
    let Some((told, cells)) = cells else { return Ok(None) };
    // The cuts do not matter for the weights: any rising ones will do.
    let cuts = (1..cells.len()).map(|i| i as f64).collect();
    let binning = Binning::from_counts(cuts, cells.iter().map(|c| c.1).collect(), cells.iter().map(|c| c.2).collect())?;
    let bins = cells.into_iter().zip(binning.woe());
    Ok(Some(Attribute {
        name: counts.name.clone(),
        information_value: binning.information_value(),
        bound: Bound::of(told, counts.meant),
        meant: counts.meant,
        bins: bins.map(|((label, goods, bads), woe)| AttributeBin { label, goods, bads, woe }).collect(),
    }))
}

/// Label, good and bad customers of each cell.
type Cells = Vec<(String, u64, u64)>;

/// Ranges of a column of numbers: none too small, and the rate of bad customers rises from each to the next, or falls. Beside them, how many there were before they were merged for the latter.
fn ordered(binning: &Binning, numbers: Numbers, minimum: u64) -> Result<Option<(usize, Cells)>, TableError> {
    let Merge::Into(ranges) = merge_ordered(binning.goods(), binning.bads(), minimum) else { return Ok(None) };
    if ranges.len() < 2 {
        return Ok(None);
    }
    let cuts = ranges.iter().filter_map(|range| binning.cuts().get(range.end - 1).copied()).collect();
    let sums = |counts: &[u64]| ranges.iter().map(|range| sum(counts, range)).collect();
    let large = Binning::from_counts(cuts, sums(binning.goods()), sums(binning.bads()))?;
    let monotonic = large.monotonic(large.direction());
    let counts = monotonic.goods().iter().zip(monotonic.bads());
    let cell = |(label, (goods, bads)): (String, (&u64, &u64))| (label, *goods, *bads);
    let cells = labels(monotonic.cuts(), numbers).into_iter().zip(counts).map(cell).collect();
    Ok(Some((ranges.len(), cells)))
}

/// Ranges between cut points, as people read them.
fn labels(cuts: &[f64], numbers: Numbers) -> Vec<String> {
    let whole: Vec<f64> = cuts.iter().map(|cut| cut.floor()).collect();
    let rises = whole.windows(2).all(|pair| pair[0] < pair[1]);
    let of = |k: usize, texts: &[String]| {
        (k.checked_sub(1).and_then(|before| texts.get(before)).cloned(), texts.get(k).cloned())
    };
    let range = |k: usize| match numbers {
        _ if cuts.is_empty() => "all".to_owned(),
        Numbers::Bits if cuts.len() == 1 => ["no (0)", "yes (1)"][k.min(1)].to_owned(),
        Numbers::Whole if rises => {
            let least = k.checked_sub(1).and_then(|before| whole.get(before)).map(|below| below + 1.0);
            match (least, whole.get(k)) {
                (Some(least), Some(most)) if *most <= least => format!("{most}"),
                (Some(least), Some(most)) => format!("{least} to {most}"),
                (Some(least), None) => format!("{least} or more"),
                (None, most) => format!("at most {}", most.copied().unwrap_or_default()),
            }
        }
        _ => match of(k, &rounded(cuts)) {
            (Some(from), Some(to)) => format!("above {from} to {to}"),
            (Some(from), None) => format!("above {from}"),
            (None, to) => format!("up to {}", to.unwrap_or_default()),
        },
    };
    (0..=cuts.len()).map(range).collect()
}

/// Cut points as people read them: of six digits, or of as many as tell each from the others.
fn rounded(cuts: &[f64]) -> Vec<String> {
    let of = |digits: usize| {
        let short = |cut: &f64| format!("{cut:.digits$e}").parse().unwrap_or(*cut).to_string();
        cuts.iter().map(short).collect::<Vec<_>>()
    };
    // Seventeen digits tell any two numbers apart.
    let differ = |labels: &Vec<String>| labels.windows(2).all(|pair| pair[0] != pair[1]);
    (5..16).map(of).find(differ).unwrap_or_else(|| of(16))
}

fn nominal(levels: &[(String, u64, u64)], minimum: u64) -> Option<Cells> {
    let groups = merge_nominal(levels, minimum)?;
    let cell = |group: &Vec<usize>| {
        let own = || group.iter().filter_map(|&i| levels.get(i));
        let names: Vec<&str> = own().map(|level| level.0.as_str()).collect();
        (names.join(", "), own().map(|level| level.1).sum(), own().map(|level| level.2).sum())
    };
    Some(groups.iter().map(cell).collect())
}

/// The sum over a range of bins, which is within them.
fn sum(counts: &[u64], range: &Range<usize>) -> u64 {
    counts.get(range.clone()).unwrap_or_default().iter().sum()
}

fn mismatch(message: &str) -> TableError {
    TableError::Mismatch(message.to_owned())
}

fn too_few(what: &str, minimum: u64) -> TableError {
    TableError::Mismatch(format!(
        "{what} counts fewer than {minimum} good or fewer than {minimum} bad customers, so nothing may be released of it; pool more \
         customers, or leave it out"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_of_numbers_are_monotonic_and_their_cuts_short() {
        let cuts = vec![0.1 + 0.2, 1.0 / 3.0, 36_523.100_000_04, 1e6 / 3.0];
        let counts = |goods, bads| AttributeCounts {
            name: "income".to_owned(),
            kind: AttributeKind::Ordered(
                Binning::from_counts(cuts.clone(), goods, bads).expect("a binning"),
                Numbers::Any,
            ),
            meant: 5,
        };
        let cells = |goods, bads| {
            let told = attribute(&counts(goods, bads), 10).expect("counts")?;
            let rates: Vec<f64> = told.bins.iter().map(|bin| bin.woe).collect();
            assert!(rates.is_sorted() || rates.is_sorted_by(|a, b| a >= b), "{rates:?}");
            Some(told.bins.into_iter().map(|bin| (bin.label, bin.goods, bin.bads)).collect::<Vec<_>>())
        };
        let cell = |label: &str, goods, bads| (label.to_owned(), goods, bads);
        // Rates of 50, 30, 40, 20 and 10 in a hundred: the second and the third are one.
        assert_eq!(
            cells(vec![50, 70, 60, 80, 90], vec![50, 30, 40, 20, 10]),
            Some(vec![
                cell("up to 0.3", 50, 50),
                cell("above 0.3 to 36523.1", 130, 70),
                cell("above 36523.1 to 333333", 80, 20),
                cell("above 333333", 90, 10),
            ])
        );
        // The small bin joins the next one, and all have the same rate then.
        assert_eq!(cells(vec![5, 85, 90, 90, 90], vec![5, 5, 10, 10, 10]), Some(vec![cell("all", 360, 40)]));
        assert_eq!(cells(vec![0, 0, 0, 0, 300], vec![0, 0, 0, 0, 40]), None);
    }

    #[test]
    fn whole_numbers_and_truth_values_read_naturally() {
        let told = |cuts: &[f64], numbers| labels(cuts, numbers).join(", ");
        assert_eq!(told(&[48.001, 49.2, 60.0], Numbers::Whole), "at most 48, 49, 50 to 60, 61 or more");
        assert_eq!(told(&[-3.5, 0.0, 250_000.0], Numbers::Whole), "at most -4, -3 to 0, 1 to 250000, 250001 or more");
        assert_eq!(told(&[0.5], Numbers::Bits), "no (0), yes (1)");
        assert_eq!(told(&[48.001, 48.2], Numbers::Whole), "up to 48.001, above 48.001 to 48.2, above 48.2");
        assert_eq!(told(&[], Numbers::Bits), "all");
    }

    #[test]
    fn cut_points_are_told_apart_by_their_labels() {
        assert_eq!(rounded(&[1.0 + 1e-9, 1.0 + 2e-9]), ["1.000000001", "1.000000002"]);
        assert_eq!(rounded(&[-1e7 / 3.0, 0.0, 2_000_000.0]), ["-3333330", "0", "2000000"]);
        let near = [1.0, 1.0 + f64::EPSILON];
        assert_ne!(rounded(&near)[0], rounded(&near)[1]);
    }
}
