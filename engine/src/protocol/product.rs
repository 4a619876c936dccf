//! Products: local terms, masked by a sharing of zero, then reshared.

use crate::{
    Ctx, Error, Mode, Party, PeerFault,
    client::InputShare,
    error::Deviation,
    memory::{frame, zeros},
    mode::Sums,
    ring::{Product, Quadratic, Ring},
    share::{Matrix, Shares, View, equal_lengths, same},
    transport::Path,
};
use bytes::Bytes;
use sha2::{Digest, Sha256};

impl<M: Mode> Ctx<M> {
    /// A client's input, from the two components it sent this party.
    ///
    /// **Shape** as sent; check `len` against the job's specification before. **Cost** nothing; in malicious mode one round and 32 bytes. **Security** the
    /// components of an honest client are uniform in each party's view. In semi-honest mode they are used as they came; in malicious mode the
    /// two holders of each compare it, by hash, before it is used.
    /// **Source** Araki et al. (CCS 2016), section 2.2.
    ///
    /// # Errors
    /// [`Error::Input`] if the copies differ; [`Error::Peer`], [`Error::Link`] or [`Error::Poisoned`] from the round. Not cancel safe.
    pub async fn input<R: Ring>(&mut self, share: InputShare<R>) -> Result<Shares<R>, Error> {
        let x = share.into_shares();
        if M::COMPARES {
            let me = self.seat.me;
            let mut theirs = [0; 32];
            // Party i + 1 holds x_{i+1} as its own.
            self.pass(me.prev(), &digest(&x.own), me.next(), &mut theirs).await?;
            if theirs != digest(&x.next) {
                let peer = me.next();
                return self.poison_if(Err(Error::Input { me, peer }));
            }
        }
        Ok(x)
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
        let (z, gate) = M::quadratic(self, kernel, x, n)?;
        let z = self.reshare(z, &gate).await?;
        self.check_if_due().await?;
        Ok(z)
    }

