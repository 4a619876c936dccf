//! Tables of the same customers side by side, found by numbers that nobody sees.

mod common;

use crate::{
    aes::{self, KeySize, SboxForm, State},
    arith::{a2b, inject, shuffle},
    program::{Executor, Inputs, Program, Released, Shape},
};
use common::{rows_in_common, side_by_side};
use std::collections::BTreeMap;
use trefoil_engine::{prelude::*, transport::BoxFuture};

/// Columns that hold a customer's number: 128 bits, the low word first.
pub const NUMBER_COLUMNS: usize = 2;
/// Blocks encrypted at a time: what they need is about 10 MiB.
const BATCH: usize = 1 << 15;

/// Of several tables the customers that all of them have, with the columns of all.
///
/// Each table is shuffled in an order no party knows. Then the customers' numbers are encrypted with AES-128 under a shared key that is drawn for this run, and the blocks are opened: equal numbers
/// give equal blocks. What is local follows: rows with blocks that all tables have are put side by side, in the order of the blocks.
///
/// **Shape** inputs: each owner's table of `rows` customers, column after column, the first [`NUMBER_COLUMNS`] being the customer's number: a hash of what identifies the customer, the same for all
/// owners (128 bits of SHA-256, say); then the labels of one of the tables as bits, if there are any. Outputs, of the customers all have in common: the other columns of all tables, in the order of the tables,
/// column after column; then the labels as bits. How many customers these are is found out in the run: as many as the smallest table has at the most, which is what [`outputs`](Program::outputs) says.
/// **Cost** for each table [`shuffle_cost`](crate::arith::shuffle_cost), two [`a2b`] and an AES block for each row, 16 bytes opened for each; one key expansion; one [`inject`] for labels. **Security** the
/// nodes learn how many customers any of the tables have in common, and of which row of a *shuffled* table each block is: no more, as blocks of different numbers under a key that no node has are pseudo-random
/// (in malicious mode nothing is opened that was not checked). Owners learn nothing but that the job was done, or why not. **Source** Mohassel, Rindal and Rosulek (CCS 2020), whose tables
/// are joined by keyed blocks as well.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Join {
    /// Rows, and columns beside the number, of each table.
    pub tables: Vec<[usize; 2]>,
    /// The table that has labels.
    pub labels: Option<usize>,
    /// Customers that all tables must have in common at least.
    pub minimum: usize,
}

/// Why tables are not joined, though all has gone well. All nodes come to it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum JoinFault {
    /// How many there are is not said.
    #[error("the tables have fewer than {minimum} customers in common")]
    Few {
        /// What they must have at least.
        minimum: usize,
    },
    /// Then nobody can tell which of the rows is meant.
    #[error("a customer is twice in table {table}")]
    Twice {
        /// Which, counted from 0.
        table: usize,
    },
}

impl Join {
    /// The number of columns of the joined table, beside the labels.
    pub fn columns(&self) -> usize {
        self.tables.iter().map(|[_, columns]| columns).sum()
    }

    /// Customers that the joined table can have at most.
    pub fn most(&self) -> usize {
        self.tables.iter().map(|[rows, _]| *rows).min().unwrap_or(0)
    }

    /// The plain twin, up to the order of the customers: tables and labels as the inputs are. A row has the columns, then the label as 0 or 1.
    ///
    /// # Errors
    /// [`JoinFault`].
    pub fn plain(&self, tables: &[Vec<u64>], labels: &[bool]) -> Result<Vec<Vec<u64>>, JoinFault> {
        let mut seen: Vec<BTreeMap<[u64; NUMBER_COLUMNS], Vec<u64>>> = Vec::new();
        for (k, (table, &[rows, columns])) in tables.iter().zip(&self.tables).enumerate() {
            let cell = |row: usize, column: usize| table[column * rows + row];
            let label = |row: usize| (self.labels == Some(k)).then(|| u64::from(labels[row]));
            let values =
                |row| (NUMBER_COLUMNS..NUMBER_COLUMNS + columns).map(|c| cell(row, c)).chain(label(row)).collect();
            let all: BTreeMap<_, _> = (0..rows).map(|row| ([cell(row, 0), cell(row, 1)], values(row))).collect();
            if all.len() < rows {
                return Err(JoinFault::Twice { table: k });
            }
            seen.push(all);
        }
        let mut joined = Vec::new();
        for number in seen.first().into_iter().flat_map(BTreeMap::keys) {
            let rows: Option<Vec<&Vec<u64>>> = seen.iter().map(|table| table.get(number)).collect();
            let Some(rows) = rows else { continue };
            let values = |k: usize| rows[k].iter().take(self.tables[k][1]);
            let label = self.labels.and_then(|k| rows[k].last());
            joined.push((0..rows.len()).flat_map(values).chain(label).copied().collect());
        }
        let few = JoinFault::Few { minimum: self.minimum };
        if joined.len() < self.minimum { Err(few) } else { Ok(joined) }
    }

