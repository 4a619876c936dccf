//! Whether the three nodes hold the same tables for a job.

use super::{Failure, FailureKind, sources::Marks};
use sha2::{Digest as _, Sha256};
use trefoil_engine::{
    Error, Party, PeerFault,
    transport::{Link, Path, SessionId, Transport},
};

/// Presence, or presence and knowledge that it is within its limit, and the mark of the shares of the table.
const ENTRY: usize = 1 + 32;

/// A mark alone: of shares that are prepared, or zeros.
const MARK: usize = 32;

/// The outcome, for each table, or why the job fails.
pub(super) type Agreement = Result<Vec<Agreed>, Failure>;

/// What the nodes have found of a table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Agreed {
    /// Whether all three know it to be within its limit.
    pub(super) within: bool,
    /// The mark of the shares that this node has prepared and has to put in use: both others have, so that all three have prepared them.
    pub(super) advances: Option<[u8; MARK]>,
}

/// A table of a job at this node.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// As messages name it.
    pub(super) name: String,
    /// The shares of it that this node has, if it has the table.
    pub(super) shares: Option<Marks>,
    /// Whether this node knows it to be within the limit that the job sets it.
    pub(super) within: bool,
}

const PRESENT: u8 = 1;
const WITHIN: u8 = 2;
/// Beside one of these: there are shares that are prepared, whose marks all nodes send in a second message.
const PENDING: u8 = 4;
/// Beside one of these: the shares were made anew since the table was uploaded.
const RENEWED: u8 = 8;

/// Tells both peers which tables this node has for the job, by the marks of its shares, and compares with what they say. All three come to the same
/// conclusion, which names the table and the node.
///
/// A mark says that the nodes were given the same upload and are in the same epoch, not that they were given shares that fit: that is found when the input is taken in, in malicious
/// mode. Who lies here makes the job fail, which it could in other ways. A table is taken for within its limit only if all three say so, each of which has found that in a job of its own memory: who says
/// to both that it has not makes all three look again. Who says one thing to one peer and another to the other would send these two on different ways, and each would take the other's messages for those of
/// a node that misbehaves. So the nodes compare what they have heard before they go on.
///
/// Where a refresh was interrupted, nodes may have new shares in use that another one has only prepared. Nobody honest puts shares in use before all three have prepared them, so where two nodes have the same shares in use and the third has
/// prepared them, that one puts them in use now. Whatever else there is is left for the next upkeep to settle, in which the three decide by the same messages: a refresh may be under way.
///
/// Not cancel safe: end the session if this is dropped.
///
/// # Errors
/// As [`Link`](trefoil_engine::transport::Link), and [`Error::Peer`] for what no honest node says.
pub(super) async fn agree(
    me: Party,
    session: SessionId,
    net: &dyn Transport,
    tables: &[Entry],
) -> Result<Agreement, Error> {
    if tables.is_empty() {
        return Ok(Ok(Vec::new()));
    }
    exchange(me, session, net, tables).await
}

/// The turns have the path above it; no strand has either.
fn path() -> Path {
    Path::root().child(u32::MAX).child(0)
}

