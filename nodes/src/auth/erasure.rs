//! What a node signs when it has erased templates or forgotten a credential.

use super::{Auth, AuthFault, TemplateName, TemplateStatus, UserName};
use crate::{
    job::JobId,
    pki::ClientName,
    receipt::{Origin, Receipt, Statement},
};
use serde::{Deserialize, Serialize};
use trefoil_auth::webauthn::{Bytes, CredentialId};

/// That a node has removed something from its store, with all its shares of it, and from what it keeps in memory. A session that was under way has them until it ends, and says nothing of them.
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

/// What an owner has asked the nodes to erase.
#[derive(Clone, Copy, Debug)]
pub enum Asked<'a> {
    /// Templates of a user.
    Templates {
        /// The user.
        user: &'a UserName,
        /// The one that was named, if one was.
        name: Option<&'a TemplateName>,
        /// Those that the user had, by name and enrolment.
        held: &'a [(TemplateName, JobId)],
    },
    /// A credential.
    Credential(&'a CredentialId),
}

impl Erasure {
    /// Whether it states that this was erased, of this owner's: all that was asked for, and of templates none of another name.
    pub fn answers(&self, owner: &ClientName, asked: Asked<'_>) -> bool {
        let what = match (&self.erased, asked) {
            (Erased::Templates { user: of, templates }, Asked::Templates { user, name, held }) => {
                let is_named = |other: &TemplateName| name.is_none_or(|name| name == other);
                let erased = |(name, enrolment): &(TemplateName, JobId)| {
                    templates.iter().any(|template| template.name == *name && template.enrolment == *enrolment)
                };
                of == user
                    && !templates.is_empty()
                    && templates.iter().all(|template| is_named(&template.name))
                    && held.iter().filter(|(name, _)| is_named(name)).all(erased)
            }
            (Erased::Credential(id), Asked::Credential(asked)) => id.0 == asked.as_bytes(),
            _ => false,
        };
        what && self.owner == *owner
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
