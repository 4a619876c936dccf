//! Bins merged until each counts enough.

use super::DataError;
use std::ops::Range;

/// The counts of several owners together, in which no bin counts fewer than a minimum of any class of customers of any owner.
///
/// `parts[owner][class][bin]` are the counts, and so is the result without the owners. An owner with fewer customers of a class than the minimum is left out as a whole. Neighbouring bins of the others are merged, the same ones for all
/// classes and owners, from the lowest one on: a range of bins ends as soon as it counts the minimum of each class of each owner, if what is left does as well. If the bins below `border` do and those
/// from it on, both sides are merged for themselves, so that what they count remains exact; else the border is no other than the rest. The count of a range is that of its last bin, and its other bins count zero. With a minimum
/// below 2 nothing is left out or merged.
///
/// **What it tells.** A range ends where a count is not zero, so the counts tell the ranges. All that can be added up or taken away of them is the number of customers of a class in some whole ranges: of each owner who is not left
/// out at least the minimum, if it is known of all others, or none. Of a border within a range it is told that the range could not end there: of some class and owner, fewer than the minimum are between the beginning of the range
/// and that border, or between it and the end of the side; of the border that was asked for, if it is within one, that fewer are on one side of it. How many they are is not told, nor of which class: no count of some bins follows but those of whole ranges. Of an owner who
/// is left out it is told that there are fewer than the minimum of a class.
///
/// # Errors
/// Owners with different numbers of classes or bins.
pub fn merged(parts: &[Vec<Vec<u64>>], border: Option<usize>, minimum: u64) -> Result<Vec<Vec<u64>>, DataError> {
    let classes = parts.first().map_or(0, Vec::len);
    let bins = parts.first().and_then(|part| part.first()).map_or(0, Vec::len);
    for part in parts {
        DataError::lengths("classes of an owner", part.len(), classes)?;
        for cells in part {
            DataError::lengths("bins of an owner", cells.len(), bins)?;
        }
    }
    let total = |cells: &[u64]| cells.iter().fold(0, |sum: u64, cell| sum.saturating_add(*cell));
    let large = |part: &&Vec<Vec<u64>>| minimum < 2 || part.iter().all(|cells| total(cells) >= minimum);
    let kept: Vec<_> = parts.iter().filter(large).collect();
    let enough = |range: Range<usize>| {
        minimum < 2 || kept.iter().all(|part| part.iter().all(|cells| total(&cells[range.clone()]) >= minimum))
    };
    let ranges = match border.filter(|border| (1..bins).contains(border)) {
        Some(border) if enough(0..border) && enough(border..bins) => {
            [ranges(0..border, enough), ranges(border..bins, enough)].concat()
        }
        _ => ranges(0..bins, enough),
    };
    let mut together = vec![vec![0_u64; bins]; classes];
    for (class, cells) in together.iter_mut().enumerate() {
        for range in &ranges {
            if let Some(last) = cells.get_mut(range.end - 1) {
                *last = kept.iter().fold(0, |sum, part| sum.saturating_add(total(&part[class][range.clone()])));
            }
        }
    }
    Ok(together)
}

