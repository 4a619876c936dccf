//! A strand's link over QUIC: one stream in each direction to each peer, opened when it is first used.

use super::{
    error::SessionFault,
    session::Shared,
    wire::{FRAME_HEADER, FrameTag, StreamKind, preamble},
};
use bytes::Bytes;
use quinn::{ReadError, ReadExactError, RecvStream, SendStream, WriteError};
use std::{future::Future, sync::Arc, time::Duration};
use trefoil_engine::{
    Error, LinkFault, Party, PeerFault,
    transport::{BoxFuture, Link, Path},
};

pub(super) struct QuicLink {
    shared: Arc<Shared>,
    path: Path,
    next: End,
    prev: End,
}

/// Both directions to one peer.
struct End {
    out: Out,
    into: In,
}

struct Out {
    peer: Party,
    tag: FrameTag,
    stream: Option<SendStream>,
    seq: u32,
}

struct In {
    peer: Party,
    tag: FrameTag,
    stream: Option<RecvStream>,
    seq: u32,
}

impl QuicLink {
    pub(super) fn new(shared: Arc<Shared>, path: Path) -> Self {
        let (me, session) = (shared.me, shared.session);
        let end = |peer| End {
            out: Out { peer, tag: FrameTag::new(session, path, me, peer), stream: None, seq: 0 },
            into: In { peer, tag: FrameTag::new(session, path, peer, me), stream: None, seq: 0 },
        };
        Self { next: end(me.next()), prev: end(me.prev()), shared, path }
    }

    /// The sending side to one peer and the receiving side from another, at the same time.
    fn ends(&mut self, to: Party, from: Party) -> (&Shared, Path, &mut Out, &mut In) {
        let next = self.shared.me.next();
        let (out, into) = match (to == next, from == next) {
            (true, true) => (&mut self.next.out, &mut self.next.into),
            (true, false) => (&mut self.next.out, &mut self.prev.into),
            (false, true) => (&mut self.prev.out, &mut self.next.into),
            (false, false) => (&mut self.prev.out, &mut self.prev.into),
        };
        (&self.shared, self.path, out, into)
    }
}

impl Out {
    async fn send(&mut self, shared: &Shared, path: Path, frame: Bytes) -> Result<(), Error> {
        let lost = |e: WriteError| link(self.peer, lost(&e));
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let opened = shared.connection(self.peer).open_uni().await;
                let mut stream = opened.map_err(|e| link(self.peer, LinkFault::Lost(e.to_string())))?;
                stream.write_all(&preamble(shared.session, StreamKind::Strand(path))).await.map_err(lost)?;
                none.insert(stream)
            }
        };
        let len = u32::try_from(frame.len()).map_err(|_| Error::Shape {
            what: "a frame, in bytes",
            expected: u32::MAX as usize,
            got: frame.len(),
        })?;
        let header = Bytes::copy_from_slice(&self.tag.header(self.seq, len));
        self.seq = self.seq.checked_add(1).ok_or(Error::StreamExhausted)?;
        // Handed over, not copied.
        stream.write_all_chunks(&mut [header, frame]).await.map_err(lost)
    }
}

impl In {
    async fn recv(&mut self, shared: &Shared, path: Path, into: &mut [u8]) -> Result<(), Error> {
        let peer = self.peer;
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let arrival = shared.registry.take(peer, shared.session, StreamKind::Strand(path));
                let arrival =
                    arrival.ok_or_else(|| fault(peer, PeerFault::Malformed("this strand is open already".into())))?;
                none.insert(arrival.await.map_err(|_| link(peer, LinkFault::Lost("the session is over".into())))?)
            }
        };
        let mut header = [0; FRAME_HEADER];
        stream.read_exact(&mut header).await.map_err(|e| broken(peer, &e))?;
        self.tag.check(&header, self.seq, into.len()).map_err(|f| fault(peer, f))?;
        self.seq = self.seq.checked_add(1).ok_or(Error::StreamExhausted)?;
        stream.read_exact(into).await.map_err(|e| broken(peer, &e))
    }
}

impl Link for QuicLink {
    fn send(&mut self, to: Party, frame: Bytes) -> BoxFuture<'_, Result<(), Error>> {
        let (shared, path, out, _) = self.ends(to, to);
        Box::pin(guarded(shared, to, out.send(shared, path, frame)))
    }

    fn recv<'a>(&'a mut self, from: Party, into: &'a mut [u8]) -> BoxFuture<'a, Result<(), Error>> {
        let (shared, path, _, side) = self.ends(from, from);
        Box::pin(guarded(shared, from, side.recv(shared, path, into)))
    }

    fn exchange<'a>(
        &'a mut self,
        to: Party,
        frame: Bytes,
        from: Party,
        into: &'a mut [u8],
    ) -> BoxFuture<'a, Result<(), Error>> {
        let (shared, path, out, side) = self.ends(to, from);
        Box::pin(guarded(shared, from, async move {
            tokio::try_join!(out.send(shared, path, frame), side.recv(shared, path, into)).map(|_| ())
        }))
    }
}

/// Ends `work` when the session ends or when nothing has happened for too long, and the session when `work` fails.
///
/// The first fault of the session is the one reported: that a peer gave up its strand says nothing of why it did, so its
/// reason, which comes on the control stream, is waited for.
async fn guarded(
    shared: &Shared,
    awaited: Party,
    work: impl Future<Output = Result<(), Error>> + Send,
) -> Result<(), Error> {
    let error = tokio::select! {
        biased;
        result = work => match result {
            Ok(()) => return Ok(()),
            Err(e) => e,
        },
        fault = shared.ended() => return Err(fault.into()),
        fault = shared.stalled(awaited) => fault.into(),
    };
    if matches!(&error, Error::Link { cause: LinkFault::Ended(_), .. })
        && let Ok(fault) = tokio::time::timeout(REASON, shared.ended()).await
    {
        return Err(fault.into());
    }
    match shared.fail((&error).into()) {
        Ok(()) => Err(error),
        Err(earlier) => Err(earlier.into()),
    }
}

/// How long the reason of a peer that gave up its strand is waited for.
const REASON: Duration = Duration::from_secs(1);

fn link(peer: Party, cause: LinkFault) -> Error {
    Error::Link { peer, cause }
}

fn fault(peer: Party, fault: PeerFault) -> Error {
    Error::Peer { peer, fault }
}

fn lost(e: &WriteError) -> LinkFault {
    LinkFault::Lost(e.to_string())
}

fn broken(peer: Party, e: &ReadExactError) -> Error {
    match e {
        ReadExactError::FinishedEarly(_) => link(peer, LinkFault::Ended("the peer gave up the strand".into())),
        ReadExactError::ReadError(ReadError::Reset(_)) => {
            link(peer, LinkFault::Ended("the peer gave up the strand".into()))
        }
        ReadExactError::ReadError(e) => link(peer, LinkFault::Lost(e.to_string())),
    }
}

impl From<&Error> for SessionFault {
    /// How a strand's error reads to the other parties of the session.
    fn from(e: &Error) -> Self {
        match e {
            Error::Link { peer, cause } => Self { blamed: *peer, cause: cause.clone() },
            Error::Peer { peer, fault } => Self { blamed: *peer, cause: LinkFault::Ended(fault.to_string()) },
            other => Self { blamed: Party::P0, cause: LinkFault::Ended(other.to_string()) },
        }
    }
}
