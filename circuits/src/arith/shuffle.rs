//! Shuffling, so that nobody learns where anything went.

use super::{bits::same, sort::exchange};
use trefoil_engine::{Cost, prelude::*};
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// Words of a random key: two, so that no two of a million keys are equal but with probability below `2^-88`.
const KEY: usize = 2;

/// Rows in a random order that no party knows.
///
/// Three permutations one after the other, each drawn with a key that two parties have in common, so that every party lacks one of them. The two that know a permutation set the
/// switches of a network for it; the switches are a component of a sharing, which costs nothing, and each layer of switches is a product for each pair of rows and each column.
///
/// **Shape** columns of `n` rows to the same. **Cost** [`shuffle_cost`]: `3 (2 t - 1)` rounds for `2^(t-1) < n <= 2^t`, and `3 (n t - 2^t + 1)` products for each column. **Security** composition of
/// products: what is multiplied are shares, and any value of the switches that are not bits of a permutation is a deviation by one of the two holders of a component, which the other
/// one does not follow; the malicious mode finds it as any wrong product. Setting the switches takes a time that depends on the permutation, as sorting its keys does: where
/// the third party can tell some microseconds apart, that is a channel of very few bits about a random order.
/// **Source** Waksman (J. ACM 1968), for any `n` Beauquier and Darrot (Parallel Processing Letters 2002); permutations known to pairs as Laur, Willemson and Zhang (ISC 2011).
///
/// # Errors
/// [`Error::Shape`] for columns of different lengths; as [`Ctx::mul`]. Not cancel safe.
pub async fn shuffle<M: Mode>(ctx: &mut Ctx<M>, columns: &[View<'_, Z64>]) -> Result<Vec<Shares<Z64>>, Error> {
    let n = columns.first().map_or(0, View::len);
    for column in columns {
        same("the columns of a table", n, column.len())?;
    }
    let mut rows: Vec<Shares<Z64>> = columns.iter().map(|c| c.to_shares()).collect();
    let layers = layers(n);
    let switches = layers.iter().map(Vec::len).sum();
    let keys = ctx.random::<Z64>(KEY * n)?;
    let set = |keys: &[Z64], bits: &mut [Z64]| {
        for (bit, &switch) in bits.iter_mut().zip(route(&order(keys)).iter()) {
            *bit = Z64(switch.into());
        }
    };
    for bits in keys.view().components::<Z64>(ctx.me(), switches, set) {
        let mut done = 0;
        for pairs in &layers {
            exchange(ctx, &mut rows, pairs, bits.view().slice(done, pairs.len())?).await?;
            done += pairs.len();
        }
    }
    Ok(rows)
}

/// The exact cost of [`shuffle`] of `n` rows, in semi-honest mode.
pub fn shuffle_cost(n: usize, columns: usize) -> Cost {
    let t = u64::from(n.next_power_of_two().ilog2());
    // Saturating: nobody has so many rows, but may ask what they cost.
    let switches = (n as u64).saturating_mul(t).saturating_sub(n.next_power_of_two() as u64 - 1);
    let products = switches.saturating_mul(columns as u64).saturating_mul(3);
    Cost { rounds: 3 * (2 * t).saturating_sub(1), bytes_sent: products.saturating_mul(8), products }
}

/// The order of random keys: row `order[k]` comes `k`-th.
fn order(keys: &[Z64]) -> Zeroizing<Vec<usize>> {
    let key = |row: usize| [keys[KEY * row].0, keys[KEY * row + 1].0];
    let mut order = Zeroizing::new((0..keys.len() / KEY).collect::<Vec<_>>());
    order.sort_unstable_by_key(|&row| key(row));
    order
}

/// A network of switches, by the depth of the part they belong to. The third party must not learn how they are set: wiped on drop.
#[derive(Default, ZeroizeOnDrop)]
struct Network {
    /// Before the inner parts, and the last switch of the smallest ones.
    before: Vec<Vec<([usize; 2], bool)>>,
    /// After them.
    after: Vec<Vec<([usize; 2], bool)>>,
}

/// Which rows may be exchanged in each layer.
fn layers(n: usize) -> Vec<Vec<[usize; 2]>> {
    let network = Network::of(&(0..n).collect::<Vec<_>>());
    network.layers().map(|layer| layer.iter().map(|(pair, _)| *pair).collect()).collect()
}

/// For each switch, layer by layer, whether it exchanges its rows, so that row `permutation[k]` comes out `k`-th.
fn route(permutation: &[usize]) -> Zeroizing<Vec<bool>> {
    Zeroizing::new(Network::of(permutation).layers().flatten().map(|(_, exchanged)| *exchanged).collect())
}

impl Network {
    fn of(permutation: &[usize]) -> Self {
        let mut network = Self::default();
        network.add(0, &(0..permutation.len()).collect::<Vec<_>>(), permutation);
        network
    }

    fn layers(&self) -> impl Iterator<Item = &Vec<([usize; 2], bool)>> {
        self.before.iter().chain(self.after.iter().rev()).filter(|layer| !layer.is_empty())
    }

    fn push(layers: &mut Vec<Vec<([usize; 2], bool)>>, depth: usize, pair: [usize; 2], exchanged: bool) {
        layers.resize_with(layers.len().max(depth + 1), Vec::new);
        layers[depth].push((pair, exchanged));
    }

    /// Adds the switches of the part on `wires`, of which wire `permutation[k]` is to come out on the `k`-th.
    ///
    /// A switch for each pair of wires before two inner parts, one for each pair after them; the first wires of the pairs are those of one part, the others and an odd last one those of the
    /// other. An even last pair needs no switch after them.
    fn add(&mut self, depth: usize, wires: &[usize], permutation: &[usize]) {
        let n = wires.len();
        if n < 2 {
            return;
        }
        if n == 2 {
            return Self::push(&mut self.before, depth, [wires[0], wires[1]], permutation[0] == 1);
        }
        let mut from = Zeroizing::new(vec![0; n]);
        permutation.iter().enumerate().for_each(|(to, &wire)| from[wire] = to);
        let lower = through_lower(permutation, &from);
        for k in 0..n / 2 {
            Self::push(&mut self.before, depth, [wires[2 * k], wires[2 * k + 1]], lower[from[2 * k]]);
            if n % 2 == 1 || k + 1 < n / 2 {
                Self::push(&mut self.after, depth, [wires[2 * k], wires[2 * k + 1]], lower[2 * k]);
            }
        }
        for part in [false, true] {
            let pairs = 0..n / 2;
            let mut inner: Vec<usize> = pairs.clone().map(|k| wires[2 * k + usize::from(part)]).collect();
            let leaving = |k: usize| if lower[2 * k] == part { 2 * k } else { 2 * k + 1 };
            let order = pairs.map(|k| permutation[leaving(k)] / 2);
            let order =
                Zeroizing::new(order.chain((part && n % 2 == 1).then(|| permutation[n - 1] / 2)).collect::<Vec<_>>());
            if part && n % 2 == 1 {
                inner.push(wires[n - 1]);
            }
            self.add(depth + 1, &inner, &order);
        }
    }
}

/// For each place whether what comes out there goes through the second inner part: of the two places of a pair, and of the two wires of a pair, one does and one does not.
/// `from` is the inverse of the permutation.
fn through_lower(permutation: &[usize], from: &[usize]) -> Zeroizing<Vec<bool>> {
    let n = permutation.len();
    let mut lower = Zeroizing::new(vec![false; n]);
    let mut known = vec![false; n];
    // The last place goes through the second part; where pairs are whole it ends a pair that has no switch.
    for start in (0..n).rev() {
        let mut to = start;
        while !known[to] {
            (lower[to], known[to]) = (true, true);
            let partner = permutation[to] ^ 1;
            if partner >= n {
                break;
            }
            let other = from[partner];
            (lower[other], known[other]) = (false, true);
            to = other ^ 1;
            if to >= n {
                break;
            }
        }
    }
    lower
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(permutation: &[usize]) -> Vec<usize> {
        let mut rows: Vec<usize> = (0..permutation.len()).collect();
        let switches = route(permutation);
        let mut switches = switches.iter().copied();
        for layer in layers(permutation.len()) {
            let mut touched = vec![false; rows.len()];
            for [i, j] in layer {
                assert!(!std::mem::replace(&mut touched[i], true) && !std::mem::replace(&mut touched[j], true));
                if switches.next() == Some(true) {
                    rows.swap(i, j);
                }
            }
        }
        assert_eq!(switches.next(), None);
        rows
    }

    fn all(n: usize) -> Vec<Vec<usize>> {
        if n == 0 {
            return vec![vec![]];
        }
        let with = |p: &Vec<usize>, at: usize| [&p[..at], &[n - 1], &p[at..]].concat();
        all(n - 1).iter().flat_map(|p| (0..n).map(move |at| with(p, at))).collect()
    }

    #[test]
    fn every_permutation_has_its_switches() {
        for n in 0..=7 {
            for permutation in all(n) {
                assert_eq!(run(&permutation), permutation);
            }
        }
        for n in [8, 33, 100, 255, 256, 1000, 1025] {
            let keys: Vec<Z64> =
                (0..KEY * n).map(|k| Z64((k as u64 ^ 0x55).wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
            let permutation = order(&keys);
            assert_eq!(run(&permutation), *permutation, "{n} rows");
        }
    }

    /// Waksman's count, which is the sum of ceil(log2 k) for k = 1 ..= n.
    #[test]
    fn the_network_is_as_small_as_known() {
        for n in 1..=300_usize {
            let (t, switches): (usize, usize) =
                (n.next_power_of_two().ilog2() as usize, layers(n).iter().map(Vec::len).sum());
            assert_eq!(switches, n * t + 1 - (1 << t), "{n} rows");
            assert_eq!(layers(n).len(), (2 * t).saturating_sub(1), "{n} rows");
        }
    }
}
