//! What a device does: register and log in.

use super::{biometric::BiometricArgs, called, owner, recovery::recovery_file, usage};
use crate::{
    Error,
    auth::{Backing, CredentialSpec, UserName, Verification},
    cli::{ClusterArgs, Exit, line},
    client::{Device, KeyTerms, Page},
    pki::{self, ClientName},
};
use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};
use trefoil_auth::{
    rsa::{KeySize, PrivateKey, Split, randomness},
    webauthn::{CreationOptions, CredentialId, RequestOptions, ResidentKey},
};

/// Arguments of `trefoil auth register`, as typed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The key is made here and split at once: the device's share goes into a file, the nodes' to the nodes, and the recovery share, if a file is named for it, there. What is printed
goes to the relying party: RegistrationResponseJSON.

Examples:
  trefoil auth register --cluster demo/cluster.toml --user u-1041 --options creation.json --origin https://login.example.org \\
      --iris left.iris --device phone.json --recovery-out recovery.key --may-log-in phone-7")]
pub struct RegisterArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// The user whose templates probes are compared with
    #[arg(long)]
    user: UserName,
    /// What the relying party asks for, `PublicKeyCredentialCreationOptionsJSON`; `-` for standard input
    #[arg(long, value_name = "FILE")]
    options: PathBuf,
    /// The page that asks
    #[arg(long, value_name = "ORIGIN")]
    origin: String,
    #[command(flatten)]
    biometric: BiometricArgs,
    /// The file that the device keeps: a new one
    #[arg(long, value_name = "FILE")]
    device: PathBuf,
    /// The file for the recovery share, which belongs elsewhere: a new one. With it the credential says that it is backed up, and `trefoil auth recover` makes another device if this one is lost
    #[arg(long, value_name = "FILE")]
    recovery_out: Option<PathBuf>,
    /// Sign without a probe too, if the relying party does not require one
    #[arg(long)]
    without_probe: bool,
    /// Clients that may log in with it beside you
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    may_log_in: Vec<ClientName>,
}

/// Arguments of `trefoil auth login`, as typed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
What is printed goes to the relying party: AuthenticationResponseJSON. Exit code 1 if the nodes refuse,
as they do if the probe does not match; 3 if they cannot be reached.

Example:
  trefoil auth login --cluster demo/cluster.toml --device phone.json --options request.json --origin https://login.example.org --iris probe.iris")]
pub struct LoginArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// The file that `trefoil auth register` has written
    #[arg(long, value_name = "FILE")]
    device: PathBuf,
    /// What the relying party asks for, `PublicKeyCredentialRequestOptionsJSON`; `-` for standard input
    #[arg(long, value_name = "FILE")]
    options: PathBuf,
    /// The page that asks
    #[arg(long, value_name = "ORIGIN")]
    origin: String,
    #[command(flatten)]
    biometric: BiometricArgs,
}

/// Runs `trefoil auth register`.
pub(super) fn register(args: &RegisterArgs) -> Result<Exit, Error> {
    let options = CreationOptions::from_json(&text(&args.options)?).map_err(usage)?;
    let probe = args.biometric.read()?;
    let owner = owner(&args.cluster)?;
    let mut rng = randomness().map_err(usage)?;
    let id = CredentialId::random(&mut rng);
    let host = args.origin.split_once("://").map_or("", |(_, rest)| rest.split(':').next().unwrap_or_default());
    let spec = CredentialSpec {
        rp_id: options.rp.id.clone().unwrap_or_else(|| host.to_owned()),
        handle: options.user.id.clone(),
        user: args.user.clone(),
        key: hex::encode(id.as_bytes().get(..16).unwrap_or_default()).parse().map_err(Error::Bug)?,
        verification: if args.without_probe { Verification::Optional } else { Verification::Required },
        discoverable: discoverable(&options),
        backup: if args.recovery_out.is_some() { Backing::BackedUp } else { Backing::None },
        devices: args.may_log_in.clone(),
    };
    let key = PrivateKey::generate(KeySize::Rsa2048, &mut rng).map_err(usage)?;
    let Split { device, nodes, recovery } = key.split(&mut rng);
    let device = Device::new(owner, id, spec, device);
    device.credential().map_err(usage)?;
    // Written before anybody else has a share: a key without its device would be of no use.
    device.save(&args.device)?;
    if let Some(path) = &args.recovery_out {
        pki::create_private(path, &recovery_file(&recovery))?;
    }
    let response = called(&args.cluster, async |client| {
        client.enrol_key(&device.spec().key, &KeyTerms::default(), &nodes).await?;
        client.put_credential(device.id(), device.spec()).await?;
        let page = Page { origin: &args.origin };
        client.register(&device, (&options, page), probe.as_ref().map(super::biometric::Biometric::probe)).await
    })?;
    line(response.to_json().map_err(usage)?)?;
    Ok(Exit::Ok)
}

/// Runs `trefoil auth login`.
pub(super) fn login(args: &LoginArgs) -> Result<Exit, Error> {
    let options = RequestOptions::from_json(&text(&args.options)?).map_err(usage)?;
    let (device, probe) = (Device::load(&args.device)?, args.biometric.read()?);
    let response = called(&args.cluster, async |client| {
        let page = Page { origin: &args.origin };
        client.login(&device, (&options, page), probe.as_ref().map(super::biometric::Biometric::probe)).await
    })?;
    line(response.to_json().map_err(usage)?)?;
    Ok(Exit::Ok)
}

fn discoverable(options: &CreationOptions) -> bool {
    let selection = &options.authenticator_selection;
    match selection.resident_key {
        ResidentKey::Required | ResidentKey::Preferred => true,
        ResidentKey::Discouraged => false,
        ResidentKey::Unsaid => selection.require_resident_key,
    }
}

fn text(path: &Path) -> Result<String, Error> {
    let mut text = String::new();
    let read = if path.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text).map(drop)
    } else {
        fs::read_to_string(path).map(|read| text = read)
    };
    read.map_err(Error::system(format!("read {}", path.display())))?;
    Ok(text)
}
