//! What the nodes tell each other in a step with a key.

use super::{KeyFault, stored::Stored};
use crate::job::{Failure, FailureKind};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::future::Future;
use trefoil_auth::{
    Error as AuthError,
    rsa::{Confirmation, Contribution, Difference, Outcome, PublicKey, Record, Seeded, Status},
};
use trefoil_engine::{
    Error, Party, PeerFault,
    transport::{Link, Path},
};
use zeroize::Zeroizing;

/// The longest message: four numbers modulo N and a header.
const LONGEST: usize = 8 << 10;

/// No strand and nothing of a job has this path.
pub(super) fn path() -> Path {
    Path::root().child(u32::MAX).child(1)
}

/// This node's end of a step that all three take.
pub(super) struct Exchange {
    me: Party,
    public: PublicKey,
    link: Box<dyn Link>,
}

/// How a node stands with the device's share that the last recovery has made. The numbers are sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Issuance {
    /// There was no recovery.
    None = 0,
    /// It is where it belongs, and the node has erased its components.
    Done = 1,
    /// It waits to be handed out.
    Waits = 2,
}

/// What ended a step.
pub(super) enum Broken {
    /// A link, or what came over it.
    Link(Error),
    /// A rule of the key.
    Key(AuthError),
    /// This node itself, or what all three came to.
    Fault(KeyFault),
}

impl Exchange {
    pub(super) fn new(me: Party, public: &PublicKey, link: Box<dyn Link>) -> Self {
        Self { me, public: public.clone(), link }
    }

    /// Where the three nodes are, in party order. All three have heard the same: who told one that it has prepared, and the other that it never will, would
    /// have one erase the old shares and the other the new ones.
    pub(super) async fn statuses(&mut self, mine: &Status) -> Result<[Status; 3], Broken> {
        let message = mine.encode(&self.public);
        let both = self.both(message.clone().into(), message.into()).await?;
        let [(next, from_next), (prev, from_prev)] = &both;
        let (next, prev) =
            (read(*next, Status::decode(from_next, *next))?, read(*prev, Status::decode(from_prev, *prev))?);
        let all = Party::ALL.map(|p| {
            if p == self.me {
                *mine
            } else if p == self.me.next() {
                next
            } else {
                prev
            }
        });
        let heard = Sha256::digest(all.map(|status| status.encode(&self.public)).concat()).to_vec();
        let both = self.both(heard.clone().into(), heard.clone().into()).await?;
        if both.iter().any(|(_, other)| **other != heard) {
            let [one, other] = self.me.peers();
            let cause = format!(
                "the nodes have heard different things of each other's shares: {one} or {other} deviated from the protocol, and nothing was replaced; find out what runs there before anything is tried again"
            );
            let failure = Failure::new(FailureKind::Misbehaved, cause).suspecting([one, other]);
            return Err(KeyFault::Together(failure).into());
        }
        Ok(all)
    }

    pub(super) async fn confirmations(&mut self, mine: &Confirmation) -> Result<[Confirmation; 2], Broken> {
        let message = mine.encode(&self.public);
        let [(next, from_next), (prev, from_prev)] = self.both(message.clone().into(), message.into()).await?;
        let decode = |from, bytes: &[u8]| read(from, Confirmation::decode(bytes, from));
        Ok([decode(next, &from_next)?, decode(prev, &from_prev)?])
    }

    /// Sends one contribution to each, and gives those of the next node and of the previous.
    pub(super) async fn contributions(
        &mut self,
        to_next: &Contribution,
        to_prev: &Contribution,
    ) -> Result<[Contribution; 2], Broken> {
        let encode = |contribution: &Contribution| Bytes::from_owner(contribution.encode(&self.public));
        let (to_next, to_prev) = (encode(to_next), encode(to_prev));
        let [(next, from_next), (prev, from_prev)] = self.both(to_next, to_prev).await?;
        let decode = |from, bytes: &[u8]| read(from, Contribution::decode(bytes));
        Ok([decode(next, &from_next)?, decode(prev, &from_prev)?])
    }

    /// What P1 and P2 tell each other, at both of them.
    pub(super) async fn difference(&mut self, seeded: &Seeded) -> Result<Option<Difference>, Broken> {
        let Some((to, difference)) = seeded.difference() else { return Ok(None) };
        self.send(to, Bytes::from_owner(difference.encode(&self.public))).await?;
        let bytes = self.recv(to).await?;
        read(to, Difference::decode(&bytes)).map(Some)
    }

    /// Ends whatever an interrupted step has left, with both others: what one of the nodes has not prepared is abandoned, what all three have is in use.
    /// Every change is in the store before it is told. Gives the statuses from which all three draw the same number of the next attempt.
    pub(super) async fn settle(&mut self, stored: &mut Stored, save: &impl Save) -> Result<[Status; 3], Broken> {
        let statuses = self.statuses(&stored.record.status()).await?;
        self.resolve(stored, save, &statuses).await?;
        let mine = stored.record.status();
        // Another node may wait for this one, which has not prepared: it never will.
        let waiting = |status: &&Status| status.epoch() == mine.epoch() && mine.prepared().is_none();
        let awaited = statuses.iter().filter(waiting).filter_map(Status::prepared).max();
        if let Some(attempt) = awaited {
            stored.record.refuse(attempt)?;
            save.save(stored).await?;
        }
        let statuses = self.statuses(&stored.record.status()).await?;
        self.resolve(stored, save, &statuses).await?;
        if stored.unsettled() {
            let fault = "another node says that it has neither prepared nor refused what this one waits for";
            return Err(AuthError::State { step: "settlement", fault }.into());
        }
        Ok(statuses)
    }

