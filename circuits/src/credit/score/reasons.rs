//! Why a row has its score.

use super::CreditError;
use crate::{
    arith::{ElementCost, largest, largest_cost, plain_largest, select, select_cost, sign, sign_cost},
    credit::columns::repeated,
};
use trefoil_engine::prelude::*;

/// Reasons of a row at most.
const MOST: usize = 16;

/// The columns that add most to the logit of a row, against that of a row of zeros: the average customer's, if features are standardized.
///
/// A column of categories has several features: what it adds is the sum of what they add.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reasons {
    /// Reasons of a row, from 1 to 16 and to the number of columns.
    pub most: usize,
    /// Features of each column, in their order.
    pub columns: Vec<usize>,
}

impl Reasons {
    pub(super) fn check(&self, features: usize) -> Result<(), CreditError> {
        let holds = (1..=MOST.min(self.columns.len())).contains(&self.most);
        let accepted = "from 1 to 16 and to the number of columns";
        CreditError::setting(holds, "the number of reasons", self.most as f64, accepted)?;
        let sum = self.columns.iter().fold(0, |sum: usize, count| sum.saturating_add(*count));
        let accepted = "those of the table, and at least 1 of each column";
        let holds = sum == features && !self.columns.contains(&0);
        CreditError::setting(holds, "the number of features of columns with reasons", sum as f64, accepted)
    }

    /// For each row, one after the other, the places of its reasons, most first: the number of columns stands for none. A column that adds nothing, or less, is no reason.
    pub(super) async fn on_shares<M: Mode>(
        &self,
        ctx: &mut Ctx<M>,
        added: View<'_, Z64>,
    ) -> Result<Shares<Z64>, Error> {
        let (me, all, most) = (ctx.me(), self.columns.len(), self.most);
        let rows = added.len() / all;
        let [values, places] = largest(ctx, most, all, added).await?;
        let negated = Shares::zeros(values.len()).view().minus(values.view())?;
        let adds = sign(ctx, negated.view()).await?;
        let none = Shares::public(me, &vec![Z64(all as u64); places.len()]);
        let places = select(ctx, adds.view(), places.view(), none.view()).await?;
        Ok(Shares::rearrange(places.view(), places.len(), |places, turned| {
            for (row, reasons) in turned.chunks_exact_mut(most).enumerate() {
                reasons.iter_mut().enumerate().for_each(|(k, reason)| *reason = places[k * rows + row]);
            }
        }))
    }

    /// What each column adds to the logits of so many rows by shared coefficients, with twice the fractional bits.
    pub(super) async fn added<M: Mode>(
        &self,
        ctx: &mut Ctx<M>,
        rows: usize,
        table: View<'_, Z64>,
        model: View<'_, Z64>,
    ) -> Result<Shares<Z64>, Error> {
        let weights = repeated(model.slice(1, model.len().saturating_sub(1))?, rows);
        ctx.sums_of_products(table, weights.view(), &self.columns, rows).await
    }

    /// The same by public coefficients. Local.
    pub(super) fn added_by_public(&self, rows: usize, table: View<'_, Z64>, model: &[Z64]) -> Shares<Z64> {
        Shares::rearrange(table, self.columns.len() * rows, |table, added| {
            let mut features = table.chunks_exact(rows.max(1)).zip(model.iter().skip(1));
            for (added, &count) in added.chunks_exact_mut(rows.max(1)).zip(&self.columns) {
                for (feature, &weight) in features.by_ref().take(count) {
                    added.iter_mut().zip(feature).for_each(|(sum, &x)| *sum = *sum + x * weight);
                }
            }
        })
    }

    /// The exact cost for each row once [`added`](Self::added) is known.
    pub(super) fn cost(&self) -> ElementCost {
        let each = sign_cost().then(select_cost()).times(self.most as u64);
        largest_cost(self.most, self.columns.len()).then(each)
    }

    /// The plain twin, by coefficients of which the first is the intercept.
    pub(super) fn plain(&self, rows: usize, table: &[i64], model: &[i64]) -> Vec<i64> {
        let all = self.columns.len();
        let added = |row: usize| {
            let mut features = table.chunks_exact(rows.max(1)).zip(&model[1..]);
            let add = |&count: &usize| features.by_ref().take(count).map(|(x, weight)| x[row] * weight).sum();
            self.columns.iter().map(add).collect::<Vec<i64>>()
        };
        let reasons = |row: usize| {
            let added = added(row);
            let place = |place: usize| if added[place] > 0 { place } else { all }.cast_signed() as i64;
            plain_largest(self.most, &added).into_iter().map(place).collect::<Vec<_>>()
        };
        (0..rows).flat_map(reasons).collect()
    }
}
