//! `trefoil credit score`: what a model says of customers, for those who may know.

mod named;
mod told;

use super::{
    Points, SplitArgs, TablesArgs, connected, denied::denied, fetch_command, no_model, warn_of_strangers,
    warn_without_schema,
};
use crate::{
    Error,
    cli::{ClusterArgs, Exit, ModeArgs, Output, OutputArgs, line},
    client::{
        Client,
        credit::{
            Applicants, Asked, Encoded, ModelFile, ModelSource, NewFile, Pooling, Scored, Scoring, TableArg, Tell,
            fetch, find, score,
        },
    },
    credit::{Features, NamedMoments, Schema, Table, TableError, read, report::Scale},
    job::{JobId, ProgramKind},
    pki::ClientName,
};
use named::{Named, Part};
use std::{io::Write as _, path::PathBuf};
use told::{Told, csv};
use trefoil_circuits::credit::reference::Reason;

const EXAMPLES: &str = "\
The customers are those of a file, which is split here, or of tables at the nodes. The model is a file, the secret of an institution that has shared it, or one that stayed shared
after training. Only the recipients learn anything, and nothing but what --tell names; without --to that is the client that asks. Points are worked out here, of the
logit. So are reasons, with a model file and a file of customers; else they are found at the nodes, and the recipients learn which columns they are, and no weights.

Customers of a table are numbered as they stand in the table (`table_row`), which leaves out what the schema drops and the test rows. Whoever has the file it was shared from says so
with --shared-from, and gets the rows and customers of that file.

Examples:
  trefoil credit score --cluster demo/cluster.toml --identity demo/bank-a.crt --model model.json --schema schema.toml --data applicants.csv --points 600,50,20 --reasons 3
  trefoil credit score --cluster demo/cluster.toml --identity demo/bank-a.crt --model-table bank-b/scorecard --moments moments.json \\
      --schema schema.toml --data applicants.csv --tell decision --threshold 0.3 --out decisions.csv
  trefoil credit score --cluster demo/cluster.toml --identity demo/lead.crt --model-table lead/model --tables bank-a/loans-test --moments moments.json --to bank-a
  trefoil credit score --cluster demo/cluster.toml --identity demo/bank-a.crt --fetch 6f1c.. --out scores.csv \\
      --schema schema.toml --shared-from a.csv --test-every 4";

/// Arguments of `trefoil credit score`, as typed.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ScoreArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// The model, as `trefoil credit train --out` writes it
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// The table of a model that is secret or stayed shared
    #[arg(long, value_name = "OWNER/NAME", conflicts_with = "model")]
    model_table: Option<TableArg>,
    /// What the columns of the file of customers hold
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// The customers: CSV, Parquet or Arrow
    #[arg(long, value_name = "FILE", requires = "schema", conflicts_with = "tables")]
    data: Option<PathBuf>,
    #[command(flatten)]
    tables: TablesArgs,
    /// The file that the table was shared from: scores are named by its rows and customers. With the --schema, and the --test-every or --test-rows, with which it was shared
    #[arg(long, value_name = "FILE", requires = "schema", conflicts_with = "data")]
    shared_from: Option<PathBuf>,
    #[command(flatten)]
    split: SplitArgs,
    /// Which part of that file the table has [default: its test rows, if there are any]
    #[arg(long, value_enum, requires = "shared_from")]
    part: Option<Part>,
    /// What is told of each customer
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Tell::Decision, Tell::Probability], value_name = "WHAT,..")]
    tell: Vec<Tell>,
    /// The probability of being bad from which the decision is `bad`
    #[arg(long, default_value_t = 0.5)]
    threshold: f64,
    /// Who is told [default: the client that asks]
    #[arg(long, value_delimiter = ',', value_name = "NAME,..")]
    to: Vec<ClientName>,
    /// Give scorecard points: BASE points at ODDS good to one bad, and PDO points to double the odds
    #[arg(long, value_name = "BASE,ODDS,PDO")]
    points: Option<Points>,
    /// Name so many columns that cost a customer most points against the average customer, up to 16
    #[arg(long, value_name = "N", default_value_t = 0)]
    reasons: usize,
    /// Write CSV to this new file [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Fetch the scores of a job that another client has submitted
    #[arg(long, value_name = "JOB", conflicts_with_all = ["model", "model_table", "data", "tables"])]
    fetch: Option<JobId>,
    #[command(flatten)]
    mode: ModeArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Customers of a file.
