//! A whole private key, for the moment between its making and its splitting.

use std::fmt;

use chacha20::rand_core::CryptoRng;
use crypto_bigint::{BoxedUint, ConcatenatingMul, Limb, NonZero, Resize};
use crypto_primes::{
    Flavor,
    hazmat::{SetBits, SmallFactorsSieveFactory},
    is_prime, sieve_and_find,
};
use pkcs8::{
    PrivateKeyInfoRef, SecretDocument,
    der::{Decode, asn1::UintRef},
};
use zeroize::Zeroizing;

use super::{E, KeySize, PublicKey, exponent::Exponent};
use crate::Error;

/// `t` of [the total](super#the-total) is `2^191`.
const MULTIPLE_SHIFT: u32 = 191;
/// |p - q| is above 2^(n/2 - 100) (FIPS 186-5, section A.1.3), or N is factored by trying numbers near its root.
const DISTANCE: u32 = 100;

/// An RSA private key that is whole. It can be split and nothing else, and is erased then.
///
/// What is kept is not `d` but [the total](super#the-total) `d + 2^191 phi(N)`, which signs as `d` does.
///
/// The memory of this type is erased when it is dropped, and so is every number that this module makes. The primality tests of
/// `crypto-primes` work on copies which that crate does not erase: a device should make keys in a process that ends with it.
///
/// ```compile_fail,E0599
/// # use trefoil_auth::rsa::PrivateKey;
/// fn keep(key: &PrivateKey) -> PrivateKey {
///     key.clone() // there is one of it
/// }
/// ```
///
/// ```compile_fail,E0599
/// # use trefoil_auth::rsa::PrivateKey;
/// fn store(key: &PrivateKey) -> Vec<u8> {
///     key.encode().to_vec() // shares have a binary form, the whole key has none
/// }
/// ```
pub struct PrivateKey {
    public: PublicKey,
    total: Exponent,
}

impl PrivateKey {
    /// Of [the total](super#the-total), which the caller has checked.
    pub(super) fn of_total(public: PublicKey, total: Exponent) -> Self {
        Self { public, total }
    }

    /// A new key: two random primes of half the size with the two highest bits set, e = 65537.
    ///
    /// # Errors
    ///
    /// [`Error::Key`] if the search for primes fails, which it does not with a sound source of randomness.
    pub fn generate(size: KeySize, rng: &mut impl CryptoRng) -> Result<Self, Error> {
        loop {
            let (p, q) = (prime(size.bits() / 2, rng)?, prime(size.bits() / 2, rng)?);
            if far_apart(&p, &q) {
                return Self::from_primes(&p, &q, size);
            }
        }
    }

    /// From PKCS#8 (RFC 5958) in DER, not encrypted: what `openssl pkcs8 -topk8 -nocrypt -outform DER` writes.
    ///
    /// # Errors
    ///
    /// [`Error::Key`] if it is something else, or a key that cannot be used: see [`Self::from_pkcs1_der`].
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, Error> {
        let info =
            PrivateKeyInfoRef::from_der(der).map_err(|_| Error::Key { fault: "it is no PKCS#8 private key in DER" })?;
        if info.algorithm != pkcs1::ALGORITHM_ID {
            return Err(Error::Key { fault: "its algorithm is not rsaEncryption" });
        }
        Self::from_pkcs1_der(info.private_key.as_bytes())
    }

