//! The in-memory network of three parties in one process, with injectable latency and tampering.

use crate::{
    Error, LinkFault, Party, PeerFault,
    transport::{BoxFuture, Link, Path, SessionId, Transport},
};
use bytes::Bytes;
use std::{
    collections::{HashMap, VecDeque},
    fmt,
    future::poll_fn,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    task::{Poll, Waker},
    time::{Duration, Instant},
};

/// Where a frame is on its way: what a [`Tamper`] sees besides the bytes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Position {
    /// The strand.
    pub path: Path,
    /// The sender.
    pub from: Party,
    /// The receiver.
    pub to: Party,
    /// The frame's number in its strand and direction, from 0.
    pub seq: u64,
}

/// Rewrites traffic: takes each frame as it is sent and returns the frames to deliver in its place, each with the sequence
/// number it will claim. The identity is `|p, f| vec![(p.seq, f)]`; none drops the frame, two duplicate it.
pub type Tamper = Box<dyn FnMut(Position, Bytes) -> Vec<(u64, Bytes)> + Send>;

/// What the network does to frames.
#[derive(Default)]
pub struct Conditions {
    /// One-way delay of every frame.
    pub latency: Duration,
    /// An attacker (or an observer) on the wire.
    pub tamper: Option<Tamper>,
}

impl fmt::Debug for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conditions").field("latency", &self.latency).field("tamper", &self.tamper.is_some()).finish()
    }
}

/// Three parties' network inside one process.
pub struct Memory {
    wires: Mutex<HashMap<Direction, Arc<Wire>>>,
    tamper: Mutex<Option<Tamper>>,
    delay: Option<mpsc::Sender<Delayed>>,
    latency: Duration,
    stalled: AtomicBool,
}

/// Session, strand, sender, receiver.
type Direction = (SessionId, Path, Party, Party);

struct Delayed {
    due: Instant,
    wire: Arc<Wire>,
    frame: (u64, Bytes),
}

/// One direction of one strand.
#[derive(Default)]
struct Wire(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    frames: VecDeque<(u64, Bytes)>,
    closed: bool,
    waiting: Option<Waker>,
}

impl Wire {
    fn with<T>(&self, f: impl FnOnce(&mut Queue) -> T) -> T {
        let mut queue = lock(&self.0);
        let out = f(&mut queue);
        if let Some(w) = queue.waiting.take() {
            w.wake();
        }
        out
    }
}

impl Memory {
    /// A network under the given conditions.
    #[must_use]
    pub fn new(conditions: Conditions) -> Arc<Self> {
        let delay = (conditions.latency > Duration::ZERO).then(|| {
            let (tx, rx) = mpsc::channel::<Delayed>();
            // Ends when the network, which holds the only sender, is dropped.
            std::thread::spawn(move || {
                for late in rx {
                    std::thread::sleep(late.due.saturating_duration_since(Instant::now()));
                    late.wire.with(|q| q.frames.push_back(late.frame));
                }
            });
            tx
        });
        Arc::new(Self {
            wires: Mutex::default(),
            tamper: Mutex::new(conditions.tamper),
            delay,
            latency: conditions.latency,
            stalled: AtomicBool::new(false),
        })
    }

    /// The network as one party sees it.
    #[must_use]
    pub fn seat(self: &Arc<Self>, me: Party) -> Arc<dyn Transport> {
        Arc::new(Seat { me, net: self.clone() })
    }

    /// Ends all waiting: from now on whoever asks for a frame that has not come gets [`LinkFault::Stalled`]. For a driver that
    /// sees all parties wait for each other, which on a real network ends with the deadline.
    pub fn stall(&self) {
        self.stalled.store(true, Ordering::SeqCst);
        for wire in lock(&self.wires).values() {
            wire.with(|_| ());
        }
    }

    fn wire(&self, session: SessionId, path: Path, from: Party, to: Party) -> Arc<Wire> {
        lock(&self.wires).entry((session, path, from, to)).or_default().clone()
    }

