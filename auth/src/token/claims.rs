//! What a token says.

use crate::{
    Error,
    webauthn::{Hosts, Origin},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The longest time for which a token is good, in seconds: it is shown at once.
pub const LONGEST_LIFETIME: u64 = 3600;

/// How the user was recognised, in `amr`.
pub const BIOMETRIC: &str = "bio";

/// The longest text of a claim.
const LONGEST: usize = 255;
/// The shortest nonce: a shorter one can be guessed or comes again.
const LEAST_NONCE: usize = 8;

/// The claims of a token (RFC 7519, section 4.1, and `OpenID` Connect Core, section 2), in the order in which they are written.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// Who has issued it: an https address.
    pub iss: String,
    /// Of whom it speaks.
    pub sub: String,
    /// For whom it is.
    pub aud: String,
    /// When it was issued, in seconds since 1970.
    pub iat: u64,
    /// From when on it is not to be taken.
    pub exp: u64,
    /// When the user was recognised: as `iat`.
    pub auth_time: u64,
    /// What the relying party drew for this login.
    pub nonce: String,
    /// The number of the token. Nodes derive it from all that is asked for, so that no two have the same.
    pub jti: String,
    /// How the user was recognised: [`BIOMETRIC`].
    pub amr: Vec<String>,
}

/// What a relying party asks for, in a token of a number.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What it is called.
    pub audience: &'a str,
    /// What it drew for this login: 8 to 255 visible characters of ASCII.
    pub nonce: &'a str,
    /// The number of the token.
    pub id: &'a str,
}

/// From when until when.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Seconds since 1970.
    pub issued: u64,
    /// Seconds, [`LONGEST_LIFETIME`] at most.
    pub lifetime: u64,
}

impl Claims {
    /// Of a user whom the issuer recognises by a biometric.
    ///
    /// # Errors
    ///
    /// [`Error::Token`] if one of them is none.
    pub fn new(issuer: &str, user: &str, request: Request<'_>, times: Times) -> Result<Self, Error> {
        let claims = Self {
            iss: issuer.to_owned(),
            sub: user.to_owned(),
            aud: request.audience.to_owned(),
            iat: times.issued,
            exp: times.issued.saturating_add(times.lifetime),
            auth_time: times.issued,
            nonce: request.nonce.to_owned(),
            jti: request.id.to_owned(),
            amr: vec![BIOMETRIC.to_owned()],
        };
        claims.check()?;
        Ok(claims)
    }

    /// What a match has to be opened for: this nonce of this relying party, of this user. A second request for them has the same, whatever its time and number.
    pub fn ceremony(&self) -> [u8; 32] {
        let mut digest = Sha256::new_with_prefix(b"trefoil token v1\0");
        for text in [&self.iss, &self.sub, &self.aud, &self.nonce] {
            digest.update((text.len() as u64).to_le_bytes());
            digest.update(text);
        }
        digest.finalize().into()
    }

    /// Checks what their form alone does not.
    pub(super) fn check(&self) -> Result<(), Error> {
        check_issuer(&self.iss)?;
        check_audience(&self.aud)?;
        let wrong = |fault, remedy| Err(Error::Token { fault, remedy });
        if !is_text(&self.sub) || !is_text(&self.jti) {
            return wrong("the user or the number is no visible text", "use 1 to 255 characters of ASCII");
        }
        if !is_text(&self.nonce) || self.nonce.len() < LEAST_NONCE {
            return wrong(
                "the nonce is too short or too long",
                "draw 8 to 255 visible characters of ASCII for each login",
            );
        }
        if self.exp <= self.iat || self.exp - self.iat > LONGEST_LIFETIME || self.auth_time != self.iat {
            return wrong("its times are not those of a login", "have it expire at most an hour after it is issued");
        }
        if self.amr != [BIOMETRIC] {
            return wrong("it does not say that a biometric matched", "ask for a token of such a login");
        }
        Ok(())
    }
}

/// Checks the address of an issuer: https, a domain, a port and a path if there is one, nothing else.
///
/// # Errors
///
/// [`Error::Token`] or [`Error::Origin`].
pub fn check_issuer(issuer: &str) -> Result<(), Error> {
    let wrong = Error::Token {
        fault: "the issuer is no address under https",
        remedy: "name it like https://login.example.org, without a query",
    };
    let rest = issuer.strip_prefix("https://").filter(|_| issuer.len() <= LONGEST).ok_or(wrong.clone())?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    Origin::parse(&format!("https://{host}"), Hosts::Public)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/');
    if path.bytes().all(allowed) { Ok(()) } else { Err(wrong) }
}

/// Checks what a relying party is called.
///
/// # Errors
///
/// [`Error::Token`] if it is empty, longer than 255 characters, or has others than visible ones of ASCII.
pub fn check_audience(audience: &str) -> Result<(), Error> {
    if is_text(audience) {
        return Ok(());
    }
    Err(Error::Token { fault: "the audience is no visible text", remedy: "use 1 to 255 characters of ASCII" })
}

fn is_text(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}
