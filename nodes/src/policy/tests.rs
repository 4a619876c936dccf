//! What policies decide, against a plain reference; and which of them a node takes.

use super::*;
use crate::{
    Error,
    audit::{AuditLog, AuditWhose, Entry, Event, Known},
    config::{ClusterId, Source},
    job::{ModeSpec, ProgramKind},
    pki::ClientName,
    store::{Location, Store, StoreConfig, Whose, create_key},
};
use proptest::prelude::*;
use std::{fs, path::PathBuf};
use tempfile::TempDir;
use trefoil_engine::Party;

const P1: AuditWhose = AuditWhose { cluster: ClusterId::new([7; 16]), party: Party::P1 };

/// What a new node begins with.
pub(crate) fn permissive() -> Policy {
    resolved(&default_policy(P1)).expect("the default is good")
}

fn resolved(text: &str) -> Result<Policy, String> {
    let source = Source { path: PathBuf::from("policy.toml"), text: text.to_owned() };
    Policy::resolve(&source).map_err(|e| e.to_string())
}

fn head(serial: u64) -> String {
    format!("format = 1\ncluster_id = \"{}\"\nparty = 1\nserial = {serial}\n", P1.cluster)
}

/// Of P1, with these rules.
pub(crate) fn policy(rules: &str) -> Policy {
    resolved(&format!("{}{rules}", head(1))).expect("a good policy")
}

fn name(text: &str) -> ClientName {
    text.parse().expect("a name")
}

fn job(data: &[&str], requester: &str, recipients: &[&str]) -> JobQuestion {
    JobQuestion {
        program: ProgramKind::CreditTrain,
        mode: ModeSpec::Malicious,
        requester: name(requester),
        data: data.iter().map(|set| set.parse().expect("data")).collect(),
        recipients: recipients.iter().map(|name| name.parse().expect("a recipient")).collect(),
    }
}

fn denial(policy: &Policy, job: &JobQuestion) -> String {
    match policy.decide(&Question::Job(job.clone())) {
        Decision::Denied(denial) => denial.to_string(),
        Decision::Allowed(rules) => panic!("allowed by {rules:?}"),
    }
}

fn allows(policy: &Policy, job: &JobQuestion) -> bool {
    matches!(policy.decide(&Question::Job(job.clone())), Decision::Allowed(_))
}

const TRAIN: &str = r#"
[groups]
leads = ["bank-c", "lab-*"]
[[allow]]
name = "train"
programs = ["credit-train"]
data = ["bank-a/loans*", "@requester/*"]
requesters = ["@leads"]
recipients = ["@requester", "auditor"]
modes = ["malicious"]
"#;

#[test]
fn each_dimension_alone_denies_and_is_named() {
    let policy = policy(TRAIN);
    let good = job(&["bank-a/loans-2026", "bank-c/own"], "bank-c", &["bank-c", "auditor"]);
    assert!(allows(&policy, &good) && allows(&policy, &job(&["lab-1/x"], "lab-1", &["lab-1"])));
    for (job, lacking) in [
        (JobQuestion { program: ProgramKind::Circuit, ..good.clone() }, "program (`circuit`)"),
        (JobQuestion { mode: ModeSpec::SemiHonest, ..good.clone() }, "mode (`semi-honest`)"),
        (job(&["bank-a/loans", "bank-b/loans"], "bank-c", &["bank-c"]), "data (`bank-b/loans`)"),
        (job(&["bank-a/loan"], "bank-c", &["bank-c"]), "data (`bank-a/loan`)"),
        (job(&["@upload"], "bank-c", &["bank-c"]), "data (`@upload`)"),
        (job(&["bank-a/loans"], "bank-c", &["auditor", "eve"]), "recipients (`eve`)"),
        (job(&["bank-a/loans"], "bank-c", &["@nodes"]), "recipients (`@nodes`)"),
        (job(&["bank-a/loans"], "eve", &["auditor"]), "requester (`eve`)"),
        (job(&["bank-a/loans"], "lab", &["auditor"]), "requester (`lab`)"),
    ] {
        let why = denial(&policy, &job);
        assert!(why.contains("`train`, which does not cover") && why.contains(lacking), "{why}");
        assert_eq!(why.matches("(`").count(), 1, "{why}");
    }
    let action = Question::Action { action: Action::Tables, requester: name("bank-c") };
    assert!(matches!(policy.decide(&action), Decision::Denied(Denial::Nothing { nearest: None })));
    assert!(policy.knows_requester(&name("lab-9")) && !policy.knows_requester(&name("eve")));
}

