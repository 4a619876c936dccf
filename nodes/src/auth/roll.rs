//! Which templates a search goes through where the nodes do not have the same ones in use of every user.
//!
//! A refresh that broke off leaves shares of another version at some node, and all have one of them: that is searched, as a login would compare it. Where a node has other templates, and not only other shares of the same,
//! the user could be missed: whoever asks is told the name.

use super::{
    TemplateStatus, UserName,
    spec::digest,
    vote::{BALLOT, Ballot, Common, alike, choose, joined, split},
};
use crate::job::Failure;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use trefoil_engine::{
    Error, Party, PeerFault,
    transport::{Link, Path, SessionId, Transport},
};

/// Which templates there are, whatever their shares. Zeros for none.
pub(super) type Which = [u8; 32];

/// What a node has of a user, for a search.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Entry {
    pub(super) user: UserName,
    pub(super) ballot: Ballot,
    /// The templates in use that would be searched.
    pub(super) which: Which,
}

/// The users of whom there is something to search, each with the version that all three nodes have; without one where they have different templates.
pub(super) type Agreed = BTreeMap<UserName, Option<Common>>;

/// The name of a user, as long as any.
const NAME: usize = 64;
const ENTRY: usize = NAME + BALLOT + 32;

/// Which of the nodes' users are searched, out of what each has. All three come to the same, or the session ends: a node that says different things of itself is found out as in [`common`](super::vote::common).
///
/// Not cancel safe: end the session if this is dropped.
///
/// # Errors
/// As [`Link`].
pub(super) async fn agree(
    me: Party,
    (session, vote): (SessionId, u32),
    net: &dyn Transport,
    (mine, most): (&[Entry], usize),
) -> Result<Result<Agreed, Failure>, Error> {
    let mut link = net.open(session, Path::root().child(u32::MAX).child(vote)).await?;
    let mut said = [const { Vec::new() }; 3];
    said[me.index()] = mine.iter().flat_map(encode).collect();
    let (next, prev) = (me.next(), me.prev());
    said[prev.index()] = told(&mut *link, (next, &said[me.index()]), (prev, most)).await?;
    said[next.index()] = told(&mut *link, (prev, &said[me.index()]), (next, most)).await?;
    let heard = said.iter().map(Sha256::digest).collect::<Vec<_>>().concat();
    if let Err(failure) = alike(me, &mut *link, Sha256::digest(heard).into()).await? {
        return Ok(Err(failure));
    }
    let mut all = [const { BTreeMap::new() }; 3];
    for (party, said) in Party::ALL.into_iter().zip(&said) {
        let malformed = || Error::Peer { peer: party, fault: PeerFault::Malformed("a list of users".to_owned()) };
        all[party.index()] = decode(said).ok_or_else(malformed)?;
    }
    Ok(Ok(merge(&all)))
}

/// Which templates these are.
pub(super) fn which<'a>(templates: impl IntoIterator<Item = &'a TemplateStatus>) -> Which {
    let mut names: Vec<_> = templates.into_iter().map(|held| (&held.name, held.enrolment.to_string())).collect();
    names.sort_unstable();
    if names.is_empty() { [0; 32] } else { digest("which", &names) }
}

/// Sends a list to one and has another's. Both go on at the same time: three full windows would wait for each other.
async fn told(link: &mut dyn Link, (to, said): (Party, &[u8]), (from, most): (Party, usize)) -> Result<Vec<u8>, Error> {
    let mut length = [0; 8];
    link.exchange(to, (said.len() as u64).to_le_bytes().to_vec().into(), from, &mut length).await?;
    let length = usize::try_from(u64::from_le_bytes(length)).unwrap_or(usize::MAX);
    if !length.is_multiple_of(ENTRY) || length / ENTRY > most {
        let fault = PeerFault::Malformed("a list of users that is longer than any".to_owned());
        return Err(Error::Peer { peer: from, fault });
    }
    let mut heard = vec![0; length];
    link.exchange(to, said.to_vec().into(), from, &mut heard).await?;
    Ok(heard)
}

fn merge(all: &[BTreeMap<UserName, Entry>; 3]) -> Agreed {
    let users: BTreeSet<&UserName> = all.iter().flat_map(BTreeMap::keys).collect();
    let mut agreed = Agreed::new();
    for user in users {
        let entries = all.each_ref().map(|of_node| of_node.get(user));
        let [a, b, c] = entries.map(|entry| entry.map_or([0; 32], |entry| entry.which));
        match entries {
            // What is there is of before at all three.
            _ if [a, b, c] == [[0; 32]; 3] => {}
            [Some(x), Some(y), Some(z)] if a == b && b == c => {
                agreed.insert(user.clone(), choose([x.ballot, y.ballot, z.ballot]).ok());
            }
            _ => {
                agreed.insert(user.clone(), None);
            }
        }
    }
    agreed
}

fn encode(entry: &Entry) -> [u8; ENTRY] {
    let mut bytes = [0; ENTRY];
    let name = entry.user.to_string();
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    bytes[NAME..NAME + BALLOT].copy_from_slice(&joined(entry.ballot));
    bytes[NAME + BALLOT..].copy_from_slice(&entry.which);
    bytes
}

