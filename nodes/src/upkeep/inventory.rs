//! What the stores of the three nodes have.

use super::{
    Finding,
    shares::{Holdings, ShareAt},
    talk::{Broken, Talk},
};
use crate::{
    auth::user_of_shares,
    job::{JobId, KeptOutputs, Sha256Hex},
    keys::{KeyId, KeysHere},
    pki::ClientName,
    store::Space,
    tables::{Epoch, StoredTable, TableKey, TableName, TableStore},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use trefoil_engine::{Error, Party, PeerFault};

/// What the records of templates' shares begin with.
const SHARES: &str = "share/";

/// More bytes than the name of any record of templates has.
const LONGEST_NAME: usize = 512;

/// All that a node has shares of, by its names.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Inventory {
    pub(super) tables: Vec<TableAt>,
    /// What jobs have computed and nobody has fetched.
    pub(super) outputs: Vec<OutputsAt>,
    /// Names of records.
    pub(super) templates: Vec<String>,
    pub(super) keys: Vec<KeyId>,
    /// Keys whose records cannot be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) damaged: Vec<KeyId>,
}

/// A table at a node.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TableAt {
    pub(super) owner: ClientName,
    pub(super) name: TableName,
    pub(super) version: u32,
    pub(super) sha256: Sha256Hex,
    pub(super) epoch: Epoch,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pending: Option<Epoch>,
}

/// The outputs of a job at a node.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OutputsAt {
    pub(super) job: JobId,
    /// Of its specification.
    pub(super) sha256: Sha256Hex,
    pub(super) epoch: Epoch,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pending: Option<Epoch>,
}

/// What is to be done about new shares that a broken-off refresh has left.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Settlement {
    /// All have the same, and nothing beside them.
    Nothing,
    /// All have these, in use or prepared.
    Commit(Epoch),
    /// Some have not prepared what others have.
    Abandon,
    /// They have no shares in common.
    Apart,
}

impl Inventory {
    /// What there is here. With it how many jobs have outputs of one component, as the version before wrote them.
    pub(super) async fn take(here: Holdings<'_>, keys: KeysHere) -> Result<(Self, usize), Broken> {
        let templates = here.store.list(Space::Templates, SHARES).await.map_err(|e| Broken::Own(e.to_string()))?;
        let templates = templates.into_iter().filter_map(|name| String::from_utf8(name).ok());
        let templates = templates.filter(|name| is_of_shares(name)).collect();
        let all = here.tables.all();
        for table in &all {
            if let Err(fault) = table.reconcile().await {
                tracing::warn!("{}: {fault}", table.key());
            }
        }
        let kept = here.jobs.kept().await.map_err(|e| Broken::Own(e.to_string()))?;
        let (whole, halves): (Vec<_>, Vec<_>) = kept.into_iter().partition(|kept| kept.is_whole);
        let outputs = whole.into_iter().map(|kept| {
            let KeptOutputs { job, sha256, epoch, pending, .. } = kept;
            OutputsAt { job, sha256, epoch, pending }
        });
        let tables = all.iter().map(TableAt::of).collect();
        let KeysHere { in_use: keys, damaged } = keys;
        Ok((Self { tables, outputs: outputs.collect(), templates, keys, damaged }, halves.len()))
    }

    /// What each of the nodes has.
    pub(super) async fn share(&self, talk: &mut Talk) -> Result<[Self; 3], Broken> {
        let all = talk.share(self).await?;
        match Party::ALL.into_iter().find(|party| !all[party.index()].is_well_formed()) {
            None => Ok(all),
            Some(peer) => {
                let fault = PeerFault::Malformed("a name of templates that no user has".to_owned());
                Err(Broken::Link(Error::Peer { peer, fault }))
            }
        }
    }

    /// Whether its names are such as this node would write: they get into logs and findings.
    fn is_well_formed(&self) -> bool {
        self.templates.iter().all(|name| is_of_shares(name))
    }
}

/// Whether a record of this name has shares of a user's template: after the user comes which, in a few digits.
fn is_of_shares(name: &str) -> bool {
    name.len() <= LONGEST_NAME && !name.contains(char::is_control) && user_of_shares(name).is_some()
}

