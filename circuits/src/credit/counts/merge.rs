//! Bins that count too few are merged with their neighbours.

use super::{
    cells::{Cells, GATE},
    path::{reached, reached_cost},
};
use crate::arith::{ElementCost, inject, inject_cost};
use trefoil_engine::{Cost, prelude::*};

/// [`merged`](crate::credit::reference::merged) on shares, in rounds that grow with the logarithm of the bins.
///
/// Of all ranges of bins it is found at once whether they count enough. The shortest one from each bin on leads to the bin that follows it: that is a path from each bin on, and where the one from the first bin comes by is where ranges end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Merge {
    pub(super) cells: Cells,
    /// The first bin of those that are merged for themselves, if they can be.
    pub(super) border: Option<usize>,
}

/// Which lanes of a plane say of a range of bins whether it counts enough. The first one is that of all bins.
#[derive(Clone, Copy)]
struct Ranges {
    bins: usize,
}

impl Ranges {
    fn all(self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.bins).flat_map(move |from| (from + 1..=self.bins).rev().map(move |end| (from, end)))
    }

    fn words(self) -> usize {
        Lanes::words(self.bins * (self.bins + 1) / 2)
    }

    /// The lane of a range in the lowest bit; zero if it has no bin.
    fn lane(self, plane: &[Lanes], from: usize, end: usize) -> u64 {
        if from == end {
            return 0;
        }
        let place = from * self.bins - from * from.saturating_sub(1) / 2 + self.bins - end;
        plane[place / Lanes::COUNT].0 >> (place % Lanes::COUNT) & 1
    }
}

impl Merge {
    /// The counts of all parts together, merged: class after class, in each bin after bin.
    pub(super) async fn merged<M: Mode>(self, ctx: &mut Ctx<M>, cells: View<'_, Z64>) -> Result<Shares<Z64>, Error> {
        let borders = self.cells.bins - 1;
        let large = self.cells.enough(ctx, self.sums(cells).view()).await?;
        let everywhere = self.everywhere(ctx, large.view()).await?;
        let told = self.told(ctx, everywhere.view()).await?;
        // Borders from the first one on, then parts.
        let bits = Shares::concat(&[told.view(), self.cells.first_lanes(large.view()).view()]);
        let bits = Shares::rearrange(bits.view(), Lanes::words(borders + self.cells.parts), |bits, out| {
            let (told, large) = bits.split_at(Lanes::words(self.cells.bins));
            let bit = |of: &[Lanes], k: usize| of[k / Lanes::COUNT].0 >> (k % Lanes::COUNT) & 1;
            for k in 0..borders + self.cells.parts {
                let bit = if k < borders { bit(told, k + 1) } else { bit(large, k - borders) };
                out[k / Lanes::COUNT].0 |= bit << (k % Lanes::COUNT);
            }
        });
        let flags = inject(ctx, borders + self.cells.parts, bits.view()).await?;
        let large = flags.view().slice(borders, self.cells.parts)?;
        let together = self.cells.together(ctx, large, cells).await?;
        self.between(ctx, flags.view().slice(0, borders)?, together.view()).await
    }

    /// How many sums are compared, with those that fill words.
    pub(super) fn numbers(self) -> usize {
        self.cells.groups() * Ranges { bins: self.cells.bins }.words() * Lanes::COUNT
    }

    /// The exact cost of [`merged`](Self::merged), in semi-honest mode.
    pub(super) fn cost(self) -> Vec<Cost> {
        let Cells { parts, classes, bins, .. } = self.cells;
        let (ranges, words) = (Ranges { bins }.words(), Lanes::words(bins));
        let product = ElementCost::integers(1, 1);
        let mut costs = self.cells.enough_cost(ranges);
        let mut left = parts;
        while left > 1 {
            costs.push(GATE.over(left / 2 * ranges));
            left -= left / 2;
        }
        if let Some(border) = self.border {
            costs.extend([GATE.over(1), GATE.over((border + 1) * words)]);
        }
        costs.extend(reached_cost(bins));
        costs.push(GATE.over(words));
        costs.push(inject_cost().over(bins - 1 + parts));
        costs.push(self.cells.together_cost());
        costs.push(product.over(classes * (bins - 1)));
        let mut step = 1;
        while step < bins - 1 {
            costs.push(product.over((classes + 1) * (bins - 1 - step)));
            step *= 2;
        }
        costs.extend((bins > 2).then(|| product.over(classes * (bins - 2))));
        costs
    }

