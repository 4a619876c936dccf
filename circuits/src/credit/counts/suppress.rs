//! Small counts are left out, and others with them that would tell them.

use crate::arith::{ElementCost, Extreme, equal, equal_cost, inject, inject_cost, sign, sign_cost, tournament};
use trefoil_engine::{Cost, prelude::*};

/// Above every count: there are 2^32 rows at most.
const BEYOND: u32 = 40;

/// The cells of several parts, each counted by one or two classes and by bins: class after class, in each part after part, in each bin after bin; or the bins first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Cells {
    pub(super) parts: usize,
    pub(super) classes: usize,
    pub(super) bins: usize,
    pub(super) minimum: u64,
}

impl Cells {
    /// Rows of one class in one part, of all of them.
    fn groups(self) -> usize {
        self.parts * self.classes
    }

    fn all(self) -> usize {
        self.groups() * self.bins
    }

    /// Cells below the minimum become zero. If those of a group are then fewer than the minimum together, and not none, so does the smallest that is left, the first of equal ones. If
    /// all of a group are, so does the whole part.
    pub(super) async fn enough<M: Mode>(self, ctx: &mut Ctx<M>, cells: View<'_, Z64>) -> Result<Shares<Z64>, Error> {
        let (me, n, groups) = (ctx.me(), self.all(), self.groups());
        // Bins first: a tournament has its candidates there.
        let cells = Shares::rearrange(cells, n, |cells, turned| {
            turned.iter_mut().enumerate().for_each(|(k, cell)| *cell = cells[k % groups * self.bins + k / groups]);
        });
        let few = sign(ctx, less(me, cells.view(), self.minimum)?.view()).await?;
        let few = inject(ctx, n, few.view()).await?;
        let hidden = ctx.mul(few.view(), cells.view()).await?;
        let rest = cells.view().minus(hidden.view())?;

        let sums = [self.sums(hidden.view()), self.sums(cells.view())];
        let mut bounds = Vec::new();
        for minimum in [self.minimum, 1] {
            for sum in &sums {
                bounds.push(less(me, sum.view(), minimum)?);
            }
        }
        let below = sign(ctx, Shares::concat(&bounds.iter().map(Shares::view).collect::<Vec<_>>()).view()).await?;
        let below = inject(ctx, 4 * groups, below.view()).await?;
        // Below the minimum, and not below one: of what is hidden, and of all.
        let few_of = below.view().slice(0, 2 * groups)?.minus(below.view().slice(2 * groups, 2 * groups)?)?;
        let (few_hidden, few_in_all) = (few_of.view().slice(0, groups)?, few_of.view().slice(groups, groups)?);

        let mut keys = few.view().to_shares();
        keys.update(|x| x.iter_mut().for_each(|x| *x = Z64(x.0 << BEYOND)));
        keys.add_assign(cells.view())?;
        let places: Vec<Z64> = (0..n).map(|k| Z64((k / groups) as u64)).collect();
        let places = Shares::public(me, &places);
        let smallest = tournament(ctx, Extreme::Min, self.bins, &[keys.view(), places.view()]).await?;
        let smallest =
            self.to_all(smallest.last().map_or_else(|| Shares::zeros(groups), |x| x.view().to_shares()).view());
        let smallest = equal(ctx, smallest.view(), places.view()).await?;
        let smallest = inject(ctx, n, smallest.view()).await?;

        let dropped = ctx.mul(smallest.view(), self.to_all(few_hidden).view()).await?;
        let dropped = ctx.mul(dropped.view(), rest.view()).await?;
        let rest = rest.view().minus(dropped.view())?;
        let kept = self.kept(ctx, few_in_all).await?;
        let rest = ctx.mul(rest.view(), self.to_all(kept.view()).view()).await?;
        Ok(Shares::rearrange(rest.view(), n, |x, cells| {
            cells.iter_mut().enumerate().for_each(|(k, cell)| *cell = x[k % self.bins * groups + k / self.bins]);
        }))
    }

    /// For each group one if no class of its part is small, and else zero.
    async fn kept<M: Mode>(self, ctx: &mut Ctx<M>, small: View<'_, Z64>) -> Result<Shares<Z64>, Error> {
        let mut kept = Shares::public(ctx.me(), &vec![Z64(1); self.groups()]).view().minus(small)?;
        if self.classes == 2 {
            let both = ctx.mul(kept.view().slice(0, self.parts)?, kept.view().slice(self.parts, self.parts)?).await?;
            kept = Shares::concat(&[both.view(), both.view()]);
        }
        Ok(kept)
    }

    /// The sum of the bins of each group. Local.
    fn sums(self, cells: View<'_, Z64>) -> Shares<Z64> {
        let groups = self.groups();
        Shares::rearrange(cells, groups, |cells, sums| {
            for (group, sum) in sums.iter_mut().enumerate() {
                *sum = cells.iter().skip(group).step_by(groups).fold(Z64(0), |sum, &x| sum + x);
            }
        })
    }

    /// A number of each group for all its bins. Local.
    fn to_all(self, x: View<'_, Z64>) -> Shares<Z64> {
        let groups = self.groups();
        Shares::rearrange(x, self.all(), |x, all| all.chunks_exact_mut(groups).for_each(|bin| bin.copy_from_slice(x)))
    }

    /// The exact cost of [`enough`](Self::enough), in semi-honest mode.
    pub(super) fn cost(self) -> Vec<Cost> {
        let (n, groups) = (self.all(), self.groups());
        let product = ElementCost::integers(1, 1);
        let bit = sign_cost().then(inject_cost());
        let mut parts = vec![bit.then(product).over(n), bit.over(4 * groups)];
        let mut left = self.bins;
        while left > 1 {
            parts.push(bit.then(ElementCost::integers(1, 2)).over(left / 2 * groups));
            left -= left / 2;
        }
        parts.push(equal_cost().then(inject_cost()).then(product.then(product)).over(n));
        parts.extend((self.classes == 2).then(|| product.over(self.parts)));
        parts.push(product.over(n));
        parts
    }

    /// The twin of [`enough`](Self::enough), on the cells of one part class after class.
    pub(super) fn plain(self, part: &mut [Vec<u64>]) {
        let few = |n: u64| n > 0 && n < self.minimum;
        if part.iter().any(|cells| few(cells.iter().sum())) {
            for cells in part.iter_mut() {
                cells.fill(0);
            }
        }
        for cells in part {
            let hidden: u64 = cells.iter().filter(|cell| few(**cell)).sum();
            cells.iter_mut().filter(|cell| few(**cell)).for_each(|cell| *cell = 0);
            if few(hidden) {
                // `min_by_key` takes the first of equal ones.
                cells
                    .iter_mut()
                    .filter(|cell| **cell > 0)
                    .min_by_key(|cell| **cell)
                    .into_iter()
                    .for_each(|cell| *cell = 0);
            }
        }
    }
}

/// What is missing to a bound, negative where numbers are below it. Local.
fn less(me: Party, x: View<'_, Z64>, bound: u64) -> Result<Shares<Z64>, Error> {
    let mut rest = x.to_shares();
    rest.add_public(me, &vec![Z64(bound.wrapping_neg()); x.len()])?;
    Ok(rest)
}
