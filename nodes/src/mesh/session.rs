//! A session: three nodes that agree on a job, with fresh keys, until it is finished or ended.

use super::{
    blame::Line,
    control::{Meeting, in_order, negotiate},
    credentials::Current,
    error::{MeshError, SessionFault},
    link::QuicLink,
    registry::Membership,
    shared::Shared,
    totals::{FailedBy, Step, Totals},
    traffic::{Meter, Traffic},
    wire::Hello,
};
use hkdf::Hkdf;
use sha2::Sha256;
use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{sync::watch, time::Instant};
use trefoil_engine::{
    Ctx, Error, LinkFault, Mode, PairSecret, Party, SessionBinding, SessionKeys,
    transport::{BoxFuture, Link, Path, SessionId, Transport},
};
use zeroize::Zeroizing;

/// A running session. Dropping it without [`finish`](Self::finish) ends it on the other nodes too.
pub struct Session {
    pub(super) shared: Arc<Shared>,
    keys: Option<SessionKeys>,
    membership: Membership,
    /// All three have joined, so that what ends it is counted as its end.
    started: bool,
}

/// What is agreed on before a session runs.
pub(super) struct Terms {
    pub(super) session: SessionId,
    /// Of this node, when it began.
    pub(super) current: Arc<Current>,
    /// The version of the protocol under which it is held.
    pub(super) version: u16,
    pub(super) job: [u8; 32],
    /// Whether the peers are to come.
    pub(super) awaited: Awaited,
    /// When the session has to have started, and how long that was from the beginning.
    pub(super) deadline: Instant,
    pub(super) join: Duration,
    pub(super) stall: Duration,
    pub(super) grace: Duration,
    pub(super) stall_warning: Duration,
    pub(super) totals: Arc<Totals>,
}

/// Whether something is wrong if a peer does not join.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Awaited {
    Surely,
    Perhaps,
}

impl Terms {
    /// What the nodes compare of the cluster.
    pub(super) fn cluster(&self) -> [u8; 32] {
        self.current.digest(self.version)
    }

    /// A hello to each peer, with a fresh nonce.
    pub(super) fn hellos(&self) -> Result<[Hello; 2], MeshError> {
        let (nonce, cluster) = (random()?, self.cluster());
        let hello = |contribution| Hello { cluster, job: self.job, nonce, contribution };
        Ok([hello(Zeroizing::new(random()?)), hello(Zeroizing::new(random()?))])
    }
}

