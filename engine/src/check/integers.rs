//! The statement about gates on integers.
//!
//! Words are multiplied with weights while they are words: a weight has coefficients 0 and 1, so that is additions. Only what is left after folding the rows is elements of the
//! Galois ring, 64 times as long.

use super::{
    Folded,
    form::{Block, Part, Scratch, Soon},
    galois::{DEGREE, Galois},
    log::{Chunk, Class, Gates, LINE},
    statement::{Factors, FirstLevel, Place, Statement, Vectors, factors, padded, places, variables},
};
use crate::{
    Error,
    prss::Stream,
    ring::{Ring, Z64},
    simd::{
        blocks::Integer,
        integers::{self, POINTS},
    },
    transport::Link,
};

/// Variables of the first grid, at most. A value of the proof has 64 coefficients, so it should have fewer values than of bits.
const VARIABLES: u32 = 5;

/// A batch: each word of an output plane has a weight of its own.
pub struct Integers<R: Integer> {
    gates: Gates<R>,
    r: u32,
    /// For each class, block by block and output by output a line of weights: the bits are coefficients of a point.
    weights: Vec<Vec<Z64>>,
    /// Once the rows are folded. The eighths are words of a line.
    vectors: Vectors<Galois<R>>,
}

/// Grid on the first grid.
#[derive(Default)]
pub struct Grid<R: Ring> {
    values: Scratch<R>,
    /// Words from an output to the next.
    stride: usize,
    /// Words in all.
    len: usize,
    scratch: Scratch<R>,
}

impl<R: Integer> Grid<R> {
    /// Adds the outputs of a kernel's form on the grid that a block's rows span.
    pub fn add<K: crate::ring::Quadratic<I, O>, const I: usize, const O: usize>(
        &mut self,
        kernel: &K,
        block: &Block<'_, R>,
    ) {
        let values = self.values.words(self.len);
        integers::grid::<R, K, I, O>(kernel, block, values, self.stride, &mut self.scratch);
    }
}

impl<R> Integers<R>
where
    R: Integer<Weight = Z64, Ext = Galois<R>, Grid = self::Grid<R>>,
{
    fn block(&self) -> usize {
        LINE << self.r
    }

    /// The blocks of all classes.
    fn places(&self) -> impl Iterator<Item = (&Class<R>, Place<'_, R>)> {
        self.gates.classes.iter().zip(&self.weights).flat_map(|(class, weights)| {
            let of_block = LINE * class.form.outputs();
            places(class, self.block(), weights, of_block).map(move |place| (class, place))
        })
    }
}

