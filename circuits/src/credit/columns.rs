//! Tables column after column, in the parts that several owners hold.

use super::{
    CreditError, FEATURE_LIMIT, MOST_FEATURES,
    number::{FRACTIONAL, units},
};
use crate::program::{Inputs, Shape};
use trefoil_engine::prelude::*;

/// How the features of one table are divided among those who bring them, each as an input of its own, column after column.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Pooled {
    /// The same customers, other columns: so many of each owner.
    Vertical {
        /// Customers.
        rows: usize,
        /// Columns of each owner.
        columns: Vec<usize>,
    },
    /// The same columns, other customers: so many of each owner.
    Horizontal {
        /// Columns.
        columns: usize,
        /// Customers of each owner.
        rows: Vec<usize>,
    },
}

impl Pooled {
    /// Customers of all owners.
    pub fn rows(&self) -> usize {
        match self {
            Self::Vertical { rows, .. } => *rows,
            Self::Horizontal { rows, .. } => rows.iter().sum(),
        }
    }

    /// Columns of all owners.
    pub fn columns(&self) -> usize {
        match self {
            Self::Vertical { columns, .. } => columns.iter().sum(),
            Self::Horizontal { columns, .. } => *columns,
        }
    }

    /// The inputs: one for each owner.
    pub fn shapes(&self) -> Vec<Shape> {
        match self {
            Self::Vertical { rows, columns } => columns.iter().map(|columns| Shape::z64(rows * columns)).collect(),
            Self::Horizontal { columns, rows } => rows.iter().map(|rows| Shape::z64(rows * columns)).collect(),
        }
    }

    /// The limit of each input: that of a feature.
    pub(super) fn limits(&self) -> Vec<Option<u64>> {
        vec![Some(units(FEATURE_LIMIT)); self.shapes().len()]
    }

    /// The inputs of a training: the features, and the labels of each owner of some.
    pub(super) fn training_shapes(&self) -> Vec<Shape> {
        self.shapes().into_iter().chain(self.labelled().into_iter().map(Shape::bits)).collect()
    }

    /// The limit of each input of a training: labels are bits and have none.
    pub(super) fn training_limits(&self) -> Vec<Option<u64>> {
        self.limits().into_iter().chain(self.labelled().iter().map(|_| None)).collect()
    }

    /// Customers of each owner of labels: all of them with one owner, or those of each.
    pub fn labelled(&self) -> Vec<usize> {
        match self {
            Self::Vertical { rows, .. } => vec![*rows],
            Self::Horizontal { rows, .. } => rows.clone(),
        }
    }

    /// Refuses a table on which nothing can be learnt, or that is too large to be computed on within range.
    pub(super) fn check(&self) -> Result<(), CreditError> {
        let (rows, columns) = (self.rows(), self.columns());
        let accepted = (1..=MOST_FEATURES).contains(&columns);
        CreditError::setting(accepted, "the number of features", columns as f64, "from 1 to 500")?;
        let accepted = (1..=1 << 20).contains(&rows);
        CreditError::setting(accepted, "the number of rows", rows as f64, "from 1 to 1048576")
    }

    /// The whole table, column after column. Local.
    pub(super) fn gather(&self, inputs: &mut Inputs) -> Result<Shares<Z64>, Error> {
        let mut table = self.take(inputs)?;
        match self {
            Self::Vertical { .. } if table.parts.len() == 1 => Ok(table.parts.remove(0)),
            Self::Vertical { .. } => Ok(Shares::concat(&table.parts.iter().map(Shares::view).collect::<Vec<_>>())),
            Self::Horizontal { columns, rows } => {
                let mut all = Vec::with_capacity(columns * rows.len());
                for column in 0..*columns {
                    for (part, &rows) in table.parts.iter().zip(rows) {
                        all.push(part.view().slice(column * rows, rows)?);
                    }
                }
                Ok(Shares::concat(&all))
            }
        }
    }

    /// The table as its owners brought it.
    pub(super) fn take(&self, inputs: &mut Inputs) -> Result<Table, Error> {
        let parts = (0..self.shapes().len()).map(|k| inputs.z64(k)).collect::<Result<Vec<_>, _>>()?;
        Ok(Table { pooled: self.clone(), parts })
    }
}

