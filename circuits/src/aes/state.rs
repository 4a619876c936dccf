//! A batch of blocks, bit-sliced.

use trefoil_engine::{prelude::*, simd};

/// The planes of one block.
pub(super) const PLANES: usize = 128;

/// A batch of 16-byte blocks on shares: plane `16 b + p` holds bit `b` of byte `p` of every block, lane by lane.
#[derive(Debug)]
pub struct State {
    planes: Shares<Lanes>,
    blocks: usize,
}

impl State {
    /// Wraps planes of [`Lanes::words`]`(blocks)` words each.
    pub(super) fn new(planes: Shares<Lanes>, blocks: usize) -> Self {
        debug_assert_eq!(planes.len(), PLANES * Lanes::words(blocks));
        Self { planes, blocks }
    }

    /// From shared blocks, two words each, byte 0 being the low byte of the first word. Local.
    ///
    /// # Errors
    /// [`Error::Shape`] for an odd number of words.
    pub fn from_blocks(blocks: View<'_, Lanes>) -> Result<Self, Error> {
        let n = blocks.len() / 2;
        if !blocks.len().is_multiple_of(2) {
            return Err(Error::Shape { what: "the words of AES blocks", expected: 2 * n, got: blocks.len() });
        }
        let w = Lanes::words(n);
        Ok(Self::new(Shares::rearrange(blocks, PLANES * w, |rows, out| slice(rows, w, out)), n))
    }

    /// From planes of bits: plane `8 p + b` holds bit `b` of byte `p` of every block. Local.
    ///
    /// # Errors
    /// [`Error::Shape`] for other than 128 planes of [`Lanes::words`]`(blocks)` words.
    pub fn from_planes(planes: View<'_, Lanes>, blocks: usize) -> Result<Self, Error> {
        let w = Lanes::words(blocks);
        if planes.len() != PLANES * w {
            return Err(Error::Shape { what: "the planes of AES blocks", expected: PLANES * w, got: planes.len() });
        }
        let by_bit = Shares::rearrange(planes, planes.len(), |planes, out| {
            for (plane, at) in planes.chunks_exact(w.max(1)).zip(0..) {
                let to = (at % 8 * 16 + at / 8) * w;
                out[to..to + w].copy_from_slice(plane);
            }
        });
        Ok(Self::new(by_bit, blocks))
    }

    /// A batch of public blocks. Local.
    #[must_use]
    pub fn public(me: Party, blocks: &[[u8; 16]]) -> Self {
        let w = Lanes::words(blocks.len());
        let rows: Vec<Lanes> = blocks.iter().flat_map(words).collect();
        let mut planes = vec![Lanes(0); PLANES * w];
        slice(&rows, w, &mut planes);
        Self::new(Shares::public(me, &planes), blocks.len())
    }

    /// Back to shared blocks, two words each. Local.
    #[must_use]
    pub fn to_blocks(&self) -> Shares<Lanes> {
        let w = self.words();
        let mut by_byte = vec![0; PLANES * w];
        let blocks = Shares::rearrange(self.planes.view(), 2 * self.blocks, |planes, rows| {
            if w == 0 {
                return;
            }
            for (at, plane) in planes.chunks_exact(w).enumerate() {
                let to = (at % 16 * 8 + at / 16) * w;
                by_byte[to..to + w].iter_mut().zip(plane).for_each(|(t, p)| *t = p.0);
            }
            let mut out = vec![0; rows.len()];
            simd::planes_to_rows(&by_byte, 2, &mut out);
            rows.iter_mut().zip(&mut out).for_each(|(r, o)| *r = Lanes(std::mem::take(o)));
        });
        wipe(&mut by_byte);
        blocks
    }

    /// The number of blocks.
    pub fn blocks(&self) -> usize {
        self.blocks
    }

    /// Words per plane.
    pub fn words(&self) -> usize {
        Lanes::words(self.blocks)
    }

    pub(super) fn planes(&self) -> &Shares<Lanes> {
        &self.planes
    }
}

/// The counter blocks `counter, counter + 1, ..`, big-endian and modulo 2^128 (SP 800-38A, appendix B.1).
#[must_use]
pub fn counter_blocks(counter: u128, blocks: usize) -> Vec<[u8; 16]> {
    (0..blocks).map(|k| counter.wrapping_add(k as u128).to_be_bytes()).collect()
}

fn words(block: &[u8; 16]) -> [Lanes; 2] {
    let (lo, hi) = block.split_at(8);
    [lo, hi].map(|half| Lanes(half.iter().rev().fold(0, |w, &b| w << 8 | u64::from(b))))
}

/// Rows of two words to planes in the order `16 b + p`.
fn slice(rows: &[Lanes], w: usize, out: &mut [Lanes]) {
    if w == 0 {
        return;
    }
    let mut plain: Vec<u64> = rows.iter().map(|l| l.0).collect();
    let mut by_byte = vec![0; PLANES * w];
    simd::rows_to_planes(&plain, 2, &mut by_byte);
    for (at, plane) in out.chunks_exact_mut(w).enumerate() {
        let from = (at % 16 * 8 + at / 16) * w;
        plane.iter_mut().zip(&by_byte[from..from + w]).for_each(|(p, &f)| *p = Lanes(f));
    }
    wipe(&mut plain);
    wipe(&mut by_byte);
}

/// These buffers held one component of a sharing.
fn wipe(v: &mut [u64]) {
    zeroize::Zeroize::zeroize(v);
}

#[cfg(test)]
mod tests {
    use super::*;
    use trefoil_engine::testing::on_shares;

    #[test]
    fn blocks_survive_the_planes() {
        for n in [0, 1, 63, 64, 65, 200] {
            let blocks = counter_blocks(0xffff_ffff_ffff_fff0_0123_4567_89ab_cdef, n);
            let rows: Vec<Lanes> = blocks.iter().flat_map(words).collect();
            let (out, cost) = on_shares::<SemiHonest, Lanes, _>(&[&rows], async |ctx, v| {
                let state = State::from_blocks(v[0].view())?;
                assert_eq!(state.planes().len(), State::public(ctx.me(), &blocks).planes().len());
                Ok(state.to_blocks())
            });
            assert_eq!(out, rows);
            assert_eq!(cost.bytes_sent, 0);
        }
    }

    #[test]
    fn the_counter_wraps_around() {
        assert_eq!(counter_blocks(u128::MAX, 2), [[0xff; 16], [0; 16]]);
    }
}
