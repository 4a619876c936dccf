//! Where the inputs of a job come from: with the job, or out of tables that are stored here.

use super::{
    InputSpec, JobId, JobSpec, Making, ModeSpec, Port, ProgramKind, Role, SpecFault, TableInput, TableRef, spec::making,
};
use crate::{
    pki::ClientName,
    tables::{
        Arrival, Arriving, ColumnName, ColumnSpec, Content, Customers, Epoch, Expiry, MODEL_COLUMN_NAME,
        NUMBER_COLUMN_NAMES, Origin, Spending, StoredTable, TableFault, TableKey, TableRefusal, TableSpec, TableStore,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt,
    sync::Arc,
};
use trefoil_circuits::program::{InputVector, Shape};
use trefoil_engine::Error;

/// One input of a job at one node.
#[derive(Debug)]
pub enum Input {
    /// What came with the job.
    Upload(InputVector),
    /// Columns of a table.
    Table(TableSource),
}

/// Where one input comes from, before the job's body is read.
#[derive(Debug)]
pub enum Source {
    /// It comes with the job.
    Upload,
    /// Columns of a table.
    Table(TableSource),
}

/// Columns of a table, as a job names them. The node keeps the table until the job has taken its part, whatever its owner does meanwhile.
#[derive(Debug)]
pub struct TableSource {
    key: TableKey,
    /// `None` if this node has other versions of it only.
    stored: Option<Arc<StoredTable>>,
    places: Vec<usize>,
    /// The permit of the table under which it is used.
    permit: usize,
    shape: Shape,
    /// The shares of it that the job computes on, once the nodes compare which they have.
    pinned: Option<Arc<Content>>,
}

/// Which shares of a table a node has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Marks {
    /// Those in use.
    pub(super) current: [u8; 32],
    /// Those that are prepared beside them.
    pub(super) pending: Option<[u8; 32]>,
    /// Whether they were made anew since the table was uploaded.
    pub(super) is_renewed: bool,
}

/// Columns of a table whose entries are to be within a limit.
#[derive(Debug)]
pub(super) struct Limited {
    table: Arc<StoredTable>,
    places: Vec<usize>,
    limit: u64,
}

