//! `trefoil credit train`: a logistic regression on the tables of several institutions.

use super::{TablesArgs, connected, denied::denied, fetch_command, listed, warn_of_strangers};
use crate::{
    Error,
    cli::{ClusterArgs, Exit, ModeArgs, OutputArgs},
    client::credit::{
        Asked, Destination, Method, ModelFile, NewFile, Purpose, Trained, Training, fetch_model, train, whose_customers,
    },
    job::{JobId, ProgramKind},
    pki::ClientName,
    tables::{ScoreDetail, TableName},
};
use indicatif::HumanBytes;
use serde::Serialize;
use std::path::PathBuf;
use trefoil_circuits::credit::Stopping;

const EXAMPLES: &str = "\
Training is Newton's method or gradient descent on the standardized features. By default the model stays shared at the nodes, as a table of the client that has it trained: nobody is told
it, and it scores customers as far as the owners of the tables permit. Numbers, not decisions, of one customer more than there are features tell it. With --release-to, the clients that are named learn it, if all owners have named them with
`trefoil credit share --model-to`.

If a coefficient leaves its range, or all customers have the same label, the job fails and nothing is released: see that customers of both labels are there, raise --l2, or lower the --rate
of descent.

Examples:
  trefoil credit train --cluster demo/cluster.toml --identity demo/lead.crt --tables bank-a/loans,bank-b/loans --moments moments.json --model-table model
  trefoil credit train --cluster demo/cluster.toml --identity demo/lead.crt --tables bank-a/loans,bank-b/loans --moments moments.json \\
      --release-to lead --out model.json
  trefoil credit train --cluster demo/cluster.toml --identity demo/lead.crt --tables bank-a/loans,bank-b/loans --moments moments.json --model-table model \\
      --method descent --epochs 400 --stop-below 0.001
  trefoil credit train --cluster demo/cluster.toml --identity demo/lead.crt --tables bank-a/loans,telco/usage --moments bank.json,telco.json --model-table model";

/// Arguments of `trefoil credit train`, as typed.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct TrainArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    tables: TablesArgs,
    /// Keep the model shared, as a table of this name
    #[arg(long, value_name = "NAME")]
    model_table: Option<TableName>,
    /// The version of that table
    #[arg(long, default_value_t = 1)]
    version: u32,
    /// Who else may count customers by their scores under the shared model
    #[arg(long, value_delimiter = ',', value_name = "NAME,..")]
    analyst: Vec<ClientName>,
    /// Who may receive scores of single customers by the shared model, and ask for them: as far as all owners allow with `--model-scores-to` [default: nobody]
    #[arg(long, value_delimiter = ',', value_name = "NAME,..")]
    scores_to: Vec<ClientName>,
    /// What those in `--scores-to` may be told, as far as all owners allow with `--model-scores`
    #[arg(long, value_enum, default_value_t)]
    scores: ScoreDetail,
    /// How many jobs of each kind each client may submit with the shared model; must be given, and within what all owners allow, if they have given it [default: 0, not bounded]
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    times: u32,
    /// The least count of customers that may be told of scores by the shared model
    #[arg(long, default_value_t = 10)]
    minimum: u64,
    /// Release the model to these clients
    #[arg(long, value_delimiter = ',', value_name = "NAME,..", conflicts_with_all = ["model_table", "analyst", "scores_to", "minimum", "version"])]
    release_to: Vec<ClientName>,
    /// Where to write a model that is released to this client: a new file
    #[arg(long, value_name = "FILE", conflicts_with = "model_table")]
    out: Option<PathBuf>,
    /// Fetch the model of a training that another client has submitted, instead of training
    #[arg(long, value_name = "JOB", requires = "out", conflicts_with_all = ["tables", "model_table", "release_to"])]
    fetch: Option<JobId>,
    #[command(flatten)]
    method: MethodArgs,
    /// End descent before the last epoch when no coefficient has moved by more than this since the check before. The nodes learn at each check whether to go on, and so, as whoever
    /// submits the job, after how many epochs it ended; nothing else [default: never]
    #[arg(long, value_name = "BOUND")]
    stop_below: Option<f64>,
    /// Epochs from one check to the next
    #[arg(long, value_name = "EPOCHS", default_value_t = 5, requires = "stop_below")]
    stop_every: u32,
    #[command(flatten)]
    mode: ModeArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// How a model is trained, as typed.
#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct MethodArgs {
    /// Newton's method, or gradient descent with momentum
    #[arg(long, value_enum, default_value_t = MethodName::Newton)]
    pub method: MethodName,
    /// Iterations of Newton's method
    #[arg(long, default_value_t = 8)]
    pub iterations: u32,
    /// The learning rate of descent
    #[arg(long, default_value_t = 1.0)]
    pub rate: f64,
    /// The part of the last change that descent makes again in each step
    #[arg(long, default_value_t = 0.9)]
    pub momentum: f64,
    /// Passes of descent over all rows
    #[arg(long, default_value_t = 120)]
    pub epochs: u32,
    /// Rows of a step of descent [default: all]
    #[arg(long, value_name = "ROWS")]
    pub batch: Option<u64>,
    /// The L2 penalty: of the sum of log losses, half of this times the sum of squared weights
    #[arg(long, default_value_t = 1.0)]
    pub l2: f64,
}

