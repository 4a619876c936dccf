//! What can come up where when a model is trained by descent.

use super::Train;
use crate::credit::places::{Kept, Place, largest_logit};

impl Train {
    /// What can come up where, and what has room there.
    pub fn places(&self) -> Vec<Place> {
        let rows = self.batch();
        let mut places = vec![Place::truncated("a logit", largest_logit(self.table.columns()), Kept::Flag)];
        places.extend(self.update(rows).places(rows));
        let rest = self.table.rows() % rows;
        if rest > 0 {
            places.extend(self.update(rest).places(rest));
        }
        places
    }
}
