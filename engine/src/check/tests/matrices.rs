//! Products of matrices: every wrong message and every wrong record is found, and with few points as often as computed.

use super::{Endings, accepted, rejected_for};
use crate::{
    Ctx, Deviation, Error, Malicious, Matrix, Party, Shares, Windows,
    check::matrix::MatrixProduct,
    prss::reduced::{self, Reduction, Stage},
    ring::{Lanes, Ring, Z16, Z64},
    testing::{Setup, three_with},
    transport::{
        Path,
        memory::{Conditions, Position, Tamper},
    },
};
use bytes::Bytes;

/// Products of two matrices, of all rows of a third with one another, and of a matrix given by its columns with a vector; and element-wise products, or none.
#[derive(Clone, Copy, Debug)]
struct Shape {
    rows: [usize; 2],
    width: usize,
    gates: usize,
}

const SHAPES: [Shape; 6] = [
    Shape { rows: [1, 1], width: 5, gates: 0 },
    Shape { rows: [1, 3], width: 70, gates: 0 },
    Shape { rows: [9, 1], width: 300, gates: 30 },
    Shape { rows: [9, 5], width: 70, gates: 0 },
    Shape { rows: [2, 17], width: 9, gates: 600 },
    Shape { rows: [3, 2], width: 1, gates: 3 },
];

/// What a party does to its own record before the check.
type Spoil<R> = fn(&mut MatrixProduct<R>) -> &mut R;

fn matrices<R: Ring>(seed: u64, shape: Shape, tamper: Option<Tamper>, spoil: Option<(Party, Spoil<R>)>) -> Endings {
    let Shape { rows: [n, m], width, gates } = shape;
    three_with(
        Setup { seed, conditions: Conditions { tamper, ..Conditions::default() } },
        async |mut ctx: Ctx<Malicious>| {
            let [x, y, z, w]: [Shares<R>; 4] =
                [ctx.random(n * width)?, ctx.random(width + m)?, ctx.random(gates)?, ctx.random(width * n)?];
            let pair = [Windows::new(x.view(), width, n, width)?, Windows::new(y.view(), 1, m, width)?];
            ctx.dots(&[pair]).await?;
            // In two blocks of rows, on a strand of its own.
            let mut strand = ctx.fork(1).await?.remove(0);
            let mut blocks = Matrix::from_columns(n, w.view())?;
            blocks.push(n, (0..width).map(|k| w.view().slice(k * n, n)).collect::<Result<_, _>>()?)?;
            strand.matrix_vector(&blocks, y.view().slice(0, width)?).await?;
            ctx.join(strand)?;
            if gates > 0 {
                ctx.mul(z.view(), z.view()).await?;
            }
            if let Some((corrupt, word)) = spoil
                && corrupt == ctx.me()
            {
                // That of the rows, or one of a strand that was joined.
                let word = word(&mut R::gates(&mut ctx.log).products[n % 2]);
                *word = *word + R::bit(true);
            }
            Ok::<_, Error>(ctx.verify().await?.cost().products)
        },
    )
}

/// Adds to elements of the message of a party's gates that is the `seq`th of a strand.
fn add<R: Ring>(corrupt: Party, path: Path, seq: u64, errors: Vec<(usize, R)>) -> Tamper {
    Box::new(move |at: Position, frame: Bytes| {
        if (at.path, at.from, at.to, at.seq) != (path, corrupt, corrupt.prev(), seq) {
            return vec![(at.seq, frame)];
        }
        let mut z: Vec<R> = frame.chunks_exact(size_of::<R>()).map(bytemuck::pod_read_unaligned).collect();
        for &(element, error) in &errors {
            z[element] = z[element] + error;
        }
        vec![(at.seq, bytemuck::cast_slice(&z).to_vec().into())]
    })
}

