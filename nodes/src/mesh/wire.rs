//! What nodes write to each other, besides the payload of strands. All integers little-endian, all lengths fixed or bounded.
//!
//! | message | bytes |
//! |---|---|
//! | stream preamble | kind 1, session 16, strand 32 |
//! | hello (control stream) | cluster digest 32, job digest 32, nonce 32, pair contribution 32 |
//! | confirmation (control stream) | digest of the three hellos 32 |
//! | end (control stream) | 1, party 1, length 2, text |
//! | waiting (control stream) | 2, party 1 |
//! | frame header (strand) | tag 8, number 4, length 4 |
//!
//! The protocol version is in the ALPN name, so two versions never meet here.

use sha2::{Digest, Sha256};
use trefoil_engine::{
    Party, PeerFault,
    transport::{Path, SessionId},
};
use zeroize::Zeroizing;

/// The protocol and its version, as negotiated in the TLS handshake.
pub const ALPN: &[u8] = b"trefoil/1";

/// What a stream is for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum StreamKind {
    /// Hello, confirmation, end of a session.
    Control,
    /// The frames of one strand.
    Strand(Path),
}

pub(super) const PREAMBLE: usize = 1 + 16 + 32;

pub(super) fn preamble(session: SessionId, kind: StreamKind) -> [u8; PREAMBLE] {
    let mut out = [0; PREAMBLE];
    out[1..17].copy_from_slice(&session.0);
    if let StreamKind::Strand(path) = kind {
        out[0] = 1;
        out[17..].copy_from_slice(&path.0);
    }
    out
}

pub(super) fn read_preamble(bytes: &[u8; PREAMBLE]) -> Result<(SessionId, StreamKind), PeerFault> {
    let (head, path) = bytes.split_at(17);
    let session = SessionId(array(&head[1..]));
    match (head[0], array(path)) {
        (0, zero) if zero == [0; 32] => Ok((session, StreamKind::Control)),
        (1, path) => Ok((session, StreamKind::Strand(Path(path)))),
        (kind, _) => Err(PeerFault::Malformed(format!("stream of unknown kind {kind}"))),
    }
}

/// What each party tells each other one when a session starts. Secret: it holds a contribution to the pair's key.
#[derive(Clone)]
pub(super) struct Hello {
    pub(super) cluster: [u8; 32],
    pub(super) job: [u8; 32],
    pub(super) nonce: [u8; 32],
    pub(super) contribution: Zeroizing<[u8; 32]>,
}

pub(super) const HELLO: usize = 128;

impl Hello {
    pub(super) fn to_bytes(&self) -> Zeroizing<[u8; HELLO]> {
        let mut out = Zeroizing::new([0; HELLO]);
        let parts = [&self.cluster, &self.job, &self.nonce, &*self.contribution];
        for (out, part) in out.chunks_exact_mut(32).zip(parts) {
            out.copy_from_slice(part);
        }
        out
    }

    pub(super) fn from_bytes(bytes: &[u8; HELLO]) -> Self {
        let part = |k: usize| array(&bytes[32 * k..][..32]);
        Self { cluster: part(0), job: part(1), nonce: part(2), contribution: Zeroizing::new(part(3)) }
    }
}

/// The digest by which all three parties see that they heard the same hellos. Contributions are left out: each is known to one pair.
pub(super) fn transcript(session: SessionId, hellos: [&Hello; 3]) -> [u8; 32] {
    let mut h = Sha256::new();
    h.update(b"trefoil/v1/transcript");
    h.update(session.0);
    for hello in hellos {
        h.update(hello.cluster);
        h.update(hello.job);
        h.update(hello.nonce);
    }
    h.finalize().into()
}

/// What is said on a control stream once the session runs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Control {
    /// The session is over.
    End { blamed: Party, cause: String },
    /// A strand of the sender has been waiting for a message of this party for long.
    Waiting { on: Party },
}

/// The longest text of an end message.
pub(super) const MAX_CAUSE: usize = 512;

impl Control {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Waiting { on } => vec![2, on.index() as u8],
            Self::End { blamed, cause } => {
                let mut end = cause.len().min(MAX_CAUSE);
                while !cause.is_char_boundary(end) {
                    end -= 1;
                }
                let mut out = vec![1, blamed.index() as u8];
                out.extend_from_slice(&(end as u16).to_le_bytes());
                out.extend_from_slice(&cause.as_bytes()[..end]);
                out
            }
        }
    }

    /// The kind and party of a message, from its first two bytes.
    pub(super) fn head([kind, party]: [u8; 2]) -> Result<(bool, Party), PeerFault> {
        let malformed = || PeerFault::Malformed("control message of unknown kind or party".into());
        let party = Party::from_index(party.into()).ok_or_else(malformed)?;
        match kind {
            1 => Ok((true, party)),
            2 => Ok((false, party)),
            _ => Err(malformed()),
        }
    }

    /// The text of an end message: printable characters only, whatever the peer sent.
    pub(super) fn cause(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    }
}