async fn exchange(me: Party, session: SessionId, net: &dyn Transport, tables: &[Entry]) -> Result<Agreement, Error> {
    let mut link = net.open(session, path()).await?;
    let mut said = [(); 3].map(|()| vec![0; tables.len() * ENTRY]);
    for (entry, table) in said[me.index()].chunks_exact_mut(ENTRY).zip(tables) {
        if let Some(Marks { current, pending, is_renewed }) = table.shares {
            entry[0] = if table.within { WITHIN } else { PRESENT };
            entry[0] |= if pending.is_some() { PENDING } else { 0 } | if is_renewed { RENEWED } else { 0 };
            entry[1..].copy_from_slice(&current);
        }
    }
    tell(&mut *link, me, &mut said).await?;
    let states = |said: &[u8]| said.chunks_exact(ENTRY).map(|entry| entry[0]).collect::<Vec<_>>();
    for peer in me.peers() {
        let is_state = |state: &u8| matches!(state & !(PENDING | RENEWED), PRESENT | WITHIN) || *state == 0;
        if !states(&said[peer.index()]).iter().all(is_state) {
            return Err(Error::Peer { peer, fault: PeerFault::Malformed("tables neither present nor absent".into()) });
        }
    }
    let mut prepared = [(); 3].map(|()| vec![0; tables.len() * MARK]);
    if said.iter().any(|said| states(said).iter().any(|state| state & PENDING != 0)) {
        for (mark, table) in prepared[me.index()].chunks_exact_mut(MARK).zip(tables) {
            mark.copy_from_slice(&table.shares.and_then(|shares| shares.pending).unwrap_or_default());
        }
        tell(&mut *link, me, &mut prepared).await?;
        said.iter_mut().zip(&prepared).for_each(|(said, prepared)| said.extend_from_slice(prepared));
    }
    let heard = Sha256::digest(said.concat());
    for peer in me.peers() {
        link.send(peer, heard.to_vec().into()).await?;
    }
    let mut others = [[0; 32]; 2];
    for (peer, heard) in me.peers().into_iter().zip(&mut others) {
        link.recv(peer, heard).await?;
    }
    if others.iter().any(|other| other[..] != heard[..]) {
        return Ok(Err(contradicted(me)));
    }
    let compared = tables.iter().enumerate().map(|(k, table)| {
        let prepared = prepared.each_ref().map(|prepared| &prepared[k * MARK..][..MARK]);
        compare(me, &table.name, &entries(&said, k), &prepared)
    });
    Ok(compared.collect())
}

/// Sends this node's part to both, and has theirs, of the same length.
async fn tell(link: &mut dyn Link, me: Party, said: &mut [Vec<u8>; 3]) -> Result<(), Error> {
    for peer in me.peers() {
        link.send(peer, said[me.index()].clone().into()).await?;
    }
    for peer in me.peers() {
        link.recv(peer, &mut said[peer.index()]).await?;
    }
    Ok(())
}

/// The nodes have heard different things: one of the peers has lied, to this node or to the other.
fn contradicted(me: Party) -> Failure {
    let [one, other] = me.peers();
    let cause = format!(
        "the nodes have heard different things of each other's tables: {one} or {other} deviated from the protocol, and nothing was computed; find out what runs there before anything is submitted again"
    );
    Failure::new(FailureKind::Misbehaved, cause).suspecting([one, other])
}

fn entries(said: &[Vec<u8>; 3], k: usize) -> [&[u8]; 3] {
    said.each_ref().map(|entries| &entries[k * ENTRY..][..ENTRY])
}

fn compare(me: Party, table: &str, entries: &[&[u8]; 3], prepared: &[&[u8]; 3]) -> Result<Agreed, Failure> {
    let of = |p: Party| &entries[p.index()][1..];
    if let Some(p) = Party::ALL.into_iter().find(|p| entries[p.index()][0] == 0) {
        let cause = format!("{p} has no {table}; its owner must upload that version to all three nodes");
        return Err(Failure::new(FailureKind::Mismatch, cause).blaming(p));
    }
    let have = |mark: &[u8]| Party::ALL.into_iter().all(|p| of(p) == mark || prepared[p.index()] == mark);
    let in_use = |mark: &[u8]| Party::ALL.into_iter().filter(|p| of(*p) == mark).count();
    if let Some(common) = Party::ALL.into_iter().map(of).find(|mark| have(mark)) {
        let within = entries.iter().all(|entry| entry[0] & WITHIN != 0);
        let mut mark = [0; MARK];
        mark.copy_from_slice(common);
        // Of two one is honest, and nobody can decide to abandon what an honest node has put in use. On the word of one alone this node would commit what the other may be about to abandon.
        return match in_use(common) {
            3 => Ok(Agreed { within, advances: None }),
            2 => Ok(Agreed { within, advances: Some(mark).filter(|_| of(me) != common) }),
            _ => Err(changing(table)),
        };
    }
    if entries.iter().any(|entry| entry[0] & (PENDING | RENEWED) != 0) {
        // The nodes say what they have at different moments: nobody is at fault.
        return Err(changing(table));
    }
    let differs = |p: Party| of(p) != of(p.next()) && of(p) != of(p.prev());
    match Party::ALL.map(differs) {
        [true, true, true] => {
            let cause = format!("all nodes hold different uploads of {table}; its owner must upload a new version");
            Err(Failure::new(FailureKind::Mismatch, cause))
        }
        different => {
            let p = Party::ALL[different.iter().position(|d| *d).unwrap_or_default()];
            let cause =
                format!("{p} holds another upload of {table} than the others; its owner must upload a new version");
            Err(Failure::new(FailureKind::Mismatch, cause).blaming(p))
        }
    }
}

