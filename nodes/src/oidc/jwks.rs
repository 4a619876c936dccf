//! The public keys of an issuer: from a file or a server, kept for a while, and asked for again when a token names one that is not there.

use super::file::JwkSource;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use futures_util::StreamExt as _;
use rustls::{
    RootCertStore,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, pem::PemObject},
};
use serde::Deserialize;
use std::{
    collections::HashMap,
    fs,
    io::Read as _,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// Bytes of a JWK Set at most.
const MAX_BYTES: usize = 64 << 10;

/// How long the server may take.
const ANSWER: Duration = Duration::from_secs(10);

/// How long keys are used without looking for others: so long, a key that was withdrawn is still believed.
const FRESH: Duration = Duration::from_mins(10);

/// How long they are used when they cannot be had again.
const STALE: Duration = Duration::from_hours(24);

/// Between two attempts to read them, whatever tokens name.
const PAUSE: Duration = Duration::from_secs(15);

/// A public key, for one algorithm.
#[derive(Clone, Debug)]
pub(super) enum PublicKey {
    /// RS256: modulus and exponent, big-endian.
    Rsa(Vec<u8>, Vec<u8>),
    /// ES256: an uncompressed point of P-256.
    P256(Vec<u8>),
    /// `EdDSA`: a point of Ed25519.
    Ed25519(Vec<u8>),
}

/// The keys of an issuer that tokens may be signed with, by their names.
#[derive(Clone, Debug, Default)]
pub struct JwkSet(HashMap<String, Vec<PublicKey>>);

/// Why there is no key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum KeysFault {
    /// The issuer has none of that name.
    Unknown,
    /// They cannot be read.
    Unreadable(String),
}

/// The keys of an issuer, as far as they are known now.
pub struct Keys {
    source: JwkSource,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    set: Arc<JwkSet>,
    read: Option<Instant>,
    tried: Option<Instant>,
}

#[derive(Deserialize)]
struct RawSet {
    keys: Vec<serde_json::Value>,
}

/// A key of a set, as RFC 7517 writes it. What else it says is ignored.
#[derive(Deserialize)]
struct RawKey {
    kty: String,
    kid: String,
    #[serde(rename = "use")]
    used_for: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl PublicKey {
    /// As a token's header writes it.
    pub(super) const fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(..) => "RS256",
            Self::P256(_) => "ES256",
            Self::Ed25519(_) => "EdDSA",
        }
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = match self {
            Self::Rsa(n, e) => RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature),
            Self::P256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature),
            Self::Ed25519(point) => UnparsedPublicKey::new(&ED25519, point).verify(message, signature),
        };
        verified.is_ok()
    }

    fn of(key: &RawKey) -> Option<Self> {
        let bytes = |text: &Option<String>| Base64UrlUnpadded::decode_vec(text.as_deref()?).ok();
        let public = match (key.kty.as_str(), key.crv.as_deref()) {
            ("RSA", _) => {
                let (n, e) = (bytes(&key.n)?, bytes(&key.e)?);
                Self::Rsa(n, e)
            }
            ("EC", Some("P-256")) => {
                let (x, y) = (bytes(&key.x)?, bytes(&key.y)?);
                (x.len() == 32 && y.len() == 32).then(|| Self::P256([&[4][..], &x, &y].concat()))?
            }
            ("OKP", Some("Ed25519")) => Self::Ed25519(bytes(&key.x)?),
            _ => return None,
        };
        let fits = key.alg.as_deref().is_none_or(|alg| alg == public.algorithm());
        let signs = key.used_for.as_deref().is_none_or(|used_for| used_for == "sig");
        (fits && signs).then_some(public)
    }
}

impl JwkSet {
    /// Reads a set. Keys of other kinds, and for other uses, are left out.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &[u8]) -> Result<Self, String> {
        let set: RawSet = serde_json::from_slice(text).map_err(|e| format!("no JWK Set ({e})"))?;
        let mut keys = HashMap::new();
        for key in set.keys {
            let Ok(key) = serde_json::from_value::<RawKey>(key) else { continue };
            let Some(public) = PublicKey::of(&key) else { continue };
            // Some issuers call a key for each algorithm alike.
            let named: &mut Vec<PublicKey> = keys.entry(key.kid.clone()).or_default();
            if named.iter().any(|other| other.algorithm() == public.algorithm()) {
                let (name, algorithm) = (super::short(&key.kid), public.algorithm());
                return Err(format!("two keys for {algorithm} are called `{name}`"));
            }
            named.push(public);
        }
        if keys.is_empty() {
            return Err("there is no key in it for RS256, ES256 or EdDSA with a name (`kid`)".to_owned());
        }
        Ok(Self(keys))
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn all(&self) -> impl Iterator<Item = &PublicKey> {
        self.0.values().flatten()
    }
}

