//! What nodes sign with the keys of their certificates: that they have deleted something.
//!
//! A receipt says what its node says, no more: nothing of copies that the node's operator or somebody in the node has made before, of backups of the file, or of what the disk keeps of records that are overwritten
//! (encrypted under the store's key).

mod kept;

pub(crate) use kept::{Asked, Met, USED};
pub use kept::{KEPT, MOST_KEPT, Nonce};

use crate::{
    Error,
    clock::now_unix_s,
    config::{Cluster, ClusterId},
    pki::{Fingerprint, Identity},
};
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, UnparsedPublicKey},
};
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use trefoil_engine::Party;
use x509_parser::prelude::{FromDer, X509Certificate};

/// How far the time of a receipt may be from that of whoever has asked for it.
pub const CLOCKS_APART: Duration = Duration::from_mins(5);

/// What a receipt may state.
pub trait Statement: DeserializeOwned + Serialize {
    /// What is before a statement where it is signed, with a zero byte after it: nothing else that the node's key signs begins so.
    const PREFIX: &'static str;

    /// Who has stated it, and when.
    fn origin(&self) -> &Origin;

    /// The nonce of the request that it answers, if that had one.
    fn nonce(&self) -> Option<Nonce>;
}

/// Who states something, and when.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Origin {
    /// The cluster.
    pub cluster: ClusterId,
    /// The node.
    pub party: u8,
    /// When, by the node's clock: seconds since 1970-01-01 UTC.
    pub time_unix: u64,
}

/// A statement that a node has signed with the key of its certificate.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Receipt {
    /// A [`Statement`] as JSON: these very bytes are signed, after its prefix and a zero byte.
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

/// What signs receipts. Clones sign with the same key, also after it was renewed.
#[derive(Clone)]
pub struct Notary {
    cluster: ClusterId,
    party: Party,
    signer: Arc<Mutex<Arc<Signer>>>,
}

/// A certificate and its key.
struct Signer {
    certificate: String,
    key: EcdsaKeyPair,
}

impl Signer {
    fn of(identity: &Identity) -> Result<Arc<Self>, Error> {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, identity.key().secret_der());
        let key = key.map_err(|e| Error::Bug(format!("the key of the certificate signs no receipts ({e})")))?;
        Ok(Arc::new(Self { certificate: hex::encode(identity.certificate()), key }))
    }
}

impl Notary {
    /// With the certificate and key of a node.
    ///
    /// # Errors
    /// [`Error::Bug`] if the key cannot sign receipts.
    pub fn new(cluster: ClusterId, party: Party, identity: &Identity) -> Result<Self, Error> {
        Ok(Self { cluster, party, signer: Arc::new(Mutex::new(Signer::of(identity)?)) })
    }

    /// Signs with another certificate and key from now on.
    ///
    /// # Errors
    /// [`Error::Bug`] if the key cannot sign receipts; the old one stays.
    pub fn renew(&self, identity: &Identity) -> Result<(), Error> {
        *self.signer.lock().unwrap_or_else(PoisonError::into_inner) = Signer::of(identity)?;
        Ok(())
    }

    /// This node, now.
    pub fn origin(&self) -> Origin {
        Origin { cluster: self.cluster, party: self.party.index() as u8, time_unix: now_unix() }
    }

    /// Signs what this node states.
    ///
    /// # Errors
    /// [`Error::Bug`] if it has no form as JSON, or is not signed.
    pub fn sign<S: Statement>(&self, statement: &S) -> Result<Receipt, Error> {
        let statement = serde_json::to_string(statement).map_err(|e| Error::Bug(format!("a receipt as JSON: {e}")))?;
        let signer = self.signer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let signature = signer.key.sign(&SystemRandom::new(), &signed::<S>(&statement));
        let signature = hex::encode(signature.map_err(|_| Error::Bug("a receipt was not signed".to_owned()))?);
        Ok(Receipt { statement, certificate: signer.certificate.clone(), signature })
    }
}

impl Receipt {
    /// What a node has stated, if it has.
    ///
    /// # Errors
    /// [`ReceiptFault`].
    pub fn verify<S: Statement>(&self, cluster: &Cluster, party: Party) -> Result<S, ReceiptFault> {
        let certificate = hex::decode(&self.certificate).map_err(|_| ReceiptFault("its certificate is malformed"))?;
        if !cluster.node(party).accepts(Fingerprint::of(&CertificateDer::from(certificate.as_slice()))) {
            return Err(ReceiptFault("its certificate is not the one in cluster.toml"));
        }
        let (_, parsed) =
            X509Certificate::from_der(&certificate).map_err(|_| ReceiptFault("its certificate is malformed"))?;
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &parsed.public_key().subject_public_key.data);
        let signature = hex::decode(&self.signature).map_err(|_| ReceiptFault("its signature is malformed"))?;
        key.verify(&signed::<S>(&self.statement), &signature).map_err(|_| ReceiptFault("its signature is wrong"))?;
        let stated: S = serde_json::from_str(&self.statement).map_err(|_| ReceiptFault("it states something else"))?;
        let origin = stated.origin();
        if origin.cluster != cluster.id() || usize::from(origin.party) != party.index() {
            return Err(ReceiptFault("it is of another cluster or node"));
        }
        Ok(stated)
    }

    /// What a node has stated in answer to a request, if it is what was `asked` for: neither an old receipt is one, nor that of something else. One with the nonce of the request answers no other, and may be as old as it is [`KEPT`];
    /// without a nonce it was signed within [`CLOCKS_APART`] of `now_unix`.
    ///
    /// # Errors
    /// [`ReceiptFault`].
    pub fn verify_answer<S: Statement>(
        &self,
        (cluster, party): (&Cluster, Party),
        (now_unix, nonce): (u64, Option<Nonce>),
        asked: impl FnOnce(&S) -> bool,
    ) -> Result<S, ReceiptFault> {
        let stated: S = self.verify(cluster, party)?;
        if !asked(&stated) {
            return Err(ReceiptFault("it does not state what was asked for"));
        }
        if stated.nonce() != nonce {
            return Err(ReceiptFault("it does not have the nonce of the request"));
        }
        let (time, apart) = (stated.origin().time_unix, CLOCKS_APART.as_secs());
        let oldest = if nonce.is_some() { KEPT.as_secs() + apart } else { apart };
        if time > now_unix.saturating_add(apart) || time < now_unix.saturating_sub(oldest) {
            return Err(ReceiptFault("it was not signed just now, or a clock is wrong"));
        }
        Ok(stated)
    }
}

/// The time by this machine's clock, in seconds since 1970.
pub fn now_unix() -> u64 {
    now_unix_s()
}

impl fmt::Debug for Notary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Notary({})", self.party)
    }
}

fn signed<S: Statement>(statement: &str) -> Vec<u8> {
    [S::PREFIX.as_bytes(), b"\0", statement.as_bytes()].concat()
}
