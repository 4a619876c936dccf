//! Where a path comes by.

use super::{WORDS, cells::GATE};
use trefoil_engine::{Cost, prelude::*};

/// The places that paths come by, in lanes: those where they begin, and from each the next one.
///
/// `next` has a row of lanes for each place but the last, of which one at most is set: that of the next place, which is a later one. Two paths share no place. Steps are doubled: a row of the square leads two places on.
pub(super) async fn reached<M: Mode>(
    ctx: &mut Ctx<M>,
    places: usize,
    first: Shares<Lanes>,
    next: Shares<Lanes>,
) -> Result<Shares<Lanes>, Error> {
    let words = Lanes::words(places);
    let (mut reached, mut next) = (first, next);
    let mut step = 1;
    while 2 * step < places {
        let mut rows = Vec::new();
        for chunk in chunks(places) {
            let (mut lanes, mut factors, mut terms) = (Vec::new(), Vec::new(), Vec::new());
            for row in chunk {
                // Row 0 is that of the places reached. From a place only later ones are.
                let from = row;
                let of = if row == 0 { reached.view() } else { next.view().slice((row - 1) * words, words)? };
                lanes.push(spread(of, from, places - 1 - from));
                factors.push(next.view().slice(from * words, (places - 1 - from) * words)?);
                terms.push(places - 1 - from);
            }
            let lanes = Shares::concat(&lanes.iter().map(Shares::view).collect::<Vec<_>>());
            rows.push(ctx.sums_of_products(lanes.view(), Shares::concat(&factors).view(), &terms, words).await?);
        }
        // The row before the last leads to the last place alone, and twice as far to none.
        rows.push(Shares::zeros(words));
        let rows = Shares::concat(&rows.iter().map(Shares::view).collect::<Vec<_>>());
        reached.add_assign(rows.view().slice(0, words)?)?;
        next = rows.view().slice(words, (places - 1) * words)?.to_shares();
        step *= 2;
    }
    // The last step is of the places reached alone.
    let lanes = spread(reached.view(), 0, places - 1);
    let last = ctx.sums_of_products(lanes.view(), next.view(), &[places - 1], words).await?;
    reached.add_assign(last.view())?;
    Ok(reached)
}

/// The exact cost of [`reached`], in semi-honest mode.
pub(super) fn reached_cost(places: usize) -> Vec<Cost> {
    let words = Lanes::words(places);
    let (mut costs, mut step) = (Vec::new(), 1);
    while 2 * step < places {
        costs.extend(chunks(places).into_iter().map(|chunk| GATE.over(chunk.len() * words)));
        step *= 2;
    }
    costs.push(GATE.over(words));
    costs
}

/// Rows that are multiplied at once: what their factors hold stays a small part of memory.
fn chunks(places: usize) -> Vec<std::ops::Range<usize>> {
    let most = (WORDS / (places * Lanes::words(places))).max(1);
    (0..places - 1).step_by(most).map(|from| from..(from + most).min(places - 1)).collect()
}

/// Some lanes of a row, each in a row of its own. Local.
fn spread(row: View<'_, Lanes>, from: usize, count: usize) -> Shares<Lanes> {
    let words = row.len();
    Shares::rearrange(row, count * words, |row, out| {
        for (k, out) in out.chunks_exact_mut(words).enumerate() {
            let lane = row[(from + k) / Lanes::COUNT].0 >> ((from + k) % Lanes::COUNT) & 1;
            out.fill(Lanes(lane.wrapping_neg()));
        }
    })
}