#[test]
fn a_rule_that_denies_wins_and_one_data_set_is_enough() {
    let rules = format!("{TRAIN}[[deny]]\nname = \"secret\"\ndata = [\"bank-a/loans-secret\"]\n");
    let policy = policy(&rules);
    assert!(allows(&policy, &job(&["bank-a/loans"], "bank-c", &["auditor"])));
    let both = job(&["bank-a/loans", "bank-a/loans-secret"], "bank-c", &["auditor"]);
    assert_eq!(denial(&policy, &both), "rule `secret` denies it");
}

#[test]
fn names_of_tokens_and_of_certificates_do_not_meet() {
    let pattern = |text: &str| text.parse::<NamePattern>().expect("a pattern");
    for (text, covered, not) in [
        ("*", "alice", "oidc:alice"),
        ("oidc:*", "oidc:alice", "alice"),
        ("o*", "oscar", "oidc:alice"),
        ("oidc:a*", "oidc:alice", "oidc:bob"),
        ("alice", "alice", "alice2"),
    ] {
        assert!(pattern(text).covers(covered) && !pattern(text).covers(not), "{text}");
    }
    for bad in ["", "a*b", "**", "a b", "oidc:", "x:y", "@a", "é", &"x".repeat(65)] {
        assert!(bad.parse::<NamePattern>().is_err(), "{bad}");
    }
}

#[test]
fn every_fault_of_the_file_names_line_and_remedy() {
    let rule = |text: &str| format!("{}[[allow]]\nname = \"a\"\n{text}\n", head(1));
    let whole = "programs = []\ndata = []\nrecipients = []\nmodes = []\nrequesters = []";
    for (text, line, hint) in [
        (head(1).replace("format = 1", "format = 2"), "line 1", "reads format 1"),
        (head(1).replace("party = 1", "party = 3"), "line 3", "0, 1 and 2"),
        (format!("{}sereal = 2\n", head(1)), "line 5", "unknown field `sereal`"),
        (format!("{}[groups]\nnodes = []\n", head(1)), "line 6", "cannot be the name of a group"),
        (rule("programs = []"), "line 5", "says no data"),
        (rule(&whole.replace("\nrequesters = []", "")), "line 5", "says no requesters"),
        (rule(&whole.replace("requesters = []", "requesters = [\"@x\"]")), "line 5", "none under [groups]"),
        (rule(&whole.replace("data = []", "data = [\"loans\"]")), "line 8", "OWNER/TABLE"),
        (rule(&whole.replace("data = []", "data = [\"*/a*b\"]")), "line 8", "at most one `*` at the end"),
        (rule(&whole.replace("programs = []", "programs = [\"all\"]")), "line 7", "unknown variant `all`"),
        (rule(&format!("{whole}\nper_day = 0")), "line 12", "nonzero"),
        (rule("actions = [\"tables\"]\nrequesters = []\nmodes = []"), "line 5", "a rule for each"),
        (
            format!("{}{}", rule(whole), "[[allow]]\nname = \"a\"\nactions = []\nrequesters = []\n"),
            "line 12",
            "two rules",
        ),
        (format!("{}[[deny]]\nname = \"d\"\nper_hour = 1\n", head(1)), "line 5", "counts nothing"),
        // A few thousand bytes that would become millions of names.
        (
            format!(
                "{}[groups]\ng = [{}]\n[[deny]]\nname = \"d\"\nrequesters = [{}]\n",
                head(1),
                "\"a\",".repeat(1200),
                "\"@g\",".repeat(1200)
            ),
            "line 7",
            "patterns with a * in the groups",
        ),
    ] {
        let error = resolved(&text).expect_err(&text);
        assert!(error.contains(&format!("policy.toml, {line}:")) && error.contains(hint), "{error}\n{text}");
    }
}

