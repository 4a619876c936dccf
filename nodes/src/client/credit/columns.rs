//! What single columns tell of the label, by counts alone.

mod grid;

use super::{
    ColumnCounts, ModelFile, ModelSource, Pooling, Progress, digest,
    evaluate::{KeptScores, submitter},
    feature_columns,
    moments::input,
    quantiles::quantiles,
    whose_customers,
};
use crate::{
    Error,
    client::Client,
    credit::{NamedMoments, report::Numbers},
    job::{CountsSpec, InputSpec, JobSpec, ModeSpec, ProgramSpec, ReportSpec},
    tables::TableStatus,
};
use bytes::Bytes;
use grid::{Cut, grid, numbers};
use trefoil_circuits::credit::{OnCut, reference::Model};

/// What the customers of a category are called that are counted for none of its levels: those of its `reference`, and of levels that count too few.
const OTHERS: &str = "any other";
/// Bins of a column of numbers.
const TENTHS: u32 = 10;

/// Counts customers by label and by the value of a column: numbers in tenths of the customers, as nearly as can be told, truth values by one cut point, and categories by level.
///
/// Two jobs for a column of numbers: the first counts without labels between some hundred cut points that follow from the moments, and the second with labels between those that come nearest to tenths. These are ends of ranges
/// that the first one told, so that no difference of the two tells of fewer customers of an owner than the minimum. One job for truth values; for a category one for each level that has a feature, which also counts the others. A
/// level that counts too few belongs to the others. Of tables with the same customers, a column of any of them can be counted, by one more job for each feature, whose results stay at the nodes and are deleted at the end. `progress` is told of each feature. Cancelled, it deletes the job in the background.
///
/// # Errors
/// As [`check_column`] and [`Client::run`].
pub async fn count_column(
    client: &Client,
    (tables, pooling): (&[TableStatus], &Pooling),
    name: &str,
    (minimum, mode): (u64, ModeSpec),
    progress: Progress<'_>,
) -> Result<ColumnCounts, Error> {
    let Found { part, moments, features } = found(pooling, name)?;
    let (cuts, levels, goods, bads) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut counts = ColumnCounts { name: name.to_owned(), cuts, levels, goods, bads, numbers: Numbers::Any, meant: 0 };
    let counting = Counting { client, tables, pooling, minimum, mode };
    let me = submitter(client)?;
    let mut all_customers = None;
    let all = features.len();
    for (k, (place, level)) in features.into_iter().enumerate() {
        progress(&format!("counting by {name} ({} of {all})", k + 1));
        let mut kept = KeptScores::new(client, (&me, whose_customers(tables)), (minimum, 2, mode));
        let counted = async {
            let spread = (moments.mean[place], moments.sd[place]);
            let middle = vec![Cut::new(0.5, spread)];
            let values = counting.values((part, place), &mut kept).await?;
            let (cuts, numbers) = if level.is_some() || is_of_bits(spread) {
                (middle, Numbers::Bits)
            } else {
                counting.tenths(&values, &grid(spread)).await?
            };
            // Without any, nothing can be told apart.
            let none = [vec![0], vec![0]];
            let counts = if cuts.is_empty() { none } else { counting.by_label(&values, &cuts).await? };
            Ok::<_, Error>((cuts, numbers, counts))
        };
        let counted = counted.await.map_err(|e| kept.unnamed(e));
        kept.delete().await;
        let (cuts, numbers, [goods, bads]) = counted?;
        if let Some(level) = level {
            counts.add_level(level, [&goods, &bads], minimum);
            all_customers = Some((goods.iter().sum(), bads.iter().sum()));
        } else {
            counts.cuts = cuts.iter().map(|cut| cut.value).collect();
            counts.numbers = numbers;
            counts.meant = if numbers == Numbers::Bits { 2 } else { TENTHS as usize };
            (counts.goods, counts.bads) = (goods, bads);
        }
    }
    if let Some(all) = all_customers {
        counts.add_others(all, minimum);
    }
    Ok(counts)
}

