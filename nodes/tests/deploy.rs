//! The sample configuration under `deploy/` says what the program reads, completely.

use std::{collections::BTreeSet, fs, num::NonZeroU32, path::Path, path::PathBuf};
use toml::{Table, Value};
use trefoil_engine::Party;
use trefoil_nodes::{
    config::{Cluster, NodeFile},
    job::Limits,
    mesh::TransportSettings,
};

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
