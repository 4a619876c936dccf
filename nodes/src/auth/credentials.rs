//! Credentials of users with relying parties, as each node keeps them.

use super::{
    Auth, AuthFault, UserName,
    gallery::UserKey,
    records::{read, written},
};
use crate::{
    keys::{KeyId, KeyName},
    pki::ClientName,
    store::Space,
};
use serde::{Deserialize, Serialize};
use trefoil_auth::{
    rsa::PublicKey,
    webauthn::{Backup, Bytes, Credential, CredentialId, Discoverable, Hosts, Origin, RpId},
};

/// Devices that may log in with a credential at most.
pub(super) const MOST_DEVICES: usize = 16;

/// A host whose pages are served by the machine itself, in tests.
const LOCALHOST: &str = "localhost";

/// A credential, as its owner stores it at all three nodes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialSpec {
    /// The id of the relying party.
    pub rp_id: String,
    /// The relying party's handle of the user: 1 to 64 bytes.
    pub handle: Bytes,
    /// The user whose templates probes are compared with.
    pub user: UserName,
    /// The key whose shares the nodes have.
    pub key: KeyName,
    /// Whether a probe has to match for a signature.
    #[serde(default)]
    pub verification: Verification,
    /// Whether the credential can be found without its id.
    #[serde(default)]
    pub discoverable: bool,
    /// Whether it outlives its device.
    #[serde(default)]
    pub backup: Backing,
    /// The clients beside the owner that may log in with it. They may do nothing else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<ClientName>,
}

/// Whether a probe has to match for a signature.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verification {
    /// Nothing is signed without a match. It takes all three nodes.
    #[default]
    Required,
    /// Where the relying party does not require it, the device and two nodes sign without a probe, and without the flag UV.
    Optional,
}

/// Whether a credential outlives its device.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backing {
    /// There is no recovery share.
    #[default]
    None,
    /// It can be recovered, and the recovery share has not been handed out.
    Eligible,
    /// A recovery share is kept.
    BackedUp,
}

/// A credential as a node describes it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct CredentialStatus {
    /// Its id.
    pub id: Bytes,
    /// What was stored.
    #[serde(flatten)]
    pub spec: CredentialSpec,
}

impl CredentialSpec {
    /// The key, which is the owner's too.
    pub(super) fn key_of(&self, owner: &ClientName) -> KeyId {
        KeyId { owner: owner.clone(), name: self.key.clone() }
    }

    /// The credential, as it is registered.
    ///
    /// # Errors
    /// [`trefoil_auth::Error`] if the relying party's id is none, or the handle or id has another length.
    pub fn credential(&self, id: &[u8], public: PublicKey) -> Result<Credential, trefoil_auth::Error> {
        if !(1..=64).contains(&self.handle.0.len()) {
            let got = self.handle.0.len();
            return Err(trefoil_auth::Error::Length { what: "the handle of the user", expected: "1 to 64", got });
        }
        let origin = Origin::parse(&format!("https://{}", self.rp_id), hosts(&self.rp_id))?;
        Ok(Credential {
            id: CredentialId::new(id)?,
            rp_id: RpId::of(Some(&self.rp_id), &origin)?,
            user: self.handle.0.clone(),
            public,
            discoverable: if self.discoverable { Discoverable::Yes } else { Discoverable::No },
            backup: match self.backup {
                Backing::None => Backup::NotEligible,
                Backing::Eligible => Backup::Eligible,
                Backing::BackedUp => Backup::BackedUp,
            },
        })
    }
}

impl Auth {
    /// Stores a credential of an owner. False if it was there.
    ///
    /// # Errors
    /// [`AuthFault`]: a value is not valid, the owner has no such key or as many credentials as this node takes, or another credential has that id.
    pub async fn put_credential(&self, owner: &ClientName, id: &[u8], spec: CredentialSpec) -> Result<bool, AuthFault> {
        if spec.devices.len() > MOST_DEVICES {
            return Err(AuthFault::Invalid(format!("a credential has {MOST_DEVICES} devices at most; name fewer")));
        }
        spec.credential(id, self.parts.public(&spec.key_of(owner)).await?)?;
        let (owner, name, bounds) = (owner.clone(), record(owner, id), self.bounds);
        self.store
            .write(move |records| match records.get(Space::Credentials, &name)? {
                None => {
                    let there = records.list(Space::Credentials, prefix(&owner).as_bytes())?.len();
                    bounds.credential(&owner, there)?;
                    records.put(Space::Credentials, &name, &written(&spec)?)?;
                    Ok(true)
                }
                Some(old) if read::<CredentialSpec>(&old)? == spec => Ok(false),
                Some(_) => Err(AuthFault::Known("credential of this id", "draw a new random id")),
            })
            .await
    }

    /// The credentials of an owner.
    ///
    /// # Errors
    /// [`AuthFault`] of the store.
    pub async fn credentials(&self, owner: &ClientName) -> Result<Vec<CredentialStatus>, AuthFault> {
        let prefix = prefix(owner);
        self.store
            .read(move |records| {
                let mut all = Vec::new();
                for name in records.list(Space::Credentials, prefix.as_bytes())? {
                    let id = name.strip_prefix(prefix.as_bytes()).and_then(|id| hex::decode(id).ok());
                    if let (Some(id), Some(record)) = (id, records.get(Space::Credentials, &name)?) {
                        all.push(CredentialStatus { id: Bytes(id), spec: read(&record)? });
                    }
                }
                Ok(all)
            })
            .await
    }

    /// A credential that a caller may log in with.
    pub(super) async fn permitted(
        &self,
        caller: &ClientName,
        owner: &ClientName,
        id: &[u8],
    ) -> Result<(CredentialSpec, UserKey), AuthFault> {
        let absent = AuthFault::Absent("credential");
        let Some(old) = self.store.get(Space::Credentials, record(owner, id)).await? else { return Err(absent) };
        let spec: CredentialSpec = read(&old)?;
        if caller != owner && !spec.devices.contains(caller) {
            return Err(AuthFault::Withheld("credential"));
        }
        let key = UserKey { owner: owner.clone(), user: spec.user.clone() };
        Ok((spec, key))
    }
}

/// Which hosts pages may come from for a relying party.
pub(super) fn hosts(rp_id: &str) -> Hosts {
    if rp_id == LOCALHOST { Hosts::AndLocalhost } else { Hosts::Public }
}

fn prefix(owner: &ClientName) -> String {
    format!("credential/{owner}/")
}

/// The name of its record.
pub(super) fn record(owner: &ClientName, id: &[u8]) -> Vec<u8> {
    format!("{}{}", prefix(owner), hex::encode(id)).into_bytes()
}
