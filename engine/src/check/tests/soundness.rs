//! How often a cheating prover gets through, measured with few points and compared with the formula.
//!
//! The prover sends a wrong product and then tells the best lies there are: it knows, once a coin is thrown, by how much its claim is off, and
//! chooses values of the next proof that are off by a polynomial with as many zeros among the points as its degree allows. With `n` points the
//! claim becomes true with probability `1 - (1 - 1/n)^3` by the weights, which have three factors (`1/n` of integers, whose have one), `1 - (1 - 2/n)^3` at the
//! first grid and at each later level, of degree two in three variables, and `16 / (n - 9)` at the last point, which is
//! none of `0 ..= 8`. That is what the lemma of Schwartz and Zippel bounds by the degree over `n`, reached.

use super::{accepted, product};
use crate::{
    Error, Party,
    check::{ext::Ext, form::Of, grid, last::PAIRS, log::Gates, statement::Statement as _},
    prss::{
        Stream,
        reduced::{self, Reduction, Stage},
    },
    ring::{Lanes, Product, Ring, Z32, Z64},
    testing::block_on,
    transport::{BoxFuture, Link},
};
use bytes::Bytes;

/// Elements of the product, and the one that is wrong: in a line's odd words the weights have three factors.
const N: usize = 20;
const WRONG: usize = 1;

/// The coins of a check of `N` products.
#[derive(Clone, Copy)]
struct Coins {
    /// Factors of a weight.
    weights: i32,
    /// Levels after the first grid.
    levels: usize,
}
const BITS: Coins = Coins { weights: 3, levels: 2 };
const INTEGERS: Coins = Coins { weights: 1, levels: 1 };

/// What the prover does about its claim.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lies {
    /// Nothing: its proofs are those of the honest claim.
    None,
    /// The best.
    Best,
}

/// By how much a prover's claim is off, and what it sends to get rid of that.
struct Prover<R: Ring> {
    lies: Lies,
    wrong: R,
    /// Coins used.
    coins: usize,
    /// By how much the next proof's values are off at `t`.
    off: Polynomial<R::Ext>,
}

type Polynomial<E> = Box<dyn Fn(&[E]) -> E + Send>;

impl<R: Ring> Prover<R> {
    /// Adds to the values of the proof that follows the coins thrown so far.
    fn tell(&mut self, frame: &Bytes) -> Bytes {
        let size = size_of::<R::Ext>();
        let mut values: Vec<R::Ext> = frame.chunks_exact(size).map(bytemuck::pod_read_unaligned).collect();
        let coins = reduced::thrown();
        let errors = match values.len() {
            _ if self.coins == 0 => self.first(coins[0]),
            26 => self.level(coins[self.coins]),
            16 => self.last(coins[self.coins]),
            other => panic!("a proof of {other} values"),
        };
        self.coins += 1;
        for (value, error) in values.iter_mut().zip(errors) {
            *value = *value + error;
        }
        bytemuck::cast_slice(&values).to_vec().into()
    }

    /// The weights say by how much the first row is off; all other rows are right.
    fn first(&mut self, coin: [u8; 16]) -> Vec<R::Ext> {
        let mut gates = Gates::<R>::default();
        let kernel = Product;
        let (chunk, at, _) = gates.reserve(Of::<Product, 2, 1>::KIND, || Box::new(Of::<Product, 2, 1>(kernel)) as _, N);
        chunk.for_prev[at + WRONG] = self.wrong;
        let statement = R::Statement::new(gates, &mut Stream::with_key(coin)).unwrap();
        let off = block_on(statement.first_level(&mut Nobody)).for_prev[0];
        // (1 - t)(1 - t / 2): one at 0, zero at 1 and at 2.
        let (one, half) = (R::Ext::point(1), R::Ext::point(2).inverse());
        self.off = Box::new(move |t| t.iter().fold(off, |off, &t| off * (one - t) * (one - t * half)));
        let r = statement.variables();
        grid::between(r).into_iter().map(|at| on_grid(off, [one, R::Ext::default(), half], at, r)).collect()
    }

