//! `policy.toml`: the rules of one node.

use super::{
    Action, Bounds, DataPattern, NamePattern, RecipientPattern,
    decide::written,
    names::{DataForm, Named, RESERVED, RecipientForm, Whom},
    question::{DataSet, Recipient},
};
use crate::{
    audit::AuditWhose,
    config::{ClusterId, ConfigError, Source},
    job::{ModeSpec, ProgramKind, Sha256Hex},
    pki::ClientName,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    num::NonZeroU32,
    sync::Arc,
};
use toml::Spanned;
use trefoil_engine::Party;

/// The version of the form of `policy.toml` that this program reads and writes.
pub const POLICY_FORMAT: u32 = 1;

/// Rules and groups of a policy at most. A decision looks at all of them.
const MAX_RULES: usize = 1024;

/// Names of requesters in all rules at most, with those of the groups that they name: each rule has its own.
const MAX_NAMES: usize = 1 << 20;

/// `policy.toml` as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyFile {
    format: Spanned<u32>,
    cluster_id: ClusterId,
    party: Spanned<u8>,
    serial: u64,
    #[serde(default)]
    groups: BTreeMap<String, Spanned<Vec<NamePattern>>>,
    #[serde(default)]
    allow: Vec<Spanned<RawRule>>,
    #[serde(default)]
    deny: Vec<Spanned<RawRule>>,
}

/// A rule as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    name: String,
    requesters: Option<Vec<RequesterPattern>>,
    actions: Option<Vec<Action>>,
    programs: Option<Vec<ProgramKind>>,
    data: Option<Vec<DataPattern>>,
    recipients: Option<Vec<RecipientPattern>>,
    modes: Option<Vec<ModeSpec>>,
    per_hour: Option<NonZeroU32>,
    per_day: Option<NonZeroU32>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
struct RequesterPattern(Named);

/// A policy whose form is right.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The node that it is for.
    pub whose: AuditWhose,
    /// Its number. A later policy has a higher one.
    pub serial: u64,
    /// SHA-256 of the file.
    pub digest: Sha256Hex,
    /// The rules: those that allow, then those that deny, each in their order.
    pub rules: Vec<Rule>,
}

/// One rule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule {
    /// Its name, which is in the audit log.
    pub name: String,
    /// What it says.
    pub effect: Effect,
    /// About what.
    pub scope: Scope,
    /// About whose requests; of a rule that denies, anybody's if it names none.
    pub(super) requesters: Option<Vec<Whom>>,
    /// The groups of the file, for owners and recipients.
    groups: Arc<BTreeMap<String, Vec<NamePattern>>>,
    /// How often each requester may have it.
    pub bounds: Bounds,
}

/// What a rule says.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// It is permitted.
    Allow,
    /// It is not.
    Deny,
}

/// What a rule is about. What is left out by a rule that denies is anything.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Scope {
    /// Jobs.
    Jobs {
        /// What they compute.
        programs: Option<Vec<ProgramKind>>,
        /// Of what.
        data: Option<Vec<DataPattern>>,
        /// For whom.
        recipients: Option<Vec<RecipientPattern>>,
        /// Against whom they are secure.
        modes: Option<Vec<ModeSpec>>,
    },
    /// Other requests.
    Actions(Vec<Action>),
}

impl Policy {
    /// Reads a policy from a file's text.
    ///
    /// # Errors
    /// [`ConfigError`] with file, line and remedy.
    pub(crate) fn resolve(source: &Source) -> Result<Self, ConfigError> {
        let file: PolicyFile = source.parse()?;
        if *file.format.get_ref() != POLICY_FORMAT {
            let message =
                format!("format {} is not known; this program reads format {POLICY_FORMAT}", file.format.get_ref());
            return Err(source.at(&file.format.span(), message));
        }
        let party = Party::from_index(usize::from(*file.party.get_ref())).ok_or_else(|| {
            let message = format!("party {} does not exist; the parties are 0, 1 and 2", file.party.get_ref());
            source.at(&file.party.span(), message)
        })?;
        if file.allow.len() + file.deny.len() + file.groups.len() > MAX_RULES {
            return Err(source.whole(format!("there are more than {MAX_RULES} rules and groups; join some")));
        }
        let mut groups = BTreeMap::new();
        for (name, members) in file.groups {
            if RESERVED.contains(&name.as_str()) || !is_name(&name) {
                let message = format!(
                    "`{name}` cannot be the name of a group; use letters, digits, `.`, `_` and `-`, and not {}",
                    RESERVED.join(", ")
                );
                return Err(source.at(&members.span(), message));
            }
            groups.insert(name, members.into_inner());
        }
        let groups = Arc::new(groups);
        let allow = file.allow.into_iter().map(|rule| (Effect::Allow, rule));
        let deny = file.deny.into_iter().map(|rule| (Effect::Deny, rule));
        let (mut rules, mut names, mut requesters) = (Vec::new(), BTreeSet::new(), 0_usize);
        for (effect, rule) in allow.chain(deny) {
            let span = rule.span();
            requesters = requesters.saturating_add(rule.get_ref().count_requesters(&groups));
            if requesters > MAX_NAMES {
                let message = format!(
                    "with the names of their groups, the rules up to this one have more than {MAX_NAMES} requesters; write patterns with a * in the groups"
                );
                return Err(source.at(&span, message));
            }
            let rule = rule.into_inner().resolve(effect, &groups).map_err(|message| source.at(&span, message))?;
            if !names.insert(rule.name.clone()) {
                let message =
                    format!("there are two rules `{}`; their names are in the audit log: give each its own", rule.name);
                return Err(source.at(&span, message));
            }
            rules.push(rule);
        }
        let whose = AuditWhose { cluster: file.cluster_id, party };
        Ok(Self { whose, serial: file.serial, digest: Sha256Hex::of(source.text.as_bytes()), rules })
    }
}

