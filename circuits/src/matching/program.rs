//! Verification and identification as programs.

use super::{
    Kind, MatchingError, Threshold,
    compare::{Comparison, below},
    encode::{around, encode},
    select::{any, any_cost, first, first_cost, place_bits},
};
use crate::program::{Executor, Inputs, Program, Released, Shape, Tiling, in_batches};
use std::sync::Arc;
use trefoil_engine::{Cost, prelude::*};

/// Most templates of a gallery.
pub const MOST_TEMPLATES: usize = 1 << 24;

/// What is to be known of a probe.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// One bit: whether it matches anybody.
    Match,
    /// Whether it does, and the first user it matches: see [`Match::found`].
    First,
}

/// Matches one probe against the templates of one or more users, in all rotations of their kind: 1:1 verification, 1:N identification.
///
/// **Shape** inputs: the probe, [`Kind::sent`], and the templates, [`Kind::stored`], those of a user one after the other. Output: one bit, or one and those of a place. **Cost**
/// [`cost`](Self::cost); for each rotation two integers of 16 bits, a comparison, about a bit. **Security** composition of quadratic gates; no distance is opened, nor which template of a user or which rotation has matched.
/// Templates are compared where they lie. **Source** the comparison is ours; the encoding with masks is that of Bowyer and others' distance with masked bits as zeros.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Match {
    kind: Kind,
    comparison: Comparison,
    /// Users, and templates of each.
    users: usize,
    each: usize,
    answer: Answer,
    tiling: Tiling,
}

impl Match {
    /// Whether a probe matches one of a user's templates.
    ///
    /// # Errors
    /// [`MatchingError::Setting`] for no template, or too many.
    pub fn verify(kind: Kind, threshold: Threshold, templates: usize) -> Result<Self, MatchingError> {
        Self::identify(kind, threshold, [1, templates], Answer::Match)
    }

    /// Which of some users a probe matches, all having so many templates each, or whether it matches any.
    ///
    /// # Errors
    /// [`MatchingError::Setting`] for no template, or more than [`MOST_TEMPLATES`].
    pub fn identify(
        kind: Kind,
        threshold: Threshold,
        [users, each]: [usize; 2],
        answer: Answer,
    ) -> Result<Self, MatchingError> {
        let accepted = "a gallery has 1 to 16,777,216 templates";
        let templates = users.saturating_mul(each);
        MatchingError::setting(
            (1..=MOST_TEMPLATES).contains(&templates),
            "the number of templates",
            templates,
            accepted,
        )?;
        let comparison = Comparison::new(kind, threshold);
        // Products of about half a megabyte.
        let batch = (512 / each.max(1)).max(1);
        Ok(Self { kind, comparison, users, each, answer, tiling: Tiling { batch, strands: 4 } })
    }

    /// Cuts the users in another way than into batches of 512 templates on four strands. A batch is rounded up to a multiple of 64 users.
    #[must_use]
    pub fn tiled(self, tiling: Tiling) -> Self {
        Self { tiling, ..self }
    }

    /// Templates compared.
    pub fn templates(&self) -> usize {
        self.users * self.each
    }

    /// Strands that it computes on at the same time.
    pub fn strands(&self) -> usize {
        self.tiling.strands.min(self.users.div_ceil(self.users_at_once())).max(1)
    }

    /// What the output says, once put together: the user, counted from 0. With [`Answer::Match`] any user that matches is 0.
    pub fn found(&self, output: &[Lanes]) -> Option<usize> {
        let word = output.first().map_or(0, |word| word.0);
        let place = match self.answer {
            Answer::Match => 0,
            Answer::First => (word >> 1 & ((1 << place_bits(self.users)) - 1)) as usize,
        };
        (word & 1 == 1).then_some(place)
    }

    /// The exact cost of P0 in semi-honest mode.
    pub fn cost(&self) -> Cost {
        let mut cost = self.kind.encode_cost(1);
        let add = |cost: &mut Cost, more: Cost| {
            cost.bytes_sent += more.bytes_sent;
            cost.products += more.products;
        };
        let mut rounds = vec![0; self.strands()];
        for (k, from) in (0..self.users).step_by(self.users_at_once()).enumerate() {
            let users = self.users_at_once().min(self.users - from);
            let rotations = users * self.each * self.kind.rotations();
            let dots = 2 * rotations as u64;
            let flags = self.comparison.cost().over(Lanes::words(rotations));
            let any = any_cost(self.each * self.kind.rotations(), users).over(1);
            let strand = k % rounds.len();
            rounds[strand] += 1 + flags.rounds + any.rounds;
            add(&mut cost, Cost { rounds: 0, bytes_sent: 2 * dots, products: dots });
            add(&mut cost, flags);
            add(&mut cost, any);
        }
        let answer = match self.answer {
            Answer::Match => any_cost(self.users, 1),
            Answer::First => first_cost(self.users),
        };
        add(&mut cost, answer.over(1));
        cost.rounds += rounds.into_iter().max().unwrap_or(0) + answer.rounds;
        cost
    }

