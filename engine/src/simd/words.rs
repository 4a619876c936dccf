//! Integers of 64 bits, and sums of products over any ring: safe loops over short arrays, compiled once for each width of registers.
#![allow(unsafe_code)]
// A loop must be inlined into the function that enables the SIMD instructions, or it runs without them.
#![allow(clippy::inline_always)]

use crate::{
    check::form::{Parts, parts},
    mode::Sums,
    ring::{Algebra, Deg1, Quadratic, Ring, Z64, quadratic_recorded_scalar, quadratic_scalar},
    share::{Term, View, Windows},
};
use std::ops::{Add, Mul, Sub};

/// Elements that are computed on together.
const WIDE: usize = 8;

/// Some integers side by side.
#[derive(Clone, Copy)]
struct Wide([Z64; WIDE]);

macro_rules! element_wise {
    ($operation:ident, $method:ident, $symbol:tt) => {
        impl $operation for Wide {
            type Output = Self;
            #[inline(always)]
            fn $method(mut self, o: Self) -> Self {
                for k in 0..WIDE {
                    self.0[k] = self.0[k] $symbol o.0[k];
                }
                self
            }
        }
    };
}
element_wise!(Add, add, +);
element_wise!(Sub, sub, -);
element_wise!(Mul, mul, *);
impl Algebra for Wide {}

impl Wide {
    #[inline(always)]
    fn load(from: &[Z64]) -> Self {
        let mut wide = [Z64(0); WIDE];
        wide.copy_from_slice(&from[..WIDE]);
        Self(wide)
    }

    #[inline(always)]
    fn store(self, to: &mut [Z64]) {
        to[..WIDE].copy_from_slice(&self.0);
    }
}

/// Calls a loop in the widest form that the processor has.
macro_rules! widest {
    ($loop:ident, $wide:ident, ($($argument:expr),*)) => {{
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx512f") && std::arch::is_x86_feature_detected!("avx512dq") {
            // SAFETY: the processor has the instructions that the function enables.
            return unsafe { $wide($($argument),*) };
        }
        $loop($($argument),*)
    }};
}

