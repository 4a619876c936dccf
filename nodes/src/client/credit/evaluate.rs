//! How a model does on customers of several institutions, by counts alone.

use super::{Applicants, EvaluationFile, ModelSource, Pooling, Purpose, column, score::job, whose_customers};
use crate::{
    Error,
    client::Client,
    job::{
        AucSpec, CountsSpec, InputSpec, JobId, JobSpec, KeptTable, ModeSpec, OutputSpec, ProgramSpec, ReportSpec,
        TableInput,
    },
    pki::ClientName,
    tables::{TableName, TableStatus},
};
use bytes::Bytes;
use trefoil_circuits::credit::{Number, OnCut};

/// What is counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluating {
    /// The model, for people.
    pub model: String,
    /// The population, for people.
    pub population: String,
    /// Equal bins of the probability of being bad: 2 to 1,000.
    pub bins: usize,
    /// The probability from which customers are called bad; it is moved up to the next border of a bin.
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

/// Scores the customers of tables at the nodes, which nobody learns, and counts them by score and label.
///
/// The scores stay at the nodes as tables of this client while they are counted. Cancelled, it may leave them there: nobody can use them for anything but counts.
///
/// # Errors
/// [`Error::Usage`] for a model, tables or settings that do not fit; else as [`Client::run`].
pub async fn evaluate(
    client: &Client,
    model: ModelSource<'_>,
    (tables, pooling): (&[TableStatus], &Pooling),
    evaluating: &Evaluating,
) -> Result<EvaluationFile, Error> {
    let me = submitter(client)?;
    let Evaluating { bins, minimum, mode, threshold, .. } = *evaluating;
    let accepted = (2..=1000).contains(&bins) && threshold > 0.0 && threshold < 1.0;
    if !accepted {
        return Err(Error::Usage("give 2 to 1000 bins and a threshold above 0 and below 1".to_owned()));
    }
    let called_bad = (0..bins).find(|k| *k as f64 >= threshold * bins as f64 - 1e-9).unwrap_or(bins);
    let labels = pooling.labels(tables)?;
    // Each of them counts for itself: scores and labels come from the same rows.
    let parts: Vec<Vec<TableStatus>> = match pooling {
        Pooling::Horizontal(_) => tables.iter().map(|table| vec![table.clone()]).collect(),
        Pooling::Vertical(_) => vec![tables.to_vec()],
    };
    let mut kept = KeptScores::new(client, &me, whose_customers(tables), (minimum, mode));
    let counted = async {
        let mut values = Vec::new();
        for part in &parts {
            values.push(kept.add(model, (part, pooling), ReportSpec::Probability).await?);
        }
        let rows = parts.iter().filter_map(|part| part.first()).map(|table| table.rows).collect();
        let border = |k: usize| (k as f64 / bins as f64 / Number::ULP).round() as i64;
        let cuts = (1..bins).map(border).collect();
        let around = u32::try_from(called_bad).ok().filter(|_| called_bad < bins);
        let counts = CountsSpec { rows, cuts, on_cut: OnCut::Upper, by_label: true, minimum, around };
        let inputs: Vec<_> = values.into_iter().chain(labels).collect();
        let auc = AucSpec { rows: counts.rows.clone(), bins: FINE, minimum };
        let auc = JobSpec { inputs: inputs.clone(), ..JobSpec::new(ProgramSpec::CreditAuc(auc), mode) };
        let counts = JobSpec { inputs, ..JobSpec::new(ProgramSpec::CreditCounts(counts), mode) };
        let counted = client.run(&counts, Bytes::new(), &[]).await?;
        Ok::<_, Error>((counted, client.run(&auc, Bytes::new(), &[]).await?))
    };
    let counted = counted.await;
    kept.delete().await;
    let (counted, auc) = counted?;
    let counts = |k: usize| Ok::<_, Error>(counted.z64(k)?.iter().map(|n| n.0).collect());
    let mut file = EvaluationFile::new(evaluating.model.clone(), evaluating.population.clone());
    (file.goods, file.bads) = (counts(0)?, counts(1)?);
    file.rows = parts.iter().filter_map(|part| part.first()).map(|table| table.rows).sum();
    file.threshold = called_bad;
    file.minimum = minimum;
    file.pairs = auc.z64(0)?.iter().map(|n| n.0).collect::<Vec<_>>().try_into().ok();
    Ok(file)
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
    /// None yet, of customers of these owners.
    pub(super) fn new(
        client: &'a Client,
        me: &'a ClientName,
        owners: Vec<ClientName>,
        (minimum, mode): (u64, ModeSpec),
    ) -> Self {
        // No more than any owner can permit: counted twice, beside the tables of all of them.
        let purpose = Purpose { pooled_with: owners, times: 2, ..Purpose::new(vec![me.clone()], minimum, mode) };
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

    /// Deletes them. A node that does not answer keeps what can be used for counts alone.
    pub(super) async fn delete(self) {
        for name in &self.names {
            if let Err(e) = self.client.delete_table(name, 1).await {
                tracing::warn!("could not delete the table `{name}` of scores: {e}; delete it when that node is back");
            }
        }
    }
}
