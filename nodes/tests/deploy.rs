//! What is under `deploy/` fits the program: the sample configuration says what it reads, completely; the unit waits as long as a node may take; dashboard and alerts
//! speak of what a node serves.

#[path = "deploy/cluster_init.rs"]
mod cluster_init;
#[path = "deploy/guide.rs"]
mod guide;
#[cfg(target_os = "linux")]
#[path = "deploy/image.rs"]
mod image;
#[path = "deploy/openmetrics.rs"]
mod openmetrics;
#[cfg(feature = "otlp")]
#[path = "deploy/traces.rs"]
mod traces;
#[path = "deploy/up.rs"]
mod up;

use openmetrics::Sample;
use std::{collections::BTreeSet, fs, num::NonZeroU32, path::Path, path::PathBuf, time::Duration};
use toml::{Table, Value};
use trefoil_engine::Party;
use trefoil_nodes::{
    admin,
    cli::ClusterArgs,
    client::{Client, Plain},
    config::{Address, Cluster, NodeConfig, NodeFile},
    job::{JobSpec, Limits, ModeSpec, MomentsSpec, ProgramSpec},
    local::{LocalCluster, LocalOptions},
    mesh::TransportSettings,
};
use yaml_rust2::{Yaml, YamlLoader};

fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name)
}

fn sample() -> String {
    fs::read_to_string(deploy("node.toml")).expect("readable")
}

/// `text` with the keys and tables that are commented out (`# key = value`, `# [table]`) put in force.
fn uncommented(text: &str) -> String {
    let key = |line: &str| {
        let rest = line.strip_prefix("# ")?;
        if rest.starts_with('[') && rest.ends_with(']') {
            return Some(rest.to_owned());
        }
        let (name, _) = rest.split_once(" = ")?;
        name.chars().all(|c| c.is_ascii_lowercase() || c == '_').then(|| rest.to_owned())
    };
    text.lines().map(|l| key(l).unwrap_or_else(|| l.to_owned()) + "\n").collect()
}

/// Every key of a table, with the names of its tables in front.
fn keys(table: &Table) -> BTreeSet<String> {
    let below = |(name, value): (&String, &Value)| match value {
        Value::Table(inner) => keys(inner).into_iter().map(|k| format!("{name}.{k}")).collect(),
        _ => vec![name.clone()],
    };
    table.iter().flat_map(below).collect()
}

#[test]
fn the_cluster_file_is_one() {
    // No key is optional and none unknown is accepted, so a file that loads shows them all.
    let cluster = Cluster::load(&deploy("cluster.toml")).expect("a good cluster file");
    let mesh = Party::ALL.map(|p| cluster.node(p).mesh.to_string());
    assert_eq!(mesh, ["node0.example:7750", "node1.example:7750", "node2.example:7750"]);
}

#[test]
fn the_node_file_shows_every_key_and_its_default() {
    let file: NodeFile = toml::from_str(&sample()).expect("a good node file");
    assert_eq!(file.threads, 0);
    assert_eq!(file.limits, Limits::default());
    assert_eq!(file.transport, TransportSettings::default());

    // What has its default is not written, so nothing here has.
    let mut full: NodeFile = toml::from_str(&uncommented(&sample())).expect("good with its optional keys");
    assert_eq!((full.transport.mtu, full.transport.congestion_window), (Some(8952), Some(524_288)));
    assert_eq!(full.limits.running_strands.map(NonZeroU32::get), Some(16));
    assert_eq!(full.transport.send_window, Some(8_388_608));
    assert_eq!(full.listen.admin.as_ref().map(Address::port), Some(7770));
    full.store_key = "other.key".into();
    full.threads = 3;
    full.limits.waiting_jobs += 1;
    full.transport.streams += 1;
    let all = keys(&Table::try_from(full).expect("a table"));
    let shown = keys(&uncommented(&sample()).parse().expect("a table"));
    assert_eq!(shown, all);
    assert!(all.len() > 25, "the tables are written in full: {all:?}");
}

#[test]
fn every_key_of_the_node_file_is_explained() {
    let text = sample();
    let mut before = "";
    for line in text.lines() {
        // `key` shares the explanation of `certificate` above it.
        if line.contains(" = ") && !line.starts_with("# ") && !line.starts_with("key ") {
            assert!(before.starts_with('#'), "nothing is said before `{line}`");
        }
        before = line;
    }
}

