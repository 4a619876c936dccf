//! Issuers and tokens, from the owner's and the terminal's side.

use super::{JSON, LOGIN_MS, Probe, bodies, broken, check, json, put_together, rule};
use crate::{
    Error,
    auth::{AUTH_MEDIA_TYPE, Answer, IssuerName, IssuerSpec, IssuerStatus, TokenSpec, UserName},
    client::{
        Client,
        node::{all, together},
    },
    clock::now_unix_ms,
    job::JobId,
    pki::ClientName,
};
use reqwest::Method;
use trefoil_auth::{
    rsa::PublicKey,
    token::{Expected, Jwks, Token, verify},
    webauthn::{Bit, Match},
};

/// An issuer of tokens, as two nodes at least describe it.
#[derive(Clone, Debug)]
pub struct Issuer {
    status: IssuerStatus,
    public: PublicKey,
}

/// Somebody who logs in with a relying party.
#[derive(Clone, Copy, Debug)]
pub struct Login<'a> {
    /// Who she says she is.
    pub user: &'a UserName,
    /// The relying party.
    pub audience: &'a str,
    /// What the relying party has drawn for this login: 8 to 255 visible characters of ASCII.
    pub nonce: &'a str,
}

impl Client {
    /// Stores an issuer at the three nodes. Its key has to be there.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Unreachable`] names the node and the remedy.
    pub async fn put_issuer(&self, name: &IssuerName, spec: &IssuerSpec) -> Result<(), Error> {
        let (path, body) = (format!("auth/issuers/{name}"), json(spec)?);
        let stored = all(&self.nodes, async |node| {
            node.done(Method::PUT, &path, Some((JSON, std::slice::from_ref(&body)))).await
        });
        let [a, b, c] = stored.await;
        a.and(b).and(c)
    }

    /// The issuers of this client at each node. Cancel safe.
    pub async fn issuers(&self) -> [Result<Vec<IssuerStatus>, Error>; 3] {
        all(&self.nodes, async |node| node.call(Method::GET, "auth/issuers", None).await).await
    }

    /// An issuer of this client, or of one that names it as a terminal. Cancel safe.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Unreachable`] if two nodes have no such issuer for this client; [`Error::Integrity`] if no two describe it alike.
    pub async fn issuer(&self, owner: Option<&ClientName>, name: &IssuerName) -> Result<Issuer, Error> {
        let path = match owner {
            Some(owner) => format!("auth/issuers/{name}?owner={owner}"),
            None => format!("auth/issuers/{name}"),
        };
        let status: IssuerStatus =
            agreed(all(&self.nodes, async |node| node.call(Method::GET, &path, None).await).await)?;
        let public = status.jwk.public().map_err(broken)?;
        Ok(Issuer { status, public })
    }

    /// Forgets an issuer at the three nodes. Cancel safe.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Unreachable`] names a node that may still have it.
    pub async fn delete_issuer(&self, name: &IssuerName) -> Result<(), Error> {
        let path = format!("auth/issuers/{name}");
        let [a, b, c] = all(&self.nodes, async |node| node.done(Method::DELETE, &path, None).await).await;
        a.and(b).and(c)
    }

    /// The public keys of the issuers of a client, as two nodes at least give them: one alone could name a key of its own. Cancel safe.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Unreachable`] if two nodes do not answer; [`Error::Integrity`] if no two give the same.
    pub async fn jwks(&self, owner: &ClientName) -> Result<Jwks, Error> {
        let path = format!("auth/jwks?owner={owner}");
        agreed(all(&self.nodes, async |node| node.call(Method::GET, &path, None).await).await)
    }

    /// Has the nodes match a probe and sign a token of it for a relying party, and verifies that.
    ///
    /// Not to be repeated with the same nonce once a probe has been compared.
    ///
    /// # Errors
    /// [`Error::Refused`]: the probe does not match, the user is locked, the issuer has no such audience; [`Error::Unreachable`]; [`Error::Usage`] for a nonce or a probe
    /// that is none; [`Error::Integrity`] if the parts make no signature.
    pub async fn token(&self, issuer: &Issuer, login: Login<'_>, probe: Probe<'_>) -> Result<String, Error> {
        check(probe.kind, probe.plain)?;
        let (id, now_ms) = (JobId::random()?, now_unix_ms());
        let IssuerStatus { owner, name, spec: of, .. } = &issuer.status;
        let spec = TokenSpec {
            owner: owner.clone(),
            issuer: name.clone(),
            user: login.user.clone(),
            audience: login.audience.to_owned(),
            nonce: login.nonce.to_owned(),
            issued: now_ms / 1000,
            expires_ms: now_ms.saturating_add(LOGIN_MS),
            probe: probe.kind,
        };
        let claims = of.claims(id, &spec).map_err(rule)?;
        let (path, bodies) = (format!("auth/tokens/{id}"), bodies(&spec, Some(probe.plain))?);
        let answers = together(&self.nodes, async |node| {
            let body = &bodies[node.party().index()];
            node.call::<Answer>(Method::PUT, &path, Some((AUTH_MEDIA_TYPE, body))).await
        });
        let parts = self.collected(answers.await)?;
        // That two nodes have signed it says that they have matched.
        let matched = Match::opened(claims.ceremony(), Bit::One);
        let token = Token::begin(&claims, &issuer.public, &matched).map_err(broken)?;
        let signature = put_together(&issuer.public, &token.message(), None, &parts)?;
        let token = token.finish(&signature).map_err(broken)?;
        let expected = Expected { issuer: &of.url, audience: login.audience, nonce: login.nonce, now: spec.issued };
        verify(&token, &Jwks { keys: vec![issuer.status.jwk.clone()] }, expected).map_err(broken)?;
        Ok(token)
    }
}

impl Issuer {
    /// What the nodes say of it.
    pub fn status(&self) -> &IssuerStatus {
        &self.status
    }
}

/// What two nodes at least have answered alike.
fn agreed<T: PartialEq>(answers: [Result<T, Error>; 3]) -> Result<T, Error> {
    let (mut good, mut errors): (Vec<T>, Vec<Error>) = (Vec::new(), Vec::new());
    for answer in answers {
        match answer {
            Ok(answer) if good.contains(&answer) => return Ok(answer),
            Ok(answer) => good.push(answer),
            Err(e) => errors.push(e),
        }
    }
    let differ = || {
        Error::Integrity("the nodes describe it differently; one of them deviates, or it was stored at some nodes alone: its owner revokes it and stores it anew".to_owned())
    };
    match errors.pop() {
        Some(error) if good.len() < 2 => Err(error),
        _ => Err(differ()),
    }
}
