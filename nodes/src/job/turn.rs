//! Whose turn it is: how many jobs compute at the same time, without the nodes waiting for each other in a circle.
//!
//! A limit that each node kept for itself would deadlock: node 0 could be full with jobs 1 to 4, node 1 with jobs 5 to 8, and
//! each would wait for the other. So there is one limit, at one node, taken last:
//!
//! 1. A node that has a job joins its session. This takes none of the places to compute.
//! 2. When all three have joined, and only then, the coordinator (P0) lets the job queue for its places, one for each strand, in a
//!    [queue](super::queue) that is fair to the clients. It tells the followers [`GO`] when the job has got them, and [`WAIT`] from time to time until then.
//! 3. All three compute. A follower starts when it is told to, whatever else it is doing.
//! 4. A follower that has finished says [`DONE`]. The coordinator gives the places back when it has finished itself and heard
//!    from both.
//!
//! *No deadlock.* The places of the coordinator are the only thing a job waits for while it holds something, and it asks for all
//! it takes at once, when nothing more is needed from anybody for it to run: whoever holds places runs to its end or to one
//! of the deadlines of its session. So places always come free, and the queue moves.
//!
//! *The limit holds everywhere.* A follower runs a job only between GO and DONE, which lies within the time the
//! coordinator's places are taken. So no node ever runs more strands than the coordinator has places.

use super::queue::{Flow, Queue};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::oneshot;
use trefoil_engine::{
    Error, Party, PeerFault,
    transport::{Link, Path, SessionId, Transport},
};

/// The node that decides.
pub const COORDINATOR: Party = Party::P0;

/// More strands than this never compute at the same time.
const MOST_PLACES: u32 = 1 << 16;

const WAIT: u8 = 0;
const GO: u8 = 1;
const DONE: u8 = 2;

/// The places of a node, one for each strand; those of the coordinator count.
#[derive(Debug)]
pub struct Turns {
    me: Party,
    places: Arc<Places>,
    all: u32,
    heartbeat: Duration,
}

#[derive(Debug)]
struct Places(Mutex<State>);

#[derive(Debug)]
struct State {
    queue: Queue,
    told: HashMap<SessionId, oneshot::Sender<Place>>,
}

/// Places of one session. Given back on drop.
#[derive(Debug)]
struct Place {
    places: Arc<Places>,
    cost: u32,
}

/// A session in the queue. Dropped, it waits no more.
struct Asked {
    places: Arc<Places>,
    session: SessionId,
    granted: oneshot::Receiver<Place>,
}

impl Turns {
    /// So many places, and how often those who wait are told that they still have to: well below the time after which a silent
    /// peer is given up.
    pub fn new(me: Party, places: u32, heartbeat: Duration) -> Self {
        let all = places.clamp(1, MOST_PLACES);
        Self { me, places: Places::new(all), all, heartbeat }
    }

    /// The node they belong to.
    pub fn me(&self) -> Party {
        self.me
    }

    /// Waits until it is the turn of a session that all three have joined. It takes a place for each of its strands, and all
    /// places if it has more strands than there are.
    ///
    /// Not cancel safe: end the session if this is dropped.
    ///
    /// # Errors
    /// As [`Link`], and [`Error::Peer`] if the coordinator says what it may not say here.
    pub async fn wait(
        &self,
        session: SessionId,
        net: &dyn Transport,
        (flow, strands): (Flow, u32),
    ) -> Result<Turn, Error> {
        // No strand has this path: a strand forks fewer than 2^32 - 1 children.
        let mut link = net.open(session, Path::root().child(u32::MAX)).await?;
        if self.me != COORDINATOR {
            while receive(&mut *link, COORDINATOR, &[WAIT, GO]).await? == WAIT {}
            return Ok(Turn { me: self.me, link, _place: None });
        }
        let place = self.place(&mut *link, self.places.ask(flow, session, strands.min(self.all))).await?;
        tell(&mut *link, self.me, GO).await?;
        Ok(Turn { me: self.me, link, _place: Some(place) })
    }

    /// How many are before a session in the queue, if it waits there: known to the coordinator alone.
    pub fn before(&self, session: SessionId) -> Option<usize> {
        self.places.lock().queue.before(session)
    }

    /// How many sessions wait in the queue: known to the coordinator alone.
    pub fn waiting(&self) -> usize {
        self.places.lock().queue.len()
    }

    async fn place(&self, link: &mut dyn Link, mut asked: Asked) -> Result<Place, Error> {
        loop {
            match tokio::time::timeout(self.heartbeat, &mut asked.granted).await {
                Ok(Ok(place)) => return Ok(place),
                // Nobody takes one out of the queue but who waits; were it so, the session would end.
                Ok(Err(_)) => return Err(Error::Poisoned),
                Err(_) => tell(link, self.me, WAIT).await?,
            }
        }
    }
}