/// What a node that stops may take beside `limits.drain`: see `Node::stop`.
const LAST_STEPS: Duration = Duration::from_secs(10);

#[test]
fn whoever_stops_a_node_waits_until_its_jobs_have_ended() {
    let needed = Limits::default().drain + LAST_STEPS;
    for (file, key) in [("trefoil-node.service", "TimeoutStopSec="), ("compose.yaml", "stop_grace_period: ")] {
        let text = fs::read_to_string(deploy(file)).expect("readable");
        let value = text.lines().find_map(|line| line.trim().strip_prefix(key)).expect(key);
        let seconds: u64 = value.strip_suffix('s').expect("seconds").parse().expect("a number");
        assert!(Duration::from_secs(seconds) >= needed, "{file}: {key}{value} is less than {needed:?}");
    }
}

/// The names of metrics in an expression. Everything of ours begins in one of two ways.
fn names(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("trefoil_") || word.starts_with("process_")).map(str::to_owned).collect()
}

/// Quotes and brackets are closed in the order in which they were opened.
fn is_closed(expression: &str) -> bool {
    let mut open = Vec::new();
    for (k, part) in expression.split('"').enumerate() {
        // Every other part is a string.
        for c in part.chars().filter(|_| k % 2 == 0) {
            let closed = match c {
                '(' | '[' | '{' => {
                    open.push(c);
                    continue;
                }
                ')' => '(',
                ']' => '[',
                '}' => '{',
                _ => continue,
            };
            if open.pop() != Some(closed) {
                return false;
            }
        }
    }
    open.is_empty() && expression.matches('"').count().is_multiple_of(2)
}

/// The alerts, by name and expression.
fn alerts() -> Vec<(String, String)> {
    let text = fs::read_to_string(deploy("monitoring/alerts.yaml")).expect("readable");
    let file = YamlLoader::load_from_str(&text).expect("YAML").remove(0);
    let field = |rule: &Yaml, key: &str| rule[key].as_str().unwrap_or_else(|| panic!("{key} of {rule:?}")).to_owned();
    let mut all = Vec::new();
    for group in file["groups"].as_vec().expect("groups") {
        for rule in group["rules"].as_vec().expect("rules") {
            let known = ["alert", "expr", "for", "labels", "annotations"];
            let keys = rule.as_hash().expect("a rule").keys().map(|key| key.as_str().expect("a name"));
            keys.for_each(|key| assert!(known.contains(&key), "{key}"));
            assert!(["critical", "warning"].contains(&field(&rule["labels"], "severity").as_str()));
            assert!(
                !field(&rule["annotations"], "summary").is_empty()
                    && !field(&rule["annotations"], "runbook").is_empty()
            );
            all.push((field(rule, "alert"), field(rule, "expr")));
        }
    }
    all
}

/// Every expression of the dashboard.
fn panels(value: &serde_json::Value, into: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            into.extend(fields.get("expr").and_then(|e| e.as_str()).map(str::to_owned));
            fields.values().for_each(|field| panels(field, into));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| panels(item, into)),
        _ => {}
    }
}

async fn metrics(cluster: &LocalCluster, party: Party) -> Vec<Sample> {
    let admin = NodeConfig::load(&cluster.files().node(party)).expect("a configuration").listen.admin;
    let admin = admin.expect("a local cluster has one for each node");
    let asked = tokio::task::spawn_blocking(move || admin::ask(&admin, "/metrics")).await.expect("no panic");
    let (status, text) = asked.expect("an answer");
    assert_eq!(status, 200, "{text}");
    openmetrics::read(&text)
}

