//! What a job of credit analysis will cost.

use super::{grouped, short, size};
use crate::{
    Error,
    cli::{Output, block_on, credit::MethodArgs},
    client::credit::{Scoring, Tell, Training, read_moments},
    credit::NamedMoments,
    job::{
        AucSpec, Checks, CountsSpec, JobCost, JobSpec, JoinSpec, JoinedSpec, ModeSpec, ModelSpec, MomentsSpec,
        PooledSpec, ProgramSpec, ScoreSpec, Sizes, Trainer, rehearsal_bytes, rehearse, set_aside,
    },
};
use serde::Serialize;
use std::{
    fmt::{self, Display},
    fs,
    path::PathBuf,
    time::Duration,
};
use trefoil_circuits::{
    credit::{Kept, Number, OnCut, Place},
    plan::Network,
};

/// The programs that are planned here.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum CreditProgram {
    /// Sums and sums of squares of columns
    Moments,
    /// Tables of the same customers side by side
    CreditJoin,
    /// Training of a logistic regression
    CreditTrain,
    /// Scores by a logistic regression
    CreditScore,
    /// Good and bad customers between cut points of a score
    CreditCounts,
    /// The area under the ROC curve
    CreditAuc,
}

/// Arguments of `trefoil plan` for credit analysis, as typed.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Credit analysis")]
pub struct CreditArgs {
    /// Customers. Several numbers: of institutions with other customers each
    #[arg(long, value_delimiter = ',', value_name = "ROWS,..")]
    rows: Vec<u64>,
    /// Features, not counting keys and labels. Several numbers: of institutions with other columns of the same customers; credit-join takes as many as tables
    #[arg(long, value_delimiter = ',', value_name = "COLUMNS,..", default_values_t = [26], conflicts_with = "moments")]
    columns: Vec<u32>,
    /// Take the features from these files of moments
    #[arg(long, value_delimiter = ',', value_name = "FILE,..")]
    moments: Vec<PathBuf>,
    /// The inputs are known to be within their limits: tables of which an earlier job has been, or one's own customers, whose scores nobody else learns
    #[arg(long)]
    checked: bool,
    /// credit-score: the model is public, not shared
    #[arg(long)]
    public_model: bool,
    /// credit-score: what is told of each customer
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Tell::Decision, Tell::Probability], value_name = "WHAT,..")]
    tell: Vec<Tell>,
    /// credit-score: name so many columns that add most to a score
    #[arg(long, value_name = "N", default_value_t = 0)]
    reasons: usize,
    #[command(flatten)]
    method: MethodArgs,
    /// credit-counts: cut points of the probability of being bad [default: of ten equal bins]
    #[arg(long, value_delimiter = ',', value_name = "P,..")]
    cuts: Vec<f64>,
    /// credit-counts, credit-auc and credit-join: the least count that is told
    #[arg(long, default_value_t = 10)]
    minimum: u64,
}

/// Plans a job of credit analysis by running it on made-up customers.
///
/// # Errors
/// [`Error::Usage`] for sizes or settings that nodes would refuse, or for which this machine has too little memory.
pub(super) fn run(
    program: CreditProgram,
    args: &CreditArgs,
    (mode, network): (ModeSpec, &Network),
    output: Output,
) -> Result<(), Error> {
    let usage = |e: &dyn Display| Error::Usage(e.to_string());
    let spec = JobSpec::new(args.spec(program, mode)?, mode);
    let (sizes, memory) = set_aside(&spec.program).map_err(|e| usage(&e))?;
    let takes = rehearsal_bytes(&spec.program).map_err(|e| usage(&e))?;
    if let Some(free) = available().filter(|free| *free < takes) {
        return Err(Error::Usage(format!(
            "the plan runs the job in this process, which takes about {} of memory, and {} are free; plan for fewer rows, or where there is more memory",
            size(takes),
            size(free)
        )));
    }
    let checks = if args.checked { Checks::Known } else { Checks::All };
    let costs = block_on(async { rehearse(&spec, checks).await.map_err(|e| usage(&e)) })?;
    let bounds = bounds(&spec.program).map_err(|e| usage(&e))?;
    let name = clap::ValueEnum::to_possible_value(&program).map(|value| value.get_name().to_owned());
    let row = Row::new(name.unwrap_or_default(), (mode, &sizes, memory), &costs, (bounds, network));
    output.print(&row, Table(&row))
}

