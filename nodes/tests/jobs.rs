//! Jobs on three real node processes, through the client library.

use bytes::Bytes;
use futures_util::future::try_join_all;
use std::{fs, num::NonZeroU32, path::Path};
use trefoil_circuits::{
    aes::{KeySize, reference},
    bristol::{BitOrder, Circuit, Packing},
};
use trefoil_engine::{Lanes, Party};
use trefoil_nodes::{
    Error,
    cli::ClusterArgs,
    client::{Client, Plain},
    job::{AesCtrSpec, CircuitSpec, JobSpec, ModeSpec, ProgramSpec, Sha256Hex},
    local::{LocalCluster, LocalOptions},
};

async fn start() -> (LocalCluster, Client) {
    let cluster = LocalCluster::start(&LocalOptions::of(env!("CARGO_BIN_EXE_trefoil"))).await.expect("a cluster");
    let client = connect(&cluster.cluster_file()).await.expect("a client");
    (cluster, client)
}

async fn connect(cluster: &Path) -> Result<Client, Error> {
    let target = ClusterArgs { cluster: cluster.to_owned(), identity: None }.resolve()?;
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
