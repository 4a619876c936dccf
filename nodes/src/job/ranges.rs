//! Which inputs of a job are checked on shares to be within the limits of its program.

use super::{
    Input, Job, ModeSpec,
    agree::{Agreed, Entry},
    sources::Limited,
};
use crate::tables::TableFault;

/// The limits of the inputs of a job, and what is known of them.
///
/// What comes with a job is checked each time, unless the client that brings it is the only one to learn anything of the job: it could only deceive itself, and it learns of the other inputs no
/// more by entries out of range than by others, since an output has the same size whatever the input is. A table is checked by the first job that needs it; afterwards the nodes know.
#[derive(Debug)]
pub(super) struct Ranges {
    mode: ModeSpec,
    /// What is to be checked.
    limits: Vec<Option<u64>>,
    /// What is known of tables afterwards.
    tables: Vec<Option<Limited>>,
}

impl Ranges {
    /// Those of the inputs of a job of which some output may stay at the nodes.
    pub(super) fn new(job: &Job, inputs: &[Input], limits: Vec<Option<u64>>, stays: bool) -> Self {
        let outputs = &job.terms().outputs;
        let own = !stays && outputs.iter().all(|output| output.recipients.iter().all(|name| name == job.owner()));
        let limit = |(input, limit): (&Input, Option<u64>)| limit.filter(|_| input.table().is_some() || !own);
        let limits: Vec<_> = inputs.iter().zip(limits).map(limit).collect();
        let table = |(input, limit): (&Input, &Option<u64>)| limit.and_then(|limit| input.limited(limit));
        let tables = inputs.iter().zip(&limits).map(table).collect();
        Self { mode: job.terms().mode, limits, tables }
    }

    /// The tables of the job, as this node has them. From now on it computes on these shares of them, or on those that [`agreed`](Self::agreed) puts in their place.
    pub(super) fn entries(&self, inputs: &mut [Input]) -> Vec<Entry> {
        let entry = |(input, limited): (&mut Input, &Option<Limited>)| {
            let Input::Table(table) = input else { return None };
            let within = limited.as_ref().is_some_and(|limited| limited.is_known(self.mode));
            Some(Entry { name: table.to_string(), shares: table.pin(), within })
        };
        inputs.iter_mut().zip(&self.tables).filter_map(entry).collect()
    }

    /// The nodes have told each other of each table which shares of it they have, and whether they know it to be within its limit: such a table is not checked again.
    ///
    /// # Errors
    /// [`TableFault`] if the shares that all have could not be put in use here.
    pub(super) async fn agreed(&mut self, inputs: &mut [Input], agreed: &[Agreed]) -> Result<(), TableFault> {
        let tables = inputs.iter_mut().zip(&mut self.limits).filter_map(|(input, limit)| match input {
            Input::Table(table) => Some((table, limit)),
            Input::Upload(_) => None,
        });
        for ((table, limit), agreed) in tables.zip(agreed) {
            *limit = limit.filter(|_| !agreed.within);
            if let Some(mark) = &agreed.advances {
                table.advance(mark).await?;
            }
        }
        Ok(())
    }

    /// What is to be checked of each input.
    pub(super) fn limits(&self) -> &[Option<u64>] {
        &self.limits
    }

    /// All inputs were within their limits.
    pub(super) fn found(&self) {
        self.tables.iter().flatten().for_each(|limited| limited.found(self.mode));
    }
}
