//! How the instances of a circuit lie in the lanes of a vector.

use trefoil_engine::Lanes;
use zeroize::Zeroizing;

use super::{Circuit, PortError, PortValue};

/// Number of instances that are evaluated together, and their places.
///
/// Instance `k` of the `w`-th wire of a vector is lane `w * stride + k`, that is bit `l % 64` of word `l / 64` for that
/// lane `l`. For fewer than 64 instances the stride is the next power of two, so that several wires share a word and a
/// message holds few lanes without use; from 64 on it is the next multiple of 64.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Packing {
    instances: u32,
}

impl Packing {
    /// The packing of so many instances.
    pub const fn new(instances: u32) -> Self {
        Self { instances }
    }

    /// Instances evaluated together.
    pub const fn instances(self) -> usize {
        self.instances as usize
    }

    /// Lanes from one wire to the next.
    pub const fn stride(self) -> usize {
        if self.instances < Lanes::COUNT as u32 {
            self.instances.next_power_of_two() as usize
        } else {
            Lanes::words(self.instances()) * Lanes::COUNT
        }
    }

    /// The words that hold so many wires.
    pub const fn words(self, wires: usize) -> usize {
        Lanes::words(wires * self.stride())
    }

    /// All input wires of all instances, one list of port values for each instance. Lanes without use are zero.
    ///
    /// # Errors
    /// The values do not have the shape of the input ports, or there are not as many lists as instances.
    pub fn pack_inputs(
        self,
        circuit: &Circuit,
        instances: &[Vec<PortValue>],
    ) -> Result<Zeroizing<Vec<Lanes>>, PortError> {
        if instances.len() != self.instances() {
            return Err(PortError::InstanceCount { expected: self.instances(), got: instances.len() });
        }
        let mut words = Zeroizing::new(vec![Lanes::default(); self.words(circuit.input_wires().len())]);
        for (k, values) in instances.iter().enumerate() {
            for (wire, &bit) in circuit.input_bits(values)?.iter().enumerate() {
                let lane = wire * self.stride() + k;
                words[lane / Lanes::COUNT].0 |= u64::from(bit) << (lane % Lanes::COUNT);
            }
        }
        Ok(words)
    }

    /// The values of the output ports, one list for each instance.
    ///
    /// # Errors
    /// There are not as many words as the output wires of all instances take.
    pub fn unpack_outputs(self, circuit: &Circuit, words: &[Lanes]) -> Result<Vec<Vec<PortValue>>, PortError> {
        let wires = circuit.output_wires().len();
        if words.len() != self.words(wires) {
            return Err(PortError::WireCount { expected: self.words(wires), got: words.len() });
        }
        let instance = |k: usize| {
            let bits = (0..wires).map(|wire| {
                let lane = wire * self.stride() + k;
                words[lane / Lanes::COUNT].0 >> (lane % Lanes::COUNT) & 1 == 1
            });
            circuit.output_values(&Zeroizing::new(bits.collect::<Vec<_>>()))
        };
        (0..self.instances()).map(instance).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bristol::BitOrder;

    #[test]
    fn few_instances_share_words_and_many_fill_them() {
        let stride = |n| Packing::new(n).stride();
        assert_eq!([1, 2, 3, 5, 33, 63].map(stride), [1, 2, 4, 8, 64, 64]);
        assert_eq!([64, 65, 128, 1000].map(stride), [64, 128, 128, 1024]);
        assert_eq!(Packing::new(3).words(17), 2);
        assert_eq!(Packing::new(65).words(17), 34);
    }

    #[test]
    fn what_is_packed_can_be_unpacked() {
        let circuit = Circuit::parse("0 9\n2 4 5\n2 4 5\n").unwrap();
        for n in [1, 2, 3, 20, 64, 70] {
            let text = |k: u32| [format!("{:x}", k % 16), format!("{:02x}", 7 * k % 32)];
            let instances: Vec<_> = (0..n).map(|k| circuit.input_values(&text(k), BitOrder::Lsb).unwrap()).collect();
            let packing = Packing::new(n);
            let words = packing.pack_inputs(&circuit, &instances).unwrap();
            assert_eq!(words.len(), packing.words(9));
            for (k, ports) in (0..).zip(packing.unpack_outputs(&circuit, &words).unwrap()) {
                assert_eq!(ports.iter().map(|p| p.to_hex(BitOrder::Lsb)).collect::<Vec<_>>(), text(k));
            }
            assert!(packing.unpack_outputs(&circuit, &words[1..]).is_err());
            assert!(packing.pack_inputs(&circuit, &instances[1..]).is_err());
        }
    }
}
