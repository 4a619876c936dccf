//! Who somebody is, from the owner's side.

use super::{LOGIN_MS, Probe, bodies, check, worst};
use crate::{
    Error,
    auth::{AUTH_MEDIA_TYPE, Found, SearchSpec, Unsettled, UserName},
    client::{Client, node::together, plain::PlainVector},
    clock::now_unix_ms,
    job::JobId,
};
use reqwest::Method;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use trefoil_circuits::matching::Answer;
use zeroize::Zeroizing;

impl Client {
    /// Which of this client's users a probe is of: the first by name of those who match, or nobody. The nodes do not learn it. Where they do not have the same templates of some users, `unsettled` says whether the others are searched.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Unreachable`] names the node and the remedy; [`Error::Usage`] if the probe is not of its kind; [`Error::Integrity`] if the nodes
    /// contradict each other: nothing is known then.
    pub async fn identify(&self, probe: Probe<'_>, unsettled: Unsettled) -> Result<Identified, Error> {
        check(probe.kind, probe.plain)?;
        let spec = SearchSpec { expires_ms: now_unix_ms().saturating_add(LOGIN_MS), probe: probe.kind, unsettled };
        let (path, bodies) = (format!("auth/searches/{}", JobId::random()?), bodies(&spec, Some(probe.plain))?);
        let answers = together(&self.nodes, async |node| {
            let body = &bodies[node.party().index()];
            node.call::<Found>(Method::PUT, &path, Some((AUTH_MEDIA_TYPE, body))).await
        });
        let found = match answers.await {
            [Ok(a), Ok(b), Ok(c)] => [a, b, c],
            answers => return Err(worst(answers.into_iter().filter_map(Result::err).collect())),
        };
        who(found)
    }
}

/// Whom a search has found.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Identified {
    /// The first by name of those who match, if anybody does.
    pub user: Option<UserName>,
    /// Users who were not searched, or not by all of their templates: the nodes do not have the same of them.
    pub left_out: Vec<UserName>,
}

/// Puts the answer together.
pub(super) fn who(found: [Found; 3]) -> Result<Identified, Error> {
    let (users, left_out) = (found[0].users.clone(), found[0].left_out.clone());
    let contradiction = || {
        Error::Integrity("the nodes contradict each other about who was found; one of them deviates from the protocol, find out what runs there".to_owned())
    };
    if found.iter().any(|found| found.users != users || found.left_out != left_out) {
        return Err(contradiction());
    }
    let fetched = found
        .map(|found| (Zeroizing::new(found.own.0), <[u8; 32]>::from(Sha256::digest(Zeroizing::new(found.next.0)))));
    let answer = PlainVector::of(Answer::First.shape(users.len()), &fetched).map_err(|_| contradiction())?;
    let user = match Answer::First.found(users.len(), answer.bits()?) {
        Some(place) => Some(users.into_iter().nth(place).ok_or_else(contradiction)?),
        None => None,
    };
    Ok(Identified { user, left_out })
}
