//! Masked values shown to two parties: what comes of them, their cost, and what a wrong copy ends in.

use bytes::Bytes;
use trefoil_engine::{
    Cost, Deviation,
    prelude::*,
    testing::{Setup, three_with},
    transport::memory::{Conditions, Position},
};

const N: usize = 7;

fn to_integers(words: &[Lanes], out: &mut [Z64]) {
    for (out, word) in out.iter_mut().zip(words) {
        *out = Z64(word.0);
    }
}

/// Shares of `d + m_1 + m_2` for a public `d`, opened beside the masks.
async fn unmasked<M: Mode>(mut ctx: Ctx<M>) -> Result<(Vec<Z64>, Vec<Z64>, Cost), Error> {
    let masks = ctx.masks::<Z64>(N)?;
    let m = masks.view().to_shares();
    let d = Shares::public(ctx.me(), &[Lanes(5); N]);
    // Components in which all three parties have a part.
    let zero = ctx.mul(d.view(), Shares::zeros(N).view()).await?;
    let before = ctx.cost();
    let x = ctx.unmask(masks, d.view().plus(zero.view())?.view(), to_integers).await?;
    let after = ctx.cost();
    let cost = Cost {
        rounds: after.rounds - before.rounds,
        bytes_sent: after.bytes_sent - before.bytes_sent,
        products: after.products - before.products,
    };
    let mut v = ctx.verify().await?;
    Ok((v.open(x.view()).await?, v.open(m.view()).await?, cost))
}

fn works<M: Mode>(bytes: [u64; 3]) {
    let out = three_with::<M, _, _>(Setup::default(), unmasked).map(Result::unwrap);
    for ((x, m, cost), bytes_sent) in out.iter().zip(bytes) {
        assert_eq!((x, m), (&out[0].0, &out[0].1));
        assert!(x.iter().zip(m).all(|(x, m)| *x == *m + Z64(5)));
        assert_ne!(m[0], m[1]);
        assert_eq!(*cost, Cost { rounds: 1, bytes_sent, products: 0 });
    }
}

#[test]
fn what_was_shown_and_the_masks_are_the_shares() {
    let words = 8 * N as u64;
    works::<SemiHonest>([words, words, 0]);
    works::<Malicious>([words, words + 32, 32]);
}

#[test]
fn a_wrong_copy_is_found_by_the_other_holders_hash() {
    let (mut wrong, mut runs) = (0, 0);
    for from in Party::ALL {
        for to in from.peers() {
            // Frame 0 of each pair belongs to the product, if they exchange one.
            for seq in 0..2 {
                let tamper = move |at: Position, frame: Bytes| {
                    let mut bytes = frame.to_vec();
                    if (at.from, at.to, at.seq) == (from, to, seq) {
                        bytes[0] ^= 4;
                    }
                    vec![(at.seq, bytes.into())]
                };
                let setup = Setup {
                    seed: 1,
                    conditions: Conditions { tamper: Some(Box::new(tamper)), ..Conditions::default() },
                };
                let out = three_with::<Malicious, _, _>(setup, unmasked);
                runs += 1;
                for (p, out) in Party::ALL.into_iter().zip(&out).filter(|(p, _)| *p != from) {
                    match out {
                        Ok((x, m, _)) => assert!(x.iter().zip(m).all(|(x, m)| *x == *m + Z64(5))),
                        Err(Error::Abort { suspects, what }) => {
                            assert!(suspects.contains(&from), "{p} accuses {suspects:?}");
                            wrong += usize::from(*what == Deviation::Opening);
                        }
                        Err(Error::Peer { peer, .. }) => assert_eq!(*peer, from, "{p}"),
                        Err(Error::Link { .. }) => {}
                        Err(other) => panic!("{p}: {other}"),
                    }
                }
            }
        }
    }
    assert!(wrong >= 4, "{wrong} of {runs} runs ended with different copies");
}
