//! A lost device: whoever keeps the recovery share hands it in, split among the nodes, and is handed a device's share and a recovery share that are new.
//!
//! From the moment the new shares are in use until their keeper has them, two nodes together have the whole key, and the keeper has nothing yet. So they are handed out as often as he asks, and he is known
//! by a [`Claim`] that follows from the recovery share that he has handed in: a program that ended in between begins anew with the same file.

use super::{ExchangeId, KeyFault, KeyId, KeyStatus, Keys, step::Work};
use crate::pki::ClientName;
use serde::{Deserialize, Serialize, Serializer};
use std::{fmt, sync::Arc};
use trefoil_auth::rsa::{RecoveryPart, Role};
use zeroize::Zeroizing;

/// What whoever holds a recovery share can tell one node, and nobody else can: [`RecoveryKey::claim`](trefoil_auth::rsa::RecoveryKey::claim). 64 hexadecimal digits. Does not print itself.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Claim(Zeroizing<[u8; 32]>);

/// What is said of a recovery, before the part of the recovery share.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RecoverySpec {
    /// By which the keeper is known when he asks for what comes of it.
    pub claim: Claim,
}

/// Asks for this node's components of a new share.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct IssueRequest {
    /// Of the recovery share that was handed in.
    pub claim: Claim,
    /// Of which share.
    pub role: RoleName,
    /// The epoch of the shares of the nodes that it belongs to; left out, that in use. Where another node has an epoch in use that this one has prepared, this one hands out its components of it all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
}

/// Whom a new share is for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RoleName {
    /// The device.
    Device,
    /// Whoever keeps the recovery share.
    Recovery,
}

impl Keys {
    /// New shares of a key at all three nodes, and among them those of a new share for its device. Shares of before, of the nodes, the device and the recovery share, are of no use with them; the
    /// device's and the recovery share of before are the whole key between the two, as ever.
    /// Goes on if it is dropped. Repeated with the same recovery share it finds that it is done.
    ///
    /// # Errors
    /// [`KeyFault::Missing`] for everybody but the owner; [`KeyFault::Rate`]; [`KeyFault::Key`] if it is not the recovery share of this key; [`KeyFault::Recovered`] if what came of it was handed out. The
    /// shares in use are the old ones at all nodes then, or a later step finds that they are the new ones.
    pub async fn recover(
        self: &Arc<Self>,
        caller: &ClientName,
        (id, exchange): (KeyId, ExchangeId),
        (spec, part): (RecoverySpec, RecoveryPart),
    ) -> Result<KeyStatus, KeyFault> {
        id.owned_by(caller)?;
        self.load(&id).await?;
        self.admit(caller, &id)?;
        let status = self.with_others(caller, (id.clone(), exchange), Work::Recover(part, spec.claim)).await?;
        // The step ends well at all three first: one of them may not have heard yet that the shares were handed out.
        if !status.issuing {
            return Err(KeyFault::Recovered);
        }
        tracing::info!("recovered {id} for {caller}: new shares of epoch {} wait to be handed out", status.epoch);
        Ok(status)
    }

    /// This node's components of a new share that a recovery has made, in the binary form of [`Issued`](trefoil_auth::rsa::Issued). May be repeated until [`issued`](Self::issued).
    ///
    /// # Errors
    /// [`KeyFault::Missing`] for everybody but the owner; [`KeyFault::NotIssuing`] if there are none for this claim, [`KeyFault::Recovered`] if there are none any more.
    pub async fn issue(
        &self,
        caller: &ClientName,
        id: &KeyId,
        request: &IssueRequest,
    ) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
        id.owned_by(caller)?;
        let stored = self.load(id).await?;
        let epoch = request.epoch.unwrap_or(stored.record.status().epoch());
        let key = stored.claimed_at(epoch, &request.claim).ok_or_else(|| KeyFault::NotIssuing(id.clone()))?;
        let issued = key.issue(request.role.into()).ok_or(KeyFault::Recovered)?.encode(&stored.public);
        tracing::info!(
            "handed out to {caller}: this node's components of the new {:?} share of {id}, epoch {epoch}",
            request.role
        );
        Ok(issued)
    }

    /// The new shares are where they belong: this node erases its components of the device's. Goes on if it is dropped. May be repeated.
    ///
    /// # Errors
    /// [`KeyFault::Missing`] for everybody but the owner; [`KeyFault::NotIssuing`] if there are none for this claim; of the store.
    pub async fn issued(
        self: &Arc<Self>,
        caller: &ClientName,
        id: KeyId,
        spec: RecoverySpec,
    ) -> Result<KeyStatus, KeyFault> {
        id.owned_by(caller)?;
        let status = self.alone(id.clone(), move |stored| {
            if !stored.is_claimed_by(&spec.claim) {
                return Err(KeyFault::NotIssuing(stored.id.clone()));
            }
            stored.record.issued();
            Ok(())
        });
        let status = status.await?;
        tracing::info!(
            "{caller} has the new shares of {id}, epoch {}: this node has erased its components",
            status.epoch
        );
        Ok(status)
    }
}

impl Claim {
    /// Of the number that a recovery share has for a node.
    pub fn new(claim: Zeroizing<[u8; 32]>) -> Self {
        Self(claim)
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl TryFrom<String> for Claim {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let (text, mut bytes) = (Zeroizing::new(text), Zeroizing::new([0; 32]));
        hex::decode_to_slice(text.as_str(), bytes.as_mut()).map_err(|_| "a claim has 64 hexadecimal digits")?;
        Ok(Self(bytes))
    }
}

impl Serialize for Claim {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(hex::encode(self.bytes())))
    }
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Device => Self::Device,
            RoleName::Recovery => Self::Recovery,
        }
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claim(secret)")
    }
}
