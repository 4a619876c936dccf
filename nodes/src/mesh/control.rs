//! The control streams of a session: hellos, their confirmation, and the end.

use super::{
    blame::broken_off,
    error::{MeshError, SessionFault},
    registry::Membership,
    session::Terms,
    shared::Shared,
    slot::REFUSED,
    wire::{Control, HELLO, Head, Hello, MAX_CAUSE, PartySet, RunId, StreamName, preamble, transcript},
};
use futures_util::FutureExt as _;
use quinn::{Connection, ReadError, ReadExactError, RecvStream, SendStream, WriteError};
use std::{
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use trefoil_engine::{LinkFault, Party, transport::SessionId};
use zeroize::Zeroizing;

/// Says hello to both peers, hears them, and confirms to both that the same three hellos were heard. Then the run may begin.
/// Gives the peers' hellos, next first.
///
/// Streams stay in `controls` whatever happens, so that a failure can be told on them.
pub(super) async fn negotiate(
    shared: &Arc<Shared>,
    terms: &Terms,
    mine: &[Hello; 2],
    controls: &mut [Controls; 2],
    membership: &mut Membership,
) -> Result<[Hello; 2], MeshError> {
    for (control, hello) in controls.iter_mut().zip(mine) {
        control.greet(shared, hello).await?;
    }
    let ([next, prev], [to_next, to_prev]) = (&mut *controls, mine);
    // Both at once, so that what one peer says is not kept back by the other's silence.
    let (of_next, of_prev) = tokio::try_join!(next.hear(shared, terms, to_next), prev.hear(shared, terms, to_prev))?;
    let theirs = [of_next, of_prev];
    let digest = transcript(terms.session, in_order(shared.me, &mine[0], &theirs[0], &theirs[1]));
    let run = RunId::of(&digest);
    // A peer opens strands once both others have confirmed, so not before this node has.
    membership.begin(run);
    let _ = shared.run.set(run);
    for control in &mut *controls {
        control.agreed.store(false, Relaxed);
        control.confirm(&digest).await?;
    }
    let [next, prev] = controls;
    let confirmed =
        async { tokio::try_join!(next.confirmed(shared, to_next, &digest), prev.confirmed(shared, to_prev, &digest)) };
    tokio::select! {
        biased;
        both = confirmed => both.map(|_| theirs),
        // One has confirmed, and then ended the session because of the other.
        fault = shared.ended() => Err(fault.into()),
    }
}

/// Tells a peer why this node cannot join a session, so that it need not wait for the deadline.
pub(super) async fn decline(connection: &Connection, session: SessionId, hello: &Hello, cause: &MeshError) {
    let Ok(mut out) = connection.open_uni().await else { return };
    let Some(blamed) = cause.blamed() else { return };
    let end = Control::End(SessionFault { blamed, cause: LinkFault::Ended(cause.to_string()) }).to_bytes();
    for part in [&preamble(StreamName::Control(session))[..], &*hello.to_bytes(), &end] {
        if out.write_all(part).await.is_err() {
            return;
        }
    }
    let _ = out.finish();
}

/// Mine, next's and prev's, in party order.
pub(super) fn in_order<'a>(me: Party, mine: &'a Hello, next: &'a Hello, prev: &'a Hello) -> [&'a Hello; 3] {
    Party::ALL.map(|p| {
        if p == me {
            mine
        } else if p == me.next() {
            next
        } else {
            prev
        }
    })
}

/// The control streams of a session that has not started. Dropped before it has, it tells the peers why.
pub(super) struct Meeting {
    /// Next, then prev.
    pub(super) controls: [Controls; 2],
    shared: Arc<Shared>,
}

impl Meeting {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { controls: shared.me.peers().map(Controls::new), shared }
    }
}

impl Drop for Meeting {
    fn drop(&mut self) {
        // Outside the runtime nothing can be sent.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let fault = self.shared.state.borrow().fault.clone();
        for control in &mut self.controls {
            if let Some(out) = control.out.take() {
                runtime.spawn(end(out, fault.clone(), self.shared.grace));
            }
        }
    }
}

