//! Products: local terms, masked by a sharing of zero, then reshared.

use crate::{
    Ctx, Error, Mode, PeerFault,
    client::InputShare,
    memory::{frame, zeros},
    ring::{Bilinear, Product, Quadratic, Ring},
    share::{Shares, View, components, equal_lengths, same, split_planes},
};

impl<M: Mode> Ctx<M> {
    /// A client's input, from the two components it sent this party.
    ///
    /// **Shape** as sent; check `len` against the job's specification before. **Cost** nothing. **Security** the
    /// components of an honest client are uniform in each party's view. In semi-honest mode they are used as they came.
    /// **Source** Araki et al. (CCS 2016), section 2.2.
    pub fn input<R: Ring>(&mut self, share: InputShare<R>) -> Shares<R> {
        share.into_shares()
    }

    /// `len` uniformly random elements that no party knows.
    ///
    /// **Shape** `len` elements. **Cost** nothing. **Security** PRSS: each party lacks one of the three keys.
    /// **Source** Cramer, Damgard, Ishai (TCC 2005).
    ///
    /// # Errors
    /// [`Error::StreamExhausted`].
    pub fn random<R: Ring>(&mut self, len: usize) -> Result<Shares<R>, Error> {
        self.prss.random(len)
    }

    /// The element-wise product; AND for [`Lanes`](crate::Lanes).
    ///
    /// **Shape** two vectors of `n` elements to one of `n`. **Cost** one round, `n` elements to `prev`.
    /// **Security** and **Source** as [`quadratic`](Self::quadratic), of which this is the kernel `xy`.
    ///
    /// # Errors
    /// As [`quadratic`](Self::quadratic).
    pub async fn mul<R: Ring>(&mut self, x: View<'_, R>, y: View<'_, R>) -> Result<Shares<R>, Error> {
        self.quadratic(&Product, [x, y]).await
    }

    /// Any map of degree at most two, element by element, in one round: products, sums of products, the layers of a
    /// tower-field inversion.
    ///
    /// **Shape** `I` vectors of `n` elements to `O` planes of `n` elements, one after the other in the result.
    /// **Cost** one round, `O * n` elements to `prev`, whatever the number of products inside the kernel.
    /// **Security** what `next` sends is its additive share masked by a fresh sharing of zero, hence uniform to this
    /// party, which lacks one of the two keys of that mask.
    /// **Source** Araki et al. (CCS 2016), section 2.2, widened from `xy` to any quadratic map; see [`Quadratic`].
    ///
    /// # Errors
    /// [`Error::Shape`] for vectors of different lengths; [`Error::Peer`], [`Error::Link`] or [`Error::Poisoned`] from the
    /// round. Not cancel safe.
    pub async fn quadratic<R: Ring, K: Quadratic<I, O>, const I: usize, const O: usize>(
        &mut self,
        kernel: &K,
        x: [View<'_, R>; I],
    ) -> Result<Shares<R>, Error> {
        let n = equal_lengths(&x)?;
        let mut z = self.prss.zero::<R>(O * n)?;
        let (own, next) = components(&x);
        R::quadratic(kernel, own, next, split_planes::<R, O>(&mut z, n));
        self.reshare(&x, z).await
    }

    /// A bilinear map of two whole vectors: dot products and matrix products, one element per output.
    ///
    /// **Shape** as the kernel says; `len` outputs. **Cost** one round, `len` elements to `prev`.
    /// **Security** and **Source** as [`quadratic`](Self::quadratic):
    /// `B(x_i + x_{i+1}, y_i + y_{i+1}) - B(x_{i+1}, y_{i+1})` plus a sharing of zero.
    ///
    /// # Errors
    /// As [`quadratic`](Self::quadratic), but for the lengths, which are the kernel's affair.
    pub async fn bilinear<R: Ring>(
        &mut self,
        kernel: &impl Bilinear<R>,
        x: View<'_, R>,
        y: View<'_, R>,
        len: usize,
    ) -> Result<Shares<R>, Error> {
        let sum = |v: View<'_, R>| {
            Shares::new(v.own.iter().zip(v.next).map(|(&a, &b)| a + b).collect(), vec![R::default(); v.len()])
        };
        let (xs, ys) = (sum(x), sum(y));
        // The kernel never sees the mask: one that assigned where it should add would send bare terms, with a right result.
        let mut terms = Shares::<R>::zeros(len);
        kernel.eval(&xs.own, &ys.own, &mut terms.own);
        kernel.eval(x.next, y.next, &mut terms.next);
        let mut z = self.prss.zero::<R>(len)?;
        for ((z, &both), &one) in z.iter_mut().zip(&terms.own).zip(&terms.next) {
            *z = *z + both - one;
        }
        self.reshare(&[x, y], z).await
    }

    /// The dot product `sum_k x_k y_k` of two vectors. One element is sent, whatever their length.
    ///
    /// **Shape** two vectors of `n` elements to one element. **Cost** one round, one element to `prev`.
    /// **Security**, **Source** as [`bilinear`](Self::bilinear).
    ///
    /// # Errors
    /// As [`quadratic`](Self::quadratic).
    pub async fn dot<R: Ring>(&mut self, x: View<'_, R>, y: View<'_, R>) -> Result<Shares<R>, Error> {
        struct Dot;
        impl<R: Ring> Bilinear<R> for Dot {
            fn eval(&self, x: &[R], y: &[R], out: &mut [R]) {
                out[0] = x.iter().zip(y).fold(out[0], |sum, (&x, &y)| sum + x * y);
            }
        }
        same("the second vector of a dot product", x.len(), y.len())?;
        self.bilinear(&Dot, x, y, 1).await
    }

    /// Turns masked additive shares into replicated ones: sends mine to `prev`, takes `next`'s.
    async fn reshare<R: Ring>(&mut self, inputs: &[View<'_, R>], z: Vec<R>) -> Result<Shares<R>, Error> {
        let n = z.len();
        let mut out = Shares::new(z, zeros(n));
        self.exchange(&out.own, &mut out.next).await?;
        self.cost.products += out.len() as u64;
        M::record(&mut self.log, inputs, &out);
        Ok(out)
    }

    /// One round: `mine` goes to `prev`, as many elements come from `next`.
    pub(crate) async fn exchange<R: Ring>(&mut self, mine: &[R], theirs: &mut [R]) -> Result<(), Error> {
        self.begin_round()?;
        let frame = frame(mine);
        let sent = frame.len() as u64;
        let me = self.seat.me;
        self.link.exchange(me.prev(), frame, me.next(), bytemuck::cast_slice_mut(theirs)).await?;
        self.cost.bytes_sent += sent;
        self.end_round();
        Ok(())
    }
}

impl PeerFault {
    /// The fault of a frame whose length is not the one due, if it is one. For implementations of
    /// [`Link`](crate::transport::Link).
    ///
    /// # Errors
    /// [`PeerFault::WrongLength`] if the lengths differ.
    pub fn length(expected: usize, got: usize) -> Result<(), Self> {
        if expected == got { Ok(()) } else { Err(Self::WrongLength { expected, got }) }
    }
}
