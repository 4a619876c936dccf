//! Whether the two holders of each component have the same.
//!
//! Every component is at two nodes. Its holders tell each other, and the third node, a digest of it under a salt that the two share: equal digests are of equal components, and the third learns nothing from one. It remembers it, so that later on
//! it can tell which of two holders has another component than there was, and a node that has lost its store knows whether it is sent the right one.

use super::{
    Finding,
    items::{Item, Mark, Salt, Witness, own, salt},
    talk::{Broken, Talk},
};
use crate::store::{Space, Store, StoreError};
use bytes::Bytes;
use trefoil_engine::{Error, Party, PeerFault};
use zeroize::Zeroizing;

/// Items in one round.
const AT_ONCE: usize = 32;

/// The mark of what is not there any more.
const ABSENT: Mark = [0; 32];

/// What is compared with.
struct Round<'a> {
    items: &'a [Item],
    /// What is remembered, where all three nodes remember something.
    witnesses: Vec<Option<Witness>>,
    salts: Vec<[Salt; 2]>,
}

/// Compares items, the same at all three nodes in the same order.
///
/// **Cost.** Four exchanges for every 32 items: 65 bytes for each to each peer, and 32 more to the one before; each node hashes what it has.
///
/// **Security.** It finds faults of honest nodes: disks, programs, backups. A node that deviates can say of a component what its other holder says; what it changes is found when its shares are used in malicious mode, or sent in a rebuild. It can make
/// findings that are not so, and have the nodes forget what they remember. Of the third component each node remembers what both its holders say, of whom one is honest.
pub(super) async fn compare(talk: &mut Talk, store: &Store, items: &[Item]) -> Result<Vec<Finding>, Broken> {
    let mut findings = Vec::new();
    for items in items.chunks(AT_ONCE) {
        findings.extend(round(talk, store, items).await?);
    }
    Ok(findings)
}

async fn round(talk: &mut Talk, store: &Store, items: &[Item]) -> Result<Vec<Finding>, Broken> {
    let round = begin(talk, store, items).await?;
    let mut marks: Vec<u8> = Vec::with_capacity(64 * items.len());
    for (item, salts) in items.iter().zip(&round.salts) {
        // What was deleted meanwhile has no marks.
        let both = talk.working(item.marks(store, salts)).await?.unwrap_or([ABSENT; 2]);
        marks.extend_from_slice(both.as_flattened());
    }
    let said = talk.all(&marks, marks.len()).await?;
    let mut all: [Vec<[Mark; 2]>; 3] = [const { Vec::new() }; 3];
    for party in Party::ALL {
        let (parts, rest) = said[party.index()].as_chunks::<32>();
        let (parts, none) = parts.as_chunks::<2>();
        if !rest.is_empty() || !none.is_empty() || parts.len() != items.len() {
            return Err(malformed(party));
        }
        all[party.index()] = parts.to_vec();
    }
    let (mut findings, mut fresh) = (Vec::new(), Vec::new());
    for (k, item) in items.iter().enumerate() {
        let marks = all.each_ref().map(|of| of[k]);
        let known = round.witnesses[k].as_ref();
        let gone: Vec<Party> = Party::ALL.into_iter().filter(|party| marks[party.index()].contains(&ABSENT)).collect();
        if let Some(party) = gone.first() {
            if !gone.contains(&talk.me()) && !item.is_passing() {
                let cause = format!("{party} does not have it any more; compare again if it is still there");
                findings.push(Finding::new(item.name(), cause));
            }
            continue;
        }
        let found = judge(talk.me(), item.name(), &marks, known);
        if found.is_empty() && known.is_none() {
            let witness = Witness { salts: round.salts[k].clone(), third: marks[talk.me().prev().index()][0] };
            fresh.push((item.label(), witness.encode()));
        }
        findings.extend(found);
    }
    let write = store.write(move |records| {
        fresh.iter().try_for_each(|(label, witness)| records.put(Space::Witnesses, label, witness))?;
        Ok::<_, StoreError>(())
    });
    talk.working(write).await?.map_err(own)?;
    Ok(findings)
}

