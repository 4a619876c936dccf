//! New shares of the nodes for a sum that stays, made so that nobody learns another's: refresh, and the end of a recovery.
//!
//! Party `i` holds components `i` and `i + 1`. Of a sum `x_0 + x_1 + x_2` the new components are
//!
//! - `w_0` and `w_1`: drawn from seeds to which both holders contribute;
//! - `w_2 = x_2 + (x_0 - w_0) + (x_1 - w_1)`: P1 knows the second difference, P2 the first, and each tells the other.
//!
//! What the two tell each other they would find out from their own components, before and after. Seeds are fresh, and never derived from a
//! secret that lasts: whoever was in one node in the last epoch and is in another in this one must not be able to compute them.
//!
//! **Cost**: 32 bytes to each other node, then one exponent between P1 and P2, then a confirmation of 2 numbers to each (4 in a recovery).

use std::fmt;

use chacha20::rand_core::CryptoRng;
use hkdf::Hkdf;
use sha2::Sha256;
use trefoil_engine::Party;
use zeroize::Zeroizing;

use super::{
    Contribution, Difference, NodeKey, PublicKey, Unconfirmed,
    confirm::{Step, Subject},
    exchange::SEED,
    exponent::{Exponent, Range},
    modular::Residue,
};
use crate::Error;

/// A node's first step to new shares: it has its contributions, and waits for those of both others.
pub struct Renewal {
    base: Base,
    /// To the seed of the own component, and of the next.
    mine: [Zeroizing<[u8; SEED]>; 2],
}

/// A node's second step to new shares: it has its seeds, and waits for a difference unless it is P0.
pub struct Seeded {
    base: Base,
    /// New components 0 and 1, as far as this node holds them.
    drawn: [Option<Exponent>; 2],
    /// `x_0 - w_0` or `x_1 - w_1`, at the nodes that hold component 2.
    difference: Option<Exponent>,
}

/// What both steps need.
struct Base {
    public: PublicKey,
    party: Party,
    step: Step,
    check: Residue,
    /// This node's components of the sum that stays, before a device's new share is taken off.
    sum: [Exponent; 2],
    goal: Goal,
    /// Components of a device's share that is not handed out yet.
    issuing: Option<[Exponent; 2]>,
}

/// What the new shares are for.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Goal {
    /// The same sum for the same device.
    Refresh,
    /// The sum less a new share of the device.
    NewDevice,
}

impl NodeKey {
    /// Begins a refresh: new shares of the same key for the same device, with which those of before are of no use.
    ///
    /// `attempt` is the number that all three nodes use for it, see [`Record`](super::Record).
    pub fn refresh(&self, attempt: u64, rng: &mut impl CryptoRng) -> Renewal {
        let sum = self.shares.each_ref().map(Exponent::copy);
        self.renew(attempt, sum, Goal::Refresh, rng)
    }

    pub(super) fn renew(&self, attempt: u64, sum: [Exponent; 2], goal: Goal, rng: &mut impl CryptoRng) -> Renewal {
        let mut mine = [Zeroizing::new([0; SEED]), Zeroizing::new([0; SEED])];
        for seed in &mut mine {
            rng.fill_bytes(seed.as_mut());
        }
        Renewal { base: Base { sum, goal, ..self.base(attempt) }, mine }
    }

    fn base(&self, attempt: u64) -> Base {
        Base {
            public: self.public.clone(),
            party: self.party,
            step: self.following(attempt),
            check: self.check.clone(),
            sum: self.shares.each_ref().map(Exponent::copy),
            goal: Goal::Refresh,
            issuing: self.issuing.as_ref().map(|pieces| pieces.each_ref().map(Exponent::copy)),
        }
    }

    /// The step from this epoch to the following one.
    pub(super) fn following(&self, attempt: u64) -> Step {
        Step { key: self.public.id(), epoch: self.epoch + 1, attempt }
    }
}

impl Renewal {
    /// What goes to the next node, which holds this node's second component too.
    pub fn to_next(&self) -> Contribution {
        self.contribution(1, self.base.party.next())
    }

    /// What goes to the previous node, which holds this node's first component too.
    pub fn to_prev(&self) -> Contribution {
        self.contribution(0, self.base.party)
    }