/// The nodes have shares of different epochs.
fn changing(table: &str) -> Failure {
    let cause = format!(
        "the nodes have shares of {table} of different epochs: they are being made anew, so submit the job again; if this stays, a refresh was broken off or a node was restored from a backup, and an operator finds out by `trefoil store compare`"
    );
    Failure::new(FailureKind::Mismatch, cause)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use trefoil_engine::transport::memory::{Conditions, Memory};

    const SESSION: SessionId = SessionId([1; 16]);

    /// What the nodes conclude of one table, each with its digest of it.
    async fn conclude(digests: [Option<[u8; 32]>; 3], within: [bool; 3]) -> [Agreement; 3] {
        conclude_of(
            digests.map(|digest| digest.map(|current| Marks { current, pending: None, is_renewed: false })),
            within,
        )
        .await
    }

    async fn conclude_of(shares: [Option<Marks>; 3], within: [bool; 3]) -> [Agreement; 3] {
        let net = Memory::new(Conditions::default());
        let [a, b, c] = Party::ALL.map(|me| {
            let seat = net.seat(me);
            async move {
                let (shares, within) = (shares[me.index()], within[me.index()]);
                let entry = Entry { name: "table `x`".to_owned(), shares, within };
                exchange(me, SESSION, &*seat, &[entry]).await.expect("no fault")
            }
        });
        together(a, b, c).await
    }

    async fn together<T>(a: impl Future<Output = T>, b: impl Future<Output = T>, c: impl Future<Output = T>) -> [T; 3] {
        let (a, b, c) = tokio::join!(a, b, c);
        [a, b, c]
    }

    #[tokio::test]
    async fn all_three_name_the_same_node() {
        let (one, two, three) = (Some([1; 32]), Some([2; 32]), Some([3; 32]));
        for within in [[true; 3], [false; 3], [true, true, false]] {
            let known = Ok(vec![Agreed { within: within == [true; 3], advances: None }]);
            assert_eq!(conclude([one; 3], within).await, [known.clone(), known.clone(), known]);
        }
        for (digests, cause, blamed) in [
            ([one, None, one], "P1 has no table `x`", Some(1)),
            ([None, None, one], "P0 has no table `x`", Some(0)),
            ([one, one, two], "P2 holds another upload of table `x`", Some(2)),
            ([two, one, one], "P0 holds another upload of table `x`", Some(0)),
            ([one, two, three], "all nodes hold different uploads", None),
        ] {
            for agreement in conclude(digests, [true, false, true]).await {
                let failure = agreement.expect_err("no agreement");
                assert!(failure.cause.contains(cause), "{}", failure.cause);
                assert_eq!((failure.kind, failure.blamed), (FailureKind::Mismatch, blamed));
            }
        }
    }

    /// A refresh was interrupted: whoever has only prepared what both others have in use puts it in use.
    #[tokio::test]
    async fn shares_that_two_have_in_use_and_all_have_are_put_in_use() {
        let held = |current: u8, pending: Option<u8>| {
            let pending = pending.map(|mark| [mark; 32]);
            Some(Marks { current: [current; 32], pending, is_renewed: current > 1 })
        };
        let (old, prepared, new) = (held(1, None), held(1, Some(2)), held(2, None));
        for (shares, advances) in [
            ([prepared, prepared, prepared], [false; 3]),
            ([prepared, old, prepared], [false; 3]),
            ([new, new, prepared], [false, false, true]),
            ([new, new, new], [false; 3]),
            // The next one is prepared at one of them.
            ([held(2, Some(3)), prepared, new], [false, true, false]),
        ] {
            let all = conclude_of(shares, [true; 3]).await;
            for (agreement, advances) in all.into_iter().zip(advances) {
                assert_eq!(
                    agreement,
                    Ok(vec![Agreed { within: true, advances: advances.then_some([2; 32]) }]),
                    "{shares:?}"
                );
            }
        }
        for shares in [
            // One alone has them in use, or says so: the others may be about to abandon them.
            [new, prepared, prepared],
            // P1 has not prepared what P0 says that it has in use.
            [new, old, prepared],
            [new, new, old],
            [prepared, held(3, None), new],
        ] {
            for agreement in conclude_of(shares, [true; 3]).await {
                let failure = agreement.expect_err("no agreement");
                assert!(failure.cause.contains("different epochs"), "{}", failure.cause);
                assert_eq!((failure.kind, failure.blamed), (FailureKind::Mismatch, None), "{}", failure.cause);
            }
        }
    }

    /// P0 has found the table to be within its limit, it says to P1, and not to P2: one would check it, and the other would not.
    #[tokio::test]
    async fn who_says_one_thing_to_one_and_another_to_the_other_frames_nobody() {
        let net = Memory::new(Conditions::default());
        let says = |what: u8| [&[what][..], &[1; 32]].concat();
        let mut liar = net.seat(Party::P0).open(SESSION, path()).await.expect("memory");
        for (peer, what) in [(Party::P1, WITHIN), (Party::P2, PRESENT)] {
            liar.send(peer, says(what).into()).await.expect("memory");
            // It agrees with each.
            let heard = Sha256::digest([says(what), says(WITHIN), says(WITHIN)].concat());
            liar.send(peer, heard.to_vec().into()).await.expect("memory");
        }
        let shares = Some(Marks { current: [1; 32], pending: None, is_renewed: false });
        let entries = [Entry { name: "table".to_owned(), shares, within: true }];
        let [one, two] = [Party::P1, Party::P2].map(|me| {
            let (seat, entries) = (net.seat(me), &entries);
            async move { exchange(me, SESSION, &*seat, entries).await.expect("no fault of the link") }
        });
        let (one, two) = tokio::join!(one, two);
        for (failure, suspects) in [(one, [0, 2]), (two, [0, 1])] {
            let failure = failure.expect_err("they disagree");
            assert_eq!((failure.kind, failure.blamed), (FailureKind::Misbehaved, None));
            assert_eq!(failure.suspects, suspects, "{}", failure.cause);
        }
    }

    #[tokio::test]
    async fn what_no_honest_node_says_is_blamed() {
        let net = Memory::new(Conditions::default());
        let mut said = vec![0; ENTRY];
        said[0] = 3;
        for p in [Party::P1, Party::P2] {
            let mut link = net.seat(p).open(SESSION, path()).await.expect("memory");
            link.send(Party::P0, said.clone().into()).await.expect("memory");
        }
        let shares = Some(Marks { current: [1; 32], pending: None, is_renewed: false });
        let entry = Entry { name: "table".to_owned(), shares, within: false };
        let error = exchange(Party::P0, SESSION, &*net.seat(Party::P0), &[entry]).await.expect_err("nonsense");
        assert!(matches!(error, Error::Peer { peer: Party::P1, .. }), "{error}");
    }
}
