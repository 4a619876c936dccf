//! Signing keys at one node.

use super::{ANSWER, MAX_ANSWER, NodeClient, with_body};
use crate::{
    Error,
    keys::{ExchangeId, KEY_MEDIA_TYPE, KeyName, KeyStatus, Partials, SignRequest, secret_json},
    receipt::{Nonce, Receipt},
};
use bytes::Bytes;
use reqwest::{Response, header};
use serde::Serialize;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long a step may take that the nodes take together. They wait for each other.
const STEP: Duration = Duration::from_mins(1);

impl NodeClient {
    /// Hands in one share of a key, or one part of a recovery share, for a step that the nodes take together. The parts can be sent more than once: the node takes an enrolment or a recovery once.
    pub(in crate::client) async fn put_key(&self, path: String, parts: &[Bytes]) -> Result<KeyStatus, Error> {
        let url = self.url(&format!("keys/{path}"));
        let request = || with_body(self.http.put(&url).timeout(STEP), KEY_MEDIA_TYPE, parts);
        self.json(self.answer(self.persist(request).await?).await?).await
    }

    /// The client's own keys.
    pub(in crate::client) async fn keys(&self) -> Result<Vec<KeyStatus>, Error> {
        let request = || self.http.get(self.url("keys")).timeout(ANSWER);
        self.json(self.answer(self.persist(request).await?).await?).await
    }

    /// A key, by its place below `keys`.
    pub(in crate::client) async fn key(&self, path: &str) -> Result<KeyStatus, Error> {
        let request = || self.http.get(self.url(&format!("keys/{path}"))).timeout(ANSWER);
        self.json(self.answer(self.persist(request).await?).await?).await
    }

    /// A step that the nodes take together.
    pub(in crate::client) async fn key_step(&self, path: String) -> Result<KeyStatus, Error> {
        let request = || self.http.post(self.url(&format!("keys/{path}"))).timeout(STEP);
        self.json(self.answer(self.persist(request).await?).await?).await
    }

    /// Something that this node does with a key on its own, for whom has a secret.
    pub(in crate::client) async fn post_key(&self, path: &str, what: &impl Serialize) -> Result<KeyStatus, Error> {
        self.json(self.answer(self.post_secret(path, what).await?).await?).await
    }

    /// The node's components of a share that it hands out.
    pub(in crate::client) async fn issued_key(
        &self,
        path: &str,
        what: &impl Serialize,
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.body(self.answer(self.post_secret(path, what).await?).await?, MAX_ANSWER).await
    }

    /// A request with a secret in it. The text is wiped when it is sent, or cannot be.
    async fn post_secret(&self, path: &str, what: &impl Serialize) -> Result<Response, Error> {
        let text = Bytes::from_owner(secret_json(what)?);
        let request = || {
            let request = self.http.post(self.url(&format!("keys/{path}"))).timeout(ANSWER);
            request.header(header::CONTENT_TYPE, "application/json").body(text.clone())
        };
        self.persist(request).await
    }

    async fn post(&self, path: &str, what: &impl Serialize) -> Result<Response, Error> {
        let request = || self.http.post(self.url(&format!("keys/{path}"))).timeout(ANSWER).json(what);
        self.persist(request).await
    }

    /// The node's part of a signature.
    pub(in crate::client) async fn sign(&self, path: &str, what: &SignRequest) -> Result<Partials, Error> {
        self.json(self.answer(self.post(path, what).await?).await?).await
    }

    /// Erases the node's share of a key; if an enrolment is given, only if it is of that one. Repeated with a nonce it gives the receipt again.
    pub(in crate::client) async fn delete_key(
        &self,
        name: &KeyName,
        (enrolment, nonce): (Option<ExchangeId>, Option<Nonce>),
    ) -> Result<Receipt, Error> {
        let mut url = self.url(&format!("keys/{name}"));
        let parameters = [("enrolment", enrolment), ("nonce", nonce)];
        for (k, (what, id)) in parameters.into_iter().filter_map(|(what, id)| Some((what, id?))).enumerate() {
            url = format!("{url}{}{what}={id}", if k == 0 { '?' } else { '&' });
        }
        let request = || self.http.delete(&url).timeout(ANSWER);
        self.json(self.answer(self.persist(request).await?).await?).await
    }
}
