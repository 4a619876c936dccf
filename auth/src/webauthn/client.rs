//! `collectedClientData`: what the client says about a ceremony, in the exact bytes that are hashed.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::{Bytes, CreationOptions, Origin, RequestOptions};
use crate::Error;

/// Challenges have to be at least this long (Level 3, section 13.4.3), or they can be guessed.
const LEAST_CHALLENGE: usize = 16;

/// The page that asks for a ceremony.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Client {
    /// Where the page comes from.
    pub origin: Origin,
    /// Whether another page holds it.
    pub embedding: Embedding,
}

/// Whether a page is held by a page of another origin.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Embedding {
    /// It is not: `crossOrigin` is false.
    SameOrigin,
    /// It is: `crossOrigin` is true, and `topOrigin` names the origin of the outermost page.
    CrossOrigin(Origin),
}

/// The serialized client data of one ceremony.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientData(String);

impl Client {
    /// A page of its own.
    pub fn page(origin: Origin) -> Self {
        Self { origin, embedding: Embedding::SameOrigin }
    }
}

impl ClientData {
    /// That of a registration.
    ///
    /// # Errors
    ///
    /// [`Error::Options`] if the challenge is shorter than 16 bytes.
    pub fn create(options: &CreationOptions, client: &Client) -> Result<Self, Error> {
        Self::new("webauthn.create", &options.challenge, client)
    }

    /// That of an authentication.
    ///
    /// # Errors
    ///
    /// [`Error::Options`] if the challenge is shorter than 16 bytes.
    pub fn get(options: &RequestOptions, client: &Client) -> Result<Self, Error> {
        Self::new("webauthn.get", &options.challenge, client)
    }

    /// The JSON text: `clientDataJSON`.
    pub fn as_json(&self) -> &str {
        &self.0
    }

    /// SHA-256 of the JSON text. It names the ceremony.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(&self.0).into()
    }

    /// Level 3, section 5.8.1.1. The order of the members and the form of the strings are fixed, so that a verifier may compare text.
    fn new(kind: &str, challenge: &Bytes, client: &Client) -> Result<Self, Error> {
        if challenge.0.len() < LEAST_CHALLENGE {
            return Err(Error::Options {
                member: "challenge",
                fault: "it is shorter than 16 bytes and could be guessed",
                remedy: "draw 32 random bytes for each ceremony",
            });
        }
        let mut json = String::from("{\"type\":");
        push(&mut json, kind);
        json.push_str(",\"challenge\":");
        push(&mut json, &challenge.to_base64url());
        json.push_str(",\"origin\":");
        push(&mut json, client.origin.as_str());
        json.push_str(",\"crossOrigin\":");
        match &client.embedding {
            Embedding::SameOrigin => json.push_str("false"),
            Embedding::CrossOrigin(top) => {
                json.push_str("true,\"topOrigin\":");
                push(&mut json, top.as_str());
            }
        }
        json.push('}');
        Ok(Self(json))
    }
}

/// `CCDToString` of section 5.8.1.1.
pub(super) fn push(json: &mut String, text: &str) {
    json.push('"');
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\0'..='\u{1f}' => {
                // Writing to a String does not fail.
                let _ = write!(json, "\\u{:04x}", u32::from(character));
            }
            _ => json.push(character),
        }
    }
    json.push('"');
}