    /// As [`Program::run`], with the reason if the tables cannot be joined.
    ///
    /// # Errors
    /// As [`Program::run`]. Not cancel safe.
    pub fn join<M: Mode>(
        &self,
        ctx: Ctx<M>,
        inputs: Inputs,
    ) -> BoxFuture<'_, Result<Result<Released<M>, JoinFault>, Error>> {
        Box::pin(self.in_common(ctx, inputs))
    }

    async fn in_common<M: Mode>(
        &self,
        mut ctx: Ctx<M>,
        mut inputs: Inputs,
    ) -> Result<Result<Released<M>, JoinFault>, Error> {
        inputs.check(&self.inputs())?;
        let key = ctx.random::<Lanes>(2)?;
        let form = SboxForm::default();
        let keys = aes::expand_key(&mut ctx, form, KeySize::Aes128, key.view()).await?.for_encryption(ctx.me())?;
        let (mut tables, mut blocks) = (Vec::new(), Vec::new());
        for (k, &[rows, columns]) in self.tables.iter().enumerate() {
            let table = inputs.z64(k)?;
            let labels = match self.labels {
                Some(labelled) if labelled == k => {
                    Some(inject(&mut ctx, rows, inputs.bits(self.tables.len())?.view()).await?)
                }
                _ => None,
            };
            let columns = (0..NUMBER_COLUMNS + columns).map(|column| table.view().slice(column * rows, rows));
            let columns: Result<Vec<_>, _> = columns.chain(labels.iter().map(|labels| Ok(labels.view()))).collect();
            let shuffled = shuffle(&mut ctx, &columns?).await?;
            for from in (0..rows).step_by(BATCH) {
                let count = BATCH.min(rows - from);
                let mut bits = Vec::new();
                for word in &shuffled[..NUMBER_COLUMNS] {
                    bits.push(a2b(&mut ctx, word.view().slice(from, count)?).await?);
                }
                let bits = Shares::concat(&bits.iter().map(Shares::view).collect::<Vec<_>>());
                let state = State::from_planes(bits.view(), count)?;
                blocks.push(aes::encrypt(&mut ctx, form, &keys, &state).await?.to_blocks());
            }
            tables.push(shuffled);
        }
        let mut strand = ctx.verify().await?;
        let blocks = Shares::concat(&blocks.iter().map(Shares::view).collect::<Vec<_>>());
        let opened = strand.open(blocks.view()).await?;
        Ok(rows_in_common(self, &opened).map(|common| {
            let tables: Vec<&[Shares<Z64>]> = tables.iter().map(|table| &table[NUMBER_COLUMNS..]).collect();
            Released { strand, outputs: side_by_side(self, &tables, &common) }
        }))
    }
}

impl Program for Join {
    fn inputs(&self) -> Vec<Shape> {
        let tables = self.tables.iter().map(|[rows, columns]| Shape::z64(rows * (NUMBER_COLUMNS + columns)));
        tables.chain(self.labels.map(|k| Shape::bits(self.tables.get(k).map_or(0, |[rows, _]| *rows)))).collect()
    }

    /// At the most: what comes out has as many rows as there are customers in common.
    fn outputs(&self) -> Vec<Shape> {
        let most = self.most();
        let columns = Shape::z64(most * self.columns());
        std::iter::once(columns).chain(self.labels.map(|_| Shape::bits(most))).collect()
    }

    async fn protocol<M: Mode>(&self, ctx: Ctx<M>, inputs: Inputs, _: &dyn Executor) -> Result<Released<M>, Error> {
        self.join(ctx, inputs).await?.map_err(|fault| match fault {
            JoinFault::Few { minimum } => {
                Error::Shape { what: "the customers that all tables have in common", expected: minimum, got: 0 }
            }
            JoinFault::Twice { table } => Error::Shape {
                what: "the customers of a table, each of whom must be in it once",
                expected: self.tables.get(table).map_or(0, |[rows, _]| *rows),
                got: 0,
            },
        })
    }
}

#[cfg(test)]
mod tests;
