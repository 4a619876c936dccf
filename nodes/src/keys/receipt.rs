//! What a node signs when it has deleted a key.

use super::{ExchangeId, KeyFault, KeyId, KeyName, stored::Stored};
use crate::{
    job::Sha256Hex,
    pki::ClientName,
    receipt::{Nonce, Notary, Origin, Receipt, Statement},
};
use serde::{Deserialize, Serialize};

/// That a node has removed its shares of a key, in use and prepared, from its store and its memory.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Deletion {
    /// Who states it, and when.
    #[serde(flatten)]
    pub origin: Origin,
    /// Whose the key was.
    pub owner: ClientName,
    /// Its name.
    pub name: KeyName,
    /// The enrolment it was of.
    pub enrolment: ExchangeId,
    /// SHA-256 of its modulus.
    pub key_sha256: Sha256Hex,
    /// The epoch of the shares in use, 0 if there were none.
    pub epoch: u64,
    /// The nonce of the request, if it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<Nonce>,
}

impl Statement for Deletion {
    const PREFIX: &'static str = "trefoil receipt v1";

    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn nonce(&self) -> Option<Nonce> {
        self.nonce
    }
}

/// What the owner of a key that was deleted is given.
pub(super) fn deleted(notary: &Notary, stored: &Stored, nonce: Option<Nonce>) -> Result<Receipt, KeyFault> {
    let KeyId { owner, name } = stored.id.clone();
    let deletion = Deletion {
        origin: notary.origin(),
        owner,
        name,
        enrolment: stored.spec.enrolment,
        key_sha256: Sha256Hex(stored.public.id()),
        epoch: stored.record.status().epoch(),
        nonce,
    };
    notary.sign(&deletion).map_err(|e| KeyFault::Bug(e.to_string()))
}