/// Whether customers of these tables can be counted by a column.
///
/// # Errors
/// [`Error::Usage`] for a column without features.
pub fn check_column(pooling: &Pooling, name: &str) -> Result<(), Error> {
    found(pooling, name).map(|_| ())
}

/// How many jobs [`count_column`] submits over each table, at most: what counts towards the bounds of its owner.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ColumnJobs {
    /// Of scores.
    pub scores: u32,
    /// Of counts.
    pub counts: u32,
}

/// The jobs that a column takes.
///
/// # Errors
/// As [`check_column`].
pub fn column_jobs(pooling: &Pooling, name: &str) -> Result<ColumnJobs, Error> {
    let Found { moments, features, .. } = found(pooling, name)?;
    let in_tenths = |(place, level): &&(usize, Option<String>)| {
        level.is_none() && !is_of_bits((moments.mean[*place], moments.sd[*place]))
    };
    let (all, in_tenths) = (features.len() as u32, features.iter().filter(in_tenths).count() as u32);
    Ok(match pooling {
        Pooling::Horizontal(_) => ColumnJobs { scores: 0, counts: all + in_tenths },
        // The first of two counts is of scores that stay at the nodes alone.
        Pooling::Vertical(_) => ColumnJobs { scores: all, counts: all },
    })
}

/// The features of a column.
struct Found<'a> {
    /// In which part of all features.
    part: usize,
    moments: &'a NamedMoments,
    /// Their places, and of which level of a category they are.
    features: Vec<(usize, Option<String>)>,
}

/// Of a column that several tables have, that of the first.
fn found<'a>(pooling: &'a Pooling, name: &str) -> Result<Found<'a>, Error> {
    let all = match pooling {
        Pooling::Horizontal(moments) => std::slice::from_ref(moments),
        Pooling::Vertical(all) => &all[..],
    };
    let of_part = |(part, moments): (usize, &'a NamedMoments)| {
        let level = |feature: &String| {
            let rest = feature.strip_prefix(name)?;
            if rest.is_empty() {
                (!name.contains('=')).then_some(None)
            } else {
                rest.strip_prefix('=').map(|level| Some(level.to_owned()))
            }
        };
        let features = moments.features.iter().enumerate();
        let features: Vec<_> = features.filter_map(|(place, feature)| Some((place, level(feature)?))).collect();
        (!features.is_empty()).then_some(Found { part, moments, features })
    };
    let none = || {
        let mut columns: Vec<&str> = all.iter().flat_map(NamedMoments::columns).map(|(column, _)| column).collect();
        columns.dedup();
        Error::Usage(format!("no column `{name}` has features; there are {}", columns.join(", ")))
    };
    all.iter().enumerate().find_map(of_part).ok_or_else(none)
}

/// Whether a column with this mean and deviation has zeros and ones alone: their deviation follows from their mean.
fn is_of_bits((mean, sd): (f64, f64)) -> bool {
    let of_bits = mean * (1.0 - mean);
    of_bits > 0.0 && (sd * sd - of_bits).abs() <= 1e-4 * of_bits
}

impl ColumnCounts {
    /// Adds the customers of a level, who were counted after those of all others, if they were not put together with these.
    fn add_level(&mut self, level: String, [goods, bads]: [&[u64]; 2], minimum: u64) {
        let apart = minimum < 2 || goods.first().is_some_and(|others| *others > 0);
        self.meant += 1;
        if apart {
            self.levels.push(level);
            self.goods.extend(goods.last());
            self.bads.extend(bads.last());
        }
    }

