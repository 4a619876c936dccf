//! `trefoil rsa`: signing keys that the three nodes have between them, and no one of them.

mod key;
mod message;

use super::{
    ClusterArgs, Exit, Output, OutputArgs, interruptible,
    receipts::{Checked, ReceiptArgs},
};
use crate::{
    Error,
    client::{Client, KeyReport, Signature},
    keys::{Deletion, HashName, KeyName},
    pki::ClientName,
    receipt::Receipt,
};
use clap::ValueEnum;
use serde::Serialize;
use std::path::PathBuf;
use trefoil_auth::rsa::{KeySize, Message};

const EXAMPLES: &str = "\
Examples:
  trefoil rsa keygen --cluster demo/cluster.toml --name release --public release.pem
  trefoil rsa sign --cluster demo/cluster.toml --name release --out app.sig app.tar
  openssl dgst -sha256 -verify release.pem -signature app.sig app.tar
  trefoil rsa refresh --cluster demo/cluster.toml --name release

The nodes have the key between them: any two sign, no one can. Who signs is you, and whom you name with --signer.";

const KEYGEN: &str = "\
Examples:
  trefoil rsa keygen --cluster demo/cluster.toml --name release --public release.pem
  trefoil rsa keygen --cluster demo/cluster.toml --name invoices --bits 3072 --signer erp --signer backup

The key is made in this process, split, and erased. There is no copy: delete it at two nodes and it is gone.";

const IMPORT: &str = "\
Examples:
  openssl genrsa -out old.pem 2048; trefoil rsa import --cluster demo/cluster.toml --name release --key old.pem
  trefoil rsa import --cluster demo/cluster.toml --name release --key old.pem --signer ci

The file stays as it is: whoever has a copy of it has the key.";

const SIGN: &str = "\
Examples:
  trefoil rsa sign --cluster demo/cluster.toml --name release --out app.sig app.tar
  trefoil rsa sign --cluster demo/cluster.toml --owner alice --name release --format base64 --out - app.tar
  trefoil rsa sign --cluster demo/cluster.toml --name release --hash sha512 --out app.sig app.tar

The file stays here: the nodes see its digest. The signature is PKCS#1 v1.5, verified before it is written.";

const VERIFY: &str = "\
Examples:
  trefoil rsa verify --public release.pem --signature app.sig app.tar
  openssl dgst -sha256 -verify release.pem -signature app.sig app.tar";

const REFRESH: &str = "\
Examples:
  trefoil rsa refresh --cluster demo/cluster.toml --name release

Shares of before are of no use with the new ones: what was stolen from one node last month fits nothing that is stolen from another today.";

const LIST: &str = "\
Examples:
  trefoil rsa list --cluster demo/cluster.toml
  trefoil rsa list --cluster demo/cluster.toml --json";

const DELETE: &str = "\
Examples:
  trefoil rsa delete --cluster demo/cluster.toml --name release --yes --receipts release.receipts.json

There is no way back: nobody has a copy. Each node signs that it has removed its shares.";

const PUBLIC: &str = "\
Examples:
  trefoil rsa public --cluster demo/cluster.toml --name release --out release.pem
  trefoil rsa public --cluster demo/cluster.toml --owner alice --name release --out -";

/// The commands of `trefoil rsa`.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum RsaCommand {
    /// Make a key and enrol it at the three nodes
    Keygen(KeygenArgs),
    /// Enrol a key from a PEM file
    Import(ImportArgs),
    /// Sign a file
    Sign(SignArgs),
    /// Verify a signature of a file, without a cluster
    Verify(VerifyArgs),
    /// Give the nodes new shares of a key
    Refresh(RefreshArgs),
    /// List your keys
    List(ListArgs),
    /// Delete a key at the three nodes
    Delete(DeleteArgs),
    /// Write the public key as PEM
    Public(PublicArgs),
}

/// Which key of one's own.
#[derive(Debug, clap::Args)]
struct OwnArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// The key's name: letters, digits, `.`, `_` and `-`
    #[arg(long)]
    name: KeyName,
}

