//! Thresholds as exact fractions.

use super::MatchingError;
use std::{fmt, str::FromStr};

/// Largest denominator, before and after reduction.
const MOST: u32 = 10_000;

/// An exact fraction from 0 to 1, without its ends: `0.345` is 69/200, and nothing is rounded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Threshold {
    p: u32,
    q: u32,
}

impl Threshold {
    /// 0.345, in use for iris codes of 12,800 bits against large galleries.
    pub const DEPLOYED: Self = Self { p: 69, q: 200 };
    /// A half.
    pub const HALF: Self = Self { p: 1, q: 2 };
    /// 0.32, the classic threshold of the field.
    pub const CLASSIC: Self = Self { p: 8, q: 25 };

    /// `p / q`, reduced.
    ///
    /// # Errors
    /// [`MatchingError::Threshold`] unless `0 < p < q`; [`MatchingError::Setting`] if the reduced denominator is above 10,000.
    pub fn new(p: u32, q: u32) -> Result<Self, MatchingError> {
        if p == 0 || p >= q {
            return Err(MatchingError::Threshold(format!("{p}/{q}")));
        }
        let by = gcd(p, q);
        let accepted = "a threshold has at most four decimals, or a denominator of at most 10,000";
        MatchingError::setting(q / by <= MOST, "the denominator of the threshold", (q / by) as usize, accepted)?;
        Ok(Self { p: p / by, q: q / by })
    }

    /// The numerator.
    pub const fn numerator(self) -> u32 {
        self.p
    }

    /// The denominator.
    pub const fn denominator(self) -> u32 {
        self.q
    }
}

impl FromStr for Threshold {
    type Err = MatchingError;

    fn from_str(text: &str) -> Result<Self, MatchingError> {
        let refused = || MatchingError::Threshold(text.chars().take(32).collect());
        let digits = |s: &str| s.len() <= 6 && s.bytes().all(|b| b.is_ascii_digit());
        let number = |s: &str| if digits(s) { s.parse::<u32>().map_err(|_| refused()) } else { Err(refused()) };
        if let Some((p, q)) = text.split_once('/') {
            return Self::new(number(p)?, number(q)?);
        }
        let (0, decimals) =
            text.split_once('.').map(|(whole, d)| (number(whole).unwrap_or(1), d)).ok_or_else(refused)?
        else {
            return Err(refused());
        };
        let decimals = decimals.trim_end_matches('0');
        Self::new(number(decimals)?, 10_u32.pow(decimals.len() as u32)).map_err(|e| match e {
            MatchingError::Threshold(_) => refused(),
            other => other,
        })
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.p, self.q)
    }
}

pub(super) fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_and_quotients_are_exact() {
        assert_eq!("0.345".parse(), Ok(Threshold::DEPLOYED));
        assert_eq!("0.3200".parse(), Ok(Threshold::CLASSIC));
        assert_eq!("16/50".parse(), Ok(Threshold::CLASSIC));
        assert_eq!("0.0001".parse(), Threshold::new(1, 10_000));
        assert_eq!(Threshold::DEPLOYED.to_string(), "69/200");
        for wrong in
            ["", "0", "1", "0.", "0.0", "1.2", "-0.3", "0.3a", "1/1", "0/5", "3/0", "0.1234567", "é.1", "1/2/3"]
        {
            assert!(matches!(wrong.parse::<Threshold>(), Err(MatchingError::Threshold(_))), "{wrong}");
        }
        assert!(matches!("0.12345".parse::<Threshold>(), Err(MatchingError::Setting { value: 20_000, .. })));
    }
}
