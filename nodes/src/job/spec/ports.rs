//! What the inputs of a program are: rows and columns of what.

use super::{JoinedSpec, ModelSpec, PooledSpec, ProgramSpec};
use trefoil_circuits::credit::NUMBER_COLUMNS;

/// One input of a program.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Port {
    /// What it holds.
    pub role: Role,
    /// Its rows.
    pub rows: u64,
    /// Its columns, which lie one after the other.
    pub columns: u64,
}

/// What an input holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// Whatever the client means: it has a length, and no rows or columns that the nodes know of.
    Any,
    /// Something about each customer: features, or values that are counted.
    Features,
    /// The number of each customer in two columns, the low word first; then something about each customer.
    Numbered,
    /// The label of each customer.
    Labels,
    /// The coefficients of a model.
    Model,
}

impl Role {
    /// Whether it has something about each customer beside labels.
    pub const fn is_customers(self) -> bool {
        matches!(self, Self::Features | Self::Numbered)
    }
}

impl Port {
    /// Whether a table of so many rows, and so many columns of it, may be this input. An owner permits what is told of columns of all rows: another division of the same
    /// entries would tell of single ones.
    pub fn takes(&self, rows: u64, columns: usize) -> bool {
        self.role == Role::Any || (self.rows, self.columns) == (rows, columns as u64)
    }
}

impl ProgramSpec {
    /// What its inputs are, in their order.
    pub fn ports(&self) -> Vec<Port> {
        match self {
            Self::AesCtr(_) | Self::Circuit(_) => vec![Port { role: Role::Any, rows: 0, columns: 0 }],
            Self::Moments(moments) => features(&moments.rows, u64::from(moments.columns)),
            Self::CreditScore(score) => {
                let mut ports = score.table.ports();
                let rows = score.table.size().1.saturating_add(1);
                ports.extend((score.model == ModelSpec::Shared).then_some(Port {
                    role: Role::Model,
                    rows,
                    columns: 1,
                }));
                ports
            }
            Self::CreditTrain(train) => {
                let mut ports = train.table.ports();
                match &train.table {
                    PooledSpec::Horizontal { rows, .. } => ports.extend(labels(rows)),
                    PooledSpec::Vertical { rows, .. } => ports.extend(labels(&[*rows])),
                }
                ports
            }
            Self::CreditAuc(auc) => {
                let mut ports = features(&auc.rows, 1);
                ports.extend(labels(&auc.rows));
                ports
            }
            Self::CreditCounts(counts) => {
                let mut ports = features(&counts.rows, 1);
                if counts.by_label {
                    ports.extend(labels(&counts.rows));
                }
                ports
            }
            Self::CreditJoin(join) => {
                let table = |table: &JoinedSpec| Port {
                    role: Role::Numbered,
                    rows: table.rows,
                    columns: u64::from(table.columns) + NUMBER_COLUMNS as u64,
                };
                let labelled = join.labels.and_then(|k| join.tables.get(k as usize));
                let labelled: Vec<u64> = labelled.iter().map(|table| table.rows).collect();
                join.tables.iter().map(table).chain(labels(&labelled)).collect()
            }
        }
    }
}

impl ProgramSpec {
    /// Whether several inputs may bring columns of the same customers, and do not bring other customers each.
    pub(in crate::job) fn is_of_rows(&self) -> bool {
        let table = match self {
            Self::CreditScore(score) => &score.table,
            Self::CreditTrain(train) => &train.table,
            Self::CreditJoin(_) => return true,
            _ => return false,
        };
        matches!(table, PooledSpec::Vertical { .. })
    }
}

impl PooledSpec {
    /// The inputs that bring features.
    fn ports(&self) -> Vec<Port> {
        match self {
            Self::Horizontal { columns, rows } => features(rows, u64::from(*columns)),
            Self::Vertical { rows, columns } => {
                columns.iter().flat_map(|columns| features(&[*rows], u64::from(*columns))).collect()
            }
        }
    }
}

fn features(rows: &[u64], columns: u64) -> Vec<Port> {
    rows.iter().map(|rows| Port { role: Role::Features, rows: *rows, columns }).collect()
}

fn labels(rows: &[u64]) -> impl Iterator<Item = Port> {
    rows.iter().map(|rows| Port { role: Role::Labels, rows: *rows, columns: 1 })
}
