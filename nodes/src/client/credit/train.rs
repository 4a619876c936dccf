//! Training on the tables of several institutions.

use super::{
    LABEL, ModelFile, column, digest, feature_columns,
    find::{Labels, check},
    model_column,
    moments::input,
};
use crate::{
    Error,
    client::{Client, JobHandle, NewTable, Outcome, Plain},
    credit::{NamedMoments, SchemaDigest},
    job::{
        InputSpec, JobCost, JobId, JobSpec, KeptTable, MethodSpec, ModeSpec, OutputSpec, PooledSpec, ProgramSpec,
        StopSpec, TrainSpec,
    },
    pki::ClientName,
    tables::{Expiry, Permit, TableName, TableStatus, UploadId},
};
use bytes::Bytes;
use trefoil_circuits::credit::{Number, Stopping, decode_model, encode_model};
use zeroize::Zeroizing;

/// How the tables of several institutions make one.
#[derive(Clone, Debug, PartialEq)]
pub enum Pooling {
    /// Other customers each, with the same features: standardized by these moments.
    Horizontal(NamedMoments),
    /// The same customers in the same order, with other features each: standardized by these moments. The first table that has labels brings them.
    Vertical(Vec<NamedMoments>),
}

/// How a model is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Training {
    /// How.
    pub method: Method,
    /// The L2 penalty.
    pub l2: f64,
    /// The mode of the job.
    pub mode: ModeSpec,
}

/// By which method a model is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// Newton's: eight iterations come to the best model.
    Newton {
        /// Iterations, from 1 to 64.
        iterations: u32,
    },
    /// Gradient descent with momentum.
    Descent {
        /// The learning rate, above 0 and at most 16.
        rate: f64,
        /// The part of the last change that is made again, from 0 to below 1.
        momentum: f64,
        /// Passes over all rows.
        epochs: u32,
        /// Rows of a step; all if `None`.
        batch: Option<u64>,
        /// When it may end before the last epoch. What that tells is said in [`Stopping`].
        stop: Option<Stopping>,
    },
}

/// What becomes of the model.
#[derive(Clone, Debug, PartialEq)]
pub enum Destination {
    /// It stays shared, as a table of this client, for these uses.
    Kept(TableName, u32, Vec<Permit>),
    /// These learn it.
    Released(Vec<ClientName>),
}

impl Pooling {
    /// The moments of all features, in the order of the tables.
    pub fn moments(&self) -> NamedMoments {
        match self {
            Self::Horizontal(moments) => moments.clone(),
            Self::Vertical(all) => NamedMoments {
                features: all.iter().flat_map(|m| m.features.clone()).collect(),
                mean: all.iter().flat_map(|m| m.mean.clone()).collect(),
                sd: all.iter().flat_map(|m| m.sd.clone()).collect(),
                schema: all
                    .iter()
                    .map(|m| m.schema.as_ref())
                    .collect::<Option<Vec<_>>>()
                    .and_then(SchemaDigest::side_by_side),
            },
        }
    }

    /// The shape of the pooled table, and for each table the columns of features.
    pub(super) fn of(&self, tables: &[TableStatus]) -> Result<(PooledSpec, Vec<InputSpec>), Error> {
        let all: Vec<&NamedMoments> = match self {
            Self::Horizontal(moments) => vec![moments; tables.len()],
            Self::Vertical(all) => all.iter().collect(),
        };
        if all.len() != tables.len() || tables.is_empty() {
            return Err(Error::Usage(format!(
                "--tables names {} tables and --moments {} files; give one table at least, and moments for each table if they have other columns",
                tables.len(),
                all.len()
            )));
        }
        let mut inputs = Vec::new();
        for (table, moments) in tables.iter().zip(&all) {
            let columns = feature_columns(&digest(moments)?, moments.features.len())?;
            check(table, &columns, Labels::Unused)?;
            inputs.push(input(table, &columns));
        }
        let pooled = match self {
            Self::Horizontal(moments) => PooledSpec::Horizontal {
                columns: moments.features.len() as u32,
                rows: tables.iter().map(|table| table.rows).collect(),
            },
            Self::Vertical(all) => {
                let rows = tables[0].rows;
                if let Some(other) = tables.iter().find(|table| table.rows != rows) {
                    return Err(Error::Usage(format!(
                        "{}/{} has {} rows and {}/{} has {rows}; tables of the same customers must have the same rows in the same order",
                        other.owner, other.name, other.rows, tables[0].owner, tables[0].name
                    )));
                }
                PooledSpec::Vertical { rows, columns: all.iter().map(|m| m.features.len() as u32).collect() }
            }
        };
        Ok((pooled, inputs))
    }

    /// The labels of all customers as inputs.
    pub(super) fn labels(&self, tables: &[TableStatus]) -> Result<Vec<InputSpec>, Error> {
        let labelled = |table: &&TableStatus| table.columns.iter().any(|column| column.name.as_str() == LABEL);
        let label = [column(LABEL)?];
        match self {
            Self::Horizontal(moments) => {
                let columns = feature_columns(&digest(moments)?, moments.features.len())?;
                tables.iter().try_for_each(|table| check(table, &columns, Labels::Needed))?;
                Ok(tables.iter().map(|table| input(table, &label)).collect())
            }
            Self::Vertical(_) => {
                let table = tables.iter().find(labelled);
                let none = || {
                    Error::Usage(
                        "none of the tables has labels; one schema needs a column of type \"label\"".to_owned(),
                    )
                };
                Ok(vec![input(table.ok_or_else(none)?, &label)])
            }
        }
    }
}