impl TableAt {
    fn of(table: &Arc<StoredTable>) -> Self {
        let TableKey { owner, name, version } = table.key().clone();
        let pending = table.pending();
        Self { owner, name, version, sha256: Sha256Hex(*table.digest()), epoch: table.content().epoch(), pending }
    }

    /// The table, if this node has this very upload in this epoch.
    pub(super) fn here(&self, tables: &TableStore) -> Option<Arc<StoredTable>> {
        let table = tables.get(&self.key())?;
        Some(table).filter(|table| *table.digest() == self.sha256.0 && table.content().epoch() == self.epoch)
    }

    pub(super) fn key(&self) -> TableKey {
        TableKey { owner: self.owner.clone(), name: self.name.clone(), version: self.version }
    }
}

/// The tables of some nodes, each with what these say of it; those that one of them lacks, or has another upload of, as findings.
pub(super) fn tables(all: &[Inventory; 3], of: &[Party]) -> (Vec<(TableKey, Vec<TableAt>)>, Vec<Finding>) {
    let mut at: BTreeMap<TableKey, BTreeMap<Party, &TableAt>> = BTreeMap::new();
    for party in of {
        for table in &all[party.index()].tables {
            at.entry(table.key()).or_default().insert(*party, table);
        }
    }
    let (mut common, mut findings) = (Vec::new(), Vec::new());
    for (key, at) in at {
        let first = at.values().next().map(|table| table.sha256);
        if let Some(missing) = of.iter().find(|party| !at.contains_key(party)) {
            let cause = format!("{missing} does not have it; its owner deletes it, or uploads it again");
            findings.push(Finding::new(&key, cause));
        } else if at.values().any(|table| Some(table.sha256) != first) {
            findings.push(Finding::new(&key, "the nodes have different uploads of it; its owner deletes it"));
        } else {
            common.push((key, at.into_values().cloned().collect()));
        }
    }
    (common, findings)
}

/// The tables that both others of a lost node have, each with what all say of it that have it: the one called lost may have it after all.
pub(super) fn tables_for(all: &[Inventory; 3], lost: Party) -> (Vec<(TableKey, Vec<TableAt>)>, Vec<Finding>) {
    let (mut common, mut findings) = tables(all, &lost.peers());
    common.retain_mut(|(key, at)| {
        let Some(held) = all[lost.index()].tables.iter().find(|held| held.key() == *key) else { return true };
        if at.iter().any(|other| other.sha256 != held.sha256) {
            let cause = format!(
                "{lost} has another upload of it; its owner deletes it, or {lost} is started with an empty store"
            );
            findings.push(Finding::new(key, cause));
            return false;
        }
        at.push(held.clone());
        true
    });
    (common, findings)
}

/// The outputs that some nodes all have, each with what all say of it that have it. What one of them lacks was deleted there, or is about to be.
pub(super) fn outputs(all: &[Inventory; 3], of: &[Party]) -> Vec<Vec<ShareAt>> {
    let mut at: BTreeMap<(JobId, [u8; 32]), BTreeMap<Party, &OutputsAt>> = BTreeMap::new();
    for party in Party::ALL {
        for outputs in &all[party.index()].outputs {
            at.entry((outputs.job, outputs.sha256.0)).or_default().insert(party, outputs);
        }
    }
    at.retain(|_, at| of.iter().all(|party| at.contains_key(party)));
    at.into_values().map(|at| at.into_values().cloned().map(ShareAt::Outputs).collect()).collect()
}

/// What some nodes all have of a list of names, in order; the others as findings.
pub(super) fn names<T: Clone + Ord>(
    lists: [&[T]; 3],
    of: &[Party],
    what: impl Fn(&T) -> String,
) -> (Vec<T>, Vec<Finding>) {
    let mut at: BTreeMap<&T, usize> = BTreeMap::new();
    for party in of {
        // Each node counts once, however often it names something.
        let names: BTreeSet<&T> = lists[party.index()].iter().collect();
        for name in names {
            *at.entry(name).or_default() += 1;
        }
    }
    let (common, rest): (Vec<_>, Vec<_>) = at.into_iter().partition(|(_, times)| *times == of.len());
    let missing = |(name, _): (&T, usize)| {
        Finding::new(what(name), "not all nodes have it: a step with it was interrupted; its owner repeats the step")
    };
    (common.into_iter().map(|(name, _)| name.clone()).collect(), rest.into_iter().map(missing).collect())
}

