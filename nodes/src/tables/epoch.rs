//! Epochs: the shares of a table are made anew from time to time, so that those of before are of no use to who has taken them from a node.

use super::archive::Copy;
use crate::{job::JobId, store::Components};
use chacha20::{
    ChaCha20Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use hkdf::Hkdf;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;
use trefoil_circuits::program::{RingKind, Shape};
use trefoil_engine::Party;
use zeroize::Zeroizing;

/// Which shares of a table, or of what a job has computed, a node has: how often they were made anew, and in which session of the nodes the last time. Shares of one epoch fit together, and with no others.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Epoch {
    /// 0 for shares as they were uploaded or computed.
    pub number: u64,
    /// The session in which they were made; zeros at first.
    pub session: JobId,
}

/// The two components of all columns of a table that a node has in one epoch.
pub struct Content {
    pub(super) epoch: Epoch,
    /// Which copy its parts on the disk are of.
    pub(super) copy: Copy,
    /// `own` and `next` of all columns, one after the other.
    pub(super) components: [Zeroizing<Vec<u8>>; 2],
}

/// What the three nodes have drawn together for new shares: 32 bytes that each of them knows, and nobody else ever does.
pub struct Seed(Zeroizing<[u8; 32]>);

impl Default for Epoch {
    fn default() -> Self {
        Self { number: 0, session: JobId::from([0; 16]) }
    }
}

impl Epoch {
    /// The one after it, made in a session.
    #[must_use]
    pub fn after(self, session: JobId) -> Self {
        Self { number: self.number.saturating_add(1), session }
    }

    /// What nodes compare before they compute on a table of this digest: shares of other epochs have another mark. At first it is the digest itself.
    #[must_use]
    pub fn mark(self, table: &[u8; 32]) -> [u8; 32] {
        if self == Self::default() {
            return *table;
        }
        let mut hash = Sha256::new_with_prefix(b"trefoil/v1/table-epoch");
        hash.update(table);
        hash.update(self.number.to_le_bytes());
        hash.update(self.session.session().0);
        hash.finalize().into()
    }

    pub(crate) fn is_first(&self) -> bool {
        *self == Self::default()
    }
}

impl Content {
    /// Its epoch.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// `own`, or `next`, of all columns, one after the other.
    pub fn component(&self, k: usize) -> &[u8] {
        self.components.get(k).map_or(&[], |component| component)
    }
}

impl Components for Content {
    fn count(&self) -> usize {
        self.components.len()
    }

    fn component(&self, c: usize) -> &[u8] {
        Self::component(self, c)
    }
}

impl Seed {
    /// Of what each node has contributed, in party order. It is random if one of them is.
    #[must_use]
    pub fn new(contributions: &[Zeroizing<[u8; 32]>; 3]) -> Self {
        let mut hash = Sha256::new_with_prefix(b"trefoil/v1/refresh-seed");
        for contribution in contributions {
            hash.update(contribution.as_ref());
        }
        Self(Zeroizing::new(hash.finalize().into()))
    }

    /// The stream that a component of a table, or of outputs, is changed by.
    fn stream(&self, table: &[u8; 32], component: usize) -> ChaCha20Rng {
        let mut key = Zeroizing::new([0; 32]);
        let info = [b"trefoil/v1/refresh".as_slice(), table, &[component as u8]].concat();
        Hkdf::<Sha256>::new(None, self.0.as_ref())
            .expand(&info, key.as_mut())
            .unwrap_or_else(|_| unreachable!("32 bytes are within HKDF's bounds"));
        ChaCha20Rng::from_seed(*key)
    }
}

/// New components of a table, or of the outputs of a job, `own` and `next` of a party.
///
/// **Shape.** As the old ones: the bytes of all columns, or outputs, one after the other.
///
/// **Cost.** Local: nothing is sent.
///
/// **Security.** The three components change by random numbers that add up to zero: the first two by streams of the seed, the third by what is left. Each node knows two of the three numbers and hence all of them, as in every
/// refresh of replicated shares, so that the seed may be common. Who takes the shares of one node before the refresh and of another one after it has three components that add up to nothing, unless the seed of that refresh was taken as well:
/// it is erased when the refresh has ended, at every node.
///
/// **Source.** Herzberg, Jarecki, Krawczyk, Yung, *Proactive Secret Sharing*, CRYPTO 1995, section 3, for replicated shares.
pub(crate) fn renewed(
    columns: &[Shape],
    (table, me): (&[u8; 32], Party),
    seed: &Seed,
    old: &[Zeroizing<Vec<u8>>; 2],
) -> [Zeroizing<Vec<u8>>; 2] {
    let renew = |old: &Zeroizing<Vec<u8>>, party: Party| {
        let mut new = Zeroizing::new(old.to_vec());
        match party {
            Party::P0 | Party::P1 => change(columns, &mut new, &mut seed.stream(table, party.index()), Sign::Plus),
            Party::P2 => {
                for component in 0..2 {
                    change(columns, &mut new, &mut seed.stream(table, component), Sign::Minus);
                }
            }
        }
        new
    };
    [renew(&old[0], me), renew(&old[1], me.next())]
}

#[derive(Clone, Copy, Debug)]
enum Sign {
    Plus,
    Minus,
}

/// Bytes of a stream at a time.
const CHUNK: usize = 1 << 14;

