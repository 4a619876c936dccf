//! What an owner does: enrol, identify, list, refresh, revoke.

use super::{
    biometric::{BiometricArgs, write_iris},
    called, owner,
};
use crate::{
    Error,
    auth::{
        Asked, CredentialStatus, Erased, Erasure, IssuerName, IssuerStatus, Matching, TemplateKind, TemplateName,
        Unsettled, UserName, UserStatus,
    },
    cli::{
        ClusterArgs, Exit, ModeArgs, OutputArgs,
        receipts::{Checked, ReceiptArgs},
    },
};
use serde::Serialize;
use std::path::PathBuf;
use trefoil_auth::webauthn::{Bytes, CredentialId};
use trefoil_circuits::matching::Threshold;
use trefoil_engine::Party;

/// Arguments of `trefoil auth enrol`, as typed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The template is split here; no node sees it. All templates of a user that are of one kind have the same threshold and the same --least-valid.

Examples:
  trefoil auth enrol --cluster demo/cluster.toml --user u-1041 --template left --iris left.iris
  trefoil auth enrol --cluster demo/cluster.toml --user u-1041 --template left --iris left.iris --least-valid 0.7
  trefoil auth enrol --cluster demo/cluster.toml --user u-1041 --template face --embedding face.f32 --threshold 0.8")]
pub struct EnrolArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// The user, as the nodes know her: a random name tells them nothing
    #[arg(long)]
    user: UserName,
    /// What to call the template
    #[arg(long, value_name = "NAME")]
    template: TemplateName,
    #[command(flatten)]
    biometric: BiometricArgs,
    /// The distance that a probe has to be below, or the cosine that it has to be above [default: 0.345 for an iris]
    #[arg(long, value_name = "FRACTION")]
    threshold: Option<Threshold>,
    /// Of bits, the part of the mask that has to be valid in probe and template at once: with less, chance has more of them agree [default: 1/2]
    #[arg(long, value_name = "FRACTION", conflicts_with = "embedding")]
    least_valid: Option<Threshold>,
    #[command(flatten)]
    mode: ModeArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of `trefoil auth identify`, as typed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The name comes here alone: no node learns it, nor whether anybody matches. If several users match, it is the first by name. Exit code 1 if nobody does.

Examples:
  trefoil auth identify --cluster demo/cluster.toml --iris probe.iris
  trefoil auth identify --cluster demo/cluster.toml --embedding probe.f32 --json")]
pub struct IdentifyArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    biometric: BiometricArgs,
    /// Search the others where the nodes do not have the same templates of some users, and say who was left out. Without it such a search is refused: it could miss somebody
    #[arg(long)]
    leave_out_unsettled: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of `trefoil auth list`, as typed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  trefoil auth list --cluster demo/cluster.toml --json")]
pub struct ListArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of `trefoil auth refresh`, as typed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Whoever had the shares of one node before has nothing that fits those of another after. The user need not be there.

Example:
  trefoil auth refresh --cluster demo/cluster.toml --user u-1041")]
pub struct RefreshArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// The user
    #[arg(long)]
    user: UserName,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of `trefoil auth revoke`, as typed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trefoil auth revoke --cluster demo/cluster.toml --user u-1041 --receipts erased.json
  trefoil auth revoke --cluster demo/cluster.toml --user u-1041 --template left
  trefoil auth revoke --cluster demo/cluster.toml --credential AAECAwQFBgcICQoLDA0ODw
  trefoil auth revoke --cluster demo/cluster.toml --issuer main")]
