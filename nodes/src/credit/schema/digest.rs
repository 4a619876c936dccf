//! What tells schemas apart by which the same file becomes other numbers.

use super::{Column, Kind, Missing, Schema};
use crate::{
    credit::{TableError, fault::quoted},
    job::Sha256Hex,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The version of the digests that this program makes and compares.
const VERSION: u32 = 1;

/// What makes numbers of a file, as digests of the parsed schema: two schemas have the same if whatever both take of a file means the same. Comments, the order of keys and what is written out though it is the default do
/// not matter; nor do the delimiter, the key column, other columns, and which rows are dropped or refused.
///
/// SHA-256 of a name of this use and of compact JSON of what a column holds: see `Meaning` in the source.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SchemaDigest {
    version: u32,
    /// Columns with features, in order: type, unit, range and scale; levels and reference; words of yes and no; what fills a missing value.
    columns: Vec<ColumnDigest>,
    /// The label: its words of bad and good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label: Option<ColumnDigest>,
    /// What stands for a missing value. Not there for several schemas that differ in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    missing_markers: Option<Sha256Hex>,
}

/// What one column holds.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnDigest {
    /// Its name.
    pub name: String,
    /// What tells it from others.
    pub sha256: Sha256Hex,
}

impl SchemaDigest {
    /// That of a schema.
    pub fn of(schema: &Schema) -> Self {
        let markers: BTreeSet<&str> = schema.missing_markers().iter().map(String::as_str).collect();
        let (mut columns, mut label) = (Vec::new(), None);
        for column in schema.columns() {
            match &column.kind {
                Kind::Key => {}
                Kind::Label { .. } => label = Some(ColumnDigest::of(column)),
                _ => columns.push(ColumnDigest::of(column)),
            }
        }
        Self { version: VERSION, columns, label, missing_markers: Some(hash("missing-markers", &markers)) }
    }

    /// That of the columns of several schemas side by side.
    pub fn side_by_side<'a>(all: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        all.into_iter().cloned().reduce(|mut sum, next| {
            // What is of another version is told from all others by this.
            sum.version = if sum.version == next.version { sum.version } else { 0 };
            sum.columns.extend(next.columns);
            sum.label = sum.label.or(next.label);
            sum.missing_markers = sum.missing_markers.filter(|markers| next.missing_markers == Some(*markers));
            sum
        })
    }

    /// The columns that have features, and then the label.
    pub fn columns(&self) -> impl Iterator<Item = &ColumnDigest> {
        self.columns.iter().chain(&self.label)
    }

    /// What stands for a missing value; `None` for several schemas that differ in it.
    pub fn missing_markers(&self) -> Option<Sha256Hex> {
        self.missing_markers
    }

    /// One digest for all of it, for people to compare.
    pub fn sha256(&self) -> Sha256Hex {
        hash("schema", self)
    }

    /// Refuses a schema by which a file becomes other numbers than by the one that this was made of. One without a label is good for scores.
    ///
    /// # Errors
    /// What differs, and what to compare.
    pub fn check(&self, schema: &Self) -> Result<(), TableError> {
        let refused = |what: String| {
            Err(TableError::Mismatch(format!(
                "the schema is not the one that the moments were made with: {what}; compare it with the schema of whoever has made the moments, and take the same, or have new moments made with this one"
            )))
        };
        if self.version != schema.version {
            let (theirs, own) = (self.version, schema.version);
            return Err(TableError::Mismatch(format!(
                "the moments have a digest of their schema of version {theirs}, and {own} is compared; have them made anew with this version of the program"
            )));
        }
        if self.missing_markers.is_some_and(|markers| schema.missing_markers != Some(markers)) {
            return refused("`missing_markers` differ".to_owned());
        }
        let length = self.columns.len().max(schema.columns.len());
        let other = (0..length).filter(|k| self.columns.get(*k) != schema.columns.get(*k));
        let other: Vec<_> = other.filter_map(|k| schema.columns.get(k).or(self.columns.get(k))).collect();
        if !other.is_empty() {
            let names: Vec<_> = other.iter().map(|column| quoted(&column.name)).collect();
            return refused(format!(
                "{} {} type, unit, min, max, scale, levels, reference, yes, no, or what fills a missing value",
                names.join(", "),
                if names.len() == 1 { "has another" } else { "have another" },
            ));
        }
        match (&self.label, &schema.label) {
            (_, None) => Ok(()),
            (Some(label), Some(own)) if label == own => Ok(()),
            (Some(_), Some(own)) => {
                refused(format!("the label {} has another name, or other words of bad and good", quoted(&own.name)))
            }
            (None, Some(own)) => refused(format!("that had no label, and this one has {}", quoted(&own.name))),
        }
    }
}

