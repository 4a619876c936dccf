//! Whether inputs are within the limits of a program, checked on shares.

use super::{Executor, in_batches};
use crate::{
    arith::fixed::{any_of_each, outside},
    boolean::LaneCost,
};
use std::sync::Arc;
use trefoil_engine::{prelude::*, transport::BoxFuture};

/// Entries at once: what they hold on a strand is about 10 MB.
const BATCH: usize = 1 << 15;

/// Integers that are to be from `-limit` to `limit`.
#[derive(Debug)]
pub struct Limited {
    /// Of any number.
    pub values: Shares<Z64>,
    /// At most 2^62.
    pub limit: u64,
}

/// Which of some vectors have an entry beyond their limit, as 64-bit integers without exception. One bit for each vector is opened to the three parties, and what led to it is checked before;
/// nothing else becomes known.
///
/// Within its limits a program cannot overflow ([`Program::limits`](super::Program::limits)): who brings an input and lies about it would make it compute a number that is wrong and could look plausible.
///
/// **Shape** some vectors, on so many strands. **Cost** [`beyond_cost`](crate::arith::fixed::beyond_cost) for each entry: 302 bits, in 7 rounds for every 32,768 of a strand; then for `v` vectors of up to `w` words of entries
/// `2 v w + 5 v` words in [`limits_cost`] rounds. **Security** composition of gates; [`Ctx::check`] before the bits are opened. **Source** [`sign`](crate::arith::sign) of the distances to both limits.
///
/// # Errors
/// [`Error::Shape`] for a limit beyond 2^62; as [`Ctx::mul`] and [`Ctx::check`]. Not cancel safe.
pub fn beyond_limits<'a, M: Mode>(
    ctx: &'a mut Ctx<M>,
    inputs: &'a Arc<Vec<Limited>>,
    strands: usize,
    executor: &'a dyn Executor,
) -> BoxFuture<'a, Result<Vec<bool>, Error>> {
    // As `Program::run`.
    Box::pin(beyond(ctx, inputs, strands, executor))
}

async fn beyond<M: Mode>(
    ctx: &mut Ctx<M>,
    inputs: &Arc<Vec<Limited>>,
    strands: usize,
    executor: &dyn Executor,
) -> Result<Vec<bool>, Error> {
    if inputs.is_empty() {
        return Ok(Vec::new());
    }
    let parts = |(k, input): (usize, &Limited)| (0..input.values.len()).step_by(BATCH).map(move |from| (k, from));
    let parts: Arc<Vec<(usize, usize)>> = Arc::new(inputs.iter().enumerate().flat_map(parts).collect());
    let shared = (inputs.clone(), parts.clone());
    let batches = in_batches(ctx, (parts.len(), strands), executor, move |strand, at| {
        let (inputs, parts) = shared.clone();
        Box::pin(async move {
            let (k, from) = parts[at];
            let Limited { values, limit } = &inputs[k];
            let values = values.view().slice(from, BATCH.min(values.len() - from))?;
            // A limit that is too large is refused.
            let limit = i64::try_from(*limit).unwrap_or(i64::MAX);
            outside(strand, values, [-limit, limit]).await
        })
    });
    let mut flags: Vec<Vec<Shares<Lanes>>> = inputs.iter().map(|_| Vec::new()).collect();
    for (at, part) in batches.await? {
        flags[parts[at].0].push(part);
    }
    let flags: Vec<Shares<Lanes>> =
        flags.iter().map(|flags| Shares::concat(&flags.iter().map(Shares::view).collect::<Vec<_>>())).collect();
    let raised = any_of_each(ctx, &flags).await?;
    Ok(open_checked(ctx, raised.view()).await?.iter().map(|word| word.0 != 0).collect())
}

/// The exact cost of the one bit for each of so many vectors of up to so many words of entries: as gates on as many words as there are vectors.
pub const fn limits_cost(words: usize) -> LaneCost {
    crate::arith::fixed::any_cost(2 * words)
}

