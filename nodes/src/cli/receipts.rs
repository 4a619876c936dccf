//! What the nodes have signed that they have deleted: checked, shown and kept.

use crate::{
    Error,
    client::credit::NewFile,
    config::Cluster,
    receipt::{Receipt, Statement, now_unix},
};
use std::path::PathBuf;
use trefoil_engine::Party;

/// Where receipts go.
#[derive(Debug, clap::Args)]
pub(super) struct ReceiptArgs {
    /// Write the nodes' receipts here, as JSON
    #[arg(long, value_name = "FILE")]
    receipts: Option<PathBuf>,
}

/// What nodes have signed.
pub(super) struct Checked<S> {
    /// What each states whose receipt is right.
    pub(super) stated: Vec<(Party, S)>,
    /// The receipts of these.
    pub(super) receipts: Vec<Receipt>,
    /// Why another node has not deleted it, or not signed that.
    pub(super) failed: Option<Error>,
}

impl ReceiptArgs {
    /// The file, made before anything is deleted.
    pub(super) fn file(&self) -> Result<Option<NewFile>, Error> {
        self.receipts.as_deref().map(NewFile::create).transpose()
    }
}

impl<S: Statement> Checked<S> {
    /// Of what the nodes have answered just now, as far as it is what was asked for.
    pub(super) fn of(cluster: &Cluster, answers: [Result<Receipt, Error>; 3], asked: impl Fn(&S) -> bool) -> Self {
        let (mut stated, mut receipts, mut failed) = (Vec::new(), Vec::new(), None);
        for (party, answer) in Party::ALL.into_iter().zip(answers) {
            let checked = answer.and_then(|receipt| {
                let wrong = |e| Error::Integrity(format!("{party}: {e}"));
                receipt
                    .verify_answer((cluster, party), now_unix(), &asked)
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
        Self { stated, receipts, failed }
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
