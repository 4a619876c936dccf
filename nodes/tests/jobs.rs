//! Jobs on three real node processes, through the client library.

#[path = "jobs/faults.rs"]
mod faults;
#[path = "jobs/job_faults.rs"]
mod job_faults;
#[path = "jobs/shutdown.rs"]
mod shutdown;

use bytes::Bytes;
use futures_util::future::try_join_all;
use std::{fs, num::NonZeroU32, path::Path, process::Command};
use trefoil_circuits::{
    aes::{KeySize, reference},
    bristol::{BitOrder, Circuit, Packing},
};
use trefoil_engine::{Lanes, Party};
use trefoil_nodes::{
    Error,
    cli::ClusterArgs,
    client::{Client, Plain},
    config::Cluster,
    job::{
        AesCtrSpec, CircuitSpec, Failure, FailureKind, JobEvent, JobSpec, ModeSpec, ProgramSpec, RetainSpec, Sha256Hex,
    },
    local::{LocalCluster, LocalOptions},
    pki::Identity,
    tls,
};

async fn start() -> (LocalCluster, Client) {
    let cluster = LocalCluster::start(&LocalOptions::of(env!("CARGO_BIN_EXE_trefoil"))).await.expect("a cluster");
    let client = connect(&cluster.cluster_file()).await.expect("a client");
    (cluster, client)
}

async fn connect(cluster: &Path) -> Result<Client, Error> {
    let target = ClusterArgs { cluster: cluster.to_owned(), identity: None, token: None }.resolve()?;
    Client::connect(&target.cluster, &target.identity).await
}

fn aes(mode: ModeSpec, blocks: u64) -> JobSpec {
    let aes = AesCtrSpec { key_bits: KeySize::Aes128, counter: u128::MAX, blocks };
    JobSpec::new(ProgramSpec::AesCtr(aes), mode)
}

/// The key stream of [`aes`] under the key `17 17 .. 17`.
fn key_stream(blocks: u64) -> Vec<u8> {
    let keys = reference::expand_key(&[0x17; 16]).expect("a key");
    let block = |k: u64| reference::encrypt(&keys, u128::MAX.wrapping_add(k.into()).to_be_bytes());
    (0..blocks).flat_map(block).collect()
}

const KEY: [Lanes; 2] = [Lanes(0x1717_1717_1717_1717); 2];

