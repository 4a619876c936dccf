//! What the checks of the malicious mode cost: the record of a strand, kept in sizes alone.

use trefoil_engine::{CHECK_EVERY, Cost, Lanes};

/// Words of a line, and of the rows of a full block; a chunk is made of blocks and a line.
const LINE: usize = 8;
const BLOCK: usize = 64 * LINE;
/// Variables of the first grid, at most.
const VARIABLES: u32 = 6;
/// Bytes of a value of the field, of a coin, and of two hashes.
const VALUE: u64 = 8;
const COIN: u64 = 16;
const HASHES: u64 = 64;
/// By which a party says that the gates' messages are there.
const ARRIVED: u64 = 1;

/// The copies of the input are compared, and in the end that all have accepted.
const FRAME: Cost = Cost { rounds: 2, bytes_sent: 32 + HASHES, products: 0 };

/// What one kind of gate records on bits: a plane for each wire and for each output.
#[derive(Clone, Copy)]
pub(super) struct Gate {
    pub(super) wires: usize,
    /// Products as which its form can be written.
    pub(super) products: usize,
    pub(super) outputs: usize,
}

/// The gates of a strand that were not yet checked, all of one kind, and what its checks have cost.
pub(super) struct Record {
    gate: Gate,
    /// Words filled of each chunk, and words there is room for.
    chunks: Vec<(usize, usize)>,
    checks: Cost,
    bytes: u64,
}

impl Record {
    pub(super) fn new(gate: Gate) -> Self {
        Self { gate, chunks: Vec::new(), checks: Cost::default(), bytes: 0 }
    }

    /// Gates on so many words; and a check, if they fill a batch.
    pub(super) fn gates(&mut self, words: usize) {
        match self.chunks.last_mut() {
            Some((filled, room)) if *room - *filled >= words => *filled += words,
            _ => {
                let room = words.max(1).next_multiple_of(BLOCK);
                self.chunks.push((words, room));
                self.bytes += self.planes() * (room + LINE) as u64 * size_of::<Lanes>() as u64;
            }
        }
        if self.held() > CHECK_EVERY {
            self.check();
        }
    }

    /// Both components of all wires and outputs.
    fn planes(&self) -> u64 {
        2 * (self.gate.wires + self.gate.outputs) as u64
    }

    fn held(&self) -> usize {
        self.chunks.iter().map(|(_, room)| (room + LINE) * size_of::<Lanes>()).sum::<usize>() * self.planes() as usize
    }

    fn check(&mut self) {
        let chunks = std::mem::take(&mut self.chunks);
        if !chunks.is_empty() {
            let cost = one(self.gate.products, &chunks.iter().map(|(filled, _)| *filled).collect::<Vec<_>>());
            self.checks.rounds += cost.rounds;
            self.checks.bytes_sent += cost.bytes_sent;
        }
    }

    /// Takes strands back that ran side by side, checks what is left, and gives the cost of all checks and the bytes recorded.
    pub(super) fn end(mut self, strands: Vec<Self>) -> (Cost, u64) {
        let side_by_side = strands.iter().map(|s| s.checks.rounds).max().unwrap_or(0);
        for strand in strands {
            self.chunks.extend(strand.chunks);
            self.checks.bytes_sent += strand.checks.bytes_sent;
            self.bytes += strand.bytes;
        }
        self.check();
        let rounds = self.checks.rounds + side_by_side + FRAME.rounds;
        (Cost { rounds, bytes_sent: self.checks.bytes_sent + FRAME.bytes_sent, products: 0 }, self.bytes)
    }
}

/// One check of gates in chunks of so many words: seven rounds and two for each level.
fn one(products: usize, chunks: &[usize]) -> Cost {
    let words: usize = chunks.iter().sum();
    let r = (3..=VARIABLES).rev().find(|r| words >= LINE * 3_usize.pow(*r)).unwrap_or(3);
    let blocks: usize = chunks.iter().map(|words| words.div_ceil(LINE << r)).sum();
    let mut left = padded(Lanes::COUNT * products * blocks);
    let mut levels = 1;
    // What is left at the end is opened under masks.
    while left > 8 {
        levels += 1;
        left = if left / 8 > 8 { padded(left / 8) } else { left / 8 };
    }
    let grid = 3_u64.pow(r) - (1 << r);
    let values = grid + 26 * levels + 16 + 6;
    Cost { rounds: 7 + 2 * levels, bytes_sent: COIN * (3 + levels) + VALUE * values + HASHES + ARRIVED, products: 0 }
}

/// The length of a vector that has eight parts of one length; long parts are an odd number of lines.
fn padded(len: usize) -> usize {
    let part = len.div_ceil(8);
    8 * if part < 64 { part } else { part.next_multiple_of(LINE) | LINE }
}
