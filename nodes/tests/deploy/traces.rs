//! Traces of three real nodes, as an OpenTelemetry collector receives them.

use super::up::{PROGRAM, Up};
use axum::{Router, body::Bytes, routing};
use nix::sys::signal::Signal;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message as _;
use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::Write as _,
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
};
use tokio::task::spawn_blocking;
use trefoil_nodes::cluster_files::ClusterFiles;

/// Spans by the name of the node that has sent them.
type Spans = BTreeMap<String, Vec<Span>>;

/// What ended up at the collector when a command had been run at a cluster that was then stopped.
async fn traced(command: impl FnOnce(&Path) + Send + 'static) -> Spans {
    let spans = Arc::new(Mutex::new(Spans::new()));
    let taken = spans.clone();
    let take = async move |body: Bytes| {
        let batch = ExportTraceServiceRequest::decode(body).expect("a batch");
        for of_node in batch.resource_spans {
            let node = text(&of_node.resource.expect("a resource").attributes, "service.instance.id");
            let spans = of_node.scope_spans.into_iter().flat_map(|scope| scope.spans);
            taken.lock().expect("no panic").entry(node).or_default().extend(spans);
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let otlp = format!("http://{}", listener.local_addr().expect("bound"));
    let router = Router::new().route("/v1/traces", routing::post(take));
    let collector = tokio::spawn(async { axum::serve(listener, router).await });

    spawn_blocking(move || {
        let temp = tempfile::tempdir().expect("a directory");
        let dir = temp.path().join("traced");
        // Makes the cluster, at ports that are free.
        stop(Up::start(&dir));
        for party in trefoil_engine::Party::ALL {
            let config = ClusterFiles::at(&dir).node_dir(party).join("node.toml");
            let mut config = OpenOptions::new().append(true).open(config).expect("it is there");
            write!(config, "\n[telemetry]\notlp = \"{otlp}\"\n").expect("written");
        }
        let up = Up::start(&dir);
        command(&dir);
        // What has not been sent is sent at the end.
        stop(up);
    })
    .await
    .expect("no panic");
    collector.abort();
    std::mem::take(&mut *spans.lock().expect("no panic"))
}

fn stop(up: Up) {
    up.signal(Signal::SIGTERM);
    let (status, log) = up.end();
    assert_eq!(status.code(), Some(0), "{log}");
}

fn text(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|attribute| attribute.value.as_ref()) {
        Some(AnyValue { value: Some(Value::StringValue(text)), .. }) => text.clone(),
        Some(AnyValue { value: Some(Value::IntValue(number)), .. }) => number.to_string(),
        other => panic!("{key} is {other:?}"),
    }
}

const KEY: &str = "000102030405060708090a0b0c0d0e0f";

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_told_by_all_three_nodes_with_its_steps_and_without_its_secrets() {
    let spans = traced(|dir| {
        let (input, key) = (dir.join("plain"), dir.join("key"));
        fs::write(&input, "a very secret text").expect("written");
        fs::write(&key, KEY).expect("written");
        let mut aes = Command::new(PROGRAM);
        aes.args(["aes", "--encrypt", "--iv", "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff", "--cluster"]);
        aes.arg(dir.join("cluster.toml")).arg("--key-file").arg(key).arg("--in").arg(input);
        let done = aes.arg("--out").arg(dir.join("cipher")).output().expect("it runs");
        assert!(done.status.success(), "{done:?}");
    })
    .await;
    assert_eq!(spans.keys().collect::<Vec<_>>(), ["P0", "P1", "P2"]);
    let told = spans.values().map(|spans| {
        let jobs: Vec<_> = spans.iter().filter(|span| span.name == "job").collect();
        let [job] = jobs[..] else { panic!("one job: {jobs:?}") };
        let request = spans.iter().find(|span| span.name == "PUT /v1/jobs/{id}").expect("a submission");
        assert_eq!(text(&request.attributes, "http.request.method"), "PUT");
        let of_job: Vec<_> =
            spans.iter().filter(|s| s.parent_span_id == job.span_id).map(|s| s.name.as_str()).collect();
        for step in ["join", "agree", "turn", "compute", "outputs"] {
            assert!(of_job.contains(&step), "{step} is missing: {of_job:?}");
        }
        let secret = [KEY, "very secret", "127.0.0.1", "client"];
        let all = format!("{spans:?}");
        assert!(!secret.iter().any(|secret| all.contains(secret)), "{all}");
        ["job.id", "job.program", "job.mode", "job.outcome", "job.rounds"].map(|key| text(&job.attributes, key))
    });
    let told: Vec<_> = told.collect();
    assert!(told.iter().all(|of_node| *of_node == told[0]), "{told:?}");
    assert_eq!(told[0][3], "done");
    assert_ne!(told[0][4], "0");
}
