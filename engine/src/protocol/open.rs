//! What a verified strand can do: open, reveal, output.

use super::digest;
use crate::{
    Cost, Ctx, Error, Mode, Party, client::OutputShare, error::Deviation, memory::frame, ring::Ring, share::View,
};
use bytes::Bytes;
use sha2::{Digest, Sha256};

impl<M: Mode> Ctx<M> {
    /// Checks what is recorded now, and goes on. For a strand that forks one which is to open something before this one ends, and for one that
    /// will be idle for a while: what is recorded is memory that is held. A strand whose check has failed is poisoned.
    ///
    /// **Cost** nothing in semi-honest mode. In malicious mode, for each ring in which gates are recorded, `7 + 2 l` rounds and
    /// `16 (l + 3) + v (3^r - 2^r + 26 l + 22) + 65` bytes to both peers together, where a value has `v` bytes: 8 for bits, `64 k / 8` for integers modulo
    /// `2^k`. With `w` words recorded, a gate's inputs on one word of lanes being one, `r` is the largest number from 3 to 6 with `w >= 8 * 3^r`
    /// (at most 5 for integers; 3 if there is none). With `b` blocks of `8 * 2^r` words, `l` is one more than the number of times that an eighth is taken of
    /// `64 b p` values (`b p` for integers), `p` being the products as which a gate's terms of degree two are written (one for a product, 11 for an S-box), until at most 8 are left: about
    /// `log_8(64 b p)`, so that a batch eight times as large has two rounds more. More than 8 values are filled up to eight parts of one length, which from 64 on is an odd number of lines of 8. Products of
    /// matrices add `64 e` values (`e` for integers), `e` being the eighths, rounded up, of the summed widths of those with a matrix of one row, and of the others; of a ring in which nothing else is recorded, the first grid
    /// falls away: `5 + 2 l` rounds and `16 (l + 2) + v (26 l + 22) + 65` bytes.
    ///
    /// **Shape** nothing. **Security** a wrong gate is accepted with probability below `2^-57`; nobody learns anything (see the [manual](crate::manual)). **Source** Boneh et al.
    /// (CRYPTO 2019), Boyle et al. (CCS 2019).
    ///
    /// # Errors
    /// [`Error::OpenSite`] if a site was not closed, [`Error::Abort`] if the check fails; [`Error::Peer`], [`Error::Link`] or [`Error::Poisoned`] from its rounds. Not cancel safe.
    pub async fn check(&mut self) -> Result<(), Error> {
        if self.open_sites != 0 {
            return Err(Error::OpenSite(self.open_sites));
        }
        self.begin_check()?;
        let checked = M::check(self).await;
        self.poison_if(checked)?;
        self.end_check();
        Ok(())
    }

    /// Checks every gate of this strand and of those joined into it, and ends it: from here on values can be opened but
    /// nothing can be multiplied.
    ///
    /// **Shape** nothing. **Cost** that of [`check`](Self::check); in malicious mode one round and 64 bytes more, by which all say that they have accepted. **Security** what a
    /// [`Verified`] opens was checked by all. **Source** as [`check`](Self::check).
    ///
    /// # Errors
    /// [`Error::UnjoinedFork`] if a forked strand was not joined, [`Error::OpenSite`] if a site was not closed, [`Error::Unchecked`] if the strand was forked from one whose gates were not
    /// all checked by then, [`Error::Poisoned`] if a round or a check failed,
    /// [`Error::Abort`] if the mode's check fails.
    pub async fn verify(mut self) -> Result<Verified<M>, Error> {
        self.ready()?;
        if self.rests_on_unchecked() {
            return Err(Error::Unchecked { child: self.path });
        }
        self.check().await?;
        if M::COMPARES {
            // Whoever rejected has left by now: nothing is opened that not everybody accepted.
            let account = [self.cost.rounds.to_le_bytes(), self.cost.products.to_le_bytes()].concat();
            let digest = Sha256::new_with_prefix(b"trefoil/v1/accepted").chain_update(account).finalize().into();
            self.agree(digest, Deviation::Account).await?;
        }
        Ok(Verified { ctx: self })
    }
}

/// A strand whose gates have all been checked: the only thing that can open or release a value.
///
/// Made by [`Ctx::verify`] alone, and nothing can be computed on it any more.
///
/// ```compile_fail
/// use trefoil_engine::prelude::*;
/// fn unchecked(ctx: Ctx<SemiHonest>) -> Verified<SemiHonest> { Verified { ctx } }
/// ```
/// ```compile_fail
/// use trefoil_engine::prelude::*;
/// async fn afterwards(mut v: Verified<SemiHonest>, x: View<'_, Z64>) { let _ = v.mul(x, x).await; }
/// ```
/// ```compile_fail
/// use trefoil_engine::prelude::*;
/// async fn go_on(mut ctx: Ctx<SemiHonest>, x: View<'_, Z64>) {
///     let checked = ctx.verify().await;
///     let _ = ctx.mul(x, x).await;
/// }
/// ```
#[derive(Debug)]
pub struct Verified<M: Mode> {
    ctx: Ctx<M>,
}

