//! `[oidc]` of `node.toml`.

use crate::config::span;
use serde::{Deserialize, Serialize};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use trefoil_engine::Party;

/// `[oidc]` as it is written.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OidcFile {
    /// Who issues tokens: the claim `iss`.
    pub issuer: String,
    /// This node, among those that tokens are for: the claim `aud`. It ends in the name of the node, as `P0`: no two nodes have the same.
    pub audience: String,
    /// The public keys of the issuer, a JWK Set: a file, or a URL that begins with `https://`.
    pub jwks: String,
    /// The certificates, PEM, of the authorities that the server of the URL may have its certificate from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_ca: Option<PathBuf>,
    /// The claim with the client's name, which gets `oidc:` before it.
    #[serde(default = "sub")]
    pub name_claim: String,
    /// The longest time from `iat` to `exp`.
    #[serde(default = "lifetime", with = "span")]
    pub max_lifetime: Duration,
}

/// `[oidc]` as it is used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OidcConfig {
    /// The claim `iss`.
    pub issuer: String,
    /// The claim `aud`.
    pub audience: String,
    /// Where the keys are.
    pub jwks: JwkSource,
    /// The claim with the name.
    pub name_claim: String,
    /// The longest time from `iat` to `exp`.
    pub max_lifetime: Duration,
}

/// Where the keys of an issuer are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum JwkSource {
    /// In a file.
    File(PathBuf),
    /// At a server.
    Url {
        /// The URL.
        url: String,
        /// The file with the certificates of its authorities.
        ca: PathBuf,
    },
}

fn sub() -> String {
    "sub".to_owned()
}

fn lifetime() -> Duration {
    Duration::from_mins(15)
}

impl OidcFile {
    /// Checks what belongs together; paths start at `beside`.
    ///
    /// # Errors
    /// What is wrong, with the key.
    pub(crate) fn resolve(self, party: Party, beside: impl Fn(&Path) -> PathBuf) -> Result<OidcConfig, String> {
        if self.issuer.is_empty() {
            return Err("oidc.issuer is empty; write what its tokens have as `iss`".to_owned());
        }
        if !self.audience.ends_with(&party.to_string()) {
            return Err(format!(
                "oidc.audience is `{}`; it has to end in {party} and be another for each node, or one node could use a client's token at the others",
                self.audience
            ));
        }
        let jwks = if self.jwks.starts_with("https://") {
            let ca = self.jwks_ca.ok_or(
                "oidc.jwks is a URL; name in oidc.jwks_ca the file with the certificates of the authorities of its server",
            )?;
            JwkSource::Url { url: self.jwks, ca: beside(&ca) }
        } else if self.jwks.contains("://") {
            return Err(format!("oidc.jwks is `{}`; name a file, or a URL that begins with https://", self.jwks));
        } else {
            JwkSource::File(beside(Path::new(&self.jwks)))
        };
        let Self { issuer, audience, name_claim, max_lifetime, .. } = self;
        Ok(OidcConfig { issuer, audience, jwks, name_claim, max_lifetime })
    }
}
