//! RSA signatures under a key that is split between a device and the three nodes.
//!
//! What is signed is a [`Message`]: its PKCS#1 v1.5 encoding is computed by whoever signs, from typed inputs. No node
//! ever raises a number to its share that somebody else chose.
//!
//! ```
//! use trefoil_auth::rsa::*;
//!
//! // On the device, at enrolment: each share goes where it belongs, and the whole key is gone.
//! let mut rng = randomness()?;
//! let Split { device, nodes, recovery } = PrivateKey::generate(KeySize::Rsa2048, &mut rng)?.split(&mut rng);
//! # drop(recovery);
//!
//! // At a login: the device and any two nodes encode what is to be signed, each for itself.
//! let (authenticator_data, client_data_hash) = ([0; 37], [1; 32]);
//! let message = Message::webauthn(&authenticator_data, &client_data_hash)?;
//! let part = DeviceSigner::new(&device).sign(&message, &mut rng)?;
//! let first = NodeSigner::new(&nodes[0]).sign(&message, &mut rng)?;
//! let second = NodeSigner::new(&nodes[2]).sign(&message, &mut rng)?;
//!
//! // Whoever combines releases nothing that does not verify.
//! let public = device.public();
//! let signed = combine(public, &message, Some(&part), &[first, second])?;
//! assert!(public.verifies(&message, &signed.signature));
//! # Ok::<(), trefoil_auth::Error>(())
//! ```
//!
//! # Who holds what
//!
//! | | key with a device | key of the nodes alone |
//! |---|---|---|
//! | device | `u` | |
//! | node `i` | `w_i`, `w_{i+1}` | `w_i`, `w_{i+1}` |
//! | recovery | `v` | |
//!
//! with `w = w_0 + w_1 + w_2`, over the integers, and `D` [the total](#the-total):
//!
//! - device and nodes: `D = u + w`;
//! - device and recovery: `D = 2u + v`;
//! - nodes and recovery: `D = 2w - v`, or `u = w - v`;
//! - nodes alone, for keys without a device: `D = w`.
//!
//! These are points of the line `D - u x`: w at 1, v at 2, and u is its slope. It is Shamir's sharing with points such that no coefficient has a
//! denominator, so it works over the integers, where the order of the group is unknown. One number each is the least state that 2 of 3 can have.
//!
//! # The total
//!
//! `D = d + 2^191 phi(N)`, where `d` is the inverse of e modulo `phi(N)`. Raising to D is raising to d. The multiple makes D so large that all
//! shares are nonnegative although they are differences: there is no sign to branch on, no inverse to compute for a negative exponent, and every exponentiation is as
//! long as any other.
//!
//! # Ranges
//!
//! Let N have n bits and `B = 2^(n+187)`. `u`, `w_0` and `w_1` are uniform in `[0, B)`; after a recovery `u` is a sum of three numbers
//! uniform in `[0, B/4)`. As `phi(N) > 2^(n-1) - 2^(n/2+2)`, `D > 7B`, and as `phi(N) < 2^n` and `d < phi(N)`, `D < 2^(n+191) + 2^n`. Therefore
//!
//! - `w_2 = D - u - w_0 - w_1` is above `4B` and `v = D - 2u` above `5B`; the third part of v, `v - v_0 - v_1`, is above `3B`;
//! - everything is below `2^(n+192)`, the width in which it is stored and to which it is raised.
//!
//! Differences on the way may be negative. They are computed modulo `2^(n+192)`, which is exact because what they end in is in range.
//!
//! # What a share tells
//!
//! N is public, so D is known to within `2^(n+1)`: `2^191 N` less at most `2^191 (p + q)`, and d. It is odd, because d is. Take two values of D that
//! could be, which then differ by an even `c < 2^(n+1)`, and compare what a party sees for the one and for the other:
//!
//! - the device alone: `u`, the same for both;
//! - two nodes without the device: all of w, and `w = D - u`. Moving u by c makes up for c, and the distance of u from u + c is `c/B < 2^-186`;
//! - recovery alone: `v = D - 2u`; moving u by c/2 makes up for it;
//! - device and one node: u and two of the three components, of which a node that lacks `w_2` sees numbers independent of D, and
//!   a node that lacks `w_0` or `w_1` sees a `w_2` for which moving that one by c makes up;
//! - recovery and one node: u moves by c/2, and with it the component that the node lacks.
//!
//! So the statistical distance is at most `2^-185` for each time shares are made, and `2^-183` for a recovery, where u has a quarter of the range in each third.
//! The draws of different epochs are independent and the distances add up: 128 bits are left after `2^55` of them.
//!
//! A device with two nodes, or recovery with two nodes, or device with recovery have the key; so do two nodes of a key without a device.
mod comb;
mod combine;
mod confirm;
mod encoding;
mod exchange;
mod exponent;
mod keys;
mod modular;
mod private;
mod progress;
mod public;
mod record;
mod recover;
mod renew;
mod sign;
#[cfg(test)]
mod tests;
mod wire;

use chacha20::rand_core::SeedableRng;
pub use chacha20::{ChaCha20Rng, rand_core::CryptoRng};
pub use combine::{Signed, combine};
pub use confirm::{Confirmation, Prepared, Unconfirmed};
pub use encoding::{Hash, Message, Purpose};
pub use exchange::{Contribution, Difference};
pub use keys::{DeviceKey, NodeKey, RecoveryKey, Split};
pub use private::PrivateKey;
pub use progress::Outcome;
pub use public::{EXPONENT, KeySize, PublicKey};
pub use record::{Record, Status};
pub use recover::{Issued, Recovery, RecoveryPart, Role};
pub use renew::{Renewal, Seeded};
pub use sign::{DevicePartial, DeviceSigner, NodePartials, NodeSigner, sign_without_nodes};
use zeroize::Zeroizing;

use crate::Error;

/// The public exponent of all keys.
const E: u32 = 65537;

/// A generator for everything random here, seeded by the system; it is erased when dropped.
///
/// # Errors
///
/// [`Error::Entropy`] if the system gives no randomness.
pub fn randomness() -> Result<ChaCha20Rng, Error> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut()).map_err(|error| Error::Entropy(error.to_string()))?;
    Ok(ChaCha20Rng::from_seed(*seed))
}
