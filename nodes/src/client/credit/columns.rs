//! What single columns tell of the label, by counts alone.

use super::{ColumnCounts, Pooling, digest, feature_columns, moments::input};
use crate::{
    Error,
    client::Client,
    credit::NamedMoments,
    job::{CountsSpec, InputSpec, JobSpec, ModeSpec, ProgramSpec},
    tables::TableStatus,
};
use bytes::Bytes;
use trefoil_circuits::credit::{Number, OnCut};

/// The tenths of a normal distribution: cut points of columns of numbers, in deviations from the mean.
const TENTHS: [f64; 9] = [-1.2816, -0.8416, -0.5244, -0.2533, 0.0, 0.2533, 0.5244, 0.8416, 1.2816];

/// What the customers of a category are called that are counted for none of its levels: those of its `reference`, and of levels that count too few.
const OTHERS: &str = "any other";

/// Counts customers by label and by the value of a column: numbers by nine cut points, which are public, truth values by one, and categories by level.
///
/// One job for a column of numbers or truth values; for a category one for each level that has a feature, which also counts the others. A level that counts too few belongs to the others. Cancelled, it deletes the job in the background.
///
/// # Errors
/// [`Error::Usage`] for a column without features; else as [`Client::run`].
pub async fn count_column(
    client: &Client,
    (tables, pooling): (&[TableStatus], &Pooling),
    name: &str,
    (minimum, mode): (u64, ModeSpec),
) -> Result<ColumnCounts, Error> {
    let mut counts = ColumnCounts {
        name: name.to_owned(),
        cuts: Vec::new(),
        levels: Vec::new(),
        goods: Vec::new(),
        bads: Vec::new(),
    };
    let counting = Counting { client, tables, pooling, minimum, mode };
    let all: Vec<&NamedMoments> = match pooling {
        Pooling::Horizontal(moments) => vec![moments],
        Pooling::Vertical(all) => all.iter().collect(),
    };
    let mut all_customers = None;
    let level = |feature: &str| feature.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')).map(str::to_owned);
    for (part, moments) in all.iter().enumerate() {
        for (k, feature) in moments.features.iter().enumerate() {
            let (mean, sd) = (moments.mean[k], moments.sd[k]);
            if feature == name {
                counts.cuts = cuts(mean, sd);
                let standardized: Vec<f64> = counts.cuts.iter().map(|cut| (cut - mean) / sd).collect();
                [counts.goods, counts.bads] = counting.by((part, k), &standardized).await?;
            } else if let Some(level) = level(feature) {
                let [goods, bads] = counting.by((part, k), &[(0.5 - mean) / sd]).await?;
                counts.add_level(level, [&goods, &bads], minimum);
                all_customers = Some((goods.iter().sum(), bads.iter().sum()));
            }
        }
    }
    if let Some(all) = all_customers {
        counts.add_others(all, minimum);
    }
    if counts.goods.is_empty() && all_customers.is_none() {
        let mut columns: Vec<&str> = all
            .iter()
            .flat_map(|moments| &moments.features)
            .map(|feature| feature.split_once('=').map_or(feature.as_str(), |(column, _)| column))
            .collect();
        columns.dedup();
        return Err(Error::Usage(format!("no column `{name}` has features; there are {}", columns.join(", "))));
    }
    Ok(counts)
}

/// Cut points of a column with this mean and deviation. Zeros and ones alone have the deviation that follows from their mean.
fn cuts(mean: f64, sd: f64) -> Vec<f64> {
    let of_bits = mean * (1.0 - mean);
    let bits = of_bits > 0.0 && (sd * sd - of_bits).abs() <= 1e-4 * of_bits;
    if bits { vec![0.5] } else { TENTHS.iter().map(|z| mean + z * sd).collect() }
}

impl ColumnCounts {
    /// Adds the customers of a level, who were counted after those of all others, if they were not put together with these.
    fn add_level(&mut self, level: String, [goods, bads]: [&[u64]; 2], minimum: u64) {
        let apart = minimum < 2 || goods.first().is_some_and(|others| *others > 0);
        if apart {
            self.levels.push(level);
            self.goods.extend(goods.last());
            self.bads.extend(bads.last());
        }
    }

    /// Adds the good and bad customers that none of the levels counts, of so many in all. Fewer than the minimum are not told.
    fn add_others(&mut self, (goods, bads): (u64, u64), minimum: u64) {
        let others = |all: u64, levels: &[u64]| {
            let rest = levels.iter().fold(all, |rest, level| rest.saturating_sub(*level));
            if rest < minimum { 0 } else { rest }
        };
        let (goods, bads) = (others(goods, &self.goods), others(bads, &self.bads));
        if goods > 0 || bads > 0 {
            self.levels.push(OTHERS.to_owned());
            self.goods.push(goods);
            self.bads.push(bads);
        }
    }
}

