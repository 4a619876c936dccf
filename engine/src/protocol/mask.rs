//! From bits to integers: a masked value is shown to two parties, and becomes their component.

use super::copies_agree;
use crate::{
    Ctx, Error, Mode, Party,
    memory::frame,
    ring::{Lanes, Ring},
    share::{Shares, View},
};
use bytes::Bytes;

/// One-time masks: uniformly random components 1 and 2, beside a component 0 of zero. P1 knows both, P0 the first and P2 the second.
///
/// Used up by [`Ctx::unmask`].
///
/// ```compile_fail
/// fn copy(m: &trefoil_engine::Masks<trefoil_engine::Z64>) -> trefoil_engine::Masks<trefoil_engine::Z64> { m.clone() }
/// ```
#[derive(Debug)]
#[must_use = "a mask that hides nothing was drawn in vain"]
pub struct Masks<R: Ring>(Shares<R>);

impl<R: Ring> Masks<R> {
    /// The number of masks.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The sharing `(0, m_1, m_2)`, of which [`View::components`] gives `m_1` and `m_2`.
    pub fn view(&self) -> View<'_, R> {
        self.0.view()
    }
}

impl<M: Mode> Ctx<M> {
    /// `len` one-time masks.
    ///
    /// **Shape** `len` elements. **Cost** nothing. **Security** and **Source** as [`random`](Self::random).
    ///
    /// # Errors
    /// [`Error::StreamExhausted`].
    pub fn masks<R: Ring>(&mut self, len: usize) -> Result<Masks<R>, Error> {
        let me = self.seat.me;
        let mut m = Shares::zeros(len);
        let (own, next) = self.prss.streams();
        // Nobody draws with the key of component 0.
        if me != Party::P0 {
            own.fill(&mut m.own)?;
        }
        if me != Party::P2 {
            next.fill(&mut m.next)?;
        }
        Ok(Masks(m))
    }

    /// Shares of `x` from the bits of `d = x - m_1 - m_2`: the bits are shown to P0 and P2, and `to_elements` makes them component 0 of
    /// the result, beside the masks as components 1 and 2.
    ///
    /// | | knows of `d = d_0 + d_1 + d_2` | is sent | then holds |
    /// |---|---|---|---|
    /// | P0 | `d_0`, `d_1` | `d_2`, by P1 | `d`, `m_1` |
    /// | P1 | `d_1`, `d_2` | | `m_1`, `m_2` |
    /// | P2 | `d_2`, `d_0` | `d_1`, by P0 | `m_2`, `d` |
    ///
    /// **Shape** as many masks as `to_elements` makes of the words of `d`. **Cost** one round, the words of `d` by P0 and by P1; in malicious mode 32 bytes by P1 and by P2.
    /// **Security** this opens before the gates behind `d` are checked, which is safe if bit `k` of `d` is bit `k` of either mask
    /// plus a function of lower bits of the masks, as in every subtraction by carries, *whatever errors are added to gates within it*: then for any `x`, any errors
    /// and the one mask that P0 or P2 knows, the map from the other mask to `d` is triangular with ones on its diagonal, hence a bijection, and `d` is uniform to
    /// that party. P1 is shown nothing. That the words are the right ones follows in malicious mode from the other holder's hash, that `d` is from the
    /// check of the gates. Each mask is used once, since it is taken by value.
    /// **Source** Mohassel and Rindal (CCS 2018, section 5.3), with gates checked later and the argument above.
    ///
    /// # Errors
    /// [`Error::Abort`] if the copies differ; [`Error::Peer`], [`Error::Link`] or [`Error::Poisoned`] from the round. Not cancel safe.
    pub async fn unmask<R: Ring>(
        &mut self,
        masks: Masks<R>,
        d: View<'_, Lanes>,
        to_elements: impl FnOnce(&[Lanes], &mut [R]),
    ) -> Result<Shares<R>, Error> {
        let me = self.seat.me;
        let mut shown = Shares::<Lanes>::zeros(if me == Party::P1 { 0 } else { d.len() });
        self.show(d, &mut shown.own).await?;
        let Masks(mut x) = masks;
        if me != Party::P1 {
            for ((word, &a), &b) in shown.own.iter_mut().zip(d.own).zip(d.next) {
                *word = *word + a + b;
            }
            to_elements(&shown.own, if me == Party::P0 { &mut x.own } else { &mut x.next });
        }
        Ok(x)
    }

    /// Sends P0 and P2 the component that each lacks.
    async fn show(&mut self, d: View<'_, Lanes>, third: &mut [Lanes]) -> Result<(), Error> {
        let me = self.seat.me;
        let hash = if me == Party::P0 { [0; 32] } else { super::digest(d.own) };
        let mut theirs = [0; 32];
        self.begin_round()?;
        let mut sent = 0;
        if M::COMPARES && me != Party::P0 {
            // P2 is the other holder of what P0 lacks, P1 of what P2 lacks. Far shorter than any window.
            self.link.send(if me == Party::P2 { Party::P0 } else { Party::P2 }, Bytes::copy_from_slice(&hash)).await?;
            sent += hash.len();
        }
        match me {
            Party::P0 => {
                let (mine, into) = (frame(d.next), bytemuck::cast_slice_mut(third));
                sent += mine.len();
                self.link.exchange(Party::P2, mine, Party::P1, into).await?;
                if M::COMPARES {
                    self.link.recv(Party::P2, &mut theirs).await?;
                }
            }
            Party::P1 => {
                let mine = frame(d.next);
                sent += mine.len();
                self.link.send(Party::P0, mine).await?;
            }
            Party::P2 => {
                self.link.recv(Party::P0, bytemuck::cast_slice_mut(third)).await?;
                if M::COMPARES {
                    self.link.recv(Party::P1, &mut theirs).await?;
                }
            }
        }
        self.cost.bytes_sent += sent as u64;
        self.end_round();
        if M::COMPARES && me != Party::P1 {
            let agree = copies_agree(me, third, theirs);
            return self.poison_if(agree);
        }
        Ok(())
    }
}