/// Why a job may not, or cannot, use a table. The client has to act, or the owner of the table.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SourceFault {
    /// There is no table of that name, or the owner has not permitted this use of it. Which of the two is not told.
    #[error(
        "input {input}: this node has no {key} that `{requester}` may use in such a job; {} this program, this mode, `{requester}` \
         as the requester, all recipients, what is told of scores, and what stays at the nodes; it may ask for tables of certain others beside its own, permit no others, and ask for a larger minimum",
        upload(&key.owner, requester)
    )]
    Denied {
        /// The input.
        input: usize,
        /// The table.
        key: TableKey,
        /// Who has asked.
        requester: ClientName,
    },
    /// The table has no such column.
    #[error("input {input}: {key} has no column `{column}`; name columns as its owner does")]
    Column {
        /// The input.
        input: usize,
        /// The table.
        key: TableKey,
        /// The column.
        column: ColumnName,
    },
    /// The owner bounds how often it is used.
    #[error(
        "`{requester}` has used {key} as often as its owner permits; ask `{}` for a new version, or for more times",
        key.owner
    )]
    Spent {
        /// The table.
        key: TableKey,
        /// Who has asked.
        requester: ClientName,
    },
    /// Its time is over. Told to those alone whom a permit of it covers.
    #[error("input {input}: {key} has expired at {expires}; ask `{}` for a new version", key.owner)]
    Expired {
        /// The input.
        input: usize,
        /// The table.
        key: TableKey,
        /// Since when.
        expires: Expiry,
    },
    /// One column of one table more than once.
    #[error("input {input}: the column `{column}` of {key} is in this job already; take each column once")]
    Twice {
        /// The input.
        input: usize,
        /// The table.
        key: TableKey,
        /// The column.
        column: ColumnName,
    },
    /// Labels of other customers.
    #[error(
        "input {input}: {key} does not hold the customers whose labels it is to bring; take labels from the table of the customers"
    )]
    Labels {
        /// The input.
        input: usize,
        /// The table.
        key: TableKey,
    },
    /// Numbers of customers would be computed on, or others would be taken for them.
    #[error(
        "input {input}: the columns `{}` and `{}` of {key} would hold numbers of customers; a job of `credit-join` takes both of each table, in this order before its other columns, and no other \
         program takes them: name the columns so",
        NUMBER_COLUMN_NAMES[0],
        NUMBER_COLUMN_NAMES[1]
    )]
    Numbers {
        /// The input.
        input: usize,
        /// The table.
        key: TableKey,
    },
    /// Coefficients would be taken for something about customers, or that for coefficients.
    #[error(
        "input {input}: columns of {key} that are called `{MODEL_COLUMN_NAME}`, or whose names begin with `{MODEL_COLUMN_NAME}-`, hold the coefficients of a model: they are taken as the model of \
         `credit-score` and nothing else is; name a column of customers for customers, and one of coefficients for a model"
    )]
    Model {
        /// The input.
        input: usize,
        /// The table.
        key: TableKey,
    },
    /// The same customers twice, or some of them.
    #[error(
        "input {input}: {key} tells of customers of whom {other} tells too; take one of both, so that each customer is in this job once"
    )]
    Customers {
        /// The input.
        input: usize,
        /// The table.
        key: TableKey,
        /// The table of an earlier input.
        other: TableKey,
    },
    /// The columns are not what the program takes.
    #[error("input {input}: the columns of {key} are not the {} entries of {:?} that the program takes; give the rows that the table has, and as many columns", shape.len, shape.ring)]
    Shape {
        /// The input.
        input: usize,
        /// The table.
        key: TableKey,
        /// What the program takes.
        shape: Shape,
    },
}

/// Who uploads a table, so that it permits what is named then.
fn upload(owner: &ClientName, requester: &ClientName) -> String {
    if owner == requester {
        "upload it to all three nodes, with a permit for".to_owned()
    } else {
        format!("ask `{owner}` to upload it to all three nodes and to permit")
    }
}

/// Finds the tables of a job, and checks that their owners permit the job. `shapes` are those of the program's inputs.
///
/// A table of which this node has another version only, that the client might use, is left out here: all three nodes will then say so together.
///
/// # Errors
/// [`SourceFault`].
pub fn resolve(
    spec: &JobSpec,
    requester: &ClientName,
    shapes: &[Shape],
    tables: &TableStore,
) -> Result<Vec<Source>, SourceFault> {
    let found = Found::new(spec, requester, tables)?;
    let ports = spec.program.ports();
    let mut columns = HashSet::new();
    let mut source = |(input, shape): (usize, &Shape)| match spec.inputs.get(input) {
        None | Some(InputSpec::Upload) => Ok(Source::Upload),
        Some(InputSpec::Table(table)) => {
            let key = table.key();
            let Some(Permitted { stored, permit }) = found.0.get(&key).cloned().flatten() else {
                let (stored, places, permit) = (None, Vec::new(), 0);
                return Ok(Source::Table(TableSource { key, stored, places, permit, shape: *shape, pinned: None }));
            };
            let places = stored.spec().places(&table.columns).map_err(|column| {
                let key = key.clone();
                SourceFault::Column { input, key, column }
            })?;
            if let Some(twice) = places.iter().find(|place| !columns.insert((key.clone(), **place))) {
                let column = stored.spec().columns[*twice].name.clone();
                return Err(SourceFault::Twice { input, key, column });
            }
            if !ports.get(input).is_some_and(|port| numbers_fit(port.role, &places, &stored)) {
                return Err(SourceFault::Numbers { input, key });
            }
            if !ports.get(input).is_some_and(|port| model_fits(port.role, &places, &stored)) {
                return Err(SourceFault::Model { input, key });
            }
            let takes = ports.get(input).is_some_and(|port| port.takes(stored.spec().rows, places.len()));
            if !takes || !stored.fits(&places, *shape) {
                return Err(SourceFault::Shape { input, key, shape: *shape });
            }
            let (stored, shape, pinned) = (Some(stored), *shape, None);
            Ok(Source::Table(TableSource { key, stored, places, permit, shape, pinned }))
        }
    };
    let sources: Vec<Source> = shapes.iter().enumerate().map(&mut source).collect::<Result<_, _>>()?;
    check_labels(&ports, &sources)?;
    check_customers(spec, &ports, &sources)?;
    Ok(sources)
}

