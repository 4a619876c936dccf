//! Arithmetic modulo N: raising to a share in constant time, with the base blinded.

use std::{array, fmt};

use chacha20::rand_core::CryptoRng;
use crypto_bigint::{
    BoxedUint, Odd, RandomBits, Resize,
    modular::{BoxedMontyForm, BoxedMontyParams},
};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{E, comb::Comb, exponent::Exponent};

/// How many signatures a blinding serves, each with the square of the one before it.
const BLINDING_USES: u32 = 32;

/// The ring of integers modulo N.
#[derive(Clone)]
pub(super) struct Modulus(BoxedMontyParams);

/// A number modulo N. Public: a message, a partial signature or a signature.
#[derive(Clone, Eq, PartialEq)]
pub(super) struct Residue(BoxedMontyForm);

/// Exponents of the same width with a blinding for the bases raised to all of them.
pub(super) struct Raise<const N: usize> {
    exponents: [Exponent; N],
    blinding: Option<Blinding<N>>,
}

/// `base` is random and `back` is its inverse, raised to each exponent.
struct Blinding<const N: usize> {
    base: Zeroizing<BoxedMontyForm>,
    back: [Zeroizing<BoxedMontyForm>; N],
    left: u32,
}

impl Modulus {
    /// From an odd modulus.
    pub(super) fn new(modulus: Odd<BoxedUint>) -> Self {
        Self(BoxedMontyParams::new_vartime(modulus))
    }

    /// N.
    pub(super) fn value(&self) -> &BoxedUint {
        self.0.modulus()
    }

    /// The length of a residue's encoding, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.0.bits_precision() as usize / 8
    }

    /// A big-endian number, `None` unless it is as long as N and in `[0, N)`.
    pub(super) fn residue(&self, bytes: &[u8]) -> Option<Residue> {
        let value = BoxedUint::from_be_slice(bytes, self.0.bits_precision()).ok()?;
        (bytes.len() == self.bytes() && value < *self.value()).then(|| Residue(BoxedMontyForm::new(value, &self.0)))
    }

    /// One.
    pub(super) fn one(&self) -> Residue {
        Residue(BoxedMontyForm::one(&self.0))
    }

    /// The base on which shares are checked: a square that everybody computes from N, and whose root nobody knows.
    pub(super) fn check_base(&self) -> Residue {
        let n = self.value().to_be_bytes();
        let blocks = (0u32..).flat_map(|i| {
            let hash = Sha256::new().chain_update(b"trefoil-auth rsa check base v1");
            hash.chain_update(i.to_be_bytes()).chain_update(&n).finalize()
        });
        let mut bytes: Vec<u8> = blocks.take(self.bytes()).collect();
        // Below 2^(n-1), hence below N.
        if let Some(first) = bytes.first_mut() {
            *first &= 0x7f;
        }
        let root = BoxedMontyForm::new(BoxedUint::from_be_slice_truncated(&bytes, self.0.bits_precision()), &self.0);
        Residue(root.square())
    }

    fn random(&self, rng: &mut impl CryptoRng) -> BoxedMontyForm {
        let bits = self.0.bits_precision();
        let value = BoxedUint::random_bits(rng, bits - 1).resize_unchecked(bits);
        BoxedMontyForm::new(value, &self.0)
    }
}

impl Residue {
    /// Big-endian, as long as N.
    pub(super) fn encode(&self) -> Vec<u8> {
        self.0.retrieve().to_be_bytes().into_vec()
    }

    /// The product.
    pub(super) fn times(&self, other: &Self) -> Self {
        Self(&self.0 * &other.0)
    }

    /// Raised to `e`, which is public.
    pub(super) fn to_the_e(&self) -> Self {
        Self(self.0.pow_bounded_exp(&BoxedUint::from(E), E.ilog2() + 1))
    }

    /// Raised to a share, in time that depends on N alone. For bases that no peer chooses; other ones are raised by [`Raise`].
    pub(super) fn to_the(&self, exponent: &Exponent) -> Self {
        Self(self.0.pow(exponent.value()))
    }
}

impl<const N: usize> Raise<N> {
    /// For these exponents.
    pub(super) fn new(exponents: [Exponent; N]) -> Self {
        Self { exponents, blinding: None }
    }

    /// Raises `base` to each exponent, in time that depends on the modulus alone.
    ///
    /// What is raised is `base * r` for a random `r`, and `r^-x` takes the blinding away again. `r` and its inverses are squared after each
    /// use and drawn anew after 32 (Kocher, CRYPTO 1996, section 10).
    pub(super) fn base(&mut self, base: &Residue, modulus: &Modulus, rng: &mut impl CryptoRng) -> [Residue; N] {
        let mut blinding = match self.blinding.take().filter(|blinding| blinding.left > 0) {
            Some(blinding) => blinding,
            None => Blinding::new(&self.exponents, modulus, rng),
        };
        let blinded = Zeroizing::new(&base.0 * &*blinding.base);
        let powers = powers(&blinded, &self.exponents);
        let raised = array::from_fn(|i| Residue(&*powers[i] * &*blinding.back[i]));
        blinding.base = Zeroizing::new(blinding.base.square());
        blinding.back = blinding.back.map(|back| Zeroizing::new(back.square()));
        blinding.left -= 1;
        self.blinding = Some(blinding);
        raised
    }
}

impl<const N: usize> Blinding<N> {
    fn new(exponents: &[Exponent; N], modulus: &Modulus, rng: &mut impl CryptoRng) -> Self {
        loop {
            let base = Zeroizing::new(modulus.random(rng));
            // No inverse: r has a factor with N in common, which finds the key and will not happen.
            if let Some(inverse) = Option::<BoxedMontyForm>::from(base.invert()) {
                let back = powers(&Zeroizing::new(inverse), exponents);
                return Self { base, back, left: BLINDING_USES };
            }
        }
    }
}

/// The base, raised to each exponent. Their widths are the same.
fn powers<const N: usize>(base: &BoxedMontyForm, exponents: &[Exponent; N]) -> [Zeroizing<BoxedMontyForm>; N] {
    let bits = exponents.iter().map(|exponent| exponent.value().bits_precision()).max().unwrap_or_default();
    let comb = Comb::new(base, bits);
    exponents.each_ref().map(|exponent| Zeroizing::new(comb.raise(exponent.value())))
}

impl<const N: usize> fmt::Debug for Raise<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Raise(secret)")
    }
}
