//! The cells of several owners, of whom some are too small to be counted.

use super::WORDS;
use crate::{
    arith::{ElementCost, inject, inject_cost, sign, sign_cost},
    boolean::LaneCost,
};
use trefoil_engine::{Cost, prelude::*};

/// One gate on lanes.
pub(super) const GATE: LaneCost = LaneCost { rounds: 1, bits: 1 };

/// The cells of several parts, each counted by one or two classes and by bins: class after class, in each part after part, in each bin after bin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::credit) struct Cells {
    pub(in crate::credit) parts: usize,
    pub(in crate::credit) classes: usize,
    pub(in crate::credit) bins: usize,
    /// How many of each class a part has to count.
    pub(in crate::credit) minimum: u64,
}

impl Cells {
    /// The sums of all parts but those that count too few of a class: class after class, in each bin after bin.
    pub(in crate::credit) async fn of_large_parts<M: Mode>(
        self,
        ctx: &mut Ctx<M>,
        cells: View<'_, Z64>,
    ) -> Result<Shares<Z64>, Error> {
        let totals = Shares::rearrange(cells, self.groups() * Lanes::COUNT, |cells, totals| {
            for (total, cells) in totals.iter_mut().step_by(Lanes::COUNT).zip(cells.chunks_exact(self.bins)) {
                *total = cells.iter().fold(Z64(0), |sum, &cell| sum + cell);
            }
        });
        let large = self.enough(ctx, totals.view()).await?;
        let large = inject(ctx, self.parts, self.first_lanes(large.view()).view()).await?;
        self.together(ctx, large.view(), cells).await
    }

    /// The exact cost of [`of_large_parts`](Self::of_large_parts), in semi-honest mode.
    pub(in crate::credit) fn of_large_parts_cost(self) -> Vec<Cost> {
        let mut parts = self.enough_cost(1);
        parts.extend([inject_cost().over(self.parts), self.together_cost()]);
        parts
    }

    /// Rows of one class in one part, of all of them.
    pub(super) fn groups(self) -> usize {
        self.parts * self.classes
    }

    /// For each part a plane: whether sums of its cells are enough, in each class. The sums are given as the cells are, for each class and part in whole words of lanes.
    pub(super) async fn enough<M: Mode>(self, ctx: &mut Ctx<M>, sums: View<'_, Z64>) -> Result<Shares<Lanes>, Error> {
        let (mut planes, mut from) = (Vec::new(), 0);
        for planes_at_once in self.at_once(sums.len() / Lanes::COUNT / self.groups().max(1)) {
            let mut rest = sums.slice(from, planes_at_once * Lanes::COUNT)?.to_shares();
            rest.add_public(ctx.me(), &vec![Z64(self.minimum.wrapping_neg()); rest.len()])?;
            planes.push(sign(ctx, rest.view()).await?);
            from += rest.len();
        }
        let mut enough = Shares::concat(&planes.iter().map(Shares::view).collect::<Vec<_>>());
        enough.add_public(ctx.me(), &vec![Lanes::ONES; enough.len()])?;
        if self.classes == 2 {
            let [good, bad] = enough.planes()?;
            enough = ctx.mul(good, bad).await?;
        }
        Ok(enough)
    }

    /// The exact cost of [`enough`](Self::enough) for so many words of sums of each class and part.
    pub(super) fn enough_cost(self, words: usize) -> Vec<Cost> {
        let mut parts: Vec<Cost> =
            self.at_once(words).into_iter().map(|words| sign_cost().over(words * Lanes::COUNT)).collect();
        parts.extend((self.classes == 2).then(|| GATE.over(self.parts * words)));
        parts
    }

    /// Words of lanes that are compared at once.
    fn at_once(self, words: usize) -> Vec<usize> {
        let all = words * self.groups();
        // A comparison holds several times what it compares.
        let most = WORDS / Lanes::COUNT / 4;
        (0..all).step_by(most).map(|from| most.min(all - from)).collect()
    }

    /// The first lane of the plane of each part, side by side. Local.
    pub(super) fn first_lanes(self, planes: View<'_, Lanes>) -> Shares<Lanes> {
        let words = planes.len() / self.parts.max(1);
        Shares::rearrange(planes, Lanes::words(self.parts), |planes, out| {
            for (part, plane) in planes.chunks_exact(words.max(1)).enumerate() {
                out[part / Lanes::COUNT].0 |= (plane[0].0 & 1) << (part % Lanes::COUNT);
            }
        })
    }

    /// The sums of the parts that have a one, where the others have a zero.
    pub(super) async fn together<M: Mode>(
        self,
        ctx: &mut Ctx<M>,
        large: View<'_, Z64>,
        cells: View<'_, Z64>,
    ) -> Result<Shares<Z64>, Error> {
        let large = Shares::rearrange(large, self.groups() * self.bins, |large, out| {
            for (group, out) in out.chunks_exact_mut(self.bins).enumerate() {
                out.fill(large[group % self.parts]);
            }
        });
        ctx.sums_of_products(large.view(), cells, &vec![self.parts; self.classes], self.bins).await
    }

    /// The exact cost of [`together`](Self::together).
    pub(super) fn together_cost(self) -> Cost {
        ElementCost::integers(1, 1).over(self.classes * self.bins)
    }
}