impl<M: Mode> Verified<M> {
    /// What the strand has cost, openings included.
    pub fn cost(&self) -> Cost {
        self.ctx.cost
    }

    pub(crate) fn into_strand(self) -> Ctx<M> {
        self.ctx
    }

    /// The party this strand computed for.
    pub fn me(&self) -> Party {
        self.ctx.seat.me
    }

    /// Opens a vector to all three parties.
    ///
    /// **Shape** `n` elements. **Cost** one round, `n` elements to `prev`; in malicious mode a round and 32 bytes more. **Security** the missing component is a function
    /// of the opened value and the two held ones, so nothing but the value is learnt. In malicious mode it is compared with the hash of its other holder.
    /// **Source** Araki et al. (CCS 2016), section 2.2.
    ///
    /// # Errors
    /// [`Error::Peer`], [`Error::Link`] or [`Error::Poisoned`]. Not cancel safe.
    pub async fn open<R: Ring>(&mut self, x: View<'_, R>) -> Result<Vec<R>, Error> {
        // Party i lacks x_{i+2}, which is the `next` component of party i+1 and the own one of party i-1.
        let c = &mut self.ctx;
        let me = c.seat.me;
        let mut third = vec![R::default(); x.len()];
        if !M::COMPARES {
            c.exchange(x.next, &mut third).await?;
            return Ok(sum(x, &third));
        }
        let mut hash = [0; 32];
        c.pass(me.next(), &digest(x.own), me.prev(), &mut hash).await?;
        c.exchange(x.next, &mut third).await?;
        let agree = copies_agree(me, &third, hash);
        c.poison_if(agree)?;
        Ok(sum(x, &third))
    }

    /// Opens a vector to one party; the others get `None`.
    ///
    /// **Shape** `n` elements. **Cost** one round, `n` elements from the receiver's `next` to it; in malicious mode 32 bytes from its `prev`.
    /// **Security** and **Source** as [`open`](Self::open); the two others receive nothing.
    ///
    /// # Errors
    /// As [`open`](Self::open). Not cancel safe.
    pub async fn reveal_to<R: Ring>(&mut self, to: Party, x: View<'_, R>) -> Result<Option<Vec<R>>, Error> {
        let c = &mut self.ctx;
        let me = c.seat.me;
        c.begin_round()?;
        let mut opened = None;
        if me == to {
            let mut third = vec![R::default(); x.len()];
            c.link.recv(me.next(), bytemuck::cast_slice_mut(&mut third)).await?;
            if M::COMPARES {
                let mut hash = [0; 32];
                c.link.recv(me.prev(), &mut hash).await?;
                let agree = copies_agree(me, &third, hash);
                c.poison_if(agree)?;
            }
            opened = Some(sum(x, &third));
        } else if me == to.next() {
            let frame = frame(x.next);
            c.cost.bytes_sent += frame.len() as u64;
            c.link.send(to, frame).await?;
        } else if M::COMPARES {
            let hash = digest(x.own);
            c.cost.bytes_sent += hash.len() as u64;
            c.link.send(to, Bytes::copy_from_slice(&hash)).await?;
        }
        c.end_round();
        Ok(opened)
    }

    /// This party's two components of a vector, for the client that is to learn it.
    ///
    /// **Shape** `n` elements. **Cost** nothing; the client fetches `2n` elements from each party, or `n` and a digest.
    /// **Security** the client compares the doubly held components before it adds them up
    /// ([`reconstruct`](crate::client::reconstruct)). **Source** Araki et al. (CCS 2016), section 2.2.
    ///
    /// # Errors
    /// [`Error::Poisoned`] if an opening failed.
    pub fn output<R: Ring>(&self, x: View<'_, R>) -> Result<OutputShare<R>, Error> {
        if self.ctx.poisoned() { Err(Error::Poisoned) } else { Ok(OutputShare::new(self.ctx.seat.me, x.to_shares())) }
    }
}

/// Compares the component that came from `next` with the hash that came from `prev`, its other holder.
pub(super) fn copies_agree<R: Ring>(me: Party, third: &[R], hash: [u8; 32]) -> Result<(), Error> {
    if digest(third) == hash {
        return Ok(());
    }
    Err(Error::Abort { what: Deviation::Opening, suspects: [me.next(), me.prev()] })
}

fn sum<R: Ring>(x: View<'_, R>, third: &[R]) -> Vec<R> {
    x.own.iter().zip(x.next).zip(third).map(|((&a, &b), &c)| a + b + c).collect()
}
