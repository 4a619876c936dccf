//! Each party's view is uniform and does not depend on the inputs; without its mask a message gives itself away.

use trefoil_engine::{
    prelude::*,
    testing::views::{Experiment, Frames, Randomness, Verdict, observe},
};

const HONEST: Experiment =
    Experiment { first: 0, runs: 4096, pairs: [0, 1, 2], randomness: Randomness::OfGates, frames: Frames::All };

/// Products, a square and linear terms: three inputs, two outputs.
#[derive(Clone, Copy)]
struct Mixed;
impl Quadratic<3, 2> for Mixed {
    fn eval<A: Algebra>(&self, [a, b, c]: [Deg1<A>; 3]) -> [Deg2<A>; 2] {
        [a * b + c * c - a.into(), (a + b) * (b - c) + c.into()]
    }
}

/// A product.
async fn product<M: Mode, R: Ring>(ctx: &mut Ctx<M>, x: Vec<Shares<R>>) -> Result<Shares<R>, Error> {
    ctx.mul(x[0].view(), x[1].view()).await
}

/// Two products, the second one of the first.
async fn cube<M: Mode, R: Ring>(ctx: &mut Ctx<M>, x: Vec<Shares<R>>) -> Result<Shares<R>, Error> {
    let xy = ctx.mul(x[0].view(), x[1].view()).await?;
    ctx.mul(xy.view(), x[0].view()).await
}

async fn quadratic<M: Mode, R: Ring>(ctx: &mut Ctx<M>, x: Vec<Shares<R>>) -> Result<Shares<R>, Error> {
    ctx.quadratic(&Mixed, [x[0].view(), x[1].view(), x[2].view()]).await
}

/// Runs a protocol on two sets of inputs, and tests all three parties' views in each and between them.
#[allow(clippy::needless_pass_by_value)] // a closure is written in place
fn verdicts<M: Mode, R: Ring>(
    experiment: Experiment,
    inputs: [&[&[R]]; 2],
    f: impl AsyncFn(&mut Ctx<M>, Vec<Shares<R>>) -> Result<Shares<R>, Error>,
) -> [[Verdict; 3]; 3] {
    let a = observe::<M, R, _>(experiment, inputs[0], &f);
    let b = observe::<M, R, _>(Experiment { first: experiment.runs, ..experiment }, inputs[1], &f);
    Party::ALL.map(|p| [a[p.index()].uniform(), b[p.index()].uniform(), a[p.index()].same_as(&b[p.index()])])
}

/// Views of the protocol as it is.
fn private<R: Ring, F>(inputs: [&[&[R]]; 2], f: F)
where
    F: AsyncFn(&mut Ctx<SemiHonest>, Vec<Shares<R>>) -> Result<Shares<R>, Error>,
{
    for (p, verdicts) in Party::ALL.into_iter().zip(verdicts(HONEST, inputs, f)) {
        for v in verdicts {
            assert!(v.passes(), "the view of {p}: {v:?}");
            // So that all tests of this file together raise a false alarm with probability below 2^-40.
            assert!((1 << 12..1 << 24).contains(&v.tests), "{v:?}");
        }
    }
}

const LANES: [[Lanes; 1]; 4] = [[Lanes(0)], [Lanes::ONES], [Lanes(0x0123_4567_89ab_cdef)], [Lanes(1 << 63)]];
const INTEGERS: [[Z64; 1]; 4] = [[Z64(0)], [Z64(u64::MAX)], [Z64(0x0123_4567_89ab_cdef)], [Z64(2)]];

#[test]
fn views_of_a_product_are_noise() {
    let [zero, ones, mixed, one] = &LANES;
    private::<Lanes, _>([&[zero, zero], &[ones, ones]], product);
    private::<Lanes, _>([&[mixed, one], &[ones, zero]], product);
    let [zero, ones, mixed, two] = &INTEGERS;
    private::<Z64, _>([&[zero, zero], &[ones, ones]], product);
    private::<Z64, _>([&[mixed, two], &[two, mixed]], product);
}

#[test]
fn views_of_two_products_in_sequence_are_noise() {
    let [zero, ones, ..] = &LANES;
    private::<Lanes, _>([&[zero, ones], &[ones, ones]], cube);
    let [zero, ones, ..] = &INTEGERS;
    private::<Z64, _>([&[zero, ones], &[ones, ones]], cube);
}

