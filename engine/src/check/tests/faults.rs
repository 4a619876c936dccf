//! Errors of each kind, one at a time, from each party.

use super::{Endings, product, rejected_for};
use crate::{
    Ctx, Deviation, Error, Malicious, Party, Shares,
    check::log::{Chunk, Recorded},
    ring::{Algebra, Deg1, Deg2, Lanes, Quadratic},
    testing::{Setup, three_with},
    transport::memory::{Conditions, Position, Tamper},
};
use bytes::Bytes;
use std::sync::{Arc, Mutex};

/// Products that fill more than one row.
const N: usize = 40;
/// Words of a row.
const ROW: usize = 8;

/// Flips bits of words of one frame: of the one that a party sends as its `seq`th to another.
fn flip(from: Party, to: Party, seq: u64, flips: &'static [(usize, u64)]) -> Tamper {
    Box::new(move |at, frame| {
        if (at.from, at.to, at.seq) != (from, to, seq) {
            return vec![(at.seq, frame)];
        }
        vec![(at.seq, flipped(&frame, flips))]
    })
}

fn flipped(frame: &Bytes, flips: &[(usize, u64)]) -> Bytes {
    let mut words: Vec<u64> = frame.chunks_exact(8).map(bytemuck::pod_read_unaligned).collect();
    for &(word, bits) in flips {
        words[word] ^= bits;
    }
    bytemuck::cast_slice(&words).to_vec().into()
}

/// The frames of an honest run: where, and how many words.
fn tape() -> Vec<(Position, usize)> {
    let tape: Arc<Mutex<Vec<(Position, usize)>>> = Arc::default();
    let record = tape.clone();
    let endings = product::<Lanes>(
        0,
        N,
        Box::new(move |at, frame| {
            record.lock().unwrap().push((at, frame.len() / 8));
            vec![(at.seq, frame)]
        }),
    );
    assert!(endings.into_iter().all(|e| e.is_ok_and(|products| products == N as u64)));
    let tape = tape.lock().unwrap();
    tape.clone()
}

#[test]
fn wrong_messages_of_gates_are_found() {
    let errors: [&[(usize, u64)]; 6] = [
        &[(0, 1)],
        &[(N - 1, 1 << 63)],
        // Two bits of a word.
        &[(5, 1 << 3 | 1 << 60)],
        // One bit in two words, in two rows, in the same place of two rows.
        &[(2, 1 << 9), (3, 1 << 9)],
        &[(2, 1 << 9), (2 + ROW, 1 << 9)],
        &[(7, u64::MAX), (7 + ROW, u64::MAX), (7 + 2 * ROW, u64::MAX), (7 + 3 * ROW, u64::MAX)],
    ];
    for corrupt in Party::ALL {
        for error in errors {
            let endings = product::<Lanes>(0, N, flip(corrupt, corrupt.prev(), 0, error));
            assert!(rejected_for(Deviation::Product, corrupt, &endings), "{error:?}: {endings:?}");
        }
    }
}

/// Three outputs.
#[derive(Clone, Copy)]
struct Pairs;
impl Quadratic<3, 3> for Pairs {
    fn eval<A: Algebra>(&self, [a, b, c]: [Deg1<A>; 3]) -> [Deg2<A>; 3] {
        [a * b, b * c, c * a]
    }
}

#[test]
fn the_same_error_in_all_outputs_of_a_gate_is_found() {
    for corrupt in Party::ALL {
        let tamper = flip(corrupt, corrupt.prev(), 0, &[(3, 1 << 5), (3 + N, 1 << 5), (3 + 2 * N, 1 << 5)]);
        let setup = Setup { seed: 0, conditions: Conditions { tamper: Some(tamper), ..Conditions::default() } };
        let endings = three_with(setup, async |mut ctx: Ctx<Malicious>| {
            let x: Shares<Lanes> = ctx.random(3 * N)?;
            ctx.quadratic(&Pairs, x.planes()?).await?;
            Ok(ctx.verify().await?.cost().products)
        });
        assert!(rejected_for(Deviation::Product, corrupt, &endings), "{endings:?}");
    }
}

/// What a party has recorded is not what it holds: so it proves, as `prev` it folds a wrong `a`, as `next` a wrong `b`.
#[test]
fn a_wrong_record_is_found() {
    type Planes = fn(&mut Chunk<Lanes>) -> &mut Vec<Lanes>;
    let planes: [Planes; 4] = [|c| &mut c.own, |c| &mut c.next, |c| &mut c.for_next, |c| &mut c.for_prev];
    for corrupt in Party::ALL {
        for plane in planes {
            let endings = three_with(Setup::default(), async |mut ctx: Ctx<Malicious>| {
                let (x, y) = (ctx.random::<Lanes>(N)?, ctx.random::<Lanes>(N)?);
                ctx.mul(x.view(), y.view()).await?;
                if ctx.me() == corrupt {
                    let chunk = &mut Lanes::gates(&mut ctx.log).classes[0].chunks[0];
                    plane(chunk)[3].0 ^= 1 << 11;
                }
                Ok(ctx.verify().await?.cost().products)
            });
            assert!(rejected_for(Deviation::Product, corrupt, &endings), "{endings:?}");
        }
    }
}

