//! The files of a cluster on disk: where they are, and how they are created, once.

mod renewal;

pub use renewal::{Pending, Renewed, Settle, settle, switch};

use crate::{
    Error,
    audit::AuditWhose,
    config::{
        CLUSTER_FORMAT, Cluster, ClusterFile, ClusterId, Listen, NODE_FORMAT, NodeEntry, NodeFile, POLICY, STORE,
        STORE_KEY,
    },
    job::Limits,
    mesh::TransportSettings,
    pki::{
        Authority, CertificateFault, ClientName, Issued, Lifetime, create_directory, create_private, create_public,
        read_private,
    },
    policy::{PolicyKey, PolicySigner, default_policy, signature_path},
    store::create_key,
    upkeep::UpkeepSettings,
};
use std::{
    fs,
    path::{Path, PathBuf},
};
use trefoil_engine::Party;

/// What a cluster is to be created from.
#[derive(Clone, Debug)]
pub struct ClusterPlan {
    /// Where the files go.
    pub dir: PathBuf,
    /// For each node where others reach it, and where it listens.
    pub nodes: [(Listen, Listen); 3],
    /// Days for which its certificates are valid.
    pub days: u32,
    /// What else goes into each `node.toml`.
    pub settings: NodeSettings,
}

/// The settings of a node that do not depend on where it is.
#[derive(Clone, Debug, Default)]
pub struct NodeSettings {
    /// Worker threads; 0 stands for one per core.
    pub threads: usize,
    /// What it accepts.
    pub limits: Limits,
    /// How its links are tuned.
    pub transport: TransportSettings,
    /// What they do with their stores by themselves.
    pub upkeep: UpkeepSettings,
}

/// The paths of the files of one cluster.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClusterFiles {
    dir: PathBuf,
}

/// Three nodes on this machine.
pub fn default_hosts() -> [String; 3] {
    ["127.0.0.1"; 3].map(str::to_owned)
}

impl ClusterFiles {
    /// The files of the cluster under `dir`, which need not exist.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The public cluster file.
    pub fn cluster(&self) -> PathBuf {
        self.dir.join("cluster.toml")
    }

    /// The client's certificate; its key is beside it.
    pub fn identity(&self) -> PathBuf {
        self.dir.join("client.crt")
    }

    /// The directory of a node's own files.
    pub fn node_dir(&self, party: Party) -> PathBuf {
        self.dir.join(format!("node-{}", party.index()))
    }

    /// The certificate of a client of the given name; its key is beside it.
    pub fn client(&self, name: &ClientName) -> PathBuf {
        self.dir.join(format!("{name}.crt"))
    }

    /// Issues a further client identity with the authority's key, and returns the path of its certificate.
    ///
    /// # Errors
    /// [`Error::Usage`] if there is one of that name already; [`Error::System`], [`Error::Config`] or
    /// [`Error::Certificate`] if the cluster file or the authority cannot be read.
    pub fn add_client(&self, name: &ClientName, lifetime: Lifetime) -> Result<PathBuf, Error> {
        if name.as_str().starts_with(ClientName::TOKEN_PREFIX) {
            return Err(Error::Usage(format!(
                "`{name}` is the name of a token; leave `{}` out",
                ClientName::TOKEN_PREFIX
            )));
        }
        let certificate = self.client(name);
        let key = self.dir.join(format!("{name}.key"));
        refuse_existing(&[certificate.clone(), key.clone()])?;
        let authority = self.authority(&Cluster::load(&self.cluster())?)?;
        let issued = authority.issue_client(name, lifetime)?;
        create_private(&key, issued.key_pem.as_bytes())?;
        create_public(&certificate, issued.certificate_pem.as_bytes())?;
        Ok(certificate)
    }

