//! A schema as it is written, and its check.

use super::{Column, Kind, Missing, OtherColumns, Outside, SCHEMA_FORMAT, Schema};
use crate::{
    config::{ConfigError, Source},
    credit::{
        fault::quoted,
        read::{Cell, Parsed, parse},
    },
};
use serde::Deserialize;
use std::collections::BTreeSet;
use toml::Spanned;

/// The most columns of a schema, and the most levels of a category.
const MAX_COLUMNS: usize = 4096;

/// The longest name or level, in bytes.
const MAX_NAME: usize = 256;

/// The largest absolute value of a number: all whole numbers up to it are exact.
const MAX_NUMBER: f64 = (1u64 << 53) as f64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SchemaFile {
    format: Spanned<u32>,
    #[serde(default)]
    delimiter: Option<Spanned<char>>,
    #[serde(default)]
    missing_markers: Option<Vec<String>>,
    #[serde(default)]
    other_columns: Rule,
    column: Vec<Spanned<ColumnFile>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ColumnFile {
    name: Spanned<String>,
    #[serde(rename = "type")]
    kind: TypeName,
    unit: Option<String>,
    scale: Option<Spanned<f64>>,
    min: Option<Spanned<f64>>,
    max: Option<Spanned<f64>>,
    outside: Option<Spanned<Rule>>,
    levels: Option<Spanned<Vec<String>>>,
    reference: Option<Spanned<String>>,
    yes: Option<Spanned<String>>,
    no: Option<Spanned<String>>,
    bad: Option<Spanned<String>>,
    good: Option<Spanned<String>>,
    missing: Option<Spanned<MissingFile>>,
}

#[derive(Clone, Copy, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
enum TypeName {
    Number,
    Integer,
    Category,
    Boolean,
    Key,
    Label,
}

#[derive(Clone, Copy, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Rule {
    #[default]
    Reject,
    Drop,
    Ignore,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "write \"reject\", \"drop\" or { fill = VALUE }")]
enum MissingFile {
    Rule(Rule),
    Fill(FillFile),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FillFile {
    fill: FillValue,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a number or a text")]
enum FillValue {
    Integer(i64),
    Number(f64),
    Text(String),
}

/// Parses and checks a schema.
pub(super) fn resolve(source: &Source) -> Result<Schema, ConfigError> {
    let file: SchemaFile = source.parse()?;
    if *file.format.get_ref() != SCHEMA_FORMAT {
        let message = format!("this program reads schemas of format {SCHEMA_FORMAT}; write format = {SCHEMA_FORMAT}");
        return Err(source.at(&file.format.span(), message));
    }
    let delimiter = match &file.delimiter {
        None => b',',
        Some(d) => u8::try_from(*d.get_ref())
            .ok()
            .filter(|d| matches!(d, b'\t' | b' '..=b'~') && *d != b'"' && !d.is_ascii_alphanumeric())
            .ok_or_else(|| {
                source.at(&d.span(), "this cannot separate fields; write \",\", \";\", \"|\" or \"\\t\"".into())
            })?,
    };
    let other_columns = match file.other_columns {
        Rule::Reject => OtherColumns::Reject,
        Rule::Ignore => OtherColumns::Ignore,
        Rule::Drop => return Err(source.whole("other_columns is \"reject\" or \"ignore\"".into())),
    };
    if file.column.len() > MAX_COLUMNS {
        return Err(source.whole(format!("there are {} columns; at most {MAX_COLUMNS} are read", file.column.len())));
    }
    let missing_markers = file.missing_markers.unwrap_or_else(|| vec![String::new()]);
    let mut schema = Schema { columns: Vec::new(), delimiter, missing_markers, other_columns };
    let mut names = BTreeSet::new();
    for column in &file.column {
        let resolved = Reader { source, column }.resolve(&schema)?;
        let name = &column.get_ref().name;
        if !names.insert(resolved.name.clone()) {
            return Err(source.at(&name.span(), "there is a column of this name already; remove one of them".into()));
        }
        let same = |other: &Column| std::mem::discriminant(&other.kind) == std::mem::discriminant(&resolved.kind);
        if matches!(resolved.kind, Kind::Key | Kind::Label { .. }) && schema.columns.iter().any(same) {
            let message = "there is a column of this type already; a table has one key and one label at most";
            return Err(source.at(&name.span(), message.into()));
        }
        schema.columns.push(resolved);
    }
    if schema.columns.iter().all(|c| matches!(c.kind, Kind::Key | Kind::Label { .. })) {
        return Err(source.whole("no column has a feature; describe at least one number, boolean or category".into()));
    }
    Ok(schema)
}

/// One column and the file it is in.
struct Reader<'a> {
    source: &'a Source,
    column: &'a Spanned<ColumnFile>,
}

impl Reader<'_> {
    fn resolve(&self, schema: &Schema) -> Result<Column, ConfigError> {
        let file = self.column.get_ref();
        self.text(&file.name)?;
        if file.name.get_ref().contains('=') {
            let message = "the name of a column has no `=`, which stands between a category and its level in the names of features; rename the column here and in the file";
            return Err(self.source.at(&file.name.span(), message.into()));
        }
        self.foreign_keys()?;
        let kind = match file.kind {
            TypeName::Number | TypeName::Integer => self.number()?,
            TypeName::Category => self.category()?,
            TypeName::Boolean => {
                let (yes, no) = self.pair((file.yes.as_ref(), "1"), (file.no.as_ref(), "0"))?;
                Kind::Boolean { yes, no }
            }
            TypeName::Label => {
                let (bad, good) = self.pair((file.bad.as_ref(), "1"), (file.good.as_ref(), "0"))?;
                Kind::Label { bad, good }
            }
            TypeName::Key => Kind::Key,
        };
        let mut column =
            Column { name: file.name.get_ref().clone(), kind, unit: file.unit.clone(), missing: Missing::Reject };
        column.missing = self.missing(&column, schema)?;
        Ok(column)
    }

