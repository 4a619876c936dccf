//! Features row by row, their labels and moments.

use super::DataError;

/// Features: one row per customer, one column per feature, stored row after row. All values are finite.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    columns: usize,
    values: Vec<f64>,
}

impl Matrix {
    /// A matrix of `columns` columns from its values, row after row.
    ///
    /// # Errors
    /// No column, a length that is no multiple of `columns`, or a value that is not finite.
    pub fn new(columns: usize, values: Vec<f64>) -> Result<Self, DataError> {
        if columns == 0 {
            return Err(DataError::Empty("column"));
        }
        DataError::lengths("values of the last row", values.len() % columns, 0)?;
        DataError::finite("value", &values)?;
        Ok(Self { columns, values })
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.values.len() / self.columns
    }

    /// The number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The rows in order.
    pub fn iter(&self) -> std::slice::ChunksExact<'_, f64> {
        self.values.chunks_exact(self.columns)
    }

    /// All values, row after row.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// One column, or `None` beyond the last.
    pub fn column(&self, column: usize) -> Option<Vec<f64>> {
        (column < self.columns).then(|| self.iter().map(|row| row[column]).collect())
    }

    /// The rows with these positions, in that order.
    ///
    /// # Errors
    /// A position beyond the last row.
    pub fn select(&self, rows: &[usize]) -> Result<Self, DataError> {
        let mut values = Vec::with_capacity(rows.len() * self.columns);
        for &row in rows {
            let start = row.saturating_mul(self.columns);
            let found = self.values.get(start..start.saturating_add(self.columns));
            values.extend_from_slice(found.ok_or(DataError::Length {
                what: "rows",
                found: self.rows(),
                expected: row.saturating_add(1),
            })?);
        }
        Ok(Self { columns: self.columns, values })
    }
}

impl<'a> IntoIterator for &'a Matrix {
    type Item = &'a [f64];
    type IntoIter = std::slice::ChunksExact<'a, f64>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Features with a label for each row: `true` is bad.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    features: Matrix,
    labels: Vec<bool>,
}

impl Sample {
    /// Features and labels, row by row.
    ///
    /// # Errors
    /// No row, or another number of labels than of rows.
    pub fn new(features: Matrix, labels: Vec<bool>) -> Result<Self, DataError> {
        if features.rows() == 0 {
            return Err(DataError::Empty("row"));
        }
        DataError::lengths("labels", labels.len(), features.rows())?;
        Ok(Self { features, labels })
    }

    /// The features.
    pub fn features(&self) -> &Matrix {
        &self.features
    }

    /// The labels.
    pub fn labels(&self) -> &[bool] {
        &self.labels
    }

    /// The number of rows, at least one.
    pub fn rows(&self) -> usize {
        self.labels.len()
    }

    /// The rows with these positions, in that order.
    ///
    /// # Errors
    /// No position, or one beyond the last row.
    pub fn select(&self, rows: &[usize]) -> Result<Self, DataError> {
        let features = self.features.select(rows)?;
        Self::new(features, rows.iter().map(|&row| self.labels[row]).collect())
    }

    /// Refuses a sample with one label only.
    pub(super) fn both_classes(&self) -> Result<(), DataError> {
        both_classes(&self.labels)
    }

    /// Rows with their labels.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[f64], bool)> {
        self.features.iter().zip(self.labels.iter().copied())
    }
}

/// Refuses labels that are all equal.
pub(super) fn both_classes(labels: &[bool]) -> Result<(), DataError> {
    if labels.contains(&true) && labels.contains(&false) { Ok(()) } else { Err(DataError::OneClass) }
}

/// Mean and standard deviation of each column, by which columns are standardized.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    /// The mean of each column.
    pub mean: Vec<f64>,
    /// The standard deviation of each column (of the population: divided by the number of rows), 1 where a column is constant.
    pub sd: Vec<f64>,
}

impl Moments {
    /// The moments of a matrix, in two passes.
    ///
    /// # Errors
    /// No row.
    pub fn of(features: &Matrix) -> Result<Self, DataError> {
        if features.rows() == 0 {
            return Err(DataError::Empty("row"));
        }
        let rows = features.rows() as f64;
        let mut mean = vec![0.0; features.columns()];
        for row in features {
            for (sum, x) in mean.iter_mut().zip(row) {
                *sum += x;
            }
        }
        for sum in &mut mean {
            *sum /= rows;
        }
        let mut sd = vec![0.0; features.columns()];
        for row in features {
            for ((sum, x), mean) in sd.iter_mut().zip(row).zip(&mean) {
                *sum += (x - mean) * (x - mean);
            }
        }
        for (sum, mean) in sd.iter_mut().zip(&mean) {
            let root = (*sum / rows).sqrt();
            // Rounding leaves a constant column a deviation of some units in the last place of its mean.
            *sum = if root <= 1e-14 * mean.abs() { 1.0 } else { root };
        }
        Ok(Self { mean, sd })
    }

    /// `(x - mean) / sd`, column by column.
    ///
    /// # Errors
    /// Another number of columns, or a deviation that is not above 0.
    pub fn standardize(&self, features: &Matrix) -> Result<Matrix, DataError> {
        DataError::lengths("means", self.mean.len(), features.columns())?;
        DataError::lengths("standard deviations", self.sd.len(), features.columns())?;
        for &sd in &self.sd {
            DataError::setting(sd.is_finite() && sd > 0.0, "a standard deviation", sd, "it must be above 0")?;
        }
        let moments = || self.mean.iter().zip(&self.sd);
        let values = features.iter().flat_map(|row| row.iter().zip(moments()).map(|(x, (mean, sd))| (x - mean) / sd));
        Matrix::new(features.columns(), values.collect())
    }
}
