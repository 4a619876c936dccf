//! What the nodes have signed that they have deleted: checked, shown and kept.

use super::Exit;
use crate::{
    Error,
    client::credit::NewFile,
    config::Cluster,
    receipt::{Nonce, Receipt, Statement, now_unix},
};
use std::path::PathBuf;
use trefoil_engine::Party;

/// Where receipts go.
#[derive(Debug, clap::Args)]
pub(super) struct ReceiptArgs {
    /// Write the nodes' receipts here, as JSON
    #[arg(long, value_name = "FILE")]
    receipts: Option<PathBuf>,
    /// Ask again for the receipts of a deletion whose answers were lost, by the nonce that it named: nodes give the same ones for a week [default: a new one]
    #[arg(long, value_name = "NONCE")]
    nonce: Option<Nonce>,
}

/// What nodes have signed.
pub(super) struct Checked<S> {
    /// What each states whose receipt is right.
    pub(super) stated: Vec<(Party, S)>,
    /// The receipts of these.
    pub(super) receipts: Vec<Receipt>,
    /// Why another node has not deleted it, or not signed that.
    failed: Option<Error>,
    nonce: Nonce,
}

impl ReceiptArgs {
    /// The file, made before anything is deleted.
    pub(super) fn file(&self) -> Result<Option<NewFile>, Error> {
        self.receipts.as_deref().map(NewFile::create).transpose()
    }

    /// What tells this deletion from others.
    pub(super) fn nonce(&self) -> Result<Nonce, Error> {
        self.nonce.map_or_else(Nonce::random, Ok)
    }
}

impl<S: Statement> Checked<S> {
    /// Of what the nodes have answered just now, as far as it is what was asked for.
    pub(super) fn of(
        (cluster, nonce): (&Cluster, Nonce),
        answers: [Result<Receipt, Error>; 3],
        asked: impl Fn(&S) -> bool,
    ) -> Self {
        let (mut stated, mut receipts, mut failed) = (Vec::new(), Vec::new(), None);
        for (party, answer) in Party::ALL.into_iter().zip(answers) {
            let checked = answer.and_then(|receipt| {
                let wrong = |e| Error::Integrity(format!("{party}: {e}"));
                receipt
                    .verify_answer((cluster, party), (now_unix(), Some(nonce)), &asked)
                    .map_err(wrong)
                    .map(|stated| (stated, receipt))
            });
            match checked {
                Ok((of_party, receipt)) => {
                    stated.push((party, of_party));
                    receipts.push(receipt);
                }
                // The others are told of all the same.
                Err(e) => failed = failed.or(Some(e)),
            }
        }
        Self { stated, receipts, failed, nonce }
    }

    /// How the command ends, and what to do for receipts that are missing.
    pub(super) fn end(self) -> Result<Exit, Error> {
        let Some(error) = self.failed else { return Ok(Exit::Ok) };
        tracing::warn!(
            "not every node has signed that it deleted this; run the same command with --nonce {} for the receipts of all three",
            self.nonce
        );
        Err(error)
    }

    /// Writes the receipts, if a file is there for them.
    pub(super) fn keep(&self, file: Option<NewFile>) -> Result<(), Error> {
        if let Some(mut file) = file {
            file.fill_json(&self.receipts)?;
            file.place()?;
        }
        Ok(())
    }
}