fn all_errors_are_found<R: Ring>(errors: &[R]) {
    for (k, shape) in SHAPES.into_iter().enumerate() {
        let honest = matrices::<R>(0, shape, None, None);
        assert!(honest.iter().all(Result::is_ok), "{shape:?}: {honest:?}");
        let [n, m] = shape.rows;
        let (root, strand) = (Path::root(), Path::root().child(0));
        let messages = [(root, 0, n * m), (strand, 0, 2 * n), (root, 1, shape.gates)];
        let mut wrong = Vec::new();
        for (path, seq, elements) in messages {
            for element in [0, elements / 2, elements.saturating_sub(1)].into_iter().take(elements) {
                wrong.extend(errors.iter().map(|&error| (path, seq, vec![(element, error)])));
            }
        }
        // Errors that cancel in a row and in a column, were their weights the same.
        for second in [m, 1].into_iter().filter(|&second| second < n * m) {
            let opposite = |&error: &R| (root, 0, vec![(0, error), (second, R::default() - error)]);
            wrong.extend(errors.iter().map(opposite));
        }
        for (at, (path, seq, errors)) in wrong.into_iter().enumerate() {
            let corrupt = Party::ALL[(k + at) % 3];
            let what = format!("{shape:?}, {errors:?} in message {seq} of {path}");
            let endings = matrices::<R>(1, shape, Some(add(corrupt, path, seq, errors)), None);
            assert!(rejected_for(Deviation::Product, corrupt, &endings), "{what}: {endings:?}");
        }
    }
}

#[test]
fn wrong_products_of_matrices_are_found() {
    all_errors_are_found(&[Z16(1), Z16(1 << 15)]);
    all_errors_are_found(&[Z64(1), Z64(1 << 63)]);
    all_errors_are_found(&[Lanes(1), Lanes(1 << 63 | 1 << 7)]);
}

#[test]
fn a_wrong_record_of_a_matrix_is_found() {
    fn check<R: Ring>() {
        let words: [Spoil<R>; 6] = [
            |p| &mut p.x.own[1],
            |p| &mut p.x.next[0],
            |p| &mut p.y.own[0],
            |p| &mut p.y.next[1],
            |p| &mut p.for_next[0],
            |p| &mut p.for_prev[0],
        ];
        for shape in SHAPES.into_iter().filter(|shape| shape.width > 1) {
            for (k, word) in words.into_iter().enumerate() {
                let corrupt = Party::ALL[k % 3];
                let endings = matrices::<R>(2, shape, None, Some((corrupt, word)));
                assert!(rejected_for(Deviation::Product, corrupt, &endings), "{shape:?}, {k}: {endings:?}");
            }
        }
    }
    check::<Z16>();
    check::<Lanes>();
}

/// With 16 points a weight is zero in one of 16 runs, and an error goes unseen if one of its weights is: of its row of either matrix, but for a matrix of one row.
#[test]
fn errors_are_missed_as_often_as_weights_are_zero() {
    for (rows, weights, runs) in [([1, 3], 1, 400_u32), ([3, 1], 1, 400), ([3, 2], 2, 1600)] {
        let shape = Shape { rows, width: 20, gates: 0 };
        let through = |seed: u64| {
            let corrupt = Party::ALL[(seed % 3) as usize];
            let reduction = Reduction { bits: 4, stage: Stage::Only(0) };
            // The highest bit alone is the smallest ideal of the ring.
            let tamper = add(corrupt, Path::root(), 0, vec![(0, Z16(1 << 15))]);
            let endings = reduced::with(Some(reduction), || matrices::<Z16>(seed, shape, Some(tamper), None));
            accepted(corrupt, &endings)
        };
        let found = (0..runs).filter(|&seed| through(u64::from(seed))).count() as f64;
        let p = 1.0 - (1.0 - 1.0 / 16.0_f64).powi(weights);
        let (expected, deviation) = (f64::from(runs) * p, (f64::from(runs) * p * (1.0 - p)).sqrt());
        assert!((found - expected).abs() <= 4.0 * deviation, "{rows:?}: {found} of {runs}, not {expected}");
    }
}