#[test]
fn the_default_permits_what_clients_with_certificates_ask_for() {
    let policy = permissive();
    for program in [ProgramKind::AesCtr, ProgramKind::Circuit, ProgramKind::CreditJoin, ProgramKind::CreditCounts] {
        for mode in ModeSpec::ALL {
            let good = job(&["@upload", "bank-a/loans"], "alice", &["bob", "@nodes"]);
            assert!(allows(&policy, &JobQuestion { program, mode, ..good }));
        }
    }
    let asks = |action, who: &str| Question::Action { action, requester: name(who) };
    for action in Action::ALL {
        let (anybody, operator) = (policy.decide(&asks(action, "alice")), policy.decide(&asks(action, "operator")));
        assert_eq!(matches!(anybody, Decision::Allowed(_)), action != Action::Upkeep, "{action}");
        assert!(matches!(operator, Decision::Allowed(_)), "{action}");
    }
}

/// Names of tokens are of a kind of their own: `*` allows them nothing, and denies them what it denies everybody.
#[test]
fn a_star_denies_tokens_too_and_allows_them_nothing() {
    let covered = "*".parse::<NamePattern>().expect("a pattern");
    assert!(!covered.covers("oidc:alice") && covered.denies("oidc:alice") && covered.denies("alice"));
    let of_tokens = "oidc:*".parse::<NamePattern>().expect("a pattern");
    assert!(of_tokens.covers("oidc:alice") && of_tokens.denies("oidc:alice") && !of_tokens.denies("alice"));
    let some = "b*".parse::<NamePattern>().expect("a pattern");
    assert!(!some.denies("oidc:bob") && some.denies("bob"));
}

/// A rule as the reference knows it; `None` stands for anything.
#[derive(Clone, Debug)]
struct Plain {
    allow: bool,
    programs: Option<Vec<&'static str>>,
    data: Option<Vec<&'static str>>,
    requesters: Option<Vec<&'static str>>,
    recipients: Option<Vec<&'static str>>,
    modes: Option<Vec<&'static str>>,
}

const PROGRAMS: [&str; 3] = ["moments", "circuit", "credit-train"];
const DATA: [&str; 7] = ["@upload", "*/*", "a/x", "a/x*", "b*/*", "@requester/*", "@g/x"];
const WHO: [&str; 5] = ["*", "a", "b*", "@g", "@requester"];
const RECIPIENTS: [&str; 6] = ["*", "a", "b*", "@g", "@requester", "@nodes"];
const MODES: [&str; 2] = ["malicious", "semi-honest"];

/// The reference: word for word what the documentation says.
impl Plain {
    fn who(pattern: &str, name: &str, requester: &str) -> bool {
        match pattern {
            "@g" => name == "a" || name.starts_with("bb"),
            "@requester" => name == requester,
            "*" => true,
            "b*" => name.starts_with('b'),
            other => name == other,
        }
    }

    fn data(pattern: &str, set: &str, requester: &str) -> bool {
        match (pattern.split_once('/'), set.split_once('/')) {
            (None, None) => true,
            (Some((whose, table)), Some((owner, name))) => {
                let table = if table == "*" { true } else { name == "x" || table == "x*" && name.starts_with('x') };
                Self::who(whose, owner, requester) && table
            }
            _ => false,
        }
    }

    fn recipient(pattern: &str, name: &str, requester: &str) -> bool {
        match (pattern, name) {
            ("@nodes", name) => name == "@nodes",
            (_, "@nodes") => false,
            (pattern, name) => Self::who(pattern, name, requester),
        }
    }

