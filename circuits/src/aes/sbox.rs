//! The S-box layer: every S-box of a round at once, in one of three forms.

use super::{
    boyar_peralta,
    tower::{
        Bent, By4, ByBent, Enter, Forward, Inverse16By4, Inverse16ByBent, Invert, Leave, Norm4, Norm16, Tower, Way,
    },
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

/// `SubBytes` of any number of bytes.
///
/// **Shape** 8 planes of `n` words, bit 0 first, to 8 planes of `n` words. **Cost** [`SboxForm::rounds`] rounds; `8 n *`
/// [`SboxForm::bits`] bytes. **Security** composition of quadratic gates. **Source** as [`SboxForm`]; FIPS 197, section 5.1.1.
///
/// # Errors
/// [`Error::Shape`] if the length is not a multiple of 8; as [`Ctx::quadratic`]. Not cancel safe.
pub async fn sbox_layer<M: Mode>(ctx: &mut Ctx<M>, form: SboxForm, x: View<'_, Lanes>) -> Result<Shares<Lanes>, Error> {
    let mut s = without_constant(ctx, form, x).await?;
    let n = s.len() / 8;
    let constant: Vec<_> =
        (0..s.len()).map(|at| if 0x63 >> (at / n) & 1 == 1 { Lanes::ONES } else { Lanes(0) }).collect();
    s.add_public(ctx.me(), &constant)?;
    Ok(s)
}

/// `SubBytes` of any number of bytes, but for the constant 0x63. Otherwise as [`sbox_layer`].
pub(super) async fn without_constant<M: Mode>(
    ctx: &mut Ctx<M>,
    form: SboxForm,
    x: View<'_, Lanes>,
) -> Result<Shares<Lanes>, Error> {
    if form == SboxForm::BoyarPeralta {
        return sub_bytes(ctx, form, Forward, x).await;
    }
    let x = View::map(&Enter(Tower(Forward)), x.planes::<8>()?)?;
    let s = sub_bytes(ctx, form, Forward, x.view()).await?;
    View::map(&Leave(Tower(Forward)), s.planes::<8>()?)
}

/// The S-box of every byte in its [`Basis`](super::tower::Basis), without its constant: of `SubBytes` the constant 0x63 is left to be added; for the
/// inverse it has to be added to the input before. The tower forms take and give tower coordinates, whose changes of basis the caller
/// merges into the linear maps around; the circuit of Boyar and Peralta takes and gives bytes.
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
    let x = x.planes::<8>()?;
    let [x0, x1, x2, x3, x4, x5, x6, x7] = x;
    let mut site = match form {
        SboxForm::Tower18 => ctx.site(&By4, &x)?,
        _ => ctx.site(&ByBent, &x)?,
    };
    let norm = ctx.quadratic_on(&mut site, &Norm16, x).await?;
    let [n0, n1, n2, n3] = norm.planes::<4>()?;
    let inverse = if form == SboxForm::Tower18 {
        let m = ctx.quadratic_on(&mut site, &Norm4, [n0, n1, n2, n3]).await?;
        let [m0, m1] = m.planes::<2>()?;
        ctx.quadratic_on(&mut site, &Inverse16By4, [n0, n1, n2, n3, m0, m1]).await?
    } else {
        let t = ctx.quadratic_on(&mut site, &Bent, [n0, n1, n2, n3]).await?;
        ctx.quadratic_on(&mut site, &Inverse16ByBent, [n0, n1, n2, n3, t.view()]).await?
    };
    let [m0, m1, m2, m3] = inverse.planes::<4>()?;
    let s = ctx.quadratic_on(&mut site, &Invert, [x0, x1, x2, x3, x4, x5, x6, x7, m0, m1, m2, m3]).await?;
    ctx.close(site).await?;
    Ok(s)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aes::reference::SBOX;
    use trefoil_engine::{Cost, testing::on_shares};

    #[test]
    fn every_form_is_the_table_at_its_stated_cost() {
        let planes = |f: &dyn Fn(u8) -> u8| -> Vec<Lanes> {
            let word = |b: usize, w: u64| (0..64).map(|l| u64::from(f((64 * w + l) as u8) >> b & 1) << l).sum();
            (0..32).map(|at| Lanes(word(at / 4, at as u64 % 4))).collect()
        };
        for form in SboxForm::ALL {
            let (out, cost) = on_shares::<SemiHonest, Lanes, _>(&[&planes(&|x| x)], async |ctx, v| {
                sbox_layer(ctx, form, v[0].view()).await
            });
            assert_eq!(out, planes(&|x| SBOX[usize::from(x)]));
            let bits = form.bits();
            assert_eq!(cost, Cost { rounds: form.rounds(), bytes_sent: 32 * bits, products: 4 * bits });
        }
    }
}
