//! Arithmetic on bits: on shares and recorded, against plain integers, with exact costs.

use proptest::prelude::*;
use trefoil_circuits::{
    boolean::{
        CarryForm, LaneCost, Order, add, add_cost, all, carry, carry_cost, carry_save, carry_save_cost, equal,
        equal_cost, from_planes, less_than, less_than_cost, mux, mux_cost, popcount, popcount_cost, reference, sub,
        to_planes,
    },
    bristol::{Builder, Counts},
    gates::{Gates, OnShares, record},
};
use trefoil_engine::{Error, Lanes, SemiHonest, Shares, testing::on_shares};

/// Everything this module has, each on three integers of one width.
#[derive(Clone, Copy, Debug)]
enum Op {
    Add(CarryForm),
    Sub(CarryForm),
    Carry(CarryForm),
    LessThan(CarryForm, Order),
    Equal,
    All,
    Mux,
    CarrySave,
    Popcount,
}

impl Op {
    fn every() -> Vec<Self> {
        let mut ops = vec![Self::Equal, Self::All, Self::Mux, Self::CarrySave, Self::Popcount];
        for form in CarryForm::ALL {
            ops.extend([Self::Add(form), Self::Sub(form), Self::Carry(form)]);
            ops.extend(Order::ALL.map(|order| Self::LessThan(form, order)));
        }
        ops
    }

    /// The circuit. The choice of the multiplexer is the low bit of `z`.
    async fn run<G: Gates>(self, g: &mut G, [x, y, z]: [&G::Bits; 3]) -> Result<G::Bits, G::Error> {
        match self {
            Self::Add(form) => add(g, form, x, y).await,
            Self::Sub(form) => sub(g, form, x, y).await,
            Self::Carry(form) => carry(g, form, x, y).await,
            Self::LessThan(form, order) => less_than(g, form, order, x, y).await,
            Self::Equal => equal(g, x, y).await,
            Self::All => all(g, x).await,
            Self::Mux => {
                let choice = g.select(z, 0..g.width(z).min(1))?;
                mux(g, &choice, x, y).await
            }
            Self::CarrySave => {
                let [sum, carries] = carry_save(g, x, y, z).await?;
                Ok(g.concat(&[&sum, &carries]))
            }
            Self::Popcount => popcount(g, x).await,
        }
    }

    /// Width of the result, its integers in parts of 64 bits at most.
    fn widths(self, k: usize) -> Vec<usize> {
        match self {
            Self::Add(_) | Self::Sub(_) | Self::Mux => vec![k],
            Self::LessThan(..) | Self::Carry(_) | Self::Equal | Self::All => vec![1],
            Self::CarrySave => vec![k, k],
            Self::Popcount => vec![(usize::BITS - k.leading_zeros()) as usize],
        }
    }

    fn reference(self, k: usize, [x, y, z]: [u64; 3]) -> Vec<u64> {
        match self {
            Self::Add(_) => vec![reference::add(k, x, y)],
            Self::Sub(_) => vec![reference::sub(k, x, y)],
            Self::Carry(_) => vec![reference::carry(k, x, y)],
            Self::LessThan(_, order) => vec![reference::less_than(k, order, x, y)],
            Self::Equal => vec![reference::equal(k, x, y)],
            Self::All => vec![reference::all(k, x)],
            Self::Mux => vec![reference::mux(k, z, x, y)],
            Self::CarrySave => reference::carry_save(k, x, y, z).to_vec(),
            Self::Popcount => vec![reference::popcount(k, x)],
        }
    }

    fn cost(self, k: usize) -> LaneCost {
        match self {
            Self::Add(form) | Self::Sub(form) => add_cost(form, k),
            Self::Carry(form) => carry_cost(form, k),
            Self::LessThan(form, _) => less_than_cost(form, k),
            Self::Equal | Self::All => equal_cost(k),
            Self::Mux => mux_cost(k),
            Self::CarrySave => carry_save_cost(k),
            Self::Popcount => popcount_cost(k),
        }
    }

