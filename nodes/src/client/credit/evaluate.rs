//! How a model does on customers of several institutions, by counts alone.

use super::{
    Applicants, Distribution, EvaluationFile, ModelIdentity, ModelSource, Pooling, Progress, Purpose, TableArg, column,
    quantiles::quantiles, score::job, whose_customers,
};
use crate::{
    Error,
    api::ProblemKind,
    client::Client,
    credit::report::{Context, CountedTable, Standardized},
    job::{
        AucSpec, CountsSpec, InputSpec, JobId, JobSpec, KeptTable, ModeSpec, OutputSpec, ProgramSpec, ReportSpec,
        TableInput,
    },
    pki::ClientName,
    tables::{TableName, TableStatus},
};
use bytes::Bytes;
use std::{collections::BTreeSet, time::SystemTime};
use trefoil_circuits::credit::{Number, OnCut};

/// What is counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluating {
    /// The model, for people.
    pub model: String,
    /// Its table as `OWNER/NAME@VERSION`, or its file.
    pub named: String,
    /// The population, for people.
    pub population: String,
    /// Bins of the probability of being bad, with about equally many customers: 2 to 200.
    pub bins: u32,
    /// The probability from which customers are called bad, to the nearest [`Number::ULP`].
    pub threshold: f64,
    /// Bins that count fewer good or fewer bad customers of an owner are merged before they leave the computation.
    pub minimum: u64,
    /// The mode of the jobs.
    pub mode: ModeSpec,
}

/// Bins from which the area under the curve is computed.
const FINE: u32 = 1024;
/// The column of scores that stay at the nodes.
const SCORE: &str = "score";
/// How often scores are counted: without labels, with labels, and for the area under the curve.
pub(super) const TIMES: u32 = 3;

/// Scores the customers of tables at the nodes, which nobody learns, and counts them by score and label.
///
/// A first count, without labels, is between some hundred cut points. The second, with labels, is between those of them that come nearest to parts of one size, and the threshold if the first one could tell it: all are ends of ranges that the first one told, so that no
/// difference of the two tells of fewer customers of an owner than the minimum. Neither is a sum of scores told, since two of them could differ by one customer's: the mean follows from the first count.
///
/// `progress` is told of each step. The scores stay at the nodes as tables of this client while they are counted. Cancelled, it may leave them there: nobody can use them for anything but counts.
///
/// # Errors
/// [`Error::Usage`] for a model, tables or settings that do not fit; else as [`Client::run`].
pub async fn evaluate(
    client: &Client,
    model: ModelSource<'_>,
    (tables, pooling): (&[TableStatus], &Pooling),
    evaluating: &Evaluating,
    progress: Progress<'_>,
) -> Result<EvaluationFile, Error> {
    let me = submitter(client)?;
    let Evaluating { bins, minimum, mode, threshold, .. } = *evaluating;
    let accepted = (2..=200).contains(&bins) && threshold > Number::ULP && threshold < 1.0 - Number::ULP;
    if !accepted {
        return Err(Error::Usage("give 2 to 200 --bins and a --threshold above 0 and below 1".to_owned()));
    }
    let (identity, labels) = (ModelIdentity::of(model)?, pooling.labels(tables)?);
    check_fit(model, (tables, pooling))?;
    let parts = parts(tables, pooling);
    let rows: Vec<u64> = parts.iter().filter_map(|part| part.first()).map(|table| table.rows).collect();
    let mut kept = KeptScores::new(client, (&me, whose_customers(tables)), (minimum, TIMES, mode));
    let counted = async {
        let mut values = Vec::new();
        for (k, part) in parts.iter().enumerate() {
            progress(&format!("scoring the customers of {} ({} of {})", listed(part), k + 1, parts.len()));
            values.push(kept.add(model, (part, pooling), ReportSpec::Probability).await?);
        }
        let labelled: Vec<_> = values.iter().cloned().chain(labels).collect();
        let counting = Counting { client, rows: &rows, minimum, mode };
        let called_bad = units(threshold);
        let fine = fine_cuts(called_bad);
        progress("counting scores (1 of 3): all customers");
        let all = counting.by(&fine, called_bad, &values).await?.pop().unwrap_or_default();
        let cuts = chosen(&fine, &all, (bins, called_bad), minimum);
        progress("counting scores (2 of 3): the area under the ROC curve");
        let auc = AucSpec { rows: rows.clone(), bins: FINE, minimum };
        let auc = JobSpec { inputs: labelled.clone(), ..JobSpec::new(ProgramSpec::CreditAuc(auc), mode) };
        let auc = client.run(&auc, Bytes::new(), &[]).await?;
        let pairs: Option<[u64; 4]> = auc.z64(0)?.iter().map(|n| n.0).collect::<Vec<_>>().try_into().ok();
        progress("counting scores (3 of 3): good and bad customers");
        let by_label = if cuts.is_empty() {
            // Nothing can be told apart.
            let [_, _, goods, bads] = pairs.unwrap_or_default();
            vec![vec![goods], vec![bads]]
        } else {
            counting.by(&cuts, called_bad, &labelled).await?
        };
        Ok::<_, Error>((Distribution { cuts: probabilities(&fine), counts: all }, cuts, by_label, pairs))
    };
    let counted = counted.await.map_err(|e| kept.unnamed(e));
    kept.delete().await;
    let (distribution, cuts, mut by_label, pairs) = counted?;
    let mut file = EvaluationFile::new(evaluating.model.clone(), evaluating.population.clone());
    file.identity = Some(identity);
    file.bads = by_label.pop().unwrap_or_default();
    file.goods = by_label.pop().unwrap_or_default();
    file.rows = rows.iter().sum();
    file.threshold = threshold;
    file.cuts = probabilities(&cuts);
    (file.minimum, file.distribution, file.pairs) = (minimum, Some(distribution), pairs);
    file.context = Some(Context {
        evaluated: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        model: evaluating.named.clone(),
        tables: tables.iter().map(|table| CountedTable { table: named(table), rows: table.rows }).collect(),
        mode: mode.to_string(),
        bins,
        minimum,
        features: Standardized::of(&pooling.moments()),
    });
    Ok(file)
}

