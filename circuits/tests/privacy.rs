//! The views of AES and of comparisons are uniform and do not depend on key, block or operands.

use trefoil_circuits::{
    aes::{KeySize, SboxForm, State, encrypt, expand_key, sbox_layer},
    arith,
    boolean::{CarryForm, Order, less_than, popcount, to_planes},
    gates::OnShares,
};
use trefoil_engine::{
    prelude::*,
    testing::views::{Experiment, Frames, Randomness, observe},
};

const GATES: Experiment =
    Experiment { first: 0, runs: 1024, pairs: [0, 1, 2], randomness: Randomness::OfGates, frames: Frames::All };
/// For views of thousands of words.
const LONG: Experiment = Experiment { first: 0, runs: 512, randomness: Randomness::LeftOut, ..GATES };

/// Every party's view passes on two sets of inputs and between them, and P0's no longer does when P1 stops masking.
fn private_only_if_masked<R: Ring, F>(honest: Experiment, inputs: [&[&[R]]; 2], f: F)
where
    F: AsyncFn(&mut Ctx<SemiHonest>, Vec<Shares<R>>) -> Result<Shares<R>, Error>,
{
    let a = observe::<SemiHonest, R, _>(honest, inputs[0], &f);
    let b = observe::<SemiHonest, R, _>(Experiment { first: honest.runs, ..honest }, inputs[1], &f);
    for (a, b) in a.iter().zip(&b) {
        for v in [a.uniform(), b.uniform(), a.same_as(b)] {
            assert!(v.passes(), "{v:?}");
            // All tests of this file together raise a false alarm with probability below 2^-40.
            assert!(v.tests < 1 << 27, "{v:?}");
        }
    }
    // P1 holds one secret twice and masks with F(k) - F(k) = 0: what it sends to P0 is its bare term.
    let [p0, ..] = observe::<SemiHonest, R, _>(Experiment { pairs: [0, 1, 1], ..honest }, inputs[1], f);
    let v = p0.uniform();
    assert!(!v.passes(), "{v:?}");
}

#[test]
fn views_of_an_sbox_layer_are_noise() {
    // The same byte in all lanes; 0 is the one without an inverse.
    for form in SboxForm::ALL {
        let planes =
            |byte: u8| (0..8).map(|b| if byte >> b & 1 == 1 { Lanes::ONES } else { Lanes(0) }).collect::<Vec<_>>();
        let (zero, other) = (planes(0), planes(0x53));
        private_only_if_masked(GATES, [&[&zero], &[&other]], async |ctx, x| sbox_layer(ctx, form, x[0].view()).await);
    }
}

#[test]
fn views_of_an_aes_block_are_noise() {
    let (zeros, key) = ([Lanes(0); 2], [Lanes(0x0706_0504_0302_0100), Lanes(0x0f0e_0d0c_0b0a_0908)]);
    let block = [Lanes(0x7766_5544_3322_1100), Lanes(0xffee_ddcc_bbaa_9988)];
    private_only_if_masked(LONG, [&[&zeros, &zeros], &[&key, &block]], async |ctx, x| {
        let keys = expand_key(ctx, SboxForm::default(), KeySize::Aes128, x[0].view()).await?;
        let state = State::from_blocks(x[1].view())?;
        let state = encrypt(ctx, SboxForm::default(), &keys.for_encryption(ctx.me())?, &state).await?;
        Ok(state.to_blocks())
    });
}

#[test]
fn views_of_a_comparison_and_of_a_count_are_noise() {
    let planes = |x: u64| to_planes(8, &[x; 64]);
    let [low, high, middle] = [0, 255, 0x5a].map(planes);
    for form in CarryForm::ALL {
        private_only_if_masked(GATES, [&[&low, &high], &[&middle, &middle]], async |ctx, x| {
            less_than(&mut OnShares::new(ctx, 1), form, Order::Unsigned, &x[0], &x[1]).await
        });
    }
    private_only_if_masked(GATES, [&[&low], &[&high]], async |ctx, x| {
        popcount(&mut OnShares::new(ctx, 1), &x[0]).await
    });
}

/// Bits as integers and integers as bits, with what is shown on the way. All lanes are in use: what is shown of the others are zeros.
#[test]
fn views_of_conversions_are_noise() {
    let [zero, ones] = [0, u64::MAX].map(|x| [Z64(x); 64]);
    private_only_if_masked(LONG, [&[&zero], &[&ones]], async |ctx, x| {
        let bits = arith::a2b(ctx, x[0].view()).await?;
        arith::b2a(ctx, 64, bits.view()).await
    });
    let limit = (1 << 61) - 1;
    let [low, high] = [-limit, limit].map(|x: i64| [Z64(x.cast_unsigned()); 64]);
    private_only_if_masked(LONG, [&[&low], &[&high]], async |ctx, x| {
        let y = arith::fixed::floor_shift(ctx, x[0].view(), 13).await?;
        let negative = arith::sign(ctx, y.view()).await?;
        arith::select(ctx, negative.view(), x[0].view(), y.view()).await
    });
}

/// The same of integers of 16 bits: a distance, its threshold, and what is shown on the way from bits.
#[test]
fn views_of_narrow_integers_are_noise() {
    let [zero, ones] = [0, u16::MAX].map(|x| [Z16(x); 64]);
    private_only_if_masked(LONG, [&[&zero, &ones], &[&ones, &ones]], async |ctx, x| {
        let less = arith::narrow::less_than(ctx, Order::Signed, x[0].view(), x[1].view()).await?;
        arith::narrow::b2a(ctx, 64, less.view()).await
    });
}

/// Zeros, of which every product is zero, and rows far from it.
#[test]
fn views_of_products_of_kept_rows_are_noise() {
    let (zeros, other) = ([Z16(0); 16], std::array::from_fn::<_, 16, _>(|k| Z16(1021 * k as u16 + 7)));
    private_only_if_masked(GATES, [&[&zeros, &zeros], &[&other, &other]], async |ctx, x| {
        let mut kept = Kept::<SemiHonest, Z16>::with_capacity(16);
        kept.push(x[0].view());
        // Short rows: long ones would look like noise without a mask.
        ctx.dots_kept(&[(kept.rows(0, 2, [8, 2])?, Windows::new(x[1].view(), 2, 8, 2)?)]).await
    });
}

/// Rows that are in order and rows that are not: the same network.
#[test]
fn views_of_a_sort_are_noise() {
    let (ordered, other) = ([0, 3, 1 << 40, u64::MAX >> 2].map(Z64), [1 << 40, 1, 1, 0].map(Z64));
    private_only_if_masked(LONG, [&[&ordered], &[&other]], async |ctx, x| {
        Ok(arith::sort(ctx, &[x[0].view()]).await?.remove(0))
    });
}