    /// Refuses keys that mean nothing for the column's type.
    fn foreign_keys(&self) -> Result<(), ConfigError> {
        let file = self.column.get_ref();
        let number = matches!(file.kind, TypeName::Number | TypeName::Integer);
        let category = file.kind == TypeName::Category;
        let (boolean, label) = (file.kind == TypeName::Boolean, file.kind == TypeName::Label);
        let keys = [
            ("scale", number, file.scale.as_ref().map(Spanned::span)),
            ("min", number, file.min.as_ref().map(Spanned::span)),
            ("max", number, file.max.as_ref().map(Spanned::span)),
            ("outside", number, file.outside.as_ref().map(Spanned::span)),
            ("levels", category, file.levels.as_ref().map(Spanned::span)),
            ("reference", category, file.reference.as_ref().map(Spanned::span)),
            ("yes", boolean, file.yes.as_ref().map(Spanned::span)),
            ("no", boolean, file.no.as_ref().map(Spanned::span)),
            ("bad", label, file.bad.as_ref().map(Spanned::span)),
            ("good", label, file.good.as_ref().map(Spanned::span)),
        ];
        for (key, known, span) in keys {
            if let Some(span) = span.filter(|_| !known) {
                let message = format!("`{key}` means nothing for a column of this type; remove it or change the type");
                return Err(self.source.at(&span, message));
            }
        }
        Ok(())
    }

    fn number(&self) -> Result<Kind, ConfigError> {
        let file = self.column.get_ref();
        let bound = |end: &Option<Spanned<f64>>, key: &str| {
            let absent =
                || format!("a number needs `{key}`: it bounds what is computed; write the {key} that is plausible");
            let end = end.as_ref().ok_or_else(|| self.source.at(&file.name.span(), absent()))?;
            let value = *end.get_ref();
            let large = || format!("`{key}` must be a number of at most 2^53 in absolute value");
            if value.abs() <= MAX_NUMBER { Ok(value) } else { Err(self.source.at(&end.span(), large())) }
        };
        let (min, max) = (bound(&file.min, "min")?, bound(&file.max, "max")?);
        if min > max {
            return Err(self.source.at(&file.name.span(), "`min` is above `max`; exchange them".into()));
        }
        let scale = file.scale.as_ref().map_or(1.0, |s| *s.get_ref());
        let scaled = scale * min.abs().max(max.abs());
        if let Some(span) =
            file.scale.as_ref().map(Spanned::span).filter(|_| !(scale.is_normal() && scaled.abs() <= MAX_NUMBER))
        {
            let message = "`scale` must not be 0, nor lead beyond 2^53 within the range";
            return Err(self.source.at(&span, message.into()));
        }
        let outside = match &file.outside {
            None => Outside::Reject,
            Some(rule) => match rule.get_ref() {
                Rule::Reject => Outside::Reject,
                Rule::Drop => Outside::Drop,
                Rule::Ignore => return Err(self.source.at(&rule.span(), "write \"reject\" or \"drop\"".into())),
            },
        };
        Ok(Kind::Number { integer: file.kind == TypeName::Integer, scale, range: (min, max), outside })
    }

