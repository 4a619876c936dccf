//! Which products are summed in which round to get the carries of a sum.
//!
//! Positions are numbered from 1. Position `i` has a value `v` and a bit `p` that says whether it hands on the carry from
//! below or puts `v` in its place: the carry into `i + 1` is `c(i + 1) = v_i + p_i (v_i + c(i))`. For `x + y` that is
//! `v = x`, `p = x + y` (in `F_2`); both are linear, so unlike with the usual pairs "generate, propagate" nothing is sent for the
//! leaves. A run of positions `b ..= t` does the same with `P(b..=t)`, the product of their `p`, and
//!
//! `c(t + 1) = W(b..=t) + P(b..=t) (v_b + c(b))`, where for a run cut above position `q`
//! `W(b..=t) = W(q+1..=t) + P(q+1..=t) (v_{q+1} + W(b..=q))`.
//!
//! Unrolled, `W` and `c` are sums of products of a `P` and a sum, and a sum of products is *one* bit however many terms it has. So only
//! the `P`, the `W` of lower halves and the carries themselves are sent. Runs are cut as in a Fenwick tree: going down
//! from `t`, the lowest one-bit of the position is cleared each time.
//!
//! The forms differ only in where the run below a carry begins ([`CarryForm::start`]). With runs from the highest power of two on,
//! `c(i)` is there after `r` rounds for all `i <= 2^r`. That is optimal: `c(i)` has degree `i` in the inputs, and a round at
//! most doubles the degree.

use super::LaneCost;
use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

/// How carries are computed. All forms give the same result.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum CarryForm {
    /// One after the other: the fewest bits, one for each carry, and a round for each. For batches so wide that bandwidth counts and
    /// not the round trip.
    Ripple,
    /// Parallel prefix after Brent and Kung: at 64 bits two thirds of the bits of [`Sklansky`](Self::Sklansky) and 10 rounds.
    BrentKung,
    /// Parallel prefix after Sklansky: the fewest rounds that quadratic gates allow. For small batches. Kogge and Stone's network,
    /// as deep, would send more bits; Ladner and Fischer's a few less (7 of 218 at 64 bits). The large fan-out for which
    /// hardware avoids this one costs nothing here.
    #[default]
    Sklansky,
}

impl CarryForm {
    /// Every form.
    pub const ALL: [Self; 3] = [Self::Ripple, Self::BrentKung, Self::Sklansky];

    /// The name on the command line and in result rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ripple => "ripple",
            Self::BrentKung => "brent-kung",
            Self::Sklansky => "sklansky",
        }
    }

    /// The first position of the run that gives the carry into `to`, `to >= 2`.
    fn start(self, to: usize) -> usize {
        let top = to - 1;
        let power = 1 << top.ilog2();
        match self {
            Self::Ripple => top,
            Self::BrentKung => power.max(to & top),
            Self::Sklansky => power,
        }
    }
}

/// Which carries are wanted.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Wanted {
    /// Out of every position.
    All,
    /// Out of this one and all above.
    From(usize),
    /// Out of the last one.
    Last,
}

/// `left * right`, or `left * (right + plus)`.
#[derive(Debug)]
pub(super) struct Product {
    pub(super) left: usize,
    pub(super) right: usize,
    pub(super) plus: Option<usize>,
}

/// A wire plus a sum of products: one bit.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) linear: Option<usize>,
    pub(super) products: Vec<Product>,
}

/// Gates round by round. Wires are numbered: the values of `positions` positions, their `p`, then the gates in order.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) rounds: Vec<Vec<Gate>>,
    /// The wires of the wanted carries, lowest position first.
    pub(super) carries: Vec<usize>,
}

/// Networks of up to this many positions are kept: planning one takes longer than running it on a few lanes.
const KEPT: usize = 128;

type Planned = HashMap<(CarryForm, usize, Wanted), Arc<Network>>;

static PLANNED: LazyLock<Mutex<Planned>> = LazyLock::new(Mutex::default);