pub struct RevokeArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// The user whose templates are erased
    #[arg(long, required_unless_present_any = ["credential", "issuer"], conflicts_with_all = ["credential", "issuer"])]
    user: Option<UserName>,
    /// The one template that is erased [default: all]
    #[arg(long, value_name = "NAME", requires = "user")]
    template: Option<TemplateName>,
    /// The credential that is forgotten, by its id in base64url
    #[arg(long, value_name = "ID")]
    credential: Option<String>,
    /// The issuer of tokens that is forgotten
    #[arg(long, value_name = "NAME", conflicts_with_all = ["credential", "receipts", "nonce"])]
    issuer: Option<IssuerName>,
    #[command(flatten)]
    receipts: ReceiptArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of `trefoil auth sample`, as typed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trefoil auth sample --seed 7 --out left.iris
  trefoil auth sample --seed 7 --noise 0.2 --turned 3 --out probe.iris")]
pub struct SampleArgs {
    /// Whose iris
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Another picture of it, with this part of the bits wrong
    #[arg(long)]
    noise: Option<f64>,
    /// By how many columns that picture is turned
    #[arg(long, default_value_t = 0, allow_negative_numbers = true, requires = "noise")]
    turned: isize,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// The JSON form of a list.
#[derive(Debug, Serialize)]
struct Listed {
    node: u8,
    users: Vec<UserStatus>,
    credentials: Vec<CredentialStatus>,
    issuers: Vec<IssuerStatus>,
}

/// Runs `trefoil auth enrol`.
pub(super) fn enrol(args: &EnrolArgs) -> Result<Exit, Error> {
    let template = args.biometric.read()?.ok_or_else(|| {
        Error::Usage("there is no template; name a file with --iris, --bits or --embedding".to_owned())
    })?;
    let threshold = match (args.threshold, template.kind()) {
        (Some(threshold), _) => threshold,
        (None, TemplateKind::Iris) => Threshold::DEPLOYED,
        (None, _) => return Err(Error::Usage("give the threshold for this kind with --threshold".to_owned())),
    };
    let least_valid = args.least_valid.unwrap_or(Threshold::HALF);
    let matching = Matching { kind: template.kind(), threshold, mode: args.mode.mode, least_valid };
    let status = called(&args.cluster, async |client| {
        client.enrol_template((&args.user, &args.template), matching, template.plain()).await
    })?;
    let text = format!("enrolled the template `{}` of {}: each node has its share", status.name, args.user);
    args.output.resolve().print(&status, text)?;
    Ok(Exit::Ok)
}

/// Runs `trefoil auth identify`.
pub(super) fn identify(args: &IdentifyArgs) -> Result<Exit, Error> {
    let probe = args.biometric.read()?.ok_or_else(no_probe)?;
    let unsettled = if args.leave_out_unsettled { Unsettled::LeaveOut } else { Unsettled::Refuse };
    let found = called(&args.cluster, async |client| client.identify(probe.probe(), unsettled).await)?;
    let mut text = found.user.as_ref().map_or_else(|| "nobody".to_owned(), ToString::to_string);
    if !found.left_out.is_empty() {
        let names: Vec<String> = found.left_out.iter().map(ToString::to_string).collect();
        text = format!("{text} (not searched: {})", names.join(", "));
    }
    args.output.resolve().print(&found, text)?;
    Ok(if found.user.is_some() { Exit::Ok } else { Exit::Failed })
}

/// Runs `trefoil auth list`.
pub(super) fn list(args: &ListArgs) -> Result<Exit, Error> {
    let (users, credentials, issuers) = called(&args.cluster, async |client| {
        Ok((client.auth_users().await, client.credentials().await, client.issuers().await))
    })?;
    let mut nodes = Vec::new();
    for (((party, users), credentials), issuers) in Party::ALL.into_iter().zip(users).zip(credentials).zip(issuers) {
        let node = party.index() as u8;
        nodes.push(Listed { node, users: users?, credentials: credentials?, issuers: issuers? });
    }
    let output = args.output.resolve();
    for node in &nodes {
        let mut text = format!("P{}:", node.node);
        for user in &node.users {
            let templates: Vec<String> =
                user.templates.iter().map(|t| format!("{} (epoch {})", t.name, t.epoch)).collect();
            text = format!("{text}\n  {}: {}; {} failures", user.user, templates.join(", "), user.failures);
        }
        for credential in &node.credentials {
            let (id, spec) = (credential.id.to_base64url(), &credential.spec);
            text = format!("{text}\n  credential {id} of {} with {}", spec.user, spec.rp_id);
        }
        for issuer in &node.issuers {
            let for_whom = issuer.spec.audiences.join(", ");
            text = format!("{text}\n  issuer {}: {} for {for_whom}", issuer.name, issuer.spec.url);
        }
        output.print(node, text)?;
    }
    Ok(Exit::Ok)
}

/// Runs `trefoil auth refresh`.
pub(super) fn refresh(args: &RefreshArgs) -> Result<Exit, Error> {
    let templates = called(&args.cluster, async |client| client.refresh_templates(&args.user).await)?;
    let text = format!("all shares of {} templates of {} are new", templates.len(), args.user);
    args.output.resolve().print(&templates, text)?;
    Ok(Exit::Ok)
}

/// Runs `trefoil auth revoke`.
pub(super) fn revoke(args: &RevokeArgs) -> Result<Exit, Error> {
    let output = args.output.resolve();
    if let Some(name) = &args.issuer {
        called(&args.cluster, async |client| client.delete_issuer(name).await)?;
        let text = format!("no node knows the issuer {name} any more; its key stays until `trefoil rsa delete`");
        output.print(&serde_json::json!({ "issuer": name }), text)?;
        return Ok(Exit::Ok);
    }
    let (target, file, nonce) = (args.cluster.resolve()?, args.receipts.file()?, args.receipts.nonce()?);
    let whose = owner(&args.cluster)?;
    let (checked, what) = if let Some(text) = &args.credential {
        let id = credential_id(text)?;
        let answers = called(&args.cluster, async |client| Ok(client.delete_credential(&id, nonce).await))?;
        let asked = |erasure: &Erasure| erasure.answers(&whose, Asked::Credential(&id));
        (Checked::of((&target.cluster, nonce), answers, asked), format!("the credential {text}"))
    } else {
        let user =
            args.user.as_ref().ok_or_else(|| Error::Usage("name the user, a credential or an issuer".to_owned()))?;
        let name = args.template.as_ref();
        let (held, answers) = called(&args.cluster, async |client| {
            Ok((client.held_templates(user).await, client.delete_templates(user, name, nonce).await))
        })?;
        let asked = |erasure: &Erasure| erasure.answers(&whose, Asked::Templates { user, name, held: &held });
        (Checked::of((&target.cluster, nonce), answers, asked), user.to_string())
    };
    checked.keep(file)?;
    for (party, erasure) in &checked.stated {
        let text = match &erasure.erased {
            Erased::Templates { templates, .. } => {
                let names: Vec<String> = templates.iter().map(|template| template.name.to_string()).collect();
                format!("{party} has erased {} of {what}, and signed it", names.join(", "))
            }
            Erased::Credential(_) => format!("{party} has forgotten {what}, and signed it"),
        };
        output.print(erasure, text)?;
    }
    checked.end()
}

/// Runs `trefoil auth sample`.
pub(super) fn sample(args: &SampleArgs) -> Result<Exit, Error> {
    if args.noise.is_some_and(|noise| !(0.0..=1.0).contains(&noise)) {
        return Err(Error::Usage("the noise is a part of the bits, from 0 to 1".to_owned()));
    }
    write_iris(&args.out, args.seed, args.noise.map(|noise| (noise, args.turned)))?;
    Ok(Exit::Ok)
}

pub(super) fn no_probe() -> Error {
    Error::Usage("there is no probe; name a file with --iris, --bits or --embedding".to_owned())
}

fn credential_id(text: &str) -> Result<CredentialId, Error> {
    let wrong = |e: &dyn std::fmt::Display| Error::Usage(format!("`{text}` is no id of a credential: {e}"));
    let bytes: Bytes = serde_json::from_value(serde_json::Value::String(text.to_owned())).map_err(|e| wrong(&e))?;
    CredentialId::new(&bytes.0).map_err(|e| wrong(&e))
}