    fn category(&self) -> Result<Kind, ConfigError> {
        let file = self.column.get_ref();
        let Some(list) = &file.levels else {
            let message = "a category needs `levels`: all texts its values may be, as in levels = [\"OWN\", \"RENT\"]";
            return Err(self.source.at(&file.name.span(), message.into()));
        };
        let levels = list.get_ref().clone();
        let fault = |message: String| Err(self.source.at(&list.span(), message));
        if !(2..=MAX_COLUMNS).contains(&levels.len()) {
            return fault(format!("there are {} levels; a category has 2 to {MAX_COLUMNS}", levels.len()));
        }
        let mut seen = BTreeSet::new();
        for level in &levels {
            if level.trim() != level || level.is_empty() || level.len() > MAX_NAME {
                return fault(format!(
                    "{} is no level: it must have 1 to {MAX_NAME} bytes and no space at its ends",
                    quoted(level)
                ));
            }
            if !seen.insert(level) {
                return fault(format!("the level {} is in the list twice; remove one of them", quoted(level)));
            }
        }
        let reference = file.reference.as_ref().map(|r| {
            let unknown = || self.source.at(&r.span(), "this is none of the levels; name one of them".into());
            if levels.contains(r.get_ref()) { Ok(r.get_ref().clone()) } else { Err(unknown()) }
        });
        Ok(Kind::Category { levels, reference: reference.transpose()? })
    }

    /// The two texts of a truth value.
    fn pair(
        &self,
        (one, one_default): (Option<&Spanned<String>>, &str),
        (zero, zero_default): (Option<&Spanned<String>>, &str),
    ) -> Result<(String, String), ConfigError> {
        for text in [one, zero].into_iter().flatten() {
            self.text(text)?;
        }
        let text = |given: Option<&Spanned<String>>, default: &str| {
            given.map_or_else(|| default.to_owned(), |text| text.get_ref().clone())
        };
        let (one, zero) = (text(one, one_default), text(zero, zero_default));
        if one == zero {
            let message = format!("both values are written {}; they must differ", quoted(&one));
            return Err(self.source.at(&self.column.get_ref().name.span(), message));
        }
        Ok((one, zero))
    }

    fn missing(&self, column: &Column, schema: &Schema) -> Result<Missing, ConfigError> {
        let Some(missing) = &self.column.get_ref().missing else { return Ok(Missing::Reject) };
        let fault = |message: String| Err(self.source.at(&missing.span(), message));
        let value = match missing.get_ref() {
            MissingFile::Rule(Rule::Reject) => return Ok(Missing::Reject),
            MissingFile::Rule(Rule::Drop) => return Ok(Missing::Drop),
            MissingFile::Rule(Rule::Ignore) => return fault("write \"reject\", \"drop\" or { fill = VALUE }".into()),
            MissingFile::Fill(_) if matches!(column.kind, Kind::Key | Kind::Label { .. }) => {
                return fault("a key or label cannot be filled in; write \"reject\" or \"drop\"".into());
            }
            MissingFile::Fill(FillFile { fill: FillValue::Integer(value) }) => value.to_string(),
            MissingFile::Fill(FillFile { fill: FillValue::Number(value) }) => value.to_string(),
            MissingFile::Fill(FillFile { fill: FillValue::Text(value) }) => value.clone(),
        };
        match parse(column, schema, Cell::Text(&value)) {
            Parsed::Missing => fault("the value to fill in is itself a missing one; write another".into()),
            Parsed::Outside(message) | Parsed::Wrong(message) => {
                fault(format!("the value to fill in does not fit: {message}"))
            }
            _ => Ok(Missing::Fill(value)),
        }
    }

    /// Refuses a name or text that cannot be told apart in a file.
    fn text(&self, text: &Spanned<String>) -> Result<(), ConfigError> {
        let value = text.get_ref();
        if value.trim() == value && !value.is_empty() && value.len() <= MAX_NAME {
            return Ok(());
        }
        let message = format!("this text must have 1 to {MAX_NAME} bytes and no space at its ends");
        Err(self.source.at(&text.span(), message))
    }
}
