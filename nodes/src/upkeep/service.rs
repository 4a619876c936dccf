//! A node's part in the upkeep of the stores.

use super::{
    Finding, Task, UpkeepReport, UpkeepSpec,
    compare::compare,
    inventory::{Inventory, TableAt, names, tables},
    items::{self, Item},
    rebuild::rebuild,
    refresh::{refresh, settle},
    talk::{Broken, Talk, path},
};
use crate::{
    auth::{Auth, RefreshSpec},
    job::{Failure, FailureKind, JobId, Sessions, failure},
    keys::{KeyId, Keys},
    pki::ClientName,
    store::Store,
    tables::{TableStore, UploadId},
};
use std::{collections::BTreeSet, fmt, sync::Arc};
use tracing::{error, info, warn};
use trefoil_engine::Party;

/// What a node's stores are kept up with.
pub struct UpkeepConfig {
    /// The node.
    pub me: Party,
    /// Where records are.
    pub store: Store,
    /// The tables.
    pub tables: Arc<TableStore>,
    /// The signing keys.
    pub keys: Arc<Keys>,
    /// The templates.
    pub auth: Arc<Auth>,
    /// How the node meets the others.
    pub sessions: Arc<dyn Sessions>,
    /// The clients that may ask for it.
    pub operators: Vec<ClientName>,
}

/// The upkeep of a node's stores.
pub struct Upkeep {
    config: UpkeepConfig,
    /// One at a time: what is prepared and not in use is left by one that has ended.
    turn: tokio::sync::Mutex<()>,
}

/// Why there was no upkeep.
#[derive(Debug, thiserror::Error)]
pub enum UpkeepFault {
    /// The client is no operator of this node.
    #[error("`{0}` is no operator of this node; its operators are in `operators` of node.toml")]
    Operator(ClientName),
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
struct Common {
    tables: Vec<TableAt>,
    templates: Vec<String>,
    keys: Vec<KeyId>,
    findings: Vec<Finding>,
}

impl Upkeep {
    /// With these stores.
    pub fn new(config: UpkeepConfig) -> Arc<Self> {
        Arc::new(Self { config, turn: tokio::sync::Mutex::default() })
    }

    /// Takes this node's part, when the others take theirs. Goes on if it is dropped.
    ///
    /// # Errors
    /// [`UpkeepFault`]. What was done until then stays done, and can be done again.
    pub async fn run(
        self: &Arc<Self>,
        caller: &ClientName,
        (task, spec): (Task, UpkeepSpec),
    ) -> Result<UpkeepReport, UpkeepFault> {
        if !self.config.operators.contains(caller) {
            return Err(UpkeepFault::Operator(caller.clone()));
        }
        let lost = spec.lost(task).map_err(UpkeepFault::Invalid)?;
        let this = self.clone();
        let run = tokio::spawn(async move {
            let _turn = this.turn.try_lock().map_err(|_| UpkeepFault::UnderWay)?;
            info!("{task} of the store begins, in session {}", spec.session);
            let mut report = this.together(task, &spec, lost).await?;
            if task == Task::Refresh {
                this.renew(&spec, &mut report).await;
                // New shares are remembered as those before them were.
                let after = UpkeepSpec { session: JobId::from(spec.part("compare")), ..spec };
                let compared = this.together(Task::Compare, &after, None).await?;
                report.bytes = compared.bytes;
                report.findings.extend(compared.findings);
            }
            info!(
                "{task} of the store is done: {} tables, {} templates, {} keys, {} findings",
                report.tables,
                report.templates,
                report.keys,
                report.findings.len()
            );
            report.findings.iter().for_each(|finding| warn!("{}: {}", finding.what, finding.cause));
            Ok(report)
        });
        run.await.unwrap_or_else(|ended| {
            let cause = format!("{ended}; please report this");
            Err(UpkeepFault::Together(Failure::new(FailureKind::Internal, cause)))
        })
    }

    /// What the nodes do in one session.
    async fn together(&self, task: Task, spec: &UpkeepSpec, lost: Option<Party>) -> Result<UpkeepReport, UpkeepFault> {
        let (me, id) = (self.config.me, spec.session.session());
        let session = self.config.sessions.join(id, spec.digest(task)).await.map_err(UpkeepFault::Together)?;
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
            (Ok(report), _) => Ok(report),
            (Err(_), failure) => Err(UpkeepFault::Together(failure.unwrap_or_else(|| {
                Failure::new(FailureKind::Internal, "it has failed without a cause; please report this")
            }))),
        }
    }

