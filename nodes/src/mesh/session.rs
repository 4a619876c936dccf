//! A session: three nodes that agree on a job, with fresh keys, until it is finished or ended.

use super::{
    error::{MeshError, SessionFault},
    link::QuicLink,
    registry::Registry,
    wire::{Control, HELLO, Hello, MAX_CAUSE, StreamKind, preamble, transcript},
};
use hkdf::Hkdf;
use quinn::{Connection, ReadExactError, RecvStream, SendStream};
use sha2::Sha256;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::watch;
use trefoil_engine::{
    Ctx, Error, LinkFault, Mode, PairSecret, Party, SessionBinding, SessionKeys,
    transport::{BoxFuture, Link, Path, SessionId, Transport},
};
use zeroize::Zeroizing;

/// A running session. Dropping it without [`finish`](Self::finish) ends it on the other nodes too.
pub struct Session {
    shared: Arc<Shared>,
    keys: Option<SessionKeys>,
}

/// What the strands of a session have in common.
pub(super) struct Shared {
    pub(super) me: Party,
    pub(super) session: SessionId,
    pub(super) registry: Arc<Registry>,
    connections: [Connection; 2],
    stall: Duration,
    state: watch::Sender<State>,
    /// Whom each party last said to be waiting for, and when.
    waiting: Mutex<[Option<(Party, Instant)>; 3]>,
}

#[derive(Clone, Debug, Default)]
struct State {
    fault: Option<SessionFault>,
    finished: bool,
    /// Whom strands of this node have been waiting for, for long; the control streams pass it on.
    waiting: Option<Party>,
}

/// What is agreed on before a session runs.
pub(super) struct Terms {
    pub(super) session: SessionId,
    pub(super) cluster: [u8; 32],
    pub(super) job: [u8; 32],
    pub(super) join: Duration,
    pub(super) stall: Duration,
}

impl Session {
    /// Exchanges hellos with both peers and derives the session's keys.
    pub(super) async fn start(
        me: Party,
        terms: Terms,
        registry: Arc<Registry>,
        connections: [Connection; 2],
    ) -> Result<Self, MeshError> {
        let deadline = tokio::time::Instant::now() + terms.join;
        let shared = Arc::new(Shared {
            me,
            session: terms.session,
            registry,
            connections,
            stall: terms.stall,
            state: watch::Sender::default(),
            waiting: Mutex::default(),
        });
        // From here on, whatever goes wrong is told to the peers when this is dropped.
        let mut session = Self { shared: shared.clone(), keys: None };
        let nonce = random()?;
        let hello = |contribution| Hello { cluster: terms.cluster, job: terms.job, nonce, contribution };
        let mine = [hello(Zeroizing::new(random()?)), hello(Zeroizing::new(random()?))];
        let mut controls = Vec::with_capacity(2);
        for (peer, hello) in me.peers().into_iter().zip(&mine) {
            controls.push(Controls::open(&shared, peer, hello).await?);
        }
        let agreed = tokio::time::timeout_at(deadline, negotiate(&shared, &terms, &mine, &mut controls));
        let agreed = agreed.await.unwrap_or_else(|_| {
            let peer = controls.iter().find(|c| !c.done).map_or(me, |c| c.peer);
            Err(MeshError::NotJoined { peer, seconds: terms.join.as_secs() })
        });
        let theirs = match agreed {
            Ok(theirs) => theirs,
            Err(e) => {
                let _ = shared
                    .fail(SessionFault { blamed: e.blamed().unwrap_or(me), cause: LinkFault::Ended(e.to_string()) });
                for control in controls {
                    control.close(&shared).await;
                }
                return Err(e);
            }
        };
        let binding = SessionBinding {
            session: terms.session,
            job_digest: terms.job,
            nonces: in_order(me, &mine[0], &theirs[0], &theirs[1]).map(|h| h.nonce),
        };
        let with_next = pair_secret(me, me.next(), &mine[0], &theirs[0]);
        let with_prev = pair_secret(me, me.prev(), &mine[1], &theirs[1]);
        session.keys = Some(SessionKeys::derive(&with_prev, &with_next, &binding));
        for control in controls {
            control.run(&shared);
        }
        Ok(session)
    }

    /// The root strand. The session's keys go with it, so there is one.
    ///
    /// # Errors
    /// [`Error::Poisoned`] the second time.
    pub async fn strand<M: Mode>(&mut self) -> Result<Ctx<M>, Error> {
        let keys = self.keys.take().ok_or(Error::Poisoned)?;
        Ctx::root(self.shared.me, self.shared.session, keys, self.network()).await
    }

