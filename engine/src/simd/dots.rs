//! Products of all rows of one matrix of 16-bit integers with all rows of another: tiles of a few rows of either, of which each is loaded once for several of the other.
//!
//! Two products of 16 bits are added up to each 32 bits of a register; of the sums the lower halves are kept, which are right whatever the sign.
#![allow(unsafe_code)]
// A loop must be inlined into the function that enables the SIMD instructions, or it runs without them.
#![allow(clippy::inline_always)]
// An index is of several arrays, and iterators over arrays are closures.
#![allow(clippy::needless_range_loop)]

use crate::{
    memory::{retire, zeros},
    ring::{Z16, dots_scalar},
    share::Windows,
};

/// Columns at once: those of a few rows of both matrices stay in the cache.
const COLUMNS: usize = 3200;
/// Rows of the first matrix in a tile.
const TILE: usize = 4;

/// See [`Ring::dots`](crate::ring::Ring::dots).
pub(crate) fn dots(x: &Windows<'_, Z16>, y: &Windows<'_, Z16>, z: &mut [Z16]) {
    dots_at(Form::detect(), x, y, z);
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
    #[cfg(target_arch = "x86_64")]
    {
        // Once for all rows, which may overlap.
        let mut both = zeros::<Z16>(y.whole().len());
        for ((both, &own), &next) in both.iter_mut().zip(y.whole().own).zip(y.whole().next) {
            *both = own + next;
        }
        let grid = Grid { x, y, factors: [&both, y.whole().own], width: x.width().min(y.width()) };
        // SAFETY: the instructions were detected.
        unsafe {
            match form {
                Form::Vnni => x86::vnni(&grid, z),
                Form::Avx512 => x86::avx512(&grid, z),
                Form::Avx2 | Form::Scalar => x86::avx2(&grid, z),
            }
        }
        retire(both);
    }
}