    /// How the three nodes stand with what the last recovery has made, in party order. Where two say that they have handed it out it counts as handed out at the third: one that lies is not enough, neither to have
    /// anything erased nor to have it wait.
    pub(super) async fn issuance(&mut self, mine: Issuance) -> Result<[Issuance; 3], Broken> {
        let message = Bytes::copy_from_slice(&[mine as u8]);
        let both = self.both(message.clone(), message).await?;
        let mut all = [mine; 3];
        for (party, said) in both {
            all[party.index()] = match said.as_slice() {
                [1] => Issuance::Done,
                [2] => Issuance::Waits,
                _ => Issuance::None,
            };
        }
        // There was a recovery at all three or at none.
        if mine == Issuance::None {
            return Ok([mine; 3]);
        }
        let done = all.iter().filter(|at| **at == Issuance::Done).count();
        Ok(if done >= 2 { all.map(|at| if at == Issuance::Waits { Issuance::Done } else { at }) } else { all })
    }

    /// Ends what is prepared here, if these statuses allow it.
    pub(super) async fn resolve(
        &mut self,
        stored: &mut Stored,
        save: &impl Save,
        statuses: &[Status; 3],
    ) -> Result<Outcome, Broken> {
        let (mine, others) = (stored.record.status(), self.me.peers().map(|peer| statuses[peer.index()]));
        // Nobody honest is ahead before all three have prepared, and who has prepared says so until it is ahead as well.
        let over = others.iter().any(|other| other.epoch() > mine.epoch());
        let never = others.iter().any(|other| other.epoch() == mine.epoch() && other.prepared() != mine.prepared());
        if mine.prepared().is_some() && over && never {
            let fault = "one node says that it is over, and the other that it has not taken it: one of them deviates, and both the old and the new share stay";
            return Err(AuthError::State { step: "settlement", fault }.into());
        }
        let outcome = stored.record.resolve(&others)?;
        stored.resolved(outcome);
        if matches!(outcome, Outcome::Committed | Outcome::Abandoned) {
            save.save(stored).await?;
        }
        Ok(outcome)
    }

    /// Sends a message to each peer, and receives one from each: next first.
    async fn both(&mut self, to_next: Bytes, to_prev: Bytes) -> Result<[(Party, Zeroizing<Vec<u8>>); 2], Broken> {
        let (next, prev) = (self.me.next(), self.me.prev());
        self.send(next, to_next).await?;
        self.send(prev, to_prev).await?;
        Ok([(next, self.recv(next).await?), (prev, self.recv(prev).await?)])
    }

    pub(super) async fn send(&mut self, to: Party, message: Bytes) -> Result<(), Broken> {
        let length = (message.len() as u32).to_le_bytes();
        self.link.send(to, length.to_vec().into()).await?;
        Ok(self.link.send(to, message).await?)
    }

    pub(super) async fn recv(&mut self, from: Party) -> Result<Zeroizing<Vec<u8>>, Broken> {
        let mut length = [0; 4];
        self.link.recv(from, &mut length).await?;
        let length = u32::from_le_bytes(length) as usize;
        if length > LONGEST {
            let fault = PeerFault::Malformed("a message about a key that is longer than any".into());
            return Err(Broken::Link(Error::Peer { peer: from, fault }));
        }
        let mut message = Zeroizing::new(vec![0; length]);
        self.link.recv(from, &mut message).await?;
        Ok(message)
    }
}

/// Writes a record before anything that follows from it leaves the node.
pub(super) trait Save {
    /// Returns when the record is on the disk.
    fn save(&self, stored: &Stored) -> impl Future<Output = Result<(), KeyFault>> + Send;
}

/// The number of the next attempt.
pub(super) fn next_attempt(statuses: &[Status; 3]) -> u64 {
    Record::next_attempt(statuses)
}

/// What a peer sent that no honest one sends.
fn read<T>(peer: Party, message: Result<T, AuthError>) -> Result<T, Broken> {
    message.map_err(|e| Broken::Link(Error::Peer { peer, fault: PeerFault::Malformed(e.to_string()) }))
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self::Link(error)
    }
}

impl From<AuthError> for Broken {
    fn from(error: AuthError) -> Self {
        Self::Key(error)
    }
}

impl From<KeyFault> for Broken {
    fn from(fault: KeyFault) -> Self {
        Self::Fault(fault)
    }
}

impl Broken {
    /// As the peers are told, and the client.
    pub(super) fn failure(&self, of_link: impl FnOnce(&Error) -> Failure) -> Failure {
        match self {
            Self::Link(error) => of_link(error),
            Self::Key(AuthError::Shares { suspects, .. }) => {
                let failure = Failure::new(FailureKind::Misbehaved, self.cause());
                failure.suspecting(suspects.iter().copied())
            }
            Self::Key(_) => Failure::new(FailureKind::Mismatch, self.cause()),
            Self::Fault(KeyFault::Together(failure)) => failure.clone(),
            // What the others are told does not name files of this node.
            Self::Fault(_) => Failure::new(FailureKind::Internal, "the node could not keep its record; see its log"),
        }
    }

    fn cause(&self) -> String {
        match self {
            Self::Link(error) => error.to_string(),
            Self::Key(error) => error.to_string(),
            Self::Fault(fault) => fault.to_string(),
        }
    }
}
