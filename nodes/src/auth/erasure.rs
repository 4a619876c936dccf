//! What a node signs when it has erased templates or forgotten a credential.

use super::{
    Auth, AuthFault, TemplateName, TemplateStatus, UserName,
    credentials::record as credential_record,
    gallery::{UserKey, erase},
};
use crate::{
    job::JobId,
    pki::ClientName,
    receipt::{Asked as Request, Met, Nonce, Notary, Origin, Receipt, Statement, USED, now_unix},
    store::{Space, WriteTransaction},
};
use serde::{Deserialize, Serialize};
use tracing::info;
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
    /// The nonce of the request, if it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<Nonce>,
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

    fn nonce(&self) -> Option<Nonce> {
        self.nonce
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
    /// Erases one template of a user, or all, with every share of them. Repeated with the same nonce it gives the same receipt, for [`KEPT`](crate::receipt::KEPT), whatever is there by then.
    ///
    /// # Errors
    /// [`AuthFault::Absent`] if there is none, [`AuthFault::Invalid`] for the nonce of another request, or of the store.
    pub async fn delete(
        &self,
        owner: &ClientName,
        (user, name): (UserName, Option<TemplateName>),
        nonce: Option<Nonce>,
    ) -> Result<Receipt, AuthFault> {
        let key = UserKey { owner: owner.clone(), user: user.clone() };
        let what = match &name {
            Some(name) => format!("template {user}/{name}"),
            None => format!("user {user}"),
        };
        let (receipt, gone) = self
            .erase((owner, what, nonce), move |records| {
                let gone = erase(records, &key, name.as_ref())?;
                let (names, mut templates): (Vec<_>, Vec<TemplateStatus>) = gone.into_iter().unzip();
                templates.dedup();
                if templates.is_empty() {
                    return Err(AuthFault::Absent("template"));
                }
                Ok((Erased::Templates { user, templates }, names))
            })
            .await?;
        self.forget(&gone);
        Ok(receipt)
    }

    /// Forgets a credential of an owner. Its key is deleted apart. Repeated as [`delete`](Self::delete).
    ///
    /// # Errors
    /// As [`delete`](Self::delete).
    pub async fn delete_credential(
        &self,
        owner: &ClientName,
        id: &[u8],
        nonce: Option<Nonce>,
    ) -> Result<Receipt, AuthFault> {
        let (name, id) = (credential_record(owner, id), id.to_vec());
        let what = format!("credential {}", hex::encode(&id));
        let erased = self.erase((owner, what, nonce), move |records| {
            if records.remove(Space::Credentials, &name)? {
                Ok((Erased::Credential(Bytes(id)), Vec::new()))
            } else {
                Err(AuthFault::Absent("credential"))
            }
        });
        Ok(erased.await?.0)
    }

    /// Erases something and signs that it is erased, or gives the receipt of before. With it, the names of records that have to leave memory.
    async fn erase(
        &self,
        (owner, what, nonce): (&ClientName, String, Option<Nonce>),
        work: impl FnOnce(&mut WriteTransaction<'_>) -> Result<(Erased, Vec<Vec<u8>>), AuthFault> + Send + 'static,
    ) -> Result<(Receipt, Vec<Vec<u8>>), AuthFault> {
        let (notary, whose, now) = (self.notary.clone(), owner.clone(), now_unix());
        let asked = nonce.map(|nonce| Request { owner: owner.clone(), nonce, what: what.clone() });
        let write = self.store.write(move |records| {
            match asked.as_ref().map(|asked| asked.met(records, now)).transpose()? {
                Some(Met::Before(receipt)) => return Ok((receipt, None)),
                Some(Met::Another) => return Err(AuthFault::Invalid(USED.to_owned())),
                Some(Met::New) | None => {}
            }
            let (erased, gone) = work(records)?;
            let receipt = receipt(&notary, (whose, nonce), erased)?;
            if let Some(asked) = &asked {
                asked.keep(records, (&receipt, now))?;
            }
            Ok((receipt, Some(gone)))
        });
        let (receipt, gone) = write.await?;
        if gone.is_some() {
            info!("{owner} has erased: {what}");
        }
        Ok((receipt, gone.unwrap_or_default()))
    }
}

/// What the owner is given who has had something erased at this node.
pub(super) fn receipt(
    notary: &Notary,
    (owner, nonce): (ClientName, Option<Nonce>),
    erased: Erased,
) -> Result<Receipt, AuthFault> {
    let erasure = Erasure { origin: notary.origin(), owner, erased, nonce };
    notary.sign(&erasure).map_err(|e| AuthFault::Receipt(e.to_string()))
}