    /// Runs on shares, compares with the reference in every lane and with the price.
    fn check(self, k: usize, triples: &[[u64; 3]]) {
        let words = Lanes::words(triples.len());
        let column = |c: usize| to_planes(k, &triples.iter().map(|t| t[c]).collect::<Vec<_>>());
        let inputs = [column(0), column(1), column(2)];
        let (out, cost) = on_shares::<SemiHonest, _, _>(&inputs.each_ref().map(|v| &v[..]), async |ctx, v| {
            sendable(self.run(&mut OnShares::new(ctx, words), [&v[0], &v[1], &v[2]])).await
        });
        let mut planes = &out[..];
        let widths = self.widths(k);
        let parts: Vec<Vec<u64>> = widths
            .iter()
            .map(|&width| {
                let (part, rest) = planes.split_at(width * words);
                planes = rest;
                from_planes(width, triples.len(), part).unwrap()
            })
            .collect();
        assert!(planes.is_empty());
        for (lane, &triple) in triples.iter().enumerate() {
            let got: Vec<u64> = parts.iter().map(|part| part[lane]).collect();
            assert_eq!(got, self.reference(k, triple), "{self:?} of {k} bits on {triple:x?}");
        }
        assert_eq!(cost, self.cost(k).over(words), "{self:?} of {k} bits");
    }
}

/// A node runs circuits as tasks on its threads.
fn sendable<F: Future + Send>(f: F) -> F {
    f
}

#[test]
fn all_small_integers() {
    for k in 0..=5 {
        let pairs = (0..1_u64 << (2 * k)).flat_map(|xy| (0..2).map(move |z| [xy >> k, xy & ((1 << k) - 1), z]));
        let triples: Vec<_> = pairs.collect();
        for op in Op::every() {
            op.check(k, &triples);
        }
    }
    // Three summands: all triples of three bits.
    let triples: Vec<_> = (0..1 << 9).map(|t| [t >> 6, t >> 3 & 7, t & 7]).collect();
    Op::CarrySave.check(3, &triples);
    for k in 6..=10 {
        let all: Vec<_> = (0..1 << k).map(|x| [x, 0, 0]).collect();
        Op::Popcount.check(k, &all);
        Op::All.check(k, &all);
    }
}