    fn hits(&self, (program, data, requester, recipients, mode): &Asked) -> bool {
        let within = |all: &Option<Vec<&str>>, one: &str| all.as_ref().is_none_or(|all| all.contains(&one));
        let set = |set: &&str| self.data.as_ref().is_none_or(|all| all.iter().any(|p| Self::data(p, set, requester)));
        let told =
            |r: &&str| self.recipients.as_ref().is_none_or(|all| all.iter().any(|p| Self::recipient(p, r, requester)));
        let of = if self.allow { data.iter().all(&set) } else { self.data.is_none() || data.iter().any(&set) };
        let to = if self.allow {
            recipients.iter().all(&told)
        } else {
            self.recipients.is_none() || recipients.iter().any(&told)
        };
        within(&self.programs, program)
            && within(&self.modes, mode)
            && self.requesters.as_ref().is_none_or(|all| all.iter().any(|p| Self::who(p, requester, requester)))
            && of
            && to
    }

    fn toml(&self, k: usize) -> String {
        let list = |key: &str, all: &Option<Vec<&str>>| match all {
            Some(all) => format!("{key} = {all:?}\n"),
            None => String::new(),
        };
        let kind = if self.allow { "allow" } else { "deny" };
        [
            format!("[[{kind}]]\nname = \"r{k}\"\n"),
            list("programs", &self.programs),
            list("data", &self.data),
            list("requesters", &self.requesters),
            list("recipients", &self.recipients),
            list("modes", &self.modes),
        ]
        .concat()
    }
}

type Asked = (&'static str, Vec<&'static str>, &'static str, Vec<&'static str>, &'static str);

fn some(of: &'static [&'static str], allow: bool) -> BoxedStrategy<Option<Vec<&'static str>>> {
    let list = prop::sample::subsequence(of.to_vec(), 0..=of.len()).prop_map(Some);
    if allow { list.boxed() } else { prop_oneof![Just(None), list].boxed() }
}

fn rule() -> impl Strategy<Value = Plain> {
    any::<bool>().prop_flat_map(|allow| {
        let dimensions = (
            some(&PROGRAMS, allow),
            some(&DATA, allow),
            some(&WHO, allow),
            some(&RECIPIENTS, allow),
            some(&MODES, allow),
        );
        dimensions.prop_map(move |(programs, data, requesters, recipients, modes)| Plain {
            allow,
            programs,
            data,
            requesters,
            recipients,
            modes,
        })
    })
}

fn asked() -> impl Strategy<Value = Asked> {
    (
        prop::sample::select(PROGRAMS.to_vec()),
        prop::sample::subsequence(vec!["@upload", "a/x", "a/xy", "bb/y", "c/z"], 1..=5),
        prop::sample::select(vec!["a", "b", "bb", "c"]),
        prop::sample::subsequence(vec!["a", "bb", "c", "@nodes"], 1..=4),
        prop::sample::select(MODES.to_vec()),
    )
}

proptest! {
    #[test]
    fn decisions_are_those_of_the_reference(
        rules in prop::collection::vec(rule(), 0..4),
        questions in prop::collection::vec(asked(), 24),
    ) {
        let text: String = rules.iter().enumerate().map(|(k, rule)| rule.toml(k)).collect();
        let policy = policy(&format!("[groups]\ng = [\"a\", \"bb*\"]\n{text}"));
        for asked in questions {
            let (program, data, requester, recipients, mode) = &asked;
            let kind = |text: &str| serde_json::Value::String(text.to_owned());
            let question = JobQuestion {
                program: serde_json::from_value(kind(program)).expect("a program"),
                mode: serde_json::from_value(kind(mode)).expect("a mode"),
                ..job(data, requester, recipients)
            };
            let denied = rules.iter().any(|rule| !rule.allow && rule.hits(&asked));
            let allowed = rules.iter().any(|rule| rule.allow && rule.hits(&asked));
            prop_assert_eq!(allows(&policy, &question), allowed && !denied, "{:?} of {}", asked, text);
        }
    }
}

