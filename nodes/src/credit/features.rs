//! Numbers from columns.

use super::{Kind, Schema, SchemaDigest, Table, TableError, Values, fault::quoted};
use serde::{Deserialize, Serialize};
use trefoil_circuits::credit::reference::{Matrix, Moments};

/// One number that a model sees of a customer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    /// `column`, or `column=level`.
    pub name: String,
    /// The column it comes from.
    pub column: String,
    /// The level that makes it 1 where another makes it 0; `None` for numbers and truth values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
}

/// The features of a schema, in the order of its columns and levels.
///
/// A number is one feature, a truth value one (1 or 0), a category one for each level but its `reference`, if it names one (one-hot).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Features {
    list: Vec<Feature>,
    schema: SchemaDigest,
}

impl Features {
    /// The features of a schema.
    pub fn of(schema: &Schema) -> Self {
        let mut list = Vec::new();
        for column in schema.columns() {
            let name = &column.name;
            match &column.kind {
                Kind::Key | Kind::Label { .. } => {}
                Kind::Number { .. } | Kind::Boolean { .. } => {
                    list.push(Feature { name: name.clone(), column: name.clone(), level: None });
                }
                Kind::Category { levels, reference } => {
                    let kept = levels.iter().filter(|level| reference.as_ref() != Some(level));
                    list.extend(kept.map(|level| Feature {
                        name: format!("{name}={level}"),
                        column: name.clone(),
                        level: Some(level.clone()),
                    }));
                }
            }
        }
        Self { list, schema: SchemaDigest::of(schema) }
    }

    /// The features in order.
    pub fn list(&self) -> &[Feature] {
        &self.list
    }

    /// What tells the schema from others.
    pub fn schema(&self) -> &SchemaDigest {
        &self.schema
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// For each feature the number of its column among the columns that have features: what
    /// [`attribute_points`](trefoil_circuits::credit::reference::Scorecard::attribute_points) takes.
    pub fn attributes(&self) -> Vec<usize> {
        let mut numbers: Vec<usize> = Vec::with_capacity(self.list.len());
        for (i, feature) in self.list.iter().enumerate() {
            let before = i.checked_sub(1).map(|i| (&self.list[i].column, numbers[i]));
            numbers.push(before.map_or(0, |(column, number)| number + usize::from(*column != feature.column)));
        }
        numbers
    }

    /// The columns that have features, in order: the names of the [`attributes`](Self::attributes).
    pub fn attribute_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.list.iter().map(|feature| feature.column.as_str()).collect();
        names.dedup();
        names
    }

    /// The features of a table, one row for each of its rows.
    ///
    /// # Errors
    /// A table of another schema.
    pub fn encode(&self, table: &Table) -> Result<Matrix, TableError> {
        if *self != Self::of(table.schema()) {
            return Err(TableError::Mismatch(
                "the table was read by another schema; take the features of its own".into(),
            ));
        }
        let mut values = Vec::with_capacity(table.rows() * self.len());
        let columns: Vec<_> = table.schema().columns().iter().zip(table.columns()).collect();
        for row in 0..table.rows() {
            for (column, cells) in &columns {
                match (&column.kind, cells) {
                    (_, Values::Numbers(numbers)) => values.push(numbers[row]),
                    (_, Values::Booleans(booleans)) => values.push(f64::from(u8::from(booleans[row]))),
                    (Kind::Category { levels, reference }, Values::Levels(own)) => {
                        let kept = (0u32..).zip(levels).filter(|(_, level)| reference.as_ref() != Some(level));
                        values.extend(kept.map(|(i, _)| f64::from(u8::from(own[row] == i))));
                    }
                    _ => {}
                }
            }
        }
        Ok(Matrix::new(self.len(), values)?)
    }

    /// Refuses a matrix of another width.
    pub(super) fn fits(&self, matrix: &Matrix) -> Result<(), TableError> {
        if matrix.columns() == self.len() {
            return Ok(());
        }
        Err(TableError::Mismatch(format!(
            "the schema has {} features and the rows have {}",
            self.len(),
            matrix.columns()
        )))
    }
}

