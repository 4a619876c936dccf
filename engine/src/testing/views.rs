//! What each party sees of a protocol, and whether that could be told from noise.
//!
//! [`observe`] runs a protocol many times on the same inputs, shared afresh each time, and keeps each party's view: its
//! input shares, its randomness and the frames it received. If the protocol is private, a view is uniform whatever
//! the inputs, and [`Views::uniform`] and [`Views::same_as`] find nothing.

mod statistics;

use super::{session_keys, three_under};
use crate::{
    Ctx, Error, Mode, Party, Shares,
    client::{InputShare, split_with},
    prss::Prss,
    ring::Ring,
    simd,
    transport::{
        Path,
        memory::{Conditions, Position},
    },
};
use bytes::Bytes;
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use std::sync::{Arc, Mutex, PoisonError};

pub use statistics::Verdict;

/// How a protocol is observed.
#[derive(Clone, Copy, Debug)]
pub struct Experiment {
    /// The number of the first run. All randomness of a run is derived from its number.
    pub first: u64,
    /// Runs, a multiple of 64.
    pub runs: u64,
    /// The pairwise secret that party `i` and its `prev` hold, by number: `[0, 1, 2]`, if nothing is to be broken.
    pub pairs: [u8; 3],
    /// Which part of the parties' randomness is in the view.
    pub randomness: Randomness,
    /// Which of the frames received are in the view.
    pub frames: Frames,
}

/// Which of the frames a party receives are in its view.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Frames {
    /// All.
    All,
    /// All but those of 32 bytes: hashes of what the party itself holds, which two peers send alike. For protocols whose other
    /// frames have other lengths.
    ButHashes,
}

/// Which part of its own randomness is in a party's view.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Randomness {
    /// None.
    LeftOut,
    /// What the zero sharings of the gates were made of. For protocols of one strand that draw nothing else and send one
    /// frame a gate.
    OfGates,
}

/// The views of one party in all runs of an experiment.
///
/// A view is a row of 64-bit words. Bit `l` of each word is called lane `l`, also where the ring is that of integers.
#[derive(Debug)]
pub struct Views {
    first: u64,
    runs: usize,
    words: usize,
    /// The words that are input shares come first.
    inputs: usize,
    /// The places of the words received.
    received: Vec<usize>,
    /// One view after the other.
    rows: Vec<u64>,
    /// The same by bits: `runs / 64` words for lane `l` of word `w`, from `(64 w + l) * runs / 64` on.
    columns: Vec<u64>,
}

/// Runs a protocol on shares of `inputs` as an experiment says, and returns the views of P0, P1 and P2.
///
/// For rings whose frames are whole 64-bit words.
///
/// # Panics
/// If a party fails, the number of runs is no multiple of 64, or the length of a view is none or differs between runs.
#[allow(clippy::needless_pass_by_value)] // a closure is written in place
pub fn observe<M: Mode, R: Ring, F>(experiment: Experiment, inputs: &[&[R]], f: F) -> [Views; 3]
where
    F: AsyncFn(&mut Ctx<M>, Vec<Shares<R>>) -> Result<Shares<R>, Error>,
{
    let mut collected = [(); 3].map(|()| Collected::default());
    for run in (experiment.first..).take(experiment.runs as usize) {
        let views = one_run::<M, R, F>(experiment, run, inputs, &f);
        for (collected, view) in collected.iter_mut().zip(views) {
            collected.push(view);
        }
    }
    collected.map(|c| c.into_views(experiment.first))
}

/// One view, in words.
#[derive(Default)]
struct View {
    words: Vec<u64>,
    inputs: usize,
    received: Vec<usize>,
}