    /// Takes the contributions of both others.
    ///
    /// # Errors
    ///
    /// [`Error::Foreign`] if one is of another step or for another component.
    pub fn seeded(self, from_next: &Contribution, from_prev: &Contribution) -> Result<Seeded, Error> {
        let mut base = self.base;
        let components = [base.party, base.party.next()];
        for (contribution, component) in [from_prev, from_next].into_iter().zip(components) {
            if contribution.step != base.step {
                return Err(Error::Foreign { what: "contribution", of: "key, epoch or attempt" });
            }
            if contribution.component != component {
                return Err(Error::Foreign { what: "contribution", of: "component" });
            }
        }
        // The component's own party comes first, then the one before it.
        let seeds = [Seed::new(&self.mine[0], &from_prev.seed), Seed::new(&from_next.seed, &self.mine[1])];
        let draw = |base: &Base, place: usize, range| seeds[place].draw(base, components[place], range);
        let issuing = match base.goal {
            Goal::Refresh => base.issuing.take(),
            Goal::NewDevice => Some([draw(&base, 0, Range::Piece)?, draw(&base, 1, Range::Piece)?]),
        };
        let sum = |place: usize| match (base.goal, &issuing) {
            (Goal::NewDevice, Some(pieces)) => base.sum[place].minus(&pieces[place]),
            _ => base.sum[place].copy(),
        };
        let (mut drawn, mut difference) = ([None, None], None);
        for (place, component) in components.into_iter().enumerate() {
            if component != Party::P2 {
                let share = draw(&base, place, Range::Component)?;
                difference = Some(sum(place).minus(&share));
                drawn[component.index()] = Some(share);
            }
        }
        // P0 holds both drawn ones, and not what the differences make up for.
        let difference = difference.filter(|_| components.contains(&Party::P2));
        let base = Base { sum: [sum(0), sum(1)], issuing, ..base };
        Ok(Seeded { base, drawn, difference })
    }

    fn contribution(&self, place: usize, component: Party) -> Contribution {
        Contribution { step: self.base.step, component, seed: self.mine[place].clone() }
    }
}

impl Seeded {
    /// What P1 sends to P2 and P2 to P1; nothing at P0.
    pub fn difference(&self) -> Option<(Party, Difference)> {
        let to = if self.base.party == Party::P1 { Party::P2 } else { Party::P1 };
        let difference = self.difference.as_ref()?;
        Some((to, Difference { step: self.base.step, value: difference.copy() }))
    }

    /// The new shares. P1 and P2 pass what they got from each other, P0 passes `None`.
    ///
    /// # Errors
    ///
    /// [`Error::Foreign`] if the difference is of another step; [`Error::State`] if one is passed at P0, or none elsewhere.
    pub fn finish(self, received: Option<&Difference>) -> Result<Unconfirmed, Error> {
        let base = self.base;
        let [first, second] = self.drawn;
        let shares = match (first, second, self.difference, received) {
            (Some(first), Some(second), None, None) => [first, second],
            (first, second, Some(mine), Some(other)) => {
                if other.step != base.step {
                    return Err(Error::Foreign { what: "difference", of: "key, epoch or attempt" });
                }
                let rest = |place: usize| base.sum[place].plus(&mine).plus(&other.value);
                match (first, second) {
                    (None, Some(second)) => [second, rest(1)],
                    (Some(first), None) => [rest(0), first],
                    _ => return Err(Error::State { step: "refresh", fault: "no node holds these components" }),
                }
            }
            _ => return Err(Error::State { step: "refresh", fault: "P1 and P2 take one difference, P0 none" }),
        };
        let key = NodeKey {
            public: base.public,
            party: base.party,
            epoch: base.step.epoch,
            check: base.check,
            shares,
            issuing: base.issuing,
        };
        let subject = match base.goal {
            Goal::Refresh => Subject::Shares,
            Goal::NewDevice => Subject::NewDevice,
        };
        Ok(Unconfirmed::renewed(key, base.step.attempt, subject))
    }
}

/// What two holders know together.
struct Seed(Hkdf<Sha256>);

impl Seed {
    fn new(first: &[u8; SEED], second: &[u8; SEED]) -> Self {
        let mut both = Zeroizing::new([0; 2 * SEED]);
        both[..SEED].copy_from_slice(first);
        both[SEED..].copy_from_slice(second);
        Self(Hkdf::new(Some(b"trefoil-auth rsa shares v1"), both.as_ref()))
    }

    fn draw(&self, base: &Base, component: Party, range: Range) -> Result<Exponent, Error> {
        let purpose = match range {
            Range::Component => b"component",
            Range::Piece => b"of device",
        };
        let mut bytes = Zeroizing::new(vec![0; Exponent::bytes(base.public.size())]);
        let (epoch, attempt) = (base.step.epoch.to_be_bytes(), base.step.attempt.to_be_bytes());
        let info = [purpose.as_slice(), &[component.index() as u8], &base.step.key, &epoch, &attempt];
        // At most 536 bytes, and HKDF gives 8,160.
        let short = Error::Key { fault: "it is longer than what HKDF gives" };
        self.0.expand_multi_info(&info, &mut bytes).map_err(|_| short)?;
        Ok(Exponent::uniform(&mut bytes, range))
    }
}

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Renewal({}, epoch {}, secret)", self.base.party, self.base.step.epoch)
    }
}

impl fmt::Debug for Seeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seeded({}, epoch {}, secret)", self.base.party, self.base.step.epoch)
    }
}
