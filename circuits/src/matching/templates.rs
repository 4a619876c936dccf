//! Templates as nodes keep them in memory.

use super::{
    Kind,
    encode::{Around, Width},
};
use crate::{arith::bits::same, program::Shape};
use std::{fmt, sync::Arc};
use trefoil_engine::{Kept, prelude::*};

/// Templates that a node keeps in memory to compare many probes with them, in the form that is best in a mode: [`Match::run_in`](super::Match::run_in).
///
/// In semi-honest mode a template takes half the memory of its shares, and half the multiplications. Wiped on drop.
pub struct Templates<M: Mode> {
    kind: Kind,
    kept: Kept<M, Z16>,
    count: usize,
}

impl<M: Mode> Templates<M> {
    /// None yet, and memory for some.
    #[must_use]
    pub fn with_capacity(kind: Kind, templates: usize) -> Self {
        Self { kind, kept: Kept::with_capacity(templates.saturating_mul(entries(kind))), count: 0 }
    }

    /// Appends templates, in the form of [`Kind::stored`].
    ///
    /// # Errors
    /// [`Error::Shape`] unless they are whole.
    pub fn push(&mut self, stored: View<'_, Z16>) -> Result<(), Error> {
        let kind = self.kind;
        let count = stored.len() / kind.entries();
        same("whole templates", kind.stored(count).elements(), stored.len())?;
        if entries(kind) == kind.entries() {
            self.kept.push(stored);
        } else {
            let zero = Shares::zeros(1);
            for k in 0..count {
                let (code, mask) = (kind.code_bits(), kind.mask_bits());
                for (from, len) in [(0, code), (code, mask)] {
                    self.kept.push(stored.slice(k * kind.entries() + from, len)?);
                    self.kept.push(zero.view().slice(0, len % 2)?);
                }
            }
        }
        self.count += count;
        Ok(())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// What they are.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Bytes that one takes in memory.
    pub const fn bytes(kind: Kind) -> usize {
        entries(kind) * Kept::<M, Z16>::ELEMENT_BYTES
    }
}

impl<M: Mode> fmt::Debug for Templates<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Templates[{} of {} bits]", self.count, self.kind.code_bits())
    }
}

/// Templates that a probe is compared with where they lie.
pub(super) enum Enrolled<M: Mode> {
    Shared(Arc<Shares<Z16>>),
    Kept(Arc<Templates<M>>),
}

impl<M: Mode> Clone for Enrolled<M> {
    fn clone(&self) -> Self {
        match self {
            Self::Shared(x) => Self::Shared(x.clone()),
            Self::Kept(x) => Self::Kept(x.clone()),
        }
    }
}

impl<M: Mode> Enrolled<M> {
    /// # Errors
    /// [`Error::Shape`] unless they are so many of a kind.
    pub(super) fn check(&self, kind: Kind, templates: usize) -> Result<(), Error> {
        let due: Shape = kind.stored(templates);
        match self {
            Self::Shared(x) => same("the templates of a gallery", due.elements(), x.len()),
            Self::Kept(x) => {
                same("the entries of a gallery's templates", kind.entries(), x.kind.entries())?;
                same("the number of a gallery's templates", templates, x.count)
            }
        }
    }

    /// The products of the codes of some templates with that of a probe in all rotations, those of a template one after the other, then the products of the masks.
    ///
    /// # Errors
    /// As [`Ctx::dots`].
    pub(super) async fn dots(
        &self,
        ctx: &mut Ctx<M>,
        kind: Kind,
        around: &Around,
        [first, count]: [usize; 2],
    ) -> Result<Shares<Z16>, Error> {
        let (of_code, width, of_mask) = (kind.code_bits(), kind.entries(), kind.mask_bits());
        match self {
            Self::Shared(templates) => {
                let [codes, masks] = around.rotations(Width::Exact)?;
                let all = templates.view().slice(first * width, count * width)?;
                let rest = all.slice(of_code, count * width - of_code)?;
                let (x, y) = (Windows::new(all, width, count, of_code)?, Windows::new(rest, width, count, of_mask)?);
                ctx.dots(&[[x, codes], [y, masks]]).await
            }
            Self::Kept(templates) => {
                let ([codes, masks], width) = (around.rotations(Width::Even)?, entries(kind));
                let rows = |at: usize, len| templates.kept.rows(first * width + at, width, [count, even(len)]);
                ctx.dots_kept(&[(rows(0, of_code)?, codes), (rows(even(of_code), of_mask)?, masks)]).await
            }
        }
    }
}

/// Integers of a template that is kept: its code and its mask each begin at an even place.
const fn entries(kind: Kind) -> usize {
    even(kind.code_bits()) + even(kind.mask_bits())
}

const fn even(len: usize) -> usize {
    len.next_multiple_of(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_kept_whole_and_of_their_kind() {
        fn check<M: Mode>(bytes: [usize; 2]) {
            let (odd, iris) = (Kind::binary(5).unwrap(), Kind::IRIS);
            assert_eq!([Templates::<M>::bytes(odd), Templates::<M>::bytes(iris)], bytes);
            let mut kept = Templates::<M>::with_capacity(odd, 1);
            assert!(kept.is_empty() && kept.push(Shares::zeros(9).view()).is_err());
            kept.push(Shares::zeros(30).view()).unwrap();
            assert_eq!((kept.len(), kept.kind(), format!("{kept:?}")), (3, odd, "Templates[3 of 5 bits]".into()));
            let all = Enrolled::Kept(Arc::new(kept));
            assert!(all.check(odd, 3).is_ok() && all.check(odd, 2).is_err() && all.check(iris, 3).is_err());
        }
        check::<SemiHonest>([24, 38_400]);
        check::<Malicious>([48, 76_800]);
    }
}