    /// Runs on templates that the node holds: they are neither copied nor, in malicious mode, compared with the other nodes' copies once more.
    ///
    /// # Errors
    /// [`Error::Shape`] for inputs of other shapes; whatever the protocol's rounds give. Not cancel safe.
    pub async fn run_on<M: Mode>(
        &self,
        mut ctx: Ctx<M>,
        probe: Shares<Lanes>,
        templates: Arc<Shares<Z16>>,
        executor: &impl Executor,
    ) -> Result<Released<M>, Error> {
        let due = self.kind.stored(self.templates()).elements();
        crate::arith::bits::same("the templates of a gallery", due, templates.len())?;
        let probe = encode(&mut ctx, self.kind, 1, probe.view()).await?;
        let around = Arc::new(around(self.kind, probe.view()));
        drop(probe);
        let (me, batch) = (*self, self.users_at_once());
        let batches = self.users.div_ceil(batch);
        let parts = in_batches(&mut ctx, (batches, self.tiling.strands), executor, move |strand, k| {
            let (around, templates) = (around.clone(), templates.clone());
            Box::pin(async move {
                let users = [k * batch, batch.min(me.users - k * batch)];
                me.batch(strand, around.view(), &templates, users).await
            })
        });
        let mut flags = Shares::zeros(Lanes::words(self.users));
        for (k, part) in parts.await? {
            flags.copy_from(k * batch / Lanes::COUNT, part.view())?;
        }
        let output = match self.answer {
            Answer::Match => any(&mut ctx, self.users, 1, flags.view()).await?,
            Answer::First => first(&mut ctx, self.users, flags.view()).await?,
        };
        Ok(Released { strand: ctx.verify().await?, outputs: vec![output.into()] })
    }

    fn users_at_once(&self) -> usize {
        self.tiling.batch.clamp(1, MOST_TEMPLATES).next_multiple_of(Lanes::COUNT)
    }

    /// Which of some users match, as lanes.
    async fn batch<M: Mode>(
        &self,
        ctx: &mut Ctx<M>,
        around: View<'_, Z16>,
        templates: &Shares<Z16>,
        [from, users]: [usize; 2],
    ) -> Result<Shares<Lanes>, Error> {
        let (kind, rotations) = (self.kind, self.kind.rotations());
        let (count, entries) = (users * self.each, kind.entries());
        let templates = templates.view().slice(from * self.each * entries, count * entries)?;
        let codes = Windows::new(templates, entries, count, kind.code_bits())?;
        let rest = templates.slice(kind.code_bits(), count * entries - kind.code_bits())?;
        let masks = Windows::new(rest, entries, count, kind.mask_bits())?;
        let columns = kind.columns() + 2 * kind.turns();
        let (of_code, of_mask) = (kind.covers() * kind.height(), kind.height());
        let turned = Windows::new(around.slice(0, columns * of_code)?, of_code, rotations, kind.code_bits())?;
        let turned_mask =
            Windows::new(around.slice(columns * of_code, columns * of_mask)?, of_mask, rotations, kind.mask_bits())?;
        let dots = ctx.dots(&[[codes, turned], [masks, turned_mask]]).await?;
        // All users' products in one rotation with one of their templates side by side.
        let dots = Shares::rearrange(dots.view(), dots.len(), |dots, out| {
            let of = dots.len() / 2;
            for (dots, out) in dots.chunks_exact(of.max(1)).zip(out.chunks_exact_mut(of.max(1))) {
                for (k, &dot) in dots.iter().enumerate() {
                    let (template, rotation) = (k / rotations, k % rotations);
                    let (user, alternative) = (template / self.each, template % self.each);
                    out[(alternative * rotations + rotation) * users + user] = dot;
                }
            }
        });
        let below = below(ctx, self.comparison, dots.view()).await?;
        any(ctx, self.each * rotations, users, below.view()).await
    }
}

impl Program for Match {
    fn inputs(&self) -> Vec<Shape> {
        vec![self.kind.sent(1), self.kind.stored(self.templates())]
    }

    fn outputs(&self) -> Vec<Shape> {
        vec![Shape::bits(match self.answer {
            Answer::Match => 1,
            Answer::First => 1 + place_bits(self.users),
        })]
    }

    async fn run<M: Mode>(
        &self,
        ctx: Ctx<M>,
        mut inputs: Inputs,
        executor: &impl Executor,
    ) -> Result<Released<M>, Error> {
        inputs.check(&self.inputs())?;
        let (probe, templates) = (inputs.bits(0)?, inputs.z16(1)?);
        self.run_on(ctx, probe, Arc::new(templates), executor).await
    }
}
