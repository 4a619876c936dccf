//! The check against parties that deviate.

mod faults;
mod matrices;
mod soundness;

use crate::{
    Ctx, Deviation, Error, Malicious, Party, Shares,
    ring::Ring,
    testing::{Setup, three_with},
    transport::memory::{Conditions, Tamper},
};

/// How a run ended for each party: with the number of products, or not.
type Endings = [Result<u64, Error>; 3];

/// A product of vectors of `n` elements, checked, under `tamper`.
fn product<R: Ring>(seed: u64, n: usize, tamper: Tamper) -> Endings {
    let setup = Setup { seed, conditions: Conditions { tamper: Some(tamper), ..Conditions::default() } };
    three_with(setup, async |mut ctx: Ctx<Malicious>| {
        let (x, y): (Shares<R>, Shares<R>) = (ctx.random(n)?, ctx.random(n)?);
        ctx.mul(x.view(), y.view()).await?;
        Ok(ctx.verify().await?.cost().products)
    })
}

/// Whether the honest parties have accepted. If one has not, no one has, and whoever speaks of deviation names the corrupt party.
fn accepted(corrupt: Party, endings: &Endings) -> bool {
    let honest = corrupt.peers().map(|p| &endings[p.index()]);
    let accepted = honest.iter().filter(|e| e.is_ok()).count();
    assert_ne!(accepted, 1, "{endings:?}");
    for ending in honest {
        match ending {
            Ok(_) | Err(Error::Link { .. }) => (),
            Err(Error::Abort { suspects, .. }) => assert!(suspects.contains(&corrupt), "{endings:?}"),
            Err(e) => panic!("{e}"),
        }
    }
    accepted == 2
}

/// Whether an honest party has rejected for this reason, and none has accepted.
fn rejected_for(what: Deviation, corrupt: Party, endings: &Endings) -> bool {
    let found = |e: &Result<_, Error>| matches!(e, Err(Error::Abort { what: found, .. }) if *found == what);
    !accepted(corrupt, endings) && corrupt.peers().iter().any(|p| found(&endings[p.index()]))
}
