//! A user with a synthetic eye: enrolled at the nodes and with a device, for the demonstration and the benchmarks.

use crate::{
    Error,
    auth::{Backing, CredentialSpec, Matching, TemplateKind, Verification},
    client::{Client, Device, KeyTerms, Page, Plain, Probe},
    job::ModeSpec,
};
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use sha2::{Digest as _, Sha256};
use std::fmt;
use trefoil_auth::{
    rsa::{EXPONENT, KeySize, PrivateKey, PublicKey, Split, randomness},
    webauthn::{AuthenticationResponse, Bytes, CredentialId, RequestOptions},
};
use trefoil_circuits::matching::{Template, Threshold, synthetic::Irises};

const ORIGIN: &str = "https://login.example.org";
const RP_ID: &str = "example.org";

/// The fraction of bits that may differ, as it is deployed elsewhere.
const THRESHOLD: &str = "0.345";

/// The noise of a probe: the fraction of its bits that are drawn anew.
const NOISE: f64 = 0.15;

/// A user of a local cluster, with the device.
pub struct LocalUser {
    device: Device,
    public: PublicKey,
    eye: Template,
    irises: Irises,
}

/// Whose eye is before the device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Seen {
    /// The user's, turned a little and with noise.
    Own,
    /// Somebody else's.
    Another,
}

impl LocalUser {
    /// Makes a key and splits it, enrols its shares and a template, and stores a credential that requires a match. `seed` makes the eye.
    ///
    /// # Errors
    /// As the client's requests.
    pub async fn enrol(client: &Client, name: &str, seed: u64, mode: ModeSpec) -> Result<Self, Error> {
        let bug = |what: &dyn fmt::Display| Error::Bug(format!("a user of a local cluster: {what}"));
        let owner = client.name().cloned().ok_or_else(|| Error::Usage("use the identity of a client".to_owned()))?;
        let made = tokio::task::spawn_blocking(|| {
            let mut rng = randomness()?;
            let split = PrivateKey::generate(KeySize::Rsa2048, &mut rng)?.split(&mut rng);
            Ok::<_, trefoil_auth::Error>((split, CredentialId::random(&mut rng)))
        });
        let made = made.await.map_err(|e| bug(&e))?;
        let (Split { device, nodes, recovery }, id) = made.map_err(|e| bug(&e))?;
        // Nobody keeps it: the account lives as long as the cluster.
        drop(recovery);
        let (user, key) = (name.parse().map_err(Error::Bug)?, name.parse().map_err(|e| bug(&e))?);
        client.enrol_key(&key, &KeyTerms::default(), &nodes).await?;

        let mut irises = Irises::new(seed);
        let eye = irises.enrol();
        let threshold = THRESHOLD.parse::<Threshold>().map_err(|e| bug(&e))?;
        let matching = Matching { kind: TemplateKind::Iris, threshold, mode, least_valid: Threshold::HALF };
        let left = "left".parse().map_err(Error::Bug)?;
        client.enrol_template((&user, &left), matching, Plain::Bits(&eye.to_bits())).await?;

        let spec = CredentialSpec {
            rp_id: RP_ID.to_owned(),
            handle: Bytes(name.as_bytes().to_vec()),
            user,
            key,
            verification: Verification::Required,
            discoverable: true,
            backup: Backing::None,
            devices: Vec::new(),
        };
        client.put_credential(&id, &spec).await?;
        let public = device.public().clone();
        Ok(Self { device: Device::new(owner, id, spec, device), public, eye, irises })
    }

    /// Logs in at a relying party that asks for verification, which is as good as done if the signature verifies by aws-lc-rs.
    ///
    /// # Errors
    /// As [`Client::login`]; [`Error::Integrity`] if the signature does not verify.
    pub async fn log_in(&mut self, client: &Client, seen: Seen) -> Result<(), Error> {
        let probe = match seen {
            Seen::Own => self.irises.again(&self.eye, NOISE, 3),
            Seen::Another => self.irises.enrol(),
        };
        let mut challenge = [0; 32];
        getrandom::fill(&mut challenge).map_err(|e| Error::system("draw random numbers")(e.into()))?;
        let asked =
            serde_json::json!({"challenge": Bytes(challenge.to_vec()), "rpId": RP_ID, "userVerification": "required"});
        let asked = RequestOptions::from_json(&asked.to_string()).map_err(|e| Error::Bug(e.to_string()))?;
        let bits = probe.to_bits();
        let probe = Probe { kind: TemplateKind::Iris, plain: Plain::Bits(&bits) };
        let page = Page { origin: ORIGIN };
        // What computes for three nodes is large and would lie in every future around it.
        let response = Box::pin(client.login(&self.device, (&asked, page), Some(probe))).await?;
        if self.verifies(&response) {
            Ok(())
        } else {
            Err(Error::Integrity("the assertion does not verify; please report this".to_owned()))
        }
    }

    fn verifies(&self, AuthenticationResponse { response, .. }: &AuthenticationResponse) -> bool {
        let signed = [&response.authenticator_data.0[..], &Sha256::digest(&response.client_data_json.0)].concat();
        let key = RsaPublicKeyComponents { n: self.public.modulus(), e: EXPONENT.to_vec() };
        key.verify(&RSA_PKCS1_2048_8192_SHA256, &signed, &response.signature.0).is_ok()
    }
}

impl fmt::Debug for LocalUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalUser").field("public", &self.public).finish_non_exhaustive()
    }
}
