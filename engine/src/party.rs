//! The three parties and their ring order.

use std::fmt;

/// One of the three computing parties.
///
/// The parties stand in a ring `P0 -> P1 -> P2 -> P0`. A secret is `x = x_0 + x_1 + x_2`, and party
/// `i` holds `(x_i, x_{i+1})`; see [`Shares`](crate::Shares) for who holds what.
///
/// Which certificate speaks for which party is configuration, never something a peer claims.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Party {
    /// Party 0.
    P0,
    /// Party 1.
    P1,
    /// Party 2.
    P2,
}

impl Party {
    /// All parties in order.
    pub const ALL: [Self; 3] = [Self::P0, Self::P1, Self::P2];

    /// The party after this one in the ring.
    #[must_use]
    pub const fn next(self) -> Self {
        Self::ALL[(self.index() + 1) % 3]
    }

    /// The party before this one in the ring.
    #[must_use]
    pub const fn prev(self) -> Self {
        Self::ALL[(self.index() + 2) % 3]
    }

    /// 0, 1 or 2.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The party of an index, or `None` above 2.
    #[must_use]
    pub const fn from_index(index: usize) -> Option<Self> {
        match index {
            0 => Some(Self::P0),
            1 => Some(Self::P1),
            2 => Some(Self::P2),
            _ => None,
        }
    }

    /// The two other parties: next, then prev.
    #[must_use]
    pub const fn peers(self) -> [Self; 2] {
        [self.next(), self.prev()]
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "P{}", self.index())
    }
}

#[cfg(test)]
mod tests {
    use super::Party;

    #[test]
    fn the_ring_closes() {
        for p in Party::ALL {
            assert_eq!(p.next().prev(), p);
            assert_eq!(p.next().next(), p.prev());
            assert_eq!(Party::from_index(p.index()), Some(p));
        }
        assert_eq!(Party::from_index(3), None);
        assert_eq!(Party::P2.to_string(), "P2");
    }
}
