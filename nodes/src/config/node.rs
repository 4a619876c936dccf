//! `node.toml`: what one node needs beyond the cluster file.

use super::{Address, Cluster, ConfigError, Source};
use crate::{
    Error,
    admin::not_loopback,
    job::Limits,
    mesh::TransportSettings,
    oidc::{OidcConfig, OidcFile},
    pki::{CertificateFault, Identity, Role},
    policy::{PolicyFiles, PolicyKey},
    store::{Location, Postgres, StoreConfig},
    tls,
    trace::Telemetry,
    upkeep::UpkeepSettings,
};
use serde::{Deserialize, Serialize};
use std::{
    env,
    net::IpAddr,
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
    /// Who may have what computed here: the rules, with their signature beside them. Without it nothing is permitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PathBuf>,
    /// The public key of the operator, with which the policy is signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_key: Option<PolicyKey>,
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
    /// What the nodes do with their stores by themselves.
    #[serde(default, skip_serializing_if = "is_default")]
    pub upkeep: UpkeepSettings,
    /// Where the node keeps its records instead of in a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_postgres: Option<Postgres>,
    /// Whose tokens stand for clients without a certificate. Left out, there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oidc: Option<OidcFile>,
    /// Where the node's traces go. Left out, there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub telemetry: Option<Telemetry>,
}

/// The name of a node's store where none is given.
pub const STORE: &str = "store.redb";

/// The name of the directory of a node's audit log where none is given.
pub const AUDIT: &str = "audit";

/// The name of a node's policy where `trefoil cluster init` or `trefoil policy init` writes it.
pub const POLICY: &str = "policy.toml";

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
    /// For the operator and the monitoring of the machine, HTTP over TCP on a loopback address; see [`admin`](crate::admin). Left out, there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin: Option<Address>,
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
    pub store: StoreConfig,
    /// The directory of its audit log.
    pub audit: PathBuf,
    /// Where its policy is, and whose signature it has.
    pub policy: Option<PolicyFiles>,
    /// Whose tokens it takes.
    pub oidc: Option<OidcConfig>,
    /// Worker threads.
    pub threads: NonZeroUsize,
    /// Where it listens.
    pub listen: Listen,
    /// What it accepts.
    pub limits: Limits,
    /// How its links to the other nodes are tuned.
    pub transport: TransportSettings,
    /// What it does with its store by itself.
    pub upkeep: UpkeepSettings,
}

/// What is checked after parsing, with its positions.
#[derive(Deserialize)]
struct Marks {
    format: Spanned<u32>,
    party: Spanned<u8>,
    listen: ListenMarks,
    telemetry: Option<Spanned<Telemetry>>,
}

#[derive(Deserialize)]
struct ListenMarks {
    admin: Option<Spanned<Address>>,
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
        let policy = match (file.policy, file.policy_key) {
            (Some(path), Some(key)) => Some(PolicyFiles { path: beside(&path), key }),
            (None, None) => None,
            _ => {
                let message = "policy and policy_key belong together; `trefoil policy init` writes both";
                return Err(source.whole(message.to_owned()).into());
            }
        };
        let oidc = file.oidc.map(|oidc| oidc.resolve(party, beside)).transpose();
        let oidc = oidc.map_err(|message| source.whole(message))?;
        let store = file.store.map_or_else(|| state(beside(Path::new(STORE))), |store| beside(&store));
        let audit = file.audit.map_or_else(|| store.with_file_name(AUDIT), |audit| beside(&audit));
        let place = match file.store_postgres {
            Some(server) => Location::Postgres(server.with_files(beside).into()),
            None => Location::File(store),
        };
        Ok(Self {
            audit,
            store: StoreConfig { place, key: beside(&file.store_key) },
            party,
            cluster,
            identity,
            policy,
            oidc,
            threads,
            listen: file.listen,
            limits: file.limits,
            transport: file.transport,
            upkeep: file.upkeep,
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
    if let Some(server) = &file.store_postgres {
        server.check().map_err(|message| source.whole(message))?;
        if file.store.is_some() {
            let message = "both `store` and [store_postgres] are given; a node has one store, so remove one of them";
            return Err(source.whole(message.to_owned()));
        }
    }
    let party = Party::from_index(usize::from(file.party)).ok_or_else(|| {
        source.at(&marks.party.span(), format!("party {} does not exist; the parties are 0, 1 and 2", file.party))
    })?;
    if let Some(admin) = &marks.listen.admin
        && !is_loopback(admin.get_ref().host())
    {
        return Err(source.at(&admin.span(), not_loopback(admin.get_ref())));
    }
    if let Some(telemetry) = &marks.telemetry {
        telemetry.get_ref().check().map_err(|message| source.at(&telemetry.span(), message))?;
    }
    Ok((file, party))
}

/// What the name `localhost` stands for is looked at when the socket is opened.
fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
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
    fn a_server_is_named_without_its_password() {
        let server = "[store_postgres]\nhost = \"db.example\"\ndatabase = \"bank\"\nuser = \"node\"\n";
        let (file, _) = parsed(&format!("{GOOD}{server}")).expect("a good file");
        let given = file.store_postgres.clone().expect("a server");
        assert_eq!((given.port, given.schema.as_str()), (5432, "trefoil"));
        let text = toml::to_string(&file).expect("serializes");
        assert_eq!(parsed(&text).expect("reads back").0.store_postgres, Some(given));
        for (text, hint) in [
            (format!("{GOOD}{server}schema = \"public\"\n"), "no schema for a node"),
            (format!("{GOOD}{server}password = \"x\"\n"), "unknown field `password`"),
            (format!("store = \"a.redb\"\n{GOOD}{server}"), "both `store` and [store_postgres]"),
        ] {
            let error = parsed(&text).expect_err(&text);
            assert!(error.contains(hint), "{error}");
        }
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
            (format!("{GOOD}[upkeep]\ncompare = 24\n"), "line 10", "or 0 for never"),
            (format!("{GOOD}[limits]\nbody = 1\n"), "line 10", "unknown field `body`"),
            (
                format!("{GOOD}[telemetry]\notlp = \"https://a.example\"\n"),
                "line 9",
                if cfg!(feature = "otlp") { "send on by TLS" } else { "needs the feature `otlp`" },
            ),
            (GOOD.replace("[listen]", "[listen"), "line 6", "[listen"),
            (format!("{GOOD}admin = \"0.0.0.0:3\"\n"), "line 9", "write 127.0.0.1:PORT"),
            (format!("{GOOD}admin = \"node0.example:3\"\n"), "line 9", "has no TLS"),
        ];
        for (text, line, hint) in cases {
            let error = parsed(&text).expect_err(&text);
            assert!(error.starts_with("node.toml, ") && error.contains(line) && error.contains(hint), "{error}");
        }
    }
}