    /// Makes the shares of tables anew, or compares all shares.
    async fn keep_up(&self, talk: &mut Talk, task: Task, spec: &UpkeepSpec) -> Result<UpkeepReport, Broken> {
        let mut common = self.common(talk, &Party::ALL).await?;
        if task == Task::Refresh {
            let (fresh, findings) = refresh(talk, (&self.config.tables, spec), common.tables).await?;
            // What the nodes do not have in common is told by the comparison that follows.
            common = Common { tables: fresh, findings, ..common };
            return self.report(&[], common, task).await;
        }
        let items = self.items(talk, &mut common).await?;
        let found = compare(talk, &self.config.store, &items).await?;
        let mine = Inventory::take(&self.config.store, &self.config.tables, Vec::new()).await?;
        items::forget_others(&self.config.store, &mine).await?;
        common.findings.extend(found);
        self.report(&items, common, task).await
    }

    /// What these nodes have in common, when what a refresh has left is settled.
    async fn common(&self, talk: &mut Talk, of: &[Party]) -> Result<Common, Broken> {
        let keys = self.config.keys.all().await.map_err(|e| Broken::Own(e.to_string()))?;
        let mine = Inventory::take(&self.config.store, &self.config.tables, keys).await?;
        let all = mine.share(talk).await?;
        let (at, mut findings) = tables(&all, of);
        let (tables, more) = settle(talk, &self.config.tables, at).await?;
        findings.extend(more);
        let (templates, more) =
            names(all.each_ref().map(|x| &x.templates[..]), of, |name| items::about_template(name).0);
        findings.extend(more);
        let (keys, more) = names(all.each_ref().map(|x| &x.keys[..]), of, ToString::to_string);
        findings.extend(more);
        Ok(Common { tables, templates, keys, findings })
    }

    /// What is there to be compared at all three nodes: one may have been deleted meanwhile.
    async fn items(&self, talk: &mut Talk, common: &mut Common) -> Result<Vec<Item>, Broken> {
        let items = items::of(&self.config.tables, &common.tables, &common.templates);
        let mine: Vec<String> = items.iter().map(|item| hex::encode(item.label())).collect();
        let all = talk.share(&mine).await?;
        let sets = all.map(|labels| labels.into_iter().collect::<BTreeSet<_>>());
        Ok(items.into_iter().filter(|item| sets.iter().all(|set| set.contains(&hex::encode(item.label())))).collect())
    }

    async fn report(&self, items: &[Item], common: Common, task: Task) -> Result<UpkeepReport, Broken> {
        let mut bytes = 0;
        for item in items {
            bytes += item.component(&self.config.store, 0).await.map_or(0, |component| component.bytes().len() as u64);
        }
        let keys = if task == Task::Rebuild { common.keys.len() as u64 } else { 0 };
        Ok(UpkeepReport {
            node: self.config.me.index() as u8,
            tables: common.tables.len() as u64,
            templates: common.templates.len() as u64,
            keys,
            bytes,
            findings: common.findings,
        })
    }

    /// The node that has lost its store gets its shares again, and what else it had that the two others have.
    async fn rebuild(&self, talk: &mut Talk, spec: &UpkeepSpec, lost: Party) -> Result<UpkeepReport, Broken> {
        let mut common = self.common(talk, &lost.peers()).await?;
        let config = &self.config;
        let (kept, more) =
            rebuild(talk, (config, spec, lost), &common.tables, (&common.templates, &common.keys)).await?;
        common.findings.extend(more);
        (common.tables, common.templates, common.keys) = kept;
        let items = self.items(talk, &mut common).await?;
        self.report(&items, common, Task::Rebuild).await
    }

    /// Templates and keys have steps of their own, which the nodes take one after the other.
    async fn renew(&self, spec: &UpkeepSpec, report: &mut UpkeepReport) {
        let keys = match self.config.keys.all().await {
            Ok(keys) => keys,
            Err(fault) => return report.findings.push(Finding::new("the keys", fault.to_string())),
        };
        for id in keys {
            let step = UploadId::from(spec.part(&format!("key {id}")));
            match self.config.keys.refresh(&id.owner.clone(), id.clone(), step).await {
                Ok(_) => report.keys += 1,
                Err(fault) => report.findings.push(Finding::new(&id, fault.to_string())),
            }
        }
        let users = match self.config.auth.everybody().await {
            Ok(users) => users,
            Err(fault) => return report.findings.push(Finding::new("the templates", fault.to_string())),
        };
        report.templates = 0;
        for (owner, user) in users {
            let session = JobId::from(spec.part(&format!("user {owner}/{user}")));
            let what = format!("the templates of {owner}/{user}");
            match self.config.auth.refresh(&owner, user, RefreshSpec { session }).await {
                Ok(templates) => report.templates += templates.len() as u64,
                Err(fault) => report.findings.push(Finding::new(what, fault.to_string())),
            }
        }
    }
}

impl fmt::Debug for Upkeep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upkeep({})", self.config.me)
    }
}
