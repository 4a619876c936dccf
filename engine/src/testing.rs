//! Three parties in one process: share inputs, run a closure as each party, reconstruct.
//!
//! ```
//! use trefoil_engine::{prelude::*, testing};
//! // 6 * 7 on shares, opened to all.
//! let out = testing::three(async |mut ctx: Ctx<SemiHonest>| {
//!     let x = Shares::public(ctx.me(), &[Z64(6)]);
//!     let y = Shares::public(ctx.me(), &[Z64(7)]);
//!     let z = ctx.mul(x.view(), y.view()).await?;
//!     ctx.verify().await?.open(z.view()).await
//! });
//! assert_eq!(out, [vec![Z64(42)], vec![Z64(42)], vec![Z64(42)]]);
//! ```

pub mod views;

use crate::{
    Ctx, Error, Mode, Party, Shares,
    client::{self, InputShare, OutputShare},
    prss::{PairSecret, SessionBinding, SessionKeys, all_keys},
    ring::Ring,
    transport::{
        SessionId,
        memory::{Conditions, Memory},
    },
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::Thread,
};

/// Drives a future on this thread, parked while it waits.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let turns = Turns::new();
    let mut future = pin!(future);
    loop {
        match turns.poll(future.as_mut()) {
            Poll::Ready(out) => return out,
            Poll::Pending => turns.wait(),
        }
    }
}

/// Futures of this thread, and whether one of them was woken since it was polled.
struct Turns {
    woken: Arc<Woken>,
    waker: Waker,
}

struct Woken {
    thread: Thread,
    flag: AtomicBool,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.flag.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

impl Turns {
    fn new() -> Self {
        let woken = Arc::new(Woken { thread: std::thread::current(), flag: AtomicBool::new(false) });
        Self { waker: Waker::from(woken.clone()), woken }
    }

    fn poll<F: Future>(&self, future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(&self.waker))
    }

    /// Whether a future was woken since this was last asked.
    fn woken(&self) -> bool {
        self.woken.flag.swap(false, Ordering::SeqCst)
    }

    fn wait(&self) {
        while !self.woken() {
            std::thread::park();
        }
    }
}

/// The fixed parameters of a test session, varied by `seed`: same seed, same randomness.
#[derive(Debug, Default)]
pub struct Setup {
    /// Changes every key of the session.
    pub seed: u64,
    /// The network.
    pub conditions: Conditions,
}

/// Runs `f` as all three parties, taking turns on this thread, and returns what each returned. If all of them wait for frames that
/// nobody is going to send, they get [`LinkFault::Stalled`](crate::LinkFault::Stalled): `f` waits for nothing but the network.
///
/// # Panics
/// If `f` panics.
pub fn three_with<M: Mode, T, F>(setup: Setup, f: F) -> [Result<T, Error>; 3]
where
    F: AsyncFn(Ctx<M>) -> Result<T, Error>,
{
    let Setup { seed, conditions } = setup;
    three_under(session_keys(seed, [0, 1, 2]), conditions, f)
}

const SESSION: SessionId = SessionId([7; 16]);

/// The keys of a test session in which party `i` and its `prev` hold pairwise secret number `pairs[i]`.
fn session_keys(seed: u64, pairs: [u8; 3]) -> [SessionKeys; 3] {
    let secrets = pairs.map(|pair| {
        let mut secret = [pair; 32];
        secret[..8].copy_from_slice(&seed.to_le_bytes());
        PairSecret::new(secret)
    });
    let binding = SessionBinding { session: SESSION, job_digest: [0; 32], nonces: [[0; 32]; 3] };
    all_keys(&secrets, &binding)
}

