//! Scores of customers, for those who may know them.

use super::{Encoded, ModelFile, Pooling, digest, find::check_model, model_column, moments::input, train::units};
use crate::{
    Error,
    client::{Client, JobHandle, Outcome, Plain},
    credit::NamedMoments,
    job::{
        InputSpec, JobCost, JobId, JobSpec, ModeSpec, ModelSpec, OutputSpec, PooledSpec, ProgramSpec, ReasonsSpec,
        ReportSpec, ScoreSpec,
    },
    pki::ClientName,
    tables::{ScoreDetail, TableStatus},
};
use bytes::Bytes;
use std::fmt;
use trefoil_circuits::{
    arith::fixed::PROBABILITY_BITS,
    credit::{Number, encode_model},
    program::{RingKind, Shape},
};
use trefoil_engine::{Lanes, Z64};

/// So many customers at most are few: rounds take more of their time than bytes.
const FEW: usize = 512;

/// By which model.
#[derive(Clone, Copy, Debug)]
pub enum ModelSource<'a> {
    /// One that is in the clear.
    Public(&'a ModelFile),
    /// A table of shares of one: the secret of an institution, or the result of joint training; and what its features are standardized by.
    Table(&'a TableStatus, &'a NamedMoments),
}

/// Who is scored.
#[derive(Clone, Copy, Debug)]
pub enum Applicants<'a> {
    /// Customers of this client, whose features come with the job.
    Rows(&'a Encoded),
    /// Customers in a table at the nodes; or in several tables, if each has other columns.
    Tables(&'a [TableStatus], &'a Pooling),
}

/// One thing that is told of each customer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum Tell {
    /// Whether the probability of being bad is at least the threshold
    Decision,
    /// The probability of being bad
    Probability,
    /// The logit, of which points are made
    Logit,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Scoring {
    /// What is told.
    pub tell: Vec<Tell>,
    /// The threshold of decisions, above 0 and below 1.
    pub threshold: f64,
    /// How many columns are named that add most to the logit of a customer: up to 16, or 0 for none.
    pub reasons: usize,
    /// Who is told, and nobody else.
    pub recipients: Vec<ClientName>,
    /// The mode of the job.
    pub mode: ModeSpec,
}

/// What a recipient knows of each customer. Does not print it.
#[derive(Clone, Default, PartialEq)]
pub struct Scores {
    /// Whether customers are called bad.
    pub decisions: Option<Vec<bool>>,
    /// Probabilities of being bad.
    pub probabilities: Option<Vec<f64>>,
    /// Logits.
    pub logits: Option<Vec<f64>>,
    /// For each customer the columns that add most to the logit, most first: their places among [`NamedMoments::columns`], whose number stands for no further one.
    pub reasons: Option<Vec<Vec<usize>>>,
}

impl fmt::Debug for Scores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scores").finish_non_exhaustive()
    }
}

/// A job of scores that is done.
#[derive(Debug)]
pub struct Scored {
    /// The job, by which other recipients fetch their scores: [`fetch`].
    pub job: JobId,
    /// What this client may know.
    pub scores: Scores,
    /// What it cost each node.
    pub costs: [JobCost; 3],
}

/// Scores customers. Cancelled, it deletes the job in the background.
///
/// # Errors
/// [`Error::Usage`] for a model, customers or settings that do not fit; else as [`Client::run`].
pub async fn score(
    client: &Client,
    model: ModelSource<'_>,
    applicants: Applicants<'_>,
    scoring: &Scoring,
) -> Result<Scored, Error> {
    let output = OutputSpec::to(scoring.recipients.clone());
    let count = match applicants {
        Applicants::Rows(rows) => rows.rows(),
        Applicants::Tables(tables, pooling) => pooling.of(tables)?.0.size().0 as usize,
    };
    let columns = model.moments().columns().iter().map(|(_, features)| *features as u32).collect();
    let reports = scoring.reports(columns, count)?;
    let outputs = vec![output; reports.len()];
    let spec = job(model, applicants, (reports, outputs), scoring.mode)?;
    let rows = match applicants {
        Applicants::Rows(rows) => Some(rows.concatenated()),
        Applicants::Tables(..) => None,
    };
    let inputs: Vec<Plain<'_>> = rows.iter().map(|rows| Plain::Z64(rows)).collect();
    let job = client.submit(&spec, Bytes::new(), &inputs).await?;
    let (id, outcome) = (job.id(), job.outcome().await);
    job.conclude(&spec, &outcome).await;
    let outcome = outcome?;
    Ok(Scored { job: id, scores: scores(&outcome, &scoring.tell, (count, scoring.reasons))?, costs: outcome.costs })
}