    /// The session's network, for links below the strands.
    #[must_use]
    pub fn network(&self) -> Arc<dyn Transport> {
        Arc::new(Network(self.shared.clone()))
    }

    /// The session's id.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.shared.session
    }

    /// The first fault, if the session has ended.
    #[must_use]
    pub fn fault(&self) -> Option<SessionFault> {
        self.shared.state.borrow().fault.clone()
    }

    /// Returns when the session has ended on this or another node, with the first fault. Cancel safe.
    pub async fn ended(&self) -> SessionFault {
        self.shared.ended().await
    }

    /// Ends the session on all nodes, naming this one.
    pub fn abort(&self, cause: &str) {
        let _ = self.shared.fail(SessionFault { blamed: self.shared.me, cause: LinkFault::Ended(cause.to_owned()) });
    }

    /// The session's work is done.
    pub fn finish(self) {
        self.shared.state.send_modify(|s| s.finished = true);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.shared.state.borrow().finished {
            self.abort("the node gave up the session");
        }
        self.shared.registry.leave(self.shared.session);
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session({}, {})", self.shared.me, self.shared.session)
    }
}

impl Shared {
    pub(super) fn connection(&self, peer: Party) -> &Connection {
        &self.connections[usize::from(peer != self.me.next())]
    }

    /// Records the first fault of the session, which is then told to the peers.
    ///
    /// # Errors
    /// The earlier fault, if there was one.
    pub(super) fn fail(&self, fault: SessionFault) -> Result<(), SessionFault> {
        let mut earlier = None;
        self.state.send_if_modified(|s| {
            earlier.clone_from(&s.fault);
            if s.fault.is_none() && !s.finished {
                tracing::warn!(session = %self.session, blamed = %fault.blamed, cause = %fault.cause, "the session ends");
                s.fault = Some(fault);
                return true;
            }
            false
        });
        earlier.map_or(Ok(()), Err)
    }

    /// Returns when the session has ended. Cancel safe.
    pub(super) async fn ended(&self) -> SessionFault {
        let mut state = self.state.subscribe();
        loop {
            if let Some(fault) = state.borrow_and_update().fault.clone() {
                return fault;
            }
            if state.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Returns when a strand has waited too long for `awaited`. Half-way it tells the peers, so that one who waits for this
    /// node knows that the cause lies further on. Cancel safe.
    pub(super) async fn stalled(&self, awaited: Party) -> SessionFault {
        tokio::time::sleep(self.stall / 2).await;
        tracing::warn!(session = %self.session, %awaited, seconds = (self.stall / 2).as_secs(), "still waiting for a message");
        self.state.send_if_modified(|s| s.waiting.replace(awaited) != Some(awaited));
        tokio::time::sleep(self.stall / 2).await;
        let claims = *self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = |p: Party| claims[p.index()].filter(|(_, at)| at.elapsed() < self.stall).map(|(on, _)| on);
        let blamed = recent(awaited).filter(|on| *on != self.me).unwrap_or(awaited);
        SessionFault { blamed, cause: LinkFault::Stalled(u64::try_from(self.stall.as_millis()).unwrap_or(u64::MAX)) }
    }
}

struct Network(Arc<Shared>);

impl Transport for Network {
    fn open(&self, session: SessionId, path: Path) -> BoxFuture<'_, Result<Box<dyn Link>, Error>> {
        let shared = self.0.clone();
        Box::pin(async move {
            if session != shared.session {
                return Err(Error::Poisoned);
            }
            Ok(Box::new(QuicLink::new(shared, path)) as Box<dyn Link>)
        })
    }
}

/// The control streams to and from one peer.
struct Controls {
    peer: Party,
    out: SendStream,
    into: Option<RecvStream>,
    /// Whether the present step is done: tells who is awaited.
    done: bool,
}

impl Controls {
    async fn open(shared: &Shared, peer: Party, hello: &Hello) -> Result<Self, MeshError> {
        let unreachable = |last: String| MeshError::Unreachable { peer, last };
        let opened = shared.connection(peer).open_uni().await;
        let mut out = opened.map_err(|e| unreachable(e.to_string()))?;
        let written = async {
            out.write_all(&preamble(shared.session, StreamKind::Control)).await?;
            out.write_all(&*hello.to_bytes()).await
        };
        written.await.map_err(|e| unreachable(e.to_string()))?;
        Ok(Self { peer, out, into: None, done: false })
    }