impl<R> Statement<R> for Integers<R>
where
    R: Integer<Weight = Z64, Ext = Galois<R>, Grid = self::Grid<R>>,
{
    fn new(mut gates: Gates<R>, stream: &mut Stream) -> Result<Self, Error> {
        gates.classes.iter_mut().flat_map(|c| &mut c.chunks).for_each(Chunk::finish);
        let r = variables(gates.classes.iter().map(|c| c.blocks(1)).sum(), VARIABLES);
        let mut weights = Vec::new();
        for class in &gates.classes {
            let mut of_class = vec![Z64(0); LINE * class.form.outputs() * class.blocks(LINE << r)];
            stream.fill(&mut of_class)?;
            weights.push(of_class);
        }
        Ok(Self { gates, r, weights, vectors: Vectors::zeros(0) })
    }

    fn variables(&self) -> u32 {
        self.r
    }

    async fn first_level(&self, link: &mut dyn Link) -> FirstLevel<Galois<R>> {
        let (rows, points) = (1 << self.r, 3_usize.pow(self.r));
        // The rows' claims are weighted together with the grid.
        let all = (points + 2 * rows).next_multiple_of(POINTS);
        let mut sums = Scratch::default();
        let sums = sums.zeros(all * DEGREE);
        let mut grid = Grid { stride: all * LINE, ..Grid::default() };
        for (class, Place { chunk, at, weights, ahead }) in self.places() {
            link.pause().await;
            let soon = Soon { claims: Some(Part { chunk, at }), inputs: ahead };
            for n in 0..2 * (class.form.outputs() + class.form.inputs()) {
                soon.prefetch(n, class.form.outputs(), self.block());
            }
            grid.len = class.form.outputs() * grid.stride;
            grid.values.zeros(grid.len);
            let block = Block { own: &chunk.own, next: &chunk.next, stride: chunk.stride, at, r: self.r, soon };
            class.form.grid(&block, &mut grid);
            let values = grid.values.words(grid.len).chunks_exact_mut(grid.stride);
            for (o, (values, weights)) in values.zip(weights.chunks_exact(LINE)).enumerate() {
                let claims = values[points * LINE..].chunks_exact_mut(rows * LINE);
                for (half, to) in [&chunk.for_prev, &chunk.for_next].into_iter().zip(claims) {
                    to.copy_from_slice(chunk.block(half, o, at, rows * LINE));
                }
                integers::add_weighted(values, std::array::from_fn(|j| weights[j].0), sums);
            }
        }
        let at = |point: usize| {
            let from = point / POINTS * POINTS * DEGREE + point % POINTS;
            Galois(std::array::from_fn(|c| sums[from + c * POINTS]))
        };
        FirstLevel {
            grid: (0..points).map(at).collect(),
            for_prev: (points..points + rows).map(at).collect(),
            for_next: (points + rows..points + 2 * rows).map(at).collect(),
        }
    }

    async fn second_level(&mut self, link: &mut dyn Link, rows: &[Galois<R>]) -> [Galois<R>; 27] {
        let products: Vec<Vec<Product<R>>> = self.gates.classes.iter().map(products).collect();
        let of_classes = self.gates.classes.iter().zip(&products);
        let part = padded(of_classes.clone().map(|(c, products)| products.len() * c.blocks(self.block())).sum());
        let mut v = Vectors::zeros(8 * part);
        let mut parts = Folded::default();
        let mut done = 0;
        for ((class, products), weights) in of_classes.zip(&self.weights) {
            let inputs = class.form.inputs();
            let parts = parts.take(inputs * LINE);
            for Place { chunk, at, weights, ahead } in places(class, self.block(), weights, LINE * class.form.outputs())
            {
                link.pause().await;
                if let Some(ahead) = ahead {
                    (0..inputs).for_each(|k| ahead.inputs(k, self.block()));
                }
                // Past the last gate all is zero.
                let filled = (chunk.len - at).min(self.block());
                let (lines, words) = (filled.div_ceil(LINE), filled.min(LINE));
                for (planes, to, form) in
                    [(&chunk.own, &mut v.own, &mut v.form_own), (&chunk.next, &mut v.next, &mut v.form_next)]
                {
                    for (k, part) in parts.chunks_exact_mut(LINE).enumerate() {
                        integers::fold_rows(chunk.block(planes, k, at, lines * LINE), rows, &mut part[..words]);
                    }
                    for (product, first) in products.iter().zip(done..) {
                        let inputs = parts[product.input * LINE..].iter().take(words);
                        inputs.zip(to[first..].iter_mut().step_by(part)).for_each(|(&x, to)| *to = x);
                        for (o, terms) in &product.outputs {
                            let weights: [u64; LINE] = std::array::from_fn(|word| weights[o * LINE + word].0);
                            integers::add_weighted_form(&weights[..words], terms, parts, &mut form[first..], part);
                        }
                    }
                }
                done += products.len();
            }
        }
        self.vectors = v;
        self.vectors.products()
    }

    async fn fold(self, link: &mut dyn Link, _: &[Galois<R>], eq: &[Galois<R>; 8]) -> (Vectors<Galois<R>>, Gates<R>) {
        let Self { mut vectors, gates, .. } = self;
        link.pause().await;
        let part = vectors.own.len() / 8;
        vectors.fold(eq, part);
        (vectors, gates)
    }
}

/// A product of an input and of a linear form: for each output that has such terms, its number and `(l, c)` for each term `c x_l`.
struct Product<R> {
    input: usize,
    outputs: Vec<(usize, Vec<(usize, R)>)>,
}

fn products<R: Integer>(class: &Class<R>) -> Vec<Product<R>> {
    let by_output = |Factors { input, terms }: Factors<R>| {
        let mut outputs = Vec::<(usize, Vec<(usize, R)>)>::new();
        for (o, l, c) in terms {
            match outputs.iter_mut().find(|(at, _)| *at == o) {
                Some((_, terms)) => terms.push((l, c)),
                None => outputs.push((o, vec![(l, c)])),
            }
        }
        Product { input, outputs }
    };
    factors(&*class.form).into_iter().map(by_output).collect()
}