impl CreditArgs {
    /// Whether the options of these programs were given.
    pub(super) fn given(&self) -> bool {
        !self.rows.is_empty() || !self.moments.is_empty() || !self.cuts.is_empty() || self.checked || self.public_model
    }

    fn spec(&self, program: CreditProgram, mode: ModeSpec) -> Result<ProgramSpec, Error> {
        if self.rows.is_empty() {
            return Err(Error::Usage("give the number of customers: --rows ROWS,..".to_owned()));
        }
        let moments = self.moments.iter().map(|path| read_moments(path)).collect::<Result<Vec<_>, _>>()?;
        let features = |moments: &NamedMoments| moments.features.len() as u32;
        let columns: Vec<u32> =
            if moments.is_empty() { self.columns.clone() } else { moments.iter().map(features).collect() };
        // Of columns that are not known, each has one feature.
        let of_column = if moments.is_empty() {
            vec![1; columns.iter().sum::<u32>() as usize]
        } else {
            moments.iter().flat_map(|moments| moments.columns()).map(|(_, features)| features as u32).collect()
        };
        let (rows, minimum) = (self.rows.clone(), self.minimum);
        Ok(match program {
            CreditProgram::Moments => {
                // Which limit it is makes no difference.
                let limit = (!self.checked).then_some(1 << 20);
                ProgramSpec::Moments(MomentsSpec { columns: columns.iter().sum(), rows, limit })
            }
            CreditProgram::CreditTrain => {
                let training = Training { method: self.method.method(None), l2: self.method.l2, mode };
                ProgramSpec::CreditTrain(training.of(pooled(rows, columns)?)?)
            }
            CreditProgram::CreditScore => {
                let scoring = Scoring {
                    tell: self.tell.clone(),
                    threshold: 0.5,
                    reasons: self.reasons,
                    recipients: vec![],
                    mode,
                };
                let table = pooled(rows, columns)?;
                let (customers, features) = table.size();
                let reports = scoring.reports(of_column, usize::try_from(customers).unwrap_or(usize::MAX))?;
                let coefficients = usize::try_from(features + 1).unwrap_or(usize::MAX);
                let model =
                    if self.public_model { ModelSpec::Public(vec![0; coefficients]) } else { ModelSpec::Shared };
                ProgramSpec::CreditScore(ScoreSpec { table, model, reports })
            }
            CreditProgram::CreditCounts => {
                let tenths = || (1..10).map(|k| f64::from(k) / 10.0).collect();
                let cuts: Vec<f64> = if self.cuts.is_empty() { tenths() } else { self.cuts.clone() };
                let cuts = cuts.iter().map(|cut| (cut / Number::ULP).round() as i64).collect();
                let on_cut = OnCut::Upper;
                ProgramSpec::CreditCounts(CountsSpec { rows, cuts, on_cut, by_label: true, minimum, around: None })
            }
            CreditProgram::CreditAuc => ProgramSpec::CreditAuc(AucSpec { rows, bins: 1024, minimum }),
            CreditProgram::CreditJoin => {
                if rows.len() != columns.len() {
                    return Err(Error::Usage(
                        "give rows and columns of each table: --rows 1000,900 --columns 12,14".to_owned(),
                    ));
                }
                let tables = rows.into_iter().zip(columns).map(|(rows, columns)| JoinedSpec { rows, columns });
                ProgramSpec::CreditJoin(JoinSpec { tables: tables.collect(), labels: Some(0), minimum })
            }
        })
    }
}

fn pooled(rows: Vec<u64>, columns: Vec<u32>) -> Result<PooledSpec, Error> {
    match (&rows[..], &columns[..]) {
        (_, &[columns]) => Ok(PooledSpec::Horizontal { columns, rows }),
        (&[rows], _) => Ok(PooledSpec::Vertical { rows, columns }),
        _ => Err(Error::Usage(
            "give several numbers of --rows, for other customers each, or several of --columns, for other columns of the same customers"
                .to_owned(),
        )),
    }
}

