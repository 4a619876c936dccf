//! Polynomials of degree two in each of `r` variables, given by their values on the grid `{0, 1, inf}^r`.
//!
//! The value at infinity is the leading coefficient. A vector that is linear in each variable is extended to the grid with
//! subtractions alone: from its parts at 0 and 1, the part at infinity is their difference. Positions are numbers to base
//! three, the first variable being the highest digit, which is also the highest bit of a row's number.

use super::ext::Ext;
use std::ops::Sub;

/// A vector of `2^r` values, linear in each variable, on all `3^r` points.
#[allow(clippy::inline_always)]
#[inline(always)]
pub fn extend<T: Copy + Default + Sub<Output = T>, const ROWS: usize, const POINTS: usize>(
    rows: &[T; ROWS],
) -> [T; POINTS] {
    let mut points = [T::default(); POINTS];
    extend_into(rows, &mut points);
    points
}

/// As [`extend`]; `points` holds `3^r` values.
pub fn extend_into<T: Copy + Sub<Output = T>>(rows: &[T], points: &mut [T]) {
    let [low, high, inf] = thirds_mut(points);
    if rows.len() == 2 {
        (low[0], high[0]) = (rows[0], rows[1]);
    } else {
        let (first, second) = rows.split_at(rows.len() / 2);
        extend_into(first, low);
        extend_into(second, high);
    }
    for ((inf, &low), &high) in inf.iter_mut().zip(&*low).zip(&*high) {
        *inf = high - low;
    }
}

fn thirds_mut<T>(points: &mut [T]) -> [&mut [T]; 3] {
    let (low, rest) = points.split_at_mut(points.len() / 3);
    let (high, inf) = rest.split_at_mut(low.len());
    [low, high, inf]
}

/// The place of a point, at which polynomials are evaluated from their values on the grid. That is linear in these, so a share of them gives a share of
/// the result.
pub struct At<E>(Vec<Vec<E>>);

impl<E: Ext> At<E> {
    pub fn new(t: &[E]) -> Self {
        // The weights of few variables at a time: those of all would be as many as values.
        Self(t.chunks(3).map(Self::weights).collect())
    }

    fn weights(t: &[E]) -> Vec<E> {
        t.iter().fold(vec![E::point(1)], |w, &x| {
            let inf = x * x - x;
            let thirds = |&w: &E| {
                let high = w * x;
                [w - high, high, w * inf]
            };
            w.iter().flat_map(thirds).collect()
        })
    }

    /// The value of the polynomial with these values.
    pub fn value(&self, values: &[E]) -> E {
        let mut values = values.to_vec();
        for weights in &self.0 {
            let mut folded = vec![E::default(); values.len() / weights.len()];
            E::fold(&values, weights, &mut folded);
            values = folded;
        }
        values[0]
    }
}

/// The weight of each of the `2^r` rows at `t`: `eq(l, t)`, which is one at `t = l` and zero at every other row.
pub fn weights<E: Ext>(t: &[E]) -> Vec<E> {
    let halves = |w: E, x: E| {
        let high = w * x;
        [w - high, high]
    };
    t.iter().fold(vec![E::point(1)], |w, &x| w.iter().flat_map(|&w| halves(w, x)).collect())
}

/// The position of a row on the grid of `r` variables.
pub fn position(row: usize, r: u32) -> usize {
    (0..r).rev().fold(0, |at, k| 3 * at + (row >> k & 1))
}

/// The positions that are no row, in order: what a prover sends of a grid whose rows the verifiers know.
pub fn between(r: u32) -> Vec<usize> {
    (0..3_usize.pow(r)).filter(|&at| (0..r).any(|k| at / 3_usize.pow(k) % 3 == 2)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        check::{ext::Gf64, galois::Galois},
        ring::Z32,
    };

    /// `<A(t), B(t)>` from the grid against folding first and multiplying then.
    fn agrees<E: Ext>(seed: impl Fn(u64) -> E) {
        let (a, b): ([E; 8], [E; 8]) =
            (std::array::from_fn(|l| seed(l as u64)), std::array::from_fn(|l| seed(100 + l as u64)));
        let (ea, eb): ([E; 27], [E; 27]) = (extend(&a), extend(&b));
        let q: Vec<E> = ea.iter().zip(eb).map(|(&a, b)| a * b).collect();
        let t = [seed(200), seed(201), seed(202)];
        let eq = weights(&t);
        let fold = |v: &[E; 8]| v.iter().zip(&eq).fold(E::default(), |sum, (&v, &eq)| sum + v * eq);
        assert_eq!(At::new(&t).value(&q), fold(&a) * fold(&b));
        for l in 0..8 {
            assert_eq!(q[position(l, 3)], a[l] * b[l]);
        }
        // Six variables are two times three.
        let both: Vec<E> = q.iter().flat_map(|&x| q.iter().map(move |&y| x * y)).collect();
        let [x, y] = [&t[..], &[seed(203), seed(204), seed(205)]].map(|t| At::new(t).value(&q));
        let t: Vec<E> = (200..206).map(&seed).collect();
        assert_eq!(At::new(&t).value(&both), x * y);
        assert_eq!(between(3).len(), 27 - 8);
        assert!((0..8).all(|l| !between(3).contains(&position(l, 3))));
    }

    #[test]
    fn a_polynomial_is_its_grid() {
        let mix = |k: u64| (k + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        agrees(|k| Gf64(mix(k)));
        agrees(|k| Galois(std::array::from_fn(|c| Z32((mix(k) >> (c % 32)) as u32))));
    }
}