    /// The rows together are off by what is left at the coin's point.
    fn level(&mut self, coin: [u8; 16]) -> Vec<R::Ext> {
        let left = (self.off)(&points::<R>(coin, 3));
        // (t - 2)(t - 4), times what makes the rows' sum right.
        let (one, a, b) = (R::Ext::point(1), R::Ext::point(2), R::Ext::point(4));
        let values = [a * b, (one - a) * (one - b), one];
        let sum = (values[0] + values[1]).inverse();
        let c = left * sum * sum * sum;
        self.off = Box::new(move |t| t.iter().fold(c, |off, &t| off * (t - a) * (t - b)));
        (1..27).map(|at| on_grid(c, values, at, 3)).collect()
    }

    fn last(&mut self, coin: [u8; 16]) -> Vec<R::Ext> {
        let left = (self.off)(&points::<R>(coin, 3));
        let zeros = (PAIRS as u64 + 1..).take(2 * PAIRS).map(R::Ext::point);
        let at = |x: u64| zeros.clone().fold(R::Ext::point(1), |p, z| p * (R::Ext::point(x) - z));
        let sum = (1..=PAIRS as u64).fold(R::Ext::default(), |sum, x| sum + at(x));
        let c = left * sum.inverse();
        (0..=2 * PAIRS as u64).filter(|&x| x != 1).map(|x| c * at(x)).collect()
    }
}

/// Carries nothing: a statement only pauses on its link.
struct Nobody;
impl Link for Nobody {
    fn send(&mut self, _: Party, _: Bytes) -> BoxFuture<'_, Result<(), Error>> {
        unreachable!("nothing is sent")
    }
    fn recv<'a>(&'a mut self, _: Party, _: &'a mut [u8]) -> BoxFuture<'a, Result<(), Error>> {
        unreachable!("nothing is received")
    }
    fn exchange<'a>(&'a mut self, _: Party, _: Bytes, _: Party, _: &'a mut [u8]) -> BoxFuture<'a, Result<(), Error>> {
        unreachable!("nothing is sent")
    }
}

/// At a point of the grid, `c` times a product of one value for each digit.
fn on_grid<E: Ext>(c: E, values: [E; 3], at: usize, r: u32) -> E {
    (0..r).fold(c, |product, k| product * values[at / 3_usize.pow(k) % 3])
}

fn points<R: Ring>(coin: [u8; 16], n: usize) -> Vec<R::Ext> {
    let mut points = vec![Z64(0); n];
    Stream::with_key(coin).fill(&mut points).unwrap();
    points.into_iter().map(|p| R::Ext::point(p.0)).collect()
}

/// Whether a cheating prover gets through.
fn gets_through<R: Ring>(seed: u64, lies: Lies, wrong: R, reduction: Option<Reduction>) -> bool {
    let prover = Party::ALL[(seed % 3) as usize];
    let mut of_prover = Prover { lies, wrong, coins: 0, off: Box::new(|_| R::Ext::default()) };
    let mut sent = 0;
    let endings = reduced::with(reduction, || {
        product::<R>(
            seed,
            N,
            Box::new(move |at, frame| {
                if at.from != prover {
                    return vec![(at.seq, frame)];
                }
                if at.to == prover.prev() && at.seq == 0 {
                    let mut z: Vec<R> = frame.chunks_exact(size_of::<R>()).map(bytemuck::pod_read_unaligned).collect();
                    z[WRONG] = z[WRONG] + of_prover.wrong;
                    return vec![(0, bytemuck::cast_slice(&z).to_vec().into())];
                }
                // To `next` go a coin's piece, the proofs, and then what all compare.
                sent += usize::from(at.to == prover.next());
                let size = size_of::<R::Ext>();
                let is_proof = at.to == prover.next() && sent > 1 && [19, 26, 16].contains(&(frame.len() / size));
                let lie = is_proof && of_prover.lies == Lies::Best;
                vec![(at.seq, if lie { of_prover.tell(&frame) } else { frame })]
            }),
        )
    });
    accepted(prover, &endings)
}

