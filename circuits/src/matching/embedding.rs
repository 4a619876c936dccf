//! Embeddings of faces and voices: unit vectors of fixed-point numbers.

use super::{
    Answer, MatchingError, Threshold,
    gallery::{Gallery, sum},
    select::{any, any_cost},
};
use crate::{
    arith::{fixed::outside, sign, sign_cost},
    boolean::LaneCost,
    program::{Executor, Inputs, Program, Released, Running, Shape, Tiling},
};
use std::{fmt, sync::Arc};
use trefoil_engine::{Cost, prelude::*};
use zeroize::Zeroizing;

/// Most entries of an embedding.
pub const MOST_DIMENSIONS: usize = 1024;
/// One, and the largest entry. Its square is the square of the length.
const ONE: i64 = 1 << 14;

/// A unit vector in plain, in units of `2^-14`: at the device that extracted it, and in tests. Opaque, wiped on drop.
pub struct Embedding(Zeroizing<Vec<i64>>);

impl Embedding {
    /// A vector brought to length one and rounded.
    ///
    /// # Errors
    /// [`MatchingError::Setting`] for none or more than [`MOST_DIMENSIONS`] entries; [`MatchingError::NotFinite`], [`MatchingError::Zero`].
    pub fn new(entries: &[f32]) -> Result<Self, MatchingError> {
        let holds = (1..=MOST_DIMENSIONS).contains(&entries.len());
        MatchingError::setting(holds, "the number of dimensions", entries.len(), "embeddings have 1 to 1,024")?;
        if let Some(k) = entries.iter().position(|x| !x.is_finite()) {
            return Err(MatchingError::NotFinite(k));
        }
        let length = entries.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        if length == 0.0 {
            return Err(MatchingError::Zero);
        }
        let unit = |&x: &f32| (f64::from(x) / length * ONE as f64).round() as i64;
        Ok(Self(Zeroizing::new(entries.iter().map(unit).collect())))
    }

    /// What is to be split.
    pub fn to_integers(&self) -> Zeroizing<Vec<Z64>> {
        Zeroizing::new(self.0.iter().map(|x| Z64(x.cast_unsigned())).collect())
    }

    /// The entries in units of `2^-14`.
    pub fn entries(&self) -> &[i64] {
        &self.0
    }
}

impl fmt::Debug for Embedding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Embedding[{}]", self.0.len())
    }
}

/// When two embeddings match. Of either the square of the length is that of a rounded unit vector, or they do not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Metric {
    /// The cosine of the angle between them is above this.
    Cosine(Threshold),
    /// The distance between them is below twice this.
    Euclidean(Threshold),
}

impl Metric {
    /// Factors of the product, of the sum of both squares, and what is added: a match if the sum is negative.
    fn factors(self) -> [i64; 3] {
        let of = |t: Threshold| [t.numerator(), t.denominator()].map(i64::from);
        match self {
            Self::Cosine(t) => {
                let [p, q] = of(t);
                [-q, 0, p * ONE * ONE]
            }
            Self::Euclidean(t) => {
                let [p, q] = of(t);
                [-2 * q * q, q * q, -4 * p * p * ONE * ONE]
            }
        }
    }

    /// The plain twin: on any integers from `-2^14` to `2^14`.
    pub fn matches(self, x: &[i64], y: &[i64]) -> bool {
        let dot = |x: &[i64], y: &[i64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<i64>();
        let (squares, [of_product, of_squares, constant]) = ([dot(x, x), dot(y, y)], self.factors().map(i128::from));
        let [low, high] = lengths(x.len());
        let n = of_product * i128::from(dot(x, y)) + of_squares * i128::from(squares[0] + squares[1]) + constant;
        n < 0 && squares.iter().all(|square| (low..=high).contains(square))
    }
}

/// What the square of the length of a rounded unit vector can be: every entry is off by a half at most, so the square by the sum of all and a quarter for each.
fn lengths(dimensions: usize) -> [i64; 2] {
    let root = (dimensions as f64).sqrt().ceil() as i64;
    let off = root * ONE + (dimensions as f64 / 4.0).ceil() as i64;
    [ONE * ONE - off, ONE * ONE + off]
}

/// Matches one embedding against those of one or more users.
///
/// **Shape** inputs: the probe's integers, and the templates', those of a user one after the other. Output as that of [`Match`](super::Match). **Cost** [`cost`](Self::cost): for each
/// template two integers of 64 bits and three signs. **Security** composition of quadratic gates. Exact on entries from `-2^14` to `2^14`, which those who bring them check, and
/// [`beyond_limits`](crate::program::beyond_limits) on shares; that vectors have length one is checked here, as a part of the match. **Source** ours.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MatchEmbedding {
    dimensions: usize,
    metric: Metric,
    gallery: Gallery,
}

impl MatchEmbedding {
    /// Which of some users a probe of so many dimensions matches, all having so many templates each, or whether it matches any; for verification there is one user.
    ///
    /// # Errors
    /// [`MatchingError::Setting`] for no dimension or template, or more than [`MOST_DIMENSIONS`] or [`MOST_TEMPLATES`](super::MOST_TEMPLATES).
    pub fn new(
        dimensions: usize,
        metric: Metric,
        users_each: [usize; 2],
        answer: Answer,
    ) -> Result<Self, MatchingError> {
        let holds = (1..=MOST_DIMENSIONS).contains(&dimensions);
        MatchingError::setting(holds, "the number of dimensions", dimensions, "embeddings have 1 to 1,024")?;
        Ok(Self { dimensions, metric, gallery: Gallery::new(users_each, answer, 4096)? })
    }