/// [`Ring::quadratic`] of integers.
pub(crate) fn quadratic<K: Quadratic<I, O>, const I: usize, const O: usize>(
    kernel: &K,
    own: [&[Z64]; I],
    next: [&[Z64]; I],
    acc: [&mut [Z64]; O],
) {
    widest!(quadratic_loop, quadratic_512, (kernel, own, next, acc));
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq")]
fn quadratic_512<K: Quadratic<I, O>, const I: usize, const O: usize>(
    kernel: &K,
    own: [&[Z64]; I],
    next: [&[Z64]; I],
    acc: [&mut [Z64]; O],
) {
    quadratic_loop(kernel, own, next, acc);
}

#[inline(always)]
fn quadratic_loop<K: Quadratic<I, O>, const I: usize, const O: usize>(
    kernel: &K,
    own: [&[Z64]; I],
    next: [&[Z64]; I],
    acc: [&mut [Z64]; O],
) {
    let n = acc.iter().map(|z| z.len()).min().unwrap_or(0);
    let end = n - n % WIDE;
    for e in (0..end).step_by(WIDE) {
        let (mut both, mut one) = ([Deg1(Wide([Z64(0); WIDE])); I], [Deg1(Wide([Z64(0); WIDE])); I]);
        for k in 0..I {
            one[k] = Deg1(Wide::load(&next[k][e..]));
            both[k] = Deg1(Wide::load(&own[k][e..])) + one[k];
        }
        let (both, one) = (kernel.eval(both), kernel.eval(one));
        for j in 0..O {
            let z = Wide::load(&acc[j][e..]);
            (z + both[j].0 - one[j].0).store(&mut acc[j][e..]);
        }
    }
    quadratic_scalar(kernel, own.map(|x| &x[end..]), next.map(|x| &x[end..]), acc.map(|z| &mut z[end..]));
}

/// [`Ring::quadratic_recorded`] of integers.
pub(crate) fn quadratic_recorded<K: Quadratic<I, O>, const I: usize, const O: usize>(
    kernel: &K,
    x: [[&[Z64]; I]; 2],
    masks: [[&mut [Z64]; O]; 2],
    z: [&mut [Z64]; O],
) {
    widest!(quadratic_recorded_loop, quadratic_recorded_512, (kernel, x, masks, z));
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq")]
fn quadratic_recorded_512<K: Quadratic<I, O>, const I: usize, const O: usize>(
    kernel: &K,
    x: [[&[Z64]; I]; 2],
    masks: [[&mut [Z64]; O]; 2],
    z: [&mut [Z64]; O],
) {
    quadratic_recorded_loop(kernel, x, masks, z);
}

#[inline(always)]
fn quadratic_recorded_loop<K: Quadratic<I, O>, const I: usize, const O: usize>(
    kernel: &K,
    [x, y]: [[&[Z64]; I]; 2],
    [m, n]: [[&mut [Z64]; O]; 2],
    z: [&mut [Z64]; O],
) {
    let len = z.iter().map(|z| z.len()).min().unwrap_or(0);
    let end = len - len % WIDE;
    let zero = Wide([Z64(0); WIDE]);
    for e in (0..end).step_by(WIDE) {
        let (mut own, mut next, mut both) = ([zero; I], [zero; I], [Deg1(zero); I]);
        for k in 0..I {
            own[k] = Wide::load(&x[k][e..]);
            next[k] = Wide::load(&y[k][e..]);
            both[k] = Deg1(own[k] + next[k]);
        }
        let both = kernel.eval(both);
        let (own, next) = (parts(kernel, own, zero), parts(kernel, next, zero));
        for j in 0..O {
            let (mask_m, mask_n) = (Wide::load(&m[j][e..]), Wide::load(&n[j][e..]));
            let Parts { linear, square } = next[j];
            (both[j].0 - linear - square + mask_m - mask_n).store(&mut z[j][e..]);
            (mask_m + own[j].square).store(&mut m[j][e..]);
            (mask_n + linear).store(&mut n[j][e..]);
        }
    }
    let masks = [m.map(|m| &mut m[end..]), n.map(|n| &mut n[end..])];
    let x = [x.map(|x| &x[end..]), y.map(|y| &y[end..])];
    quadratic_recorded_scalar(kernel, x, masks, z.map(|z| &mut z[end..]));
}

/// Adds this party's additive share of sums of products to `z`: `(own + next) (own + next) - next next` of each product, from the components `[own, next]` of both
/// factors.
pub(crate) fn products<R: Ring>(sums: &Sums<'_>, x: [&[R]; 2], y: [&[R]; 2], z: &mut [R]) {
    widest!(products_loop, products_512, (sums, x, y, z));
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq")]
fn products_512<R: Ring>(sums: &Sums<'_>, x: [&[R]; 2], y: [&[R]; 2], z: &mut [R]) {
    products_loop(sums, x, y, z);
}

#[inline(always)]
fn products_loop<R: Ring>(sums: &Sums<'_>, [a, b]: [&[R]; 2], [c, d]: [&[R]; 2], z: &mut [R]) {
    if sums.words == 1 {
        let mut from = 0;
        for (z, &terms) in z.iter_mut().zip(sums.terms) {
            let to = from + terms;
            *z = *z + dot([&a[from..to], &b[from..to]], [&c[from..to], &d[from..to]]);
            from = to;
        }
        return;
    }
    let words = sums.words.max(1);
    let first = a.chunks_exact(words).zip(b.chunks_exact(words));
    let mut products = first.zip(c.chunks_exact(words).zip(d.chunks_exact(words)));
    for (z, &terms) in z.chunks_exact_mut(words).zip(sums.terms) {
        for ((a, b), (c, d)) in products.by_ref().take(terms) {
            for ((z, (&a, &b)), (&c, &d)) in z.iter_mut().zip(a.iter().zip(b)).zip(c.iter().zip(d)) {
                *z = *z + a * (c + d) + b * c;
            }
        }
    }
}

/// As [`products`], of factors where they lie.
pub(crate) fn terms<R: Ring>(sums: &Sums<'_>, terms: &[Term<'_, R>], z: &mut [R]) {
    widest!(terms_loop, terms_512, (sums, terms, z));
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq")]
fn terms_512<R: Ring>(sums: &Sums<'_>, terms: &[Term<'_, R>], z: &mut [R]) {
    terms_loop(sums, terms, z);
}

#[inline(always)]
fn terms_loop<R: Ring>(sums: &Sums<'_>, terms: &[Term<'_, R>], z: &mut [R]) {
    let mut terms = terms.iter();
    for (z, &count) in z.chunks_exact_mut(sums.words.max(1)).zip(sums.terms) {
        for Term { x, y, plus } in terms.by_ref().take(count) {
            let x = x.own.iter().zip(x.next);
            let y = y.own.iter().zip(y.next);
            match plus {
                None => {
                    for ((z, (&a, &b)), (&c, &d)) in z.iter_mut().zip(x).zip(y) {
                        *z = *z + a * (c + d) + b * c;
                    }
                }
                Some(plus) => {
                    let plus = plus.own.iter().zip(plus.next);
                    for (((z, (&a, &b)), (&c, &d)), (&e, &f)) in z.iter_mut().zip(x).zip(y).zip(plus) {
                        let (c, d) = (c + e, d + f);
                        *z = *z + a * (c + d) + b * c;
                    }
                }
            }
        }
    }
}

/// One sum of products, in as many partial sums as are computed together.
#[inline(always)]
fn dot<R: Ring>([a, b]: [&[R]; 2], [c, d]: [&[R]; 2]) -> R {
    let mut sums = [R::default(); WIDE];
    let first = a.chunks(WIDE).zip(b.chunks(WIDE));
    for ((a, b), (c, d)) in first.zip(c.chunks(WIDE).zip(d.chunks(WIDE))) {
        for ((sum, (&a, &b)), (&c, &d)) in sums.iter_mut().zip(a.iter().zip(b)).zip(c.iter().zip(d)) {
            *sum = *sum + a * (c + d) + b * c;
        }
    }
    sums.into_iter().fold(R::default(), |all, sum| all + sum)
}

/// See [`Ring::dots`].
pub(crate) fn dots<R: Ring>(x: &Windows<'_, R>, y: &Windows<'_, R>, z: &mut [R]) {
    widest!(dots_loop, dots_512, (x, y, z));
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq")]
fn dots_512<R: Ring>(x: &Windows<'_, R>, y: &Windows<'_, R>, z: &mut [R]) {
    dots_loop(x, y, z);
}

#[inline(always)]
fn dots_loop<R: Ring>(x: &Windows<'_, R>, y: &Windows<'_, R>, z: &mut [R]) {
    for i in 0..x.count() {
        let of_x = x.row(i);
        for j in 0..y.count() {
            let (of_y, z) = (y.row(j), &mut z[i * y.count() + j]);
            *z = *z + dot([of_x.own, of_x.next], [of_y.own, of_y.next]);
        }
    }
}

/// See [`Ring::dots_plain`].
pub(crate) fn dots_plain<R: Ring>(vectors: [&[R]; 2], rows: [[usize; 2]; 2], width: usize, z: &mut [R]) {
    widest!(dots_plain_loop, dots_plain_512, (vectors, rows, width, z));
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq")]
fn dots_plain_512<R: Ring>(vectors: [&[R]; 2], rows: [[usize; 2]; 2], width: usize, z: &mut [R]) {
    dots_plain_loop(vectors, rows, width, z);
}

#[inline(always)]
fn dots_plain_loop<R: Ring>([x, y]: [&[R]; 2], [[n, of_x], [m, of_y]]: [[usize; 2]; 2], width: usize, z: &mut [R]) {
    for i in 0..n {
        for j in 0..m {
            let (x, y) = (&x[i * of_x..][..width], &y[j * of_y..][..width]);
            let mut sums = [R::default(); WIDE];
            for (x, y) in x.chunks(WIDE).zip(y.chunks(WIDE)) {
                sums.iter_mut().zip(x.iter().zip(y)).for_each(|(sum, (&x, &y))| *sum = *sum + x * y);
            }
            z[i * m + j] = sums.into_iter().fold(z[i * m + j], |all, sum| all + sum);
        }
    }
}

/// Rows whose sums stay in the first-level cache while the columns go by.
const TILE: usize = 512;

/// Adds this party's additive share of a matrix, column after column, times a vector with the components `y` to `z`, as [`products`] does.
pub(crate) fn matrix_vector<R: Ring>(columns: &[View<'_, R>], y: [&[R]; 2], z: &mut [R]) {
    widest!(matrix_vector_loop, matrix_vector_512, (columns, y, z));
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq")]
fn matrix_vector_512<R: Ring>(columns: &[View<'_, R>], y: [&[R]; 2], z: &mut [R]) {
    matrix_vector_loop(columns, y, z);
}

#[inline(always)]
fn matrix_vector_loop<R: Ring>(columns: &[View<'_, R>], [c, d]: [&[R]; 2], z: &mut [R]) {
    for (tile, z) in z.chunks_mut(TILE).enumerate() {
        let rows = tile * TILE..tile * TILE + z.len();
        for (column, (&c, &d)) in columns.iter().zip(c.iter().zip(d)) {
            let (own, next) = (&column.own[rows.clone()], &column.next[rows.clone()]);
            let both = c + d;
            for ((z, &a), &b) in z.iter_mut().zip(own).zip(next) {
                *z = *z + a * both + b * c;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::{self, Deg2, Lanes, dots_scalar};
    use proptest::prelude::*;

    /// Three inputs, two outputs, products, squares and linear terms.
    #[derive(Clone, Copy)]
    struct Mixed;
    impl Quadratic<3, 2> for Mixed {
        #[inline(always)]
        fn eval<A: Algebra>(&self, [a, b, c]: [Deg1<A>; 3]) -> [Deg2<A>; 2] {
            [a * b + c * c - a.into(), (a + b) * (b - c) + c.into()]
        }
    }

    type Recorded<'a> = &'a dyn Fn([[&mut [Z64]; 2]; 2], [&mut [Z64]; 2]);

    /// The widest form and the loop as every processor runs it, against the scalar twin.
    fn agree(v: &[Vec<Z64>]) {
        let n = v[0].len();
        let (own, next) = ([&v[0][..], &v[1][..], &v[2][..]], [&v[3][..], &v[4][..], &v[5][..]]);
        let of = |f: &dyn Fn([&mut [Z64]; 2])| {
            let (mut a, mut b) = (v[6].clone(), v[7].clone());
            f([&mut a, &mut b]);
            (a, b)
        };
        let expected = of(&|z| quadratic_scalar(&Mixed, own, next, z));
        assert_eq!(of(&|z| quadratic(&Mixed, own, next, z)), expected);
        assert_eq!(of(&|z| quadratic_loop(&Mixed, own, next, z)), expected);
        let of = |f: Recorded<'_>| {
            let (mut m, mut z) = ([6, 7, 1, 2].map(|k: usize| v[k].clone()), [vec![Z64(0); n], vec![Z64(0); n]]);
            let ([m0, m1, n0, n1], [z0, z1]) = (&mut m, &mut z);
            f([[m0, m1], [n0, n1]], [z0, z1]);
            (m, z)
        };
        let expected = of(&|masks, z| quadratic_recorded_scalar(&Mixed, [own, next], masks, z));
        assert_eq!(of(&|masks, z| quadratic_recorded(&Mixed, [own, next], masks, z)), expected);
        assert_eq!(of(&|masks, z| quadratic_recorded_loop(&Mixed, [own, next], masks, z)), expected);
    }

    fn sums_agree<R: Ring>(v: &[Vec<R>], terms: &[usize], words: usize) {
        let sums = Sums { terms, words };
        let n = terms.iter().sum::<usize>() * words;
        let [a, b, c, d] = [0, 1, 2, 3].map(|k: usize| &v[k][..n]);
        let mut expected = v[4][..sums.len()].to_vec();
        let mut all = (0..n).map(|e| (a[e] + b[e]) * (c[e] + d[e]) - b[e] * d[e]);
        for (z, &terms) in expected.chunks_exact_mut(words).zip(terms) {
            for _ in 0..terms {
                z.iter_mut().zip(&mut all).for_each(|(z, product)| *z = *z + product);
            }
        }
        for f in [products::<R> as fn(&Sums<'_>, [&[R]; 2], [&[R]; 2], &mut [R]), products_loop::<R>] {
            let mut z = v[4][..sums.len()].to_vec();
            f(&sums, [a, b], [c, d], &mut z);
            assert_eq!(z, expected, "{terms:?} of {words}");
        }
    }

    /// Sums of terms, with and without a summand, against sums of the products of their factors.
    fn terms_agree<R: Ring>(v: &[Vec<R>], counts: &[usize], words: usize) {
        let sums = Sums { terms: counts, words };
        let at = |k: usize, j: usize| View { own: &v[k][j * words..][..words], next: &v[k + 1][j * words..][..words] };
        let term = |j: usize| Term { x: at(0, j), y: at(2, j), plus: (j % 2 == 1).then(|| at(4, j)) };
        let all: Vec<Term<'_, R>> = (0..counts.iter().sum()).map(term).collect();
        let [x, y] = Term::factors(&all).expect("of one length");
        let mut expected = v[6][..sums.len()].to_vec();
        products(&sums, [&x.own, &x.next], [&y.own, &y.next], &mut expected);
        for f in [terms::<R> as fn(&Sums<'_>, &[Term<'_, R>], &mut [R]), terms_loop::<R>] {
            let mut z = v[6][..sums.len()].to_vec();
            f(&sums, &all, &mut z);
            assert_eq!(z, expected, "{counts:?} of {words}");
        }
    }

    fn dots_agree<R: Ring>(v: &[Vec<R>], [n, m]: [usize; 2], width: usize) {
        let of = |own: usize| View { own: &v[own][..], next: &v[own + 1][..] };
        let x = Windows::new(of(0), width + 1, n, width).expect("long enough");
        let y = Windows::new(of(2), 2, m, width).expect("long enough");
        let (mut due, mut plain) = (v[4][..n * m].to_vec(), v[5][..n * m].to_vec());
        let (before, plain_before) = (due.clone(), plain.clone());
        dots_scalar(&x, &y, &mut due);
        for f in [dots::<R> as fn(&Windows<'_, R>, &Windows<'_, R>, &mut [R]), dots_loop::<R>] {
            let mut z = before.clone();
            f(&x, &y, &mut z);
            assert_eq!(z, due, "{n} by {m}, {width}");
        }
        let rows = [[n, width + 1], [m, 2]];
        ring::dots_plain([&v[0], &v[2]], rows, width, &mut plain);
        for f in [dots_plain::<R> as fn([&[R]; 2], [[usize; 2]; 2], usize, &mut [R]), dots_plain_loop::<R>] {
            let mut z = plain_before.clone();
            f([&v[0], &v[2]], rows, width, &mut z);
            assert_eq!(z, plain, "plain, {n} by {m}, {width}");
        }
    }

    fn matrices_agree<R: Ring>(v: &[Vec<R>], rows: usize) {
        let columns: Vec<View<'_, R>> =
            v.chunks_exact(2).map(|x| View { own: &x[0][..rows], next: &x[1][..rows] }).collect();
        let y = [&v[0][..], &v[1][..]];
        let mut expected = v[2][..rows].to_vec();
        for (k, column) in columns.iter().enumerate() {
            for (e, z) in expected.iter_mut().enumerate() {
                *z = *z + (column.own[e] + column.next[e]) * (y[0][k] + y[1][k]) - column.next[e] * y[1][k];
            }
        }
        for f in [matrix_vector::<R> as fn(&[View<'_, R>], [&[R]; 2], &mut [R]), matrix_vector_loop::<R>] {
            let mut z = v[2][..rows].to_vec();
            f(&columns, y, &mut z);
            assert_eq!(z, expected, "{rows} rows");
        }
    }

    #[test]
    fn a_matrix_of_more_rows_than_a_tile_agrees_with_the_plain_sums() {
        for rows in [0, 1, TILE - 1, TILE, 2 * TILE + 3] {
            let word = |k: u64, e: usize| (k << 40 | e as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let words = |k| (0..rows.max(8)).map(move |e| word(k, e));
            matrices_agree::<Z64>(&(0..6).map(|k| words(k).map(Z64).collect()).collect::<Vec<_>>(), rows);
            matrices_agree::<Lanes>(&(0..6).map(|k| words(k).map(Lanes).collect()).collect::<Vec<_>>(), rows);
        }
    }

    proptest! {
        #[test]
        fn every_form_agrees_with_the_scalar_twin(words in proptest::collection::vec(any::<u64>(), 8 * 40), n in 1_usize..40) {
            agree(&words.chunks(40).map(|c| c[..n].iter().copied().map(Z64).collect()).collect::<Vec<_>>());
            let integers: Vec<Vec<Z64>> = words.chunks(40).map(|c| c.iter().copied().map(Z64).collect()).collect();
            let lanes: Vec<Vec<Lanes>> = words.chunks(40).map(|c| c.iter().copied().map(Lanes).collect()).collect();
            for (terms, words) in [(&[n][..], 1), (&[0, n / 2, n - n / 2], 1), (&[1, 0, 2, 1], 10), (&[2], n / 2 + 1), (&[], 3)] {
                sums_agree(&integers, terms, words.min(20));
                sums_agree(&lanes, terms, words.min(20));
                terms_agree(&integers, terms, words.min(20));
                terms_agree(&lanes, terms, words.min(20));
            }
            for shape in [[3, 2], [1, 1], [0, 2], [2, 0]] {
                dots_agree(&integers, shape, n % 12);
                dots_agree(&lanes, shape, n % 12);
            }
        }
    }
}
