//! Runs a network of carries over gates.

use super::network::{Gate, Network, Product};
use crate::gates::{Gates, Wire, WiredProduct, WiredSums};

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
            let mut sums = wired(gates, &wires);
            let other = |bit| {
                let [left, right] = [2, 3].map(|of| Wire { of, bit });
                WiredProduct { left, right, plus: None }
            };
            if round == 0 {
                sums.products.extend((0..beside).map(other));
                sums.sums.resize(gates.len() + beside, (1, None));
            }
            let vectors: Vec<&G::Bits> = [v, p, x, y].into_iter().chain(&computed).collect();
            let of = vectors.len();
            let sums = g.wired_sums(&vectors, &sums).await?;
            if round == 0 && beside > 0 {
                products = g.select(&sums, gates.len()..gates.len() + beside)?;
            }
            computed.push(sums);
            wires.extend((0..gates.len()).map(|bit| Wire { of, bit }));
        }
        let carries: Vec<_> = self.carries.iter().map(|&wire| wires[wire]).collect();
        let vectors: Vec<&G::Bits> = [v, p, x, y].into_iter().chain(&computed).collect();
        Ok((g.gather(&vectors, &carries)?, products))
    }
}

/// The gates of a round, with what their wires stand for.
fn wired(gates: &[Gate], wires: &[Wire]) -> WiredSums {
    let product = |product: &Product| WiredProduct {
        left: wires[product.left],
        right: wires[product.right],
        plus: product.plus.map(|plus| wires[plus]),
    };
    WiredSums {
        sums: gates.iter().map(|gate| (gate.products.len(), gate.linear.map(|linear| wires[linear]))).collect(),
        products: gates.iter().flat_map(|gate| &gate.products).map(product).collect(),
    }
}
