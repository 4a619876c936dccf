//! Which version of a user's templates all three nodes have.

use crate::job::{Failure, FailureKind};
use sha2::{Digest as _, Sha256};
use trefoil_engine::{
    Error, Party,
    transport::{Link, Path, SessionId, Transport},
};

/// A version by its digest; zeros for none.
pub(super) type Version = [u8; 32];

/// What a node has of a user's templates.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Ballot {
    /// The version in use, and the one before if the node does not know yet that all have the new one; the one in use twice if it does.
    pub(super) versions: [Version; 2],
    /// Whether the shares of the one in use are in memory.
    pub(super) in_memory: bool,
}

/// What all three nodes have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Common {
    /// The newest version that all have.
    pub(super) version: Version,
    /// Whether it is the one in use at all three.
    pub(super) settled: bool,
    /// Whether its shares are in memory at all three: those of one node alone cannot be compared with the others'.
    pub(super) in_memory: bool,
}

/// The newest version that all three nodes have, out of two at each: the one in use, and the one before if the node does not know yet that all have the new one.
///
/// A node that crashed between the end of a session and its last write is one version behind; all three then go on with the older one. A node that lies about what it has can bring
/// about that the older version is used, which is as good, or that the session ends. If it says one thing to one and another to the other, the two would compute with different shares: so all
/// compare what they have heard before they go on.
///
/// Not cancel safe: end the session if this is dropped.
///
/// # Errors
/// As [`Link`](trefoil_engine::transport::Link).
pub(super) async fn common(
    me: Party,
    (session, vote): (SessionId, u32),
    net: &dyn Transport,
    mine: Ballot,
) -> Result<Result<Common, Failure>, Error> {
    // The turns have the path above it; no strand has either.
    let mut link = net.open(session, Path::root().child(u32::MAX).child(vote)).await?;
    let mut said = [[0; BALLOT]; 3];
    said[me.index()] = joined(mine);
    for peer in me.peers() {
        link.send(peer, said[me.index()].to_vec().into()).await?;
    }
    for peer in me.peers() {
        link.recv(peer, &mut said[peer.index()]).await?;
    }
    let heard = alike(me, &mut *link, Sha256::digest(said.concat()).into()).await?;
    Ok(heard.and_then(|()| choose(said.map(|said| split(&said)))))
}

/// Whether all three nodes have heard the same, which this digest stands for.
///
/// Not cancel safe: end the session if this is dropped.
pub(super) async fn alike(me: Party, link: &mut dyn Link, heard: [u8; 32]) -> Result<Result<(), Failure>, Error> {
    for peer in me.peers() {
        link.send(peer, heard.to_vec().into()).await?;
    }
    let mut others = [[0; 32]; 2];
    for (peer, other) in me.peers().into_iter().zip(&mut others) {
        link.recv(peer, other).await?;
    }
    if others.iter().all(|other| *other == heard) {
        return Ok(Ok(()));
    }
    let [one, other] = me.peers();
    let cause = format!(
        "the nodes have heard different things of each other's templates: {one} or {other} deviated from the protocol, and nothing was computed; find out what runs there"
    );
    Ok(Err(Failure::new(FailureKind::Misbehaved, cause).suspecting([one, other])))
}

/// The newest one that all have; which is newer, most of them say.
pub(super) fn choose(said: [Ballot; 3]) -> Result<Common, Failure> {
    let at = said.map(|ballot| ballot.versions);
    let has_all = |version: &&Version| at.iter().all(|at| at.contains(version));
    let current = at.iter().map(|[current, _]| current).find(has_all);
    let chosen = current.or_else(|| at.iter().map(|[_, before]| before).find(has_all));
    let common = |&version: &Version| {
        let settled = at.iter().all(|[current, _]| *current == version);
        Common { version, settled, in_memory: settled && said.iter().all(|ballot| ballot.in_memory) }
    };
    chosen.map(common).ok_or_else(|| {
        let current = at.map(|[current, _]| current);
        let apart = Party::ALL.into_iter().find(|p| current[p.next().index()] == current[p.prev().index()]);
        let cause = "has other templates of this user than the others; the owner deletes them at all nodes and enrols the user again";
        match apart {
            Some(p) => Failure::new(FailureKind::Mismatch, format!("{p} {cause}")).blaming(p),
            None => Failure::new(FailureKind::Mismatch, format!("every node {cause}")),
        }
    })
}

