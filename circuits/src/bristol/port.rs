//! Values of ports as hexadecimal integers.

use zeroize::Zeroizing;

use super::Circuit;

/// Which end of a port's hexadecimal integer its first wire is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum BitOrder {
    /// Bit `i` of the integer is wire `i` of the port: the order of the format and of its arithmetic files.
    #[default]
    Lsb,
    /// Bit `i` of the integer is wire `width - 1 - i`: the first wire is the leading bit, as in the AES files.
    Msb,
}

impl std::str::FromStr for BitOrder {
    type Err = PortFault;

    fn from_str(text: &str) -> Result<Self, PortFault> {
        match text {
            "lsb" => Ok(Self::Lsb),
            "msb" => Ok(Self::Msb),
            _ => Err(PortFault::UnknownOrder),
        }
    }
}

impl std::fmt::Display for BitOrder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Lsb => "lsb",
            Self::Msb => "msb",
        })
    }
}

/// The bits of one port, in the order of its wires.
///
/// An input in the clear is a secret of its owner: wiped on drop and not shown by `Debug`.
#[derive(Clone)]
pub struct PortValue {
    bits: Zeroizing<Vec<bool>>,
}

impl std::fmt::Debug for PortValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PortValue[{}]", self.bits.len())
    }
}

impl PortValue {
    /// A value from its bits, wire by wire.
    pub fn from_bits(bits: Vec<bool>) -> Self {
        Self { bits: Zeroizing::new(bits) }
    }

    /// Reads a hexadecimal integer, upper or lower case, with or without `0x`, for a port of `width` wires.
    /// Leading zeros may be left out or added.
    ///
    /// # Errors
    /// The text is no hexadecimal integer or does not fit `width` bits. The error never repeats the text.
    pub fn from_hex(text: &str, width: u32, order: BitOrder) -> Result<Self, PortFault> {
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
        let prefix = text.len() - digits.len();
        if digits.is_empty() {
            return Err(PortFault::Empty);
        }
        let mut bits = Zeroizing::new(vec![false; width as usize]);
        for (i, digit) in digits.chars().rev().enumerate() {
            let Some(nibble) = digit.to_digit(16) else {
                // Counted in characters: digits behind the bad one may be of several bytes too.
                return Err(PortFault::NotHexadecimal { position: prefix + digits.chars().count() - i });
            };
            for k in (0..4).filter(|k| nibble >> k & 1 == 1) {
                match bits.get_mut(4 * i + k) {
                    Some(bit) => *bit = true,
                    None => return Err(PortFault::TooWide { width }),
                }
            }
        }
        if order == BitOrder::Msb {
            bits.reverse();
        }
        Ok(Self { bits })
    }

    /// The value as a hexadecimal integer in lower case, padded to the width of the port (at least one digit).
    pub fn to_hex(&self, order: BitOrder) -> String {
        let width = self.bits.len();
        let bit = |i: usize| match order {
            _ if i >= width => false,
            BitOrder::Lsb => self.bits[i],
            BitOrder::Msb => self.bits[width - 1 - i],
        };
        (0..width.div_ceil(4).max(1))
            .rev()
            .filter_map(|digit| char::from_digit((0..4).map(|k| u32::from(bit(4 * digit + k)) << k).sum(), 16))
            .collect()
    }

    /// The bits, wire by wire.
    pub fn bits(&self) -> &[bool] {
        &self.bits
    }
}

impl Circuit {
    /// Reads one hexadecimal integer for each input port.
    ///
    /// # Errors
    /// The count of `texts` is not that of the ports, or one of them does not fit its port.
    pub fn input_values(&self, texts: &[impl AsRef<str>], order: BitOrder) -> Result<Vec<PortValue>, PortError> {
        if texts.len() != self.inputs().len() {
            return Err(PortError::PortCount { expected: self.inputs().len(), got: texts.len() });
        }
        let widths = texts.iter().zip(self.inputs());
        widths
            .enumerate()
            .map(|(port, (text, &width))| {
                PortValue::from_hex(text.as_ref(), width, order).map_err(|fault| PortError::Port { port, fault })
            })
            .collect()
    }

    /// The wires of all input ports behind one another.
    ///
    /// # Errors
    /// The values do not have the shape of the input ports.
    pub fn input_bits(&self, values: &[PortValue]) -> Result<Zeroizing<Vec<bool>>, PortError> {
        if values.len() != self.inputs().len() {
            return Err(PortError::PortCount { expected: self.inputs().len(), got: values.len() });
        }
        let mut all = Zeroizing::new(Vec::with_capacity(self.input_wires().len()));
        for (port, (value, &width)) in values.iter().zip(self.inputs()).enumerate() {
            let got = value.bits.len();
            if got != width as usize {
                return Err(PortError::Port { port, fault: PortFault::Width { expected: width as usize, got } });
            }
            all.extend_from_slice(&value.bits);
        }
        Ok(all)
    }

