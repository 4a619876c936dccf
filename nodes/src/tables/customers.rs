//! Whose customers a job is about, and what an owner permits of jobs about those of others too.

use super::{Permit, spec::all_in};
use crate::{job::ProgramKind, pki::ClientName};

/// Those whose customers a job is about, as one of its tables sees them: the owners of the tables that bring features, values or labels. What was made of tables row by row stands for the owners of
/// these, whoever holds it; a model stands for nobody.
#[derive(Clone, Debug)]
pub struct Customers<'a> {
    all: &'a [ClientName],
    /// Those of whom the table does not tell.
    others: Vec<ClientName>,
    is_model: bool,
}

impl<'a> Customers<'a> {
    /// As a table sees them that tells of customers of `own`, which are among all.
    pub fn beside(all: &'a [ClientName], own: &[ClientName]) -> Self {
        Self { all, others: all.iter().filter(|owner| !own.contains(owner)).cloned().collect(), is_model: false }
    }

    /// As a model sees them that they are scored by.
    pub fn scored_by_model(all: &'a [ClientName]) -> Self {
        Self { all, others: all.to_vec(), is_model: true }
    }

    /// Whether they are those that a permit asks for in jobs of a program, and no others.
    ///
    /// Whoever may bring a table of its own beside that of an owner chooses which customers are told of together: it takes its part away from a sum over all, or marks single customers by a column.
    pub(super) fn suit(&self, permit: &Permit, program: ProgramKind) -> bool {
        let any = permit.with.is_empty() && (self.is_model || tells_of_no_group(program));
        any || self.are_those(permit)
    }

    /// Whether what a job of a program leaves of them at the nodes, with one permit, is within another, which the table keeps.
    pub(super) fn may_stay(&self, stays: &Permit, kept: &Permit, program: ProgramKind) -> bool {
        if self.is_model && kept.with.is_empty() {
            return stays.is_narrower(kept);
        }
        let of_rows = matches!(program, ProgramKind::CreditScore | ProgramKind::CreditJoin);
        stays.is_within(kept) && (!of_rows || self.suit_rows(stays))
    }

    /// Whether rows that tell of all of them may stay with a permit: else the table would, under its next permit, be among its own where the owner asks for others.
    fn suit_rows(&self, permit: &Permit) -> bool {
        let scores = permit.programs.iter().all(|program| *program == ProgramKind::CreditScore);
        let suits = (scores && permit.with.is_empty()) || all_in(&self.others, &permit.with);
        let again = permit.programs.contains(&ProgramKind::CreditScore);
        suits && (!again || permit.keep.iter().all(|keep| self.suit_rows(keep)))
    }

    fn are_those(&self, permit: &Permit) -> bool {
        all_in(&permit.with, self.all) && all_in(&self.others, &permit.with)
    }
}

/// A score is that of one row, whatever rows stand beside it, and a sum over more tables tells no more than sums over each.
fn tells_of_no_group(program: ProgramKind) -> bool {
    matches!(program, ProgramKind::CreditScore | ProgramKind::Moments)
}
