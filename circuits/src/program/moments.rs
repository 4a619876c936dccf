//! Sums and sums of squares of the columns of several tables as a program.

use super::{Executor, Inputs, Program, Released, Shape};
use trefoil_engine::prelude::*;

/// Sums and sums of squares over the rows of several tables with the same columns: from them follow the mean and the variance of each column over
/// all tables together.
///
/// **Shape** one input for each table: its columns of [`Z64`], one after the other. Two outputs: the sum of each column over all tables, and the sum of the squares
/// of its entries, modulo 2^64. Entries may be read as signed: neither output is wrong while every true sum fits. **Cost** one round and one element for each column of
/// each table; in malicious mode one element for every 64 rows, and the check.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Moments {
    /// Columns of each table.
    pub columns: usize,
    /// Rows of each table.
    pub rows: Vec<usize>,
    /// The largest absolute value of an entry, if there is one.
    pub limit: Option<u64>,
}

impl Program for Moments {
    fn inputs(&self) -> Vec<Shape> {
        self.rows.iter().map(|rows| Shape::z64(self.columns * rows)).collect()
    }

    fn limits(&self) -> Vec<Option<u64>> {
        vec![self.limit; self.rows.len()]
    }

    fn outputs(&self) -> Vec<Shape> {
        vec![Shape::z64(self.columns); 2]
    }

    async fn protocol<M: Mode>(
        &self,
        mut ctx: Ctx<M>,
        mut inputs: Inputs,
        _: &dyn Executor,
    ) -> Result<Released<M>, Error> {
        inputs.check(&self.inputs())?;
        let (mut sums, mut squares) = (Shares::<Z64>::zeros(self.columns), Shares::<Z64>::zeros(self.columns));
        for (k, &rows) in self.rows.iter().enumerate() {
            let table = inputs.z64(k)?;
            if table.is_empty() {
                continue;
            }
            let of_table = Shares::rearrange(table.view(), self.columns, |table, sums| {
                for (sum, column) in sums.iter_mut().zip(table.chunks(rows)) {
                    *sum = column.iter().fold(Z64(0), |sum, &x| sum + x);
                }
            });
            sums.add_assign(of_table.view())?;
            let of_table = ctx.sums_of_products(table.view(), table.view(), &vec![rows; self.columns], 1).await?;
            squares.add_assign(of_table.view())?;
        }
        Ok(Released { strand: ctx.verify().await?, outputs: vec![sums.into(), squares.into()] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::{Turns, Vector};
    use trefoil_engine::{client, testing};

    fn check<M: Mode>(columns: usize, rows: &[usize]) {
        let program = Moments { columns, rows: rows.to_vec(), limit: None };
        let entry = |k: usize| (i64::try_from(k % 1000).unwrap() - 500) * 100_003;
        let tables: Vec<Vec<i64>> = rows.iter().map(|rows| (0..columns * rows).map(entry).collect()).collect();
        let shared: Vec<Vec<Z64>> =
            tables.iter().map(|table| table.iter().map(|x| Z64(x.cast_unsigned())).collect()).collect();
        let out = testing::three::<M, _, _>(async |ctx| {
            let inputs = Inputs::new(shared.iter().map(|table| Vector::from(Shares::public(ctx.me(), table))));
            let released = program.run(ctx, inputs, &Turns).await?;
            let share = |k: usize| released.strand.output(released.outputs[k].z64()?.view());
            Ok((share(0)?, share(1)?))
        });
        let mut sums = Vec::new();
        let mut squares = Vec::new();
        for (sum, square) in out {
            sums.push(sum);
            squares.push(square);
        }
        let opened = |shares: Vec<_>| client::reconstruct(&<[_; 3]>::try_from(shares).unwrap()).unwrap();
        let expected = |f: fn(i64) -> i64| -> Vec<Z64> {
            let column = |c: usize| tables.iter().zip(rows).flat_map(move |(t, rows)| &t[c * rows..][..*rows]);
            (0..columns).map(|c| Z64(column(c).map(|x| f(*x)).sum::<i64>().cast_unsigned())).collect()
        };
        assert_eq!(opened(sums), expected(|x| x));
        assert_eq!(opened(squares), expected(|x| x * x));
    }

    #[test]
    fn sums_over_all_tables_are_those_of_the_pooled_table() {
        for (columns, rows) in [(1, &[1][..]), (3, &[5, 70, 1]), (2, &[0, 200]), (4, &[])] {
            check::<SemiHonest>(columns, rows);
            check::<Malicious>(columns, rows);
        }
    }

    #[test]
    fn a_table_costs_a_round() {
        let program = Moments { columns: 3, rows: vec![1000, 10], limit: None };
        let cost = testing::three::<SemiHonest, _, _>(async |ctx| {
            let inputs = Inputs::new([3000, 30].map(|n| Shares::<Z64>::zeros(n).into()));
            Ok(program.run(ctx, inputs, &Turns).await?.cost())
        })[0];
        assert_eq!((cost.rounds, cost.bytes_sent), (2, 2 * 3 * 8));
    }
}
