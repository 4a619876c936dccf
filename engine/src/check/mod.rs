//! The product check of the malicious mode: every gate of a batch proved at once, by a proof of logarithmic size.
//!
//! Party `i` proves to the two others that each of its messages was
//! `z_i = q(x_i + x_{i+1}) - q(x_{i+1}) + rho_i - rho_{i+1}`, that is
//!
//! ```text
//! h(x_i + x_{i+1}) = [z_i - l(x_i) - rho_i] + [h(x_{i+1}) + rho_{i+1}]
//! ```
//!
//! with the kernel `q` in two parts, `h` of degree two and `l` linear: `prev` knows `x_i` and the first bracket, `next` knows `x_{i+1}` and the second, and the
//! prover knows all. See the [manual](crate::manual) for the protocol, its theorem and its error.
//!
//! Sources: Boneh, Boyle, Corrigan-Gibbs, Gilboa, Ishai (CRYPTO 2019); Boyle, Gilboa, Ishai, Nof (CCS 2019). Kept bit-sliced until the
//! first fold is done, which is ours.

mod bits;
mod coin;
pub mod ext;
pub mod form;
pub mod galois;
pub mod grid;
mod integers;
pub mod last;
pub mod log;
pub mod matrix;
mod prove;
mod rings;
mod statement;
#[cfg(test)]
mod tests;

pub use prove::check;

use crate::{
    memory::{retire, zeros},
    ring::{Quadratic, Ring},
};
use ext::Ext;
use form::Block;
use matrix::Layout;
use statement::Statement;
use std::{
    marker::PhantomData,
    ops::{Deref, DerefMut},
};

/// What the check asks of a ring.
pub trait Checked: log::Recorded + Copy + 'static {
    /// Where its claims are folded.
    type Ext: Ext;
    /// What the weights of words are made of.
    type Weight: Send + Sync;
    /// What [`form::Form::grid`] adds to.
    type Grid;
    /// The local half of its check.
    type Statement: Statement<Self>
    where
        Self: Ring;

    /// Elements that a word is, if products of words are to be products of elements: one of an integer, one of each lane.
    const ELEMENTS: usize;

    /// One or zero.
    fn bit(one: bool) -> Self;
    /// Whether the residue modulo two is one. For [`Lanes`](crate::Lanes), of lane 0.
    fn odd(self) -> bool;
    /// See [`form::Form::grid`].
    fn grid<K: Quadratic<I, O>, const I: usize, const O: usize>(
        kernel: &K,
        block: &Block<'_, Self>,
        to: &mut Self::Grid,
    ) where
        Self: Ring;

    /// The sums of the rows of a matrix, each word with the weight of its row, whose coefficients are the bits of `weights`.
    fn weighted(words: &[Self], layout: Layout, weights: &[u64], out: &mut [Self::Ext]);
    /// As [`Ext::combined_products`], the first vectors of words.
    fn word_products(a: [&[Self]; 2], b: [&[Self::Ext]; 2]) -> [Self::Ext; 27];
    /// As [`Ext::fold`], of eight parts, from words.
    fn fold_words(v: &[Self], eq: &[Self::Ext; 8], out: &mut [Self::Ext]);
}

/// A vector of folded shares, wiped when it is dropped. Kept as words, of which all elements are made: that is memory to be used again.
pub struct Folded<E: Ext>(Vec<u64>, PhantomData<E>);

impl<E: Ext> Folded<E> {
    const WORDS: usize = {
        assert!(size_of::<E>().is_multiple_of(8), "an element is made of words");
        size_of::<E>() / 8
    };

    pub fn zeros(len: usize) -> Self {
        Self(zeros(len * Self::WORDS), PhantomData)
    }

    /// So many elements, of any content.
    pub fn take(&mut self, len: usize) -> &mut [E] {
        if self.len() < len {
            *self = Self::zeros(len);
        }
        &mut self[..len]
    }
}
impl<E: Ext> Default for Folded<E> {
    fn default() -> Self {
        Self(Vec::new(), PhantomData)
    }
}
impl<E: Ext> Deref for Folded<E> {
    type Target = [E];
    fn deref(&self) -> &[E] {
        bytemuck::cast_slice(&self.0)
    }
}
impl<E: Ext> DerefMut for Folded<E> {
    fn deref_mut(&mut self) -> &mut [E] {
        bytemuck::cast_slice_mut(&mut self.0)
    }
}
impl<E: Ext> Drop for Folded<E> {
    fn drop(&mut self) {
        retire(std::mem::take(&mut self.0));
    }
}
