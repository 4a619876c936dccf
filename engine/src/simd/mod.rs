//! Wide words: the one place with `unsafe`, chosen at run time, each kernel with a safe scalar twin.
//!
//! A kernel is generic over [`Algebra`](crate::ring::Algebra), so the wide form runs the very code of the scalar
//! one on registers of 256 or 512 lanes. The tests run every level the machine has against the twin.

pub(crate) mod blocks;
pub(crate) mod clmul;
pub(crate) mod dots;
pub(crate) mod integers;
mod transpose;
pub(crate) mod words;
#[cfg(target_arch = "x86_64")]
mod x86;

use crate::ring::{Lanes, Linear, Quadratic, linear_scalar, quadratic_recorded_scalar, quadratic_scalar};

pub use transpose::{planes_to_rows, rows_to_planes};

/// The widest registers used.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Level {
    /// 64-bit words.
    Scalar,
    /// 256-bit AVX2 registers.
    Avx2,
    /// 512-bit AVX-512F registers.
    Avx512,
}

impl Level {
    /// The widest level this processor has.
    #[must_use]
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if std::arch::is_x86_feature_detected!("avx512f") {
                return Self::Avx512;
            }
            if std::arch::is_x86_feature_detected!("avx2") {
                return Self::Avx2;
            }
        }
        Self::Scalar
    }
}

/// Asks for memory to be brought into the cache; changes nothing else.
pub(crate) fn prefetch<T>(words: &[T]) {
    #[cfg(target_arch = "x86_64")]
    x86::prefetch(words);
    #[cfg(not(target_arch = "x86_64"))]
    let _ = words;
}

pub(crate) fn quadratic<K: Quadratic<I, O>, const I: usize, const O: usize>(
    kernel: &K,
    own: [&[Lanes]; I],
    next: [&[Lanes]; I],
    acc: [&mut [Lanes]; O],
) {
    quadratic_at(Level::detect(), kernel, own, next, acc);
}

pub(crate) fn quadratic_recorded<K: Quadratic<I, O>, const I: usize, const O: usize>(
    kernel: &K,
    x: [[&[Lanes]; I]; 2],
    masks: [[&mut [Lanes]; O]; 2],
    z: [&mut [Lanes]; O],
) {
    quadratic_recorded_at(Level::detect(), kernel, x, masks, z);
}

pub(crate) fn linear<K: Linear<I, O>, const I: usize, const O: usize>(
    kernel: &K,
    x: [&[Lanes]; I],
    add: [Lanes; O],
    out: [&mut [Lanes]; O],
) {
    linear_at(Level::detect(), kernel, x, add, out);
}

fn quadratic_at<K: Quadratic<I, O>, const I: usize, const O: usize>(
    level: Level,
    kernel: &K,
    own: [&[Lanes]; I],
    next: [&[Lanes]; I],
    mut acc: [&mut [Lanes]; O],
) {
    #[cfg(target_arch = "x86_64")]
    let done = x86::quadratic(level, kernel, &own, &next, &mut acc);
    #[cfg(not(target_arch = "x86_64"))]
    let done = scalar_only(level);
    if acc.iter().any(|z| z.len() > done) {
        quadratic_scalar(kernel, own.map(|x| &x[done..]), next.map(|x| &x[done..]), acc.map(|z| &mut z[done..]));
    }
}

fn quadratic_recorded_at<K: Quadratic<I, O>, const I: usize, const O: usize>(
    level: Level,
    kernel: &K,
    [own, next]: [[&[Lanes]; I]; 2],
    [mut m, mut n]: [[&mut [Lanes]; O]; 2],
    mut z: [&mut [Lanes]; O],
) {
    #[cfg(target_arch = "x86_64")]
    let done = x86::quadratic_recorded(level, kernel, [&own, &next], [&mut m, &mut n], &mut z);
    #[cfg(not(target_arch = "x86_64"))]
    let done = scalar_only(level);
    if z.iter().any(|z| z.len() > done) {
        let rest = [own.map(|x| &x[done..]), next.map(|x| &x[done..])];
        let masks = [m.map(|x| &mut x[done..]), n.map(|x| &mut x[done..])];
        quadratic_recorded_scalar(kernel, rest, masks, z.map(|z| &mut z[done..]));
    }
}