/// What can come up where in a program, for those that compute with fractions. The others count and compare integers, exactly.
fn bounds(program: &ProgramSpec) -> Result<Vec<Bound>, crate::job::SpecFault> {
    let places = match program {
        ProgramSpec::CreditScore(score) => score.resolve()?.places(),
        ProgramSpec::CreditTrain(train) => match train.resolve()? {
            Trainer::Newton(train) => train.places(),
            Trainer::Descent(train) => train.places(),
        },
        _ => Vec::new(),
    };
    let bound = |Place { name, bits, room, kept }: Place| {
        let kept_by = match kept {
            Kept::Inputs => "inputs",
            Kept::Flag => "flag",
        };
        Bound { name, bits, room, kept_by }
    };
    Ok(places.into_iter().map(bound).collect())
}

/// Bytes of memory that are free, where the system says so.
fn available() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.saturating_mul(1024))
}

/// The JSON form. Bytes are those of one node, but for `bytes_in_all`; times are in seconds.
#[derive(Serialize)]
struct Row {
    program: String,
    mode: ModeSpec,
    rounds: u64,
    /// Of the node that sends most.
    bytes_sent: u64,
    bytes_in_all: u64,
    input_bytes: u64,
    output_bytes: u64,
    memory_bytes: u64,
    bounds: Vec<Bound>,
    rtt: f64,
    bandwidth: f64,
    predicted: Times,
    /// By all three parties in one process, without a network.
    computed_here: f64,
}

#[derive(Serialize)]
struct Bound {
    name: &'static str,
    bits: f64,
    room: f64,
    kept_by: &'static str,
}

#[derive(Serialize)]
struct Times {
    latency: f64,
    transfer: f64,
}

impl Row {
    fn new(
        program: String,
        (mode, sizes, memory_bytes): (ModeSpec, &Sizes, u64),
        costs: &[JobCost; 3],
        (bounds, network): (Vec<Bound>, &Network),
    ) -> Self {
        let most = |of: fn(&JobCost) -> u64| costs.iter().map(of).max().unwrap_or(0);
        let (rounds, bytes_sent) = (most(|cost| cost.rounds), most(|cost| cost.bytes_sent));
        let rtt = network.rtt.0.as_secs_f64();
        let bytes = |shapes: &[trefoil_circuits::program::Shape]| -> u64 {
            shapes.iter().map(|shape| 2 * shape.component_bytes() as u64).sum()
        };
        Self {
            program,
            mode,
            rounds,
            bytes_sent,
            bytes_in_all: costs.iter().map(|cost| cost.bytes_sent).sum(),
            input_bytes: bytes(&sizes.inputs),
            output_bytes: bytes(&sizes.outputs),
            memory_bytes,
            bounds,
            rtt,
            bandwidth: network.bandwidth.0,
            predicted: Times {
                latency: rounds as f64 * rtt / 2.0,
                transfer: 8.0 * bytes_sent as f64 / network.bandwidth.0,
            },
            computed_here: costs.iter().map(|cost| cost.seconds).fold(0.0, f64::max),
        }
    }
}

/// The form for people.
struct Table<'a>(&'a Row);

impl Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = self.0;
        let seconds = |seconds: f64| short(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
        write!(
            f,
            "program    {}\
             \nmode       {}\
             \nrounds     {}\
             \nsent       {} bytes by the node that sends most; {} bytes in all\
             \ninputs     {} of shares at each node, outputs {}\
             \nmemory     {} set aside by each node, beside its tables\
             \ntime       latency {}, sending {}; computing took {} here, all three nodes in one process",
            row.program,
            row.mode,
            grouped(row.rounds),
            grouped(row.bytes_sent),
            grouped(row.bytes_in_all),
            size(row.input_bytes),
            size(row.output_bytes),
            size(row.memory_bytes),
            seconds(row.predicted.latency),
            seconds(row.predicted.transfer),
            seconds(row.computed_here),
        )?;
        if row.bounds.is_empty() {
            return write!(f, "\nbounds     integers alone, which are exact");
        }
        for (k, Bound { name, bits, room, kept_by }) in row.bounds.iter().enumerate() {
            let head = if k == 0 { "bounds" } else { "" };
            let kept = match *kept_by {
                "flag" => "or a flag is raised and nothing is released",
                _ => "by the limits of the inputs",
            };
            write!(f, "\n{head:<11}{name}: at most {bits:.1} bits of {room:.0}, {kept}")?;
        }
        Ok(())
    }
}
