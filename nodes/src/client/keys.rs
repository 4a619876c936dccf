//! Signing keys: enrolled at the three nodes, used, refreshed and deleted.

mod recovery;
mod report;
mod restore;

pub use report::KeyReport;

use super::{
    Client,
    node::{NodeClient, all},
};
use crate::{
    Error,
    api::ProblemKind,
    keys::{ExchangeId, HashName, KeyName, KeySpec, KeyStatus, KeyUse, SignRequest, encode_secret},
    pki::ClientName,
    receipt::{Nonce, Receipt},
    tables::Expiry,
};
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::{collections::BTreeSet, fmt, time::Duration};
use tokio::time::{Instant, timeout_at};
use trefoil_auth::{
    Error as AuthError,
    rsa::{Message, NodeKey, NodePartials, PublicKey, combine},
};
use trefoil_engine::Party;

/// How long the third node is waited for when two have answered.
const GRACE: Duration = Duration::from_secs(1);

/// How often a step is tried that broke off on the way. Each attempt settles what the one before it has left.
const ATTEMPTS: u32 = 2;

/// Why a node is not asked.
const ODD: &str = "it describes another enrolment of the key than the two others, and was not asked; its operator finds out what runs there: an old store, or a node that deviates";

/// A key that signs documents for this client.
#[derive(Clone)]
pub struct SigningKey {
    client: Client,
    path: String,
    public: PublicKey,
    /// The node that describes another enrolment: it is not asked.
    odd: Option<Party>,
}

/// What is said of a new key beside its name.
#[derive(Clone, Debug, Default)]
pub struct KeyTerms {
    /// Who may have documents signed, beside the owner.
    pub signers: BTreeSet<ClientName>,
    /// From when on nothing is done with it, and the nodes erase it.
    pub expires: Option<Expiry>,
}

/// A signature that was verified, and what was wrong on the way to it.
#[derive(Debug)]
pub struct Signature {
    /// PKCS#1 v1.5, big-endian, as long as the modulus.
    pub bytes: Vec<u8>,
    /// The nodes of which one sent a wrong part; empty if all parts agree. Where three replied, it is one.
    pub wrong: Vec<Party>,
    /// The nodes that did not answer in time or refused, and why.
    pub missing: Vec<(Party, String)>,
}

impl Client {
    /// Enrols a key at the three nodes: each keeps its share when the three have found that they fit. If that fails, what may be left of it is deleted.
    ///
    /// Cancelled, it may leave the key behind; [`delete_key`](Self::delete_key) removes it.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Unreachable`] names the node and the remedy. [`Error::Integrity`] if the nodes describe it differently.
    pub async fn enrol_key(&self, name: &KeyName, terms: &KeyTerms, shares: &[NodeKey; 3]) -> Result<KeyReport, Error> {
        let KeyTerms { signers, expires } = terms.clone();
        let spec = KeySpec { enrolment: ExchangeId::random()?, signers, usage: None, expires };
        self.enrol_as(name, spec, shares).await
    }

    /// As [`enrol_key`](Self::enrol_key), of a key of the nodes alone that signs tokens and nothing else.
    ///
    /// # Errors
    /// As [`enrol_key`](Self::enrol_key).
    pub async fn enrol_token_key(&self, name: &KeyName, shares: &[NodeKey; 3]) -> Result<KeyReport, Error> {
        let (enrolment, signers) = (ExchangeId::random()?, BTreeSet::new());
        self.enrol_as(name, KeySpec { enrolment, signers, usage: Some(KeyUse::Tokens), expires: None }, shares).await
    }

    async fn enrol_as(&self, name: &KeyName, spec: KeySpec, shares: &[NodeKey; 3]) -> Result<KeyReport, Error> {
        let bodies = [
            encode_secret(&spec, shares[0].encode())?,
            encode_secret(&spec, shares[1].encode())?,
            encode_secret(&spec, shares[2].encode())?,
        ];
        let (mut attempt, mut begun) = (1, false);
        let error = loop {
            let exchange = ExchangeId::random()?;
            // Where one node has the key in use all three have their shares, and the others have to hear of it.
            let statuses = if begun {
                all(&self.nodes, |node| node.key_step(format!("{name}/settle?exchange={exchange}"))).await
            } else {
                all(&self.nodes, |node| {
                    node.put_key(format!("{name}?exchange={exchange}"), &bodies[node.party().index()])
                })
                .await
            };
            begun |= statuses.iter().any(Result::is_ok);
            match statuses {
                [Ok(a), Ok(b), Ok(c)] => return KeyReport::of_all(&[(Party::P0, a), (Party::P1, b), (Party::P2, c)]),
                failed => {
                    let (error, again) = worst(failed);
                    if !again || attempt == ATTEMPTS {
                        break error;
                    }
                }
            }
            attempt += 1;
        };
        let deleted = all(&self.nodes, |node| node.delete_key(name, (Some(spec.enrolment), None))).await;
        for (node, result) in self.nodes.iter().zip(deleted) {
            if let Err(e) = result
                && !is_missing(&e)
            {
                tracing::warn!("the key `{name}` may be left at {}: {e}; delete it when the node is back", node.name());
            }
        }
        Err(error)
    }

