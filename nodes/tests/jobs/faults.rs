//! Three real node processes against strangers who send garbage, a party that has a valid certificate and deviates, clients that
//! submit in any order, and nodes whose cluster files differ. Whatever happens, the nodes serve the next job and log no secrets.

#[path = "faults/deviation.rs"]
mod deviation;

use deviation::Flipped;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use reqwest::{StatusCode, header::CONTENT_TYPE};
use std::{
    fs,
    future::Future,
    io::{Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use trefoil_circuits::aes::{KeySize, reference};
use trefoil_engine::{
    Lanes, Party,
    client::{OutputShare, reconstruct, split},
    transport::Path,
};
use trefoil_nodes::{
    cli::{ClusterArgs, Target},
    client::{Client, Plain},
    cluster_files::NodeSettings,
    config::NodeConfig,
    job::{
        AesCtrSpec, Failure, FailureKind, JobId, JobSpec, JobState, JobStatus, Limits, MEDIA_TYPE, ModeSpec,
        ProgramSpec, encode_head,
    },
    local::{LocalCluster, LocalOptions},
    mesh::{ALPN, Mesh, MeshConfig, TransportSettings},
    pki::{ClientAuth, ClientName, Role},
    tls,
};

/// Everything that is waited for comes long before this.
const DEADLINE: Duration = Duration::from_mins(1);

async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work).await.unwrap_or_else(|_| panic!("not within {DEADLINE:?}: {what}"))
}

fn aes(blocks: u64) -> JobSpec {
    let aes = AesCtrSpec { key_bits: KeySize::Aes128, counter: 0, blocks };
    JobSpec::new(ProgramSpec::AesCtr(aes), ModeSpec::default())
}

fn key(k: u8) -> [u8; 16] {
    std::array::from_fn(|i| (31 * i + 97) as u8 ^ k)
}

fn words(bytes: &[u8; 16]) -> [Lanes; 2] {
    let (low, high) = bytes.split_at(8);
    [low, high].map(|half| Lanes(u64::from_le_bytes(half.try_into().expect("eight bytes"))))
}

fn key_stream(key: &[u8; 16], blocks: u64) -> Vec<u8> {
    let keys = reference::expand_key(key).expect("a key");
    (0..blocks).flat_map(|k| reference::encrypt(&keys, u128::from(k).to_be_bytes())).collect()
}

fn bytes(words: &[Lanes]) -> Vec<u8> {
    words.iter().flat_map(|w| w.0.to_le_bytes()).collect()
}

/// A cluster that gives up on a silent peer after a few seconds, and the means to talk to each node alone.
struct Nodes {
    cluster: LocalCluster,
    options: LocalOptions,
    target: Target,
    http: [reqwest::Client; 3],
}

impl Nodes {
    async fn start(options: LocalOptions) -> Self {
        let cluster = LocalCluster::start(&options).await.expect("a cluster");
        let target =
            ClusterArgs { cluster: cluster.cluster_file(), identity: None, token: None }.resolve().expect("a target");
        let http = Party::ALL.map(|p| {
            let tls = tls::api_client(&target.identity, &target.cluster, p).expect("TLS");
            reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().expect("a client")
        });
        Self { cluster, options, target, http }
    }

    fn options() -> LocalOptions {
        let transport = TransportSettings {
            idle_deadline: Duration::from_secs(3),
            stall_deadline: Duration::from_secs(4),
            join_deadline: Duration::from_secs(8),
            ..TransportSettings::default()
        };
        let limits = Limits { client_timeout: Duration::from_secs(2), ..Limits::default() };
        let settings = NodeSettings { limits, transport, threads: 1, ..NodeSettings::default() };
        LocalOptions { settings, ..LocalOptions::of(env!("CARGO_BIN_EXE_trefoil")) }
    }

    fn job(&self, party: Party, rest: &str) -> String {
        format!("https://{}/v1/jobs/{rest}", self.target.cluster.node(party).api)
    }

