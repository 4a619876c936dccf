//! `node.toml`: what one node needs beyond the cluster file.

use super::{Address, Cluster, ConfigError, Source};
use crate::{
    Error,
    job::Limits,
    mesh::TransportSettings,
    pki::{CertificateFault, Identity, Role},
    store::StoreFiles,
    tls,
};
use serde::{Deserialize, Serialize};
use std::{
    env,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    thread,
};
use toml::Spanned;
use trefoil_engine::Party;

/// The version of the form of `node.toml` that this program reads and writes.
pub const NODE_FORMAT: u32 = 1;

const REMEDY: &str = "`trefoil cluster init --dir DIR` writes one for each node";

/// `node.toml` as it is written. Relative paths start at the directory of the file.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct NodeFile {
    /// Version of this form: [`NODE_FORMAT`].
    pub format: u32,
    /// Which party this node is: 0, 1 or 2.
    pub party: u8,
    /// The cluster file.
    pub cluster: PathBuf,
    /// This node's certificate, PEM.
    pub certificate: PathBuf,
    /// The private key of the certificate, PEM, readable by the node alone.
    pub key: PathBuf,
    /// Where the node keeps its records: [`STORE`] in the directory that systemd gives a service for its state, else beside this file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<PathBuf>,
    /// The directory of the node's audit log: [`AUDIT`] beside the store where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<PathBuf>,
    /// The key of the store, readable by the node alone.
    #[serde(default = "store_key", skip_serializing_if = "is_store_key")]
    pub store_key: PathBuf,
    /// Worker threads; 0 stands for one per core.
    #[serde(default, skip_serializing_if = "is_default")]
    pub threads: usize,
    /// Where the node listens.
    pub listen: Listen,
    /// What the node accepts.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: Limits,
    /// How the links to the other nodes are tuned.
    #[serde(default, skip_serializing_if = "is_default")]
    pub transport: TransportSettings,
}

/// The name of a node's store where none is given.
pub const STORE: &str = "store.redb";

/// The name of the directory of a node's audit log where none is given.
pub const AUDIT: &str = "audit";

/// The name of its key.
pub const STORE_KEY: &str = "store.key";

/// Local addresses. Behind a firewall or address translation they differ from those of the cluster file.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// For the other nodes, QUIC over UDP.
    pub mesh: Address,
    /// For clients, HTTPS over TCP.
    pub api: Address,
}

/// Everything a node needs to start, read and checked.
#[derive(Debug)]
pub struct NodeConfig {
    /// Which party this node is.
    pub party: Party,
    /// The cluster it belongs to.
    pub cluster: Cluster,
    /// Its certificate and key; the cluster file pins this very certificate for [`NodeConfig::party`].
    pub identity: Identity,
    /// Where its records and their key are.
    pub store: StoreFiles,
    /// The directory of its audit log.
    pub audit: PathBuf,
    /// Worker threads.
    pub threads: NonZeroUsize,
    /// Where it listens.
    pub listen: Listen,
    /// What it accepts.
    pub limits: Limits,
    /// How its links to the other nodes are tuned.
    pub transport: TransportSettings,
}

/// What is checked after parsing, with its positions.
#[derive(Deserialize)]
struct Marks {
    format: Spanned<u32>,
    party: Spanned<u8>,
}

impl NodeFile {
    /// Reads a node's file, and nothing that it names.
    ///
    /// # Errors
    /// [`ConfigError`] with file, line and remedy.
    pub fn read(path: &Path) -> Result<(Self, Party), ConfigError> {
        parse(&Source::read(path, REMEDY)?)
    }
}

