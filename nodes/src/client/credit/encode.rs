//! Rows as the numbers that are shared.

use super::{LABEL, bits, column, digest, feature_columns, key_columns};
use crate::{
    Error,
    client::{NewTable, Plain},
    credit::{Features, FixedRange, Kind, NamedMoments, Schema, SchemaDigest, Table},
    tables::{ColumnName, Permit, TableName},
};
use sha2::{Digest as _, Sha256};
use trefoil_circuits::credit::{FEATURE_LIMIT, NUMBER_COLUMNS, Number};
use trefoil_engine::{Lanes, Z64};
use zeroize::Zeroizing;

/// Rows of one institution as fixed-point numbers, and their labels. Wiped on drop; does not print what it holds.
pub struct Encoded {
    digest: String,
    rows: usize,
    columns: Vec<Zeroizing<Vec<Z64>>>,
    labels: Option<Zeroizing<Vec<Lanes>>>,
    numbers: Option<[Zeroizing<Vec<Z64>>; NUMBER_COLUMNS]>,
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
        Self { digest, rows: rows.len(), columns: (0..width).map(column).collect(), labels: None, numbers: None }
    }

    /// With a number for each customer, by which the table can be joined with those of others: 128 bits of a hash of its key. `rows` are those that this was made of.
    ///
    /// # Errors
    /// [`Error::Usage`] for a table without keys, or other rows.
    pub fn keyed(self, table: &Table, rows: &[usize]) -> Result<Self, Error> {
        let keys = table.keys().ok_or_else(|| {
            Error::Usage(
                "the schema has no key column, by which customers are found in the tables of others; describe it (type = \"key\")"
                    .to_owned(),
            )
        })?;
        let mut numbers = [(); NUMBER_COLUMNS].map(|()| Zeroizing::new(Vec::with_capacity(rows.len())));
        for key in rows.iter().filter_map(|row| keys.get(*row)) {
            numbers.iter_mut().zip(customer_number(key)).for_each(|(column, word)| column.push(Z64(word)));
        }
        if numbers.iter().any(|column| column.len() != self.rows) {
            return Err(Error::Usage(
                "the rows of a table and its keys are not the same; give the same rows".to_owned(),
            ));
        }
        Ok(Self { numbers: Some(numbers), ..self })
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
        for (name, numbers) in key_columns()?.into_iter().zip(self.numbers.iter().flatten()) {
            columns.push((name, Plain::Z64(numbers)));
        }
        if let Some(labels) = &self.labels {
            columns.push((column(LABEL)?, Plain::Bits(labels)));
        }
        Ok(NewTable { name, version, rows: self.rows, columns, permits, expires: None })
    }
}

impl std::fmt::Debug for Encoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoded").field("rows", &self.rows).field("width", &self.width()).finish_non_exhaustive()
    }
}

/// The number that stands for a customer in joins: the first 16 bytes of SHA-256 of a name of this use and the key, which is text without white space around it.
///
/// Whoever guesses keys could try them on such a number. But it leaves its owner in shares alone: nobody sees it.
fn customer_number(key: &str) -> [u64; NUMBER_COLUMNS] {
    let digest = Sha256::new().chain_update(b"trefoil/v1/customer/").chain_update(key).finalize();
    let (words, _) = digest.as_chunks::<8>();
    [0, 1].map(|k| u64::from_le_bytes(words[k]))
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

/// What tells features within their ranges from those of other schemas.
pub(super) fn range_digest(schema: &Schema) -> Result<String, Error> {
    digest(&("range", SchemaDigest::of(schema)))
}

#[cfg(test)]
mod tests {
    use super::customer_number;

    #[test]
    fn the_number_of_a_customer_is_fixed() {
        // Institutions with different builds find each other's customers by it.
        assert_eq!(customer_number("4711"), [0x1883_132e_2a11_81e5, 0x32f7_7269_2653_e5a0]);
        assert_ne!(customer_number("4711"), customer_number("4712"));
    }
}
