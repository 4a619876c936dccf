//! Certificates that take the place of others: issued, announced in cluster files, taken over, and settled.
//!
//! New files wait beside those in use under the same names with `.next` after them; those that were in use stay as `.old`.

use super::ClusterFiles;
use crate::{
    Error,
    config::{Cluster, NodeFile, Source},
    pki::{
        Authority, CertificateFacts, CertificateFault, ClientName, Fingerprint, Identity, Issued, Lifetime, Role,
        create_directory, create_private, create_public, replace_public,
    },
    tls,
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use trefoil_engine::Party;

/// What was issued, and which cluster files name it now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Renewed {
    /// The new certificate; its key is beside it.
    pub certificate: PathBuf,
    /// The cluster files that were changed.
    pub clusters: Vec<PathBuf>,
}

/// What is to be settled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pending {
    /// The announced certificates of nodes.
    Certificates,
    /// Which of two authorities stays.
    Authority,
}

/// What becomes of what is to come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Settle {
    /// It takes the place of what is there.
    Adopt,
    /// It is forgotten.
    Withdraw,
}

impl ClusterFiles {
    /// Issues a new certificate of a node, with a new key, and announces it in the cluster file and in `others`, copies of it.
    ///
    /// # Errors
    /// [`Error::Usage`] if one is announced already, or a cluster file has an unusual form; then nothing is changed. As
    /// [`add_client`](Self::add_client) for the authority.
    pub fn renew_node(&self, party: Party, lifetime: Lifetime, others: &[PathBuf]) -> Result<Renewed, Error> {
        let cluster = Cluster::load(&self.cluster())?;
        let entry = cluster.node(party);
        if let Some(next) = entry.next_certificate_sha256 {
            return Err(Error::Usage(format!(
                "cluster.toml announces a certificate of {party} already ({next}); run `trefoil cluster settle` first, with --withdraw if it is not wanted"
            )));
        }
        let dir = self.node_dir(party);
        let names = ["node.crt", "node.key"].map(|name| next(&dir.join(name)));
        super::refuse_existing(&names)?;
        let mut hosts = vec![entry.mesh.host(), entry.api.host()];
        hosts.dedup();
        let issued = self.authority(&cluster)?.issue_node(party, &hosts, lifetime)?;
        let changed = self.changed(others, &Edit::Announce(party, issued.fingerprint))?;
        create_directory(&dir)?;
        let [certificate, key] = names;
        write(&issued, &certificate, &key)?;
        Ok(Renewed { certificate, clusters: replace(changed)? })
    }

    /// Makes a new authority for the cluster, from which certificates are issued from now on, and has the cluster file and `others`, copies of it, accept both. The old
    /// files stay beside the new ones with `.old` after their names.
    ///
    /// # Errors
    /// As [`renew_node`](Self::renew_node).
    pub fn renew_authority(&self, lifetime: Lifetime, others: &[PathBuf]) -> Result<Renewed, Error> {
        let cluster = Cluster::load(&self.cluster())?;
        if cluster.authorities().len() > 1 {
            return Err(Error::Usage(
                "cluster.toml has two authorities already; run `trefoil cluster settle --authority` first, when all certificates are of the new one"
                    .to_owned(),
            ));
        }
        self.authority(&cluster)?;
        let authority = Authority::create(&cluster.id().to_string(), lifetime)?;
        let changed = self.changed(others, &Edit::AddAuthority(authority.certificate_pem().to_owned()))?;
        let (certificate, key) = (self.ca("crt"), self.ca("key"));
        create_private(&next(&key), authority.key_pem().as_bytes())?;
        create_public(&next(&certificate), authority.certificate_pem().as_bytes())?;
        take_over(&certificate, &key)?;
        Ok(Renewed { certificate, clusters: replace(changed)? })
    }

    /// Issues a new certificate of a client that has one, with a new key. The old pair stays beside it with `.old` after its names, and is good until it expires.
    ///
    /// # Errors
    /// [`Error::Usage`] if there is no such client; as [`add_client`](Self::add_client) otherwise.
    pub fn renew_client(&self, name: &ClientName, lifetime: Lifetime) -> Result<PathBuf, Error> {
        let certificate = self.client(name);
        let key = self.dir().join(format!("{name}.key"));
        if client(&certificate).as_ref() != Some(name) {
            return Err(Error::Usage(format!(
                "{} is not the certificate of a client `{name}`; leave out --renew to issue the first",
                certificate.display()
            )));
        }
        let issued = self.authority(&Cluster::load(&self.cluster())?)?.issue_client(name, lifetime)?;
        for path in [next(&certificate), next(&key)] {
            // Left by a run that was broken off before anybody could use it.
            let _ = fs::remove_file(path);
        }
        write(&issued, &next(&certificate), &next(&key))?;
        take_over(&certificate, &key)?;
        Ok(certificate)
    }

