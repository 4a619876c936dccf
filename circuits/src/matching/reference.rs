//! Matching on plain values: what the circuits equal, bit for bit.

use super::{Kind, Template, Threshold};
use trefoil_engine::Lanes;

/// What two templates have in common in one position.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Distance {
    /// Code bits that are valid in both and differ.
    pub differ: usize,
    /// Code bits that are valid in both.
    pub valid: usize,
}

impl Distance {
    /// Of two templates as they lie, column by column.
    ///
    /// Templates of different kinds have nothing in common.
    pub fn between(probe: &Template, enrolled: &Template) -> Self {
        let mut distance = Self { differ: 0, valid: 0 };
        let kind = probe.kind();
        if kind != enrolled.kind() {
            return distance;
        }
        let ([a, m], [b, n]) = (probe.parts(), enrolled.parts());
        for c in 0..kind.columns() {
            for i in 0..kind.height() {
                let at = kind.mask_at(c, i);
                if m[at] && n[at] {
                    distance.valid += kind.covers();
                    let differs = |&s: &usize| a[kind.code_at(c, s, i)] != b[kind.code_at(c, s, i)];
                    distance.differ += (0..kind.covers()).filter(differs).count();
                }
            }
        }
        distance
    }

    /// The same of two templates of one kind as words of bits, [`Template::to_bits`]: fast enough for a large gallery. Words past the end of one of them count as zeros.
    pub fn between_bits(kind: Kind, probe: &[Lanes], enrolled: &[Lanes]) -> Self {
        let words = kind.words();
        let part = |of: &[Lanes], part: usize, k: usize| of.get(part * words + k).map_or(0, |word| word.0);
        let mut distance = Self { differ: 0, valid: 0 };
        for k in 0..words {
            let valid = part(probe, kind.covers(), k) & part(enrolled, kind.covers(), k);
            distance.valid += kind.covers() * valid.count_ones() as usize;
            let differ = |s: usize| ((part(probe, s, k) ^ part(enrolled, s, k)) & valid).count_ones() as usize;
            distance.differ += (0..kind.covers()).map(differ).sum::<usize>();
        }
        distance
    }

    /// Whether the fractional Hamming distance is below a threshold, exactly. Never, if nothing is valid in both.
    pub fn is_below(self, threshold: Threshold) -> bool {
        self.differ as u64 * u64::from(threshold.denominator()) < self.valid as u64 * u64::from(threshold.numerator())
    }

    /// The fractional Hamming distance; nothing if nothing is valid in both.
    pub fn fraction(self) -> Option<f64> {
        (self.valid > 0).then(|| self.differ as f64 / self.valid as f64)
    }
}

/// The distances in all positions: the probe turned from the most columns to one side to the most to the other.
pub fn distances<'a>(probe: &'a Template, enrolled: &'a Template) -> impl Iterator<Item = Distance> + 'a {
    let turns = probe.kind().turns().cast_signed();
    (-turns..=turns).map(move |by| Distance::between(&probe.turned(by), enrolled))
}

/// Whether a probe is below the threshold against one of the templates in one of the positions.
pub fn matches(threshold: Threshold, probe: &Template, enrolled: &[Template]) -> bool {
    enrolled.iter().any(|enrolled| distances(probe, enrolled).any(|d| d.is_below(threshold)))
}

/// The first user of whom a template matches, users having so many templates each.
pub fn identify(threshold: Threshold, probe: &Template, enrolled: &[Template], each: usize) -> Option<usize> {
    enrolled.chunks(each.max(1)).position(|of_user| matches(threshold, probe, of_user))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(bits: &str) -> Template {
        let bits: Vec<bool> = bits.bytes().map(|b| b == b'1').collect();
        Template::binary(&bits, None).unwrap()
    }

    #[test]
    fn distances_are_counted_on_what_is_valid_in_both() {
        let (a, b) = ([true, true, false, false, true], [true, false, false, true, false]);
        let a = Template::binary(&a, Some(&[true, true, true, false, true])).unwrap();
        let b = Template::binary(&b, Some(&[true, true, false, true, true])).unwrap();
        assert_eq!(Distance::between(&a, &b), Distance { differ: 2, valid: 3 });
        assert_eq!(Distance::between(&a, &binary("11")), Distance { differ: 0, valid: 0 });
    }

    #[test]
    fn distances_of_words_are_those_of_bits() {
        let mut irises = super::super::synthetic::Irises::new(3);
        let eyes = [irises.enrol(), irises.enrol()];
        let codes = [eyes[0].turned(1), eyes[1].turned(7), irises.again(&eyes[1], 0.2, -3)];
        let bits = |n: usize, seed: usize| (0..n).map(|k| (k * k + seed) % 7 < 3).collect::<Vec<_>>();
        let short = [1, 4].map(|k| Template::binary(&bits(100, k), Some(&bits(100, 0))).unwrap());
        let pairs = codes.iter().flat_map(|a| eyes.iter().map(move |b| (a, b))).chain([(&short[0], &short[1])]);
        for (a, b) in pairs {
            let found = Distance::between_bits(a.kind(), &a.to_bits(), &b.to_bits());
            assert_eq!(found, Distance::between(a, b));
            assert!(found.differ > 0);
        }
    }

    #[test]
    fn the_threshold_itself_and_nothing_valid_are_no_match() {
        let t = Threshold::new(1, 4).unwrap();
        assert!(Distance { differ: 1, valid: 5 }.is_below(t));
        assert!(!Distance { differ: 1, valid: 4 }.is_below(t));
        assert!(!Distance { differ: 0, valid: 0 }.is_below(t));
        assert_eq!(Distance { differ: 0, valid: 0 }.fraction(), None);
        assert!(matches(t, &binary("00000"), &[binary("11111"), binary("00001")]));
        assert!(!matches(t, &binary("0000"), &[binary("1111"), binary("0001")]));
        let gallery = ["1111", "1100", "0000", "1110", "0000", "1111"].map(binary);
        assert_eq!(identify(t, &binary("0000"), &gallery, 1), Some(2));
        assert_eq!(identify(t, &binary("0000"), &gallery, 2), Some(1));
        assert_eq!(identify(t, &binary("0101"), &gallery, 2), None);
    }

    #[test]
    fn an_iris_matches_turned_by_up_to_fifteen_columns() {
        let word = |k: usize| (k as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()[4];
        let code: Vec<u8> = (0..1600).map(word).collect();
        let enrolled = [Template::iris(&code, &[0xff; 800]).unwrap()];
        for turns in [-16, -15, -3, 0, 9, 15, 16] {
            let probe = enrolled[0].turned(turns);
            assert_eq!(matches(Threshold::CLASSIC, &probe, &enrolled), turns.abs() <= 15, "{turns}");
        }
        let covered = Template::iris(&code, &[0; 800]).unwrap();
        assert!(!matches(Threshold::DEPLOYED, &covered, &enrolled));
    }
}
