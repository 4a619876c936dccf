//! The S-box layer: every S-box of a round at once, in one of three forms.

use super::{
    boyar_peralta,
    tower::{Bent, Inverse16By4, Inverse16ByBent, Invert, Norm4, Norm16, Way},
};
use trefoil_engine::prelude::*;

/// How S-boxes are computed. All forms give the same result.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum SboxForm {
    /// Tower field with a bent form: 17 bits and 4 rounds.
    #[default]
    Tower17,
    /// Tower field with norms all the way down: 18 bits and 4 rounds.
    Tower18,
    /// The circuit of Boyar and Peralta, layer by layer of ANDs: 32 bits and 6 rounds.
    BoyarPeralta,
}

impl SboxForm {
    /// Every form.
    pub const ALL: [Self; 3] = [Self::Tower17, Self::Tower18, Self::BoyarPeralta];

    /// The name on the command line and in result rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tower17 => "tower17",
            Self::Tower18 => "tower18",
            Self::BoyarPeralta => "boyar-peralta",
        }
    }

    /// Bits sent by each party for one S-box.
    pub const fn bits(self) -> u64 {
        match self {
            Self::Tower17 => 17,
            Self::Tower18 => 18,
            Self::BoyarPeralta => 32,
        }
    }

    /// Rounds of communication of an S-box layer.
    pub const fn rounds(self) -> u64 {
        match self {
            Self::Tower17 | Self::Tower18 => 4,
            Self::BoyarPeralta => 6,
        }
    }
}

/// The S-box of every byte, without its constant: of `SubBytes` the constant 0x63 is left to be added; for the inverse it has to
/// be added to the input before.
///
/// **Shape** 8 planes of `n` words, bit 0 first, to 8 planes of `n` words. **Cost** [`SboxForm::rounds`] rounds;
/// [`SboxForm::bits`] bits per byte, that is `8 n` bytes times it. **Security** composition of quadratic gates.
/// **Source** Boyar and Peralta (SEC 2012) for the circuit; Canright (CHES 2005) for the tower; the bent form is ours, see `tower`.
///
/// # Errors
/// As [`Ctx::quadratic`]. Not cancel safe.
pub(super) async fn sub_bytes<M: Mode, W: Way>(
    ctx: &mut Ctx<M>,
    form: SboxForm,
    way: W,
    x: View<'_, Lanes>,
) -> Result<Shares<Lanes>, Error> {
    if form == SboxForm::BoyarPeralta {
        return boyar_peralta::sub_bytes(ctx, way, x).await;
    }
    let [x0, x1, x2, x3, x4, x5, x6, x7] = x.planes::<8>()?;
    let norm = ctx.quadratic(&Norm16(way), [x0, x1, x2, x3, x4, x5, x6, x7]).await?;
    let [n0, n1, n2, n3] = norm.planes::<4>()?;
    let inverse = if form == SboxForm::Tower18 {
        let m = ctx.quadratic(&Norm4, [n0, n1, n2, n3]).await?;
        let [m0, m1] = m.planes::<2>()?;
        ctx.quadratic(&Inverse16By4, [n0, n1, n2, n3, m0, m1]).await?
    } else {
        let t = ctx.quadratic(&Bent, [n0, n1, n2, n3]).await?;
        ctx.quadratic(&Inverse16ByBent, [n0, n1, n2, n3, t.view()]).await?
    };
    let [m0, m1, m2, m3] = inverse.planes::<4>()?;
    ctx.quadratic(&Invert(way), [x0, x1, x2, x3, x4, x5, x6, x7, m0, m1, m2, m3]).await
}
