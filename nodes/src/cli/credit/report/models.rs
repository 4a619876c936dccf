//! Whether the files of a report are of one model.

use super::ReportArgs;
use crate::{
    Error,
    client::credit::{EvaluationFile, ModelFile, ModelIdentity, SameModel},
};
use std::path::PathBuf;

impl ReportArgs {
    /// Refuses a file of another model, and counts by another one: neither belongs into the report. What cannot be known of the file is said.
    pub(super) fn same_models(
        &self,
        counts: &EvaluationFile,
        earlier: Option<&EvaluationFile>,
        model: Option<&ModelFile>,
    ) -> Result<Option<String>, Error> {
        let shown = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        let same = |other: Option<&ModelIdentity>| {
            counts.identity.as_ref().zip(other).map_or(SameModel::Unknown, |(own, other)| own.same(other))
        };
        let own = self.counts.display();
        let of_earlier = earlier.map(|earlier| same(earlier.identity.as_ref()));
        let earlier = shown(&self.earlier);
        match of_earlier {
            Some(SameModel::No) => {
                return Err(Error::Usage(format!(
                    "{earlier} and {own} are counts of scores by different models, so that the stability index would say nothing; evaluate the earlier population with the model of {own}"
                )));
            }
            Some(SameModel::Unknown) if !self.same_model => {
                return Err(Error::Usage(format!(
                    "whether {earlier} and {own} are counts of scores by one model cannot be known, since it is shared at the nodes, and shared or trained anew in between; evaluate the earlier population with the model of {own}, or say --same-model if it is the same"
                )));
            }
            _ => {}
        }
        let (path, of_model) = (shown(&self.model), model.map(ModelIdentity::of_file).transpose()?);
        match of_model.map(|of_model| same(Some(&of_model))) {
            Some(SameModel::No) => Err(Error::Usage(format!(
                "{path} is another model than the one that customers were scored by for {own}; give that one, or leave --model away"
            ))),
            Some(SameModel::Unknown) => Ok(Some(format!(
                "the coefficients are those of {path}; whether the shared model that customers were scored by has the same cannot be known"
            ))),
            _ => Ok(None),
        }
    }
}
