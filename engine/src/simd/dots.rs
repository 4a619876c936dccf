//! Products of all rows of one matrix of 16-bit integers with all rows of another: tiles of a few rows of either, of which each is loaded once for several of the other.
//!
//! Two products of 16 bits are added up to each 32 bits of a register; of the sums the lower halves are kept, which are right whatever the sign.
#![allow(unsafe_code)]
// An index is of several arrays, and iterators over arrays are closures.
#![allow(clippy::needless_range_loop)]

use crate::{
    memory::{retire, zeros},
    ring::{self, Z16, dots_scalar},
    share::Windows,
};

/// Columns at once: those of a few rows of both matrices stay in the cache.
const COLUMNS: usize = 6400;

/// See [`Ring::dots`](crate::ring::Ring::dots).
pub(crate) fn dots(x: &Windows<'_, Z16>, y: &Windows<'_, Z16>, z: &mut [Z16]) {
    dots_at(Form::detect(), x, y, z);
}

/// See [`Ring::dots_plain`](crate::ring::Ring::dots_plain).
pub(crate) fn dots_plain(vectors: [&[Z16]; 2], rows: [[usize; 2]; 2], width: usize, z: &mut [Z16]) {
    dots_plain_at(Form::detect(), vectors, rows, width, z);
}

/// The instructions used.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Form {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Vnni,
}

impl Form {
    fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let wide =
                std::arch::is_x86_feature_detected!("avx512f") && std::arch::is_x86_feature_detected!("avx512bw");
            if wide && std::arch::is_x86_feature_detected!("avx512vnni") {
                return Self::Vnni;
            }
            if wide {
                return Self::Avx512;
            }
            if std::arch::is_x86_feature_detected!("avx2") {
                return Self::Avx2;
            }
        }
        Self::Scalar
    }
}

fn dots_at(form: Form, x: &Windows<'_, Z16>, y: &Windows<'_, Z16>, z: &mut [Z16]) {
    if form == Form::Scalar {
        return dots_scalar(x, y, z);
    }
    // Once for all rows, which may overlap.
    let mut both = zeros::<Z16>(y.whole().len());
    for ((both, &own), &next) in both.iter_mut().zip(y.whole().own).zip(y.whole().next) {
        *both = own + next;
    }
    // The own component of x with the sum of both of y, the next one with the own of y.
    let (rows, width) = ([[x.count(), x.step()], [y.count(), y.step()]], x.width().min(y.width()));
    let factors = [[x.whole().own, &both], [x.whole().next, y.whole().own]];
    run(form, &Grid { factors: &factors, rows, width }, z);
    retire(both);
}

fn dots_plain_at(form: Form, vectors: [&[Z16]; 2], rows: [[usize; 2]; 2], width: usize, z: &mut [Z16]) {
    if form == Form::Scalar {
        return ring::dots_plain(vectors, rows, width, z);
    }
    run(form, &Grid { factors: &[vectors], rows, width }, z);
}

fn run(form: Form, grid: &Grid<'_>, z: &mut [Z16]) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instructions were detected.
    unsafe {
        match form {
            Form::Vnni => vnni::run(grid, z),
            Form::Avx512 => avx512::run(grid, z),
            Form::Avx2 | Form::Scalar => avx2::run(grid, z),
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    for [x, y] in grid.factors {
        let _ = form;
        ring::dots_plain([x, y], grid.rows, grid.width, z);
    }
}

/// What is multiplied: rows of two vectors, or of two pairs of them, whose products are added up.
struct Grid<'a> {
    factors: &'a [[&'a [Z16]; 2]],
    /// Of the first and of the second vector of each pair, the number of rows and their distance.
    rows: [[usize; 2]; 2],
    width: usize,
}

