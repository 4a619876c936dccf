//! What a client does: split a secret into three input shares, and put three output shares together again.

use crate::{
    Error, Party, PeerFault,
    ring::Ring,
    share::{Shares, same},
};
use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng, SeedableRng},
};
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The two components of an input that the client sends to one party. Opaque, wiped on drop; a strand takes it by value.
///
/// ```compile_fail
/// use trefoil_engine::{Z64, client::InputShare};
/// fn copy(x: &InputShare<Z64>) -> InputShare<Z64> { x.clone() }
/// ```
pub struct InputShare<R: Ring>(Shares<R>);

impl<R: Ring> InputShare<R> {
    /// Reads the two components from their wire form, little-endian elements.
    ///
    /// # Errors
    /// [`Error::Shape`] unless both have exactly `len` elements.
    pub fn from_bytes(len: usize, own: &[u8], next: &[u8]) -> Result<Self, Error> {
        Self::from_parts(len, &[own], &[next])
    }

    /// The same from several parts one after the other: columns of a table.
    ///
    /// # Errors
    /// [`Error::Shape`] unless each part has whole elements, and both components exactly `len`.
    pub fn from_parts(len: usize, own: &[&[u8]], next: &[&[u8]]) -> Result<Self, Error> {
        Ok(Self(Shares::new(elements(len, own)?, elements(len, next)?)))
    }

    /// The wire form: `own`, then `next`.
    pub fn as_bytes(&self) -> [&[u8]; 2] {
        [bytemuck::cast_slice(&self.0.own), bytemuck::cast_slice(&self.0.next)]
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn into_shares(self) -> Shares<R> {
        self.0
    }
}

impl<R: Ring> fmt::Debug for InputShare<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InputShare<{}>[{}]", R::NAME, self.len())
    }
}

/// The two components of an output that one party sends to the client. Opaque, wiped on drop.
///
/// Made by [`Verified::output`](crate::Verified::output) on a node, and from the wire form at the client: a node cannot release
/// shares that were not checked.
///
/// ```compile_fail
/// use trefoil_engine::{Party, Shares, Z64, client::OutputShare};
/// fn unchecked(x: Shares<Z64>) -> OutputShare<Z64> { OutputShare::new(Party::P0, x) }
/// ```
pub struct OutputShare<R: Ring> {
    party: Party,
    shares: Shares<R>,
}

impl<R: Ring> OutputShare<R> {
    pub(crate) fn new(party: Party, shares: Shares<R>) -> Self {
        Self { party, shares }
    }

    /// Reads the components a party sent.
    ///
    /// # Errors
    /// [`Error::Shape`] unless both have exactly `len` elements.
    pub fn from_bytes(party: Party, len: usize, own: &[u8], next: &[u8]) -> Result<Self, Error> {
        Ok(Self::new(party, Shares::new(elements(len, &[own])?, elements(len, &[next])?)))
    }

    /// The party that holds these components.
    pub fn party(&self) -> Party {
        self.party
    }

    /// The wire form: `own`, then `next`.
    pub fn as_bytes(&self) -> [&[u8]; 2] {
        [bytemuck::cast_slice(&self.shares.own), bytemuck::cast_slice(&self.shares.next)]
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.shares.len()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.shares.is_empty()
    }
}

impl<R: Ring> fmt::Debug for OutputShare<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OutputShare<{}>({})[{}]", R::NAME, self.party, self.len())
    }
}

/// Splits a secret vector into the three parties' input shares, with randomness from the system.
///
/// # Errors
/// [`Error::Entropy`] if the system gives no randomness.
pub fn split<R: Ring>(secret: &[R]) -> Result<[InputShare<R>; 3], Error> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut()).map_err(|e| Error::Entropy(e.to_string()))?;
    Ok(split_with(secret, &mut ChaCha20Rng::from_seed(*seed)))
}

/// As [`split`], with a generator of the caller's: for tests, and for a seed that stands for a share.
pub fn split_with<R: Ring>(secret: &[R], rng: &mut ChaCha20Rng) -> [InputShare<R>; 3] {
    let mut draw = || {
        let mut x = vec![R::default(); secret.len()];
        rng.fill_bytes(bytemuck::cast_slice_mut(&mut x));
        x
    };
    let (x0, x1) = (draw(), draw());
    let x2: Vec<R> = secret.iter().zip(&x0).zip(&x1).map(|((&x, &a), &b)| x - a - b).collect();
    [
        InputShare(Shares::new(x0.clone(), x1.clone())),
        InputShare(Shares::new(x1, x2.clone())),
        InputShare(Shares::new(x2, x0)),
    ]
}

