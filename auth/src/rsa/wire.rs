//! The binary form of what is stored and sent: a header, then fields whose lengths follow from the header.
//!
//! The header is `TRSA`, a version, a kind and the size of the key. Numbers are big-endian. There are no lengths in it to believe:
//! every field has the length that the kind and the size of the key give it, and bytes left over are an error.

use zeroize::Zeroizing;

use super::{KeySize, exponent::Exponent};
use crate::Error;

const MAGIC: &[u8; 4] = b"TRSA";
const VERSION: u8 = 1;

/// What a binary form is of. The numbers are part of the format.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    NodeKey = 1,
    DeviceKey = 2,
    RecoveryKey = 3,
    Record = 4,
    NodePartials = 5,
    DevicePartial = 6,
    Contribution = 7,
    Difference = 8,
    Confirmation = 9,
    Status = 10,
    RecoveryPart = 11,
    Issued = 12,
    Rebuilt = 13,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::NodeKey => "key share of a node",
            Self::DeviceKey => "key share of a device",
            Self::RecoveryKey => "recovery share",
            Self::Record => "record of a key share",
            Self::Contribution => "contribution to new shares",
            Self::Difference => "difference of shares",
            Self::Confirmation => "confirmation of shares",
            Self::Status => "status of a key share",
            Self::RecoveryPart => "part of a recovery share",
            Self::Issued => "part of an issued share",
            Self::Rebuilt => "component of a lost key share",
            Self::NodePartials => "pair of partial signatures",
            Self::DevicePartial => "partial signature of a device",
        }
    }
}

/// Puts fields together. Erased when dropped.
pub(super) struct Writer(Zeroizing<Vec<u8>>);

impl Writer {
    pub(super) fn new(kind: Kind, size: KeySize) -> Self {
        // Room for the longest form, so that it is never moved and no copy is left behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(256 + 16 * Exponent::bytes(size)));
        bytes.extend(MAGIC);
        bytes.extend([VERSION, kind as u8]);
        bytes.extend((size.bits() as u16).to_be_bytes());
        Self(bytes)
    }

    pub(super) fn bytes(mut self, field: &[u8]) -> Self {
        self.0.extend_from_slice(field);
        self
    }

    pub(super) fn byte(self, field: u8) -> Self {
        self.bytes(&[field])
    }

    pub(super) fn number(self, field: u64) -> Self {
        self.bytes(&field.to_be_bytes())
    }

    pub(super) fn exponent(self, field: &Exponent) -> Self {
        let bytes = field.encode();
        self.bytes(&bytes)
    }

    pub(super) fn finish(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}

/// Takes fields apart.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    kind: Kind,
    size: KeySize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(kind: Kind, bytes: &'a [u8]) -> Result<Self, Error> {
        let malformed = |fault| Error::Malformed { what: kind.name(), fault };
        let (header, rest) = bytes.split_first_chunk::<8>().ok_or(malformed("it is too short"))?;
        let [magic @ .., version, read, high, low] = header;
        if magic != MAGIC {
            return Err(malformed("it does not begin as one"));
        }
        if *version != VERSION {
            return Err(malformed("it is of another version"));
        }
        if *read != kind as u8 {
            return Err(malformed("it is of another kind"));
        }
        let size =
            KeySize::from_bits(u16::from_be_bytes([*high, *low]).into()).ok_or(malformed("no key has this size"))?;
        Ok(Self { rest, kind, size })
    }

    pub(super) fn size(&self) -> KeySize {
        self.size
    }

    pub(super) fn malformed(&self, fault: &'static str) -> Error {
        Error::Malformed { what: self.kind.name(), fault }
    }

    pub(super) fn bytes(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (field, rest) = self.rest.split_at_checked(length).ok_or(self.malformed("it is too short"))?;
        self.rest = rest;
        Ok(field)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (field, rest) = self.rest.split_first_chunk().ok_or(self.malformed("it is too short"))?;
        self.rest = rest;
        Ok(*field)
    }

    pub(super) fn number(&mut self) -> Result<u64, Error> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn exponent(&mut self) -> Result<Exponent, Error> {
        self.bytes(Exponent::bytes(self.size)).map(Exponent::decode)
    }

    /// Whether a field that may be there is; 0 or 1.
    pub(super) fn flag(&mut self) -> Result<bool, Error> {
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(self.malformed("a flag is neither 0 nor 1")),
        }
    }

    pub(super) fn finish(self) -> Result<(), Error> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.malformed("it is too long")) }
    }
}