impl Training {
    /// The program that trains on a table.
    ///
    /// # Errors
    /// [`Error::Usage`] for a setting below zero or too large.
    pub fn of(&self, table: PooledSpec) -> Result<TrainSpec, Error> {
        let method = match self.method {
            Method::Newton { iterations } => MethodSpec::Newton { iterations },
            Method::Descent { rate, momentum, epochs, batch, stop } => MethodSpec::Descent {
                rate: units("--rate, the learning rate,", rate, Number::ULP)?,
                momentum: units("--momentum", momentum, 1.0 / 1024.0)?,
                epochs,
                batch,
                stop: stop.map(stop_spec).transpose()?,
            },
        };
        Ok(TrainSpec { table, method, l2: units("--l2, the L2 penalty,", self.l2, Number::ULP)? })
    }
}

/// A training that is done.
#[derive(Debug)]
pub struct Trained {
    /// The job, by which other recipients fetch the model: [`fetch_model`].
    pub job: JobId,
    /// The model, if it is released and this client is among those who learn it.
    pub model: Option<ModelFile>,
    /// What it cost each node.
    pub costs: [JobCost; 3],
}

/// Trains a logistic model on tables at the nodes.
///
/// Cancelled, it deletes the job in the background.
///
/// # Errors
/// [`Error::Usage`] for tables or settings that do not fit; [`Error::Job`] with the kind `range` for a model that is worthless; else as [`Client::run`].
pub async fn train(
    client: &Client,
    tables: &[TableStatus],
    pooling: &Pooling,
    training: &Training,
    destination: Destination,
) -> Result<Trained, Error> {
    let (table, mut inputs) = pooling.of(tables)?;
    inputs.extend(pooling.labels(tables)?);
    let moments = pooling.moments();
    let program = ProgramSpec::CreditTrain(training.of(table)?);
    let output = match destination {
        Destination::Kept(name, version, permits) => {
            OutputSpec::kept(KeptTable { name, version, columns: vec![model_column(&moments)?], permits })
        }
        Destination::Released(recipients) => OutputSpec::to(recipients),
    };
    let spec = JobSpec { inputs, outputs: vec![output], ..JobSpec::new(program, training.mode) };
    let job = client.submit(&spec, Bytes::new(), &[]).await?;
    let (id, outcome) = (job.id(), job.outcome().await);
    job.conclude(&spec, &outcome).await;
    if outcome.is_err() {
        // A node that was done before another failed has the model.
        for table in spec.kept() {
            client.forget(&table.name, table.version, UploadId::from(id)).await;
        }
    }
    trained(id, &outcome?, moments)
}

/// Fetches the model of a training that another client has submitted, of features with these moments. Cancel safe.
///
/// # Errors
/// [`Error::Usage`] for moments of another number of features; else as [`Client::job`] and [`JobHandle::outcome`].
pub async fn fetch_model(client: &Client, id: JobId, moments: NamedMoments) -> Result<Trained, Error> {
    let job: JobHandle = client.job(id).await?;
    let coefficients = job.outputs().first().map_or(0, |output| output.shape.len);
    if coefficients != moments.features.len() + 1 {
        return Err(Error::Usage(format!(
            "the job gives {coefficients} coefficients and the moments are of {} features; give the moments that the tables were shared with",
            moments.features.len()
        )));
    }
    trained(id, &job.outcome().await?, moments)
}

fn trained(job: JobId, outcome: &Outcome, moments: NamedMoments) -> Result<Trained, Error> {
    let model = match outcome.outputs.first() {
        Some(Some(coefficients)) => Some(ModelFile::new(moments, decode_model(coefficients.z64()?))),
        _ => None,
    };
    Ok(Trained { job, model, costs: outcome.costs })
}

/// Stores a model at the three nodes as a secret of this client, until it expires if it does.
///
/// # Errors
/// As [`Client::put_table`].
pub async fn share_model(
    client: &Client,
    model: &ModelFile,
    (name, version): (TableName, u32),
    permits: Vec<Permit>,
    expires: Option<Expiry>,
) -> Result<TableStatus, Error> {
    let coefficients = Zeroizing::new(encode_model(&model.model()).map_err(|e| Error::Usage(e.to_string()))?);
    let columns = vec![(model_column(&model.moments)?, Plain::Z64(&coefficients))];
    client.put_table(&NewTable { name, version, rows: coefficients.len(), columns, permits, expires }).await
}

fn stop_spec(Stopping { every, below }: Stopping) -> Result<StopSpec, Error> {
    let every = units("--stop-every, the number of epochs between checks,", every as f64, 1.0)?;
    Ok(StopSpec { every, below: units("--stop-below, the bound of early stopping,", below, Number::ULP)? })
}

/// A setting in whole units.
pub(super) fn units<T: TryFrom<u64>>(name: &str, value: f64, unit: f64) -> Result<T, Error> {
    let whole = (value / unit).round();
    #[allow(clippy::cast_sign_loss, reason = "what is below zero, or no number, is left out before")]
    let whole = (0.0..1e15).contains(&whole).then_some(whole as u64);
    let whole = whole.and_then(|whole| T::try_from(whole).ok());
    whole.ok_or_else(|| Error::Usage(format!("{name} is {value}, which is below zero or too large; give another")))
}
