//! Issuers of tokens, as each node keeps them.

use super::{
    Auth, AuthFault, IssuerName, TokenSpec,
    credentials::MOST_DEVICES,
    records::{read, written},
};
use crate::{
    job::JobId,
    keys::{KeyFault, KeyId, KeyName},
    pki::ClientName,
    store::{Space, WriteTransaction},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tracing::info;
use trefoil_auth::token::{self, Claims, Jwk, Jwks, LONGEST_LIFETIME, Request, Times};

/// What the names of their records begin with.
const ISSUERS: &str = "issuer/";

/// Issuers of an owner at most.
const MOST_ISSUERS: usize = 64;

/// Relying parties of an issuer at most.
const MOST_AUDIENCES: usize = 64;

/// An issuer of tokens, as its owner stores it at all three nodes.
///
/// Any terminal that it names shares a probe among the nodes; they compare it with the user's templates, and sign what they have found out. No device takes part.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerSpec {
    /// The key, which is for tokens and of the owner.
    pub key: KeyName,
    /// What tokens have as `iss`: an https address, under which relying parties find the owner's keys. No two owners at a node have the same.
    pub url: String,
    /// The relying parties that tokens may be for, as they have them as `aud`.
    pub audiences: Vec<String>,
    /// For how many seconds a token is good, 3,600 at most.
    pub lifetime_seconds: u32,
    /// The clients beside the owner that may ask for tokens. They may do nothing else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub terminals: Vec<ClientName>,
}

/// An issuer as a node describes it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct IssuerStatus {
    /// Whose it is.
    pub owner: ClientName,
    /// Its name.
    pub name: IssuerName,
    /// What was stored.
    #[serde(flatten)]
    pub spec: IssuerSpec,
    /// The public key.
    pub jwk: Jwk,
}

impl IssuerSpec {
    /// The key, which is the owner's too.
    pub(super) fn key_of(&self, owner: &ClientName) -> KeyId {
        KeyId { owner: owner.clone(), name: self.key.clone() }
    }

    /// Checks what its form alone does not.
    ///
    /// # Errors
    /// [`trefoil_auth::Error`] if the address, a relying party or the lifetime is none.
    pub fn check(&self) -> Result<(), trefoil_auth::Error> {
        token::check_issuer(&self.url)?;
        self.audiences.iter().try_for_each(|audience| token::check_audience(audience))?;
        if (1..=LONGEST_LIFETIME).contains(&self.lifetime_seconds.into()) {
            return Ok(());
        }
        Err(trefoil_auth::Error::Token {
            fault: "it would be good for no time or for too long",
            remedy: "give 1 to 3600 seconds",
        })
    }

    /// What a token says, the same at the terminal and at each node, which puts it together itself.
    ///
    /// # Errors
    /// [`trefoil_auth::Error`] if the issuer has no such relying party, or a claim is none.
    pub fn claims(&self, id: JobId, spec: &TokenSpec) -> Result<Claims, trefoil_auth::Error> {
        if !self.audiences.contains(&spec.audience) {
            let fault = "the issuer has no such audience";
            return Err(trefoil_auth::Error::Token { fault, remedy: "its owner names those for whom tokens may be" });
        }
        let (user, issued) = (spec.user.to_string(), spec.issued.to_string());
        // The terminal draws the id, and could draw one twice: the number is another one for everything else that is asked for.
        let said = [&id.to_string(), &self.url, &user, &spec.audience, &spec.nonce, &issued];
        let mut number = Sha256::new_with_prefix(b"trefoil token number v1");
        for text in said {
            number.update(format!("\0{text}"));
        }
        let number = hex::encode(&number.finalize()[..16]);
        let request = Request { audience: &spec.audience, nonce: &spec.nonce, id: &number };
        let times = Times { issued: spec.issued, lifetime: self.lifetime_seconds.into() };
        Claims::new(&self.url, &user, request, times)
    }
}

impl Auth {
    /// Stores an issuer of an owner. False if it was there.
    ///
    /// # Errors
    /// [`AuthFault`]: a value is not valid, the owner has no such key for tokens, another issuer has that name, or another owner has one with that address.
    pub async fn put_issuer(&self, owner: &ClientName, name: &IssuerName, spec: IssuerSpec) -> Result<bool, AuthFault> {
        for (what, count, most) in [
            ("relying parties", spec.audiences.len(), MOST_AUDIENCES),
            ("terminals", spec.terminals.len(), MOST_DEVICES),
        ] {
            if count > most {
                return Err(AuthFault::Invalid(format!("an issuer has {most} {what} at most; name fewer")));
            }
        }
        spec.check()?;
        self.parts.for_tokens(&spec.key_of(owner)).await?;
        let told = format!("{owner} has stored the issuer {name}: {} with the key {}", spec.url, spec.key);
        let (prefix, name) = (prefix(owner), record(owner, name));
        let write = self.store.write(move |records| match records.get(Space::Credentials, &name)? {
            None if taken(records, &prefix, &spec.url)? => {
                Err(AuthFault::Known("issuer of another client with this address", "give an address of your own"))
            }
            None if records.list(Space::Credentials, prefix.as_bytes())?.len() >= MOST_ISSUERS => {
                let cause = format!("an owner has {MOST_ISSUERS} issuers at most; revoke some first");
                Err(AuthFault::Invalid(cause))
            }
            None => {
                records.put(Space::Credentials, &name, &written(&spec)?)?;
                Ok(true)
            }
            Some(old) if read::<IssuerSpec>(&old)? == spec => Ok(false),
            Some(_) => Err(AuthFault::Known("issuer of this name", "revoke it first, or give another name")),
        });
        let new = write.await?;
        if new {
            info!("{told}");
        }
        Ok(new)
    }

