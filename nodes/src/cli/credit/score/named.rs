//! What customers are called in the file they come from.

use crate::{Error, credit::Table};
use std::path::{Path, PathBuf};

/// A part of a file that was shared.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(super) enum Part {
    /// The rows that are trained on
    Train,
    /// The test rows
    Test,
}

/// The rows of a file that a table has, in its order, and whose they are.
pub(super) struct Named {
    rows: Vec<u64>,
    customers: Option<Vec<String>>,
    path: PathBuf,
}

impl Named {
    /// All rows of a table that was read.
    pub(super) fn all(table: &Table) -> Self {
        Self {
            rows: table.row_numbers().to_vec(),
            customers: table.keys().map(<[String]>::to_vec),
            path: PathBuf::new(),
        }
    }

    /// Some of them, by their position.
    pub(super) fn some(table: &Table, positions: &[usize], path: &Path) -> Self {
        let rows = positions.iter().map(|&row| table.row_numbers()[row]).collect();
        let customers = table.keys().map(|keys| positions.iter().map(|&row| keys[row].clone()).collect());
        Self { rows, customers, path: path.to_owned() }
    }

    /// Refuses to name another number of customers.
    pub(super) fn check(&self, scored: u64) -> Result<(), Error> {
        let (rows, path) = (self.rows.len(), self.path.display());
        if rows as u64 == scored {
            return Ok(());
        }
        Err(Error::Usage(format!(
            "{scored} customers are scored, and there are {rows} rows of that part of {path}; give the file, the schema and the --test-every or --test-rows with which \
             the table was shared, and --part, or leave --shared-from away"
        )))
    }

    /// The row of the file that a customer is.
    pub(super) fn row(&self, k: usize) -> Option<u64> {
        self.rows.get(k).copied()
    }

    /// Who that is.
    pub(super) fn customer(&self, k: usize) -> Option<String> {
        self.customers.as_ref()?.get(k).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credit::{Schema, read_csv};

    #[test]
    fn the_test_rows_of_a_file_have_its_own_numbers_and_customers() {
        let schema = "format = 1\n[[column]]\nname = \"x\"\ntype = \"number\"\nmin = 0\nmax = 9\noutside = \"drop\"\n\
                      [[column]]\nname = \"who\"\ntype = \"key\"\n";
        let schema = Schema::parse(Path::new("schema.toml"), schema).expect("a schema");
        // The second row is dropped.
        let text = "who,x\nann,1\nbob,10\ncid,2\ndot,3\neva,4\n";
        let table = read_csv(&schema, Path::new("a.csv"), text.as_bytes()).expect("rows");
        let named = Named::some(&table, &[1, 3], Path::new("a.csv"));
        assert_eq!([named.row(0), named.row(1), named.row(2)], [Some(3), Some(5), None]);
        assert_eq!([named.customer(0), named.customer(1)].map(Option::unwrap), ["cid", "eva"]);
        assert!(named.check(2).is_ok());
        let refused = named.check(4).expect_err("another part").to_string();
        assert!(refused.contains("4 customers are scored, and there are 2 rows"), "{refused}");
        assert_eq!(Named::all(&table).row(1), Some(3));
    }
}