    fn deliver(&self, wire: &Arc<Wire>, at: Position, frame: Bytes) {
        let frames = match lock(&self.tamper).as_mut() {
            Some(tamper) => tamper(at, frame),
            None => vec![(at.seq, frame)],
        };
        for frame in frames {
            match &self.delay {
                None => wire.with(|q| q.frames.push_back(frame)),
                // The delay line lives as long as the network does, so the send cannot fail.
                Some(line) => {
                    drop(line.send(Delayed { due: Instant::now() + self.latency, wire: wire.clone(), frame }));
                }
            }
        }
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("latency", &self.latency).finish_non_exhaustive()
    }
}

struct Seat {
    me: Party,
    net: Arc<Memory>,
}

impl Transport for Seat {
    fn open(&self, session: SessionId, path: Path) -> BoxFuture<'_, Result<Box<dyn Link>, Error>> {
        let end = |peer| Peer {
            out: self.net.wire(session, path, self.me, peer),
            into: self.net.wire(session, path, peer, self.me),
            sent: 0,
            received: 0,
        };
        let link = MemoryLink {
            me: self.me,
            path,
            net: self.net.clone(),
            next: end(self.me.next()),
            prev: end(self.me.prev()),
        };
        Box::pin(async move { Ok(Box::new(link) as Box<dyn Link>) })
    }
}

struct Peer {
    out: Arc<Wire>,
    into: Arc<Wire>,
    sent: u64,
    received: u64,
}

struct MemoryLink {
    me: Party,
    path: Path,
    net: Arc<Memory>,
    next: Peer,
    prev: Peer,
}

impl MemoryLink {
    fn peer(&mut self, p: Party) -> &mut Peer {
        if p == self.me.next() { &mut self.next } else { &mut self.prev }
    }

    fn put(&mut self, to: Party, frame: Bytes) {
        let (me, path) = (self.me, self.path);
        let peer = self.peer(to);
        let at = Position { path, from: me, to, seq: peer.sent };
        peer.sent += 1;
        let wire = peer.out.clone();
        self.net.deliver(&wire, at, frame);
    }

    async fn take(&mut self, from: Party, into: &mut [u8]) -> Result<(), Error> {
        let peer = self.peer(from);
        let due = peer.received;
        peer.received += 1;
        let wire = peer.into.clone();
        let stalled = &self.net.stalled;
        let (seq, frame) = poll_fn(|cx| {
            let mut q = lock(&wire.0);
            match q.frames.pop_front() {
                Some(frame) => Poll::Ready(Ok(frame)),
                None if q.closed => Poll::Ready(Err(LinkFault::Lost("the peer's strand ended".into()))),
                None if stalled.load(Ordering::SeqCst) => Poll::Ready(Err(LinkFault::Stalled(0))),
                None => {
                    q.waiting = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
        .map_err(|cause| Error::Link { peer: from, cause })?;
        let fault = |fault| Error::Peer { peer: from, fault };
        if seq != due {
            return Err(fault(PeerFault::WrongFrame { expected: due, got: seq }));
        }
        PeerFault::length(into.len(), frame.len()).map_err(fault)?;
        into.copy_from_slice(&frame);
        Ok(())
    }
}

impl Link for MemoryLink {
    fn send(&mut self, to: Party, frame: Bytes) -> BoxFuture<'_, Result<(), Error>> {
        self.put(to, frame);
        Box::pin(async { Ok(()) })
    }

    fn recv<'a>(&'a mut self, from: Party, into: &'a mut [u8]) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.take(from, into))
    }

    fn exchange<'a>(
        &'a mut self,
        to: Party,
        frame: Bytes,
        from: Party,
        into: &'a mut [u8],
    ) -> BoxFuture<'a, Result<(), Error>> {
        // Queues are unbounded here, so sending first cannot block; a strand has one frame under way at most.
        self.put(to, frame);
        Box::pin(self.take(from, into))
    }
}

impl Drop for MemoryLink {
    fn drop(&mut self) {
        for peer in [&self.next, &self.prev] {
            // Behind the frames still in the delay line, if there is one, the end would come too early.
            if self.net.delay.is_none() {
                peer.out.with(|q| q.closed = true);
            }
        }
    }
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}
