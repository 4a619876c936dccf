//! `trefoil policy`: who may have what computed at a node.

mod init;

use super::{Exit, OutputArgs};
use crate::{
    Error,
    audit::AuditWhose,
    config::NodeConfig,
    job::{ModeSpec, ProgramKind},
    pki::ClientName,
    policy::{
        Action, DataSet, Decision, JobQuestion, Policy, PolicySigner, Question, Recipient, Rule, read_signed,
        write_signature,
    },
};
use serde::Serialize;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The subcommands of `trefoil policy`.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum PolicyCommand {
    /// Explain what a policy decides, without a node
    Check(Box<CheckArgs>),
    /// Sign a policy, so that its node takes it
    Sign(SignArgs),
    /// Give each node of an older cluster a policy that permits what clients could do until now
    Init(init::InitArgs),
    /// Check the policy of a node and its signature, and list its rules
    Show(ShowArgs),
}

const EXAMPLES: &str = "\
A policy is a file, policy.toml, in the directory of each node, with its signature beside it. What no rule allows is not
permitted. `trefoil cluster init` writes one that permits what clients with certificates ask for.

To change it: edit the file, raise its serial, sign it, and send the node SIGHUP.

Examples:
  trefoil policy check prod/node-0/policy.toml --requester bank-c --program credit-train --data bank-a/loans
  trefoil policy sign prod/node-0/policy.toml --key prod/policy.key
  trefoil policy show --config prod/node-0/node.toml";

/// What `trefoil policy check` is given.
#[derive(Debug, clap::Args)]
#[command(after_help = CHECK_EXAMPLES)]
pub struct CheckArgs {
    /// The policy; its signature is not looked at
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Who asks: the name of a client
    #[arg(long, value_name = "NAME")]
    requester: String,
    /// What is computed, such as `credit-train`
    #[arg(long, value_name = "KIND", required_unless_present = "action")]
    program: Option<String>,
    /// Of what: OWNER/TABLE, or `@upload` for what comes with the job; several times for several [default: @upload]
    #[arg(long, value_name = "DATA", conflicts_with = "action")]
    data: Vec<String>,
    /// For whom: a client, or `@nodes` for what stays at the nodes; several times for several [default: the requester]
    #[arg(long, value_name = "NAME", conflicts_with = "action")]
    recipient: Vec<String>,
    /// Against whom it is secure
    #[arg(long, default_value = "malicious", conflicts_with = "action")]
    mode: ModeSpec,
    /// What is asked for, if it is no job
    #[arg(long, conflicts_with = "program")]
    action: Option<Action>,
    #[command(flatten)]
    output: OutputArgs,
}

const CHECK_EXAMPLES: &str = "\
Ends with 0 if it is permitted, and with 1 if it is not. Jobs that were counted are not known here.

Examples:
  trefoil policy check policy.toml --requester bank-c --program moments --data bank-a/loans --recipient auditor
  trefoil policy check policy.toml --requester kiosk-3 --action tokens";

/// What `trefoil policy sign` is given.
#[derive(Debug, clap::Args)]
#[command(after_help = SIGN_EXAMPLES)]
pub struct SignArgs {
    /// The policy
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The private key of the operator
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
}

const SIGN_EXAMPLES: &str = "\
Checks the policy, and writes FILE.sig beside it.

Examples:
  trefoil policy sign prod/node-0/policy.toml --key prod/policy.key";

/// What `trefoil policy show` is given.
#[derive(Debug, clap::Args)]
#[command(after_help = SHOW_EXAMPLES)]
pub struct ShowArgs {
    /// The node's configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
}

const SHOW_EXAMPLES: &str = "\
Reads the files as the node would. Whether it has used a later policy is in its store, and found when it starts.

Examples:
  trefoil policy show --config prod/node-0/node.toml";

/// Runs a subcommand.
///
/// # Errors
/// [`Error::Config`] for a policy that cannot be used, [`Error::Usage`] for arguments, [`Error::System`] for files.
pub fn run(command: &PolicyCommand) -> Result<Exit, Error> {
    match command {
        PolicyCommand::Check(args) => check(args),
        PolicyCommand::Sign(args) => sign(args),
        PolicyCommand::Init(args) => init::run(args),
        PolicyCommand::Show(args) => show(args),
    }
}

