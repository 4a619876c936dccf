//! Replicated secret sharing among three parties: the core of Trefoil.
//!
//! Three parties hold a secret `x = x_0 + x_1 + x_2` so that party `i` knows `(x_i, x_{i+1})`: no one of them learns
//! anything, any two could reconstruct. Sums are local; a product, or any map of degree two, costs one round and one ring
//! element per output (Araki, Furukawa, Lindell, Nof, Ohara, CCS 2016).
//!
//! | concept | what it is |
//! |---|---|
//! | [`Party`] | P0, P1, P2 in a ring |
//! | [`Ring`](ring::Ring) | what is shared: [`Lanes`] (bit-sliced `F_2`), [`Z16`], [`Z32`], [`Z64`] |
//! | [`Shares`] | a party's two thirds of a vector |
//! | [`Ctx`] | one strand of a protocol: randomness, link, costs |
//! | [`Mode`] | what is recorded and checked: [`SemiHonest`], [`Malicious`] |
//! | [`Verified`] | a checked strand, the only thing that can open |
//!
//! The crate opens no sockets and no files; a network is a [`Transport`](transport::Transport).
//! Circuit authors import [`prelude`].
#![deny(unsafe_code)]

#[cfg(not(target_endian = "little"))]
compile_error!("ring elements go on the wire as they lie in memory, little-endian");

mod check;
pub mod client;
mod ctx;
mod error;
pub mod manual;
pub mod memory;
mod mode;
mod party;
mod protocol;
pub mod prss;
pub mod ring;
mod share;
pub mod simd;
pub mod testing;
pub mod transport;

pub use ctx::{CHECK_EVERY, Cost, Ctx};
pub use error::{Deviation, Error, LinkFault, PeerFault};
pub use mode::{Malicious, Mode, SemiHonest};
pub use party::Party;
pub use protocol::{Masks, Site, Verified};
pub use prss::{PairSecret, SessionBinding, SessionKeys};
pub use ring::{Lanes, Z16, Z32, Z64};
pub use share::{Apart, Kept, KeptRows, Matrix, Shares, Term, View, Windows};

/// What a circuit is written with.
pub mod prelude {
    pub use crate::{
        Ctx, Error, Kept, Malicious, Matrix, Mode, Party, SemiHonest, Shares, Term, Verified, View, Windows,
        ring::{Algebra, Deg1, Deg2, Lanes, Linear, Quadratic, Ring, Z16, Z32, Z64},
    };
}
