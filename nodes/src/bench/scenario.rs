//! What is measured, written once for every network: three parties call these on their strands.

pub use super::matching::Galleries;
use super::{credit, gates, integers, matching};
use crate::{executor::Tasks, job::ModeSpec};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc, time::Instant};
use trefoil_circuits::{
    aes::SboxForm,
    program::{Tiling, join_all},
};
use trefoil_engine::{
    PeerFault,
    prelude::*,
    transport::{BoxFuture, SessionId, Transport},
};

/// A scenario and its parameters.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Scenario {
    /// Frames around the ring, nothing computed: what the transport carries.
    Ring {
        /// Bytes of a frame.
        frame: usize,
        /// Strands in flight.
        strands: usize,
        /// Frames sent on each strand in one run.
        frames: usize,
    },
    /// AND gates.
    And {
        /// Words of 64 lanes in a batch.
        words: usize,
        /// Strands in flight.
        strands: usize,
        /// Batches on each strand in one run.
        batches: usize,
    },
    /// AES-128 with expanded keys.
    Aes {
        /// The name of an S-box form.
        sbox: String,
        /// Blocks of a batch.
        batch: usize,
        /// Strands in flight.
        strands: usize,
        /// Batches on each strand in one run.
        batches: usize,
    },
    /// Multiplications of integers of 64 bits.
    Mul64 {
        /// Multiplications in a batch.
        batch: usize,
        /// Strands in flight.
        strands: usize,
        /// Batches on each strand in one run.
        batches: usize,
    },
    /// Comparisons of integers of 64 bits.
    Compare64 {
        /// Which ones.
        what: Comparison,
        /// Comparisons in a batch.
        batch: usize,
        /// Strands in flight.
        strands: usize,
        /// Batches on each strand in one run.
        batches: usize,
    },
    /// Probabilities by a logistic model, features and model shared.
    Score {
        /// Applicants in one run.
        rows: usize,
        /// Features of each.
        columns: usize,
        /// Applicants of a batch.
        batch: usize,
        /// Strands in flight.
        strands: usize,
    },
    /// The probability of one applicant after the other.
    ScoreOne {
        /// Features of each.
        columns: usize,
        /// Applicants in one run; the figure is the time of one.
        applicants: usize,
    },
    /// One epoch of training a logistic model by gradient descent.
    Train {
        /// Rows of the table.
        rows: usize,
        /// Its columns.
        columns: usize,
        /// Rows of a step.
        batch: usize,
    },
    /// One iris in 31 rotations against a gallery of others that the nodes hold: how many rotations a second.
    Iris {
        /// Templates in the gallery.
        templates: usize,
        /// Templates of a batch.
        batch: usize,
        /// Strands in flight.
        strands: usize,
    },
    /// The same: how long it takes until it is known who it is.
    Identify {
        /// Templates in the gallery.
        templates: usize,
        /// Templates of a batch.
        batch: usize,
        /// Strands in flight.
        strands: usize,
    },
    /// One AES block after the other, key expanded.
    LatencyAes {
        /// Blocks in one run; the figure is the time of one.
        blocks: usize,
    },
    /// One AND after the other.
    LatencyAnd {
        /// Rounds in one run; the figure is the time of one.
        rounds: usize,
    },
}

/// Which comparison of two integers.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Comparison {
    /// Of any two integers of 64 bits.
    Exact,
    /// Of two that differ by less than `2^63`, as all fixed-point numbers do.
    Near,
}

/// A scenario in a mode.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// What is measured.
    pub scenario: Scenario,
    /// The mode its strands are in.
    pub mode: ModeSpec,
    /// In malicious mode, bytes of recorded gates after which a strand checks them.
    pub check_every: usize,
}

/// What one party measured in one run.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Measured {
    /// Wall time.
    pub seconds: f64,
    /// Items done: bits carried, gates, blocks, applicants, epochs, templates or rounds.
    pub items: f64,
    /// Payload bytes this party sent.
    pub bytes: u64,
    /// Rounds in sequence of one batch.
    pub rounds: u64,
}

