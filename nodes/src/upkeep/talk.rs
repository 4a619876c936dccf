//! What the nodes tell each other about their stores.

use crate::job::{Failure, FailureKind};
use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};
use std::{
    future::Future,
    time::{Duration, Instant},
};
use trefoil_engine::{
    Error, LinkFault, Party, PeerFault,
    transport::{Link, Path},
};
use zeroize::Zeroizing;

/// The longest message but for shares, whose lengths are known.
pub(super) const LONGEST: usize = 32 << 20;

/// How often a node that works says so: well below the time after which a silent one is given up.
const BEAT: Duration = Duration::from_secs(2);

/// How long a node that says that it works is waited for.
const PATIENCE: Duration = Duration::from_mins(10);

const WORKING: u8 = 0;
const MESSAGE: u8 = 1;

/// Kind and length.
const HEADER: usize = 1 + 8;

/// No strand and nothing of a job or a key has this path.
pub(super) fn path() -> Path {
    Path::root().child(u32::MAX).child(9)
}

/// This node's end of a conversation of the three.
pub(super) struct Talk {
    me: Party,
    link: Box<dyn Link>,
}

impl Talk {
    pub(super) fn new(me: Party, link: Box<dyn Link>) -> Self {
        Self { me, link }
    }

    pub(super) fn me(&self) -> Party {
        self.me
    }

    /// Sends a message.
    ///
    /// # Errors
    /// As [`Link`].
    pub(super) async fn tell(&mut self, to: Party, message: Bytes) -> Result<(), Error> {
        let mut header = vec![MESSAGE];
        header.extend_from_slice(&(message.len() as u64).to_le_bytes());
        self.link.send(to, header.into()).await?;
        if message.is_empty() { Ok(()) } else { self.link.send(to, message).await }
    }

    /// Receives a message of at most so many bytes. A peer that says that it works is waited for, for some time; the third node hears that this one waits, so that it does not take it for silent.
    ///
    /// # Errors
    /// As [`Link`], and [`Error::Peer`] for what is longer.
    pub(super) async fn hear(&mut self, from: Party, most: usize) -> Result<Zeroizing<Vec<u8>>, Error> {
        let malformed = |what: &str| Error::Peer { peer: from, fault: PeerFault::Malformed(what.to_owned()) };
        let third = if from == self.me.next() { self.me.prev() } else { self.me.next() };
        let (begun, mut told) = (Instant::now(), None::<Instant>);
        loop {
            let mut header = [0; HEADER];
            self.link.recv(from, &mut header).await?;
            let [kind, length @ ..] = header;
            match kind {
                WORKING if begun.elapsed() > PATIENCE => {
                    let cause = LinkFault::Ended(format!("it has worked for more than {PATIENCE:?}"));
                    return Err(Error::Link { peer: from, cause });
                }
                WORKING => {
                    if told.is_none_or(|told| told.elapsed() >= BEAT) {
                        told = Some(Instant::now());
                        self.link.send(third, vec![WORKING; HEADER].into()).await?;
                    }
                    continue;
                }
                MESSAGE => {}
                _ => return Err(malformed("neither a message about its store nor that it works")),
            }
            let length = usize::try_from(u64::from_le_bytes(length)).unwrap_or(usize::MAX);
            if length > most {
                return Err(malformed("a message about its store that is longer than any"));
            }
            let mut message = Zeroizing::new(vec![0; length]);
            if length > 0 {
                self.link.recv(from, &mut message).await?;
            }
            return Ok(message);
        }
    }

    /// Tells both peers the same and hears what they say: all three, in party order.
    pub(super) async fn all(&mut self, mine: &[u8], most: usize) -> Result<[Zeroizing<Vec<u8>>; 3], Error> {
        let mut said = [(); 3].map(|()| Zeroizing::new(Vec::new()));
        said[self.me.index()] = Zeroizing::new(mine.to_vec());
        let message = Bytes::from_owner(Zeroizing::new(mine.to_vec()));
        // Both go on at the same time as they are received: three full windows would wait for each other.
        let (next, prev) = (self.me.next(), self.me.prev());
        said[prev.index()] = self.swap((next, message.clone()), (prev, most)).await?;
        said[next.index()] = self.swap((prev, message), (next, most)).await?;
        Ok(said)
    }

