//! `WebAuthn` ceremonies (W3C Level 3) of credentials whose keys are split: the data forms, and the rules of what is signed.
//!
//! Device and nodes each take the relying party's options, the origin and the result of matching, and compute what is signed from them. They never sign
//! bytes that another one made:
//!
//! 1. [`CreationOptions`] or [`RequestOptions`] are what the relying party's page passes on, as JSON.
//! 2. [`Client`] says for which [`Origin`] the page speaks; [`RpId`] has to fit it.
//! 3. [`SignatureCounter`] gives a [`Count`] that nobody gets twice; [`Match`] says what matching opened for this very ceremony.
//! 4. [`Registration`] or [`Assertion`] checks all of it and gives the [`Message`](crate::rsa::Message) to sign.
//! 5. With the signature of [`combine`](crate::rsa::combine) it ends in the JSON that relying parties' verifiers read.
//!
//! ```
//! use trefoil_auth::{rsa::*, webauthn::*};
//!
//! let mut rng = randomness()?;
//! let Split { device, nodes, .. } = PrivateKey::generate(KeySize::Rsa2048, &mut rng)?.split(&mut rng);
//! let client = Client::page(Origin::parse("https://login.example.org", Hosts::Public)?);
//! let id = CredentialId::random(&mut rng);
//! let mut counter = SignatureCounter::default();
//! # let credential = Credential { id, rp_id: RpId::of(Some("example.org"), &client.origin)?, user: vec![1], public: device.public().clone(),
//! #     discoverable: Discoverable::Yes, backup: Backup::NotEligible };
//!
//! let options = RequestOptions::from_json(r#"{"challenge": "AAECAwQFBgcICQoLDA0ODw", "rpId": "example.org", "userVerification": "required"}"#)?;
//! let client_data = ClientData::get(&options, &client)?;
//! let matched = Match::opened(client_data.hash(), Bit::One); // what the nodes opened in this session
//! let assertion = Assertion::begin(&options, &client, &credential, counter.advance()?, Some(&matched))?;
//!
//! let message = assertion.message()?;
//! let part = DeviceSigner::new(&device).sign(&message, &mut rng)?;
//! let replies = [NodeSigner::new(&nodes[0]).sign(&message, &mut rng)?, NodeSigner::new(&nodes[1]).sign(&message, &mut rng)?];
//! let signed = combine(device.public(), &message, Some(&part), &replies)?;
//! let response = assertion.finish(&signed.signature)?;
//! assert!(response.to_json()?.contains("authenticatorData"));
//! # Ok::<(), trefoil_auth::Error>(())
//! ```
//!
//! # CBOR
//!
//! What is written are five fixed maps whose keys never vary, in the canonical order of CTAP2 (shorter keys first, then by bytes). Their bytes are
//! written as they are in the standard, and lengths in the shortest form: that is less than what a general encoder has to be held to, and the tests
//! compare with what other implementations write. One form is read, the key, and nothing but its exact bytes is taken.
mod assertion;
mod attestation;
mod binary;
mod client;
mod counter;
mod credential;
mod data;
mod options;
mod origin;
mod registration;
mod response;
#[cfg(test)]
mod tests;
pub(crate) mod verification;

pub use assertion::Assertion;
pub use attestation::Attestation;
pub use binary::Bytes;
pub use client::{Client, ClientData, Embedding};
pub use counter::{Count, SignatureCounter};
pub use credential::{Backup, Credential, CredentialId, Discoverable};
pub use data::{AttestedCredential, AuthenticatorData};
pub use options::{
    Attachment, Conveyance, CreationOptions, Descriptor, Extensions, Parameter, RelyingParty, RequestOptions,
    ResidentKey, Selection, User, UserVerification,
};
pub use origin::{Hosts, Origin, RpId};
pub use registration::{NewCredential, Registration};
pub use response::{
    AssertionData, AttestationData, AuthenticationResponse, CredentialProperties, ExtensionResults,
    RegistrationResponse,
};
pub use verification::{Bit, Match};

/// RS256 in COSE's registry: RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8812).
pub const RS256: i64 = -257;
