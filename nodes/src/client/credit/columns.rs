//! What single columns tell of the label, by counts alone.

mod grid;

use super::{ColumnCounts, LABEL, Pooling, digest, feature_columns, moments::input};
use crate::{
    Error,
    client::Client,
    credit::NamedMoments,
    job::{CountsSpec, InputSpec, JobSpec, ModeSpec, ProgramSpec},
    tables::TableStatus,
};
use bytes::Bytes;
use grid::{Cut, grid, tenths};
use trefoil_circuits::credit::OnCut;

/// What the customers of a category are called that are counted for none of its levels: those of its `reference`, and of levels that count too few.
const OTHERS: &str = "any other";

/// Counts customers by label and by the value of a column: numbers in tenths of the customers, as nearly as can be told, truth values by one cut point, and categories by level.
///
/// Two jobs for a column of numbers: the first counts without labels between some hundred cut points that follow from the moments, and the second with labels between those that come nearest to tenths. These are ends of ranges
/// that the first one told, so that no difference of the two tells of fewer customers of an owner than the minimum. One job for truth values; for a category one for each level that has a feature, which also counts the others. A
/// level that counts too few belongs to the others. Cancelled, it deletes the job in the background.
///
/// # Errors
/// As [`check_column`] and [`Client::run`].
pub async fn count_column(
    client: &Client,
    (tables, pooling): (&[TableStatus], &Pooling),
    name: &str,
    (minimum, mode): (u64, ModeSpec),
) -> Result<ColumnCounts, Error> {
    let Found { part, moments, features } = found((tables, pooling), name)?;
    let (cuts, levels, goods, bads) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut counts = ColumnCounts { name: name.to_owned(), cuts, levels, goods, bads };
    let counting = Counting { client, tables, pooling, minimum, mode };
    let mut all_customers = None;
    for (place, level) in features {
        let (feature, spread) = ((part, place), (moments.mean[place], moments.sd[place]));
        let middle = [Cut::new(0.5, spread)];
        if let Some(level) = level {
            let [goods, bads] = counting.by_label(feature, &middle).await?;
            counts.add_level(level, [&goods, &bads], minimum);
            all_customers = Some((goods.iter().sum(), bads.iter().sum()));
            continue;
        }
        let cuts = if is_of_bits(spread) { middle.to_vec() } else { counting.tenths(feature, &grid(spread)).await? };
        [counts.goods, counts.bads] = if cuts.is_empty() {
            // Nothing can be told apart.
            [vec![0], vec![0]]
        } else {
            counting.by_label(feature, &cuts).await?
        };
        counts.cuts = cuts.iter().map(|cut| cut.value).collect();
    }
    if let Some(all) = all_customers {
        counts.add_others(all, minimum);
    }
    Ok(counts)
}

/// Whether customers of these tables can be counted by a column.
///
/// # Errors
/// [`Error::Usage`] for a column without features, and for one of a table that does not bring the labels: rows of one table are counted by labels of the same.
pub fn check_column((tables, pooling): (&[TableStatus], &Pooling), name: &str) -> Result<(), Error> {
    found((tables, pooling), name).map(|_| ())
}

/// The features of a column.
struct Found<'a> {
    /// In which part of all features.
    part: usize,
    moments: &'a NamedMoments,
    /// Their places, and of which level of a category they are.
    features: Vec<(usize, Option<String>)>,
}

fn found<'a>((tables, pooling): (&[TableStatus], &'a Pooling), name: &str) -> Result<Found<'a>, Error> {
    let (all, labelled) = match pooling {
        Pooling::Horizontal(moments) => (std::slice::from_ref(moments), None),
        Pooling::Vertical(all) => (&all[..], tables.iter().position(has_labels)),
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
    let mut parts: Vec<Found<'a>> = all.iter().enumerate().filter_map(of_part).collect();
    let counted = |found: &Found<'a>| labelled.is_none_or(|labelled| found.part == labelled);
    if let Some(at) = parts.iter().position(counted) {
        return Ok(parts.swap_remove(at));
    }
    let called = |part: usize| {
        tables.get(part).map_or_else(String::new, |table| format!("{}/{}@{}", table.owner, table.name, table.version))
    };
    if let (Some(found), Some(labelled)) = (parts.first(), labelled) {
        return Err(Error::Usage(format!(
            "`{name}` is a column of {}, which has no labels; tables with the same customers can be counted by columns of the one with the labels, {}: leave `{name}` out",
            called(found.part),
            called(labelled)
        )));
    }
    let mut columns: Vec<&str> = all.iter().flat_map(NamedMoments::columns).map(|(column, _)| column).collect();
    columns.dedup();
    Err(Error::Usage(format!("no column `{name}` has features; there are {}", columns.join(", "))))
}