/// The shortest ranges that count enough, from the first bin on, each followed by enough.
fn ranges(bins: Range<usize>, enough: impl Fn(Range<usize>) -> bool) -> Vec<Range<usize>> {
    let (mut from, mut ranges) = (bins.start, Vec::new());
    for border in bins.start + 1..bins.end {
        if enough(from..border) && enough(border..bins.end) {
            ranges.push(from..border);
            from = border;
        }
    }
    if !bins.is_empty() {
        ranges.push(from..bins.end);
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn small_bins_are_merged_on_either_side_of_the_border() {
        let goods = vec![50, 30, 9, 20, 10, 5, 4, 3];
        let bads = vec![9, 11, 10, 10, 9, 30, 20, 50];
        let merge = |border, minimum| merged(&[vec![goods.clone(), bads.clone()]], border, minimum).unwrap();
        assert_eq!(merge(None, 10), [[0, 80, 0, 29, 0, 0, 0, 22], [0, 20, 0, 20, 0, 0, 0, 109]]);
        assert_eq!(merge(Some(5), 10), [[0, 80, 0, 0, 39, 0, 0, 12], [0, 20, 0, 0, 29, 0, 0, 100]]);
        // Seven good ones above: it cannot be told where that is.
        assert_eq!(merge(Some(6), 10), merge(None, 10));
        assert_eq!(merge(Some(6), 7), [[50, 30, 9, 20, 0, 15, 0, 7], [9, 11, 10, 10, 0, 39, 0, 70]]);
        assert_eq!(merge(Some(6), 1), [goods.clone(), bads.clone()]);
        assert_eq!(merge(None, 132), [[0; 8], [0; 8]]);
    }

    #[test]
    fn the_smallest_owner_that_is_not_left_out_decides() {
        let large = vec![vec![90, 70, 30], vec![10, 20, 30]];
        let small = vec![vec![9, 7, 3], vec![1, 2, 3]];
        let merge = |parts: &[_]| merged(parts, None, 5).unwrap();
        assert_eq!(merge(&[large.clone(), small.clone()]), [[0, 0, 209], [0, 0, 66]]);
        assert_eq!(merge(&[large.clone(), vec![vec![9, 7, 3], vec![1, 1, 2]]]), large);
        assert!(merged(&[large, vec![vec![1, 2]]], None, 5).is_err());
        assert_eq!(merged(&[], None, 5), Ok(vec![]));
    }

    /// All tables of so many bins that count at most so many of each class.
    fn tables(classes: usize, bins: usize, most: u64) -> Vec<Vec<Vec<u64>>> {
        let extended = |rows: Vec<Vec<u64>>| {
            rows.into_iter().flat_map(move |row| {
                let left = most - row.iter().sum::<u64>();
                (0..=left).map(move |count| [&row[..], &[count]].concat())
            })
        };
        let rows = (0..bins).fold(vec![vec![]], |rows, _| extended(rows).collect::<Vec<_>>());
        (0..classes).fold(vec![vec![]], |tables, _| {
            tables
                .iter()
                .flat_map(|table| rows.iter().map(|row| [&table[..], std::slice::from_ref(row)].concat()))
                .collect()
        })
    }

    /// Whatever is told, and for whatever bins that are no whole ranges, there are tables with other counts there of which the same is told.
    #[test]
    fn no_count_but_those_of_whole_ranges_follows_from_what_is_told() {
        for (classes, bins, most, minimum) in [(1, 4, 11, 3), (2, 3, 5, 2)] {
            let tables = tables(classes, bins, most);
            for border in (0..bins).map(|border| (border > 0).then_some(border)) {
                let mut seen = std::collections::BTreeMap::new();
                for table in &tables {
                    let told = merged(std::slice::from_ref(table), border, minimum).unwrap();
                    seen.entry(told).or_insert_with(Vec::new).push(table);
                }
                for (told, tables) in seen.iter().filter(|(told, _)| told[0][bins - 1] > 0) {
                    let told_at = |end: usize| end == 0 || told[0][end - 1] > 0;
                    let within = (0..bins).flat_map(|from| (from + 1..=bins).map(move |end| (from, end)));
                    for (from, end) in within.filter(|&(from, end)| !told_at(from) || !told_at(end)) {
                        for class in 0..classes {
                            let count = |table: &&Vec<Vec<u64>>| table[class][from..end].iter().sum::<u64>();
                            let first = count(&tables[0]);
                            assert!(tables.iter().any(|table| count(table) != first), "{told:?}: {from}..{end}");
                        }
                    }
                }
            }
        }
    }

    /// The ends of ranges that are told, but the last one.
    fn ends(cells: &[u64]) -> Vec<usize> {
        (1..cells.len()).filter(|end| cells[end - 1] > 0).collect()
    }

    /// What two counts tell: one of customers without their class, and one by class between some of the ends that the first one tells, and the border if that is one of them.
    fn told_twice(table: &[Vec<u64>], border: Option<usize>, (minimum, every): (u64, usize)) -> [Vec<Vec<u64>>; 2] {
        let totals = table[0].iter().zip(&table[1]).map(|(good, bad)| good + bad).collect();
        let first = merged(&[vec![totals]], border, minimum).unwrap();
        let known = ends(&first[0]);
        let chosen: Vec<usize> = (known.iter().enumerate())
            .filter_map(|(k, end)| (k % every == 0 || Some(*end) == border).then_some(*end))
            .chain([table[0].len()])
            .collect();
        let begins = || std::iter::once(0).chain(chosen.iter().copied());
        let coarse =
            |cells: &Vec<u64>| begins().zip(&chosen).map(|(from, end)| cells[from..*end].iter().sum()).collect();
        let around = border.and_then(|border| chosen.iter().position(|end| *end == border)).map(|below| below + 1);
        let second = merged(&[table.iter().map(coarse).collect()], around, minimum).unwrap();
        let mut by_class = vec![vec![0; table[0].len()]; 2];
        for (cells, all) in second.iter().zip(&mut by_class) {
            cells.iter().zip(&chosen).for_each(|(cell, end)| all[end - 1] = *cell);
        }
        [first, by_class]
    }

    /// Nor does one from both counts of an evaluation: not of customers but those of whole ranges of the first one, and not of a class but those of whole ranges of the second.
    #[test]
    fn no_count_but_those_of_whole_ranges_follows_from_two_counts() {
        const BINS: usize = 4;
        let tables = tables(2, BINS, 5);
        for (border, every) in [(None, 1), (None, 2), (Some(1), 1), (Some(2), 2), (Some(3), 1)] {
            let mut seen = std::collections::BTreeMap::new();
            for table in &tables {
                seen.entry(told_twice(table, border, (2, every))).or_insert_with(Vec::new).push(table);
            }
            let mut fine = 0;
            for ([first, second], tables) in seen.iter().filter(|([first, _], _)| first[0][BINS - 1] > 0) {
                let known = |told: &[u64], at: usize| at == 0 || at == BINS || told[at - 1] > 0;
                fine += usize::from(ends(&first[0]).len() > ends(&second[0]).len());
                let by_class = second[0][BINS - 1] > 0;
                for (from, end) in (0..BINS).flat_map(|from| (from + 1..=BINS).map(move |end| (from, end))) {
                    let count = |table: &Vec<Vec<u64>>, class: usize| table[class][from..end].iter().sum::<u64>();
                    let follows =
                        |of: &dyn Fn(&Vec<Vec<u64>>) -> u64| tables.iter().all(|table| of(table) == of(tables[0]));
                    if !known(&first[0], from) || !known(&first[0], end) {
                        assert!(!follows(&|table| count(table, 0) + count(table, 1)), "{first:?}: {from}..{end}");
                    }
                    if !by_class || !known(&second[0], from) || !known(&second[0], end) {
                        for class in 0..2 {
                            assert!(!follows(&|table| count(table, class)), "{first:?} {second:?}: {from}..{end}");
                        }
                    }
                }
            }
            assert!(fine > 10, "the first count tells more ranges");
        }
    }

    fn parts() -> impl Strategy<Value = Vec<Vec<Vec<u64>>>> {
        (1..4_usize, 1..3_usize, 1..12_usize).prop_flat_map(|(parts, classes, bins)| {
            let cells = prop::collection::vec(0..40_u64, bins);
            prop::collection::vec(prop::collection::vec(cells, classes), parts)
        })
    }

    proptest! {
        #[test]
        fn what_is_told_of_each_owner_is_enough_and_exact(parts in parts(), border in 0..13_usize, minimum in 2..60_u64) {
            let bins = parts[0][0].len();
            let told = merged(&parts, Some(border), minimum).unwrap();
            let large = |part: &&Vec<Vec<u64>>| part.iter().all(|cells| cells.iter().sum::<u64>() >= minimum);
            let kept: Vec<_> = parts.iter().filter(large).collect();
            // The ranges follow from what is told, from each class alone.
            let ends = |cells: &[u64]| (1..=bins).filter(|end| cells[end - 1] > 0).collect::<Vec<_>>();
            let ends = if kept.is_empty() { vec![] } else { ends(&told[0]) };
            prop_assert_eq!(ends.last().copied(), (!kept.is_empty()).then_some(bins));
            let mut from = 0;
            for &end in &ends {
                for (class, cells) in told.iter().enumerate() {
                    let of = |part: &&Vec<Vec<u64>>| part[class][from..end].iter().sum::<u64>();
                    prop_assert!(kept.iter().all(|part| of(part) >= minimum));
                    prop_assert_eq!(cells[end - 1], kept.iter().map(of).sum::<u64>());
                    prop_assert!(cells[from..end - 1].iter().all(|cell| *cell == 0));
                }
                from = end;
            }
            // The border is told whenever it can be.
            let sides = |part: &&&Vec<Vec<u64>>| {
                part.iter().all(|cells| {
                    let below = cells[..border].iter().sum::<u64>();
                    below >= minimum && cells.iter().sum::<u64>() - below >= minimum
                })
            };
            let inside = !kept.is_empty() && (1..bins).contains(&border);
            prop_assert!(!inside || ends.contains(&border) || !kept.iter().all(|part| sides(&part)));
        }

        /// No other choice of borders has more ranges that count enough.
        #[test]
        fn no_more_borders_could_be_told(parts in parts(), minimum in 2..60_u64) {
            let told = merged(&parts, None, minimum).unwrap();
            let bins = told[0].len();
            let large = |part: &&Vec<Vec<u64>>| part.iter().all(|cells| cells.iter().sum::<u64>() >= minimum);
            let kept: Vec<_> = parts.iter().filter(large).collect();
            let enough = |from: usize, end: usize| {
                kept.iter().all(|part| part.iter().all(|cells| cells[from..end].iter().sum::<u64>() >= minimum))
            };
            let most = (0..1_u32 << (bins - 1)).filter_map(|borders| {
                let ends: Vec<_> = (1..=bins).filter(|end| *end == bins || borders >> (end - 1) & 1 == 1).collect();
                let begins = std::iter::once(0).chain(ends.iter().copied());
                begins.zip(&ends).all(|(from, &end)| enough(from, end)).then_some(ends.len())
            });
            let ranges = told[0].iter().filter(|cell| **cell > 0).count();
            prop_assert!(kept.is_empty() || Some(ranges) == most.max());
        }
    }
}