/// Fetches the scores of a job that another client has submitted. Cancel safe.
///
/// # Errors
/// [`Error::Usage`] if `tell` and the number of reasons are not what the job tells; else as [`Client::job`] and [`JobHandle::outcome`].
pub async fn fetch(client: &Client, id: JobId, tell: &[Tell], reasons: usize) -> Result<Scored, Error> {
    let job: JobHandle = client.job(id).await?;
    let outputs = job.outputs();
    let counts: Option<Vec<usize>> =
        outputs.iter().zip(tell).map(|(output, tell)| customers(output.shape, *tell)).collect();
    let count = counts.as_ref().and_then(|counts| counts.first()).copied().unwrap_or(0);
    let same = counts.is_some_and(|counts| counts.len() == tell.len() && counts.iter().all(|other| *other == count));
    let of_reasons: Vec<_> = outputs.iter().skip(tell.len()).map(|output| output.shape).collect();
    let due: Vec<_> = (reasons > 0).then(|| Shape::z64(count * reasons)).into_iter().collect();
    if !same || of_reasons != due {
        return Err(Error::Usage(
            "the job tells something else; ask who has submitted it for the --tell and --reasons it was submitted with"
                .to_owned(),
        ));
    }
    let outcome = job.outcome().await?;
    Ok(Scored { job: id, scores: scores(&outcome, tell, (count, reasons))?, costs: outcome.costs })
}

impl Scoring {
    /// Whether it tells more than one decision.
    pub fn detail(&self) -> ScoreDetail {
        if self.tell == [Tell::Decision] && self.reasons == 0 { ScoreDetail::Decision } else { ScoreDetail::Number }
    }

    /// What the job of so many customers reports, who have columns of so many features each. Of few, probabilities come in fewer rounds as numbers.
    ///
    /// # Errors
    /// [`Error::Usage`] if nothing is to be told, or a thing twice; or for a threshold below zero or too large.
    pub fn reports(&self, columns: Vec<u32>, customers: usize) -> Result<Vec<ReportSpec>, Error> {
        let twice = self.tell.iter().enumerate().any(|(k, tell)| self.tell[..k].contains(tell));
        if self.tell.is_empty() || twice {
            return Err(Error::Usage(
                "--tell names what is told of each customer: decision, probability and logit, each once at most"
                    .to_owned(),
            ));
        }
        let threshold: u32 = units("--threshold", self.threshold, f64::from(-32).exp2())?;
        let report = |tell: &Tell| match tell {
            Tell::Decision => ReportSpec::Decision(threshold),
            Tell::Probability if customers > FEW => ReportSpec::ProbabilityBits,
            Tell::Probability => ReportSpec::Probability,
            Tell::Logit => ReportSpec::Logit,
        };
        let mut reports: Vec<_> = self.tell.iter().map(report).collect();
        if self.reasons > 0 {
            let most = u32::try_from(self.reasons).unwrap_or(u32::MAX);
            reports.push(ReportSpec::Reasons(ReasonsSpec { most, columns }));
        }
        Ok(reports)
    }
}

/// Customers that are told of in an output of this shape; `None` if it is another thing that is told.
fn customers(shape: Shape, tell: Tell) -> Option<usize> {
    match (tell, shape.ring) {
        (Tell::Decision, RingKind::Bits) | (Tell::Probability | Tell::Logit, RingKind::Z64) => Some(shape.len),
        (Tell::Probability, RingKind::Bits) => Some(shape.len / PROBABILITY_BITS),
        _ => None,
    }
}

