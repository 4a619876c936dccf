//! Matrices of shares that lie in several vectors.

use super::{Shares, View, same};
use crate::{Error, ring::Ring};

/// A matrix in blocks of rows, each column of a block a vector: a table of several owners, or some rows of it, where it lies.
#[derive(Debug, Default)]
pub struct Matrix<'a, R: Ring> {
    blocks: Vec<Block<'a, R>>,
    rows: usize,
}

/// Rows of a [`Matrix`].
#[derive(Debug)]
pub(crate) struct Block<'a, R: Ring> {
    rows: usize,
    columns: Vec<View<'a, R>>,
}

impl<'a, R: Ring> Matrix<'a, R> {
    /// Without rows.
    #[must_use]
    pub fn new() -> Self {
        Self { blocks: Vec::new(), rows: 0 }
    }

    /// One block of so many rows, column after column.
    ///
    /// # Errors
    /// [`Error::Shape`] if that are not whole columns.
    pub fn from_columns(rows: usize, columns: View<'a, R>) -> Result<Self, Error> {
        let count = columns.len().checked_div(rows).unwrap_or(0);
        let mut matrix = Self::new();
        same("the columns of a matrix", count * rows, columns.len())?;
        matrix.push(rows, (0..count).map(|k| columns.slice(k * rows, rows)).collect::<Result<_, _>>()?)?;
        Ok(matrix)
    }

    /// Adds a block of rows below.
    ///
    /// # Errors
    /// [`Error::Shape`] if a column has not so many rows.
    pub fn push(&mut self, rows: usize, columns: Vec<View<'a, R>>) -> Result<(), Error> {
        columns.iter().try_for_each(|column| same("a column of a matrix", rows, column.len()))?;
        self.rows += rows;
        self.blocks.push(Block { rows, columns });
        Ok(())
    }

    /// Rows of all blocks.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The matrix times a public vector: the sum of the columns, each times an element of `y`. Local.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there are as many columns as elements.
    pub fn times_public(&self, y: &[R]) -> Result<Shares<R>, Error> {
        let mut sums = Shares::zeros(self.rows);
        let mut from = 0;
        for Block { rows, columns } in &self.blocks {
            same("the columns of a matrix", y.len(), columns.len())?;
            for (column, &y) in columns.iter().zip(y) {
                for (sums, column) in [(&mut sums.own, column.own), (&mut sums.next, column.next)] {
                    sums[from..from + rows].iter_mut().zip(column).for_each(|(sum, &x)| *sum = *sum + x * y);
                }
            }
            from += rows;
        }
        Ok(sums)
    }

    pub(crate) fn blocks(&self) -> &[Block<'a, R>] {
        &self.blocks
    }
}

impl<'a, R: Ring> Block<'a, R> {
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn columns(&self) -> &[View<'a, R>] {
        &self.columns
    }
}
