//! The client against three API servers over TLS, whose jobs the test ends as it likes.

mod broken;

use super::{node::together, tables::Uploads, *};
use crate::{
    api::{Api, Downloads, Server},
    cli::{ClusterArgs, Exit},
    cluster_files::{ClusterFiles, ClusterPlan, NodeSettings},
    config::{Address, Listen, NodeConfig},
    job::{
        AesCtrSpec, Failure, FailureKind, JobCost, JobState, Jobs, Limits, ModeSpec, Outputs, ProgramSpec, Runner,
        Session, Sessions, Turns,
    },
    seal::SealKey,
    status::{CertificateStatus, PeerStatus, SocketBuffers},
    tables::TableStore,
    tls,
};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use trefoil_circuits::aes::KeySize;
use trefoil_engine::{
    Lanes,
    client::OutputShare,
    transport::{BoxFuture, SessionId},
};

/// The other nodes never come: a job waits until the test ends it.
struct Alone;

impl Sessions for Alone {
    fn join(&self, _: SessionId, _: [u8; 32]) -> BoxFuture<'_, Result<Box<dyn Session>, Failure>> {
        Box::pin(std::future::pending())
    }
}

struct Node {
    jobs: Arc<Jobs>,
    /// How often it will still be found without its links.
    unlinked: Arc<AtomicUsize>,
    server: JoinHandle<()>,
    _stop: watch::Sender<bool>,
}

struct World {
    nodes: [Node; 3],
    client: Client,
    _dir: tempfile::TempDir,
}

/// Three servers with these limits, and their client.
async fn world(limits: [Limits; 3]) -> World {
    let dir = tempfile::tempdir().expect("a directory");
    let mut listeners = Vec::new();
    for _ in Party::ALL {
        listeners.push(TcpListener::bind("127.0.0.1:0").await.expect("a port"));
    }
    let listen = Party::ALL.map(|p| {
        let port = listeners[p.index()].local_addr().expect("bound").port();
        let address = |port| Address::new("127.0.0.1", port).expect("an address");
        // Nothing listens on the mesh's ports; they only have to differ.
        let listen = Listen { mesh: address(1 + p.index() as u16), api: address(port), admin: None };
        (listen.clone(), listen)
    });
    let plan = ClusterPlan { dir: dir.path().to_owned(), nodes: listen, days: 1, settings: NodeSettings::default() };
    let files = plan.create().expect("files");
    let mut nodes = Vec::new();
    for ((party, listener), limits) in Party::ALL.into_iter().zip(listeners).zip(limits) {
        let tables = TableStore::in_memory(limits.clone());
        nodes.push(serve(&files, party, listener, (&limits, tables)));
    }
    let target = ClusterArgs { cluster: files.cluster(), identity: None, token: None }.resolve().expect("a target");
    let client = Client::connect(&target.cluster, &target.identity).await.expect("three nodes");
    let Ok(nodes) = nodes.try_into() else { panic!("three nodes") };
    World { nodes, client, _dir: dir }
}

fn serve(
    files: &ClusterFiles,
    party: Party,
    listener: TcpListener,
    (limits, tables): (&Limits, Arc<TableStore>),
) -> Node {
    let config = NodeConfig::load(&files.node(party)).expect("a configuration");
    let jobs = Jobs::new(limits.clone(), Arc::new(()));
    let runner = Runner::new(jobs.clone(), Arc::new(Alone), Arc::new(Turns::new(party, 1, Duration::from_mins(1))));
    let cluster_digest = config.cluster.pinned_digest();
    let unlinked = Arc::<AtomicUsize>::default();
    let looks = unlinked.clone();
    let linked = move || looks.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)).is_err();
    let status_with = move |linked: bool| NodeStatus {
        version: "0".to_owned(),
        protocol: "p".to_owned(),
        protocols: None,
        definition_digest: None,
        accepts: None,
        party: party.index() as u8,
        cluster_digest,
        time_unix_ms: 0,
        peers: party
            .peers()
            .map(|p| PeerStatus {
                party: p.index() as u8,
                connected: linked,
                rtt_us: None,
                mtu: None,
                protocol: None,
                certificate_sha256: None,
                last_error: None,
                heartbeat_ms: None,
                same_cluster: None,
                clock_ms: None,
            })
            .to_vec(),
        socket_buffers: SocketBuffers { requested: 0, granted: 0 },
        certificate: CertificateStatus { not_after: 0, sha256: None },
        draining: false,
        unready: if linked { Vec::new() } else { vec!["no link".to_owned()] },
        compared: None,
    };
    let status = move || status_with(linked());
    let seal = SealKey::generate(party).expect("randomness");
    let policy = Arc::new(crate::policy::Enforcer::in_memory(Some(crate::policy::tests::permissive())));
    let api = Arc::new(Api {
        jobs: jobs.clone(),
        runner,
        tables,
        policy,
        downloads: Downloads::default(),
        seal,
        status: Box::new(status),
    });
    let tls = tls::api_server(&config.identity, &config.cluster, tls::Expect::Anyone).expect("TLS");
    let (stop, stopped) = watch::channel(false);
    let server = Server::new(listener, (tls, None), config.cluster, api.router(axum::Router::new()), limits);
    Node { jobs, unlinked, server: tokio::spawn(server.run(stopped)), _stop: stop }
}

