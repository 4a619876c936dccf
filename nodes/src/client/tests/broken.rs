//! A connection that breaks while a large table is uploaded.

use super::*;
use crate::store::tests::home::{Home, Kind};
use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use trefoil_engine::Z64;

const ROWS: usize = 1_200_000;

/// Bytes that pass to one node, on all connections; the first that carries too many is cut.
#[derive(Default)]
struct Line {
    passed: AtomicUsize,
    cut: AtomicBool,
}

/// More than one transaction of parts, and less than two.
const CUT: usize = 12_000_000;

async fn pass(line: Arc<Line>, from: TcpListener, to: SocketAddr) {
    loop {
        let (mut client, _) = from.accept().await.expect("a connection");
        let (mut node, line) = (TcpStream::connect(to).await.expect("it listens"), line.clone());
        tokio::spawn(async move {
            let ((mut asks, mut hears), (mut answers, mut takes)) = (client.split(), node.split());
            let up = async {
                let (mut chunk, mut carried) = (vec![0; 1 << 16], 0);
                while let Ok(n @ 1..) = asks.read(&mut chunk).await {
                    carried += n;
                    if carried > CUT && !line.cut.swap(true, Ordering::SeqCst) {
                        return;
                    }
                    line.passed.fetch_add(n, Ordering::SeqCst);
                    if takes.write_all(&chunk[..n]).await.is_err() {
                        return;
                    }
                }
            };
            tokio::select! {
                () = up => {}
                _ = tokio::io::copy(&mut answers, &mut hears) => {}
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_table_goes_on_where_the_connection_broke() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut outside, mut listen) = (Vec::new(), Vec::new());
    for party in Party::ALL {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let address = |port| Address::new("127.0.0.1", port).expect("an address");
        let here = Listen { mesh: address(1 + party.index() as u16), api: address(port), admin: None };
        listen.push((here.clone(), here));
        outside.push(listener);
    }
    let Ok(listen) = listen.try_into() else { panic!("three nodes") };
    let plan = ClusterPlan { dir: dir.path().to_owned(), nodes: listen, days: 1, settings: NodeSettings::default() };
    let files = plan.create().expect("files");
    let (line, limits) = (Arc::new(Line::default()), Limits::default());
    let mut nodes: Vec<(Node, Arc<TableStore>, Home)> = Vec::new();
    let mut passing = Vec::new();
    for (party, outside) in Party::ALL.into_iter().zip(outside) {
        let (store, home) = Kind::files().temporary().await;
        let tables = TableStore::open(limits.clone(), store).await.expect("tables");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let inside = listener.local_addr().expect("bound");
        nodes.push((serve(&files, party, listener, (&limits, tables.clone())), tables, home));
        // The connections to the others stay.
        let line =
            if party == Party::P1 { line.clone() } else { Arc::new(Line { cut: true.into(), ..Line::default() }) };
        passing.push(tokio::spawn(pass(line, outside, inside)));
    }
    let target = ClusterArgs { cluster: files.cluster(), identity: None, token: None }.resolve().expect("a target");
    let client = Client::connect(&target.cluster, &target.identity).await.expect("three nodes");

    let values: Vec<Z64> = (0..ROWS as u64).map(Z64).collect();
    let columns = vec![("income".parse().expect("a name"), Plain::Z64(&values))];
    let name: crate::tables::TableName = "loans".parse().expect("a name");
    let table = NewTable { name, version: 1, rows: ROWS, columns, permits: Vec::new(), expires: None };
    let stored = client.put_table(&table).await.expect("stored");
    assert_eq!(stored.rows, ROWS as u64);
    let body = 16 * ROWS;
    let passed = line.passed.load(Ordering::SeqCst);
    assert!(line.cut.load(Ordering::SeqCst) && passed > body && passed < body + CUT - (7 << 20), "{passed} of {body}");
    let owner = client.name().expect("a client").clone();
    let parts = nodes.iter().map(|(_, tables, _)| {
        let key = crate::tables::TableKey { owner: owner.clone(), name: table.name.clone(), version: 1 };
        let stored = tables.get(&key).expect("it is there");
        stored.input(&stored.content(), &[0], trefoil_circuits::program::Shape::z64(ROWS)).expect("one column")
    });
    // Each component is the same at the two nodes that have it, and they sum up to the values.
    let parts: Vec<_> = parts.collect();
    for k in 0..3 {
        assert!(parts[k].as_bytes()[1] == parts[(k + 1) % 3].as_bytes()[0], "{k}");
    }
    let word = |k: usize, at: usize| {
        u64::from_le_bytes(parts[k].as_bytes()[0][8 * at..8 * at + 8].try_into().expect("eight bytes"))
    };
    for at in [0, 1, 1_048_576, ROWS - 1] {
        let sum = (0..3).fold(0u64, |sum, k| sum.wrapping_add(word(k, at)));
        assert_eq!(sum, at as u64);
    }
    for task in passing {
        task.abort();
    }
}
