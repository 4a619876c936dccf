//! What the check of the malicious mode costs, exactly: rounds and bytes by the formula beside [`Ctx::check`], and what that adds to
//! AES and to a sum.

use trefoil_circuits::{
    aes::{KeySize, SboxForm},
    boolean::{self, CarryForm},
    gates::OnShares,
    program::{AesCtr, Program, Tiling, Turns},
};
use trefoil_engine::{
    CHECK_EVERY, Cost,
    prelude::*,
    testing::{on_shares, three},
};

/// Words of a line.
const LINE: usize = 8;
/// The account at the end: one round, a hash to each peer. And of one input: a hash.
const ACCOUNT: Cost = Cost { rounds: 1, bytes_sent: 64, products: 0 };
const INPUT: Cost = Cost { rounds: 1, bytes_sent: 32, products: 0 };

/// What a ring's values look like in a proof.
struct Form {
    /// Bytes of a value.
    value: u64,
    /// Elements that a word of each row folds to.
    columns: usize,
    /// Variables of the first grid, at most.
    variables: u32,
}

const BITS: Form = Form { value: 8, columns: 64, variables: 6 };
const Z16S: Form = Form { value: 64 * 2, columns: 1, variables: 5 };
const Z64S: Form = Form { value: 64 * 8, columns: 1, variables: 5 };

/// The price of one check, of gates of so many products each, recorded in chunks of so many words.
fn check(form: &Form, gates: &[(usize, Vec<usize>)]) -> Cost {
    check_with(form, gates, &[])
}

/// The same with products of matrices that have so many rows each, and so many columns.
fn check_with(form: &Form, gates: &[(usize, Vec<usize>)], matrices: &[([usize; 2], usize)]) -> Cost {
    let words: usize = gates.iter().flat_map(|(_, chunks)| chunks).sum();
    let r = (3..=form.variables).rev().find(|r| words >= LINE * 3_usize.pow(*r)).unwrap_or(3);
    let blocks = |chunks: &[usize]| chunks.iter().map(|words| words.div_ceil(LINE << r)).sum::<usize>();
    let padded = |len: usize| {
        let part = len.div_ceil(8);
        8 * if part < 64 { part } else { part.next_multiple_of(LINE) | LINE }
    };
    let fit = |len: usize| if len > 8 { padded(len) } else { len };
    let mut left = padded(gates.iter().map(|(products, chunks)| form.columns * products * blocks(chunks)).sum());
    if !matrices.is_empty() {
        let width =
            |single| matrices.iter().filter(|(rows, _)| rows.contains(&1) == single).map(|(_, w)| w).sum::<usize>();
        left = fit(left + form.columns * (width(true).div_ceil(8) + width(false).div_ceil(8)));
    }
    let mut levels = 1_u64;
    while left > 8 {
        levels += 1;
        left = fit(left / 8);
    }
    let (coins, grid) = if gates.is_empty() { (2, 0) } else { (3, 3_u64.pow(r) - (1 << r)) };
    let bytes_sent = 16 * (coins + levels) + form.value * (grid + 26 * levels + 16 + 6) + 65;
    Cost { rounds: 2 * coins + 1 + 2 * levels, bytes_sent, products: 0 }
}

fn sum(costs: &[Cost]) -> Cost {
    costs.iter().fold(Cost::default(), |sum, c| Cost {
        rounds: sum.rounds + c.rounds,
        bytes_sent: sum.bytes_sent + c.bytes_sent,
        products: sum.products + c.products,
    })
}

#[test]
fn a_check_costs_what_the_formula_says() {
    // A chunk holds the gates of one call, or several small ones.
    for n in [1, 8, 63, 64, 65, 215, 216, 512, 513, 1000, 5832, 20_000] {
        let x = vec![Lanes(5); n];
        let (_, cost) = on_shares::<Malicious, Lanes, _>(&[&x], async |ctx, v| ctx.mul(v[0].view(), v[0].view()).await);
        let product = Cost { rounds: 1, bytes_sent: 8 * n as u64, products: n as u64 };
        assert_eq!(cost, sum(&[INPUT, product, check(&BITS, &[(1, vec![n])]), ACCOUNT]), "{n}");
    }
    for n in [1, 64, 65, 500] {
        let x = vec![Z64(5); n];
        let (_, cost) = on_shares::<Malicious, Z64, _>(&[&x], async |ctx, v| ctx.mul(v[0].view(), v[0].view()).await);
        let product = Cost { rounds: 1, bytes_sent: 8 * n as u64, products: n as u64 };
        assert_eq!(cost, sum(&[INPUT, product, check(&Z64S, &[(1, vec![n])]), ACCOUNT]), "{n}");
    }
}

