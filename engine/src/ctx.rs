//! A strand: one sequential thread of a protocol.

use crate::{
    Error, Mode, Party, SessionKeys, Verified,
    prss::Prss,
    transport::{Link, Path, SessionId, Transport},
};
use std::{fmt, sync::Arc};

/// Exact costs of a strand, as this party sees them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Cost {
    /// Messages in sequence. Joined strands run side by side: the longest counts.
    pub rounds: u64,
    /// Payload bytes this party sent, without frame headers.
    pub bytes_sent: u64,
    /// Ring elements reshared: one for each output element of a product or bilinear gate.
    pub products: u64,
}

/// Who and where a session is: the same on all strands of it.
pub(crate) struct Seat {
    pub(crate) me: Party,
    pub(crate) session: SessionId,
    pub(crate) keys: SessionKeys,
    pub(crate) net: Arc<dyn Transport>,
}

/// One sequential *strand* of a protocol: its PRSS streams, its ordered link and its cost counters.
///
/// Used through `&mut`, so program order fixes the order of messages and of draws: two draws cannot share a
/// counter and two rounds cannot interleave. Parallelism is [`fork`](Self::fork) and [`join`](Self::join). Nothing can be
/// opened on a strand; [`verify`](Self::verify) ends it and returns the [`Verified`](crate::Verified) that can.
///
/// A round is not cancel safe: a strand whose round was dropped or failed, or on which a check failed, answers
/// [`Error::Poisoned`] from then on.
///
/// ```compile_fail
/// async fn interleave<M: trefoil_engine::Mode>(ctx: &mut trefoil_engine::Ctx<M>, x: &trefoil_engine::Shares<trefoil_engine::Z64>) {
///     let a = ctx.mul(x.view(), x.view());
///     let b = ctx.mul(x.view(), x.view());
///     let _ = (a.await, b.await);
/// }
/// ```
/// ```compile_fail
/// async fn unverified<M: trefoil_engine::Mode>(mut ctx: trefoil_engine::Ctx<M>, x: &trefoil_engine::Shares<trefoil_engine::Z64>) {
///     let _ = ctx.open(x.view()).await;
/// }
/// ```
#[must_use = "join it into its parent or verify it"]
pub struct Ctx<M: Mode> {
    pub(crate) seat: Arc<Seat>,
    pub(crate) path: Path,
    pub(crate) prss: Prss,
    pub(crate) link: Box<dyn Link>,
    pub(crate) log: M::Log,
    parent: Option<Path>,
    forks: u32,
    open_forks: u32,
    pub(crate) open_sites: u32,
    poisoned: bool,
    /// Whether a check has begun that has not ended well: what it was about is no longer recorded.
    checking: bool,
    /// Whether gates of the strands it was forked from were unchecked at that time. The same on all parties.
    resting: bool,
    pub(crate) cost: Cost,
    pub(crate) check_every: usize,
}

/// Bytes of recorded gates after which they are checked, unless [`Ctx::check_every`] says otherwise.
pub const CHECK_EVERY: usize = 8 << 20;

impl<M: Mode> Ctx<M> {
    /// The root strand of a session.
    ///
    /// # Errors
    /// As [`Transport::open`].
    pub async fn root(
        me: Party,
        session: SessionId,
        keys: SessionKeys,
        net: Arc<dyn Transport>,
    ) -> Result<Self, Error> {
        Self::at(Arc::new(Seat { me, session, keys, net }), Path::root(), None).await
    }

    /// Bytes of recorded gates after which they are checked, on this strand and on those forked from it later: [`CHECK_EVERY`] unless told. The same on all
    /// parties. While a batch is checked about three times as much memory is held; of products of matrices that is counted beforehand. What a single call records is not cut, but for [`dots`](Self::dots).
    /// Without effect in a mode that records nothing.
    pub fn check_every(&mut self, bytes: usize) {
        self.check_every = bytes;
    }

    async fn at(seat: Arc<Seat>, path: Path, parent: Option<Path>) -> Result<Self, Error> {
        let link = seat.net.open(seat.session, path).await?;
        let prss = Prss::at(&seat.keys, path);
        Ok(Self {
            seat,
            path,
            prss,
            link,
            log: M::Log::default(),
            parent,
            forks: 0,
            open_forks: 0,
            open_sites: 0,
            poisoned: false,
            checking: false,
            resting: false,
            cost: Cost::default(),
            check_every: CHECK_EVERY,
        })
    }

    /// The party this strand computes for.
    pub fn me(&self) -> Party {
        self.seat.me
    }

