//! Plain integers to planes and back.

use trefoil_engine::{Error, Lanes, simd};

/// Bits of a plain integer.
const WORD: usize = 64;

/// The `width` low bits of each integer as planes of [`Lanes::words`]`(values.len())` words, bit 0 first: the input of a circuit
/// before it is split into shares. Planes above the 64th are zero.
#[must_use]
pub fn to_planes(width: usize, values: &[u64]) -> Vec<Lanes> {
    let words = Lanes::words(values.len());
    if words == 0 {
        return Vec::new();
    }
    let mut planes = vec![0; WORD * words];
    simd::rows_to_planes(values, 1, &mut planes);
    planes.resize(width * words, 0);
    planes.into_iter().map(Lanes).collect()
}

/// The first `count` integers of `width` planes, of which 64 bits are kept: a circuit's output after it was reconstructed.
///
/// # Errors
/// [`Error::Shape`] unless there are `width` planes of [`Lanes::words`]`(count)` words.
pub fn from_planes(width: usize, count: usize, planes: &[Lanes]) -> Result<Vec<u64>, Error> {
    let words = Lanes::words(count);
    if planes.len() != width * words {
        return Err(Error::Shape { what: "the planes of integers", expected: width * words, got: planes.len() });
    }
    let mut low: Vec<u64> = planes.iter().map(|w| w.0).collect();
    low.resize(WORD * words, 0);
    let mut values = vec![0; count];
    if words > 0 {
        simd::planes_to_rows(&low, 1, &mut values);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_survive_the_planes() {
        for count in [0, 1, 63, 64, 65, 200] {
            let values: Vec<u64> = (0..count as u64).map(|k| k.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
            for width in [0, 1, 13, 64, 70] {
                let low = |x: u64| if width < 64 { x & ((1 << width) - 1) } else { x };
                let planes = to_planes(width, &values);
                assert_eq!(planes.len(), width * Lanes::words(count));
                let back = from_planes(width, count, &planes).unwrap();
                assert_eq!(back, values.iter().map(|&x| low(x)).collect::<Vec<_>>());
            }
        }
        assert!(matches!(from_planes(8, 65, &[Lanes(0); 8]), Err(Error::Shape { expected: 16, got: 8, .. })));
    }
}
