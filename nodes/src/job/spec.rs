//! What a job computes: public, agreed on by the client and the three nodes before anything runs.

use super::id::lower_hex;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};
use std::{fmt, num::NonZeroU32};
use trefoil_circuits::{aes::KeySize, bristol::Packing};
use trefoil_engine::{Lanes, Malicious, Mode, SemiHonest};

/// The public description of a job. All its sizes follow from it, never from a message.
///
/// ```
/// use trefoil_nodes::job::JobSpec;
/// let spec: JobSpec = serde_json::from_str(
///     r#"{"program": {"aes-ctr": {"key_bits": 128, "counter": "000102030405060708090a0b0c0d0e0f", "blocks": 1000}}}"#,
/// )?;
/// assert_eq!(spec.shape()?.output_words, 2000);
/// assert_eq!(spec.mode.name(), "malicious");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    /// What to compute.
    pub program: ProgramSpec,
    /// Against whom the computation is secure: malicious unless the JSON says otherwise.
    #[serde(default)]
    pub mode: ModeSpec,
}

/// The programs a node runs.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProgramSpec {
    /// The key stream of AES in counter mode, under a shared key.
    AesCtr(AesCtrSpec),
    /// A boolean circuit in Bristol Fashion, sent along as a public attachment.
    Circuit(CircuitSpec),
}

/// The key stream of AES in counter mode.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AesCtrSpec {
    /// 128, 192 or 256.
    #[serde(with = "key_bits")]
    pub key_bits: KeySize,
    /// The first counter block, a big-endian number of 32 hexadecimal digits; counts up modulo 2^128.
    #[serde(with = "counter")]
    pub counter: u128,
    /// Blocks of 16 bytes.
    pub blocks: u64,
}

/// A Bristol Fashion circuit and the sizes its text must turn out to have.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CircuitSpec {
    /// SHA-256 of the text.
    pub sha256: Sha256Hex,
    /// Length of the text in bytes.
    pub bytes: u64,
    /// Wires of all input ports.
    pub input_wires: u32,
    /// Wires of all output ports.
    pub output_wires: u32,
    /// Independent evaluations. Their inputs and outputs lie in the lanes of words as [`Packing`] says.
    pub instances: NonZeroU32,
}

impl CircuitSpec {
    /// Where the instances lie.
    pub fn packing(&self) -> Packing {
        Packing::new(self.instances.get())
    }
}

/// The security mode of a job.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ModeSpec {
    /// One party may try to learn from what it sees, but follows the protocol
    SemiHonest,
    /// One party may deviate in any way: it learns nothing, and nothing wrong is released
    #[default]
    Malicious,
}

impl ModeSpec {
    /// Every mode.
    pub const ALL: [Self; 2] = [Self::SemiHonest, Self::Malicious];

    /// The name on the command line and in result rows.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SemiHonest => SemiHonest::NAME,
            Self::Malicious => Malicious::NAME,
        }
    }
}

impl fmt::Display for ModeSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a node keeps of a specification while its job lives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Terms {
    /// The digest the nodes compare.
    pub digest: [u8; 32],
    /// Against whom the computation is secure.
    pub mode: ModeSpec,
}

/// A SHA-256 digest, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Sha256Hex(pub [u8; 32]);

impl Sha256Hex {
    /// The digest of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

/// The public sizes of a job.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Shape {
    /// Bytes of the public attachment.
    pub attachment_bytes: usize,
    /// Words of each of the two input components.
    pub input_words: usize,
    /// Words of each of the two output components.
    pub output_words: usize,
    /// Wires of all input and output ports of a circuit.
    pub port_wires: u64,
}

impl Shape {
    /// Bytes of one input component.
    pub fn input_bytes(self) -> usize {
        self.input_words * size_of::<Lanes>()
    }

    /// Bytes of one output component.
    pub fn output_bytes(self) -> usize {
        self.output_words * size_of::<Lanes>()
    }