fn linear_at<K: Linear<I, O>, const I: usize, const O: usize>(
    level: Level,
    kernel: &K,
    x: [&[Lanes]; I],
    add: [Lanes; O],
    mut out: [&mut [Lanes]; O],
) {
    #[cfg(target_arch = "x86_64")]
    let done = x86::linear(level, kernel, &x, add, &mut out);
    #[cfg(not(target_arch = "x86_64"))]
    let done = scalar_only(level);
    if out.iter().any(|z| z.len() > done) {
        linear_scalar(kernel, x.map(|x| &x[done..]), add, out.map(|z| &mut z[done..]));
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn scalar_only(_: Level) -> usize {
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::{Algebra, Deg1, Deg2};
    use proptest::prelude::*;

    /// Three inputs, two outputs, products, squares and linear terms.
    #[derive(Clone, Copy)]
    struct Mixed;
    impl Quadratic<3, 2> for Mixed {
        fn eval<A: Algebra>(&self, [a, b, c]: [Deg1<A>; 3]) -> [Deg2<A>; 2] {
            [a * b + c * c - a.into(), (a + b) * (b - c) + c.into()]
        }
    }
    struct Mix;
    impl Linear<3, 2> for Mix {
        fn eval<A: Algebra>(&self, [a, b, c]: [Deg1<A>; 3]) -> [Deg1<A>; 2] {
            [a + b, a - c]
        }
    }

    fn levels() -> impl Iterator<Item = Level> {
        [Level::Scalar, Level::Avx2, Level::Avx512].into_iter().filter(|l| *l <= Level::detect())
    }

    proptest! {
        #[test]
        fn every_level_agrees_with_the_scalar_twin(words in proptest::collection::vec(any::<u64>(), 8 * 40), n in 1_usize..40) {
            let v: Vec<Vec<Lanes>> = words.chunks(40).map(|c| c[..n].iter().copied().map(Lanes).collect()).collect();
            let own = [&v[0][..], &v[1][..], &v[2][..]];
            let next = [&v[3][..], &v[4][..], &v[5][..]];
            let (mut e0, mut e1) = (v[6].clone(), v[7].clone());
            quadratic_scalar(&Mixed, own, next, [&mut e0, &mut e1]);
            let zero = vec![Lanes(0); n];
            let (mut f0, mut f1) = (zero.clone(), zero.clone());
            linear_scalar(&Mix, own, [v[6][0], v[7][0]], [&mut f0, &mut f1]);
            for level in levels() {
                let (mut g0, mut g1) = (v[6].clone(), v[7].clone());
                quadratic_at(level, &Mixed, own, next, [&mut g0, &mut g1]);
                prop_assert_eq!((&g0, &g1), (&e0, &e1));
                // For a record: the same message, and masks that become what claims hold.
                let masks = || [v[6].clone(), v[7].clone(), v[1].clone(), v[2].clone()];
                let run = |level| {
                    let (mut z, [mut m0, mut m1, mut n0, mut n1]) = ([zero.clone(), zero.clone()], masks());
                    let [z0, z1] = &mut z;
                    let of = [[&mut m0[..], &mut m1[..]], [&mut n0[..], &mut n1[..]]];
                    quadratic_recorded_at(level, &Mixed, [own, next], of, [z0, z1]);
                    (z, [m0, m1, n0, n1])
                };
                let (z, m) = run(level);
                prop_assert_eq!((&z, &m), (&run(Level::Scalar).0, &run(Level::Scalar).1));
                for e in 0..n {
                    prop_assert_eq!([z[0][e] + v[1][e], z[1][e] + v[2][e]], [e0[e], e1[e]]);
                }
                let (mut h0, mut h1) = (vec![Lanes(0); n], vec![Lanes(0); n]);
                linear_at(level, &Mix, own, [v[6][0], v[7][0]], [&mut h0, &mut h1]);
                prop_assert_eq!((&h0, &h1), (&f0, &f1));
            }
        }
    }
}
