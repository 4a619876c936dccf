//! A key for nodes that have lost theirs: an enrolment that can be found again.

use super::is_missing;
use crate::{
    Error,
    client::{
        Client,
        node::{NodeClient, all},
    },
    keys::{ExchangeId, KeyName, KeySpec, KeyStatus},
};
use std::collections::BTreeSet;
use trefoil_auth::rsa::NodeKey;

/// Where an enrolment of a key is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum At {
    /// All three nodes have its shares in use.
    All,
    /// No node has anything of it.
    None,
    /// Anything else.
    Some,
}

impl Client {
    /// As [`enrol_key`](Self::enrol_key) without signers, of an enrolment that the caller has named, so as to find it again by [`settle_enrolment`](Self::settle_enrolment).
    ///
    /// # Errors
    /// As [`enrol_key`](Self::enrol_key).
    pub async fn restore_key(&self, name: &KeyName, enrolment: ExchangeId, shares: &[NodeKey; 3]) -> Result<(), Error> {
        let spec = KeySpec { enrolment, signers: BTreeSet::new(), usage: None, expires: None };
        self.enrol_as(name, spec, shares).await.map(drop)
    }

    /// Whether all three nodes have the shares of an enrolment in use. Changes nothing. Cancel safe.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Unreachable`] if a node does not answer.
    pub async fn is_enrolled(&self, name: &KeyName, enrolment: ExchangeId) -> Result<bool, Error> {
        Ok(self.enrolled_at(name, enrolment).await? == At::All)
    }

    /// Brings an enrolment that broke off to its end. Whether all three nodes have its shares in use; else no node has anything of it any more.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Unreachable`] if that cannot be found out now: a node does not answer, or does not delete what it has.
    pub async fn settle_enrolment(&self, name: &KeyName, enrolment: ExchangeId) -> Result<bool, Error> {
        let mut at = self.enrolled_at(name, enrolment).await?;
        if at == At::Some {
            let settled =
                self.step(async |node, exchange| node.key_step(format!("{name}/settle?exchange={exchange}")).await);
            if let Err(e) = settled.await {
                tracing::debug!("the enrolment of {name} is not settled: {e}");
            }
            at = self.enrolled_at(name, enrolment).await?;
        }
        if at == At::Some {
            // Of that enrolment alone: another key of the name stays.
            for deleted in all(&self.nodes, |node| node.delete_key(name, (Some(enrolment), None))).await {
                if let Err(e) = deleted
                    && !is_missing(&e)
                {
                    return Err(e);
                }
            }
        }
        Ok(at == At::All)
    }

    async fn enrolled_at(&self, name: &KeyName, enrolment: ExchangeId) -> Result<At, Error> {
        let path = name.to_string();
        let mut found = Vec::new();
        for answer in all(&self.nodes, |node: &NodeClient| node.key(&path)).await {
            match answer {
                Ok(status) => found.push(Some(status).filter(|status: &KeyStatus| status.enrolment == enrolment)),
                Err(e) if is_missing(&e) => found.push(None),
                Err(e) => return Err(e),
            }
        }
        let in_use = |status: &Option<KeyStatus>| status.as_ref().is_some_and(|status| status.epoch > 0);
        Ok(if found.iter().all(in_use) {
            At::All
        } else if found.iter().all(Option::is_none) {
            At::None
        } else {
            At::Some
        })
    }
}