impl ColumnDigest {
    fn of(column: &Column) -> Self {
        Self { name: column.name.clone(), sha256: hash("column", &Meaning::of(column)) }
    }
}

/// What is hashed of a column.
#[derive(Serialize)]
struct Meaning<'a> {
    name: &'a str,
    unit: Option<&'a str>,
    values: Values<'a>,
    fill: Option<Fill<'a>>,
}

/// Numbers are written as the bits of their form in IEEE 754.
#[derive(Serialize)]
enum Values<'a> {
    Number { integer: bool, scale: u64, min: u64, max: u64 },
    Category { levels: &'a [String], reference: Option<&'a str> },
    Boolean { yes: &'a str, no: &'a str },
    Label { bad: &'a str, good: &'a str },
    Key,
}

#[derive(Serialize)]
enum Fill<'a> {
    Number(u64),
    Text(&'a str),
}

impl<'a> Meaning<'a> {
    fn of(column: &'a Column) -> Self {
        // There is one zero.
        let number = |value: f64| (value + 0.0).to_bits();
        let values = match &column.kind {
            Kind::Number { integer, scale, range: (min, max), .. } => {
                Values::Number { integer: *integer, scale: number(*scale), min: number(*min), max: number(*max) }
            }
            Kind::Category { levels, reference } => Values::Category { levels, reference: reference.as_deref() },
            Kind::Boolean { yes, no } => Values::Boolean { yes, no },
            Kind::Label { bad, good } => Values::Label { bad, good },
            Kind::Key => Values::Key,
        };
        let fill = match (&column.missing, &column.kind) {
            (Missing::Fill(value), Kind::Number { .. }) => {
                Some(value.trim().parse().map_or(Fill::Text(value), |value| Fill::Number(number(value))))
            }
            (Missing::Fill(value), _) => Some(Fill::Text(value.trim())),
            _ => None,
        };
        Self { name: &column.name, unit: column.unit.as_deref(), values, fill }
    }
}

