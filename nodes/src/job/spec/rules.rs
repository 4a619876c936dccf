//! What may stand beside tables of others in one job.

use super::{InputSpec, JobSpec, OutputSpec, ProgramSpec, ReportSpec, Role, SpecFault, TableInput};
use std::collections::HashMap;

/// Permits that the tables which a job makes may have, with those that they keep.
const MOST_PERMITS: usize = 64;

impl JobSpec {
    /// Refuses inputs that would tell of single customers what owners permit of all together.
    ///
    /// Whoever brings rows beside those of others, or labels for them, chooses what the result tells of single ones: with labels of its own that are set for one customer, the change of a
    /// coefficient is that customer's feature.
    pub(super) fn check_sources(&self) -> Result<(), SpecFault> {
        // Outputs that become columns of one table have its permits once.
        let tables: HashMap<_, _> = self.kept().map(|table| ((&table.name, table.version), &table.permits)).collect();
        let counted: usize = tables.values().copied().flatten().map(|permit| permit.size().permits).sum();
        if counted > MOST_PERMITS {
            return Err(SpecFault::Permits);
        }
        let of = |is: fn(Role) -> bool| {
            let ports = self.program.ports().into_iter().zip(&self.inputs);
            ports.filter(move |(port, _)| is(port.role)).map(|(_, input)| input).collect::<Vec<_>>()
        };
        let (features, labels) = (of(Role::is_customers), of(|role| role == Role::Labels));
        let customers: Vec<&InputSpec> = features.iter().chain(&labels).copied().collect();
        let tables: Vec<&TableInput> = customers.iter().filter_map(|input| input.table()).collect();
        match &self.program {
            ProgramSpec::AesCtr(_) | ProgramSpec::Circuit(_) | ProgramSpec::Moments(_) => return Ok(()),
            ProgramSpec::CreditScore(_)
            | ProgramSpec::CreditTrain(_)
            | ProgramSpec::CreditCounts(_)
            | ProgramSpec::CreditAuc(_)
            | ProgramSpec::CreditJoin(_) => {}
        }
        if !tables.is_empty() && tables.len() != customers.len() {
            return Err(SpecFault::Mixed);
        }
        let is = |one: &InputSpec, other: &InputSpec| match (one.table(), other.table()) {
            (Some(one), Some(other)) => one.key() == other.key(),
            _ => false,
        };
        match &self.program {
            ProgramSpec::CreditScore(_) if tables.is_empty() && self.kept().next().is_some() => {
                Err(SpecFault::KeptScores)
            }
            ProgramSpec::CreditTrain(_) if !tables.is_empty() => {
                let together = if labels.len() == features.len() {
                    labels.iter().zip(&features).position(|(label, features)| !is(label, features))
                } else {
                    labels.iter().position(|label| !features.iter().any(|features| is(label, features)))
                };
                together.map_or(Ok(()), |k| Err(SpecFault::Labels(features.len() + k)))
            }
            ProgramSpec::CreditJoin(join) if !tables.is_empty() => {
                let labelled = join.labels.and_then(|k| features.get(k as usize));
                let together = labels.iter().zip(labelled).all(|(label, features)| is(label, features));
                if together { Ok(()) } else { Err(SpecFault::Labels(features.len())) }
            }
            _ => Ok(()),
        }
    }

    /// Whether an output is told to somebody.
    pub fn is_told(&self, output: usize) -> bool {
        self.outputs.get(output).is_none_or(|output: &OutputSpec| !output.recipients.is_empty())
    }
}

impl ProgramSpec {
    /// Whether an output has several entries for each customer, who would count several times in counts of the output: reasons, and probabilities in bits.
    pub(super) fn has_several(&self, output: usize) -> bool {
        match self {
            Self::CreditScore(score) => {
                matches!(score.reports.get(output), Some(ReportSpec::Reasons(_) | ReportSpec::ProbabilityBits))
            }
            _ => false,
        }
    }
}

impl InputSpec {
    /// The table, if it is one.
    pub fn table(&self) -> Option<&TableInput> {
        match self {
            Self::Upload => None,
            Self::Table(table) => Some(table),
        }
    }
}
