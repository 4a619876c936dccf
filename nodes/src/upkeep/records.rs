//! What a node keeps beside shares: lists of templates, credentials, issuers, counters.

use super::{
    Finding,
    items::own,
    talk::{Broken, LONGEST, Talk},
};
use crate::{
    auth::{same_templates, stricter},
    store::{Space, Store, Value},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};
use trefoil_engine::{Error, Party, PeerFault};

/// The records that are the same at all nodes, or count something.
const SPACES: [(Space, &str); 3] = [(Space::Templates, "user/"), (Space::Credentials, ""), (Space::Counters, "")];

/// Records in a message, at most.
const AT_ONCE: usize = 512;

/// Digits of the values in a message, at most, unless it has one record alone.
const DIGITS: usize = LONGEST / 2;

/// A name, and the value as hexadecimal digits.
#[derive(Deserialize, Serialize)]
struct Record(String, String);

/// Gives a node that has lost them the records that both others have. Of counters it takes the stricter of two; what else differs is named.
pub(super) async fn rebuild(talk: &mut Talk, store: &Store, lost: Party) -> Result<Vec<Finding>, Broken> {
    let mut findings = Vec::new();
    for (space, prefix) in SPACES {
        let mine = if talk.me() == lost { Vec::new() } else { store.list(space, prefix).await.map_err(own)? };
        let names: Vec<String> = mine.into_iter().filter_map(|name| String::from_utf8(name).ok()).collect();
        let all = talk.share(&names).await?;
        let [next, prev] = [lost.next(), lost.prev()].map(|party| &all[party.index()]);
        let [next, prev] = [next, prev].map(|names| names.iter().collect::<BTreeSet<&String>>());
        let common: Vec<&String> = next.intersection(&prev).copied().collect();
        if talk.me() == lost && space != Space::Counters {
            findings.extend(next.symmetric_difference(&prev).map(|name| {
                let cause = "one of the two nodes does not have it; its owner repeats what was interrupted";
                Finding::new(format!("the record {name}"), cause)
            }));
        }
        let mut rest = &common[..];
        while !rest.is_empty() {
            let due = &rest[..rest.len().min(AT_ONCE)];
            let records = if talk.me() == lost { Vec::new() } else { some(store, space, due).await? };
            let all = talk.share(&records).await?;
            // Who has longer ones has sent less of them.
            let senders = [lost.next(), lost.prev()];
            let sent = senders.map(|party| all[party.index()].len()).into_iter().min().unwrap_or(0);
            if let Some(silent) = senders.into_iter().find(|party| !(1..=due.len()).contains(&all[party.index()].len()))
            {
                return Err(malformed(silent));
            }
            let (names, others) = rest.split_at(sent);
            rest = others;
            if talk.me() == lost {
                let [next, prev] = senders.map(|party| {
                    let of = all[party.index()].iter();
                    of.map(|Record(name, value)| (name.clone(), value.clone())).collect::<BTreeMap<_, _>>()
                });
                findings.extend(take(store, space, (names, &next, &prev)).await?);
            }
        }
    }
    Ok(findings)
}

/// The first of some records: as many as a message has room for, and one at least.
async fn some(store: &Store, space: Space, names: &[&String]) -> Result<Vec<Record>, Broken> {
    let (mut records, mut digits) = (Vec::with_capacity(names.len()), 0);
    for name in names {
        let value = store.get(space, name.as_bytes()).await.map_err(own)?.unwrap_or_default();
        digits += name.len() + 2 * value.len();
        if digits > DIGITS && !records.is_empty() {
            break;
        }
        records.push(Record((*name).clone(), hex::encode(&*value)));
    }
    Ok(records)
}

fn malformed(party: Party) -> Broken {
    Broken::Link(Error::Peer { peer: party, fault: PeerFault::Malformed("records other than were due".to_owned()) })
}

/// Two lists of one record: of each, what both could have told is read.
#[cfg(any(test, fuzzing))]
pub(super) fn read_records(text: &[u8]) {
    let Some([one, other]) = super::fuzzing::read::<[Vec<Record>; 2]>(text) else { return };
    for (Record(_, one), Record(_, other)) in one.iter().zip(&other) {
        let (Ok(one), Ok(other)) = (hex::decode(one), hex::decode(other)) else { continue };
        let (one, other) = (Value::new(one), Value::new(other));
        let _ = (stricter(&one, &other), same_templates(&one, &other));
    }
}

type Values = BTreeMap<String, String>;

/// Writes what both nodes have told of records that are not there.
async fn take(
    store: &Store,
    space: Space,
    (names, next, prev): (&[&String], &Values, &Values),
) -> Result<Vec<Finding>, Broken> {
    let (mut findings, mut taken) = (Vec::new(), Vec::new());
    for name in names {
        let value = |of: &Values| of.get(*name).and_then(|value| hex::decode(value).ok()).map(Value::new);
        let (Some(one), Some(other)) = (value(next), value(prev)) else { continue };
        let chosen = match space {
            Space::Counters => stricter(&one, &other),
            _ if one == other => Some(one),
            Space::Templates => same_templates(&one, &other),
            _ => None,
        };
        match chosen {
            Some(value) if !value.is_empty() => taken.push((name.as_bytes().to_vec(), value)),
            Some(_) => {}
            // How many templates an owner has is counted anew.
            None if space == Space::Counters => {}
            None => findings.push(Finding::new(
                format!("the record {name}"),
                "the two nodes have different ones; its owner repeats what was interrupted, or deletes it",
            )),
        }
    }
    let write = store.write(move |records| {
        for (name, value) in taken {
            if records.get(space, &name)?.is_none() {
                records.put(space, &name, &value)?;
            }
        }
        Ok::<_, crate::store::StoreError>(())
    });
    write.await.map_err(own)?;
    Ok(findings)
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record({})", self.0)
    }
}
