//! The record of a strand's gates: what each held, kept until it is checked.

use super::{form::Form, matrix::MatrixProduct};
use crate::{
    memory::{retire, zeros},
    ring::{Lanes, Ring, Z16, Z32, Z64},
    share::View,
};
use std::any::TypeId;

/// Words of a line: what the widest registers hold of [`Lanes`].
pub const LINE: usize = 8;
/// Gates of one kind fill planes of this many words together before a new chunk is begun: a block of 64 rows.
const CHUNK_WORDS: usize = 64 * LINE;

/// The gates of a strand that were not yet checked, by ring.
#[derive(Default)]
pub struct Log {
    lanes: Gates<Lanes>,
    z16: Gates<Z16>,
    z32: Gates<Z32>,
    z64: Gates<Z64>,
}

impl Log {
    /// Bytes recorded, with those that products of matrices take when they are checked.
    pub fn bytes(&self) -> usize {
        self.lanes.bytes + self.z16.bytes + self.z32.bytes + self.z64.bytes
    }

    pub fn absorb(&mut self, child: Self) {
        self.lanes.absorb(child.lanes);
        self.z16.absorb(child.z16);
        self.z32.absorb(child.z32);
        self.z64.absorb(child.z64);
    }
}

macro_rules! recorded {
    ($($ring:ty => $field:ident),*) => {
        $(impl Recorded for $ring {
            fn gates(log: &mut Log) -> &mut Gates<Self> {
                &mut log.$field
            }
        })*
    };
}
recorded!(Lanes => lanes, Z16 => z16, Z32 => z32, Z64 => z64);

/// A ring with a place in the [`Log`].
pub trait Recorded: Sized {
    /// The gates of this ring.
    fn gates(log: &mut Log) -> &mut Gates<Self>
    where
        Self: Ring;
}

/// What makes two gates of one kind.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A kernel without data of its own: its type.
    Kernel(TypeId),
    /// A sum of so many products.
    Products(usize),
}

/// The gates of one ring, by kind in the order of first use, which is the same on all parties.
pub struct Gates<R: Ring> {
    pub classes: Vec<Class<R>>,
    /// Products of matrices.
    pub products: Vec<MatrixProduct<R>>,
    bytes: usize,
}

impl<R: Ring> Default for Gates<R> {
    fn default() -> Self {
        Self { classes: Vec::new(), products: Vec::new(), bytes: 0 }
    }
}

/// All gates of one kind.
pub struct Class<R: Ring> {
    kind: Kind,
    pub form: Box<dyn Form<R>>,
    pub chunks: Vec<Chunk<R>>,
    /// Chunks of checked gates, to be filled again: the strand holds as much memory anyway, and need not wipe what it overwrites.
    free: Vec<Chunk<R>>,
}

/// Planes of gates of one kind: plane `k` is at `k * stride`; once [finished](Self::finish), zero past `len`.
///
/// Here `x` are the gates' inputs, `z` their outputs, `rho_j` what was drawn with key `k_j`, `h` and `l` the kernel's terms of degree two and one; this
/// is party `i`.
pub struct Chunk<R: Ring> {
    pub stride: usize,
    pub len: usize,
    /// `x_i`, a plane for each input.
    pub own: Vec<R>,
    /// `x_{i+1}`.
    pub next: Vec<R>,
    /// `rho_i + h(x_i)`, a plane for each output: this party's half of the claim of prover `i - 1`.
    pub for_next: Vec<R>,
    /// First `rho_{i+1} + l(x_{i+1})`; once `z_{i+1}` has come, `z_{i+1}` minus it: the half of the claim of prover `i + 1`.
    pub for_prev: Vec<R>,
}

impl<R: Ring> Drop for Chunk<R> {
    fn drop(&mut self) {
        for plane in [&mut self.own, &mut self.next, &mut self.for_next, &mut self.for_prev] {
            retire(std::mem::take(plane));
        }
    }
}

impl<R: Ring> Gates<R> {
    /// Whether nothing is recorded but products of matrices.
    pub fn no_gates(&self) -> bool {
        self.classes.iter().all(|c| c.chunks.is_empty())
    }

