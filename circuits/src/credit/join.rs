//! Tables of the same customers side by side, found by numbers that nobody sees.

use crate::{
    aes::{self, KeySize, SboxForm, State},
    arith::{a2b, shuffle},
    program::{Executor, Inputs, Program, Released, Shape},
};
use std::collections::BTreeMap;
use trefoil_engine::prelude::*;

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
/// owners (128 bits of SHA-256, say). Output: the other columns of all tables, in the order of the tables, column after column, of the customers all have in common. **Cost** for each table
/// [`shuffle_cost`](crate::arith::shuffle_cost), two [`a2b`] and an AES block for each row, 16 bytes opened for each; one key expansion. **Security** the nodes
/// learn how many customers any of the tables have in common, and of which row of a *shuffled* table each block is: no more, as blocks of different numbers under a key that no node has are pseudo-random
/// (in malicious mode nothing is opened that was not checked). Owners learn nothing but that the job was done, for so many customers. **Source** Mohassel, Rindal and Rosulek (CCS 2020), whose tables
/// are joined by keyed blocks as well.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Join {
    /// Rows, and columns beside the number, of each table.
    pub tables: Vec<[usize; 2]>,
    /// Customers that all tables have in common: the run fails, and says the number, if it is another.
    pub customers: usize,
}

impl Join {
    /// The number of columns of the output.
    pub fn columns(&self) -> usize {
        self.tables.iter().map(|[_, columns]| columns).sum()
    }

    /// The plain twin, up to the order of the customers: tables as the inputs are. `None` where the run would fail.
    pub fn plain(&self, tables: &[Vec<u64>]) -> Option<Vec<Vec<u64>>> {
        let mut seen: Vec<BTreeMap<[u64; NUMBER_COLUMNS], Vec<u64>>> = Vec::new();
        for (table, &[rows, columns]) in tables.iter().zip(&self.tables) {
            let cell = |row: usize, column: usize| table[column * rows + row];
            let values = |row| (NUMBER_COLUMNS..NUMBER_COLUMNS + columns).map(|c| cell(row, c)).collect();
            seen.push((0..rows).map(|row| ([cell(row, 0), cell(row, 1)], values(row))).collect());
            if seen.last()?.len() < rows {
                return None;
            }
        }
        let common = seen.first()?.keys().filter(|number| seen.iter().all(|table| table.contains_key(*number)));
        let joined: Vec<Vec<u64>> =
            common.map(|number| seen.iter().flat_map(|table| table[number].iter().copied()).collect()).collect();
        (joined.len() == self.customers).then_some(joined)
    }
}

impl Program for Join {
    fn inputs(&self) -> Vec<Shape> {
        self.tables.iter().map(|[rows, columns]| Shape::z64(rows * (NUMBER_COLUMNS + columns))).collect()
    }

    fn outputs(&self) -> Vec<Shape> {
        vec![Shape::z64(self.customers * self.columns())]
    }

