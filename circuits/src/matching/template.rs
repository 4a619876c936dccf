//! Templates of bits with masks: iris codes, fingerprint codes.

use super::MatchingError;
use std::fmt;
use zeroize::Zeroizing;

/// How templates of a kind are made up, and how they may be turned against each other.
///
/// A template is a row of columns; each has some mask bits, and for every mask bit one or two code bits that it covers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Kind {
    columns: usize,
    /// Mask bits of a column.
    height: usize,
    /// Code bits that a mask bit covers.
    covers: usize,
    /// Columns that a probe is turned by at most, to either side.
    turns: usize,
}

/// Rows of an iris code in its usual order, and bits of each for one column.
const IRIS_ROWS: usize = 16;
const IRIS_BITS: usize = 4;

impl Kind {
    /// Iris codes: 200 angular columns of 64 code bits and 32 mask bits, the probe turned by up to 15 columns to either side.
    pub const IRIS: Self = Self { columns: 200, height: 32, covers: 2, turns: 15 };
    /// Most bits of a binary template.
    pub const MOST_BITS: usize = 16_000;

    /// Binary templates of so many bits with a mask bit each, compared as they are.
    ///
    /// # Errors
    /// [`MatchingError::Setting`] for none, or more than [`MOST_BITS`](Self::MOST_BITS).
    pub fn binary(bits: usize) -> Result<Self, MatchingError> {
        let holds = (1..=Self::MOST_BITS).contains(&bits);
        MatchingError::setting(holds, "the length of a binary template", bits, "templates have 1 to 16,000 bits")?;
        Ok(Self { columns: bits, height: 1, covers: 1, turns: 0 })
    }

    /// Bits of a code.
    pub const fn code_bits(self) -> usize {
        self.covers * self.mask_bits()
    }

    /// Bits of a mask.
    pub const fn mask_bits(self) -> usize {
        self.columns * self.height
    }

    /// Code bits that one mask bit covers.
    pub const fn covers(self) -> usize {
        self.covers
    }

    /// Integers modulo `2^16` of a stored template: one for each code bit, then one for each mask bit.
    pub const fn entries(self) -> usize {
        self.code_bits() + self.mask_bits()
    }

    /// Positions in which a probe is compared.
    pub const fn rotations(self) -> usize {
        2 * self.turns + 1
    }

    pub(super) const fn columns(self) -> usize {
        self.columns
    }

    pub(super) const fn height(self) -> usize {
        self.height
    }

    pub(super) const fn turns(self) -> usize {
        self.turns
    }
}

/// A template of bits in plain: at the device that extracted it, and in tests. Opaque, wiped on drop.
///
/// Code bit `covers * height * c + height * s + i` and mask bit `height * c + i` belong to column `c`; the mask bit covers the code bits of all `s`.
pub struct Template {
    kind: Kind,
    code: Zeroizing<Vec<bool>>,
    mask: Zeroizing<Vec<bool>>,
}

impl Template {
    /// An iris code of 1,600 bytes and its mask of 800, in the order of 16 rows of 200 columns, of four code bits and two mask bits each: a mask bit covers two
    /// neighbouring code bits. The lowest bit of a byte is its first.
    ///
    /// # Errors
    /// [`MatchingError::Length`].
    pub fn iris(code: &[u8], mask: &[u8]) -> Result<Self, MatchingError> {
        let kind = Kind::IRIS;
        MatchingError::length("an iris code", kind.code_bits() / 8, code.len())?;
        MatchingError::length("the mask of an iris code", kind.mask_bits() / 8, mask.len())?;
        let mut template = Self::empty(kind);
        for c in 0..kind.columns {
            for i in 0..IRIS_ROWS * IRIS_BITS / 2 {
                let place = usual(c, i);
                template.mask[kind.mask_at(c, i)] = bit(mask, place);
                for s in 0..kind.covers {
                    template.code[kind.code_at(c, s, i)] = bit(code, kind.covers * place + s);
                }
            }
        }
        Ok(template)
    }

    /// A binary template: bits, and if not all of them are valid, which ones are.
    ///
    /// # Errors
    /// [`MatchingError::Setting`] as [`Kind::binary`]; [`MatchingError::Length`] if the mask has another length.
    pub fn binary(bits: &[bool], mask: Option<&[bool]>) -> Result<Self, MatchingError> {
        let kind = Kind::binary(bits.len())?;
        let mask = mask.map_or_else(|| vec![true; bits.len()], <[bool]>::to_vec);
        MatchingError::length("the mask of a binary template", bits.len(), mask.len())?;
        Ok(Self { kind, code: Zeroizing::new(bits.to_vec()), mask: Zeroizing::new(mask) })
    }

    /// The code and the mask of an iris, as [`iris`](Self::iris) reads them.
    ///
    /// # Errors
    /// [`MatchingError::Length`] for a template of another kind.
    pub fn to_iris(&self) -> Result<[Zeroizing<Vec<u8>>; 2], MatchingError> {
        let kind = Kind::IRIS;
        if self.kind != kind {
            let got = self.kind.code_bits() / 8;
            return Err(MatchingError::Length { what: "an iris code", expected: kind.code_bits() / 8, got });
        }
        let mut parts = [kind.code_bits(), kind.mask_bits()].map(|bits| Zeroizing::new(vec![0_u8; bits / 8]));
        let mut set = |part: usize, place: usize, bit: bool| parts[part][place / 8] |= u8::from(bit) << (place % 8);
        for c in 0..kind.columns {
            for i in 0..kind.height {
                let place = usual(c, i);
                set(1, place, self.mask[kind.mask_at(c, i)]);
                for s in 0..kind.covers {
                    set(0, kind.covers * place + s, self.code[kind.code_at(c, s, i)]);
                }
            }
        }
        Ok(parts)
    }