impl Network {
    /// As [`new`](Self::new), planned once.
    pub(super) fn planned(form: CarryForm, positions: usize, wanted: Wanted) -> Arc<Self> {
        if positions > KEPT {
            return Arc::new(Self::new(form, positions, wanted));
        }
        let mut planned = PLANNED.lock().unwrap_or_else(PoisonError::into_inner);
        planned.entry((form, positions, wanted)).or_insert_with(|| Arc::new(Self::new(form, positions, wanted))).clone()
    }

    pub(super) fn new(form: CarryForm, positions: usize, wanted: Wanted) -> Self {
        let mut planner =
            Planner { form, positions, known: HashMap::new(), gates: Vec::new(), rounds: vec![0; 2 * positions] };
        // From below, so that what a carry rests on is known and recursion stays shallow.
        let mut targets: Vec<usize> = match wanted {
            Wanted::All => (2..=positions + 1).rev().collect(),
            Wanted::From(first) => (first + 1..=positions + 1).rev().collect(),
            Wanted::Last => {
                let above_first = |to: &usize| *to > 1;
                std::iter::successors(Some(positions + 1).filter(above_first), |&to| {
                    Some(form.start(to)).filter(above_first)
                })
                .collect()
            }
        };
        let mut carries = Vec::with_capacity(targets.len());
        while let Some(to) = targets.pop() {
            carries.extend(planner.carry(to));
        }
        if wanted == Wanted::Last {
            carries.drain(..carries.len().saturating_sub(1));
        }
        planner.into_network(&carries)
    }

    pub(super) fn cost(&self) -> LaneCost {
        LaneCost { rounds: self.rounds.len() as u64, bits: self.rounds.iter().map(|gates| gates.len() as u64).sum() }
    }
}

/// What gates compute, runs given by their first and last position.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Meaning {
    Propagate(usize, usize),
    Block(usize, usize),
    Carry(usize),
}

/// Gates in the order in which they were asked for.
struct Planner {
    form: CarryForm,
    positions: usize,
    known: HashMap<Meaning, usize>,
    gates: Vec<Gate>,
    /// The round after which a wire is known.
    rounds: Vec<usize>,
}

impl Planner {
    /// `v`.
    fn value(i: usize) -> usize {
        i - 1
    }

    /// `P(from..=to)`.
    fn propagate(&mut self, from: usize, to: usize) -> usize {
        if from == to {
            return self.positions + from - 1;
        }
        self.gate(Meaning::Propagate(from, to), |planner| {
            let upper = from + (1 << (to - from).ilog2());
            let (left, right) = (planner.propagate(upper, to), planner.propagate(from, upper - 1));
            Gate { linear: None, products: vec![Product { left, right, plus: None }] }
        })
    }

    /// `W(from..=to)`.
    fn block(&mut self, from: usize, to: usize) -> usize {
        if from == to {
            return Self::value(from);
        }
        self.gate(Meaning::Block(from, to), |planner| Gate {
            linear: Some(Self::value(to)),
            products: planner.unrolled(from, to),
        })
    }

    /// `c(to)`, or nothing for the carry into position 1, which is zero.
    fn carry(&mut self, to: usize) -> Option<usize> {
        if to < 2 {
            return None;
        }
        Some(self.gate(Meaning::Carry(to), |planner| {
            let (top, start) = (to - 1, planner.form.start(to));
            let mut products = planner.unrolled(start, top);
            let (left, plus) = (planner.propagate(start, top), planner.carry(start));
            products.push(Product { left, right: Self::value(start), plus });
            Gate { linear: Some(Self::value(top)), products }
        }))
    }

    /// The products of `W(from..=to)`.
    fn unrolled(&mut self, from: usize, to: usize) -> Vec<Product> {
        let mut products = Vec::new();
        let mut at = to;
        while at > from {
            let below = at & (at - 1);
            let (left, plus) = (self.propagate(at, to), Some(self.block(below, at - 1)));
            products.push(Product { left, right: Self::value(at), plus });
            at = below;
        }
        products
    }