/// The tables of a job, each once; `None` where this node has other versions only.
struct Found(BTreeMap<TableKey, Option<Permitted>>);

#[derive(Clone)]
struct Permitted {
    stored: Arc<StoredTable>,
    permit: usize,
}

/// A table that a job takes.
struct Wanted {
    /// The first input that it is.
    input: usize,
    /// Whether it brings customers, or their labels, and not a model alone.
    has_customers: bool,
}

impl Found {
    fn new(spec: &JobSpec, requester: &ClientName, tables: &TableStore) -> Result<Self, SourceFault> {
        let ports = spec.program.ports();
        let inputs = spec.inputs.iter().enumerate().filter_map(|(k, input)| Some((k, input.table()?.key())));
        let mut wanted: BTreeMap<TableKey, Wanted> = BTreeMap::new();
        for (input, key) in inputs {
            let wanted = wanted.entry(key).or_insert(Wanted { input, has_customers: false });
            wanted.has_customers |= ports.get(input).is_none_or(|port| port.role != Role::Model);
        }
        let of_customers = wanted.iter().filter(|(_, wanted)| wanted.has_customers);
        let owners = of_customers.flat_map(|(key, _)| match tables.get(key) {
            Some(table) => table.owners().to_vec(),
            None => vec![key.owner.clone()],
        });
        let owners: Vec<ClientName> = owners.collect::<BTreeSet<_>>().into_iter().collect();
        let find = |(key, Wanted { input, has_customers }): (TableKey, Wanted)| {
            let requester = || requester.clone();
            let denied = || SourceFault::Denied { input, key: key.clone(), requester: requester() };
            let permit = |table: &StoredTable| {
                let customers = if has_customers {
                    Customers::beside(&owners, table.owners())
                } else {
                    Customers::scored_by_model(&owners)
                };
                table.permit(spec, &requester(), &customers)
            };
            let Some(stored) = tables.get(&key) else {
                let others = tables.versions(&key.owner, &key.name);
                return if others.iter().any(|table| permit(table).is_some()) {
                    Ok((key, None))
                } else {
                    Err(denied())
                };
            };
            let permit = permit(&stored).ok_or_else(denied)?;
            // Decided here, once: a job that was accepted keeps its tables, and no other clock is asked.
            if let Some(expires) = stored.spec().expires.filter(|_| tables.has_expired(&stored)) {
                return Err(SourceFault::Expired { input, key: key.clone(), expires });
            }
            if !stored.is_left(permit, &requester()) {
                return Err(SourceFault::Spent { key: key.clone(), requester: requester() });
            }
            Ok((key, Some(Permitted { stored, permit })))
        };
        wanted.into_iter().map(find).collect::<Result<_, _>>().map(Self)
    }
}

/// Whether the columns that a job names of a table are numbers of customers where the program takes those, and nowhere else.
///
/// Whoever may learn scores by a model of its choice could else try keys on the hashes, and whoever may join could count the customers of whom any other columns have values of its choice.
fn numbers_fit(role: Role, places: &[usize], table: &StoredTable) -> bool {
    let named = |place: &usize| table.spec().columns.get(*place);
    let numbers = if role == Role::Numbered { places.len().min(NUMBER_COLUMN_NAMES.len()) } else { 0 };
    let (first, others) = places.split_at(numbers);
    let is = |(k, name): (&usize, &str)| named(k).is_some_and(|column| column.name.as_str() == name);
    let in_order = first.iter().zip(NUMBER_COLUMN_NAMES).all(is);
    in_order && (role == Role::Any || !others.iter().filter_map(named).any(ColumnSpec::is_number))
}

