//! Scores and training of a logistic regression, as the programs that jobs run.

use super::{
    inputs::{aside, finish, fork, share},
    scenario::{Measured, barrier},
};
use crate::executor::Tasks;
use std::time::Instant;
use trefoil_circuits::{
    credit::{CreditError, Number, Pooled, Report, Score, Settings, Train, Weights, reference::Batch},
    program::{Inputs, Program, Tiling, Vector},
};
use trefoil_engine::prelude::*;

/// Probabilities of a whole table by a model that is shared too.
pub(super) async fn scores<M: Mode>(
    ctx: &mut Ctx<M>,
    [rows, columns]: [usize; 2],
    tiling: Tiling,
) -> Result<Measured, Error> {
    let batch = tiling.batch;
    let score = program(rows, columns, Report::ProbabilityBits)?.tiled(tiling);
    let twin = score.clone();
    let (table, model, plain) = aside(move || {
        let [table, model] = [table(rows, columns), model(columns)];
        let plain: Vec<bool> = twin.plain(&table, &model).concat().into_iter().map(|bit| bit == 1).collect();
        (integers(&table), integers(&model), words(&plain))
    })
    .await?;
    let shared = [share(ctx, table).await?, share(ctx, model).await?];
    let mut child = fork(ctx, 1).await?.remove(0);
    barrier(&mut child).await?;
    let before = child.cost().bytes_sent;
    let start = Instant::now();
    let mut released = score.run(child, Inputs::new(shared.map(Vector::from)), &Tasks).await?;
    let seconds = start.elapsed().as_secs_f64();
    let bytes = released.cost().bytes_sent - before;
    let scores = released.strand.open(released.outputs[0].bits()?.view()).await?;
    finish(ctx, released, scores == plain)?;
    Ok(Measured { seconds, items: rows as f64, bytes, rounds: score.row_cost(rows.min(batch)).rounds })
}

/// One applicant after the other, each by a program of its own.
pub(super) async fn single_scores<M: Mode>(
    ctx: &mut Ctx<M>,
    columns: usize,
    applicants: usize,
) -> Result<Measured, Error> {
    let score = program(1, columns, Report::Probability)?;
    let [table, model] = [table(applicants, columns), model(columns)];
    let mut due = Vec::new();
    let mut inputs = Vec::new();
    for row in 0..applicants {
        let features: Vec<i64> = table.iter().skip(row).step_by(applicants).copied().collect();
        let shared = [share(ctx, integers(&features)).await?, share(ctx, integers(&model)).await?];
        inputs.push(Inputs::new(shared.map(Vector::from)));
        due.push(score.plain(&features, &model).concat());
    }
    let mut children = fork(ctx, applicants as u32).await?;
    for child in children.iter_mut().take(1) {
        barrier(child).await?;
    }
    let before: u64 = children.iter().map(|child| child.cost().bytes_sent).sum();
    let start = Instant::now();
    let mut all = Vec::with_capacity(applicants);
    for (child, inputs) in children.into_iter().zip(inputs) {
        all.push(score.run(child, inputs, &Tasks).await?);
    }
    let seconds = start.elapsed().as_secs_f64();
    let bytes = all.iter().map(|released| released.cost().bytes_sent).sum::<u64>() - before;
    for (mut released, due) in all.into_iter().zip(&due) {
        let scores = released.strand.open(released.outputs[0].z64()?.view()).await?;
        finish(ctx, released, scores == integers(due))?;
    }
    Ok(Measured { seconds, items: applicants as f64, bytes, rounds: score.row_cost(1).rounds })
}

/// One epoch of training, from the shares of a table and its labels to a checked model.
pub(super) async fn training<M: Mode>(
    ctx: &mut Ctx<M>,
    [rows, columns]: [usize; 2],
    batch: usize,
) -> Result<Measured, Error> {
    let settings = Settings { rate: 0.5, momentum: 0.75, epochs: 1, batch: Batch::Rows(batch), l2: 1.0 };
    let train = Train::new(whole(rows, columns), settings).map_err(refused)?;
    let table = table(rows, columns);
    let labels: Vec<bool> = (0..rows as u64).zip(&table).map(|(row, x)| *x > uniform(row, u64::MAX)).collect();
    let inputs = Inputs::new([
        Vector::from(share(ctx, integers(&table)).await?),
        Vector::from(share(ctx, words(&labels)).await?),
    ]);
    let mut child = fork(ctx, 1).await?.remove(0);
    barrier(&mut child).await?;
    let before = child.cost().bytes_sent;
    let start = Instant::now();
    let mut released = train.run(child, inputs, &Tasks).await?;
    let seconds = start.elapsed().as_secs_f64();
    let bytes = released.cost().bytes_sent - before;
    let model = released.strand.open(released.outputs[0].z64()?.view()).await?;
    let beyond = released.strand.open(released.outputs[1].bits()?.view()).await?;
    let (plain, rounds) = aside(move || (integers(&train.plain(&table, &labels)), train.cost().rounds)).await?;
    finish(ctx, released, model == plain && beyond == [Lanes(0)])?;
    Ok(Measured { seconds, items: 1.0, bytes, rounds })
}

fn program(rows: usize, columns: usize, report: Report) -> Result<Score, Error> {
    Score::new(whole(rows, columns), Weights::Shared, vec![report]).map_err(refused)
}

fn whole(rows: usize, columns: usize) -> Pooled {
    Pooled::Vertical { rows, columns: vec![columns] }
}

/// The command line admits no such shape.
fn refused(_: CreditError) -> Error {
    Error::Shape { what: "the columns of a table at most", expected: trefoil_circuits::credit::MOST_FEATURES, got: 0 }
}

/// Features column after column: as wide as standardized ones, the same at all parties.
fn table(rows: usize, columns: usize) -> Vec<i64> {
    let column = |column: u64| (0..rows as u64).map(move |row| uniform(row, column));
    (0..columns as u64).flat_map(column).collect()
}

/// Coefficients, the intercept first.
fn model(columns: usize) -> Vec<i64> {
    (0..=columns as u64).map(|k| uniform(k, u64::MAX) / 4).collect()
}

/// A number from -2 to 2 that depends on nothing but its place (the mixer of Steele, Lea and Flood, OOPSLA 2014).
fn uniform(row: u64, column: u64) -> i64 {
    let mut x = (row << 16 ^ column).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    let one = Number::ONE.0.cast_signed();
    ((x ^ x >> 31) >> 1).cast_signed() % (4 * one) - 2 * one
}

fn integers(x: &[i64]) -> Vec<Z64> {
    x.iter().map(|x| Z64(x.cast_unsigned())).collect()
}

fn words(bits: &[bool]) -> Vec<Lanes> {
    let word = |bits: &[bool]| Lanes(bits.iter().enumerate().map(|(k, &bit)| u64::from(bit) << k).sum());
    bits.chunks(Lanes::COUNT).map(word).collect()
}
