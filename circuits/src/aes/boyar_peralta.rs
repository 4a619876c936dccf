//! The S-box as a plain XOR/AND circuit, for comparison with the tower: 32 ANDs in six layers.
//!
//! Boyar and Peralta, "A depth-16 circuit for the AES S-box" (SEC 2012; ePrint 2011/332), figures 5 to 7. Names are theirs: `x0` is the
//! high bit. The four negated outputs, the constant 0x63, are left out.
// A kernel must be inlined into the function that enables the SIMD instructions, or it runs without them.
#![allow(clippy::inline_always)]

use super::tower::Way;
use trefoil_engine::prelude::*;

/// The linear forms of the top layer that enter products.
struct Top<A> {
    x7: Deg1<A>,
    y: [Deg1<A>; 22],
}

#[inline(always)]
fn top<A: Algebra>(bits: [Deg1<A>; 8]) -> Top<A> {
    let [x7, x6, x5, x4, x3, x2, x1, x0] = bits;
    let (y14, y13, y9, y8) = (x3 + x5, x0 + x6, x0 + x3, x0 + x5);
    let t0 = x1 + x2;
    let y1 = t0 + x7;
    let (y4, y12, y2, y5) = (y1 + x3, y13 + y14, y1 + x0, y1 + x6);
    let y3 = y5 + y8;
    let t1 = x4 + y12;
    let (y15, y20) = (t1 + x5, t1 + x1);
    let (y6, y10, y11) = (y15 + x7, y15 + t0, y20 + y9);
    let (y7, y17, y19, y16) = (x7 + y11, y10 + y11, y10 + y8, t0 + y11);
    let (y21, y18) = (y13 + y16, x0 + y16);
    // Index k is y_k; y_0 does not exist.
    Top { x7, y: [x7, y1, y2, y3, y4, y5, y6, y7, y8, y9, y10, y11, y12, y13, y14, y15, y16, y17, y18, y19, y20, y21] }
}

#[derive(Clone, Copy)]
struct Layer1;
impl Quadratic<8, 9> for Layer1 {
    #[inline(always)]
    fn eval<A: Algebra>(&self, x: [Deg1<A>; 8]) -> [Deg2<A>; 9] {
        let Top { x7, y } = top(x);
        [
            y[12] * y[15],
            y[3] * y[6],
            y[4] * x7,
            y[13] * y[16],
            y[5] * y[1],
            y[2] * y[7],
            y[9] * y[11],
            y[14] * y[17],
            y[8] * y[10],
        ]
    }
}

/// `t21, t22, t23, t24` from the input and the first layer's products.
struct Middle;
impl Linear<17, 4> for Middle {
    #[inline(always)]
    fn eval<A: Algebra>(&self, v: [Deg1<A>; 17]) -> [Deg1<A>; 4] {
        let [x0, x1, x2, x3, x4, x5, x6, x7, t2, t3, t5, t7, t8, t10, t12, t13, t15] = v;
        let Top { y, .. } = top([x0, x1, x2, x3, x4, x5, x6, x7]);
        let (t14, t16) = (t13 + t12, t15 + t12);
        let (t17, t18, t19, t20) = (t3 + t2 + t14, t5 + t2 + t16, t8 + t7 + t14, t10 + t7 + t16);
        [t17 + y[20], t18 + y[19], t19 + y[21], t20 + y[18]]
    }
}

#[derive(Clone, Copy)]
struct Layer2;
impl Quadratic<4, 1> for Layer2 {
    #[inline(always)]
    fn eval<A: Algebra>(&self, [t21, _, t23, _]: [Deg1<A>; 4]) -> [Deg2<A>; 1] {
        [t21 * t23]
    }
}

#[derive(Clone, Copy)]
struct Layer3;
impl Quadratic<5, 2> for Layer3 {
    #[inline(always)]
    fn eval<A: Algebra>(&self, [t21, t22, t23, t24, t26]: [Deg1<A>; 5]) -> [Deg2<A>; 2] {
        [(t21 + t22) * (t24 + t26), (t22 + t26) * (t23 + t24)]
    }
}

#[derive(Clone, Copy)]
struct Layer4;
impl Quadratic<3, 1> for Layer4 {
    #[inline(always)]
    fn eval<A: Algebra>(&self, [t24, t26, t32]: [Deg1<A>; 3]) -> [Deg2<A>; 1] {
        // t35 = t27 + t33 = (t24 + t26) + (t32 + t24).
        [t24 * (t26 + t32)]
    }
}

#[derive(Clone, Copy)]
struct Layer5;
impl Quadratic<5, 1> for Layer5 {
    #[inline(always)]
    fn eval<A: Algebra>(&self, [t22, t24, t26, t28, t36]: [Deg1<A>; 5]) -> [Deg2<A>; 1] {
        [(t28 + t22) * (t24 + t26 + t36)]
    }
}

/// The inputs of the last layer: the byte, then `t21 .. t24`, `t28`, `t32`, `t36`, `t39`.
#[derive(Clone, Copy)]
struct Layer6;
impl Quadratic<16, 18> for Layer6 {
    #[inline(always)]
    fn eval<A: Algebra>(&self, v: [Deg1<A>; 16]) -> [Deg2<A>; 18] {
        let [x0, x1, x2, x3, x4, x5, x6, x7, t21, t22, t23, t24, t28, t32, t36, t39] = v;
        let Top { x7, y } = top([x0, x1, x2, x3, x4, x5, x6, x7]);
        let (t29, t33) = (t28 + t22, t32 + t24);
        let (t37, t40) = (t36 + t23 + t33, t21 + t22 + t39);
        let (t41, t42, t43, t44) = (t40 + t37, t29 + t33, t29 + t40, t33 + t37);
        let t45 = t42 + t41;
        [
            t44 * y[15],
            t37 * y[6],
            t33 * x7,
            t43 * y[16],
            t40 * y[1],
            t29 * y[7],
            t42 * y[11],
            t45 * y[17],
            t41 * y[10],
            t44 * y[12],
            t37 * y[3],
            t33 * y[4],
            t43 * y[13],
            t40 * y[5],
            t29 * y[2],
            t42 * y[9],
            t45 * y[14],
            t41 * y[8],
        ]
    }
}

