//! Encryption and decryption of batches, and counter mode.
// A kernel must be inlined into the function that enables the SIMD instructions, or it runs without them.
#![allow(clippy::inline_always)]

use super::{
    keys::{DecryptionKeys, EncryptionKeys},
    sbox::{SboxForm, sub_bytes},
    state::{PLANES, State, counter_blocks},
    tower::{Basis, Bytes, Forward, Inverse, Tower, Way},
};
use std::ops::Add;
use trefoil_engine::{prelude::*, transport::BoxFuture};

/// Doubling in `GF(2^8)`, bits from the low to the high one.
#[inline(always)]
fn xtime<T: Copy + Add<Output = T>>(a: [T; 8]) -> [T; 8] {
    [a[7], a[0] + a[7], a[1], a[2] + a[7], a[3] + a[7], a[4], a[5], a[6]]
}

// Plain loops over the arrays: closures, as of `array::map`, would stay calls outside the enabled instructions.

#[inline(always)]
fn add<T: Copy + Add<Output = T>>(mut a: [T; 8], b: [T; 8]) -> [T; 8] {
    for k in 0..8 {
        a[k] = a[k] + b[k];
    }
    a
}

/// `b_r = a_r + (a_0 + a_1 + a_2 + a_3) + 2 (a_r + a_{r+1})` (FIPS 197, section 5.1.3).
#[inline(always)]
fn mix<T: Copy + Add<Output = T>>(a: [[T; 8]; 4]) -> [[T; 8]; 4] {
    let all = add(add(a[0], a[1]), add(a[2], a[3]));
    let mut b = a;
    for r in 0..4 {
        b[r] = add(add(a[r], all), xtime(add(a[r], a[(r + 1) % 4])));
    }
    b
}

/// `MixColumns` after adding `4 (a_r + a_{r+2})` to each row: circ(14, 11, 13, 9) = circ(2, 3, 1, 1) circ(5, 0, 4, 0).
#[inline(always)]
fn inv_mix<T: Copy + Add<Output = T>>(a: [[T; 8]; 4]) -> [[T; 8]; 4] {
    let (even, odd) = (xtime(xtime(add(a[0], a[2]))), xtime(xtime(add(a[1], a[3]))));
    mix([add(a[0], even), add(a[1], odd), add(a[2], even), add(a[3], odd)])
}

/// What is done to the four bytes of a column between two S-box layers.
trait Column: Copy + Send + Sync + 'static {
    fn mix<T: Copy + Add<Output = T>>(a: [[T; 8]; 4]) -> [[T; 8]; 4];
}

/// `MixColumns`.
#[derive(Clone, Copy)]
struct Mix;
impl Column for Mix {
    #[inline(always)]
    fn mix<T: Copy + Add<Output = T>>(a: [[T; 8]; 4]) -> [[T; 8]; 4] {
        mix(a)
    }
}

/// `InvMixColumns`.
#[derive(Clone, Copy)]
struct InvMix;
impl Column for InvMix {
    #[inline(always)]
    fn mix<T: Copy + Add<Output = T>>(a: [[T; 8]; 4]) -> [[T; 8]; 4] {
        inv_mix(a)
    }
}

/// From the S-box layer's basis through a column to the basis of the next. Input and output: bit `b` of row `r` at `4 b + r`.
struct Between<C, B>(C, B);
impl<C: Column, B: Basis> Linear<32, 32> for Between<C, B> {
    #[inline(always)]
    fn eval<A: Algebra>(&self, x: [Deg1<A>; 32]) -> [Deg1<A>; 32] {
        let mut a = rows(x);
        for a in &mut a {
            *a = B::leave(*a);
        }
        let mut b = C::mix(a);
        for b in &mut b {
            *b = B::enter(*b);
        }
        columns(b)
    }
}

/// Into the S-box layer's basis, before the first round.
struct First<B>(B);
impl<B: Basis> Linear<32, 32> for First<B> {
    #[inline(always)]
    fn eval<A: Algebra>(&self, x: [Deg1<A>; 32]) -> [Deg1<A>; 32] {
        let mut a = rows(x);
        for a in &mut a {
            *a = B::enter(*a);
        }
        columns(a)
    }
}

/// Out of it, after the last round, which leaves columns alone.
struct Last<B>(B);
impl<B: Basis> Linear<32, 32> for Last<B> {
    #[inline(always)]
    fn eval<A: Algebra>(&self, x: [Deg1<A>; 32]) -> [Deg1<A>; 32] {
        let mut a = rows(x);
        for a in &mut a {
            *a = B::leave(*a);
        }
        columns(a)
    }
}

#[inline(always)]
fn rows<T: Copy>(x: [T; 32]) -> [[T; 8]; 4] {
    let mut rows = [[x[0]; 8]; 4];
    for at in 0..32 {
        rows[at % 4][at / 4] = x[at];
    }
    rows
}

#[inline(always)]
fn columns<T: Copy>(rows: [[T; 8]; 4]) -> [T; 32] {
    let mut x = [rows[0][0]; 32];
    for at in 0..32 {
        x[at] = rows[at % 4][at / 4];
    }
    x
}

/// Byte moves between the S-box layer and the columns: the byte that goes to row `r` of column `c`.
#[derive(Clone, Copy)]
enum Shift {
    None,
    Rows,
    InvRows,
}

impl Shift {
    fn source(self, r: usize, c: usize) -> usize {
        let column = match self {
            Self::None => c,
            Self::Rows => (c + r) % 4,
            Self::InvRows => (c + 4 - r) % 4,
        };
        4 * column + r
    }
}