/// Whether columns of coefficients are taken as a model, and no others are.
///
/// Decisions on customers whose features are coefficients would tell these, and counts of scores by a model that is a column of features, of customers that somebody has made up, the features of single customers.
fn model_fits(role: Role, places: &[usize], table: &StoredTable) -> bool {
    let is_model = |place: &usize| table.spec().columns.get(*place).is_some_and(ColumnSpec::is_model);
    role == Role::Any || places.iter().all(|place| is_model(place) == (role == Role::Model))
}

/// Whether all customers of a job are in it once, as far as tables tell.
///
/// Where inputs bring other customers each, those in two would count twice towards a minimum of one later on. And what several owners permit of their customers in common, beside more customers of one of them, would tell by a
/// difference what that one permits of nobody alone. An owner's own tables may stand beside each other: it knows whether they have the same customers.
fn check_customers(spec: &JobSpec, ports: &[Port], sources: &[Source]) -> Result<(), SourceFault> {
    let customers: Vec<(usize, &StoredTable)> = (ports.iter().zip(sources).enumerate())
        .filter(|(_, (port, _))| port.role.is_customers())
        .filter_map(|(input, (_, source))| Some((input, source.stored()?)))
        .collect();
    for (k, (input, table)) in customers.iter().enumerate() {
        let same_rows = |other: &StoredTable| table.tells_of().iter().any(|origin| other.tells_of().contains(origin));
        let in_part = |other: &StoredTable| {
            let shared = table.owners().iter().filter(|owner| other.owners().contains(owner)).count();
            shared > 0 && (shared < table.owners().len() || shared < other.owners().len())
        };
        let twice =
            |(_, other): &&(usize, &StoredTable)| in_part(other) || (!spec.program.is_of_rows() && same_rows(other));
        if let Some((_, other)) = customers[..k].iter().find(twice) {
            return Err(SourceFault::Customers { input: *input, key: table.key().clone(), other: other.key().clone() });
        }
    }
    Ok(())
}

/// Labels of customers whose values are counted, or features trained on or joined, are those of the same customers: of the same table, or of one that the values were made of row by row.
fn check_labels(ports: &[Port], sources: &[Source]) -> Result<(), SourceFault> {
    let of = |is: fn(Role) -> bool| {
        let with = ports.iter().zip(sources).enumerate().filter(move |(_, (port, _))| is(port.role));
        with.map(|(input, (_, source))| (input, source)).collect::<Vec<_>>()
    };
    let (features, labels) = (of(Role::is_customers), of(|role| role == Role::Labels));
    for (k, (input, label)) in labels.iter().enumerate() {
        let Some(label) = label.stored() else { continue };
        let beside = if labels.len() == features.len() { &features[k..=k] } else { &features[..] };
        let tells = |(_, source): &(usize, &Source)| {
            source.stored().is_none_or(|table| table.tells_of().iter().any(|o| o.digest.0 == *label.digest()))
        };
        if !beside.iter().any(tells) {
            return Err(SourceFault::Labels { input: *input, key: label.key().clone() });
        }
    }
    Ok(())
}

/// Counts the job against the permits under which it takes its tables. What comes back are those of which this is to be [written down](TableStore::keep_uses) before the job begins.
///
/// # Errors
/// [`SourceFault::Spent`].
pub fn spend(inputs: &[Input], requester: &ClientName) -> Result<Vec<Arc<StoredTable>>, SourceFault> {
    let tables: BTreeMap<_, _> = inputs.iter().filter_map(Input::table).map(|table| (&table.key, table)).collect();
    let mut counted = Vec::new();
    for (key, TableSource { stored, permit, .. }) in tables {
        let Some(stored) = stored else { continue };
        match stored.spend(*permit, requester) {
            Spending::Unbounded => {}
            Spending::Counted => counted.push(stored.clone()),
            Spending::UsedUp => return Err(SourceFault::Spent { key: key.clone(), requester: requester.clone() }),
        }
    }
    Ok(counted)
}

