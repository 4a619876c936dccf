//! What a relying party asks for: `PublicKeyCredentialCreationOptionsJSON` and `PublicKeyCredentialRequestOptionsJSON` (Level 3, section 5.1).
//!
//! Members that are not used here are not kept. Where the standard has a string and a value is unknown, it is as if it were not there.

use serde::{Deserialize, Serialize};

use super::{Bytes, CredentialId, RS256};
use crate::Error;

/// What a registration is asked for with.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CreationOptions {
    /// Who asks.
    pub rp: RelyingParty,
    /// For whom.
    pub user: User,
    /// Random bytes of the relying party, 16 at least.
    pub challenge: Bytes,
    /// The algorithms that it takes. RS256 has to be among them, or the list empty, which stands for ES256 and RS256.
    pub pub_key_cred_params: Vec<Parameter>,
    /// How long it waits, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// Credentials whose holder shall not register another one.
    #[serde(default)]
    pub exclude_credentials: Vec<Descriptor>,
    /// What the authenticator has to be capable of.
    #[serde(default)]
    pub authenticator_selection: Selection,
    /// Whether the registration shall be attested.
    #[serde(default)]
    pub attestation: Conveyance,
    /// Extensions.
    #[serde(default)]
    pub extensions: Extensions,
}

/// What an authentication is asked for with.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestOptions {
    /// Random bytes of the relying party, 16 at least.
    pub challenge: Bytes,
    /// How long it waits, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// The relying party's id; the page's host if it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rp_id: Option<String>,
    /// The credentials that it takes; any discoverable one if there are none.
    #[serde(default)]
    pub allow_credentials: Vec<Descriptor>,
    /// Whether the user has to be verified.
    #[serde(default)]
    pub user_verification: UserVerification,
}

/// A relying party.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RelyingParty {
    /// Its id; the page's host if it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its name, for people.
    pub name: String,
}

/// A user.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// The relying party's handle of the user: 1 to 64 bytes.
    pub id: Bytes,
    /// The account's name.
    pub name: String,
    /// The user's name, for people.
    pub display_name: String,
}

/// A kind of credential.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Parameter {
    /// `public-key`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The algorithm, as COSE numbers it.
    pub alg: i64,
}

/// A credential, named.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Descriptor {
    /// `public-key`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its id.
    pub id: Bytes,
}

/// What an authenticator has to be capable of.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Selection {
    /// How it is connected.
    pub authenticator_attachment: Attachment,
    /// Whether the credential shall be discoverable.
    pub resident_key: ResidentKey,
    /// The same for relying parties of Level 1. It counts if [`Self::resident_key`] does not say.
    pub require_resident_key: bool,
    /// Whether the user has to be verified.
    pub user_verification: UserVerification,
}

/// Extensions that are served.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Extensions {
    /// Whether to say if the credential is discoverable.
    pub cred_props: bool,
}

/// Enumerations that are strings: name, and the value of whatever is not listed.
macro_rules! strings {
    ($(#[$doc:meta])* $name:ident: $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* _ => $default:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
        #[serde(from = "String", into = "String")]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self::$default
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                match text.as_str() {
                    $($text => Self::$variant,)*
                    _ => Self::$default,
                }
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                match value {
                    $($name::$variant => $text.into(),)*
                }
            }
        }
    };
}

strings! {
    /// Whether the user has to be verified, which matching does.
    UserVerification:
    /// The ceremony fails without.
    Required = "required",
    /// If it can be done.
    Preferred = "preferred",
    /// Better not. A match is said all the same if there was one.
    Discouraged = "discouraged",
    _ => Preferred
}

strings! {
    /// Whether a credential shall be discoverable.
    ResidentKey:
    /// It has to be.
    Required = "required",
    /// If it can be.
    Preferred = "preferred",
    /// It need not be.
    Discouraged = "discouraged",
    /// Not said.
    Unsaid = "",
    _ => Unsaid
}

strings! {
    /// How a relying party wants the registration attested.
    Conveyance:
    /// Not at all.
    None = "none",
    /// In any way that can be verified; here, not at all.
    Indirect = "indirect",
    /// As the authenticator does it.
    Direct = "direct",
    /// With the authenticator's serial number; here, as [`Self::Direct`].
    Enterprise = "enterprise",
    _ => None
}

strings! {
    /// How an authenticator is connected with the client.
    Attachment:
    /// It is part of it, as the device's share is.
    Platform = "platform",
    /// It can be taken to another one.
    CrossPlatform = "cross-platform",
    /// Not said.
    Any = "",
    _ => Any
}

impl CreationOptions {
    /// From JSON.
    ///
    /// # Errors
    ///
    /// [`Error::Json`] if it is something else.
    pub fn from_json(json: &str) -> Result<Self, Error> {
        read("PublicKeyCredentialCreationOptionsJSON", json)
    }

    pub(super) fn takes_rs256(&self) -> bool {
        self.pub_key_cred_params.is_empty()
            || self.pub_key_cred_params.iter().any(|parameter| parameter.kind == PUBLIC_KEY && parameter.alg == RS256)
    }
}

impl RequestOptions {
    /// From JSON.
    ///
    /// # Errors
    ///
    /// [`Error::Json`] if it is something else.
    pub fn from_json(json: &str) -> Result<Self, Error> {
        read("PublicKeyCredentialRequestOptionsJSON", json)
    }
}

impl Descriptor {
    /// Whether it names the credential `id`. Descriptors of an unknown type name none.
    pub fn names(&self, id: &CredentialId) -> bool {
        self.kind == PUBLIC_KEY && self.id.0 == id.as_bytes()
    }
}

/// The one type of credentials.
pub(super) const PUBLIC_KEY: &str = "public-key";

fn read<T: serde::de::DeserializeOwned>(what: &'static str, json: &str) -> Result<T, Error> {
    serde_json::from_str(json).map_err(|error| Error::Json { what, fault: error.to_string() })
}
