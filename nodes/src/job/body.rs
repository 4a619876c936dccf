//! The body of a submission: `application/vnd.trefoil.job`.
//!
//! | part | bytes |
//! |---|---|
//! | length of the specification | 4, little-endian |
//! | specification, JSON | as announced, at most [`MAX_SPEC_BYTES`] |
//! | public attachment | as the specification says |
//! | for each input that comes with the job: component `own` of its share | 8 for each word, little-endian |
//! | component `next` of it | as many |
//!
//! The length of the whole is known once the specification is read, and it is compared with the announced one before
//! anything else is read or allocated.

use super::{JobSpec, Limits, Sizes, TooLarge};
use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use serde::de::DeserializeOwned;
use std::time::{Duration, Instant};
use trefoil_circuits::program::InputVector;
use zeroize::Zeroizing;

/// The media type of a submission.
pub const MEDIA_TYPE: &str = "application/vnd.trefoil.job";

/// The longest specification, in bytes. One that names many columns of tables has a few thousand.
pub const MAX_SPEC_BYTES: usize = 1 << 16;

/// Why a body was not taken.
#[derive(Debug, thiserror::Error)]
pub enum BodyFault {
    /// A limit of this node.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// The specification is not one.
    #[error("the specification is not valid: {0}; write it as docs/api.md says")]
    Spec(String),
    /// The length does not fit the specification.
    #[error(
        "a body of this specification has {expected} bytes, and {got} were announced; announce and send as many as the specification asks for"
    )]
    Length {
        /// What the specification asks for.
        expected: u64,
        /// What the client announced.
        got: u64,
    },
    /// It ended early.
    #[error("the body ended {missing} bytes before its announced length; send it again, whole")]
    Truncated {
        /// Bytes that did not come.
        missing: u64,
    },
    /// It did not end where it should.
    #[error("the body is longer than its announced length; send as many bytes as Content-Length says")]
    Overlong,
    /// It came too slowly.
    #[error(
        "the body did not arrive in time: this node waits {0:?} for the next part, and limits.request_deadline for all; \
         send it again, or raise limits.client_timeout"
    )]
    Slow(Duration),
    /// The connection failed.
    #[error("the connection failed while the body was read: {0}; send it again")]
    Connection(String),
}

/// The bytes that come before the shares.
pub fn encode_head(spec: &JobSpec) -> Bytes {
    frame(&spec.canonical())
}

/// A text with its length before it.
pub(crate) fn frame(text: &[u8]) -> Bytes {
    let mut head = BytesMut::with_capacity(4 + text.len());
    head.extend_from_slice(&(text.len() as u32).to_le_bytes());
    head.extend_from_slice(text);
    head.freeze()
}

/// Reads the JSON text at the beginning of a body whose announced length is within the limits.
///
/// Cancel safe in that nothing outlives it.
pub(crate) async fn read_spec<T, S, E>(stream: S, announced: u64, limits: &Limits) -> Result<(T, Intake<S>), BodyFault>
where
    T: DeserializeOwned,
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: std::fmt::Display,
{
    let mut rest = Intake::new(stream, announced, limits);
    let mut length = [0; 4];
    rest.fill(&mut length).await?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_SPEC_BYTES {
        let cause =
            format!("it claims {length} bytes, and the longest has {MAX_SPEC_BYTES}; start the body with its length");
        return Err(BodyFault::Spec(cause));
    }
    // That of a recovery has a secret in it.
    let mut text = zeroize::Zeroizing::new(vec![0; length]);
    rest.fill(&mut text).await?;
    let spec = serde_json::from_slice(&text).map_err(|e| BodyFault::Spec(e.to_string()))?;
    Ok((spec, rest))
}

/// A specification, the sizes that follow from it, and the reader of what comes next.
#[derive(Debug)]
pub struct Head<S> {
    /// What the job computes.
    pub spec: JobSpec,
    /// Its sizes, within the limits of this node.
    pub sizes: Sizes,
    rest: Intake<S>,
}

/// What follows the specification.
#[derive(Debug)]
pub struct Payload {
    /// The public attachment.
    pub attachment: Vec<u8>,
    /// This node's shares of the inputs that come with the job.
    pub inputs: Vec<InputVector>,
}