    /// New shares of a key of this client at all three nodes; the old ones are of no use with them.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Unreachable`] names the node and the remedy. The key signs in any case.
    pub async fn refresh_key(&self, name: &KeyName) -> Result<KeyReport, Error> {
        let refreshed =
            self.step(async |node, exchange| node.key_step(format!("{name}/refresh?exchange={exchange}")).await);
        let [a, b, c] = refreshed.await?;
        KeyReport::of_all(&[(Party::P0, a), (Party::P1, b), (Party::P2, c)])
    }

    /// A step that the three nodes take together, tried again if it broke off on the way.
    async fn step<T>(&self, ask: impl AsyncFn(&NodeClient, ExchangeId) -> Result<T, Error>) -> Result<[T; 3], Error> {
        let mut attempt = 1;
        loop {
            let exchange = ExchangeId::random()?;
            match all(&self.nodes, |node| ask(node, exchange)).await {
                [Ok(a), Ok(b), Ok(c)] => return Ok([a, b, c]),
                failed => {
                    let (error, again) = worst(failed);
                    if !again || attempt == ATTEMPTS {
                        return Err(error);
                    }
                }
            }
            attempt += 1;
        }
    }

    /// Deletes a key of this client at all three nodes. Gives the receipt of each, or why there is none, in party order. Repeated with the same nonce it gives those again whose answer was lost: draw one for each deletion.
    ///
    /// Cancel safe: nodes that have not been asked keep their shares, two of which sign.
    pub async fn delete_key(&self, name: &KeyName, nonce: Nonce) -> [Result<Receipt, Error>; 3] {
        all(&self.nodes, |node| node.delete_key(name, (None, Some(nonce)))).await
    }

    /// The keys of this client, by name. A node that does not answer is left out, if two others do. Cancel safe.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Unreachable`] if two nodes do not answer; [`Error::Integrity`] if no two describe a key alike that several have.
    pub async fn keys(&self) -> Result<Vec<KeyReport>, Error> {
        let answers = two(all(&self.nodes, NodeClient::keys).await)?;
        let names: BTreeSet<_> = answers.iter().flat_map(|(_, keys)| keys.iter().map(|key| key.name.clone())).collect();
        let of = |name: &KeyName| -> Vec<(Party, KeyStatus)> {
            let key = |(party, keys): &(Party, Vec<KeyStatus>)| {
                keys.iter().find(|key| key.name == *name).map(|key| (*party, key.clone()))
            };
            answers.iter().filter_map(key).collect()
        };
        names.iter().map(|name| KeyReport::of_most(&of(name))).collect()
    }

    /// A key of this client or of one that names it as a signer, described alike by two nodes or three: a node that describes another enrolment is named in [`KeyReport::odd`], and the two others sign. Cancel safe.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Unreachable`] if two nodes have no such key or do not answer; [`Error::Integrity`] if no two describe it alike.
    pub async fn key(&self, owner: Option<&ClientName>, name: &KeyName) -> Result<KeyReport, Error> {
        let path = path(owner, name, "");
        let answers = two(all(&self.nodes, |node| node.key(&path)).await)?;
        KeyReport::of_most(&answers)
    }

    /// A key to sign documents with.
    ///
    /// # Errors
    /// As [`key`](Self::key).
    pub async fn signing_key(&self, owner: Option<&ClientName>, name: &KeyName) -> Result<SigningKey, Error> {
        let report = self.key(owner, name).await?;
        let owner = owner.cloned();
        Ok(SigningKey {
            client: self.clone(),
            path: path(owner.as_ref(), name, "/sign"),
            public: report.public,
            odd: report.odd,
        })
    }
}

