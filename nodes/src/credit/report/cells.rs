//! Merging of cells that count too few.

use std::ops::Range;

/// What merging leaves.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Merge {
    /// The bins that become one, in order; together they are all bins.
    Into(Vec<Range<usize>>),
    /// All bins together count too few.
    TooFew,
}

/// Merges neighbouring bins until each counts at least `minimum` in either of two classes. A bin that is too small joins the next
/// one, and what is left at the end the one before. Bins that count nobody are merged too: that nobody is there can be told of few
/// as well.
pub fn merge_ordered(first: &[u64], second: &[u64], minimum: u64) -> Merge {
    merge_by(first, second, (minimum, minimum))
}

/// As [`merge_ordered`], with a minimum for either class.
pub(super) fn merge_by(first: &[u64], second: &[u64], minima: (u64, u64)) -> Merge {
    let mut merged: Vec<Range<usize>> = Vec::new();
    let (mut start, mut sums) = (0, (0u64, 0u64));
    let bins = first.len().min(second.len());
    for (i, (a, b)) in first.iter().zip(second).enumerate() {
        sums = (sums.0.saturating_add(*a), sums.1.saturating_add(*b));
        if sums.0 >= minima.0 && sums.1 >= minima.1 {
            merged.push(start..i + 1);
            (start, sums) = (i + 1, (0, 0));
        }
    }
    match merged.last_mut() {
        None => Merge::TooFew,
        Some(last) => {
            last.end = bins;
            Merge::Into(merged)
        }
    }
}

/// As [`merge_ordered`], never across `border` unless one side of it counts too few; the second value tells whether the border
/// stands.
pub(super) fn merge_around(border: usize, first: &[u64], second: &[u64], minimum: u64) -> (Merge, bool) {
    let sides = first.split_at_checked(border).zip(second.split_at_checked(border));
    if let Some(((first_low, first_high), (second_low, second_high))) = sides
        && let Merge::Into(mut merged) = merge_ordered(first_low, second_low, minimum)
        && let Merge::Into(high) = merge_ordered(first_high, second_high, minimum)
    {
        merged.extend(high.into_iter().map(|bins| bins.start + border..bins.end + border));
        return (Merge::Into(merged), true);
    }
    (merge_ordered(first, second, minimum), false)
}

/// The levels of a category that become one, each by its position: small ones are put together, and if they are still too small
/// together, with the smallest of the others. `None` if all together count too few.
pub(super) fn merge_nominal(levels: &[(String, u64, u64)], minimum: u64) -> Option<Vec<Vec<usize>>> {
    let enough = |goods: u64, bads: u64| goods >= minimum && bads >= minimum;
    let (large, mut small): (Vec<_>, Vec<_>) = (0..levels.len()).partition(|&i| enough(levels[i].1, levels[i].2));
    let mut merged: Vec<Vec<usize>> = large.into_iter().map(|i| vec![i]).collect();
    let size = |group: &Vec<usize>| {
        group.iter().map(|&i| levels[i].1.saturating_add(levels[i].2)).fold(0, u64::saturating_add)
    };
    let sum = |group: &[usize], of: fn(&(String, u64, u64)) -> u64| {
        group.iter().map(|&i| of(&levels[i])).fold(0, u64::saturating_add)
    };
    while !small.is_empty() && !enough(sum(&small, |l| l.1), sum(&small, |l| l.2)) {
        let smallest = (0..merged.len()).min_by_key(|&i| size(&merged[i]))?;
        small.append(&mut merged.remove(smallest));
    }
    if !small.is_empty() {
        small.sort_unstable();
        merged.push(small);
    }
    (!merged.is_empty()).then_some(merged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn small_bins_join_the_next_and_the_rest_the_last() {
        assert_eq!(merge_ordered(&[5, 1, 9, 9, 2], &[5, 9, 4, 9, 1], 5), Merge::Into(vec![0..1, 1..3, 3..5]));
        assert_eq!(merge_ordered(&[4, 0], &[9, 9], 5), Merge::TooFew);
        assert_eq!(merge_ordered(&[], &[], 0), Merge::TooFew);
        assert_eq!(merge_ordered(&[0, 7], &[0, 7], 0), Merge::Into(vec![0..1, 1..2]));
        let (merge, stands) = merge_around(2, &[9, 1, 9, 9], &[9, 1, 9, 9], 5);
        assert_eq!((merge, stands), (Merge::Into(vec![0..2, 2..3, 3..4]), true));
        let (merge, stands) = merge_around(1, &[1, 1, 9, 9], &[9, 1, 9, 9], 5);
        assert_eq!((merge, stands), (Merge::Into(vec![0..3, 3..4]), false));
        assert!(!merge_around(9, &[9], &[9], 5).1);
    }

    proptest! {
        #[test]
        fn no_cell_is_too_small_and_none_is_lost(
            cells in prop::collection::vec((0..30u64, 0..30u64), 0..40), minimum in 0..40u64, border in 0..45usize,
        ) {
            let (first, second): (Vec<_>, Vec<_>) = cells.iter().copied().unzip();
            let (merge, stands) = merge_around(border, &first, &second, minimum);
            match merge {
                Merge::Into(merged) => {
                    prop_assert_eq!(merged.first().map(|r| r.start), Some(0));
                    prop_assert_eq!(merged.last().map(|r| r.end), Some(cells.len()));
                    prop_assert!(merged.windows(2).all(|pair| pair[0].end == pair[1].start));
                    prop_assert!(!stands || merged.iter().any(|r| r.start == border));
                    for range in merged {
                        prop_assert!(first[range.clone()].iter().sum::<u64>() >= minimum);
                        prop_assert!(second[range].iter().sum::<u64>() >= minimum);
                    }
                }
                Merge::TooFew => prop_assert!(
                    cells.is_empty() || first.iter().sum::<u64>() < minimum || second.iter().sum::<u64>() < minimum
                ),
            }
            let levels: Vec<_> = cells.iter().map(|c| (String::new(), c.0, c.1)).collect();
            if let Some(groups) = merge_nominal(&levels, minimum) {
                let mut all: Vec<_> = groups.concat();
                all.sort_unstable();
                prop_assert_eq!(all, (0..cells.len()).collect::<Vec<_>>());
                for group in groups {
                    prop_assert!(group.iter().map(|&i| first[i]).sum::<u64>() >= minimum);
                    prop_assert!(group.iter().map(|&i| second[i]).sum::<u64>() >= minimum);
                }
            }
        }
    }
}