    /// Sends to one while it receives from another.
    pub(super) async fn swap(
        &mut self,
        (to, message): (Party, Bytes),
        (from, most): (Party, usize),
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        // Lengths are small, and so are messages but for lists, which go in pieces.
        let pieces = message.len().div_ceil(PIECE).max(1) as u64;
        self.tell(to, pieces.to_le_bytes().to_vec().into()).await?;
        let malformed = || Error::Peer { peer: from, fault: PeerFault::Malformed("a list in no pieces".to_owned()) };
        let theirs = self.hear(from, 8).await?;
        let theirs = u64::from_le_bytes(theirs.as_slice().try_into().map_err(|_| malformed())?);
        if theirs > most.div_ceil(PIECE).max(1) as u64 {
            return Err(malformed());
        }
        let mut heard = Zeroizing::new(Vec::new());
        for k in 0..pieces.max(theirs) {
            if k < pieces {
                let start = k as usize * PIECE;
                self.tell(to, message.slice(start..message.len().min(start + PIECE))).await?;
            }
            if k < theirs {
                let room = most.saturating_sub(heard.len()).min(PIECE);
                heard.extend_from_slice(&self.hear(from, room).await?);
            }
        }
        Ok(heard)
    }

    /// All three tell each other the same kind of thing, and make sure that they have heard the same.
    pub(super) async fn share<T: Serialize + DeserializeOwned>(&mut self, mine: &T) -> Result<[T; 3], Broken> {
        let text = serde_json::to_vec(mine).map_err(|e| Broken::Own(e.to_string()))?;
        let said = self.all(&text, LONGEST).await?;
        self.alike(&said.each_ref().map(Sha256::digest).concat()).await?;
        let read = |party: Party| {
            serde_json::from_slice(&said[party.index()]).map_err(|e| {
                Broken::Link(Error::Peer { peer: party, fault: PeerFault::Malformed(format!("about its store: {e}")) })
            })
        };
        Ok([read(Party::P0)?, read(Party::P1)?, read(Party::P2)?])
    }

    /// Makes sure that all three have heard the same.
    pub(super) async fn alike(&mut self, heard: &[u8]) -> Result<(), Broken> {
        let digest: [u8; 32] = Sha256::digest(heard).into();
        let all = self.all(&digest, digest.len()).await?;
        if all.iter().all(|other| other[..] == digest) {
            return Ok(());
        }
        let [one, other] = self.me.peers();
        let cause = format!(
            "the nodes have heard different things of each other's stores: {one} or {other} deviated from the protocol, and nothing was changed; find out what runs there"
        );
        Err(Failure::new(FailureKind::Misbehaved, cause).suspecting([one, other]).into())
    }

    /// Works, and says so to the peers from time to time.
    pub(super) async fn working<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Error> {
        let mut work = std::pin::pin!(work);
        loop {
            match tokio::time::timeout(BEAT, &mut work).await {
                Ok(done) => return Ok(done),
                Err(_) => {
                    for peer in self.me.peers() {
                        self.link.send(peer, vec![WORKING; HEADER].into()).await?;
                    }
                }
            }
        }
    }
}

/// Bytes of a piece of a list or of shares: less than fits into a stream before the other side reads.
pub(super) const PIECE: usize = 1 << 18;

