//! Rows as the numbers that are shared.

use super::{LABEL, bits, column, digest, feature_columns};
use crate::{
    Error,
    client::{NewTable, Plain},
    credit::{Features, FixedRange, Kind, NamedMoments, Schema, Table},
    tables::{ColumnName, Permit, TableName},
};
use trefoil_circuits::credit::{FEATURE_LIMIT, Number};
use trefoil_engine::{Lanes, Z64};
use zeroize::Zeroizing;

/// Rows of one institution as fixed-point numbers, and their labels. Wiped on drop; does not print what it holds.
pub struct Encoded {
    digest: String,
    rows: usize,
    columns: Vec<Zeroizing<Vec<Z64>>>,
    labels: Option<Zeroizing<Vec<Lanes>>>,
}

/// Bits after the binary point of what joint moments are computed of: the squares of 2^20 numbers up to 1 fit into 64 bits.
pub(super) const RANGE_BITS: u32 = 21;

impl Encoded {
    /// Standardized features of some rows of a table, by their position in it.
    ///
    /// # Errors
    /// [`Error::Table`] for moments of other features, or with the row and feature of every number beyond what is computed on.
    pub fn standardized(table: &Table, moments: &NamedMoments, rows: &[usize]) -> Result<Self, Error> {
        let features = Features::of(table.schema());
        let matrix = moments.standardize(&features, &features.encode(table)?)?;
        let range = FixedRange::new(20, FEATURE_LIMIT)?;
        let all = Zeroizing::new(range.encode_all(&features, table, &matrix)?);
        let encoded = Self::of(rows, digest(moments)?, |row, k| all[row * features.len() + k], features.len());
        let labels = table.labels().map(|labels| Zeroizing::new(bits(rows.iter().map(|&row| labels[row]))));
        Ok(Self { labels, ..encoded })
    }

    /// Features of some rows as parts of the range that the schema gives them: what [`joint_moments`](super::joint_moments) takes. Labels stay where they are: moments are of
    /// features alone.
    ///
    /// # Errors
    /// [`Error::Table`] if the features cannot be made.
    pub fn within_range(table: &Table, rows: &[usize]) -> Result<Self, Error> {
        let features = Features::of(table.schema());
        let (matrix, ranges) = (features.encode(table)?, ranges(table.schema()));
        let width = features.len();
        let scale = f64::from(1 << RANGE_BITS);
        let part = |row: usize, k: usize| {
            let (middle, half) = ranges[k];
            ((matrix.values()[row * width + k] - middle) / half * scale).round() as i64
        };
        Ok(Self::of(rows, range_digest(table.schema())?, part, width))
    }

    fn of(rows: &[usize], digest: String, value: impl Fn(usize, usize) -> i64, width: usize) -> Self {
        let column = |k: usize| Zeroizing::new(rows.iter().map(|&row| Z64(value(row, k).cast_unsigned())).collect());
        Self { digest, rows: rows.len(), columns: (0..width).map(column).collect(), labels: None }
    }

    /// What tells its features and moments from others.
    pub(super) fn moments_digest(&self) -> &str {
        &self.digest
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many features each has.
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// The features, column after column, as an input that comes with a job.
    pub(super) fn concatenated(&self) -> Zeroizing<Vec<Z64>> {
        let mut all = Zeroizing::new(Vec::with_capacity(self.rows * self.width()));
        self.columns.iter().for_each(|column| all.extend_from_slice(column));
        all
    }

    /// The features of one row.
    pub fn row(&self, row: usize) -> Option<Vec<f64>> {
        self.columns.iter().map(|column| column.get(row).map(|x| Number::decode(*x))).collect()
    }

    /// A table of them, for [`Client::put_tables`](crate::client::Client::put_tables).
    ///
    /// # Errors
    /// [`Error::Usage`] for a table without rows.
    pub fn table(&self, (name, version): (TableName, u32), permits: Vec<Permit>) -> Result<NewTable<'_>, Error> {
        if self.rows == 0 {
            return Err(Error::Usage(format!("the table `{name}` would have no row; give it rows to share")));
        }
        let features = feature_columns(&self.digest, self.width())?;
        let mut columns: Vec<(ColumnName, Plain<'_>)> =
            features.into_iter().zip(self.columns.iter().map(|x| Plain::Z64(x))).collect();
        if let Some(labels) = &self.labels {
            columns.push((column(LABEL)?, Plain::Bits(labels)));
        }
        Ok(NewTable { name, version, rows: self.rows, columns, permits })
    }
}

impl std::fmt::Debug for Encoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoded").field("rows", &self.rows).field("width", &self.width()).finish_non_exhaustive()
    }
}

/// For each feature the middle of its range and half its length.
pub(super) fn ranges(schema: &Schema) -> Vec<(f64, f64)> {
    let of = |name: &str| schema.columns().iter().find(|column| column.name == name).map(|column| &column.kind);
    let range = |name: &str| match of(name) {
        Some(Kind::Number { scale, range: (min, max), .. }) => {
            let (low, high) = (min * scale, max * scale);
            let half = (high - low).abs() / 2.0;
            (f64::midpoint(low, high), if half > 0.0 { half } else { 1.0 })
        }
        _ => (0.5, 0.5),
    };
    Features::of(schema).list().iter().map(|feature| range(&feature.column)).collect()
}

/// What tells features, their ranges and the meaning of labels from others.
pub(super) fn range_digest(schema: &Schema) -> Result<String, Error> {
    let names: Vec<String> = Features::of(schema).list().iter().map(|feature| feature.name.clone()).collect();
    let label = schema.columns().iter().find_map(|column| match &column.kind {
        Kind::Label { bad, good } => Some((bad, good)),
        _ => None,
    });
    digest(&("range", names, ranges(schema), label))
}
