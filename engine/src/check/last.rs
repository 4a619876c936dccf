//! The last level: the few pairs that are left, opened at one point under a mask.
//!
//! The pairs are the values of two polynomials at the points `1 ..= f`, each the sum of what the two verifiers hold; at the point 0 they have random values, of which
//! one half is drawn by prover and `prev`, the other by prover and `next`. Their product has degree `2 f`. The claim is its sum over `1 ..= f`, which the masks do
//! not touch, and its value at a random point hides the pairs behind the masks.

use super::{ext::Ext, statement::Vectors};
use crate::{Ctx, Error, Malicious};

/// Pairs that are left.
pub const PAIRS: usize = 8;
/// The degree of the product, and the number of values sent.
const DEGREE: usize = 2 * PAIRS;

/// Two polynomials by their values at `0 ..= PAIRS`.
type Pair<E> = [[E; PAIRS + 1]; 2];

/// What a party holds of the last level.
pub struct Last<E: Ext> {
    /// As prover.
    mine: Pair<E>,
    /// As `prev` of prover `i + 1`.
    as_prev: Pair<E>,
    /// As `next` of prover `i - 1`.
    as_next: Pair<E>,
}

/// Interpolation from the points of the factors and of the product.
pub struct Points<E: Ext> {
    short: Interpolation<E>,
    long: Interpolation<E>,
    /// The weights of the factors' values for those at the points that only the product has.
    past: Vec<Vec<E>>,
}

impl<E: Ext> Points<E> {
    pub fn new() -> Self {
        let (short, long) = (Interpolation::new(PAIRS), Interpolation::new(DEGREE));
        let past = (PAIRS + 1..=DEGREE).map(|k| short.weights(E::point(k as u64))).collect();
        Self { short, long, past }
    }
}

impl<E: Ext> Last<E> {
    pub fn new(ctx: &mut Ctx<Malicious>, vectors: &Vectors<E>) -> Result<Self, Error> {
        // Of each key first the masks of the prover that holds it with its `prev`, then those of the one that holds it with its `next`.
        let (own, next) = ctx.prss.streams();
        let mut draws = [[[E::default(); 2]; 2]; 2];
        for [of_own, of_next] in &mut draws {
            own.fill_bytes(bytemuck::cast_slice_mut(of_own))?;
            next.fill_bytes(bytemuck::cast_slice_mut(of_next))?;
        }
        let [[with_prev, as_prev], [as_next, with_next]] = draws;
        let pair = |masks: [E; 2], a: &[E], b: &[E]| {
            let with = |mask: E, v: &[E]| {
                std::array::from_fn(|k| match k {
                    0 => mask,
                    k => v.get(k - 1).copied().unwrap_or_default(),
                })
            };
            [with(masks[0], a), with(masks[1], b)]
        };
        let of_prev = pair(with_prev, &vectors.own, &vectors.form_own);
        let of_next = pair(with_next, &vectors.next, &vectors.form_next);
        Ok(Self {
            mine: std::array::from_fn(|p| std::array::from_fn(|k| of_prev[p][k] + of_next[p][k])),
            as_prev: pair(as_prev, &vectors.next, &vectors.form_next),
            as_next: pair(as_next, &vectors.own, &vectors.form_own),
        })
    }

    /// The product at all points but 1, where it follows from the claim.
    pub fn proof(&self) -> Vec<E> {
        let [a, b] = &self.mine;
        let past = &E::last_points().past;
        let product = |k: usize| match k {
            0..=PAIRS => a[k] * b[k],
            k => E::sum_of_products(a, &past[k - PAIRS - 1]) * E::sum_of_products(b, &past[k - PAIRS - 1]),
        };
        (0..=DEGREE).filter(|&k| k != 1).map(product).collect()
    }

    /// This party's halves of both factors at `x` and of their product, as `prev` and as `next`: from its half of each claim and of the values sent.
    pub fn at(&self, x: E, claims: [(E, &[E]); 2]) -> [[E; 3]; 2] {
        let points = E::last_points();
        let (short, long) = (points.short.weights(x), points.long.weights(x));
        let halves = |[a, b]: &Pair<E>, (claim, sent): (E, &[E])| {
            let mut values = vec![sent[0], claim];
            values.extend_from_slice(&sent[1..]);
            values[1] = values[2..=PAIRS].iter().fold(claim, |left, &v| left - v);
            [E::sum_of_products(a, &short), E::sum_of_products(b, &short), E::sum_of_products(&values, &long)]
        };
        [halves(&self.as_prev, claims[0]), halves(&self.as_next, claims[1])]
    }
}

/// Lagrange interpolation from the points `0 ..= n`.
struct Interpolation<E> {
    points: Vec<E>,
    /// For each point the inverse of the product of its differences to the others.
    inverses: Vec<E>,
}

impl<E: Ext> Interpolation<E> {
    fn new(n: usize) -> Self {
        let points: Vec<E> = (0..=n as u64).map(E::point).collect();
        let product = |k: usize| {
            let others = points.iter().enumerate().filter(|(j, _)| *j != k);
            others.fold(E::point(1), |product, (_, &p)| product * (points[k] - p))
        };
        let products: Vec<E> = (0..points.len()).map(product).collect();
        // One inversion for all: of the product of the first k + 1 ..
        let mut upto = products.clone();
        for k in 1..upto.len() {
            upto[k] = upto[k - 1] * products[k];
        }
        let mut inverse = upto[n].inverse();
        // .. from which that of each falls off at the end.
        let mut inverses = vec![inverse; n + 1];
        for k in (1..=n).rev() {
            inverses[k] = inverse * upto[k - 1];
            inverse = inverse * products[k];
        }
        inverses[0] = inverse;
        Self { points, inverses }
    }

    /// The weights of the values at the points for the value at `x`.
    fn weights(&self, x: E) -> Vec<E> {
        let one = E::point(1);
        // Products of the differences before and after each point.
        let mut after = vec![one; self.points.len() + 1];
        for (k, &p) in self.points.iter().enumerate().rev() {
            after[k] = after[k + 1] * (x - p);
        }
        let mut before = one;
        let weight = |(k, (&p, &inverse))| {
            let w = before * after[k + 1] * inverse;
            before = before * (x - p);
            w
        };
        self.points.iter().zip(&self.inverses).enumerate().map(weight).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        check::{ext::Gf64, galois::Galois},
        ring::Z32,
    };

    fn interpolates<E: Ext>() {
        let c: Vec<E> = (0..=PAIRS as u64).map(|k| E::point(0x1234_5678_9abc_def1 * (k + 3))).collect();
        let value = |x: E| c.iter().rev().fold(E::default(), |y, &c| y * x + c);
        let at = Interpolation::<E>::new(PAIRS);
        let values: Vec<E> = at.points.iter().map(|&p| value(p)).collect();
        for x in [0, 3, 9, 16, u64::MAX] {
            assert_eq!(E::sum_of_products(&at.weights(E::point(x)), &values), value(E::point(x)));
        }
    }

    #[test]
    fn a_polynomial_is_its_values() {
        interpolates::<Gf64>();
        interpolates::<Galois<Z32>>();
    }
}