    /// Records a product of matrices, and gives its number.
    pub fn push(&mut self, product: MatrixProduct<R>) -> usize {
        self.bytes += product.bytes();
        self.products.push(product);
        self.products.len() - 1
    }

    /// Takes back gates that were checked, with so many bytes of their memory.
    pub fn recycle(&mut self, mut checked: Self, most: usize) {
        let mut kept = 0;
        for class in &mut checked.classes {
            class.free.append(&mut class.chunks);
            class.free.retain_mut(|chunk| {
                chunk.len = 0;
                kept += chunk.bytes();
                kept <= most
            });
        }
        checked.bytes = 0;
        *self = checked;
    }

    /// Room for gates of one kind on `n` words: the chunk, where in its planes they go, and its number.
    pub fn reserve(
        &mut self,
        kind: Kind,
        form: impl FnOnce() -> Box<dyn Form<R>>,
        n: usize,
    ) -> (&mut Chunk<R>, usize, usize) {
        let found = self.classes.iter().position(|c| c.kind == kind);
        let at = found.unwrap_or_else(|| {
            self.classes.push(Class { kind, form: form(), chunks: Vec::new(), free: Vec::new() });
            self.classes.len() - 1
        });
        let class = &mut self.classes[at];
        if class.chunks.last().is_none_or(|c| c.stride - LINE - c.len < n) {
            // An odd number of lines: planes a power of two apart would take each other's place in the cache.
            let (stride, form) = (n.max(1).next_multiple_of(CHUNK_WORDS) + LINE, &class.form);
            let (inputs, outputs) = (form.inputs() * stride, form.outputs() * stride);
            let again = class.free.iter().rposition(|c| c.stride == stride);
            let chunk = match again {
                Some(at) => class.free.swap_remove(at),
                None => Chunk::new(stride, inputs, outputs),
            };
            self.bytes += chunk.bytes();
            class.chunks.push(chunk);
        }
        let last = class.chunks.len() - 1;
        let chunk = &mut class.chunks[last];
        let at = chunk.len;
        chunk.len += n;
        (chunk, at, last)
    }

    /// A chunk of a kind by its number.
    pub fn chunk(&mut self, kind: Kind, number: usize) -> Option<&mut Chunk<R>> {
        self.classes.iter_mut().find(|c| c.kind == kind)?.chunks.get_mut(number)
    }

    fn absorb(&mut self, child: Self) {
        self.bytes += child.bytes;
        self.products.extend(child.products);
        for mut class in child.classes {
            class.free.clear();
            match self.classes.iter_mut().find(|c| c.kind == class.kind) {
                Some(mine) => mine.chunks.extend(class.chunks),
                None => self.classes.push(class),
            }
        }
    }
}

impl<R: Ring> Class<R> {
    /// The number of blocks of so many words in all chunks.
    pub fn blocks(&self, block: usize) -> usize {
        self.chunks.iter().map(|c| c.len.div_ceil(block)).sum()
    }
}

impl<R: Ring> Chunk<R> {
    fn new(stride: usize, inputs: usize, outputs: usize) -> Self {
        let (own, next, for_next, for_prev) = (zeros(inputs), zeros(inputs), zeros(outputs), zeros(outputs));
        Self { stride, len: 0, own, next, for_next, for_prev }
    }

    fn bytes(&self) -> usize {
        2 * (self.own.len() + self.for_prev.len()) * size_of::<R>()
    }

    /// Clears what an earlier use has left between the last gate and the end of its block.
    pub fn finish(&mut self) {
        let (stride, from) = (self.stride, self.len);
        for planes in [&mut self.own, &mut self.next, &mut self.for_next, &mut self.for_prev] {
            planes.chunks_exact_mut(stride).for_each(|plane| plane[from..].fill(R::default()));
        }
    }

    /// Sets plane `k` of the inputs from `at` on.
    pub fn wire(&mut self, k: usize, at: usize, x: View<'_, R>) {
        let to = k * self.stride + at;
        self.own[to..to + x.len()].copy_from_slice(x.own);
        self.next[to..to + x.len()].copy_from_slice(x.next);
    }

    /// The part of plane `k` of `planes` from `at` on.
    pub fn block<'a>(&self, planes: &'a [R], k: usize, at: usize, words: usize) -> &'a [R] {
        &planes[k * self.stride + at..][..words]
    }
}
