//! Tables at one node.

use super::{ANSWER, ATTEMPTS, NodeClient, PATIENCE, PAUSE, TRANSFER, describe};
use crate::{
    Error,
    api::ProblemKind,
    tables::{TABLE_MEDIA_TYPE, TableName, TableStatus, UploadId, UploadStatus},
    tls,
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use reqwest::{Body, Response, header};
use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

/// How long an upload may take in all, however often it is resumed: a node that always takes a little more does not keep its client for ever.
const UPLOAD: Duration = Duration::from_hours(6);

impl NodeClient {
    /// Stores one share of a table. Where the connection breaks, it goes on with what the node does not have yet, as long as that becomes less.
    pub(in crate::client) async fn put_table(
        &self,
        (name, version, upload): (&TableName, u32, UploadId),
        parts: &[Bytes],
    ) -> Result<TableStatus, Error> {
        let length: usize = parts.iter().map(Bytes::len).sum();
        let (mut offset, mut best, mut fresh, mut end) = (0, 0, 0, Instant::now() + PATIENCE);
        let last = Instant::now() + UPLOAD;
        loop {
            let request = || {
                let rest = stream::iter(after(parts, offset)).map(Ok::<_, Infallible>);
                let mut url = self.table(name, version);
                if offset > 0 {
                    url = format!("{url}?upload={upload}");
                }
                let mut request = self.http.put(url).timeout(TRANSFER).header(header::CONTENT_TYPE, TABLE_MEDIA_TYPE);
                if offset > 0 {
                    let range = format!("bytes {offset}-{}/{length}", length - 1);
                    request = request.header(header::CONTENT_RANGE, range);
                }
                request.header(header::CONTENT_LENGTH, length - offset).body(Body::wrap_stream(rest))
            };
            let broken = match request().send().await {
                Ok(response) => match self.answer(response).await {
                    Ok(response) => return self.json(response).await,
                    Err(error) if is_broken(&error, offset) => error,
                    Err(error) => return Err(error),
                },
                // Nothing was sent: as any request.
                Err(e) if offset == 0 && best == 0 && (e.is_connect() || tls::explain(&e).is_some()) => {
                    return self.json(self.answer(self.persist(request).await?).await?).await;
                }
                Err(e) => Error::Unreachable { node: self.name.clone(), cause: describe(&e) },
            };
            offset = loop {
                match self.unfinished(name, version).await {
                    Ok(Some(status)) if status.upload == upload && status.length == length as u64 => {
                        break usize::try_from(status.offset).unwrap_or(0).min(length - 1);
                    }
                    // It has nothing of it, or had all and its answer was lost.
                    Ok(_) if fresh + 1 < ATTEMPTS => {
                        fresh += 1;
                        break 0;
                    }
                    // The node may not know yet that the connection is gone, or be about to start again.
                    Err(_) if Instant::now() < end => tokio::time::sleep(PAUSE).await,
                    Ok(_) | Err(_) => return Err(broken),
                }
            };
            if Instant::now() >= last {
                return Err(broken);
            } else if offset > best {
                (best, end) = (offset, Instant::now() + PATIENCE);
            } else if Instant::now() < end {
                tokio::time::sleep(PAUSE).await;
            } else {
                return Err(broken);
            }
        }
    }

    /// How far an upload has come that was broken off.
    async fn unfinished(&self, name: &TableName, version: u32) -> Result<Option<UploadStatus>, Error> {
        let request = || self.http.get(format!("{}/upload", self.table(name, version))).timeout(ANSWER);
        match self.answer(self.persist(request).await?).await {
            Ok(response) => self.json(response).await.map(Some),
            Err(Error::Refused { problem, .. }) if problem.kind() == Some(ProblemKind::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The client's own tables.
    pub(in crate::client) async fn tables(&self) -> Result<Vec<TableStatus>, Error> {
        let request = || self.http.get(self.url("tables")).timeout(ANSWER);
        self.json(self.answer(self.persist(request).await?).await?).await
    }

    /// The tables of others that the client may use.
    pub(in crate::client) async fn permitted_tables(&self) -> Result<Vec<TableStatus>, Error> {
        let request = || self.http.get(self.url("tables?permitted=true")).timeout(ANSWER);
        self.json(self.answer(self.persist(request).await?).await?).await
    }

    /// The body of a download of a table: this node's shares from a row on.
    pub(in crate::client) async fn shares(&self, name: &TableName, version: u32, from: u64) -> Result<Response, Error> {
        let request = self.http.get(format!("{}?from={from}", self.table(name, version)));
        // The body has as long as it takes: each part of it has a deadline of its own.
        match tokio::time::timeout(ANSWER, request.send()).await {
            Ok(Ok(response)) => self.answer(response).await,
            Ok(Err(e)) => Err(Error::Unreachable { node: self.name.clone(), cause: describe(&e) }),
            Err(_) => Err(self.silent()),
        }
    }

    /// The next part of a body; `None` at its end.
    pub(in crate::client) async fn part(&self, response: &mut Response) -> Result<Option<Bytes>, Error> {
        match tokio::time::timeout(PATIENCE, response.chunk()).await {
            Ok(part) => part.map_err(|e| Error::Unreachable { node: self.name.clone(), cause: describe(&e) }),
            Err(_) => Err(self.silent()),
        }
    }

    fn silent(&self) -> Error {
        let cause = "it did not answer in time; check that it runs and that no firewall is between".to_owned();
        Error::Unreachable { node: self.name.clone(), cause }
    }

    /// Forgets a table; if an upload is given, only if it is of that one.
    pub(in crate::client) async fn delete_table(
        &self,
        name: &TableName,
        version: u32,
        upload: Option<UploadId>,
    ) -> Result<(), Error> {
        let mut url = self.table(name, version);
        if let Some(upload) = upload {
            url = format!("{url}?upload={upload}");
        }
        self.gone(self.persist(|| self.http.delete(&url).timeout(ANSWER)).await?).await
    }

    fn table(&self, name: &TableName, version: u32) -> String {
        self.url(&format!("tables/{name}/{version}"))
    }
}

/// What comes after so many bytes. Nothing is copied.
fn after(parts: &[Bytes], mut bytes: usize) -> Vec<Bytes> {
    let rest = parts.iter().map(|part| {
        let skipped = bytes.min(part.len());
        bytes -= skipped;
        part.slice(skipped..)
    });
    rest.filter(|part| !part.is_empty()).collect()
}

/// Whether an upload may be gone on with that a node has not taken: its body came too slowly, or the node is not where we thought.
fn is_broken(error: &Error, offset: usize) -> bool {
    let Error::Refused { problem, .. } = error else { return false };
    match problem.kind() {
        Some(ProblemKind::Slow) => true,
        Some(ProblemKind::NotFound | ProblemKind::Conflict | ProblemKind::Uploading) => offset > 0,
        _ => false,
    }
}
