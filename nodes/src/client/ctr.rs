//! AES in counter mode over a stream of any length: the nodes compute the key stream under a key none of them knows, and the
//! text never leaves the client.

use super::{Client, JobHandle, Plain};
use crate::{
    Error,
    job::{AesCtrSpec, JobSpec, ModeSpec, ProgramSpec, RetainSpec},
};
use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesOrdered};
use std::{fmt, future::Future, time::Instant};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::watch,
};
use trefoil_circuits::aes::KeySize;
use trefoil_engine::Lanes;
use zeroize::Zeroizing;

/// An AES key in the clear, at its owner. Wiped on drop, never shown.
pub struct AesKey {
    size: KeySize,
    words: Zeroizing<Vec<Lanes>>,
}

impl AesKey {
    /// A key of 16, 24 or 32 bytes; `None` for any other length.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let size = KeySize::from_bits(8 * bytes.len())?;
        let word = |chunk: &[u8]| Lanes(chunk.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)));
        Some(Self { size, words: Zeroizing::new(bytes.chunks(8).map(word).collect()) })
    }

    /// Its size.
    pub fn size(&self) -> KeySize {
        self.size
    }
}

impl fmt::Debug for AesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AesKey({} bits, not shown)", self.size.bits())
    }
}

/// Bytes of text for which one job computes the key stream: a multiple of the block.
const CHUNK: usize = 2 << 20;

/// Jobs under way at the same time, so that the nodes compute one while others are shared out or fetched.
const IN_FLIGHT: usize = 4;

/// Encrypts or decrypts streams, which in counter mode is the same.
///
/// Memory: the text and key stream of a few chunks, whatever the length of the stream.
#[derive(Debug)]
pub struct Ctr {
    client: Client,
    key: AesKey,
    counter: u128,
    mode: ModeSpec,
}

/// What a stream took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CtrReport {
    /// Bytes of text.
    pub bytes: u64,
    /// Blocks of key stream.
    pub blocks: u64,
    /// Jobs.
    pub jobs: u64,
    /// Rounds of the longest job.
    pub rounds: u64,
    /// Payload bytes that the three nodes sent to each other, all together.
    pub bytes_sent: u64,
    /// Seconds from the first byte read to the last one written.
    pub seconds: f64,
}

/// A chunk of text with the key stream added, and what its job cost each node.
struct Done {
    text: Zeroizing<Vec<u8>>,
    costs: [crate::job::JobCost; 3],
}

impl Ctr {
    /// Under a key, from a first counter block on, which is a big-endian number and counts up modulo 2^128.
    pub fn new(client: Client, key: AesKey, counter: u128) -> Self {
        Self { client, key, counter, mode: ModeSpec::default() }
    }

    /// The same in another security mode; malicious unless told.
    #[must_use]
    pub fn in_mode(mut self, mode: ModeSpec) -> Self {
        self.mode = mode;
        self
    }

    /// Reads `input` to its end, adds the key stream and writes the result to `output`, in order, unless `stop` resolves before.
    /// Calls `progress` with the bytes written so far.
    ///
    /// Not cancel safe: what was written stays written. Jobs under way are deleted in the background.
    ///
    /// # Errors
    /// As [`Client::run`]; [`Error::System`] if reading or writing fails, [`Error::Interrupted`] if `stop` resolves. The jobs
    /// under way are deleted before it returns.
    pub async fn apply(
        &self,
        input: impl AsyncRead + Unpin,
        output: impl AsyncWrite + Unpin,
        stop: impl Future<Output = ()>,
        progress: impl FnMut(u64),
    ) -> Result<CtrReport, Error> {
        let (end, stopped) = watch::channel(false);
        let mut queue = FuturesOrdered::new();
        let result = tokio::select! {
            result = self.pump(&mut queue, &stopped, input, output, progress) => result,
            () = stop => Err(Error::Interrupted),
        };
        // Only an error leaves anything in the queue.
        end.send_replace(true);
        while queue.next().await.is_some() {}
        result
    }

