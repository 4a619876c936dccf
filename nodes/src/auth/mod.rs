//! Authentication at the nodes: users' templates as shares, their credentials, and logins that bind a match to a signature.
//!
//! A *login* is one session of the three nodes. They compare a probe, of which each has a share, with the user's templates, and open one bit, to themselves. Each node then decides by
//! itself: whether the caller may, whether the user is locked, whether the counter goes forward, whether the probe matched for this very ceremony. Only then does it make its partial
//! signature, of bytes that it has put together itself. Two such parts and the device's are a signature.
//!
//! Where no device takes part, the same session ends in a signed token: see [`IssuerSpec`].
//!
//! Everything belongs to the client that has stored it, its *owner*: an identity provider or relying party. Others do not see it; an owner may name the devices that log in.

mod asker;
mod bounds;
mod credentials;
mod erasure;
mod fault;
mod gallery;
mod guard;
mod identify;
mod issuers;
mod names;
mod records;
mod roll;
mod service;
mod session;
mod spec;
#[cfg(test)]
mod tests;
mod tokens;
mod vote;

pub(crate) use asker::apart;
pub use bounds::Bounds;
pub use credentials::{Backing, CredentialSpec, CredentialStatus, Verification};
pub use erasure::{Asked, Erased, Erasure};
pub use fault::AuthFault;
pub(crate) use gallery::{same_templates, user_of_shares};
pub use guard::Lockout;
pub(crate) use guard::stricter;
pub use identify::{Found, SearchSpec, Unsettled};
pub use issuers::{IssuerSpec, IssuerStatus};
pub use names::{IssuerName, TemplateName, UserName};
#[cfg(any(test, fuzzing))]
pub(crate) use roll::read_any;
pub use service::{Auth, AuthConfig, Parts};
pub use spec::{
    Answer, Ceremony, EnrolSpec, LoginSpec, Matching, MetricSpec, RefreshSpec, TemplateKind, TemplateStatus, TokenSpec,
    UserStatus,
};

/// The media type of requests with shares: a specification in JSON with its length before it, then both components.
pub const AUTH_MEDIA_TYPE: &str = "application/vnd.trefoil.auth";