/// Bytes of a ballot.
pub(super) const BALLOT: usize = 65;

pub(super) fn joined(ballot: Ballot) -> [u8; BALLOT] {
    let mut bytes = [0; BALLOT];
    let [current, before] = ballot.versions;
    bytes[..32].copy_from_slice(&current);
    bytes[32..64].copy_from_slice(&before);
    bytes[64] = u8::from(ballot.in_memory);
    bytes
}

pub(super) fn split(bytes: &[u8; BALLOT]) -> Ballot {
    let mut versions = [[0; 32]; 2];
    versions.iter_mut().zip(bytes.chunks_exact(32)).for_each(|(version, part)| version.copy_from_slice(part));
    Ballot { versions, in_memory: bytes[64] == 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trefoil_engine::transport::memory::{Conditions, Memory};

    const NEW: Version = [2; 32];
    const OLD: Version = [1; 32];
    const NONE: Version = [0; 32];

    fn ballot(versions: [Version; 2]) -> Ballot {
        Ballot { versions, in_memory: true }
    }

    #[tokio::test]
    async fn a_crash_between_two_writes_leaves_a_version_that_all_have() {
        for (at, due) in [
            ([[NEW, OLD]; 3], Some(NEW)),
            ([[NEW, NEW]; 3], Some(NEW)),
            ([[NEW, OLD], [OLD, OLD], [NEW, OLD]], Some(OLD)),
            ([[OLD, OLD], [OLD, OLD], [NEW, OLD]], Some(OLD)),
            // The third has heard that all have the new one, and erased the old one.
            ([[NEW, OLD], [NEW, OLD], [NEW, NEW]], Some(NEW)),
            ([[NEW, NONE], [NONE, NONE], [NONE, NONE]], Some(NONE)),
            ([[NEW, NEW], [NEW, NEW], [OLD, OLD]], None),
        ] {
            let net = Memory::new(Conditions::default());
            let [a, b, c] = Party::ALL.map(|me| {
                let seat = net.seat(me);
                async move {
                    common(me, (SessionId([1; 16]), 0), &*seat, ballot(at[me.index()]))
                        .await
                        .expect("no fault of the link")
                }
            });
            let (a, b, c) = tokio::join!(a, b, c);
            for chosen in [a, b, c] {
                match (chosen, due) {
                    (Ok(common), Some(due)) => {
                        assert_eq!(common.version, due);
                        assert_eq!(common.settled, at.iter().all(|[current, _]| *current == due));
                        assert_eq!(common.in_memory, common.settled);
                    }
                    (Err(failure), None) => assert_eq!(failure.blamed, Some(2), "{}", failure.cause),
                    (other, _) => panic!("{at:?}: {other:?}"),
                }
            }
        }
    }

    /// P0 says to P1 that it has the new version, and to P2 that it has not: each alone would compute with other shares.
    #[tokio::test]
    async fn who_says_different_things_ends_the_session() {
        let net = Memory::new(Conditions::default());
        let path = Path::root().child(u32::MAX).child(0);
        let mut liar = net.seat(Party::P0).open(SessionId([1; 16]), path).await.expect("memory");
        for (peer, says) in [(Party::P1, [NEW, OLD]), (Party::P2, [OLD, OLD])] {
            liar.send(peer, joined(ballot(says)).to_vec().into()).await.expect("memory");
            let heard = Sha256::digest([says, [NEW, OLD], [NEW, OLD]].map(|says| joined(ballot(says))).concat());
            liar.send(peer, heard.to_vec().into()).await.expect("memory");
        }
        let [one, two] = [Party::P1, Party::P2].map(|me| {
            let seat = net.seat(me);
            async move {
                common(me, (SessionId([1; 16]), 0), &*seat, ballot([NEW, OLD])).await.expect("no fault of the link")
            }
        });
        let (one, two) = tokio::join!(one, two);
        for failure in [one, two] {
            assert_eq!(failure.expect_err("they disagree").kind, FailureKind::Misbehaved);
        }
    }
}