impl Scenario {
    /// The name on the command line.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Ring { .. } => "ring",
            Self::And { .. } => "and",
            Self::Aes { .. } => "aes",
            Self::Mul64 { .. } => "mul64",
            Self::Compare64 { .. } => "compare64",
            Self::Score { .. } => "score",
            Self::ScoreOne { .. } => "score-one",
            Self::Train { .. } => "train",
            Self::Iris { .. } => "iris",
            Self::Identify { .. } => "identify",
            Self::LatencyAes { .. } | Self::LatencyAnd { .. } => "latency",
        }
    }

    /// The parameters, for the result row of a mode.
    #[must_use]
    pub fn params(&self, mode: ModeSpec) -> BTreeMap<&'static str, serde_json::Value> {
        match self {
            Self::Ring { frame, strands, frames } => {
                BTreeMap::from([("frame", json!(frame)), ("strands", json!(strands)), ("frames", json!(frames))])
            }
            Self::And { words, strands, batches } => {
                BTreeMap::from([("batch", json!(64 * words)), ("strands", json!(strands)), ("batches", json!(batches))])
            }
            Self::Aes { sbox, batch, strands, batches } => BTreeMap::from([
                ("sbox", json!(sbox)),
                ("batch", json!(batch)),
                ("strands", json!(strands)),
                ("batches", json!(batches)),
            ]),
            Self::Mul64 { batch, strands, batches } => {
                BTreeMap::from([("batch", json!(batch)), ("strands", json!(strands)), ("batches", json!(batches))])
            }
            Self::Compare64 { what, batch, strands, batches } => BTreeMap::from([
                ("what", json!(what)),
                ("batch", json!(batch)),
                ("strands", json!(strands)),
                ("batches", json!(batches)),
            ]),
            Self::Score { rows, columns, batch, strands } => BTreeMap::from([
                ("rows", json!(rows)),
                ("columns", json!(columns)),
                ("batch", json!(batch)),
                ("strands", json!(strands)),
            ]),
            Self::ScoreOne { columns, .. } => BTreeMap::from([("columns", json!(columns))]),
            Self::Train { rows, columns, batch } => {
                BTreeMap::from([("rows", json!(rows)), ("columns", json!(columns)), ("batch", json!(batch))])
            }
            Self::Iris { templates, batch, strands } | Self::Identify { templates, batch, strands } => {
                BTreeMap::from([
                    ("templates", json!(templates)),
                    ("batch", json!(batch)),
                    ("strands", json!(strands)),
                    ("template_bytes", json!(matching::template_bytes(mode))),
                ])
            }
            Self::LatencyAes { .. } => BTreeMap::from([("what", json!("one AES-128 block, key expanded"))]),
            Self::LatencyAnd { .. } => BTreeMap::from([("what", json!("one AND"))]),
        }
    }

    /// The unit of the figures.
    #[must_use]
    pub const fn unit(&self) -> &'static str {
        match self {
            Self::Ring { .. } => "Gbit/s",
            Self::And { .. } => "gates/s",
            Self::Aes { .. } => "blocks/s",
            Self::Mul64 { .. } => "products/s",
            Self::Compare64 { .. } => "comparisons/s",
            Self::Score { .. } => "applicants/s",
            Self::ScoreOne { .. } => "ms/applicant",
            Self::Train { .. } => "s/epoch",
            Self::Iris { .. } => "rotations/s",
            Self::Identify { .. } => "ms/probe",
            Self::LatencyAes { .. } => "ms/block",
            Self::LatencyAnd { .. } => "ms/round",
        }
    }

    /// The figure of a run that took `seconds` for `items` at each party.
    #[must_use]
    pub fn figure(&self, items: f64, seconds: f64) -> f64 {
        match self {
            // Summed over the three links.
            Self::Ring { .. } => 3.0 * items * 1e-9 / seconds,
            Self::And { .. } | Self::Aes { .. } | Self::Mul64 { .. } | Self::Compare64 { .. } | Self::Score { .. } => {
                items / seconds
            }
            Self::Iris { .. } => items * matching::ROTATIONS / seconds,
            // One probe, whatever the number of templates.
            Self::Identify { .. } => seconds * 1e3,
            Self::LatencyAes { .. } | Self::LatencyAnd { .. } | Self::ScoreOne { .. } => seconds * 1e3 / items,
            Self::Train { .. } => seconds / items,
        }
    }

    /// Runs once, as one party, on the network given.
    ///
    /// # Errors
    /// Whatever the protocol's rounds give; [`Error::Peer`] if the result of the run disagrees with plain computation.
    pub async fn run<M: Mode>(&self, ctx: &mut Ctx<M>, net: &Raw) -> Result<Measured, Error> {
        match *self {
            Self::Ring { frame, strands, frames } => gates::ring(ctx, net, frame, [strands, frames]).await,
            Self::And { words, strands, batches } => gates::and(ctx, words, strands, batches).await,
            Self::Aes { ref sbox, batch, strands, batches } => {
                let form = SboxForm::ALL.into_iter().find(|f| f.name() == sbox).unwrap_or_default();
                gates::aes(ctx, form, [batch, strands, batches]).await
            }
            Self::Mul64 { batch, strands, batches } => integers::products(ctx, [batch, strands, batches]).await,
            Self::Compare64 { what, batch, strands, batches } => {
                integers::comparisons(ctx, what, [batch, strands, batches]).await
            }
            Self::Score { rows, columns, batch, strands } => {
                credit::scores(ctx, [rows, columns], Tiling { batch, strands }).await
            }
            Self::ScoreOne { columns, applicants } => credit::single_scores(ctx, columns, applicants).await,
            Self::Train { rows, columns, batch } => credit::training(ctx, [rows, columns], batch).await,
            Self::Iris { templates, batch, strands } | Self::Identify { templates, batch, strands } => {
                matching::identification(ctx, &net.galleries, templates, Tiling { batch, strands }).await
            }
            Self::LatencyAes { blocks } => gates::aes(ctx, SboxForm::default(), [1, 1, blocks]).await,
            Self::LatencyAnd { rounds } => gates::and(ctx, 1, 1, rounds).await,
        }
    }
}

