//! What boolean circuits are written over, so that one text both runs on shares and becomes a circuit file.
//!
//! ```
//! use trefoil_circuits::{bristol::{BitOrder, Builder}, gates::{Gates, record}};
//!
//! /// The carry of `x + y`, bit 0 first; one AND a bit.
//! async fn carry<G: Gates>(g: &mut G, x: &G::Bits, y: &G::Bits) -> Result<G::Bits, G::Error> {
//!     let mut carry = g.constant(&[false]);
//!     for i in 0..g.width(x) {
//!         let (a, b) = (g.select(x, i..i + 1)?, g.select(y, i..i + 1)?);
//!         let (u, v) = (g.xor(&a, &carry)?, g.xor(&b, &carry)?);
//!         let both = g.and(&u, &v).await?;
//!         carry = g.xor(&both, &carry)?;
//!     }
//!     Ok(carry)
//! }
//!
//! let mut builder = Builder::default();
//! let (x, y) = (builder.input(8), builder.input(8));
//! let out = record(carry(&mut builder, &x, &y)).unwrap();
//! builder.output(&out);
//! let circuit = builder.finish().unwrap();
//! assert_eq!((circuit.counts().and, circuit.counts().and_depth), (8, 8));
//!
//! let inputs = circuit.input_values(&["f0", "10"], BitOrder::Lsb).unwrap();
//! assert_eq!(circuit.evaluate_plain(&inputs).unwrap()[0].to_hex(BitOrder::Lsb), "1");
//! ```

use std::{
    future::Future,
    ops::Range,
    pin::pin,
    task::{Context, Poll, Waker},
};

use trefoil_engine::prelude::*;

use crate::bristol::{BuildError, Builder, Signal};

/// Boolean gates on vectors of bits.
///
/// XOR, NOT, constants and wiring are free; [`and`](Self::and) is one round, however wide, so a circuit's depth is the
/// number of calls in sequence.
pub trait Gates {
    /// A vector of bits; on shares, of as many instances each as are computed together.
    type Bits;
    /// What can go wrong: on shares the protocol, in a recording only the shapes.
    type Error;

    /// The number of bits.
    fn width(&self, x: &Self::Bits) -> usize;

    /// `x XOR y`, bit by bit.
    ///
    /// # Errors
    /// The widths differ.
    fn xor(&mut self, x: &Self::Bits, y: &Self::Bits) -> Result<Self::Bits, Self::Error>;

    /// `NOT x`.
    ///
    /// # Errors
    /// None of the two implementations here fails.
    fn not(&mut self, x: &Self::Bits) -> Result<Self::Bits, Self::Error>;

    /// A public constant.
    fn constant(&mut self, bits: &[bool]) -> Self::Bits;

    /// Some neighbouring bits of a vector.
    ///
    /// # Errors
    /// The vector does not have them all.
    fn select(&mut self, x: &Self::Bits, bits: Range<usize>) -> Result<Self::Bits, Self::Error>;

    /// Vectors behind one another.
    fn concat(&mut self, parts: &[&Self::Bits]) -> Self::Bits;

    /// Single bits of several vectors behind one another.
    ///
    /// # Errors
    /// A vector does not have a bit that is asked for.
    fn gather(&mut self, from: &[&Self::Bits], bits: &[Wire]) -> Result<Self::Bits, Self::Error>;

    /// `x AND y`, bit by bit: one round.
    ///
    /// # Errors
    /// The widths differ; on shares, what [`Ctx::mul`] reports. Not cancel safe.
    fn and(&mut self, x: &Self::Bits, y: &Self::Bits) -> impl Future<Output = Result<Self::Bits, Self::Error>> + Send;

    /// Sums of products of single bits of several vectors, which are read where they lie: one round, and on shares one bit sent for each sum.
    ///
    /// # Errors
    /// A vector does not have a bit that is asked for; on shares, what [`Ctx::sums_of_terms`] reports. Not cancel safe.
    fn wired_sums(
        &mut self,
        from: &[&Self::Bits],
        sums: &WiredSums,
    ) -> impl Future<Output = Result<Self::Bits, Self::Error>> + Send;

    /// Sums of products: bit `j` of the result is the sum of `x AND y` over the next `terms[j]` bits. One round, and on
    /// shares one bit sent for each bit of the result, whatever the number of its terms.
    ///
    /// # Errors
    /// `x` or `y` has not as many bits as there are terms; on shares, what [`Ctx::sums_of_products`] reports. Not cancel safe.
    fn sums_of_products(
        &mut self,
        x: &Self::Bits,
        y: &Self::Bits,
        terms: &[usize],
    ) -> impl Future<Output = Result<Self::Bits, Self::Error>> + Send;
}