/// A node's directory: its store, its log and the file of its policy.
struct World {
    dir: TempDir,
    signer: PolicySigner,
    files: PolicyFiles,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let signer = PolicySigner::generate().expect("a key");
        create_key(&dir.path().join("store.key")).expect("written");
        let files = PolicyFiles { path: dir.path().join("policy.toml"), key: signer.public() };
        Self { dir, signer, files }
    }

    async fn store(&self) -> Store {
        let [path, key] = ["store.redb", "store.key"].map(|name| self.dir.path().join(name));
        let whose = Whose { cluster: P1.cluster, party: P1.party };
        Store::open(&StoreConfig { place: Location::File(path), key }, whose).await.expect("it opens")
    }

    fn write(&self, text: &str) {
        fs::write(&self.files.path, text).expect("written");
        write_signature(&self.files.path, &self.signer.sign(text).expect("signed")).expect("written");
    }

    async fn load(&self, store: &Store) -> Result<Policy, String> {
        let log = AuditLog::open(&self.dir.path().join("audit"), P1, Known::default()).expect("a log").log;
        load(&self.files, P1, store, &log).await.map_err(|e| {
            assert!(matches!(e, Error::Config(_)), "{e}");
            e.to_string()
        })
    }

    /// The policies that the audit log tells of.
    fn told(&self) -> Vec<u64> {
        let log = fs::read_to_string(self.dir.path().join("audit/audit-000000000000.log")).expect("a log");
        let entries = log.lines().map(|line| serde_json::from_str::<Entry>(&line[65..]).expect("an entry").event);
        entries
            .filter_map(|event| match event {
                Event::Policy { serial, .. } => Some(serial),
                _ => None,
            })
            .collect()
    }
}

#[tokio::test]
async fn a_node_takes_no_policy_that_is_older_or_another_of_the_same_number() {
    let world = World::new();
    let store = world.store().await;
    for (serial, more, good) in [
        (3, "", Ok(())),
        (3, "", Ok(())),
        (2, "", Err("a later policy")),
        (3, "# other\n", Err("another policy with this serial number")),
        (4, "", Ok(())),
        (3, "", Err("write serial = 5")),
    ] {
        world.write(&format!("{}{more}", head(serial)));
        match (world.load(&store).await, good) {
            (Ok(policy), Ok(())) => assert_eq!(policy.serial, serial),
            (Err(error), Err(hint)) => assert!(error.contains(hint) && error.contains("policy.toml"), "{error}"),
            (got, good) => panic!("{serial}: {got:?}, {good:?}"),
        }
    }
    assert_eq!(world.told(), [3, 3, 4]);
    // A node that starts again remembers.
    drop(store);
    let store = world.store().await;
    assert!(world.load(&store).await.expect_err("older").contains("a later policy"));
    // So does one whose store is lost, by its audit log.
    drop(store);
    fs::remove_file(world.dir.path().join("store.redb")).expect("there");
    let store = world.store().await;
    assert!(world.load(&store).await.expect_err("older").contains("write serial = 5"));
    world.write(&(head(4) + "# other\n"));
    assert!(world.load(&store).await.expect_err("another").contains("another policy with this serial number"));
    world.write(&head(4));
    assert_eq!(world.load(&store).await.expect("the last one").serial, 4);
}