/// The salts under which components are compared: those that all three remember something under, else fresh ones of the holder that has the component as its own.
async fn begin<'a>(talk: &mut Talk, store: &Store, items: &'a [Item]) -> Result<Round<'a>, Broken> {
    let mut witnesses = Vec::with_capacity(items.len());
    for item in items {
        witnesses.push(Witness::load(store, item.label()).await?);
    }
    let flags: Vec<u8> = witnesses.iter().map(|witness| u8::from(witness.is_some())).collect();
    let said = talk.all(&flags, flags.len()).await?;
    for party in Party::ALL {
        if said[party.index()].len() != flags.len() {
            return Err(malformed(party));
        }
    }
    talk.alike(&said.each_ref().map(|said| said.to_vec()).concat()).await?;
    for (k, witness) in witnesses.iter_mut().enumerate() {
        if said.iter().any(|said| said[k] != 1) {
            *witness = None;
        }
    }
    let mut mine = Zeroizing::new(Vec::with_capacity(32 * items.len()));
    for witness in &witnesses {
        match witness {
            Some(witness) => mine.extend_from_slice(&*witness.salts[0]),
            None => mine.extend_from_slice(&*salt()?),
        }
    }
    // Who has a component as its own salts it; the node before holds it too.
    let (next, prev) = (talk.me().next(), talk.me().prev());
    let message = Bytes::from_owner(mine.clone());
    let theirs = talk.swap((prev, message), (next, mine.len())).await?;
    let (own, _) = mine.as_chunks::<32>();
    let (others, rest) = theirs.as_chunks::<32>();
    if !rest.is_empty() || others.len() != own.len() {
        return Err(malformed(next));
    }
    let salts = own.iter().zip(others).zip(&witnesses).map(|((own, next), witness)| match witness {
        Some(witness) => witness.salts.clone(),
        None => [Zeroizing::new(*own), Zeroizing::new(*next)],
    });
    Ok(Round { items, salts: salts.collect(), witnesses })
}

/// What is to be said of an item, of which each node has told the marks of its own and of the next component.
fn judge(me: Party, name: &str, marks: &[[Mark; 2]; 3], known: Option<&Witness>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for holder in Party::ALL {
        let (before, third) = (holder.prev(), holder.next());
        let (own, next) = (marks[holder.index()][0], marks[before.index()][1]);
        let known = known.filter(|_| me == third);
        let finding = match (own == next, known) {
            (true, Some(known)) if !known.is_third(&own) => Finding::new(
                name,
                format!("{holder} and {before} have other shares of it than they had when they were last compared"),
            )
            .suspecting([holder, before]),
            (true, _) => continue,
            (false, Some(known)) if known.is_third(&own) => changed(name, before),
            (false, Some(known)) if known.is_third(&next) => changed(name, holder),
            (false, _) => {
                let suspects = [holder, before].into_iter().filter(|party| *party != me);
                Finding::new(
                    name,
                    format!("{holder} and {before} have different shares of what both should have: {CAUSES}"),
                )
                .suspecting(suspects)
            }
        };
        findings.push(finding);
    }
    findings
}

/// What may lie behind shares that do not fit.
const CAUSES: &str = "a disk, a program or an operator has changed them, or the owner has sent shares that do not fit. Jobs over it are refused in malicious mode: rebuild the node at fault from an empty store, or have the owner send it again";

fn changed(name: &str, party: Party) -> Finding {
    Finding::new(name, format!("{party} has other shares of it than when they were last compared: {CAUSES}"))
        .suspecting([party])
}

fn malformed(party: Party) -> Broken {
    Broken::Link(Error::Peer { peer: party, fault: PeerFault::Malformed("digests of other shares".to_owned()) })
}

impl std::fmt::Debug for Round<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Round({} items)", self.items.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn witness(third: u8) -> Witness {
        Witness { salts: [Zeroizing::new([0; 32]), Zeroizing::new([0; 32])], third: [third; 32] }
    }

    /// The marks of three components, one of which one holder has changed.
    fn marks(changed: Option<(Party, usize)>) -> [[Mark; 2]; 3] {
        let mut marks = Party::ALL.map(|party| [[party.index() as u8; 32], [party.next().index() as u8; 32]]);
        if let Some((party, k)) = changed {
            marks[party.index()][k] = [9; 32];
        }
        marks
    }

    #[test]
    fn whoever_has_changed_a_component_is_named_by_the_node_that_remembers_it() {
        for me in Party::ALL {
            // The third component of a node is that before its own.
            let known = witness(me.prev().index() as u8);
            assert_eq!(judge(me, "x", &marks(None), Some(&known)), []);
            assert_eq!(judge(me, "x", &marks(None), None), []);
            for changed in Party::ALL.into_iter().flat_map(|party| [(party, 0), (party, 1)]) {
                let (liar, k) = changed;
                let component = if k == 0 { liar } else { liar.next() };
                let [finding] = judge(me, "x", &marks(Some(changed)), Some(&known)).try_into().expect("one");
                let remembers = component.next() == me;
                if remembers {
                    assert_eq!(finding.suspects, [liar.index() as u8], "{me} {changed:?}");
                } else if liar != me {
                    assert!(finding.suspects.contains(&(liar.index() as u8)), "{me} {changed:?}");
                }
            }
            let both = judge(me, "x", &marks(None), Some(&witness(7)));
            assert_eq!(both.len(), 1, "two holders have agreed on something else");
            assert!(!both[0].suspects.contains(&(me.index() as u8)));
        }
    }
}
