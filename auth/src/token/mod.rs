//! Signed tokens: what the nodes say to a relying party of somebody whom they have recognised, without a device that takes part.
//!
//! A token is a JWS in its compact form (RFC 7515) with the claims of a JWT (RFC 7519), signed with RS256 by a key of the nodes alone. Each node puts the claims together itself:
//!
//! 1. [`Claims`] say who has issued the token, of whom, for whom, when, and for which [`nonce`](Claims::nonce) of the relying party.
//! 2. [`Token::begin`] checks them, and that the match bit was opened to 1 for this very request.
//! 3. With the signature of [`combine`](crate::rsa::combine) it ends in the text that any library for JWTs reads.
//!
//! A relying party finds the public key in a [`Jwks`] by its [`Jwk::kid`] and checks the token with [`verify`] or with a library of its own.
//!
//! ```
//! use trefoil_auth::{rsa::*, token::*, webauthn::{Bit, Match}};
//!
//! let mut rng = randomness()?;
//! let key = PrivateKey::generate(KeySize::Rsa2048, &mut rng)?;
//! let (public, nodes) = (key.public().clone(), key.split_among_nodes(&mut rng));
//! let claims = Claims::new("https://login.example.org", "u-1041", Request { audience: "shop", nonce: "n-0S6_WzA2Mj", id: "5f0a" }, Times { issued: 1_800_000_000, lifetime: 300 })?;
//!
//! let matched = Match::opened(claims.ceremony(), Bit::One); // what the nodes opened in this session
//! let token = Token::begin(&claims, &public, &matched)?;
//! let message = token.message();
//! let replies = [NodeSigner::new(&nodes[0]).sign(&message, &mut rng)?, NodeSigner::new(&nodes[1]).sign(&message, &mut rng)?];
//! let token = token.finish(&combine(&public, &message, None, &replies)?.signature)?;
//!
//! let keys = Jwks { keys: vec![Jwk::of(&public)] };
//! let expected = Expected { issuer: "https://login.example.org", audience: "shop", nonce: "n-0S6_WzA2Mj", now: 1_800_000_010 };
//! assert_eq!(verify(&token, &keys, expected)?.sub, "u-1041");
//! # Ok::<(), trefoil_auth::Error>(())
//! ```

mod claims;
mod jwk;
#[cfg(test)]
mod tests;

pub use claims::{BIOMETRIC, Claims, LONGEST_LIFETIME, Request, Times, check_audience, check_issuer};
pub use jwk::{Jwk, Jwks};

use crate::{
    Error,
    rsa::{Message, PublicKey},
    webauthn::{Bytes, Match, UserVerification, verification},
};
use base64ct::{Base64UrlUnpadded, Encoding};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// How far ahead of a verifier's clock a token may be issued, in seconds: clocks differ.
pub const CLOCKS_APART: u64 = 60;

/// The longest token that is read.
const LONGEST: usize = 8 << 10;

/// A token that is about to be signed.
#[derive(Debug)]
pub struct Token {
    input: String,
    public: PublicKey,
}

/// What a relying party asked for.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Whom it trusts.
    pub issuer: &'a str,
    /// What it is called.
    pub audience: &'a str,
    /// The value that it drew for this very login.
    pub nonce: &'a str,
    /// Its time, in seconds since 1970.
    pub now: u64,
}

/// What stands before the claims.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

const ALGORITHM: &str = "RS256";
const TYPE: &str = "JWT";

impl Token {
    /// Checks the claims, and that the match bit was opened to 1 for them.
    ///
    /// # Errors
    ///
    /// [`Error::Token`] if a claim is none; [`Error::Verification`] if the probe does not match; [`Error::Foreign`] if `matched` was opened for something else.
    pub fn begin(claims: &Claims, public: &PublicKey, matched: &Match) -> Result<Self, Error> {
        claims.check()?;
        verification::verify(UserVerification::Required, Some(matched), &claims.ceremony())?;
        let header = Header { alg: ALGORITHM.to_owned(), typ: TYPE.to_owned(), kid: Jwk::of(public).kid };
        let input = format!("{}.{}", part(&header)?, part(claims)?);
        Ok(Self { input, public: public.clone() })
    }

    /// What is signed.
    pub fn message(&self) -> Message {
        Message::token(&self.input)
    }

    /// Ends it with the signature of [`Self::message`]: the compact form.
    ///
    /// # Errors
    ///
    /// [`Error::Signature`] if it does not verify.
    pub fn finish(self, signature: &[u8]) -> Result<String, Error> {
        if !self.public.verifies(&self.message(), signature) {
            return Err(Error::Signature);
        }
        Ok(format!("{}.{}", self.input, Bytes::from(signature).to_base64url()))
    }
}

/// What a token says, if it is signed by one of `keys` and is what a relying party asked for, now.
///
/// `keys` are those of this issuer and no other: each of them is taken for any token that names the issuer. A relying party that trusts several issuers keeps a set for each.
///
/// That its nonce is taken once is the relying party's to see to: it forgets the nonce when it has taken a token for it.
///
/// # Errors
///
/// [`Error::Token`] if it is not.
pub fn verify(token: &str, keys: &Jwks, expected: Expected<'_>) -> Result<Claims, Error> {
    let [header, claims, signature] = split(token).ok_or(refused("it is no JWS in compact form"))?;
    let input = &token[..header.len() + 1 + claims.len()];
    let header: Header = read(header).ok_or(refused("its header has other members than alg, typ and kid"))?;
    if header.alg != ALGORITHM || header.typ != TYPE {
        return Err(refused("its header does not say RS256 and JWT"));
    }
    let public = keys.find(&header.kid).ok_or(refused("its key is none of the issuer's"))??;
    let signature = Base64UrlUnpadded::decode_vec(signature).map_err(|_| refused("its signature is malformed"))?;
    if !public.verifies(&Message::token(input), &signature) {
        return Err(refused("its signature is wrong"));
    }
    let claims: Claims = read(claims).ok_or(refused("its claims are not those of a login"))?;
    claims.check()?;
    for (holds, fault) in [
        (claims.iss == expected.issuer, "another issuer has issued it"),
        (claims.aud == expected.audience, "it is for another audience"),
        (claims.nonce == expected.nonce, "it is for another login"),
        (claims.exp > expected.now, "it has expired"),
        (claims.iat <= expected.now.saturating_add(CLOCKS_APART), "it was issued in the future"),
    ] {
        if !holds {
            return Err(refused(fault));
        }
    }
    Ok(claims)
}

fn split(token: &str) -> Option<[&str; 3]> {
    if token.len() > LONGEST {
        return None;
    }
    let mut parts = token.split('.');
    let three = [parts.next()?, parts.next()?, parts.next()?];
    parts.next().is_none().then_some(three)
}

fn part(what: &impl Serialize) -> Result<String, Error> {
    let text = serde_json::to_vec(what).map_err(|e| Error::Json { what: "part of a token", fault: e.to_string() })?;
    Ok(Base64UrlUnpadded::encode_string(&text))
}

fn read<T: DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&Base64UrlUnpadded::decode_vec(part).ok()?).ok()
}

fn refused(fault: &'static str) -> Error {
    Error::Token { fault, remedy: "have the user log in anew" }
}
