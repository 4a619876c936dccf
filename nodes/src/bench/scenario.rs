//! What is measured, written once for every network: three parties call these on their strands.

use crate::{executor::Tasks, job::ModeSpec};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc, time::Instant};
use trefoil_circuits::{
    aes::{EncryptionKeys, KeySize, SboxForm, State, encrypt, expand_key, reference},
    program::Executor,
};
use trefoil_engine::{
    PeerFault,
    prelude::*,
    transport::{BoxFuture, Path, SessionId, Transport},
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
    /// Items done: bits carried, gates, blocks or rounds.
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
            Self::LatencyAes { .. } | Self::LatencyAnd { .. } => "latency",
        }
    }

    /// The parameters, for the result row.
    #[must_use]
    pub fn params(&self) -> BTreeMap<&'static str, serde_json::Value> {
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
            Self::And { .. } | Self::Aes { .. } => items / seconds,
            Self::LatencyAes { .. } | Self::LatencyAnd { .. } => seconds * 1e3 / items,
        }
    }

    /// Runs once, as one party, on the network given.
    ///
    /// # Errors
    /// Whatever the protocol's rounds give; [`Error::Peer`] if the result of the run disagrees with plain computation.
    pub async fn run<M: Mode>(&self, ctx: &mut Ctx<M>, net: &Raw) -> Result<Measured, Error> {
        match *self {
            Self::Ring { frame, strands, frames } => ring(ctx, net, frame, [strands, frames]).await,
            Self::And { words, strands, batches } => and(ctx, words, strands, batches).await,
            Self::Aes { ref sbox, batch, strands, batches } => {
                let form = SboxForm::ALL.into_iter().find(|f| f.name() == sbox).unwrap_or_default();
                aes(ctx, form, [batch, strands, batches]).await
            }
            Self::LatencyAes { blocks } => aes(ctx, SboxForm::default(), [1, 1, blocks]).await,
            Self::LatencyAnd { rounds } => and(ctx, 1, 1, rounds).await,
        }
    }
}

/// The network below the strands, for the scenario that computes nothing.
pub struct Raw {
    /// The network.
    pub net: Arc<dyn Transport>,
    /// The session of the strands.
    pub session: SessionId,
    /// Counts the links opened, so that each has a path of its own.
    pub opened: std::sync::atomic::AtomicU32,
}

/// Returns when all three parties have called it: news of a party reaches each other one in two rounds.
async fn barrier<M: Mode>(ctx: &mut Ctx<M>) -> Result<(), Error> {
    let x = Shares::<Z64>::zeros(1);
    for _ in 0..2 {
        let _ = ctx.mul(x.view(), x.view()).await?;
    }
    Ok(())
}