/// Which key, of one's own or of another client.
#[derive(Debug, clap::Args)]
struct AnyArgs {
    #[command(flatten)]
    own: OwnArgs,
    /// Whose key it is [default: your own]
    #[arg(long, value_name = "CLIENT")]
    owner: Option<ClientName>,
}

/// What a new key is given.
#[derive(Debug, clap::Args)]
struct NewArgs {
    #[command(flatten)]
    own: OwnArgs,
    /// A client that may sign, beside you; may be given several times
    #[arg(long = "signer", value_name = "CLIENT")]
    signers: Vec<ClientName>,
    /// Write the public key here, as PEM
    #[arg(long, value_name = "FILE")]
    public: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of `trefoil rsa keygen`.
#[derive(Debug, clap::Args)]
#[command(after_help = KEYGEN)]
pub struct KeygenArgs {
    #[command(flatten)]
    new: NewArgs,
    /// The length of the modulus
    #[arg(long, value_name = "BITS", default_value = "2048")]
    bits: Bits,
}

/// Arguments of `trefoil rsa import`.
#[derive(Debug, clap::Args)]
#[command(after_help = IMPORT)]
pub struct ImportArgs {
    #[command(flatten)]
    new: NewArgs,
    /// The key: PEM, PKCS#8 or PKCS#1, not encrypted, of 2048, 3072 or 4096 bits with e = 65537
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

/// Arguments of `trefoil rsa sign`.
#[derive(Debug, clap::Args)]
#[command(after_help = SIGN)]
pub struct SignArgs {
    #[command(flatten)]
    key: AnyArgs,
    #[command(flatten)]
    hash: HashArgs,
    /// The file to write; - is standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The form of the signature
    #[arg(long, default_value = "raw")]
    format: Format,
    #[command(flatten)]
    output: OutputArgs,
    /// The file to sign; - is standard input
    file: PathBuf,
}

/// Arguments of `trefoil rsa verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = VERIFY)]
pub struct VerifyArgs {
    /// The public key, PEM
    #[arg(long, value_name = "FILE")]
    public: PathBuf,
    /// The signature, as bytes or in base64
    #[arg(long, value_name = "FILE")]
    signature: PathBuf,
    #[command(flatten)]
    hash: HashArgs,
    #[command(flatten)]
    output: OutputArgs,
    /// The file that was signed; - is standard input
    file: PathBuf,
}

/// Arguments of `trefoil rsa refresh`.
#[derive(Debug, clap::Args)]
#[command(after_help = REFRESH)]
pub struct RefreshArgs {
    #[command(flatten)]
    own: OwnArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of `trefoil rsa list`.
#[derive(Debug, clap::Args)]
#[command(after_help = LIST)]
pub struct ListArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of `trefoil rsa delete`.
#[derive(Debug, clap::Args)]
#[command(after_help = DELETE)]
pub struct DeleteArgs {
    #[command(flatten)]
    own: OwnArgs,
    /// Confirm that the key is to be gone for ever
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    receipts: ReceiptArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Arguments of `trefoil rsa public`.
#[derive(Debug, clap::Args)]
#[command(after_help = PUBLIC)]
pub struct PublicArgs {
    #[command(flatten)]
    key: AnyArgs,
    /// The file to write; - is standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, clap::Args)]
struct HashArgs {
    /// The hash function
    #[arg(long, default_value = "sha256")]
    hash: HashArg,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum HashArg {
    Sha256,
    Sha384,
    Sha512,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Its bytes
    Raw,
    /// One line of base64
    Base64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Bits {
    #[value(name = "2048")]
    B2048,
    #[value(name = "3072")]
    B3072,
    #[value(name = "4096")]
    B4096,
}

/// Runs one of the commands.
///
/// # Errors
/// [`Error::Usage`] for arguments and files that do not fit, else as the functions of [`Client`].
pub fn run(command: RsaCommand) -> Result<Exit, Error> {
    match command {
        RsaCommand::Keygen(args) => keygen(args),
        RsaCommand::Import(args) => import(args),
        RsaCommand::Sign(args) => sign(&args),
        RsaCommand::Verify(args) => verify(&args),
        RsaCommand::Refresh(args) => refresh(&args),
        RsaCommand::List(args) => list(&args),
        RsaCommand::Delete(args) => delete(&args),
        RsaCommand::Public(args) => public(&args),
    }
}

fn keygen(args: KeygenArgs) -> Result<Exit, Error> {
    let size = match args.bits {
        Bits::B2048 => KeySize::Rsa2048,
        Bits::B3072 => KeySize::Rsa3072,
        Bits::B4096 => KeySize::Rsa4096,
    };
    key::enrol(args.new, || key::generate(size))
}

fn import(args: ImportArgs) -> Result<Exit, Error> {
    let path = args.key;
    key::enrol(args.new, move || key::read(&path))
}

fn sign(args: &SignArgs) -> Result<Exit, Error> {
    let output = args.output.resolve();
    let to_stdout = message::is_stream(&args.out);
    if output == Output::Json && to_stdout {
        return Err(Error::Usage("--json and --out - both write to standard output; name an output file".to_owned()));
    }
    let target = args.key.own.cluster.resolve()?;
    let sink = message::Sink::create(&args.out)?;
    let hash = args.hash.hash.name();
    let digest = message::digest(hash, &args.file)?;
    let signature = interruptible(async {
        // Two nodes suffice, so none is called first to see whether all are there.
        let client = Client::new(&target.cluster, &target.identity)?;
        let key = client.signing_key(args.key.owner.as_ref(), &args.key.own.name).await?;
        key.sign(hash, &digest).await
    })?;
    sink.write(&message::encode(args.format, &signature.bytes))?;
    for (party, why) in &signature.missing {
        tracing::warn!("{party} has not signed: {why}");
    }
    let signed = Signed::new(hash, &digest, &signature);
    if !to_stdout {
        output.print(&signed, signed.text(&args.out.display().to_string()))?;
    }
    Ok(Exit::Ok)
}

fn verify(args: &VerifyArgs) -> Result<Exit, Error> {
    let (public, signature) = (key::read_public(&args.public)?, message::read_signature(&args.signature)?);
    let hash = args.hash.hash.name();
    let message = Message::digest(hash.into(), &message::digest(hash, &args.file)?)?;
    let verified = public.verifies(&message, &signature);
    let text = if verified { "the signature is right" } else { "the signature is WRONG" };
    args.output.resolve().print(&serde_json::json!({ "verified": verified }), text)?;
    Ok(if verified { Exit::Ok } else { Exit::Failed })
}

fn refresh(args: &RefreshArgs) -> Result<Exit, Error> {
    let target = args.own.cluster.resolve()?;
    let report = interruptible(async {
        let client = Client::connect(&target.cluster, &target.identity).await?;
        client.refresh_key(&args.own.name).await
    })?;
    let row = Row::new(&report)?;
    args.output.resolve().print(&row, format!("the nodes have new shares: {}", row.text()))?;
    Ok(Exit::Ok)
}

fn list(args: &ListArgs) -> Result<Exit, Error> {
    let target = args.cluster.resolve()?;
    let keys = interruptible(async { Client::new(&target.cluster, &target.identity)?.keys().await })?;
    let output = args.output.resolve();
    for report in &keys {
        let row = Row::new(report)?;
        output.print(&row, row.text())?;
    }
    if keys.is_empty() && output == Output::Text {
        super::line("no keys; make one with `trefoil rsa keygen`")?;
    }
    Ok(Exit::Ok)
}

fn delete(args: &DeleteArgs) -> Result<Exit, Error> {
    let name = &args.own.name;
    if !args.yes {
        return Err(Error::Usage(format!(
            "nobody has a copy of the key `{name}`, and deleted it is gone for ever; say --yes if you mean it"
        )));
    }
    let target = args.own.cluster.resolve()?;
    let file = args.receipts.file()?;
    let answers = interruptible(async {
        let client = Client::new(&target.cluster, &target.identity)?;
        Ok(client.delete_key(name).await)
    })?;
    let checked = Checked::<Deletion>::of(&target.cluster, answers);
    checked.keep(file)?;
    let deleted = Deleted { name, receipts: &checked.receipts };
    let count = checked.receipts.len();
    args.output.resolve().print(&deleted, format!("{count} of 3 nodes have deleted `{name}` and signed it"))?;
    checked.failed.map_or(Ok(Exit::Ok), Err)
}

fn public(args: &PublicArgs) -> Result<Exit, Error> {
    let target = args.key.own.cluster.resolve()?;
    let sink = message::Sink::create(&args.out)?;
    let report = interruptible(async {
        let client = Client::new(&target.cluster, &target.identity)?;
        client.key(args.key.owner.as_ref(), &args.key.own.name).await
    })?;
    sink.write(key::pem(&report.public)?.as_bytes())?;
    Ok(Exit::Ok)
}

impl HashArg {
    fn name(self) -> HashName {
        match self {
            Self::Sha256 => HashName::Sha256,
            Self::Sha384 => HashName::Sha384,
            Self::Sha512 => HashName::Sha512,
        }
    }
}

/// A key as JSON.
#[derive(Serialize)]
struct Row {
    owner: String,
    name: String,
    bits: u32,
    usage: Option<crate::keys::KeyUse>,
    signers: Vec<String>,
    epoch: u64,
    nodes: Vec<usize>,
    unsettled: bool,
    public: String,
}

impl Row {
    fn new(report: &KeyReport) -> Result<Self, Error> {
        Ok(Self {
            owner: report.owner.to_string(),
            name: report.name.to_string(),
            bits: report.public.size().bits(),
            usage: report.usage,
            signers: report.signers.iter().map(ToString::to_string).collect(),
            epoch: report.at.iter().map(|(_, epoch)| *epoch).max().unwrap_or_default(),
            nodes: report.at.iter().map(|(party, _)| party.index()).collect(),
            unsettled: report.unsettled,
            public: key::pem(&report.public)?,
        })
    }

    fn text(&self) -> String {
        let Self { name, bits, epoch, .. } = self;
        let mut text = format!("{name}: RSA-{bits}, epoch {epoch}");
        if !self.signers.is_empty() {
            text = format!("{text}, signers {}", self.signers.join(" "));
        }
        if self.nodes.len() < 3 {
            let at: Vec<String> = self.nodes.iter().map(|node| format!("P{node}")).collect();
            text = format!("{text}, only {} answered", at.join(" and "));
        }
        if self.unsettled {
            text = format!("{text}, a step was interrupted (`trefoil rsa refresh` settles it)");
        }
        text
    }
}

/// A signature as JSON.
#[derive(Serialize)]
struct Signed {
    hash: HashName,
    digest: String,
    bytes: usize,
    wrong_nodes: Vec<usize>,
    missing_nodes: Vec<usize>,
}

impl Signed {
    fn new(hash: HashName, digest: &[u8], signature: &Signature) -> Self {
        Self {
            hash,
            digest: hex::encode(digest),
            bytes: signature.bytes.len(),
            wrong_nodes: signature.wrong.iter().map(|p| p.index()).collect(),
            missing_nodes: signature.missing.iter().map(|(p, _)| p.index()).collect(),
        }
    }

    fn text(&self, file: &str) -> String {
        let mut text = format!("wrote {file}: a verified signature of {} bytes", self.bytes);
        if !self.wrong_nodes.is_empty() {
            let wrong: Vec<String> = self.wrong_nodes.iter().map(|node| format!("P{node}")).collect();
            text = format!("{text}; the part of {} was WRONG, find out what runs there", wrong.join(" or "));
        }
        text
    }
}

/// What was deleted, as JSON.
#[derive(Serialize)]
struct Deleted<'a> {
    name: &'a KeyName,
    receipts: &'a [Receipt],
}
