//! The policy of a node that runs.

use super::{Action, Decision, Denial, Grant, JobQuestion, Policy, Question, Rule, count};
use crate::{
    clock::now_unix_s,
    pki::ClientName,
    store::{Store, StoreError},
};
use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

/// Decides what a node does, by the policy that is in force at the moment.
pub struct Enforcer {
    policy: RwLock<Option<Arc<Policy>>>,
    counts: Option<Store>,
}

/// Why something is not done.
#[derive(Debug, thiserror::Error)]
pub enum Unpermitted {
    /// The policy does not permit it.
    #[error("{0}")]
    Denied(Denial),
    /// What was counted cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Enforcer {
    /// Of a node with this policy, or none, which counts jobs in its store.
    #[must_use]
    pub fn new(policy: Option<Policy>, counts: Store) -> Self {
        Self { policy: RwLock::new(policy.map(Arc::new)), counts: Some(counts) }
    }

    /// Without a store: rules with bounds permit nothing.
    #[cfg(test)]
    pub(crate) fn in_memory(policy: Option<Policy>) -> Self {
        Self { policy: RwLock::new(policy.map(Arc::new)), counts: None }
    }

    /// Puts another policy in force: for what is asked from now on.
    pub fn replace(&self, policy: Policy) {
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(policy));
    }

    /// The policy that is in force.
    #[must_use]
    pub fn policy(&self) -> Option<Arc<Policy>> {
        self.policy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a client may have any job at all: asked before anything of the job is read.
    ///
    /// # Errors
    /// [`Denial`], if not.
    pub fn may_submit(&self, requester: &ClientName) -> Result<(), Denial> {
        let policy = self.policy().ok_or(Denial::NoPolicy)?;
        let unknown = || Denial::Requester { requester: requester.clone() };
        if policy.knows_requester(requester) { Ok(()) } else { Err(unknown()) }
    }

    /// Whether a client may do something that is no job.
    ///
    /// # Errors
    /// [`Denial`], if not.
    pub fn permits(&self, action: Action, requester: &ClientName) -> Result<Grant, Denial> {
        let policy = self.policy().ok_or(Denial::NoPolicy)?;
        match policy.decide(&Question::Action { action, requester: requester.clone() }) {
            // There are no bounds on actions.
            Decision::Allowed(rules) => {
                let rule = rules.first().map(|rule| rule.name.clone()).unwrap_or_default();
                Ok(Grant { rule })
            }
            Decision::Denied(denial) => Err(denial),
        }
    }

    /// Whether a job may be computed now. It is not counted yet.
    ///
    /// # Errors
    /// [`Unpermitted`].
    pub async fn check(&self, job: &JobQuestion) -> Result<Grant, Unpermitted> {
        self.granted(job, Counting::Look).await
    }

    /// The same, and counts it: on the disk, before this returns. Cancel safe, in that it may have been counted.
    ///
    /// # Errors
    /// [`Unpermitted`].
    pub async fn take(&self, job: &JobQuestion) -> Result<Grant, Unpermitted> {
        self.granted(job, Counting::Take).await
    }

    async fn granted(&self, job: &JobQuestion, counting: Counting) -> Result<Grant, Unpermitted> {
        let policy = self.policy().ok_or(Unpermitted::Denied(Denial::NoPolicy))?;
        let rules: Vec<Rule> = match policy.decide(&Question::Job(job.clone())) {
            Decision::Allowed(rules) => {
                if let Some(rule) = rules.iter().find(|rule| rule.bounds.is_none()) {
                    return Ok(Grant { rule: rule.name.clone() });
                }
                rules.into_iter().cloned().collect()
            }
            Decision::Denied(denial) => return Err(Unpermitted::Denied(denial)),
        };
        let spent = rules.last().map(|rule| Denial::Spent { rule: rule.name.clone(), bounds: rule.bounds });
        let rule = match (&self.counts, counting) {
            (Some(store), Counting::Look) => count::room(store, rules, job.requester.clone(), now_unix_s()).await?,
            (Some(store), Counting::Take) => count::take(store, rules, job.requester.clone(), now_unix_s()).await?,
            (None, _) => None,
        };
        let spent = || Unpermitted::Denied(spent.unwrap_or(Denial::Nothing { nearest: None }));
        rule.map(|rule| Grant { rule }).ok_or_else(spent)
    }
}

/// Whether a job is counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Counting {
    Look,
    Take,
}

impl fmt::Debug for Enforcer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enforcer").field("serial", &self.policy().map(|policy| policy.serial)).finish_non_exhaustive()
    }
}