    /// Takes up the cluster's authority.
    fn authority(&self, cluster: &Cluster) -> Result<Authority, Error> {
        let ca = self.ca("crt");
        let pem = fs::read_to_string(&ca).map_err(Error::system(format!("read {}", ca.display())))?;
        let secret = read_private(&self.ca("key"))?;
        let fault = |fault| Error::Certificate { path: self.ca("key"), fault };
        let authority = Authority::open(&cluster.id().to_string(), &pem, &secret).map_err(fault)?;
        if !cluster.authorities().contains(authority.certificate()) {
            let subject = "this authority".to_owned();
            let cause = "its certificate is not the one in cluster.toml".to_owned();
            return Err(Error::Certificate { path: ca, fault: CertificateFault::ForeignAuthority { subject, cause } });
        }
        Ok(authority)
    }

    /// A node's configuration.
    pub fn node(&self, party: Party) -> PathBuf {
        self.node_dir(party).join("node.toml")
    }

    /// Removes what `create` wrote, and the directories of the nodes if nothing else is in them.
    pub(crate) fn remove(&self) {
        // What is gone already needs no removing; what cannot be removed will be named by the next `create`.
        for path in self.all().iter().rev() {
            let _ = fs::remove_file(path);
        }
        for party in Party::ALL {
            // A node that could not open its sockets has made its store.
            let _ = fs::remove_file(self.node_dir(party).join(STORE));
            let _ = fs::remove_dir(self.node_dir(party));
        }
    }

    /// The private key with which the policies of the nodes are signed.
    pub fn policy_key(&self) -> PathBuf {
        self.dir.join("policy.key")
    }

    /// A node's policy; its signature is beside it.
    pub fn policy(&self, party: Party) -> PathBuf {
        self.node_dir(party).join(POLICY)
    }

    fn ca(&self, extension: &str) -> PathBuf {
        self.dir.join(format!("ca.{extension}"))
    }

    /// Everything that `create` writes, the cluster file last: while it is missing, the cluster is incomplete.
    fn all(&self) -> Vec<PathBuf> {
        let mut all = vec![self.ca("key"), self.policy_key(), self.ca("crt")];
        all.extend([self.identity().with_extension("key"), self.identity()]);
        for party in Party::ALL {
            all.extend([self.policy(party), signature_path(&self.policy(party))]);
            all.extend(["node.key", STORE_KEY, "node.crt", "node.toml"].map(|name| self.node_dir(party).join(name)));
        }
        all.push(self.cluster());
        all
    }
}

impl ClusterPlan {
    /// Creates every file of the cluster, or none.
    ///
    /// # Errors
    /// [`Error::Usage`] if one of the files exists; then nothing is touched. [`Error::System`] if a
    /// file cannot be written; then what was written is removed again.
    pub fn create(&self) -> Result<ClusterFiles, Error> {
        let files = ClusterFiles::at(&self.dir);
        refuse_existing(&files.all())?;
        let contents = self.contents()?;
        let mut created = Vec::new();
        let result = write_all(&files, &contents, &mut created);
        if result.is_err() {
            // Best effort: the error that matters is the one that stopped us.
            created.iter().rev().for_each(|p| drop(fs::remove_file(p)));
        }
        result.map(|()| files)
    }