struct Own {
    table: Table,
    encoded: Encoded,
}

/// Runs the command.
///
/// # Errors
/// As [`score()`] and [`fetch()`]; [`Error::Table`] for rows that do not fit.
pub fn run(args: &ScoreArgs) -> Result<Exit, Error> {
    if args.model.is_none() && args.model_table.is_none() && args.fetch.is_none() {
        return Err(no_model());
    }
    let tell = args.tell();
    args.cluster.resolve()?;
    warn_of_strangers(&args.cluster, &[("--to", &args.to)]);
    if args.fetch.is_none() && args.data.is_none() && args.tables.tables.is_empty() {
        return Err(Error::Usage(
            "say who is scored: --data FILE with --schema FILE, or --tables OWNER/NAME,..".to_owned(),
        ));
    }
    let model = args.model.as_ref().map(|path| ModelFile::read(path)).transpose()?;
    let (pooling, own) = match (&model, args.fetch) {
        (_, Some(_)) => (None, None),
        (Some(file), None) if args.tables.moments.is_empty() => {
            if let (Some(path), Some(_)) = (&args.model, &args.data) {
                warn_without_schema(path, &file.moments);
            }
            (Some(Pooling::Horizontal(file.moments.clone())), args.own(&file.moments)?)
        }
        _ => {
            let pooling = args.tables.pooling()?;
            let own = args.own(&pooling.moments())?;
            (Some(pooling), own)
        }
    };
    let named = args.named(own.as_ref())?;
    let out = args.out.as_ref().map(|path| NewFile::create(path)).transpose()?;
    let (scored, recipients) = connected(&args.cluster, async |client| {
        let recipients = args.recipients(&client);
        args.check_recipients(client.name())?;
        let Some(pooling) = &pooling else {
            let id = args.fetch.ok_or_else(|| Error::Bug("neither a job nor moments".to_owned()))?;
            return Ok((fetch(&client, id, &tell, args.reasons).await?, recipients));
        };
        let moments = pooling.moments();
        let shared = match &args.model_table {
            Some(table) => find(&client, std::slice::from_ref(table)).await?,
            None => Vec::new(),
        };
        let source = match (&model, shared.first()) {
            (Some(file), _) => ModelSource::Public(file),
            (None, Some(table)) => ModelSource::Table(table, &moments),
            (None, None) => return Err(no_model()),
        };
        let scoring = Scoring {
            tell: tell.clone(),
            threshold: args.threshold,
            // With model and features in the clear they are worked out here.
            reasons: if model.is_some() && own.is_some() { 0 } else { args.reasons },
            recipients: recipients.clone(),
            mode: args.mode.mode,
        };
        let tables = if own.is_none() { args.tables.find(&client).await? } else { Vec::new() };
        if let (Some(named), Some(first)) = (&named, tables.first()) {
            let rows =
                if let Pooling::Vertical(_) = pooling { first.rows } else { tables.iter().map(|t| t.rows).sum() };
            named.check(rows)?;
        }
        let applicants = match &own {
            Some(own) => Applicants::Rows(&own.encoded),
            None => Applicants::Tables(&tables, pooling),
        };
        let scored = score(&client, source, applicants, &scoring).await;
        let scored = scored.map_err(|e| {
            let asked = client.name().map(|requester| Asked {
                program: ProgramKind::CreditScore,
                requester,
                recipients: &recipients,
                minimum: 0,
                tell: scoring.detail(),
                mode: args.mode.mode,
                times: 1,
            });
            denied(e, (&tables, shared.first()), asked.as_slice())
        });
        Ok((scored?, recipients))
    })?;
    let names = args.reason_names(pooling.as_ref())?;
    let rows = args.rows(&scored, (own.as_ref(), named.as_ref()), (model.as_ref(), &names))?;
    args.print(&rows, &scored, (&recipients, out))?;
    Ok(Exit::Ok)
}

impl ScoreArgs {
    /// Points are made of logits.
    fn tell(&self) -> Vec<Tell> {
        let mut tell = self.tell.clone();
        if self.points.is_some() && !tell.contains(&Tell::Logit) {
            tell.push(Tell::Logit);
        }
        tell
    }