/// Probabilities from the bits of [`ReportSpec::ProbabilityBits`].
fn probabilities(words: &[Lanes], rows: usize) -> Vec<f64> {
    let bit = |at: usize| words.get(at / Lanes::COUNT).map_or(0, |word| word.0 >> (at % Lanes::COUNT) & 1);
    let units = |row: usize| (0..PROBABILITY_BITS).fold(0, |sum, k| sum | bit(k * rows + row) << k);
    (0..rows).map(|row| units(row) as f64 / f64::from(1 << PROBABILITY_BITS)).collect()
}

impl<'a> ModelSource<'a> {
    /// What its features are standardized by.
    fn moments(self) -> &'a NamedMoments {
        match self {
            Self::Public(file) => &file.moments,
            Self::Table(_, moments) => moments,
        }
    }
}

/// The job that scores customers.
pub(super) fn job(
    model: ModelSource<'_>,
    applicants: Applicants<'_>,
    (reports, outputs): (Vec<ReportSpec>, Vec<OutputSpec>),
    mode: ModeSpec,
) -> Result<JobSpec, Error> {
    let (table, mut inputs, own) = match applicants {
        Applicants::Rows(rows) => {
            let table = PooledSpec::Horizontal { columns: rows.width() as u32, rows: vec![rows.rows() as u64] };
            (table, vec![InputSpec::Upload], rows.moments_digest().to_owned())
        }
        Applicants::Tables(tables, pooling) => {
            let (table, inputs) = pooling.of(tables)?;
            (table, inputs, digest(&pooling.moments())?)
        }
    };
    let (model, moments) = match model {
        ModelSource::Public(file) => {
            let all = encode_model(&file.model()).map_err(|e| Error::Usage(e.to_string()))?;
            (ModelSpec::Public(all.iter().map(|x| x.0.cast_signed()).collect()), &file.moments)
        }
        ModelSource::Table(status, moments) => {
            let column = model_column(moments)?;
            check_model(status, &column)?;
            inputs.push(input(status, &[column]));
            (ModelSpec::Shared, moments)
        }
    };
    if digest(moments)? != own {
        return Err(Error::Usage(
            "the model is one of other features, other moments or another schema than the customers have; share the customers with the moments of the model".to_owned(),
        ));
    }
    let program = ProgramSpec::CreditScore(ScoreSpec { table, model, reports });
    Ok(JobSpec { inputs, outputs, ..JobSpec::new(program, mode) })
}

fn scores(outcome: &Outcome, tell: &[Tell], (rows, reasons): (usize, usize)) -> Result<Scores, Error> {
    let mut scores = Scores::default();
    if reasons > 0 && matches!(outcome.outputs.get(tell.len()), Some(Some(_))) {
        let places = outcome.z64(tell.len())?.chunks_exact(reasons);
        let of_row = |places: &[Z64]| places.iter().map(|place| place.0 as usize).collect::<Vec<_>>();
        scores.reasons = Some(places.map(of_row).collect());
    }
    for (k, tell) in tell.iter().enumerate() {
        if !matches!(outcome.outputs.get(k), Some(Some(_))) {
            continue;
        }
        let numbers = || Ok::<_, Error>(outcome.z64(k)?.iter().map(|x| Number::decode(*x)).collect());
        match tell {
            Tell::Decision => {
                let words = outcome.bits(k)?;
                let bit = |row: usize| words[row / Lanes::COUNT].0 >> (row % Lanes::COUNT) & 1 == 1;
                scores.decisions = Some((0..rows.min(words.len() * Lanes::COUNT)).map(bit).collect());
            }
            Tell::Probability => {
                scores.probabilities = Some(match outcome.bits(k) {
                    Ok(words) => probabilities(words, rows),
                    Err(_) => numbers()?,
                });
            }
            Tell::Logit => scores.logits = Some(numbers()?),
        }
    }
    Ok(scores)
}
