//! Pseudo-random secret sharing: randomness two parties hold in common, drawn without interaction.
//!
//! Party `i` shares the key `k_i` with `prev` and `k_{i+1}` with `next`. Each strand has its own pair of AES-128
//! keys, derived from the pairwise secret, the session id, the digest of the job specification, a fresh nonce of each
//! of the three parties and the full-width fork path: a session id that is used again (after a crash, or by a malicious
//! client) meets fresh nonces and hence other streams.
//!
//! Source: Cramer, Damgard, Ishai (TCC 2005) for PRSS; Araki et al. (CCS 2016, section 2.1) for the zero sharing.

#[cfg(test)]
pub(crate) mod reduced;

use crate::{
    Error, Party,
    memory::{wipe, zeros},
    ring::Ring,
    share::Shares,
    transport::{Path, SessionId},
};
use aes::{
    Aes128Enc, Block,
    cipher::{BlockCipherEncrypt, KeyInit},
};
use hkdf::Hkdf;
use sha2::Sha256;
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// A secret that exactly two parties hold. Wiped on drop; `Debug` is opaque.
///
/// ```compile_fail
/// fn copy(s: &trefoil_engine::PairSecret) -> trefoil_engine::PairSecret { s.clone() }
/// ```
/// ```compile_fail
/// fn read(s: &trefoil_engine::PairSecret) -> [u8; 32] { s.0 }
/// ```
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct PairSecret([u8; 32]);

impl PairSecret {
    /// Wraps 32 secret bytes, uniformly random to everyone but the two parties.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for PairSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PairSecret(..)")
    }
}

/// What binds the keys of one session, besides the pairwise secrets. Public.
#[derive(Clone, Debug)]
pub struct SessionBinding {
    /// The session.
    pub session: SessionId,
    /// SHA-256 of the job specification.
    pub job_digest: [u8; 32],
    /// A fresh nonce of each party, in party order.
    pub nonces: [[u8; 32]; 3],
}

/// The two session secrets of one party: `k_i`, held with `prev`, and `k_{i+1}`, held with `next`. Wiped on drop, opaque in `Debug`,
/// and used up by the session's root strand, so that no second one draws the same randomness.
///
/// ```compile_fail
/// fn copy(k: &trefoil_engine::SessionKeys) -> trefoil_engine::SessionKeys { k.clone() }
/// ```
pub struct SessionKeys {
    own: Zeroizing<[u8; 32]>,
    next: Zeroizing<[u8; 32]>,
}

impl SessionKeys {
    /// Derives the session's secrets (HKDF-SHA-256, RFC 5869) from the pairwise ones.
    #[must_use]
    pub fn derive(with_prev: &PairSecret, with_next: &PairSecret, binding: &SessionBinding) -> Self {
        let derive = |secret: &PairSecret| {
            let mut info = Vec::with_capacity(32 + 16 + 32 + 96);
            info.extend_from_slice(b"trefoil/v1/session");
            info.extend_from_slice(&binding.session.0);
            info.extend_from_slice(&binding.job_digest);
            binding.nonces.iter().for_each(|n| info.extend_from_slice(n));
            expand(&secret.0, &info)
        };
        Self { own: derive(with_prev), next: derive(with_next) }
    }
}

impl fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKeys(..)")
    }
}

fn expand<const N: usize>(secret: &[u8; 32], info: &[u8]) -> Zeroizing<[u8; N]> {
    let mut key = Zeroizing::new([0; N]);
    Hkdf::<Sha256>::new(Some(b"trefoil/v1/prss"), secret)
        .expand(info, key.as_mut())
        .expect("a key is far shorter than HKDF's 255 hashes");
    key
}

/// Blocks encrypted per call: many enough that the wide AES backends need not load their keys often, and within the L1 cache.
const BATCH: usize = 512;

/// One keyed stream: AES-128 in counter mode.
///
/// Linear: not `Clone`, and the counter only moves forward, so no block is drawn twice. A stream ends after
/// 2^40 blocks (16 TiB), where the distance of AES from a random function, 2^(2*40 - 129), is still below 2^-48.
///
/// ```compile_fail
/// fn twice(s: &trefoil_engine::prss::Stream) -> trefoil_engine::prss::Stream { s.clone() }
/// ```
pub struct Stream {
    cipher: Aes128Enc,
    counter: u64,
    #[cfg(test)]
    mask: u64,
}

/// The number of blocks after which a stream refuses to go on.
pub const STREAM_BLOCKS: u64 = 1 << 40;

impl Stream {
    fn at(secret: &[u8; 32], path: Path) -> Self {
        let mut info = b"trefoil/v1/strand".to_vec();
        info.extend_from_slice(&path.0);
        let key = expand::<16>(secret, &info);
        Self {
            cipher: Aes128Enc::new((&*key).into()),
            counter: 0,
            #[cfg(test)]
            mask: u64::MAX,
        }
    }

