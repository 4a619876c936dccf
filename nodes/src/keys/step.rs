//! The steps that the three nodes take together: enrolment, refresh, recovery, settlement.

use super::{
    Claim, ExchangeId, KeyFault,
    exchange::{Broken, Exchange, Issuance, Save, next_attempt, path},
    stored::Stored,
};
use crate::job::{Failure, FailureKind, Sessions};
use sha2::{Digest, Sha256};
use trefoil_auth::rsa::{NodeKey, Outcome, Prepared, RecoveryPart, Renewal, Unconfirmed, randomness};
use trefoil_engine::{Error, LinkFault, Party, transport::SessionId};

/// What the nodes do with a key together. The numbers are part of what a session is bound to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// First shares, made by the client.
    Enrol = 1,
    /// New shares of the same key.
    Refresh = 2,
    /// The end of an interrupted step.
    Settle = 3,
    /// New shares of the same key and for another device.
    Recover = 4,
}

/// A step of one node, with the others.
pub(super) struct Together<'a, S> {
    pub(super) me: Party,
    pub(super) sessions: &'a dyn Sessions,
    pub(super) save: &'a S,
}

/// A step, with what this node brings to it.
pub(super) enum Work {
    /// The share that the client sent.
    Enrol(NodeKey),
    Refresh,
    Settle,
    /// The part of the recovery share that its keeper sent, and by which he is known when he asks for what comes of it.
    Recover(RecoveryPart, Claim),
}

/// New shares that may not fit.
struct Fresh {
    shares: Unconfirmed,
    attempt: u64,
    /// Of a recovery.
    claim: Option<Claim>,
}

impl<S: Save + Sync> Together<'_, S> {
    /// Takes a step in a session of its own. The record is in the store whenever something that follows from it has left this node.
    ///
    /// Dropped, it ends the session; the next step settles what was begun.
    pub(super) async fn take(&self, stored: &mut Stored, work: Work, id: ExchangeId) -> Result<(), KeyFault> {
        let step = match work {
            Work::Enrol(_) => Step::Enrol,
            Work::Refresh => Step::Refresh,
            Work::Settle => Step::Settle,
            Work::Recover(..) => Step::Recover,
        };
        let (name, digest) = bind(step, stored, id);
        let session = self.sessions.join(name, digest).await.map_err(KeyFault::Together)?;
        let net = session.network();
        let result = async {
            let link = net.open(name, path()).await?;
            let mut exchange = Exchange::new(self.me, &stored.public, link);
            self.work(&mut exchange, stored, work).await
        };
        let result = result.await;
        let failure = result.as_ref().err().map(|broken| broken.failure(|error| of_link(self.me, error)));
        session.end(failure.as_ref());
        match (result, failure) {
            (Err(Broken::Fault(fault)), _) => Err(fault),
            (Err(Broken::Key(fault)), _) => Err(fault.into()),
            (_, Some(failure)) => Err(KeyFault::Together(failure)),
            (_, None) => Ok(()),
        }
    }

    async fn work(&self, exchange: &mut Exchange, stored: &mut Stored, work: Work) -> Result<(), Broken> {
        let statuses = exchange.settle(stored, self.save).await?;
        let issuance = exchange.issuance(stored.issuance()).await?;
        if issuance[self.me.index()] == Issuance::Done && stored.is_issuing() {
            // Its keeper has the share, and has not got as far as to tell this node.
            stored.record.issued();
            self.save.save(stored).await?;
        }
        let attempt = next_attempt(&statuses);
        let fresh = match work {
            Work::Settle => return Ok(()),
            // An earlier attempt has enrolled it, and its answer was lost; or it is at some nodes alone, which the caller finds out.
            Work::Enrol(_) if statuses.iter().any(|status| status.epoch() > 0) => return Ok(()),
            Work::Enrol(share) => {
                Fresh { shares: Unconfirmed::enrolled(share, self.me, attempt)?, attempt, claim: None }
            }
            // The components of a device's share stay as they are through a refresh: who had one node before and another after would have the share.
            Work::Refresh if issuance.contains(&Issuance::Waits) => {
                return Err(KeyFault::Issuing(stored.id.clone()).into());
            }
            Work::Refresh => {
                let renewal = stored.record.current().ok_or_else(no_shares)?.refresh(attempt, &mut randomness()?);
                Fresh { shares: renewed(exchange, renewal).await?, attempt, claim: None }
            }
            // An earlier attempt has made the new shares, and its answer was lost.
            Work::Recover(_, claim) if stored.is_claimed_by(&claim) => return Ok(()),
            Work::Recover(part, claim) => {
                let recovery = stored.record.current().ok_or_else(no_shares)?.recover(attempt, part)?;
                let others = exchange.confirmations(&recovery.confirmation()).await?;
                let renewal = recovery.accept(&others, &mut randomness()?)?;
                Fresh { shares: renewed(exchange, renewal).await?, attempt, claim: Some(claim) }
            }
        };
        self.conclude(exchange, stored, fresh).await
    }

    /// From new shares that may not fit to shares in use at all three nodes, or at none.
    async fn conclude(&self, exchange: &mut Exchange, stored: &mut Stored, fresh: Fresh) -> Result<(), Broken> {
        let Fresh { shares: fresh, attempt, claim } = fresh;
        let others = exchange.confirmations(&fresh.confirmation()).await?;
        let prepared: Result<Prepared, _> = fresh.confirm(&others);
        let fault = match prepared {
            Ok(prepared) => {
                stored.record.prepare(prepared)?;
                if let Some(claim) = &claim {
                    stored.claim(claim);
                }
                None
            }
            Err(fault) => {
                stored.record.refuse(attempt)?;
                Some(fault)
            }
        };
        self.save.save(stored).await?;
        let statuses = exchange.statuses(&stored.record.status()).await?;
        let outcome = exchange.resolve(stored, self.save, &statuses).await?;
        match (fault, outcome) {
            (Some(fault), _) => Err(fault.into()),
            (None, Outcome::Committed) => Ok(()),
            (None, _) => {
                let cause = "another node found that the new shares do not fit, and none are in use; begin again";
                Err(KeyFault::Together(Failure::new(FailureKind::Misbehaved, cause).suspecting(self.me.peers())).into())
            }
        }
    }
}