impl<S, E> Head<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: std::fmt::Display,
{
    /// Reads the specification and checks every size, among them the announced length of the whole body.
    ///
    /// Cancel safe in that nothing outlives it.
    ///
    /// # Errors
    /// [`BodyFault`].
    pub async fn read(stream: S, announced: u64, limits: &Limits) -> Result<Self, BodyFault> {
        limits.check_body(announced)?;
        let (spec, rest): (JobSpec, _) = read_spec(stream, announced, limits).await?;
        let sizes = spec.sizes().map_err(|e| BodyFault::Spec(e.to_string()))?;
        limits.check(&sizes, announced)?;
        rest.check_left(sizes.attachment_bytes as u64 + sizes.upload_bytes())?;
        Ok(Self { spec, sizes, rest })
    }

    /// Reads what follows. Allocates what [`Sizes::held_bytes`] counts; set it aside before.
    ///
    /// Cancel safe in that nothing outlives it.
    ///
    /// # Errors
    /// [`BodyFault`].
    pub async fn payload(mut self) -> Result<Payload, BodyFault> {
        let mut attachment = vec![0; self.sizes.attachment_bytes];
        self.rest.fill(&mut attachment).await?;
        let mut inputs = Vec::with_capacity(self.sizes.uploads.len());
        for shape in &self.sizes.uploads {
            let mut own = Zeroizing::new(vec![0; shape.component_bytes()]);
            self.rest.fill(&mut own).await?;
            let mut next = Zeroizing::new(vec![0; shape.component_bytes()]);
            self.rest.fill(&mut next).await?;
            let input = InputVector::from_bytes(*shape, &own, &next);
            inputs.push(input.map_err(|e| BodyFault::Spec(e.to_string()))?);
        }
        self.rest.end().await?;
        Ok(Payload { attachment, inputs })
    }
}

/// Reads exact lengths from a stream of chunks, within time.
#[derive(Debug)]
pub(crate) struct Intake<S> {
    stream: S,
    chunk: Bytes,
    announced: u64,
    left: u64,
    patience: Duration,
    deadline: Instant,
}

impl<S, E> Intake<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: std::fmt::Display,
{
    pub(crate) fn new(stream: S, announced: u64, limits: &Limits) -> Self {
        let deadline = Instant::now() + limits.request_deadline;
        Self { stream, chunk: Bytes::new(), announced, left: announced, patience: limits.client_timeout, deadline }
    }

    /// Checks that so many bytes come next, and no more.
    pub(crate) fn check_left(&self, bytes: u64) -> Result<(), BodyFault> {
        let expected = (self.announced - self.left).saturating_add(bytes);
        if self.left == bytes { Ok(()) } else { Err(BodyFault::Length { expected, got: self.announced }) }
    }

    /// The announced bytes that have not been read.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    pub(crate) async fn fill(&mut self, mut into: &mut [u8]) -> Result<(), BodyFault> {
        while !into.is_empty() {
            if self.chunk.is_empty() {
                self.chunk = self.next().await?.ok_or(BodyFault::Truncated { missing: self.left })?;
            }
            let n = into.len().min(self.chunk.len());
            // The announced length covers all that is asked for only once it has been checked against it.
            self.left = self.left.checked_sub(n as u64).ok_or(BodyFault::Overlong)?;
            self.chunk.copy_to_slice(&mut into[..n]);
            into = &mut into[n..];
        }
        Ok(())
    }

    pub(crate) async fn end(&mut self) -> Result<(), BodyFault> {
        while self.chunk.is_empty() {
            match self.next().await? {
                Some(chunk) => self.chunk = chunk,
                None => return Ok(()),
            }
        }
        Err(BodyFault::Overlong)
    }

    async fn next(&mut self) -> Result<Option<Bytes>, BodyFault> {
        let time = self.deadline.saturating_duration_since(Instant::now()).min(self.patience);
        match tokio::time::timeout(time, self.stream.next()).await {
            Ok(None) => Ok(None),
            Ok(Some(Ok(chunk))) => Ok(Some(chunk)),
            Ok(Some(Err(e))) => Err(BodyFault::Connection(e.to_string())),
            Err(_) => Err(BodyFault::Slow(self.patience)),
        }
    }
}

#[cfg(test)]
mod tests;