/// A bit of one of several vectors.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Wire {
    /// Which vector.
    pub of: usize,
    /// Which of its bits.
    pub bit: usize,
}

/// `left AND right`, or `left AND (right XOR plus)`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WiredProduct {
    /// The first factor.
    pub left: Wire,
    /// The second factor, or its first summand.
    pub right: Wire,
    /// The other summand of the second factor.
    pub plus: Option<Wire>,
}

/// Sums of products of single bits, and what each has beside.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct WiredSums {
    /// For each sum how many of the products it adds up, and a bit that is added to them.
    pub sums: Vec<(usize, Option<Wire>)>,
    /// The products, sum after sum.
    pub products: Vec<WiredProduct>,
}

/// Gates on shares: bit `i` of a vector is its words `i * words ..`, one lane for each instance.
#[derive(Debug)]
pub struct OnShares<'c, M: Mode> {
    ctx: &'c mut Ctx<M>,
    words: usize,
}

impl<'c, M: Mode> OnShares<'c, M> {
    /// On a strand, with so many words for a bit.
    pub fn new(ctx: &'c mut Ctx<M>, words: usize) -> Self {
        Self { ctx, words }
    }
}

impl<M: Mode> Gates for OnShares<'_, M> {
    type Bits = Shares<Lanes>;
    type Error = Error;

    fn width(&self, x: &Shares<Lanes>) -> usize {
        x.len() / self.words.max(1)
    }

    fn xor(&mut self, x: &Shares<Lanes>, y: &Shares<Lanes>) -> Result<Shares<Lanes>, Error> {
        x.view().plus(y.view())
    }

    fn not(&mut self, x: &Shares<Lanes>) -> Result<Shares<Lanes>, Error> {
        let mut not = x.view().to_shares();
        not.add_public(self.ctx.me(), &vec![Lanes::ONES; x.len()])?;
        Ok(not)
    }

    fn constant(&mut self, bits: &[bool]) -> Shares<Lanes> {
        let words = bits.iter().flat_map(|&bit| {
            let word = if bit { Lanes::ONES } else { Lanes::default() };
            std::iter::repeat_n(word, self.words)
        });
        Shares::public(self.ctx.me(), &words.collect::<Vec<_>>())
    }

    fn select(&mut self, x: &Shares<Lanes>, bits: Range<usize>) -> Result<Shares<Lanes>, Error> {
        Ok(x.view().slice(bits.start * self.words, bits.len() * self.words)?.to_shares())
    }

    fn concat(&mut self, parts: &[&Shares<Lanes>]) -> Shares<Lanes> {
        Shares::concat(&parts.iter().map(|part| part.view()).collect::<Vec<_>>())
    }

    fn gather(&mut self, from: &[&Shares<Lanes>], bits: &[Wire]) -> Result<Shares<Lanes>, Error> {
        let words = self.words;
        let parts = bits.iter().map(|&wire| wired(from, wire, words)).collect::<Result<Vec<_>, _>>()?;
        Ok(Shares::concat(&parts))
    }

    async fn wired_sums(&mut self, from: &[&Shares<Lanes>], sums: &WiredSums) -> Result<Shares<Lanes>, Error> {
        let words = self.words;
        let term = |product: &WiredProduct| {
            let plus = product.plus.map(|plus| wired(from, plus, words)).transpose()?;
            Ok(Term { x: wired(from, product.left, words)?, y: wired(from, product.right, words)?, plus })
        };
        let terms = sums.products.iter().map(term).collect::<Result<Vec<_>, Error>>()?;
        let counts: Vec<usize> = sums.sums.iter().map(|(count, _)| *count).collect();
        let mut all = self.ctx.sums_of_terms(&terms, &counts, words).await?;
        for (k, plus) in sums.sums.iter().enumerate().filter_map(|(k, (_, plus))| Some((k, (*plus)?))) {
            all.add_at(k * words, wired(from, plus, words)?)?;
        }
        Ok(all)
    }

    async fn and(&mut self, x: &Shares<Lanes>, y: &Shares<Lanes>) -> Result<Shares<Lanes>, Error> {
        self.ctx.mul(x.view(), y.view()).await
    }

    async fn sums_of_products(
        &mut self,
        x: &Shares<Lanes>,
        y: &Shares<Lanes>,
        terms: &[usize],
    ) -> Result<Shares<Lanes>, Error> {
        if terms.iter().all(|&terms| terms == 1) {
            return self.and(x, y).await;
        }
        self.ctx.sums_of_products(x.view(), y.view(), terms, self.words).await
    }
}

impl Gates for Builder {
    type Bits = Vec<Signal>;
    type Error = BuildError;

    fn width(&self, x: &Vec<Signal>) -> usize {
        x.len()
    }

