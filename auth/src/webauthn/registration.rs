//! The making of a credential (Level 3, sections 5.1.3 and 6.3.2).

use super::{
    Attachment, Attestation, AuthenticatorData, Bytes, Client, ClientData, Conveyance, Count, CreationOptions,
    Credential, CredentialId, CredentialProperties, Discoverable, ExtensionResults, Match, RS256, RegistrationResponse,
    ResidentKey, RpId, attestation,
    options::PUBLIC_KEY,
    response::{AttestationData, TRANSPORTS},
    verification::verify,
};
use crate::{
    Error,
    rsa::{Message, PublicKey},
};

/// A registration whose rules have been checked.
#[derive(Debug)]
pub struct Registration {
    credential: Credential,
    client_data: ClientData,
    data: AuthenticatorData,
    attestation: Attestation,
    properties: Option<CredentialProperties>,
}

/// A key that is to become a credential.
#[derive(Debug)]
pub struct NewCredential {
    /// The credential's id.
    pub id: CredentialId,
    /// The key.
    pub public: PublicKey,
    /// Whether it outlives its device.
    pub backup: super::Backup,
    /// Its first number.
    pub count: Count,
}

impl Registration {
    /// Checks what a relying party asks for on the page of `client`, for a user who has the credentials `held` already.
    ///
    /// # Errors
    ///
    /// - [`Error::Options`] if it does not take RS256, wants an authenticator apart from the device, or its challenge or user handle have a wrong length;
    /// - [`Error::RpId`] if its id does not fit the page;
    /// - [`Error::Excluded`] if one of `held` is of this relying party and excluded;
    /// - [`Error::Verification`] if the probe does not match, or nothing was matched and that is required;
    /// - [`Error::Foreign`] if `matched` was opened for another ceremony.
    pub fn begin(
        options: &CreationOptions,
        client: &Client,
        new: NewCredential,
        held: &[Credential],
        matched: Option<&Match>,
    ) -> Result<Self, Error> {
        check(options)?;
        let rp_id = RpId::of(options.rp.id.as_deref(), &client.origin)?;
        let excluded = |credential: &&Credential| {
            credential.rp_id == rp_id && options.exclude_credentials.iter().any(|listed| listed.names(&credential.id))
        };
        if held.iter().any(|credential| excluded(&credential)) {
            return Err(Error::Excluded { rp_id: rp_id.to_string() });
        }
        let client_data = ClientData::create(options, client)?;
        let selection = &options.authenticator_selection;
        let uv = verify(selection.user_verification, matched, &client_data.hash())?;
        let data = AuthenticatorData::assertion(&rp_id, uv, new.backup, &new.count).attesting(&new.id, &new.public);
        let discoverable = match (selection.resident_key, selection.require_resident_key) {
            (ResidentKey::Required | ResidentKey::Preferred, _) | (ResidentKey::Unsaid, true) => Discoverable::Yes,
            (ResidentKey::Discouraged, _) | (ResidentKey::Unsaid, false) => Discoverable::No,
        };
        let attestation = match options.attestation {
            Conveyance::None | Conveyance::Indirect => Attestation::None,
            Conveyance::Direct | Conveyance::Enterprise => Attestation::PackedSelf,
        };
        let properties =
            options.extensions.cred_props.then_some(CredentialProperties { rk: discoverable == Discoverable::Yes });
        let (id, public, user, backup) = (new.id, new.public, options.user.id.0.clone(), new.backup);
        let credential = Credential { id, rp_id, user, public, discoverable, backup };
        Ok(Self { credential, client_data, data, attestation, properties })
    }

    /// How it is attested: [`Attestation::None`] needs no signature.
    pub fn attestation(&self) -> Attestation {
        self.attestation
    }

    /// What a packed attestation signs.
    ///
    /// # Errors
    ///
    /// As [`Message::webauthn`]; never here, as the authenticator data is complete.
    pub fn message(&self) -> Result<Message, Error> {
        Message::webauthn(self.data.as_bytes(), &self.client_data.hash())
    }

    /// Ends a registration without attestation.
    ///
    /// # Errors
    ///
    /// [`Error::State`] if it is to be attested.
    pub fn finish(self) -> Result<(Credential, RegistrationResponse), Error> {
        if self.attestation != Attestation::None {
            return Err(Error::State {
                step: "registration without attestation",
                fault: "the relying party asked for an attestation, which has to be signed",
            });
        }
        let object = attestation::none(&self.data);
        self.respond(object)
    }

    /// Ends a registration with the key's own signature of [`Self::message`].
    ///
    /// # Errors
    ///
    /// [`Error::Signature`] if it does not verify; [`Error::State`] if the relying party asked for no attestation.
    pub fn finish_attested(self, signature: &[u8]) -> Result<(Credential, RegistrationResponse), Error> {
        if self.attestation != Attestation::PackedSelf {
            return Err(Error::State {
                step: "registration with attestation",
                fault: "the relying party asked for none",
            });
        }
        if !self.credential.public.verifies(&self.message()?, signature) {
            return Err(Error::Signature);
        }
        let object = attestation::packed(&self.data, signature);
        self.respond(object)
    }

    fn respond(self, object: Vec<u8>) -> Result<(Credential, RegistrationResponse), Error> {
        let response = RegistrationResponse {
            id: self.credential.id.text(),
            raw_id: self.credential.id.as_bytes().into(),
            response: AttestationData {
                client_data_json: self.client_data.as_json().as_bytes().into(),
                authenticator_data: self.data.as_bytes().into(),
                transports: TRANSPORTS.to_vec(),
                public_key: Bytes(self.credential.public.to_spki()?),
                public_key_algorithm: RS256,
                attestation_object: Bytes(object),
            },
            authenticator_attachment: Attachment::Platform,
            client_extension_results: ExtensionResults { cred_props: self.properties },
            kind: PUBLIC_KEY,
        };
        Ok((self.credential, response))
    }
}

/// What does not depend on the page.
fn check(options: &CreationOptions) -> Result<(), Error> {
    if !options.takes_rs256() {
        return Err(Error::Options {
            member: "pubKeyCredParams",
            fault: "RS256 is not among its algorithms",
            remedy: "add {\"type\": \"public-key\", \"alg\": -257} to it",
        });
    }
    if !(1..=64).contains(&options.user.id.0.len()) {
        return Err(Error::Options {
            member: "user.id",
            fault: "it is not of 1 to 64 bytes",
            remedy: "draw 64 random bytes for each account",
        });
    }
    if options.authenticator_selection.authenticator_attachment == Attachment::CrossPlatform {
        return Err(Error::Options {
            member: "authenticatorSelection.authenticatorAttachment",
            fault: "the device's share is part of the device, not a roaming authenticator",
            remedy: "leave it out, or ask for \"platform\"",
        });
    }
    Ok(())
}