fn spec() -> JobSpec {
    let aes = AesCtrSpec { key_bits: KeySize::Aes128, counter: 0, blocks: 1 };
    JobSpec::new(ProgramSpec::AesCtr(aes), ModeSpec::default())
}

const KEY: [Lanes; 2] = [Lanes(7), Lanes(9)];

impl World {
    async fn usual() -> Self {
        world(std::array::from_fn(|_| Limits::default())).await
    }

    async fn submit(&self) -> Result<JobHandle, Error> {
        self.client.submit(&spec(), Bytes::new(), &[Plain::Bits(&KEY)]).await
    }

    fn end(&self, job: &JobHandle, party: Party, end: Result<[u8; 2], Failure>) {
        let jobs = &self.nodes[party.index()].jobs;
        let job = jobs.any(job.id()).expect("there");
        let cost = JobCost { rounds: 1, bytes_sent: 2, products: 3, seconds: 0.0 };
        jobs.finish(&job, end.map(|[own, next]| (Outputs::new(vec![Some(share(party, own, next).into())]), cost)));
    }

    fn loads(&self) -> [(u32, u64); 3] {
        self.nodes.each_ref().map(|node| node.jobs.load())
    }
}

fn share(party: Party, own: u8, next: u8) -> OutputShare<Lanes> {
    OutputShare::from_bytes(party, 2, &[own; 16], &[next; 16]).expect("two words")
}

#[tokio::test]
async fn three_consistent_shares_are_put_together() {
    let world = World::usual().await;
    let job = world.submit().await.expect("accepted");
    for (p, parts) in Party::ALL.into_iter().zip([[1, 2], [2, 4], [4, 1]]) {
        world.end(&job, p, Ok(parts));
    }
    assert_eq!(job.wait().await.expect("done").map(|c| c.rounds), [1; 3]);
    assert_eq!(job.output(0).await.expect("consistent").bits().expect("bits"), [Lanes(0x0707_0707_0707_0707); 2]);
    job.delete().await;
    assert_eq!(world.loads(), [(0, 0); 3]);
}

#[tokio::test]
async fn nodes_that_contradict_each_other_are_named() {
    // P1's copy of the third component differs from P2's own.
    let world = World::usual().await;
    let job = world.submit().await.expect("accepted");
    for (p, parts) in Party::ALL.into_iter().zip([[1, 2], [2, 5], [4, 1]]) {
        world.end(&job, p, Ok(parts));
    }
    job.wait().await.expect("done");
    let error = job.output(0).await.expect_err("a contradiction");
    assert!(
        matches!(&error, Error::Integrity(text) if text.starts_with("P1 (") && text.contains(" and P2 (")),
        "{error}"
    );
    assert_eq!(error.exit(), Exit::Integrity);
}

#[tokio::test]
async fn the_failure_that_tells_most_is_reported() {
    let world = World::usual().await;
    let job = world.submit().await.expect("accepted");
    let failure = |kind, cause: &str| Failure::new(kind, cause);
    world.end(&job, Party::P0, Err(failure(FailureKind::Link, "the session was ended")));
    world.end(&job, Party::P1, Err(failure(FailureKind::Misbehaved, "P2 sent garbage").blaming(Party::P2)));
    world.end(&job, Party::P2, Err(failure(FailureKind::Link, "the session was ended")));
    let error = job.wait().await.expect_err("failed");
    assert!(error.to_string().starts_with("the job failed at P1 (") && error.to_string().ends_with("P2 sent garbage"));
    assert_eq!(error.exit(), Exit::Integrity);
}

#[tokio::test]
async fn what_one_node_refuses_is_deleted_at_the_others() {
    let small = Limits { output_bytes: 8, ..Limits::default() };
    let world = world([Limits::default(), Limits::default(), small]).await;
    let error = world.submit().await.expect_err("too large for P2");
    assert!(matches!(&error, Error::Refused { .. }), "{error}");
    assert!(error.to_string().starts_with("P2 (") && error.to_string().contains("limits.output_bytes"), "{error}");
    wait_until(|| world.loads() == [(0, 0); 3]).await;
}