    fn changed(&self, others: &[PathBuf], edit: &Edit) -> Result<Vec<(PathBuf, String)>, Error> {
        let own = self.cluster();
        [&own].into_iter().chain(others).map(|path| Ok((path.clone(), edit.apply(path)?))).collect()
    }
}

/// Settles what is to come in cluster files. Gives those that were changed.
///
/// # Errors
/// [`Error::Usage`] if a file has an unusual form, or nothing is to come in any; then nothing is changed.
pub fn settle(clusters: &[PathBuf], what: Pending, how: Settle) -> Result<Vec<PathBuf>, Error> {
    let mut changed = Vec::new();
    for path in clusters {
        let text = Edit::Settle(what, how).apply(path)?;
        if fs::read_to_string(path).map_err(Error::system(format!("read {}", path.display())))? != text {
            changed.push((path.clone(), text));
        }
    }
    if changed.is_empty() {
        let none = match what {
            Pending::Certificates => "no certificate is announced",
            Pending::Authority => "there is one authority alone",
        };
        return Err(Error::Usage(format!("nothing is to be settled: {none}")));
    }
    replace(changed)
}

/// Has a node take over the certificate that waits beside its own, when it is read again. Run again, it ends what was broken off. Gives the certificate.
///
/// # Errors
/// [`Error::Usage`] if none waits; [`Error::Certificate`] if it is not one that the node's cluster file accepts of it.
pub fn switch(node_toml: &Path) -> Result<PathBuf, Error> {
    let (file, party) = NodeFile::read(node_toml)?;
    let beside = |p: &Path| node_toml.parent().unwrap_or(Path::new("")).join(p);
    let (cluster, certificate, key) =
        (Cluster::load(&beside(&file.cluster))?, beside(&file.certificate), beside(&file.key));
    let waiting = next(&certificate);
    if !waiting.exists() {
        return Err(Error::Usage(format!(
            "there is no {}; `trefoil cluster renew --node {}` writes it, with its key",
            waiting.display(),
            party.index()
        )));
    }
    // Where the key has its place already, the certificate alone is left to do.
    let its_key = Some(next(&key)).filter(|path| path.exists()).unwrap_or_else(|| key.clone());
    let identity = Identity::load(&waiting, &its_key)?;
    let fault = |fault| Error::Certificate { path: waiting.clone(), fault };
    if *identity.role() != Role::Node(party) {
        let (expected, got) = (Role::Node(party).to_string(), identity.role().clone());
        return Err(fault(CertificateFault::WrongRole { expected, got }));
    }
    tls::check_identity(&identity, &cluster).map_err(fault)?;
    take_over(&certificate, &key)?;
    Ok(certificate)
}

/// The client that a certificate is of.
fn client(certificate: &Path) -> Option<ClientName> {
    let certificate = CertificateDer::from_pem_file(certificate).ok()?;
    match CertificateFacts::of(&certificate).ok()?.role().ok()? {
        Role::Client(name) => Some(name),
        Role::Node(_) => None,
    }
}

/// A change of a cluster file that leaves its comments and layout.
enum Edit {
    Announce(Party, Fingerprint),
    AddAuthority(String),
    Settle(Pending, Settle),
}

impl Edit {
    /// The text of a cluster file after the change.
    fn apply(&self, path: &Path) -> Result<String, Error> {
        let before = Cluster::load(path)?;
        let text = fs::read_to_string(path).map_err(Error::system(format!("read {}", path.display())))?;
        let changed = self.change(&before, text);
        let after = Cluster::resolve(&Source { path: path.to_owned(), text: changed.clone() });
        if after.is_ok_and(|after| self.done(&before, &after)) {
            return Ok(changed);
        }
        Err(Error::Usage(format!(
            "{}: the keys cannot be changed where they stand; write each key `certificate_sha256` on a line of its own, and ca_certificate between three quotation marks, as `trefoil cluster init` does",
            path.display()
        )))
    }