    /// Of a kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Turned by some columns: column `c` of the result is column `c + turns` of this one, around the circle.
    #[must_use]
    pub fn turned(&self, turns: isize) -> Self {
        let mut turned = Self::empty(self.kind);
        let by = turns.rem_euclid(self.kind.columns.cast_signed()).unsigned_abs();
        for (from, to) in [(&self.code, &mut turned.code), (&self.mask, &mut turned.mask)] {
            let first = from.len() / self.kind.columns * by;
            let (low, high) = from.split_at(first);
            to.copy_from_slice(&[high, low].concat());
        }
        turned
    }

    /// With the code bits at some places flipped; places past the last one are left out.
    #[must_use]
    pub fn flipped(&self, places: &[usize]) -> Self {
        let mut flipped = self.turned(0);
        for &place in places {
            flipped.code.get_mut(place).into_iter().for_each(|bit| *bit = !*bit);
        }
        flipped
    }

    pub(super) fn empty(kind: Kind) -> Self {
        let part = |bits| Zeroizing::new(vec![false; bits]);
        Self { kind, code: part(kind.code_bits()), mask: part(kind.mask_bits()) }
    }

    pub(super) fn parts_mut(&mut self) -> [&mut [bool]; 2] {
        [&mut self.code, &mut self.mask]
    }

    pub(super) fn parts(&self) -> [&[bool]; 2] {
        [&self.code, &self.mask]
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template[{} bits]", self.kind.code_bits())
    }
}

impl Kind {
    /// The place of a mask bit.
    pub(super) const fn mask_at(self, column: usize, i: usize) -> usize {
        self.height * column + i
    }

    /// The place of a code bit.
    pub(super) const fn code_at(self, column: usize, s: usize, i: usize) -> usize {
        self.height * (self.covers * column + s) + i
    }
}

/// Where mask bit `i` of a column is in the usual order of an iris code.
fn usual(column: usize, i: usize) -> usize {
    let (row, in_row) = (i / (IRIS_BITS / 2), i % (IRIS_BITS / 2));
    (row * Kind::IRIS.columns + column) * (IRIS_BITS / 2) + in_row
}

fn bit(bytes: &[u8], place: usize) -> bool {
    bytes[place / 8] >> (place % 8) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_iris_code_turns_by_four_bits_of_each_row() {
        let mut code = vec![0; 1600];
        // Row 3, columns 199 and 5.
        for place in [3 * 800 + 199 * 4 + 1, 3 * 800 + 5 * 4 + 2] {
            code[place / 8] |= 1 << (place % 8);
        }
        let mut mask = vec![0; 800];
        mask[(3 * 400 + 5 * 2 + 1) / 8] |= 1 << ((3 * 400 + 5 * 2 + 1) % 8);
        let template = Template::iris(&code, &mask).unwrap();
        let set = |bits: &[bool]| (0..bits.len()).filter(|&k| bits[k]).collect::<Vec<_>>();
        // Mask bit 3 * 2 + 1 of column 5 covers code bits 2 and 3 of its row.
        assert_eq!(set(template.parts()[1]), [5 * 32 + 7]);
        assert_eq!(set(template.parts()[0]), [5 * 64 + 7, 199 * 64 + 32 + 6]);
        let turned = template.turned(1);
        assert_eq!(set(turned.parts()[1]), [4 * 32 + 7]);
        assert_eq!(set(turned.parts()[0]), [4 * 64 + 7, 198 * 64 + 32 + 6]);
        assert_eq!(set(template.turned(-1).parts()[0]), [32 + 6, 6 * 64 + 7]);
        assert_eq!(format!("{template:?}"), "Template[12800 bits]");
    }

    #[test]
    fn wrong_lengths_are_refused() {
        assert!(matches!(Template::iris(&[0; 1599], &[0; 800]), Err(MatchingError::Length { expected: 1600, .. })));
        assert!(matches!(Template::iris(&[0; 1600], &[0; 1600]), Err(MatchingError::Length { expected: 800, .. })));
        let iris: Vec<u8> = (0..2400_u32).map(|k| (k * k / 7) as u8).collect();
        let [code, mask] = Template::iris(&iris[..1600], &iris[1600..]).unwrap().to_iris().unwrap();
        assert_eq!([code.as_slice(), &mask].concat(), iris);
        assert!(Template::binary(&[true; 5], None).unwrap().to_iris().is_err());
        assert!(Template::binary(&[], None).is_err());
        assert!(Template::binary(&[true; 16_001], None).is_err());
        assert!(Template::binary(&[true; 5], Some(&[true; 4])).is_err());
        assert_eq!(Template::binary(&[true; 5], None).unwrap().kind().entries(), 10);
    }
}
