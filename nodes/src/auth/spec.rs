//! What clients ask for: public, and the same at all three nodes.

use super::{AuthFault, IssuerName, TemplateName, UserName};
use crate::{
    job::{JobId, ModeSpec},
    pki::ClientName,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};
use trefoil_auth::webauthn::{Bytes, CreationOptions, RequestOptions, UserVerification};
use trefoil_circuits::{
    matching::{Kind, MOST_DIMENSIONS, MatchingError, Metric, Threshold},
    program::Shape,
};

/// What templates of a user are, and when a probe matches one. The owner says it at enrolment; who logs in has no part in it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Matching {
    /// What they are.
    pub kind: TemplateKind,
    /// The fraction that the distance has to be below, as `0.345` or `69/200`; for cosines, that the cosine has to be above.
    #[serde(serialize_with = "write", deserialize_with = "read")]
    pub threshold: Threshold,
    /// Against whom enrolment, comparison and refresh are secure: malicious unless the JSON says otherwise.
    #[serde(default)]
    pub mode: ModeSpec,
    /// Of templates of bits, the part of the mask bits that has to be valid in probe and template at once, in the rotation that matches: a half unless the JSON says otherwise.
    #[serde(default = "half", skip_serializing_if = "is_half", serialize_with = "write", deserialize_with = "read")]
    pub least_valid: Threshold,
}

/// Kinds of templates.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TemplateKind {
    /// Iris codes of 12,800 bits with a mask of 6,400, compared in 31 rotations.
    Iris,
    /// Binary templates of so many bits, with a mask bit each.
    Binary {
        /// Bits of the code, 1 to 16,000.
        bits: u32,
    },
    /// Unit vectors.
    Embedding {
        /// Entries, 1 to 1,024.
        dimensions: u32,
        /// How they are compared.
        metric: MetricSpec,
    },
}

/// How embeddings are compared.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MetricSpec {
    /// The cosine of the angle is above the threshold.
    Cosine,
    /// The distance is below twice the threshold.
    Euclidean,
}

/// A template that is to be enrolled.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolSpec {
    /// 16 random bytes that name this enrolment and its session.
    pub session: JobId,
    /// What it is. All templates of a user that are of one kind are matched alike.
    pub matching: Matching,
}

/// Templates whose shares are to be replaced.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RefreshSpec {
    /// 16 random bytes that name this refresh and its session.
    pub session: JobId,
}

/// A template, as the nodes describe it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct TemplateStatus {
    /// Its name.
    pub name: TemplateName,
    /// The enrolment it is from.
    pub enrolment: JobId,
    /// How often its shares have been replaced.
    pub epoch: u64,
    /// The session that its shares are from: two refreshes that broke off made different ones.
    pub shares: JobId,
    /// What it is.
    pub matching: Matching,
}

/// A user who has templates, as the nodes describe it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct UserStatus {
    /// The user.
    pub user: UserName,
    /// The templates.
    pub templates: Vec<TemplateStatus>,
    /// Probes since the last match that did not match, or of which this node does not know.
    pub failures: u32,
    /// Until when no login is taken, in milliseconds since 1970; 0 if one is taken now.
    pub locked_until_ms: u64,
}

/// A login, or a registration that is attested. All of it but the shares of the probe.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LoginSpec {
    /// Whose credential it is.
    pub owner: ClientName,
    /// Its id.
    pub credential: Bytes,
    /// What the relying party asks for.
    pub ceremony: Ceremony,
    /// The page that asks.
    pub origin: String,
    /// The signature counter that is to be signed: the time in seconds since 1970, or one more than the last one if that is larger.
    pub count: u32,
    /// When the login ends at the latest, in milliseconds since 1970: at most ten minutes from now.
    pub expires_ms: u64,
    /// The kind of the probe whose shares follow. Without one the user is not verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<TemplateKind>,
}

/// What a relying party asks for, as its library writes it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ceremony {
    /// An authentication.
    Get(RequestOptions),
    /// A registration that the key attests itself.
    Create(CreationOptions),
}

/// A token that is asked for. All of it but the shares of the probe.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSpec {
    /// Whose issuer it is.
    pub owner: ClientName,
    /// The issuer.
    pub issuer: IssuerName,
    /// The user that the probe is said to be of.
    pub user: UserName,
    /// The relying party.
    pub audience: String,
    /// What the relying party has drawn for this login: 8 to 255 visible characters of ASCII.
    pub nonce: String,
    /// When the token is issued, in seconds since 1970: each node takes a minute around its own time.
    pub issued: u64,
    /// When the login ends at the latest, in milliseconds since 1970: at most ten minutes from now.
    pub expires_ms: u64,
    /// The kind of the probe whose shares follow.
    pub probe: TemplateKind,
}