    async fn hear(&mut self, shared: &Shared) -> Result<Hello, MeshError> {
        let peer = self.peer;
        let gone = |last: String| MeshError::Unreachable { peer, last };
        let arrival = shared.registry.take(peer, shared.session, StreamKind::Control);
        let arrival = arrival.ok_or_else(|| gone("it opened this session before".into()))?;
        let connection = shared.connection(peer);
        let stream = tokio::select! {
            stream = arrival => stream.map_err(|_| gone("the session is over".into()))?,
            cause = connection.closed() => return Err(gone(cause.to_string())),
        };
        let stream = self.into.insert(stream);
        let mut bytes = Zeroizing::new([0; HELLO]);
        stream.read_exact(bytes.as_mut()).await.map_err(|e| gone(e.to_string()))?;
        Ok(Hello::from_bytes(&bytes))
    }

    async fn confirm(&mut self, digest: &[u8; 32]) -> Result<(), MeshError> {
        let mut message = vec![0];
        message.extend_from_slice(digest);
        let written = self.out.write_all(&message).await;
        written.map_err(|e| MeshError::Unreachable { peer: self.peer, last: e.to_string() })
    }

    async fn confirmed(&mut self, shared: &Shared, digest: &[u8; 32]) -> Result<(), MeshError> {
        let peer = self.peer;
        let gone = |last: String| MeshError::Unreachable { peer, last };
        let Some(stream) = &mut self.into else { return Err(gone("it has not said hello".into())) };
        let mut kind = [0];
        stream.read_exact(&mut kind).await.map_err(|e| gone(e.to_string()))?;
        if kind != [0] {
            // The peer ended the session instead of confirming it.
            let mut party = [0];
            stream.read_exact(&mut party).await.map_err(|e| gone(e.to_string()))?;
            let fault = end_message(peer, stream, [kind[0], party[0]]).await.map_err(gone)?;
            let fault = fault.ok_or_else(|| gone("it sent no confirmation".into()))?;
            return Err(shared.fail(fault.clone()).err().unwrap_or(fault).into());
        }
        let mut theirs = [0; 32];
        stream.read_exact(&mut theirs).await.map_err(|e| gone(e.to_string()))?;
        if &theirs == digest {
            return Ok(());
        }
        Err(MeshError::Ended { peer, cause: "it heard other hellos than this node; one node told two stories".into() })
    }

    /// Tells the peer the end of a session that did not start.
    async fn close(mut self, shared: &Shared) {
        let fault = shared.state.borrow().fault.clone();
        if let Some(SessionFault { blamed, cause }) = fault {
            let message = Control::End { blamed, cause: text(&cause) }.to_bytes();
            let _ = self.out.write_all(&message).await;
        }
        let _ = self.out.finish();
    }

