//! A certificate chain with its private key, as read from two files.

use super::{CertificateFacts, CertificateFault, Role, read_private};
use crate::Error;
use rustls::{
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use std::{
    fmt, fs,
    path::{Path, PathBuf},
};
use zeroize::Zeroize;

/// Who we are towards other machines. The private key is wiped from memory when this is dropped.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    facts: CertificateFacts,
    role: Role,
    path: PathBuf,
}

impl Identity {
    /// Reads a certificate and its key, and checks that they belong together and name a role.
    ///
    /// Validity and issuer are checked against a cluster by [`tls`](crate::tls).
    ///
    /// # Errors
    /// [`Error::System`] if a file cannot be read, [`Error::Certificate`] if one is malformed, if the
    /// key is that of another certificate or can be read by every user.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, Error> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |fault| Error::Certificate { path, fault }
        };
        let pem =
            fs::read(certificate).map_err(Error::system(format!("read the certificate {}", certificate.display())))?;
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<_, _>>()
            .map_err(|e| unreadable("certificate", e))
            .map_err(at(certificate))?;
        let first = chain.first().ok_or_else(|| at(certificate)(unreadable("certificate", "no PEM block")))?;
        let facts = CertificateFacts::of(first).map_err(at(certificate))?;
        let role = facts.role().map_err(at(certificate))?;

        let secret = read_private(key)?;
        let parsed =
            PrivateKeyDer::from_pem_slice(&secret).map_err(|e| unreadable("private key", e)).map_err(at(key))?;
        let identity = Self { chain, key: parsed, facts, role, path: certificate.to_owned() };
        identity.certified_key().map_err(at(key))?;
        Ok(identity)
    }

    /// The identity named by `path`: a certificate file with its key beside it, `NAME.crt` and `NAME.key`.
    ///
    /// # Errors
    /// As [`Identity::load`].
    pub fn named(path: &Path) -> Result<Self, Error> {
        let stem = match path.extension().and_then(|e| e.to_str()) {
            Some("crt" | "key") => path.with_extension(""),
            _ => path.to_owned(),
        };
        let with = |extension: &str| {
            let mut name = stem.clone().into_os_string();
            name.push(extension);
            PathBuf::from(name)
        };
        Self::load(&with(".crt"), &with(".key"))
    }

    /// The certificate followed by its issuers, if the file has any.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The certificate itself.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        // `load` refuses an empty chain.
        &self.chain[0]
    }

    /// What the certificate says.
    pub fn facts(&self) -> &CertificateFacts {
        &self.facts
    }

    /// The role the certificate names.
    pub fn role(&self) -> &Role {
        &self.role
    }

    /// The certificate file, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A copy of the private key, for the TLS library.
    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key()
    }

    fn certified_key(&self) -> Result<(), CertificateFault> {
        let provider = aws_lc_rs::default_provider();
        match CertifiedKey::from_der(self.chain.clone(), self.key(), &provider) {
            Ok(_) => Ok(()),
            Err(rustls::Error::InconsistentKeys(_)) => Err(CertificateFault::KeyMismatch),
            Err(e) => Err(unreadable("private key", e)),
        }
    }
}

impl Drop for Identity {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({}, key not shown)", self.role)
    }
}

fn unreadable(what: &'static str, cause: impl fmt::Display) -> CertificateFault {
    CertificateFault::Unreadable { what, cause: cause.to_string() }
}
