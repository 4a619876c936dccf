//! Tail of the normal distribution.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// The probability that a standard normal variable is at least `|z|` away from 0, to a relative error below `1e-12`.
///
/// **Source**: Abramowitz and Stegun, 7.1.6 (series) and 7.1.14 (continued fraction).
pub fn two_sided_p(z: f64) -> f64 {
    let x = z.abs() * FRAC_1_SQRT_2;
    if x.is_nan() {
        f64::NAN
    } else if x < 2.0 {
        1.0 - erf_series(x)
    } else if x < 40.0 {
        erfc_fraction(x)
    } else {
        0.0
    }
}

/// `2/sqrt(pi) * exp(-x^2) * sum of 2^n x^(2n+1) / (1 * 3 * .. * (2n+1))`: all terms positive, so nothing cancels.
fn erf_series(x: f64) -> f64 {
    let (mut term, mut sum, mut odd) = (x, x, 1.0);
    while term > 1e-18 * sum {
        odd += 2.0;
        term *= 2.0 * x * x / odd;
        sum += term;
    }
    2.0 / PI.sqrt() * (-x * x).exp() * sum
}

/// `exp(-x^2)/sqrt(pi) / (x + (1/2)/(x + 1/(x + (3/2)/(x + ..))))`, from the inside; 120 terms suffice from `x = 2`.
fn erfc_fraction(x: f64) -> f64 {
    let inner = (1..=120).rev().fold(x, |rest, n| x + f64::from(n) / 2.0 / rest);
    (-x * x).exp() / PI.sqrt() / inner
}