    /// Starts the tasks that pass on this node's end of the session, and hear the peer's.
    fn run(self, shared: &Arc<Shared>) {
        let Self { peer, mut out, into, .. } = self;
        let writing = shared.clone();
        tokio::spawn(async move {
            let mut state = writing.state.subscribe();
            let mut told = None;
            loop {
                let State { fault, finished, waiting } = state.borrow_and_update().clone();
                if let Some(SessionFault { blamed, cause }) = fault {
                    let _ = out.write_all(&Control::End { blamed, cause: text(&cause) }.to_bytes()).await;
                    break;
                }
                if finished {
                    break;
                }
                if let Some(on) = waiting.filter(|on| told != Some(*on)) {
                    told = Some(on);
                    if out.write_all(&Control::Waiting { on }.to_bytes()).await.is_err() {
                        break;
                    }
                }
                // The sender is in `writing`, so this cannot fail.
                let _ = state.changed().await;
            }
            let _ = out.finish();
        });
        let Some(mut stream) = into else { return };
        let shared = shared.clone();
        tokio::spawn(async move {
            let mut own = shared.state.subscribe();
            let over = own.wait_for(|s| s.finished || s.fault.is_some());
            tokio::select! {
                _ = over => {}
                fault = listen(&shared, peer, &mut stream) => {
                    if let Some(fault) = fault {
                        let _ = shared.fail(fault);
                    }
                }
            }
        });
    }
}

/// Hears a peer's control stream to its end: the fault that ended the session, or `None` if the peer is done.
async fn listen(shared: &Shared, peer: Party, stream: &mut RecvStream) -> Option<SessionFault> {
    loop {
        let mut head = [0; 2];
        match stream.read_exact(&mut head).await {
            Ok(()) => {}
            Err(ReadExactError::FinishedEarly(0)) => return None,
            Err(e) => return Some(SessionFault { blamed: peer, cause: LinkFault::Lost(e.to_string()) }),
        }
        match end_message(peer, stream, head).await {
            Ok(Some(fault)) => return Some(fault),
            Ok(None) => {
                let on = Party::from_index(head[1].into());
                let mut waiting = shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                waiting[peer.index()] = on.map(|on| (on, Instant::now()));
            }
            Err(cause) => return Some(SessionFault { blamed: peer, cause: LinkFault::Ended(cause) }),
        }
    }
}

/// Reads the rest of an end message; `None` for a message that is not one.
async fn end_message(peer: Party, stream: &mut RecvStream, head: [u8; 2]) -> Result<Option<SessionFault>, String> {
    let (end, blamed) = Control::head(head).map_err(|f| f.to_string())?;
    if !end {
        return Ok(None);
    }
    let mut len = [0; 2];
    stream.read_exact(&mut len).await.map_err(|e| e.to_string())?;
    let len = usize::from(u16::from_le_bytes(len));
    if len > MAX_CAUSE {
        return Err(format!("an end message of {len} bytes, {MAX_CAUSE} being allowed"));
    }
    let mut cause = vec![0; len];
    stream.read_exact(&mut cause).await.map_err(|e| e.to_string())?;
    let cause = LinkFault::Ended(format!("{} (reported by {peer})", Control::cause(&cause)));
    Ok(Some(SessionFault { blamed, cause }))
}

fn text(cause: &LinkFault) -> String {
    match cause {
        LinkFault::Ended(cause) => cause.clone(),
        other => other.to_string(),
    }
}

/// Hears both hellos, then confirms to both that the same three were heard.
async fn negotiate(
    shared: &Shared,
    terms: &Terms,
    mine: &[Hello; 2],
    controls: &mut [Controls],
) -> Result<[Hello; 2], MeshError> {
    let mut theirs = Vec::with_capacity(2);
    for control in &mut *controls {
        let hello = control.hear(shared).await?;
        agree(terms, control.peer, &hello)?;
        control.done = true;
        theirs.push(hello);
    }
    let Ok(theirs) = <[Hello; 2]>::try_from(theirs) else { unreachable!("there are two peers") };
    let digest = transcript(terms.session, in_order(shared.me, &mine[0], &theirs[0], &theirs[1]));
    for control in &mut *controls {
        control.done = false;
    }
    for control in &mut *controls {
        control.confirm(&digest).await?;
    }
    for control in controls {
        control.confirmed(shared, &digest).await?;
        control.done = true;
    }
    Ok(theirs)
}

fn agree(terms: &Terms, peer: Party, hello: &Hello) -> Result<(), MeshError> {
    if hello.cluster != terms.cluster {
        return Err(MeshError::OtherCluster { peer });
    }
    if hello.job != terms.job {
        return Err(MeshError::OtherJob { peer });
    }
    Ok(())
}

/// Mine, next's and prev's, in party order.
fn in_order<'a>(me: Party, mine: &'a Hello, next: &'a Hello, prev: &'a Hello) -> [&'a Hello; 3] {
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

/// Both sides' contributions, in party order, so that neither side chose the secret.
fn pair_secret(me: Party, peer: Party, mine: &Hello, theirs: &Hello) -> PairSecret {
    let (low, high) = if me < peer { (mine, theirs) } else { (theirs, mine) };
    let mut both = Zeroizing::new([0; 64]);
    both[..32].copy_from_slice(&*low.contribution);
    both[32..].copy_from_slice(&*high.contribution);
    let mut secret = [0; 32];
    let pair = [me.min(peer), me.max(peer)].map(|p| p.index() as u8);
    Hkdf::<Sha256>::new(Some(b"trefoil/v1/pair"), both.as_ref())
        .expand(&pair, &mut secret)
        .unwrap_or_else(|_| unreachable!("32 bytes are within HKDF's bounds"));
    PairSecret::new(secret)
}

fn random() -> Result<[u8; 32], MeshError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|e| MeshError::Entropy(e.to_string()))?;
    Ok(bytes)
}
