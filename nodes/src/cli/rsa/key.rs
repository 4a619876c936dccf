//! Keys from and to files.

use super::{args::NewArgs, rows::Row};
use crate::{
    Error,
    cli::{Exit, interruptible},
    client::{Client, KeyTerms, credit::NewFile},
    pki::read_private,
};
use base64ct::{Base64, Encoding};
use std::{fs, path::Path, time::SystemTime};
use trefoil_auth::rsa::{KeySize, PrivateKey, PublicKey, randomness};

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";

/// The longest file of a public key that is read.
const MAX_PEM: u64 = 1 << 16;

/// Makes or reads a key, splits it and enrols it. The whole key is there as short as can be.
pub(super) fn enrol(args: NewArgs, make: impl FnOnce() -> Result<PrivateKey, Error>) -> Result<Exit, Error> {
    let target = args.own.cluster.resolve()?;
    let file = args.public.as_deref().map(NewFile::create).transpose()?;
    let name = args.own.name;
    let expires = args.expires.map(|expires| expires.resolve(SystemTime::now())).transpose();
    let expires = expires.map_err(|e| Error::Usage(format!("--expires: {e}")))?;
    let terms = KeyTerms { signers: args.signers.into_iter().collect(), expires };
    let shares = {
        let key = make()?;
        key.split_among_nodes(&mut randomness()?)
    };
    let report = interruptible(async {
        let client = Client::connect(&target.cluster, &target.identity).await?;
        client.enrol_key(&name, &terms, &shares).await
    })?;
    if let Some(mut file) = file {
        file.fill(&pem(&report.public)?)?;
        file.place()?;
    }
    let row = Row::new(&report)?;
    args.output.resolve().print(&row, format!("the three nodes have the key between them: {}", row.text()))?;
    Ok(Exit::Ok)
}

pub(super) fn generate(size: KeySize) -> Result<PrivateKey, Error> {
    Ok(PrivateKey::generate(size, &mut randomness()?)?)
}

pub(super) fn read(path: &Path) -> Result<PrivateKey, Error> {
    let pem = read_private(path)?;
    let not_text = |_| Error::Usage(format!("{} is no PEM file", path.display()));
    Ok(PrivateKey::from_pem(std::str::from_utf8(&pem).map_err(not_text)?)?)
}

/// `SubjectPublicKeyInfo` as PEM.
pub(super) fn pem(public: &PublicKey) -> Result<String, Error> {
    let text = Base64::encode_string(&public.to_spki()?);
    let mut pem = format!("{BEGIN}\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    Ok(format!("{pem}{END}\n"))
}

pub(super) fn read_public(path: &Path) -> Result<PublicKey, Error> {
    let system = || Error::system(format!("read the public key {}", path.display()));
    if fs::metadata(path).map_err(system())?.len() > MAX_PEM {
        return Err(Error::Usage(format!("{} is too long for a public key", path.display())));
    }
    let pem = fs::read_to_string(path).map_err(system())?;
    let body = pem.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END)).map(|(body, _)| body);
    let text: String = body.unwrap_or_default().split_whitespace().collect();
    let form = || Error::Usage(format!("{} has no PUBLIC KEY in PEM; `trefoil rsa public` writes one", path.display()));
    let der = Base64::decode_vec(&text).ok().filter(|der| !der.is_empty()).ok_or_else(form)?;
    Ok(PublicKey::from_spki(&der)?)
}