pub(super) const FRAME_HEADER: usize = 16;

/// Labels the frames of one direction of one strand.
#[derive(Clone, Copy)]
pub(super) struct FrameTag([u8; 8]);

impl FrameTag {
    pub(super) fn new(session: SessionId, path: Path, from: Party, to: Party) -> Self {
        let mut h = Sha256::new();
        h.update(b"trefoil/v1/frame");
        h.update(session.0);
        h.update(path.0);
        h.update([from.index() as u8, to.index() as u8]);
        let digest: [u8; 32] = h.finalize().into();
        Self(array(&digest[..8]))
    }

    pub(super) fn header(self, seq: u32, len: u32) -> [u8; FRAME_HEADER] {
        let mut out = [0; FRAME_HEADER];
        out[..8].copy_from_slice(&self.0);
        out[8..12].copy_from_slice(&seq.to_le_bytes());
        out[12..].copy_from_slice(&len.to_le_bytes());
        out
    }

    /// Compares a header with the one that is due, before anything behind it is read.
    pub(super) fn check(self, header: &[u8; FRAME_HEADER], seq: u32, len: usize) -> Result<(), PeerFault> {
        let number = |at: usize| u32::from_le_bytes(array(&header[at..at + 4]));
        if header[..8] != self.0 {
            return Err(PeerFault::WrongStrand);
        }
        if number(8) != seq {
            return Err(PeerFault::WrongFrame { expected: seq.into(), got: number(8).into() });
        }
        PeerFault::length(len, number(12) as usize)
    }
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(bytes);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: SessionId = SessionId([3; 16]);

    proptest! {
        #[test]
        fn any_preamble_is_read_or_refused(bytes in any::<[u8; 32]>(), kind in any::<u8>()) {
            let path = Path(bytes);
            let (session, back) = read_preamble(&preamble(S, StreamKind::Strand(path))).unwrap();
            prop_assert_eq!((session, back), (S, StreamKind::Strand(path)));
            let mut raw = preamble(S, StreamKind::Strand(path));
            raw[0] = kind;
            prop_assert_eq!(read_preamble(&raw).is_ok(), kind == 1 || kind == 0 && bytes == [0; 32]);
        }

        #[test]
        fn control_messages_are_bounded_and_printable(cause in "\\PC{0,700}", bytes in proptest::collection::vec(any::<u8>(), 0..600), head in any::<[u8; 2]>()) {
            let raw = Control::End { blamed: Party::P2, cause: cause.clone() }.to_bytes();
            prop_assert!(raw.len() <= 4 + MAX_CAUSE);
            prop_assert_eq!(Control::head([raw[0], raw[1]]).unwrap(), (true, Party::P2));
            prop_assert!(cause.starts_with(&Control::cause(&raw[4..])));
            prop_assert!(Control::cause(&bytes).chars().all(|c| !c.is_control()));
            prop_assert_eq!(Control::head(head).is_ok(), (1..=2).contains(&head[0]) && head[1] < 3);
        }

        #[test]
        fn a_header_that_is_not_due_is_refused(seq in any::<u32>(), len in any::<u32>(), flip in 0_usize..128) {
            let tag = FrameTag::new(S, Path::root(), Party::P0, Party::P2);
            let mut header = tag.header(seq, len);
            prop_assert!(tag.check(&header, seq, len as usize).is_ok());
            header[flip / 8] ^= 1 << (flip % 8);
            prop_assert!(tag.check(&header, seq, len as usize).is_err());
        }
    }

    #[test]
    fn hellos_survive_the_wire_and_the_transcript_binds_all_but_contributions() {
        let hello =
            |k: u8| Hello { cluster: [1; 32], job: [2; 32], nonce: [k; 32], contribution: Zeroizing::new([k; 32]) };
        let back = Hello::from_bytes(&hello(9).to_bytes());
        assert_eq!((back.cluster, back.job, back.nonce, *back.contribution), ([1; 32], [2; 32], [9; 32], [9; 32]));
        let [a, b, c] = [hello(1), hello(2), hello(3)];
        let digest = transcript(S, [&a, &b, &c]);
        let mut other = a.clone();
        other.contribution[0] ^= 1;
        assert_eq!(digest, transcript(S, [&other, &b, &c]));
        other.nonce[0] ^= 1;
        assert_ne!(digest, transcript(S, [&other, &b, &c]));
        assert_ne!(digest, transcript(SessionId([4; 16]), [&a, &b, &c]));
    }
}