    /// What each class of each part counts in all ranges of bins, in whole words of lanes. Local.
    fn sums(self, cells: View<'_, Z64>) -> Shares<Z64> {
        let ranges = Ranges { bins: self.cells.bins };
        let each = ranges.words() * Lanes::COUNT;
        Shares::rearrange(cells, self.cells.groups() * each, |cells, sums| {
            for (cells, sums) in cells.chunks_exact(self.cells.bins).zip(sums.chunks_exact_mut(each)) {
                let until = running(cells);
                sums.iter_mut().zip(ranges.all()).for_each(|(sum, (from, end))| *sum = until[end] - until[from]);
            }
        })
    }

    /// Whether ranges count enough in all parts that do not count too few in all.
    async fn everywhere<M: Mode>(self, ctx: &mut Ctx<M>, large: View<'_, Lanes>) -> Result<Shares<Lanes>, Error> {
        let words = Ranges { bins: self.cells.bins }.words();
        // A part that is too small is so in all ranges: it is not asked, which is one bit more.
        let mut planes = Shares::rearrange(large, large.len(), |large, planes| {
            for (large, planes) in large.chunks_exact(words).zip(planes.chunks_exact_mut(words)) {
                planes.iter_mut().zip(large).for_each(|(plane, &x)| *plane = x + spread(large[0].0));
            }
        });
        planes.add_public(ctx.me(), &vec![Lanes::ONES; planes.len()])?;
        let mut left = self.cells.parts;
        while left > 1 {
            let half = left / 2 * words;
            let both = ctx.mul(planes.view().slice(0, half)?, planes.view().slice(half, half)?).await?;
            planes = Shares::concat(&[both.view(), planes.view().slice(2 * half, left * words - 2 * half)?]);
            left -= left / 2;
        }
        Ok(planes)
    }

    /// A lane for each bin: whether a range ends before it. The first one has no meaning.
    async fn told<M: Mode>(self, ctx: &mut Ctx<M>, enough: View<'_, Lanes>) -> Result<Shares<Lanes>, Error> {
        let bins = self.cells.bins;
        let (ranges, words) = (Ranges { bins }, Lanes::words(bins));
        // From each bin but the last the one that follows the shortest range. That it is enough does not change as a range grows.
        let mut next = Shares::rearrange(enough, (bins - 1) * words, |enough, rows| {
            for (from, row) in rows.chunks_exact_mut(words).enumerate() {
                for end in from + 1..bins {
                    let shortest = ranges.lane(enough, from, end) ^ ranges.lane(enough, from, end - 1);
                    row[end / Lanes::COUNT].0 |= shortest << (end % Lanes::COUNT);
                }
            }
        });
        // Whether what follows a border is enough.
        let rest = |enough: &[Lanes], row: &mut [Lanes], border: usize, end: usize| {
            row[border / Lanes::COUNT].0 ^= ranges.lane(enough, border, end) << (border % Lanes::COUNT);
        };
        let mut rests = Shares::rearrange(enough, words, |enough, row| {
            (1..bins).for_each(|border| rest(enough, row, border, bins));
        });
        let mut first = vec![Lanes(0); words];
        first[0] = Lanes(1);
        let mut first = Shares::public(ctx.me(), &first);
        if let Some(border) = self.border {
            let sides = Shares::rearrange(enough, 2, |enough, sides| {
                sides[0].0 = ranges.lane(enough, 0, border);
                sides[1].0 = ranges.lane(enough, border, bins);
            });
            let [below, above] = sides.planes()?;
            let both = ctx.mul(below, above).await?;
            // If both sides are enough: a second path begins at the border, nothing leads across it, and what follows a border below it ends there.
            first.add_assign(
                Shares::rearrange(both.view(), words, |both, row| {
                    row[border / Lanes::COUNT].0 = (both[0].0 & 1) << (border % Lanes::COUNT);
                })
                .view(),
            )?;
            let across = Shares::rearrange(next.view().slice(0, border * words)?, border * words, |next, across| {
                for (k, (across, next)) in across.iter_mut().zip(next).enumerate() {
                    *across = *next * from_lane(border, k % words);
                }
            });
            let shorter = Shares::rearrange(enough, words, |enough, row| {
                for end in [border, bins] {
                    (1..border).for_each(|from| rest(enough, row, from, end));
                }
            });
            let both = Shares::rearrange(both.view(), (border + 1) * words, |both, all| all.fill(spread(both[0].0)));
            let changed = ctx.mul(Shares::concat(&[across.view(), shorter.view()]).view(), both.view()).await?;
            let later = next.view().slice(border * words, (bins - 1 - border) * words)?;
            let sooner = next.view().slice(0, border * words)?.plus(changed.view().slice(0, border * words)?)?;
            next = Shares::concat(&[sooner.view(), later]);
            rests.add_assign(changed.view().slice(border * words, words)?)?;
        }
        let reached = reached(ctx, bins, first, next).await?;
        ctx.mul(reached.view(), rests.view()).await
    }