    /// The issuers of an owner.
    ///
    /// # Errors
    /// [`AuthFault`] of the store.
    pub async fn issuers(&self, owner: &ClientName) -> Result<Vec<IssuerStatus>, AuthFault> {
        let prefix = prefix(owner);
        let mut all = Vec::new();
        for record in self.store.list(Space::Credentials, prefix.as_bytes()).await? {
            let name = std::str::from_utf8(&record).ok().and_then(|name| name.strip_prefix(&prefix)?.parse().ok());
            let Some(name) = name else { continue };
            match self.described(owner, name).await {
                Ok(status) => all.push(status),
                // It was deleted just now, or its key was, and may have made room for another one.
                Err(AuthFault::Absent(_) | AuthFault::Key(KeyFault::Missing(_) | KeyFault::Use(_))) => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(all)
    }

    /// An issuer that a caller may ask for tokens.
    ///
    /// # Errors
    /// [`AuthFault::Absent`] if there is none for this caller.
    pub async fn issuer(
        &self,
        caller: &ClientName,
        owner: &ClientName,
        name: IssuerName,
    ) -> Result<IssuerStatus, AuthFault> {
        self.asked_of(caller, owner, &name).await?;
        self.described(owner, name).await
    }

    /// The public keys with which an owner's issuers sign. They are nobody's secret.
    ///
    /// # Errors
    /// [`AuthFault`] of the store.
    pub async fn jwks(&self, owner: &ClientName) -> Result<Jwks, AuthFault> {
        let mut keys: Vec<Jwk> = Vec::new();
        for issuer in self.issuers(owner).await? {
            if !keys.contains(&issuer.jwk) {
                keys.push(issuer.jwk);
            }
        }
        Ok(Jwks { keys })
    }

    /// Forgets an issuer of an owner. False if there is none. Its key is deleted apart.
    ///
    /// # Errors
    /// [`AuthFault`] of the store.
    pub async fn delete_issuer(&self, owner: &ClientName, name: &IssuerName) -> Result<bool, AuthFault> {
        Ok(self.store.remove(Space::Credentials, record(owner, name)).await?)
    }

    /// An issuer that a caller may ask for tokens. For others there is none.
    pub(super) async fn asked_of(
        &self,
        caller: &ClientName,
        owner: &ClientName,
        name: &IssuerName,
    ) -> Result<IssuerSpec, AuthFault> {
        let spec = self.stored(owner, name).await?;
        if caller == owner || spec.terminals.contains(caller) { Ok(spec) } else { Err(AuthFault::Withheld("issuer")) }
    }

    async fn described(&self, owner: &ClientName, name: IssuerName) -> Result<IssuerStatus, AuthFault> {
        let spec = self.stored(owner, &name).await?;
        let jwk = Jwk::of(&self.parts.for_tokens(&spec.key_of(owner)).await?);
        Ok(IssuerStatus { owner: owner.clone(), name, spec, jwk })
    }

    async fn stored(&self, owner: &ClientName, name: &IssuerName) -> Result<IssuerSpec, AuthFault> {
        let record = self.store.get(Space::Credentials, record(owner, name)).await?;
        record.map_or_else(|| Err(absent()), |record| read(&record))
    }
}

/// Whether somebody else issues tokens under an address. Relying parties know issuers by it.
fn taken(records: &WriteTransaction<'_>, own: &str, url: &str) -> Result<bool, AuthFault> {
    let alike = |other: &str| other.trim_end_matches('/').eq_ignore_ascii_case(url.trim_end_matches('/'));
    for name in records.list(Space::Credentials, ISSUERS.as_bytes())? {
        if !name.starts_with(own.as_bytes())
            && let Some(record) = records.get(Space::Credentials, &name)?
            && alike(&read::<IssuerSpec>(&record)?.url)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn absent() -> AuthFault {
    AuthFault::Absent("issuer")
}

fn prefix(owner: &ClientName) -> String {
    format!("{ISSUERS}{owner}/")
}

fn record(owner: &ClientName, name: &IssuerName) -> Vec<u8> {
    format!("{}{name}", prefix(owner)).into_bytes()
}