impl RawRule {
    fn resolve(self, effect: Effect, groups: &Arc<BTreeMap<String, Vec<NamePattern>>>) -> Result<Rule, String> {
        let Self { name, .. } = &self;
        if !is_name(name) {
            return Err(format!(
                "`{name}` cannot be the name of a rule; use 1 to 64 of the letters, digits, `.`, `_` and `-`"
            ));
        }
        let bounds = Bounds { per_hour: self.per_hour, per_day: self.per_day };
        let of_jobs = [
            ("programs", self.programs.is_some()),
            ("data", self.data.is_some()),
            ("recipients", self.recipients.is_some()),
            ("modes", self.modes.is_some()),
        ];
        let for_jobs = of_jobs.iter().any(|(_, there)| *there);
        let missing = |what: &str| {
            format!(
                "rule `{name}` allows something and says no {what}; write them: what is not written is not permitted"
            )
        };
        let unknown = self.groups().find(|group| !groups.contains_key(*group));
        if let Some(group) = unknown {
            return Err(format!("rule `{name}` names the group @{group}, and there is none under [groups]"));
        }
        match (effect, &self.actions) {
            (_, Some(_)) if for_jobs || !bounds.is_none() => {
                return Err(format!("rule `{name}` is about actions and about jobs; write a rule for each"));
            }
            (Effect::Deny, _) if !bounds.is_none() => {
                return Err(format!("rule `{name}` denies, so it counts nothing; take per_hour and per_day out"));
            }
            (Effect::Allow, None) => {
                if let Some((what, _)) = of_jobs.iter().find(|(_, there)| !there) {
                    return Err(missing(what));
                }
            }
            _ => {}
        }
        if effect == Effect::Allow && self.requesters.is_none() {
            return Err(missing("requesters"));
        }
        let mut requesters = self.requesters.as_ref().map(|_| Vec::new());
        for RequesterPattern(named) in self.requesters.into_iter().flatten() {
            let Some(all) = &mut requesters else { continue };
            match named {
                Named::Names(pattern) => all.push(Whom::Names(pattern)),
                Named::Requester => all.push(Whom::Requester),
                Named::Group(group) => {
                    all.extend(groups.get(&group).into_iter().flatten().cloned().map(Whom::Names));
                }
            }
        }
        let Self { name, actions, programs, data, recipients, modes, .. } = self;
        let scope = actions.map_or(Scope::Jobs { programs, data, recipients, modes }, Scope::Actions);
        Ok(Rule { name, effect, scope, requesters, groups: groups.clone(), bounds })
    }

    /// How many requesters it has with the names of its groups, before they are put in.
    fn count_requesters(&self, groups: &BTreeMap<String, Vec<NamePattern>>) -> usize {
        let count = |RequesterPattern(named): &RequesterPattern| match named {
            Named::Group(group) => groups.get(group).map_or(0, Vec::len),
            _ => 1,
        };
        self.requesters.iter().flatten().map(count).fold(0, usize::saturating_add)
    }

    /// The groups that it names.
    fn groups(&self) -> impl Iterator<Item = &String> {
        let requesters = self.requesters.iter().flatten().map(|RequesterPattern(named)| named);
        let owners = self.data.iter().flatten().filter_map(|pattern| match &pattern.0 {
            DataForm::Tables(owner, _) => Some(owner),
            DataForm::Upload => None,
        });
        let recipients = self.recipients.iter().flatten().filter_map(|pattern| match &pattern.0 {
            RecipientForm::Clients(named) => Some(named),
            RecipientForm::Nodes => None,
        });
        requesters.chain(owners).chain(recipients).filter_map(|named| match named {
            Named::Group(group) => Some(group),
            _ => None,
        })
    }
}