/// Blocks of so many rows each, column after column.
type Blocks<'a> = Vec<(usize, Vec<View<'a, Z64>>)>;

/// A table where it lies: the features of each owner, column after column.
#[derive(Debug)]
pub(super) struct Table {
    pooled: Pooled,
    parts: Vec<Shares<Z64>>,
}

impl Table {
    /// Rows `from .. from + count`.
    pub(super) fn rows(&self, from: usize, count: usize) -> Result<Matrix<'_, Z64>, Error> {
        let mut matrix = Matrix::new();
        for (rows, columns) in self.blocks(from, count)? {
            matrix.push(rows, columns)?;
        }
        Ok(matrix)
    }

    /// A copy of these rows, column after column.
    pub(super) fn copied(&self, from: usize, count: usize) -> Result<Shares<Z64>, Error> {
        let blocks = self.blocks(from, count)?;
        let columns = 0..self.pooled.columns();
        let all = columns.flat_map(|k| blocks.iter().filter_map(move |(_, columns)| columns.get(k).copied()));
        Ok(Shares::concat(&all.collect::<Vec<_>>()))
    }

    /// These rows in blocks, with the columns of each.
    fn blocks(&self, from: usize, count: usize) -> Result<Blocks<'_>, Error> {
        let mut blocks = Vec::new();
        match &self.pooled {
            Pooled::Vertical { rows, columns } => {
                let parts = self.parts.iter().zip(columns);
                let parts = parts.map(|(part, &columns)| some_columns(part.view(), *rows, columns, [from, count]));
                blocks.push((count, parts.collect::<Result<Vec<_>, _>>()?.concat()));
            }
            Pooled::Horizontal { columns, rows } => {
                let mut before = 0;
                for (part, &rows) in self.parts.iter().zip(rows) {
                    let (first, end) = (from.max(before), (from + count).min(before + rows));
                    if first < end {
                        let place = [first - before, end - first];
                        blocks.push((end - first, some_columns(part.view(), rows, *columns, place)?));
                    }
                    before += rows;
                }
            }
        }
        Ok(blocks)
    }
}

/// Each element so many times.
pub(super) fn repeated(x: View<'_, Z64>, times: usize) -> Shares<Z64> {
    Shares::rearrange(x, x.len() * times, |x, out| {
        for (&x, out) in x.iter().zip(out.chunks_exact_mut(times.max(1))) {
            out.fill(x);
        }
    })
}

/// The columns of a table of `rows`, but of each only so many rows.
fn some_columns(
    table: View<'_, Z64>,
    rows: usize,
    columns: usize,
    [from, count]: [usize; 2],
) -> Result<Vec<View<'_, Z64>>, Error> {
    (0..columns).map(|column| table.slice(column * rows + from, count)).collect()
}

/// Rows `from .. from + count` of a table of `rows`, column after column.
pub(super) fn some_rows(table: View<'_, Z64>, rows: usize, from: usize, count: usize) -> Result<Shares<Z64>, Error> {
    let columns = table.len().checked_div(rows).unwrap_or(0);
    Ok(Shares::concat(&some_columns(table, rows, columns, [from, count])?))
}

/// The logits of rows with twice the fractional bits, one element sent for each: nothing is lost in them.
pub(super) async fn logits<M: Mode>(
    ctx: &mut Ctx<M>,
    table: &Matrix<'_, Z64>,
    model: View<'_, Z64>,
) -> Result<Shares<Z64>, Error> {
    let features = model.len().saturating_sub(1);
    let mut logits = ctx.matrix_vector(table, model.slice(1, features)?).await?;
    let intercepts = Shares::rearrange(model.slice(0, 1)?, table.rows(), |x, out| {
        out.fill(Z64(x.first().map_or(0, |x| x.0 << FRACTIONAL)));
    });
    logits.add_assign(intercepts.view())?;
    Ok(logits)
}

/// The plain twin of [`logits`].
pub(super) fn plain_logits(rows: usize, table: &[i64], model: &[i64]) -> Vec<i64> {
    let mut logits = vec![model.first().map_or(0, |x| x << FRACTIONAL); rows];
    for (column, weight) in table.chunks_exact(rows.max(1)).zip(model.iter().skip(1)) {
        logits.iter_mut().zip(column).for_each(|(sum, x)| *sum += x * weight);
    }
    logits
}