fn check(args: &CheckArgs) -> Result<Exit, Error> {
    let question = args.question()?;
    let policy = Policy::read(&args.file)?;
    let output = args.output.resolve();
    let (answer, text) = match policy.decide(&question) {
        Decision::Allowed(rules) => {
            let names: Vec<_> = rules.iter().map(|rule| rule.name.clone()).collect();
            let how = |rule: &&Rule| {
                let bounds = if rule.bounds.is_none() { String::new() } else { format!(", {}", rule.bounds) };
                format!("allowed by rule `{}`{bounds}", rule.name)
            };
            let text = rules.iter().map(how).collect::<Vec<_>>().join("\n");
            (Answer { allowed: true, rules: names, reason: None }, text)
        }
        Decision::Denied(denial) => {
            let reason = denial.to_string();
            let text = format!("denied: {reason}");
            (Answer { allowed: false, rules: Vec::new(), reason: Some(reason) }, text)
        }
    };
    output.print(&answer, text)?;
    Ok(if answer.allowed { Exit::Ok } else { Exit::Failed })
}

fn sign(args: &SignArgs) -> Result<Exit, Error> {
    let policy = Policy::read(&args.file)?;
    let signer = PolicySigner::load(&args.key)?;
    let text = fs::read_to_string(&args.file).map_err(Error::system(format!("read {}", args.file.display())))?;
    let path = write_signature(&args.file, &signer.sign(&text)?)?;
    let text = format!(
        "signed policy {} of {} in {}\npolicy_key = \"{}\"\nsend the node SIGHUP, and look into its log",
        policy.serial,
        policy.whose.party,
        path.display(),
        signer.public()
    );
    let signed = Signed { signature: &path, serial: policy.serial, policy_key: signer.public().to_string() };
    args.output.resolve().print(&signed, text)?;
    Ok(Exit::Ok)
}

fn show(args: &ShowArgs) -> Result<Exit, Error> {
    let config = NodeConfig::load(&args.config)?;
    let files = config.policy.ok_or_else(|| {
        Error::Usage(format!(
            "{} names no policy, so the node permits nothing; `trefoil policy init` writes one",
            args.config.display()
        ))
    })?;
    let policy = read_signed(&files, AuditWhose { cluster: config.cluster.id(), party: config.party })?;
    let rules: Vec<_> = policy.rules.iter().map(Shown::of).collect();
    let lines: Vec<_> = rules.iter().map(|rule| format!("  {} {}: {}", rule.effect, rule.name, rule.what)).collect();
    let text = format!(
        "policy {} of {}, SHA-256 {}\nsigned with {}\n{}",
        policy.serial,
        policy.whose.party,
        policy.digest,
        files.key,
        lines.join("\n")
    );
    let shown = serde_json::json!({
        "serial": policy.serial, "sha256": policy.digest, "policy_key": files.key, "rules": rules,
    });
    args.output.resolve().print(&shown, text)?;
    Ok(Exit::Ok)
}

impl CheckArgs {
    fn question(&self) -> Result<Question, Error> {
        let usage = |option: &str| {
            let option = option.to_owned();
            move |e: String| Error::Usage(format!("{option}: {e}"))
        };
        let requester: ClientName = self.requester.parse().map_err(usage("--requester"))?;
        let Some(program) = &self.program else {
            let action = self.action.ok_or_else(|| Error::Usage("name --program or --action".to_owned()))?;
            return Ok(Question::Action { action, requester });
        };
        let program: ProgramKind = serde_json::from_value(serde_json::Value::String(program.clone()))
            .map_err(|e| Error::Usage(format!("--program: {e}")))?;
        let mut data: Vec<DataSet> =
            self.data.iter().map(|set| set.parse()).collect::<Result<_, _>>().map_err(usage("--data"))?;
        if data.is_empty() {
            data.push(DataSet::Upload);
        }
        let recipients: Result<Vec<Recipient>, _> = self.recipient.iter().map(|name| name.parse()).collect();
        let mut recipients = recipients.map_err(usage("--recipient"))?;
        if recipients.is_empty() {
            recipients.push(Recipient::Client(requester.clone()));
        }
        Ok(Question::Job(JobQuestion { program, mode: self.mode, requester, data, recipients }))
    }
}

/// What `check` prints, as JSON.
#[derive(Serialize)]
struct Answer {
    allowed: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rules: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// What `sign` prints, as JSON.
#[derive(Serialize)]
struct Signed<'a> {
    signature: &'a Path,
    serial: u64,
    policy_key: String,
}

/// A rule as `show` prints it.
#[derive(Serialize)]
struct Shown {
    name: String,
    effect: &'static str,
    what: String,
}

impl Shown {
    fn of(rule: &Rule) -> Self {
        let effect = match rule.effect {
            crate::policy::Effect::Allow => "allow",
            crate::policy::Effect::Deny => "deny",
        };
        Self { name: rule.name.clone(), effect, what: rule.to_string() }
    }
}
