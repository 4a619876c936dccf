//! Origins, and which relying party's id a page may use.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::Error;

/// Which hosts a page may come from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hosts {
    /// Domains under https.
    Public,
    /// These, and `localhost` under http or https: for tests and development.
    AndLocalhost,
}

/// The origin of a page: scheme, host and port, in the ASCII form that browsers give it (RFC 6454, section 6.2).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Origin {
    text: String,
    host: String,
}

/// The id of a relying party: a domain.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct RpId(String);

impl Origin {
    /// From its text, such as `https://login.example.org` or `https://example.org:8443`.
    ///
    /// # Errors
    ///
    /// [`Error::Origin`] if it is not https (and not localhost where that is allowed), if the host is not a domain in lower case and punycode, or if
    /// anything follows the port.
    pub fn parse(text: &str, hosts: Hosts) -> Result<Self, Error> {
        let refuse = |fault| Error::Origin { origin: text.chars().take(LONGEST_DOMAIN).collect(), fault };
        let (scheme, rest) = text.split_once("://").ok_or_else(|| refuse("it has no scheme"))?;
        let (host, port) = match rest.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        };
        let local = host == LOCALHOST;
        if local && hosts == Hosts::Public {
            return Err(refuse("localhost is allowed in tests alone"));
        }
        let usual = match scheme {
            "https" => "443",
            "http" if local => "80",
            _ => return Err(refuse("it is not https")),
        };
        if !local && !is_domain(host) {
            return Err(refuse("its host is not a domain in lower case and punycode"));
        }
        if port.is_some_and(|port| port == usual || port.starts_with('0') || !is_number(port)) {
            return Err(refuse("its port is no number from 1 to 65535 in the shortest form, or the usual one"));
        }
        Ok(Self { text: text.into(), host: host.into() })
    }

    /// The host.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Scheme, host and port.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl RpId {
    /// The id that a relying party asked for, or the page's host if it named none.
    ///
    /// # Errors
    ///
    /// [`Error::RpId`] if it is neither the host of `origin` nor a domain above it, or a suffix under which anybody can register names
    /// (public suffix list).
    pub fn of(id: Option<&str>, origin: &Origin) -> Result<Self, Error> {
        let id = id.unwrap_or(&origin.host);
        let refuse =
            |fault| Error::RpId { id: id.chars().take(LONGEST_DOMAIN).collect(), origin: origin.text.clone(), fault };
        let above = || origin.host.strip_suffix(id).is_some_and(|rest| rest.ends_with('.'));
        if id != origin.host && !(is_domain(id) && above()) {
            return Err(refuse("it is neither the page's host nor a domain above it"));
        }
        if id != LOCALHOST && psl::domain_str(id).is_none() {
            return Err(refuse("it is a public suffix, under which anybody can register names"));
        }
        Ok(Self(id.into()))
    }

    /// The domain.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `rpIdHash`: SHA-256 of the domain.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(&self.0).into()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for RpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

const LOCALHOST: &str = "localhost";
const LONGEST_DOMAIN: usize = 253;
const LONGEST_LABEL: usize = 63;

/// Two labels or more of lower-case letters, digits and inner hyphens; the last one has a letter, so it is no IPv4 address.
fn is_domain(host: &str) -> bool {
    let label = |label: &str| {
        (1..=LONGEST_LABEL).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = host.rsplit('.').next().unwrap_or_default();
    host.len() <= LONGEST_DOMAIN
        && host.contains('.')
        && host.split('.').all(label)
        && last.starts_with(|first: char| first.is_ascii_lowercase())
}

fn is_number(port: &str) -> bool {
    port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
}