/// Of a name of this use and compact JSON.
fn hash(of: &str, value: &impl Serialize) -> Sha256Hex {
    // Numbers, texts and lists of them have a JSON form.
    let json = serde_json::to_vec(value).unwrap_or_default();
    Sha256Hex::of(&[format!("trefoil/v{VERSION}/{of}/").as_bytes(), &json].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const TEXT: &str = r#"
format = 1
missing_markers = ["", "NA"]
[[column]]
name = "income"
type = "number"
unit = "euro"
min = 0
max = 1000
scale = 0.5
missing = { fill = 12 }
[[column]]
name = "home"
type = "category"
levels = ["OWN", "RENT", "OTHER"]
reference = "OWN"
missing = { fill = "RENT" }
[[column]]
name = "employed"
type = "boolean"
yes = "Y"
no = "N"
[[column]]
name = "defaulted"
type = "label"
bad = "1"
good = "0"
"#;

    fn digest(text: &str) -> SchemaDigest {
        SchemaDigest::of(&Schema::parse(Path::new("schema.toml"), text).expect("a schema"))
    }

    #[test]
    fn what_changes_the_numbers_is_told_apart_and_named() {
        let own = digest(TEXT);
        for (from, to, named) in [
            ("\"NA\"]", "\"NA\", \"?\"]", "`missing_markers` differ"),
            ("type = \"number\"", "type = \"integer\"", "`income` has another"),
            ("\"euro\"", "\"dollar\"", "`income` has another"),
            ("min = 0", "min = -1", "`income` has another"),
            ("max = 1000", "max = 1001", "`income` has another"),
            ("scale = 0.5", "scale = 0.25", "`income` has another"),
            ("scale = 0.5\n", "", "`income` has another"),
            ("fill = 12", "fill = 13", "`income` has another"),
            ("missing = { fill = 12 }", "missing = \"drop\"", "`income` has another"),
            ("\"RENT\", \"OTHER\"", "\"OTHER\", \"RENT\"", "`home` has another"),
            ("reference = \"OWN\"", "reference = \"OTHER\"", "`home` has another"),
            ("fill = \"RENT\"", "fill = \"OWN\"", "`home` has another"),
            ("yes = \"Y\"\nno = \"N\"", "yes = \"N\"\nno = \"Y\"", "`employed` has another"),
            ("bad = \"1\"\ngood = \"0\"", "bad = \"0\"\ngood = \"1\"", "the label `defaulted`"),
            ("defaulted", "late", "the label `late`"),
        ] {
            assert!(TEXT.contains(from), "{from}");
            let other = digest(&TEXT.replacen(from, to, 1));
            let refused = own.check(&other).expect_err(to).to_string();
            assert!(refused.contains(named) && refused.contains("compare it with the schema"), "{refused}");
            assert_ne!(own.sha256(), other.sha256(), "{to}");
        }
        let unlabelled = TEXT.split("[[column]]\nname = \"defaulted\"").next().expect("a beginning");
        assert!(own.check(&digest(unlabelled)).is_ok(), "applicants have no label");
        let refused = digest(unlabelled).check(&own).expect_err("a label that nobody has compared").to_string();
        assert!(refused.contains("that had no label"), "{refused}");
        let later = SchemaDigest { version: VERSION + 1, ..own.clone() };
        assert!(later.check(&own).expect_err("a later one").to_string().contains("of version 2, and 1 is compared"));
    }

    #[test]
    fn what_does_not_change_them_does_not_matter() {
        let own = digest(TEXT);
        for (from, to) in [
            ("format = 1", "# Agreed in spring.\nformat = 1\ndelimiter = \";\"\nother_columns = \"ignore\""),
            ("[\"\", \"NA\"]", "[\"NA\", \"\", \"NA\"]"),
            ("min = 0\nmax = 1000", "max = 1_000.0 # euro\nmin = -0.0"),
            ("fill = 12", "fill = 12.0"),
            ("fill = 12 }", "fill = 12 }\noutside = \"drop\""),
            ("bad = \"1\"\ngood = \"0\"", "missing = \"drop\""),
            ("name = \"income\"\ntype = \"number\"", "type = \"number\"\nname = \"income\""),
            (
                "[[column]]\nname = \"income\"",
                "[[column]]\nname = \"who\"\ntype = \"key\"\n[[column]]\nname = \"income\"",
            ),
        ] {
            assert!(TEXT.contains(from), "{from}");
            assert_eq!(digest(&TEXT.replacen(from, to, 1)), own, "{to}");
        }
    }

    /// Whoever has moments of an older build compares with these.
    #[test]
    fn the_digests_are_fixed() {
        let own = digest(TEXT);
        assert_eq!(own.sha256().to_string(), "6ce1ff3245c6febbf2f189d7779fe8f070df9478f224e3fe8bcbb8512128745f");
        let json = serde_json::to_string(&own).expect("JSON");
        assert_eq!(serde_json::from_str::<SchemaDigest>(&json).expect("the same"), own);
    }

    #[test]
    fn schemas_side_by_side_are_those_of_all_columns() {
        let (one, other) = TEXT.split_at(TEXT.find("[[column]]\nname = \"employed\"").expect("a column"));
        let other = format!("format = 1\nmissing_markers = [\"\", \"NA\"]\n{other}");
        let both = SchemaDigest::side_by_side([&digest(one), &digest(&other)]);
        assert_eq!(both, Some(digest(TEXT)));
        let differing = digest(&other.replace(", \"NA\"", ""));
        let both = SchemaDigest::side_by_side([&digest(one), &differing]).expect("two");
        assert!(both.check(&digest(TEXT)).is_ok(), "each column by its own markers");
        assert_eq!(SchemaDigest::side_by_side([]), None);
    }
}