/// Whether customers of these tables can be counted by this model at all, whatever their owners permit.
///
/// # Errors
/// [`Error::Usage`] for a table or a model of other features or moments, no model, or no labels.
pub fn check_fit(model: ModelSource<'_>, (tables, pooling): (&[TableStatus], &Pooling)) -> Result<(), Error> {
    pooling.labels(tables)?;
    for part in parts(tables, pooling) {
        job(model, Applicants::Tables(&part, pooling), (Vec::new(), Vec::new()), ModeSpec::Malicious)?;
    }
    Ok(())
}

/// Tables that are scored together. Each of them counts for itself: scores and labels come from the same rows.
fn parts(tables: &[TableStatus], pooling: &Pooling) -> Vec<Vec<TableStatus>> {
    match pooling {
        Pooling::Horizontal(_) => tables.iter().map(|table| vec![table.clone()]).collect(),
        Pooling::Vertical(_) => vec![tables.to_vec()],
    }
}

/// A table as people name it.
fn named(table: &TableStatus) -> String {
    TableArg { owner: table.owner.clone(), name: table.name.clone(), version: table.version }.to_string()
}

fn listed(tables: &[TableStatus]) -> String {
    tables.iter().map(named).collect::<Vec<_>>().join(", ")
}

/// The nearest probability that customers are counted by.
pub(super) fn countable(probability: f64) -> f64 {
    units(probability) as f64 * Number::ULP
}

/// A probability in units of [`Number::ULP`].
fn units(probability: f64) -> i64 {
    (probability / Number::ULP).round() as i64
}

fn probabilities(units: &[i64]) -> Vec<f64> {
    units.iter().map(|at| *at as f64 * Number::ULP).collect()
}

/// Cut points between probabilities, in units of [`Number::ULP`], the same ones for all populations, and one more. Their logits lie evenly, and closer where most scores are.
fn fine_cuts(one_more: i64) -> Vec<i64> {
    let near = (-160..=160).map(|k| f64::from(k) / 32.0);
    let far = (41..=96).flat_map(|k| [-1.0, 1.0].map(|sign| sign * f64::from(k) / 8.0));
    let at = |logit: f64| units(1.0 / (1.0 + (-logit).exp()));
    let all: BTreeSet<i64> = near.chain(far).map(at).chain([one_more]).collect();
    let one = units(1.0);
    all.into_iter().filter(|at| (1..one).contains(at)).collect()
}

/// Those of the cut points, between which so many customers were counted, that come nearest to so many parts of one size, and the threshold, if it is known.
fn chosen(fine: &[i64], counts: &[u64], (bins, threshold): (u32, i64), minimum: u64) -> Vec<i64> {
    let known = |(cut, count): (&i64, &u64)| *cut == threshold && (minimum < 2 || *count > 0);
    let border = fine.iter().zip(counts).position(known);
    let places: BTreeSet<usize> = quantiles(counts, bins).into_iter().chain(border).collect();
    places.into_iter().filter_map(|place| fine.get(place).copied()).collect()
}