fn one_run<M: Mode, R: Ring, F>(experiment: Experiment, run: u64, inputs: &[&[R]], f: &F) -> [View; 3]
where
    F: AsyncFn(&mut Ctx<M>, Vec<Shares<R>>) -> Result<Shares<R>, Error>,
{
    let mut rng = ChaCha20Rng::seed_from_u64(run);
    let mut views = [(); 3].map(|()| View::default());
    let mut dealt: [Vec<InputShare<R>>; 3] = [vec![], vec![], vec![]];
    for x in inputs {
        for ((view, party), share) in views.iter_mut().zip(&mut dealt).zip(split_with(x, &mut rng)) {
            share.as_bytes().iter().for_each(|component| append(&mut view.words, component));
            view.inputs = view.words.len();
            party.push(share);
        }
    }
    let frames: Arc<Mutex<[Vec<Bytes>; 3]>> = Arc::default();
    let (log, frames_seen) = (frames.clone(), experiment.frames);
    let tamper = Box::new(move |at: Position, frame: Bytes| {
        // That messages have arrived is said with the same byte in all runs: no part of a view.
        let says_arrived = frame[..] == [1];
        if !says_arrived && (frames_seen == Frames::All || frame.len() != 32) {
            log.lock().unwrap_or_else(PoisonError::into_inner)[at.to.index()].push(frame.clone());
        }
        vec![(at.seq, frame)]
    });
    let keys = || session_keys(run, experiment.pairs);
    let dealt = dealt.map(|d| Mutex::new(Some(d)));
    let done = three_under::<M, _, _>(
        keys(),
        Conditions { tamper: Some(tamper), ..Conditions::default() },
        async |mut ctx| {
            let mine = dealt[ctx.me().index()].lock().unwrap_or_else(PoisonError::into_inner).take();
            let shares = super::dealt_to(&mut ctx, mine.unwrap_or_default()).await?;
            f(&mut ctx, shares).await.map(drop)
        },
    );
    for result in done {
        result.expect("a party failed");
    }
    let frames = std::mem::take(&mut *frames.lock().unwrap_or_else(PoisonError::into_inner));
    for (((view, frames), keys), _) in views.iter_mut().zip(frames).zip(keys()).zip(Party::ALL) {
        let mut prss = Prss::at(&keys, Path::root());
        for frame in frames {
            let at = view.words.len();
            append(&mut view.words, &frame);
            view.received.extend(at..view.words.len());
            if experiment.randomness == Randomness::OfGates {
                let drawn = prss.random::<R>(frame.len() / size_of::<R>()).expect("a stream is long enough");
                append(&mut view.words, bytemuck::cast_slice(&drawn.own));
                append(&mut view.words, bytemuck::cast_slice(&drawn.next));
            }
        }
    }
    views
}

fn append(words: &mut Vec<u64>, bytes: &[u8]) {
    assert!(bytes.len().is_multiple_of(8), "{} bytes are no whole words", bytes.len());
    words.extend(bytes.chunks_exact(8).map(bytemuck::pod_read_unaligned::<u64>));
}

/// The views of the runs so far.
#[derive(Default)]
struct Collected {
    rows: Vec<u64>,
    runs: usize,
    shape: View,
}

impl Collected {
    fn push(&mut self, view: View) {
        if self.runs > 0 {
            assert_eq!(
                (view.words.len(), &view.received),
                (self.shape.words.len(), &self.shape.received),
                "shapes are public"
            );
        }
        self.rows.extend_from_slice(&view.words);
        self.runs += 1;
        self.shape = view;
    }

    fn into_views(self, first: u64) -> Views {
        let words = self.shape.words.len();
        assert!(self.runs > 0 && self.runs.is_multiple_of(64), "{} runs are no multiple of 64", self.runs);
        let batches = self.runs / 64;
        let mut columns = vec![0; 64 * words * batches];
        let mut planes = vec![0; 64 * words];
        if words > 0 {
            for (batch, rows) in self.rows.chunks_exact(64 * words).enumerate() {
                simd::rows_to_planes(rows, words, &mut planes);
                for (bit, &plane) in planes.iter().enumerate() {
                    columns[bit * batches + batch] = plane;
                }
            }
        }
        let View { inputs, received, .. } = self.shape;
        Views { first, runs: self.runs, words, inputs, received, rows: self.rows, columns }
    }
}
