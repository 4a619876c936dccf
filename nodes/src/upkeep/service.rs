//! A node's part in the upkeep of the stores.

use super::{
    Comparisons, Finding, Task, UpkeepReport, UpkeepSpec,
    compare::compare,
    inventory::{Inventory, outputs},
    items::{self, Item},
    missing::{There, beyond_help, lasting, missing},
    rebuild::rebuild,
    refresh::{refresh, settle},
    shares::{Holdings, ShareAt},
    spec::first,
    talk::{Broken, Talk, path},
};
use crate::{
    auth::{Auth, RefreshSpec, user_of_shares},
    job::{Failure, FailureKind, JobId, Jobs, Journal, Session, Sessions, failure},
    keys::{KeyFault, KeyId, Keys, KeysHere},
    store::Store,
    tables::{TableStore, UploadId},
    trace,
};
use std::{
    collections::BTreeSet,
    fmt,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::{MutexGuard, Notify};
use tracing::{Instrument as _, error, info, warn};
use trefoil_engine::Party;

/// What a node's stores are kept up with.
pub struct UpkeepConfig {
    /// The node.
    pub me: Party,
    /// Where records are.
    pub store: Store,
    /// The tables.
    pub tables: Arc<TableStore>,
    /// What jobs have computed.
    pub jobs: Arc<Jobs>,
    /// The signing keys.
    pub keys: Arc<Keys>,
    /// The templates.
    pub auth: Arc<Auth>,
    /// How the node meets the others.
    pub sessions: Arc<dyn Sessions>,
    /// What is remembered of comparisons.
    pub comparisons: Arc<Comparisons>,
}

/// The upkeep of a node's stores.
pub struct Upkeep {
    config: UpkeepConfig,
    /// One at a time: what is prepared and not in use is left by one that has ended.
    turn: tokio::sync::Mutex<()>,
    /// Whether that one is a comparison that nobody has asked for. Held while a turn is given to one, or taken from it.
    automatic: Mutex<bool>,
    /// An operator wants its turn.
    wanted: Notify,
}

/// How long an operator waits for the end of a comparison that nobody has asked for.
const YIELD: Duration = Duration::from_secs(10);

/// Why there was no upkeep.
#[derive(Debug, thiserror::Error)]
pub enum UpkeepFault {
    /// The specification does not fit.
    #[error("{0}")]
    Invalid(String),
    /// Another one is under way.
    #[error("this node is at another upkeep of its store; wait for its end")]
    UnderWay,
    /// What the nodes have come to, or why they did not come together.
    #[error("{}", .0.cause)]
    Together(Failure),
}

/// What all three nodes have, whose shares fit.
pub(super) struct Common {
    shares: Vec<ShareAt>,
    templates: Vec<String>,
    keys: Vec<KeyId>,
    findings: Vec<Finding>,
    /// What some nodes have and others lack, or have otherwise.
    missing: Vec<Finding>,
    /// Keys that a node has and cannot read.
    damaged: Vec<Finding>,
    /// Jobs of which this node has one component of the outputs.
    halves: usize,
}

impl Upkeep {
    /// With these stores.
    pub fn new(config: UpkeepConfig) -> Arc<Self> {
        let (turn, automatic, wanted) = (tokio::sync::Mutex::default(), Mutex::default(), Notify::new());
        Arc::new(Self { config, turn, automatic, wanted })
    }

    /// Takes this node's part, when the others take theirs. Who may ask for it the node's policy says. Goes on if it is dropped.
    ///
    /// # Errors
    /// [`UpkeepFault`]. What was done until then stays done, and can be done again.
    pub async fn run(self: &Arc<Self>, task: Task, spec: UpkeepSpec) -> Result<UpkeepReport, UpkeepFault> {
        let lost = spec.lost(task).map_err(UpkeepFault::Invalid)?;
        let this = self.clone();
        let span = trace::upkeep(task, spec.session);
        let run = async move {
            let _turn = this.turn().await?;
            info!("{task} of the store begins, in session {}", spec.session);
            let session = this.join(task, &spec).await?;
            let (mut report, common) = this.together(session, task, (&spec, lost)).await?;
            if task == Task::Refresh {
                this.renew(&spec, &common, &mut report).await;
                // New shares are remembered as those before them were.
                let after = UpkeepSpec { session: JobId::from(spec.part("compare")), ..spec };
                let compared = async {
                    let session = this.join(Task::Compare, &after).await?;
                    this.together(session, Task::Compare, (&after, None)).await
                };
                match compared.await {
                    Ok((compared, _)) => {
                        report.bytes = compared.bytes;
                        let mut found = first(compared.findings);
                        found.retain(|finding| !report.findings.contains(finding));
                        report.findings.extend(found);
                    }
                    Err(fault) => {
                        let cause = format!(
                            "new shares are in use and were not compared: {fault}; run `trefoil store compare`"
                        );
                        report.findings.push(Finding::new("the comparison", cause));
                    }
                }
            }
            report.findings = first(report.findings);
            info!(
                "{task} of the store is done: {} tables, {} jobs with outputs, {} templates, {} keys, {} findings",
                report.tables,
                report.outputs,
                report.templates,
                report.keys,
                report.findings.len()
            );
            report.findings.iter().for_each(|finding| warn!("{}: {}", finding.what, finding.cause));
            Ok(report)
        };
        let done = tokio::spawn(run.instrument(span.clone())).await.unwrap_or_else(|ended| {
            let cause = format!("{ended}; please report this");
            Err(UpkeepFault::Together(Failure::new(FailureKind::Internal, cause)))
        });
        if done.is_err() {
            trace::failed(&span);
        }
        done
    }

    fn holdings(&self) -> Holdings<'_> {
        let UpkeepConfig { store, tables, jobs, .. } = &self.config;
        Holdings { store, tables, jobs }
    }

    /// This node's turn: one at a time, and what nobody has asked for makes room.
    async fn turn(&self) -> Result<MutexGuard<'_, ()>, UpkeepFault> {
        {
            let automatic = self.automatic();
            if let Ok(turn) = self.turn.try_lock() {
                return Ok(turn);
            }
            if !*automatic {
                return Err(UpkeepFault::UnderWay);
            }
        }
        self.wanted.notify_one();
        tokio::time::timeout(YIELD, self.turn.lock()).await.map_err(|_| UpkeepFault::UnderWay)
    }

    /// Does what nobody has asked for, until an operator wants something. `None` if there is no turn, or not to its end.
    pub(super) async fn unless_wanted<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let turn = {
            let mut automatic = self.automatic();
            let turn = self.turn.try_lock().ok()?;
            *automatic = true;
            turn
        };
        let done = tokio::select! {
            biased;
            () = self.wanted.notified() => None,
            done = work => Some(done),
        };
        let mut automatic = self.automatic();
        *automatic = false;
        drop(turn);
        done
    }

    fn automatic(&self) -> std::sync::MutexGuard<'_, bool> {
        self.automatic.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether jobs are under way.
    pub(super) fn is_busy(&self) -> bool {
        self.config.jobs.load().0 > 0
    }

    pub(super) fn journal(&self) -> &dyn Journal {
        self.config.jobs.journal()
    }

    pub(super) fn comparisons(&self) -> &Comparisons {
        &self.config.comparisons
    }

    /// Waits until the others have come too.
    pub(super) async fn join(&self, task: Task, spec: &UpkeepSpec) -> Result<Box<dyn Session>, UpkeepFault> {
        let (session, digest) = (spec.session.session(), spec.digest(task));
        // To what nobody has asked for a peer may well not come.
        let joined = if spec.session.is_of_nodes() {
            self.config.sessions.meet(session, digest).await
        } else {
            self.config.sessions.join(session, digest).await
        };
        joined.map_err(UpkeepFault::Together)
    }

    /// What the nodes do in one session.
    pub(super) async fn together(
        &self,
        session: Box<dyn Session>,
        task: Task,
        (spec, lost): (&UpkeepSpec, Option<Party>),
    ) -> Result<(UpkeepReport, Common), UpkeepFault> {
        let (me, id) = (self.config.me, spec.session.session());
        let net = session.network();
        let result = async {
            let mut talk = Talk::new(me, net.open(id, path()).await?);
            match lost {
                Some(lost) => self.rebuild(&mut talk, spec, lost).await,
                None => self.keep_up(&mut talk, task, spec).await,
            }
        };
        let result = result.await;
        let broken = result.as_ref().err().map(|broken| match broken {
            Broken::Link(error) => failure(me, error),
            Broken::Together(failure) => failure.clone(),
            Broken::Own(cause) => {
                // The others, and the operator, are not told of files of this node.
                error!("{task} of the store has failed: {cause}");
                Failure::new(FailureKind::Internal, format!("{me} could not go on; the cause is in its log"))
            }
        });
        session.end(broken.as_ref());
        match (result, broken) {
            (Ok(done), _) => {
                if task == Task::Compare {
                    self.comparisons().record(&done.0).await;
                }
                Ok(done)
            }
            (Err(_), failure) => Err(UpkeepFault::Together(failure.unwrap_or_else(|| {
                Failure::new(FailureKind::Internal, "it has failed without a cause; please report this")
            }))),
        }
    }

    /// Makes the shares of tables anew, or compares all shares.
    async fn keep_up(&self, talk: &mut Talk, task: Task, spec: &UpkeepSpec) -> Result<(UpkeepReport, Common), Broken> {
        let mut common = self.common(talk, None).await?;
        if task == Task::Refresh {
            let (fresh, mut findings) = refresh(talk, (self.holdings(), spec), common.shares).await?;
            if common.halves > 0 {
                let cause = format!(
                    "{} wrote them before it was of this version, with one of their two components, so that they could not be made anew; their clients fetch and delete them, or they go when limits.retention is over",
                    self.config.me
                );
                findings.push(Finding::new(format!("the outputs of {} jobs", common.halves), cause));
            }
            // Not left to the comparison that follows: there a node that deviates would not say it again.
            findings.append(&mut common.damaged);
            // What the nodes do not have in common is told by the comparison.
            common = Common { shares: fresh, findings, missing: Vec::new(), ..common };
            return self.report(&[], common, task).await;
        }
        let items = self.items(talk, &mut common).await?;
        let found = compare(talk, &self.config.store, &items).await?;
        let forgetting = async {
            let (mine, _) = Inventory::take(self.holdings(), KeysHere::default()).await?;
            items::forget_others(&self.config.store, &mine).await
        };
        talk.working(forgetting).await??;
        common.findings.extend(found);
        common.findings.append(&mut common.damaged);
        if spec.session.is_of_nodes() && !common.missing.is_empty() {
            // Owners go on meanwhile, and their steps reach one node after the other. All have heard the same, so all look again.
            talk.working(tokio::time::sleep(UNSETTLED)).await?;
            let again = self.inventories(talk).await?.0;
            common.missing = lasting(common.missing, &missing(&again, None).findings);
        }
        self.report(&items, common, task).await
    }

    /// What all three nodes have in common, or what a node called lost is to have in common with the others, when what a refresh has left is settled.
    async fn common(&self, talk: &mut Talk, lost: Option<Party>) -> Result<Common, Broken> {
        let (all, halves) = self.inventories(talk).await?;
        let There { tables, mut templates, mut keys, findings: missing, damaged } = missing(&all, lost);
        let peers = lost.map(Party::peers);
        let of: &[Party] = peers.as_ref().map_or(&Party::ALL, |peers| peers);
        let at = tables.into_iter().map(|(_, at)| at.into_iter().map(ShareAt::Table).collect());
        let at: Vec<Vec<ShareAt>> = at.chain(outputs(&all, of)).collect();
        let held: BTreeSet<String> = at.iter().filter(|at| at.len() == 3).map(|at| at[0].name()).collect();
        let (mut shares, mut findings) = settle(talk, self.holdings(), at).await?;
        if let Some(lost) = lost {
            if lost == self.config.me {
                findings.extend(talk.working(self.remove_damaged(beyond_help(&all, lost))).await??);
            }
            // What it has it keeps.
            let all = &all[lost.index()];
            shares.retain(|at| !held.contains(&at.name()));
            templates.retain(|name| !all.templates.contains(name));
            keys.retain(|id| !all.keys.contains(id));
        }
        Ok(Common { shares, templates, keys, findings, missing, damaged, halves })
    }

    async fn remove_damaged(&self, keys: Vec<KeyId>) -> Result<Vec<Finding>, Broken> {
        let mut findings = Vec::new();
        for id in keys {
            if self.config.keys.remove_damaged(&id).await.map_err(|e| Broken::Own(e.to_string()))? {
                if let Err(error) = self.journal().removed_key(&id) {
                    error!(
                        "cannot write into the audit log that the record of {id} was removed: {error}; make room on its disk"
                    );
                }
                let cause = "its record here was damaged, and no other node has this key: the record was removed";
                findings.push(Finding::new(id, cause));
            }
        }
        Ok(findings)
    }

    /// What each node has, and of how many jobs this one has one component of the outputs.
    async fn inventories(&self, talk: &mut Talk) -> Result<([Inventory; 3], usize), Broken> {
        let taking = async {
            let keys = self.config.keys.all().await.map_err(|e| Broken::Own(e.to_string()))?;
            Inventory::take(self.holdings(), keys).await
        };
        let (mine, halves) = talk.working(taking).await??;
        Ok((mine.share(talk).await?, halves))
    }

    /// What is there to be compared at all three nodes: one may have been deleted meanwhile.
    async fn items(&self, talk: &mut Talk, common: &mut Common) -> Result<Vec<Item>, Broken> {
        let items = self.holdings().items(&common.shares, &common.templates);
        let mine: Vec<String> = items.iter().map(|item| hex::encode(item.label())).collect();
        let all = talk.share(&mine).await?;
        let sets = all.map(|labels| labels.into_iter().collect::<BTreeSet<_>>());
        Ok(items.into_iter().filter(|item| sets.iter().all(|set| set.contains(&hex::encode(item.label())))).collect())
    }

    async fn report(&self, items: &[Item], mut common: Common, task: Task) -> Result<(UpkeepReport, Common), Broken> {
        let mut bytes = 0;
        for item in items {
            bytes += item.component(&self.config.store, 0).await.map_or(0, |component| component.bytes().len() as u64);
        }
        let keys = if task == Task::Rebuild { common.keys.len() as u64 } else { 0 };
        let outputs = common.shares.iter().filter(|at| at.is_passing()).count() as u64;
        let report = UpkeepReport {
            node: self.config.me.index() as u8,
            tables: common.shares.len() as u64 - outputs,
            outputs,
            templates: common.templates.len() as u64,
            keys,
            bytes,
            findings: [std::mem::take(&mut common.missing), std::mem::take(&mut common.findings)].concat(),
        };
        Ok((report, common))
    }

    /// The node that has lost its store gets its shares again, and what else it had that the two others have.
    async fn rebuild(&self, talk: &mut Talk, spec: &UpkeepSpec, lost: Party) -> Result<(UpkeepReport, Common), Broken> {
        let mut common = self.common(talk, Some(lost)).await?;
        let config = &self.config;
        let (kept, more) =
            rebuild(talk, (config, spec, lost), &common.shares, (&common.templates, &common.keys)).await?;
        common.findings.extend(more);
        common.findings.append(&mut common.damaged);
        (common.shares, common.templates, common.keys) = kept;
        let items = self.items(talk, &mut common).await?;
        self.report(&items, common, Task::Rebuild).await
    }

    /// Templates and keys have steps of their own, which the nodes take one after the other: of those that all three have.
    async fn renew(&self, spec: &UpkeepSpec, common: &Common, report: &mut UpkeepReport) {
        let mut absent = 0;
        for id in &common.keys {
            let step = UploadId::from(spec.part(&format!("key {id}")));
            let done = self.config.keys.refresh(&id.owner, id.clone(), step).await;
            let missing = matches!(&done, Err(KeyFault::Together(failure)) if failure.kind == FailureKind::Missing);
            match done {
                Ok(_) => report.keys += 1,
                Err(fault) => report.findings.push(Finding::new(id, fault.to_string())),
            }
            if is_over(&mut absent, missing, report) {
                return;
            }
        }
        let users: BTreeSet<_> = common.templates.iter().filter_map(|record| user_of_shares(record)).collect();
        report.templates = 0;
        for (owner, user) in users {
            let session = JobId::from(spec.part(&format!("user {owner}/{user}")));
            let what = format!("the templates of {owner}/{user}");
            let done = self.config.auth.refresh(&owner, user, RefreshSpec { session }).await;
            let missing = done.as_ref().err().is_some_and(|fault| fault.as_failure().kind == FailureKind::Missing);
            match done {
                Ok(templates) => report.templates += templates.len() as u64,
                Err(fault) => report.findings.push(Finding::new(what, fault.to_string())),
            }
            if is_over(&mut absent, missing, report) {
                return;
            }
        }
    }
}

/// After so long what was a step under way is not: longer than a node takes to forget what is over.
const UNSETTLED: Duration = Duration::from_secs(6);

/// Steps that a node has not come to, one after the other, before the rest is left.
const ABSENT: u32 = 3;

/// Whether a node does not take part any more: each further step would wait for it.
fn is_over(absent: &mut u32, missing: bool, report: &mut UpkeepReport) -> bool {
    *absent = if missing { *absent + 1 } else { 0 };
    if *absent < ABSENT {
        return false;
    }
    let cause =
        "they were left as they are: a node does not come to the steps with them; run the refresh again when it does";
    report.findings.push(Finding::new("the other keys and templates", cause));
    true
}

impl fmt::Debug for Upkeep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upkeep({})", self.config.me)
    }
}
