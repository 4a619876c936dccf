//! An authentication (Level 3, sections 5.1.4 and 6.3.3).

use super::{
    Attachment, AuthenticationResponse, AuthenticatorData, Client, ClientData, Count, Credential, Discoverable,
    ExtensionResults, Match, RequestOptions, RpId, options::PUBLIC_KEY, response::AssertionData, verification::verify,
};
use crate::{
    Error,
    rsa::{Message, PublicKey},
};

/// An authentication whose rules have been checked.
#[derive(Debug)]
pub struct Assertion {
    client_data: ClientData,
    data: AuthenticatorData,
    public: PublicKey,
    response: AuthenticationResponse,
}

impl Assertion {
    /// The credentials among `held` that a relying party takes on the page of `client`: those it names, or else the discoverable ones.
    ///
    /// # Errors
    ///
    /// [`Error::RpId`] if its id does not fit the page; [`Error::NoCredential`] if there are none.
    pub fn candidates<'a>(
        options: &RequestOptions,
        client: &Client,
        held: &'a [Credential],
    ) -> Result<Vec<&'a Credential>, Error> {
        let rp_id = RpId::of(options.rp_id.as_deref(), &client.origin)?;
        let taken: Vec<_> = held.iter().filter(|credential| takes(options, &rp_id, credential)).collect();
        if taken.is_empty() { Err(Error::NoCredential { rp_id: rp_id.to_string() }) } else { Ok(taken) }
    }

    /// Checks what a relying party asks for on the page of `client`, for the credential that the user chose.
    ///
    /// # Errors
    ///
    /// - [`Error::Options`] if its challenge is shorter than 16 bytes;
    /// - [`Error::RpId`] if its id does not fit the page;
    /// - [`Error::NoCredential`] if it does not take this credential;
    /// - [`Error::Verification`] if the probe does not match, or nothing was matched and that is required;
    /// - [`Error::Foreign`] if `matched` was opened for another ceremony.
    // The count is consumed, so that nobody uses it twice.
    #[allow(clippy::needless_pass_by_value)]
    pub fn begin(
        options: &RequestOptions,
        client: &Client,
        credential: &Credential,
        count: Count,
        matched: Option<&Match>,
    ) -> Result<Self, Error> {
        let rp_id = RpId::of(options.rp_id.as_deref(), &client.origin)?;
        if !takes(options, &rp_id, credential) {
            return Err(Error::NoCredential { rp_id: rp_id.to_string() });
        }
        let client_data = ClientData::get(options, client)?;
        let uv = verify(options.user_verification, matched, &client_data.hash())?;
        let data = AuthenticatorData::assertion(&rp_id, uv, credential.backup, &count);
        let response = AuthenticationResponse {
            id: credential.id.text(),
            raw_id: credential.id.as_bytes().into(),
            response: AssertionData {
                client_data_json: client_data.as_json().as_bytes().into(),
                authenticator_data: data.as_bytes().into(),
                signature: super::Bytes::default(),
                user_handle: match credential.discoverable {
                    Discoverable::Yes => Some(credential.user.as_slice().into()),
                    Discoverable::No => None,
                },
            },
            authenticator_attachment: Attachment::Platform,
            client_extension_results: ExtensionResults::default(),
            kind: PUBLIC_KEY,
        };
        Ok(Self { client_data, data, public: credential.public.clone(), response })
    }

    /// What is signed.
    ///
    /// # Errors
    ///
    /// As [`Message::webauthn`]; never here, as the authenticator data is complete.
    pub fn message(&self) -> Result<Message, Error> {
        Message::webauthn(self.data.as_bytes(), &self.client_data.hash())
    }

    /// Ends it with the signature of [`Self::message`].
    ///
    /// # Errors
    ///
    /// [`Error::Signature`] if it does not verify.
    pub fn finish(mut self, signature: &[u8]) -> Result<AuthenticationResponse, Error> {
        if !self.public.verifies(&self.message()?, signature) {
            return Err(Error::Signature);
        }
        self.response.response.signature = signature.into();
        Ok(self.response)
    }
}

fn takes(options: &RequestOptions, rp_id: &RpId, credential: &Credential) -> bool {
    credential.rp_id == *rp_id
        && if options.allow_credentials.is_empty() {
            credential.discoverable == Discoverable::Yes
        } else {
            options.allow_credentials.iter().any(|listed| listed.names(&credential.id))
        }
}