    fn recipients(&self, client: &Client) -> Vec<ClientName> {
        if self.to.is_empty() { client.name().into_iter().cloned().collect() } else { self.to.clone() }
    }

    /// A file that nothing would be written to is a mistake.
    fn check_recipients(&self, me: Option<&ClientName>) -> Result<(), Error> {
        let mine = self.fetch.is_some() || self.to.is_empty() || me.is_some_and(|me| self.to.contains(me));
        match (&self.out, &self.shared_from) {
            (None, None) => Ok(()),
            _ if mine => Ok(()),
            _ => Err(Error::Usage(
                "the scores are not for this client; leave --out and --shared-from away, or name it with --to"
                    .to_owned(),
            )),
        }
    }

    /// What the customers are called in the file they come from.
    fn named(&self, own: Option<&Own>) -> Result<Option<Named>, Error> {
        match (own, &self.shared_from, &self.schema) {
            (Some(own), ..) => Ok(Some(Named::all(&own.table))),
            (None, Some(path), Some(schema)) => {
                let table = read(&Schema::read(schema)?, path)?;
                let (train, test) = self.split.split(&table)?;
                let part = match self.part {
                    Some(Part::Train) => train,
                    None if test.is_empty() => train,
                    Some(Part::Test) | None => test,
                };
                Ok(Some(Named::some(&table, &part, path)))
            }
            _ => Ok(None),
        }
    }

    /// The customers of the file, if there is one.
    fn own(&self, moments: &NamedMoments) -> Result<Option<Own>, Error> {
        let (Some(schema), Some(data)) = (&self.schema, &self.data) else { return Ok(None) };
        let table = read(&Schema::read(schema)?, data)?;
        let all: Vec<usize> = (0..table.rows()).collect();
        let left_out = table.rows_read() - table.rows() as u64;
        if left_out > 0 {
            // Results go to standard output; this is for people.
            let _ = writeln!(
                std::io::stderr(),
                "the schema left {left_out} rows of {} out: they get no score",
                data.display()
            );
        }
        let encoded = Encoded::standardized(&table, moments, &all)?;
        if all.is_empty() {
            return Err(Error::Usage(format!("{} has no row to score", data.display())));
        }
        Ok(Some(Own { table, encoded }))
    }

    /// The columns that reasons can be, if any are asked for.
    fn reason_names(&self, pooling: Option<&Pooling>) -> Result<Vec<String>, Error> {
        if self.reasons == 0 {
            return Ok(Vec::new());
        }
        let moments = match pooling {
            Some(pooling) => pooling.moments(),
            None => self.tables.pooling()?.moments(),
        };
        Ok(moments.columns().into_iter().map(|(name, _)| name.to_owned()).collect())
    }

    fn rows(
        &self,
        scored: &Scored,
        (own, named): (Option<&Own>, Option<&Named>),
        (model, names): (Option<&ModelFile>, &[String]),
    ) -> Result<Vec<Told>, Error> {
        let scores = &scored.scores;
        let lengths = [&scores.probabilities, &scores.logits].map(|column| column.as_ref().map_or(0, Vec::len));
        let count = lengths.into_iter().chain([scores.decisions.as_ref().map_or(0, Vec::len)]).max().unwrap_or(0);
        let number = |column: &Option<Vec<f64>>, k: usize| column.as_ref().and_then(|column| column.get(k).copied());
        if let Some(named) = named.filter(|_| count > 0) {
            named.check(count as u64)?;
        }
        let mut rows = Vec::with_capacity(count);
        for k in 0..count {
            let logit = number(&scores.logits, k);
            let bad = scores.decisions.as_ref().and_then(|all| all.get(k));
            rows.push(Told {
                row: named.and_then(|named| named.row(k)),
                table_row: named.is_none().then_some(k as u64 + 1),
                customer: named.and_then(|named| named.customer(k)),
                decision: bad.map(|bad| if *bad { "bad" } else { "good" }),
                probability: number(&scores.probabilities, k),
                points: self.points.and_then(|points| logit.map(|logit| points.card.points(logit))),
                logit: logit.filter(|_| self.tell.contains(&Tell::Logit)),
                reasons: match (own, model) {
                    (Some(own), Some(model)) if self.reasons > 0 => Some(self.reasons(own, model, k)?),
                    _ => {
                        let places = scores.reasons.as_ref().and_then(|all| all.get(k));
                        places.map(|places| places.iter().filter_map(|place| names.get(*place).cloned()).collect())
                    }
                },
            });
        }
        Ok(rows)
    }