impl Keys {
    pub(super) fn new(source: JwkSource) -> Self {
        Self { source, known: Arc::default() }
    }

    /// The keys of a name, each for another algorithm. Keys are asked for in the background, to the end, whoever goes away meanwhile: only those wait for them whose key is not known. Cancel safe.
    pub(super) async fn get(&self, name: &str) -> Result<Vec<PublicKey>, KeysFault> {
        let age = |at: Option<Instant>| at.map_or(Duration::MAX, |at| at.elapsed());
        let mut cause = "they were asked for a moment ago".to_owned();
        let asking = {
            let mut known = self.known.lock().await;
            let key = known.set.0.get(name).filter(|_| age(known.read) < STALE).cloned();
            let asking = (key.is_none() || age(known.read) >= FRESH) && age(known.tried) >= PAUSE;
            let asking = asking.then(|| {
                known.tried = Some(Instant::now());
                tokio::spawn(renew(self.source.clone(), self.known.clone()))
            });
            if let Some(key) = key {
                return Ok(key);
            }
            asking
        };
        if let Some(asking) = asking
            && let Err(e) = asking.await.unwrap_or_else(|e| Err(e.to_string()))
        {
            cause = e;
        }
        let known = self.known.lock().await;
        if age(known.read) >= STALE {
            return Err(KeysFault::Unreadable(cause));
        }
        known.set.0.get(name).cloned().ok_or(KeysFault::Unknown)
    }
}

/// Reads the keys again. Those of before stay if that fails.
async fn renew(source: JwkSource, known: Arc<Mutex<Known>>) -> Result<(), String> {
    let set = read(&source).await?;
    let mut known = known.lock().await;
    known.set = Arc::new(set);
    known.read = Some(Instant::now());
    Ok(())
}

async fn read(source: &JwkSource) -> Result<JwkSet, String> {
    let text = match source {
        JwkSource::File(path) => {
            let path = path.clone();
            tokio::task::spawn_blocking(move || file(&path)).await.map_err(|e| e.to_string())??
        }
        JwkSource::Url { url, ca } => tokio::time::timeout(ANSWER, fetch(url, ca))
            .await
            .map_err(|_| format!("{url} did not answer within {ANSWER:?}"))??,
    };
    JwkSet::read(&text)
}

fn file(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |e| format!("cannot read {} (oidc in node.toml): {e}", path.display());
    let mut text = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() > MAX_BYTES { Err(format!("{} has more than {MAX_BYTES} bytes", path.display())) } else { Ok(text) }
}

async fn fetch(url: &str, ca: &Path) -> Result<Vec<u8>, String> {
    let failed = |e: &dyn std::fmt::Display| format!("{url} (oidc.jwks in node.toml): {e}");
    let pem = {
        let ca = ca.to_owned();
        tokio::task::spawn_blocking(move || fs::read(&ca).map_err(|e| format!("cannot read {}: {e}", ca.display())))
            .await
            .map_err(|e| e.to_string())??
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|e| format!("{}: {e}", ca.display()))?;
        roots.add(certificate).map_err(|e| format!("{}: {e}", ca.display()))?;
    }
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| failed(&e))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let http = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .https_only(true)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|e| failed(&e))?;
    let answer = http.get(url).send().await.map_err(|e| failed(&e))?;
    if !answer.status().is_success() {
        return Err(failed(&answer.status()));
    }
    let (mut text, mut chunks) = (Vec::new(), answer.bytes_stream());
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|e| failed(&e))?;
        if text.len() + chunk.len() > MAX_BYTES {
            return Err(failed(&format!("more than {MAX_BYTES} bytes")));
        }
        text.extend_from_slice(&chunk);
    }
    Ok(text)
}
