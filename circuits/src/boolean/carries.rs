//! Runs a network of carries over gates.

use super::network::{Gate, Network};
use crate::gates::Gates;

impl Network {
    /// The wanted carries, one bit each, from the values and the `p` of all positions.
    pub(super) async fn run<G: Gates>(&self, g: &mut G, v: &G::Bits, p: &G::Bits) -> Result<Vec<G::Bits>, G::Error> {
        let mut wires = split(g, v)?;
        wires.extend(split(g, p)?);
        for gates in &self.rounds {
            let [left, right] = factors(g, gates, &wires)?;
            let terms: Vec<usize> = gates.iter().map(|gate| gate.products.len()).collect();
            let sums = g.sums_of_products(&left, &right, &terms).await?;
            for (sum, gate) in split(g, &sums)?.into_iter().zip(gates) {
                wires.push(match gate.linear {
                    Some(linear) => g.xor(&sum, &wires[linear])?,
                    None => sum,
                });
            }
        }
        Ok(self.carries.iter().map(|&wire| g.concat(&[&wires[wire]])).collect())
    }
}

/// The factors of all products of a round, gate by gate.
fn factors<G: Gates>(g: &mut G, gates: &[Gate], wires: &[G::Bits]) -> Result<[G::Bits; 2], G::Error> {
    let products = || gates.iter().flat_map(|gate| &gate.products);
    let sums: Vec<Option<G::Bits>> = products()
        .map(|p| p.plus.map(|plus| g.xor(&wires[p.right], &wires[plus])).transpose())
        .collect::<Result<_, _>>()?;
    let left: Vec<_> = products().map(|p| &wires[p.left]).collect();
    let right: Vec<_> = products().zip(&sums).map(|(p, sum)| sum.as_ref().unwrap_or(&wires[p.right])).collect();
    Ok([g.concat(&left), g.concat(&right)])
}

/// A vector bit by bit.
pub(super) fn split<G: Gates>(g: &mut G, x: &G::Bits) -> Result<Vec<G::Bits>, G::Error> {
    (0..g.width(x)).map(|i| g.select(x, i..i + 1)).collect()
}