    /// What this strand, and the strands joined into it, have cost so far.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// `n` independent strands, each with its own keys and its own streams. They may run in any order and in
    /// parallel: their names are fixed here, not when a task happens to run.
    ///
    /// # Errors
    /// As [`Transport::open`].
    pub async fn fork(&mut self, n: u32) -> Result<Vec<Self>, Error> {
        let mut children = Vec::with_capacity(n as usize);
        for _ in 0..n {
            let path = self.path.child(self.forks);
            let ordinal = self.forks.checked_add(1).ok_or(Error::StreamExhausted)?;
            self.forks = ordinal;
            self.open_forks += 1;
            let mut child = Self::at(self.seat.clone(), path, Some(self.path)).await?;
            // So that the maximum taken by join is the length of the critical path.
            child.cost.rounds = self.cost.rounds;
            child.check_every = self.check_every;
            child.resting = self.resting || M::recorded(&self.log) > 0;
            children.push(child);
        }
        Ok(children)
    }

    /// Takes a forked strand back: its costs, and its unchecked gates.
    ///
    /// # Errors
    /// [`Error::ForeignStrand`] if this strand did not fork it, [`Error::UnjoinedFork`] if it has forks of its own
    /// that were not joined, [`Error::Poisoned`] if one of its rounds failed.
    pub fn join(&mut self, child: Self) -> Result<(), Error> {
        self.owns(&child)?;
        if child.open_forks != 0 {
            return Err(Error::UnjoinedFork(child.open_forks));
        }
        if child.open_sites != 0 {
            return Err(Error::OpenSite(child.open_sites));
        }
        self.open_forks -= 1;
        self.cost.rounds = self.cost.rounds.max(child.cost.rounds);
        self.cost.bytes_sent += child.cost.bytes_sent;
        self.cost.products += child.cost.products;
        self.poisoned |= child.poisoned || child.checking;
        M::absorb(&mut self.log, child.log);
        if self.poisoned { Err(Error::Poisoned) } else { Ok(()) }
    }

    /// Takes back a forked strand that was verified on its own, for an opening in the middle of a protocol. For that, [`check`](Self::check)
    /// this strand before it forks.
    ///
    /// # Errors
    /// [`Error::ForeignStrand`] if this strand did not fork it, [`Error::Poisoned`] if one of its openings failed.
    pub fn join_verified(&mut self, child: Verified<M>) -> Result<(), Error> {
        self.join(child.into_strand())
    }

    fn owns(&self, child: &Self) -> Result<(), Error> {
        if child.parent == Some(self.path) && Arc::ptr_eq(&child.seat, &self.seat) {
            return Ok(());
        }
        Err(Error::ForeignStrand { child: child.path, parent: self.path })
    }

    pub(crate) fn ready(&self) -> Result<(), Error> {
        if self.poisoned {
            return Err(Error::Poisoned);
        }
        if self.open_forks != 0 {
            return Err(Error::UnjoinedFork(self.open_forks));
        }
        Ok(())
    }

    /// Marks the strand as inside a round. Only [`end_round`](Self::end_round) lifts the mark.
    pub(crate) fn begin_round(&mut self) -> Result<(), Error> {
        if std::mem::replace(&mut self.poisoned, true) { Err(Error::Poisoned) } else { Ok(()) }
    }

    /// Nothing more is computed, checked or opened on a strand on which somebody was found to deviate.
    pub(crate) fn poison_if<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        self.poisoned |= result.is_err();
        result
    }

    /// Marks the strand as inside a check. Only [`end_check`](Self::end_check) lifts the mark: a check that was dropped is not forgotten.
    pub(crate) fn begin_check(&mut self) -> Result<(), Error> {
        if self.poisoned || std::mem::replace(&mut self.checking, true) { Err(Error::Poisoned) } else { Ok(()) }
    }

    pub(crate) fn poisoned(&self) -> bool {
        self.poisoned || self.checking
    }

    pub(crate) fn end_check(&mut self) {
        self.checking = false;
    }

    /// Whether this strand was forked from gates that had not been checked.
    pub(crate) fn rests_on_unchecked(&self) -> bool {
        self.resting
    }

    pub(crate) fn end_round(&mut self) {
        self.cost.rounds += 1;
        self.poisoned = false;
    }
}

impl<M: Mode> fmt::Debug for Ctx<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ctx<{}>({}, {}/{})", M::NAME, self.seat.me, self.seat.session, self.path)
    }
}
