//! Names of tables, of their columns and of uploads.

use crate::{
    Error,
    job::{JobId, lower_hex},
    names::names,
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

names! {
    /// The name of a table: 1 to 64 of the letters, digits, `.`, `_` and `-`.
    TableName is "a table name"
}

/// The name of a column: 1 to 64 printable ASCII characters.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct ColumnName(String);

/// What tells one upload of a table from another: 16 random bytes, the same at all three nodes. Written as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct UploadId([u8; 16]);

impl UploadId {
    /// Draws one.
    ///
    /// # Errors
    /// [`Error::Engine`] if the system gives no randomness.
    pub fn random() -> Result<Self, Error> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|e| trefoil_engine::Error::Entropy(e.to_string()))?;
        Ok(Self(id))
    }
}

impl TableName {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ColumnName {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<JobId> for UploadId {
    /// Of a table that a job has made.
    fn from(job: JobId) -> Self {
        Self(job.session().0)
    }
}

impl FromStr for ColumnName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if (1..=64).contains(&text.len()) && text.bytes().all(|c| (b' '..=b'~').contains(&c)) {
            Ok(Self(text.to_owned()))
        } else {
            Err("a column name has 1 to 64 printable ASCII characters".to_owned())
        }
    }
}

impl FromStr for UploadId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        lower_hex(text).map(Self).ok_or_else(|| "an upload id is 32 lower-case hexadecimal digits".to_owned())
    }
}

impl TryFrom<String> for ColumnName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<[u8; 16]> for UploadId {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl TryFrom<String> for UploadId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ColumnName> for String {
    fn from(name: ColumnName) -> Self {
        name.0
    }
}

impl From<UploadId> for String {
    fn from(id: UploadId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for ColumnName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["a", "loans.2026-Q1", &"x".repeat(64)] {
            assert_eq!(good.parse::<TableName>().map(|n| n.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", ".", "..", "a/b", "a b", "\u{e9}", &"x".repeat(65)] {
            assert!(bad.parse::<TableName>().is_err(), "{bad}");
        }
        for good in ["loan_intent = MEDICAL", "%", &"x".repeat(64)] {
            assert!(good.parse::<ColumnName>().is_ok(), "{good}");
        }
        for bad in ["", "a\nb", "\u{e9}", &"x".repeat(65)] {
            assert!(bad.parse::<ColumnName>().is_err(), "{bad}");
        }
        let id = UploadId::random().expect("randomness");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("00".parse::<UploadId>().is_err());
    }
}