/// Compares the doubly held components of three output shares, in party order, and adds them up.
///
/// # Errors
/// [`Error::Shape`] if lengths or parties do not fit; [`Error::Peer`] with [`PeerFault::Inconsistent`] if two copies differ: it
/// names the party whose `next` differs from its neighbour's `own`; either of the two may be at fault.
pub fn reconstruct<R: Ring>(shares: &[OutputShare<R>; 3]) -> Result<Vec<R>, Error> {
    let len = shares[0].len();
    for (p, share) in Party::ALL.into_iter().zip(shares) {
        same("the party of an output share", p.index(), share.party.index())?;
        same("an output share", len, share.len())?;
    }
    for p in Party::ALL {
        let [_, next] = shares[p.index()].as_bytes();
        let [own, _] = shares[p.next().index()].as_bytes();
        if !bool::from(own.ct_eq(next)) {
            return Err(Error::Peer { peer: p, fault: PeerFault::Inconsistent });
        }
    }
    Ok((0..len).map(|e| shares[0].shares.own[e] + shares[1].shares.own[e] + shares[2].shares.own[e]).collect())
}

fn elements<R: Ring>(len: usize, parts: &[&[u8]]) -> Result<Vec<R>, Error> {
    let size = size_of::<R>();
    same("a component, in bytes", len.saturating_mul(size), parts.iter().map(|part| part.len()).sum())?;
    let mut elements = Vec::with_capacity(len);
    for part in parts {
        same("what is left of an element, in bytes", 0, part.len() % size)?;
        elements.extend(part.chunks_exact(size).map(bytemuck::pod_read_unaligned::<R>));
    }
    Ok(elements)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::{Lanes, Z16, Z64};
    use proptest::prelude::*;

    fn released<R: Ring>(shares: &[InputShare<R>; 3]) -> [OutputShare<R>; 3] {
        Party::ALL.map(|p| {
            let [own, next] = shares[p.index()].as_bytes();
            OutputShare::from_bytes(p, shares[p.index()].len(), own, next).unwrap()
        })
    }

    proptest! {
        #[test]
        fn splitting_and_reconstructing_is_the_identity(x in proptest::collection::vec(any::<u64>(), 0..50)) {
            let words: Vec<Z64> = x.iter().copied().map(Z64).collect();
            prop_assert_eq!(reconstruct(&released(&split(&words).unwrap())).unwrap(), words);
            let lanes: Vec<Lanes> = x.iter().copied().map(Lanes).collect();
            prop_assert_eq!(reconstruct(&released(&split(&lanes).unwrap())).unwrap(), lanes);
            let small: Vec<Z16> = x.iter().map(|&x| Z16(x as u16)).collect();
            prop_assert_eq!(reconstruct(&released(&split(&small).unwrap())).unwrap(), small);
        }
    }

    #[test]
    fn one_flipped_bit_in_any_copy_is_noticed_and_located() {
        let shares = split(&[Z64(7), Z64(9)]).unwrap();
        for p in Party::ALL {
            for (copy, blamed) in [(0, p.prev()), (1, p)] {
                let mut out = released(&shares);
                let s = &mut out[p.index()].shares;
                if copy == 0 {
                    s.own[1].0 ^= 1 << 40;
                } else {
                    s.next[1].0 ^= 1 << 40;
                }
                let Err(Error::Peer { peer, fault: PeerFault::Inconsistent }) = reconstruct(&out) else { panic!() };
                assert_eq!(peer, blamed);
            }
        }
    }

    #[test]
    fn wrong_lengths_and_orders_are_refused() {
        assert!(matches!(InputShare::<Z64>::from_bytes(1, &[0; 8], &[0; 7]), Err(Error::Shape { .. })));
        assert!(matches!(InputShare::<Z64>::from_parts(1, &[&[0; 4], &[0; 4]], &[&[0; 8]]), Err(Error::Shape { .. })));
        assert!(matches!(InputShare::<Z64>::from_bytes(usize::MAX, &[0; 8], &[0; 8]), Err(Error::Shape { .. })));
        let mut out = released(&split(&[Z64(7)]).unwrap());
        out.swap(0, 1);
        assert!(matches!(reconstruct(&out), Err(Error::Shape { .. })));
    }

    #[test]
    fn shares_do_not_print() {
        let shares = split(&[Z64(0x1234_5678_9abc_def0)]).unwrap();
        let out = released(&shares);
        for text in [format!("{:?}", shares[0]), format!("{:?}", out[0]), format!("{:?}", shares[0].0)] {
            assert!(text.len() < 40 && text.ends_with("[1]"), "{text}");
        }
    }
}
