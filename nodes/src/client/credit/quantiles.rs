//! Cut points of equal frequency, found in counts without labels.

/// The cut points, by their places, that come nearest to dividing the customers into so many equal parts, of whom so many were counted between all.
///
/// Where small bins were merged, the count of all of them is that of the last one: only the ends of what was told are taken, never a place within. So a second count between them, of good and of bad customers, is about whole
/// ranges of the first one, and no difference of the two is about fewer customers than these have.
pub(super) fn quantiles(counts: &[u64], parts: u32) -> Vec<usize> {
    let all = counts.iter().fold(0, |sum: u64, count| sum.saturating_add(*count));
    let mut below = 0_u64;
    let mut ends: Vec<(usize, u64)> = Vec::new();
    for (place, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        below = below.saturating_add(*count);
        ends.push((place, below));
    }
    // Above the last one is nobody.
    ends.pop();
    let off =
        |below: u64, part: u32| (u128::from(below) * u128::from(parts)).abs_diff(u128::from(all) * u128::from(part));
    let nearest = |part: u32| ends.iter().min_by_key(|(_, below)| off(*below, part)).map(|(place, _)| *place);
    let mut places: Vec<usize> = (1..parts).filter_map(nearest).collect();
    places.dedup();
    places
}
