//! What a stream of shares says of itself before the first of them, in the schema of Arrow.

use super::{ColumnName, ColumnSpec, TableKey, UploadId};
use crate::job::Sha256Hex;
use arrow_schema::{DataType, Field, Schema};
use std::{collections::HashMap, str::FromStr};
use trefoil_circuits::program::RingKind;
use trefoil_engine::Party;

/// Rows that batches are multiples of, but for the last: the bits of a word.
pub const GRAIN: u64 = 64;

/// The metadata of a stream of shares. Each column of the table is two of the stream, `NAME.own` and `NAME.next`: the components that the node holds, as unsigned
/// integers of 64 or 16 bits or as truth values.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ShareHeader {
    /// Whose table, and which.
    pub key: TableKey,
    /// Which upload of it.
    pub upload: UploadId,
    /// The digest of its description.
    pub sha256: Sha256Hex,
    /// How often its shares were made anew.
    pub epoch: u64,
    /// What shares that fit together have in common, and others not: the digest of description and epoch.
    pub mark: Sha256Hex,
    /// Whose shares they are.
    pub party: Party,
    /// Rows of the table.
    pub rows: u64,
    /// The first row of the stream, from 0.
    pub from: u64,
    /// The columns of the table.
    pub columns: Vec<ColumnSpec>,
}

/// The ends of the names of components.
const COMPONENTS: [&str; 2] = [".own", ".next"];

/// What the names of metadata begin with.
const PREFIX: &str = "trefoil:";

impl ShareHeader {
    /// As a schema of Arrow.
    #[must_use]
    pub fn schema(&self) -> Schema {
        let field =
            |column: &ColumnSpec, end: &str| Field::new(format!("{}{end}", column.name), data_type(column.ring), false);
        let fields: Vec<Field> =
            self.columns.iter().flat_map(|column| COMPONENTS.map(|end| field(column, end))).collect();
        let metadata = [
            ("owner", self.key.owner.to_string()),
            ("table", self.key.name.to_string()),
            ("version", self.key.version.to_string()),
            ("upload", self.upload.to_string()),
            ("sha256", self.sha256.to_string()),
            ("epoch", self.epoch.to_string()),
            ("mark", self.mark.to_string()),
            ("party", self.party.index().to_string()),
            ("rows", self.rows.to_string()),
            ("from", self.from.to_string()),
        ];
        let metadata: HashMap<_, _> =
            metadata.into_iter().map(|(name, value)| (format!("{PREFIX}{name}"), value)).collect();
        Schema::new(fields).with_metadata(metadata)
    }

    /// Reads a schema, which is that of a stream of shares and of nothing else.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(schema: &Schema) -> Result<Self, String> {
        let party = usize::from_str(text(schema, "party")?).ok().and_then(|k| Party::ALL.get(k).copied());
        let columns = schema.fields().chunks(2).map(|pair| {
            let name = pair.first().and_then(|own| own.name().strip_suffix(COMPONENTS[0]));
            let name: ColumnName = name.ok_or("a column without its component `own`")?.parse()?;
            let ring = pair.first().and_then(|own| ring(own.data_type()));
            Ok(ColumnSpec { name, ring: ring.ok_or("a column of another type")? })
        });
        let header = Self {
            key: TableKey {
                owner: parsed(schema, "owner")?,
                name: parsed(schema, "table")?,
                version: parsed(schema, "version")?,
            },
            upload: parsed(schema, "upload")?,
            sha256: digest(schema, "sha256")?,
            epoch: parsed(schema, "epoch")?,
            mark: digest(schema, "mark")?,
            party: party.ok_or("a party that there is not")?,
            rows: parsed(schema, "rows")?,
            from: parsed(schema, "from")?,
            columns: columns.collect::<Result<_, String>>()?,
        };
        if header.schema().fields() == schema.fields() {
            Ok(header)
        } else {
            Err("columns that are not pairs of components".to_owned())
        }
    }

    /// Whether two nodes tell of the same table, and of shares that fit together.
    #[must_use]
    pub fn fits(&self, other: &Self) -> bool {
        *self == Self { party: self.party, ..other.clone() }
    }
}

/// The type of a component.
fn data_type(ring: RingKind) -> DataType {
    match ring {
        RingKind::Bits => DataType::Boolean,
        RingKind::Z16 => DataType::UInt16,
        RingKind::Z64 => DataType::UInt64,
    }
}

fn ring(data_type: &DataType) -> Option<RingKind> {
    match data_type {
        DataType::Boolean => Some(RingKind::Bits),
        DataType::UInt16 => Some(RingKind::Z16),
        DataType::UInt64 => Some(RingKind::Z64),
        _ => None,
    }
}

fn text<'a>(schema: &'a Schema, name: &str) -> Result<&'a str, String> {
    let found = schema.metadata().get(&format!("{PREFIX}{name}"));
    found.map(String::as_str).ok_or_else(|| format!("no metadata `{PREFIX}{name}`"))
}

fn parsed<T: FromStr>(schema: &Schema, name: &str) -> Result<T, String> {
    text(schema, name)?.parse().map_err(|_| format!("metadata `{PREFIX}{name}` that cannot be read"))
}

fn digest(schema: &Schema, name: &str) -> Result<Sha256Hex, String> {
    let bytes = hex::decode(text(schema, name)?).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.map(Sha256Hex).ok_or_else(|| format!("metadata `{PREFIX}{name}` that is no digest"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::tables) fn header() -> ShareHeader {
        let columns = [("a", RingKind::Z64), ("a.own", RingKind::Bits), ("b = c", RingKind::Z16)];
        let column = |(name, ring): (&str, RingKind)| ColumnSpec { name: name.parse().expect("a name"), ring };
        ShareHeader {
            key: TableKey { owner: "bank".parse().expect("a name"), name: "t".parse().expect("a name"), version: 3 },
            upload: UploadId::from([7; 16]),
            sha256: Sha256Hex([1; 32]),
            epoch: 2,
            mark: Sha256Hex([2; 32]),
            party: Party::P1,
            rows: 1000,
            from: 128,
            columns: columns.map(column).to_vec(),
        }
    }

    #[test]
    fn a_header_is_read_as_it_was_written_and_no_other_schema_is() {
        let header = header();
        let schema = header.schema();
        assert_eq!(schema.fields().len(), 6);
        assert_eq!(ShareHeader::read(&schema).as_ref(), Ok(&header));
        assert!(header.fits(&ShareHeader { party: Party::P2, ..header.clone() }));
        assert!(!header.fits(&ShareHeader { mark: Sha256Hex([3; 32]), ..header.clone() }));
        for key in schema.metadata().keys() {
            let mut metadata = schema.metadata().clone();
            metadata.remove(key);
            assert!(ShareHeader::read(&schema.clone().with_metadata(metadata)).is_err(), "{key}");
        }
        let fields = |range: std::ops::Range<usize>| {
            let fields: Vec<_> = schema.fields()[range].to_vec();
            ShareHeader::read(&Schema::new(fields).with_metadata(schema.metadata().clone()))
        };
        assert!(fields(0..4).is_ok() && fields(0..5).is_err() && fields(1..5).is_err());
    }
}
