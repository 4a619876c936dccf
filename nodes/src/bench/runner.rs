//! Runs scenarios as three parties, each in a process of its own over QUIC, or in one process over memory.

use super::{
    namespaces::Namespaces,
    row::{self, Row},
    scenario::{Measured, Raw, Scenario},
};
use crate::{
    Error,
    cluster_files::{ClusterFiles, ClusterPlan, NodeSettings},
    config::{Address, Listen, NodeConfig},
    mesh::{Mesh, MeshConfig},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Write},
    net::UdpSocket,
    process::{Child, Command, Stdio},
};
use trefoil_engine::{
    Ctx, Mode, Party, SemiHonest,
    prss::{PairSecret, SessionBinding, all_keys},
    transport::{
        SessionId,
        memory::{Conditions, Memory},
    },
};

/// What carries messages between the parties.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Carrier {
    /// Three processes over mutually authenticated QUIC.
    Quic,
    /// One process, frames moved in memory: what the computation alone would reach.
    Memory,
}

/// What to measure, how often and on what.
#[derive(Debug)]
pub struct Bench {
    /// The scenarios, run in turns so that a change of the machine's speed meets all of them.
    pub scenarios: Vec<Scenario>,
    /// Measured runs of each; one more before them is not counted.
    pub runs: usize,
    /// Worker threads of each party.
    pub threads: usize,
    /// What carries the messages.
    pub carrier: Carrier,
    /// Each party's network namespace and address, if they are not to share the host's.
    pub namespaces: Option<Namespaces>,
}

/// What a worker process is told on its standard input.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Orders {
    scenarios: Vec<Scenario>,
    runs: usize,
    session: [u8; 16],
}

/// What a worker reports for one run, as a line on its standard output.
#[derive(Debug, Deserialize, Serialize)]
struct Report {
    scenario: usize,
    run: usize,
    measured: Measured,
}

impl Bench {
    /// Measures everything and gives one row for each scenario.
    ///
    /// # Errors
    /// [`Error::Cluster`] if a party fails; [`Error::System`] if a process or a file is refused.
    pub fn run(&self) -> Result<Vec<Row>, Error> {
        let reports = match self.carrier {
            Carrier::Quic => self.over_quic()?,
            Carrier::Memory => self.over_memory()?,
        };
        Ok(self.scenarios.iter().enumerate().map(|(k, s)| self.row(k, s, &reports)).collect())
    }

    fn row(&self, index: usize, scenario: &Scenario, reports: &[Vec<Report>; 3]) -> Row {
        let of_run = |run: usize| {
            let all = reports.iter().flatten().filter(move |r| r.scenario == index && r.run == run);
            // A run is as slow as its slowest party.
            all.map(|r| r.measured).max_by(|a, b| a.seconds.total_cmp(&b.seconds))
        };
        // Run 0 warms up.
        let runs: Vec<Measured> = (1..=self.runs).filter_map(of_run).collect();
        let figures: Vec<f64> = runs.iter().map(|m| scenario.figure(m.items, m.seconds)).collect();
        let [median, min, max] = Row::spread(&figures);
        let mut params: BTreeMap<&'static str, serde_json::Value> = scenario.params();
        params.insert("threads", json!(self.threads));
        params.insert("link", json!(if self.carrier == Carrier::Quic { "quic" } else { "memory" }));
        let network = self.namespaces.as_ref().map_or("loopback", |n| n.profile.as_str());
        params.insert("network", json!(network));
        Row {
            scenario: scenario.name(),
            mode: if matches!(scenario, Scenario::Ring { .. }) { "none" } else { SemiHonest::NAME },
            params,
            unit: scenario.unit(),
            median,
            min,
            max,
            runs: figures.len(),
            bytes_per_item: runs.first().map_or(0.0, |m| m.bytes as f64 / m.items),
            rounds: runs.first().map_or(0, |m| m.rounds),
            cpu: row::cpu(),
            version: row::version(),
        }
    }