    fn contents(&self) -> Result<Contents, Error> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|e| Error::system("draw random numbers")(e.into()))?;
        let id = ClusterId::new(id);
        let lifetime = Lifetime::days(self.days);
        let authority = Authority::create(&id.to_string(), Lifetime::authority(self.days))?;
        let signer = PolicySigner::generate()?;
        let mut nodes = Vec::with_capacity(3);
        for (party, (public, listen)) in Party::ALL.into_iter().zip(&self.nodes) {
            let mut hosts = vec![public.mesh.host(), public.api.host()];
            hosts.dedup();
            nodes.push((
                party,
                public,
                self.node_file(party, listen, signer.public()),
                authority.issue_node(party, &hosts, lifetime)?,
            ));
        }
        let name = "client".parse().map_err(Error::Bug)?;
        let client = authority.issue_client(&name, lifetime)?;
        let entry = |(party, public, _, issued): &(Party, &Listen, NodeFile, Issued)| NodeEntry {
            party: party.index() as u8,
            mesh: public.mesh.clone(),
            api: public.api.clone(),
            certificate_sha256: issued.fingerprint,
            next_certificate_sha256: None,
        };
        let cluster = ClusterFile {
            format: CLUSTER_FORMAT,
            cluster_id: id,
            ca_certificate: authority.certificate_pem().to_owned(),
            node: nodes.iter().map(entry).collect(),
        };
        let nodes = nodes.into_iter().map(|(party, _, file, issued)| (party, file, issued)).collect();
        Ok(Contents { authority, signer, nodes, client, cluster })
    }

    fn node_file(&self, party: Party, listen: &Listen, policy_key: PolicyKey) -> NodeFile {
        NodeFile {
            format: NODE_FORMAT,
            party: party.index() as u8,
            cluster: "../cluster.toml".into(),
            certificate: "node.crt".into(),
            key: "node.key".into(),
            store: None,
            store_postgres: None,
            audit: None,
            store_key: STORE_KEY.into(),
            policy: Some(POLICY.into()),
            policy_key: Some(policy_key),
            threads: self.settings.threads,
            listen: listen.clone(),
            limits: self.settings.limits.clone(),
            transport: self.settings.transport.clone(),
            upkeep: self.settings.upkeep.clone(),
            oidc: None,
            telemetry: None,
        }
    }
}

struct Contents {
    authority: Authority,
    signer: PolicySigner,
    nodes: Vec<(Party, NodeFile, Issued)>,
    client: Issued,
    cluster: ClusterFile,
}

fn refuse_existing(paths: &[PathBuf]) -> Result<(), Error> {
    let Some(there) = paths.iter().find(|p| p.symlink_metadata().is_ok()) else { return Ok(()) };
    Err(Error::Usage(format!(
        "{} exists; keys are never overwritten: choose another directory or name, or remove the old files first",
        there.display()
    )))
}

fn write_all(files: &ClusterFiles, contents: &Contents, created: &mut Vec<PathBuf>) -> Result<(), Error> {
    let mut private = |path: PathBuf, bytes: &[u8]| {
        create_private(&path, bytes)?;
        created.push(path);
        Ok::<_, Error>(())
    };
    create_directory(&files.dir)?;
    private(files.ca("key"), contents.authority.key_pem().as_bytes())?;
    private(files.policy_key(), contents.signer.pem().as_bytes())?;
    private(files.identity().with_extension("key"), contents.client.key_pem.as_bytes())?;
    for (party, _, issued) in &contents.nodes {
        create_directory(&files.node_dir(*party))?;
        private(files.node_dir(*party).join("node.key"), issued.key_pem.as_bytes())?;
    }
    for party in Party::ALL {
        let key = files.node_dir(party).join(STORE_KEY);
        create_key(&key)?;
        created.push(key);
    }
    let mut public = |path: PathBuf, text: &str| {
        create_public(&path, text.as_bytes())?;
        created.push(path);
        Ok::<_, Error>(())
    };
    public(files.ca("crt"), contents.authority.certificate_pem())?;
    public(files.identity(), &contents.client.certificate_pem)?;
    for (party, file, issued) in &contents.nodes {
        let policy = default_policy(AuditWhose { cluster: contents.cluster.cluster_id, party: *party });
        public(files.policy(*party), &policy)?;
        public(signature_path(&files.policy(*party)), &contents.signer.sign(&policy)?)?;
        public(files.node_dir(*party).join("node.crt"), &issued.certificate_pem)?;
        public(
            files.node(*party),
            &text("node.toml", "the settings of one node; what is left out has its default", file)?,
        )?;
    }
    public(
        files.cluster(),
        &text("cluster.toml", "public, the same for every node and every client", &contents.cluster)?,
    )
}

fn text(name: &str, title: &str, file: &impl serde::Serialize) -> Result<String, Error> {
    let body = toml::to_string(file).map_err(|e| Error::Bug(format!("configuration as TOML: {e}")))?;
    Ok(format!("# Trefoil, {title}. Every key is explained in deploy/{name} of the source.\n{body}"))
}