/// Tiles in registers of one width. The functions that enable the instructions are written out, so that sums stay in registers.
#[cfg(target_arch = "x86_64")]
macro_rules! tiles {
    (
        $name:ident, $features:literal, $register:ty, $wide:literal, [$rows:literal, $most:literal],
        $zero:ident, $load:ident, |$sum:ident, $a:ident, $b:ident| $add:expr, $total:expr
    ) => {
        mod $name {
            use super::{COLUMNS, Grid, Z16};
            #[allow(clippy::wildcard_imports)] // the instructions
            use std::arch::x86_64::*;

            /// Integers in a register.
            const WIDE: usize = $wide;
            /// Rows of the first and of the second matrix in a tile, at most.
            const ROWS: usize = $rows;
            const MOST: usize = $most;

            #[target_feature(enable = $features)]
            pub fn run(grid: &Grid<'_>, z: &mut [Z16]) {
                let [[n, _], [m, _]] = grid.rows;
                let tiles = m.div_ceil(MOST);
                let mut first = 0;
                while first < grid.width {
                    let columns = [first, COLUMNS.min(grid.width - first)];
                    let mut i = 0;
                    while i < n {
                        let rows = if n - i >= ROWS { ROWS } else { 1 };
                        // About as many rows of y in each tile.
                        for t in 0..tiles {
                            let j = m * t / tiles;
                            // What comes next is far away the first time; later it is not.
                            let at = [i, j, if (1..=ROWS).contains(&t) { i + ROWS + t - 1 } else { i }];
                            match (rows, m * (t + 1) / tiles - j) {
                                (ROWS, 6) => tile::<ROWS, 6>(grid, columns, at, z),
                                (ROWS, 5) => tile::<ROWS, 5>(grid, columns, at, z),
                                (ROWS, 4) => tile::<ROWS, 4>(grid, columns, at, z),
                                (ROWS, 3) => tile::<ROWS, 3>(grid, columns, at, z),
                                (ROWS, 2) => tile::<ROWS, 2>(grid, columns, at, z),
                                (ROWS, _) => tile::<ROWS, 1>(grid, columns, at, z),
                                (_, 6) => tile::<1, 6>(grid, columns, at, z),
                                (_, 5) => tile::<1, 5>(grid, columns, at, z),
                                (_, 4) => tile::<1, 4>(grid, columns, at, z),
                                (_, 3) => tile::<1, 3>(grid, columns, at, z),
                                (_, 2) => tile::<1, 2>(grid, columns, at, z),
                                _ => tile::<1, 1>(grid, columns, at, z),
                            }
                        }
                        i += rows;
                    }
                    first += columns[1];
                }
            }

            /// Adds the products of some columns of `I` rows from `i` on and of `J` rows from `j` on. The row `ahead`, if there is one, is brought into the cache.
            #[target_feature(enable = $features)]
            fn tile<const I: usize, const J: usize>(
                grid: &Grid<'_>,
                [first, columns]: [usize; 2],
                [i, j, ahead]: [usize; 3],
                z: &mut [Z16],
            ) {
                let mut sums = [[$zero(); J]; I];
                let [[n, of_x], [m, of_y]] = grid.rows;
                for [of_rows, of_others] in grid.factors {
                    let (mut x, mut y) = ([&[] as &[Z16]; I], [&[] as &[Z16]; J]);
                    for p in 0..I {
                        x[p] = &of_rows[(i + p) * of_x + first..][..columns];
                    }
                    for q in 0..J {
                        y[q] = &of_others[(j + q) * of_y + first..][..columns];
                    }
                    let ahead = if ahead < n { &of_rows[ahead * of_x + first..] } else { x[0] };
                    let whole = columns / WIDE;
                    // SAFETY: all rows have `columns` integers, at least as many as the registers hold.
                    unsafe {
                        add(x.map(<[Z16]>::as_ptr), y.map(<[Z16]>::as_ptr), [whole, ahead.as_ptr().addr()], &mut sums)
                    };
                    if whole * WIDE < columns {
                        let (x, y) = (x.map(|x| padded(&x[whole * WIDE..])), y.map(|y| padded(&y[whole * WIDE..])));
                        let of = |row: &zeroize::Zeroizing<[Z16; WIDE]>| row.as_ptr();
                        // SAFETY: these are rows of as many integers as a register holds.
                        unsafe {
                            add(x.each_ref().map(of), y.each_ref().map(of), [1, ahead.as_ptr().addr()], &mut sums)
                        };
                    }
                }
                for p in 0..I {
                    for q in 0..J {
                        let z = &mut z[(i + p) * m + j + q];
                        *z = *z + super::low($total(sums[p][q]));
                    }
                }
            }

            /// Adds the products of so many registers of each row, and prefetches as many from an address on.
            ///
            /// # Safety
            /// `x` and `y` are valid for reads of so many registers each.
            #[target_feature(enable = $features)]
            #[inline(never)]
            unsafe fn add<const I: usize, const J: usize>(
                x: [*const Z16; I],
                y: [*const Z16; J],
                [registers, ahead]: [usize; 2],
                sums: &mut [[$register; J]; I],
            ) {
                let mut all = *sums;
                for k in 0..registers {
                    _mm_prefetch::<_MM_HINT_T1>(std::ptr::without_provenance(ahead + k * size_of::<$register>()));
                    let mut of_x = [$zero(); I];
                    for p in 0..I {
                        // SAFETY: see the function.
                        of_x[p] = unsafe { $load(x[p].add(k * WIDE).cast()) };
                    }
                    for q in 0..J {
                        // SAFETY: see the function.
                        let $b = unsafe { $load(y[q].add(k * WIDE).cast()) };
                        for p in 0..I {
                            let ($sum, $a) = (all[p][q], of_x[p]);
                            all[p][q] = $add;
                        }
                    }
                }
                *sums = all;
            }

            /// Less integers than a register holds, and zeros.
            fn padded(from: &[Z16]) -> zeroize::Zeroizing<[Z16; WIDE]> {
                let mut all = zeroize::Zeroizing::new([Z16(0); WIDE]);
                all[..from.len()].copy_from_slice(from);
                all
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
tiles!(
    vnni,
    "avx512f,avx512bw,avx512vnni",
    __m512i,
    32,
    [4, 6],
    _mm512_setzero_si512,
    _mm512_loadu_si512,
    |sum, a, b| _mm512_dpwssd_epi32(sum, a, b),
    _mm512_reduce_add_epi32
);
#[cfg(target_arch = "x86_64")]
tiles!(
    avx512,
    "avx512f,avx512bw",
    __m512i,
    32,
    [4, 6],
    _mm512_setzero_si512,
    _mm512_loadu_si512,
    |sum, a, b| _mm512_add_epi32(sum, _mm512_madd_epi16(a, b)),
    _mm512_reduce_add_epi32
);
#[cfg(target_arch = "x86_64")]
tiles!(
    avx2,
    "avx2",
    __m256i,
    16,
    [2, 5],
    _mm256_setzero_si256,
    _mm256_loadu_si256,
    |sum, a, b| _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)),
    super::total
);

/// The sum of all.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn total(x: std::arch::x86_64::__m256i) -> i32 {
    let mut all = [0_i32; 8];
    // SAFETY: the array has as many bytes as the register.
    unsafe { std::arch::x86_64::_mm256_storeu_si256(all.as_mut_ptr().cast(), x) };
    all.into_iter().fold(0, i32::wrapping_add)
}

/// The lower half.
#[cfg(target_arch = "x86_64")]
#[allow(clippy::cast_sign_loss)] // what is asked for
fn low(x: i32) -> Z16 {
    Z16(x as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::share::View;
    use proptest::prelude::*;

    fn forms() -> Vec<Form> {
        let mut forms = vec![Form::Scalar];
        #[cfg(target_arch = "x86_64")]
        forms.extend([Form::Avx2, Form::Avx512, Form::Vnni]);
        forms.retain(|form| *form <= Form::detect());
        forms
    }

    fn agree(words: &[u16], [n, m]: [usize; 2], [x_step, y_step]: [usize; 2], width: usize) {
        let vector = |from: usize, len: usize| -> Vec<Z16> {
            words.iter().cycle().skip(from).take(len).copied().map(Z16).collect()
        };
        let (of_x, of_y) = (n * x_step + width, m * y_step + width);
        let [a, b, c, d] = [vector(0, of_x), vector(17, of_x), vector(31, of_y), vector(5, of_y)];
        let x = Windows::new(View { own: &a, next: &b }, x_step, n, width).unwrap();
        let y = Windows::new(View { own: &c, next: &d }, y_step, m, width).unwrap();
        let before = vector(3, n * m);
        let mut due = before.clone();
        dots_scalar(&x, &y, &mut due);
        for form in forms() {
            let mut z = before.clone();
            dots_at(form, &x, &y, &mut z);
            assert_eq!(z, due, "{form:?}, {n} by {m}, {width}");
            let (mut z, mut due, rows) = (before.clone(), before.clone(), [[n, x_step], [m, y_step]]);
            ring::dots_plain([&a, &c], rows, width, &mut due);
            dots_plain_at(form, [&a, &c], rows, width, &mut z);
            assert_eq!(z, due, "{form:?}, plain, {n} by {m}, {width}");
        }
    }

    proptest! {
        #[test]
        fn every_form_agrees_with_the_scalar_twin(
            words in proptest::collection::vec(any::<u16>(), 97), n in 0_usize..10, m in 0_usize..14, width in 0_usize..100,
            steps in [0_usize..70, 0_usize..70],
        ) {
            agree(&words, [n, m], steps, width);
        }
    }

    #[test]
    fn more_columns_than_at_once_and_extreme_values_agree() {
        for words in [vec![0x8000], vec![0x7fff, 0xffff, 0x8000], (0..97_u16).map(|k| k.wrapping_mul(0x9e37)).collect()]
        {
            agree(&words, [5, 31], [COLUMNS, 64], COLUMNS + 33);
            agree(&words, [4, 6], [2 * COLUMNS, 0], 2 * COLUMNS);
        }
    }
}
