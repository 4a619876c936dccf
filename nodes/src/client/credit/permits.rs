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
    /// Who may receive, and ask for, scores of the customers in it.
    pub scores_to: Vec<ClientName>,
    /// Who may receive, and ask for, scores of customers by the model that it is, or that was trained on it.
    pub model_scores_to: Vec<ClientName>,
    /// The least count of customers that is told.
    pub minimum: u64,
    /// The mode of the jobs.
    pub mode: ModeSpec,
}

impl Purpose {
    /// Counts for one client and nothing else.
    pub fn counts(analyst: ClientName, minimum: u64, mode: ModeSpec) -> Self {
        let (model_to, scores_to, model_scores_to) = (Vec::new(), Vec::new(), Vec::new());
        Self { analysts: vec![analyst], model_to, scores_to, model_scores_to, minimum, mode }
    }

    /// For features within their ranges: sums and sums of squares, for the analysts.
    pub fn moments(&self) -> Vec<Permit> {
        vec![self.permit(ProgramKind::Moments, &self.analysts)]
    }

    /// For standardized features: training, with the model kept for scores; scores, or their counts; counts of single features.
    pub fn customers(&self) -> Vec<Permit> {
        let mut train = self.permit(ProgramKind::CreditTrain, &self.model_to);
        train.keep = self.model();
        vec![train, self.scoring(&self.scores_to), self.permit(ProgramKind::CreditCounts, &self.analysts)]
    }

    /// For a model: scores, or their counts.
    pub fn model(&self) -> Vec<Permit> {
        vec![self.scoring(&self.model_scores_to)]
    }

    /// For scores that stay at the nodes: counts.
    pub fn scores(&self) -> Vec<Permit> {
        vec![self.permit(ProgramKind::CreditCounts, &self.analysts)]
    }

    fn scoring(&self, recipients: &[ClientName]) -> Permit {
        let mut score = self.permit(ProgramKind::CreditScore, recipients);
        score.requesters.extend(recipients.iter().filter(|name| !self.analysts.contains(name)).cloned());
        score.keep = self.scores();
        score
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