    fn change(&self, cluster: &Cluster, text: String) -> String {
        match self {
            Self::Announce(party, print) => {
                let pin = cluster.node(*party).certificate_sha256.to_string();
                lines(&text, |line| {
                    let here = line.trim_start().starts_with("certificate_sha256") && line.contains(&pin);
                    Some(if here { format!("{line}\nnext_certificate_sha256 = \"{print}\"") } else { line.to_owned() })
                })
            }
            Self::AddAuthority(pem) => text.replacen(END, &format!("{END}\n{}", pem.trim_end()), 1),
            Self::Settle(Pending::Certificates, how) => lines(&text, |line| {
                let mut line =
                    Some(line).filter(|l| !l.trim_start().starts_with("next_certificate_sha256"))?.to_owned();
                for entry in Party::ALL.map(|p| cluster.node(p)) {
                    if let (Settle::Adopt, Some(next)) = (how, entry.next_certificate_sha256) {
                        line = line.replace(&entry.certificate_sha256.to_string(), &next.to_string());
                    }
                }
                Some(line)
            }),
            Self::Settle(Pending::Authority, how) => {
                let blocks: Vec<_> = text.match_indices(BEGIN).map(|(at, _)| at).collect();
                match (&blocks[..], how) {
                    ([first, second], Settle::Adopt) => [&text[..*first], &text[*second..]].concat(),
                    ([_, second], Settle::Withdraw) => {
                        let end = text[*second..].find(END).map_or(text.len(), |at| second + at + END.len());
                        [text[..*second].trim_end(), &text[end..]].concat()
                    }
                    _ => text,
                }
            }
        }
    }

    /// Whether the change, and nothing else, has happened.
    fn done(&self, before: &Cluster, after: &Cluster) -> bool {
        let pins = |cluster: &Cluster| {
            Party::ALL.map(|p| (cluster.node(p).certificate_sha256, cluster.node(p).next_certificate_sha256))
        };
        let (mut pins_due, mut authorities) = (pins(before), before.authorities().to_vec());
        match self {
            Self::Announce(party, print) => pins_due[party.index()].1 = Some(*print),
            Self::AddAuthority(pem) => authorities.extend(CertificateDer::from_pem_slice(pem.as_bytes())),
            Self::Settle(Pending::Certificates, how) => {
                for (pin, next) in &mut pins_due {
                    if let (Some(next), Settle::Adopt) = (next.take(), how) {
                        *pin = next;
                    }
                }
            }
            Self::Settle(Pending::Authority, how) if authorities.len() > 1 => {
                authorities.remove(usize::from(*how == Settle::Withdraw));
            }
            Self::Settle(Pending::Authority, _) => {}
        }
        after.digest() == before.digest() && pins(after) == pins_due && after.authorities() == authorities
    }
}

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

fn lines(text: &str, change: impl Fn(&str) -> Option<String>) -> String {
    let mut out: String = text.lines().filter_map(change).map(|line| line + "\n").collect();
    if !text.ends_with('\n') {
        out.pop();
    }
    out
}

fn replace(changed: Vec<(PathBuf, String)>) -> Result<Vec<PathBuf>, Error> {
    for (path, text) in &changed {
        replace_public(path, text.as_bytes())?;
    }
    Ok(changed.into_iter().map(|(path, _)| path).collect())
}

fn write(issued: &Issued, certificate: &Path, key: &Path) -> Result<(), Error> {
    create_private(key, issued.key_pem.as_bytes())?;
    create_public(certificate, issued.certificate_pem.as_bytes())
}

/// Where what is to take a file's place waits.
fn next(path: &Path) -> PathBuf {
    with(path, ".next")
}

fn with(path: &Path, more: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(more);
    name.into()
}

/// Puts a certificate and a key that wait in the place of those in use. Each file is there at every moment; the certificate goes last, and while it
/// waits this can be run again.
fn take_over(certificate: &Path, key: &Path) -> Result<(), Error> {
    for path in [key, certificate] {
        let failed = || Error::system(format!("put {} in the place of {}", next(path).display(), path.display()));
        if !next(path).exists() {
            continue;
        }
        let old = with(path, ".old");
        match fs::remove_file(&old) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed()(e)),
            _ => {}
        }
        match fs::hard_link(path, &old) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed()(e)),
            _ => {}
        }
        fs::rename(next(path), path).map_err(failed())?;
    }
    Ok(())
}