    fn xor(&mut self, x: &Vec<Signal>, y: &Vec<Signal>) -> Result<Vec<Signal>, BuildError> {
        pairs(x, y)?;
        Ok(x.iter().zip(y).map(|(&x, &y)| Self::xor(self, x, y)).collect())
    }

    fn not(&mut self, x: &Vec<Signal>) -> Result<Vec<Signal>, BuildError> {
        Ok(x.iter().map(|&x| Self::not(self, x)).collect())
    }

    fn constant(&mut self, bits: &[bool]) -> Vec<Signal> {
        bits.iter().map(|&bit| Self::constant(self, bit)).collect()
    }

    fn select(&mut self, x: &Vec<Signal>, bits: Range<usize>) -> Result<Vec<Signal>, BuildError> {
        let end = bits.end;
        x.get(bits).map(<[Signal]>::to_vec).ok_or(BuildError::OutOfRange { end, width: x.len() })
    }

    fn concat(&mut self, parts: &[&Vec<Signal>]) -> Vec<Signal> {
        parts.iter().flat_map(|part| part.iter().copied()).collect()
    }

    fn gather(&mut self, from: &[&Vec<Signal>], bits: &[Wire]) -> Result<Vec<Signal>, BuildError> {
        bits.iter().map(|&wire| signal(from, wire)).collect()
    }

    async fn wired_sums(&mut self, from: &[&Vec<Signal>], sums: &WiredSums) -> Result<Vec<Signal>, BuildError> {
        let mut factors = Vec::with_capacity(sums.products.len());
        for WiredProduct { left, right, plus } in &sums.products {
            let mut right = signal(from, *right)?;
            if let Some(plus) = plus {
                right = Self::xor(self, right, signal(from, *plus)?);
            }
            factors.push((signal(from, *left)?, right));
        }
        let mut factors = factors.into_iter();
        let mut all = Vec::with_capacity(sums.sums.len());
        for (count, _) in &sums.sums {
            all.push(self.sum(factors.by_ref().take(*count)));
        }
        for (sum, (_, plus)) in all.iter_mut().zip(&sums.sums) {
            if let Some(plus) = plus {
                *sum = Self::xor(self, *sum, signal(from, *plus)?);
            }
        }
        Ok(all)
    }

    async fn and(&mut self, x: &Vec<Signal>, y: &Vec<Signal>) -> Result<Vec<Signal>, BuildError> {
        pairs(x, y)?;
        Ok(x.iter().zip(y).map(|(&x, &y)| Self::and(self, x, y)).collect())
    }

    async fn sums_of_products(
        &mut self,
        x: &Vec<Signal>,
        y: &Vec<Signal>,
        terms: &[usize],
    ) -> Result<Vec<Signal>, BuildError> {
        pairs(x, y)?;
        let count = terms.iter().sum();
        if x.len() != count {
            return Err(BuildError::Widths(x.len(), count));
        }
        let mut pairs = x.iter().copied().zip(y.iter().copied());
        Ok(terms.iter().map(|&terms| self.sum(pairs.by_ref().take(terms))).collect())
    }
}

impl Builder {
    /// The sum of some products.
    fn sum(&mut self, products: impl Iterator<Item = (Signal, Signal)>) -> Signal {
        let mut sum = None;
        for (x, y) in products {
            let product = self.and(x, y);
            sum = Some(sum.map_or(product, |sum| self.xor(sum, product)));
        }
        sum.unwrap_or_else(|| self.constant(false))
    }
}

/// A bit of one of several vectors on shares.
fn wired<'a>(from: &[&'a Shares<Lanes>], wire: Wire, words: usize) -> Result<View<'a, Lanes>, Error> {
    let missing = Error::Shape { what: "the vectors that bits are taken of", expected: wire.of + 1, got: from.len() };
    from.get(wire.of).ok_or(missing)?.view().slice(wire.bit * words, words)
}

/// A bit of one of several vectors in a recording.
fn signal(from: &[&Vec<Signal>], wire: Wire) -> Result<Signal, BuildError> {
    let missing = |width| BuildError::OutOfRange { end: wire.bit + 1, width };
    let of = from.get(wire.of).ok_or(missing(0))?;
    of.get(wire.bit).copied().ok_or(missing(of.len()))
}

fn pairs(x: &[Signal], y: &[Signal]) -> Result<(), BuildError> {
    if x.len() == y.len() { Ok(()) } else { Err(BuildError::Widths(x.len(), y.len())) }
}

/// Runs a circuit over a [`Builder`] to its end. Recording never waits.
///
/// # Errors
/// What the circuit returned, or [`BuildError::Pending`] if it awaited something else than its gates.
pub fn record<T>(circuit: impl Future<Output = Result<T, BuildError>>) -> Result<T, BuildError> {
    match pin!(circuit).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(BuildError::Pending),
    }
}