impl Session {
    /// Exchanges hellos with both peers and derives the session's keys.
    pub(super) async fn start(
        me: Party,
        terms: Terms,
        membership: Membership,
        lines: [Line; 2],
    ) -> Result<Self, MeshError> {
        let shared = Arc::new(Shared {
            me,
            session: terms.session,
            registry: membership.registry().clone(),
            meter: Meter::default(),
            totals: terms.totals.clone(),
            run: OnceLock::new(),
            lines,
            stall: terms.stall,
            grace: terms.grace,
            stall_warning: terms.stall_warning,
            warned: AtomicU32::new(0),
            state: watch::Sender::default(),
            claims: Mutex::default(),
        });
        let mine = terms.hellos()?;
        let mut meeting = Meeting::new(shared.clone());
        let joining = meeting.controls.each_ref().map(|c| (c.peer, c.agreed.clone()));
        // From here on, should this future be dropped, the session ends, and then the meeting, which tells why.
        let mut session = Self { shared: shared.clone(), keys: None, membership, started: false };
        let agreed = negotiate(&shared, &terms, &mine, &mut meeting.controls, &mut session.membership);
        let agreed = tokio::select! {
            agreed = tokio::time::timeout_at(terms.deadline, agreed) => agreed,
            never = missed(&terms, &joining) => match never {},
        };
        let agreed = agreed.unwrap_or_else(|_| {
            let peer = absent(&joining).unwrap_or(me);
            Err(MeshError::NotJoined { peer, seconds: terms.join.as_secs() })
        });
        let theirs = match agreed {
            Ok(theirs) => theirs,
            Err(e) => {
                let cause = LinkFault::Ended(e.to_string());
                let _ = shared.fail(SessionFault { blamed: e.blamed().unwrap_or(me), cause });
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
        for control in &mut meeting.controls {
            control.run(&shared);
        }
        session.started = true;
        terms.totals.started();
        Ok(session)
    }

    /// The root strand. The session's keys go with it, so there is one.
    ///
    /// # Errors
    /// [`Error::Poisoned`] the second time.
    pub async fn strand<M: Mode>(&mut self) -> Result<Ctx<M>, Error> {
        let keys = self.take_keys()?;
        Ctx::root(self.shared.me, self.shared.session, keys, self.network()).await
    }

    /// The keys of the root strand, which can be made once.
    ///
    /// # Errors
    /// [`Error::Poisoned`] if they were taken before.
    pub fn take_keys(&mut self) -> Result<SessionKeys, Error> {
        self.keys.take().ok_or(Error::Poisoned)
    }

    /// The party this is the session of.
    #[must_use]
    pub fn me(&self) -> Party {
        self.shared.me
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

    /// What its strands have sent and received so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.shared.meter.read()
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

    /// Ends the session on all nodes because a check of this one failed.
    pub fn reject(&self, cause: &str) {
        let cause = LinkFault::Rejected(cause.to_owned());
        let _ = self.shared.fail(SessionFault { blamed: self.shared.me, cause });
    }

    /// The session's work is done. What has been sent still arrives, unless the mesh is closed before.
    pub fn finish(self) {
        self.shared.state.send_modify(|s| s.finished = true);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.shared.state.borrow().finished {
            self.abort("the node gave up the session");
        }
        if let Some(fault) = self.fault().filter(|_| self.started) {
            self.shared.totals.failed(FailedBy::of_end(&fault.cause));
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session({}, {})", self.shared.me, self.shared.session)
    }
}

struct Network(Arc<Shared>);

impl Transport for Network {
    fn open(&self, session: SessionId, path: Path) -> BoxFuture<'_, Result<Box<dyn Link>, Error>> {
        let shared = self.0.clone();
        Box::pin(async move {
            match shared.run.get().copied() {
                Some(run) if session == shared.session => {
                    Ok(Box::new(QuicLink::new(shared, run, path)) as Box<dyn Link>)
                }
                _ => Err(Error::Poisoned),
            }
        })
    }
}

/// The peers, and whether each has done its part of the present step.
type Joining = [(Party, Arc<AtomicBool>); 2];

fn absent(joining: &Joining) -> Option<Party> {
    joining.iter().find(|(_, agreed)| !agreed.load(Relaxed)).map(|(peer, _)| *peer)
}

/// Says after `stall_warning`, and at intervals that double, who has not joined.
async fn missed(terms: &Terms, joining: &Joining) -> Infallible {
    if terms.awaited == Awaited::Perhaps {
        return std::future::pending().await;
    }
    let (begin, mut warning) = (Instant::now(), terms.stall_warning);
    loop {
        tokio::time::sleep_until(begin + warning).await;
        if let Some(peer) = absent(joining) {
            if warning == terms.stall_warning {
                terms.totals.stalled(peer, Step::Join);
            }
            let waiting = begin.elapsed();
            tracing::warn!(session = %terms.session, step = Step::Join.name(), awaited = %peer, ?waiting, "still waiting for a peer");
        }
        warning = warning.saturating_mul(2);
    }
}

/// Both sides' contributions, in party order, so that neither side chose the secret.
fn pair_secret(me: Party, peer: Party, mine: &Hello, theirs: &Hello) -> PairSecret {
    let (low, high) = if me < peer { (mine, theirs) } else { (theirs, mine) };
    let mut both = Zeroizing::new([0; 64]);
    both[..32].copy_from_slice(&*low.contribution);
    both[32..].copy_from_slice(&*high.contribution);
    let mut secret = Zeroizing::new([0; 32]);
    let pair = [me.min(peer), me.max(peer)].map(|p| p.index() as u8);
    Hkdf::<Sha256>::new(Some(b"trefoil/v1/pair"), both.as_ref())
        .expand(&pair, secret.as_mut())
        .unwrap_or_else(|_| unreachable!("32 bytes are within HKDF's bounds"));
    PairSecret::new(*secret)
}

fn random() -> Result<[u8; 32], MeshError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|e| MeshError::Entropy(e.to_string()))?;
    Ok(bytes)
}