    fn over_memory(&self) -> Result<[Vec<Report>; 3], Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(3 * self.threads)
            .enable_all()
            .build()
            .map_err(Error::system("start the worker threads"))?;
        let net = Memory::new(Conditions::default());
        let session = SessionId(random()?);
        let mut secrets = Vec::new();
        for _ in 0..6 {
            secrets.push(random()?);
        }
        let secret = |k: usize| {
            let mut both = [0; 32];
            both[..16].copy_from_slice(&secrets[2 * k]);
            both[16..].copy_from_slice(&secrets[2 * k + 1]);
            PairSecret::new(both)
        };
        let binding = SessionBinding { session, job_digest: [0; 32], nonces: [[0; 32]; 3] };
        let keys = all_keys(&[secret(0), secret(1), secret(2)], &binding);
        runtime.block_on(async {
            let mut parties = Vec::new();
            for (p, keys) in Party::ALL.into_iter().zip(keys) {
                let (net, scenarios, runs) = (net.seat(p), self.scenarios.clone(), self.runs);
                parties.push(tokio::spawn(async move {
                    let mut ctx = Ctx::<SemiHonest>::root(p, session, keys, net.clone()).await?;
                    let mut reports = Vec::new();
                    let raw = Raw { net, session, opened: 0.into() };
                    measure(&mut ctx, &raw, &scenarios, runs, |r| reports.push(r)).await?;
                    Ok::<_, trefoil_engine::Error>(reports)
                }));
            }
            let mut all = Vec::new();
            for party in parties {
                let reports = party.await.map_err(|e| Error::Bug(format!("a party of the benchmark: {e}")))?;
                all.push(reports.map_err(|e| Error::Cluster(e.to_string()))?);
            }
            all.try_into().map_err(|_| Error::Bug("three parties".into()))
        })
    }

    fn over_quic(&self) -> Result<[Vec<Report>; 3], Error> {
        let dir = tempfile::tempdir().map_err(Error::system("create a temporary directory"))?;
        let settings = NodeSettings { threads: self.threads, ..NodeSettings::default() };
        let files =
            ClusterPlan { dir: dir.path().join("cluster"), nodes: self.listens()?, days: 1, settings }.create()?;
        let orders = Orders { scenarios: self.scenarios.clone(), runs: self.runs, session: random()? };
        let orders = serde_json::to_string(&orders).map_err(|e| Error::Bug(format!("orders as JSON: {e}")))?;
        let mut workers = Vec::new();
        for p in Party::ALL {
            workers.push(Worker::start(&files, p, self.namespaces.as_ref(), &orders)?);
        }
        let mut all = Vec::new();
        // Each reader is a thread, so that no worker waits for its pipe.
        let lines = self.scenarios.len() * (self.runs + 1);
        let readers: Vec<_> = workers.iter_mut().map(|w| w.reader(lines)).collect();
        for reader in readers {
            all.push(reader.join().map_err(|_| Error::Bug("a reader of the benchmark panicked".into()))?);
        }
        for worker in &mut workers {
            drop(worker.0.stdin.take());
        }
        for (p, worker) in Party::ALL.into_iter().zip(&mut workers) {
            let status = worker.0.wait().map_err(Error::system("wait for a process of the benchmark"))?;
            if !status.success() {
                return Err(Error::Cluster(format!("{p} of the benchmark failed ({status}); its reason is above")));
            }
        }
        all.try_into().map_err(|_| Error::Bug("three parties".into()))
    }

    fn listens(&self) -> Result<[(Listen, Listen); 3], Error> {
        let address = |host: &str, port| Address::new(host, port).map_err(Error::Bug);
        // Held until all are chosen, so that no port is chosen twice.
        let mut held = Vec::new();
        let mut out = Vec::new();
        for k in 0..3 {
            let listen = if let Some(n) = &self.namespaces {
                let host = &n.parties[k].1;
                Listen { mesh: address(host, 7400)?, api: address(host, 7500)? }
            } else {
                let socket = UdpSocket::bind("127.0.0.1:0").map_err(Error::system("find a free port"))?;
                let port = socket.local_addr().map_err(Error::system("find a free port"))?.port();
                held.push(socket);
                // Workers have no API; the address is only part of the file's form.
                Listen { mesh: address("127.0.0.1", port)?, api: address("127.0.0.1", port)? }
            };
            out.push((listen.clone(), listen));
        }
        out.try_into().map_err(|_| Error::Bug("three nodes".into()))
    }
}

/// A worker process; killed if it is dropped before it has ended.
struct Worker(Child);

