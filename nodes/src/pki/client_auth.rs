//! What a client shows to the nodes.

use super::{Identity, Role};
use crate::oidc::TokenSet;
use std::sync::Arc;

/// What a client shows to the nodes, as a command has read it.
#[derive(Debug)]
pub enum ClientAuth {
    /// A certificate of the cluster's authority, with its key.
    Certificate(Identity),
    /// A token for each node, of an issuer that the nodes take tokens of.
    Tokens(Arc<TokenSet>),
}

/// The same, of somebody else.
#[derive(Clone, Copy, Debug)]
pub enum ClientAuthRef<'a> {
    /// A certificate.
    Certificate(&'a Identity),
    /// A token for each node.
    Tokens(&'a TokenSet),
}

impl ClientAuth {
    /// As whom the nodes know it.
    pub fn role(&self) -> &Role {
        match self {
            Self::Certificate(identity) => identity.role(),
            Self::Tokens(tokens) => tokens.role(),
        }
    }

    /// When a certificate is not valid any more, in seconds since 1970-01-01 UTC.
    pub fn not_after(&self) -> Option<i64> {
        match self {
            Self::Certificate(identity) => Some(identity.facts().not_after),
            Self::Tokens(_) => None,
        }
    }
}

impl ClientAuthRef<'_> {
    /// As whom the nodes know it.
    pub fn role(&self) -> &Role {
        match self {
            Self::Certificate(identity) => identity.role(),
            Self::Tokens(tokens) => tokens.role(),
        }
    }
}

impl<'a> From<&'a Identity> for ClientAuthRef<'a> {
    fn from(identity: &'a Identity) -> Self {
        Self::Certificate(identity)
    }
}

impl<'a> From<&'a ClientAuth> for ClientAuthRef<'a> {
    fn from(auth: &'a ClientAuth) -> Self {
        match auth {
            ClientAuth::Certificate(identity) => Self::Certificate(identity),
            ClientAuth::Tokens(tokens) => Self::Tokens(tokens),
        }
    }
}
