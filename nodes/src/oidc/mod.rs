//! Clients without a certificate: whom an issuer of OIDC vouches for, by a token in `Authorization: Bearer`.
//!
//! A token is a JWS (RFC 7515) in compact form with the claims of RFC 7519, signed by RS256, ES256 or `EdDSA` under a key of the issuer's JWK Set. The key says which of these it is for: what the token says of its algorithm
//! has to be the same, so there is nothing to choose for whoever makes one.
//!
//! A token is for one node: its only audience is that node's own. Otherwise each node could call the two others in the client's name. Whoever else reads a token on its way can look at what the client may see as long as it is
//! valid, and change something only on the connection on which the client has done so first.

mod file;
#[cfg(any(test, fuzzing))]
mod fuzzing;
mod jwks;
mod jws;
mod seen;
mod shown;

pub use file::{JwkSource, OidcConfig, OidcFile};
#[cfg(any(test, fuzzing))]
pub(crate) use fuzzing::read_any;
pub use jwks::{JwkSet, Keys, KeysFault};
pub use shown::TokenSet;

use crate::{clock::now_unix_s, pki::ClientName};
use jws::{Claims, Jws};
use seen::Seen;
use std::{fmt, time::Duration};

/// Bytes of a token at most.
const MAX_TOKEN: usize = 8 << 10;

/// By how much clocks may differ.
const LEEWAY: Duration = Duration::from_mins(1);

/// What the request is about, as far as a token is concerned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// It looks at something.
    Look,
    /// It may change something; on a connection of this number.
    Change(u64),
}

/// Why a token is refused. The client has to get another; what the texts repeat of it is short.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TokenFault {
    /// There is neither a certificate nor a token.
    #[error("show a certificate of the cluster, or a token of {issuer} in the header Authorization: Bearer")]
    Missing {
        /// Who could give one.
        issuer: String,
    },
    /// It has not the form of one.
    #[error("the token cannot be read: {0}")]
    Malformed(String),
    /// Its algorithm is none that is taken, or not that of its key.
    #[error(
        "the token's algorithm is `{0}`, and that of its key another; RS256, ES256 and EdDSA are taken, as the key says"
    )]
    Algorithm(String),
    /// The issuer has no such key.
    #[error("the issuer has no key `{0}`; get a new token")]
    UnknownKey(String),
    /// The signature is not that of the key.
    #[error("the token's signature is not right; get a new token")]
    Signature,
    /// It is not what this node takes.
    #[error("the token's claim {claim}: {cause}; get a token for this node")]
    Claim {
        /// Which claim.
        claim: String,
        /// What is wrong with it.
        cause: String,
    },
    /// It was used for a change on another connection.
    #[error(
        "the token was used on another connection; get a new one: a token changes something on one connection only"
    )]
    Replayed,
    /// There is no room to remember it.
    #[error("too many tokens are in use at this node; come back in a minute")]
    Crowded,
    /// The keys of the issuer cannot be had.
    #[error("the keys of the issuer cannot be read now; the node's operator finds the cause in its log")]
    Keys,
}

/// What a token says that is taken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Vouched {
    /// The client.
    pub name: ClientName,
    /// The number of the token (`jti`).
    number: Option<String>,
    /// When it is forgotten, in seconds since 1970-01-01 UTC.
    until: u64,
}

/// Checks tokens for one node.
pub struct Tokens {
    config: OidcConfig,
    keys: Keys,
    seen: Seen,
}

impl Tokens {
    /// Of a node that is configured so. Keys are read when the first token comes.
    #[must_use]
    pub fn new(config: OidcConfig) -> Self {
        let keys = Keys::new(config.jwks.clone());
        Self { config, keys, seen: Seen::default() }
    }

    /// Who the request is from, by the header `Authorization`, if there is one; for a change the token has yet to be [used](Self::used). Cancel safe.
    ///
    /// # Errors
    /// [`TokenFault`].
    pub async fn caller(&self, header: Option<&str>) -> Result<Vouched, TokenFault> {
        let missing = || TokenFault::Missing { issuer: self.config.issuer.clone() };
        let token = bearer(header.ok_or_else(missing)?).ok_or_else(missing)?;
        let jws = Jws::read(token)?;
        let keys = self.keys.get(jws.key_id()).await.map_err(|fault| match fault {
            KeysFault::Unknown => TokenFault::UnknownKey(short(jws.key_id())),
            KeysFault::Unreadable(cause) => {
                tracing::error!("the keys of {}: {cause}", self.config.issuer);
                TokenFault::Keys
            }
        })?;
        let claims = jws.verify(&keys)?;
        self.check(&claims, now_unix_s())
    }

    /// Uses a token for what a request is about.
    ///
    /// # Errors
    /// [`TokenFault`]: a change on another connection than the first, or by a token without a number.
    pub fn used(&self, vouched: &Vouched, access: Access) -> Result<(), TokenFault> {
        let Access::Change(connection) = access else { return Ok(()) };
        let number = vouched.number.as_deref().ok_or_else(|| fault("jti", "is not there".to_owned()))?;
        self.seen.check((number, &vouched.name), connection, (now_unix_s(), vouched.until))
    }

    fn check(&self, claims: &Claims, now: u64) -> Result<Vouched, TokenFault> {
        let leeway = LEEWAY.as_secs();
        if claims.issuer() != Some(self.config.issuer.as_str()) {
            return Err(fault("iss", format!("is not {}", self.config.issuer)));
        }
        // Whoever else is meant could show it here.
        if claims.audiences() != [self.config.audience.as_str()] {
            return Err(fault("aud", format!("is not {}, and that alone", self.config.audience)));
        }
        let time = |claim: &str| claims.time(claim).ok_or_else(|| fault(claim, "is no time, or not there".to_owned()));
        let (expires, issued) = (time("exp")?, time("iat")?);
        if expires.saturating_add(leeway) <= now {
            return Err(fault("exp", "is past".to_owned()));
        }
        if issued > now.saturating_add(leeway) {
            return Err(fault("iat", "is in the future; compare the clocks of issuer and node".to_owned()));
        }
        if claims.has("nbf") && time("nbf")? > now.saturating_add(leeway) {
            return Err(fault("nbf", "is in the future".to_owned()));
        }
        let most = self.config.max_lifetime;
        if expires.saturating_sub(issued) > most.as_secs() {
            let most = humantime::format_duration(most);
            return Err(fault("exp", format!("is more than {most} after iat, the most that this node takes")));
        }
        let claim = &self.config.name_claim;
        let text = claims.text(claim).ok_or_else(|| fault(claim, "is no text, or not there".to_owned()))?;
        let name = format!("{}{text}", ClientName::TOKEN_PREFIX).parse::<ClientName>();
        let name = name.map_err(|_| {
            let length = 64 - ClientName::TOKEN_PREFIX.len();
            fault(claim, format!("is no name: 1 to {length} of the letters, digits, `.`, `_` and `-`"))
        })?;
        let number = claims.text("jti").map(str::to_owned);
        Ok(Vouched { name, number, until: expires.saturating_add(leeway) })
    }
}

fn fault(claim: &str, cause: String) -> TokenFault {
    TokenFault::Claim { claim: claim.to_owned(), cause }
}

/// The token of a header.
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// What a message repeats of what a token says.
fn short(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).take(32).collect()
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("issuer", &self.config.issuer).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