/// What ends a conversation.
#[derive(Debug)]
pub(super) enum Broken {
    /// A link, or what came over it.
    Link(Error),
    /// What the nodes have come to.
    Together(Failure),
    /// This node, in words that are for its log.
    Own(String),
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self::Link(error)
    }
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self::Together(failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trefoil_engine::transport::{
        SessionId, Transport,
        memory::{Conditions, Memory},
    };

    async fn talk(net: &std::sync::Arc<Memory>, me: Party) -> Talk {
        let seat: std::sync::Arc<dyn Transport> = net.seat(me);
        Talk::new(me, seat.open(SessionId([1; 16]), path()).await.expect("memory"))
    }

    #[tokio::test]
    async fn lists_of_any_length_reach_all_three() {
        let net = Memory::new(Conditions::default());
        let lists = Party::ALL.map(|me| vec![me.index() as u64; [0, 3, 100_000][me.index()]]);
        let [a, b, c] = Party::ALL.map(|me| {
            let (net, mine) = (net.clone(), lists[me.index()].clone());
            async move { talk(&net, me).await.share(&mine).await.expect("no fault") }
        });
        let (a, b, c) = tokio::join!(a, b, c);
        assert_eq!((&a, &b, &c), (&lists, &lists, &lists));
    }

    /// P0 tells P1 one thing and P2 another: each alone would go its own way.
    #[tokio::test]
    async fn who_tells_the_nodes_different_things_ends_the_conversation() {
        let net = Memory::new(Conditions::default());
        let lie = async {
            let mut liar = talk(&net, Party::P0).await;
            for (peer, said) in [(Party::P1, "[1]"), (Party::P2, "[2]")] {
                liar.tell(peer, Bytes::from_static(&[1, 0, 0, 0, 0, 0, 0, 0])).await.expect("memory");
                liar.tell(peer, Bytes::from_static(said.as_bytes())).await.expect("memory");
                // It agrees with each.
                let digests = [said, "[0]", "[0]"].map(Sha256::digest).concat();
                liar.tell(peer, Bytes::from_static(&[1, 0, 0, 0, 0, 0, 0, 0])).await.expect("memory");
                liar.tell(peer, Sha256::digest(Sha256::digest(digests)).to_vec().into()).await.expect("memory");
            }
            liar
        };
        let [one, two] = [Party::P1, Party::P2].map(|me| {
            let net = net.clone();
            async move { talk(&net, me).await.share(&vec![0]).await }
        });
        let (_liar, one, two) = tokio::join!(lie, one, two);
        for result in [one, two] {
            let Err(Broken::Together(failure)) = result else { panic!("they disagree: {result:?}") };
            assert_eq!(failure.kind, FailureKind::Misbehaved);
        }
    }

    #[tokio::test]
    async fn what_is_longer_than_it_may_be_is_not_taken() {
        for announced in [9_u64, u64::MAX] {
            let net = Memory::new(Conditions::default());
            let mut liar = net.seat(Party::P0).open(SessionId([1; 16]), path()).await.expect("memory");
            let header = [&[MESSAGE][..], &announced.to_le_bytes()].concat();
            liar.send(Party::P1, header.into()).await.expect("memory");
            let error = talk(&net, Party::P1).await.hear(Party::P0, 8).await.expect_err("too long");
            assert!(matches!(error, Error::Peer { peer: Party::P0, .. }), "{error}");
        }
    }

    /// P0 works for a while: P1 waits, and says so to P2, which waits for P1.
    #[tokio::test]
    async fn whoever_waits_for_one_that_works_is_not_taken_for_silent() {
        let net = Memory::new(Conditions::default());
        let mut worker = net.seat(Party::P0).open(SessionId([1; 16]), path()).await.expect("memory");
        worker.send(Party::P1, vec![WORKING; HEADER].into()).await.expect("memory");
        let mut third = net.seat(Party::P2).open(SessionId([1; 16]), path()).await.expect("memory");
        let (done, waits) = (talk(&net, Party::P0), talk(&net, Party::P1));
        drop(done.await);
        let mut waits = waits.await;
        waits.hear(Party::P0, 8).await.expect_err("it ends");
        let mut header = [1; HEADER];
        third.recv(Party::P1, &mut header).await.expect("it was told");
        assert_eq!(header, [WORKING; HEADER]);
    }
}
