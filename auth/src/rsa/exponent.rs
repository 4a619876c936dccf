//! Shares of a private exponent: nonnegative integers of a fixed width.

use std::fmt;

use chacha20::rand_core::CryptoRng;
use crypto_bigint::BoxedUint;
use zeroize::Zeroizing;

use super::KeySize;

/// Bits by which an exponent is wider than the modulus.
///
/// Every value that is stored, sent or raised to is below 2^(n + 192), see [the proof](super#ranges). Differences on the way there may be negative; they are computed
/// modulo 2^(n + 192), which is exact for everything that ends in the range.
const EXTRA: u32 = 192;
/// A uniform component is below 2^(n + 192 - 5).
const COMPONENT_SPARE: u32 = 5;
/// A piece of a device's share is below a quarter of that, so that three of them are below a uniform component's bound.
const PIECE_SPARE: u32 = 7;

/// A secret integer in `[0, 2^(n + 192))` for a modulus of n bits. Erased when dropped.
pub(super) struct Exponent(Zeroizing<BoxedUint>);

/// From which range an [`Exponent`] is drawn.
#[derive(Clone, Copy)]
pub(super) enum Range {
    /// A component of a sum: `[0, 2^(n + 187))`.
    Component,
    /// A third of a device's share: `[0, 2^(n + 185))`.
    Piece,
}

impl Range {
    fn spare(self) -> u32 {
        match self {
            Self::Component => COMPONENT_SPARE,
            Self::Piece => PIECE_SPARE,
        }
    }
}

impl Exponent {
    /// The width for a modulus, in bits; a multiple of 64.
    pub(super) fn width(size: KeySize) -> u32 {
        size.bits() + EXTRA
    }

    /// The length of the encoding, in bytes.
    pub(super) fn bytes(size: KeySize) -> usize {
        Self::width(size) as usize / 8
    }

    /// Takes a value of the right precision.
    pub(super) fn new(value: Zeroizing<BoxedUint>) -> Self {
        Self(value)
    }

    /// Uniform in `range`.
    pub(super) fn random(size: KeySize, range: Range, rng: &mut impl CryptoRng) -> Self {
        let mut bytes = Zeroizing::new(vec![0; Self::bytes(size)]);
        rng.fill_bytes(&mut bytes);
        Self::uniform(&mut bytes, range)
    }

    /// Uniform in `range`, from as many uniform bytes as the encoding has. The bits above the range are cleared in place.
    pub(super) fn uniform(bytes: &mut [u8], range: Range) -> Self {
        if let Some(first) = bytes.first_mut() {
            *first &= 0xff >> range.spare();
        }
        Self::decode(bytes)
    }

    /// Big-endian, of any length that is a multiple of 8.
    pub(super) fn decode(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(BoxedUint::from_be_slice_truncated(bytes, 8 * bytes.len() as u32)))
    }

    /// Big-endian, [`Self::bytes`] long.
    pub(super) fn encode(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.0.to_be_bytes().into_vec())
    }

    /// The sum modulo 2^(n + 192).
    pub(super) fn plus(&self, other: &Self) -> Self {
        Self(Zeroizing::new(self.0.wrapping_add(&*other.0)))
    }

    /// The difference modulo 2^(n + 192).
    pub(super) fn minus(&self, other: &Self) -> Self {
        Self(Zeroizing::new(self.0.wrapping_sub(&*other.0)))
    }

    /// Twice the value, modulo 2^(n + 192).
    pub(super) fn twice(&self) -> Self {
        self.plus(self)
    }

    /// The same value again, in memory of its own.
    pub(super) fn copy(&self) -> Self {
        Self(self.0.clone())
    }

    /// For [`Modulus`](super::modular::Modulus), which raises to it in constant time.
    pub(super) fn value(&self) -> &BoxedUint {
        &self.0
    }
}

impl fmt::Debug for Exponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exponent(secret)")
    }
}
