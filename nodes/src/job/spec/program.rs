//! The programs a node runs, as a client names them.

use super::{AucSpec, CountsSpec, JoinSpec, ScoreSpec, Sha256Hex, SpecFault, TrainSpec};
use crate::job::id::lower_hex;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::num::NonZeroU32;
use trefoil_circuits::{
    aes::KeySize,
    bristol::Packing,
    program::{Program, RingKind, Shape},
};

/// The programs a node runs.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProgramSpec {
    /// The key stream of AES in counter mode, under a shared key.
    AesCtr(AesCtrSpec),
    /// A boolean circuit in Bristol Fashion, sent along as a public attachment.
    Circuit(CircuitSpec),
    /// Sums and sums of squares of the columns of tables.
    Moments(MomentsSpec),
    /// Scores of customers by a logistic model.
    CreditScore(ScoreSpec),
    /// A logistic model trained on the tables of several owners.
    CreditTrain(TrainSpec),
    /// Customers counted by bins of a value.
    CreditCounts(CountsSpec),
    /// The area under the ROC curve.
    CreditAuc(AucSpec),
    /// Tables with different columns of the same customers, put side by side.
    CreditJoin(JoinSpec),
}

/// The kinds of programs.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProgramKind {
    /// [`ProgramSpec::AesCtr`]
    AesCtr,
    /// [`ProgramSpec::Circuit`]
    Circuit,
    /// [`ProgramSpec::Moments`]
    Moments,
    /// [`ProgramSpec::CreditScore`]
    CreditScore,
    /// [`ProgramSpec::CreditTrain`]
    CreditTrain,
    /// [`ProgramSpec::CreditCounts`] and [`ProgramSpec::CreditAuc`]
    CreditCounts,
    /// [`ProgramSpec::CreditJoin`]
    CreditJoin,
}

/// Sums and sums of squares of the columns of tables, over all tables together.
///
/// An input for each table: its columns of integers, one after the other. Two outputs: the sums of the columns, and those of the squares of their entries, modulo 2^64.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MomentsSpec {
    /// Columns of each table.
    pub columns: u32,
    /// Rows of each table.
    pub rows: Vec<u64>,
    /// The largest absolute value of an entry, read as signed, which is checked on shares: neither output can be wrong then. Left out, entries are any integers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
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

impl MomentsSpec {
    /// Refuses tables of which the sums of squares could leave their range.
    fn check(&self) -> Result<(), SpecFault> {
        let rows = self.rows.iter().fold(0, |sum: u64, rows| sum.saturating_add(*rows));
        let Some(limit) = self.limit else { return Ok(()) };
        let most = u128::from(rows) * u128::from(limit) * u128::from(limit);
        if u64::try_from(most).is_ok() { Ok(()) } else { Err(SpecFault::Squares { rows, limit }) }
    }
}

impl CircuitSpec {
    /// Where the instances lie.
    pub fn packing(&self) -> Packing {
        Packing::new(self.instances.get())
    }
}

impl ProgramSpec {
    /// Its kind.
    pub const fn kind(&self) -> ProgramKind {
        match self {
            Self::AesCtr(_) => ProgramKind::AesCtr,
            Self::Circuit(_) => ProgramKind::Circuit,
            Self::Moments(_) => ProgramKind::Moments,
            Self::CreditScore(_) => ProgramKind::CreditScore,
            Self::CreditTrain(_) => ProgramKind::CreditTrain,
            Self::CreditCounts(_) | Self::CreditAuc(_) => ProgramKind::CreditCounts,
            Self::CreditJoin(_) => ProgramKind::CreditJoin,
        }
    }

    /// The least count that it tells, if it counts; of a join, the least number of customers in common.
    pub const fn minimum(&self) -> Option<u64> {
        match self {
            Self::CreditCounts(CountsSpec { minimum, .. })
            | Self::CreditAuc(AucSpec { minimum, .. })
            | Self::CreditJoin(JoinSpec { minimum, .. }) => Some(*minimum),
            _ => None,
        }
    }

    /// Bytes of the public attachment.
    pub fn attachment_bytes(&self) -> u64 {
        match self {
            Self::Circuit(circuit) => circuit.bytes,
            _ => 0,
        }
    }

    /// Bytes that a computation of credit analysis takes beside its inputs and outputs. What a circuit takes follows from its attachment, and the others take none to speak of.
    pub(in crate::job) fn work_bytes(&self) -> u64 {
        match self {
            Self::AesCtr(_) | Self::Circuit(_) | Self::Moments(_) => 0,
            Self::CreditScore(score) => score.memory(),
            Self::CreditTrain(train) => train.memory(),
            Self::CreditCounts(counts) => counts.memory(),
            Self::CreditAuc(auc) => auc.memory(),
            Self::CreditJoin(join) => join.memory(),
        }
    }

    /// Wires of all input and output ports of a circuit.
    pub fn port_wires(&self) -> u64 {
        match self {
            Self::Circuit(circuit) => u64::from(circuit.input_wires) + u64::from(circuit.output_wires),
            _ => 0,
        }
    }

    /// The shapes of its inputs and of its outputs; of an output whose length is found out in the run, the longest it can be.
    ///
    /// # Errors
    /// [`SpecFault::Oversized`] if one exceeds 2^42 bits. Whether a node admits a job is another, much smaller limit. For programs of credit analysis also
    /// [`SpecFault::Pooled`], [`SpecFault::Join`] and [`SpecFault::Credit`].
    pub fn shapes(&self) -> Result<[Vec<Shape>; 2], SpecFault> {
        let vector = |ring: RingKind, len: Option<u64>| {
            let most = MAX_BITS / ring.bits() as u64;
            let len = len.filter(|len| *len <= most).and_then(|len| usize::try_from(len).ok());
            len.map(|len| Shape { ring, len }).ok_or(SpecFault::Oversized)
        };
        let bits = |len: Option<u64>| vector(RingKind::Bits, len);
        Ok(match self {
            Self::AesCtr(aes) => [vec![Shape::bits(aes.key_bits.bits())], vec![bits(aes.blocks.checked_mul(128))?]],
            Self::Circuit(circuit) => {
                let stride = circuit.packing().stride() as u64;
                let lanes = |wires: u32| bits(stride.checked_mul(u64::from(wires)));
                [vec![lanes(circuit.input_wires)?], vec![lanes(circuit.output_wires)?]]
            }
            Self::Moments(moments) => {
                moments.check()?;
                let columns = u64::from(moments.columns);
                let table = |rows: &u64| vector(RingKind::Z64, columns.checked_mul(*rows));
                let inputs = moments.rows.iter().map(table).collect::<Result<_, _>>()?;
                [inputs, vec![vector(RingKind::Z64, Some(columns))?; 2]]
            }
            Self::CreditScore(score) => shapes_of(&score.resolve()?),
            Self::CreditTrain(train) => train.shapes()?,
            Self::CreditCounts(counts) => shapes_of(&counts.resolve()?),
            Self::CreditAuc(auc) => shapes_of(&auc.resolve()?),
            Self::CreditJoin(join) => shapes_of(&join.resolve()?),
        })
    }
}

fn shapes_of(program: &impl Program) -> [Vec<Shape>; 2] {
    [program.inputs(), program.outputs()]
}

/// No size above this is looked at: what is left of 64 bits holds every sum of sizes.
const MAX_BITS: u64 = 1 << 42;

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