/// The name of a method.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(in crate::cli) enum MethodName {
    /// Few iterations, each of which solves for all coefficients
    Newton,
    /// Many cheaper steps
    Descent,
}

/// The JSON form of the result.
#[derive(Debug, Serialize)]
struct Row {
    job: JobId,
    features: usize,
    rows: u64,
    model: Option<String>,
    released_to: Vec<ClientName>,
    seconds: f64,
    rounds: u64,
    bytes_sent: u64,
}

/// Runs the command.
///
/// # Errors
/// As [`train()`].
pub fn run(args: &TrainArgs) -> Result<Exit, Error> {
    args.check_destination()?;
    let pooling = args.tables.pooling()?;
    let options: [(&str, &[ClientName]); 3] =
        [("--analyst", &args.analyst), ("--scores-to", &args.scores_to), ("--release-to", &args.release_to)];
    warn_of_strangers(&args.cluster, &options);
    let training = Training { method: args.method()?, l2: args.method.l2, mode: args.mode.mode };
    let out = args.out.as_ref().map(|path| NewFile::create(path)).transpose()?;
    if let Some(job) = args.fetch {
        let fetched = connected(&args.cluster, async |client| fetch_model(&client, job, pooling.moments()).await)?;
        let written = args.write(fetched.model.as_ref(), out)?.unwrap_or_default();
        args.output
            .resolve()
            .print(&serde_json::json!({ "job": job, "model": written }), format!("wrote the model to {written}"))?;
        return Ok(Exit::Ok);
    }
    let (tables, Trained { job, model, costs }, kept, me) = connected(&args.cluster, async |client| {
        args.check_recipients(client.name())?;
        let tables = args.tables.find(&client).await?;
        let (destination, kept) = match &args.model_table {
            None => (Destination::Released(args.release_to.clone()), None),
            Some(name) => {
                let own: Vec<ClientName> = client.name().into_iter().cloned().collect();
                let kept = own.first().map(|own| format!("{own}/{name}@{}", args.version));
                let mut analysts = own;
                analysts.extend(args.analyst.iter().cloned());
                let purpose = Purpose {
                    // No more than any owner can permit.
                    pooled_with: whose_customers(&tables),
                    model_scores_to: args.scores_to.clone(),
                    model_scores: args.scores,
                    times: args.times,
                    ..Purpose::new(analysts, args.minimum, args.mode.mode)
                };
                (Destination::Kept(name.clone(), args.version, purpose.model()), kept)
            }
        };
        let trained = train(&client, &tables, &pooling, &training, destination).await;
        let trained = trained.map_err(|e| {
            let asked = client.name().map(|requester| Asked {
                program: ProgramKind::CreditTrain,
                requester,
                recipients: &args.release_to,
                minimum: 0,
                tell: args.scores,
                mode: args.mode.mode,
                times: 1,
            });
            denied(e, (&tables, None), asked.as_slice())
        })?;
        Ok((tables, trained, kept, client.name().cloned()))
    })?;
    let written = args.write(model.as_ref(), out)?;
    let row = Row {
        job,
        features: pooling.moments().features.len(),
        rows: if args.tables.moments.len() > 1 { tables[0].rows } else { tables.iter().map(|t| t.rows).sum() },
        model: kept.or(written),
        released_to: args.release_to.clone(),
        seconds: costs[0].seconds,
        rounds: costs[0].rounds,
        bytes_sent: costs.iter().map(|cost| cost.bytes_sent).sum(),
    };
    let text = row.text(&listed(&tables), &args.others(job, me.as_ref()));
    args.output.resolve().print(&row, text)?;
    Ok(Exit::Ok)
}

impl MethodArgs {
    /// The method, of which descent may stop early.
    pub(in crate::cli) const fn method(&self, stop: Option<Stopping>) -> Method {
        let Self { iterations, rate, momentum, epochs, batch, .. } = *self;
        match self.method {
            MethodName::Newton => Method::Newton { iterations },
            MethodName::Descent => Method::Descent { rate, momentum, epochs, batch, stop },
        }
    }
}

impl TrainArgs {
    fn method(&self) -> Result<Method, Error> {
        let stop = self.stop_below.map(|below| Stopping { every: self.stop_every as usize, below });
        if self.method.method == MethodName::Newton && stop.is_some() {
            return Err(Error::Usage(
                "--stop-below is for --method descent; Newton's method takes --iterations, 8 of which are enough"
                    .to_owned(),
            ));
        }
        Ok(self.method.method(stop))
    }

    /// A model is kept or told.
    fn check_destination(&self) -> Result<(), Error> {
        if self.model_table.is_some() || !self.release_to.is_empty() || self.fetch.is_some() {
            return Ok(());
        }
        Err(Error::Usage(
            "say what becomes of the model: --model-table NAME keeps it shared at the nodes, --release-to NAME,.. tells it to these clients, with --out FILE if this one is among them".to_owned(),
        ))
    }

