//! What a relying party gets: `RegistrationResponseJSON` and `AuthenticationResponseJSON` (Level 3, section 5.1).

use serde::Serialize;

use super::{Attachment, Bytes, RS256};
use crate::Error;

/// The outcome of a registration.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RegistrationResponse {
    /// The credential's id, as text.
    pub id: String,
    /// The credential's id.
    pub raw_id: Bytes,
    /// What was made.
    pub response: AttestationData,
    /// How the authenticator is connected.
    pub authenticator_attachment: Attachment,
    /// What extensions say.
    pub client_extension_results: ExtensionResults,
    /// `public-key`.
    #[serde(rename = "type")]
    pub kind: &'static str,
}

/// `AuthenticatorAttestationResponseJSON`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AttestationData {
    /// The client data, in the bytes that were hashed.
    #[serde(rename = "clientDataJSON")]
    pub client_data_json: Bytes,
    /// The authenticator data, which is in the attestation object too.
    pub authenticator_data: Bytes,
    /// How to reach the authenticator.
    pub transports: Vec<&'static str>,
    /// The key, as a `SubjectPublicKeyInfo` in DER.
    pub public_key: Bytes,
    /// -257.
    pub public_key_algorithm: i64,
    /// The attestation object.
    pub attestation_object: Bytes,
}

/// What extensions say.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExtensionResults {
    /// What kind of credential it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cred_props: Option<CredentialProperties>,
}

/// What kind of credential was made.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct CredentialProperties {
    /// Whether it is discoverable.
    pub rk: bool,
}

/// The outcome of an authentication.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthenticationResponse {
    /// The credential's id, as text.
    pub id: String,
    /// The credential's id.
    pub raw_id: Bytes,
    /// What was signed.
    pub response: AssertionData,
    /// How the authenticator is connected.
    pub authenticator_attachment: Attachment,
    /// What extensions say.
    pub client_extension_results: ExtensionResults,
    /// `public-key`.
    #[serde(rename = "type")]
    pub kind: &'static str,
}

/// `AuthenticatorAssertionResponseJSON`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AssertionData {
    /// The client data, in the bytes that were hashed.
    #[serde(rename = "clientDataJSON")]
    pub client_data_json: Bytes,
    /// The authenticator data.
    pub authenticator_data: Bytes,
    /// The signature.
    pub signature: Bytes,
    /// The relying party's handle of the user, for credentials that it did not name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_handle: Option<Bytes>,
}

impl RegistrationResponse {
    /// As JSON.
    ///
    /// # Errors
    ///
    /// [`Error::Json`] if the encoder refuses, which no response that was made here brings about.
    pub fn to_json(&self) -> Result<String, Error> {
        write("RegistrationResponseJSON", self)
    }
}

impl AuthenticationResponse {
    /// As JSON.
    ///
    /// # Errors
    ///
    /// [`Error::Json`] if the encoder refuses, which no response that was made here brings about.
    pub fn to_json(&self) -> Result<String, Error> {
        write("AuthenticationResponseJSON", self)
    }
}

/// How to reach the authenticator: it is part of the client's device.
pub(super) const TRANSPORTS: [&str; 1] = ["internal"];
const _: () = assert!(RS256 == -257);

fn write(what: &'static str, value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::Json { what, fault: error.to_string() })
}