/// The tables of these inputs, each once.
pub fn tables_of(inputs: &[Input]) -> Vec<TableRef> {
    let tables: BTreeMap<_, _> = inputs.iter().filter_map(Input::table).map(|table| (&table.key, table)).collect();
    tables.into_values().map(|table| TableRef::new(&table.key, table.digest())).collect()
}

/// Where the outputs of a job go that stay here.
pub type Kept = Vec<Keeping>;

/// A table that outputs of a job become.
#[derive(Debug)]
pub struct Keeping {
    /// The table.
    pub table: Arriving,
    /// The outputs that become its columns, in their order.
    pub outputs: Vec<usize>,
}

/// Why an output cannot stay here.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum KeepFault {
    /// The specification contradicts itself.
    #[error(transparent)]
    Spec(#[from] SpecFault),
    /// The table is not taken.
    #[error(transparent)]
    Table(#[from] TableRefusal),
}

/// Sets room aside for the outputs of a job that become tables of its submitter. They expire with the first of the tables that it takes. Those of a job of scores tell of the customers of its tables, row by row.
///
/// # Errors
/// [`KeepFault`].
pub fn keep(
    spec: &JobSpec,
    requester: &ClientName,
    shapes: &[Shape],
    sources: &[Source],
    (id, tables): (JobId, &Arc<TableStore>),
) -> Result<Kept, KeepFault> {
    let kind = spec.program.kind();
    let customers = spec.program.ports().into_iter().zip(sources).filter(|(port, _)| port.role.is_customers());
    let customers: Vec<&StoredTable> = match kind {
        ProgramKind::CreditScore | ProgramKind::CreditJoin => {
            customers.filter_map(|(_, source)| source.stored()).collect()
        }
        _ => Vec::new(),
    };
    let origins: Vec<Origin> = match kind {
        ProgramKind::CreditScore => customers.iter().flat_map(|table| table.tells_of()).collect(),
        // The rows of a joined table are some of those of its tables, in an order that nobody knows: labels of its tables are not those of its rows.
        _ => Vec::new(),
    };
    let owners: BTreeSet<ClientName> = customers.iter().flat_map(|table| table.owners().to_vec()).collect();
    let owners: Vec<ClientName> =
        if owners.is_empty() { vec![requester.clone()] } else { owners.into_iter().collect() };
    let expires = sources.iter().filter_map(|source| source.stored()?.spec().expires).min();
    let keeping = |Making { table, spec, outputs }: Making<'_>| {
        let key = TableKey { owner: requester.clone(), name: table.name.clone(), version: table.version };
        let bytes = outputs.iter().filter_map(|k| shapes.get(*k)).map(|shape| 2 * shape.component_bytes() as u64);
        let spec = TableSpec { expires, ..spec };
        match tables.begin(&key, spec, bytes.sum())? {
            Arrival::New(table) => {
                Ok(Keeping { table: table.of_rows(origins.clone()).of_customers(owners.clone()), outputs })
            }
            // This very job has been done, and forgotten since.
            Arrival::Known(_) | Arrival::Resumed(_) => Err(KeepFault::Table(TableRefusal::Taken(key))),
        }
    };
    making(spec, shapes, id)?.into_iter().map(keeping).collect()
}

/// Puts what came with the job in its places.
///
/// # Errors
/// [`Error::Shape`] if it is not as many as the sources say.
pub fn fill(sources: Vec<Source>, uploads: Vec<InputVector>) -> Result<Vec<Input>, Error> {
    let got = uploads.len();
    let mut uploads = uploads.into_iter();
    let fill = |source| match source {
        Source::Table(table) => Some(Input::Table(table)),
        Source::Upload => uploads.next().map(Input::Upload),
    };
    let expected = sources.len();
    let inputs: Option<Vec<_>> = sources.into_iter().map(fill).collect();
    let missing = Error::Shape { what: "the inputs that come with a job", expected, got };
    inputs.filter(|_| uploads.next().is_none()).ok_or(missing)
}