/// Entries in the order of their names, each once.
fn decode(bytes: &[u8]) -> Option<BTreeMap<UserName, Entry>> {
    let mut all = BTreeMap::new();
    let (entries, []) = bytes.as_chunks::<ENTRY>() else { return None };
    for entry in entries {
        let (name, rest) = entry.split_first_chunk::<NAME>()?;
        let (ballot, rest) = rest.split_first_chunk::<BALLOT>()?;
        let user: UserName = std::str::from_utf8(name).ok()?.trim_end_matches('\0').parse().ok()?;
        if all.last_key_value().is_some_and(|(last, _)| *last >= user) {
            return None;
        }
        let entry = Entry { user: user.clone(), ballot: split(ballot), which: rest.try_into().ok()? };
        all.insert(user, entry);
    }
    Some(all)
}

/// Reads bytes as a list of users. What is read must read back as itself.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_any(bytes: &[u8]) {
    if let Some(list) = decode(bytes) {
        let again: Vec<u8> = list.values().flat_map(encode).collect();
        assert_eq!(decode(&again), Some(list.clone()));
        let _ = merge(&[list.clone(), list, BTreeMap::new()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trefoil_engine::transport::memory::{Conditions, Memory};

    fn entry(user: &str, versions: [u8; 2], which: u8) -> Entry {
        let ballot = Ballot { versions: versions.map(|version| [version; 32]), in_memory: true };
        Entry { user: user.parse().expect("a name"), ballot, which: [which; 32] }
    }

    async fn agreed(all: [Vec<Entry>; 3]) -> [Result<Agreed, Failure>; 3] {
        let net = Memory::new(Conditions::default());
        let [a, b, c] = Party::ALL.map(|me| {
            let (seat, mine) = (net.seat(me), all[me.index()].clone());
            async move { agree(me, (SessionId([1; 16]), 2), &*seat, (&mine, 8)).await.expect("no fault of the link") }
        });
        let (a, b, c) = tokio::join!(a, b, c);
        [a, b, c]
    }

    /// P1 has not written down the end of a refresh of bob, of an enrolment of carol's second template, and of dave's first; erin is erased at P2 alone; of frank's, the nodes have no version in common.
    #[tokio::test]
    async fn who_could_be_missed_is_named_and_who_could_not_is_searched() {
        let of = |me: Party| {
            let behind = me == Party::P1;
            let mut all = vec![
                entry("alice", [1, 1], 1),
                if behind { entry("bob", [1, 1], 1) } else { entry("bob", [2, 1], 1) },
                if behind { entry("carol", [1, 1], 1) } else { entry("carol", [2, 1], 2) },
            ];
            if !behind {
                all.push(entry("dave", [1, 9], 1));
            }
            if me != Party::P2 {
                all.push(entry("erin", [1, 1], 1));
            }
            all.push(entry("frank", if behind { [3, 3] } else { [1, 1] }, 1));
            // Erased at all three, and not forgotten yet.
            all.push(entry("grace", [9, 1], 0));
            all
        };
        for result in agreed(Party::ALL.map(of)).await {
            let agreed = result.expect("all are honest");
            let versions: Vec<_> = agreed
                .iter()
                .map(|(user, common)| (user.to_string(), common.map(|c| (c.version[0], c.settled))))
                .collect();
            let due = [
                ("alice", Some((1, true))),
                ("bob", Some((1, false))),
                ("carol", None),
                ("dave", None),
                ("erin", None),
                ("frank", None),
            ];
            assert_eq!(versions, due.map(|(user, version)| (user.to_owned(), version)));
        }
    }

    /// P0 names bob to P1 and hides him from P2, so that one would search him and the other leave him out.
    #[tokio::test]
    async fn who_tells_the_nodes_different_lists_ends_the_search() {
        let (net, honest) = (Memory::new(Conditions::default()), [entry("alice", [1, 1], 1), entry("bob", [1, 1], 1)]);
        let lie = async {
            let seat = net.seat(Party::P0);
            let path = Path::root().child(u32::MAX).child(2);
            let mut link = seat.open(SessionId([1; 16]), path).await.expect("memory");
            let full: Vec<u8> = honest.iter().flat_map(encode).collect();
            for (peer, said) in [(Party::P1, full.clone()), (Party::P2, full[..ENTRY].to_vec())] {
                link.send(peer, (said.len() as u64).to_le_bytes().to_vec().into()).await.expect("memory");
                link.send(peer, said.clone().into()).await.expect("memory");
                let heard = [said, full.clone(), full.clone()].iter().map(Sha256::digest).collect::<Vec<_>>().concat();
                link.send(peer, Sha256::digest(heard).to_vec().into()).await.expect("memory");
            }
            link
        };
        let [one, two] = [Party::P1, Party::P2].map(|me| {
            let (seat, honest) = (net.seat(me), &honest);
            async move { agree(me, (SessionId([1; 16]), 2), &*seat, (honest, 8)).await.expect("no fault of the link") }
        });
        let (_link, one, two) = tokio::join!(lie, one, two);
        for failure in [one, two] {
            assert_eq!(failure.expect_err("they disagree").kind, crate::job::FailureKind::Misbehaved);
        }
    }

    #[test]
    fn a_list_is_in_order_and_in_its_form() {
        let list = |users: &[&str]| users.iter().flat_map(|user| encode(&entry(user, [1, 2], 3))).collect::<Vec<u8>>();
        let read = decode(&list(&["alice", "bob"])).expect("what was written");
        assert_eq!(read.into_values().collect::<Vec<_>>(), [entry("alice", [1, 2], 3), entry("bob", [1, 2], 3)]);
        assert!(decode(&list(&["bob", "alice"])).is_none() && decode(&list(&["bob", "bob"])).is_none());
        assert!(decode(&list(&["bob"])[1..]).is_none());
        let mut wrong = list(&["bob"]);
        wrong[1] = b'/';
        assert!(decode(&wrong).is_none());
    }
}
