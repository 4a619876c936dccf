//! Customers whose labels no count tells, and what the area under the ROC curve of all customers can be with them.

use super::Bounds;

/// Customers of owners with too few good or bad ones to be counted by label.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct LeftOut {
    /// All of them.
    pub(crate) customers: u64,
    /// Those who are not even counted without labels.
    pub(crate) uncounted: u64,
    /// Fewer good, or fewer bad, customers of an owner are too few.
    pub(crate) minimum: u64,
}

impl LeftOut {
    /// What is told of them and what is not, for people: what follows the number of these customers.
    pub(crate) fn words(&self) -> String {
        let Self { customers, uncounted, minimum } = *self;
        let of = format!("are of owners with fewer than {minimum} good or bad ones");
        if uncounted >= customers {
            return format!("{of}: nothing is told of them, and all counts are of the others");
        }
        let but = match uncounted {
            0 => String::new(),
            _ => format!(" but {uncounted}, whose owners have fewer than {minimum} in all"),
        };
        format!(
            "{of}: nothing is told of their labels, and whatever needs labels is of the others; the distribution of scores (the first count, without labels), \
             the mean score and the stability index are of all customers{but}"
        )
    }
}

/// What the area under the ROC curve of all customers is between, if that of so many good and bad ones is known up to an error, and so many more are left out: at the worst these are good and bad
/// in the numbers that make most pairs, and stand on the wrong side in each, or on the right one.
pub(crate) fn area((area, error): (f64, f64), (goods, bads): (u64, u64), left_out: u64) -> Bounds {
    let (goods, bads, more) = (goods as f64, bads as f64, left_out as f64);
    let more_bads = f64::midpoint(goods - bads, more).clamp(0.0, more);
    let pairs = (bads + more_bads) * (goods + more - more_bads);
    let told = if left_out > 0 { goods * bads / pairs } else { 1.0 };
    Bounds { at_least: (area - error).max(0.0) * told, at_most: 1.0 - (1.0 - area - error).max(0.0) * told }
}

/// The Gini coefficient that belongs to an area under the ROC curve.
pub(crate) fn gini(area: Bounds) -> Bounds {
    Bounds { at_least: 2.0 * area.at_least - 1.0, at_most: 2.0 * area.at_most - 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use trefoil_circuits::credit::reference::Ranking;

    #[test]
    fn what_is_said_of_customers_left_out_is_what_is_told_of_them() {
        let words = |uncounted| LeftOut { customers: 81, uncounted, minimum: 10 }.words();
        assert!(words(81).ends_with("nothing is told of them, and all counts are of the others"));
        assert!(words(0).contains("nothing is told of their labels") && words(0).ends_with("are of all customers"));
        assert!(words(6).ends_with("are of all customers but 6, whose owners have fewer than 10 in all"));
    }

    #[test]
    fn the_area_of_all_customers_is_an_interval_around_that_of_those_counted() {
        let of_all = area((0.726, 0.0), (548, 142), 81);
        assert!((of_all.at_least - 0.726 * 142.0 / 223.0).abs() < 1e-12, "{of_all:?}");
        assert!((of_all.at_most - (1.0 - 0.274 * 142.0 / 223.0)).abs() < 1e-12, "{of_all:?}");
        // As many of either label: what is left out moves most if it is half of each.
        let even = area((0.5, 0.0), (100, 100), 22);
        assert!((even.at_least - 0.5 * 1e4 / 111.0_f64.powi(2)).abs() < 1e-12, "{even:?}");
        assert_eq!(area((0.9, 0.2), (5, 5), 0).at_most.to_bits(), 1.0_f64.to_bits());
        assert_eq!(gini(area((0.75, 0.0), (5, 5), 0)), Bounds { at_least: 0.5, at_most: 0.5 });
    }

    proptest! {
        /// Whatever those are like who were left out.
        #[test]
        fn the_area_of_all_customers_is_within_its_bounds(
            customers in prop::collection::vec((0..60_u32, any::<bool>()), 2..150),
            kept in 1..150_usize,
            error in 0.0..0.2_f64,
            off in -1.0..1.0_f64,
        ) {
            let kept = kept.min(customers.len());
            let bads = |of: &[(u32, bool)]| of.iter().filter(|c| c.1).count();
            let (all_bads, own) = (bads(&customers), bads(&customers[..kept]));
            prop_assume!(own > 0 && own < kept && all_bads < customers.len());
            let exact = |of: &[(u32, bool)]| {
                let (scores, labels): (Vec<_>, Vec<_>) = of.iter().map(|c| (f64::from(c.0), c.1)).unzip();
                Ranking::new(&scores, &labels).expect("both labels").auc()
            };
            let told = (exact(&customers[..kept]) + off * error, error);
            let bounds = area(told, ((kept - own) as u64, own as u64), (customers.len() - kept) as u64);
            let all = exact(&customers);
            prop_assert!(bounds.at_least <= all + 1e-12 && all <= bounds.at_most + 1e-12, "{all} {bounds:?}");
            prop_assert!(bounds.at_least >= 0.0 && bounds.at_most <= 1.0, "{bounds:?}");
        }
    }
}
