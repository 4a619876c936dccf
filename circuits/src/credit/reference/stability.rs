//! Population stability.

use super::DataError;

/// The least share of a bin that enters the index, so that an empty bin counts much, but not infinitely.
pub const PSI_FLOOR: f64 = 1e-4;

/// Population stability index of two distributions over the same bins: `sum of (a - e) * ln(a / e)` over the shares `e` and `a` of
/// each bin, either not below [`PSI_FLOOR`].
///
/// Below 0.1 a population is usually called stable, above 0.25 shifted.
///
/// # Errors
/// No bin, another number of bins, or a population of nobody.
pub fn psi(expected: &[u64], actual: &[u64]) -> Result<f64, DataError> {
    if expected.is_empty() {
        return Err(DataError::Empty("bin"));
    }
    DataError::lengths("bins", actual.len(), expected.len())?;
    let (expected, actual) = (shares(expected)?, shares(actual)?);
    Ok(expected.iter().zip(&actual).map(|(e, a)| (a - e) * (a / e).ln()).sum())
}

fn shares(counts: &[u64]) -> Result<Vec<f64>, DataError> {
    let total: u128 = counts.iter().copied().map(u128::from).sum();
    if total == 0 {
        return Err(DataError::Empty("customer in a population"));
    }
    Ok(counts.iter().map(|&c| (c as f64 / total as f64).max(PSI_FLOOR)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_populations_are_stable_and_an_empty_bin_counts_finitely() {
        assert_eq!(psi(&[1, 2, 3], &[10, 20, 30]), Ok(0.0));
        let index = psi(&[50, 50], &[100, 0]).unwrap();
        let expected = 0.5 * 2f64.ln() + (PSI_FLOOR - 0.5) * (PSI_FLOOR / 0.5).ln();
        assert!((index - expected).abs() < 1e-12);
        assert_eq!(psi(&[0, 0], &[1, 2]), Err(DataError::Empty("customer in a population")));
        assert!(matches!(psi(&[1], &[1, 2]), Err(DataError::Length { found: 2, expected: 1, .. })));
        assert_eq!(psi(&[], &[]), Err(DataError::Empty("bin")));
    }
}