impl SigningKey {
    /// The public key.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Has a digest signed: asks all three nodes, puts their parts together and verifies the signature. Two nodes suffice.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// [`Error::Unreachable`] or [`Error::Refused`] if fewer than two nodes sign; [`Error::Auth`] if their parts make no signature: it names whom to look at.
    pub async fn sign(&self, hash: HashName, digest: &[u8]) -> Result<Signature, Error> {
        let request = SignRequest { hash, digest: hex::encode(digest), epoch: None };
        let message = Message::digest(hash.into(), digest)?;
        let mut parts = Parts::default();
        let mut asked: FuturesUnordered<_> = self.asked().map(|node| self.part(node, request.clone())).collect();
        let mut patience = None;
        loop {
            let next = match patience {
                None => asked.next().await,
                // Should the third be wanted after all, it is waited for to its end.
                Some(until) => timeout_at(until, asked.next()).await.unwrap_or(None),
            };
            if let Some((party, part)) = next {
                parts.add(party, part);
                if parts.good.len() < 2 || (patience.is_none() && !asked.is_empty()) {
                    patience = (parts.good.len() >= 2).then(|| Instant::now() + GRACE);
                    continue;
                }
            }
            if parts.good.len() < 2 {
                return Err(parts.failure());
            }
            let combined = match combine(&self.public, &message, None, &parts.good) {
                Err(AuthError::Replies { .. }) => {
                    self.of_one_epoch(&request, &mut parts).await;
                    combine(&self.public, &message, None, &parts.good)
                }
                combined => combined,
            };
            match combined {
                Ok(signed) => {
                    let mut missing = parts.failed.iter().map(|(p, e)| (*p, e.to_string())).collect::<Vec<_>>();
                    if !asked.is_empty() {
                        let late = |p: &Party| parts.good.iter().all(|part| part.party() != *p);
                        let slow = format!("it took longer than {GRACE:?} when two had answered");
                        missing.extend(self.asked().map(NodeClient::party).filter(late).map(|p| (p, slow.clone())));
                    }
                    missing.extend(self.odd.map(|p| (p, ODD.to_owned())));
                    return Ok(Signature { bytes: signed.signature, wrong: signed.wrong, missing });
                }
                Err(AuthError::Undecided { .. } | AuthError::Replies { .. }) if !asked.is_empty() => patience = None,
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// The nodes that describe the key as two at least do, or have not described it.
    fn asked(&self) -> impl Iterator<Item = &NodeClient> {
        self.client.nodes.iter().filter(|node| Some(node.party()) != self.odd)
    }

    /// One node may have gone on to new shares and the other not yet: it has them prepared.
    async fn of_one_epoch(&self, request: &SignRequest, parts: &mut Parts) {
        let newest = parts.good.iter().map(NodePartials::epoch).max();
        let behind: Vec<Party> =
            parts.good.iter().filter(|part| Some(part.epoch()) != newest).map(NodePartials::party).collect();
        for party in behind {
            let request = SignRequest { epoch: newest, ..request.clone() };
            let (party, part) = self.part(self.client.node(party), request).await;
            parts.good.retain(|part| part.party() != party);
            parts.add(party, part);
        }
    }

    async fn part(&self, node: &NodeClient, request: SignRequest) -> (Party, Result<NodePartials, Error>) {
        let part = async {
            let answer = node.sign(&self.path, &request).await?;
            let bytes = hex::decode(&answer.partials).unwrap_or_default();
            NodePartials::decode(&bytes, node.party()).map_err(|e| node.nonsense(&e.to_string()))
        };
        (node.party(), part.await)
    }
}

/// What the nodes have answered.
#[derive(Default)]
struct Parts {
    good: Vec<NodePartials>,
    failed: Vec<(Party, Error)>,
}

impl Parts {
    fn add(&mut self, party: Party, part: Result<NodePartials, Error>) {
        match part {
            Ok(part) => self.good.push(part),
            Err(e) => self.failed.push((party, e)),
        }
    }

    fn failure(self) -> Error {
        let fewer = || Error::Integrity("fewer than two nodes answered".to_owned());
        self.failed.into_iter().next().map_or_else(fewer, |(_, error)| error)
    }
}

/// A key's place below `/v1/keys`.
fn path(owner: Option<&ClientName>, name: &KeyName, then: &str) -> String {
    match owner {
        Some(owner) => format!("{name}{then}?owner={owner}"),
        None => format!("{name}{then}"),
    }
}

/// What two nodes or three have answered.
pub(super) fn two<T>(answers: [Result<T, Error>; 3]) -> Result<Vec<(Party, T)>, Error> {
    let (mut good, mut bad) = (Vec::new(), None);
    for (party, answer) in Party::ALL.into_iter().zip(answers) {
        match answer {
            Ok(answer) => good.push((party, answer)),
            Err(e) => bad = bad.or(Some(e)),
        }
    }
    match bad {
        Some(error) if good.len() < 2 => Err(error),
        _ => Ok(good),
    }
}

/// The error that says most, and whether trying again may help.
fn worst<T>(answers: [Result<T, Error>; 3]) -> (Error, bool) {
    let mut errors: Vec<Error> = answers.into_iter().filter_map(Result::err).collect();
    // That another node has not come says less than what that node says itself.
    let weight = |e: &Error| match e {
        Error::Refused { problem, .. } if problem.kind() == Some(ProblemKind::Together) => 0,
        Error::Unreachable { .. } => 1,
        _ => 2,
    };
    errors.sort_by_key(weight);
    let again = errors.iter().all(|e| {
        matches!(e, Error::Refused { problem, .. } if matches!(problem.kind(), Some(ProblemKind::Together | ProblemKind::Busy)))
    });
    (errors.pop().unwrap_or_else(|| Error::Bug("a step failed at no node".to_owned())), again)
}

fn is_missing(error: &Error) -> bool {
    matches!(error, Error::Refused { problem, .. } if problem.kind() == Some(ProblemKind::NotFound))
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("path", &self.path).field("public", &self.public).finish_non_exhaustive()
    }
}