    async fn run<M: Mode>(&self, mut ctx: Ctx<M>, mut inputs: Inputs, _: &impl Executor) -> Result<Released<M>, Error> {
        inputs.check(&self.inputs())?;
        let key = ctx.random::<Lanes>(2)?;
        let form = SboxForm::default();
        let keys = aes::expand_key(&mut ctx, form, KeySize::Aes128, key.view()).await?.for_encryption(ctx.me())?;
        let (mut tables, mut blocks) = (Vec::new(), Vec::new());
        for (k, &[rows, columns]) in self.tables.iter().enumerate() {
            let table = inputs.z64(k)?;
            let columns: Result<Vec<_>, _> =
                (0..NUMBER_COLUMNS + columns).map(|column| table.view().slice(column * rows, rows)).collect();
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
        let common = self.common(&opened)?;
        let mut joined = Vec::new();
        for (k, table) in tables.iter().enumerate() {
            for column in &table[NUMBER_COLUMNS..] {
                joined.push(Shares::rearrange(column.view(), common.len(), |column, out| {
                    for (out, rows) in out.iter_mut().zip(&common) {
                        *out = column[rows[k]];
                    }
                }));
            }
        }
        let joined = Shares::concat(&joined.iter().map(Shares::view).collect::<Vec<_>>());
        Ok(Released { strand, outputs: vec![joined.into()] })
    }
}

impl Join {
    /// For each block that all tables have the rows in which they have it, in the order of the blocks.
    fn common(&self, opened: &[Lanes]) -> Result<Vec<Vec<usize>>, Error> {
        let mut blocks = opened.chunks_exact(2);
        let mut found: Option<BTreeMap<[u64; 2], Vec<usize>>> = None;
        for &[rows, _] in &self.tables {
            let table: BTreeMap<[u64; 2], usize> =
                blocks.by_ref().take(rows).enumerate().map(|(row, block)| ([block[0].0, block[1].0], row)).collect();
            if table.len() < rows {
                let what = "the customers of a table, each of whom must be in it once";
                return Err(Error::Shape { what, expected: rows, got: table.len() });
            }
            found = Some(match found {
                None => table.into_iter().map(|(block, row)| (block, vec![row])).collect(),
                Some(mut common) => {
                    common.retain(|block, rows| {
                        table.get(block).is_some_and(|&row| {
                            rows.push(row);
                            true
                        })
                    });
                    common
                }
            });
        }
        let common = found.unwrap_or_default();
        if common.len() != self.customers {
            let what = "the customers that all tables have in common";
            return Err(Error::Shape { what, expected: common.len(), got: self.customers });
        }
        Ok(common.into_values().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::{Turns, Vector};
    use trefoil_engine::{client, testing};

    /// A customer's row: a number of 128 bits, and columns that depend on it.
    fn table(customers: &[u64], columns: usize) -> Vec<u64> {
        let mix = |x: u64| (x + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let cell = |customer: u64, column: usize| match column {
            0 => mix(customer),
            1 => mix(mix(customer)),
            column => customer * 1000 + column as u64,
        };
        (0..NUMBER_COLUMNS + columns).flat_map(|c| customers.iter().map(move |&x| cell(x, c))).collect()
    }

    fn run<M: Mode>(join: &Join, tables: &[Vec<u64>]) -> Result<Vec<Vec<u64>>, String> {
        let shared: Vec<Vec<Z64>> = tables.iter().map(|t| t.iter().map(|&x| Z64(x)).collect()).collect();
        let out = testing::three::<M, _, _>(async |ctx| {
            let inputs = Inputs::new(shared.iter().map(|t| Vector::from(Shares::public(ctx.me(), t))));
            match join.run(ctx, inputs, &Turns).await {
                Ok(released) => Ok(Ok(released.strand.output(released.outputs[0].z64()?.view())?)),
                Err(e) => Ok(Err(e.to_string())),
            }
        });
        let out: Vec<_> = out.into_iter().collect::<Result<_, _>>()?;
        let joined = client::reconstruct(&<[_; 3]>::try_from(out).unwrap()).unwrap();
        let cell = |row: usize, column: usize| joined[column * join.customers + row].0;
        let mut rows: Vec<Vec<u64>> =
            (0..join.customers).map(|row| (0..join.columns()).map(|column| cell(row, column)).collect()).collect();
        rows.sort_unstable();
        Ok(rows)
    }

    fn agrees<M: Mode>(owners: &[(&[u64], usize)], customers: usize) {
        let join = Join { tables: owners.iter().map(|(c, columns)| [c.len(), *columns]).collect(), customers };
        let tables: Vec<_> = owners.iter().map(|(customers, columns)| table(customers, *columns)).collect();
        let mut expected = join.plain(&tables).unwrap();
        expected.sort_unstable();
        assert_eq!(run::<M>(&join, &tables).unwrap(), expected);
    }

    #[test]
    fn common_customers_come_side_by_side() {
        let some: Vec<u64> = (0..70).map(|k| k * 3).collect();
        let others: Vec<u64> = (0..70).rev().map(|k| k * 2).collect();
        agrees::<SemiHonest>(&[(&some, 2), (&others, 3)], 24);
        agrees::<Malicious>(&[(&some, 1), (&others, 2), (&[6, 12, 7, 18], 1)], 3);
        agrees::<SemiHonest>(&[(&[1, 2], 1), (&[3], 1)], 0);
    }

    #[test]
    fn another_number_of_customers_and_one_who_is_in_a_table_twice_are_named() {
        let join = Join { tables: vec![[3, 1], [2, 1]], customers: 1 };
        let (one, two) = (table(&[1, 2, 3], 1), table(&[3, 2], 1));
        assert_eq!(join.plain(&[one.clone(), two.clone()]), None);
        let error = run::<SemiHonest>(&join, &[one.clone(), two]).unwrap_err();
        assert!(error.contains("the customers that all tables have in common: expected 2, got 1"), "{error}");
        let error = run::<SemiHonest>(&join, &[one, table(&[3, 3], 1)]).unwrap_err();
        assert!(error.contains("must be in it once: expected 2, got 1"), "{error}");
    }

    /// Between the tables nothing goes but what their sizes say.
    #[test]
    fn cost_is_that_of_the_parts() {
        let join = Join { tables: vec![[70, 2], [5, 1]], customers: 5 };
        let tables = [table(&(0..70).collect::<Vec<_>>(), 2), table(&[7, 9, 11, 13, 1], 1)];
        let shared: Vec<Vec<Z64>> = tables.iter().map(|t| t.iter().map(|&x| Z64(x)).collect()).collect();
        let cost = testing::three::<SemiHonest, _, _>(async |ctx| {
            let inputs = Inputs::new(shared.iter().map(|t| Vector::from(Shares::public(ctx.me(), t))));
            Ok(join.run(ctx, inputs, &Turns).await?.cost())
        })[0];
        let table = |rows: usize, columns: usize| {
            let (moved, bits) = (crate::arith::shuffle_cost(rows, columns), crate::arith::a2b_cost().over(rows));
            moved.rounds + 2 * bits.rounds + 10 * SboxForm::default().rounds()
        };
        // The key expansion, and the blocks opened.
        let keys = 10 * SboxForm::default().rounds();
        assert_eq!(cost.rounds, keys + table(70, 4) + table(5, 3) + 1);
    }
}