    /// The columns in which a customer lost most against the average one.
    fn reasons(&self, own: &Own, model: &ModelFile, k: usize) -> Result<Vec<String>, Error> {
        let features = Features::of(own.table.schema());
        let (attributes, names) = (features.attributes(), features.attribute_names());
        let card = match self.points {
            Some(points) => points.card,
            None => "600,50,20".parse::<Points>().map_err(Error::Bug)?.card,
        };
        let row = own.encoded.row(k).unwrap_or_default();
        let points = |row: &[f64]| card.attribute_points(&model.model(), row, &attributes).map_err(TableError::from);
        // Standardized features of the average customer are zero.
        let average = points(&vec![0.0; row.len()])?;
        let reasons = Reason::of(&points(&row)?, &average, self.reasons).map_err(TableError::from)?;
        Ok(reasons.iter().filter_map(|reason| names.get(reason.attribute)).map(|name| (*name).to_owned()).collect())
    }

    /// What a recipient says beside the job to be told the same.
    fn fetch_options(&self) -> String {
        let points = self.points.map_or_else(String::new, |points| {
            let Scale { base_score, odds, pdo } = points.scale;
            format!(" --points {base_score},{odds},{pdo}")
        });
        if self.reasons == 0 {
            return points;
        }
        let moments: Vec<_> = self.tables.moments.iter().map(|path| path.display().to_string()).collect();
        // Those in a model file are the same, and are a file of their own where the tables were shared.
        let moments = if moments.is_empty() { "moments.json".to_owned() } else { moments.join(",") };
        format!("{points} --reasons {} --moments {moments}", self.reasons)
    }

    fn print(
        &self,
        rows: &[Told],
        scored: &Scored,
        (recipients, out): (&[ClientName], Option<NewFile>),
    ) -> Result<(), Error> {
        let output = self.output.resolve();
        let tell: Vec<_> = self.tell().iter().map(|tell| format!("{tell:?}").to_lowercase()).collect();
        let tell = tell.join(",");
        let options = self.fetch_options();
        let commands = recipients.iter().map(|name| {
            let command = fetch_command(&self.cluster, name, ("score", scored.job));
            format!("\n  {name}: `{command} --tell {tell}{options} --out scores-{}.csv`", scored.job)
        });
        let commands = commands.collect::<String>();
        let named = if self.data.is_none() {
            "\nWith --schema, --shared-from FILE and the --test-every or --test-rows that the table was shared with, rows are those of that file; else those of the table."
        } else {
            ""
        };
        let fetch = format!("fetched within the retention of the nodes (10 minutes by default) with{commands}{named}");
        if rows.is_empty() {
            let names: Vec<_> = recipients.iter().map(ToString::to_string).collect();
            let text = format!("the scores are for {}, {fetch}", names.join(", "));
            let row = serde_json::json!({ "job": scored.job, "recipients": recipients, "tell": tell });
            return output.print(&row, text);
        }
        if let (Some(path), Some(mut file)) = (&self.out, out) {
            file.fill(&csv(rows))?;
            file.place()?;
            let (seconds, count) = (scored.costs[0].seconds, rows.len());
            let mut text = format!("wrote {}: {count} customers, scored in {seconds:.3} s", path.display());
            if recipients.len() > 1 {
                text = format!("{text}; the scores are for others too, {fetch}");
            }
            let row = serde_json::json!({ "job": scored.job, "scores": path, "rows": count, "seconds": seconds });
            return output.print(&row, text);
        }
        match output {
            Output::Json => rows.iter().try_for_each(|row| output.print(row, ""))?,
            Output::Text => line(csv(rows).trim_end())?,
        }
        if recipients.len() > 1 {
            // Results go to standard output; this is for people.
            let _ = writeln!(std::io::stderr(), "the scores are for others too, {fetch}");
        }
        Ok(())
    }
}