struct Bottom;
impl Linear<18, 8> for Bottom {
    #[inline(always)]
    fn eval<A: Algebra>(&self, z: [Deg1<A>; 18]) -> [Deg1<A>; 8] {
        let (t46, t47, t48, t49) = (z[15] + z[16], z[10] + z[11], z[5] + z[13], z[9] + z[10]);
        let (t50, t51, t52, t53) = (z[2] + z[12], z[2] + z[5], z[7] + z[8], z[0] + z[3]);
        let (t54, t55, t56, t57) = (z[6] + z[7], z[16] + z[17], z[12] + t48, t50 + t53);
        let (t58, t59, t60, t61) = (z[4] + t46, z[3] + t54, t46 + t57, z[14] + t57);
        let (t62, t63, t64) = (t52 + t58, t49 + t58, z[4] + t59);
        let t65 = t61 + t62;
        let t66 = z[1] + t63;
        let t67 = t64 + t65;
        let s3 = t53 + t66;
        // s7 is the low bit.
        [t48 + t60, t56 + t62, t47 + t65, t51 + t66, s3, t55 + t67, t64 + s3, t59 + t63]
    }
}

/// The inverse of the linear part of the S-box's affine map: bit `i` of the result is bits `i+2`, `i+5` and `i+7` of the input.
struct UndoAffine;
impl Linear<8, 8> for UndoAffine {
    #[inline(always)]
    fn eval<A: Algebra>(&self, x: [Deg1<A>; 8]) -> [Deg1<A>; 8] {
        std::array::from_fn(|i| x[(i + 2) % 8] + x[(i + 5) % 8] + x[(i + 7) % 8])
    }
}

/// As `sbox::sub_bytes`, in this form. The inverse goes through the forward circuit with the affine map undone
/// before and after: with `S = L . inv`, `inv . L^-1 = L^-1 . S . L^-1`.
pub(super) async fn sub_bytes<M: Mode, W: Way>(
    ctx: &mut Ctx<M>,
    _: W,
    x: View<'_, Lanes>,
) -> Result<Shares<Lanes>, Error> {
    if !W::INVERSE {
        return forward(ctx, x).await;
    }
    let before = View::map(&UndoAffine, x.planes()?)?;
    let s = forward(ctx, before.view()).await?;
    View::map(&UndoAffine, s.planes()?)
}

async fn forward<M: Mode>(ctx: &mut Ctx<M>, x: View<'_, Lanes>) -> Result<Shares<Lanes>, Error> {
    let x @ [x0, x1, x2, x3, x4, x5, x6, x7] = x.planes::<8>()?;
    let l1 = ctx.quadratic(&Layer1, x).await?;
    let [a, b, c, d, e, f, g, h, i] = l1.planes::<9>()?;
    let mid = View::map(&Middle, [x0, x1, x2, x3, x4, x5, x6, x7, a, b, c, d, e, f, g, h, i])?;
    let [t21, t22, t23, t24] = mid.planes::<4>()?;
    let t26 = ctx.quadratic(&Layer2, [t21, t22, t23, t24]).await?;
    let l3 = ctx.quadratic(&Layer3, [t21, t22, t23, t24, t26.view()]).await?;
    let [t28, t32] = l3.planes::<2>()?;
    let t36 = ctx.quadratic(&Layer4, [t24, t26.view(), t32]).await?;
    let t39 = ctx.quadratic(&Layer5, [t22, t24, t26.view(), t28, t36.view()]).await?;
    let last = [x0, x1, x2, x3, x4, x5, x6, x7, t21, t22, t23, t24, t28, t32, t36.view(), t39.view()];
    let z = ctx.quadratic(&Layer6, last).await?;
    View::map(&Bottom, z.planes()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aes::{
        reference::{INV_SBOX, SBOX},
        tower::{Forward, Inverse},
    };
    use trefoil_engine::{Cost, testing::on_shares};

    /// All 256 bytes, four words a plane.
    fn planes(f: impl Fn(u8) -> u8) -> Vec<Lanes> {
        let word = |b: usize, w: u64| (0..64).map(|l| u64::from(f((64 * w + l) as u8) >> b & 1) << l).sum();
        (0..8).flat_map(|b| (0..4).map(move |w| (b, w))).map(|(b, w)| Lanes(word(b, w))).collect()
    }

    fn check<W: Way>(expected: &[Lanes]) {
        let (out, cost) = on_shares::<SemiHonest, Lanes, _>(&[&planes(|x| x)], async |ctx, v| {
            sub_bytes(ctx, W::default(), v[0].view()).await
        });
        assert_eq!(out, expected);
        assert_eq!(cost, Cost { rounds: 6, bytes_sent: 32 * 256 / 8, products: 32 * 4 });
    }

    #[test]
    fn every_byte_both_ways_at_32_bits_and_6_rounds() {
        check::<Forward>(&planes(|x| SBOX[usize::from(x)] ^ 0x63));
        check::<Inverse>(&planes(|x| INV_SBOX[usize::from(x ^ 0x63)]));
    }
}