/// New shares of this node, from what the three tell each other.
async fn renewed(exchange: &mut Exchange, renewal: Renewal) -> Result<Unconfirmed, Broken> {
    let [from_next, from_prev] = exchange.contributions(&renewal.to_next(), &renewal.to_prev()).await?;
    let seeded = renewal.seeded(&from_next, &from_prev)?;
    let difference = exchange.difference(&seeded).await?;
    Ok(seeded.finish(difference.as_ref())?)
}

/// The name of the session, and what it is bound to: the step, the key, what its owner says of it, and this very attempt. Nodes of which one was told something
/// else do not come together.
pub(super) fn bind(step: Step, stored: &Stored, id: ExchangeId) -> (SessionId, [u8; 32]) {
    let mut digest = Sha256::new_with_prefix(b"trefoil key step v1\0");
    digest.update([step as u8]);
    digest.update(id.to_string());
    digest.update(stored.spec.digest(&stored.id, &stored.public));
    let digest: [u8; 32] = digest.finalize().into();
    let name = Sha256::new_with_prefix(b"trefoil key session v1\0").chain_update(digest).finalize();
    let mut session = [0; 16];
    session.copy_from_slice(&name[..16]);
    (SessionId(session), digest)
}

fn no_shares() -> KeyFault {
    KeyFault::Invalid("the key has no shares in use: enrol it, or delete it".to_owned())
}

/// What the end of a link means to who asked for the step.
fn of_link(me: Party, error: &Error) -> Failure {
    let again = "try again: what was begun is settled first";
    match error {
        Error::Peer { peer, fault } => Failure::new(
            FailureKind::Misbehaved,
            format!("{peer} misbehaved: {fault}; find out what runs there before anything is tried again"),
        )
        .blaming(*peer),
        Error::Link { peer, cause: LinkFault::Rejected(cause) } => {
            Failure::new(FailureKind::Misbehaved, format!("{peer} says: {cause}")).suspecting(me.peers())
        }
        Error::Link { peer, cause } => {
            Failure::new(FailureKind::Link, format!("the step broke off at {peer}: {cause}; {again}")).blaming(*peer)
        }
        other => Failure::new(FailureKind::Internal, format!("{other}; please report this")),
    }
}
