//! `GET /v1/tables/{name}/{version}`: tables on their way back to their owners.

use super::{Api, Caller, Problem, ProblemKind, audited::Stored, server::Connection, tables::key};
use crate::{
    job::Sha256Hex,
    keys::Rate,
    pki::ClientName,
    places::{Crowded, Place, Places},
    tables::{Outgoing, OutgoingFault, SHARES_MEDIA_TYPE, Start},
};
use arrow_buffer::Buffer;
use axum::{
    Extension,
    body::Body,
    extract::{Path, Query, Request, State, rejection::QueryRejection},
    http::header,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::Stream;
use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::sync::watch;
use tracing::info;
use zeroize::Zeroizing;

/// Bytes that are handed to the connection at a time: a client has to take so many in `limits.client_timeout`.
const CHUNK: usize = 64 << 10;

/// Downloads under way, a quarter of them of one client: each holds a batch in memory.
const UNDER_WAY: usize = 16;

/// Downloads that one client begins in a second: each has an entry in the audit log.
const PER_SECOND: u32 = 8;

/// Bounds what clients download at the same time, and how often.
#[derive(Debug)]
pub struct Downloads {
    places: Places<ClientName>,
    rate: Rate<ClientName>,
}

impl Downloads {
    fn begin(&self, client: &ClientName) -> Result<Place, Problem> {
        let place = self.places.try_take(client).map_err(|crowded| match crowded {
            Crowded::Own(most) => ProblemKind::Share.because(format!(
                "{most} downloads of you are under way at this node, as many as one client may have; read one to its end, or close its connection"
            )),
            Crowded::All(most) => ProblemKind::Busy
                .because(format!("{most} downloads are under way at this node, as many as it takes; come back in a moment")),
        })?;
        self.rate.take(client, Instant::now()).map_err(|wait| {
            ProblemKind::Rate.because(format!(
                "this node begins {} downloads of a client in a second; wait {} ms",
                self.rate.per_second(),
                wait.as_millis().max(1)
            ))
        })?;
        Ok(place)
    }
}

impl Default for Downloads {
    fn default() -> Self {
        Self { places: Places::new(UNDER_WAY), rate: Rate::new(PER_SECOND) }
    }
}

/// This node's shares of a table of the caller, as a stream of record batches from a row on.
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<(String, String)>,
    query: Result<Query<Start>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let key = key(&caller, path)?;
    let Query(start) = query.map_err(|e| {
        let remedy = "the parameters are from, the first row, and mark, 64 lower-case hexadecimal digits";
        ProblemKind::BadRequest.because(format!("{e}; {remedy}"))
    })?;
    let outgoing = Outgoing::open(&api.tables, &key, api.seal.party(), start)?;
    let place = api.downloads.begin(&key.owner)?;
    let (path, sha256) = (format!("/v1/tables/{}/{}", key.name, key.version), Sha256Hex(*outgoing.digest()));
    let (taken, watched) = watch::channel(());
    let connection = request.extensions().get::<Connection>().cloned().unwrap_or_default();
    let patience = api.jobs.limits().client_timeout;
    tokio::spawn(cut_off(watched, (connection.clone(), patience), format!("{key} by {}", caller.role)));
    let body = Download { outgoing, batch: VecDeque::new(), taken, _connection: connection, _place: place };
    let headers = [(header::CONTENT_TYPE, SHARES_MEDIA_TYPE), (header::CACHE_CONTROL, "no-store")];
    let mut response = (headers, Body::from_stream(body)).into_response();
    response.extensions_mut().insert(Stored { path, sha256 });
    Ok(response)
}

/// A download is written down, and nothing would be sent.
pub(super) async fn head() -> Problem {
    ProblemKind::Method.because("this resource has no HEAD; GET /v1/tables says what there is of a table")
}

/// The body of a download. Nothing is read of the table before the client has taken what came before.
struct Download {
    outgoing: Outgoing,
    /// What is left of a batch.
    batch: VecDeque<Buffer>,
    /// Tells that something is taken.
    taken: watch::Sender<()>,
    _connection: Connection,
    _place: Place,
}

impl Stream for Download {
    type Item = Result<Bytes, OutgoingFault>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.taken.send_replace(());
        while self.batch.is_empty() {
            match self.outgoing.next() {
                Some(Ok(buffers)) => self.batch.extend(buffers.into_iter().filter(|buffer| !buffer.is_empty())),
                Some(Err(fault)) => {
                    info!("a download ends early: {fault}");
                    return Poll::Ready(Some(Err(fault)));
                }
                None => return Poll::Ready(None),
            }
        }
        Poll::Ready(Some(Ok(chunk(&mut self.batch))))
    }
}

/// The next bytes of some buffers, wiped when they are sent.
fn chunk(buffers: &mut VecDeque<Buffer>) -> Bytes {
    let mut chunk = Zeroizing::new(Vec::with_capacity(CHUNK));
    while let Some(buffer) = buffers.front_mut() {
        let part = buffer.len().min(CHUNK - chunk.len());
        chunk.extend_from_slice(&buffer[..part]);
        buffer.advance(part);
        if !buffer.is_empty() {
            break;
        }
        buffers.pop_front();
    }
    Bytes::from_owner(chunk)
}

/// Ends the connection of a client that has taken nothing for too long: else it would hold a batch for as long as it likes.
async fn cut_off(mut taken: watch::Receiver<()>, (connection, patience): (Connection, Duration), what: String) {
    loop {
        match tokio::time::timeout(patience, taken.changed()).await {
            Ok(Ok(())) => {}
            // The body is gone.
            Ok(Err(_)) => return,
            Err(_) => {
                info!(
                    "a download of {what} is cut off: nothing was taken of it within {patience:?}, limits.client_timeout"
                );
                return connection.cut();
            }
        }
    }
}

impl From<OutgoingFault> for Problem {
    fn from(fault: OutgoingFault) -> Self {
        let kind = match fault {
            OutgoingFault::Missing(_) => ProblemKind::NotFound,
            OutgoingFault::Computed(_) | OutgoingFault::Expired(..) => ProblemKind::Denied,
            OutgoingFault::Row { .. } => ProblemKind::BadRequest,
            OutgoingFault::Renewed(_) => ProblemKind::Conflict,
            OutgoingFault::Encode(_) => ProblemKind::Internal,
        };
        kind.because(fault.to_string())
    }
}