/// Mean and standard deviation of each feature by name, as institutions agree on them and keep them beside a model.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct NamedMoments {
    /// The names of the features.
    pub features: Vec<String>,
    /// The means.
    pub mean: Vec<f64>,
    /// The standard deviations, of the population, all above 0.
    pub sd: Vec<f64>,
    /// What tells the schema they were made with from others. Not there in files that were made by other means: schemas are not compared then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<SchemaDigest>,
}

impl NamedMoments {
    /// The moments of rows.
    ///
    /// # Errors
    /// Rows of another width, or none.
    pub fn of(features: &Features, matrix: &Matrix) -> Result<Self, TableError> {
        features.fits(matrix)?;
        let Moments { mean, sd } = Moments::of(matrix)?;
        let names = features.list.iter().map(|f| f.name.clone()).collect();
        Ok(Self { features: names, mean, sd, schema: Some(features.schema.clone()) })
    }

    /// The columns that the features come from, as their names tell, and how many features each has.
    pub fn columns(&self) -> Vec<(&str, usize)> {
        let mut columns: Vec<(&str, usize)> = Vec::new();
        for feature in &self.features {
            let name = feature.split_once('=').map_or(feature.as_str(), |(column, _)| column);
            match columns.last_mut() {
                Some((last, count)) if *last == name => *count += 1,
                _ => columns.push((name, 1)),
            }
        }
        columns
    }

    /// `(x - mean) / sd`, feature by feature.
    ///
    /// # Errors
    /// As [`check`](Self::check), or a deviation that is not above 0.
    pub fn standardize(&self, features: &Features, matrix: &Matrix) -> Result<Matrix, TableError> {
        features.fits(matrix)?;
        self.check(features)?;
        let moments = Moments { mean: self.mean.clone(), sd: self.sd.clone() };
        Ok(moments.standardize(matrix)?)
    }

    /// Refuses moments of other features or in another order, or of features that a schema makes otherwise.
    ///
    /// # Errors
    /// What differs.
    pub fn check(&self, features: &Features) -> Result<(), TableError> {
        let differs = |i: &usize| self.features.get(*i) != features.list.get(*i).map(|f| &f.name);
        if let Some(i) = (0..self.features.len().max(features.len())).find(differs) {
            if let Some(column) = self.other_levels(features) {
                return Err(TableError::Mismatch(format!(
                    "the moments have other features of the column {} than the schema: it has another `reference`, other `levels`, or the same in another order; use the schema that the moments were made with",
                    quoted(column)
                )));
            }
            let name = |name: Option<&String>| name.map_or_else(|| "nothing".to_owned(), |name| quoted(name));
            return Err(TableError::Mismatch(format!(
                "feature {} of the schema is {}, but the moments are of {}; use moments of the same schema",
                i + 1,
                name(features.list.get(i).map(|f| &f.name)),
                name(self.features.get(i)),
            )));
        }
        self.schema.as_ref().map_or(Ok(()), |schema| schema.check(&features.schema))
    }

    /// The first category of a schema of which these are moments with other levels, or in another order.
    fn other_levels<'a>(&self, features: &'a Features) -> Option<&'a str> {
        let levels = |column: &str| -> Vec<&str> {
            let rest = |name: &'_ String| name.strip_prefix(column).is_some_and(|rest| rest.starts_with('='));
            self.features.iter().filter(|name| rest(name)).map(String::as_str).collect()
        };
        let of_schema = |column: &str| -> Vec<&str> {
            features.list.iter().filter(|f| f.column == column).map(|f| f.name.as_str()).collect()
        };
        let categories = features.list.iter().filter(|f| f.level.is_some()).map(|f| f.column.as_str());
        categories.into_iter().find(|column| {
            let own = levels(column);
            !own.is_empty() && own != of_schema(column)
        })
    }
}
