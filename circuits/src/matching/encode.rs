//! Templates as integers: what a device sends, and what is compared.

use super::{Kind, Template};
use crate::{
    arith::{bits::same, kernels::Xor},
    program::{Executor, Inputs, Program, Released, Shape},
};
use trefoil_engine::{Cost, prelude::*};
use zeroize::Zeroizing;

impl Kind {
    /// Words of the mask, and of every part of the code.
    pub(super) const fn words(self) -> usize {
        Lanes::words(self.mask_bits())
    }

    /// The shape of so many templates as devices send them: bits, of each template the code bits covered first by every mask bit, then those covered second if there are any, then
    /// the mask, each part in whole words.
    pub const fn sent(self, templates: usize) -> Shape {
        Shape::bits(templates * (self.covers() + 1) * self.words() * Lanes::COUNT)
    }

    /// The shape of so many templates as nodes keep them: [`entries`](Self::entries) integers modulo `2^16` for each.
    pub const fn stored(self, templates: usize) -> Shape {
        Shape::z16(templates * self.entries())
    }

    /// Entries of the code and of the mask, and how many of them a column has.
    pub(super) const fn parts(self) -> [(usize, usize); 2] {
        [(self.code_bits(), self.covers() * self.height()), (self.mask_bits(), self.height())]
    }

    /// The exact cost of [`encode`].
    pub const fn encode_cost(self, templates: usize) -> Cost {
        let (words, entries) = (templates * self.covers() * self.words(), templates * self.entries());
        let bytes_sent = (size_of::<Lanes>() * words + 2 * size_of::<Z16>() * entries) as u64;
        Cost { rounds: 3, bytes_sent, products: (words + 2 * entries) as u64 }
    }
}

impl Template {
    /// The bits that are to be split: see [`Kind::sent`].
    pub fn to_bits(&self) -> Zeroizing<Vec<Lanes>> {
        let kind = self.kind();
        let (words, [code, mask]) = (kind.words(), self.parts());
        let mut bits = Zeroizing::new(vec![Lanes(0); (kind.covers() + 1) * words]);
        let mut set = |part: usize, at: usize, bit: bool| {
            bits[part * words + at / Lanes::COUNT].0 |= u64::from(bit) << (at % Lanes::COUNT);
        };
        for c in 0..kind.columns() {
            for i in 0..kind.height() {
                let at = kind.mask_at(c, i);
                (0..kind.covers()).for_each(|s| set(s, at, code[kind.code_at(c, s, i)]));
                set(kind.covers(), at, mask[at]);
            }
        }
        bits
    }

    /// What [`encode`] makes of it, in plain: see [`Kind::stored`].
    pub fn to_integers(&self) -> Zeroizing<Vec<Z16>> {
        let kind = self.kind();
        let [code, mask] = self.parts();
        let mut row = Zeroizing::new(vec![Z16(0); kind.entries()]);
        for c in 0..kind.columns() {
            for i in (0..kind.height()).filter(|&i| mask[kind.mask_at(c, i)]) {
                for at in (0..kind.covers()).map(|s| kind.code_at(c, s, i)) {
                    row[at] = if code[at] { Z16(u16::MAX) } else { Z16(1) };
                }
                row[kind.code_bits() + kind.mask_at(c, i)] = Z16(1);
            }
        }
        row
    }
}

