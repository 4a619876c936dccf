//! Real numbers to integers and back, at the client, and bounds that are known before a job runs.

use trefoil_engine::Z64;

/// Fixed-point numbers with `F` fractional bits: `x` stands for `x / 2^F`, in two's complement.
///
/// `F` is from 8 to 30. A number is below [`MAX`](Self::MAX) in absolute value, and a product before its truncation below `2^61`, that is the product of two
/// numbers below `2^(61 - 2 F)`: 2,097,152 for 20 fractional bits. What is beyond wraps around; [`Bound`] says before a job runs whether it can be, and
/// [`Flags`](super::Flags) while it runs whether it was.
#[derive(Clone, Copy, Debug)]
pub struct Fixed<const F: u32>;

/// A number that has no fixed-point form, or a computation that could exceed its range.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FixedError {
    /// The owner of the value has to act; nothing was sent.
    #[error(
        "{value} is not in the range from -{limit} to {limit}; correct it, or declare a wider range or a larger unit"
    )]
    OutOfRange {
        /// The value.
        value: f64,
        /// The largest one allowed.
        limit: f64,
    },
    /// The author of the job has to act; nothing was computed.
    #[error(
        "a value of up to {bound} can come up where {fractional} fractional bits leave room for less than {limit}; declare narrower ranges of the inputs, a larger unit, or fewer fractional bits"
    )]
    Overflow {
        /// What could come up.
        bound: f64,
        /// What fits.
        limit: f64,
        /// Fractional bits.
        fractional: u32,
    },
}

impl<const F: u32> Fixed<F> {
    /// 1.
    pub const ONE: Z64 = Z64(Self::SCALE);
    /// Above every number in absolute value: `2^(61 - F)`.
    pub const MAX: f64 = (1_u64 << (61 - F)) as f64;
    /// The distance of neighbours: `2^-F`.
    pub const ULP: f64 = 1.0 / Self::SCALE as f64;

    const SCALE: u64 = {
        assert!(F >= 8 && F <= 30, "fixed-point numbers have 8 to 30 fractional bits");
        1 << F
    };

    /// The number next to `value`.
    ///
    /// # Errors
    /// [`FixedError::OutOfRange`] if `value` is not a number, or not below [`MAX`](Self::MAX).
    pub fn encode(value: f64) -> Result<Z64, FixedError> {
        Self::encode_within(value, Self::MAX)
    }

    /// The number next to `value`, which is to be at most `limit` in absolute value.
    ///
    /// # Errors
    /// [`FixedError::OutOfRange`] if `value` is not a number, beyond `limit` or not below [`MAX`](Self::MAX).
    pub fn encode_within(value: f64, limit: f64) -> Result<Z64, FixedError> {
        // A comparison with NaN is false.
        if value.abs() <= limit && value.abs() < Self::MAX {
            let scaled = (value * Self::SCALE as f64).round_ties_even();
            return Ok(Z64((scaled as i64).cast_unsigned()));
        }
        Err(FixedError::OutOfRange { value, limit: limit.min(Self::MAX) })
    }

    /// What a number stands for.
    pub fn decode(x: Z64) -> f64 {
        x.0.cast_signed() as f64 * Self::ULP
    }
}

/// The largest absolute value that can come up at some place of a computation, whatever the inputs are within their ranges.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound(f64);

impl Bound {
    /// Of an input that is range-checked at the client, or of a constant.
    pub fn of(limit: f64) -> Self {
        Self(limit.abs())
    }

    /// The bound itself.
    pub fn limit(self) -> f64 {
        self.0
    }

    /// Of a sum or a difference.
    #[must_use]
    pub fn plus(self, o: Self) -> Self {
        Self(self.0 + o.0)
    }

    /// Of a product.
    #[must_use]
    pub fn times(self, o: Self) -> Self {
        Self(self.0 * o.0)
    }

    /// Of a sum of so many terms.
    #[must_use]
    pub fn terms(self, count: usize) -> Self {
        Self(self.0 * count as f64)
    }

    /// Says that a number fits.
    ///
    /// # Errors
    /// [`FixedError::Overflow`].
    pub fn fits<const F: u32>(self) -> Result<Self, FixedError> {
        self.below::<F>(Fixed::<F>::MAX)
    }

    /// Says that a product, or a sum of products, fits before it is truncated.
    ///
    /// # Errors
    /// [`FixedError::Overflow`].
    pub fn product_fits<const F: u32>(self) -> Result<Self, FixedError> {
        self.below::<F>(Fixed::<F>::MAX * Fixed::<F>::ULP)
    }

    fn below<const F: u32>(self, limit: f64) -> Result<Self, FixedError> {
        // Half a unit is added before a truncation. Of a large limit a unit is nothing.
        if self.0 < limit && self.0 <= limit - Fixed::<F>::ULP {
            return Ok(self);
        }
        Err(FixedError::Overflow { bound: self.0, limit, fractional: F })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_their_encoding() {
        type Number = Fixed<20>;
        for value in [0.0, 1.0, -1.0, 0.5, 1e6, -123.456, Number::MAX - 1.0, -Number::MAX + 1.0] {
            let x = Number::encode(value).unwrap();
            assert!((Number::decode(x) - value).abs() <= Number::ULP / 2.0, "{value}");
        }
        assert_eq!(Number::encode(1.0), Ok(Number::ONE));
        assert_eq!(Number::encode(-1.5), Ok(Z64((-3_i64 << 19).cast_unsigned())));
        for value in [f64::NAN, f64::INFINITY, Number::MAX, -Number::MAX, 1e300] {
            assert!(matches!(Number::encode(value), Err(FixedError::OutOfRange { .. })), "{value}");
        }
        let refused = Number::encode_within(200.5, 200.0).unwrap_err().to_string();
        assert!(
            refused.contains("200.5") && refused.contains("from -200 to 200") && refused.contains("unit"),
            "{refused}"
        );
        assert!(Number::encode_within(-200.0, 200.0).is_ok());
    }

    #[test]
    fn bounds_are_propagated() {
        let income = Bound::of(1e6);
        let rate = Bound::of(2.0);
        assert!(income.times(rate).product_fits::<20>().is_ok());
        assert_eq!(income.times(rate).terms(3).plus(rate), Bound::of(6e6 + 2.0));
        let refused = income.times(rate).terms(3).product_fits::<20>().unwrap_err();
        assert_eq!(refused, FixedError::Overflow { bound: 6e6, limit: 2_097_152.0, fractional: 20 });
        assert!(income.times(income).fits::<20>().is_ok() && income.times(income).terms(3).fits::<20>().is_err());
    }
}
