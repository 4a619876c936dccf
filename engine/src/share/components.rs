//! What the two holders of a component compute from it alone: free, and of any degree.

use super::{Shares, View};
use crate::{Party, memory::zeros, ring::Ring};
use std::fmt;

impl<R: Ring> View<'_, R> {
    /// `f(x_j)` for each component `x_j`, shared: in the sharing of `f(x_j)` component `j` is that value and the two others are zero.
    ///
    /// `f(component, out)` fills `out`, of length `len`, which is zero before; it need not be linear, and may go to another ring. It must be
    /// the same function on all parties, and must not branch on the component. This is how integers become bits: the
    /// bits of a component are known to the two parties that know the component.
    ///
    /// **Shape** a vector to three of `len` elements. **Cost** nothing. **Security** local, from what both holders hold; in malicious mode
    /// there is nothing to check, as for a linear map. **Source** Mohassel and Rindal (CCS 2018, section 5.3).
    #[must_use]
    pub fn components<S: Ring>(self, me: Party, len: usize, mut f: impl FnMut(&[R], &mut [S])) -> [Shares<S>; 3] {
        let (mut own, mut next) = (zeros(len), zeros(len));
        f(self.own, &mut own);
        f(self.next, &mut next);
        let (mut own, mut next) = (Some(own), Some(next));
        Party::ALL.map(|j| {
            let component = |mine: &mut Option<Vec<S>>, holder: Party| {
                if j == holder { mine.take() } else { None }.unwrap_or_else(|| zeros(len))
            };
            Shares::new(component(&mut own, me), component(&mut next, me.next()))
        })
    }

    /// The sum of `f(x_0)`, `f(x_1)` and `f(x_2)`, shared: its components are these values. As [`components`](Self::components) in all else.
    #[must_use]
    pub fn sum_of_components<S: Ring>(self, len: usize, mut f: impl FnMut(&[R], &mut [S])) -> Shares<S> {
        let mut sum = Shares::zeros(len);
        f(self.own, &mut sum.own);
        f(self.next, &mut sum.next);
        sum
    }
}

/// The three components of a vector, each in a sharing of its own, where they lie: [`View::apart`].
pub struct Apart<'a, R: Ring> {
    me: Party,
    x: View<'a, R>,
    zeros: Vec<R>,
}

impl<'a, R: Ring> View<'a, R> {
    /// Each component, shared, as [`components`](Self::components) of the identity, without a copy.
    ///
    /// **Shape** a vector to three of its length. **Cost** nothing. **Security** and **Source** as [`components`](Self::components).
    #[must_use]
    pub fn apart(self, me: Party) -> Apart<'a, R> {
        Apart { me, x: self, zeros: zeros(self.len()) }
    }
}

impl<R: Ring> Apart<'_, R> {
    /// The components of P0, P1 and P2.
    pub fn views(&self) -> [View<'_, R>; 3] {
        Party::ALL.map(|j| View {
            own: if j == self.me { self.x.own } else { &self.zeros },
            next: if j == self.me.next() { self.x.next } else { &self.zeros },
        })
    }
}

impl<R: Ring> fmt::Debug for Apart<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Apart<{}>[{}]", R::NAME, self.x.len())
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        client,
        ring::{Z16, Z64},
        testing::three,
        {SemiHonest, Shares},
    };

    fn square(x: &[Z16], out: &mut [Z64]) {
        for (out, x) in out.iter_mut().zip(x) {
            *out = Z64(u64::from(x.0).pow(2));
        }
    }

    #[test]
    fn components_are_those_their_holders_hold() {
        let out = three::<SemiHonest, _, _>(async |mut ctx| {
            let x = ctx.random::<Z16>(5)?;
            let (me, each) = (ctx.me(), x.view().components::<Z64>(ctx.me(), 5, square));
            let all = x.view().sum_of_components::<Z64>(5, square);
            let v = ctx.verify().await?;
            let mut shown = vec![v.output(all.view())?];
            for share in &each {
                shown.push(v.output(share.view())?);
            }
            let own: Vec<Z64> = x.own.iter().map(|x| Z64(u64::from(x.0).pow(2))).collect();
            let none = Shares::<Z64>::zeros(5);
            assert_eq!((&each[me.index()].own, &each[me.next().index()].own), (&own, &none.own));
            Ok((own, shown))
        });
        let [(x0, a), (x1, b), (x2, c)] = out;
        let mut shown = a.into_iter().zip(b).zip(c).map(|((a, b), c)| client::reconstruct(&[a, b, c]).unwrap());
        let sum: Vec<Z64> = (0..5).map(|e| x0[e] + x1[e] + x2[e]).collect();
        assert_eq!(shown.next().unwrap(), sum);
        for x in [x0, x1, x2] {
            assert_eq!(shown.next().unwrap(), x);
        }
    }
}
