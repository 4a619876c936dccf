//! Signing keys that live at the nodes: enrolment, signatures, refresh, recovery of a device, and deletion.
//!
//! Each node has its share of a key in its store, as a [`Record`](trefoil_auth::rsa::Record), under the name of the owner and one of the owner's choice. Shares come in and change only when
//! the three nodes have shown each other that theirs fit, in a session of the mesh that is bound to all that is public about the step. A record is in the
//! store before anything that follows from it leaves the node, so a step that breaks off anywhere ends in the same shares at all three: at the next step, which settles first.
//!
//! A signature needs no session: the node raises the message to its share and answers. Who asks puts the parts together and finds a wrong one.

mod exchange;
mod expiry;
mod fault;
mod limit;
mod receipt;
mod recovery;
mod service;
mod signers;
mod spec;
mod step;
mod stored;

pub use expiry::ErasedKey;
pub use fault::KeyFault;
pub use limit::Rate;
pub use receipt::Deletion;
pub use recovery::{Claim, IssueRequest, RecoverySpec, RoleName};
pub use service::{Keys, KeysConfig, KeysHere, Signed};
pub use spec::{
    Enrolment, ExchangeId, HashName, KEY_MEDIA_TYPE, KeyId, KeyName, KeySpec, KeyStatus, KeyUse, MAX_SIGNERS, Partials,
    SignRequest, encode_secret,
};
pub(crate) use spec::{public_from_hex, secret_json};
pub use step::Step;
#[cfg(any(test, fuzzing))]
pub(crate) use stored::read_any;

#[cfg(test)]
mod tests;
