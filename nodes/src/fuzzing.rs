//! Every parser that faces a peer, a client or a file, as functions of bytes: for the fuzzers in `nodes/fuzz`, and for a test that
//! replays their corpus. Any bytes are read or refused; what is read reads back as itself.

mod bodies;
mod policy;
mod rsa;

pub use crate::contain::keep_contained_panics_quiet;

use crate::{
    admin::LogFilter,
    api::Problem,
    audit::{read_line, verify},
    auth::{
        self, CredentialSpec, EnrolSpec, Found, IssuerSpec, LoginSpec, RefreshSpec, SearchSpec, TemplateStatus,
        TokenSpec, UserStatus,
    },
    client::{
        Device,
        credit::{EvaluationFile, ModelFile, read_moments},
        events::{Lines, Said},
    },
    config::{Cluster, NodeFile, Source},
    credit::{HeldOut, Schema, read_arrow, read_csv, read_parquet, report::Report},
    job::{DoneJob, JobId, JobStatus},
    keys::{self, IssueRequest, KeySpec, KeyStatus, Partials, RecoverySpec, SignRequest},
    mesh, oidc,
    pki::{CertificateFacts, Identity},
    receipt::Receipt,
    seal::{Envelope, RecipientKey, SealKey, SealPublic, ShareOf},
    status::NodeStatus,
    store,
    tables::{self, Incoming, TableSpec, TableStatus, UploadStatus},
    upkeep::{self, Task, UpkeepReport, UpkeepSpec},
};
use bytes::Bytes;
use rustls::pki_types::CertificateDer;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::LazyLock,
};
use tempfile::TempDir;
use trefoil_auth::webauthn::{AuthenticatorData, CreationOptions, RequestOptions};
use trefoil_engine::Party;

