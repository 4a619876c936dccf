//! Coins that no party knows before what they judge has been sent.
//!
//! A coin is `s_0 + s_1 + s_2`, with `s_i` drawn with the key that party `i` lacks. Whoever received the message of party `i`
//! that the coin is to judge releases `s_i` to it on arrival. Messages of gates and proofs go to different parties, so a party says that the gates' are there before
//! the other releases what judges a proof. That all saw the same coins is compared, by hash, before
//! anything is opened with them: a party told another challenge would fold its secrets with it.

use super::{ext::Ext, last};
use crate::{Ctx, Error, Malicious, PeerFault, error::Deviation, prss::Stream, ring::Z64};
use sha2::{Digest, Sha256};

/// What says that the gates' messages are there.
const ARRIVED: [u8; 1] = [1];

/// The coins of one check, and their hash.
pub struct Coins {
    seen: Sha256,
}

impl Coins {
    pub fn new() -> Self {
        Self { seen: Sha256::new_with_prefix(b"trefoil/v1/coins") }
    }

    /// After the gates' messages, which went to `prev`.
    ///
    /// Those of `prev` have gone to `next`, which says that they are there. Without that, `prev` could keep them back until this party releases the first challenge, which comes after a
    /// proof, and choose errors that cancel at that point whatever their weights.
    pub async fn after_gates(&mut self, ctx: &mut Ctx<Malicious>) -> Result<[u8; 16], Error> {
        let [for_next, for_prev] = pieces(ctx)?;
        let (mut mine, mut arrived) = ([0; 16], [0; ARRIVED.len()]);
        ctx.swap([&ARRIVED, &for_next], [&mut mine, &mut arrived]).await?;
        if arrived != ARRIVED {
            let fault = PeerFault::Malformed("another word where it says that messages have arrived".into());
            return Err(Error::Peer { peer: ctx.me().next(), fault });
        }
        Ok(self.add([for_next, for_prev, mine]))
    }

    /// After a proof, which went to `next`: `n` points.
    pub async fn challenge<E: Ext>(&mut self, ctx: &mut Ctx<Malicious>, n: u32) -> Result<Vec<E>, Error> {
        let mut stream = Stream::with_key(self.after_proof(ctx).await?);
        let mut points = vec![Z64(0); n as usize];
        stream.fill(&mut points)?;
        Ok(points.into_iter().map(|p| E::point(p.0)).collect())
    }

    /// After the last proof: a point at which no value is open.
    pub async fn last<E: Ext>(&mut self, ctx: &mut Ctx<Malicious>) -> Result<E, Error> {
        let mut stream = Stream::with_key(self.after_proof(ctx).await?);
        loop {
            let mut point = [Z64(0)];
            stream.fill(&mut point)?;
            if point[0].0 > last::PAIRS as u64 {
                return Ok(E::point(point[0].0));
            }
        }
    }

    async fn after_proof(&mut self, ctx: &mut Ctx<Malicious>) -> Result<[u8; 16], Error> {
        let me = ctx.me();
        let [for_next, for_prev] = pieces(ctx)?;
        let mut mine = [0; 16];
        ctx.pass(me.prev(), &for_prev, me.next(), &mut mine).await?;
        Ok(self.add([for_next, for_prev, mine]))
    }

    fn add(&mut self, pieces: [[u8; 16]; 3]) -> [u8; 16] {
        let coin = pieces.iter().fold(0, |sum, piece| sum ^ u128::from_le_bytes(*piece)).to_le_bytes();
        self.seen.update(coin);
        coin
    }

    /// Compares all coins with both peers.
    ///
    /// # Errors
    /// [`Error::Abort`] if a peer saw others.
    pub async fn agree(self, ctx: &mut Ctx<Malicious>) -> Result<(), Error> {
        ctx.agree(self.seen.finalize().into(), Deviation::Coins).await
    }
}

/// The pieces this party knows: that which `next` lacks, and that which `prev` lacks.
fn pieces(ctx: &mut Ctx<Malicious>) -> Result<[[u8; 16]; 2], Error> {
    let mut pieces = [[0; 16]; 2];
    let (own, next) = ctx.prss.streams();
    own.fill_bytes(&mut pieces[0])?;
    next.fill_bytes(&mut pieces[1])?;
    Ok(pieces)
}
