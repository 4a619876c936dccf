//! What is done with a recovery share: another device, or other nodes.

use super::{called, owner, usage};
use crate::{
    Error,
    auth::CredentialStatus,
    cli::{ClusterArgs, Exit, OutputArgs},
    client::{Client, Device, credit::NewFile},
    keys::KeyName,
    pki,
};
use serde::Serialize;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};
use trefoil_auth::{
    rsa::{PrivateKey, RecoveryKey, Split, randomness},
    webauthn::{Bytes, CredentialId},
};
use zeroize::Zeroizing;

/// Arguments of `trefoil auth recover`, as typed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The lost device's share and the recovery share are of no use afterwards; what is written takes their place. If the command breaks off, repeat it with the same recovery share.

Example:
  trefoil auth recover --cluster demo/cluster.toml --recovery recovery.key --device phone2.json --recovery-out recovery2.key")]
pub struct RecoverArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// The file with the recovery share, as `register --recovery-out` or the last recovery has written it
    #[arg(long, value_name = "FILE")]
    recovery: PathBuf,
    /// The file that the new device keeps: a new one
    #[arg(long, value_name = "FILE")]
    device: PathBuf,
    /// The file for the new recovery share, which belongs elsewhere: a new one
    #[arg(long, value_name = "FILE")]
    recovery_out: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of `trefoil auth restore`, as typed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The two shares are the whole key: it is put together here, split anew and erased. The nodes may be others than before. Enrol the user's templates as well.

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

/// The JSON form of the result.
#[derive(Serialize)]
struct Recovered<'a> {
    credential: String,
    user: String,
    key: &'a KeyName,
    /// Nodes that still keep their components of the device's share.
    unfinished_nodes: Vec<usize>,
}

/// Room for both files before anything is done.
struct Files([NewFile; 2]);

/// Runs `trefoil auth recover`.
pub(super) fn recover(args: &RecoverArgs) -> Result<Exit, Error> {
    let (recovery, owner) = (load(&args.recovery)?, owner(&args.cluster)?);
    let files = Files::create(&args.device, &args.recovery_out)?;
    let (device, unfinished) = called(&args.cluster, async |client| {
        let key = client.key_of(&recovery).await?.name;
        let CredentialStatus { id, spec } = one_credential(&client, &key).await?;
        let begun = client.recover_key(&key, &recovery).await;
        // Two nodes that have the new shares are enough, whatever became of the third on the way.
        let device = match client.issued_device(&key, &recovery).await {
            Ok(device) => device,
            Err(e) => return Err(begun.err().unwrap_or(e)),
        };
        let next = client.issued_recovery(&key, &recovery).await?;
        let device = Device::new(owner.clone(), CredentialId::new(&id.0).map_err(usage)?, spec, device);
        files.place(&device, &next)?;
        Ok((device, client.recovered(&key, &recovery).await))
    })?;
    for (party, why) in &unfinished {
        let key = &device.spec().key;
        tracing::warn!(
            "{party} has not heard that the new shares are here ({why}); tell it by `trefoil rsa refresh --name {key}`"
        );
    }
    let text = format!(
        "{} is the device of {} now, and {} its recovery share; those of before are of no use",
        args.device.display(),
        device.spec().user,
        args.recovery_out.display()
    );
    let unfinished = unfinished.iter().map(|(party, _)| party.index()).collect();
    args.output.resolve().print(&Recovered::of(&device, unfinished), text)?;
    Ok(Exit::Ok)
}

/// Runs `trefoil auth restore`.
pub(super) fn restore(args: &RestoreArgs) -> Result<Exit, Error> {
    let (old, recovery, owner) = (Device::load(&args.device)?, load(&args.recovery)?, owner(&args.cluster)?);
    let files = Files::create(&args.device_out, &args.recovery_out)?;
    let Split { device, nodes, recovery } = {
        let whole = PrivateKey::from_shares(old.key(), &recovery).map_err(usage)?;
        whole.split(&mut randomness()?)
    };
    let device = Device::new(owner, old.id().clone(), old.spec().clone(), device);
    // Written before anybody else has a share: a key without its device would be of no use.
    files.place(&device, &recovery)?;
    called(&args.cluster, async |client| {
        client.enrol_key(&device.spec().key, &BTreeSet::new(), &nodes).await?;
        client.put_credential(device.id(), device.spec()).await
    })?;
    let text = format!(
        "the nodes have shares that fit {} and {}; enrol the templates of {} if they are gone too",
        args.device_out.display(),
        args.recovery_out.display(),
        device.spec().user
    );
    args.output.resolve().print(&Recovered::of(&device, Vec::new()), text)?;
    Ok(Exit::Ok)
}

/// What the file of a recovery share has in it.
pub(super) fn recovery_file(recovery: &RecoveryKey) -> Zeroizing<Vec<u8>> {
    let text = Zeroizing::new(hex::encode(&*recovery.encode()));
    Zeroizing::new([text.as_bytes(), b"\n"].concat())
}

fn load(path: &Path) -> Result<RecoveryKey, Error> {
    let text = pki::read_private(path)?;
    let wrong = |e: &dyn std::fmt::Display| {
        let path = path.display();
        Error::Usage(format!(
            "{path}: this is no file of a recovery share: {e}; `trefoil auth register --recovery-out` writes one"
        ))
    };
    let bytes = Zeroizing::new(hex::decode(text.trim_ascii()).map_err(|e| wrong(&e))?);
    RecoveryKey::decode(&bytes).map_err(|e| wrong(&e))
}

/// Each credential has a key of its own.
async fn one_credential(client: &Client, key: &KeyName) -> Result<CredentialStatus, Error> {
    let mut found = client.credentials_with(key).await?;
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        (None, _) => Err(Error::Usage(format!(
            "no credential signs with the key `{key}`: it was revoked, so there is nothing to recover; register anew"
        ))),
        (Some(_), false) => Err(Error::Usage(format!(
            "several credentials sign with the key `{key}`; revoke all but the one of the lost device, or recover it by the library"
        ))),
    }
}

impl Recovered<'_> {
    fn of(device: &Device, unfinished_nodes: Vec<usize>) -> Recovered<'_> {
        let spec = device.spec();
        let credential = Bytes::from(device.id().as_bytes()).to_base64url();
        Recovered { credential, user: spec.user.to_string(), key: &spec.key, unfinished_nodes }
    }
}

impl Files {
    fn create(device: &Path, recovery: &Path) -> Result<Self, Error> {
        if device == recovery {
            return Err(Error::Usage("the device and the recovery share need a file each".to_owned()));
        }
        Ok(Self([NewFile::create(device)?, NewFile::create(recovery)?]))
    }

    fn place(self, device: &Device, recovery: &RecoveryKey) -> Result<(), Error> {
        let Self([mut first, mut second]) = self;
        first.fill_bytes(&device.to_json()?)?;
        second.fill_bytes(&recovery_file(recovery))?;
        first.place()?;
        second.place()
    }
}