/// The probability that a claim becomes true, by stage: weights, first grid, levels, last point.
fn by_stage(lies: Lies, points: f64, coins: Coins) -> Vec<f64> {
    let (zeros, last) = if lies == Lies::Best { (2.0, 16.0) } else { (1.0, 8.0) };
    let grid = 1.0 - (1.0 - zeros / points).powi(3);
    let mut all = vec![1.0 - (1.0 - 1.0 / points).powi(coins.weights)];
    all.extend(vec![grid; 1 + coins.levels]);
    all.push(last / (points - 9.0));
    all
}

fn together(stages: &[f64]) -> f64 {
    1.0 - stages.iter().map(|p| 1.0 - p).product::<f64>()
}

/// Counts how often `runs` attempts get through. It must be as often as computed, and would not be if all zeros were twice as likely.
fn as_computed<R: Ring>(lies: Lies, wrong: R, reduction: Reduction, coins: Coins, runs: u64) {
    let rate = |points: f64| match (reduction.stage, by_stage(lies, points, coins)) {
        (Stage::All, stages) => together(&stages),
        (Stage::Only(stage), stages) => stages[stage],
    };
    let points = f64::from(1_u32 << reduction.bits);
    // Half of the points, but for the last, where half of those that may be drawn are left.
    let weak = match reduction.stage {
        Stage::Only(stage) if stage == coins.levels + 2 => 2.0 * rate(points),
        _ => rate(points / 2.0).min(1.0),
    };
    let through = (0..runs).filter(|&seed| gets_through(1000 + seed, lies, wrong, Some(reduction))).count();
    let (n, found) = (runs as f64, through as f64);
    let deviation = |p: f64| (n * p * (1.0 - p)).sqrt();
    let expected = rate(points);
    println!("{lies:?} {reduction:?}: {:.4} of {runs}, computed {expected:.4}, weak {weak:.4}", found / n);
    assert!((found - n * expected).abs() <= 4.0 * deviation(expected), "{found} of {runs}, not {expected}");
    assert!(n * expected + 4.0 * deviation(expected) < n * weak - 2.0 * deviation(weak), "{runs} runs are too few");
}

#[test]
fn each_coin_misses_as_often_as_computed() {
    for stage in 0..BITS.levels + 3 {
        // At the last point nine are not drawn.
        let bits = if stage == BITS.levels + 2 { 6 } else { 4 };
        let reduction = Reduction { bits, stage: Stage::Only(stage) };
        as_computed(Lies::Best, Lanes(1 << 17), reduction, BITS, 600);
        as_computed(Lies::None, Lanes(0x8000_0000_0000_0001), reduction, BITS, 600);
    }
}

#[test]
fn all_coins_together_miss_as_often_as_computed() {
    let reduction = Reduction { bits: 6, stage: Stage::All };
    as_computed(Lies::Best, Lanes(1), reduction, BITS, 600);
    as_computed(Lies::None, Lanes(1), reduction, BITS, 600);
}

#[test]
fn integers_are_checked_as_well_as_bits() {
    let reduction = Reduction { bits: 6, stage: Stage::All };
    // The highest bit alone is the smallest ideal of the ring.
    as_computed(Lies::Best, Z32(1 << 31), reduction, INTEGERS, 120);
}

#[test]
fn with_all_points_nobody_gets_through() {
    for seed in 0..300 {
        assert!(!gets_through(seed, Lies::Best, Lanes(1 << (seed % 64)), None));
        assert!(!gets_through(seed, Lies::None, Lanes(1 << (seed % 64)), None));
    }
    for seed in 0..20 {
        assert!(!gets_through(seed, Lies::Best, Z32(1 << (seed % 32)), None));
    }
}