/// A product under a flip in one word of one frame.
fn with_flip(at: Position, word: usize) -> Endings {
    let tamper = move |here: Position, frame: Bytes| {
        vec![(here.seq, if here == at { flipped(&frame, &[(word, 1 << (word % 64))]) } else { frame })]
    };
    product::<Lanes>(0, N, Box::new(tamper))
}

/// The pieces of coins have two words, what verifiers open to each other three.
fn of_words(tape: &[(Position, usize)], n: usize) -> Vec<Position> {
    tape.iter().filter(|(_, words)| *words == n).map(|(at, _)| *at).collect()
}

/// Every value of every proof: of the first grid, of each level and of the last.
#[test]
fn wrong_values_of_proofs_are_found() {
    let is_proof = |(at, words): &(Position, usize)| at.to == at.from.next() && *words > 4;
    let proofs: Vec<_> = tape().into_iter().filter(is_proof).collect();
    // From each party a grid, two levels and the last.
    assert_eq!(proofs.len(), 3 * 4);
    for (at, words) in proofs {
        for word in 0..words {
            let endings = with_flip(at, word);
            assert!(rejected_for(Deviation::Product, at.from, &endings), "{at:?}, value {word}: {endings:?}");
        }
    }
}

#[test]
fn wrong_openings_of_the_last_level_are_found() {
    let tape = tape();
    let opened = of_words(&tape, 3);
    assert_eq!(opened.len(), 3 * 2);
    for at in opened {
        // The halves of both factors and of the product.
        for word in 0..3 {
            let endings = with_flip(at, word);
            assert!(rejected_for(Deviation::Product, at.from, &endings), "{at:?}: {endings:?}");
        }
    }
}

#[test]
fn different_coins_are_found_before_anything_is_opened_with_them() {
    let tape = tape();
    let pieces = of_words(&tape, 2);
    // For the weights, the grid, two levels and the last point.
    assert_eq!(pieces.len(), 3 * 5);
    for at in pieces {
        for word in 0..2 {
            let endings = with_flip(at, word);
            assert!(rejected_for(Deviation::Coins, at.from, &endings), "{at:?}: {endings:?}");
        }
    }
}

/// Two batches of one shape, of which the second is answered with proofs of the first.
#[test]
fn a_proof_of_another_batch_is_found() {
    for corrupt in Party::ALL {
        for proof in 0..4 {
            let mut first: Vec<Bytes> = Vec::new();
            let mut seen = 0;
            let tamper = Box::new(move |at: Position, frame: Bytes| {
                if at.from != corrupt || at.to != corrupt.next() || frame.len() <= 32 {
                    return vec![(at.seq, frame)];
                }
                seen += 1;
                if first.len() < 4 {
                    first.push(frame.clone());
                } else if seen == 5 + proof {
                    return vec![(at.seq, first[proof].clone())];
                }
                vec![(at.seq, frame)]
            });
            let setup = Setup { seed: 0, conditions: Conditions { tamper: Some(tamper), ..Conditions::default() } };
            let endings: Endings = three_with(setup, async |mut ctx: Ctx<Malicious>| {
                let (x, y) = (ctx.random::<Lanes>(N)?, ctx.random::<Lanes>(N)?);
                ctx.mul(x.view(), y.view()).await?;
                ctx.check().await?;
                ctx.mul(x.view(), y.view()).await?;
                Ok::<_, Error>(ctx.verify().await?.cost().products)
            });
            assert!(rejected_for(Deviation::Product, corrupt, &endings), "{endings:?}");
        }
    }
}

/// A party that keeps its gates' message back, says what it can say without it, and hopes to learn the first challenge: with it, it could choose errors that no weights find.
#[test]
fn no_challenge_is_told_before_the_gates_messages_are_out() {
    for corrupt in Party::ALL {
        let keep = move |at: Position, frame: Bytes| {
            let kept = (at.from, at.to, at.seq) == (corrupt, corrupt.prev(), 0);
            if kept { vec![] } else { vec![(at.seq, frame)] }
        };
        let setup = Setup { seed: 0, conditions: Conditions { tamper: Some(Box::new(keep)), ..Conditions::default() } };
        let endings = three_with(setup, async |mut ctx: Ctx<Malicious>| {
            let (x, y) = (ctx.random::<Lanes>(N)?, ctx.random::<Lanes>(N)?);
            ctx.mul(x.view(), y.view()).await?;
            if ctx.me() != corrupt {
                return ctx.verify().await.map(|_| ());
            }
            let (next, mut arrived, mut piece) = (corrupt.next(), [0; 1], [0; 16]);
            // Its pieces of the first coin and a first proof, of the right lengths.
            ctx.link.send(next, Bytes::copy_from_slice(&piece)).await?;
            ctx.link.send(next, Bytes::copy_from_slice(&[0; 8 * (27 - 8)])).await?;
            ctx.link.recv(next, &mut arrived).await?;
            ctx.link.recv(next, &mut piece).await
        });
        assert!(endings.iter().all(|ending| matches!(ending, Err(Error::Link { .. }))), "{endings:?}");
    }
}
