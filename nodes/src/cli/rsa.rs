//! `trefoil rsa`: signing keys that the three nodes have between them, and no one of them.

mod args;
mod key;
mod message;
mod rows;

use super::{Exit, Output, interruptible, receipts::Checked};
use crate::{Error, client::Client, keys::Deletion, pki::Role};
pub use args::{
    DeleteArgs, ImportArgs, KeygenArgs, ListArgs, PublicArgs, RefreshArgs, RsaCommand, SignArgs, VerifyArgs,
};
use rows::{Deleted, Row, Signed};
use trefoil_auth::rsa::{KeySize, Message};

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
        args::Bits::B2048 => KeySize::Rsa2048,
        args::Bits::B3072 => KeySize::Rsa3072,
        args::Bits::B4096 => KeySize::Rsa4096,
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
    let (file, nonce) = (args.receipts.file()?, args.receipts.nonce()?);
    let (key, answers) = interruptible(async {
        let client = Client::new(&target.cluster, &target.identity)?;
        // What is left of an enrolment that came to nothing is described by no two nodes.
        Ok((client.key(None, name).await.ok(), client.delete_key(name, nonce).await))
    })?;
    let asked = |deletion: &Deletion| {
        matches!(target.identity.role(), Role::Client(owner) if *owner == deletion.owner)
            && deletion.name == *name
            && key.as_ref().is_none_or(|key| key.public.id() == deletion.key_sha256.0)
    };
    let checked = Checked::of((&target.cluster, nonce), answers, asked);
    checked.keep(file)?;
    let deleted = Deleted { name, receipts: &checked.receipts };
    let count = checked.receipts.len();
    args.output.resolve().print(&deleted, format!("{count} of 3 nodes have deleted `{name}` and signed it"))?;
    checked.end()
}

fn public(args: &PublicArgs) -> Result<Exit, Error> {
    let target = args.key.own.cluster.resolve()?;
    let sink = message::Sink::create(&args.out)?;
    let report = interruptible(async {
        let client = Client::new(&target.cluster, &target.identity)?;
        client.key(args.key.owner.as_ref(), &args.key.own.name).await
    })?;
    if let Some(odd) = report.odd {
        tracing::warn!("{odd} describes another enrolment of the key than the two others; find out what runs there");
    }
    sink.write(key::pem(&report.public)?.as_bytes())?;
    Ok(Exit::Ok)
}