/// Templates as integers: `1 - 2 b` for each valid code bit `b`, 0 for each other, then 1 for each set mask bit, 0 for each other.
///
/// Whatever bits a device has sent, the integers are those of some template: nobody gains anything by sending others.
///
/// **Shape** [`Kind::sent`] to [`Kind::stored`]. **Cost** [`Kind::encode_cost`]: 3 rounds; a code bit costs a bit and two integers of 16 bits, a mask bit two integers.
/// **Security** quadratic gates. **Source** as [`inject`](crate::arith::inject).
///
/// # Errors
/// [`Error::Shape`] for other lengths; as [`Ctx::quadratic`]. Not cancel safe.
pub async fn encode<M: Mode>(
    ctx: &mut Ctx<M>,
    kind: Kind,
    templates: usize,
    bits: View<'_, Lanes>,
) -> Result<Shares<Z16>, Error> {
    same("the bits of templates", kind.sent(templates).elements(), bits.len())?;
    let (covers, words) = (kind.covers(), kind.words());
    let (mut codes, mut masks) = (Vec::new(), Vec::new());
    for k in 0..templates {
        let from = k * (covers + 1) * words;
        codes.push(bits.slice(from, covers * words)?);
        masks.push(bits.slice(from + covers * words, words)?);
    }
    let repeated = masks.iter().flat_map(|&mask| std::iter::repeat_n(mask, covers)).collect::<Vec<_>>();
    let valid = ctx.mul(Shares::concat(&codes).view(), Shares::concat(&repeated).view()).await?;
    let mut parts = Vec::new();
    for (k, &mask) in masks.iter().enumerate() {
        parts.extend([valid.view().slice(k * covers * words, covers * words)?, mask]);
    }
    let parts = Shares::concat(&parts);
    let zero_one = |parts: &[Lanes], out: &mut [Z16]| {
        for (part, out) in parts.chunks_exact(words).zip(out.chunks_exact_mut(kind.mask_bits())) {
            for (word, out) in part.iter().zip(out.chunks_mut(Lanes::COUNT)) {
                out.iter_mut().enumerate().for_each(|(k, out)| *out = Z16((word.0 >> k & 1) as u16));
            }
        }
    };
    let [x, y, z] = parts.view().components(ctx.me(), templates * kind.entries(), zero_one);
    let xy = ctx.quadratic(&Xor, [x.view(), y.view()]).await?;
    let bits = ctx.quadratic(&Xor, [xy.view(), z.view()]).await?;
    Ok(Shares::rearrange(bits.view(), bits.len(), |bits, rows| {
        for (bits, row) in bits.chunks_exact(kind.entries()).zip(rows.chunks_exact_mut(kind.entries())) {
            let (code, mask) = bits.split_at(kind.code_bits());
            for c in 0..kind.columns() {
                for i in 0..kind.height() {
                    let at = kind.mask_at(c, i);
                    for s in 0..covers {
                        let set = code[s * kind.mask_bits() + at];
                        row[kind.code_at(c, s, i)] = mask[at] - set - set;
                    }
                    row[kind.code_bits() + at] = mask[at];
                }
            }
        }
    }))
}

/// How wide rows are.
#[derive(Clone, Copy)]
pub(super) enum Width {
    /// As many integers as there are.
    Exact,
    /// One more, a zero, if that is odd.
    Even,
}

/// A probe written down so often that each rotation of its code and of its mask is a part of it: all columns from the one that most turns to one side put first, on.
pub(super) struct Around {
    kind: Kind,
    /// Of the code and of the mask, with a zero at the end if the length is odd.
    parts: [Shares<Z16>; 2],
}

impl Around {
    pub(super) fn new(kind: Kind, probe: View<'_, Z16>) -> Self {
        let columns = kind.columns() + 2 * kind.turns();
        let mut from = 0;
        let parts = kind.parts().map(|(len, height)| {
            let part = Shares::rearrange(probe, (columns * height).next_multiple_of(2), |row, out| {
                for (k, out) in out.chunks_exact_mut(height).take(columns).enumerate() {
                    let c = (k + kind.columns() - kind.turns()) % kind.columns();
                    out.copy_from_slice(&row[from + c * height..][..height]);
                }
            });
            from += len;
            part
        });
        Self { kind, parts }
    }

    /// The rotations of the code, then those of the mask.
    pub(super) fn rotations(&self, width: Width) -> Result<[Windows<'_, Z16>; 2], Error> {
        let [code, mask] = [0, 1].map(|k| {
            let ((exact, height), part) = (self.kind.parts()[k], self.parts[k].view());
            let due = match width {
                Width::Exact => exact,
                Width::Even => exact.next_multiple_of(2),
            };
            let step = if self.kind.rotations() == 1 { 0 } else { height };
            Windows::new(part, step, self.kind.rotations(), due)
        });
        Ok([code?, mask?])
    }
}

/// Enrolment: templates as devices send them to templates as nodes keep them.
///
/// **Shape** input [`Kind::sent`], output [`Kind::stored`], to be kept at the nodes. **Cost**, **Security** and **Source** as [`encode`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Enrol {
    /// What the templates are.
    pub kind: Kind,
    /// How many.
    pub templates: usize,
}

impl Program for Enrol {
    fn inputs(&self) -> Vec<Shape> {
        vec![self.kind.sent(self.templates)]
    }

    fn outputs(&self) -> Vec<Shape> {
        vec![self.kind.stored(self.templates)]
    }

    async fn protocol<M: Mode>(
        &self,
        mut ctx: Ctx<M>,
        mut inputs: Inputs,
        _: &dyn Executor,
    ) -> Result<Released<M>, Error> {
        inputs.check(&self.inputs())?;
        let sent = inputs.bits(0)?;
        let stored = encode(&mut ctx, self.kind, self.templates, sent.view()).await?;
        Ok(Released { strand: ctx.verify().await?, outputs: vec![stored.into()] })
    }
}