    /// Bytes a node holds for the job besides what the computation itself needs: the attachment and what is parsed from it, the
    /// two components of the input, once as they arrive and once as shares, and those of the output. Every size has been
    /// checked, so this cannot overflow.
    pub fn held_bytes(self) -> u64 {
        // Measured (`tests/memory.rs`): up to 18 times the text, for MAND lines of short numbers just after a buffer has doubled.
        let circuit = 20 * self.attachment_bytes as u64 + 32 * self.port_wires;
        circuit + 4 * self.input_bytes() as u64 + 2 * self.output_bytes() as u64
    }
}

/// A specification whose sizes no machine could hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the sizes of this job overflow; ask for fewer blocks or instances")]
pub struct Oversized;

impl JobSpec {
    /// The sizes of attachment, input and output.
    ///
    /// # Errors
    /// [`Oversized`] if one of them, or their sum, exceeds 2^48 bytes. Whether a node admits a job is another, much smaller limit.
    pub fn shape(&self) -> Result<Shape, Oversized> {
        let (attachment, ports, input_bits, output_bits) = match &self.program {
            ProgramSpec::AesCtr(aes) => (0, 0, Some(aes.key_bits.bits() as u64), aes.blocks.checked_mul(128)),
            ProgramSpec::Circuit(c) => {
                let stride = c.packing().stride() as u64;
                let lanes = |wires: u32| stride.checked_mul(u64::from(wires));
                let ports = u64::from(c.input_wires) + u64::from(c.output_wires);
                (c.bytes, ports, lanes(c.input_wires), lanes(c.output_wires))
            }
        };
        let words = |bits: Option<u64>| Some(bits?.div_ceil(64)).filter(|w| *w <= MAX_BYTES / 64);
        let shape = || {
            Some(Shape {
                attachment_bytes: usize::try_from(attachment).ok().filter(|_| attachment <= MAX_BYTES / 16)?,
                input_words: usize::try_from(words(input_bits)?).ok()?,
                output_words: usize::try_from(words(output_bits)?).ok()?,
                port_wires: ports,
            })
        };
        shape().ok_or(Oversized)
    }

    /// The bytes that stand for the specification wherever two parties compare it: compact JSON with the fields in the order of
    /// their declaration. The same for every spelling a client may have sent.
    ///
    /// # Panics
    /// Never: numbers and strings always have a JSON form.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a specification is numbers and strings")
    }

    /// The digest the nodes compare in the session's hello and bind the session's keys to.
    ///
    /// The client's certificate is part of it: were a second client to submit a job of the same name and specification to some
    /// of the nodes, its shares could otherwise be combined with the first client's.
    #[must_use]
    pub fn digest(&self, client: &[u8; 32]) -> [u8; 32] {
        let mut h = Sha256::new();
        h.update(b"trefoil/v1/job");
        h.update(client);
        h.update(self.canonical());
        h.finalize().into()
    }

    /// What a node keeps of it for a client.
    #[must_use]
    pub fn terms(&self, client: &[u8; 32]) -> Terms {
        Terms { digest: self.digest(client), mode: self.mode }
    }
}

/// No size above this is looked at: what is left of 64 bits holds every sum of sizes.
const MAX_BYTES: u64 = 1 << 48;

impl fmt::Display for Sha256Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Sha256Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256Hex({self})")
    }
}

impl Serialize for Sha256Hex {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256Hex {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        lower_hex(&text)
            .map(Self)
            .ok_or_else(|| de::Error::custom("a SHA-256 digest is 64 lower-case hexadecimal digits"))
    }
}

mod counter {
    use super::{Deserialize, Deserializer, Serializer, de, lower_hex};

    pub fn serialize<S: Serializer>(counter: &u128, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&hex::encode(counter.to_be_bytes()))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<u128, D::Error> {
        let text = String::deserialize(d)?;
        let bytes = lower_hex(&text);
        bytes.map(u128::from_be_bytes).ok_or_else(|| de::Error::custom("a counter is 32 lower-case hexadecimal digits"))
    }
}

