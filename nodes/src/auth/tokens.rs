//! A login without a device: the nodes match a probe and sign a token.

use super::{
    Answer, Auth, AuthFault, TokenSpec,
    gallery::UserKey,
    guard::CLOCKS_APART,
    service::in_time,
    session::{Done, Signers, Task},
    spec::digest,
};
use crate::{clock::now_unix_ms, job::JobId, pki::ClientName};
use tracing::info;
use trefoil_auth::{
    token::Token,
    webauthn::{Bit, Bytes, Match},
};
use trefoil_circuits::program::InputVector;

/// How far ahead of a node's clock a token may be issued, in seconds.
const AHEAD: u64 = 5;

impl Auth {
    /// A token: this node's parts of its signature, if the probe matches and everything holds.
    ///
    /// Not cancel safe: run it in a task of its own.
    ///
    /// # Errors
    /// [`AuthFault`].
    pub async fn token(
        &self,
        caller: &ClientName,
        id: JobId,
        spec: TokenSpec,
        probe: InputVector,
    ) -> Result<Answer, AuthFault> {
        in_time(spec.expires_ms)?;
        let _place = self.places.try_take(caller)?;
        let issuer = self.asked_of(caller, &spec.owner, &spec.issuer).await?;
        near(spec.issued)?;
        let claims = issuer.claims(id, &spec)?;
        let (key, ceremony) = (issuer.key_of(&spec.owner), claims.ceremony());
        let public = self.parts.for_tokens(&key).await?;
        let user = UserKey { owner: spec.owner.clone(), user: spec.user.clone() };
        let mut user_place = Some(self.busy.take(&user)?);
        self.admit(&user, &ceremony).await?;
        // What the owner has stored at each node is the same, or they do not come together.
        let agreed = digest("token", &(id, caller, &spec, &issuer));
        let task = Task::Match { kind: spec.probe, probe, ceremony, signers: Signers::Alone };
        let Done::Matched(bit) = self.together((id, agreed), (&user, &mut user_place), task).await? else {
            return Err(AuthFault::Changed);
        };
        if bit == Bit::Zero {
            return Err(AuthFault::NoMatch);
        }
        // What the owner has revoked while the nodes compared signs nothing any more.
        if self.asked_of(caller, &spec.owner, &spec.issuer).await? != issuer {
            return Err(AuthFault::Changed);
        }
        let message = Token::begin(&claims, &public, &Match::opened(ceremony, bit))?.message();
        let ((), parts) = tokio::try_join!(self.forgive(&user), self.parts.sign(&key, message))?;
        info!("signed a token of {} for {}, which {caller} has asked for", user.user, spec.audience);
        Ok(Answer { parts: Bytes(parts.encode(&public)), prepared: None })
    }
}

/// The terminal proposes the time, and no node chooses it: each takes one of the last minute by its own clock. Relying parties refuse a token of the future, and it would be good for longer.
fn near(issued: u64) -> Result<(), AuthFault> {
    let now = now_unix_ms() / 1000;
    if !(now.saturating_sub(CLOCKS_APART)..=now.saturating_add(AHEAD)).contains(&issued) {
        return Err(AuthFault::Clock { issued, now });
    }
    Ok(())
}
