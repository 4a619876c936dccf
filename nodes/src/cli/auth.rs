//! `trefoil auth`: logins with a biometric and a key that exist nowhere whole.

mod biometric;
mod device;
mod owner;
mod pair;
mod recovery;
mod restore;
mod tokens;

use super::{ClusterArgs, Exit, interruptible};
use crate::{
    Error,
    client::Client,
    pki::{ClientName, Role},
};

const EXAMPLES: &str = "\
docs/auth.md says who holds what. The options are what a relying party's WebAuthn library makes, and what is printed is what it verifies.

Examples:
  trefoil auth sample --seed 7 --out left.iris
  trefoil auth enrol --cluster demo/cluster.toml --user u-1041 --template left --iris left.iris
  trefoil auth register --cluster demo/cluster.toml --user u-1041 --options creation.json --origin https://login.example.org --iris left.iris --device phone.json --recovery-out recovery.key
  trefoil auth sample --seed 7 --noise 0.2 --turned 3 --out probe.iris
  trefoil auth login --cluster demo/cluster.toml --device phone.json --options request.json --origin https://login.example.org --iris probe.iris
  trefoil auth issuer --cluster demo/cluster.toml --name main --url https://login.example.org --audience shop --may-ask kiosk-3
  trefoil auth token --cluster demo/cluster.toml --issuer main --user u-1041 --audience shop --nonce n-0S6_WzA2Mj --iris probe.iris
  trefoil auth jwks --cluster demo/cluster.toml
  trefoil auth identify --cluster demo/cluster.toml --iris probe.iris
  trefoil auth recover --cluster demo/cluster.toml --recovery recovery.key --device phone2.json --recovery-out recovery2.key
  trefoil auth list --cluster demo/cluster.toml
  trefoil auth refresh --cluster demo/cluster.toml --user u-1041
  trefoil auth revoke --cluster demo/cluster.toml --user u-1041";

/// Subcommands of `trefoil auth`.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum AuthCommand {
    /// Share a template among the nodes
    Enrol(owner::EnrolArgs),
    /// Make a key for a device, share it, and register a credential with a relying party
    Register(device::RegisterArgs),
    /// Have the nodes match a probe and sign, with the device's part
    Login(device::LoginArgs),
    /// Make a key for tokens and name those for whom and through whom they are issued
    Issuer(tokens::IssuerArgs),
    /// Have the nodes match a probe and sign a token, without a device
    Token(tokens::TokenArgs),
    /// Print the public keys that verify tokens, as a JWK Set
    Jwks(tokens::JwksArgs),
    /// Find out who somebody is, among all users
    Identify(owner::IdentifyArgs),
    /// Make another device's share of a key from its recovery share, if a device is lost
    Recover(recovery::RecoverArgs),
    /// Give new nodes shares of a key from the device's and the recovery share, if nodes have lost theirs
    Restore(restore::RestoreArgs),
    /// List users with their templates, credentials and issuers
    List(owner::ListArgs),
    /// Replace the shares of a user's templates at all nodes
    Refresh(owner::RefreshArgs),
    /// Erase templates of a user, or forget a credential or an issuer
    Revoke(owner::RevokeArgs),
    /// Write a synthetic iris to try things with
    Sample(owner::SampleArgs),
}

/// Runs a subcommand of `trefoil auth`.
///
/// # Errors
/// As those of the subcommand.
pub fn run(command: &AuthCommand) -> Result<Exit, Error> {
    match command {
        AuthCommand::Enrol(args) => owner::enrol(args),
        AuthCommand::Register(args) => device::register(args),
        AuthCommand::Login(args) => device::login(args),
        AuthCommand::Issuer(args) => tokens::issuer(args),
        AuthCommand::Token(args) => tokens::token(args),
        AuthCommand::Jwks(args) => tokens::jwks(args),
        AuthCommand::Identify(args) => owner::identify(args),
        AuthCommand::Recover(args) => recovery::recover(args),
        AuthCommand::Restore(args) => restore::restore(args),
        AuthCommand::List(args) => owner::list(args),
        AuthCommand::Refresh(args) => owner::refresh(args),
        AuthCommand::Revoke(args) => owner::revoke(args),
        AuthCommand::Sample(args) => owner::sample(args),
    }
}

/// Runs work with a client that has not called any node yet: a login without a match needs two nodes alone.
fn called<T>(args: &ClusterArgs, work: impl AsyncFnOnce(Client) -> Result<T, Error>) -> Result<T, Error> {
    let target = args.resolve()?;
    let client = Client::new(&target.cluster, &target.identity)?;
    interruptible(work(client))
}

/// Whose credentials these are: the client's that runs the command.
fn owner(args: &ClusterArgs) -> Result<ClientName, Error> {
    match args.resolve()?.identity.role() {
        Role::Client(owner) => Ok(owner.clone()),
        Role::Node(_) => Err(Error::Usage("a node has no credentials; use the certificate of a client".to_owned())),
    }
}

#[allow(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn usage(error: trefoil_auth::Error) -> Error {
    Error::Usage(error.to_string())
}
