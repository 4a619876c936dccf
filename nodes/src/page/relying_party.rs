//! A small relying party, for trying out: accounts in memory, registrations without attestation, logins with user verification.
//!
//! It is written from the standard (W3C `WebAuthn` Level 3, sections 7.1 and 7.2). Client data is read as JSON and signatures are verified by aws-lc-rs: what the page and the nodes make is not
//! judged by the code that makes it.

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};
use trefoil_auth::webauthn::{AuthenticatorData, Bytes, RS256};

/// How long a ceremony may take.
const CEREMONY: Duration = Duration::from_mins(5);
/// Accounts and ceremonies under way, at most.
const MOST: usize = 1000;

/// The relying party.
#[derive(Debug)]
pub(super) struct RelyingParty {
    id: String,
    origin: String,
    accounts: HashMap<String, Account>,
    ceremonies: HashMap<Vec<u8>, Ceremony>,
}

/// Who has registered.
#[derive(Clone, Debug)]
struct Account {
    handle: Vec<u8>,
    credential: Vec<u8>,
    spki: Vec<u8>,
    count: u32,
}

/// A challenge that was given out.
#[derive(Debug)]
struct Ceremony {
    account: String,
    handle: Vec<u8>,
    kind: Kind,
    begun: Instant,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Create,
    Get,
}

/// A registration that was verified.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Registered {
    pub(super) account: String,
    pub(super) handle: Vec<u8>,
    pub(super) credential: Vec<u8>,
}

/// A login that was verified.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct LoggedIn {
    account: String,
    user_verified: bool,
    count: u32,
}