mod key_bits {
    use super::{Deserialize, Deserializer, KeySize, Serialize, Serializer, de};

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
    pub fn serialize<S: Serializer>(size: &KeySize, s: S) -> Result<S::Ok, S::Error> {
        size.bits().serialize(s)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<KeySize, D::Error> {
        let bits = usize::deserialize(d)?;
        KeySize::from_bits(bits).ok_or_else(|| de::Error::custom("an AES key has 128, 192 or 256 bits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aes(blocks: u64) -> JobSpec {
        let aes = AesCtrSpec { key_bits: KeySize::Aes192, counter: 255, blocks };
        JobSpec { program: ProgramSpec::AesCtr(aes), mode: ModeSpec::SemiHonest }
    }

    fn circuit(bytes: u64, wires: u32, instances: u32) -> JobSpec {
        let instances = NonZeroU32::new(instances).unwrap();
        let spec =
            CircuitSpec { sha256: Sha256Hex::of(b""), bytes, input_wires: wires, output_wires: wires / 2, instances };
        JobSpec { program: ProgramSpec::Circuit(spec), mode: ModeSpec::SemiHonest }
    }

    #[test]
    fn the_canonical_form_is_fixed() {
        // Nodes of different builds compare its digest: this text is part of the protocol.
        let text = r#"{"program":{"aes-ctr":{"key_bits":192,"counter":"000000000000000000000000000000ff","blocks":7}},"mode":"semi-honest"}"#;
        assert_eq!(aes(7).canonical(), text.as_bytes());
        let text = r#"{"program":{"circuit":{"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","bytes":9,"input_wires":4,"output_wires":2,"instances":3}},"mode":"semi-honest"}"#;
        assert_eq!(circuit(9, 4, 3).canonical(), text.as_bytes());
    }

    #[test]
    fn spelling_does_not_change_the_digest_and_content_does() {
        let spaced = r#" { "mode" : "semi-honest", "program": {"aes-ctr": {"blocks": 7, "counter":
            "000000000000000000000000000000ff", "key_bits": 192}}}"#;
        let parsed: JobSpec = serde_json::from_str(spaced).unwrap();
        assert_eq!(parsed.digest(&[1; 32]), aes(7).digest(&[1; 32]));
        assert_ne!(aes(8).digest(&[1; 32]), aes(7).digest(&[1; 32]));
        assert_ne!(aes(7).digest(&[2; 32]), aes(7).digest(&[1; 32]));
    }

    #[test]
    fn without_a_mode_a_job_is_malicious_and_the_mode_is_part_of_the_digest() {
        let named = JobSpec { mode: ModeSpec::Malicious, ..aes(7) };
        let text = String::from_utf8(named.canonical()).unwrap();
        assert!(text.ends_with(r#","mode":"malicious"}"#), "{text}");
        let unnamed: JobSpec = serde_json::from_str(&text.replace(r#","mode":"malicious""#, "")).unwrap();
        assert_eq!(unnamed, named);
        assert_eq!(unnamed.digest(&[1; 32]), named.digest(&[1; 32]));
        assert_ne!(named.digest(&[1; 32]), aes(7).digest(&[1; 32]), "a node that is told another mode does not join");
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let good = String::from_utf8(aes(7).canonical()).unwrap();
        for (from, to) in [
            ("192", "160"),
            ("192", "-1"),
            ("\"blocks\":7", "\"blocks\":7,\"extra\":1"),
            ("\"mode\"", "\"seed\":1,\"mode\""),
            ("semi-honest", "none"),
            ("aes-ctr", "aes-ecb"),
            ("ff\"", "FF\""),
            ("ff\"", "f\""),
        ] {
            let bad = good.replace(from, to);
            assert_ne!(bad, good);
            assert!(serde_json::from_str::<JobSpec>(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_follow_from_the_specification() {
        let shape = aes(7).shape().unwrap();
        assert_eq!(shape, Shape { attachment_bytes: 0, input_words: 3, output_words: 14, port_wires: 0 });
        let shape = circuit(1000, 65, 2).shape().unwrap();
        assert_eq!(shape, Shape { attachment_bytes: 1000, input_words: 3, output_words: 1, port_wires: 97 });
        assert_eq!(shape.held_bytes(), 20_000 + 32 * 97 + 4 * 24 + 16);
    }

    #[test]
    fn sizes_that_overflow_are_refused() {
        for spec in [aes(u64::MAX), aes(1 << 58), aes(1 << 50), circuit(u64::MAX, 1, 1), circuit(1, u32::MAX, u32::MAX)]
        {
            assert_eq!(spec.shape(), Err(Oversized));
        }
    }
}
