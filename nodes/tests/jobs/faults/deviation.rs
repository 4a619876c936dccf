//! P2's part of a job, run by the honest code over links that alter one frame.

use super::{key, soon, words};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};
use trefoil_circuits::program::{InputVector, Shape};
use trefoil_engine::{
    Error, Party,
    client::split,
    transport::{BoxFuture, Link, Path, SessionId, Transport},
};
use trefoil_nodes::{
    executor::Tasks,
    job::{Flow, JobId, JobSpec, Limits, Prepared, Seat, Turns},
    mesh::Mesh,
    pki::ClientName,
};

/// The first frame of which kind has one bit flipped.
#[derive(Clone, Copy, Debug)]
pub enum Flipped {
    /// The hash of the copy of the input: the first frame there is.
    InputHash,
    /// The outputs of gates, which go to the previous party.
    Product,
    /// A proof, which goes to the next one.
    Proof,
}

impl Flipped {
    pub const ALL: [Self; 3] = [Self::InputHash, Self::Product, Self::Proof];

    /// Hashes and coins are short.
    fn is(self, to: Party, len: usize) -> bool {
        match self {
            Self::InputHash => len == 32,
            Self::Product => to == Party::P1 && len > 32,
            Self::Proof => to == Party::P0 && len > 32,
        }
    }
}

/// Takes P2's part with a share of the input, and flips a bit. Whatever P2 makes of the answers, it says nothing until the session is over.
pub async fn take_part(
    mesh: &Mesh,
    id: JobId,
    spec: &JobSpec,
    owner: &ClientName,
    (share, flipped): (Vec<u8>, Flipped),
) {
    let mut session = mesh.session(id.session(), spec.digest(owner)).await.expect("all join");
    let prepared = Prepared::new(spec, b"", &Limits::default()).expect("a good job");
    let turns = Turns::new(Party::P2, 4, Duration::from_secs(1));
    let network = session.network();
    let turn = turns.wait(id.session(), &*network, (Flow::Login, prepared.strands())).await.expect("its turn");
    let seat = Seat { me: Party::P2, session: id.session(), keys: session.take_keys().expect("once") };
    let done = Arc::new(AtomicBool::new(false));
    let links = Arc::new(Altered { inner: network, flipped, done: done.clone() });
    let (own, next) = share.split_at(share.len() / 2);
    let input = InputVector::from_bytes(Shape::bits(128), own, next).expect("two words");
    let result = Box::pin(prepared.run(seat, links, vec![(input, None)], &Tasks)).await;
    assert!(done.load(SeqCst), "{flipped:?}: no such frame");
    assert!(result.is_err(), "{flipped:?}: the others accepted");
    soon("the end of the session", session.ended()).await;
    drop(turn);
}

/// The parts of the input for the three nodes.
pub fn dealt() -> [Vec<u8>; 3] {
    split(&words(&key(3))).expect("randomness").map(|share| share.as_bytes().concat())
}

struct Altered {
    inner: Arc<dyn Transport>,
    flipped: Flipped,
    done: Arc<AtomicBool>,
}

impl Transport for Altered {
    fn open(&self, session: SessionId, path: Path) -> BoxFuture<'_, Result<Box<dyn Link>, Error>> {
        let (flipped, done) = (self.flipped, self.done.clone());
        Box::pin(async move {
            let inner = self.inner.open(session, path).await?;
            Ok(Box::new(AlteredLink { inner, flipped, done }) as Box<dyn Link>)
        })
    }
}

struct AlteredLink {
    inner: Box<dyn Link>,
    flipped: Flipped,
    done: Arc<AtomicBool>,
}

impl AlteredLink {
    fn alter(&self, to: Party, frame: bytes::Bytes) -> bytes::Bytes {
        if !self.flipped.is(to, frame.len()) || self.done.swap(true, SeqCst) {
            return frame;
        }
        let mut frame = frame.to_vec();
        frame[7] ^= 1;
        frame.into()
    }
}

impl Link for AlteredLink {
    fn send(&mut self, to: Party, frame: bytes::Bytes) -> BoxFuture<'_, Result<(), Error>> {
        let frame = self.alter(to, frame);
        self.inner.send(to, frame)
    }

    fn recv<'a>(&'a mut self, from: Party, into: &'a mut [u8]) -> BoxFuture<'a, Result<(), Error>> {
        self.inner.recv(from, into)
    }

    fn exchange<'a>(
        &'a mut self,
        to: Party,
        frame: bytes::Bytes,
        from: Party,
        into: &'a mut [u8],
    ) -> BoxFuture<'a, Result<(), Error>> {
        let frame = self.alter(to, frame);
        self.inner.exchange(to, frame, from, into)
    }
}
