//! In malicious mode the two copies of every component are compared: of inputs before anything is computed, of openings before anything is
//! believed.

use bytes::Bytes;
use std::sync::{Arc, Mutex};
use trefoil_engine::{
    Deviation,
    client::{self, InputShare},
    prelude::*,
    testing::{Setup, three_with},
    transport::memory::{Conditions, Position, Tamper},
};

const X: [Z64; 2] = [Z64(6), Z64(7)];

fn under(tamper: Tamper) -> Setup {
    Setup { seed: 0, conditions: Conditions { tamper: Some(tamper), ..Conditions::default() } }
}

/// Flips a bit of the `seq`th frame from one party to another.
fn flip(from: Party, to: Party, seq: u64) -> Setup {
    under(Box::new(move |at: Position, frame: Bytes| {
        let mut bytes = frame.to_vec();
        if (at.from, at.to, at.seq) == (from, to, seq) {
            bytes[5] ^= 1;
        }
        vec![(at.seq, bytes.into())]
    }))
}

/// A client that sends one of the six copies otherwise is found by the party whose `next` is compared, before a gate is computed.
#[test]
fn inconsistent_inputs_stop_the_job_before_it_begins() {
    for odd in Party::ALL {
        for component in 0..2 {
            let sent = client::split(&X).unwrap();
            let mut copies = Party::ALL.map(|p| sent[p.index()].as_bytes().map(<[u8]>::to_vec));
            copies[odd.index()][component][9] ^= 1;
            let products = Arc::new(Mutex::new(0));
            let out = three_with::<Malicious, _, _>(Setup::default(), async |mut ctx| {
                let [own, next] = &copies[ctx.me().index()];
                let x = ctx.input(InputShare::<Z64>::from_bytes(X.len(), own, next)?).await?;
                let z = ctx.mul(x.view(), x.view()).await?;
                *products.lock().unwrap() += 1;
                ctx.verify().await?.open(z.view()).await
            });
            // Its own copy is compared by `prev`.
            let notices = if component == 0 { odd.prev() } else { odd };
            for (p, out) in Party::ALL.into_iter().zip(&out) {
                match out {
                    Err(Error::Input { me, peer }) => assert_eq!((p, *me, *peer), (notices, notices, notices.next())),
                    Err(Error::Link { .. }) => assert_ne!(p, notices),
                    other => panic!("{p}: {other:?}"),
                }
            }
            // Only the party that receives nothing from the one that has noticed can finish its first gate.
            assert!(*products.lock().unwrap() <= 1);
        }
    }
}

/// A party that lies about the copy it holds is named with the client.
#[test]
fn a_party_that_lies_about_its_input_is_named() {
    for corrupt in Party::ALL {
        let sent = client::split(&X).unwrap();
        let out = three_with::<Malicious, _, _>(flip(corrupt, corrupt.prev(), 0), async |mut ctx| {
            let [own, next] = sent[ctx.me().index()].as_bytes();
            let x = ctx.input(InputShare::<Z64>::from_bytes(X.len(), own, next)?).await?;
            ctx.verify().await?.open(x.view()).await
        });
        let p = corrupt.prev();
        assert!(matches!(out[p.index()], Err(Error::Input { me, peer }) if (me, peer) == (p, corrupt)), "{out:?}");
    }
}

/// An opening under a flip: each party's value, or why it has none.
fn opening(setup: Setup) -> [Result<Vec<Z64>, Error>; 3] {
    three_with::<Malicious, _, _>(setup, async |ctx| {
        let x = Shares::public(ctx.me(), &X);
        ctx.verify().await?.open(x.view()).await
    })
}

fn is_opening<T>(out: &Result<T, Error>, corrupt: Party) -> bool {
    matches!(out, Err(Error::Abort { what: Deviation::Opening, suspects }) if suspects.contains(&corrupt))
}

/// Frame 0 says that all have accepted; frame 1 to `prev` is the component it lacks, to `next` the hash of the one it lacks.
#[test]
fn wrong_openings_are_not_believed() {
    for corrupt in Party::ALL {
        for to in corrupt.peers() {
            let out = opening(flip(corrupt, to, 1));
            for p in Party::ALL {
                if p == to {
                    assert!(is_opening(&out[p.index()], corrupt), "{out:?}");
                } else {
                    assert_eq!(out[p.index()].as_ref().ok(), Some(&X.to_vec()));
                }
            }
        }
    }
}

#[test]
fn wrong_revelations_are_not_believed() {
    for to in Party::ALL {
        for corrupt in to.peers() {
            let out = three_with::<Malicious, _, _>(flip(corrupt, to, 1), async |ctx| {
                let x = Shares::public(ctx.me(), &X);
                ctx.verify().await?.reveal_to(to, x.view()).await
            });
            for p in Party::ALL {
                if p == to {
                    assert!(is_opening(&out[p.index()], corrupt), "{out:?}");
                } else {
                    assert!(matches!(out[p.index()], Ok(None)));
                }
            }
        }
    }
}

/// What was not accepted by all is not opened by anyone it was said to.
#[test]
fn a_refusal_is_heard_before_anything_is_opened() {
    for corrupt in Party::ALL {
        for to in corrupt.peers() {
            let out = opening(flip(corrupt, to, 0));
            let refused = &out[to.index()];
            assert!(
                matches!(refused, Err(Error::Abort { what: Deviation::Account, suspects }) if suspects.contains(&corrupt)),
                "{out:?}"
            );
            // Nor by the others: an opening takes all three.
            assert!(out.iter().all(Result::is_err), "{out:?}");
        }
    }
}