/// How new shares are settled. All nodes come to the same, out of what they have told each other.
///
/// Nobody honest has shares in use before all have prepared them, and no refresh is under way: a node takes part in one session about its store at a time.
pub(super) fn settlement(at: &[ShareAt]) -> Settlement {
    let have = |epoch: Epoch| at.iter().all(|share| share.epoch() == epoch || share.pending() == Some(epoch));
    let Some(common) = at.iter().map(ShareAt::epoch).find(|epoch| have(*epoch)) else {
        return Settlement::Apart;
    };
    if at.iter().any(|share| share.epoch() != common) {
        Settlement::Commit(common)
    } else if at.iter().any(|share| share.pending().is_some()) {
        // In use at nobody: even if all have prepared them, the old ones are as good.
        Settlement::Abandon
    } else {
        Settlement::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::JobId;

    fn at(number: u64, pending: Option<u64>) -> TableAt {
        let epoch = |number: u64| match number {
            0 => Epoch::default(),
            _ => Epoch { number, session: JobId::from([number as u8; 16]) },
        };
        TableAt {
            owner: "bank".parse().expect("a name"),
            name: "loans".parse().expect("a name"),
            version: 1,
            sha256: Sha256Hex::of(b""),
            epoch: epoch(number),
            pending: pending.map(epoch),
        }
    }

    /// Every state that a crash can leave, at each of the nodes.
    #[test]
    fn what_all_have_is_in_use_afterwards_and_nothing_else() {
        let (old, prepared, new) = (at(0, None), at(0, Some(1)), at(1, None));
        let first = new.epoch;
        for (states, due) in [
            ([&old, &old, &old], Settlement::Nothing),
            ([&new, &new, &new], Settlement::Nothing),
            ([&old, &prepared, &old], Settlement::Abandon),
            ([&prepared, &prepared, &prepared], Settlement::Abandon),
            ([&new, &prepared, &prepared], Settlement::Commit(first)),
            ([&prepared, &new, &new], Settlement::Commit(first)),
            ([&new, &old, &prepared], Settlement::Apart),
            ([&new, &new, &old], Settlement::Apart),
        ] {
            assert_eq!(settlement(&states.map(|at| ShareAt::Table(at.clone()))), due, "{states:?}");
        }
        // The node that had them in use is gone, and is rebuilt from the others.
        let prepared = ShareAt::Table(prepared);
        assert_eq!(settlement(&[prepared.clone(), prepared]), Settlement::Abandon);
    }

    #[test]
    fn names_of_templates_are_those_of_users() {
        let with = |name: String| Inventory { templates: vec![name], ..Inventory::default() };
        assert!(with("share/bank/alice/0123".to_owned()).is_well_formed());
        for bad in [
            format!("share/{}/x", "a".repeat(5 << 20)),
            format!("share/bank/alice/{}", "a".repeat(5 << 20)),
            "share/bank/alice/\n".to_owned(),
            "share/bank".to_owned(),
            "gallery/bank/alice".to_owned(),
        ] {
            assert!(!with(bad.clone()).is_well_formed(), "{}", &bad[..bad.len().min(40)]);
        }
    }

    #[test]
    fn what_a_node_lacks_is_named() {
        let with = |tables: Vec<TableAt>| Inventory { tables, ..Inventory::default() };
        let all = [with(vec![at(0, None)]), with(Vec::new()), with(vec![at(0, None)])];
        let (common, findings) = tables(&all, &Party::ALL);
        assert!(common.is_empty() && findings[0].cause.contains("P1"), "{findings:?}");
        let (common, findings) = tables(&all, &[Party::P0, Party::P2]);
        assert_eq!((common.len(), common[0].1.len(), findings.len()), (1, 2, 0));
        let (common, findings) = names([&[1, 2], &[2], &[2, 3]], &Party::ALL, ToString::to_string);
        assert_eq!((common, findings.len()), (vec![2], 2));
    }
}
