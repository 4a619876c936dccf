//! The arguments of `trefoil rsa`, as typed.

use crate::{
    cli::{ClusterArgs, OutputArgs, receipts::ReceiptArgs},
    keys::{HashName, KeyName},
    pki::ClientName,
    tables::Expires,
};
use clap::ValueEnum;
use std::path::PathBuf;

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
  trefoil rsa keygen --cluster demo/cluster.toml --name invoices --bits 3072 --signer erp --signer backup --expires 365d

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
pub(super) struct OwnArgs {
    #[command(flatten)]
    pub(super) cluster: ClusterArgs,
    /// The key's name: letters, digits, `.`, `_` and `-`
    #[arg(long)]
    pub(super) name: KeyName,
}

/// Which key, of one's own or of another client.
#[derive(Debug, clap::Args)]
pub(super) struct AnyArgs {
    #[command(flatten)]
    pub(super) own: OwnArgs,
    /// Whose key it is [default: your own]
    #[arg(long, value_name = "CLIENT")]
    pub(super) owner: Option<ClientName>,
}

/// What a new key is given.
#[derive(Debug, clap::Args)]
pub(super) struct NewArgs {
    #[command(flatten)]
    pub(super) own: OwnArgs,
    /// A client that may sign, beside you; may be given several times
    #[arg(long = "signer", value_name = "CLIENT")]
    pub(super) signers: Vec<ClientName>,
    /// The nodes do nothing with the key from then on, and erase it: a time from now (`365d`) or a moment (`2030-12-31T00:00:00Z`) [default: it stays until it is deleted]
    #[arg(long, value_name = "WHEN")]
    pub(super) expires: Option<Expires>,
    /// Write the public key here, as PEM
    #[arg(long, value_name = "FILE")]
    pub(super) public: Option<PathBuf>,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

/// Arguments of `trefoil rsa keygen`.
#[derive(Debug, clap::Args)]
#[command(after_help = KEYGEN)]
pub struct KeygenArgs {
    #[command(flatten)]
    pub(super) new: NewArgs,
    /// The length of the modulus
    #[arg(long, value_name = "BITS", default_value = "2048")]
    pub(super) bits: Bits,
}

/// Arguments of `trefoil rsa import`.
#[derive(Debug, clap::Args)]
#[command(after_help = IMPORT)]
pub struct ImportArgs {
    #[command(flatten)]
    pub(super) new: NewArgs,
    /// The key: PEM, PKCS#8 or PKCS#1, not encrypted, of 2048, 3072 or 4096 bits with e = 65537
    #[arg(long, value_name = "FILE")]
    pub(super) key: PathBuf,
}

/// Arguments of `trefoil rsa sign`.
#[derive(Debug, clap::Args)]
#[command(after_help = SIGN)]
pub struct SignArgs {
    #[command(flatten)]
    pub(super) key: AnyArgs,
    #[command(flatten)]
    pub(super) hash: HashArgs,
    /// The file to write; - is standard output
    #[arg(long, value_name = "FILE")]
    pub(super) out: PathBuf,
    /// The form of the signature
    #[arg(long, default_value = "raw")]
    pub(super) format: Format,
    #[command(flatten)]
    pub(super) output: OutputArgs,
    /// The file to sign; - is standard input
    pub(super) file: PathBuf,
}

/// Arguments of `trefoil rsa verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = VERIFY)]
pub struct VerifyArgs {
    /// The public key, PEM
    #[arg(long, value_name = "FILE")]
    pub(super) public: PathBuf,
    /// The signature, as bytes or in base64
    #[arg(long, value_name = "FILE")]
    pub(super) signature: PathBuf,
    #[command(flatten)]
    pub(super) hash: HashArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
    /// The file that was signed; - is standard input
    pub(super) file: PathBuf,
}

/// Arguments of `trefoil rsa refresh`.
#[derive(Debug, clap::Args)]
#[command(after_help = REFRESH)]
pub struct RefreshArgs {
    #[command(flatten)]
    pub(super) own: OwnArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

/// Arguments of `trefoil rsa list`.
#[derive(Debug, clap::Args)]
#[command(after_help = LIST)]
pub struct ListArgs {
    #[command(flatten)]
    pub(super) cluster: ClusterArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

/// Arguments of `trefoil rsa delete`.
#[derive(Debug, clap::Args)]
#[command(after_help = DELETE)]
pub struct DeleteArgs {
    #[command(flatten)]
    pub(super) own: OwnArgs,
    /// Confirm that the key is to be gone for ever
    #[arg(long)]
    pub(super) yes: bool,
    #[command(flatten)]
    pub(super) receipts: ReceiptArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

/// Arguments of `trefoil rsa public`.
#[derive(Debug, clap::Args)]
#[command(after_help = PUBLIC)]
pub struct PublicArgs {
    #[command(flatten)]
    pub(super) key: AnyArgs,
    /// The file to write; - is standard output
    #[arg(long, value_name = "FILE")]
    pub(super) out: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(super) struct HashArgs {
    /// The hash function
    #[arg(long, default_value = "sha256")]
    pub(super) hash: HashArg,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum HashArg {
    Sha256,
    Sha384,
    Sha512,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Format {
    /// Its bytes
    Raw,
    /// One line of base64
    Base64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Bits {
    #[value(name = "2048")]
    B2048,
    #[value(name = "3072")]
    B3072,
    #[value(name = "4096")]
    B4096,
}

impl HashArg {
    pub(super) fn name(self) -> HashName {
        match self {
            Self::Sha256 => HashName::Sha256,
            Self::Sha384 => HashName::Sha384,
            Self::Sha512 => HashName::Sha512,
        }
    }
}