#[test]
fn products_of_matrices_send_one_element_each_and_are_checked_together() {
    for (rows, width) in [([1, 31], 19_200), ([1, 1], 5), ([40, 31], 70), ([300, 1], 26), ([3, 2], 64)] {
        let x = vec![Z16(5); (rows.iter().max().unwrap() * width).max(70)];
        let [n, m] = rows;
        for gates in [0, 70] {
            let (_, cost) = on_shares::<Malicious, Z16, _>(&[&x], async |ctx, v| {
                let [x, y] = [n, m].map(|count| Windows::new(v[0].view(), width, count, width));
                let products = ctx.dots(&[[x?, y?]]).await?;
                if gates > 0 {
                    let x = v[0].view().slice(0, gates)?;
                    ctx.mul(x, x).await?;
                }
                Ok(products)
            });
            let product = |n: usize| Cost { rounds: 1, bytes_sent: 2 * n as u64, products: n as u64 };
            let recorded = if gates > 0 { vec![(1, vec![gates])] } else { vec![] };
            let due = [product(n * m), check_with(&Z16S, &recorded, &[(rows, width)]), INPUT, ACCOUNT];
            let gates = if gates > 0 { product(gates) } else { Cost::default() };
            assert_eq!(cost, sum(&[due[0], gates, due[1], due[2], due[3]]), "{rows:?}, {width}");
        }
    }
}

#[test]
fn products_of_lanes_and_of_several_shapes_are_checked_together() {
    let x = vec![Lanes(5); 300];
    let (_, cost) = on_shares::<Malicious, Lanes, _>(&[&x], async |ctx, v| {
        let x = v[0].view();
        let rows =
            |from: usize, count: usize, width: usize| Windows::new(x.slice(from, 300 - from)?, width, count, width);
        ctx.dots(&[[rows(0, 3, 9)?, rows(5, 2, 9)?], [rows(0, 1, 20)?, rows(1, 4, 20)?]]).await?;
        let matrix = Matrix::from_columns(10, x.slice(0, 130)?)?;
        ctx.matrix_vector(&matrix, x.slice(0, 13)?).await
    });
    let product = |n: usize| Cost { rounds: 1, bytes_sent: 8 * n as u64, products: n as u64 };
    let matrices = [([3, 2], 9), ([1, 4], 20), ([10, 1], 13)];
    assert_eq!(cost, sum(&[product(10), product(10), check_with(&BITS, &[], &matrices), INPUT, ACCOUNT]));
}

#[test]
fn the_rounds_of_a_check_grow_with_the_logarithm() {
    let rounds = |words: usize| check(&BITS, &[(11, vec![words])]).rounds;
    assert_eq!([1, 100, 10_000, 1_000_000, 100_000_000].map(rounds), [15, 15, 17, 21, 27]);
}

/// Sums of 64-bit integers: 6 rounds of gates, then those of the check.
#[test]
fn a_sum_costs_its_gates_and_one_check() {
    let x = vec![Lanes(0); 64];
    let price = async |ctx: &mut Ctx<Malicious>, v: Vec<Shares<Lanes>>| {
        boolean::add(&mut OnShares::new(ctx, 1), CarryForm::Sklansky, &v[0], &v[1]).await
    };
    let (_, cost) = on_shares::<Malicious, Lanes, _>(&[&x, &x], price);
    let gates = boolean::add_cost(CarryForm::Sklansky, 64).over(1);
    assert_eq!(gates.rounds, 6);
    assert_eq!(cost.rounds - gates.rounds, 2 * INPUT.rounds + ACCOUNT.rounds + 15);
    assert_eq!(cost.bytes_sent - gates.bytes_sent, 2 * INPUT.bytes_sent + ACCOUNT.bytes_sent + 1337);
    assert_eq!(cost.products, gates.products);
}

fn aes<M: Mode>(blocks: usize, check_every: usize) -> Cost {
    let (size, form, tiling) = (KeySize::Aes128, SboxForm::default(), Tiling::default());
    let program = AesCtr { size, counter: 0, blocks, form, tiling };
    let costs = three::<M, _, _>(async |mut ctx| {
        ctx.check_every(check_every);
        let key = Shares::public(ctx.me(), &[Lanes(0); 2]);
        Ok(program.run(ctx, key.into(), &Turns).await?.cost())
    });
    assert!(costs.iter().all(|c| *c == costs[0]));
    costs[0]
}