/// What a node answers to a login that it has signed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Answer {
    /// Its parts of the signature, with the shares in use.
    pub parts: Bytes,
    /// The same with shares that it has prepared: an interrupted step has left it so, and another node may have those in use already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepared: Option<Bytes>,
}

impl Matching {
    /// Checks the sizes, and that nothing is asked of masks where there are none.
    ///
    /// # Errors
    /// [`AuthFault::Matching`], [`AuthFault::Invalid`].
    pub fn check(&self) -> Result<(), AuthFault> {
        self.kind.sent()?;
        if matches!(self.kind, TemplateKind::Embedding { .. }) && !is_half(&self.least_valid) {
            let cause = "an embedding has no mask of which a part could be valid; leave least_valid out";
            return Err(AuthFault::Invalid(cause.to_owned()));
        }
        Ok(())
    }

    /// How many mask bits of a kind have to be valid.
    pub(super) fn least_valid_bits(&self, kind: Kind) -> usize {
        let (p, q) = (self.least_valid.numerator() as usize, self.least_valid.denominator() as usize);
        (kind.mask_bits() * p).div_ceil(q)
    }

    /// How embeddings are compared.
    pub(super) fn metric(&self, metric: MetricSpec) -> Metric {
        match metric {
            MetricSpec::Cosine => Metric::Cosine(self.threshold),
            MetricSpec::Euclidean => Metric::Euclidean(self.threshold),
        }
    }
}

impl TemplateKind {
    /// The shape of a template or probe as it is sent.
    ///
    /// # Errors
    /// [`MatchingError`] for sizes that there are not.
    pub fn sent(self) -> Result<Shape, MatchingError> {
        Ok(match self {
            Self::Iris => Kind::IRIS.sent(1),
            Self::Binary { bits } => Kind::binary(bits as usize)?.sent(1),
            Self::Embedding { dimensions, .. } => {
                let accepted = "embeddings have 1 to 1,024";
                if dimensions == 0 || dimensions as usize > MOST_DIMENSIONS {
                    return Err(MatchingError::Setting {
                        name: "the number of dimensions",
                        value: dimensions.into(),
                        accepted,
                    });
                }
                Shape::z64(dimensions as usize)
            }
        })
    }

    /// The shape of a template as it is kept.
    ///
    /// # Errors
    /// As [`sent`](Self::sent).
    pub fn stored(self) -> Result<Shape, MatchingError> {
        Ok(match self {
            Self::Iris => Kind::IRIS.stored(1),
            Self::Binary { bits } => Kind::binary(bits as usize)?.stored(1),
            Self::Embedding { .. } => self.sent()?,
        })
    }
}

impl Ceremony {
    /// Whether the relying party wants the user to be verified.
    pub fn requires_probe(&self) -> bool {
        let asked = match self {
            Self::Get(options) => options.user_verification,
            Self::Create(options) => options.authenticator_selection.user_verification,
        };
        asked == UserVerification::Required
    }
}

impl LoginSpec {
    /// What the three nodes compare before they compute: the same for every spelling of one specification, another for each caller and login.
    pub(super) fn digest(&self, id: JobId, caller: &ClientName) -> [u8; 32] {
        digest("login", &(id, caller, self))
    }
}

/// SHA-256 of what is agreed on, with its purpose before it.
///
/// # Panics
/// Never: numbers and strings always have a JSON form.
pub(super) fn digest(purpose: &str, what: &impl Serialize) -> [u8; 32] {
    let text = serde_json::to_vec(what).expect("a specification is numbers and strings");
    Sha256::new()
        .chain_update(b"trefoil auth ")
        .chain_update(purpose)
        .chain_update(b"\0")
        .chain_update(text)
        .finalize()
        .into()
}

fn half() -> Threshold {
    Threshold::HALF
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_half(fraction: &Threshold) -> bool {
    *fraction == Threshold::HALF
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn write<S: Serializer>(threshold: &Threshold, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(threshold)
}

fn read<'de, D: Deserializer<'de>>(d: D) -> Result<Threshold, D::Error> {
    String::deserialize(d)?.parse().map_err(de::Error::custom)
}
