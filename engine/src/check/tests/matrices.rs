//! Products of matrices: every wrong message and every wrong record is found, and with few points as often as computed.

use super::{Endings, accepted, rejected_for};
use crate::{
    Ctx, Deviation, Error, Malicious, Matrix, Party, Shares, Windows,
    check::matrix::Product,
    prss::reduced::{self, Reduction, Stage},
    ring::{Lanes, Ring, Z16, Z64},
    testing::{Setup, three_with},
    transport::memory::{Conditions, Position, Tamper},
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
type Spoil<R> = fn(&mut Product<R>) -> &mut R;

fn matrices<R: Ring>(seed: u64, shape: Shape, tamper: Option<Tamper>, spoil: Option<(Party, Spoil<R>)>) -> Endings {
    let Shape { rows: [n, m], width, gates } = shape;
    three_with(
        Setup { seed, conditions: Conditions { tamper, ..Conditions::default() } },
        async |mut ctx: Ctx<Malicious>| {
            let [x, y, z, w]: [Shares<R>; 4] =
                [ctx.random(n * width)?, ctx.random(width + m)?, ctx.random(gates)?, ctx.random(width * n)?];
            let pair = [Windows::new(x.view(), width, n, width)?, Windows::new(y.view(), 1, m, width)?];
            ctx.dots(&[pair]).await?;
            ctx.matrix_vector(&Matrix::from_columns(n, w.view())?, y.view().slice(0, width)?).await?;
            if gates > 0 {
                ctx.mul(z.view(), z.view()).await?;
            }
            if let Some((corrupt, word)) = spoil
                && corrupt == ctx.me()
            {
                let word = word(&mut R::gates(&mut ctx.log).products[0]);
                *word = *word + R::bit(true);
            }
            Ok::<_, Error>(ctx.verify().await?.cost().products)
        },
    )
}

/// Adds to an element of the `seq`th message of a party's gates.
fn add<R: Ring>(corrupt: Party, seq: u64, element: usize, error: R) -> Tamper {
    Box::new(move |at: Position, frame: Bytes| {
        if (at.from, at.to, at.seq) != (corrupt, corrupt.prev(), seq) {
            return vec![(at.seq, frame)];
        }
        let mut z: Vec<R> = frame.chunks_exact(size_of::<R>()).map(bytemuck::pod_read_unaligned).collect();
        z[element] = z[element] + error;
        vec![(at.seq, bytemuck::cast_slice(&z).to_vec().into())]
    })
}

fn all_errors_are_found<R: Ring>(errors: &[R]) {
    for (k, shape) in SHAPES.into_iter().enumerate() {
        let honest = matrices::<R>(0, shape, None, None);
        assert!(honest.iter().all(Result::is_ok), "{shape:?}: {honest:?}");
        let [n, m] = shape.rows;
        for (seq, elements) in [n * m, n, shape.gates].into_iter().enumerate() {
            for element in [0, elements / 2, elements.saturating_sub(1)].into_iter().take(elements) {
                let corrupt = Party::ALL[(k + seq + element) % 3];
                for &error in errors {
                    let tamper = add(corrupt, seq as u64, element, error);
                    let endings = matrices::<R>(1, shape, Some(tamper), None);
                    let what = format!("{shape:?}, element {element} of message {seq}: {endings:?}");
                    assert!(rejected_for(Deviation::Product, corrupt, &endings), "{what}");
                }
            }
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
    let runs = 400;
    for (rows, weights) in [([1, 3], 1), ([3, 1], 1), ([3, 2], 2)] {
        let shape = Shape { rows, width: 20, gates: 0 };
        let through = |seed: u64| {
            let corrupt = Party::ALL[(seed % 3) as usize];
            let reduction = Reduction { bits: 4, stage: Stage::Only(0) };
            // The highest bit alone is the smallest ideal of the ring.
            let tamper = add(corrupt, 0, 0, Z16(1 << 15));
            let endings = reduced::with(Some(reduction), || matrices::<Z16>(seed, shape, Some(tamper), None));
            accepted(corrupt, &endings)
        };
        let found = (0..runs).filter(|&seed| through(seed)).count() as f64;
        let p = 1.0 - (1.0 - 1.0 / 16.0_f64).powi(weights);
        let (expected, deviation) = (runs as f64 * p, (runs as f64 * p * (1.0 - p)).sqrt());
        assert!((found - expected).abs() <= 4.0 * deviation, "{rows:?}: {found} of {runs}, not {expected}");
    }
}

/// A prover whose gates and matrices are off by the same, so that they would cancel if nothing stood between them.
#[test]
fn errors_of_gates_and_of_matrices_do_not_cancel() {
    let shape = Shape { rows: [1, 1], width: 20, gates: 30 };
    for corrupt in Party::ALL {
        let (mut first, mut second) = (add(corrupt, 0, 0, Z64(1)), add(corrupt, 2, 0, Z64(u64::MAX)));
        let both = Box::new(move |at: Position, frame: Bytes| {
            let frame = first(at, frame).remove(0).1;
            second(at, frame)
        });
        let endings = matrices::<Z64>(3, shape, Some(both), None);
        assert!(rejected_for(Deviation::Product, corrupt, &endings), "{endings:?}");
    }
}