#[test]
fn views_of_a_quadratic_gate_are_noise() {
    let [zero, ones, mixed, one] = &LANES;
    private::<Lanes, _>([&[zero, zero, zero], &[mixed, ones, one]], quadratic);
    let [zero, ones, mixed, two] = &INTEGERS;
    private::<Z64, _>([&[zero, zero, zero], &[mixed, ones, two]], quadratic);
}

#[test]
fn views_of_a_dot_product_are_noise() {
    let dot = async |ctx: &mut Ctx<SemiHonest>, x: Vec<Shares<Z64>>| ctx.dot(x[0].view(), x[1].view()).await;
    let (zeros, others) = ([Z64(0); 3], [Z64(1), Z64(u64::MAX), Z64(0x0123_4567_89ab_cdef)]);
    private::<Z64, _>([&[&zeros, &zeros], &[&others, &others]], dot);
}

/// If the two secrets that a party's `next` holds are one, `next` masks with `F(k) - F(k) = 0`: what it sends is its bare term. The
/// party's own two secrets stay independent, so everything else it sees is as it should be.
fn unmasked_for(p: Party) -> Experiment {
    let mut pairs = HONEST.pairs;
    pairs[p.prev().index()] = pairs[p.next().index()];
    Experiment { pairs, ..HONEST }
}

#[test]
fn a_broken_zero_sharing_is_found_by_every_kind_of_test() {
    let [zero, ones, ..] = &LANES;
    for p in Party::ALL {
        let broken = verdicts::<SemiHonest, Lanes>(unmasked_for(p), [&[zero, zero], &[ones, ones]], product);
        let [a, b, between] = broken[p.index()];
        // A bit of the bare term is one in 3 of 8 cases, and with the party's shares it tells the inputs.
        for v in [a, b] {
            assert!(v.bits > 1.0 && v.pairs > 1.0 && v.cells > 1.0, "{p}: {v:?}");
        }
        assert!(between.pairs > 1.0 && between.cells > 1.0, "{p}: {between:?}");
    }
}

#[test]
fn a_broken_zero_sharing_is_found_in_every_gate() {
    let [zero, ones, mixed, one] = &LANES;
    let p = Party::P0;
    for broken in [
        verdicts::<SemiHonest, Lanes>(unmasked_for(p), [&[zero, ones], &[ones, ones]], cube),
        verdicts::<SemiHonest, Lanes>(unmasked_for(p), [&[zero, zero, zero], &[mixed, ones, one]], quadratic),
    ] {
        assert!(broken[p.index()].iter().all(|v| !v.passes()), "{broken:?}");
    }
    let [zero, ones, ..] = &INTEGERS;
    let broken = verdicts::<SemiHonest, Z64>(unmasked_for(p), [&[zero, zero], &[ones, ones]], product);
    assert!(broken[p.index()].iter().all(|v| !v.passes()), "{broken:?}");
}

/// The gates and the check of them: what is recorded is proved, in every lane and row.
const CHECKED: Experiment =
    Experiment { runs: 1024, randomness: Randomness::LeftOut, frames: Frames::ButHashes, ..HONEST };

/// Views of gates and of the proof that follows them: products, pieces of coins, values of proofs, and what is opened at the last level.
#[allow(clippy::needless_pass_by_value)] // a closure is written in place
fn private_when_checked<R: Ring>(
    experiment: Experiment,
    inputs: [&[&[R]]; 2],
    f: impl AsyncFn(&mut Ctx<Malicious>, Vec<Shares<R>>) -> Result<Shares<R>, Error>,
) {
    let and_check = async |ctx: &mut Ctx<Malicious>, x| {
        let z = f(ctx, x).await?;
        ctx.check().await?;
        Ok(z)
    };
    for (p, verdicts) in Party::ALL.into_iter().zip(verdicts::<Malicious, R>(experiment, inputs, &and_check)) {
        for v in verdicts {
            assert!(v.passes(), "the view of {p}: {v:?}");
            assert!((1 << 18..1 << 27).contains(&v.tests), "{v:?}");
        }
    }
    // An unmasked gate is found among all the noise.
    let p = Party::P1;
    let broken =
        observe::<Malicious, R, _>(Experiment { pairs: unmasked_for(p).pairs, ..experiment }, inputs[1], and_check);
    let v = broken[p.index()].uniform();
    assert!(!v.passes(), "{v:?}");
}

#[test]
fn views_of_checked_gates_are_noise() {
    let [zero, ones, mixed, one] = &LANES;
    private_when_checked::<Lanes>(CHECKED, [&[zero, zero], &[ones, ones]], product);
    private_when_checked::<Lanes>(CHECKED, [&[zero, zero, zero], &[mixed, ones, one]], quadratic);
}