/// `RegistrationResponseJSON` or `AuthenticationResponseJSON`, as far as it is looked at.
#[derive(Debug, Deserialize)]
pub(super) struct Response {
    id: Bytes,
    response: Inner,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Inner {
    #[serde(rename = "clientDataJSON")]
    client_data_json: Bytes,
    authenticator_data: Bytes,
    public_key: Option<Bytes>,
    public_key_algorithm: Option<i64>,
    signature: Option<Bytes>,
    user_handle: Option<Bytes>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientData {
    #[serde(rename = "type")]
    kind: String,
    challenge: Bytes,
    origin: String,
    #[serde(default)]
    cross_origin: bool,
}

/// Why it refuses, for whoever stands before the page.
pub(super) type Refused = &'static str;

impl RelyingParty {
    pub(super) fn new(id: &str, origin: &str) -> Self {
        Self { id: id.to_owned(), origin: origin.to_owned(), accounts: HashMap::new(), ceremonies: HashMap::new() }
    }

    /// `PublicKeyCredentialCreationOptionsJSON` for a new account.
    pub(super) fn register(&mut self, account: &str) -> Result<Value, Refused> {
        if account.is_empty() || account.len() > 64 || account.contains(char::is_control) {
            return Err("an account has a name of 1 to 64 bytes; choose another");
        }
        if self.accounts.contains_key(account) {
            return Err("there is an account of this name; log in, or choose another name");
        }
        let handle = random()?.to_vec();
        let challenge = self.challenge(account, &handle, Kind::Create)?;
        Ok(json!({
            "rp": {"id": self.id, "name": "Trefoil's small relying party"},
            "user": {"id": Bytes(handle), "name": account, "displayName": account},
            "challenge": challenge, "timeout": CEREMONY.as_millis() as u64,
            "pubKeyCredParams": [{"type": "public-key", "alg": RS256}],
            "authenticatorSelection": {"residentKey": "discouraged", "userVerification": "discouraged"},
            "attestation": "none",
        }))
    }

    /// Section 7.1, for registrations without attestation.
    pub(super) fn registered(&mut self, response: &Response) -> Result<Registered, Refused> {
        let (ceremony, _) = self.take(&response.response.client_data_json, Kind::Create)?;
        let data = self.data(&response.response)?;
        let attested = data.attested().ok().flatten().ok_or("the authenticator data has no credential")?;
        if attested.id.as_bytes() != response.id.0 {
            return Err("the credential has two ids");
        }
        let spki = response.response.public_key.as_ref().ok_or("there is no public key")?;
        if response.response.public_key_algorithm != Some(RS256)
            || attested.public.to_spki().ok().as_ref() != Some(&spki.0)
        {
            return Err("the public key is not the one of the authenticator data");
        }
        if self.accounts.values().any(|known| known.credential == response.id.0) {
            return Err("the credential is registered already");
        }
        if self.accounts.len() >= MOST || self.accounts.contains_key(&ceremony.account) {
            return Err("there is an account of this name by now, or there is no room; choose another name");
        }
        let account = Account {
            handle: ceremony.handle.clone(),
            credential: response.id.0.clone(),
            spki: spki.0.clone(),
            count: data.sign_count(),
        };
        self.accounts.insert(ceremony.account.clone(), account);
        Ok(Registered { account: ceremony.account, handle: ceremony.handle, credential: response.id.0.clone() })
    }

    /// `PublicKeyCredentialRequestOptionsJSON` for an account.
    pub(super) fn login(&mut self, account: &str) -> Result<Value, Refused> {
        let known = self.accounts.get(account).ok_or("there is no account of this name; register first")?.clone();
        let challenge = self.challenge(account, &known.handle, Kind::Get)?;
        Ok(json!({
            "challenge": challenge, "timeout": CEREMONY.as_millis() as u64, "rpId": self.id,
            "allowCredentials": [{"type": "public-key", "id": Bytes(known.credential)}],
            "userVerification": "required",
        }))
    }

    /// Section 7.2.
    pub(super) fn logged_in(&mut self, response: &Response) -> Result<LoggedIn, Refused> {
        let (ceremony, hash) = self.take(&response.response.client_data_json, Kind::Get)?;
        let data = self.data(&response.response)?;
        let account = self.accounts.get_mut(&ceremony.account).ok_or("the account is gone; register again")?;
        if account.credential != response.id.0 {
            return Err("this is not the account's credential");
        }
        if response.response.user_handle.as_ref().is_some_and(|handle| handle.0 != account.handle) {
            return Err("the credential is of another user");
        }
        if !data.user_verified() {
            return Err("the user was not verified, and has to be");
        }
        let signature = response.response.signature.as_ref().ok_or("there is no signature")?;
        let signed = [data.as_bytes(), &hash].concat();
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, rsa_public_key(&account.spki)?);
        key.verify(&signed, &signature.0).map_err(|_| "the signature does not verify")?;
        if data.sign_count() <= account.count {
            return Err("the signature counter did not go up: there may be a copy of the authenticator");
        }
        account.count = data.sign_count();
        Ok(LoggedIn { account: ceremony.account, user_verified: true, count: account.count })
    }

    /// Whether somebody registers with a handle like this just now.
    pub(super) fn registers(&self, is: impl Fn(&[u8]) -> bool) -> bool {
        let waits = |ceremony: &Ceremony| ceremony.kind == Kind::Create && ceremony.begun.elapsed() < CEREMONY;
        self.ceremonies.values().any(|ceremony| waits(ceremony) && is(&ceremony.handle))
    }

    /// Takes a registration back that the nodes did not follow.
    pub(super) fn forget(&mut self, account: &str) {
        self.accounts.remove(account);
    }

    fn challenge(&mut self, account: &str, handle: &[u8], kind: Kind) -> Result<Bytes, Refused> {
        self.ceremonies.retain(|_, ceremony| ceremony.begun.elapsed() < CEREMONY);
        if self.ceremonies.len() >= MOST {
            return Err("too many ceremonies are under way; try again in some minutes");
        }
        let challenge = random()?.to_vec();
        let ceremony = Ceremony { account: account.to_owned(), handle: handle.to_vec(), kind, begun: Instant::now() };
        self.ceremonies.insert(challenge.clone(), ceremony);
        Ok(Bytes(challenge))
    }

    /// Takes the ceremony of client data, which nobody can take again, and the hash that was signed.
    fn take(&mut self, client_data: &Bytes, kind: Kind) -> Result<(Ceremony, [u8; 32]), Refused> {
        let read: ClientData = serde_json::from_slice(&client_data.0).map_err(|_| "the client data is not JSON")?;
        let ceremony = self.ceremonies.remove(&read.challenge.0);
        let ceremony = ceremony.filter(|ceremony| ceremony.kind == kind && ceremony.begun.elapsed() < CEREMONY);
        let ceremony = ceremony.ok_or("the challenge is not one that waits for this; begin again")?;
        let due = match kind {
            Kind::Create => "webauthn.create",
            Kind::Get => "webauthn.get",
        };
        if read.kind != due || read.origin != self.origin || read.cross_origin {
            return Err("the client data is of another kind of ceremony or of another page");
        }
        Ok((ceremony, Sha256::digest(&client_data.0).into()))
    }

    fn data(&self, response: &Inner) -> Result<AuthenticatorData, Refused> {
        let data = AuthenticatorData::decode(&response.authenticator_data.0);
        let data = data.map_err(|_| "the authenticator data is malformed")?;
        let id_hash: [u8; 32] = Sha256::digest(&self.id).into();
        if data.rp_id_hash() != id_hash {
            return Err("the authenticator data is for another relying party");
        }
        if data.user_present() { Ok(data) } else { Err("the user was not present") }
    }
}

/// 32 bytes that nobody can guess.
pub(super) fn random() -> Result<[u8; 32], Refused> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_| "the system gives no randomness")?;
    Ok(bytes)
}

/// `RSAPublicKey` in a `SubjectPublicKeyInfo`: what aws-lc-rs takes.
fn rsa_public_key(spki: &[u8]) -> Result<&[u8], Refused> {
    let (_, read) = <x509_parser::x509::SubjectPublicKeyInfo<'_> as x509_parser::prelude::FromDer<_>>::from_der(spki)
        .map_err(|_: x509_parser::nom::Err<x509_parser::error::X509Error>| "the key is malformed")?;
    let length = read.subject_public_key.data.len();
    // What was read is the end of what was given.
    spki.get(spki.len() - length..).ok_or("the key is malformed")
}
