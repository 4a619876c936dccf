//! What a node signs when it has deleted a key.

use super::{ExchangeId, KeyFault, KeyId, KeyName, stored::Stored};
use crate::{
    config::{Cluster, ClusterId},
    job::Sha256Hex,
    pki::{ClientName, Fingerprint, Identity},
};
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, UnparsedPublicKey},
};
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use std::time::{SystemTime, UNIX_EPOCH};
use trefoil_engine::Party;
use x509_parser::prelude::{FromDer, X509Certificate};

/// What is before a statement where it is signed: nothing else that the node's key signs begins so.
const PREFIX: &[u8] = b"trefoil receipt v1\0";

/// What a receipt states: that this node has removed its shares of a key, in use and prepared, from its store and its memory.
///
/// It says nothing of copies that the node's operator or somebody in the node has made before, of backups of the file, or of what the disk keeps of records that are overwritten (encrypted under the store's key).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Deletion {
    /// The cluster.
    pub cluster: ClusterId,
    /// The node.
    pub party: u8,
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
    /// When, by the node's clock: seconds since 1970-01-01 UTC.
    pub time_unix: u64,
}

/// A statement that a node has signed with the key of its certificate.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Receipt {
    /// A [`Deletion`] as JSON: these very bytes are signed, after `trefoil receipt v1` and a zero byte.
    pub statement: String,
    /// The node's certificate in DER, hexadecimal: that which the cluster file pins.
    pub certificate: String,
    /// ECDSA with P-256 and SHA-256, in DER, hexadecimal.
    pub signature: String,
}

/// Why a receipt is not one.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the receipt is not one of that node: {0}; keep it, and ask the node's operator")]
pub struct ReceiptFault(&'static str);

/// What signs receipts.
pub(super) struct Notary {
    cluster: ClusterId,
    party: Party,
    certificate: String,
    key: EcdsaKeyPair,
}

impl Notary {
    pub(super) fn new(cluster: ClusterId, party: Party, identity: &Identity) -> Result<Self, KeyFault> {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, identity.key().secret_der());
        let key = key.map_err(|e| KeyFault::Bug(format!("the key of the certificate signs no receipts ({e})")))?;
        Ok(Self { cluster, party, certificate: hex::encode(identity.certificate()), key })
    }

    pub(super) fn deleted(&self, stored: &Stored) -> Result<Receipt, KeyFault> {
        let KeyId { owner, name } = stored.id.clone();
        let deletion = Deletion {
            cluster: self.cluster,
            party: self.party.index() as u8,
            owner,
            name,
            enrolment: stored.spec.enrolment,
            key_sha256: Sha256Hex(stored.public.id()),
            epoch: stored.record.status().epoch(),
            time_unix: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        };
        let bug = |what: String| KeyFault::Bug(what);
        let statement = serde_json::to_string(&deletion).map_err(|e| bug(format!("a receipt as JSON: {e}")))?;
        let signature = self.key.sign(&SystemRandom::new(), &signed(&statement));
        let signature = hex::encode(signature.map_err(|_| bug("a receipt was not signed".to_owned()))?);
        Ok(Receipt { statement, certificate: self.certificate.clone(), signature })
    }
}

impl Receipt {
    /// What a node has stated, if it has.
    ///
    /// # Errors
    /// [`ReceiptFault`].
    pub fn verify(&self, cluster: &Cluster, party: Party) -> Result<Deletion, ReceiptFault> {
        let certificate = hex::decode(&self.certificate).map_err(|_| ReceiptFault("its certificate is malformed"))?;
        if Fingerprint::of(&CertificateDer::from(certificate.as_slice())) != cluster.node(party).certificate_sha256 {
            return Err(ReceiptFault("its certificate is not the one in cluster.toml"));
        }
        let (_, parsed) =
            X509Certificate::from_der(&certificate).map_err(|_| ReceiptFault("its certificate is malformed"))?;
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &parsed.public_key().subject_public_key.data);
        let signature = hex::decode(&self.signature).map_err(|_| ReceiptFault("its signature is malformed"))?;
        key.verify(&signed(&self.statement), &signature).map_err(|_| ReceiptFault("its signature is wrong"))?;
        let deletion: Deletion =
            serde_json::from_str(&self.statement).map_err(|_| ReceiptFault("it states something else"))?;
        if deletion.cluster != cluster.id() || usize::from(deletion.party) != party.index() {
            return Err(ReceiptFault("it is of another cluster or node"));
        }
        Ok(deletion)
    }
}

fn signed(statement: &str) -> Vec<u8> {
    [PREFIX, statement.as_bytes()].concat()
}