    async fn pump<'a>(
        &'a self,
        queue: &mut FuturesOrdered<futures_util::future::BoxFuture<'a, Result<Done, Error>>>,
        stopped: &watch::Receiver<bool>,
        mut input: impl AsyncRead + Unpin,
        mut output: impl AsyncWrite + Unpin,
        mut progress: impl FnMut(u64),
    ) -> Result<CtrReport, Error> {
        let start = Instant::now();
        let mut report = CtrReport::default();
        let mut chunk = Zeroizing::new(vec![0; CHUNK]);
        let (mut filled, mut counter, mut open) = (0, self.counter, true);
        while open || !queue.is_empty() {
            tokio::select! {
                biased;
                Some(done) = queue.next() => {
                    let done = done?;
                    output.write_all(&done.text).await.map_err(Error::system("write the output"))?;
                    report.add(&done);
                    progress(report.bytes);
                }
                read = input.read(&mut chunk[filled..]), if open && queue.len() < IN_FLIGHT => {
                    let n = read.map_err(Error::system("read the input"))?;
                    filled += n;
                    open = n > 0;
                    if filled > 0 && (!open || filled == CHUNK) {
                        let mut text = std::mem::replace(&mut chunk, Zeroizing::new(vec![0; CHUNK]));
                        text.truncate(filled);
                        queue.push_back(Box::pin(self.chunk(text, counter, stopped.clone())));
                        counter = counter.wrapping_add((CHUNK / 16) as u128);
                        filled = 0;
                    }
                }
            }
        }
        output.flush().await.map_err(Error::system("write the output"))?;
        report.seconds = start.elapsed().as_secs_f64();
        Ok(report)
    }

    /// Adds the key stream from `counter` on to `text`, unless it is stopped.
    async fn chunk(
        &self,
        mut text: Zeroizing<Vec<u8>>,
        counter: u128,
        mut stopped: watch::Receiver<bool>,
    ) -> Result<Done, Error> {
        let spec = AesCtrSpec { key_bits: self.key.size, counter, blocks: text.len().div_ceil(16) as u64 };
        // Fetched at once or not at all.
        let retain = RetainSpec::Memory;
        let spec = JobSpec { retain, ..JobSpec::new(ProgramSpec::AesCtr(spec), self.mode) };
        let job: JobHandle = self.client.submit(&spec, Bytes::new(), &[Plain::Bits(&self.key.words)]).await?;
        let outcome = tokio::select! {
            outcome = job.outcome() => outcome,
            _ = stopped.wait_for(|stop| *stop) => Err(Error::Interrupted),
        };
        job.delete().await;
        let outcome = outcome?;
        for (bytes, word) in text.chunks_mut(8).zip(outcome.bits(0)?) {
            bytes.iter_mut().zip(word.0.to_le_bytes()).for_each(|(byte, k)| *byte ^= k);
        }
        Ok(Done { text, costs: outcome.costs })
    }
}

impl CtrReport {
    fn add(&mut self, done: &Done) {
        self.bytes += done.text.len() as u64;
        self.blocks += done.text.len().div_ceil(16) as u64;
        self.jobs += 1;
        self.rounds = self.rounds.max(done.costs[0].rounds);
        self.bytes_sent += done.costs.iter().map(|cost| cost.bytes_sent).sum::<u64>();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_three_lengths_and_do_not_print() {
        for n in 0..40 {
            assert_eq!(AesKey::new(&vec![0x5a; n]).is_some(), matches!(n, 16 | 24 | 32), "{n}");
        }
        let key = AesKey::new(&(0..16).collect::<Vec<u8>>()).expect("16 bytes");
        assert_eq!(*key.words, [Lanes(0x0706_0504_0302_0100), Lanes(0x0f0e_0d0c_0b0a_0908)]);
        assert_eq!(format!("{key:?}"), "AesKey(128 bits, not shown)");
    }
}