    /// The counts between borders that are told, each in the last bin.
    async fn between<M: Mode>(
        self,
        ctx: &mut Ctx<M>,
        told: View<'_, Z64>,
        cells: View<'_, Z64>,
    ) -> Result<Shares<Z64>, Error> {
        let Cells { classes, bins, .. } = self.cells;
        let borders = bins - 1;
        let until = |count: usize| {
            Shares::rearrange(cells, classes * count, |cells, until| {
                for (cells, until) in cells.chunks_exact(bins).zip(until.chunks_exact_mut(count)) {
                    until.copy_from_slice(&running(cells)[1..=count]);
                }
            })
        };
        let at_borders = ctx.mul(Shares::concat(&vec![told; classes]).view(), until(borders).view()).await?;
        let latest = self.latest(ctx, told, at_borders.view()).await?;
        // A range that ends before a bin begins where the last one ended before that.
        let of_each = |x: View<'_, Z64>, from: usize, count: usize| {
            let parts = (0..x.len() / borders).map(|k| x.slice(k * borders + from, count));
            parts.collect::<Result<Vec<_>, _>>().map(|parts| Shares::concat(&parts))
        };
        let begins = if borders > 1 {
            let ends = of_each(Shares::concat(&vec![told; classes]).view(), 1, borders - 1)?;
            ctx.mul(ends.view(), of_each(latest.view(), 0, borders - 1)?.view()).await?
        } else {
            Shares::zeros(0)
        };
        let totals = Shares::rearrange(cells, classes, |cells, totals| {
            for (total, cells) in totals.iter_mut().zip(cells.chunks_exact(bins)) {
                *total = cells.iter().fold(Z64(0), |sum, &cell| sum + cell);
            }
        });
        let (mut ends, mut starts) = (Vec::new(), Vec::new());
        let none = Shares::zeros(1);
        for class in 0..classes {
            ends.extend([at_borders.view().slice(class * borders, borders)?, totals.view().slice(class, 1)?]);
            starts.extend([none.view(), begins.view().slice(class * (borders - 1), borders - 1)?]);
            starts.push(latest.view().slice(class * borders + borders - 1, 1)?);
        }
        Shares::concat(&ends).view().minus(Shares::concat(&starts).view())
    }

    /// For each border the number that goes with the last one that is told up to there; zero if none is. Numbers of those that are not told are zero.
    async fn latest<M: Mode>(
        self,
        ctx: &mut Ctx<M>,
        told: View<'_, Z64>,
        numbers: View<'_, Z64>,
    ) -> Result<Shares<Z64>, Error> {
        let (borders, vectors) = (told.len(), self.cells.classes + 1);
        let mut all = Shares::concat(&[told, numbers]);
        let mut step = 1;
        while step < borders {
            let count = borders - step;
            let none = Shares::public(ctx.me(), &vec![Z64(1); count]);
            let none = none.view().minus(all.view().slice(step, count)?)?;
            let before = Shares::rearrange(all.view(), vectors * count, |all, before| {
                let of_each = all.chunks_exact(borders).zip(before.chunks_exact_mut(count));
                of_each.for_each(|(x, before)| before.copy_from_slice(&x[..count]));
            });
            let carried = ctx.mul(Shares::concat(&vec![none.view(); vectors]).view(), before.view()).await?;
            let carried = Shares::rearrange(carried.view(), vectors * borders, |carried, all| {
                let of_each = all.chunks_exact_mut(borders).zip(carried.chunks_exact(count));
                of_each.for_each(|(all, carried)| all[step..].copy_from_slice(carried));
            });
            all.add_assign(carried.view())?;
            step *= 2;
        }
        Ok(all.view().slice(borders, numbers.len())?.to_shares())
    }
}

/// Sums of none of the cells, of the first, of the first two, and so on.
fn running(cells: &[Z64]) -> Vec<Z64> {
    let mut sum = Z64(0);
    let sums = cells.iter().map(|&cell| {
        sum = sum + cell;
        sum
    });
    std::iter::once(Z64(0)).chain(sums).collect()
}

/// The lowest bit in all lanes.
fn spread(word: u64) -> Lanes {
    Lanes((word & 1).wrapping_neg())
}

/// Which lanes of a word of a row are those from a place on.
fn from_lane(place: usize, word: usize) -> Lanes {
    match place.saturating_sub(word * Lanes::COUNT) {
        skipped if skipped < Lanes::COUNT => Lanes(u64::MAX << skipped),
        _ => Lanes(0),
    }
}