impl Worker {
    fn start(files: &ClusterFiles, p: Party, namespaces: Option<&Namespaces>, orders: &str) -> Result<Self, Error> {
        let exe = std::env::current_exe().map_err(Error::system("find this program's own file"))?;
        let mut command = match namespaces {
            None => Command::new(exe),
            Some(n) => {
                let mut ip = Command::new("ip");
                ip.args(["netns", "exec", &n.parties[p.index()].0]).arg(exe);
                ip
            }
        };
        command.arg("bench-worker").arg("--config").arg(files.node(p));
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut worker = Self(child.map_err(Error::system("start a process of the benchmark"))?);
        if let Some(stdin) = worker.0.stdin.as_mut() {
            writeln!(stdin, "{orders}").map_err(Error::system("write to a process of the benchmark"))?;
        }
        Ok(worker)
    }

    /// Reads so many reports, or fewer if the worker ends before.
    fn reader(&mut self, reports: usize) -> std::thread::JoinHandle<Vec<Report>> {
        let out = self.0.stdout.take();
        std::thread::spawn(move || {
            let lines = out.into_iter().flat_map(|out| BufReader::new(out).lines());
            lines.map_while(Result::ok).filter_map(|l| serde_json::from_str(&l).ok()).take(reports).collect()
        })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// The worker: one party of a benchmark, told what to do on standard input.
///
/// # Errors
/// [`Error::Cluster`] if the mesh or a run fails.
pub fn work(node: &NodeConfig) -> Result<(), Error> {
    let mut line = String::new();
    io::stdin().read_line(&mut line).map_err(Error::system("read the orders of the benchmark"))?;
    let orders: Orders =
        serde_json::from_str(&line).map_err(|e| Error::Usage(format!("orders of a benchmark: {e}")))?;
    let failed = |e: &dyn std::fmt::Display| Error::Cluster(e.to_string());
    runtime(node.threads.get())?.block_on(async {
        let mesh = Mesh::start(MeshConfig::of_node(node)?).map_err(|e| failed(&e))?;
        let session_id = SessionId(orders.session);
        let mut session = mesh.session(session_id, [0; 32]).await.map_err(|e| failed(&e))?;
        settle(&mesh).await;
        let mut ctx = session.strand::<SemiHonest>().await.map_err(|e| failed(&e))?;
        let raw = Raw { net: session.network(), session: session_id, opened: 0.into() };
        let print = |r: Report| {
            if let Ok(text) = serde_json::to_string(&r) {
                println!("{text}");
            }
        };
        measure(&mut ctx, &raw, &orders.scenarios, orders.runs, print).await.map_err(|e| failed(&e))?;
        // The last message to a slower party may still be under way: the parent says when all three are done.
        let released = tokio::task::spawn_blocking(|| io::copy(&mut io::stdin().lock(), &mut io::sink()));
        let _ = released.await;
        session.finish();
        mesh.close().await;
        Ok(())
    })
}

/// One thread runs network and computation in turns; more are shared by all strands.
fn runtime(threads: usize) -> Result<tokio::runtime::Runtime, Error> {
    let mut builder = if threads == 1 {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    if threads > 1 {
        builder.worker_threads(threads);
    }
    builder.enable_all().build().map_err(Error::system("start the worker threads"))
}

/// Waits until path MTU discovery has come to rest, at most two seconds.
async fn settle(mesh: &Mesh) {
    let sizes = || mesh.status().map(|p| p.mtu);
    let mut last = sizes();
    for _ in 0..10 {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        let now = sizes();
        if now == last && now.iter().all(|m| m.is_some_and(|m| m > 1_452)) {
            break;
        }
        last = now;
    }
}

async fn measure<M: Mode>(
    ctx: &mut Ctx<M>,
    raw: &Raw,
    scenarios: &[Scenario],
    runs: usize,
    mut report: impl FnMut(Report),
) -> Result<(), trefoil_engine::Error> {
    for run in 0..=runs {
        for (k, scenario) in scenarios.iter().enumerate() {
            report(Report { scenario: k, run, measured: scenario.run(ctx, raw).await? });
        }
    }
    Ok(())
}

fn random() -> Result<[u8; 16], Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|e| Error::system("draw random numbers")(e.into()))?;
    Ok(bytes)
}
