//! What an institution permits with the tables it shares.

use crate::{
    job::{ModeSpec, ProgramKind},
    pki::ClientName,
    tables::Permit,
};

/// What a table is shared for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Purpose {
    /// Who may submit jobs over it, and learns sums and counts.
    pub analysts: Vec<ClientName>,
    /// Who may receive a model that was trained on it. Without any, a model stays shared.
    pub model_to: Vec<ClientName>,
    /// Who may receive scores of single customers: of its rows, or by the model that it is or was part of.
    pub scores_to: Vec<ClientName>,
    /// The least count of customers that is told.
    pub minimum: u64,
    /// The mode of the jobs.
    pub mode: ModeSpec,
}

impl Purpose {
    /// For features within their ranges: sums and sums of squares, for the analysts.
    pub fn moments(&self) -> Vec<Permit> {
        vec![self.permit(ProgramKind::Moments, &self.analysts)]
    }

    /// For standardized features: training, with the model kept for scores; scores, or their counts; counts of single features.
    pub fn customers(&self) -> Vec<Permit> {
        let mut train = self.permit(ProgramKind::CreditTrain, &self.model_to);
        train.keep = self.model();
        let mut permits = vec![train, self.permit(ProgramKind::CreditCounts, &self.analysts)];
        permits.extend(self.model());
        permits
    }

    /// For a model: scores, or their counts.
    pub fn model(&self) -> Vec<Permit> {
        let mut score = self.permit(ProgramKind::CreditScore, &self.scores_to);
        score.keep = self.scores();
        vec![score]
    }

    /// For scores that stay at the nodes: counts.
    pub fn scores(&self) -> Vec<Permit> {
        vec![self.permit(ProgramKind::CreditCounts, &self.analysts)]
    }

    fn permit(&self, program: ProgramKind, recipients: &[ClientName]) -> Permit {
        Permit {
            programs: vec![program],
            modes: vec![self.mode],
            requesters: self.analysts.clone(),
            recipients: recipients.to_vec(),
            keep: Vec::new(),
            minimum: if program == ProgramKind::CreditCounts { self.minimum } else { 0 },
        }
    }
}
