//! Jobs that owners do not permit, in terms of the options that permit them.

use crate::{
    Error,
    api::ProblemKind,
    client::credit::{Asked, Obstacles, Pooling, column_jobs, obstacles},
    job::{ModeSpec, ProgramKind},
    pki::ClientName,
    tables::{ScoreDetail, TableStatus},
};

/// A job that was denied, with the options that would permit it: those that are in the way of what was asked, or all if none of them can be named.
pub(super) fn denied(
    error: Error,
    (tables, model): (&[TableStatus], Option<&TableStatus>),
    asked: &[Asked<'_>],
) -> Error {
    let Error::Refused { node, mut problem } = error else { return error };
    if problem.kind() == Some(ProblemKind::Denied) {
        let lacks =
            asked.iter().map(|asked| obstacles(tables, model, asked)).fold(Obstacles::default(), Obstacles::and);
        problem.detail = if lacks.is_empty() {
            format!(
                "{}. With `trefoil credit share` the owner names who asks with --analyst, who receives scores with --scores-to, or for scores by a model with --model-scores-to, and a model with --model-to; it bounds jobs with \
                 --pooled-with, --minimum, --times and --mode",
                problem.detail
            )
        } else {
            lacks.to_string()
        };
    }
    Error::Refused { node, problem }
}

/// What an evaluation asks the owners of its tables for: scores that stay at the nodes, and their counts.
pub(super) struct Evaluation<'a> {
    pub(super) tables: &'a [TableStatus],
    pub(super) pooling: &'a Pooling,
    /// The table of the model, if it is not in the clear.
    pub(super) model: Option<&'a TableStatus>,
    pub(super) columns: &'a [String],
    pub(super) minimum: u64,
    pub(super) mode: ModeSpec,
}

impl Evaluation<'_> {
    /// Refuses it before its first job if it can be seen that a later one will be denied.
    pub(super) fn check(&self, requester: &ClientName) -> Result<(), Error> {
        let all = self.obstacles(requester)?;
        if all.is_empty() { Ok(()) } else { Err(Error::Usage(format!("the tables may not be used for this: {all}"))) }
    }

    fn obstacles(&self, requester: &ClientName) -> Result<Obstacles, Error> {
        let (minimum, tell, mode) = (self.minimum, ScoreDetail::Decision, self.mode);
        let mut times = (1, 2);
        for column in self.columns {
            let jobs = column_jobs(self.pooling, column)?;
            times = (times.0 + jobs.scores, times.1 + jobs.counts);
        }
        let program = ProgramKind::CreditScore;
        let scores = Asked { program, requester, recipients: &[], minimum, tell, mode, times: times.0 };
        let parts = if matches!(self.pooling, Pooling::Horizontal(_)) { self.tables.len() } else { 1 };
        // Columns are counted by models of their own.
        let by_model = Asked { times: u32::try_from(parts).unwrap_or(u32::MAX), ..scores };
        let recipients = std::slice::from_ref(requester);
        let counts = Asked { program: ProgramKind::CreditCounts, recipients, times: times.1, ..scores };
        let of_model = match self.model {
            Some(_) => obstacles(self.tables, self.model, &by_model),
            None => Obstacles::default(),
        };
        // A table that is in the way of both says so once.
        Ok(obstacles(self.tables, None, &scores).and(of_model).and(obstacles(self.tables, None, &counts)))
    }
}
