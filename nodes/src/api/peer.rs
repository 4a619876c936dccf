//! Who is at the other end of a connection, as far as that is known, and the place that it has.

use super::{Caller, Problem, ProblemKind};
use crate::{
    metrics::Refusal,
    oidc::TokenFault,
    pki::Role,
    places::{Crowded, Place, Places},
};
use std::{
    net::SocketAddr,
    sync::{Mutex, PoisonError},
};
use tokio::sync::watch;

/// The other end of a connection.
pub(super) struct Peer {
    /// Whom its certificate names, if it has shown one.
    pub(super) caller: Option<Caller>,
    pub(super) address: SocketAddr,
    /// No other connection to this process has it.
    pub(super) number: u64,
    /// That of the connection, once it is known whose it is.
    pub(super) place: Mutex<Option<Place>>,
    pub(super) standing: watch::Sender<Standing>,
}

/// What is known of the other end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Standing {
    /// Nothing yet.
    Unknown,
    /// A certificate, or a token that was taken.
    Known,
    /// There is no certificate, and the first request had no token that is taken.
    Refused,
}

impl Peer {
    /// A token was taken. The first on a connection gives it a place; where there is none, no token is used up.
    pub(super) fn is_known_as(
        &self,
        caller: &Caller,
        places: &Places<Role>,
        used: impl FnOnce() -> Result<(), TokenFault>,
    ) -> Result<(), Unknown> {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        let first = match &*place {
            None => Some(places.try_take(&caller.role).map_err(NoPlace::from)?),
            Some(_) => None,
        };
        used()?;
        if first.is_some() {
            *place = first;
            self.standing.send_replace(Standing::Known);
        }
        Ok(())
    }
}

/// Why it is not known whose a request is, or there is no place for whose it is.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unknown {
    #[error(transparent)]
    Token(#[from] TokenFault),
    #[error(transparent)]
    Place(#[from] NoPlace),
}

/// Why there is no place for a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum NoPlace {
    /// All are taken.
    #[error("there are as many connections as limits.connections allows; come back later")]
    Full,
    /// This one has its share.
    #[error(
        "it has a quarter of limits.connections already, as many as one client may; close connections that are not used"
    )]
    Share,
}

impl From<Crowded> for NoPlace {
    fn from(fault: Crowded) -> Self {
        match fault {
            Crowded::Own(_) => Self::Share,
            Crowded::All(_) => Self::Full,
        }
    }
}

impl Unknown {
    pub(super) fn refusal(&self) -> Refusal {
        match self {
            Self::Token(_) => Refusal::Token,
            Self::Place(fault) => (*fault).into(),
        }
    }
}

impl From<NoPlace> for Refusal {
    fn from(fault: NoPlace) -> Self {
        match fault {
            NoPlace::Full => Self::Full,
            NoPlace::Share => Self::Share,
        }
    }
}

impl From<Unknown> for Problem {
    fn from(fault: Unknown) -> Self {
        let kind = match &fault {
            Unknown::Token(TokenFault::Crowded | TokenFault::Keys) | Unknown::Place(NoPlace::Full) => ProblemKind::Busy,
            Unknown::Token(_) => ProblemKind::Token,
            Unknown::Place(NoPlace::Share) => ProblemKind::Share,
        };
        kind.because(fault.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_token_is_used_up_where_there_is_no_place_and_none_that_is_refused_keeps_one() {
        let places = Places::with_each(1, 1);
        let caller = Caller { role: Role::Client("oidc:alice".parse().expect("a name")) };
        let peer = || Peer {
            caller: None,
            address: ([127, 0, 0, 1], 1).into(),
            number: 0,
            place: Mutex::default(),
            standing: watch::Sender::new(Standing::Unknown),
        };
        let (first, second) = (peer(), peer());
        let refused = first.is_known_as(&caller, &places, || Err(TokenFault::Replayed)).expect_err("used before");
        assert!(matches!(refused, Unknown::Token(TokenFault::Replayed)), "{refused}");
        assert_eq!(*first.standing.borrow(), Standing::Unknown);
        second.is_known_as(&caller, &places, || Ok(())).expect("the place was given back");
        assert_eq!(*second.standing.borrow(), Standing::Known);
        let refused = first.is_known_as(&caller, &places, || panic!("it is used up")).expect_err("no place");
        assert!(matches!(refused, Unknown::Place(NoPlace::Share)), "{refused}");
        drop(second);
        first.is_known_as(&caller, &places, || Ok(())).expect("a place again");
    }
}