#[tokio::test]
async fn a_node_that_is_gone_is_named_and_the_job_deleted_at_the_others() {
    let world = World::usual().await;
    world.nodes[1].server.abort();
    let error = world.submit().await.expect_err("P1 is gone");
    assert!(matches!(&error, Error::Unreachable { node, .. } if node.starts_with("P1 (")), "{error}");
    assert_eq!(error.exit(), Exit::Unreachable);
    wait_until(|| world.loads() == [(0, 0); 3]).await;
}

#[tokio::test]
async fn what_takes_all_three_is_given_up_soon_after_one_has_failed() {
    let world = World::usual().await;
    let ask = async |node: &NodeClient| match node.party() {
        Party::P0 => std::future::pending().await,
        Party::P1 => Err(Error::Usage("no".to_owned())),
        Party::P2 => Ok(2),
    };
    let asked = tokio::time::timeout(Duration::from_mins(1), together(&world.client.nodes, ask));
    let [first, second, third] = asked.await.expect("P0 is not waited for");
    assert!(
        matches!(&first, Err(Error::Unreachable { node, cause }) if node.starts_with("P0 (") && cause.contains("another node has failed"))
    );
    assert!(matches!(second, Err(Error::Usage(_))) && matches!(third, Ok(2)));
}

#[tokio::test]
async fn a_busy_node_is_asked_again_until_it_has_room() {
    let one = Limits { waiting_jobs: 1, ..Limits::default() };
    let world = world([Limits::default(), one, Limits::default()]).await;
    let first = world.submit().await.expect("accepted");
    let (second, ()) = tokio::join!(world.submit(), async {
        // The second is refused by P1 while the first is there. Then the first is deleted.
        let refused = || world.nodes[0].jobs.used() > 0;
        wait_until(refused).await;
        first.delete().await;
    });
    let second = second.expect("accepted in the end");
    let owner = |node: &Node| node.jobs.any(second.id()).map(|job| job.state());
    assert!(world.nodes.iter().all(|node| owner(node) == Some(JobState::Accepted)));
    second.delete().await;
}

/// The others have accepted each submission, and spent what it takes.
#[tokio::test]
async fn a_job_comes_back_once_when_all_nodes_have_their_links() {
    let world = World::usual().await;
    world.nodes[1].unlinked.store(4, SeqCst);
    let job = world.submit().await.expect("P1 has its links in the end");
    assert_eq!(world.nodes.each_ref().map(|node| node.jobs.used()), [1, 0, 1], "deleted after one submission");
    job.delete().await;
}

#[tokio::test]
async fn an_input_of_the_wrong_length_is_not_sent() {
    let world = World::usual().await;
    let error = world.client.submit(&spec(), Bytes::new(), &[Plain::Bits(&KEY[..1])]).await.expect_err("one word");
    assert!(matches!(&error, Error::Usage(text) if text.contains("input 0 has 2 words of Bits")), "{error}");
    assert_eq!(world.loads(), [(0, 0); 3]);
}

async fn wait_until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), wait).await.expect("within a minute");
}

fn table<'a>(name: &str, column: &'a [Lanes]) -> NewTable<'a> {
    let columns = vec![("bits".parse().expect("a name"), Plain::Bits(column))];
    NewTable { name: name.parse().expect("a name"), version: 1, rows: 128, columns, permits: Vec::new(), expires: None }
}

impl World {
    /// How many tables each node has.
    async fn tables(&self) -> [usize; 3] {
        self.client.tables().await.map(|list| list.expect("a list").len())
    }
}

#[tokio::test]
async fn tables_that_go_together_are_stored_all_or_none() {
    let limits = |tables| Limits { client_tables: tables, ..Limits::default() };
    // P2 takes one of them.
    let world = world([limits(3), limits(3), limits(1)]).await;
    let parts = [table("loans", &KEY), table("loans-test", &KEY)];
    let refused = world.client.put_tables(&parts).await.expect_err("P2 refuses the second");
    assert!(matches!(&refused, Error::Refused { node, .. } if node.starts_with("P2")), "{refused}");
    assert_eq!(world.tables().await, [0; 3]);
    // What was there before stays.
    world.client.put_table(&parts[0]).await.expect("stored");
    world.client.put_tables(&parts).await.expect_err("the first is there already");
    assert_eq!(world.tables().await, [1; 3]);
}

#[tokio::test]
async fn an_upload_that_is_given_up_is_deleted_in_the_background() {
    let world = World::usual().await;
    let stored = table("loans", &KEY);
    let spec = stored.spec().expect("a description");
    let uploads = Uploads { client: world.client.clone(), begun: vec![(stored.name.clone(), 1, spec.upload)] };
    world.client.put(&stored, &spec).await.expect("stored");
    assert_eq!(world.tables().await, [1; 3]);
    drop(uploads);
    let end = std::time::Instant::now() + Duration::from_secs(30);
    while world.tables().await != [0; 3] {
        assert!(std::time::Instant::now() < end, "it is still there");
        tokio::task::yield_now().await;
    }
}