struct Counting<'a> {
    client: &'a Client,
    tables: &'a [TableStatus],
    pooling: &'a Pooling,
    minimum: u64,
    mode: ModeSpec,
}

impl Counting<'_> {
    /// Good and bad customers between cut points of a standardized feature: that of so many of one part of the features.
    async fn by(&self, (part, feature): (usize, usize), cuts: &[f64]) -> Result<[Vec<u64>; 2], Error> {
        let column = |moments: &NamedMoments| {
            let columns = feature_columns(&digest(moments)?, moments.features.len())?;
            Ok::<_, Error>(columns.into_iter().skip(feature).take(1).collect::<Vec<_>>())
        };
        let (values, rows): (Vec<InputSpec>, Vec<u64>) = match self.pooling {
            Pooling::Horizontal(moments) => {
                let column = column(moments)?;
                self.tables.iter().map(|table| (input(table, &column), table.rows)).unzip()
            }
            Pooling::Vertical(all) => {
                let chosen = self.tables.iter().zip(all).skip(part).take(1);
                let inputs = chosen.map(|(table, moments)| Ok((input(table, &column(moments)?), table.rows)));
                inputs.collect::<Result<Vec<_>, Error>>()?.into_iter().unzip()
            }
        };
        let cuts = cuts.iter().map(|cut| (cut / Number::ULP).round() as i64).collect();
        let counts =
            CountsSpec { rows, cuts, on_cut: OnCut::Lower, by_label: true, minimum: self.minimum, around: None };
        let inputs = values.into_iter().chain(self.pooling.labels(self.tables)?).collect();
        let spec = JobSpec { inputs, ..JobSpec::new(ProgramSpec::CreditCounts(counts), self.mode) };
        let outcome = self.client.run(&spec, Bytes::new(), &[]).await?;
        let counts = |k: usize| Ok::<_, Error>(outcome.z64(k)?.iter().map(|n| n.0).collect());
        Ok([counts(0)?, counts(1)?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::credit::EvaluationFile;

    #[test]
    fn the_reference_level_of_a_category_counts() {
        let mut counts = ColumnCounts {
            name: "home".to_owned(),
            cuts: Vec::new(),
            levels: vec!["RENT".to_owned(), "OTHER".to_owned()],
            goods: vec![100, 40],
            bads: vec![300, 60],
        };
        counts.add_others((800, 400), 10);
        assert_eq!((&counts.levels[2][..], counts.goods[2], counts.bads[2]), ("any other", 660, 40));
        // The sum over all levels of the difference of their shares times the logarithm of the quotient.
        let exact: f64 = [(100.0, 300.0), (40.0, 60.0), (660.0, 40.0)]
            .map(|(goods, bads): (f64, f64)| (goods / 800.0 - bads / 400.0) * (goods / 800.0 / (bads / 400.0)).ln())
            .iter()
            .sum();
        let mut file = EvaluationFile::new(String::new(), String::new());
        (file.rows, file.goods, file.bads) = (1200, vec![700, 100], vec![100, 300]);
        file.columns = vec![counts];
        let report = file.aggregates("", None, (None, None)).and_then(|all| Ok(all.release(10)?)).expect("a report");
        assert!((report.attributes[0].information_value - exact).abs() < 1e-12, "{exact}");
    }

    #[test]
    fn a_level_that_counts_too_few_belongs_to_the_others() {
        let (name, cuts, levels, goods, bads) = ("home".to_owned(), vec![], vec![], vec![], vec![]);
        let mut counts = ColumnCounts { name, cuts, levels, goods, bads };
        counts.add_level("RENT".to_owned(), [&[700, 100], &[100, 300]], 10);
        counts.add_level("OTHER".to_owned(), [&[0, 800], &[0, 400]], 10);
        counts.add_others((800, 400), 10);
        assert_eq!(counts.levels, ["RENT", "any other"]);
        assert_eq!((counts.goods, counts.bads), (vec![100, 700], vec![300, 100]));
    }

    #[test]
    fn too_few_others_are_not_told() {
        let mut counts = ColumnCounts {
            name: "home".to_owned(),
            cuts: Vec::new(),
            levels: vec!["RENT".to_owned(), "OWN".to_owned()],
            goods: vec![500, 291],
            bads: vec![300, 100],
        };
        counts.add_others((800, 400), 10);
        assert_eq!(counts.levels.len(), 2);
    }

    #[test]
    fn truth_values_have_one_cut_point_and_numbers_nine() {
        let mean: f64 = 0.3;
        assert_eq!(cuts(mean, (mean * (1.0 - mean)).sqrt() * (1.0 + 1e-6)), [0.5]);
        assert_eq!(cuts(mean, 0.3).len(), 9);
        assert_eq!(cuts(40.0, 12.0).len(), 9);
        assert_eq!(cuts(1.0, 1.0).len(), 9);
    }
}
