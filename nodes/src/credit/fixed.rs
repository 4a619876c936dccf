//! What fixed point can hold.

use super::{Faults, Feature, Features, Kind, Table, TableError, fault::quoted};
use trefoil_circuits::credit::reference::Matrix;

/// The numbers that are shared: multiples of `2^-fraction_bits` with an absolute value of at most `bound`.
///
/// Every feature is checked before it is shared, since an overflow on shares cannot be seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FixedRange {
    fraction_bits: u32,
    bound: f64,
}

impl FixedRange {
    /// A range.
    ///
    /// # Errors
    /// More than 52 fraction bits, or a bound that is not above 0 or is beyond `2^62` in units of the last place.
    pub fn new(fraction_bits: u32, bound: f64) -> Result<Self, TableError> {
        let accepted = fraction_bits <= 52 && bound > 0.0 && bound * scale(fraction_bits) <= scale(62);
        if accepted {
            return Ok(Self { fraction_bits, bound });
        }
        Err(TableError::Mismatch(format!(
            "fixed point with {fraction_bits} fraction bits cannot hold values up to {bound}; use at most 52 fraction bits, and a \
             bound above 0 and at most 2^(62 - fraction bits)"
        )))
    }

    /// The bits after the binary point.
    pub fn fraction_bits(&self) -> u32 {
        self.fraction_bits
    }

    /// The largest absolute value.
    pub fn bound(&self) -> f64 {
        self.bound
    }

    /// The nearest multiple of `2^-fraction_bits`, in units of it (ties away from zero); `None` beyond the bound and of what is no
    /// number.
    pub fn encode(&self, value: f64) -> Option<i64> {
        // The scaled value is at most 2^62 in absolute value: the conversion of the rounded one is exact.
        (value.abs() <= self.bound).then(|| (value * scale(self.fraction_bits)).round() as i64)
    }

    /// Encodes the features of a table's rows (standardized, usually), row after row.
    ///
    /// # Errors
    /// Every value out of range, with its row and feature; then nothing is encoded.
    pub fn encode_all(&self, features: &Features, table: &Table, matrix: &Matrix) -> Result<Vec<i64>, TableError> {
        features.fits(matrix)?;
        if matrix.rows() != table.rows() {
            let message = format!("the features have {} rows and the table {}", matrix.rows(), table.rows());
            return Err(TableError::Mismatch(message));
        }
        let mut faults = Faults::default();
        let mut encoded = Vec::with_capacity(matrix.values().len());
        for (row, &place) in matrix.iter().zip(table.places()) {
            for (&value, feature) in row.iter().zip(features.list()) {
                if let Some(fixed) = self.encode(value) {
                    encoded.push(fixed);
                } else {
                    let remedy = || match kind(table, feature) {
                        Some(Kind::Category { .. }) => {
                            "the level is too rare: put it together with another one, in the file and in the schema's `levels`, or make it the `reference`"
                        }
                        Some(Kind::Boolean { .. }) => {
                            "one of the two values is too rare to tell anything: leave the column out of the schema"
                        }
                        _ => "correct or drop the row, or narrow the column's range in the schema",
                    };
                    let message = || {
                        let (name, bound) = (quoted(&feature.name), self.bound);
                        format!("feature {name} is {value} and must be from {:?} to {bound:?}; {}", -bound, remedy())
                    };
                    faults.push(place, Some(&feature.column), message);
                }
            }
        }
        if faults.total() == 0 {
            return Ok(encoded);
        }
        Err(TableError::Rows { path: table.path().to_owned(), faults: Box::new(faults) })
    }
}

/// What the column of a feature holds.
fn kind<'a>(table: &'a Table, feature: &Feature) -> Option<&'a Kind> {
    let schema = table.schema();
    schema.position(&feature.column).map(|column| &schema.columns()[column].kind)
}

/// `2^bits`, exactly.
fn scale(bits: u32) -> f64 {
    (1u64 << bits.min(63)) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credit::{NamedMoments, Schema, read_csv};
    use std::path::Path;

    #[test]
    fn the_remedy_is_one_that_the_column_has() {
        let schema = "format = 1\n[[column]]\nname = \"home\"\ntype = \"category\"\nlevels = [\"OWN\", \"BOAT\"]\n\
                      [[column]]\nname = \"employed\"\ntype = \"boolean\"\n[[column]]\nname = \"x\"\ntype = \"number\"\nmin = 0\nmax = 1e6\n";
        let schema = Schema::parse(Path::new("schema.toml"), schema).expect("a schema");
        let text = "home,employed,x\nOWN,0,0\nBOAT,1,1000000\n";
        let table = read_csv(&schema, Path::new("a.csv"), text.as_bytes()).expect("rows");
        let features = Features::of(&schema);
        // Of others, where all three are as rare as one in a million.
        let names = features.list().iter().map(|feature| feature.name.clone()).collect();
        let moments = NamedMoments {
            features: names,
            mean: vec![0.5, 0.0, 0.0, 0.0],
            sd: vec![0.5, 1e-3, 1e-3, 1.0],
            schema: None,
        };
        let matrix = moments.standardize(&features, &features.encode(&table).expect("features")).expect("as many");
        let range = FixedRange::new(20, 128.0).expect("a range");
        let refused = range.encode_all(&features, &table, &matrix).expect_err("too large").to_string();
        assert!(refused.starts_with("a.csv: 3 values") && refused.contains("line 3, column `home`"), "{refused}");
        for (feature, remedy) in [
            ("`home=BOAT` is 1000", "put it together with another one"),
            ("`employed` is 1000", "leave the column out"),
            ("`x` is 1000000", "narrow the column's range"),
        ] {
            let line = refused.lines().find(|line| line.contains(feature)).expect(feature);
            assert!(line.contains(remedy), "{line}");
        }
    }
}
