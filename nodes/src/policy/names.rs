//! Names of clients, tables and recipients as rules write them.

use super::{
    file::Effect,
    question::{DataSet, Recipient},
};
use crate::{pki::ClientName, tables::TableName};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Whoever asks.
const REQUESTER: &str = "@requester";

/// What comes with a job, among data; what stays at the nodes, among recipients.
const UPLOAD: &str = "@upload";
const NODES: &str = "@nodes";

/// What group names are not, since these words have a meaning of their own.
pub(super) const RESERVED: [&str; 3] = ["requester", "upload", "nodes"];

/// The beginning of a name, or a whole one: `bank-a`, `bank-*`, `*`.
///
/// In a rule that allows, `*` stands for names of the same kind alone: `*` is every client with a certificate, and names of a token are covered by what is written with their prefix, such as `oidc:*`. In one that denies, `*` alone is everybody.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct NamePattern {
    begins: String,
    open: bool,
}

/// Whom a rule is about, as it is written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Named {
    /// Clients by their names.
    Names(NamePattern),
    /// A group of the file.
    Group(String),
    /// Whoever asks.
    Requester,
}

/// Whom a rule is about, with groups resolved.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Whom {
    /// Clients by their names.
    Names(NamePattern),
    /// Whoever asks.
    Requester,
}

/// Data sets that a rule is about.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct DataPattern(pub(super) DataForm);

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum DataForm {
    /// Inputs that come with the job.
    Upload,
    /// Tables of an owner, by their names.
    Tables(Named, NamePattern),
}

/// Recipients that a rule is about.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct RecipientPattern(pub(super) RecipientForm);

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum RecipientForm {
    /// An output that stays at the nodes as a table.
    Nodes,
    /// Clients.
    Clients(Named),
}

impl NamePattern {
    /// Whether a name is one of these.
    #[must_use]
    pub fn covers(&self, name: &str) -> bool {
        let kind = |text: &str| text.find(':').map(|at| text[..at].to_owned());
        kind(name) == kind(&self.begins) && if self.open { name.starts_with(&self.begins) } else { name == self.begins }
    }
}

impl NamePattern {
    /// Whether what is denied to these is denied to a name: `*` is everybody then, with a certificate or a token.
    #[must_use]
    pub fn denies(&self, name: &str) -> bool {
        self.open && self.begins.is_empty() || self.covers(name)
    }
}

impl Whom {
    /// Whether a client is one of these, in a rule of this effect.
    pub(super) fn covers(&self, name: &ClientName, requester: &ClientName, effect: Effect) -> bool {
        match self {
            Self::Names(pattern) if effect == Effect::Deny => pattern.denies(name.as_str()),
            Self::Names(pattern) => pattern.covers(name.as_str()),
            Self::Requester => name == requester,
        }
    }
}

impl FromStr for NamePattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (begins, open) = text.strip_suffix('*').map_or((text, false), |begins| (begins, true));
        let name = begins.strip_prefix(ClientName::TOKEN_PREFIX).unwrap_or(begins);
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if begins.len() <= 64 && name.chars().all(allowed) && (open || !name.is_empty()) {
            Ok(Self { begins: begins.to_owned(), open })
        } else {
            let text: String = text.chars().take(64).collect();
            Err(format!(
                "`{text}` is no name or beginning of one; write letters, digits, `.`, `_` and `-`, at most one `*` at the end, and `{}` before names of tokens",
                ClientName::TOKEN_PREFIX
            ))
        }
    }
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix('@') {
            _ if text == REQUESTER => Ok(Self::Requester),
            Some(group) if RESERVED.contains(&group) => {
                Err(format!("`{text}` does not belong here; `{UPLOAD}` is for data, `{NODES}` for recipients"))
            }
            Some(group) => Ok(Self::Group(group.to_owned())),
            None => text.parse().map(Self::Names),
        }
    }
}

impl FromStr for DataPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == UPLOAD {
            return Ok(Self(DataForm::Upload));
        }
        let form = || {
            format!(
                "`{text}` is no data set; write `{UPLOAD}` for what comes with the job, or OWNER/TABLE, such as bank-a/loans, bank-a/* or @requester/*"
            )
        };
        let (owner, table) = text.split_once('/').ok_or_else(form)?;
        let table: NamePattern = table.parse()?;
        if table.begins.contains(':') {
            return Err(form());
        }
        Ok(Self(DataForm::Tables(owner.parse()?, table)))
    }
}

impl FromStr for RecipientPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == NODES { Ok(Self(RecipientForm::Nodes)) } else { text.parse().map(RecipientForm::Clients).map(Self) }
    }
}

impl FromStr for DataSet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == UPLOAD {
            return Ok(Self::Upload);
        }
        let (owner, name) = text
            .split_once('/')
            .ok_or_else(|| format!("`{text}` is no data set; write `{UPLOAD}` or OWNER/TABLE, such as bank-a/loans"))?;
        let (owner, name) = (owner.parse::<ClientName>()?, name.parse::<TableName>()?);
        Ok(Self::Table { owner, name })
    }
}

impl FromStr for Recipient {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == NODES { Ok(Self::Nodes) } else { text.parse().map(Self::Client) }
    }
}

impl TryFrom<String> for NamePattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl TryFrom<String> for DataPattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl TryFrom<String> for RecipientPattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<NamePattern> for String {
    fn from(pattern: NamePattern) -> Self {
        pattern.to_string()
    }
}

impl From<DataPattern> for String {
    fn from(pattern: DataPattern) -> Self {
        pattern.to_string()
    }
}

impl From<RecipientPattern> for String {
    fn from(pattern: RecipientPattern) -> Self {
        pattern.to_string()
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.begins, if self.open { "*" } else { "" })
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Names(pattern) => pattern.fmt(f),
            Self::Group(group) => write!(f, "@{group}"),
            Self::Requester => f.write_str(REQUESTER),
        }
    }
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Names(pattern) => pattern.fmt(f),
            Self::Requester => f.write_str(REQUESTER),
        }
    }
}

impl fmt::Display for DataPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            DataForm::Upload => f.write_str(UPLOAD),
            DataForm::Tables(owner, table) => write!(f, "{owner}/{table}"),
        }
    }
}

impl fmt::Display for RecipientPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            RecipientForm::Nodes => f.write_str(NODES),
            RecipientForm::Clients(named) => named.fmt(f),
        }
    }
}

impl fmt::Display for DataSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upload => f.write_str(UPLOAD),
            Self::Table { owner, name } => write!(f, "{owner}/{name}"),
        }
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nodes => f.write_str(NODES),
            Self::Client(name) => name.fmt(f),
        }
    }
}
