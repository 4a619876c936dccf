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

/// Counts customers by label and by the value of a column: numbers by nine cut points, which are public, and categories by level.
///
/// One job for a column of numbers, one for each level of a category. Cancelled, it deletes the job in the background.
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
    let level = |feature: &str| feature.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')).map(str::to_owned);
    for (part, moments) in all.iter().enumerate() {
        for (k, feature) in moments.features.iter().enumerate() {
            let (mean, sd) = (moments.mean[k], moments.sd[k]);
            if feature == name {
                [counts.goods, counts.bads] = counting.by((part, k), &TENTHS).await?;
                counts.cuts = TENTHS.iter().map(|z| mean + z * sd).collect();
            } else if let Some(level) = level(feature) {
                let [goods, bads] = counting.by((part, k), &[(0.5 - mean) / sd]).await?;
                counts.levels.push(level);
                counts.goods.extend(goods.last());
                counts.bads.extend(bads.last());
            }
        }
    }
    if counts.goods.is_empty() {
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
        let counts = CountsSpec { rows, cuts, on_cut: OnCut::Lower, by_label: true, minimum: self.minimum };
        let inputs = values.into_iter().chain(self.pooling.labels(self.tables)?).collect();
        let spec = JobSpec { inputs, ..JobSpec::new(ProgramSpec::CreditCounts(counts), self.mode) };
        let outcome = self.client.run(&spec, Bytes::new(), &[]).await?;
        let counts = |k: usize| Ok::<_, Error>(outcome.z64(k)?.iter().map(|n| n.0).collect());
        Ok([counts(0)?, counts(1)?])
    }
}