/// Opens values within a computation that goes on. All that led to them is checked before.
pub(crate) async fn open_checked<M: Mode>(ctx: &mut Ctx<M>, x: View<'_, Lanes>) -> Result<Vec<Lanes>, Error> {
    ctx.check().await?;
    let mut open = ctx.fork(1).await?.remove(0).verify().await?;
    let opened = open.open(x).await?;
    ctx.join_verified(open)?;
    Ok(opened)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        arith::{ElementCost, fixed::beyond_cost},
        program::Turns,
    };
    use trefoil_engine::{Cost, testing};

    /// What three parties find of vectors of integers that they share, and what it costs P0.
    fn beyond<M: Mode>(inputs: &[(&[i64], u64)], strands: usize) -> (Vec<bool>, Cost) {
        let out = testing::three::<M, _, _>(async |mut ctx| {
            let shares = |values: &[i64]| {
                let values: Vec<Z64> = values.iter().map(|x| Z64(x.cast_unsigned())).collect();
                Shares::public(ctx.me(), &values)
            };
            let inputs = inputs.iter().map(|&(values, limit)| Limited { values: shares(values), limit });
            let inputs = Arc::new(inputs.collect::<Vec<_>>());
            let beyond = beyond_limits(&mut ctx, &inputs, strands, &Turns).await?;
            Ok((beyond, ctx.verify().await?.cost()))
        });
        let [a, b, c] = out;
        assert!(a.0 == b.0 && a.0 == c.0);
        a
    }

    #[test]
    fn exactly_what_is_beyond_is_found_in_both_modes() {
        const L: i64 = 1 << 27;
        let well: Vec<i64> =
            (0..200).map(|k| k * L / 199 * if k % 2 == 0 { 1 } else { -1 }).chain([L, -L, 0]).collect();
        for wrong in [L + 1, -L - 1, i64::MAX, i64::MIN, i64::MIN + L, i64::MAX - L, 1 << 62, -(1 << 62), 1 << 40] {
            let mut ill = well.clone();
            ill[wrong.unsigned_abs() as usize % 203] = wrong;
            let inputs = [(&well[..], 1 << 27), (&ill[..], 1 << 27), (&[L + 1][..], 1 << 28), (&[][..], 0)];
            assert_eq!(beyond::<SemiHonest>(&inputs, 2).0, [false, true, false, false], "{wrong}");
        }
        let inputs =
            [(&well[..], 1 << 27), (&well[..], (1 << 27) - 1), (&[0, 0, 1][..], 0), (&[i64::MIN][..], 1 << 62)];
        assert_eq!(beyond::<Malicious>(&inputs, 1).0, [false, true, true, true]);
        assert_eq!(beyond::<Malicious>(&[], 1).0, [false; 0]);
    }

    #[test]
    fn the_cost_is_as_stated() {
        for (entries, vectors) in [(1, 1), (26, 1), (128, 3), (1000, 2)] {
            let values = vec![5; entries];
            let (_, cost) = beyond::<SemiHonest>(&vec![(&values[..], 10); vectors], 1);
            let words = Lanes::words(entries);
            let each = beyond_cost().over(words * Lanes::COUNT);
            let any = ElementCost::lanes(limits_cost(words)).over(vectors * Lanes::COUNT);
            let rounds = each.rounds * vectors as u64 + any.rounds + 1;
            let bytes = vectors as u64 * (each.bytes_sent + size_of::<Lanes>() as u64) + any.bytes_sent;
            assert_eq!((cost.rounds, cost.bytes_sent), (rounds, bytes), "{entries} {vectors}");
        }
    }

    #[test]
    fn one_batch_after_the_other() {
        let mut values = vec![3; 2 * BATCH + 5];
        assert_eq!(beyond::<SemiHonest>(&[(&values, 3)], 2).0, [false]);
        for place in [0, BATCH - 1, BATCH, 2 * BATCH + 4] {
            values[place] = -4;
            assert_eq!(beyond::<SemiHonest>(&[(&values, 3)], 2).0, [true], "{place}");
            values[place] = 3;
        }
    }
}
