//! Runs a network of carries over gates.

use super::network::{Gate, Network};
use crate::gates::{Gates, Wire};

impl Network {
    /// The wanted carries behind one another, from the values and the `p` of all positions; what lies above them is not looked at.
    pub(super) async fn run<G: Gates>(
        &self,
        g: &mut G,
        positions: usize,
        values: [&G::Bits; 2],
    ) -> Result<G::Bits, G::Error> {
        let none = g.constant(&[]);
        Ok(self.run_beside(g, positions, values, [&none, &none]).await?.0)
    }

    /// As [`run`](Self::run), and the products of two other vectors, in the first round.
    pub(super) async fn run_beside<G: Gates>(
        &self,
        g: &mut G,
        positions: usize,
        [v, p]: [&G::Bits; 2],
        [x, y]: [&G::Bits; 2],
    ) -> Result<(G::Bits, G::Bits), G::Error> {
        let mut computed: Vec<G::Bits> = Vec::new();
        let beside = g.width(x);
        let mut products = g.constant(&[]);
        if self.rounds.is_empty() && beside > 0 {
            products = g.and(x, y).await?;
        }
        let mut wires = Vec::new();
        (0..2).for_each(|of| wires.extend((0..positions).map(|bit| Wire { of, bit })));
        for (round, gates) in self.rounds.iter().enumerate() {
            let [left, right] = factors(gates, &wires);
            let vectors: Vec<&G::Bits> = [v, p].into_iter().chain(&computed).collect();
            let [mut left, mut right] = [g.gather(&vectors, &left)?, g.gather(&vectors, &right)?];
            let mut terms: Vec<usize> = gates.iter().map(|gate| gate.products.len()).collect();
            if round == 0 && beside > 0 {
                (left, right) = (g.concat(&[&left, x]), g.concat(&[&right, y]));
                terms.resize(gates.len() + beside, 1);
            }
            let sent = g.sums_of_products(&left, &right, &terms).await?;
            if round == 0 && beside > 0 {
                products = g.select(&sent, gates.len()..gates.len() + beside)?;
            }
            let of = vectors.len();
            let sum = |(bit, gate): (usize, &Gate)| (Wire { of, bit }, gate.linear.map(|linear| wires[linear]));
            let sums: Vec<_> = gates.iter().enumerate().map(sum).collect();
            let mut vectors = vectors;
            vectors.push(&sent);
            let summed =
                gates.iter().any(|gate| gate.linear.is_some()).then(|| g.gather(&vectors, &sums)).transpose()?;
            drop(vectors);
            computed.push(summed.unwrap_or(sent));
            wires.extend(sums.iter().map(|(sum, _)| *sum));
        }
        let carries: Vec<_> = self.carries.iter().map(|&wire| (wires[wire], None)).collect();
        let vectors: Vec<&G::Bits> = [v, p].into_iter().chain(&computed).collect();
        Ok((g.gather(&vectors, &carries)?, products))
    }
}

/// The factors of all products of a round, gate by gate.
fn factors(gates: &[Gate], wires: &[Wire]) -> [Vec<(Wire, Option<Wire>)>; 2] {
    let products = || gates.iter().flat_map(|gate| &gate.products);
    let left = products().map(|p| (wires[p.left], None)).collect();
    let right = products().map(|p| (wires[p.right], p.plus.map(|plus| wires[plus]))).collect();
    [left, right]
}
