//! What figures rest on beside counts.

use crate::credit::NamedMoments;
use serde::{Deserialize, Serialize};

/// What was evaluated, when and how.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// When: as RFC 3339 writes it, in UTC.
    pub evaluated: String,
    /// The model: its table as `OWNER/NAME@VERSION`, or its file.
    pub model: String,
    /// The tables of customers.
    pub tables: Vec<CountedTable>,
    /// Against whom the jobs were secure.
    pub mode: String,
    /// Ranges of the score that were asked for.
    pub bins: u32,
    /// No range that was told counts fewer good, or fewer bad, customers of an owner than this.
    pub minimum: u64,
    /// What the features were standardized by, in their order.
    pub features: Vec<Standardized>,
}

/// A table whose customers were counted.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CountedTable {
    /// `OWNER/NAME@VERSION`.
    pub table: String,
    /// Its customers.
    pub rows: u64,
}

/// A feature, and what it was standardized by.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Standardized {
    /// Its name.
    pub name: String,
    /// The mean.
    pub mean: f64,
    /// The standard deviation.
    pub sd: f64,
}

impl Standardized {
    /// Each of the features with these moments.
    pub fn of(moments: &NamedMoments) -> Vec<Self> {
        let spread = moments.mean.iter().zip(&moments.sd);
        let feature = |(name, (mean, sd)): (&String, (&f64, &f64))| Self { name: name.clone(), mean: *mean, sd: *sd };
        moments.features.iter().zip(spread).map(feature).collect()
    }
}
