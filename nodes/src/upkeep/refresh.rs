//! New shares of all tables and kept outputs.

use super::{
    Finding,
    inventory::{Settlement, settlement},
    items::salt,
    shares::{Holdings, ShareAt, Step, unless_failed},
    spec::UpkeepSpec,
    talk::{Broken, Talk},
};
use crate::tables::Seed;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use trefoil_engine::{Error, Party, PeerFault};
use zeroize::Zeroizing;

/// What nodes tell each other of new shares.
const FAILED: u8 = 0;
const PREPARED: u8 = 1;
const GONE: u8 = 2;

/// Ends what a broken-off refresh has left. What comes back are those of which the nodes have shares of one epoch, and what is to be said of the others.
pub(super) async fn settle(
    talk: &mut Talk,
    here: Holdings<'_>,
    all: Vec<Vec<ShareAt>>,
) -> Result<(Vec<ShareAt>, Vec<Finding>), Broken> {
    let (mut settled, mut findings) = (Vec::with_capacity(all.len()), Vec::new());
    for at in all {
        let Some(first) = at.first().cloned() else { continue };
        let epoch = match settlement(&at) {
            Settlement::Nothing => first.epoch(),
            Settlement::Commit(epoch) => {
                unless_failed(talk.working(here.commit(&first, epoch)).await?)?;
                epoch
            }
            Settlement::Abandon => {
                unless_failed(talk.working(here.abandon(&first)).await?)?;
                first.epoch()
            }
            Settlement::Apart => {
                let numbers: Vec<_> = at.iter().map(|at| at.epoch().number.to_string()).collect();
                let again = if first.is_passing() {
                    "have the job submitted again"
                } else {
                    "have the owner upload the table again"
                };
                let cause = format!(
                    "the nodes have shares of epochs {}: one was restored from a backup of before a refresh; rebuild that node from an empty store, or {again}",
                    numbers.join(", ")
                );
                findings.push(Finding::new(first.name(), cause));
                continue;
            }
        };
        settled.push(first.in_epoch(epoch));
    }
    Ok((settled, findings))
}

/// Makes shares anew, one table or job after the other: prepared at all three nodes first, then put in use. What comes back are they with their epochs.
///
/// **Cost.** Two exchanges for each table and job, of a few bytes; each node writes its shares once.
///
/// **Security.** See [`Seed`]: the seed is random if one node is honest, and known to the three nodes for as long as this takes. A node that deviates has shares that do not fit those of the others, and harms itself.
///
/// **Source.** Two-phase commit, with the third phase left to whoever uses the table next: see `job::agree`. Of a job's outputs clients ask for the epoch that one of the nodes has in use.
pub(super) async fn refresh(
    talk: &mut Talk,
    (here, spec): (Holdings<'_>, &UpkeepSpec),
    all: Vec<ShareAt>,
) -> Result<(Vec<ShareAt>, Vec<Finding>), Broken> {
    let seed = Arc::new(seed(talk).await?);
    let (mut done, mut findings) = (Vec::with_capacity(all.len()), Vec::new());
    for at in all {
        let (name, me) = (at.name(), talk.me());
        let due = at.epoch().after(spec.session);
        let prepared = talk.working(here.prepare(&at, (spec.session, me), &seed)).await?;
        let mine = match &prepared {
            Ok(Step::Done) => PREPARED,
            Ok(Step::Gone) => GONE,
            Err(fault) => {
                tracing::warn!("new shares of {name} could not be prepared: {fault}");
                FAILED
            }
        };
        let said = talk.all(&[mine], 1).await?;
        // Who tells one that it has prepared, and another that it has not, would have one erase the old shares and the other the new ones.
        talk.alike(&said.each_ref().map(|said| said.to_vec()).concat()).await?;
        let without: Vec<Party> = Party::ALL.into_iter().filter(|p| said[p.index()][..] != [PREPARED]).collect();
        if without.is_empty() {
            unless_failed(talk.working(here.commit(&at, due)).await?)?;
            done.push(at.in_epoch(due));
            continue;
        }
        if mine == PREPARED {
            unless_failed(talk.working(here.abandon(&at)).await?)?;
        }
        // What was fetched and deleted meanwhile needs none.
        if at.is_passing() && without.iter().all(|party| said[party.index()][..] == [GONE]) {
            continue;
        }
        let who: Vec<_> = without.iter().map(ToString::to_string).collect();
        let cause = format!(
            "{} could not write new shares of it, or it was deleted meanwhile; the shares of before are in use: see the log of that node",
            who.join(" and ")
        );
        findings.push(Finding::new(&name, cause));
    }
    Ok((done, findings))
}

/// Random bytes that all three have drawn together.
async fn seed(talk: &mut Talk) -> Result<Seed, Broken> {
    let mine = salt()?;
    let said = talk.all(&*mine, mine.len()).await?;
    let mut all = [(); 3].map(|()| Zeroizing::new([0; 32]));
    for party in Party::ALL {
        let malformed = || Error::Peer { peer: party, fault: PeerFault::Malformed("no seed".to_owned()) };
        *all[party.index()] = said[party.index()].as_slice().try_into().map_err(|_| malformed())?;
    }
    // Nodes with different seeds would have shares that do not fit.
    let heard = all
        .iter()
        .fold(Sha256::new_with_prefix(b"trefoil/v1/refresh-heard"), |hash, said| hash.chain_update(said.as_ref()));
    talk.alike(&heard.finalize()).await?;
    Ok(Seed::new(&all))
}
