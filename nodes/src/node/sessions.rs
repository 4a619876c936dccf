//! The sessions of the mesh, as jobs use them.

use crate::{
    job::{Failure, FailureKind, Seat, Session, Sessions, ended_by},
    mesh::{self, Mesh, MeshError},
};
use std::sync::Arc;
use trefoil_engine::{
    Error,
    transport::{BoxFuture, SessionId, Transport},
};

/// Sessions over QUIC.
pub(super) struct MeshSessions(Arc<Mesh>);

impl MeshSessions {
    pub(super) fn new(mesh: Arc<Mesh>) -> Self {
        Self(mesh)
    }
}

impl Sessions for MeshSessions {
    fn join(&self, session: SessionId, digest: [u8; 32]) -> BoxFuture<'_, Result<Box<dyn Session>, Failure>> {
        Box::pin(async move {
            let session = self.0.session(session, digest).await.map_err(|e| failure(&e))?;
            Ok(Box::new(session) as Box<dyn Session>)
        })
    }

    fn meet(&self, session: SessionId, digest: [u8; 32]) -> BoxFuture<'_, Result<Box<dyn Session>, Failure>> {
        Box::pin(async move {
            let session = self.0.chance_session(session, digest).await.map_err(|e| failure(&e))?;
            Ok(Box::new(session) as Box<dyn Session>)
        })
    }
}

impl Session for mesh::Session {
    fn seat(&mut self) -> Result<Seat, Error> {
        let (me, session) = (self.me(), self.id());
        Ok(Seat { me, session, keys: self.take_keys()? })
    }

    fn network(&self) -> Arc<dyn Transport> {
        mesh::Session::network(self)
    }

    fn end(self: Box<Self>, failure: Option<&Failure>) {
        match failure {
            None => self.finish(),
            // The first fault stays: if the session has ended already, these change nothing.
            Some(failure) if failure.kind == FailureKind::Misbehaved => self.reject(&failure.cause),
            Some(failure) => self.abort(&failure.cause),
        }
    }
}

/// Why a session did not start, as the client is told.
fn failure(error: &MeshError) -> Failure {
    if let MeshError::Ended { peer, cause } = error
        && let Some(told) = ended_by(*peer, cause)
    {
        return told;
    }
    let kind = match error {
        MeshError::Unreachable { .. } | MeshError::NotJoined { .. } => FailureKind::Missing,
        MeshError::OtherCluster { .. } | MeshError::OtherJob { .. } | MeshError::RepeatedSession(_) => {
            FailureKind::Mismatch
        }
        MeshError::Ended { .. } | MeshError::GaveUp { .. } | MeshError::OtherVersion { .. } => FailureKind::Link,
        MeshError::Listen { .. } | MeshError::Tls(_) | MeshError::Entropy(_) => FailureKind::Internal,
    };
    let failure = Failure::new(kind, error.to_string());
    match error.blamed() {
        Some(party) => failure.blaming(party),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::LEFT;
    use trefoil_engine::Party;

    #[test]
    fn a_peer_whose_client_went_away_is_not_at_fault() {
        let of = |cause: &str| failure(&MeshError::Ended { peer: Party::P2, cause: cause.to_owned() });
        for said in [LEFT.to_owned(), format!("P0 reports of P2: {LEFT}")] {
            let told = of(&said);
            assert_eq!((told.kind, told.blamed), (FailureKind::Cancelled, None), "{}", told.cause);
            assert_eq!(told.cause, format!("{LEFT}, at P2"));
        }
        let told = of("it is busy");
        assert_eq!((told.kind, told.blamed), (FailureKind::Link, Some(2)));
    }
}
