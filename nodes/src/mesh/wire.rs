//! What nodes write to each other, besides the payload of strands. All integers little-endian, all lengths fixed or bounded.
//!
//! | message | bytes |
//! |---|---|
//! | preamble of a control stream | 0, session 16, zeros 32 |
//! | preamble of a strand | 1, run 16, path 32 |
//! | hello (control stream) | cluster digest 32, job digest 32, nonce 32, pair contribution 32 |
//! | confirmation (control stream) | digest of the three hellos 32 |
//! | end (control stream) | 1, party 1, length 2, text |
//! | rejected (control stream) | 3, party 1, length 2, text: the end of one whose check has failed |
//! | waiting (control stream) | 2, set of parties 1 |
//! | frame header (strand) | tag 8, number 4, length 4 |
//! | the connection is to be made anew (a stream of its own, since version 2) | 2, zeros 48 |
//! | no session of the sender uses this connection any more (likewise) | 3, zeros 48 |
//! | preamble of heartbeats (likewise) | 4, zeros 48 |
//! | heartbeat | cluster digest 32, milliseconds since 1970-01-01 UTC 8 |
//!
//! The version is chosen in the handshake ([`Versions`](super::Versions)). The cluster digest of a hello is that of the session's version. A run is named by
//! the digest of its hellos, nonces included: frames that are left over from an earlier run of the same session id are never taken for its own.

use super::error::SessionFault;
use sha2::{Digest, Sha256};
use trefoil_engine::{
    LinkFault, Party, PeerFault,
    transport::{Path, SessionId},
};
use zeroize::Zeroizing;

/// The protocol and the highest version that is spoken, as negotiated in the TLS handshake.
pub const ALPN: &[u8] = b"trefoil/2";

/// Names one run of a session: the digest of the hellos, truncated.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct RunId([u8; 16]);

impl RunId {
    pub(super) fn of(transcript: &[u8; 32]) -> Self {
        Self(array(&transcript[..16]))
    }
}

/// What a stream is for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum StreamName {
    /// Hello, confirmation, end of a session.
    Control(SessionId),
    /// The frames of one strand.
    Strand(RunId, Path),
}

/// What nodes tell each other of a connection, beside its sessions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Notice {
    /// It is to be made anew, because certificates were renewed: from `prev` a question, from `next`, who is called, the word to do it.
    Renew,
    /// A newer one has taken its place, and no session of the sender uses it any more.
    Retired,
}

/// What a stream begins with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Opening {
    Stream(StreamName),
    Notice(Notice),
    /// That the sender is there, again and again.
    Heartbeats,
}

pub(super) const PREAMBLE: usize = 1 + 16 + 32;

pub(super) fn preamble(name: StreamName) -> [u8; PREAMBLE] {
    let (kind, id, path) = match name {
        StreamName::Control(session) => (0, session.0, [0; 32]),
        StreamName::Strand(run, path) => (1, run.0, path.0),
    };
    let mut out = [kind; PREAMBLE];
    out[1..17].copy_from_slice(&id);
    out[17..].copy_from_slice(&path);
    out
}

pub(super) fn notice(notice: Notice) -> [u8; PREAMBLE] {
    let mut out = [0; PREAMBLE];
    out[0] = match notice {
        Notice::Renew => 2,
        Notice::Retired => 3,
    };
    out
}

pub(super) fn heartbeats() -> [u8; PREAMBLE] {
    let mut out = [0; PREAMBLE];
    out[0] = 4;
    out
}

pub(super) fn read_preamble(bytes: &[u8; PREAMBLE]) -> Result<Opening, PeerFault> {
    let (head, path) = bytes.split_at(17);
    let id: [u8; 16] = array(&head[1..]);
    match (head[0], array(path)) {
        (0, zero) if zero == [0; 32] => Ok(Opening::Stream(StreamName::Control(SessionId(id)))),
        (1, path) => Ok(Opening::Stream(StreamName::Strand(RunId(id), Path(path)))),
        (2, zero) if zero == [0; 32] && id == [0; 16] => Ok(Opening::Notice(Notice::Renew)),
        (3, zero) if zero == [0; 32] && id == [0; 16] => Ok(Opening::Notice(Notice::Retired)),
        (4, zero) if zero == [0; 32] && id == [0; 16] => Ok(Opening::Heartbeats),
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
    End(SessionFault),
    /// Strands of the sender have been waiting for messages of these parties for long, and for no others.
    Waiting { on: PartySet },
}

/// The longest text of an end message, in bytes.
pub(super) const MAX_CAUSE: usize = 512;

/// The first two bytes of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Head {
    /// Of an end: a length and a text follow.
    End { blamed: Party },
    /// The same, of one whose check has failed.
    Rejected { blamed: Party },
    /// All of a waiting message.
    Waiting { on: PartySet },
}