    /// From PKCS#1 (RFC 8017, appendix A.1.2) in DER.
    ///
    /// # Errors
    ///
    /// [`Error::Key`] if it is something else; if it has more than two primes, or numbers that are not prime, not of half the size each, too close to
    /// each other, or whose product is not the modulus; if e is not 65537, or d is not its inverse.
    pub fn from_pkcs1_der(der: &[u8]) -> Result<Self, Error> {
        let key = pkcs1::RsaPrivateKeyRef::from_der(der)
            .map_err(|_| Error::Key { fault: "it is no RSAPrivateKey in DER" })?;
        if key.other_prime_infos.is_some() {
            return Err(Error::Key { fault: "it has more than two primes" });
        }
        if key.public_exponent.as_bytes() != super::EXPONENT {
            return Err(Error::Key { fault: "its public exponent is not 65537" });
        }
        let public = PublicKey::from_modulus(key.modulus.as_bytes())?;
        let half = public.size().bits() / 2;
        let read = |number: UintRef<'_>| {
            let fault = "its primes are not of half the size each";
            let value = BoxedUint::from_be_slice(number.as_bytes(), half).map_err(|_| Error::Key { fault })?;
            let value = Zeroizing::new(value);
            if value.bits() == half { Ok(value) } else { Err(Error::Key { fault }) }
        };
        let (p, q) = (read(key.prime1)?, read(key.prime2)?);
        if !is_prime(Flavor::Any, &*p) || !is_prime(Flavor::Any, &*q) {
            return Err(Error::Key { fault: "its primes are composite" });
        }
        if !far_apart(&p, &q) {
            return Err(Error::Key { fault: "its primes are too close to each other" });
        }
        let private = Self::from_primes(&p, &q, public.size())?;
        if private.public != public {
            return Err(Error::Key { fault: "its modulus is not the product of its primes" });
        }
        private.agrees_with(key.private_exponent.as_bytes())?;
        Ok(private)
    }

    /// From PEM: `PRIVATE KEY` (PKCS#8) or `RSA PRIVATE KEY` (PKCS#1), not encrypted.
    ///
    /// # Errors
    ///
    /// [`Error::Key`] if it is neither, or as in [`Self::from_pkcs1_der`].
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        let (label, document) =
            SecretDocument::from_pem(pem).map_err(|_| Error::Key { fault: "it is no PEM of a private key" })?;
        match label {
            "PRIVATE KEY" => Self::from_pkcs8_der(document.as_bytes()),
            "RSA PRIVATE KEY" => Self::from_pkcs1_der(document.as_bytes()),
            "ENCRYPTED PRIVATE KEY" => {
                Err(Error::Key { fault: "it is encrypted, decrypt it first (openssl pkey -in FILE)" })
            }
            _ => Err(Error::Key { fault: "it is a PEM of something else than an RSA private key" }),
        }
    }

    /// The public key.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    pub(super) fn total(&self) -> &Exponent {
        &self.total
    }

    fn from_primes(p: &BoxedUint, q: &BoxedUint, size: KeySize) -> Result<Self, Error> {
        let bits = size.bits();
        let modulus = p.concatenating_mul(q).resize_unchecked(bits);
        let public = PublicKey::from_modulus(&modulus.to_be_bytes())?;
        let one = BoxedUint::one_with_precision(bits);
        let [wide_p, wide_q] = [p, q].map(|prime| Zeroizing::new(prime.resize_unchecked(bits)));
        let sum = Zeroizing::new(wide_p.wrapping_add(&*wide_q));
        let phi = Zeroizing::new(Zeroizing::new(modulus.wrapping_sub(&*sum)).wrapping_add(&one));

        // d = (1 + k phi) / e with k = -1 / phi mod e, exactly: no inversion modulo a secret number is needed.
        let e = NonZero::<Limb>::new(Limb::from(E)).into_option().ok_or(Error::Key { fault: "e is zero" })?;
        // A limb is 32 bits on some systems, and 64 where this is linted.
        #[allow(clippy::useless_conversion)]
        let remainder = u64::from(phi.rem_limb(e).0);
        if remainder == 0 {
            return Err(Error::Key { fault: "65537 has no inverse modulo phi(N)" });
        }
        let k = Zeroizing::new(inverse(u64::from(E) - remainder));

        let width = Exponent::width(size);
        let wide = Zeroizing::new((&*phi).resize_unchecked(width));
        let product = Zeroizing::new(wide.wrapping_mul(BoxedUint::from(*k).resize_unchecked(width)));
        let numerator = Zeroizing::new(product.wrapping_add(BoxedUint::one_with_precision(width)));
        let (d, _) = numerator.div_rem_limb(e);
        let d = Exponent::new(Zeroizing::new(d));
        let multiple = Exponent::new(Zeroizing::new(wide.shl(MULTIPLE_SHIFT)));
        Ok(Self { public, total: d.plus(&multiple) })
    }

    /// Whether d, as it stands in a key that is brought in, does what the total does.
    fn agrees_with(&self, d: &[u8]) -> Result<(), Error> {
        let fault = "its private exponent is not the inverse of 65537";
        let bytes = Exponent::bytes(self.public.size());
        let padded = bytes.checked_sub(d.len()).ok_or(Error::Key { fault })?;
        let mut wide = Zeroizing::new(vec![0; bytes]);
        wide.get_mut(padded..).ok_or(Error::Key { fault })?.copy_from_slice(d);
        let base = self.public.ring().check_base();
        if base.to_the(&Exponent::decode(&wide)).to_the_e() == base { Ok(()) } else { Err(Error::Key { fault }) }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({:?}, secret)", self.public)
    }
}

fn prime(bits: u32, rng: &mut impl CryptoRng) -> Result<Zeroizing<BoxedUint>, Error> {
    let fault = Error::Key { fault: "the search for primes found none" };
    let e = NonZero::<Limb>::new(Limb::from(E)).into_option().ok_or(fault.clone())?;
    let sieve =
        SmallFactorsSieveFactory::<BoxedUint>::new(Flavor::Any, bits, SetBits::TwoMsb).map_err(|_| fault.clone())?;
    // e is prime, so it has an inverse unless it divides p - 1.
    let fits = |candidate: &BoxedUint| candidate.rem_limb(e) != Limb::ONE && is_prime(Flavor::Any, candidate);
    match sieve_and_find(rng, sieve, |_, candidate| fits(candidate)) {
        Ok(Some(prime)) => Ok(Zeroizing::new(prime)),
        Ok(None) | Err(_) => Err(fault),
    }
}

fn far_apart(p: &BoxedUint, q: &BoxedUint) -> bool {
    let (a, b) = (Zeroizing::new(p.wrapping_sub(q)), Zeroizing::new(q.wrapping_sub(p)));
    let bits = p.bits_precision();
    // One of the two is the distance; the other has wrapped around and is above 2^(n/2 - 1), as both have their highest bit set.
    a.bits() > bits - DISTANCE && b.bits() > bits - DISTANCE
}

/// `1 / x` modulo the prime e, by Fermat: the exponent is public, so there is no branch on `x`.
fn inverse(x: u64) -> u64 {
    let e = u64::from(E);
    let (mut power, mut square) = (1, x);
    for bit in 0..=E.ilog2() {
        if (e - 2) >> bit & 1 == 1 {
            power = power * square % e;
        }
        square = square * square % e;
    }
    power
}
