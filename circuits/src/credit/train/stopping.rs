//! The end of a training before its last epoch.

use super::EXTRA;
use crate::{
    arith::{
        ElementCost,
        fixed::{Flags, any_cost, beyond_cost},
        sign,
    },
    credit::{CreditError, number::FRACTIONAL},
    program::open_checked,
};
use trefoil_engine::{Cost, prelude::*};

/// When a training ends before its last epoch: when no coefficient has moved by more than a bound since the time before.
///
/// **What becomes known.** Each time one bit is opened to the three nodes: whether to go on. All together say after which epoch the training ended, which everybody can tell from its
/// duration anyway, and nothing else. Whoever does not accept that trains for a number of epochs that is fixed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stopping {
    /// Epochs from one time to the next, at least 1.
    pub every: usize,
    /// The bound, from `2^-20` to 1.
    pub below: f64,
}

impl Stopping {
    pub(super) fn check(self) -> Result<(), CreditError> {
        let Self { every, below } = self;
        CreditError::setting(every > 0, "the number of epochs between checks", every as f64, "at least 1")?;
        let accepted = (f64::from(-20).exp2()..=1.0).contains(&below);
        CreditError::setting(accepted, "the bound of early stopping", below, "from 2^-20 to 1")
    }

    /// Whether it is time, after so many of all epochs. After the last one there is nothing to be spared.
    pub(super) fn is_due(self, epochs: usize, all: usize) -> bool {
        epochs.is_multiple_of(self.every) && epochs < all
    }

    /// Opens whether all coefficients, with their extra bits, have stood still. What led to them is checked before.
    pub(super) async fn stands<M: Mode>(
        self,
        ctx: &mut Ctx<M>,
        before: View<'_, Z64>,
        model: View<'_, Z64>,
    ) -> Result<bool, Error> {
        let (me, n) = (ctx.me(), model.len());
        let bound = vec![Z64(self.bound().cast_unsigned()); n];
        let moves = [model.minus(before)?, before.minus(model)?];
        let padding = Shares::zeros(Lanes::words(n) * Lanes::COUNT - n);
        let mut rest = Vec::new();
        for mut moves in moves {
            moves.add_public(me, &bound)?;
            rest.push(Shares::concat(&[moves.view(), padding.view()]));
        }
        let mut flags = Flags::default();
        flags.raise(sign(ctx, Shares::concat(&[rest[0].view(), rest[1].view()]).view()).await?);
        let moved = flags.any(ctx).await?;
        Ok(open_checked(ctx, moved.view()).await?.iter().all(|word| word.0 == 0))
    }

    /// The exact cost of [`stands`](Self::stands) for so many coefficients, in semi-honest mode.
    pub(super) fn cost(coefficients: usize) -> [Cost; 3] {
        let words = Lanes::words(coefficients);
        let any = ElementCost::lanes(any_cost(2 * words)).over(1);
        let open = Cost { rounds: 1, bytes_sent: size_of::<Lanes>() as u64, products: 0 };
        [beyond_cost().over(words * Lanes::COUNT), any, open]
    }

    /// The twin of [`stands`](Self::stands).
    pub(super) fn plain(self, before: &[i64], model: &[i64]) -> bool {
        before.iter().zip(model).all(|(before, model)| (model - before).abs() <= self.bound())
    }

    fn bound(self) -> i64 {
        (self.below * f64::from(FRACTIONAL + EXTRA).exp2()).round() as i64
    }
}
