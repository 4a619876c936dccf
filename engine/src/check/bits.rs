//! The statement about gates on bits, which stay 64 to a word until the first fold is done.

use super::{
    Folded,
    ext::Gf64,
    form::{Block, Part, Scratch, Soon},
    log::{Chunk, Class, Gates, LINE},
    statement::{FirstLevel, Place, Statement, Vectors, factors, padded, places, variables},
};
use crate::{
    Error,
    prss::Stream,
    ring::{Lanes, Z64},
    simd::clmul::{self, RowFold},
    transport::Link,
};

/// Weights of a block of their own, beside which those of its columns are the same in all blocks.
const BLOCK_WEIGHTS: usize = LINE / 2;
/// Columns of a block, and of an eighth.
const COLUMNS: usize = LINE * Lanes::COUNT;
const EIGHTH: usize = COLUMNS / 8;
/// Variables of the first grid, at most: more rows are more values to send and fewer columns to go on with.
const VARIABLES: u32 = 6;

/// A batch: each output plane of a kind has a weight, each block has some, and a few are common to all; the weight of an output word is a product.
pub struct Bits {
    gates: Gates<Lanes>,
    r: u32,
    /// The weight of odd words beside those of the block.
    odd: Gf64,
    weights: Vec<Weights>,
}

/// The weights of a class.
struct Weights {
    /// Of each output plane.
    planes: Vec<Gf64>,
    /// Of its blocks, some for each.
    blocks: Vec<Gf64>,
    /// The weighted sum of the forms: products of an input and of a linear form, `(l, c)` for each term `c x_l`.
    products: Vec<(usize, Vec<(usize, Gf64)>)>,
}

/// Weighted of weighted products, point by point: four side by side, as wide registers have them, before they are reduced.
#[derive(Default)]
pub struct Weighted {
    /// A line for each output.
    pub weights: Vec<Gf64>,
    pub sums: Vec<[u128; 4]>,
    pub scratch: Scratch<Lanes>,
}

impl Bits {
    /// Words of a plane's block.
    fn block(&self) -> usize {
        LINE << self.r
    }

    /// The blocks of all classes.
    fn places(&self) -> impl Iterator<Item = (&Class<Lanes>, &Weights, Place<'_, Lanes>)> {
        self.gates.classes.iter().zip(&self.weights).flat_map(|(class, weights)| {
            places(class, self.block(), &weights.blocks, BLOCK_WEIGHTS).map(move |place| (class, weights, place))
        })
    }

    /// The weights of a line's columns, in the order in which a fold leaves them, are products: of the *square* of a factor for each eighth
    /// of the columns, which is the same in all blocks, so that a product of two elements has the weight if each of them has the factor, and of one for each column of an
    /// eighth, see [`within`].
    fn eighths(&self) -> [Gf64; 8] {
        // As `clmul::column` has it: an eighth is 16 bits of the even or of the odd words.
        std::array::from_fn(|s| {
            let power = Gf64(1 << (8 * (s % 4)));
            if s < 4 { power } else { power * self.odd }
        })
    }

    /// The weights of a line's words: words `2 l` and `2 l + 1` have weight `l` of the block, the odd ones times a common one.
    fn line(&self, own: &[Gf64]) -> [Gf64; LINE] {
        let odd = self.odd * self.odd;
        std::array::from_fn(|word| if word % 2 == 0 { own[word / 2] } else { own[word / 2] * odd })
    }
}

impl Statement<Lanes> for Bits {
    fn new(mut gates: Gates<Lanes>, stream: &mut Stream) -> Result<Self, Error> {
        gates.classes.iter_mut().flat_map(|c| &mut c.chunks).for_each(Chunk::finish);
        let r = variables(gates.classes.iter().map(|c| c.blocks(1)).sum(), VARIABLES);
        let odd = points(stream, 1)?[0];
        let mut weights = Vec::new();
        for class in &gates.classes {
            let planes = points(stream, class.form.outputs())?;
            let blocks = points(stream, BLOCK_WEIGHTS * class.blocks(LINE << r))?;
            let products = products(class, &planes);
            weights.push(Weights { planes, blocks, products });
        }
        Ok(Self { gates, r, odd, weights })
    }

    fn variables(&self) -> u32 {
        self.r
    }

    async fn first_level(&self, link: &mut dyn Link) -> FirstLevel<Gf64> {
        let (rows, points) = (1 << self.r, 3_usize.pow(self.r));
        let mut grid = Weighted { sums: vec![[0; 4]; points], ..Weighted::default() };
        let mut halves = [vec![[0; 4]; rows], vec![[0; 4]; rows]];
        for (class, weights, Place { chunk, at, weights: own, ahead }) in self.places() {
            link.pause().await;
            let line = self.line(own);
            grid.weights.clear();
            grid.weights.extend(weights.planes.iter().flat_map(|&plane| line.map(|word| plane * word)));
            let block = Block {
                own: &chunk.own,
                next: &chunk.next,
                stride: chunk.stride,
                at,
                r: self.r,
                soon: Soon { claims: Some(Part { chunk, at }), inputs: ahead },
            };
            class.form.grid(&block, &mut grid);
            for (half, sums) in [&chunk.for_prev, &chunk.for_next].into_iter().zip(&mut halves) {
                clmul::rows(&half[at..], chunk.stride, &grid.weights, sums);
            }
        }
        let finish = |sums: &[[u128; 4]]| sums.iter().map(|s| Gf64::reduce(s[0] ^ s[1] ^ s[2] ^ s[3])).collect();
        FirstLevel { grid: finish(&grid.sums), for_prev: finish(&halves[0]), for_next: finish(&halves[1]) }
    }