/// One local pass: byte moves, columns, round key. The key comes [by column](by_column).
fn local(
    column: &impl Linear<32, 32>,
    shift: Shift,
    planes: View<'_, Lanes>,
    key: View<'_, Lanes>,
) -> Result<Shares<Lanes>, Error> {
    let w = planes.len() / PLANES;
    let mut out = Shares::zeros(planes.len());
    for c in 0..4 {
        let mut x = [planes.slice(0, 0)?; 32];
        let mut at = [0; 32];
        for b in 0..8 {
            for r in 0..4 {
                x[4 * b + r] = planes.slice((16 * b + shift.source(r, c)) * w, w)?;
                at[4 * b + r] = (16 * b + 4 * c + r) * w;
            }
        }
        View::map_into(column, x, key.slice(32 * c, 32)?, at, &mut out)?;
    }
    Ok(out)
}

/// A round key in the order its columns are added: bit `b` of row `r` of column `c` at `32 c + 4 b + r`.
pub(super) fn by_column(key: View<'_, Lanes>) -> Shares<Lanes> {
    Shares::rearrange(key, PLANES, |from, to| {
        for (at, to) in to.iter_mut().enumerate() {
            *to = from[16 * (at % 32 / 4) + 4 * (at / 32) + at % 4];
        }
    })
}

/// A round key, [by column](by_column), in the basis of the state it is added to.
fn enter<B: Basis>(key: View<'_, Lanes>) -> Shares<Lanes> {
    Shares::rearrange(key, PLANES, |from, to| {
        for at in (0..PLANES).filter(|at| at % 32 < 4) {
            let mut bits = [from[at]; 8];
            for (b, bit) in bits.iter_mut().enumerate() {
                *bit = from[at + 4 * b];
            }
            for (b, bit) in B::enter(bits).into_iter().enumerate() {
                to[at + 4 * b] = bit;
            }
        }
    })
}

/// `InvMixColumns` of a round key.
pub(super) fn inv_mix_columns(key: View<'_, Lanes>) -> Result<Shares<Lanes>, Error> {
    local(&Between(InvMix, Bytes), Shift::None, key, Shares::zeros(PLANES).view())
}

/// The rounds of the cipher, or of the equivalent inverse cipher, with prepared keys.
async fn rounds<M: Mode, C: Column, B: Basis, W: Way>(
    ctx: &mut Ctx<M>,
    form: SboxForm,
    (column, basis, way, shift): (C, B, W, Shift),
    keys: &[Shares<Lanes>],
    input: &State,
) -> Result<State, Error> {
    let last = keys.len() - 1;
    let mut planes = local(&First(basis), Shift::None, input.planes().view(), enter::<B>(keys[0].view()).view())?;
    for (round, key) in keys.iter().enumerate().skip(1) {
        let s = sub_bytes(ctx, form, way, planes.view()).await?;
        planes = if round == last {
            local(&Last(basis), shift, s.view(), key.view())?
        } else {
            local(&Between(column, basis), shift, s.view(), enter::<B>(key.view()).view())?
        };
    }
    Ok(State::new(planes, input.blocks()))
}

/// Encrypts a batch under one expanded key.
///
/// **Shape** any number of blocks to as many. **Cost** `r *` [`SboxForm::rounds`] rounds for `r` = 10, 12 or 14 rounds of the cipher;
/// `128 r w *` [`SboxForm::bits`] bytes, `w` being the blocks over 64, rounded up: 340 bytes a block for AES-128 at 17 bits.
/// **Security** composition of quadratic gates. **Source** FIPS 197, section 5.1; bit-slicing as Araki et al. (CCS 2016, section 4).
///
/// # Errors
/// As [`Ctx::quadratic`]. Not cancel safe.
pub fn encrypt<'a, M: Mode>(
    ctx: &'a mut Ctx<M>,
    form: SboxForm,
    keys: &'a EncryptionKeys,
    input: &'a State,
) -> BoxFuture<'a, Result<State, Error>> {
    // As `Program::run`.
    Box::pin(async move {
        match form {
            SboxForm::BoyarPeralta => rounds(ctx, form, (Mix, Bytes, Forward, Shift::Rows), &keys.keys, input).await,
            _ => rounds(ctx, form, (Mix, Tower(Forward), Forward, Shift::Rows), &keys.keys, input).await,
        }
    })
}

/// Decrypts a batch under one expanded key.
///
/// **Shape**, **Cost**, **Security** as [`encrypt`]. **Source** FIPS 197, section 5.3.5, the equivalent inverse cipher.
///
/// # Errors
/// As [`Ctx::quadratic`]. Not cancel safe.
pub async fn decrypt<M: Mode>(
    ctx: &mut Ctx<M>,
    form: SboxForm,
    keys: &DecryptionKeys,
    input: &State,
) -> Result<State, Error> {
    match form {
        SboxForm::BoyarPeralta => rounds(ctx, form, (InvMix, Bytes, Inverse, Shift::InvRows), &keys.keys, input).await,
        _ => rounds(ctx, form, (InvMix, Tower(Inverse), Inverse, Shift::InvRows), &keys.keys, input).await,
    }
}

/// The key stream of counter mode for `blocks` blocks from a public counter on.
///
/// **Shape** two words a block. **Cost** and **Security** as [`encrypt`]. **Source** SP 800-38A, section 6.5, with the
/// increment of all 128 bits that OpenSSL uses.
///
/// # Errors
/// As [`Ctx::quadratic`]. Not cancel safe.
pub async fn ctr_keystream<M: Mode>(
    ctx: &mut Ctx<M>,
    form: SboxForm,
    keys: &EncryptionKeys,
    counter: u128,
    blocks: usize,
) -> Result<Shares<Lanes>, Error> {
    let input = State::public(ctx.me(), &counter_blocks(counter, blocks));
    Ok(encrypt(ctx, form, keys, &input).await?.to_blocks())
}