/// What a party has beside its strands: the network below them, for the scenario that computes nothing, and galleries of templates.
pub struct Raw {
    /// The network.
    pub net: Arc<dyn Transport>,
    /// The session of the strands.
    pub session: SessionId,
    /// Counts the links opened, so that each has a path of its own.
    pub opened: std::sync::atomic::AtomicU32,
    /// Templates, which stay from one run to the next.
    pub galleries: Galleries,
}

/// Returns when all three parties have called it: news of a party reaches each other one in two rounds.
pub(super) async fn barrier<M: Mode>(ctx: &mut Ctx<M>) -> Result<(), Error> {
    let x = Shares::<Z64>::zeros(1);
    for _ in 0..2 {
        let _ = ctx.mul(x.view(), x.view()).await?;
    }
    Ok(())
}

/// Runs the strands between two points that all parties reach together, and joins them.
pub(super) async fn timed<M: Mode>(
    ctx: &mut Ctx<M>,
    tasks: Vec<BoxFuture<'static, Result<Ctx<M>, Error>>>,
    items: f64,
    rounds: u64,
) -> Result<Measured, Error> {
    barrier(ctx).await?;
    let before = ctx.cost().bytes_sent;
    let start = Instant::now();
    let strands = join_all(&Tasks, tasks).await;
    let seconds = start.elapsed().as_secs_f64();
    for strand in strands {
        ctx.join(strand?)?;
    }
    Ok(Measured { seconds, items, bytes: ctx.cost().bytes_sent - before, rounds })
}

/// Says that a run is worthless if what was computed on shares is not what is computed in the clear.
pub(super) fn agree(me: Party, holds: bool) -> Result<(), Error> {
    if holds {
        return Ok(());
    }
    let fault = PeerFault::Malformed("the result computed on shares is not the one computed in the clear".into());
    Err(Error::Peer { peer: me.next(), fault })
}
