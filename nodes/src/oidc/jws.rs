//! The form of a token and its signature.

use super::{MAX_TOKEN, TokenFault, jwks::PublicKey, short};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde::Deserialize;
use serde_json::{Map, Value};

/// A token that is read, and not yet believed.
pub(super) struct Jws<'a> {
    header: Header,
    signed: &'a [u8],
    payload: Vec<u8>,
    signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// What has to be understood; nothing of that kind is.
    crit: Option<Value>,
}

/// What the issuer says.
pub(super) struct Claims(Map<String, Value>);

impl<'a> Jws<'a> {
    /// Takes a token apart.
    pub(super) fn read(token: &'a str) -> Result<Self, TokenFault> {
        let malformed = |cause: &str| TokenFault::Malformed(cause.to_owned());
        if token.len() > MAX_TOKEN {
            return Err(malformed("it is too long"));
        }
        let (signed, signature) = token.rsplit_once('.').ok_or_else(|| malformed("it has no dots"))?;
        let (header, payload) = signed.split_once('.').ok_or_else(|| malformed("it has one dot"))?;
        let decoded =
            |part: &str| Base64UrlUnpadded::decode_vec(part).map_err(|_| malformed("a part is not base64url"));
        let (header, payload, signature) = (decoded(header)?, decoded(payload)?, decoded(signature)?);
        let header: Header =
            serde_json::from_slice(&header).map_err(|_| malformed("its header is no JSON object with `alg`"))?;
        if header.crit.is_some() {
            return Err(malformed("its header has `crit`"));
        }
        if header.kid.is_none() {
            return Err(malformed("its header names no key (`kid`)"));
        }
        Ok(Self { header, signed: signed.as_bytes(), payload, signature })
    }

    /// The key that it says it is signed with.
    pub(super) fn key_id(&self) -> &str {
        self.header.kid.as_deref().unwrap_or_default()
    }

    /// Checks the signature by that of these keys which is for its algorithm, and gives what is signed.
    pub(super) fn verify(&self, keys: &[PublicKey]) -> Result<Claims, TokenFault> {
        let Some(key) = keys.iter().find(|key| key.algorithm() == self.header.alg) else {
            return Err(TokenFault::Algorithm(short(&self.header.alg)));
        };
        if !key.verifies(self.signed, &self.signature) {
            return Err(TokenFault::Signature);
        }
        Claims::read(&self.payload).ok_or_else(|| TokenFault::Malformed("its claims are no JSON object".to_owned()))
    }
}

impl Claims {
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        serde_json::from_slice(payload).ok().map(Self)
    }

    pub(super) fn has(&self, claim: &str) -> bool {
        self.0.contains_key(claim)
    }

    pub(super) fn text(&self, claim: &str) -> Option<&str> {
        self.0.get(claim)?.as_str()
    }

    pub(super) fn issuer(&self) -> Option<&str> {
        self.text("iss")
    }

    /// Whom it is for; nobody, if it says nothing that is understood.
    pub(super) fn audiences(&self) -> Vec<&str> {
        match self.0.get("aud") {
            Some(Value::String(one)) => vec![one],
            // One that is no text is somebody too.
            Some(Value::Array(all)) => all.iter().map(|one| one.as_str().unwrap_or_default()).collect(),
            _ => Vec::new(),
        }
    }

    /// Seconds since 1970, without a fraction.
    pub(super) fn time(&self, claim: &str) -> Option<u64> {
        self.0.get(claim)?.as_u64()
    }
}
