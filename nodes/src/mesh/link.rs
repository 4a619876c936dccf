//! A strand's link over QUIC: one stream in each direction to each peer, opened when it is first used.

use super::{
    blame::broken_off,
    error::SessionFault,
    registry::Unavailable,
    shared::{Awaited, Shared},
    wire::{FRAME_HEADER, FrameTag, RunId, StreamName, preamble},
};
use bytes::Bytes;
use quinn::{ReadError, ReadExactError, RecvStream, SendStream, WriteError};
use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};
use trefoil_engine::{
    Error, LinkFault, Party, PeerFault,
    transport::{BoxFuture, Link, Path},
};

pub(super) struct QuicLink {
    shared: Arc<Shared>,
    strand: Strand,
    next: End,
    prev: End,
}

/// Which strand of which run.
#[derive(Clone, Copy)]
struct Strand {
    run: RunId,
    path: Path,
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
    pub(super) fn new(shared: Arc<Shared>, run: RunId, path: Path) -> Self {
        let me = shared.me;
        let end = |peer| End {
            out: Out { peer, tag: FrameTag::new(run, path, me, peer), stream: None, seq: 0 },
            into: In { peer, tag: FrameTag::new(run, path, peer, me), stream: None, seq: 0 },
        };
        Self { next: end(me.next()), prev: end(me.prev()), shared, strand: Strand { run, path } }
    }

    /// The sending side to one peer and the receiving side from another, at the same time.
    fn ends(&mut self, to: Party, from: Party) -> (&Shared, Strand, &mut Out, &mut In) {
        let next = self.shared.me.next();
        let (out, into) = match (to == next, from == next) {
            (true, true) => (&mut self.next.out, &mut self.next.into),
            (true, false) => (&mut self.next.out, &mut self.prev.into),
            (false, true) => (&mut self.prev.out, &mut self.next.into),
            (false, false) => (&mut self.prev.out, &mut self.prev.into),
        };
        (&self.shared, self.strand, out, into)
    }
}

/// How many bytes of a frame have come.
#[derive(Default)]
struct Got(AtomicUsize);

impl Got {
    fn bytes(&self) -> usize {
        self.0.load(Relaxed)
    }

    fn all(&self) -> bool {
        self.bytes() == usize::MAX
    }
}

impl Out {
    async fn send(&mut self, shared: &Shared, strand: Strand, frame: Bytes) -> Result<(), Error> {
        let lost = |e: WriteError| link(self.peer, lost(&e));
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let opened = shared.connection(self.peer).open_uni().await;
                let mut stream = opened.map_err(|e| link(self.peer, broken_off(&e)))?;
                stream.write_all(&preamble(StreamName::Strand(strand.run, strand.path))).await.map_err(lost)?;
                shared.meter.opened();
                shared.totals.peer(self.peer).opened();
                none.insert(stream)
            }
        };
        let bytes = frame.len();
        let len = u32::try_from(bytes).map_err(|_| Error::Shape {
            what: "a frame, in bytes",
            expected: u32::MAX as usize,
            got: bytes,
        })?;
        let header = Bytes::copy_from_slice(&self.tag.header(self.seq, len));
        self.seq = self.seq.checked_add(1).ok_or(Error::StreamExhausted)?;
        // Handed over, not copied.
        stream.write_all_chunks(&mut [header, frame]).await.map_err(lost)?;
        shared.meter.sent(bytes);
        shared.totals.peer(self.peer).sent(bytes);
        Ok(())
    }
}

impl In {
    async fn recv(&mut self, (shared, strand): (&Shared, Strand), into: &mut [u8], got: &Got) -> Result<(), Error> {
        let peer = self.peer;
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let over = || link(peer, LinkFault::Ended("the session is over".into()));
                let arrival = shared.registry.strand(strand.run, peer, strand.path).map_err(|e| match e {
                    Unavailable::Over => over(),
                    // Two links of one path on this node: a bug of the caller, as with any poisoned strand.
                    Unavailable::Taken => Error::Poisoned,
                })?;
                none.insert(arrival.await.map_err(|_| over())?)
            }
        };
        let mut header = [0; FRAME_HEADER];
        stream.read_exact(&mut header).await.map_err(|e| broken(peer, &e))?;
        self.tag.check(&header, self.seq, into.len()).map_err(|f| fault(peer, f))?;
        self.seq = self.seq.checked_add(1).ok_or(Error::StreamExhausted)?;
        let mut filled = 0;
        while filled < into.len() {
            let read = stream.read(&mut into[filled..]).await.map_err(ReadExactError::ReadError);
            let read = read.and_then(|n| n.ok_or(ReadExactError::FinishedEarly(filled)));
            filled += read.map_err(|e| broken(peer, &e))?;
            got.0.store(filled, Relaxed);
        }
        shared.meter.received(filled);
        shared.totals.peer(peer).received(filled);
        // Past the length, even of an empty frame.
        got.0.store(usize::MAX, Relaxed);
        Ok(())
    }
}