#[tokio::test]
async fn what_the_operator_has_not_signed_for_this_node_is_refused() {
    let world = World::new();
    let store = world.store().await;
    world.write(&head(1));
    // One character more.
    fs::write(&world.files.path, head(1) + "\n").expect("written");
    assert!(world.load(&store).await.expect_err("changed").contains("policy.toml.sig: this is no signature of"));
    // Somebody else's key.
    let other = PolicySigner::generate().expect("a key");
    write_signature(&world.files.path, &other.sign(&head(1)).expect("signed")).expect("written");
    fs::write(&world.files.path, head(1)).expect("written");
    assert!(world.load(&store).await.expect_err("another key").contains("signed with another key"));
    for (bad, hint) in [
        ("format = 1\nsignature = \"00\"\n", "signature:"),
        ("format = 2\nsignature = \"00\"\n", "reads format 1"),
        ("signature = 1", "line 1"),
    ] {
        fs::write(signature_path(&world.files.path), bad).expect("written");
        let error = world.load(&store).await.expect_err(bad);
        assert!(error.contains("policy.toml.sig") && error.contains(hint), "{error}");
    }
    fs::remove_file(signature_path(&world.files.path)).expect("there");
    assert!(world.load(&store).await.expect_err("none").contains("`trefoil policy sign` writes it"));
    // Signed, and for others.
    for (text, hint) in [
        (head(1).replace("party = 1", "party = 2"), "is for P2 of"),
        (head(1).replace("0707", "0808"), "the node is P1 of"),
    ] {
        world.write(&text);
        let error = world.load(&store).await.expect_err(&text);
        assert!(error.contains(hint) && error.contains("write one for this node"), "{error}");
    }
    world.write(&head(1));
    world.load(&store).await.expect("nothing of these was taken for the last one");
}

#[tokio::test]
async fn jobs_are_counted_through_restarts_for_each_requester_and_rule() {
    let world = World::new();
    let rules = TRAIN.replace("modes", "per_day = 2\nmodes");
    let question = |who: &str| job(&["bank-a/loans"], who, &["auditor"]);
    let enforcer = async || Enforcer::new(Some(policy(&rules)), world.store().await);
    let denied = |result| match result {
        Err(Unpermitted::Denied(denial)) => denial.to_string(),
        other => panic!("{other:?}"),
    };
    let node = enforcer().await;
    // Looking counts nothing.
    for _ in 0..3 {
        node.check(&question("bank-c")).await.expect("room");
    }
    assert_eq!(node.take(&question("bank-c")).await.expect("room").rule, "train");
    drop(node);
    let node = enforcer().await;
    node.take(&question("bank-c")).await.expect("room for a second");
    drop(node);
    let node = enforcer().await;
    for result in [node.check(&question("bank-c")).await, node.take(&question("bank-c")).await] {
        assert!(denied(result).contains("rule `train` allows are used up: 2 in a day"));
    }
    node.take(&question("lab-1")).await.expect("others have their own");
    // Another rule with room, or without bounds, permits on.
    let more = TRAIN.replace("[groups]\nleads = [\"bank-c\", \"lab-*\"]\n", "").replace("\"train\"", "\"more\"");
    node.replace(policy(&format!("{rules}{more}")));
    assert_eq!(node.take(&question("bank-c")).await.expect("another rule").rule, "more");
}

#[tokio::test]
async fn without_a_policy_nothing_is_permitted_and_the_remedy_is_named() {
    let node = Enforcer::in_memory(None);
    let none = [
        node.may_submit(&name("alice")).expect_err("none"),
        node.permits(Action::Tables, &name("alice")).expect_err("none"),
    ];
    for denial in none {
        assert!(denial.to_string().contains("`trefoil policy init`"), "{denial}");
    }
    assert!(node.check(&job(&[], "alice", &[])).await.is_err());
}

#[test]
fn a_key_never_shows_and_is_read_as_it_was_written() {
    let dir = tempfile::tempdir().expect("a directory");
    let signer = PolicySigner::generate().expect("a key");
    let path = dir.path().join("policy.key");
    crate::pki::create_private(&path, signer.pem().as_bytes()).expect("written");
    let again = PolicySigner::load(&path).expect("readable");
    assert_eq!(again.public(), signer.public());
    let secret = signer.pem().lines().nth(1).expect("a body").to_owned();
    assert!(!format!("{signer:?}").contains(&secret));
    fs::write(&path, "no key").expect("written");
    assert!(PolicySigner::load(&path).expect_err("no key").to_string().contains("Ed25519 private key"));
}
