//! What the stores do not have in common.

use super::{
    Finding,
    inventory::{Inventory, TableAt, names, tables, tables_for},
    items,
    spec::MOST,
};
use crate::{keys::KeyId, tables::TableKey};
use std::collections::BTreeSet;
use trefoil_engine::Party;

/// What the nodes have, and what they do not have in common.
pub(super) struct There {
    pub(super) tables: Vec<(TableKey, Vec<TableAt>)>,
    pub(super) templates: Vec<String>,
    pub(super) keys: Vec<KeyId>,
    pub(super) findings: Vec<Finding>,
    /// Keys that a node has and cannot read.
    pub(super) damaged: Vec<Finding>,
}

/// What all three have, or both others of a lost one, and as findings what some of them lack.
pub(super) fn missing(all: &[Inventory; 3], lost: Option<Party>) -> There {
    let peers = lost.map(Party::peers);
    let of: &[Party] = peers.as_ref().map_or(&Party::ALL, |peers| peers);
    let (tables, mut findings) = lost.map_or_else(|| tables(all, of), |lost| tables_for(all, lost));
    let (templates, more) = names(all.each_ref().map(|x| &x.templates[..]), of, |name| items::about_template(name).0);
    findings.extend(more);
    // A damaged key is one that a node has, and no step that was interrupted.
    let here = all.each_ref().map(|x| [&x.keys[..], &x.damaged].concat());
    let (mut keys, more) = names(here.each_ref().map(|keys| &keys[..]), of, ToString::to_string);
    findings.extend(more);
    let mut damaged = Vec::new();
    for party in of {
        // A node that deviates names any, as often as it likes.
        let named: BTreeSet<&KeyId> = all[party.index()].damaged.iter().collect();
        keys.retain(|id| !named.contains(id));
        let cause = format!(
            "its record at {party} is damaged, and the log of {party} says how; check the disk, then have the others give it again: `trefoil store rebuild --node {}`",
            party.index()
        );
        damaged.extend(named.into_iter().take(MOST + 1).map(|id| Finding::new(id, cause.clone())));
    }
    There { tables, templates, keys, findings, damaged }
}

/// The damaged keys of a lost node that no other node has, damaged or not: they were deleted there, or have expired. What is damaged at several nodes may be so for a
/// cause that can be mended, and stays.
pub(super) fn beyond_help(all: &[Inventory; 3], lost: Party) -> Vec<KeyId> {
    let others = lost.peers().map(|peer| &all[peer.index()]);
    let elsewhere: BTreeSet<&KeyId> = others.into_iter().flat_map(|x| x.keys.iter().chain(&x.damaged)).collect();
    all[lost.index()].damaged.iter().filter(|id| !elsewhere.contains(id)).cloned().collect()
}

/// What was missing at both times: a step of an owner reaches one node after the other, and is no finding.
pub(super) fn lasting(mut first: Vec<Finding>, again: &[Finding]) -> Vec<Finding> {
    first.retain(|finding| again.contains(finding));
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(keys: &[&str]) -> Inventory {
        let id = |name: &&str| KeyId { owner: "bank".parse().expect("a name"), name: name.parse().expect("a name") };
        Inventory { keys: keys.iter().map(id).collect(), ..Inventory::default() }
    }

    #[test]
    fn a_damaged_key_is_left_alone_until_it_is_given_again() {
        let damaged = Inventory { damaged: with(&["b"]).keys, ..with(&["a"]) };
        let all = [with(&["a", "b"]), damaged, with(&["a", "b"])];
        let kept = missing(&all, None);
        assert_eq!(kept.findings, []);
        let [finding] = kept.damaged.try_into().expect("one");
        assert_eq!((finding.what.as_str(), kept.keys.len()), ("key `b` of bank", 1));
        assert!(finding.cause.contains("record at P1 is damaged"), "{}", finding.cause);
        // Whoever has lost it gets it; nobody gets it of whom it is damaged.
        let rebuilt = missing(&all, Some(Party::P1));
        assert_eq!((rebuilt.findings.len(), rebuilt.damaged.len(), rebuilt.keys.len()), (0, 0, 2));
        let other = missing(&all, Some(Party::P2));
        assert_eq!((other.damaged.len(), other.keys.len()), (1, 1));
        // Nobody else has it any more: it was deleted there.
        assert_eq!(beyond_help(&all, Party::P1), []);
        let also = Inventory { damaged: with(&["d"]).keys, ..with(&["c"]) };
        let all = [with(&["a"]), Inventory { damaged: with(&["b", "c", "d"]).keys, ..with(&["a"]) }, also];
        assert_eq!(beyond_help(&all, Party::P1), with(&["b"]).keys);
        let often = Inventory { damaged: [with(&["b"]).keys, with(&["b"]).keys].concat(), ..Inventory::default() };
        assert_eq!(missing(&[often, with(&["b"]), with(&["b"])], None).damaged.len(), 1);
    }

    #[test]
    fn what_is_under_way_is_no_finding() {
        let first = missing(&[with(&["a", "b", "c"]), with(&["a", "b"]), with(&["a"])], None).findings;
        assert_eq!(first.len(), 2);
        // A step with b has reached the last node; c was interrupted, and one with d has begun.
        let again = missing(&[with(&["a", "b", "c", "d"]), with(&["a", "b"]), with(&["a", "b"])], None).findings;
        let [finding] = lasting(first, &again).try_into().expect("one");
        assert!(finding.what.contains("`c`"), "{finding:?}");
    }
}