/// The control streams to and from one peer.
pub(super) struct Controls {
    pub(super) peer: Party,
    /// Whether the peer has done its part of the present step: tells who is awaited.
    pub(super) agreed: Arc<AtomicBool>,
    /// Whether the peer holds the session under another version.
    apart: bool,
    out: Option<SendStream>,
    into: Option<RecvStream>,
}

impl Controls {
    fn new(peer: Party) -> Self {
        Self { peer, agreed: Arc::default(), apart: false, out: None, into: None }
    }

    fn gone(&self, last: &dyn ToString) -> MeshError {
        MeshError::Unreachable { peer: self.peer, last: last.to_string() }
    }

    /// A peer that takes no more has given up, and why is on its own stream, which is read next: to name it here would
    /// blame one that left because of the third.
    fn written(&self, result: Result<(), WriteError>) -> Result<(), MeshError> {
        match result {
            Ok(()) | Err(WriteError::Stopped(_)) => Ok(()),
            Err(e) => Err(self.gone(&e)),
        }
    }

    fn unread(&self, e: &ReadExactError) -> MeshError {
        match e {
            ReadExactError::FinishedEarly(_) | ReadExactError::ReadError(ReadError::Reset(_)) => {
                MeshError::GaveUp { peer: self.peer }
            }
            ReadExactError::ReadError(e) => self.gone(&e),
        }
    }

    async fn greet(&mut self, shared: &Shared, hello: &Hello) -> Result<(), MeshError> {
        let opened = shared.connection(self.peer).open_uni().await;
        let mut out = opened.map_err(|e| self.gone(&e))?;
        // That a session ends must not wait behind the frames of its strands.
        let _ = out.set_priority(1);
        let written = async {
            out.write_all(&preamble(StreamName::Control(shared.session))).await?;
            out.write_all(&*hello.to_bytes()).await
        };
        let written = written.await;
        self.out = Some(out);
        self.written(written)
    }

    async fn hear(&mut self, shared: &Shared, terms: &Terms, mine: &Hello) -> Result<Hello, MeshError> {
        let peer = self.peer;
        let arrival = shared.registry.control(shared.session, peer);
        let arrival = arrival.ok_or_else(|| self.gone(&"it opened this session before"))?;
        let connection = shared.connection(peer);
        let stream = tokio::select! {
            stream = arrival => stream.map_err(|_| self.gone(&"the session is over"))?,
            cause = connection.closed() => return Err(self.gone(&cause)),
        };
        let stream = self.into.insert(stream);
        let mut bytes = Zeroizing::new([0; HELLO]);
        let read = stream.read_exact(bytes.as_mut()).await;
        read.map_err(|e| self.unread(&e))?;
        let hello = Hello::from_bytes(&bytes);
        if hello.cluster != terms.cluster() {
            if !terms.current.knows(&hello.cluster) {
                return Err(MeshError::OtherCluster { peer });
            }
            // It may give up the session anyway, and say why.
            self.apart = true;
        }
        if hello.job != terms.job {
            return Err(MeshError::OtherJob { peer });
        }
        self.agreed.store(true, Relaxed);
        if self.is_refused() {
            self.greet_again(shared, mine).await?;
        }
        Ok(hello)
    }

    /// Says hello once more if the peer, which was behind, did not keep the first: now it has joined and takes it.
    async fn greet_again(&mut self, shared: &Shared, hello: &Hello) -> Result<(), MeshError> {
        // Its place among the streams is free again before another is opened.
        self.out = None;
        self.greet(shared, hello).await
    }

    /// Whether the peer has refused the stream by now.
    fn is_refused(&self) -> bool {
        let refused = self.out.as_ref().and_then(|out| out.stopped().now_or_never());
        matches!(refused, Some(Ok(Some(REFUSED))))
    }

    /// Nothing follows a confirmation that was written in part.
    async fn confirm(&mut self, digest: &[u8; 32]) -> Result<(), MeshError> {
        let mut message = [0; 33];
        message[1..].copy_from_slice(digest);
        let mut out = self.out.take().ok_or_else(|| self.gone(&"this node has not said hello"))?;
        let written = out.write_all(&message).await;
        self.out = Some(out);
        self.written(written)
    }