    /// The rows are folded again by [`fold`](Self::fold), which is faster than to write them to memory and read them again.
    async fn second_level(&mut self, link: &mut dyn Link, rows: &[Gf64]) -> [Gf64; 27] {
        let fold = RowFold::new(rows, &self.eighths());
        let mut sums = [[0; 4]; 27];
        let mut of_columns = vec![Gf64(0); COLUMNS];
        let (mut both, mut form) = (Folded::default(), Folded::default());
        for (class, weights, Place { chunk, at, weights: of_block, ahead }) in self.places() {
            link.pause().await;
            let (both, form) = (both.take(class.form.inputs() * COLUMNS), form.take(COLUMNS));
            for (k, both) in both.chunks_exact_mut(COLUMNS).enumerate() {
                // The block after this one, plane by plane: memory and processor work at the same time.
                if let Some(ahead) = ahead {
                    ahead.inputs(k, self.block());
                }
                fold.apply([&chunk.own, &chunk.next].map(|planes| chunk.block(planes, k, at, self.block())), both);
            }
            let (first, others) = of_columns.split_at_mut(EIGHTH);
            within(of_block, first);
            others.chunks_exact_mut(EIGHTH).for_each(|others| others.copy_from_slice(first));
            for (input, terms) in &weights.products {
                apply(terms, both, &of_columns, form);
                clmul::add_products(&both[input * COLUMNS..][..COLUMNS], form, &mut sums);
            }
        }
        sums.map(|s| Gf64::reduce(s[0] ^ s[1] ^ s[2] ^ s[3]))
    }

    async fn fold(self, link: &mut dyn Link, rows: &[Gf64], eq: &[Gf64; 8]) -> (Vectors<Gf64>, Gates<Lanes>) {
        let classes = self.gates.classes.iter().zip(&self.weights);
        let mut v =
            Vectors::zeros(padded(classes.map(|(c, w)| w.products.len() * c.blocks(self.block()) * EIGHTH).sum()));
        let factors = self.eighths();
        let fold = RowFold::new(rows, &std::array::from_fn(|u| eq[u] * factors[u]));
        let mut of_columns = [Gf64(0); EIGHTH];
        let mut parts = Folded::default();
        let mut done = 0;
        for (class, weights, Place { chunk, at, weights: of_block, ahead }) in self.places() {
            link.pause().await;
            within(of_block, &mut of_columns);
            let here = done..done + weights.products.len() * EIGHTH;
            for (planes, to, form) in
                [(&chunk.own, &mut v.own, &mut v.form_own), (&chunk.next, &mut v.next, &mut v.form_next)]
            {
                let parts = parts.take(class.form.inputs() * EIGHTH);
                for (k, part) in parts.chunks_exact_mut(EIGHTH).enumerate() {
                    if let Some(ahead) = ahead
                        && std::ptr::eq(planes, &raw const chunk.own)
                    {
                        ahead.inputs(k, self.block());
                    }
                    fold.apply_through(chunk.block(planes, k, at, self.block()), part);
                }
                for ((input, _), to) in weights.products.iter().zip(to[here.clone()].chunks_exact_mut(EIGHTH)) {
                    to.copy_from_slice(&parts[input * EIGHTH..][..EIGHTH]);
                }
                for ((_, terms), form) in weights.products.iter().zip(form[here.clone()].chunks_exact_mut(EIGHTH)) {
                    apply(terms, parts, &of_columns, form);
                }
            }
            done = here.end;
        }
        (v, self.gates)
    }
}

/// The weights of the columns of an eighth.
fn within(own: &[Gf64], out: &mut [Gf64]) {
    let (mut powers, mut of_words) = ([Gf64(0); EIGHTH], [Gf64(0); EIGHTH]);
    for (l, &w) in own.iter().enumerate() {
        for bit in 0..16 {
            let at = clmul::column(2 * l, bit);
            (powers[at], of_words[at]) = (Gf64(1 << bit), w);
        }
    }
    clmul::combine(&[(Gf64(1), &powers)], &of_words, out);
}

/// A sum of the inputs' columns, each with its weight.
fn apply(terms: &[(usize, Gf64)], inputs: &[Gf64], weights: &[Gf64], out: &mut [Gf64]) {
    let columns = weights.len();
    let terms: Vec<_> = terms.iter().map(|&(l, c)| (c, &inputs[l * columns..][..columns])).collect();
    clmul::combine(&terms, weights, out);
}

fn products(class: &Class<Lanes>, planes: &[Gf64]) -> Vec<(usize, Vec<(usize, Gf64)>)> {
    let weighted = |terms: Vec<(usize, usize, Lanes)>| {
        let mut form = Vec::<(usize, Gf64)>::new();
        for (o, l, c) in terms {
            let c = if c.0 & 1 == 1 { planes[o] } else { Gf64(0) };
            match form.iter_mut().find(|(at, _)| *at == l) {
                Some((_, sum)) => *sum = *sum + c,
                None => form.push((l, c)),
            }
        }
        form
    };
    factors(&*class.form).into_iter().map(|f| (f.input, weighted(f.terms))).collect()
}

/// Random elements.
fn points(stream: &mut Stream, n: usize) -> Result<Vec<Gf64>, Error> {
    let mut coins = vec![Z64::default(); n];
    stream.fill(&mut coins)?;
    Ok(coins.into_iter().map(|c| Gf64(c.0)).collect())
}
