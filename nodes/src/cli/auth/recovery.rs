//! `trefoil auth recover`: a device is lost, and the recovery share makes another.

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
use std::path::{Path, PathBuf};
use trefoil_auth::{
    rsa::RecoveryKey,
    webauthn::{Bytes, CredentialId},
};
use trefoil_engine::Party;
use zeroize::Zeroizing;

/// Arguments of `trefoil auth recover`, as typed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
What is written takes the place of the lost device's share and of the recovery share. Destroy the recovery share that was used: with the lost device it is the whole key, for ever.
If the command breaks off, or says that the recovery is not settled or not finished, keep that recovery share and repeat the command with it and with the names of other new files.
Do not revoke the credential of a lost or stolen device before: a recovery needs it.

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

/// The JSON form of the result.
#[derive(Serialize)]
pub(super) struct Recovered<'a> {
    credential: String,
    user: String,
    key: &'a KeyName,
    /// Whether all three nodes have the new shares in use. Else those of before may be.
    settled: bool,
    /// Nodes that still keep their components of the device's share, as far as is known.
    unfinished_nodes: Vec<usize>,
}

/// How a recovery whose files are written ends.
enum End {
    /// The new shares are in use at all three nodes. These have not heard that they are kept.
    Settled(Vec<(Party, Error)>),
    /// A node has not said so. What is written is the new shares, if the next attempt finds them in use.
    Unsettled(Error),
}

/// Room for both files before anything is done.
struct Files([NewFile; 2]);

/// Runs `trefoil auth recover`.
pub(super) fn recover(args: &RecoverArgs) -> Result<Exit, Error> {
    let (recovery, owner) = (load(&args.recovery)?, owner(&args.cluster)?);
    let files = Files::create(&args.device, &args.recovery_out)?;
    let (device, end) = called(&args.cluster, async |client| {
        let key = client.key_of(&recovery).await?;
        let CredentialStatus { id, spec } = one_credential(&client, &key).await?;
        let begun = client.recover_key(&key, &recovery).await;
        // Two nodes that have the new shares are enough, in use or prepared, whatever became of the third on the way.
        let device = match client.issued_device(&key, &recovery).await {
            Ok(device) => device,
            Err(e) => return Err(begun.err().unwrap_or(e)),
        };
        let next = client.issued_recovery(&key, &recovery).await?;
        let device = Device::new(owner.clone(), CredentialId::new(&id.0).map_err(usage)?, spec, device);
        files.place(&device, &next)?;
        Ok((
            device,
            match begun {
                Ok(()) => End::Settled(finish(&client, &key, &recovery).await),
                Err(why) => End::Unsettled(why),
            },
        ))
    })?;
    let (new, next, used) = (args.device.display(), args.recovery_out.display(), args.recovery.display());
    let user = &device.spec().user;
    let repeat = format!(
        "keep {used}, and repeat `trefoil auth recover` with it and other new files when all three nodes answer"
    );
    let text = match &end {
        End::Unsettled(why) => format!(
            "the recovery is not settled ({why}): {new} is the device of {user} and {next} its recovery share only if the new shares are in use at the nodes, and until that is known {used} must not be destroyed; {repeat}"
        ),
        End::Settled(unfinished) if unfinished.is_empty() => format!(
            "{new} is the device of {user} now, and {next} its recovery share; destroy {used}: with the lost device it is the whole key"
        ),
        End::Settled(unfinished) => {
            let nodes: Vec<String> = unfinished.iter().map(|(party, why)| format!("{party}: {why}")).collect();
            format!(
                "{new} is the device of {user} now, and {next} its recovery share, but nodes still have what they made it of, and two such nodes have the whole key ({}); {repeat}, and destroy {used} then",
                nodes.join("; ")
            )
        }
    };
    let (settled, unfinished) = match &end {
        End::Settled(unfinished) => (true, unfinished.iter().map(|(party, _)| party.index()).collect()),
        End::Unsettled(_) => (false, Party::ALL.map(Party::index).to_vec()),
    };
    let exit = if settled && unfinished.is_empty() { Exit::Ok } else { Exit::Failed };
    args.output.resolve().print(&Recovered { settled, ..Recovered::of(&device, unfinished) }, text)?;
    Ok(exit)
}

/// Has the nodes erase what they made the new device's share of. Gives those that may not have done so.
async fn finish(client: &Client, key: &KeyName, recovery: &RecoveryKey) -> Vec<(Party, Error)> {
    let unfinished = client.recovered(key, recovery).await;
    if unfinished.len() != 1 {
        return unfinished;
    }
    // The two others tell it, in a step of all three.
    match client.refresh_key(key).await {
        Ok(report) if !report.issuing => Vec::new(),
        Ok(_) => unfinished,
        Err(why) => {
            tracing::warn!("the refresh that tells the last node that the new shares are here has failed: {why}");
            unfinished
        }
    }
}

/// What the file of a recovery share has in it.
pub(super) fn recovery_file(recovery: &RecoveryKey) -> Zeroizing<Vec<u8>> {
    let text = Zeroizing::new(hex::encode(&*recovery.encode()));
    Zeroizing::new([text.as_bytes(), b"\n"].concat())
}

pub(super) fn load(path: &Path) -> Result<RecoveryKey, Error> {
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
            "no credential that two nodes describe alike signs with the key `{key}`; try again when all three nodes answer, and if it was revoked, register anew: without a credential there is nothing to recover"
        ))),
        (Some(_), false) => Err(Error::Usage(format!(
            "several credentials sign with the key `{key}`; revoke all but the one of the lost device, or recover it by the library"
        ))),
    }
}

impl Recovered<'_> {
    pub(super) fn of(device: &Device, unfinished_nodes: Vec<usize>) -> Recovered<'_> {
        let spec = device.spec();
        let credential = Bytes::from(device.id().as_bytes()).to_base64url();
        Recovered { credential, user: spec.user.to_string(), key: &spec.key, settled: true, unfinished_nodes }
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