    fn gate(&mut self, meaning: Meaning, make: impl FnOnce(&mut Self) -> Gate) -> usize {
        if let Some(&wire) = self.known.get(&meaning) {
            return wire;
        }
        let gate = make(self);
        let factors = gate.products.iter().flat_map(|p| [Some(p.left), Some(p.right), p.plus]).flatten();
        let ready = factors.map(|wire| self.rounds[wire]).max().unwrap_or(0);
        let wire = self.rounds.len();
        self.rounds.push(ready + 1);
        self.gates.push(gate);
        self.known.insert(meaning, wire);
        wire
    }

    /// Sorts the gates by rounds and renumbers the wires.
    fn into_network(self, carries: &[usize]) -> Network {
        let inputs = 2 * self.positions;
        let mut order: Vec<usize> = (inputs..self.rounds.len()).collect();
        order.sort_by_key(|&wire| self.rounds[wire]);
        let mut number: Vec<usize> = (0..self.rounds.len()).collect();
        for (at, &wire) in order.iter().enumerate() {
            number[wire] = inputs + at;
        }
        let mut rounds: Vec<Vec<Gate>> = Vec::new();
        rounds.resize_with(self.rounds.iter().copied().max().unwrap_or(0), Vec::new);
        let mut gates: Vec<Option<Gate>> = self.gates.into_iter().map(Some).collect();
        for wire in order {
            if let Some(mut gate) = gates[wire - inputs].take() {
                for p in &mut gate.products {
                    (p.left, p.right, p.plus) = (number[p.left], number[p.right], p.plus.map(|w| number[w]));
                }
                rounds[self.rounds[wire] - 1].push(gate);
            }
        }
        Network { rounds, carries: carries.iter().map(|&wire| number[wire]).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(form: CarryForm, positions: usize, wanted: Wanted) -> (u64, u64) {
        let LaneCost { rounds, bits } = Network::new(form, positions, wanted).cost();
        (rounds, bits)
    }

    #[test]
    fn ripple_sends_one_bit_a_carry() {
        for m in 0..=130 {
            for wanted in [Wanted::All, Wanted::Last] {
                assert_eq!(cost(CarryForm::Ripple, m, wanted), (m as u64, m as u64));
            }
        }
    }

    #[test]
    fn prefix_forms_take_the_least_rounds_and_the_bits_of_their_formulas() {
        for m in 1..=300_usize {
            // c(m + 1) has degree m + 1.
            let least = u64::from((m + 1).next_power_of_two().ilog2());
            // Runs from each power of two on: their carries, the P of all Fenwick pieces, the W below them.
            let runs = (0..).map(|r| 1 << r).take_while(|&start| start <= m).map(|start| start.min(m + 1 - start));
            let bits: usize =
                runs.map(|n| n + (0..n).map(|i| i.count_ones() as usize).sum::<usize>() + (n - 1) / 2).sum();
            assert_eq!(cost(CarryForm::Sklansky, m, Wanted::All), (least, bits as u64));
            assert_eq!(cost(CarryForm::Sklansky, m, Wanted::Last).0, least);
            let brent_kung = cost(CarryForm::BrentKung, m, Wanted::All);
            assert!(brent_kung.0 >= least && brent_kung.0 < 2 * least.max(1));
            assert!(brent_kung.1 <= bits as u64 && brent_kung.1 < 3 * m as u64);
        }
        for r in 1..=8_u32 {
            let k = 1_u64 << r;
            let m = k as usize - 1;
            let r = u64::from(r);
            assert_eq!(cost(CarryForm::Sklansky, m, Wanted::All), (r, k * (r + 1) / 2 - r));
            assert_eq!(cost(CarryForm::Sklansky, m, Wanted::Last), (r, 3 * k / 2 - r - 1));
        }
    }

    #[test]
    fn the_table_of_the_module() {
        let table = [
            (CarryForm::Ripple, [63, 63, 64, 64]),
            (CarryForm::BrentKung, [10, 146, 7, 90]),
            (CarryForm::Sklansky, [6, 218, 7, 90]),
        ];
        for (form, expected) in table {
            let ((a, b), (c, d)) = (cost(form, 63, Wanted::All), cost(form, 64, Wanted::Last));
            assert_eq!([a, b, c, d], expected, "{form:?}");
        }
    }
}