impl Control {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Waiting { on } => vec![2, on.0],
            Self::End(SessionFault { blamed, cause }) => {
                let (kind, cause) = match cause {
                    LinkFault::Ended(cause) => (1, cause.clone()),
                    LinkFault::Rejected(cause) => (3, cause.clone()),
                    other => (1, other.to_string()),
                };
                let end = cause.floor_char_boundary(MAX_CAUSE);
                let mut out = vec![kind, blamed.index() as u8];
                out.extend_from_slice(&(end as u16).to_le_bytes());
                out.extend_from_slice(&cause.as_bytes()[..end]);
                out
            }
        }
    }

    pub(super) fn head([kind, value]: [u8; 2]) -> Result<Head, PeerFault> {
        match (kind, Party::from_index(value.into())) {
            (1, Some(blamed)) => Ok(Head::End { blamed }),
            (3, Some(blamed)) => Ok(Head::Rejected { blamed }),
            (2, _) if value < 8 => Ok(Head::Waiting { on: PartySet(value) }),
            _ => Err(PeerFault::Malformed("control message of unknown kind or party".into())),
        }
    }

    /// The text of an end message: printable characters only, whatever the peer sent.
    pub(super) fn cause(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    }
}

/// A set of parties, one bit each.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct PartySet(u8);