/// Adds a stream to a component, or takes it away, each column in its ring.
fn change(columns: &[Shape], component: &mut [u8], stream: &mut ChaCha20Rng, sign: Sign) {
    let mut random = Zeroizing::new(vec![0; CHUNK]);
    let mut rest = component;
    for column in columns {
        let (entries, after) = rest.split_at_mut(column.component_bytes().min(rest.len()));
        rest = after;
        for part in entries.chunks_mut(CHUNK) {
            let random = &mut random[..part.len()];
            stream.fill_bytes(random);
            match column.ring {
                RingKind::Bits => part.iter_mut().zip(&*random).for_each(|(x, r)| *x ^= r),
                RingKind::Z16 => each(part, random, |x, r| match sign {
                    Sign::Plus => u16::from_le_bytes(x).wrapping_add(u16::from_le_bytes(r)).to_le_bytes(),
                    Sign::Minus => u16::from_le_bytes(x).wrapping_sub(u16::from_le_bytes(r)).to_le_bytes(),
                }),
                RingKind::Z64 => each(part, random, |x, r| match sign {
                    Sign::Plus => u64::from_le_bytes(x).wrapping_add(u64::from_le_bytes(r)).to_le_bytes(),
                    Sign::Minus => u64::from_le_bytes(x).wrapping_sub(u64::from_le_bytes(r)).to_le_bytes(),
                }),
            }
        }
    }
}

fn each<const N: usize>(part: &mut [u8], random: &[u8], change: impl Fn([u8; N], [u8; N]) -> [u8; N]) {
    let (entries, _) = part.as_chunks_mut::<N>();
    let (random, _) = random.as_chunks::<N>();
    entries.iter_mut().zip(random).for_each(|(x, r)| *x = change(*x, *r));
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({}, {} bytes)", self.epoch.number, self.components[0].len())
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::{ColumnSpec, TableSpec, UploadId};
    use proptest::prelude::*;

    fn spec(rows: u64) -> TableSpec {
        let columns = [("a", RingKind::Z64), ("b", RingKind::Bits), ("c", RingKind::Z16), ("d", RingKind::Z64)];
        let column = |(name, ring): (&str, RingKind)| ColumnSpec { name: name.parse().expect("a name"), ring };
        let upload = UploadId::random().expect("randomness");
        TableSpec { upload, rows, columns: columns.map(column).to_vec(), permits: Vec::new(), expires: None }
    }

    /// The values of all columns, out of three components.
    fn values(spec: &TableSpec, components: [&[u8]; 3]) -> Vec<u64> {
        let mut start = 0;
        let mut values = Vec::new();
        for (k, column) in spec.columns.iter().enumerate() {
            let width = if column.ring == RingKind::Z16 { 2 } else { 8 };
            for at in (start..start + spec.shape(k).component_bytes()).step_by(width) {
                let [a, b, c] = components.map(|component| {
                    let mut bytes = [0; 8];
                    bytes[..width].copy_from_slice(&component[at..at + width]);
                    u64::from_le_bytes(bytes)
                });
                values.push(match column.ring {
                    RingKind::Bits => a ^ b ^ c,
                    RingKind::Z16 => u64::from((a.wrapping_add(b).wrapping_add(c)) as u16),
                    RingKind::Z64 => a.wrapping_add(b).wrapping_add(c),
                });
            }
            start += spec.shape(k).component_bytes();
        }
        values
    }

    proptest! {
        #[test]
        fn new_shares_are_of_the_same_values_and_have_nothing_in_common_with_the_old_ones(rows in 1_u64..5000, fill in any::<u64>()) {
            let spec = spec(rows);
            let bytes = spec.component_bytes().expect("good");
            let old: [Vec<u8>; 3] = [0, 1, 2].map(|k| {
                let mut component = vec![0; bytes];
                ChaCha20Rng::seed_from_u64(fill ^ k).fill_bytes(&mut component);
                component
            });
            let seed = Seed::new(&[fill, 1, 2].map(|k| Zeroizing::new([k as u8; 32])));
            let held = Party::ALL.map(|me| [me, me.next()].map(|p| Zeroizing::new(old[p.index()].clone())));
            let new = Party::ALL.map(|me| renewed(&spec.shapes(), (&[7; 32], me), &seed, &held[me.index()]));
            for me in Party::ALL {
                prop_assert_eq!(&new[me.index()][1], &new[me.next().index()][0], "both holders have the same");
            }
            let own = new.each_ref().map(|held| &held[0][..]);
            prop_assert_eq!(values(&spec, own), values(&spec, old.each_ref().map(|x| &x[..])));
            for (old, new) in old.iter().zip(own) {
                let same = old.iter().zip(new).filter(|(x, y)| x == y).count();
                prop_assert!(same <= bytes / 64 + 8, "{} of {} bytes", same, bytes);
            }
            // Another table, or another seed, changes otherwise.
            let other = renewed(&spec.shapes(), (&[8; 32], Party::P0), &seed, &held[0]);
            prop_assert_ne!(&other[0], &new[0][0]);
        }
    }

    #[test]
    fn a_mark_tells_epochs_apart() {
        let (table, first) = ([9; 32], Epoch::default());
        let next = first.after(JobId::from([1; 16]));
        assert_eq!(first.mark(&table), table);
        let marks = [first, next, first.after(JobId::from([2; 16])), next.after(JobId::from([1; 16]))];
        for (k, mark) in marks.iter().enumerate() {
            assert!(marks[..k].iter().all(|other| other.mark(&table) != mark.mark(&table)));
        }
    }
}
