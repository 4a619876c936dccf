//! The names of rings in JSON: `bits`, `z16` and `z64`.

use serde::{Deserialize, Deserializer, Serializer, de};
use trefoil_circuits::program::RingKind;

const NAMES: [(RingKind, &str); 3] = [(RingKind::Bits, "bits"), (RingKind::Z16, "z16"), (RingKind::Z64, "z64")];

pub(crate) fn name(ring: RingKind) -> &'static str {
    match ring {
        RingKind::Bits => NAMES[0].1,
        RingKind::Z16 => NAMES[1].1,
        RingKind::Z64 => NAMES[2].1,
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
pub(crate) fn serialize<S: Serializer>(ring: &RingKind, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(name(*ring))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<RingKind, D::Error> {
    let text = String::deserialize(d)?;
    let known = NAMES.into_iter().find(|(_, name)| *name == text);
    known.map(|(ring, _)| ring).ok_or_else(|| de::Error::custom("a ring is `bits`, `z16` or `z64`"))
}
