//! Users with some templates each, and what is told of them.

use super::{
    MatchingError,
    select::{any, any_cost, first, first_cost, place_bits},
};
use crate::program::{Executor, Released, Shape, Tiling, in_batches};
use trefoil_engine::{Cost, prelude::*, transport::BoxFuture};

/// Most templates of a gallery.
pub const MOST_TEMPLATES: usize = 1 << 24;

/// What is to be known of a probe.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// One bit: whether it matches anybody.
    Match,
    /// Whether it does, and the first user it matches.
    First,
}

impl Answer {
    /// The form of it for so many users.
    pub fn shape(self, users: usize) -> Shape {
        Shape::bits(match self {
            Self::Match => 1,
            Self::First => 1 + place_bits(users),
        })
    }

    /// What it says of so many users, once put together: the user, counted from 0. With [`Match`](Self::Match) any user that matches is 0.
    pub fn found(self, users: usize, output: &[Lanes]) -> Option<usize> {
        let word = output.first().map_or(0, |word| word.0);
        let place = match self {
            Self::Match => 0,
            Self::First => (word >> 1 & ((1 << place_bits(users)) - 1)) as usize,
        };
        (word & 1 == 1).then_some(place)
    }
}

/// Users, the templates of each one after the other, and the batches they are compared in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Gallery {
    pub(super) users: usize,
    pub(super) each: usize,
    answer: Answer,
    tiling: Tiling,
}

impl Gallery {
    /// In batches of about so many templates.
    pub(super) fn new([users, each]: [usize; 2], answer: Answer, batch: usize) -> Result<Self, MatchingError> {
        let accepted = "a gallery has 1 to 16,777,216 templates";
        let templates = users.saturating_mul(each);
        let holds = (1..=MOST_TEMPLATES).contains(&templates);
        MatchingError::setting(holds, "the number of templates", templates, accepted)?;
        let tiling = Tiling { batch: (batch / each).max(1), strands: 4 };
        Ok(Self { users, each, answer, tiling })
    }

    pub(super) fn tiled(self, tiling: Tiling) -> Self {
        Self { tiling, ..self }
    }

    pub(super) fn templates(self) -> usize {
        self.users * self.each
    }

    pub(super) fn strands(self) -> usize {
        self.tiling.strands.min(self.users.div_ceil(self.users_at_once())).max(1)
    }

    pub(super) fn output(self) -> Shape {
        self.answer.shape(self.users)
    }

    pub(super) fn found(self, output: &[Lanes]) -> Option<usize> {
        self.answer.found(self.users, output)
    }

    /// Where a template goes so that all users' templates of one number lie side by side.
    pub(super) fn place(self, template: usize, users: usize) -> usize {
        template % self.each * users + template / self.each
    }

    /// Runs all batches of users, each of which gives a lane for each user, and answers. A batch is given the first user and their number.
    pub(super) async fn run<M: Mode>(
        self,
        mut ctx: Ctx<M>,
        executor: &dyn Executor,
        batch: impl for<'a> Fn(&'a mut Ctx<M>, [usize; 2]) -> BoxFuture<'a, Result<Shares<Lanes>, Error>>
        + Send
        + Sync
        + 'static,
    ) -> Result<Released<M>, Error> {
        let at_once = self.users_at_once();
        let batches = (self.users.div_ceil(at_once), self.tiling.strands);
        let parts = in_batches(&mut ctx, batches, executor, move |strand, k| {
            batch(strand, [k * at_once, at_once.min(self.users - k * at_once)])
        });
        let mut flags = Shares::zeros(Lanes::words(self.users));
        for (k, part) in parts.await? {
            flags.copy_from(k * at_once / Lanes::COUNT, part.view())?;
        }
        let output = match self.answer {
            Answer::Match => any(&mut ctx, self.users, 1, flags.view()).await?,
            Answer::First => first(&mut ctx, self.users, flags.view()).await?,
        };
        Ok(Released { strand: ctx.verify().await?, outputs: vec![output.into()] })
    }

    /// The exact cost of P0 in semi-honest mode, by that of a batch of so many users.
    pub(super) fn cost(self, before: Cost, batch: impl Fn(usize) -> Cost) -> Cost {
        let mut cost = before;
        let mut add = |more: Cost| {
            cost.bytes_sent += more.bytes_sent;
            cost.products += more.products;
        };
        let mut rounds = vec![0; self.strands()];
        for (k, from) in (0..self.users).step_by(self.users_at_once()).enumerate() {
            let of_batch = batch(self.users_at_once().min(self.users - from));
            let strand = k % rounds.len();
            rounds[strand] += of_batch.rounds;
            add(of_batch);
        }
        let answer = match self.answer {
            Answer::Match => any_cost(self.users, 1),
            Answer::First => first_cost(self.users),
        };
        add(answer.over(1));
        cost.rounds += rounds.into_iter().max().unwrap_or(0) + answer.rounds;
        cost
    }

    fn users_at_once(self) -> usize {
        self.tiling.batch.clamp(1, MOST_TEMPLATES).next_multiple_of(Lanes::COUNT)
    }
}

/// One cost after the other.
pub(super) fn sum(costs: impl IntoIterator<Item = Cost>) -> Cost {
    costs.into_iter().fold(Cost::default(), |sum, c| Cost {
        rounds: sum.rounds + c.rounds,
        bytes_sent: sum.bytes_sent + c.bytes_sent,
        products: sum.products + c.products,
    })
}