async fn ring<M: Mode>(
    ctx: &mut Ctx<M>,
    raw: &Raw,
    frame: usize,
    [strands, frames]: [usize; 2],
) -> Result<Measured, Error> {
    let me = ctx.me();
    let mut tasks: Vec<BoxFuture<'static, Result<(), Error>>> = Vec::new();
    for _ in 0..strands {
        let path = Path::root().child(u32::MAX).child(raw.opened.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        let mut link = raw.net.open(raw.session, path).await?;
        tasks.push(Box::pin(async move {
            let mut into = vec![0; frame];
            for _ in 0..frames {
                // A fresh frame each time, as a computation would make it.
                let out = Bytes::from(vec![0x5a; frame]);
                link.exchange(me.prev(), out, me.next(), &mut into).await?;
            }
            Ok(())
        }));
    }
    barrier(ctx).await?;
    let start = Instant::now();
    Tasks.join_all(tasks).await.into_iter().collect::<Result<(), _>>()?;
    let bytes = (frame * strands * frames) as u64;
    Ok(Measured { seconds: start.elapsed().as_secs_f64(), items: 8.0 * bytes as f64, bytes, rounds: 1 })
}

async fn and<M: Mode>(ctx: &mut Ctx<M>, words: usize, strands: usize, batches: usize) -> Result<Measured, Error> {
    let mut tasks: Vec<BoxFuture<'static, _>> = Vec::new();
    for mut strand in ctx.fork(strands as u32).await? {
        let x = strand.random::<Lanes>(words)?;
        let mut y = strand.random::<Lanes>(words)?;
        tasks.push(Box::pin(async move {
            for _ in 0..batches {
                y = strand.mul(x.view(), y.view()).await?;
            }
            strand.check().await?;
            Ok::<_, Error>(strand)
        }));
    }
    let items = if words == 1 { batches } else { Lanes::COUNT * words * strands * batches };
    timed(ctx, tasks, items as f64, 1).await
}

async fn aes<M: Mode>(
    ctx: &mut Ctx<M>,
    form: SboxForm,
    [batch, strands, batches]: [usize; 3],
) -> Result<Measured, Error> {
    let key = ctx.random::<Lanes>(2)?;
    let keys = Arc::new(expand_key(ctx, form, KeySize::Aes128, key.view()).await?.for_encryption(ctx.me())?);
    // One block outside the measurement, opened and compared: the figures are of a computation that is right.
    check(ctx, form, &keys, &key).await?;
    let mut tasks: Vec<BoxFuture<'static, _>> = Vec::new();
    for mut strand in ctx.fork(strands as u32).await? {
        let input = strand.random::<Lanes>(2 * batch)?;
        let mut state = State::from_blocks(input.view())?;
        let keys = keys.clone();
        tasks.push(Box::pin(async move {
            for _ in 0..batches {
                state = encrypt(&mut strand, form, &keys, &state).await?;
            }
            strand.check().await?;
            Ok::<_, Error>(strand)
        }));
    }
    let rounds = 10 * form.rounds();
    timed(ctx, tasks, (batch * strands * batches) as f64, rounds).await
}

/// Encrypts one block, opens it with its input and its key, and compares with the plain reference.
async fn check<M: Mode>(
    ctx: &mut Ctx<M>,
    form: SboxForm,
    keys: &EncryptionKeys,
    key: &Shares<Lanes>,
) -> Result<(), Error> {
    // What is opened rests on the round keys.
    ctx.check().await?;
    let mut child = ctx.fork(1).await?.remove(0);
    let input = child.random::<Lanes>(2)?;
    let output = encrypt(&mut child, form, keys, &State::from_blocks(input.view())?).await?.to_blocks();
    let mut child = child.verify().await?;
    let [key, input, output] = [
        bytes_of(&child.open(key.view()).await?),
        bytes_of(&child.open(input.view()).await?),
        bytes_of(&child.open(output.view()).await?),
    ];
    let me = ctx.me();
    ctx.join_verified(child)?;
    let plain = reference::expand_key(&key).map(|k| reference::encrypt(&k, input));
    if plain == Some(output) {
        return Ok(());
    }
    let fault = PeerFault::Malformed("the block computed on shares is not the one computed in the clear".into());
    Err(Error::Peer { peer: me.next(), fault })
}

fn bytes_of(words: &[Lanes]) -> [u8; 16] {
    let mut out = [0; 16];
    for (out, word) in out.chunks_exact_mut(8).zip(words) {
        out.copy_from_slice(&word.0.to_le_bytes());
    }
    out
}

/// Runs the strands between two points that all parties reach together, and joins them.
async fn timed<M: Mode>(
    ctx: &mut Ctx<M>,
    tasks: Vec<BoxFuture<'static, Result<Ctx<M>, Error>>>,
    items: f64,
    rounds: u64,
) -> Result<Measured, Error> {
    barrier(ctx).await?;
    let before = ctx.cost().bytes_sent;
    let start = Instant::now();
    let strands = Tasks.join_all(tasks).await;
    let seconds = start.elapsed().as_secs_f64();
    for strand in strands {
        ctx.join(strand?)?;
    }
    Ok(Measured { seconds, items, bytes: ctx.cost().bytes_sent - before, rounds })
}
