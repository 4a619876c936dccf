//! What a node signs when it has erased templates or forgotten a credential.

use super::{Auth, AuthFault, TemplateStatus, UserName};
use crate::{
    pki::ClientName,
    receipt::{Origin, Receipt, Statement},
};
use serde::{Deserialize, Serialize};
use trefoil_auth::webauthn::Bytes;

/// That a node has removed something from its store and its memory, with all its shares of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Erasure {
    /// Who states it, and when.
    #[serde(flatten)]
    pub origin: Origin,
    /// Whose it was.
    pub owner: ClientName,
    /// What.
    pub erased: Erased,
}

/// What a node has erased.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Erased {
    /// Templates of a user, in every version that the node had.
    Templates {
        /// The user.
        user: UserName,
        /// The templates.
        templates: Vec<TemplateStatus>,
    },
    /// A credential, by its id. Its key is deleted apart.
    Credential(Bytes),
}

impl Statement for Erasure {
    const PREFIX: &'static str = "trefoil erasure v1";

    fn origin(&self) -> &Origin {
        &self.origin
    }
}

impl Auth {
    /// What the owner is given who has had something erased at this node.
    ///
    /// # Errors
    /// [`AuthFault::Receipt`] if it is not signed.
    pub fn receipt(&self, owner: &ClientName, erased: Erased) -> Result<Receipt, AuthFault> {
        let erasure = Erasure { origin: self.notary.origin(), owner: owner.clone(), erased };
        self.notary.sign(&erasure).map_err(|e| AuthFault::Receipt(e.to_string()))
    }
}