/// A name, which is also that of the fuzzer and of the directory of its corpus, and what is done with the bytes.
pub type Entry = (&'static str, fn(&[u8]));

/// All of them.
pub const ENTRIES: [Entry; 17] = [
    ("mesh", mesh::read_any),
    ("peer", peer),
    ("job", bodies::job),
    ("body", bodies::other),
    ("request", request),
    ("answer", answer),
    ("sealed", sealed),
    ("config", config),
    ("schema", schema),
    ("table", table),
    ("shares", shares),
    ("file", file),
    ("audit", audit),
    ("policy", policy::policy),
    ("token", oidc::read_any),
    ("rsa", rsa::form),
    ("record", record),
];

/// Does what the entry of a name does.
///
/// # Panics
/// If there is none, or the entry has found a fault.
pub fn run(name: &str, bytes: &[u8]) {
    let entry = ENTRIES.iter().find(|(entry, _)| *entry == name);
    entry.unwrap_or_else(|| panic!("no entry {name}")).1(bytes);
}

/// What nodes tell each other of their stores, and of the users that are searched.
fn peer(bytes: &[u8]) {
    match bytes.split_first() {
        Some((b'r', list)) => auth::read_any(list),
        _ => upkeep::read_any(bytes),
    }
}

/// What a node finds in its store: sealed, and what is under the seal.
fn record(bytes: &[u8]) {
    let Some((kind, record)) = bytes.split_first() else { return };
    match kind {
        b'a' => store::read_any(record),
        b'b' => keys::read_any(record),
        b'c' => tables::read_any(record),
        _ => drop(same::<DoneJob>(record)),
    }
}

/// What clients ask for in JSON. The first byte says what.
fn request(bytes: &[u8]) {
    let Some((kind, text)) = bytes.split_first() else { return };
    match kind {
        b'a' => {
            if let Some(spec) = same::<TableSpec>(text) {
                let _ = (spec.component_bytes(), spec.canonical());
            }
        }
        b'b' => {
            if let Some(spec) = same::<EnrolSpec>(text) {
                let _ = spec.matching.kind.stored();
            }
        }
        b'c' => drop(same::<LoginSpec>(text)),
        b'd' => drop(same::<TokenSpec>(text)),
        b'e' => drop(same::<RefreshSpec>(text)),
        b'f' => drop(same::<SearchSpec>(text)),
        b'g' => drop(same::<CredentialSpec>(text)),
        b'h' => {
            if let Some(spec) = same::<IssuerSpec>(text) {
                let _ = spec.check();
            }
        }
        b'i' => {
            if let Some(spec) = same::<KeySpec>(text) {
                let _ = spec.check();
            }
        }
        b'j' => {
            if let Some(request) = same::<SignRequest>(text) {
                let _ = request.message();
            }
        }
        b'k' => drop(serde_json::from_slice::<RecoverySpec>(text)),
        b'l' => drop(serde_json::from_slice::<IssueRequest>(text)),
        b'm' => drop(std::str::from_utf8(text).map(CreationOptions::from_json)),
        b'o' => {
            if let Some(spec) = same::<UpkeepSpec>(text) {
                let _ = Task::ALL.map(|task| spec.lost(task));
            }
        }
        b'p' => {
            if let Ok(data) = AuthenticatorData::decode(text) {
                assert_eq!(data.as_bytes(), text);
                let _ = (data.attested(), data.backup(), data.sign_count());
            }
        }
        b'q' => drop(std::str::from_utf8(text).map(LogFilter::parse)),
        _ => drop(std::str::from_utf8(text).map(RequestOptions::from_json)),
    }
}

/// What nodes answer, as a client reads it. The first byte says what.
fn answer(bytes: &[u8]) {
    let Some((kind, text)) = bytes.split_first() else { return };
    match kind {
        b'a' => drop(same::<JobStatus>(text)),
        b'b' => {
            if let Some(status) = same::<NodeStatus>(text) {
                let _ = (status.spoken(), status.is_of(&CLUSTER.0));
            }
        }
        b'c' => drop(same::<TableStatus>(text)),
        b'd' => drop(same::<KeyStatus>(text)),
        b'e' => drop(same::<Partials>(text)),
        b'f' => drop(same::<TemplateStatus>(text)),
        b'g' => drop(same::<UserStatus>(text)),
        b'h' => drop(same::<Found>(text)),
        b'i' => {
            if let Some(problem) = same::<Problem>(text) {
                let _ = problem.kind();
            }
        }
        b'j' => {
            if let Some(receipt) = same::<Receipt>(text) {
                let _ = receipt.verify::<crate::keys::Deletion>(&CLUSTER.0, Party::P1);
            }
        }
        b'k' => {
            if let Some(key) = same::<SealPublic>(text) {
                let _ = key.seal(&ENVELOPE, b"a share");
            }
        }
        b'l' => drop(same::<UpkeepReport>(text)),
        b'm' => drop(same::<UploadStatus>(text)),
        b'n' => {
            let mut lines = Lines::default();
            // As it would come: in chunks of any length.
            for chunk in text.chunks(text.len() / 3 + 1) {
                assert!(lines.push(chunk) || text.len() > 1 << 20);
                while let Some(line) = lines.next() {
                    if let Ok(Some(Said::Event(event))) = Said::read(line) {
                        let _ = event.is_final();
                    }
                }
            }
        }
        _ => drop(CertificateFacts::of(&CertificateDer::from(text)).map(|facts| facts.role())),
    }
}

/// A body, or an output, that claims to be sealed.
fn sealed(bytes: &[u8]) {
    static KEY: LazyLock<SealKey> = LazyLock::new(|| SealKey::generate(Party::P1).expect("randomness"));
    static RECIPIENT: LazyLock<RecipientKey> = LazyLock::new(|| RecipientKey::generate().expect("randomness"));
    assert!(KEY.open(&ENVELOPE, bytes).is_err(), "nobody has sealed it to this key");
    let name = "bank".parse().expect("a name");
    let of = ShareOf { from: Party::P1, job: JobId::from([1; 16]), output: 0, recipient: &name };
    // As long as it has to be for one chunk.
    let length = bytes.len().saturating_sub(48);
    assert!(RECIPIENT.open(&of, length, bytes).is_err() || length == 0, "nobody has sealed it to this key");
}

const ENVELOPE: Envelope<'static> =
    Envelope { to: Party::P1, method: "PUT", path: "/v1/jobs/00", media_type: "application/x" };

/// `cluster.toml`, and `node.toml` if it is not.
fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let source = Source { path: PathBuf::from("cluster.toml"), text: text.to_owned() };
    if let Ok(cluster) = Cluster::resolve(&source) {
        let _ = (cluster.digest(), cluster.pinned_digest(), Identity::load(Path::new("none"), Path::new("none")));
        return;
    }
    let at = written(bytes);
    if let Ok((file, party)) = NodeFile::read(&at) {
        assert_eq!(usize::from(file.party), party.index());
        let again = written(toml::to_string(&file).expect("serializes").as_bytes());
        let (again, _) = NodeFile::read(&again).expect("own text");
        assert_eq!((again.limits, again.transport), (file.limits, file.transport));
    }
}

/// A schema of a table.
fn schema(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = Schema::parse(Path::new("schema.toml"), text);
}

/// A table as a file: Parquet or Arrow if it begins like that, else CSV. And a list of rows.
fn table(bytes: &[u8]) {
    static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
        let text = include_str!("../fuzz/corpus/schema/seed-all.toml");
        Schema::parse(Path::new("schema.toml"), text).expect("a schema")
    });
    if bytes.starts_with(b"PAR1") {
        let at = written(bytes);
        let _ = read_parquet(&SCHEMA, &at, fs::File::open(&at).expect("readable"));
    } else if bytes.starts_with(b"ARROW1") || bytes.starts_with(&[0xff; 4]) {
        let _ = read_arrow(&SCHEMA, Path::new("table.arrow"), bytes);
    } else {
        let _ = read_csv(&SCHEMA, Path::new("table.csv"), bytes);
        let _ = HeldOut::parse(Path::new("rows"), bytes);
    }
}

