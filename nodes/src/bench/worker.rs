//! The processes of a benchmark: started by the one that asks for it, each one party.

use super::{
    namespaces::Namespaces,
    scenario::{Galleries, Item, Measured, Raw},
};
use crate::{
    Error,
    cluster_files::ClusterFiles,
    config::NodeConfig,
    job::ModeSpec,
    mesh::{Mesh, MeshConfig, Session},
};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    io::{self, Write},
    process::Stdio,
    thread,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    sync::oneshot,
};
use trefoil_engine::{Ctx, Malicious, Party, SemiHonest, transport::SessionId};

/// Runs this process as one party of a benchmark, which it is told about on standard input. It ends early when that closes.
///
/// # Errors
/// [`Error::Cluster`] if the mesh or a run fails, [`Error::Interrupted`] if standard input closes before the runs are done.
pub fn work(node: &NodeConfig) -> Result<(), Error> {
    let mut line = String::new();
    io::stdin().read_line(&mut line).map_err(Error::system("read the orders of the benchmark"))?;
    let orders: Orders =
        serde_json::from_str(&line).map_err(|e| Error::Usage(format!("orders of a benchmark: {e}")))?;
    runtime(node.threads.get())?.block_on(async {
        let mut released = released();
        let mesh = Mesh::start(MeshConfig::of_node(node)?).map_err(|e| failed(&e))?;
        tokio::select! {
            biased;
            sessions = take_part(&mesh, &orders) => {
                // The last message to a slower party may still be under way: the parent says when all three are done.
                let (sessions, _) = (sessions?, released.await);
                sessions.into_iter().for_each(Session::finish);
                mesh.close().await;
                Ok(())
            }
            _ = &mut released => Err(Error::Interrupted),
        }
    })
}

/// What a worker is told on its standard input.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Orders {
    pub(super) items: Vec<Item>,
    pub(super) runs: usize,
    /// The ids of the sessions of the two modes.
    pub(super) sessions: [[u8; 16]; 2],
}

/// What a worker reports for one run, as a line on its standard output.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Report {
    pub(super) item: usize,
    pub(super) run: usize,
    pub(super) measured: Measured,
}

/// A worker process, as the one that started it sees it. Killed if it is dropped before it has ended.
pub(super) struct Worker {
    process: Child,
    output: Lines<BufReader<ChildStdout>>,
}

impl Worker {
    /// Starts party `p` and tells it what to do.
    pub(super) async fn start(
        files: &ClusterFiles,
        p: Party,
        namespaces: Option<&Namespaces>,
        orders: &Orders,
    ) -> Result<Self, Error> {
        let exe = std::env::current_exe().map_err(Error::system("find this program's own file"))?;
        let mut command = match namespaces {
            None => Command::new(exe),
            Some(n) => {
                let mut ip = Command::new("ip");
                ip.args(["netns", "exec", &n.parties[p.index()].0]).arg(exe);
                ip
            }
        };
        let mut process = command
            .args(["bench-worker", "--config"])
            .arg(files.node(p))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C in a terminal goes to the foreground group; workers are ended by us, so that it is not taken for their failure.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(Error::system("start a process of the benchmark"))?;
        let missing = || Error::Bug("a process of the benchmark was started without its pipes".into());
        let output = BufReader::new(process.stdout.take().ok_or_else(missing)?).lines();
        let mut text = serde_json::to_vec(orders).map_err(|e| Error::Bug(format!("orders as JSON: {e}")))?;
        text.push(b'\n');
        let told = process.stdin.as_mut().ok_or_else(missing)?.write_all(&text).await;
        told.map_err(Error::system("write to a process of the benchmark"))?;
        Ok(Self { process, output })
    }

    /// Reads so many reports, or fewer if the worker ends before.
    pub(super) async fn reports(&mut self, count: usize) -> Vec<Report> {
        let mut all = Vec::new();
        while all.len() < count
            && let Ok(Some(line)) = self.output.next_line().await
        {
            all.extend(serde_json::from_str::<Report>(&line).ok());
        }
        all
    }

    /// Tells the worker that all three are done, and waits until it has ended.
    pub(super) async fn finish(&mut self, p: Party) -> Result<(), Error> {
        drop(self.process.stdin.take());
        let status = self.process.wait().await.map_err(Error::system("wait for a process of the benchmark"))?;
        if status.success() {
            return Ok(());
        }
        Err(Error::Cluster(format!("{p} of the benchmark failed ({status}); its reason is above")))
    }
}

/// A strand in each mode.
pub(super) struct Strands {
    pub(super) semi_honest: Ctx<SemiHonest>,
    pub(super) malicious: Ctx<Malicious>,
}

/// Runs every scenario so many times, in turns. Run 0 warms up.
pub(super) async fn measure(
    strands: &mut Strands,
    raw: &Raw,
    items: &[Item],
    runs: usize,
    mut report: impl FnMut(Report),
) -> Result<(), trefoil_engine::Error> {
    for run in 0..=runs {
        for (k, Item { scenario, mode, check_every }) in items.iter().enumerate() {
            strands.malicious.check_every(*check_every);
            let measured = match mode {
                ModeSpec::SemiHonest => scenario.run(&mut strands.semi_honest, raw).await?,
                // What proves is large and would lie in every future around it.
                ModeSpec::Malicious => Box::pin(scenario.run(&mut strands.malicious, raw)).await?,
            };
            report(Report { item: k, run, measured });
        }
    }
    Ok(())
}

async fn take_part(mesh: &Mesh, orders: &Orders) -> Result<[Session; 2], Error> {
    let id = SessionId(orders.sessions[0]);
    let mut session = mesh.session(id, [0; 32]).await.map_err(|e| failed(&e))?;
    let mut other = mesh.session(SessionId(orders.sessions[1]), [0; 32]).await.map_err(|e| failed(&e))?;
    settle(mesh).await;
    let mut strands = Strands {
        semi_honest: session.strand().await.map_err(|e| failed(&e))?,
        malicious: other.strand().await.map_err(|e| failed(&e))?,
    };
    let raw = Raw { net: session.network(), session: id, opened: 0.into(), galleries: Galleries::default() };
    let print = |r: Report| {
        if let Ok(text) = serde_json::to_string(&r) {
            // Nobody to read it means that the parent is gone, which ends this process soon.
            let _ = writeln!(io::stdout(), "{text}");
        }
    };
    measure(&mut strands, &raw, &orders.items, orders.runs, print).await.map_err(|e| failed(&e))?;
    Ok([session, other])
}

fn failed(e: &dyn fmt::Display) -> Error {
    Error::Cluster(e.to_string())
}

/// Comes true when standard input closes. A thread of its own reads it, since nothing could end that read with the runtime.
fn released() -> oneshot::Receiver<()> {
    let (tell, closed) = oneshot::channel();
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        let _ = tell.send(());
    });
    closed
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