    /// A stream under a given key, for benchmarks and known-answer tests.
    #[must_use]
    pub fn with_key(key: [u8; 16]) -> Self {
        Self {
            cipher: Aes128Enc::new(&key.into()),
            counter: 0,
            #[cfg(test)]
            mask: reduced::mask(key),
        }
    }

    /// Fills `out` with fresh randomness. Starts at a block boundary; what is left of the last block is discarded.
    ///
    /// # Errors
    /// [`Error::StreamExhausted`] past [`STREAM_BLOCKS`] blocks.
    pub fn fill<R: Ring>(&mut self, out: &mut [R]) -> Result<(), Error> {
        self.fill_bytes(bytemuck::cast_slice_mut(out))?;
        #[cfg(test)]
        if self.mask != u64::MAX {
            for point in bytemuck::cast_slice_mut::<R, u64>(out) {
                *point &= self.mask;
            }
        }
        Ok(())
    }

    /// As [`fill`](Self::fill).
    pub(crate) fn fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        let end = self.counter + bytes.len().div_ceil(16) as u64;
        if end > STREAM_BLOCKS {
            return Err(Error::StreamExhausted);
        }
        let whole = bytes.len() / 16 * 16;
        let (blocks, tail) = bytes.split_at_mut(whole);
        for batch in blocks.chunks_mut(16 * BATCH) {
            self.batch(batch);
        }
        if !tail.is_empty() {
            let mut last = [0; 16];
            self.batch(&mut last);
            tail.copy_from_slice(&last[..tail.len()]);
            last.zeroize();
        }
        debug_assert_eq!(self.counter, end);
        Ok(())
    }

    /// Fills whole blocks.
    fn batch(&mut self, bytes: &mut [u8]) {
        let (blocks, _) = Block::slice_as_chunks_mut(bytes);
        for (block, n) in blocks.iter_mut().zip(self.counter..) {
            // One store of both halves.
            *block = u128::from(n).to_le_bytes().into();
        }
        self.counter += blocks.len() as u64;
        self.cipher.encrypt_blocks(blocks);
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream(..)")
    }
}

/// Elements of the second stream that are held at once while a zero sharing is drawn (fits the L1 cache).
const ZERO_CHUNK_BYTES: usize = 8 << 10;

/// The two streams of one strand. Linear, like [`Stream`]; wiped on drop, opaque in `Debug`.
///
/// ```compile_fail
/// fn twice(p: &trefoil_engine::prss::Prss) -> trefoil_engine::prss::Prss { p.clone() }
/// ```
pub struct Prss {
    own: Stream,
    next: Stream,
    scratch: Vec<u64>,
}

impl Prss {
    /// The streams of the strand at `path`.
    #[must_use]
    pub(crate) fn at(keys: &SessionKeys, path: Path) -> Self {
        Self {
            own: Stream::at(&keys.own, path),
            next: Stream::at(&keys.next, path),
            scratch: vec![0; ZERO_CHUNK_BYTES / 8],
        }
    }

    /// The stream held with `prev` and the one held with `next`. Whoever draws from one of them draws as much, for the same purpose
    /// and in the same order, as the party that holds it too.
    pub(crate) fn streams(&mut self) -> (&mut Stream, &mut Stream) {
        (&mut self.own, &mut self.next)
    }

    /// Shares of `len` uniformly random elements that no party knows. No communication.
    ///
    /// # Errors
    /// [`Error::StreamExhausted`].
    pub fn random<R: Ring>(&mut self, len: usize) -> Result<Shares<R>, Error> {
        let mut r = Shares::zeros(len);
        self.own.fill(&mut r.own)?;
        self.next.fill(&mut r.next)?;
        Ok(r)
    }

    /// This party's part of an additive sharing of zero: `zero_i = F(k_i) - F(k_{i+1})`, and the three sum to zero.
    ///
    /// # Errors
    /// [`Error::StreamExhausted`].
    pub fn zero<R: Ring>(&mut self, len: usize) -> Result<Vec<R>, Error> {
        let mut zero = zeros::<R>(len);
        let scratch: &mut [R] = bytemuck::cast_slice_mut(&mut self.scratch);
        let chunk = scratch.len();
        for part in zero.chunks_mut(chunk) {
            self.own.fill(part)?;
            let minus = &mut scratch[..part.len()];
            self.next.fill(minus)?;
            for (z, &m) in part.iter_mut().zip(&*minus) {
                *z = *z - m;
            }
        }
        Ok(zero)
    }
}

impl fmt::Debug for Prss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not derived: `scratch` holds randomness that masks messages.
        f.write_str("Prss(..)")
    }
}

impl Drop for Prss {
    fn drop(&mut self) {
        wipe::<crate::ring::Z64>(bytemuck::cast_slice_mut(&mut self.scratch));
    }
}

