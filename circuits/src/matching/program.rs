//! Verification and identification by templates of bits, as programs.

use super::{
    Answer, Kind, MatchingError, Threshold,
    compare::{Comparison, below},
    encode::{Around, encode},
    gallery::{Gallery, sum},
    select::{any, any_cost},
    templates::{Enrolled, Templates},
};
use crate::boolean::LaneCost;
use crate::program::{Executor, Inputs, Program, Released, Running, Shape, Tiling};
use std::sync::Arc;
use trefoil_engine::{Cost, prelude::*};

/// Matches one probe against the templates of one or more users, in all rotations of their kind: 1:1 verification, 1:N identification.
///
/// **Shape** inputs: the probe, [`Kind::sent`], and the templates, [`Kind::stored`], those of a user one after the other. Output: one bit, or one and those of a place. **Cost**
/// [`cost`](Self::cost); for each rotation two integers of 16 bits, a comparison, about a bit. **Security** composition of quadratic gates; no distance is opened, nor which template of a user or which rotation has matched.
/// Templates are compared where they lie. **Source** the comparison is ours; masked bits as zeros beside ones and minus ones are folklore.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Match {
    kind: Kind,
    comparison: Comparison,
    covered: Option<Comparison>,
    gallery: Gallery,
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
    /// [`MatchingError::Setting`] for no template, or more than [`MOST_TEMPLATES`](super::MOST_TEMPLATES).
    pub fn identify(
        kind: Kind,
        threshold: Threshold,
        users_each: [usize; 2],
        answer: Answer,
    ) -> Result<Self, MatchingError> {
        // Products of a batch are about half a megabyte.
        let gallery = Gallery::new(users_each, answer, 512)?;
        Ok(Self { kind, comparison: Comparison::new(kind, threshold), covered: None, gallery })
    }

    /// Cuts the users in another way than into batches of 512 templates on four strands. A batch is rounded up to a multiple of 64 users.
    #[must_use]
    pub fn tiled(self, tiling: Tiling) -> Self {
        Self { gallery: self.gallery.tiled(tiling), ..self }
    }

    /// With at least so many mask bits valid in both templates in the rotation that matches: of a few bits that are compared, chance has all agree.
    ///
    /// Who is not trusted to make honest masks has to be held to this.
    ///
    /// # Errors
    /// [`MatchingError::Setting`] for none, or more than there are.
    pub fn covered(self, least: usize) -> Result<Self, MatchingError> {
        let holds = (1..=self.kind.mask_bits()).contains(&least);
        MatchingError::setting(holds, "the least number of valid mask bits", least, "it is from 1 to all mask bits")?;
        Ok(Self { covered: Some(Comparison::covered(self.kind, least)), ..self })
    }

    /// Templates compared.
    pub fn templates(&self) -> usize {
        self.gallery.templates()
    }

    /// Strands that it computes on at the same time.
    pub fn strands(&self) -> usize {
        self.gallery.strands()
    }

    /// What the output says, once put together: the user, counted from 0. With [`Answer::Match`] any user that matches is 0.
    pub fn found(&self, output: &[Lanes]) -> Option<usize> {
        self.gallery.found(output)
    }

    /// The exact cost of P0 in semi-honest mode.
    pub fn cost(&self) -> Cost {
        self.gallery.cost(self.kind.encode_cost(1), |users| {
            let rotations = users * self.gallery.each * self.kind.rotations();
            let products = 2 * rotations as u64;
            let dots = Cost { rounds: 1, bytes_sent: size_of::<Z16>() as u64 * products, products };
            let any = any_cost(self.gallery.each * self.kind.rotations(), users).over(1);
            let both = |covered: Comparison| covered.cost().then(LaneCost { rounds: 1, bits: 1 });
            let covered = self.covered.map(|covered| both(covered).over(Lanes::words(rotations)));
            sum([dots, self.comparison.cost().over(Lanes::words(rotations)), covered.unwrap_or_default(), any])
        })
    }

    /// Runs on templates that the node holds: they are neither copied nor, in malicious mode, compared with the other nodes' copies once more.
    ///
    /// # Errors
    /// [`Error::Shape`] for inputs of other shapes; whatever the protocol's rounds give. Not cancel safe.
    pub fn run_on<'a, M: Mode>(
        &'a self,
        ctx: Ctx<M>,
        probe: Shares<Lanes>,
        templates: Arc<Shares<Z16>>,
        executor: &'a dyn Executor,
    ) -> Running<'a, M> {
        self.search(ctx, probe, Enrolled::Shared(templates), executor)
    }

    /// As [`run_on`](Self::run_on), on templates in the form that is best for many probes.
    ///
    /// # Errors
    /// As [`run_on`](Self::run_on). Not cancel safe.
    pub fn run_in<'a, M: Mode>(
        &'a self,
        ctx: Ctx<M>,
        probe: Shares<Lanes>,
        templates: Arc<Templates<M>>,
        executor: &'a dyn Executor,
    ) -> Running<'a, M> {
        self.search(ctx, probe, Enrolled::Kept(templates), executor)
    }

    /// Boxed as [`Program::run`].
    fn search<'a, M: Mode>(
        &'a self,
        mut ctx: Ctx<M>,
        probe: Shares<Lanes>,
        enrolled: Enrolled<M>,
        executor: &'a dyn Executor,
    ) -> Running<'a, M> {
        Box::pin(async move {
            enrolled.check(self.kind, self.templates())?;
            let probe = encode(&mut ctx, self.kind, 1, probe.view()).await?;
            let around = Arc::new(Around::new(self.kind, probe.view()));
            drop(probe);
            let me = *self;
            let batch = self.gallery.run(ctx, executor, move |strand, users| {
                let (around, enrolled) = (around.clone(), enrolled.clone());
                Box::pin(async move { me.batch(strand, &around, &enrolled, users).await })
            });
            batch.await
        })
    }

    /// Which of some users match, as lanes.
    async fn batch<M: Mode>(
        &self,
        ctx: &mut Ctx<M>,
        around: &Around,
        enrolled: &Enrolled<M>,
        [from, users]: [usize; 2],
    ) -> Result<Shares<Lanes>, Error> {
        let Self { kind, gallery, .. } = *self;
        let rotations = kind.rotations();
        let dots = enrolled.dots(ctx, kind, around, [from, users].map(|k| k * gallery.each)).await?;
        // All users' products in one rotation with one of their templates side by side.
        let dots = Shares::rearrange(dots.view(), dots.len(), |dots, out| {
            let half = (dots.len() / 2).max(1);
            for (dots, out) in dots.chunks_exact(half).zip(out.chunks_exact_mut(half)) {
                for (template, dots) in dots.chunks_exact(rotations).enumerate() {
                    let place = gallery.place(template, users);
                    let (alternative, user) = (place / users, place % users);
                    for (rotation, &dot) in dots.iter().enumerate() {
                        out[(alternative * rotations + rotation) * users + user] = dot;
                    }
                }
            }
        });
        let mut near = below(ctx, self.comparison, dots.view()).await?;
        if let Some(covered) = self.covered {
            let covered = below(ctx, covered, dots.view()).await?;
            near = ctx.mul(near.view(), covered.view()).await?;
        }
        any(ctx, gallery.each * rotations, users, near.view()).await
    }
}

impl Program for Match {
    fn inputs(&self) -> Vec<Shape> {
        vec![self.kind.sent(1), self.kind.stored(self.templates())]
    }

    fn outputs(&self) -> Vec<Shape> {
        vec![self.gallery.output()]
    }

    async fn protocol<M: Mode>(
        &self,
        ctx: Ctx<M>,
        mut inputs: Inputs,
        executor: &dyn Executor,
    ) -> Result<Released<M>, Error> {
        inputs.check(&self.inputs())?;
        let (probe, templates) = (inputs.bits(0)?, inputs.z16(1)?);
        self.run_on(ctx, probe, Arc::new(templates), executor).await
    }
}
