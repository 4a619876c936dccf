//! The name of a job.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use trefoil_engine::{Error, transport::SessionId};

/// 16 random bytes drawn by the client: the name of a job, of its session between the nodes, and of its URL.
///
/// Written as 32 lower-case hexadecimal digits, and only so: one job has one URL.
#[derive(Clone, Copy, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId([u8; 16]);

/// What names begin with that the nodes give by themselves: nobody else can take them. A random name begins so once in 2^64.
const OF_NODES: [u8; 8] = *b"trefoil\0";

impl JobId {
    /// A name that the nodes give, of which all but the beginning is free.
    pub(crate) fn of_nodes(mut bytes: [u8; 16]) -> Self {
        bytes[..OF_NODES.len()].copy_from_slice(&OF_NODES);
        Self(bytes)
    }

    /// Whether no client has given it.
    pub(crate) fn is_of_nodes(self) -> bool {
        self.0.starts_with(&OF_NODES)
    }

    /// Draws a new name from the system's random source.
    ///
    /// # Errors
    /// [`Error::Entropy`] if the system gives no randomness.
    pub fn random() -> Result<Self, Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|e| Error::Entropy(e.to_string()))?;
        Ok(Self(bytes))
    }

    /// The session the nodes run the job in.
    #[must_use]
    pub fn session(self) -> SessionId {
        SessionId(self.0)
    }
}

impl From<[u8; 16]> for JobId {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

/// A text that is no job id.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "a job id is 32 lower-case hexadecimal digits, and does not begin with 747265666f696c00 as the nodes' own do; draw them at random"
)]
pub struct NotAJobId;

impl FromStr for JobId {
    type Err = NotAJobId;

    fn from_str(text: &str) -> Result<Self, NotAJobId> {
        lower_hex(text).map(Self).filter(|id| !id.is_of_nodes()).ok_or(NotAJobId)
    }
}

impl TryFrom<String> for JobId {
    type Error = NotAJobId;

    fn try_from(text: String) -> Result<Self, NotAJobId> {
        text.parse()
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobId({self})")
    }
}

/// Exactly `N` bytes as lower-case hexadecimal digits.
pub(crate) fn lower_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        return None;
    }
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let text = "00112233445566778899aabbccddeeff";
        let id: JobId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        for wrong in
            ["", "00", &text.to_uppercase(), &format!("{text}0"), &format!("{text}00"), &text.replace('f', "g")]
        {
            assert_eq!(wrong.parse::<JobId>(), Err(NotAJobId), "{wrong}");
        }
        let reserved = JobId::of_nodes([1; 16]).to_string();
        assert_eq!(reserved.parse::<JobId>(), Err(NotAJobId), "{reserved} is the nodes' own");
        assert!(reserved.starts_with("747265666f696c00"));
    }
}
