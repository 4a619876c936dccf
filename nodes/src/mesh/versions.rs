//! Which versions of the mesh protocol a node speaks, and which one two nodes take.
//!
//! A node offers all of them in the TLS handshake, as ALPN names, and the highest that both ends offer is taken: nobody between them can
//! change the choice. Nodes that have none in common take [`TELL`] instead, which carries nothing but what each speaks, so that both can say who
//! has to be upgraded.
//!
//! A session of three is held under the lowest version that any two of them have taken. That is the lowest of the three highest, so
//! all three come to the same.

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use std::{fmt, time::Duration};
use trefoil_engine::Party;

/// What comes before the number in an ALPN name.
const NAME: &str = "trefoil/";

/// Taken by nodes without a version in common.
pub(super) const TELL: &[u8] = b"trefoil/versions";

/// How long the other end may take to say what it speaks.
pub(super) const TELL_TIME: Duration = Duration::from_secs(10);

/// The first version in which connections are renewed, and in which the digest of the cluster does not depend on pins.
pub(super) const RENEWS: u16 = 2;

/// A range of versions, both ends included.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Versions {
    /// The lowest version that is spoken.
    pub lowest: u16,
    /// The highest.
    pub highest: u16,
}

impl Versions {
    /// What this release speaks: its own version, and the one before, so that nodes can be upgraded one by one.
    pub const SPOKEN: Self = Self { lowest: 1, highest: 2 };

    /// The first version in which nodes tell each other that they run.
    pub const HEARTBEATS: u16 = 2;

    /// What is left if nothing above `highest` is to be spoken.
    #[must_use]
    pub fn up_to(self, highest: Option<u16>) -> Self {
        Self { highest: highest.map_or(self.highest, |h| h.clamp(self.lowest, self.highest)), ..self }
    }

    /// The highest version of both.
    #[must_use]
    pub fn common(self, other: Self) -> Option<u16> {
        let highest = self.highest.min(other.highest);
        (highest >= self.lowest.max(other.lowest)).then_some(highest)
    }

    /// The ALPN name of a version.
    #[must_use]
    pub fn label(version: u16) -> String {
        format!("{NAME}{version}")
    }

    /// The version of an ALPN name.
    #[must_use]
    pub fn of_label(label: &[u8]) -> Option<u16> {
        std::str::from_utf8(label).ok()?.strip_prefix(NAME)?.parse().ok()
    }

    /// The ALPN names, the best first.
    pub(super) fn offers(self) -> Vec<Vec<u8>> {
        let versions = (self.lowest..=self.highest).rev().map(|v| Self::label(v).into_bytes());
        versions.chain([TELL.to_vec()]).collect()
    }

    pub(super) fn to_bytes(self) -> [u8; 4] {
        let ([a, b], [c, d]) = (self.lowest.to_le_bytes(), self.highest.to_le_bytes());
        [a, b, c, d]
    }

    pub(super) fn from_bytes([a, b, c, d]: [u8; 4]) -> Self {
        Self { lowest: u16::from_le_bytes([a, b]), highest: u16::from_le_bytes([c, d]) }
    }

    /// What to do where nothing is in common.
    pub(super) fn remedy(self, peer: Party, theirs: Self) -> String {
        if theirs.highest < self.lowest {
            format!("upgrade node {peer} first: it speaks versions {theirs} of the mesh protocol, this one {self}")
        } else {
            format!("upgrade this node first: it speaks versions {self} of the mesh protocol, {peer} {theirs}")
        }
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lowest == self.highest {
            write!(f, "{} alone", self.lowest)
        } else {
            write!(f, "{} to {}", self.lowest, self.highest)
        }
    }
}

/// Reads `transport.protocol`: a version that this release speaks.
pub(super) fn spoken<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u16>, D::Error> {
    let (version, Versions { lowest, highest }) = (u16::deserialize(from)?, Versions::SPOKEN);
    if (lowest..=highest).contains(&version) {
        return Ok(Some(version));
    }
    Err(D::Error::custom(format!(
        "version {version} of the mesh protocol is not spoken; write a version from {lowest} to {highest}, or leave `protocol` out"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_common_version_is_taken_and_three_nodes_agree_on_one() {
        let all: Vec<_> =
            (1..4).flat_map(|lowest| (lowest..4).map(move |highest| Versions { lowest, highest })).collect();
        for a in &all {
            for b in &all {
                let brute = (1..4).rev().find(|v| {
                    let speaks = |r: &Versions| r.lowest <= *v && *v <= r.highest;
                    speaks(a) && speaks(b)
                });
                assert_eq!((a.common(*b), b.common(*a)), (brute, brute));
                for c in &all {
                    let (Some(ab), Some(bc), Some(ca)) = (a.common(*b), b.common(*c), c.common(*a)) else { continue };
                    assert!(ab.min(ca) == bc.min(ab) && bc.min(ab) == ca.min(bc), "{a:?} {b:?} {c:?}");
                }
            }
        }
    }

    #[test]
    fn names_and_ranges_survive_the_wire_and_the_remedy_names_who_is_behind() {
        let range = Versions { lowest: 3, highest: 700 };
        assert_eq!(Versions::from_bytes(range.to_bytes()), range);
        assert_eq!(Versions::of_label(Versions::label(700).as_bytes()), Some(700));
        for other in [&b"trefoil/"[..], TELL, b"h2", b"trefoil/70000", &[0xff]] {
            assert_eq!(Versions::of_label(other), None);
        }
        let old = Versions { lowest: 1, highest: 2 };
        assert!(range.remedy(Party::P1, old).contains("upgrade node P1 first: it speaks versions 1 to 2"));
        assert!(old.remedy(Party::P1, range).contains("upgrade this node first: it speaks versions 1 to 2"));
        assert_eq!(Versions::SPOKEN.up_to(Some(1)), Versions { lowest: 1, highest: 1 });
    }
}