    async fn confirmed(&mut self, shared: &Arc<Shared>, hello: &Hello, digest: &[u8; 32]) -> Result<(), MeshError> {
        let Some(mut stream) = self.into.take() else { return Err(self.gone(&"it has not said hello")) };
        let refused = self.out.as_ref().map(SendStream::stopped);
        let refused = async { refused?.await.ok()? };
        let heard = {
            let mut heard = std::pin::pin!(confirmation(self.peer, &mut stream));
            tokio::select! {
                biased;
                heard = &mut heard => heard,
                // That the first hello was not kept was heard of late.
                Some(REFUSED) = refused => {
                    self.greet_again(shared, hello).await?;
                    self.confirm(digest).await?;
                    heard.await
                }
            }
        };
        match heard {
            Ok(Confirmation::Digest(_)) if self.apart => Err(MeshError::OtherVersion { peer: self.peer }),
            Ok(Confirmation::Digest(theirs)) if &theirs == digest => {
                self.agreed.store(true, Relaxed);
                tokio::spawn(attend(self.peer, stream, shared.clone()));
                Ok(())
            }
            Ok(Confirmation::Digest(_)) => {
                let cause = "it heard other hellos than this node; one node told two stories".into();
                Err(MeshError::Ended { peer: self.peer, cause })
            }
            Ok(Confirmation::End(fault)) => Err(shared.fail(fault.clone()).err().unwrap_or(fault).into()),
            Err(Unheard::Stream(e)) => Err(self.unread(&e)),
            Err(Unheard::Malformed(cause)) => Err(MeshError::Ended { peer: self.peer, cause }),
        }
    }

    /// Starts the task that passes on what becomes of the session on this node.
    pub(super) fn run(&mut self, shared: &Arc<Shared>) {
        if let Some(out) = self.out.take() {
            tokio::spawn(tell(out, shared.clone()));
        }
    }
}

/// Tells a peer how the session ends, unless it takes nothing for longer than a silent one would be waited for.
async fn end(mut out: SendStream, fault: Option<SessionFault>, grace: Duration) {
    let told = async {
        match fault {
            Some(fault) => out.write_all(&Control::End(fault).to_bytes()).await,
            None => Ok(()),
        }
    };
    let _ = match tokio::time::timeout(grace, told).await {
        Ok(_) => out.finish(),
        Err(_) => out.reset(REFUSED),
    };
}

/// Passes on to a peer for whom this node waits, and how the session ends.
async fn tell(mut out: SendStream, shared: Arc<Shared>) {
    let mut state = shared.state.subscribe();
    let mut told = PartySet::default();
    loop {
        let now = state.borrow_and_update().clone();
        if now.fault.is_some() || now.finished {
            return end(out, now.fault, shared.grace).await;
        }
        let on = now.waiting();
        if on != told {
            told = on;
            let message = Control::Waiting { on }.to_bytes();
            let mut over = shared.state.subscribe();
            tokio::select! {
                biased;
                written = out.write(&message) => if written != Ok(message.len()) {
                    let _ = out.reset(REFUSED);
                    return;
                },
                // Nothing was written.
                _ = over.wait_for(|s| s.finished || s.fault.is_some()) => continue,
            }
        }
        // The sender is in `shared`, so this cannot fail.
        let _ = state.changed().await;
    }
}

/// Hears what becomes of the session on a peer, until it is over on this node.
async fn attend(peer: Party, mut stream: RecvStream, shared: Arc<Shared>) {
    let mut own = shared.state.subscribe();
    let over = own.wait_for(|s| s.finished || s.fault.is_some());
    let heard = async {
        match listen(&shared, peer, &mut stream).await {
            Some(Heard::Report(fault)) => Some(fault),
            Some(Heard::Fault(seen)) => Some(shared.traced(seen).await),
            None => None,
        }
    };
    tokio::select! {
        _ = over => {}
        fault = heard => {
            if let Some(fault) = fault {
                let _ = shared.fail(fault);
            }
        }
    }
}