/// As [`three_with`], under given keys.
fn three_under<M: Mode, T, F>(keys: [SessionKeys; 3], conditions: Conditions, f: F) -> [Result<T, Error>; 3]
where
    F: AsyncFn(Ctx<M>) -> Result<T, Error>,
{
    let delayed = !conditions.latency.is_zero();
    let net = Memory::new(conditions);
    let mut keys = keys.into_iter();
    let parties = Party::ALL.map(|p| {
        let (keys, net, f) = (keys.next(), net.seat(p), &f);
        async move {
            let keys = keys.expect("three parties, three sets of keys");
            f(Ctx::root(p, SESSION, keys, net).await?).await
        }
    });
    // A party that has returned is dropped at once, so that its peers see its strands end.
    let mut running = parties.map(|p| Some(Box::pin(p)));
    let mut results = [const { None }; 3];
    let turns = Turns::new();
    loop {
        for (party, result) in running.iter_mut().zip(&mut results) {
            if let Some(future) = party
                && let Poll::Ready(r) = turns.poll(future.as_mut())
            {
                *result = Some(r);
                *party = None;
            }
        }
        if running.iter().all(Option::is_none) {
            break;
        }
        if delayed {
            turns.wait();
        } else if !turns.woken() {
            net.stall();
        }
    }
    results.map(|r| r.expect("every party has returned"))
}

/// The inputs dealt to one party.
async fn dealt_to<M: Mode, R: Ring>(ctx: &mut Ctx<M>, dealt: Vec<InputShare<R>>) -> Result<Vec<Shares<R>>, Error> {
    let mut shares = Vec::with_capacity(dealt.len());
    for share in dealt {
        shares.push(ctx.input(share).await?);
    }
    Ok(shares)
}

/// Runs `f` as all three parties over an undisturbed network.
///
/// # Panics
/// If a party fails.
pub fn three<M: Mode, T, F>(f: F) -> [T; 3]
where
    F: AsyncFn(Ctx<M>) -> Result<T, Error>,
{
    three_with(Setup::default(), f).map(|r| r.expect("a party failed"))
}

/// Shares `inputs`, and runs `f` as all three parties on these shares.
///
/// # Panics
/// If `f` panics.
#[allow(clippy::needless_pass_by_value)] // a closure is written in place
pub fn on_shares_with<M: Mode, R: Ring, T, F>(setup: Setup, inputs: &[&[R]], f: F) -> [Result<T, Error>; 3]
where
    F: AsyncFn(Ctx<M>, Vec<Shares<R>>) -> Result<T, Error>,
{
    let mut rng = ChaCha20Rng::seed_from_u64(setup.seed);
    // Per party, the shares of every input; taken once by the party.
    let mut dealt: [Vec<InputShare<R>>; 3] = [vec![], vec![], vec![]];
    for x in inputs {
        for (party, share) in dealt.iter_mut().zip(client::split_with(x, &mut rng)) {
            party.push(share);
        }
    }
    let dealt = dealt.map(|d| Mutex::new(Some(d)));
    three_with::<M, _, _>(setup, async |mut ctx| {
        let mine = dealt[ctx.me().index()].lock().unwrap_or_else(PoisonError::into_inner).take();
        let shares = dealt_to(&mut ctx, mine.unwrap_or_default()).await?;
        f(ctx, shares).await
    })
}

/// Shares `inputs`, runs `f` as all three parties, reconstructs the result it returns, and gives the cost of P0.
///
/// # Panics
/// If a party fails or the parties' results do not fit together.
#[allow(clippy::needless_pass_by_value)] // a closure is written in place
pub fn on_shares<M: Mode, R: Ring, F>(inputs: &[&[R]], f: F) -> (Vec<R>, crate::Cost)
where
    F: AsyncFn(&mut Ctx<M>, Vec<Shares<R>>) -> Result<Shares<R>, Error>,
{
    let out = on_shares_with::<M, R, _, _>(Setup::default(), inputs, async |mut ctx, shares| {
        let z = f(&mut ctx, shares).await?;
        let verified = ctx.verify().await?;
        Ok((verified.output(z.view())?, verified.cost()))
    })
    .map(|r| r.expect("a party failed"));
    let cost = out[0].1;
    let shares: [OutputShare<R>; 3] = out.map(|(share, _)| share);
    (client::reconstruct(&shares).expect("the parties' outputs fit together"), cost)
}
