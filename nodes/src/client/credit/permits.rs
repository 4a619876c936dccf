//! What an institution permits with the tables it shares.

use crate::{
    job::{ModeSpec, ProgramKind},
    pki::ClientName,
    tables::{Permit, ScoreDetail, TableStatus},
};
use std::collections::BTreeSet;

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
    /// Whose customers are in it when moments are computed, a model is trained or customers are counted, the owner among them: of all of these, and of no others.
    pub pooled_with: Vec<ClientName>,
    /// What those are told who receive scores of the customers in it.
    pub scores: ScoreDetail,
    /// What those are told who receive scores by the model.
    pub model_scores: ScoreDetail,
    /// The least count of customers that is told, and the least rows of each table of which moments are computed.
    pub minimum: u64,
    /// How many jobs of each kind each client may submit; 0 if that is not bounded.
    pub times: u32,
    /// The mode of the jobs.
    pub mode: ModeSpec,
}

/// Whose customers these tables tell of: those whom a table's permit to count names, with itself, or its owner. A joined table tells of customers of the owners of all tables that were joined, and belongs to
/// none of these.
pub fn whose_customers(tables: &[TableStatus]) -> Vec<ClientName> {
    let named = |table: &TableStatus| {
        let counts = |permit: &&Permit| permit.programs.contains(&ProgramKind::CreditCounts);
        let with = table.permits.iter().find(counts).map(|permit| permit.with.clone());
        with.filter(|with| !with.is_empty()).unwrap_or_else(|| vec![table.owner.clone()])
    };
    tables.iter().flat_map(named).collect::<BTreeSet<_>>().into_iter().collect()
}

impl Purpose {
    /// For these analysts to count customers of the owner alone, and nothing else.
    pub fn new(analysts: Vec<ClientName>, minimum: u64, mode: ModeSpec) -> Self {
        Self {
            analysts,
            model_to: Vec::new(),
            scores_to: Vec::new(),
            model_scores_to: Vec::new(),
            pooled_with: Vec::new(),
            scores: ScoreDetail::Decision,
            model_scores: ScoreDetail::Decision,
            minimum,
            times: 0,
            mode,
        }
    }

    /// For tables of this owner, which is always in the job.
    #[must_use]
    pub fn of_owner(mut self, owner: &ClientName) -> Self {
        if !self.pooled_with.contains(owner) {
            self.pooled_with.push(owner.clone());
        }
        self
    }

    /// For features within their ranges: sums and sums of squares, for the analysts.
    pub fn moments(&self) -> Vec<Permit> {
        vec![self.pooled(ProgramKind::Moments, &self.analysts)]
    }

    /// For standardized features: training, with the model kept for scores; scores, or their counts; counts of single features.
    pub fn customers(&self) -> Vec<Permit> {
        let train = Permit { keep: self.model(), ..self.pooled(ProgramKind::CreditTrain, &self.model_to) };
        let score = Permit { keep: self.scores(), tell: self.scores, ..self.scoring(&self.scores_to) };
        vec![train, score, self.pooled(ProgramKind::CreditCounts, &self.analysts)]
    }

    /// As [`customers`](Self::customers), and for the analysts to join with tables of all whom `pooled_with` names; the joined table, which tells of customers of all of them, is permitted for what all
    /// owners permit.
    pub fn joinable(&self) -> Vec<Permit> {
        let join = Permit { keep: self.customers(), ..self.pooled(ProgramKind::CreditJoin, &[]) };
        self.customers().into_iter().chain([join]).collect()
    }

    /// For a model that was trained on the customers: scores, of whomever, or counts of scores of the customers of `pooled_with`.
    ///
    /// Counts of scores of customers that somebody has made up would tell the coefficients.
    pub fn model(&self) -> Vec<Permit> {
        vec![Permit { keep: self.scores(), ..self.by_model() }]
    }

    /// For a model of its owner: scores, of whomever; and counts of scores if scores may be numbers, since either tells the coefficients to those who make customers up.
    pub fn secret_model(&self) -> Vec<Permit> {
        let keep = match self.model_scores {
            ScoreDetail::Decision => Vec::new(),
            ScoreDetail::Number => vec![self.permit(ProgramKind::CreditCounts, &self.analysts)],
        };
        vec![Permit { keep, ..self.by_model() }]
    }

    /// For scores that stay at the nodes: counts.
    pub fn scores(&self) -> Vec<Permit> {
        vec![self.pooled(ProgramKind::CreditCounts, &self.analysts)]
    }

    fn by_model(&self) -> Permit {
        Permit { tell: self.model_scores, ..self.scoring(&self.model_scores_to) }
    }

    fn scoring(&self, recipients: &[ClientName]) -> Permit {
        let mut score = self.permit(ProgramKind::CreditScore, recipients);
        score.requesters.extend(recipients.iter().filter(|name| !self.analysts.contains(name)).cloned());
        score
    }

    fn pooled(&self, program: ProgramKind, recipients: &[ClientName]) -> Permit {
        Permit { with: self.pooled_with.clone(), ..self.permit(program, recipients) }
    }

    fn permit(&self, program: ProgramKind, recipients: &[ClientName]) -> Permit {
        Permit {
            programs: vec![program],
            modes: vec![self.mode],
            requesters: self.analysts.clone(),
            recipients: recipients.to_vec(),
            minimum: match program {
                ProgramKind::CreditCounts | ProgramKind::Moments | ProgramKind::CreditJoin => self.minimum,
                _ => 0,
            },
            times: self.times,
            ..Permit::default()
        }
    }
}