    /// Submits a body, whether or not the other nodes get theirs.
    async fn put(&self, party: Party, id: JobId, body: Vec<u8>) {
        let request = self.http[party.index()].put(self.job(party, &id.to_string()));
        let answer = request.header(CONTENT_TYPE, MEDIA_TYPE).body(body).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::ACCEPTED, "{party}");
    }

    async fn end(&self, party: Party, id: JobId) -> JobState {
        let url = self.job(party, &format!("{id}?wait=60"));
        let answer = self.http[party.index()].get(url).send().await.expect("an answer");
        answer.json::<JobStatus>().await.expect("a state").state
    }

    async fn failure(&self, party: Party, id: JobId) -> Failure {
        match soon("the end of a job", self.end(party, id)).await {
            JobState::Failed { failure } => failure,
            other => panic!("{party}: {other:?}"),
        }
    }

    /// The three nodes are connected, compute together, and right.
    async fn serve(&self) {
        let client = Client::new(&self.target.cluster, &self.target.identity).expect("a client");
        soon("connected nodes", async {
            while Box::pin(Client::connect(&self.target.cluster, &self.target.identity)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        let outcome =
            Box::pin(client.run(&aes(40), bytes::Bytes::new(), &[Plain::Bits(&words(&key(1)))])).await.expect("done");
        assert_eq!(bytes(outcome.bits(0).expect("bits")), key_stream(&key(1), 40));
    }

    fn log(&self, party: Party) -> Vec<u8> {
        fs::read(self.cluster.files().node_dir(party).join("node.log")).expect("a log")
    }

    /// Neither the bytes nor any of the usual ways to write them are in a log.
    fn kept_secret(&self, what: &str, secret: &[u8]) {
        let spaced: Vec<_> = secret[..8].iter().map(|b| format!("{b:02x}")).collect();
        let word = u64::from_le_bytes(secret[..8].try_into().expect("eight bytes"));
        let forms = [
            secret[..8].to_vec(),
            hex::encode(&secret[..8]).into_bytes(),
            hex::encode_upper(&secret[..8]).into_bytes(),
            spaced.join(" ").into_bytes(),
            format!("{:?}", &secret[..8]).trim_matches(['[', ']']).as_bytes().to_vec(),
            word.to_string().into_bytes(),
            format!("{word:x}").into_bytes(),
        ];
        for p in Party::ALL {
            let log = self.log(p);
            for form in &forms {
                let found = log.windows(form.len()).any(|w| w == form);
                assert!(!found, "{what} is in the log of {p} as {}", String::from_utf8_lossy(form));
            }
        }
    }
}

/// One of fifty jobs: its name, its key, and what each node gets.
struct Ordered {
    id: JobId,
    key: [u8; 16],
    bodies: [Vec<u8>; 3],
}

impl Ordered {
    const BLOCKS: u64 = 20;

    fn new(k: u8) -> Self {
        let head = encode_head(&aes(Self::BLOCKS));
        let shares = split(&words(&key(k))).expect("randomness");
        let bodies = shares.each_ref().map(|share| [&head[..], &share.as_bytes().concat()].concat());
        Self { id: JobId::random().expect("randomness"), key: key(k), bodies }
    }

    /// Fetches the three output shares and puts them together.
    async fn output(&self, nodes: &Nodes) -> Vec<u8> {
        let mut own = Vec::new();
        for p in Party::ALL {
            let state = soon("the end of a job", nodes.end(p, self.id)).await;
            assert!(matches!(state, JobState::Done { .. }), "{p}: {state:?}");
            let url = nodes.job(p, &format!("{}/outputs/0", self.id));
            let answer = nodes.http[p.index()].get(url).send().await.expect("an answer");
            own.push(answer.bytes().await.expect("a share").slice(..16 * Self::BLOCKS as usize));
        }
        let share = |p: Party| {
            let len = 2 * Self::BLOCKS as usize;
            OutputShare::from_bytes(p, len, &own[p.index()], &own[p.next().index()]).expect("a share")
        };
        bytes(&reconstruct::<Lanes>(&Party::ALL.map(share)).expect("consistent"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_jobs_in_three_orders_are_done_and_nothing_secret_is_logged() {
    let nodes = Nodes::start(LocalOptions { filter: "trace".into(), ..Nodes::options() }).await;
    let jobs: Vec<_> = (0..50).map(Ordered::new).collect();
    // One node gets them in order, one backwards, and one with a stride that has no factor in common with 50.
    let orders = [|k: usize| k, |k: usize| 49 - k, |k: usize| (17 * k + 5) % 50];
    let submit = |p: Party| {
        let (nodes, jobs, order) = (&nodes, &jobs, orders[p.index()]);
        async move {
            for job in (0..50).map(|k| &jobs[order(k)]) {
                nodes.put(p, job.id, job.bodies[p.index()].clone()).await;
            }
        }
    };
    soon("submission", async { tokio::join!(submit(Party::P0), submit(Party::P1), submit(Party::P2)) }).await;
    for job in &jobs {
        assert_eq!(job.output(&nodes).await, key_stream(&job.key, Ordered::BLOCKS));
    }
    let head = encode_head(&aes(Ordered::BLOCKS)).len();
    for job in jobs.iter().step_by(10) {
        nodes.kept_secret("a key", &job.key);
        job.bodies.iter().for_each(|body| nodes.kept_secret("a share", &body[head..]));
    }
    assert!(Party::ALL.into_iter().all(|p| nodes.log(p).windows(5).any(|w| w == b"TRACE")), "the logs say all");
    nodes.cluster.shutdown().await;
}

/// Datagrams that look like QUIC and are not, and some that do not even look so.
fn datagrams() -> Vec<Vec<u8>> {
    let initial = |version: [u8; 4], len: usize| {
        let mut packet = vec![0xa5; len];
        packet[0] = 0xc3;
        packet[1..5].copy_from_slice(&version);
        packet[5] = 8;
        packet
    };
    let version = [[0, 0, 0, 1], [0; 4], [0xff; 4], [0x6b, 0x33, 0x43, 0xcf]];
    let mut all: Vec<_> = version.iter().flat_map(|&v| [20, 1200, 9000, 65_000].map(|len| initial(v, len))).collect();
    all.extend([0, 1, 2, 21, 1200, 65_507].map(|len| vec![0x40; len]));
    all.extend([1, 1200, 65_507].map(|len| vec![0xff; len]));
    all
}

fn pester_mesh(address: SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    for datagram in datagrams() {
        // A full buffer on the way loses it, as the network may.
        let _ = socket.send_to(&datagram, address);
    }
}

fn pester_api(address: SocketAddr) {
    let long = [&[0x16, 3, 1, 0xff, 0xff][..], &vec![0xaa; 1 << 17]].concat();
    for garbage in [&long[..], b"PUT /v1/jobs/0 HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", &[0; 5000]] {
        let mut stream = TcpStream::connect(address).expect("connected");
        stream.set_read_timeout(Some(DEADLINE)).expect("set");
        // The node may close while this is written.
        let _ = stream.write_all(garbage);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.len() < 100, "{} bytes in answer to garbage", answer.len());
    }
}

/// Calls that never finish their handshake: the client shows no certificate it could be let in with, or hangs up.
async fn pester_handshakes(nodes: &Nodes, party: Party) {
    let target = &nodes.target;
    let ClientAuth::Certificate(identity) = &target.identity else { panic!("a client without a certificate") };
    let tls = tls::mesh_client(identity, &target.cluster, party, ALPN).expect("a configuration");
    let tls = quinn::crypto::rustls::QuicClientConfig::try_from(tls).expect("fit for QUIC");
    let mut endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).expect("a socket");
    endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(tls)));
    let calls: Vec<_> = (0..40).map(|_| endpoint.connect(mesh(nodes, party), "node").expect("it starts")).collect();
    for (k, call) in calls.into_iter().enumerate() {
        // Every other one is dropped half open.
        if k % 2 == 0
            && let Ok(connection) = call.await
        {
            soon("a stranger is shown out", connection.closed()).await;
        }
    }
}

fn mesh(nodes: &Nodes, party: Party) -> SocketAddr {
    nodes.target.cluster.node(party).mesh.to_string().parse().expect("an address")
}

/// Garbage at every port of one party, once.
async fn pester(nodes: &Nodes, party: Party) {
    let api = nodes.target.cluster.node(party).api.to_string().parse().expect("an address");
    let udp = mesh(nodes, party);
    let plain = tokio::task::spawn_blocking(move || {
        pester_mesh(udp);
        pester_api(api);
    });
    let (plain, ()) = tokio::join!(plain, Box::pin(pester_handshakes(nodes, party)));
    plain.expect("pestered");
}

/// Jobs that begin together with the garbage, one after the other until it has all been sent: at least one.
async fn jobs_under_garbage(nodes: &Nodes, client: &Client, party: Party) {
    let (key, blocks) = (key(7), 200);
    let expected = key_stream(&key, blocks);
    let sent = AtomicBool::new(false);
    let garbage = async {
        pester(nodes, party).await;
        sent.store(true, Ordering::Relaxed);
    };
    let jobs = async {
        loop {
            let outcome = Box::pin(client.run(&aes(blocks), bytes::Bytes::new(), &[Plain::Bits(&words(&key))]))
                .await
                .expect("done");
            assert_eq!(bytes(outcome.bits(0).expect("bits")), expected);
            if sent.load(Ordering::Relaxed) {
                break;
            }
        }
    };
    tokio::join!(soon("garbage", garbage), soon("jobs", jobs));
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_at_every_port_disturbs_no_job() {
    let nodes = Nodes::start(Nodes::options()).await;
    let client = Client::connect(&nodes.target.cluster, &nodes.target.identity).await.expect("a client");
    for _ in 0..3 {
        for party in Party::ALL {
            jobs_under_garbage(&nodes, &client, party).await;
        }
    }
    // Strangers do not fill the logs either: fewer lines than attempts, and short ones.
    for p in Party::ALL {
        let log = String::from_utf8_lossy(&nodes.log(p)).into_owned();
        let warnings = log.lines().filter(|l| l.contains("WARN") || l.contains("ERROR")).count();
        assert!(warnings < 20 && log.lines().all(|l| l.len() < 1000), "{p}: {log}");
    }
    nodes.cluster.shutdown().await;
}

/// What a party with a valid certificate does instead of its part.
#[derive(Clone, Copy, Debug)]
enum Deviation {
    /// Joins for another job.
    OtherJob,
    /// Joins and leaves.
    Leave,
    /// Sends frames that are too long.
    LongFrames,
    /// Joins and says nothing more.
    Silence,
}

/// Takes P2's part in a job, and deviates until the session is over.
async fn deviate(mesh: &Mesh, id: JobId, digest: [u8; 32], how: Deviation) {
    let digest = if matches!(how, Deviation::OtherJob) { [0x55; 32] } else { digest };
    let Ok(session) = mesh.session(id.session(), digest).await else {
        assert!(matches!(how, Deviation::OtherJob), "{how:?} joins");
        return;
    };
    match how {
        Deviation::OtherJob => panic!("the others joined another job"),
        Deviation::Leave => {}
        Deviation::LongFrames => {
            let mut links = Vec::new();
            for path in [Path::root(), Path::root().child(0), Path::root().child(1)] {
                let mut link = session.network().open(id.session(), path).await.expect("a link");
                for to in [Party::P0, Party::P1] {
                    // Fails once the session is over.
                    let _ = link.send(to, vec![0xa5; 100_000].into()).await;
                }
                links.push(link);
            }
            session.ended().await;
        }
        Deviation::Silence => drop(session.ended().await),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_party_that_deviates_is_named_by_both_others_and_they_serve_on() {
    let mut nodes = Nodes::start(Nodes::options()).await;
    let pid = nodes.cluster.pids()[2].try_into().expect("a pid");
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it runs");
    soon("its end", nodes.cluster.failed()).await;
    // From here on P2 is this test, with P2's own key.
    let config = NodeConfig::load(&nodes.cluster.files().node(Party::P2)).expect("good");
    let hostile = Mesh::start(MeshConfig::of_node(&config).expect("a place")).expect("started");
    soon("connections", hostile.connected()).await;
    let Role::Client(owner) = nodes.target.identity.role().clone() else { panic!("not a client") };
    let spec = aes(40);
    for how in [Deviation::OtherJob, Deviation::Leave, Deviation::LongFrames, Deviation::Silence] {
        let job = Ordered { bodies: bodies(&spec), ..Ordered::new(3) };
        let put = async {
            for p in [Party::P0, Party::P1] {
                nodes.put(p, job.id, job.bodies[p.index()].clone()).await;
            }
        };
        let deviation = soon("a deviation", deviate(&hostile, job.id, spec.digest(&owner), how));
        tokio::join!(put, deviation);
        let failures = [nodes.failure(Party::P0, job.id).await, nodes.failure(Party::P1, job.id).await];
        for failure in &failures {
            assert_eq!(failure.blamed, Some(2), "{how:?}: {}", failure.cause);
            assert!(failure.cause.contains("P2") || failure.cause.contains("reports of"), "{how:?}: {}", failure.cause);
        }
        let kinds = failures.map(|f| f.kind);
        match how {
            Deviation::OtherJob => assert!(kinds.contains(&FailureKind::Mismatch), "{kinds:?}"),
            Deviation::LongFrames => assert!(kinds.contains(&FailureKind::Misbehaved), "{kinds:?}"),
            Deviation::Leave | Deviation::Silence => assert_eq!(kinds, [FailureKind::Link; 2]),
        }
    }
    for flipped in Flipped::ALL {
        one_flipped_bit(&nodes, &hostile, &owner, flipped).await;
    }
    hostile.close().await;
    drop(hostile);
    garbage_streams(&nodes, &config).await;
    let options = nodes.options.clone();
    nodes.cluster.restart(Party::P2, &options).await.expect("the honest one is back");
    nodes.serve().await;
    nodes.cluster.shutdown().await;
}

/// P2 alters one bit: both others reject, suspect it, say so to the client, and release nothing.
async fn one_flipped_bit(nodes: &Nodes, hostile: &Mesh, owner: &ClientName, flipped: Flipped) {
    let (id, spec, [to_0, to_1, to_2]) = (JobId::random().expect("randomness"), aes(40), deviation::dealt());
    let put = async {
        for (p, share) in [(Party::P0, to_0), (Party::P1, to_1)] {
            nodes.put(p, id, [&encode_head(&spec)[..], &share].concat()).await;
        }
    };
    let part = deviation::take_part(hostile, id, &spec, owner, (to_2, flipped));
    soon("a part", async { tokio::join!(put, Box::pin(part)) }).await;
    for p in [Party::P0, Party::P1] {
        let failure = nodes.failure(p, id).await;
        assert_eq!(failure.kind, FailureKind::Misbehaved, "{flipped:?}, {p}: {}", failure.cause);
        let me = p.index() as u8;
        if matches!(flipped, Flipped::InputHash) && p == Party::P1 {
            // It compared the copies: as far as it knows the client may have sent different ones.
            assert!(failure.suspects.is_empty(), "{failure:?}");
        } else {
            assert!(failure.suspects.contains(&2) && !failure.suspects.contains(&me), "{flipped:?}, {p}: {failure:?}");
        }
        assert!(failure.cause.contains("P2"), "{flipped:?}, {p}: {}", failure.cause);
        let output = nodes.http[p.index()].get(nodes.job(p, &format!("{id}/outputs/0"))).send().await;
        assert_eq!(output.expect("an answer").status(), StatusCode::CONFLICT);
    }
}

fn bodies(spec: &JobSpec) -> [Vec<u8>; 3] {
    let shares = split(&words(&key(3))).expect("randomness");
    shares.each_ref().map(|share| [&encode_head(spec)[..], &share.as_bytes().concat()].concat())
}

/// Calls P0 as P2 and opens far more streams than may be open at once, none of which any honest node would open.
async fn garbage_streams(nodes: &Nodes, config: &NodeConfig) {
    let tls = tls::mesh_client(&config.identity, &config.cluster, Party::P0, ALPN).expect("a configuration");
    let tls = quinn::crypto::rustls::QuicClientConfig::try_from(tls).expect("fit for QUIC");
    let mut endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).expect("a socket");
    endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(tls)));
    let call = endpoint.connect(mesh(nodes, Party::P0), "node").expect("it starts");
    let connection = soon("a connection", call).await.expect("P2's certificate is good");
    let strand = [&[1][..], &[0xa5; 48]].concat();
    let contents = [&[0xa5; 49][..], &[0xff; 3], &[], &strand, &[0; 10_000]];
    for content in contents.iter().cycle().take(3000) {
        let mut stream = soon("room for a stream", connection.open_uni()).await.expect("still connected");
        // Refused streams may be stopped while they are written.
        let _ = stream.write_all(content).await;
        let _ = stream.finish();
    }
    assert_eq!(connection.close_reason(), None, "garbage on streams costs the streams alone");
    let status = soon(
        "an answer",
        nodes.http[0].get(format!("https://{}/livez", nodes.target.cluster.node(Party::P0).api)).send(),
    );
    assert_eq!(status.await.expect("an answer").status(), StatusCode::OK);
    connection.close(0_u32.into(), b"");
    endpoint.wait_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_with_different_cluster_files_refuse_a_job_by_name() {
    let temp = tempfile::tempdir().expect("a directory");
    let options = LocalOptions { dir: Some(temp.path().to_owned()), ..Nodes::options() };
    let mut nodes = Nodes::start(options.clone()).await;
    let (files, target) = (nodes.cluster.files().clone(), &nodes.target);
    // P2 gets a copy in which P0's API is elsewhere; the links do not depend on that.
    let text = fs::read_to_string(files.cluster()).expect("readable");
    let other = text.replace(&target.cluster.node(Party::P0).api.to_string(), "127.0.0.1:9");
    fs::write(files.node_dir(Party::P2).join("other.toml"), other).expect("written");
    let good = fs::read_to_string(files.node(Party::P2)).expect("readable");
    fs::write(files.node(Party::P2), good.replace("../cluster.toml", "other.toml")).expect("written");
    nodes.cluster.restart(Party::P2, &options).await.expect("the links are up");

    let id = JobId::random().expect("randomness");
    for (p, body) in Party::ALL.into_iter().zip(bodies(&aes(40))) {
        nodes.put(p, id, body).await;
    }
    let mut kinds = Vec::new();
    for p in Party::ALL {
        let failure = nodes.failure(p, id).await;
        assert!(failure.cause.contains("same cluster.toml"), "{p}: {}", failure.cause);
        kinds.push(failure.kind);
    }
    assert!(kinds.contains(&FailureKind::Mismatch), "{kinds:?}");

    fs::write(files.node(Party::P2), good).expect("written");
    nodes.cluster.restart(Party::P2, &options).await.expect("with the right file");
    nodes.serve().await;
    nodes.cluster.shutdown().await;
}
