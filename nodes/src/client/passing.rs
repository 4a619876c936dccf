//! Requests of somebody else, passed on to a node as they are.

use super::{Client, node::NodeClient};
use crate::Error;
use bytes::Bytes;
use reqwest::{Method, StatusCode, header::HeaderValue};
use trefoil_engine::Party;

/// Headers of a request, by name.
pub(crate) type Headers = Vec<(&'static str, HeaderValue)>;

/// What a node answered, whatever it was.
pub(crate) struct Passed {
    pub(crate) status: StatusCode,
    pub(crate) content_type: Option<HeaderValue>,
    pub(crate) body: Vec<u8>,
}

impl Client {
    /// Passes a request on to one node: a path without the slash before it, headers and a body.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// [`Error::Unreachable`].
    pub(crate) async fn pass_on(
        &self,
        party: Party,
        (method, path): (Method, &str),
        headers: Headers,
        body: Bytes,
    ) -> Result<Passed, Error> {
        self.node(party).pass_on((method, path), &headers, &body).await
    }
}

impl NodeClient {
    async fn pass_on(&self, (method, path): (Method, &str), headers: &Headers, body: &Bytes) -> Result<Passed, Error> {
        let response = self.pass(&method, path, headers, body).await?;
        let (status, content_type) = (response.status(), response.headers().get("content-type").cloned());
        Ok(Passed { status, content_type, body: self.answer_of(response).await?.to_vec() })
    }
}
