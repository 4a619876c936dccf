//! Bit transposition between rows (one record after the other) and planes (one bit of all records).

/// Transposes a 64 x 64 bit matrix in place: bit `c` of word `r` becomes bit `r` of word `c`.
///
/// Delta swaps, halving the block size (Warren, Hacker's Delight, section 7-3); the compiler makes the wide form of it.
fn transpose64(m: &mut [u64; 64]) {
    let mut width = 32;
    let mut mask = 0x0000_0000_ffff_ffff_u64;
    while width > 0 {
        for block in m.chunks_exact_mut(2 * width) {
            let (low, high) = block.split_at_mut(width);
            for (a, b) in low.iter_mut().zip(high) {
                let t = ((*a >> width) ^ *b) & mask;
                *a ^= t << width;
                *b ^= t;
            }
        }
        width /= 2;
        mask ^= mask << width;
    }
}

/// Planes of `rows`, each of `row_words` words: plane `c` takes bit `c` of each row, lane `r` being row `r`.
///
/// **Shape** `rows` holds `n` rows; `planes` holds `64 * row_words` planes of `w` words each, one after the other, with
/// `n <= 64 * w`; lanes past the last row are zero.
///
/// # Panics
/// If the lengths do not fit together.
pub fn rows_to_planes(rows: &[u64], row_words: usize, planes: &mut [u64]) {
    let w = shape(rows.len(), row_words, planes.len());
    for (lane, block) in rows.chunks(64 * row_words).enumerate() {
        for k in 0..row_words {
            let mut m = [0_u64; 64];
            for (m, row) in m.iter_mut().zip(block.chunks_exact(row_words)) {
                *m = row[k];
            }
            transpose64(&mut m);
            for (c, &m) in m.iter().enumerate() {
                planes[(64 * k + c) * w + lane] = m;
            }
        }
    }
    for plane in planes.chunks_exact_mut(w) {
        plane[rows.len().div_ceil(64 * row_words)..].fill(0);
    }
}

/// The inverse of [`rows_to_planes`]: the first rows of the planes, as many as `rows` holds.
///
/// # Panics
/// If the lengths do not fit together.
pub fn planes_to_rows(planes: &[u64], row_words: usize, rows: &mut [u64]) {
    let w = shape(rows.len(), row_words, planes.len());
    for (lane, block) in rows.chunks_mut(64 * row_words).enumerate() {
        for k in 0..row_words {
            let mut m = [0_u64; 64];
            for (c, m) in m.iter_mut().enumerate() {
                *m = planes[(64 * k + c) * w + lane];
            }
            transpose64(&mut m);
            for (&m, row) in m.iter().zip(block.chunks_exact_mut(row_words)) {
                row[k] = m;
            }
        }
    }
}

/// Words per plane.
fn shape(rows: usize, row_words: usize, planes: usize) -> usize {
    assert!(row_words > 0 && rows.is_multiple_of(row_words), "rows of {row_words} words in {rows} words");
    assert!(planes.is_multiple_of(64 * row_words), "{planes} words are not 64 x {row_words} planes");
    let w = planes / (64 * row_words);
    assert!((rows / row_words).div_ceil(64) <= w, "{} rows do not fit planes of {w} words", rows / row_words);
    w.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bit(v: &[u64], at: usize) -> u64 {
        v[at / 64] >> (at % 64) & 1
    }

    proptest! {
        #[test]
        fn planes_are_the_columns_of_the_rows(row_words in 1_usize..4, n in 0_usize..200, slack in 0_usize..3, seed in any::<u64>()) {
            let mut s = seed;
            let rows: Vec<u64> = (0..n * row_words).map(|_| { s = s.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407); s ^ s >> 29 }).collect();
            let w = n.div_ceil(64) + slack;
            prop_assume!(w > 0);
            let mut planes = vec![u64::MAX; 64 * row_words * w];
            rows_to_planes(&rows, row_words, &mut planes);
            for c in 0..64 * row_words {
                for lane in 0..64 * w {
                    let expected = if lane < n { bit(&rows, lane * 64 * row_words + c) } else { 0 };
                    prop_assert_eq!(bit(&planes, c * 64 * w + lane), expected);
                }
            }
            let mut back = vec![0; rows.len()];
            planes_to_rows(&planes, row_words, &mut back);
            prop_assert_eq!(back, rows);
        }
    }
}