    /// Cuts the users in another way than into batches of 4,096 templates on four strands. A batch is rounded up to a multiple of 64 users.
    #[must_use]
    pub fn tiled(self, tiling: Tiling) -> Self {
        Self { gallery: self.gallery.tiled(tiling), ..self }
    }

    /// Strands that it computes on at the same time.
    pub fn strands(&self) -> usize {
        self.gallery.strands()
    }

    /// As [`Match::found`](super::Match::found).
    pub fn found(&self, output: &[Lanes]) -> Option<usize> {
        self.gallery.found(output)
    }

    /// The exact cost of P0 in semi-honest mode.
    pub fn cost(&self) -> Cost {
        self.gallery.cost(Cost::default(), |users| {
            let (count, each) = (users * self.gallery.each, self.gallery.each);
            let products = 2 * count as u64 + 1;
            let dots = Cost { rounds: 2, bytes_sent: 8 * products, products };
            let signs = |n: usize| sign_cost().over(n * Lanes::COUNT);
            let compared = sum([signs(Lanes::words(count)), signs(2 * Lanes::words(count + 1))]);
            let and = LaneCost { rounds: 2, bits: 2 }.over(Lanes::words(count));
            sum([dots, compared, and, any_cost(each, users).over(1)])
        })
    }

    /// Runs on templates that the node holds, which are not copied.
    ///
    /// # Errors
    /// [`Error::Shape`] for inputs of other shapes; whatever the protocol's rounds give. Not cancel safe.
    pub fn run_on<'a, M: Mode>(
        &'a self,
        ctx: Ctx<M>,
        probe: Shares<Z64>,
        templates: Arc<Shares<Z64>>,
        executor: &'a dyn Executor,
    ) -> Running<'a, M> {
        // As `Program::run`.
        Box::pin(async move {
            let due = self.gallery.templates() * self.dimensions;
            crate::arith::bits::same("the templates of a gallery", due, templates.len())?;
            crate::arith::bits::same("the dimensions of a probe", self.dimensions, probe.len())?;
            let (me, probe) = (*self, Arc::new(probe));
            let batch = self.gallery.run(ctx, executor, move |strand, users| {
                let (probe, templates) = (probe.clone(), templates.clone());
                Box::pin(async move { me.batch(strand, probe.view(), &templates, users).await })
            });
            batch.await
        })
    }

    async fn batch<M: Mode>(
        &self,
        ctx: &mut Ctx<M>,
        probe: View<'_, Z64>,
        templates: &Shares<Z64>,
        [from, users]: [usize; 2],
    ) -> Result<Shares<Lanes>, Error> {
        let Self { dimensions, gallery, .. } = *self;
        let count = users * gallery.each;
        let (me, words) = (ctx.me(), Lanes::words(count));
        let templates = templates.view().slice(from * gallery.each * dimensions, count * dimensions)?;
        let rows = Windows::new(templates, dimensions, count, dimensions)?;
        let row = Windows::new(probe, 0, 1, dimensions)?;
        let products = ctx.dots(&[[rows, row], [row, row]]).await?;
        let squares = ctx.sums_of_products(templates, templates, &vec![dimensions; count], 1).await?;

        // All users' templates of one number side by side; the square of the probe's length after those of the templates.
        let placed = |x: View<'_, Z64>| {
            Shares::rearrange(x, x.len(), |x, out| {
                x.iter().enumerate().for_each(|(k, &x)| out[gallery.place(k, users)] = x);
            })
        };
        let square = products.view().slice(count, 1)?;
        let (products, squares) = (placed(products.view().slice(0, count)?), placed(squares.view()));
        let [of_product, of_squares, constant] = self.metric.factors().map(|x| Z64(x.cast_unsigned()));
        let both = Shares::concat(&[products.view(), squares.view(), square]);
        let mut n = Shares::rearrange(both.view(), count, |x, out| {
            for (k, out) in out.iter_mut().enumerate() {
                *out = of_product * x[k] + of_squares * (x[count + k] + x[2 * count]);
            }
        });
        n.add_public(me, &vec![constant; count])?;
        let close = sign(ctx, n.view()).await?;
        let lengths = outside(ctx, Shares::concat(&[squares.view(), square]).view(), lengths(dimensions)).await?;

        // No length is both too short and too long.
        let [mut short, long] = lengths.planes::<2>()?.map(View::to_shares);
        short.add_assign(long.view())?;
        let wrong = short;
        let right = |x: &Shares<Lanes>| {
            let mut right = x.view().to_shares();
            right.add_public(me, &vec![Lanes::ONES; x.len()]).map(|()| right)
        };
        let of_templates = right(&wrong.view().slice(0, words)?.to_shares())?;
        let of_probe = Shares::rearrange(wrong.view(), words, |x, out| {
            let bit = x[count / Lanes::COUNT].0 >> (count % Lanes::COUNT) & 1;
            out.fill(Lanes(bit.wrapping_neg()));
        });
        let unit = ctx.mul(of_templates.view(), right(&of_probe)?.view()).await?;
        let matched = ctx.mul(close.view(), unit.view()).await?;
        any(ctx, gallery.each, users, matched.view()).await
    }
}

impl Program for MatchEmbedding {
    fn inputs(&self) -> Vec<Shape> {
        vec![Shape::z64(self.dimensions), Shape::z64(self.dimensions * self.gallery.templates())]
    }

    fn limits(&self) -> Vec<Option<u64>> {
        vec![Some(ONE.unsigned_abs()); 2]
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
        let (probe, templates) = (inputs.z64(0)?, inputs.z64(1)?);
        self.run_on(ctx, probe, Arc::new(templates), executor).await
    }
}