fn value(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> f64 {
    let found = samples.iter().filter(|s| {
        s.name == name && labels.iter().all(|(label, value)| s.labels.get(*label).is_some_and(|v| v == value))
    });
    found.map(|s| s.value).sum()
}

/// The values are counts.
#[track_caller]
fn is(samples: &[Sample], (name, labels): (&str, &[(&str, &str)]), count: f64) {
    let found = value(samples, name, labels);
    assert!((found - count).abs() < 0.5, "{found} {name} where {count} are due");
}

#[tokio::test(flavor = "multi_thread")]
async fn dashboard_and_alerts_speak_of_what_a_node_serves() {
    let cluster = LocalCluster::start(&LocalOptions::of(env!("CARGO_BIN_EXE_trefoil"))).await.expect("a cluster");
    let target =
        ClusterArgs { cluster: cluster.cluster_file(), identity: None, token: None }.resolve().expect("a target");
    let client = Client::connect(&target.cluster, &target.identity).await.expect("a client");
    let before = metrics(&cluster, Party::P1).await;
    let moments = MomentsSpec { columns: 1, rows: vec![3], limit: None };
    let spec = JobSpec::new(ProgramSpec::Moments(moments), ModeSpec::SemiHonest);
    let column = [1, 2, 3].map(trefoil_engine::Z64);
    Box::pin(client.run(&spec, bytes::Bytes::new(), &[Plain::Z64(&column)])).await.expect("done");

    for party in Party::ALL {
        let after = metrics(&cluster, party).await;
        let work = [("program", "moments"), ("mode", "semi-honest")];
        let done = [work[0], work[1], ("outcome", "done")];
        is(&after, ("trefoil_jobs_accepted_total", &work), 1.0);
        is(&after, ("trefoil_jobs_ended_total", &done), 1.0);
        is(&after, ("trefoil_jobs", &work), 0.0);
        is(&after, ("trefoil_job_duration_seconds_count", &work), 1.0);
        is(&after, ("trefoil_job_wait_seconds_count", &work), 1.0);
        let put = [("method", "PUT"), ("route", "/v1/jobs/{id}"), ("status", "202")];
        is(&after, ("trefoil_api_requests_total", &put), 1.0);
        assert!(value(&after, "trefoil_mesh_sessions_total", &[]) >= 1.0, "{party}");
        is(&after, ("trefoil_mesh_connected", &[]), 2.0);
        assert!(value(&after, "trefoil_certificate_expiry_timestamp_seconds", &[]) > 1.7e9, "{party}");
        // Nothing that a client has chosen is a label: neither its name nor that of its job.
        let chosen = after.iter().flat_map(|s| s.labels.values()).find(|v| v.len() == 32 || *v == "client");
        assert_eq!(chosen, None);
    }
    let after = metrics(&cluster, Party::P1).await;
    for name in
        ["trefoil_mesh_frames_sent_total", "trefoil_mesh_udp_received_bytes_total", "trefoil_audit_entries_total"]
    {
        assert!(value(&after, name, &[]) > value(&before, name, &[]), "{name}");
    }

    let served: BTreeSet<_> = after.iter().map(|s| s.name.as_str()).collect();
    let dashboard = fs::read_to_string(deploy("monitoring/grafana.json")).expect("readable");
    let mut expressions = Vec::new();
    panels(&serde_json::from_str(&dashboard).expect("JSON"), &mut expressions);
    assert!(expressions.len() > 20, "{expressions:?}");
    let alerts = alerts();
    // The guide has a row for each, and for no other.
    let guide = fs::read_to_string(deploy("../docs/operations/monitoring.md")).expect("readable");
    let described: BTreeSet<&str> = guide
        .lines()
        .filter_map(|line| line.strip_prefix("| `Trefoil")?.split_once('`'))
        .map(|(name, _)| name)
        .collect();
    let alerting: BTreeSet<&str> = alerts.iter().filter_map(|(name, _)| name.strip_prefix("Trefoil")).collect();
    assert_eq!(described, alerting);
    assert!(alerts.len() > 10, "{alerts:?}");
    for expression in expressions.iter().chain(alerts.iter().map(|(_, expression)| expression)) {
        assert!(is_closed(expression), "{expression}");
        for name in names(expression) {
            assert!(served.contains(name.as_str()), "no node serves {name}: {expression}");
        }
    }
    // And what a node serves is written down.
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations/monitoring.md");
    let guide = fs::read_to_string(guide).expect("readable");
    for name in served {
        let name = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        assert!(guide.contains(&format!("`{name}")), "docs/operations/monitoring.md says nothing of {name}");
    }
    cluster.shutdown().await;
}
