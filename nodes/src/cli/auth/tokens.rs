//! What an issuer and a terminal do: name the issuer, ask for tokens, show the keys that verify them.

use super::{biometric::BiometricArgs, called, owner::no_probe};
use crate::{
    Error,
    auth::{IssuerName, IssuerSpec, UserName},
    cli::{ClusterArgs, Exit, OutputArgs, line},
    client::Login,
    keys::KeyName,
    pki::{ClientName, Role},
};
use trefoil_auth::rsa::{KeySize, PrivateKey, randomness};

/// Arguments of `trefoil auth issuer`, as typed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The key is made here, split among the nodes and erased. It signs tokens and nothing else. Relying parties find it with `trefoil auth jwks`: publish what that prints under the issuer's address.
To change an issuer, revoke it and name it anew with --key.

Examples:
  trefoil auth issuer --cluster demo/cluster.toml --name main --url https://login.example.org --audience shop,portal --may-ask kiosk-3,kiosk-4
  trefoil auth issuer --cluster demo/cluster.toml --name main --url https://login.example.org --audience shop --key main --lifetime 60")]
pub struct IssuerArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// What to call the issuer
    #[arg(long)]
    name: IssuerName,
    /// What tokens have as `iss`: an https address
    #[arg(long, value_name = "URL")]
    url: String,
    /// The relying parties that tokens may be for, as they have them as `aud`
    #[arg(long, value_name = "NAME", value_delimiter = ',', required = true)]
    audience: Vec<String>,
    /// Clients that may ask for tokens beside you
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    may_ask: Vec<ClientName>,
    /// For how many seconds a token is good, 3600 at most
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    lifetime: u32,
    /// A key for tokens that is there [default: a new one, called as the issuer]
    #[arg(long, value_name = "NAME")]
    key: Option<KeyName>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of `trefoil auth token`, as typed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
What is printed is a JWS in compact form, which the relying party verifies with RS256. Exit code 1 if the nodes refuse,
as they do if the probe does not match; 3 if they cannot be reached.

Examples:
  trefoil auth token --cluster demo/cluster.toml --issuer main --user u-1041 --audience shop --nonce n-0S6_WzA2Mj --iris probe.iris
  trefoil auth token --cluster demo/cluster.toml --identity demo/kiosk-3.crt --owner bank --issuer main --user u-1041 --audience shop --nonce n-0S6_WzA2Mj --iris probe.iris")]
pub struct TokenArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// The client whose issuer it is [default: you]
    #[arg(long, value_name = "NAME")]
    owner: Option<ClientName>,
    /// The issuer
    #[arg(long, value_name = "NAME")]
    issuer: IssuerName,
    /// Whose probe it is said to be
    #[arg(long)]
    user: UserName,
    /// The relying party
    #[arg(long, value_name = "NAME")]
    audience: String,
    /// What the relying party has drawn for this login
    #[arg(long, value_name = "TEXT")]
    nonce: String,
    #[command(flatten)]
    biometric: BiometricArgs,
}

/// Arguments of `trefoil auth jwks`, as typed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Two nodes at least have to give the same keys: one alone could name a key of its own. Each node serves its answer at /v1/auth/jwks?owner=NAME.

Example:
  trefoil auth jwks --cluster demo/cluster.toml > jwks.json")]
pub struct JwksArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// The client whose issuers sign with them [default: you]
    #[arg(long, value_name = "NAME")]
    owner: Option<ClientName>,
}

/// Runs `trefoil auth issuer`.
pub(super) fn issuer(args: &IssuerArgs) -> Result<Exit, Error> {
    let called_alike = || String::from(args.name.clone()).parse().map_err(Error::Bug);
    let spec = IssuerSpec {
        key: args.key.clone().map_or_else(called_alike, Ok)?,
        url: args.url.clone(),
        audiences: args.audience.clone(),
        lifetime_seconds: args.lifetime,
        terminals: args.may_ask.clone(),
    };
    spec.check()?;
    let shares = if args.key.is_none() {
        let mut rng = randomness()?;
        Some(PrivateKey::generate(KeySize::Rsa2048, &mut rng)?.split_among_nodes(&mut rng))
    } else {
        None
    };
    let issuer = called(&args.cluster, async |client| {
        if let Some(shares) = &shares {
            client.enrol_token_key(&spec.key, shares).await?;
        }
        client.put_issuer(&args.name, &spec).await?;
        client.issuer(None, &args.name).await
    })?;
    let status = issuer.status();
    let text = format!("the nodes issue tokens of {} with the key {}", status.spec.url, status.jwk.kid);
    args.output.resolve().print(status, text)?;
    Ok(Exit::Ok)
}

/// Runs `trefoil auth token`.
pub(super) fn token(args: &TokenArgs) -> Result<Exit, Error> {
    let probe = args.biometric.read()?.ok_or_else(no_probe)?;
    let token = called(&args.cluster, async |client| {
        let issuer = client.issuer(args.owner.as_ref(), &args.issuer).await?;
        let login = Login { user: &args.user, audience: &args.audience, nonce: &args.nonce };
        client.token(&issuer, login, probe.probe()).await
    })?;
    line(token)?;
    Ok(Exit::Ok)
}

/// Runs `trefoil auth jwks`.
pub(super) fn jwks(args: &JwksArgs) -> Result<Exit, Error> {
    let owner = match (&args.owner, args.cluster.resolve()?.identity.role()) {
        (Some(owner), _) | (None, Role::Client(owner)) => owner.clone(),
        (None, _) => return Err(Error::Usage("a node has no issuers; name their owner with --owner".to_owned())),
    };
    let keys = called(&args.cluster, async |client| client.jwks(&owner).await)?;
    line(serde_json::to_string(&keys).map_err(|e| Error::Bug(format!("keys as JSON: {e}")))?)?;
    Ok(Exit::Ok)
}