/// Counts of scores of customers.
struct Counting<'a> {
    client: &'a Client,
    /// Customers of each input.
    rows: &'a [u64],
    minimum: u64,
    mode: ModeSpec,
}

impl Counting<'_> {
    /// Customers between cut points: good ones and bad ones if there are labels beside the scores, and else all. Bins are not merged across the threshold, if it is one of the cut points.
    async fn by(&self, cuts: &[i64], threshold: i64, inputs: &[InputSpec]) -> Result<Vec<Vec<u64>>, Error> {
        let by_label = inputs.len() > self.rows.len();
        let around = cuts.iter().position(|cut| *cut == threshold).and_then(|below| u32::try_from(below + 1).ok());
        let (rows, cuts, minimum) = (self.rows.to_vec(), cuts.to_vec(), self.minimum);
        let counts = CountsSpec { rows, cuts, on_cut: OnCut::Upper, by_label, minimum, around };
        let spec = JobSpec { inputs: inputs.to_vec(), ..JobSpec::new(ProgramSpec::CreditCounts(counts), self.mode) };
        let outcome = self.client.run(&spec, Bytes::new(), &[]).await?;
        (0..outcome.outputs.len()).map(|k| Ok(outcome.z64(k)?.iter().map(|n| n.0).collect())).collect()
    }
}

/// Who submits jobs.
pub(super) fn submitter(client: &Client) -> Result<ClientName, Error> {
    let me = client.name().cloned();
    me.ok_or_else(|| Error::Usage("a node submits no jobs; use the certificate of a client".to_owned()))
}

/// Scores of customers that stay at the nodes while they are counted, as tables of the client.
pub(super) struct KeptScores<'a> {
    client: &'a Client,
    me: &'a ClientName,
    purpose: Purpose,
    names: Vec<TableName>,
}

impl<'a> KeptScores<'a> {
    /// None yet, for this client and of customers of these owners, to be counted so often.
    pub(super) fn new(
        client: &'a Client,
        (me, owners): (&'a ClientName, Vec<ClientName>),
        (minimum, times, mode): (u64, u32, ModeSpec),
    ) -> Self {
        // No more than any owner can permit, beside the tables of all of them.
        let purpose = Purpose { pooled_with: owners, times, ..Purpose::new(vec![me.clone()], minimum, mode) };
        Self { client, me, purpose, names: Vec::new() }
    }

    /// Scores the customers of some tables. Gives what takes the scores into another job.
    pub(super) async fn add(
        &mut self,
        model: ModelSource<'_>,
        (tables, pooling): (&[TableStatus], &Pooling),
        report: ReportSpec,
    ) -> Result<InputSpec, Error> {
        let name: TableName = format!("scores-{}", JobId::random()?).parse().map_err(Error::Bug)?;
        let (columns, permits) = (vec![column(SCORE)?], self.purpose.scores());
        let table = KeptTable { name: name.clone(), version: 1, columns: columns.clone(), permits };
        let outputs = (vec![report], vec![OutputSpec::kept(table)]);
        let spec = job(model, Applicants::Tables(tables, pooling), outputs, self.purpose.mode)?;
        self.names.push(name.clone());
        self.client.run(&spec, Bytes::new(), &[]).await?;
        Ok(InputSpec::Table(TableInput { owner: self.me.clone(), name, version: 1, columns }))
    }

    /// What nodes refuse, without the names of these tables, which nobody has given.
    pub(super) fn unnamed(&self, error: Error) -> Error {
        let Error::Refused { node, mut problem } = error else { return error };
        let named = self.names.iter().any(|name| problem.detail.contains(name.as_str()));
        if named {
            problem.detail = match problem.kind() {
                Some(ProblemKind::Denied) => {
                    "the scores of this evaluation, which stay at the nodes meanwhile, may not be counted with labels of these tables"
                        .to_owned()
                }
                _ => self.names.iter().fold(problem.detail, |detail, name| {
                    detail.replace(&format!("`{name}`"), "of the scores of this evaluation")
                }),
            };
        }
        Error::Refused { node, problem }
    }

    /// Deletes them. A node that does not answer keeps what can be used for counts alone.
    pub(super) async fn delete(self) {
        for name in &self.names {
            if let Err(e) = self.client.delete_table(name, 1).await {
                tracing::warn!(
                    "could not delete the table `{name}` of scores: {e}; delete it when that node is back, with `trefoil credit delete --table {name}`"
                );
            }
        }
    }
}
