//! What can go wrong, sorted by who must act.

use super::{TemplateName, UserName};
use crate::{
    job::{Failure, FailureKind},
    keys::KeyFault,
    places::Crowded,
    store::StoreError,
};
use trefoil_circuits::matching::MatchingError;

/// Users that an error names.
const NAMED: usize = 8;

/// Why a request about authentication is not met.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthFault {
    /// Not there for this caller. Whether it is there for others is not told.
    #[error(
        "there is no such {0} for you; its owner stores it at all three nodes, and names the devices that may log in"
    )]
    Absent(&'static str),
    /// There, and somebody else's. The caller is told the same.
    #[error("{}", Self::Absent(.0))]
    Withheld(&'static str),
    /// A value of the request.
    #[error("{0}")]
    Invalid(String),
    /// The owner has as much here as the node takes of one.
    #[error("{0}")]
    Limit(String),
    /// Other requests have the places of this one.
    #[error("{0}, or raise limits.waiting_jobs on every node, of which one client has a quarter")]
    Crowded(#[from] Crowded),
    /// A size of a template.
    #[error(transparent)]
    Matching(#[from] MatchingError),
    /// The rules of a ceremony, or a signature.
    #[error(transparent)]
    Rule(#[from] trefoil_auth::Error),
    /// The key of a credential.
    #[error(transparent)]
    Key(#[from] KeyFault),
    /// The user has a template of that name.
    #[error("the user has a template `{0}` already; delete it, or give another name")]
    Taken(TemplateName),
    /// Something of that name is there, and is another one: what, and what to do.
    #[error("there is a {0} already; {1}")]
    Known(&'static str, &'static str),
    /// Nothing to compare with.
    #[error("the user has no template of this kind; enrol one")]
    NoTemplate,
    /// A token would be signed of a match in which a node that lies is not found out.
    #[error(
        "no token is signed of templates with semi-honest security, for no device stands behind it: revoke those of this kind, and enrol them with --mode malicious"
    )]
    SemiHonest,
    /// Too many probes failed.
    #[error("too many probes of this user did not match; come back in {seconds} s")]
    Locked {
        /// Until then.
        seconds: u64,
    },
    /// The probe is not of this user.
    #[error("the probe does not match; take another one, for another challenge")]
    NoMatch,
    /// The ceremony took place before, or a login of this id.
    #[error("this challenge or login id was used before; ask the relying party for a new challenge, and draw a new id")]
    Replayed,
    /// Another login of the same user.
    #[error("another login of this user is under way; wait for its end")]
    UnderWay,
    /// The time is over, or too far away.
    #[error(
        "the login has expired, or would in more than ten minutes; take the time of now, and see that the clocks are right"
    )]
    Expired,
    /// The counter is ahead of the clock.
    #[error(
        "the signature counter {proposed} is ahead of the clock of this node, which takes up to {most}; see that the clocks are right"
    )]
    Ahead {
        /// What was proposed.
        proposed: u32,
        /// What is taken.
        most: u64,
    },
    /// A token of another time.
    #[error(
        "the token would be issued at {issued}, in seconds since 1970, and at this node it is {now}; see that the clocks are right"
    )]
    Clock {
        /// What was proposed.
        issued: u64,
        /// The time here.
        now: u64,
    },
    /// Something was deleted or replaced meanwhile.
    #[error("the user's templates were changed meanwhile; try again")]
    Changed,
    /// The session failed.
    #[error("{}", .0.cause)]
    Failed(Failure),
    /// A step of the protocol failed.
    #[error(transparent)]
    Engine(#[from] trefoil_engine::Error),
    /// The node's store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The node did not sign that it erases something, and has not erased it.
    #[error("nothing was erased, for the node has signed no receipt: {0}; its operator finds the cause in its log")]
    Receipt(String),
    /// Too many searches in a short time.
    #[error("this node searches among the users of an owner {per_second} times a second at most; wait {wait_ms} ms")]
    Rate {
        /// How many a second.
        per_second: u32,
        /// When the next one is taken.
        wait_ms: u64,
    },
    /// Another search of the owner is under way, or too many of others are.
    #[error("other searches are under way; wait for their end")]
    Searching,
    /// The nodes do not have the same templates of users who would be searched.
    #[error(
        "the nodes do not have the same templates of {}: an enrolment or an erasure is under way or broke off, or a node has lost some. Nobody was searched, for they could be missed. Try again; if that does not help, settle each by `trefoil auth refresh --user NAME`, or, if that fails, revoke and enrol the user anew. Or search the others with --leave-out-unsettled",
        named(.0)
    )]
    Unsettled(Vec<UserName>),
    /// A record cannot be read, or not be written.
    #[error("a record of this node cannot be used: {0}; restore the store from a backup")]
    Record(String),
}

/// The first names, and how many more there are.
fn named(users: &[UserName]) -> String {
    let mut text = users.iter().take(NAMED).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if users.len() > NAMED {
        text = format!("{text} and {} more", users.len() - NAMED);
    }
    text
}

impl From<Failure> for AuthFault {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl AuthFault {
    /// Why a session ends, as the peers are told.
    pub(crate) fn as_failure(&self) -> Failure {
        match self {
            Self::Failed(failure) => failure.clone(),
            Self::Store(_) | Self::Record(_) => {
                Failure::new(FailureKind::Internal, "its store failed; its operator looks into its log")
            }
            other => Failure::new(FailureKind::Cancelled, other.to_string()),
        }
    }
}