impl PartySet {
    pub(super) fn contains(self, party: Party) -> bool {
        self.0 & (1 << party.index()) != 0
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Party> for PartySet {
    fn from_iter<I: IntoIterator<Item = Party>>(parties: I) -> Self {
        Self(parties.into_iter().fold(0, |set, p| set | 1 << p.index()))
    }
}

pub(super) const FRAME_HEADER: usize = 16;

/// Labels the frames of one direction of one strand.
#[derive(Clone, Copy)]
pub(super) struct FrameTag([u8; 8]);

impl FrameTag {
    pub(super) fn new(run: RunId, path: Path, from: Party, to: Party) -> Self {
        let mut h = Sha256::new();
        h.update(b"trefoil/v1/frame");
        h.update(run.0);
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

/// Reads bytes as every message that there is. What is read must read back as itself.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_any(bytes: &[u8]) {
    if let Some(head) = bytes.first_chunk() {
        match read_preamble(head) {
            Ok(Opening::Stream(name)) => assert_eq!(&preamble(name), head),
            Ok(Opening::Notice(kind)) => assert_eq!(&notice(kind), head),
            Ok(Opening::Heartbeats) => assert_eq!(&heartbeats(), head),
            Err(_) => {}
        }
    }
    if let Some(hello) = bytes.first_chunk() {
        assert_eq!(*Hello::from_bytes(hello).to_bytes(), *hello);
    }
    if let Some((head, rest)) = bytes.split_first_chunk() {
        let cause = Control::cause(&rest[..rest.len().min(MAX_CAUSE)]);
        let again = match Control::head(*head) {
            Ok(Head::Waiting { on }) => Control::Waiting { on },
            Ok(Head::End { blamed }) => Control::End(SessionFault { blamed, cause: LinkFault::Ended(cause) }),
            Ok(Head::Rejected { blamed }) => Control::End(SessionFault { blamed, cause: LinkFault::Rejected(cause) }),
            Err(_) => return,
        };
        assert_eq!(again.to_bytes()[..2], head[..]);
    }
    if let Some(header) = bytes.first_chunk() {
        let tag = FrameTag::new(RunId([0; 16]), Path::root(), Party::P0, Party::P1);
        let due = tag.check(header, 3, 8);
        assert_eq!(due.is_ok(), *header == tag.header(3, 8));
    }
}

pub(super) fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(bytes);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: SessionId = SessionId([3; 16]);
    const RUN: RunId = RunId([4; 16]);

    proptest! {
        #[test]
        fn any_preamble_is_read_or_refused(bytes in any::<[u8; 32]>(), kind in any::<u8>()) {
            for name in [StreamName::Strand(RUN, Path(bytes)), StreamName::Control(S)] {
                prop_assert_eq!(read_preamble(&preamble(name)).unwrap(), Opening::Stream(name));
            }
            let mut raw = preamble(StreamName::Strand(RUN, Path(bytes)));
            raw[0] = kind;
            prop_assert_eq!(read_preamble(&raw).is_ok(), kind == 1 || kind == 0 && bytes == [0; 32]);
        }

        #[test]
        fn control_messages_are_bounded_and_printable(cause in "\\PC{0,700}", bytes in proptest::collection::vec(any::<u8>(), 0..600), head in any::<[u8; 2]>()) {
            let ends = [LinkFault::Ended(cause.clone()), LinkFault::Rejected(cause.clone())];
            let heads = [Head::End { blamed: Party::P2 }, Head::Rejected { blamed: Party::P2 }];
            for (end, head) in ends.into_iter().zip(heads) {
                let raw = Control::End(SessionFault { blamed: Party::P2, cause: end }).to_bytes();
                prop_assert!(raw.len() <= 4 + MAX_CAUSE);
                prop_assert_eq!(Control::head([raw[0], raw[1]]).unwrap(), head);
                prop_assert!(cause.starts_with(&Control::cause(&raw[4..])));
            }
            prop_assert!(Control::cause(&bytes).chars().all(|c| !c.is_control()));
            prop_assert_eq!(Control::head(head).is_ok(), (head[0] == 1 || head[0] == 3) && head[1] < 3 || head[0] == 2 && head[1] < 8);
        }

        #[test]
        fn a_header_that_is_not_due_is_refused(seq in any::<u32>(), len in any::<u32>(), flip in 0_usize..128) {
            let tag = FrameTag::new(RUN, Path::root(), Party::P0, Party::P2);
            let mut header = tag.header(seq, len);
            prop_assert!(tag.check(&header, seq, len as usize).is_ok());
            header[flip / 8] ^= 1 << (flip % 8);
            prop_assert!(tag.check(&header, seq, len as usize).is_err());
        }
    }

    #[test]
    fn notices_and_heartbeats_survive_the_wire_and_carry_nothing_else() {
        let notices = [Notice::Renew, Notice::Retired].map(|kind| (notice(kind), Opening::Notice(kind)));
        for (mut raw, opening) in notices.into_iter().chain([(heartbeats(), Opening::Heartbeats)]) {
            assert_eq!(read_preamble(&raw).unwrap(), opening);
            for at in 1..PREAMBLE {
                raw[at] = 1;
                assert!(read_preamble(&raw).is_err());
                raw[at] = 0;
            }
        }
    }

    #[test]
    fn sets_of_parties_survive_the_wire() {
        for on in (0..8).map(|bits| Party::ALL.into_iter().filter(|p| bits >> p.index() & 1 == 1).collect::<PartySet>())
        {
            let raw = Control::Waiting { on }.to_bytes();
            assert_eq!(Control::head([raw[0], raw[1]]).unwrap(), Head::Waiting { on });
            assert_eq!(on.is_empty(), !Party::ALL.into_iter().any(|p| on.contains(p)));
        }
    }

    #[test]
    fn frames_of_another_run_path_or_direction_are_refused() {
        let due = FrameTag::new(RUN, Path::root(), Party::P0, Party::P2);
        for other in [
            FrameTag::new(RunId([5; 16]), Path::root(), Party::P0, Party::P2),
            FrameTag::new(RUN, Path::root().child(0), Party::P0, Party::P2),
            FrameTag::new(RUN, Path::root(), Party::P2, Party::P0),
        ] {
            assert_eq!(due.check(&other.header(0, 8), 0, 8), Err(PeerFault::WrongStrand));
        }
        let far = PeerFault::WrongLength { expected: 8, got: u32::MAX as usize };
        assert_eq!(due.check(&due.header(0, u32::MAX), 0, 8), Err(far));
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
