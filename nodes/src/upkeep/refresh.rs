//! New shares of all tables.

use super::{
    Finding,
    inventory::{Settlement, TableAt, settlement},
    items::salt,
    spec::UpkeepSpec,
    talk::{Broken, Talk},
};
use crate::tables::{Seed, TableFault, TableKey, TableStore};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use trefoil_engine::{Error, Party, PeerFault};
use zeroize::Zeroizing;

const PREPARED: u8 = 1;

/// Ends what a broken-off refresh has left. What comes back are the tables of which the nodes have shares of one epoch, and what is to be said of the others.
pub(super) async fn settle(
    talk: &mut Talk,
    tables: &TableStore,
    all: Vec<(TableKey, Vec<TableAt>)>,
) -> Result<(Vec<TableAt>, Vec<Finding>), Broken> {
    let (mut settled, mut findings) = (Vec::with_capacity(all.len()), Vec::new());
    for (key, at) in all {
        let Some(first) = at.first().cloned() else { continue };
        let here = tables.get(&key).filter(|table| *table.digest() == first.sha256.0);
        let epoch = match settlement(&at) {
            Settlement::Nothing => first.epoch,
            Settlement::Commit(epoch) => {
                if let Some(table) = &here {
                    unless_deleted(talk.working(table.commit(epoch)).await?)?;
                }
                epoch
            }
            Settlement::Abandon => {
                if let Some(table) = &here {
                    unless_deleted(talk.working(table.abandon()).await?)?;
                }
                first.epoch
            }
            Settlement::Apart => {
                let numbers: Vec<_> = at.iter().map(|at| at.epoch.number.to_string()).collect();
                let cause = format!(
                    "the nodes have shares of epochs {}: one was restored from a backup of before a refresh; rebuild that node, or have the owner upload the table again",
                    numbers.join(", ")
                );
                findings.push(Finding::new(key, cause));
                continue;
            }
        };
        settled.push(TableAt { epoch, pending: None, ..first });
    }
    Ok((settled, findings))
}

/// Makes the shares of tables anew, one table after the other: prepared at all three nodes first, then put in use. What comes back are the tables with their epochs.
///
/// **Cost.** Two exchanges for each table, of a few bytes; each node writes its shares once.
///
/// **Security.** See [`Seed`]: the seed is random if one node is honest, and known to the three nodes for as long as this takes. A node that deviates has shares that do not fit those of the others, and harms itself.
///
/// **Source.** Two-phase commit, with the third phase left to whoever uses the table next: see `job::agree`.
pub(super) async fn refresh(
    talk: &mut Talk,
    (tables, spec): (&TableStore, &UpkeepSpec),
    all: Vec<TableAt>,
) -> Result<(Vec<TableAt>, Vec<Finding>), Broken> {
    let seed = Arc::new(seed(talk).await?);
    let (mut done, mut findings) = (Vec::with_capacity(all.len()), Vec::new());
    for at in all {
        let (key, me) = (at.key(), talk.me());
        let due = at.epoch.after(spec.session);
        let table = at.here(tables);
        let prepared = match &table {
            Some(table) => talk.working(tables.prepare(table, (spec.session, me), &seed)).await?,
            None => Err(TableFault::Deleted(Box::new(key.clone()))),
        };
        if let Err(fault) = &prepared {
            tracing::warn!("new shares of {key} could not be prepared: {fault}");
        }
        let said = talk.all(&[u8::from(prepared.is_ok()) * PREPARED], 1).await?;
        // Who tells one that it has prepared, and another that it has not, would have one erase the old shares and the other the new ones.
        talk.alike(&said.each_ref().map(|said| said.to_vec()).concat()).await?;
        let failed: Vec<Party> = Party::ALL.into_iter().filter(|p| said[p.index()][..] != [PREPARED]).collect();
        match (&table, failed.as_slice()) {
            (Some(table), []) => {
                unless_deleted(talk.working(table.commit(due)).await?)?;
                done.push(TableAt { epoch: due, ..at });
            }
            (table, failed) => {
                if let Some(table) = table.as_ref().filter(|_| prepared.is_ok()) {
                    unless_deleted(talk.working(table.abandon()).await?)?;
                }
                let who: Vec<_> = failed.iter().map(ToString::to_string).collect();
                let cause = format!(
                    "{} could not write new shares of it, or it was deleted meanwhile; the shares of before are in use: see the log of that node",
                    who.join(" and ")
                );
                findings.push(Finding::new(&key, cause));
            }
        }
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

/// What its owner has deleted meanwhile needs no shares; it is found at the other nodes too.
fn unless_deleted(done: Result<(), TableFault>) -> Result<(), Broken> {
    match done {
        Ok(()) | Err(TableFault::Deleted(_)) => Ok(()),
        Err(fault) => Err(Broken::Own(fault.to_string())),
    }
}