/// The ends of the range, powers of two and their neighbours, all against all.
#[test]
fn edges_of_wide_integers() {
    for k in [6, 7, 8, 13, 31, 32, 33, 63, 64] {
        let top = reference::low(k, u64::MAX);
        let mut edges = vec![0, 1, 2, top, top - 1, top / 2, top / 2 + 1, top / 2 + 2, 0x5555_5555_5555_5555 & top];
        edges.extend([3, k - 2].map(|shift| 1_u64 << shift));
        let triples: Vec<_> =
            edges.iter().flat_map(|&x| edges.iter().map(move |&y| [x, y, (x ^ y).rotate_right(1) & top])).collect();
        for op in Op::every() {
            op.check(k, &triples);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn wide_integers(
        k in prop_oneof![Just(1_usize), Just(7), Just(13), Just(63), Just(64), 1_usize..=64],
        triples in proptest::collection::vec(any::<[u64; 3]>(), 1..150),
        op in 0..Op::every().len(),
    ) {
        // Half of the pairs share their high bits, so that comparisons reach down.
        let low = |x| reference::low(k, x);
        let triples: Vec<_> = triples
            .iter()
            .enumerate()
            .map(|(lane, &[x, y, z])| {
                let close = if lane % 2 == 0 { low(y) } else { low(x) ^ low(y) >> (k * 3 / 4) };
                [low(x), close, low(z)]
            })
            .collect();
        Op::every()[op].check(k, &triples);
    }
}

#[test]
fn popcount_of_long_vectors() {
    for (k, ones) in [(100, 37), (127, 127), (128, 128), (129, 0), (300, 299), (1000, 512)] {
        let bits: Vec<Lanes> = (0..k).map(|i| if i * 7 % k < ones { Lanes::ONES } else { Lanes(0) }).collect();
        let expected = bits.iter().filter(|&&b| b == Lanes::ONES).count() as u64;
        let (out, cost) =
            on_shares::<SemiHonest, _, _>(&[&bits], async |ctx, v| popcount(&mut OnShares::new(ctx, 1), &v[0]).await);
        assert_eq!(from_planes(out.len(), 64, &out).unwrap(), [expected; 64]);
        assert_eq!(cost, popcount_cost(k).over(1));
    }
}

#[test]
fn prices_of_common_widths() {
    let price = |c: LaneCost| (c.rounds, c.bits);
    for (k, ripple, brent_kung, sklansky) in [
        (8, (7, 7), (4, 12), (3, 13)),
        (16, (15, 15), (6, 30), (4, 36)),
        (32, (31, 31), (8, 68), (5, 91)),
        (64, (63, 63), (10, 146), (6, 218)),
    ] {
        assert_eq!(price(add_cost(CarryForm::Ripple, k)), ripple);
        assert_eq!(price(add_cost(CarryForm::BrentKung, k)), brent_kung);
        assert_eq!(price(add_cost(CarryForm::Sklansky, k)), sklansky);
    }
    for (k, sklansky) in [(8, (4, 9)), (16, (5, 20)), (32, (6, 43)), (63, (6, 89)), (64, (7, 90))] {
        assert_eq!(price(less_than_cost(CarryForm::Sklansky, k)), sklansky);
        assert_eq!(price(less_than_cost(CarryForm::Ripple, k)), (k as u64, k as u64));
    }
    assert_eq!(price(equal_cost(64)), (6, 63));
    assert_eq!(price(popcount_cost(64)), (6, 63));
    assert_eq!(price(popcount_cost(12_800)), (13, 12_797));
    let both = add_cost(CarryForm::Ripple, 8).then(mux_cost(8));
    assert_eq!((price(both), both.over(3).bytes_sent), ((8, 15), 15 * 3 * 8));
}

/// One operand of another width, or a choice that is none.
#[test]
fn shapes_are_checked() {
    for op in Op::every() {
        if matches!(op, Op::All | Op::Popcount) {
            continue;
        }
        let _ = on_shares::<SemiHonest, Lanes, _>(&[], async |ctx, _| {
            let (x, y) = (ctx.random(5)?, ctx.random(4)?);
            let refused = op.run(&mut OnShares::new(ctx, 1), [&x, &y, &x]).await;
            assert!(matches!(refused, Err(Error::Shape { .. })), "{op:?}");
            assert_eq!(ctx.cost().rounds, 0);
            let refused = mux(&mut OnShares::new(ctx, 1), &y, &x, &x).await;
            assert!(matches!(refused, Err(Error::Shape { .. })));
            let refused = OnShares::new(ctx, 1).sums_of_products(&x, &x, &[2, 2]).await;
            assert!(matches!(refused, Err(Error::Shape { expected: 4, got: 5, .. })));
            Ok(Shares::zeros(0))
        });
        let mut builder = Builder::default();
        let (x, y) = (builder.input(5), builder.input(4));
        assert!(record(op.run(&mut builder, [&x, &y, &x])).is_err(), "{op:?}");
        assert!(record(builder.sums_of_products(&x, &x, &[2, 2])).is_err());
    }
}

/// The same texts as circuit files, on all pairs of three bits.
#[test]
fn recorded_circuits_compute_the_same() {
    const K: usize = 3;
    let triples: Vec<[u64; 3]> = (0..64).map(|t| [t >> 3, t & 7, t & 1]).collect();
    for op in Op::every() {
        let mut builder = Builder::default();
        let inputs = [(); 3].map(|()| builder.input(K as u32));
        let out = record(op.run(&mut builder, inputs.each_ref())).unwrap();
        builder.output(&out);
        let circuit = builder.finish().unwrap();
        let column = |c: usize| to_planes(K, &triples.iter().map(|t| t[c]).collect::<Vec<_>>());
        let planes: Vec<u64> = [column(0), column(1), column(2)].concat().iter().map(|w| w.0).collect();
        let mut out = &circuit.evaluate_plain_sliced(&planes).unwrap()[..];
        for (part, width) in op.widths(K).into_iter().enumerate() {
            let planes: Vec<Lanes> = out[..width].iter().copied().map(Lanes).collect();
            out = &out[width..];
            for (lane, value) in from_planes(width, 64, &planes).unwrap().into_iter().enumerate() {
                assert_eq!(value, op.reference(K, triples[lane])[part], "{op:?} on {:?}", triples[lane]);
            }
        }
    }
}

/// Where each gate is one product, a file has as many ANDs as bits are sent, and their depth is the rounds.
#[test]
fn recorded_ripple_forms_have_an_and_for_each_bit() {
    for op in [
        Op::Add(CarryForm::Ripple),
        Op::Sub(CarryForm::Ripple),
        Op::LessThan(CarryForm::Ripple, Order::Signed),
        Op::Equal,
        Op::Mux,
        Op::CarrySave,
        Op::Popcount,
    ] {
        for k in [2, 13, 64] {
            let mut builder = Builder::default();
            let inputs = [(); 3].map(|()| builder.input(k as u32));
            let out = record(op.run(&mut builder, inputs.each_ref())).unwrap();
            builder.output(&out);
            let Counts { and, and_depth, .. } = builder.finish().unwrap().counts();
            let LaneCost { rounds, bits } = op.cost(k);
            assert_eq!((and as u64, and_depth as u64), (bits, rounds), "{op:?} of {k} bits");
        }
    }
}