fn has_labels(table: &TableStatus) -> bool {
    table.columns.iter().any(|column| column.name.as_str() == LABEL)
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
    async fn by_label(&self, feature: (usize, usize), cuts: &[Cut]) -> Result<[Vec<u64>; 2], Error> {
        let mut counts = self.by(feature, cuts, self.pooling.labels(self.tables)?).await?;
        let bads = counts.pop().unwrap_or_default();
        Ok([counts.pop().unwrap_or_default(), bads])
    }

    /// Those of the cut points that come nearest to tenths of the customers.
    async fn tenths(&self, feature: (usize, usize), cuts: &[Cut]) -> Result<Vec<Cut>, Error> {
        let counts = self.by(feature, cuts, Vec::new()).await?.pop().unwrap_or_default();
        Ok(tenths(&counts).into_iter().filter_map(|place| cuts.get(place).copied()).collect())
    }

    /// Customers between cut points: good ones and bad ones if there are labels, and else all.
    async fn by(
        &self,
        (part, feature): (usize, usize),
        cuts: &[Cut],
        labels: Vec<InputSpec>,
    ) -> Result<Vec<Vec<u64>>, Error> {
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
        let (cuts, by_label, minimum) = (cuts.iter().map(|cut| cut.at).collect(), !labels.is_empty(), self.minimum);
        let counts = CountsSpec { rows, cuts, on_cut: OnCut::Lower, by_label, minimum, around: None };
        let inputs = values.into_iter().chain(labels).collect();
        let spec = JobSpec { inputs, ..JobSpec::new(ProgramSpec::CreditCounts(counts), self.mode) };
        let outcome = self.client.run(&spec, Bytes::new(), &[]).await?;
        (0..outcome.outputs.len()).map(|k| Ok(outcome.z64(k)?.iter().map(|n| n.0).collect())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{client::credit::EvaluationFile, job::Sha256Hex, tables::ColumnSpec};
    use trefoil_circuits::program::RingKind;

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
    fn truth_values_are_told_from_numbers_by_their_moments() {
        let mean: f64 = 0.3;
        assert!(is_of_bits((mean, (mean * (1.0 - mean)).sqrt() * (1.0 + 1e-6))));
        assert!(![(mean, 0.3), (40.0, 12.0), (1.0, 1.0)].into_iter().any(is_of_bits));
    }

    fn table(owner: &str, columns: &[&str]) -> TableStatus {
        let spec = |name: &&str| ColumnSpec { name: name.parse().expect("a name"), ring: RingKind::Z64 };
        TableStatus {
            owner: owner.parse().expect("a name"),
            name: "loans".parse().expect("a name"),
            version: 1,
            rows: 100,
            columns: columns.iter().map(spec).collect(),
            sha256: Sha256Hex([0; 32]),
            permits: Vec::new(),
        }
    }

    #[test]
    fn a_column_of_the_table_without_labels_is_refused_before_anything_is_computed() {
        let moments = |names: &[&str]| NamedMoments {
            features: names.iter().map(|name| (*name).to_owned()).collect(),
            mean: vec![0.0; names.len()],
            sd: vec![1.0; names.len()],
        };
        let tables = [table("telco", &["f0", "f1"]), table("bank", &["f0", "f1", "f2", LABEL])];
        let (telco, bank) = (moments(&["calls", "age"]), moments(&["income", "home=OWN", "age"]));
        let pooling = Pooling::Vertical(vec![telco, bank.clone()]);
        let refused = |name: &str| check_column((&tables, &pooling), name).expect_err("refused").to_string();
        assert!(
            refused("calls").contains("`calls` is a column of telco/loans@1, which has no labels"),
            "{}",
            refused("calls")
        );
        assert!(refused("calls").contains("bank/loans@1"));
        assert!(refused("wealth").ends_with("there are calls, age, income, home, age"), "{}", refused("wealth"));
        assert!(refused("home=OWN").contains("no column"), "a level is no column");
        for (name, features) in
            [("income", vec![(0, None)]), ("home", vec![(1, Some("OWN".to_owned()))]), ("age", vec![(2, None)])]
        {
            let found = found((&tables, &pooling), name).expect("a column of the bank");
            assert_eq!((found.part, found.features), (1, features), "{name}");
        }
        assert!(check_column((&tables[1..], &Pooling::Horizontal(bank)), "income").is_ok());
    }
}
