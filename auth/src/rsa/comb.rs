//! Raising one base to several secret exponents in constant time.

use crypto_bigint::{
    BoxedUint, Choice, CtAssign, MontyForm, MontyMultiplier,
    modular::{BoxedMontyForm, BoxedMontyParams},
};
use zeroize::Zeroizing;

/// Bits of an exponent that are taken at once, as far apart as can be. The table has a product for each set of them: of a modulus of
/// 2,048 bits it is 8 KiB, which stays in the first-level cache while it is read from end to end for each factor.
const TEETH: u32 = 5;

/// The powers of one base that its exponentiations share: `base^(2^(c t))` for each tooth t of a comb with c columns, and the product of
/// each set of them (Lim and Lee, CRYPTO 1994). For exponents of b bits making it takes 4/5 b squarings, and raising to an exponent 1/5 b
/// squarings and as many products; a window of four bits would take 5/4 b for each exponent.
///
/// Erased when dropped: the base is blinded, and its powers would unblind it.
pub(super) struct Comb {
    columns: u32,
    products: Vec<Zeroizing<BoxedUint>>,
    ring: BoxedMontyParams,
}

impl Comb {
    /// For exponents of so many bits.
    pub(super) fn new(base: &BoxedMontyForm, bits: u32) -> Self {
        let ring = base.params().clone();
        let columns = bits.div_ceil(TEETH);
        let mut products = Vec::with_capacity(1 << TEETH);
        products.push(Zeroizing::new(BoxedMontyForm::one(&ring).to_montgomery()));
        let mut times = multiplier(&ring);
        let mut tooth = Zeroizing::new(base.clone());
        for t in 0..TEETH {
            if t > 0 {
                (0..columns).for_each(|_| times.square_assign(&mut tooth));
            }
            for set in 0..1 << t {
                let mut product = Zeroizing::new(form(&products[set], &ring));
                times.mul_assign(&mut product, &tooth);
                products.push(Zeroizing::new(product.to_montgomery()));
            }
        }
        drop(times);
        Self { columns, products, ring }
    }

    /// The base, raised. The time depends on the modulus and on the widths alone: each factor is found by reading all of them.
    pub(super) fn raise(&self, exponent: &BoxedUint) -> BoxedMontyForm {
        let mut times = multiplier(&self.ring);
        let mut power = BoxedMontyForm::one(&self.ring);
        let mut factor = Zeroizing::new(power.clone());
        for column in (0..self.columns).rev() {
            times.square_assign(&mut power);
            let set = (0..TEETH).fold(0, |set, t| set | bit(exponent, column + t * self.columns) << t);
            for (candidate, product) in (0..).zip(&self.products) {
                factor.as_montgomery_mut().ct_assign(product, Choice::from_u64_eq(candidate, set));
            }
            times.mul_assign(&mut power, &factor);
        }
        power
    }
}

/// A bit of a number, 0 beyond its width. Which one is public.
fn bit(number: &BoxedUint, place: u32) -> u64 {
    number.as_words().get((place / u64::BITS) as usize).map_or(0, |word| word >> (place % u64::BITS) & 1)
}

fn form(value: &BoxedUint, ring: &BoxedMontyParams) -> BoxedMontyForm {
    BoxedMontyForm::from_montgomery(value.clone(), ring)
}

fn multiplier(ring: &BoxedMontyParams) -> <BoxedMontyForm as MontyForm>::Multiplier<'_> {
    ring.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crypto_bigint::Odd;
    use proptest::prelude::*;

    fn number(bytes: &[u8], bits: u32) -> BoxedUint {
        BoxedUint::from_be_slice_truncated(bytes, bits)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn a_comb_raises_as_a_window_does(
            mut modulus in prop::collection::vec(any::<u8>(), 32),
            base in prop::collection::vec(any::<u8>(), 32),
            exponents in prop::collection::vec(prop::collection::vec(any::<u8>(), 40), 2),
            // Widths that the teeth divide, and widths that they do not.
            width in 1..=5_u32,
        ) {
            modulus[0] |= 0x80;
            modulus[31] |= 1;
            let modulus: Odd<BoxedUint> = Option::from(number(&modulus, 256).to_odd()).expect("odd");
            let ring = BoxedMontyParams::new_vartime(modulus);
            let base = BoxedMontyForm::new(number(&base, 256), &ring);
            let comb = Comb::new(&base, 64 * width);
            for exponent in exponents.iter().map(|bytes| number(bytes, 64 * width)) {
                prop_assert_eq!(comb.raise(&exponent), base.pow(&exponent));
            }
            for edge in [BoxedUint::zero_with_precision(64 * width), BoxedUint::max(64 * width)] {
                prop_assert_eq!(comb.raise(&edge), base.pow(&edge));
            }
        }
    }
}
