//! Credit analysis over the tables of several institutions: what the `trefoil credit` commands do, for other programs.
//!
//! An institution makes numbers of its rows ([`Encoded`]) by moments that all agree on ([`joint_moments`]) and stores them ([`Encoded::table`]). Whoever its permits name
//! trains on the tables of all ([`train()`]), scores customers ([`score()`]) and counts them ([`evaluate()`]). Tables of the same customers with other columns are joined before ([`join()`]). Tables are found by [`find()`].

mod columns;
mod counts;
mod encode;
mod evaluate;
mod files;
mod find;
mod identity;
mod join;
mod moments;
mod new_file;
mod obstacles;
mod permits;
mod quantiles;
mod score;
mod table_file;
mod train;

pub use columns::{ColumnJobs, check_column, column_jobs, count_column};
pub use counts::{COUNTS_FORMAT, ColumnCounts, Distribution, EvaluationFile};
pub use encode::Encoded;
pub use evaluate::{Evaluating, check_fit, evaluate};
pub use files::{ModelFile, read_moments};
pub use find::{TableArg, find};
pub use identity::{ModelIdentity, SameModel};
pub use join::{Joined, Joining, join};
pub use moments::joint_moments;
pub use new_file::{NewFile, name_file};
pub use obstacles::{Asked, Obstacle, Obstacles, obstacles};
pub use permits::{Purpose, whose_customers};
pub use score::{Applicants, ModelSource, Scored, Scores, Scoring, Tell, fetch, score};
pub use table_file::TableFile;
pub use train::{Destination, Method, Pooling, Trained, Training, fetch_model, share_model, train};

use crate::{
    Error,
    credit::NamedMoments,
    tables::{ColumnName, MODEL_COLUMN_NAME, NUMBER_COLUMN_NAMES},
};
use serde::Serialize;
use sha2::{Digest, Sha256};
use trefoil_engine::Lanes;

/// What is told of each step of something that takes long, for people: what is done now.
pub type Progress<'a> = &'a (dyn Fn(&str) + Sync);

/// The name of the column that holds labels.
const LABEL: &str = "label";

/// The columns of numbers of customers.
fn key_columns() -> Result<Vec<ColumnName>, Error> {
    NUMBER_COLUMN_NAMES.iter().map(|name| column(name)).collect()
}

/// What tells features and moments from others: they are not compared otherwise, and pooling different ones gives a model of nothing.
fn digest(of: &impl Serialize) -> Result<String, Error> {
    let json = serde_json::to_vec(of).map_err(|e| Error::Bug(format!("moments as JSON: {e}")))?;
    Ok(hex::encode(&Sha256::digest(json)[..8]))
}

fn column(name: &str) -> Result<ColumnName, Error> {
    name.parse().map_err(Error::Bug)
}

/// The columns of features: the first carries the digest of what they are.
fn feature_columns(digest: &str, width: usize) -> Result<Vec<ColumnName>, Error> {
    let name = |k: usize| column(&if k == 0 { format!("f0-{digest}") } else { format!("f{k}") });
    (0..width).map(name).collect()
}

/// The column of a model of features with these moments.
fn model_column(moments: &NamedMoments) -> Result<ColumnName, Error> {
    column(&format!("{MODEL_COLUMN_NAME}-{}", digest(moments)?))
}

/// Truth values as words.
fn bits(values: impl ExactSizeIterator<Item = bool>) -> Vec<Lanes> {
    let mut words = vec![Lanes(0); values.len().div_ceil(Lanes::COUNT)];
    for (k, value) in values.enumerate() {
        words[k / Lanes::COUNT].0 |= u64::from(value) << (k % Lanes::COUNT);
    }
    words
}