impl Link for QuicLink {
    fn send(&mut self, to: Party, frame: Bytes) -> BoxFuture<'_, Result<(), Error>> {
        let (shared, strand, out, _) = self.ends(to, to);
        let awaited = Awaited { peer: to, frame: out.seq, bytes: frame.len(), received: 0 };
        Box::pin(guarded(shared, strand, move || awaited, out.send(shared, strand, frame)))
    }

    fn recv<'a>(&'a mut self, from: Party, into: &'a mut [u8]) -> BoxFuture<'a, Result<(), Error>> {
        let (shared, strand, _, side) = self.ends(from, from);
        Box::pin(async move {
            let (got, frame, bytes) = (Got::default(), side.seq, into.len());
            let awaited = || Awaited { peer: from, frame, bytes, received: got.bytes() };
            guarded(shared, strand, awaited, side.recv((shared, strand), into, &got)).await
        })
    }

    fn exchange<'a>(
        &'a mut self,
        to: Party,
        frame: Bytes,
        from: Party,
        into: &'a mut [u8],
    ) -> BoxFuture<'a, Result<(), Error>> {
        let (shared, strand, out, side) = self.ends(to, from);
        Box::pin(async move {
            let got = Got::default();
            let due = Awaited { peer: from, frame: side.seq, bytes: into.len(), received: 0 };
            let sent = Awaited { peer: to, frame: out.seq, bytes: frame.len(), received: 0 };
            let receive = side.recv((shared, strand), into, &got);
            let both = async { tokio::try_join!(out.send(shared, strand, frame), receive).map(|_| ()) };
            // Once its frame is here, a peer that takes nothing is the one waited for.
            let awaited = || if got.all() { sent } else { Awaited { received: got.bytes(), ..due } };
            guarded(shared, strand, awaited, both).await
        })
    }

    /// Only after the runtime has looked at its sockets, which it would put off while tasks are ready.
    fn pause(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(tokio::task::yield_now())
    }
}

/// Ends `work` when the session ends or when nothing has happened for too long, and the session when `work` fails.
///
/// The first fault of the session is the one reported, after it was traced to its cause.
async fn guarded(
    shared: &Shared,
    strand: Strand,
    awaited: impl Fn() -> Awaited + Send,
    work: impl Future<Output = Result<(), Error>> + Send,
) -> Result<(), Error> {
    let error = tokio::select! {
        biased;
        result = work => match result {
            Ok(()) => return Ok(()),
            Err(e) => e,
        },
        fault = shared.ended() => return Err(fault.into()),
        fault = shared.stalled(strand.path, awaited) => return Err(shared.fail(fault.clone()).err().unwrap_or(fault).into()),
    };
    let seen = SessionFault::of(&error, shared.me);
    if matches!(&error, Error::Link { .. }) {
        let fault = shared.traced(seen).await;
        return Err(shared.fail(fault.clone()).err().unwrap_or(fault).into());
    }
    match shared.fail(seen) {
        Ok(()) => Err(error),
        Err(earlier) => Err(earlier.into()),
    }
}

/// What is said of a peer that ended its side of a strand, should its reason not come.
const GAVE_UP: &str = "the peer gave up the strand";

fn link(peer: Party, cause: LinkFault) -> Error {
    Error::Link { peer, cause }
}

fn fault(peer: Party, fault: PeerFault) -> Error {
    Error::Peer { peer, fault }
}

fn lost(e: &WriteError) -> LinkFault {
    match e {
        WriteError::Stopped(_) => LinkFault::Ended(GAVE_UP.into()),
        WriteError::ConnectionLost(reason) => broken_off(reason),
        e => LinkFault::Lost(e.to_string()),
    }
}

fn broken(peer: Party, e: &ReadExactError) -> Error {
    match e {
        ReadExactError::FinishedEarly(_) | ReadExactError::ReadError(ReadError::Reset(_)) => {
            link(peer, LinkFault::Ended(GAVE_UP.into()))
        }
        ReadExactError::ReadError(ReadError::ConnectionLost(reason)) => link(peer, broken_off(reason)),
        ReadExactError::ReadError(e) => link(peer, LinkFault::Lost(e.to_string())),
    }
}