impl Source {
    /// The table, if it is one that this node has.
    fn stored(&self) -> Option<&StoredTable> {
        match self {
            Self::Table(TableSource { stored, .. }) => stored.as_deref(),
            Self::Upload => None,
        }
    }
}

impl Input {
    /// The table, if it is one.
    pub fn table(&self) -> Option<&TableSource> {
        match self {
            Self::Table(table) => Some(table),
            Self::Upload(_) => None,
        }
    }

    /// What becomes known of it when its entries have been found to be within a limit: nothing, if it came with the job.
    pub(super) fn limited(&self, limit: u64) -> Option<Limited> {
        let Self::Table(TableSource { stored: Some(table), places, .. }) = self else { return None };
        Some(Limited { table: table.clone(), places: places.clone(), limit })
    }

    /// This node's share of it: of a table, those that the nodes have compared, or those in use.
    ///
    /// # Errors
    /// [`Error::Shape`] if it is a table that this node does not have.
    pub fn vector(self) -> Result<InputVector, Error> {
        match self {
            Self::Upload(vector) => Ok(vector),
            Self::Table(TableSource { stored: Some(table), places, shape, pinned, .. }) => {
                table.input(&pinned.unwrap_or_else(|| table.content()), &places, shape)
            }
            Self::Table(TableSource { stored: None, .. }) => {
                Err(Error::Shape { what: "the tables of a job that are stored here", expected: 1, got: 0 })
            }
        }
    }
}

impl Limited {
    /// Whether jobs as secure as those of a mode have found them to be so.
    pub(super) fn is_known(&self, mode: ModeSpec) -> bool {
        self.table.is_within(&self.places, self.limit, mode)
    }

    /// A job of a mode has found them to be so.
    pub(super) fn found(&self, mode: ModeSpec) {
        self.table.found_within(&self.places, self.limit, mode);
    }
}

impl TableSource {
    /// Computes on the shares that are in use now, whatever comes in their place meanwhile. What comes back are their mark and that of those that are prepared beside them, if this node has the table.
    pub(super) fn pin(&mut self) -> Option<Marks> {
        let stored = self.stored.as_ref()?;
        let mark = |epoch: Epoch| epoch.mark(stored.digest());
        // In this order: what is prepared now and in use a moment later is not missed.
        let pending = stored.pending().map(mark);
        let content = stored.content();
        let (current, is_renewed) = (mark(content.epoch()), content.epoch() != Epoch::default());
        self.pinned = Some(content);
        Some(Marks { current, pending: pending.filter(|pending| *pending != current), is_renewed })
    }

    /// Puts the shares of this mark in use, which all three nodes have, and computes on them.
    ///
    /// # Errors
    /// [`TableFault`] if it could not, or has others meanwhile.
    pub(super) async fn advance(&mut self, mark: &[u8; 32]) -> Result<(), TableFault> {
        let Some(stored) = &self.stored else { return Ok(()) };
        let is_due = |epoch: &Epoch| epoch.mark(stored.digest()) == *mark;
        if let Some(epoch) = stored.pending().filter(is_due) {
            stored.commit(epoch).await?;
        }
        let content = stored.content();
        if !is_due(&content.epoch()) {
            return Err(TableFault::Renewed(Box::new(self.key.clone())));
        }
        self.pinned = Some(content);
        Ok(())
    }

    /// The digest of the table, if this node has it.
    pub fn digest(&self) -> Option<&[u8; 32]> {
        self.stored.as_ref().map(|table| table.digest())
    }
}

impl fmt::Display for TableSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.key.fmt(f)
    }
}

impl TableInput {
    /// The table.
    pub fn key(&self) -> TableKey {
        TableKey { owner: self.owner.clone(), name: self.name.clone(), version: self.version }
    }
}

#[cfg(test)]
mod tests;