    /// Whoever is to learn the model here needs a file for it, and who has one is to learn it.
    fn check_recipients(&self, me: Option<&ClientName>) -> Result<(), Error> {
        let mine = me.is_some_and(|me| self.release_to.contains(me));
        let refused = |cause: &str| Err(Error::Usage(cause.to_owned()));
        match (&self.out, mine) {
            (Some(_), false) => {
                refused("the model is not for this client; name it with --release-to, or leave --out away")
            }
            (None, true) => refused("the model is for this client too; say where to write it: --out FILE"),
            _ => Ok(()),
        }
    }

    /// Writes the model where it was asked for.
    fn write(&self, model: Option<&ModelFile>, out: Option<NewFile>) -> Result<Option<String>, Error> {
        match (&self.out, out, model) {
            (Some(path), Some(mut file), Some(model)) => {
                file.fill_json(model)?;
                file.place()?;
                Ok(Some(path.display().to_string()))
            }
            (Some(_), _, None) => {
                Err(Error::Usage("the model of that job is not for this client; ask who has submitted it".to_owned()))
            }
            _ => Ok(None),
        }
    }

    /// How those recipients get the model who are not this client.
    fn others(&self, job: JobId, me: Option<&ClientName>) -> String {
        let moments: Vec<_> = self.tables.moments.iter().map(|path| path.display().to_string()).collect();
        let commands = self.release_to.iter().filter(|name| Some(*name) != me).map(|name| {
            let command = fetch_command(&self.cluster, name, ("train", job));
            format!("\n  {name}: `{command} --moments {} --out model.json`", moments.join(","))
        });
        match commands.collect::<String>() {
            none if none.is_empty() => none,
            all => format!("; fetched within the retention of the nodes (10 minutes by default) with{all}"),
        }
    }
}

impl Row {
    fn text(&self, tables: &str, others: &str) -> String {
        let model = match (&self.model, self.released_to.is_empty()) {
            (Some(table), true) => format!("the model stays shared as {table}; nobody was told it"),
            (Some(file), false) => format!("wrote the model to {file}{others}"),
            (None, _) => {
                let names: Vec<_> = self.released_to.iter().map(ToString::to_string).collect();
                format!("the model is for {}{others}", names.join(", "))
            }
        };
        format!(
            "trained (job {}) on {} rows of {} features of {tables} in {:.1} s, {} rounds, {} sent by each node; {model}",
            self.job,
            self.rows,
            self.features,
            self.seconds,
            self.rounds,
            HumanBytes(self.bytes_sent / 3)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        train: TrainArgs,
    }

    fn parse(options: &str) -> Result<TrainArgs, clap::Error> {
        let words = ["train", "--cluster", "demo/cluster.toml", "--moments", "m.json", "--tables", "a/loans"];
        Line::try_parse_from(words.into_iter().chain(options.split_whitespace())).map(|line| line.train)
    }

    #[test]
    fn a_model_that_cannot_be_written_is_not_trained() {
        let lead = "lead".parse().expect("a name");
        let checked = |options: &str| parse(options).expect("options").check_recipients(Some(&lead));
        assert!(checked("--model-table m").is_ok() && checked("--release-to bank").is_ok());
        assert!(checked("--release-to bank,lead --out f").is_ok());
        let refused = |options| checked(options).expect_err(options).to_string();
        assert!(refused("--release-to bank --out f").contains("name it with --release-to"));
        assert!(refused("--release-to bank,lead").contains("--out FILE"));
        let destination = |options: &str| parse(options).expect("options").check_destination();
        assert!(destination("--model-table m").is_ok() && destination("--release-to bank").is_ok());
        let neither = destination("").expect_err("neither").to_string();
        assert!(neither.contains("--model-table NAME") && neither.contains("--release-to NAME"), "{neither}");
        for options in [
            "--model-table m --out f",
            "--release-to lead --analyst bank",
            "--release-to lead --scores-to bank",
            "--release-to lead --minimum 12",
            "--release-to lead --version 2",
        ] {
            let error = parse(options).expect_err(options).to_string();
            assert!(error.contains("cannot be used with"), "{error}");
        }
    }

    #[test]
    fn other_recipients_are_told_the_whole_command() {
        let (bank, lead) = ("bank".parse().expect("a name"), "lead".parse::<ClientName>().expect("a name"));
        let args = parse("--release-to lead,bank --out f").expect("options");
        let id = JobId::from([0xab; 16]);
        let others = args.others(id, Some(&lead));
        let command = format!(
            "bank: `trefoil credit train --cluster demo/cluster.toml --identity demo/bank.crt --fetch {id} --moments m.json --out model.json`"
        );
        assert!(others.contains("10 minutes") && others.ends_with(&command) && !others.contains("lead:"), "{others}");
        assert_eq!(parse("--release-to bank --out f").expect("options").others(id, Some(&bank)), "");
    }
}
