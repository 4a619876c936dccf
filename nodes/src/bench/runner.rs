//! Runs scenarios as three parties, each in a process of its own over QUIC, or in one process over memory.

use super::{
    namespaces::Namespaces,
    row::{self, Row},
    scenario::{Galleries, Item, Measured, Raw, Scenario},
    worker::{Orders, Report, Strands, Worker, measure},
};
use crate::{
    Error,
    cluster_files::{ClusterPlan, NodeSettings},
    config::{Address, Listen},
    executor::Tasks,
    job::ModeSpec,
};
use serde_json::json;
use std::{collections::BTreeMap, net::UdpSocket};
use tokio::runtime::{self, Runtime};
use trefoil_circuits::program::join_all;
use trefoil_engine::{
    Ctx, Party,
    prss::{PairSecret, SessionBinding, all_keys},
    transport::{
        BoxFuture, SessionId,
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
    pub items: Vec<Item>,
    /// Measured runs of each; one more before them is not counted.
    pub runs: usize,
    /// Worker threads of each party.
    pub threads: usize,
    /// What carries the messages.
    pub carrier: Carrier,
    /// Each party's network namespace and address, if they are not to share the host's.
    pub namespaces: Option<Namespaces>,
}

impl Bench {
    /// A runtime for [`Bench::run`].
    ///
    /// # Errors
    /// [`Error::System`] if its threads cannot be started.
    pub fn runtime(&self) -> Result<Runtime, Error> {
        let workers = match self.carrier {
            // The parties compute elsewhere.
            Carrier::Quic => 1,
            Carrier::Memory => 3 * self.threads,
        };
        let mut builder = runtime::Builder::new_multi_thread();
        builder.worker_threads(workers).enable_all().build().map_err(Error::system("start the worker threads"))
    }

    /// Measures everything and gives one row for each scenario.
    ///
    /// Dropped before it is done, it ends the processes it has started and removes their files.
    ///
    /// # Errors
    /// [`Error::Cluster`] if a party fails; [`Error::System`] if a process or a file is refused.
    pub async fn run(&self) -> Result<Vec<Row>, Error> {
        let reports = match self.carrier {
            Carrier::Quic => self.over_quic().await?,
            Carrier::Memory => self.over_memory().await?,
        };
        Ok(self.items.iter().enumerate().map(|(k, item)| self.row(k, item, &reports)).collect())
    }

    fn row(&self, index: usize, Item { scenario, mode, check_every }: &Item, reports: &[Vec<Report>; 3]) -> Row {
        let of_run = |run: usize| {
            let all = || reports.iter().flatten().filter(move |r| r.item == index && r.run == run).map(|r| r.measured);
            // A run is as slow as its slowest party.
            let slowest = all().max_by(|a, b| a.seconds.total_cmp(&b.seconds))?;
            Some(Measured { bytes: all().map(|m| m.bytes).max()?, ..slowest })
        };
        // Run 0 warms up.
        let runs: Vec<Measured> = (1..=self.runs).filter_map(of_run).collect();
        let figures: Vec<f64> = runs.iter().map(|m| scenario.figure(m.items, m.seconds)).collect();
        let [median, min, max] = Row::spread(&figures);
        let mut params: BTreeMap<&'static str, serde_json::Value> = scenario.params(*mode);
        if *mode == ModeSpec::Malicious {
            params.insert("check_every", json!(check_every));
        }
        params.insert("threads", json!(self.threads));
        params.insert("link", json!(if self.carrier == Carrier::Quic { "quic" } else { "memory" }));
        let network = self.namespaces.as_ref().map_or("loopback", |n| n.profile.as_str());
        params.insert("network", json!(network));
        Row {
            scenario: scenario.name(),
            mode: if matches!(scenario, Scenario::Ring { .. }) { "none" } else { mode.name() },
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

    async fn over_memory(&self) -> Result<[Vec<Report>; 3], Error> {
        let net = Memory::new(Conditions::default());
        let sessions = [SessionId(random()?), SessionId(random()?)];
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
        let secrets = [secret(0), secret(1), secret(2)];
        let keys = sessions
            .map(|session| all_keys(&secrets, &SessionBinding { session, job_digest: [0; 32], nonces: [[0; 32]; 3] }));
        let [of_semi_honest, of_malicious] = keys;
        let mut parties: Vec<BoxFuture<'static, Result<_, trefoil_engine::Error>>> = Vec::new();
        for (p, keys) in Party::ALL.into_iter().zip(of_semi_honest.into_iter().zip(of_malicious)) {
            let (net, items, runs) = (net.seat(p), self.items.clone(), self.runs);
            parties.push(Box::pin(async move {
                let mut strands = Strands {
                    semi_honest: Ctx::root(p, sessions[0], keys.0, net.clone()).await?,
                    malicious: Ctx::root(p, sessions[1], keys.1, net.clone()).await?,
                };
                let mut reports = Vec::new();
                let raw = Raw { net, session: sessions[0], opened: 0.into(), galleries: Galleries::default() };
                measure(&mut strands, &raw, &items, runs, |r| reports.push(r)).await?;
                Ok(reports)
            }));
        }
        let all: Result<Vec<_>, _> = join_all(&Tasks, parties).await.into_iter().collect();
        let all = all.map_err(|e| Error::Cluster(e.to_string()))?;
        all.try_into().map_err(|_| Error::Bug("three parties".into()))
    }

    async fn over_quic(&self) -> Result<[Vec<Report>; 3], Error> {
        let dir = tempfile::tempdir().map_err(Error::system("create a temporary directory"))?;
        let settings = NodeSettings { threads: self.threads, ..NodeSettings::default() };
        let files =
            ClusterPlan { dir: dir.path().join("cluster"), nodes: self.listens()?, days: 1, settings }.create()?;
        let orders = Orders { items: self.items.clone(), runs: self.runs, sessions: [random()?, random()?] };
        let start = |p| Worker::start(&files, p, self.namespaces.as_ref(), &orders);
        let mut workers = [start(Party::P0).await?, start(Party::P1).await?, start(Party::P2).await?];
        let lines = self.items.len() * (self.runs + 1);
        // Together, so that no worker waits for its pipe.
        let [a, b, c] = &mut workers;
        let (a, b, c) = tokio::join!(a.reports(lines), b.reports(lines), c.reports(lines));
        for (p, worker) in Party::ALL.into_iter().zip(&mut workers) {
            worker.finish(p).await?;
        }
        Ok([a, b, c])
    }

    fn listens(&self) -> Result<[(Listen, Listen); 3], Error> {
        let address = |host: &str, port| Address::new(host, port).map_err(Error::Bug);
        // Held until all are chosen, so that no port is chosen twice.
        let mut held = Vec::new();
        let mut out = Vec::new();
        for k in 0..3 {
            let listen = if let Some(n) = &self.namespaces {
                let host = &n.parties[k].1;
                Listen { mesh: address(host, 7400)?, api: address(host, 7500)?, admin: None }
            } else {
                let socket = UdpSocket::bind("127.0.0.1:0").map_err(Error::system("find a free port"))?;
                let port = socket.local_addr().map_err(Error::system("find a free port"))?.port();
                held.push(socket);
                // Workers have no API; the address is only part of the file's form.
                Listen { mesh: address("127.0.0.1", port)?, api: address("127.0.0.1", port)?, admin: None }
            };
            out.push((listen.clone(), listen));
        }
        out.try_into().map_err(|_| Error::Bug("three nodes".into()))
    }
}

fn random() -> Result<[u8; 16], Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|e| Error::system("draw random numbers")(e.into()))?;
    Ok(bytes)
}
