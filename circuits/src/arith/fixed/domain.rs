//! Domains of functions, and functions that raise a flag for what lies outside.

use super::{Fixed, Flags};
use trefoil_engine::prelude::*;

/// A function whose domain is not all numbers.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Function {
    /// [`Fixed::reciprocal`]: above 0.
    Reciprocal,
    /// [`Fixed::sqrt`]: not below 0.
    Sqrt,
    /// [`Fixed::inverse_sqrt`]: above 0.
    InverseSqrt,
    /// [`Fixed::exp`]: at most 11.
    Exp,
    /// [`Fixed::ln`]: above 0.
    Ln,
}

impl Function {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Reciprocal, Self::Sqrt, Self::InverseSqrt, Self::Exp, Self::Ln];

    /// The least and the largest argument, as integers: of numbers of so many fractional bits.
    pub const fn domain(self, fractional: u32) -> [i64; 2] {
        match self {
            Self::Reciprocal | Self::Ln => [1, (1 << 61) - 1],
            Self::Sqrt => [0, (1 << 60) - 1],
            Self::InverseSqrt => [1, (1 << 60) - 1],
            // What is below -22 counts as that, which is within the error.
            Self::Exp => [-(1 << 61), 11 << fractional],
        }
    }
}

impl<const F: u32> Fixed<F> {
    /// A function of numbers, and raises a flag for each argument outside of its [`domain`](Function::domain), whose result has no meaning.
    ///
    /// **Shape** `n` numbers to `n`. **Cost** that of the function, and [`beyond_cost`](super::beyond_cost) before it. **Security** and **Source** as both.
    ///
    /// # Errors
    /// As the function. Not cancel safe.
    pub async fn checked<M: Mode>(
        ctx: &mut Ctx<M>,
        flags: &mut Flags,
        function: Function,
        x: View<'_, Z64>,
    ) -> Result<Shares<Z64>, Error> {
        flags.raise_outside(ctx, x, function.domain(F)).await?;
        match function {
            Function::Reciprocal => Self::reciprocal(ctx, x).await,
            Function::Sqrt => Self::sqrt(ctx, x).await,
            Function::InverseSqrt => Self::inverse_sqrt(ctx, x).await,
            Function::Exp => Self::exp(ctx, x).await,
            Function::Ln => Self::ln(ctx, x).await,
        }
    }

    /// As [`div`](Self::div), and raises a flag for each dividend that is not below `2^bits[0]` in absolute value, and for each divisor that is below `2^-bits[1]`, not above 0 or too large: of
    /// bounds whose quotient has room (`bits[0] + bits[1] + 2 F <= 60` and `bits[1] <= F`).
    ///
    /// **Shape** as [`div`](Self::div). **Cost** that, and twice [`beyond_cost`](super::beyond_cost). **Security** and **Source** as both.
    ///
    /// # Errors
    /// [`Error::Shape`] if the bounds leave no room; as both. Not cancel safe.
    pub async fn div_checked<M: Mode>(
        ctx: &mut Ctx<M>,
        flags: &mut Flags,
        x: View<'_, Z64>,
        y: View<'_, Z64>,
        bits: [u32; 2],
    ) -> Result<Shares<Z64>, Error> {
        let room = 60_u32.saturating_sub(2 * F) as usize;
        let due = bits[0].saturating_add(bits[1]) as usize;
        crate::arith::bits::same("the bits of a quotient at most", room, room.max(due))?;
        crate::arith::bits::same("the bits of a divisor at most", F as usize, F.max(bits[1]) as usize)?;
        flags.raise_beyond(ctx, x, F + bits[0]).await?;
        let [_, most] = Function::Reciprocal.domain(F);
        flags.raise_outside(ctx, y, [1 << (F - bits[1]), most]).await?;
        Self::div(ctx, x, y).await
    }
}