    /// Adds the good and bad customers that none of the levels counts, of so many in all. Fewer than the minimum are not told.
    fn add_others(&mut self, (goods, bads): (u64, u64), minimum: u64) {
        let rest = |all: u64, levels: &[u64]| levels.iter().fold(all, |rest, level| rest.saturating_sub(*level));
        let (goods, bads) = (rest(goods, &self.goods), rest(bads, &self.bads));
        // Where a level is with the others, these are two at least, for all that is known.
        self.meant += usize::from(goods > 0 || bads > 0 || self.levels.len() < self.meant);
        let told = |rest: u64| if rest < minimum { 0 } else { rest };
        let (goods, bads) = (told(goods), told(bads));
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
    /// What takes the standardized feature of all customers into a job, and the customers of each input: a feature of one part of all features.
    ///
    /// Tables with the same customers are permitted to be counted together, not one of them alone. So there the values are scores, by a model of this one feature, of the customers of all tables.
    async fn values(
        &self,
        (part, feature): (usize, usize),
        kept: &mut KeptScores<'_>,
    ) -> Result<(Vec<InputSpec>, Vec<u64>), Error> {
        match self.pooling {
            Pooling::Horizontal(moments) => {
                let columns = feature_columns(&digest(moments)?, moments.features.len())?;
                let column: Vec<_> = columns.into_iter().skip(feature).take(1).collect();
                Ok(self.tables.iter().map(|table| (input(table, &column), table.rows)).unzip())
            }
            Pooling::Vertical(all) => {
                let before: usize = all.iter().take(part).map(|moments| moments.features.len()).sum();
                let moments = self.pooling.moments();
                let mut weights = vec![0.0; moments.features.len()];
                weights.iter_mut().skip(before + feature).take(1).for_each(|weight| *weight = 1.0);
                let model = ModelFile::new(moments, Model { intercept: 0.0, weights });
                let tables = (self.tables, self.pooling);
                let values = kept.add(ModelSource::Public(&model), tables, ReportSpec::Logit).await?;
                Ok((vec![values], self.tables.iter().take(1).map(|table| table.rows).collect()))
            }
        }
    }

    /// Good and bad customers between cut points of values.
    async fn by_label(&self, values: &(Vec<InputSpec>, Vec<u64>), cuts: &[Cut]) -> Result<[Vec<u64>; 2], Error> {
        let mut counts = self.by(values, cuts, self.pooling.labels(self.tables)?).await?;
        let bads = counts.pop().unwrap_or_default();
        Ok([counts.pop().unwrap_or_default(), bads])
    }

    /// Those of the cut points that come nearest to tenths of the customers, and what the values seem to be.
    async fn tenths(&self, values: &(Vec<InputSpec>, Vec<u64>), cuts: &[Cut]) -> Result<(Vec<Cut>, Numbers), Error> {
        let counts = self.by(values, cuts, Vec::new()).await?.pop().unwrap_or_default();
        let tenths = quantiles(&counts, TENTHS).into_iter().filter_map(|place| cuts.get(place).copied()).collect();
        Ok((tenths, numbers(cuts, &counts)))
    }

    /// Customers between cut points: good ones and bad ones if there are labels, and else all.
    async fn by(
        &self,
        (values, rows): &(Vec<InputSpec>, Vec<u64>),
        cuts: &[Cut],
        labels: Vec<InputSpec>,
    ) -> Result<Vec<Vec<u64>>, Error> {
        let (cuts, by_label, minimum) = (cuts.iter().map(|cut| cut.at).collect(), !labels.is_empty(), self.minimum);
        let counts = CountsSpec { rows: rows.clone(), cuts, on_cut: OnCut::Lower, by_label, minimum, around: None };
        let inputs = values.iter().cloned().chain(labels).collect();
        let spec = JobSpec { inputs, ..JobSpec::new(ProgramSpec::CreditCounts(counts), self.mode) };
        let outcome = self.client.run(&spec, Bytes::new(), &[]).await?;
        (0..outcome.outputs.len()).map(|k| Ok(outcome.z64(k)?.iter().map(|n| n.0).collect())).collect()
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
            numbers: Numbers::Any,
            meant: 2,
        };
        counts.add_others((800, 400), 10);
        assert_eq!((&counts.levels[2][..], counts.goods[2], counts.bads[2]), ("any other", 660, 40));
        assert_eq!(counts.meant, 3, "nothing is merged");
        // The sum over all levels of the difference of their shares times the logarithm of the quotient.
        let exact: f64 = [(100.0, 300.0), (40.0, 60.0), (660.0, 40.0)]
            .map(|(goods, bads): (f64, f64)| (goods / 800.0 - bads / 400.0) * (goods / 800.0 / (bads / 400.0)).ln())
            .iter()
            .sum();
        let mut file = EvaluationFile::new(String::new(), String::new());
        (file.rows, file.cuts, file.goods, file.bads) = (1200, vec![0.5], vec![700, 100], vec![100, 300]);
        file.columns = vec![counts];
        let report = file.aggregates("", None, (None, None)).and_then(|all| Ok(all.release(10)?)).expect("a report");
        assert!((report.attributes[0].information_value - exact).abs() < 1e-12, "{exact}");
    }

