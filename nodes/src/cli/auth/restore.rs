//! `trefoil auth restore`: the nodes are lost, and device and recovery share give other nodes theirs.

use super::{
    called, owner,
    pair::Pair,
    recovery::{Recovered, load},
    usage,
};
use crate::{
    Error,
    cli::{ClusterArgs, Exit, OutputArgs},
    client::{Client, Device},
    job::JobId,
    keys::ExchangeId,
    pki::ClientName,
};
use sha2::{Digest as _, Sha256};
use std::path::PathBuf;
use trefoil_auth::rsa::{NodeKey, PrivateKey, RecoveryKey, Split, randomness};

/// Arguments of `trefoil auth restore`, as typed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The two shares are the whole key: it is put together here, split anew and erased. The nodes may be others than before. Enrol the user's templates as well.
The new files have their names when all three nodes have the shares that fit them. If the command breaks off, run the same line again: it finds out how far it came, and goes on or begins anew. Until then the files before are in use.

Example:
  trefoil auth restore --cluster demo/cluster.toml --device phone.json --recovery recovery.key --device-out phone2.json --recovery-out recovery2.key")]
pub struct RestoreArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// The file of the device
    #[arg(long, value_name = "FILE")]
    device: PathBuf,
    /// The file with the recovery share
    #[arg(long, value_name = "FILE")]
    recovery: PathBuf,
    /// The file that the device keeps from now on: a new one
    #[arg(long, value_name = "FILE")]
    device_out: PathBuf,
    /// The file for the new recovery share: a new one
    #[arg(long, value_name = "FILE")]
    recovery_out: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs `trefoil auth restore`.
pub(super) fn restore(args: &RestoreArgs) -> Result<Exit, Error> {
    let (old, recovery, owner) = (Device::load(&args.device)?, load(&args.recovery)?, owner(&args.cluster)?);
    let whole = PrivateKey::from_shares(old.key(), &recovery).map_err(usage)?;
    let pair = Pair::new(&args.device_out, &args.recovery_out)?;
    let left = pair.left()?.map(|left| of_this_key(left, (&old, &owner))).transpose()?;
    let Split { device, nodes, recovery } = whole.split(&mut randomness()?);
    let new = (Device::new(owner, old.id().clone(), old.spec().clone(), device), recovery);
    let device = called(&args.cluster, async |client| {
        let device = match left {
            // Nothing of them is touched at the nodes any more: they may be in use.
            Some(left) if pair.is_named() => {
                if !client.is_enrolled(&left.spec().key, enrolment(&left)).await? {
                    return Err(pair.taken());
                }
                left
            }
            Some(left) if client.settle_enrolment(&left.spec().key, enrolment(&left)).await? => left,
            left => {
                if left.is_some() {
                    pair.discard()?;
                }
                begin(&client, &pair, (&new, &nodes)).await?;
                new.0
            }
        };
        client.put_credential(device.id(), device.spec()).await.map_err(again)?;
        Ok(device)
    })?;
    pair.name()?;
    let text = format!(
        "the nodes have shares that fit {} and {}; enrol the templates of {} if they are gone too",
        args.device_out.display(),
        args.recovery_out.display(),
        device.spec().user
    );
    args.output.resolve().print(&Recovered::of(&device, Vec::new()), text)?;
    Ok(Exit::Ok)
}

/// Writes the files, and gives the nodes their shares. If no node has any in the end, there are no files either.
async fn begin(
    client: &Client,
    pair: &Pair<'_>,
    ((device, recovery), nodes): (&(Device, RecoveryKey), &[NodeKey; 3]),
) -> Result<(), Error> {
    // On the disk before anybody else has a share: a key without its device would be of no use.
    pair.write(device, recovery)?;
    let (key, enrolment) = (&device.spec().key, enrolment(device));
    let Err(fault) = client.restore_key(key, enrolment, nodes).await else { return Ok(()) };
    match client.settle_enrolment(key, enrolment).await {
        Ok(true) => Ok(()),
        Ok(false) => {
            pair.discard()?;
            Err(fault)
        }
        Err(_) => Err(again(fault)),
    }
}

/// The enrolment of the shares that fit a device: a run that goes on with its file knows by it whether the nodes have them. It says nothing of the share, a number of more than 2,000 random bits.
fn enrolment(device: &Device) -> ExchangeId {
    let digest = Sha256::new_with_prefix(b"trefoil restored key v1\0").chain_update(&*device.key().encode()).finalize();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    JobId::from(id).into()
}

/// What a run before has left, if it was for the same credential.
fn of_this_key(
    (device, recovery): (Device, RecoveryKey),
    (old, owner): (&Device, &ClientName),
) -> Result<Device, Error> {
    let same = (device.owner(), device.id(), device.spec()) == (owner, old.id(), old.spec())
        && device.key().public() == old.key().public();
    let fit = same && PrivateKey::from_shares(device.key(), &recovery).is_ok();
    if fit && *device.key().encode() != *old.key().encode() {
        return Ok(device);
    }
    let cause = "the files of --device-out and --recovery-out are there already, and are not left of this restore; give other names";
    Err(Error::Usage(cause.to_owned()))
}

/// The error, with what to do: no file has its name yet.
#[allow(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn again(fault: Error) -> Error {
    let advice = "the restore is not settled, and the files before stay in use; run the same command again when all three nodes answer";
    match fault {
        Error::Unreachable { node, cause } => Error::Unreachable { node, cause: format!("{cause} ({advice})") },
        Error::Refused { node, mut problem } => {
            problem.detail = format!("{} ({advice})", problem.detail);
            Error::Refused { node, problem }
        }
        other => Error::Integrity(format!("{other} ({advice})")),
    }
}