/// The gates of S-boxes that a strand has recorded: words of each chunk, with the words it has room for.
struct Record {
    check_every: usize,
    chunks: Vec<(usize, usize)>,
    checks: Vec<Cost>,
}

impl Record {
    /// Wires, and outputs, of an S-box.
    const WIRES: usize = 17;
    /// Products as which its terms of degree two are written.
    const PRODUCTS: usize = 11;

    fn new(check_every: usize) -> Self {
        Self { check_every, chunks: Vec::new(), checks: Vec::new() }
    }

    fn layer(&mut self, words: usize) {
        match self.chunks.last_mut() {
            Some((filled, room)) if *room - *filled >= words => *filled += words,
            _ => self.chunks.push((words, words.next_multiple_of(512))),
        }
        let bytes: usize = self.chunks.iter().map(|(_, room)| 2 * 2 * Self::WIRES * (room + LINE) * 8).sum();
        if bytes > self.check_every {
            self.check();
        }
    }

    fn check(&mut self) {
        let chunks = std::mem::take(&mut self.chunks);
        self.checks.push(check(&BITS, &[(Self::PRODUCTS, chunks.into_iter().map(|(filled, _)| filled).collect())]));
    }
}

/// The checks of AES-128 in counter mode, with key expansion: of the strands side by side, and the last one.
fn checks_of_aes(blocks: usize, check_every: usize) -> Cost {
    let Tiling { batch, strands } = Tiling::default();
    let mut root = Record::new(check_every);
    (0..10).for_each(|_| root.layer(4));
    let batches: Vec<usize> = (0..blocks).step_by(batch).map(|from| batch.min(blocks - from)).collect();
    let mut of_strands = Vec::new();
    for first in 0..strands {
        let mut strand = Record::new(check_every);
        for blocks in batches.iter().skip(first).step_by(strands) {
            (0..10).for_each(|_| strand.layer(16 * Lanes::words(*blocks)));
        }
        root.chunks.extend(strand.chunks);
        of_strands.push(sum(&strand.checks));
    }
    root.check();
    let rounds = of_strands.iter().map(|c| c.rounds).max().unwrap_or_default();
    sum(&[Cost { rounds, ..sum(&of_strands) }, sum(&root.checks), ACCOUNT])
}

const MIB: usize = 1 << 20;

#[test]
fn aes_costs_its_gates_and_its_checks() {
    for (blocks, rounds, bytes) in [(1, 16, 1401), (100, 18, 1625), (4096, 18, 6793), (100_000, 86, 110_825)] {
        let (semi, full) = (aes::<SemiHonest>(blocks, 8 * MIB), aes::<Malicious>(blocks, 8 * MIB));
        assert_eq!((full.rounds - semi.rounds, full.bytes_sent - semi.bytes_sent), (rounds, bytes), "{blocks} blocks");
        assert_eq!(full, sum(&[semi, checks_of_aes(blocks, 8 * MIB)]), "{blocks} blocks");
    }
    // Batches of another size are more checks, of which each is smaller.
    let (semi, full) = (aes::<SemiHonest>(4096, MIB), aes::<Malicious>(4096, MIB));
    assert_eq!(full, sum(&[semi, checks_of_aes(4096, MIB)]));
    assert_eq!((full.rounds - semi.rounds, full.bytes_sent - semi.bytes_sent), (52, 15_549));
}

/// At most 3 % more bytes at 100,000 blocks, 1 % at a million.
#[test]
fn the_checks_of_many_blocks_are_a_small_part_of_the_bytes() {
    for (blocks, bytes) in [(100_000, 110_825), (1_000_000, 1_083_657)] {
        assert_eq!(checks_of_aes(blocks, 8 * MIB).bytes_sent, bytes, "{blocks} blocks");
    }
    // 160 S-boxes of 17 bits a block.
    let share = |blocks: usize| checks_of_aes(blocks, CHECK_EVERY).bytes_sent as f64 / (340.0 * blocks as f64);
    assert!(share(100_000) <= 0.03, "{}", share(100_000));
    assert!(share(1_000_000) <= 0.01, "{}", share(1_000_000));
}