fn bytes(words: &[Lanes]) -> Vec<u8> {
    words.iter().flat_map(|w| w.0.to_le_bytes()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_every_program_come_back_right() {
    let (cluster, client) = start().await;
    for mode in ModeSpec::ALL {
        every_program(&client, mode).await;
    }
    cluster.shutdown().await;
}

async fn every_program(client: &Client, mode: ModeSpec) {
    let outcome = client.run(&aes(mode, 5000), Bytes::new(), &[Plain::Bits(&KEY)]).await.expect("done");
    assert_eq!(bytes(outcome.bits(0).expect("bits")), key_stream(5000));
    let [cost, ..] = outcome.costs;
    assert!(outcome.costs.iter().all(|c| (c.rounds, c.bytes_sent) == (cost.rounds, cost.bytes_sent)));
    match mode {
        ModeSpec::SemiHonest => assert_eq!(cost.rounds, 80),
        ModeSpec::Malicious => assert!(cost.rounds > 80, "the products are checked"),
    }

    let text = include_bytes!("../../circuits/data/bristol/adder64.txt");
    let circuit = Circuit::parse(text).expect("a circuit");
    for instances in [1, 100] {
        let packing = Packing::new(instances);
        let inputs: Vec<_> = (0..u64::from(instances))
            .map(|k| circuit.input_values(&[format!("{:x}", u64::MAX - k), format!("{:x}", 3 * k)], BitOrder::Lsb))
            .collect::<Result<_, _>>()
            .expect("two ports");
        let spec = CircuitSpec {
            sha256: Sha256Hex::of(text),
            bytes: text.len() as u64,
            input_wires: 128,
            output_wires: 64,
            instances: NonZeroU32::new(instances).expect("not zero"),
        };
        let spec = JobSpec::new(ProgramSpec::Circuit(spec), mode);
        let words = packing.pack_inputs(&circuit, &inputs).expect("they fit");
        let outcome = client.run(&spec, Bytes::from_static(text), &[Plain::Bits(&words)]).await.expect("done");
        for (k, outputs) in
            (0..).zip(packing.unpack_outputs(&circuit, outcome.bits(0).expect("bits")).expect("they fit"))
        {
            let sum = (u64::MAX - k).wrapping_add(3 * k);
            assert_eq!(outputs[0].to_hex(BitOrder::Lsb), format!("{sum:016x}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_jobs_at_once_are_all_done() {
    let (cluster, client) = start().await;
    let specs = ModeSpec::ALL.map(|mode| aes(mode, 300));
    let outcomes = try_join_all((0..50).map(|k| client.run(&specs[k % 2], Bytes::new(), &[Plain::Bits(&KEY)])))
        .await
        .expect("all done");
    let expected = key_stream(300);
    assert!(outcomes.iter().all(|o| bytes(o.bits(0).expect("bits")) == expected));
    cluster.shutdown().await;
}

/// What `trefoil job` prints.
fn job(cluster: &LocalCluster, args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trefoil"));
    let file = cluster.cluster_file();
    let done = command.arg("job").arg(args[0]).arg("--cluster").arg(file).args(&args[1..]).output().expect("it runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_is_there_after_all_nodes_were_killed() {
    let options = LocalOptions::of(env!("CARGO_BIN_EXE_trefoil"));
    let mut cluster = LocalCluster::start(&options).await.expect("a cluster");
    let client = connect(&cluster.cluster_file()).await.expect("a client");
    let spec = aes(ModeSpec::SemiHonest, 3000);
    let submit =
        async |spec: &JobSpec| client.submit(spec, Bytes::new(), &[Plain::Bits(&KEY)]).await.expect("accepted");
    let kept = submit(&spec).await;
    let lost = submit(&JobSpec { retain: RetainSpec::Memory, ..spec.clone() }).await;
    kept.wait().await.expect("done");
    lost.wait().await.expect("done");
    cluster.restart_all(&options).await.expect("they start again");
    let outcome = client.job(kept.id()).await.expect("known").outcome().await.expect("done");
    assert_eq!(bytes(outcome.bits(0).expect("bits")), key_stream(3000));
    let Err(Error::Job { failure, .. }) = lost.wait().await else { panic!("it was in memory") };
    assert!(failure.kind == FailureKind::Stopped && failure.cause.contains("not at this node any more"), "{failure:?}");

    let id = kept.id().to_string();
    let listed = job(&cluster, &["list"]);
    assert!(listed.lines().any(|line| line.starts_with(&id) && line.ends_with(": done")), "{listed}");
    assert!(listed.contains("not at this node any more"), "{listed}");
    assert!(job(&cluster, &["watch", &id]).starts_with("done in "));
    assert_eq!(job(&cluster, &["show", &id]).lines().filter(|line| line.contains(": done in ")).count(), 3);
    let printed = job(&cluster, &["outputs", &id]);
    let expected = hex::encode(key_stream(3000));
    assert_eq!(printed.trim_end(), format!("output 0: {expected}"));
    job(&cluster, &["cancel", &id]);
    cluster.restart_all(&options).await.expect("they start again");
    assert!(matches!(client.job(kept.id()).await, Err(Error::Refused { .. })), "it was deleted");
    cluster.shutdown().await;
}

/// Deletes a job at one node, and leaves it at the others.
async fn delete_at(cluster: &LocalCluster, party: Party, path: &str) {
    let file = Cluster::load(&cluster.cluster_file()).expect("a cluster file");
    let identity = Identity::named(&cluster.cluster_file().with_file_name("client.crt")).expect("an identity");
    let tls = tls::api_client(&identity, &file, party).expect("TLS");
    let http = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().expect("a client");
    let answer = http.delete(format!("https://{}{path}", file.node(party).api)).send().await.expect("an answer");
    assert!(answer.status().is_success(), "{}", answer.status());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_cancelled_at_one_node_or_late_ends_at_all_three() {
    let (cluster, client) = start().await;
    // Some minutes of work.
    let long = JobSpec { retain: RetainSpec::Memory, ..aes(ModeSpec::Malicious, 4_000_000) };
    let submit =
        async |spec: &JobSpec| client.submit(spec, Bytes::new(), &[Plain::Bits(&KEY)]).await.expect("accepted");
    let handle = submit(&long).await;
    let (tell, mut runs) = tokio::sync::mpsc::unbounded_channel();
    let follow = async |party: Party| {
        let end = client.follow(handle.id(), party, |event| {
            if let JobEvent::Running { bytes_sent: 1.., progress } = event {
                assert!(progress.is_some_and(|part| (0.0..1.0).contains(&part)), "{event:?}");
                // Told once is enough.
                let _ = tell.send(());
            }
        });
        match end.await.expect("it ends") {
            JobEvent::Failed { failure } => failure,
            other => panic!("{other:?}"),
        }
    };
    let cancel = async {
        runs.recv().await.expect("it runs");
        delete_at(&cluster, Party::P1, &format!("/v1/jobs/{}", handle.id())).await;
    };
    let (at_0, at_2, ()) = tokio::join!(follow(Party::P0), follow(Party::P2), cancel);
    for Failure { kind, cause, .. } in [at_0, at_2] {
        assert_eq!((kind, cause.as_str()), (FailureKind::Cancelled, "cancelled by the client, at P1"));
    }
    handle.delete().await;
    // The node is free for the next, which has a second.
    let late = submit(&JobSpec { deadline_seconds: NonZeroU32::new(1), ..long }).await;
    let Err(Error::Job { failure, .. }) = late.wait().await else { panic!("it takes minutes") };
    assert_eq!(failure.kind, FailureKind::Deadline, "{failure:?}");
    assert!(failure.cause.contains("deadline_seconds"), "{failure:?}");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_speak_the_version_before_and_new_ones_do_jobs_together() {
    let temp = tempfile::tempdir().expect("a directory");
    let options = LocalOptions { dir: Some(temp.path().to_owned()), ..LocalOptions::of(env!("CARGO_BIN_EXE_trefoil")) };
    let mut cluster = LocalCluster::start(&options).await.expect("a cluster");
    let client = connect(&cluster.cluster_file()).await.expect("a client");
    // As in an upgrade, backwards: node by node, the other two running.
    for p in Party::ALL {
        let file = cluster.files().node(p);
        let text = fs::read_to_string(&file).expect("readable");
        assert!(!text.contains("[transport]"), "{text}");
        fs::write(&file, format!("{text}\n[transport]\nprotocol = 1\n")).expect("written");
        cluster.restart(p, &options).await.expect("it is connected");
        for mode in ModeSpec::ALL {
            let outcome = client.run(&aes(mode, 100), Bytes::new(), &[Plain::Bits(&KEY)]).await.expect("done");
            assert_eq!(bytes(outcome.bits(0).expect("bits")), key_stream(100));
        }
        let [status, ..] = client.status().await.map(|status| status.expect("an answer"));
        // P0 was the first.
        assert!(status.peers.iter().all(|peer| peer.protocol == Some(1)), "{status:?}");
    }
    cluster.shutdown().await;
}
