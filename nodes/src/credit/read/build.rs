//! Rows into columns.

use super::{
    MAX_ROWS,
    value::{Cell, Parsed, parse},
};
use crate::credit::{
    Column, Dropped, Faults, Kind, Missing, OtherColumns, Place, Schema, Table, TableError, Values, fault::quoted,
};
use std::{collections::HashSet, path::Path};
use zeroize::Zeroize;

/// Takes rows and makes a table of them, or a list of what is wrong.
pub(super) struct Builder<'a> {
    schema: &'a Schema,
    path: &'a Path,
    columns: Vec<Values>,
    rows: Vec<u64>,
    places: Vec<Place>,
    keys: HashSet<String>,
    dropped: Vec<Dropped>,
    faults: Faults,
    read: u64,
    /// The values of the row that is being read.
    row: Vec<Parsed>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(schema: &'a Schema, path: &'a Path) -> Self {
        let columns = schema.columns().iter().map(|column| match column.kind {
            Kind::Number { .. } => Values::Numbers(Vec::new()),
            Kind::Category { .. } => Values::Levels(Vec::new()),
            Kind::Boolean { .. } => Values::Booleans(Vec::new()),
            Kind::Key => Values::Keys(Vec::new()),
            Kind::Label { .. } => Values::Labels(Vec::new()),
        });
        Self {
            schema,
            path,
            columns: columns.collect(),
            rows: Vec::new(),
            places: Vec::new(),
            keys: HashSet::new(),
            dropped: vec![Dropped::default(); schema.columns().len()],
            faults: Faults::default(),
            read: 0,
            row: Vec::with_capacity(schema.columns().len()),
        }
    }

    /// For each column of the schema, its position among the names that the file has.
    ///
    /// # Errors
    /// Names that are missing, given twice, or unknown. Columns that are left out may have the same name, or none.
    pub(super) fn locate(&self, names: &[&str]) -> Result<Vec<usize>, TableError> {
        let mut seen = HashSet::new();
        let counts =
            |name: &str| self.schema.other_columns() == OtherColumns::Reject || self.schema.position(name).is_some();
        if let Some(twice) = names.iter().find(|name| counts(name) && !seen.insert(**name)) {
            return Err(self.file(if twice.is_empty() {
                "two columns have no name; name them, or write other_columns = \"ignore\" in the schema".to_owned()
            } else {
                format!("the column {} is there twice; rename or remove one", quoted(twice))
            }));
        }
        let known = |name: &&&str| self.schema.position(name).is_none();
        let others: Vec<_> = names.iter().filter(known).map(|name| quoted(name)).collect();
        let found: Vec<_> =
            self.schema.columns().iter().map(|column| names.iter().position(|name| *name == column.name)).collect();
        let missing: Vec<_> = self
            .schema
            .columns()
            .iter()
            .zip(&found)
            .filter(|(_, at)| at.is_none())
            .map(|(c, _)| quoted(&c.name))
            .collect();
        if !missing.is_empty() {
            return Err(self.file(format!(
                "the file has no column {}, which the schema names; it has {}; {}",
                listed(&missing),
                if names.is_empty() {
                    "none".to_owned()
                } else {
                    listed(&names.iter().map(|n| quoted(n)).collect::<Vec<_>>())
                },
                self.why_missing(names, &found),
            )));
        }
        if self.schema.other_columns() == OtherColumns::Reject && !others.is_empty() {
            return Err(self.file(format!(
                "the schema does not name the column {}; describe it there, or write other_columns = \"ignore\"",
                listed(&others)
            )));
        }
        Ok(found.into_iter().flatten().collect())
    }

    /// What to do about columns that were not found, by their places in the file.
    fn why_missing(&self, names: &[&str], found: &[Option<usize>]) -> String {
        let own = char::from(self.schema.delimiter());
        let other = [',', ';', '\t', '|'].into_iter().find(|c| *c != own && names.iter().any(|n| n.contains(*c)));
        if let (Some(other), [_]) = (other, names) {
            return format!(
                "that is one column, since the schema says that columns are separated by {own:?}; if it is {other:?} in this file, write delimiter = {:?} in the schema",
                other.to_string()
            );
        }
        let missing = self.schema.columns().iter().zip(found).filter(|(_, at)| at.is_none());
        match missing.map(|(column, _)| column).collect::<Vec<_>>()[..] {
            [Column { name, kind: Kind::Label { .. }, .. }] => format!(
                "names must agree to the letter. Customers whose outcome is not known yet are read by a copy of the schema without the column {} (type = \"label\")",
                quoted(name)
            ),
            _ => "names must agree to the letter".to_owned(),
        }
    }

    /// Takes the next row. `cell` gives the value of a column of the schema, by its position there.
    ///
    /// # Errors
    /// More rows than are read.
    pub(super) fn row<'c>(&mut self, place: Place, cell: impl Fn(usize) -> Cell<'c>) -> Result<(), TableError> {
        self.count()?;
        let before = self.faults.total();
        let mut drop = None;
        self.row.clear();
        for (i, column) in self.schema.columns().iter().enumerate() {
            let mut parsed = parse(column, self.schema, cell(i));
            if let (Parsed::Missing, Missing::Fill(value)) = (&parsed, &column.missing) {
                parsed = parse(column, self.schema, Cell::Text(value));
            }
            let name = Some(column.name.as_str());
            match &parsed {
                Parsed::Missing if column.missing == Missing::Drop => drop = drop.or(Some((i, Why::Missing))),
                Parsed::Missing => self.faults.push(place, name, || {
                    "the value is missing; supply it, or state a rule in the schema (missing = \"drop\")".to_owned()
                }),
                Parsed::Outside(_) if parsed.drops(column) => drop = drop.or(Some((i, Why::Outside))),
                Parsed::Outside(message) | Parsed::Wrong(message) => self.faults.push(place, name, || message.clone()),
                Parsed::Key(key) if self.keys.contains(key) => self.faults.push(place, name, || {
                    format!("the key {} is in an earlier row, too; keep one row for each customer", quoted(key))
                }),
                _ => {}
            }
            self.row.push(parsed);
        }
        if self.faults.total() > before {
            // Nothing of the file will be accepted: what was read is not needed any more.
            return Ok(());
        }
        match drop {
            Some((i, Why::Missing)) => self.dropped[i].missing += 1,
            Some((i, Why::Outside)) => self.dropped[i].outside += 1,
            None => {
                self.keep();
                self.places.push(place);
            }
        }
        Ok(())
    }

    /// Takes a row that has another number of fields than the header.
    ///
    /// # Errors
    /// More rows than are read.
    pub(super) fn misshapen(&mut self, place: Place, fields: usize, expected: usize) -> Result<(), TableError> {
        self.count()?;
        self.faults.push(place, None, || {
            format!(
                "the row has {fields} fields and the header {expected}; look for a missing or unquoted delimiter, or a quote that is \
                 not closed"
            )
        });
        Ok(())
    }

    /// Takes a row whose text is not UTF-8.
    ///
    /// # Errors
    /// More rows than are read.
    pub(super) fn illegible(&mut self, place: Place) -> Result<(), TableError> {
        self.count()?;
        self.faults.push(place, None, || "the row is not UTF-8; save the file in that encoding".to_owned());
        Ok(())
    }

    /// The table.
    ///
    /// # Errors
    /// The faults of all rows, or no row.
    pub(super) fn finish(mut self) -> Result<Table, TableError> {
        if self.faults.total() > 0 {
            let faults = Box::new(std::mem::take(&mut self.faults));
            return Err(TableError::Rows { path: self.path.to_owned(), faults });
        }
        if self.rows.is_empty() {
            let cause = if self.read == 0 { "the file has no rows" } else { "the rules of the schema drop every row" };
            return Err(self.file(format!("{cause}; there is nothing to compute on")));
        }
        Ok(Table {
            schema: self.schema.clone(),
            columns: std::mem::take(&mut self.columns),
            rows: std::mem::take(&mut self.rows),
            places: std::mem::take(&mut self.places),
            path: self.path.to_owned(),
            dropped: std::mem::take(&mut self.dropped),
            read: self.read,
        })
    }

    pub(super) fn file(&self, message: String) -> TableError {
        TableError::File { path: self.path.to_owned(), message }
    }

    fn count(&mut self) -> Result<(), TableError> {
        self.read += 1;
        if self.read <= MAX_ROWS {
            return Ok(());
        }
        Err(self.file(format!("the file has more than {MAX_ROWS} rows; divide it")))
    }

    /// Appends the row that was read.
    fn keep(&mut self) {
        for (column, parsed) in self.columns.iter_mut().zip(self.row.drain(..)) {
            match (column, parsed) {
                (Values::Numbers(column), Parsed::Number(value)) => column.push(value),
                (Values::Levels(column), Parsed::Level(value)) => column.push(value),
                (Values::Booleans(column), Parsed::Boolean(value)) | (Values::Labels(column), Parsed::Label(value)) => {
                    column.push(value);
                }
                (Values::Keys(column), Parsed::Key(value)) => {
                    self.keys.insert(value.clone());
                    column.push(value);
                }
                // `parse` returns what the column's kind holds, and rows with anything else are not kept.
                _ => {}
            }
        }
        self.rows.push(self.read);
    }
}

impl Drop for Builder<'_> {
    fn drop(&mut self) {
        for mut key in self.keys.drain() {
            key.zeroize();
        }
    }
}

/// Why a row is left out.
#[derive(Clone, Copy)]
enum Why {
    Missing,
    Outside,
}

/// The first of some quoted names.
fn listed(names: &[String]) -> String {
    let shown = names.iter().take(12).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > 12 { format!("{shown} and {} more", names.len() - 12) } else { shown }
}