    /// Cuts the output wires into ports.
    ///
    /// # Errors
    /// There is not one bit for each output wire.
    pub fn output_values(&self, bits: &[bool]) -> Result<Vec<PortValue>, PortError> {
        if bits.len() != self.output_wires().len() {
            return Err(PortError::WireCount { expected: self.output_wires().len(), got: bits.len() });
        }
        let mut rest = bits;
        let ports = self.outputs().iter().map(|&width| {
            let (port, behind) = rest.split_at(width as usize);
            rest = behind;
            PortValue::from_bits(port.to_vec())
        });
        Ok(ports.collect())
    }
}

/// Values that do not fit the ports of a circuit. The caller has to act.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PortError {
    /// Another number of values than the circuit has ports.
    #[error("the circuit has {expected} input ports but {got} values were given; give one for each port, in order")]
    PortCount {
        /// Ports of the circuit.
        expected: usize,
        /// Values given.
        got: usize,
    },
    /// Another number of instances than the packing holds.
    #[error("{got} instances were given where {expected} are evaluated together")]
    InstanceCount {
        /// Instances of the packing.
        expected: usize,
        /// Instances given.
        got: usize,
    },
    /// One value does not fit its port.
    #[error("input port {port}: {fault}")]
    Port {
        /// The port, counted from 0.
        port: usize,
        /// What is wrong.
        fault: PortFault,
    },
    /// Another number of bits or words than the circuit has wires at that side.
    #[error("the circuit has {expected} wires on this side but {got} values were given")]
    WireCount {
        /// Wires of the circuit.
        expected: usize,
        /// Values given.
        got: usize,
    },
}

/// What is wrong with one value. Never repeats the value, which may be a secret.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PortFault {
    /// No digits.
    #[error("no digits; write a hexadecimal integer, for example 0 or 1f")]
    Empty,
    /// A character that is no hexadecimal digit.
    #[error("character {position} is no hexadecimal digit; use 0-9 and a-f")]
    NotHexadecimal {
        /// The character, counted from 1.
        position: usize,
    },
    /// The integer has more bits than the port has wires.
    #[error("the value needs more than the {width} bits of the port; shorten it or check the order of the inputs")]
    TooWide {
        /// Wires of the port.
        width: u32,
    },
    /// Another number of bits than the port has wires.
    #[error("{got} bits for a port of {expected} wires")]
    Width {
        /// Wires of the port.
        expected: usize,
        /// Bits given.
        got: usize,
    },
    /// A bit order that is neither of the two.
    #[error("unknown bit order; use lsb (bit i is wire i) or msb (the first wire is the leading bit)")]
    UnknownOrder,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str, width: u32) -> Result<Vec<bool>, PortFault> {
        PortValue::from_hex(text, width, BitOrder::Lsb).map(|v| v.bits().to_vec())
    }

    #[test]
    fn bit_i_is_wire_i_and_msb_reverses() {
        assert_eq!(hex("0x5", 4), Ok(vec![true, false, true, false]));
        assert_eq!(hex("13", 5), Ok(vec![true, true, false, false, true]));
        let reversed = PortValue::from_hex("13", 5, BitOrder::Msb).unwrap();
        assert_eq!(reversed.bits(), [true, false, false, true, true]);
        assert_eq!(reversed.to_hex(BitOrder::Msb), "13");
        assert_eq!(reversed.to_hex(BitOrder::Lsb), "19");
    }

    #[test]
    fn text_is_checked_against_the_width() {
        assert_eq!(hex("0001f", 5), hex("1F", 5));
        assert_eq!(hex("20", 5), Err(PortFault::TooWide { width: 5 }));
        assert_eq!(hex("0", 0), Ok(vec![]));
        assert_eq!(hex("1", 0), Err(PortFault::TooWide { width: 0 }));
        assert_eq!(hex("", 5), Err(PortFault::Empty));
        assert_eq!(hex("0x", 5), Err(PortFault::Empty));
        assert_eq!(hex("0xg1", 8), Err(PortFault::NotHexadecimal { position: 3 }));
        assert_eq!(hex("1é", 8), Err(PortFault::NotHexadecimal { position: 2 }));
        assert_eq!(hex("-1", 8), Err(PortFault::NotHexadecimal { position: 1 }));
    }

    #[test]
    fn values_are_not_printed() {
        let value = PortValue::from_hex("dead", 16, BitOrder::Lsb).unwrap();
        assert_eq!(format!("{value:?}"), "PortValue[16]");
    }

    #[test]
    fn hexadecimal_is_padded_to_the_port() {
        for (width, text) in [(0, "0"), (1, "1"), (4, "1"), (5, "01"), (64, "0000000000000001")] {
            let value = PortValue::from_hex(if width == 0 { "0" } else { "1" }, width, BitOrder::Lsb).unwrap();
            assert_eq!(value.to_hex(BitOrder::Lsb), text);
        }
    }
}