    #[test]
    fn a_level_that_counts_too_few_belongs_to_the_others() {
        let (name, cuts, levels, goods, bads) = ("home".to_owned(), vec![], vec![], vec![], vec![]);
        let mut counts = ColumnCounts { name, cuts, levels, goods, bads, numbers: Numbers::Any, meant: 0 };
        counts.add_level("RENT".to_owned(), [&[700, 100], &[100, 300]], 10);
        counts.add_level("OTHER".to_owned(), [&[0, 800], &[0, 400]], 10);
        counts.add_others((800, 400), 10);
        assert_eq!(counts.levels, ["RENT", "any other"]);
        assert_eq!((counts.goods, counts.bads, counts.meant), (vec![100, 700], vec![300, 100], 3));
    }

    #[test]
    fn too_few_others_are_not_told() {
        let mut counts = ColumnCounts {
            name: "home".to_owned(),
            cuts: Vec::new(),
            levels: vec!["RENT".to_owned(), "OWN".to_owned()],
            goods: vec![500, 291],
            bads: vec![300, 100],
            numbers: Numbers::Any,
            meant: 2,
        };
        counts.add_others((800, 400), 10);
        assert_eq!((counts.levels.len(), counts.meant), (2, 3), "nine are not told");
    }

    #[test]
    fn truth_values_are_told_from_numbers_by_their_moments() {
        let mean: f64 = 0.3;
        assert!(is_of_bits((mean, (mean * (1.0 - mean)).sqrt() * (1.0 + 1e-6))));
        assert!(![(mean, 0.3), (40.0, 12.0), (1.0, 1.0)].into_iter().any(is_of_bits));
    }

    #[test]
    fn a_column_is_found_in_whichever_table_has_it() {
        let moments = |names: &[&str]| NamedMoments {
            features: names.iter().map(|name| (*name).to_owned()).collect(),
            mean: vec![0.0; names.len()],
            sd: vec![1.0; names.len()],
            schema: None,
        };
        let (telco, bank) = (moments(&["calls", "age"]), moments(&["income", "home=OWN", "age"]));
        let pooling = Pooling::Vertical(vec![telco, bank.clone()]);
        let refused = |name: &str| check_column(&pooling, name).expect_err("refused").to_string();
        assert!(refused("wealth").ends_with("there are calls, age, income, home, age"), "{}", refused("wealth"));
        assert!(refused("home=OWN").contains("no column"), "a level is no column");
        let home = vec![(1, Some("OWN".to_owned()))];
        for (name, part, features) in [
            ("calls", 0, vec![(0, None)]),
            ("income", 1, vec![(0, None)]),
            ("home", 1, home),
            ("age", 0, vec![(1, None)]),
        ] {
            let found = found(&pooling, name).expect("a column of one of them");
            assert_eq!((found.part, found.features), (part, features), "{name}");
        }
        assert!(check_column(&Pooling::Horizontal(bank), "income").is_ok());
    }
}
