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

mod coin;
pub mod ext;
pub mod form;
pub mod grid;
mod last;
pub mod log;
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
use form::{Block, Scratch};
use std::ops::{Deref, DerefMut};

/// What the check asks of a ring.
pub trait Checked: log::Recorded + Copy + 'static {
    /// Where its claims are folded.
    type Ext: Ext;
    /// A sum of weighted words before it is reduced.
    type Sum: Copy + Default + Send;
    /// The weights of a fold, as its kernel wants them.
    type Fold: Send + Sync;
    /// Elements of [`Ext`](Self::Ext) that one word of each row folds to.
    const COLUMNS: usize;
    /// Variables of the first grid, at most: more rows are more values to send and fewer columns to go on with.
    const VARIABLES: u32;

    /// One or zero.
    fn bit(one: bool) -> Self;
    /// Whether the residue modulo two is one. For [`Lanes`](crate::Lanes), of lane 0.
    fn odd(self) -> bool;
    /// Adds a weighted word.
    fn accumulate(sum: &mut Self::Sum, weight: Self::Ext, word: Self);
    /// The value of a sum.
    fn finish(sum: Self::Sum) -> Self::Ext;
    /// A coefficient of a form, times a weight.
    fn scale(weight: Self::Ext, coefficient: Self) -> Self::Ext;
    /// Weights of a block of their own, beside which those of its columns are the same in all blocks.
    const BLOCK_WEIGHTS: usize;
    /// The weights of a line's words: of a block's own weights and of [`LINE`](log::LINE) common ones.
    fn line(own: &[Self::Ext], common: &[Self::Ext; log::LINE]) -> [Self::Ext; log::LINE];
    /// The weights of a line's columns, in the order in which [`fold`](Self::fold) leaves them, are products: of the *square* of a factor for each
    /// eighth of the columns, which is the same in all blocks, so that a product of two elements has the weight if each of them has the factor ..
    fn eighths(common: &[Self::Ext; log::LINE]) -> [Self::Ext; 8];
    /// .. and of one for each column of an eighth.
    fn within(own: &[Self::Ext], out: &mut [Self::Ext]);
    /// Prepares folds with one weight for each row and one for each eighth of the columns.
    fn folder(rows: &[Self::Ext], eighths: &[Self::Ext; 8]) -> Self::Fold;
    /// Folds the rows of the sum of some planes' blocks to columns with the weights of their eighths.
    fn fold<const N: usize>(by: &Self::Fold, planes: [&[Self]; N], out: &mut [Self::Ext]);
    /// Folds the rows of a plane's block, and the eighths to one.
    fn fold_through(by: &Self::Fold, plane: &[Self], out: &mut [Self::Ext]);
    /// Adds what [`Ext::combined_products`] gives for one vector each.
    fn add_products(a: &[Self::Ext], b: &[Self::Ext], sums: &mut [Self::Sum; 27]);
    /// Adds the weighted words of each row to the row's sum. Plane `k` begins at `k * stride` of `planes`; `weights` holds a line for each.
    fn rows(planes: &[Self], stride: usize, weights: &[Self::Ext], sums: &mut [Self::Sum]);
    /// See [`form::Form::grid`].
    fn grid<K: Quadratic<I, O>, const I: usize, const O: usize>(
        kernel: &K,
        block: &Block<'_, Self>,
        weights: &[Self::Ext],
        sums: &mut [Self::Sum],
        scratch: &mut Scratch<Self>,
    ) where
        Self: Ring;
}

/// A vector of folded shares, wiped when it is dropped.
pub struct Folded<E: Ext>(Vec<E>);

impl<E: Ext> Folded<E> {
    pub fn zeros(len: usize) -> Self {
        Self(zeros(len))
    }

    /// So many elements, of any content.
    pub fn take(&mut self, len: usize) -> &mut [E] {
        if self.0.len() < len {
            retire(std::mem::replace(&mut self.0, zeros(len)));
        }
        &mut self.0[..len]
    }
}
impl<E: Ext> Default for Folded<E> {
    fn default() -> Self {
        Self(Vec::new())
    }
}
impl<E: Ext> Deref for Folded<E> {
    type Target = [E];
    fn deref(&self) -> &[E] {
        &self.0
    }
}
impl<E: Ext> DerefMut for Folded<E> {
    fn deref_mut(&mut self) -> &mut [E] {
        &mut self.0
    }
}
impl<E: Ext> Drop for Folded<E> {
    fn drop(&mut self) {
        retire(std::mem::take(&mut self.0));
    }
}