/// What is multiplied: the own component of `x` with the sum of both of `y`, the next one with the own of `y`.
#[cfg(target_arch = "x86_64")]
struct Grid<'a> {
    x: &'a Windows<'a, Z16>,
    y: &'a Windows<'a, Z16>,
    factors: [&'a [Z16]; 2],
    width: usize,
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{COLUMNS, Grid, TILE, Z16};
    use std::arch::x86_64::{
        __m256i, __m512i, _mm256_add_epi32, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_setzero_si256,
        _mm256_storeu_si256, _mm512_add_epi32, _mm512_dpwssd_epi32, _mm512_loadu_si512, _mm512_madd_epi16,
        _mm512_reduce_add_epi32, _mm512_setzero_si512,
    };

    /// Registers of 16-bit integers, and sums of products in them. All functions need the instructions that they are named after.
    trait Register: Copy {
        /// Integers in one.
        const WIDE: usize;
        /// Rows of the second matrix in a tile, so that all sums stay in registers.
        const MOST: usize;
        unsafe fn zero() -> Self;
        unsafe fn load(from: *const Z16) -> Self;
        /// Adds products, two to each sum.
        unsafe fn add(self, a: Self, b: Self) -> Self;
        /// The lower half of the sum of all.
        unsafe fn sum(self) -> Z16;
    }

    #[derive(Clone, Copy)]
    struct Vnni(__m512i);
    impl Register for Vnni {
        const WIDE: usize = 32;
        const MOST: usize = 6;
        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: as the trait says.
            Self(unsafe { _mm512_setzero_si512() })
        }
        #[inline(always)]
        unsafe fn load(from: *const Z16) -> Self {
            // SAFETY: as the trait says; the caller gives 64 bytes.
            Self(unsafe { _mm512_loadu_si512(from.cast()) })
        }
        #[inline(always)]
        unsafe fn add(self, a: Self, b: Self) -> Self {
            // SAFETY: as the trait says.
            Self(unsafe { _mm512_dpwssd_epi32(self.0, a.0, b.0) })
        }
        #[inline(always)]
        unsafe fn sum(self) -> Z16 {
            // SAFETY: as the trait says.
            low(unsafe { _mm512_reduce_add_epi32(self.0) })
        }
    }

    #[derive(Clone, Copy)]
    struct Avx512(__m512i);
    impl Register for Avx512 {
        const WIDE: usize = 32;
        const MOST: usize = 6;
        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: as the trait says.
            Self(unsafe { _mm512_setzero_si512() })
        }
        #[inline(always)]
        unsafe fn load(from: *const Z16) -> Self {
            // SAFETY: as the trait says; the caller gives 64 bytes.
            Self(unsafe { _mm512_loadu_si512(from.cast()) })
        }
        #[inline(always)]
        unsafe fn add(self, a: Self, b: Self) -> Self {
            // SAFETY: as the trait says.
            Self(unsafe { _mm512_add_epi32(self.0, _mm512_madd_epi16(a.0, b.0)) })
        }
        #[inline(always)]
        unsafe fn sum(self) -> Z16 {
            // SAFETY: as the trait says.
            low(unsafe { _mm512_reduce_add_epi32(self.0) })
        }
    }

    #[derive(Clone, Copy)]
    struct Avx2(__m256i);
    impl Register for Avx2 {
        const WIDE: usize = 16;
        const MOST: usize = 2;
        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: as the trait says.
            Self(unsafe { _mm256_setzero_si256() })
        }
        #[inline(always)]
        unsafe fn load(from: *const Z16) -> Self {
            // SAFETY: as the trait says; the caller gives 32 bytes.
            Self(unsafe { _mm256_loadu_si256(from.cast()) })
        }
        #[inline(always)]
        unsafe fn add(self, a: Self, b: Self) -> Self {
            // SAFETY: as the trait says.
            Self(unsafe { _mm256_add_epi32(self.0, _mm256_madd_epi16(a.0, b.0)) })
        }
        #[inline(always)]
        unsafe fn sum(self) -> Z16 {
            let mut sums = [0; 8];
            // SAFETY: as the trait says; the array has 32 bytes.
            unsafe { _mm256_storeu_si256(sums.as_mut_ptr().cast(), self.0) };
            let mut sum = 0_i32;
            for k in 0..8 {
                sum = sum.wrapping_add(sums[k]);
            }
            low(sum)
        }
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // what is asked for
    #[inline(always)]
    fn low(x: i32) -> Z16 {
        Z16(x as u16)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub fn vnni(grid: &Grid<'_>, z: &mut [Z16]) {
        tiles::<Vnni>(grid, z);
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    pub fn avx512(grid: &Grid<'_>, z: &mut [Z16]) {
        tiles::<Avx512>(grid, z);
    }

    #[target_feature(enable = "avx2")]
    pub fn avx2(grid: &Grid<'_>, z: &mut [Z16]) {
        tiles::<Avx2>(grid, z);
    }

    #[inline(always)]
    fn tiles<V: Register>(grid: &Grid<'_>, z: &mut [Z16]) {
        let (n, m) = (grid.x.count(), grid.y.count());
        let tiles = m.div_ceil(V::MOST);
        let mut first = 0;
        while first < grid.width {
            let columns = [first, COLUMNS.min(grid.width - first)];
            let mut i = 0;
            while i < n {
                let rows = if n - i >= TILE { TILE } else { 1 };
                // About as many rows of y in each tile.
                for t in 0..tiles {
                    let j = m * t / tiles;
                    let at = [i, j];
                    match (rows, m * (t + 1) / tiles - j) {
                        (TILE, 6) => tile::<V, TILE, 6>(grid, columns, at, z),
                        (TILE, 5) => tile::<V, TILE, 5>(grid, columns, at, z),
                        (TILE, 4) => tile::<V, TILE, 4>(grid, columns, at, z),
                        (TILE, 3) => tile::<V, TILE, 3>(grid, columns, at, z),
                        (TILE, 2) => tile::<V, TILE, 2>(grid, columns, at, z),
                        (TILE, _) => tile::<V, TILE, 1>(grid, columns, at, z),
                        (_, 6) => tile::<V, 1, 6>(grid, columns, at, z),
                        (_, 5) => tile::<V, 1, 5>(grid, columns, at, z),
                        (_, 4) => tile::<V, 1, 4>(grid, columns, at, z),
                        (_, 3) => tile::<V, 1, 3>(grid, columns, at, z),
                        (_, 2) => tile::<V, 1, 2>(grid, columns, at, z),
                        _ => tile::<V, 1, 1>(grid, columns, at, z),
                    }
                }
                i += rows;
            }
            first += columns[1];
        }
    }

    /// Adds the products of some columns of `I` rows from `i` on and of `J` rows from `j` on.
    #[inline(always)]
    fn tile<V: Register, const I: usize, const J: usize>(
        grid: &Grid<'_>,
        [first, columns]: [usize; 2],
        [i, j]: [usize; 2],
        z: &mut [Z16],
    ) {
        // SAFETY: called where the instructions of V are enabled; what is loaded lies within rows of `columns` integers.
        unsafe {
            let mut sums = [[V::zero(); J]; I];
            let whole = columns - columns % V::WIDE;
            for component in 0..2 {
                let (mut x, mut y) = ([&[] as &[Z16]; I], [&[] as &[Z16]; J]);
                for p in 0..I {
                    let row = grid.x.row(i + p);
                    x[p] = &[row.own, row.next][component][first..first + columns];
                }
                for q in 0..J {
                    y[q] = &grid.factors[component][(j + q) * grid.y.step() + first..][..columns];
                }
                let mut k = 0;
                while k < whole {
                    let mut a = [V::zero(); I];
                    for p in 0..I {
                        a[p] = V::load(x[p].as_ptr().add(k));
                    }
                    for q in 0..J {
                        let b = V::load(y[q].as_ptr().add(k));
                        for p in 0..I {
                            sums[p][q] = sums[p][q].add(a[p], b);
                        }
                    }
                    k += V::WIDE;
                }
                if whole < columns {
                    let mut a = [V::zero(); I];
                    for p in 0..I {
                        a[p] = padded(&x[p][whole..]);
                    }
                    for q in 0..J {
                        let b = padded::<V>(&y[q][whole..]);
                        for p in 0..I {
                            sums[p][q] = sums[p][q].add(a[p], b);
                        }
                    }
                }
            }
            for p in 0..I {
                for q in 0..J {
                    let z = &mut z[(i + p) * grid.y.count() + j + q];
                    *z = *z + sums[p][q].sum();
                }
            }
        }
    }

    /// A register of less integers than it holds, and zeros.
    #[inline(always)]
    unsafe fn padded<V: Register>(from: &[Z16]) -> V {
        let mut all = [Z16(0); 32];
        all[..from.len()].copy_from_slice(from);
        // SAFETY: no register holds more than 32 integers.
        let register = unsafe { V::load(all.as_ptr()) };
        crate::memory::wipe(&mut all);
        register
    }
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