/// The three parties' keys from three pairwise secrets that one place knows: for tests and single-process runs.
///
/// `secrets[i]` is held by party `i` and its `prev`.
#[must_use]
pub fn all_keys(secrets: &[PairSecret; 3], binding: &SessionBinding) -> [SessionKeys; 3] {
    Party::ALL.map(|p| SessionKeys::derive(&secrets[p.index()], &secrets[p.next().index()], binding))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::{Lanes, Z16, Z64};
    use std::collections::HashSet;

    fn binding(session: u8) -> SessionBinding {
        SessionBinding { session: SessionId([session; 16]), job_digest: [1; 32], nonces: [[2; 32], [3; 32], [4; 32]] }
    }

    fn secrets() -> [PairSecret; 3] {
        [5, 6, 7].map(|b| PairSecret::new([b; 32]))
    }

    /// The zero block under the zero key: the hash key H of test case 1 in NIST's GCM specification.
    #[test]
    fn first_block_is_the_known_answer() {
        let mut out = [Z64(0); 2];
        Stream::with_key([0; 16]).fill(&mut out).unwrap();
        let e0 = 0x66e9_4bd4_ef8a_2c3b_884c_fa59_ca34_2b2e_u128.to_be_bytes();
        assert_eq!(bytemuck::cast_slice::<_, u8>(&out), e0);
    }

    #[test]
    fn a_stream_never_repeats_a_block_whatever_the_draw_sizes() {
        let mut s = Stream::with_key([9; 16]);
        let mut seen = HashSet::new();
        for len in [1, 2, 3, 7, 64, 255, 256, 257, 1000, 5] {
            let mut out = vec![Z64(0); 2 * len];
            s.fill(&mut out).unwrap();
            for block in out.chunks_exact(2) {
                assert!(seen.insert((block[0].0, block[1].0)), "a block came twice");
            }
        }
    }

    #[test]
    fn small_elements_discard_the_rest_of_a_block() {
        let (mut a, mut b) = (Stream::with_key([9; 16]), Stream::with_key([9; 16]));
        let (mut x, mut y) = (vec![Z16(0); 9], vec![Z16(0); 16]);
        a.fill(&mut x).unwrap();
        b.fill(&mut y).unwrap();
        assert_eq!(x, y[..9]);
        assert_eq!(a.counter, 2);
    }

    #[test]
    fn a_stream_ends_before_it_wraps() {
        let mut s = Stream::with_key([0; 16]);
        s.counter = STREAM_BLOCKS - 1;
        assert!(s.fill(&mut [Z64(0); 2]).is_ok());
        assert!(matches!(s.fill(&mut [Z64(0); 1]), Err(Error::StreamExhausted)));
    }

    #[test]
    fn zeros_sum_to_zero_and_neighbours_agree() {
        let mut p = all_keys(&secrets(), &binding(0)).map(|k| Prss::at(&k, Path::root()));
        for len in [0, 1, 3, 1024, 1025, 5000] {
            let z = p.each_mut().map(|p| p.zero::<Z64>(len).unwrap());
            assert!((0..len).all(|i| z[0][i] + z[1][i] + z[2][i] == Z64(0)));
            let l = p.each_mut().map(|p| p.zero::<Lanes>(len).unwrap());
            assert!((0..len).all(|i| l[0][i] + l[1][i] + l[2][i] == Lanes(0)));
            assert!(len < 2 || l[0][0] != l[0][1]);
            let r = p.each_mut().map(|p| p.random::<Z64>(len).unwrap());
            for i in Party::ALL {
                assert_eq!(r[i.index()].next, r[i.next().index()].own);
            }
        }
    }

    #[test]
    fn sessions_strands_jobs_and_nonces_separate_streams() {
        let first = |binding: &SessionBinding, path| {
            let keys = all_keys(&secrets(), binding);
            Prss::at(&keys[0], path).random::<Z64>(2).unwrap().own[0].0
        };
        let mut seen = HashSet::new();
        let root = Path::root();
        for path in [root, root.child(0), root.child(1), root.child(0).child(0)] {
            assert!(seen.insert(first(&binding(0), path)));
        }
        assert!(seen.insert(first(&binding(1), root)));
        let mut job = binding(0);
        job.job_digest[31] ^= 1;
        assert!(seen.insert(first(&job, root)));
        for party in 0..3 {
            let mut nonce = binding(0);
            nonce.nonces[party][31] ^= 1;
            assert!(seen.insert(first(&nonce, root)));
        }
    }

    #[test]
    fn secrets_do_not_print() {
        let secret = PairSecret::new([0xab; 32]);
        let keys = SessionKeys::derive(&secret, &secret, &binding(0));
        let prss = Prss::at(&keys, Path::root());
        for text in [format!("{secret:?}"), format!("{keys:?}"), format!("{prss:?}")] {
            assert!(!text.contains("171") && !text.contains("ab,"), "{text}");
        }
    }
}