/// A node's shares of a table, as its owner fetches them; in parts of as many bytes as the first byte says.
fn shares(bytes: &[u8]) {
    let Some((part, stream)) = bytes.split_first() else { return };
    let mut incoming = Incoming::default();
    for part in stream.chunks(usize::from(*part).max(1)) {
        incoming.push(Bytes::copy_from_slice(part));
        loop {
            match incoming.batch() {
                Ok(Some((first, batch))) => {
                    let header = incoming.header().expect("a batch has a header before it");
                    assert_eq!(batch.num_columns(), 2 * header.columns.len());
                    assert!(first >= header.from && first + batch.num_rows() as u64 <= header.rows);
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

/// A file that a client has written before. The first byte says which.
fn file(bytes: &[u8]) {
    let Some((kind, text)) = bytes.split_first() else { return };
    let at = written(text);
    match kind {
        b'a' => {
            if let Ok(model) = ModelFile::read(&at) {
                let _ = model.coefficients();
            }
        }
        b'b' => drop(read_moments(&at)),
        b'c' => drop(EvaluationFile::read(&at)),
        b'd' => drop(Device::load(&at)),
        b'e' => drop(Identity::load(&at, &at)),
        _ => drop(std::str::from_utf8(text).map(Report::from_json)),
    }
}

/// A line of an audit log, or a log of several.
fn audit(bytes: &[u8]) {
    if bytes.contains(&b'\n') {
        let _ = verify(&written(bytes));
        return;
    }
    if let Ok((entry, link)) = read_line(bytes, None) {
        let _ = (serde_json::to_vec(&entry).expect("serializes"), link);
    }
}

/// Reads JSON, and what was read once more from what it is written as.
fn same<T: DeserializeOwned + Serialize>(text: &[u8]) -> Option<T> {
    let read: T = serde_json::from_slice(text).ok()?;
    let written = serde_json::to_string(&read).expect("serializes");
    let again: T = serde_json::from_str(&written).unwrap_or_else(|e| panic!("{written} is not read: {e}"));
    assert_eq!(serde_json::to_string(&again).expect("serializes"), written);
    Some(read)
}

/// A file with these bytes, of mode 0600, in memory where there is room for it. The next takes its place.
fn written(bytes: &[u8]) -> PathBuf {
    written_as("file", bytes)
}

/// The same, of this name.
fn written_as(name: &str, bytes: &[u8]) -> PathBuf {
    thread_local! {
        static DIRECTORY: TempDir = {
            let memory = Path::new("/dev/shm");
            if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("a directory")
        };
    }
    let path = DIRECTORY.with(|directory| directory.path().join(name));
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&path).expect("a file");
    file.write_all(bytes).expect("written");
    path
}

/// A cluster, and its file.
static CLUSTER: LazyLock<(Cluster, &str)> = LazyLock::new(|| {
    let text = include_str!("../../deploy/cluster.toml");
    let source = Source { path: PathBuf::from("cluster.toml"), text: text.to_owned() };
    (Cluster::resolve(&source).expect("good"), text)
});

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{prelude::*, sample::Index};

    /// The corpus of an entry: small real inputs.
    fn corpus(name: &str) -> Vec<Vec<u8>> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
        let mut files: Vec<_> =
            fs::read_dir(&directory).expect(name).map(|entry| entry.expect("an entry").path()).collect();
        files.sort();
        files.into_iter().map(|path| fs::read(path).expect("readable")).collect()
    }

    static CORPORA: LazyLock<[Vec<Vec<u8>>; ENTRIES.len()]> = LazyLock::new(|| ENTRIES.map(|(name, _)| corpus(name)));

    /// What fuzzers do most: bytes changed, cut off, doubled, or put in.
    fn mutated(mut bytes: Vec<u8>, changes: &[(u8, Index, u8)]) -> Vec<u8> {
        for (kind, at, byte) in changes {
            let at = at.index(bytes.len() + 1);
            match kind % 5 {
                0 if at < bytes.len() => bytes[at] = *byte,
                1 if at < bytes.len() => bytes[at] ^= 1 << (byte % 8),
                2 => bytes.insert(at, *byte),
                3 => bytes.truncate(at),
                _ => {
                    let end = bytes.len().min(at + usize::from(*byte));
                    let part = bytes[at.min(end)..end].to_vec();
                    bytes.splice(at.min(end)..at.min(end), part);
                }
            }
        }
        bytes
    }

    #[test]
    fn every_entry_has_a_corpus_and_takes_it() {
        for (name, entry) in ENTRIES {
            let all = corpus(name);
            assert!(!all.is_empty(), "{name}");
            for bytes in &all {
                entry(bytes);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn mutations_of_the_corpus_are_read_or_refused(
            which in any::<Index>(),
            changes in proptest::collection::vec((any::<u8>(), any::<Index>(), any::<u8>()), 1..6),
        ) {
            for ((_, entry), all) in ENTRIES.iter().zip(&*CORPORA) {
                entry(&mutated(which.get(all).clone(), &changes));
            }
        }
    }
}
