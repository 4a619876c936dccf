//! What operators ask for and hear.

use crate::job::JobId;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;
use trefoil_engine::Party;

/// What the three nodes do with their stores together.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Compares the components that two nodes hold, without showing them to anybody.
    Compare,
    /// Makes all shares anew.
    Refresh,
    /// Gives a node that has lost its store its shares again.
    Rebuild,
}

/// The same at all three nodes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct UpkeepSpec {
    /// 16 random bytes that name this session.
    pub session: JobId,
    /// The node that is rebuilt: 0, 1 or 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<u8>,
    /// What becomes of shares in a rebuild that cannot be checked.
    #[serde(default)]
    pub unwitnessed: Unwitnessed,
}

/// Shares that were never compared, so that the node that is rebuilt has to take the word of the one that sends them.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unwitnessed {
    /// They are left out, and named.
    #[default]
    Refuse,
    /// They are taken.
    Accept,
}

/// What came of it at one node.
///
/// A client of another version may read this, so unknown fields are ignored.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct UpkeepReport {
    /// The node: 0, 1 or 2.
    pub node: u8,
    /// Tables that were compared, made anew or rebuilt.
    pub tables: u64,
    /// Jobs whose outputs are kept.
    #[serde(default)]
    pub outputs: u64,
    /// Templates.
    pub templates: u64,
    /// Signing keys.
    pub keys: u64,
    /// Bytes of one component of them.
    pub bytes: u64,
    /// What was not, and why.
    pub findings: Vec<Finding>,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// What it concerns.
    pub what: String,
    /// What is wrong with it, and what to do.
    pub cause: String,
    /// The nodes of which one is at fault, as far as this node can tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suspects: Vec<u8>,
}

impl Task {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Compare, Self::Refresh, Self::Rebuild];

    /// As paths have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Compare => "compare",
            Self::Refresh => "refresh",
            Self::Rebuild => "rebuild",
        }
    }
}

impl UpkeepSpec {
    /// The node that is rebuilt.
    ///
    /// # Errors
    /// A text for the operator if the specification does not fit the task.
    pub fn lost(&self, task: Task) -> Result<Option<Party>, String> {
        match (task, self.node) {
            (Task::Rebuild, Some(node)) => {
                Party::from_index(node.into()).map(Some).ok_or_else(|| format!("there is no node {node}: 0, 1 or 2"))
            }
            (Task::Rebuild, None) => Err("name the node that has lost its store: node, 0, 1 or 2".to_owned()),
            (_, None) => Ok(None),
            (_, Some(_)) => Err(format!("a {task} concerns all three nodes; leave the node out")),
        }
    }

    /// What the nodes compare before they talk.
    pub(super) fn digest(&self, task: Task) -> [u8; 32] {
        let mut hash = Sha256::new_with_prefix(b"trefoil upkeep v2\0");
        hash.update(task.name());
        hash.update([0, self.node.map_or(u8::MAX, |node| node), self.unwitnessed as u8]);
        hash.update(self.session.session().0);
        hash.finalize().into()
    }

    /// The session of a part of it.
    pub(super) fn part(&self, what: &str) -> [u8; 16] {
        let hash = Sha256::new_with_prefix(b"trefoil upkeep part v1\0")
            .chain_update(self.session.session().0)
            .chain_update(what)
            .finalize();
        let mut part = [0; 16];
        part.copy_from_slice(&hash[..16]);
        part
    }
}

impl Finding {
    pub(super) fn new(what: impl fmt::Display, cause: impl Into<String>) -> Self {
        Self { what: what.to_string(), cause: cause.into(), suspects: Vec::new() }
    }

    pub(super) fn suspecting(mut self, parties: impl IntoIterator<Item = Party>) -> Self {
        self.suspects = parties.into_iter().map(|party| party.index() as u8).collect();
        self.suspects.sort_unstable();
        self
    }
}

/// Findings that a report has at most.
pub(super) const MOST: usize = 200;

/// Bytes of what a finding says at most: peers have a part in it, and all of a report is one line of the audit log.
const LONGEST_WHAT: usize = 512;
const LONGEST_CAUSE: usize = 4096;

/// The first of many, as they can be written down.
pub(super) fn first(mut findings: Vec<Finding>) -> Vec<Finding> {
    let rest = findings.len().saturating_sub(MOST);
    if rest > 0 {
        findings.truncate(MOST);
        findings.push(Finding::new(format!("{rest} more"), "as those above; mend these first, and run it again"));
    }
    for Finding { what, cause, .. } in &mut findings {
        (*what, *cause) = (printable(what, LONGEST_WHAT), printable(cause, LONGEST_CAUSE));
    }
    findings
}

/// At most so many bytes of a text, and a mark if there are more; control characters are escaped.
fn printable(text: &str, most: usize) -> String {
    let mut printed = String::with_capacity(text.len().min(most));
    for c in text.chars() {
        let before = printed.len();
        if c.is_control() {
            printed.extend(c.escape_default());
        } else {
            printed.push(c);
        }
        if printed.len() > most {
            printed.truncate(before);
            printed.push('…');
            break;
        }
    }
    printed
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_down_of_findings_is_bounded_and_of_one_line() {
        let long = "\"\u{1}ü".repeat(1 << 12);
        let written = first(vec![Finding::new(&long, long.clone()); 2 * MOST]);
        assert!(written.iter().all(|finding| !finding.what.contains(char::is_control)));
        let text = serde_json::to_vec(&written).expect("text");
        assert!(text.len() < 4 << 20, "{} bytes are more than a line of the log", text.len());
        let plain = Finding::new("a table", "P1 does not have it: näher");
        assert_eq!(first(vec![plain.clone()]), [plain]);
    }
}