impl Places {
    fn new(all: u32) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { queue: Queue::new(all), told: HashMap::new() })))
    }

    fn ask(self: &Arc<Self>, flow: Flow, session: SessionId, cost: u32) -> Asked {
        let (tell, granted) = oneshot::channel();
        {
            let mut state = self.lock();
            state.queue.push(flow, session, cost);
            state.told.insert(session, tell);
        }
        self.grant();
        Asked { places: self.clone(), session, granted }
    }

    /// Tells all who are next and have their places.
    fn grant(self: &Arc<Self>) {
        loop {
            let (tell, place) = {
                let mut state = self.lock();
                let Some((session, cost)) = state.queue.pop() else { return };
                (state.told.remove(&session), Place { places: self.clone(), cost })
            };
            // Whoever does not wait any more gives it back.
            if let Some(Err(place)) = tell.map(|tell| tell.send(place)) {
                drop(place);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().queue.give_back(self.cost);
        self.places.grant();
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        {
            let mut state = self.places.lock();
            state.queue.remove(self.session);
            state.told.remove(&self.session);
        }
        // It may have kept others waiting.
        self.places.grant();
    }
}

/// The turn of one session. The place is given back on drop.
pub struct Turn {
    me: Party,
    link: Box<dyn Link>,
    _place: Option<Place>,
}

impl Turn {
    /// This node has finished its part. At the coordinator, waits for the followers to finish theirs.
    ///
    /// Not cancel safe: end the session if this is dropped.
    ///
    /// # Errors
    /// As [`Link`], and [`Error::Peer`] if a follower says something else.
    pub async fn done(mut self) -> Result<(), Error> {
        if self.me == COORDINATOR {
            for follower in self.me.peers() {
                receive(&mut *self.link, follower, &[DONE]).await?;
            }
            Ok(())
        } else {
            self.link.send(COORDINATOR, vec![DONE].into()).await
        }
    }
}

impl std::fmt::Debug for Turn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Turn({})", self.me)
    }
}

async fn tell(link: &mut dyn Link, me: Party, what: u8) -> Result<(), Error> {
    for follower in me.peers() {
        link.send(follower, vec![what].into()).await?;
    }
    Ok(())
}

async fn receive(link: &mut dyn Link, from: Party, allowed: &[u8]) -> Result<u8, Error> {
    let mut frame = [0];
    link.recv(from, &mut frame).await?;
    if allowed.contains(&frame[0]) {
        Ok(frame[0])
    } else {
        let fault = PeerFault::Malformed(format!("{} as a turn, where one of {allowed:?} is due", frame[0]));
        Err(Error::Peer { peer: from, fault })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
    use trefoil_engine::transport::memory::{Conditions, Memory};

    fn session(n: u8) -> SessionId {
        SessionId([n; 16])
    }

    fn flow(n: u8) -> Flow {
        match n % 3 {
            0 => Flow::Login,
            k => Flow::Client(format!("client-{k}").parse().expect("a name")),
        }
    }

    /// Fifty sessions that reach the three nodes in three orders, and two places: all end, and never more than two run.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn every_order_of_arrival_ends_and_the_limit_holds_everywhere() {
        let net = Memory::new(Conditions::default());
        let most = Arc::new([const { AtomicU32::new(0) }; 3]);
        let running = Arc::new([const { AtomicU32::new(0) }; 3]);
        let mut nodes = tokio::task::JoinSet::new();
        for me in Party::ALL {
            let turns = Arc::new(Turns::new(me, 2, Duration::from_millis(1)));
            for k in 0..50_u8 {
                // Multiplication by 1, 21 and 31 permutes 0..50 in three ways.
                let n = (u32::from(k) * [1, 21, 31][me.index()] % 50) as u8;
                let (turns, net, most, running) = (turns.clone(), net.seat(me), most.clone(), running.clone());
                nodes.spawn(async move {
                    let turn = turns.wait(session(n), &*net, (flow(n), 1)).await?;
                    let now = running[me.index()].fetch_add(1, SeqCst) + 1;
                    most[me.index()].fetch_max(now, SeqCst);
                    tokio::task::yield_now().await;
                    running[me.index()].fetch_sub(1, SeqCst);
                    turn.done().await
                });
            }
        }
        let all = tokio::time::timeout(Duration::from_mins(1), nodes.join_all()).await.expect("no deadlock");
        assert_eq!(all.len(), 150);
        assert!(all.iter().all(Result::is_ok));
        assert!(most.iter().all(|m| (1..=2).contains(&m.load(SeqCst))), "{most:?}");
    }

    /// Nine strands on one place: a job that is larger than the limit runs alone.
    #[tokio::test]
    async fn a_place_is_taken_until_the_last_follower_is_done() {
        let net = Memory::new(Conditions::default());
        let turns = Party::ALL.map(|me| Turns::new(me, 1, Duration::from_millis(1)));
        let seats = Party::ALL.map(|me| net.seat(me));
        let wait = async |n: u8| {
            let w = |p: usize| turns[p].wait(session(n), &*seats[p], (Flow::Login, 9));
            tokio::try_join!(w(0), w(1), w(2)).expect("a turn")
        };
        let (first, one, two) = wait(1).await;
        one.done().await.expect("sent");
        let coordinator = tokio::spawn(first.done());
        let second = tokio::time::timeout(Duration::from_millis(50), wait(2)).await;
        assert!(second.is_err(), "the place is still taken");
        two.done().await.expect("sent");
        coordinator.await.expect("no panic").expect("both are done");
        assert_eq!(turns[0].places.lock().queue.free(), 1);
    }

    #[tokio::test]
    async fn nonsense_from_the_coordinator_is_named() {
        let net = Memory::new(Conditions::default());
        let seat = net.seat(Party::P0);
        let mut link = seat.open(session(1), Path::root().child(u32::MAX)).await.expect("memory");
        link.send(Party::P1, vec![7].into()).await.expect("memory");
        let turns = Turns::new(Party::P1, 1, Duration::from_secs(1));
        let error = turns.wait(session(1), &*net.seat(Party::P1), (Flow::Login, 1)).await.expect_err("nonsense");
        assert!(matches!(error, Error::Peer { peer: Party::P0, .. }), "{error}");
    }
}
