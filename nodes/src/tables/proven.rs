//! What jobs have found out of the entries of a table.

use crate::job::ModeSpec;
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Limits that the entries of columns of a table have been found to be within, on shares. A table is not changed, so that this holds for all later jobs.
#[derive(Debug, Default)]
pub(super) struct Proven(Mutex<BTreeMap<usize, Limits>>);

/// The least limits of one column.
#[derive(Clone, Copy, Debug, Default)]
struct Limits {
    /// By a job that was secure against deviations.
    malicious: Option<u64>,
    /// By any job.
    any: Option<u64>,
}

impl Proven {
    /// Whether all these columns are known to be within a limit by jobs as secure as those of a mode.
    pub(super) fn holds(&self, places: &[usize], limit: u64, mode: ModeSpec) -> bool {
        let columns = self.lock();
        let known = |place: &usize| {
            let limits = columns.get(place).copied().unwrap_or_default();
            match mode {
                ModeSpec::Malicious => limits.malicious,
                ModeSpec::SemiHonest => limits.any,
            }
        };
        places.iter().all(|place| known(place).is_some_and(|known| known <= limit))
    }

    /// A job of a mode has found these columns to be within a limit.
    pub(super) fn record(&self, places: &[usize], limit: u64, mode: ModeSpec) {
        let mut columns = self.lock();
        let least = |known: &mut Option<u64>| *known = Some(known.map_or(limit, |known| known.min(limit)));
        for place in places {
            let limits = columns.entry(*place).or_default();
            least(&mut limits.any);
            if mode == ModeSpec::Malicious {
                least(&mut limits.malicious);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Limits>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ModeSpec::{Malicious, SemiHonest};

    #[test]
    fn what_was_found_in_malicious_mode_holds_in_both() {
        let proven = Proven::default();
        assert!(!proven.holds(&[0], u64::MAX, SemiHonest));
        proven.record(&[0, 2], 100, SemiHonest);
        assert!(proven.holds(&[2, 0], 100, SemiHonest) && proven.holds(&[0], 101, SemiHonest));
        assert!(!proven.holds(&[0], 99, SemiHonest), "nothing is known of a narrower limit");
        assert!(!proven.holds(&[0, 1], 100, SemiHonest), "nor of another column");
        assert!(!proven.holds(&[0], 100, Malicious), "a node could have deviated");
        proven.record(&[0], 200, Malicious);
        assert!(proven.holds(&[0], 200, Malicious) && proven.holds(&[0], 100, SemiHonest));
        assert!(!proven.holds(&[0], 199, Malicious));
    }
}