impl NodeConfig {
    /// Reads a node's file and everything it names, and checks that they fit together: the certificate
    /// is that of the party, pinned by the cluster file, issued by its authority and valid now.
    ///
    /// # Errors
    /// [`Error::Config`] for the files, [`Error::Certificate`] for certificate and key,
    /// [`Error::System`] if a file cannot be read.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let source = Source::read(path, REMEDY)?;
        let (file, party) = parse(&source)?;
        let beside = |p: &Path| path.parent().unwrap_or(Path::new("")).join(p);
        let cluster = Cluster::load(&beside(&file.cluster))?;
        let identity = Identity::load(&beside(&file.certificate), &beside(&file.key))?;
        let fault = |fault| Error::Certificate { path: identity.path().to_owned(), fault };
        if *identity.role() != Role::Node(party) {
            let got = identity.role().clone();
            return Err(fault(CertificateFault::WrongRole { expected: Role::Node(party).to_string(), got }));
        }
        tls::check_identity(&identity, &cluster).map_err(fault)?;
        let threads = NonZeroUsize::new(file.threads)
            .or_else(|| thread::available_parallelism().ok())
            .unwrap_or(NonZeroUsize::MIN);
        let store = file.store.map_or_else(|| state(beside(Path::new(STORE))), |store| beside(&store));
        let audit = file.audit.map_or_else(|| store.with_file_name(AUDIT), |audit| beside(&audit));
        Ok(Self {
            audit,
            store: StoreFiles { path: store, key: beside(&file.store_key) },
            party,
            cluster,
            identity,
            threads,
            listen: file.listen,
            limits: file.limits,
            transport: file.transport,
        })
    }
}

fn store_key() -> PathBuf {
    STORE_KEY.into()
}

fn is_store_key(path: &Path) -> bool {
    path == Path::new(STORE_KEY)
}

/// A service's configuration is often read-only. If there is no store beside it, systemd says where state goes.
fn state(beside: PathBuf) -> PathBuf {
    match env::var_os("STATE_DIRECTORY") {
        // Several are separated by colons; the first is ours.
        Some(dirs) if !beside.exists() => env::split_paths(&dirs).next().map_or(beside, |dir| dir.join(STORE)),
        _ => beside,
    }
}

/// What has its default value is not written, so that it follows the default of the version that reads it.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn parse(source: &Source) -> Result<(NodeFile, Party), ConfigError> {
    let file: NodeFile = source.parse()?;
    let marks: Marks = source.parse()?;
    if file.format != NODE_FORMAT {
        let message = format!("format {} is not known; this program reads format {NODE_FORMAT}", file.format);
        return Err(source.at(&marks.format.span(), message));
    }
    let party = Party::from_index(usize::from(file.party)).ok_or_else(|| {
        source.at(&marks.party.span(), format!("party {} does not exist; the parties are 0, 1 and 2", file.party))
    })?;
    Ok((file, party))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<(NodeFile, Party), String> {
        let source = Source { path: PathBuf::from("node.toml"), text: text.to_owned() };
        parse(&source).map_err(|e| e.to_string())
    }

    const GOOD: &str = "format = 1\nparty = 2\ncluster = \"../cluster.toml\"\ncertificate = \"node.crt\"\nkey = \"node.key\"\n\
                        [listen]\nmesh = \"127.0.0.1:1\"\napi = \"127.0.0.1:2\"\n";

    #[test]
    fn defaults_fill_what_is_not_written() {
        let (file, party) = parsed(GOOD).expect("a good file");
        assert_eq!(party, Party::P2);
        assert_eq!(file.limits, Limits::default());
        let text = toml::to_string(&file).expect("serializes");
        assert_eq!(parsed(&text).expect("reads back").0.limits, file.limits);
    }

    #[test]
    fn every_fault_names_line_key_and_remedy() {
        let cases = [
            (GOOD.replace("party = 2", "party = 3"), "line 2", "0, 1 and 2"),
            (GOOD.replace("format = 1", "format = 9"), "line 1", "reads format 1"),
            (GOOD.replace("key =", "kee ="), "line 5", "unknown field `kee`"),
            (GOOD.replace("127.0.0.1:1\"", "127.0.0.1\""), "line 7", "host:port"),
            (format!("{GOOD}[limits]\njob_deadline = \"soon\"\n"), "line 10", "\"30s\""),
            (format!("{GOOD}[limits]\njob_deadline = 3\n"), "line 10", "job_deadline = 3"),
            (format!("{GOOD}[limits]\nwaiting_jobs = 0\n"), "line 10", "above zero"),
            (format!("{GOOD}[transport]\nprotocol = 0\n"), "line 10", "from 1 to 2"),
            (format!("{GOOD}[transport]\nprotocol = 3\n"), "line 10", "from 1 to 2"),
            (format!("{GOOD}[limits]\nbody = 1\n"), "line 10", "unknown field `body`"),
            (GOOD.replace("[listen]", "[listen"), "line 6", "[listen"),
        ];
        for (text, line, hint) in cases {
            let error = parsed(&text).expect_err(&text);
            assert!(error.starts_with("node.toml, ") && error.contains(line) && error.contains(hint), "{error}");
        }
    }
}