impl Rule {
    /// Whether it is about requests of this client.
    pub(super) fn is_for(&self, requester: &ClientName) -> bool {
        self.requesters.as_ref().is_none_or(|all| all.iter().any(|whom| whom.covers(requester, requester, self.effect)))
    }

    pub(super) fn covers_data(&self, pattern: &DataPattern, set: &DataSet, requester: &ClientName) -> bool {
        match (&pattern.0, set) {
            (DataForm::Upload, DataSet::Upload) => true,
            (DataForm::Tables(whose, tables), DataSet::Table { owner, name }) => {
                self.names(whose, owner, requester) && tables.covers(name.as_str())
            }
            _ => false,
        }
    }

    pub(super) fn covers_recipient(
        &self,
        pattern: &RecipientPattern,
        recipient: &Recipient,
        requester: &ClientName,
    ) -> bool {
        match (&pattern.0, recipient) {
            (RecipientForm::Nodes, Recipient::Nodes) => true,
            (RecipientForm::Clients(whom), Recipient::Client(name)) => self.names(whom, name, requester),
            _ => false,
        }
    }

    fn names(&self, whom: &Named, name: &ClientName, requester: &ClientName) -> bool {
        match whom {
            Named::Names(pattern) => Whom::Names(pattern.clone()).covers(name, requester, self.effect),
            Named::Requester => name == requester,
            Named::Group(group) => {
                let whom = |pattern: &NamePattern| Whom::Names(pattern.clone()).covers(name, requester, self.effect);
                self.groups.get(group).into_iter().flatten().any(whom)
            }
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let any = || "anything".to_owned();
        let requesters = self.requesters.as_ref().map_or_else(|| "anybody".to_owned(), |all| listed(all));
        match &self.scope {
            Scope::Actions(actions) => write!(f, "{} for {requesters}", listed(actions))?,
            Scope::Jobs { programs, data, recipients, modes } => {
                let programs =
                    programs.as_ref().map_or_else(any, |all| all.iter().map(written).collect::<Vec<_>>().join(", "));
                let [data, recipients, modes] = [
                    data.as_deref().map_or_else(any, listed),
                    recipients.as_deref().map_or_else(|| "anybody".to_owned(), listed),
                    modes.as_deref().map_or_else(|| "any".to_owned(), listed),
                ];
                write!(f, "{programs} of {data} asked by {requesters} for {recipients}, mode {modes}")?;
            }
        }
        if self.bounds.is_none() { Ok(()) } else { write!(f, ", {}", self.bounds) }
    }
}

fn listed(all: &[impl fmt::Display]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl TryFrom<String> for RequesterPattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self)
    }
}

fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=64).contains(&text.len()) && text.chars().all(allowed)
}

/// The policy that a new node begins with: what every client with a certificate could do if there were none.
#[must_use]
pub fn default_policy(whose: AuditWhose) -> String {
    let AuditWhose { cluster, party } = whose;
    format!(
        r#"# Trefoil: who may have what computed at this node. What no rule allows is not permitted. docs/operations/policy.md explains every key.
# After a change: raise `serial`, sign with `trefoil policy sign`, and send the node SIGHUP.

# Version of this form.
format = {POLICY_FORMAT}

# The node that this is for: the signature makes it worthless for others.
cluster_id = "{cluster}"
party = {party}

# Goes up with every change; a node that has used a policy takes none that is older.
serial = 1

# Names for several clients, which rules write with an @ before.
[groups]
# banks = ["bank-a", "bank-b"]

# Jobs. All of a job has to be covered by one rule: program, every data set, who asks, every recipient of every output, and the mode.
# This one permits every client everything, as far as the owners of tables do. Narrow it down before strangers have certificates.
[[allow]]
name = "all-jobs"
programs = ["aes-ctr", "circuit", "moments", "credit-score", "credit-train", "credit-counts", "credit-join"]
# "@upload" is what comes with the job; tables are OWNER/TABLE, with a * at the end of either.
data = ["@upload", "*/*"]
requesters = ["*"]
# "@nodes" is an output that stays at the nodes as a table.
recipients = ["*", "@nodes"]
modes = ["malicious", "semi-honest"]
# per_hour = 100
# per_day = 1000

# What is not a job.
[[allow]]
name = "all-actions"
actions = ["tables", "downloads", "keys", "sign", "templates", "logins", "tokens", "searches"]
requesters = ["*"]

# Operators, whose certificate `trefoil cluster client --name operator` makes, may have the nodes compare, refresh and rebuild their stores.
[[allow]]
name = "operators"
actions = ["upkeep"]
requesters = ["operator"]

# What a rule denies stays denied, whatever others allow. What it leaves out stands for anything.
# [[deny]]
# name = "no-circuits-on-tables"
# programs = ["circuit"]
# data = ["*/*"]
"#,
        party = party.index(),
    )
}