/// How a peer's control stream ended.
enum Heard {
    /// The peer told why the session is over, or broke the rules: final.
    Report(SessionFault),
    /// The link was lost.
    Fault(SessionFault),
}

/// Hears a peer's control stream to its end: what ended the session, or `None` if the peer is done.
async fn listen(shared: &Shared, peer: Party, stream: &mut RecvStream) -> Option<Heard> {
    loop {
        let mut head = [0; 2];
        let message = match stream.read_exact(&mut head).await {
            Ok(()) => rest(peer, stream, head).await,
            Err(ReadExactError::FinishedEarly(0)) => return None,
            Err(e) => Err(e.into()),
        };
        return Some(match message {
            Ok(Message::End(fault)) => Heard::Report(fault),
            Ok(Message::Waiting(on)) => {
                shared.claims.lock().unwrap_or_else(PoisonError::into_inner)[peer.index()] = on;
                continue;
            }
            Err(Unheard::Stream(e)) => Heard::Fault(SessionFault { blamed: peer, cause: interrupted(&e) }),
            Err(Unheard::Malformed(cause)) => {
                Heard::Report(SessionFault { blamed: peer, cause: LinkFault::Ended(cause) })
            }
        });
    }
}

enum Message {
    End(SessionFault),
    Waiting(PartySet),
}

/// What follows a hello: the digest the peer confirms, or the fault by which it ends the session instead.
enum Confirmation {
    Digest([u8; 32]),
    End(SessionFault),
}

/// Why a message was not heard.
enum Unheard {
    Stream(ReadExactError),
    Malformed(String),
}

impl From<ReadExactError> for Unheard {
    fn from(e: ReadExactError) -> Self {
        Self::Stream(e)
    }
}

async fn confirmation(peer: Party, stream: &mut RecvStream) -> Result<Confirmation, Unheard> {
    let mut kind = [0];
    stream.read_exact(&mut kind).await?;
    if kind == [0] {
        let mut digest = [0; 32];
        stream.read_exact(&mut digest).await?;
        return Ok(Confirmation::Digest(digest));
    }
    let mut value = [0];
    stream.read_exact(&mut value).await?;
    match rest(peer, stream, [kind[0], value[0]]).await? {
        Message::End(fault) => Ok(Confirmation::End(fault)),
        Message::Waiting(_) => Err(Unheard::Malformed("it sent no confirmation of the hellos".into())),
    }
}

/// Reads what follows the head of a message. No length from the peer is trusted before it is compared with its bound.
async fn rest(peer: Party, stream: &mut RecvStream, head: [u8; 2]) -> Result<Message, Unheard> {
    let (blamed, fault): (_, fn(String) -> LinkFault) =
        match Control::head(head).map_err(|f| Unheard::Malformed(f.to_string()))? {
            Head::Waiting { on } => return Ok(Message::Waiting(on)),
            Head::End { blamed } => (blamed, LinkFault::Ended),
            Head::Rejected { blamed } => (blamed, LinkFault::Rejected),
        };
    let mut len = [0; 2];
    stream.read_exact(&mut len).await?;
    let len = usize::from(u16::from_le_bytes(len));
    if len > MAX_CAUSE {
        return Err(Unheard::Malformed(format!("an end message of {len} bytes, {MAX_CAUSE} being allowed")));
    }
    let mut cause = vec![0; len];
    stream.read_exact(&mut cause).await?;
    let cause = Control::cause(&cause);
    // Whose word it is must be seen: a peer can name whom it likes.
    let cause = if blamed == peer { cause } else { format!("{peer} reports of {blamed}: {cause}") };
    Ok(Message::End(SessionFault { blamed, cause: fault(cause) }))
}

fn interrupted(e: &ReadExactError) -> LinkFault {
    match e {
        ReadExactError::ReadError(ReadError::ConnectionLost(reason)) => broken_off(reason),
        _ => LinkFault::Ended("it broke off its control stream".into()),
    }
}