    /// Opens a site: a record that the gates of a small circuit share, so that a wire which several of them use is recorded once.
    ///
    /// `kernel` is the small circuit as one map, from all wires to the outputs of all gates: the first wires are `x`, the
    /// outputs of a gate the next ones (but for those that no gate uses, of the last gates), in the order in which the gates follow.
    /// What a kernel says that does not fit its gates fails every check.
    ///
    /// **Shape** `I` vectors of `n` elements, the first of `W` wires. **Cost** nothing sent; in malicious mode the wires are recorded. **Security** nothing is sent; what a
    /// site records is checked as any other gate. **Source** ours.
    ///
    /// # Errors
    /// [`Error::Shape`] for vectors of different lengths.
    pub fn site<R: Ring, C: Quadratic<W, O>, const I: usize, const W: usize, const O: usize>(
        &mut self,
        kernel: &C,
        x: &[View<'_, R>; I],
    ) -> Result<Site<M>, Error> {
        const { assert!(I <= W, "a site has at least the wires it begins with") };
        let n = equal_lengths(x)?;
        self.open_sites += 1;
        let inner = M::site::<R, C, W, O>(self, kernel, x, n);
        Ok(Site { inner, path: self.path, words: n, of: [W, O], filled: [I, 0] })
    }

    /// A gate of a [`site`](Self::site).
    ///
    /// **Shape**, **Cost**, **Security** and **Source** as [`quadratic`](Self::quadratic), on vectors of the site's length.
    ///
    /// # Errors
    /// As [`quadratic`](Self::quadratic); [`Error::Shape`] if the site has no room for the gate's outputs, [`Error::ForeignStrand`] if it is not of this strand. Not cancel safe.
    pub async fn quadratic_on<R: Ring, K: Quadratic<I, O>, const I: usize, const O: usize>(
        &mut self,
        site: &mut Site<M>,
        kernel: &K,
        x: [View<'_, R>; I],
    ) -> Result<Shares<R>, Error> {
        let n = equal_lengths(&x)?;
        site.is_of(self.path)?;
        same("the gates of a site", site.words, n)?;
        let ([wires, outputs], [wire, first]) = (site.of, site.filled);
        same("the outputs of a site's gates", outputs.min(first + O), first + O)?;
        let wire = (wire + O <= wires).then_some(wire);
        let (z, gate) = M::on_site(self, (&site.inner, first, wire), kernel, x, n)?;
        site.filled = [wire.map_or(site.filled[0], |wire| wire + O), first + O];
        self.reshare(z, &gate).await
    }

    /// Ends a site. What is recorded is checked if it is enough for a batch, which it is not while a site is open.
    ///
    /// **Shape** nothing. **Cost** nothing, or that of [`check`](Self::check). **Security** a site that is not closed keeps its strand from being verified. **Source** ours.
    ///
    /// # Errors
    /// [`Error::Shape`] if the site's kernel has wires or outputs that no gate has given; as [`check`](Self::check).
    pub async fn close(&mut self, site: Site<M>) -> Result<(), Error> {
        site.is_of(self.path)?;
        same("the wires of a site", site.of[0], site.filled[0])?;
        same("the outputs of a site's gates", site.of[1], site.filled[1])?;
        self.open_sites -= 1;
        self.check_if_due().await
    }

    pub(super) async fn check_if_due(&mut self) -> Result<(), Error> {
        if self.open_sites == 0 && M::recorded(&self.log) > self.check_every { self.check().await } else { Ok(()) }
    }

    /// Sums of products of neighbouring vectors: prefix networks, dot products. One element per output is sent, whatever the number of its terms.
    ///
    /// **Shape** `x` and `y` are vectors of `words` elements, one after the other, `terms[0]` for the first sum, `terms[1]` for the next; the
    /// result has `words` elements for each sum. **Cost** one round, one element to `prev` for each of the result; in malicious mode for every 64
    /// terms of each. **Security** and **Source** as [`quadratic`](Self::quadratic).
    ///
    /// # Errors
    /// As [`quadratic`](Self::quadratic).
    pub async fn sums_of_products<R: Ring>(
        &mut self,
        x: View<'_, R>,
        y: View<'_, R>,
        terms: &[usize],
        words: usize,
    ) -> Result<Shares<R>, Error> {
        let due = terms.iter().try_fold(0_usize, |sum, &t| sum.checked_add(t)).and_then(|t| t.checked_mul(words));
        let due = due.unwrap_or(usize::MAX);
        let len = terms.len().checked_mul(words).filter(|&len| isize::try_from(len).is_ok());
        let len = len.ok_or(Error::Shape { what: "sums of products", expected: usize::MAX, got: due })?;
        same("the first factors of sums of products", due, x.len())?;
        same("the second factors of sums of products", due, y.len())?;
        let sent: Vec<usize> = terms.iter().flat_map(|&terms| parts(terms, M::TERMS)).collect();
        let (z, gate) = M::products(self, x, y, &Sums { terms: &sent, words })?;
        let partial = self.reshare(z, &gate).await?;
        self.check_if_due().await?;
        if sent.len() == terms.len() {
            return Ok(partial);
        }
        let mut sums = Shares::zeros(len);
        let mut from = 0;
        for (j, &terms) in terms.iter().enumerate() {
            for _ in parts(terms, M::TERMS) {
                sums.add_at(j * words, partial.view().slice(from, words)?)?;
                from += words;
            }
        }
        Ok(sums)
    }

    /// A matrix times a vector, read where it lies: the sum of the columns, each times an element of `y`.
    ///
    /// **Shape** a matrix of as many columns as `y` has elements, to one element for each row. **Cost** one round, one element to `prev` for each row. **Security** and **Source** as
    /// [`quadratic`](Self::quadratic).
    ///
    /// # Errors
    /// As [`quadratic`](Self::quadratic).
    pub async fn matrix_vector<R: Ring>(&mut self, matrix: &Matrix<'_, R>, y: View<'_, R>) -> Result<Shares<R>, Error> {
        for block in matrix.blocks() {
            same("the columns of a matrix", y.len(), block.columns().len())?;
        }
        let (z, gate) = M::matrix_vector(self, matrix, y)?;
        let z = self.reshare(z, &gate).await?;
        self.check_if_due().await?;
        Ok(z)
    }

    /// The dot product `sum_k x_k y_k` of two vectors.
    ///
    /// **Shape** two vectors of `n` elements to one element. **Cost**, **Security**, **Source** as [`sums_of_products`](Self::sums_of_products),
    /// of which this is one sum.
    ///
    /// # Errors
    /// As [`quadratic`](Self::quadratic).
    pub async fn dot<R: Ring>(&mut self, x: View<'_, R>, y: View<'_, R>) -> Result<Shares<R>, Error> {
        same("the second vector of a dot product", x.len(), y.len())?;
        self.sums_of_products(x, y, &[x.len()], 1).await
    }

    /// Turns masked additive shares into replicated ones: sends mine to `prev`, takes `next`'s.
    pub(crate) async fn reshare<R: Ring>(&mut self, z: Vec<R>, gate: &M::Gate) -> Result<Shares<R>, Error> {
        let n = z.len();
        let mut out = Shares::new(z, zeros(n));
        self.exchange(&out.own, &mut out.next).await?;
        self.cost.products += n as u64;
        let recorded = M::received(&mut self.log, gate, out.view());
        self.poison_if(recorded)?;
        Ok(out)
    }

    /// One round: `mine` goes to `prev`, as many elements come from `next`.
    pub(crate) async fn exchange<R: Ring>(&mut self, mine: &[R], theirs: &mut [R]) -> Result<(), Error> {
        let me = self.seat.me;
        self.round(me.prev(), frame(mine), me.next(), bytemuck::cast_slice_mut(theirs)).await
    }

    /// One round: `mine`, which is masked, goes to one peer, `theirs` comes from the other.
    pub(crate) async fn pass(&mut self, to: Party, mine: &[u8], from: Party, theirs: &mut [u8]) -> Result<(), Error> {
        self.round(to, Bytes::copy_from_slice(mine), from, theirs).await
    }

    async fn round(&mut self, to: Party, mine: Bytes, from: Party, theirs: &mut [u8]) -> Result<(), Error> {
        self.begin_round()?;
        let sent = mine.len() as u64;
        self.link.exchange(to, mine, from, theirs).await?;
        self.cost.bytes_sent += sent;
        self.end_round();
        Ok(())
    }

    /// One round of short messages with both peers: `[prev, next]`.
    pub(crate) async fn swap(&mut self, mine: [&[u8]; 2], theirs: [&mut [u8]; 2]) -> Result<(), Error> {
        self.begin_round()?;
        let peers = [self.seat.me.prev(), self.seat.me.next()];
        // Far shorter than any window: no party waits for another to read.
        for (to, mine) in peers.into_iter().zip(mine) {
            self.link.send(to, Bytes::copy_from_slice(mine)).await?;
            self.cost.bytes_sent += mine.len() as u64;
        }
        for (from, theirs) in peers.into_iter().zip(theirs) {
            self.link.recv(from, theirs).await?;
        }
        self.end_round();
        Ok(())
    }

    /// Compares a digest with both peers, in one round.
    pub(crate) async fn agree(&mut self, digest: [u8; 32], what: Deviation) -> Result<(), Error> {
        let mut theirs = [[0; 32]; 2];
        let [from_prev, from_next] = &mut theirs;
        self.swap([&digest, &digest], [from_prev, from_next]).await?;
        if theirs == [digest, digest] {
            return Ok(());
        }
        let suspects = [self.seat.me.prev(), self.seat.me.next()];
        self.poison_if(Err(Error::Abort { what, suspects }))
    }
}

/// The hash of a component, for comparison with the one other party that holds it.
pub(crate) fn digest<R: Ring>(component: &[R]) -> [u8; 32] {
    Sha256::digest(bytemuck::cast_slice(component)).into()
}

/// A sum in parts of at most `most` terms. A sum of nothing is one part.
fn parts(terms: usize, most: usize) -> impl Iterator<Item = usize> {
    (0..terms.div_ceil(most).max(1)).map(move |k| (terms - k * most).min(most))
}

/// See [`Ctx::site`].
#[must_use = "gates are recorded in it; close it"]
pub struct Site<M: Mode> {
    inner: M::Site,
    /// The strand it was opened on.
    path: Path,
    words: usize,
    /// Wires and outputs of its kernel, and how many of them there are by now.
    of: [usize; 2],
    filled: [usize; 2],
}

impl<M: Mode> Site<M> {
    fn is_of(&self, strand: Path) -> Result<(), Error> {
        if self.path == strand { Ok(()) } else { Err(Error::ForeignStrand { child: self.path, parent: strand }) }
    }
}

impl<M: Mode> std::fmt::Debug for Site<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Site(..)")
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
