//! Which model customers were scored by.

use super::{ModelFile, ModelSource};
use crate::{Error, credit::NamedMoments, job::Sha256Hex};
use serde::{Deserialize, Serialize};
use trefoil_circuits::credit::encode_model;

/// What tells the model of an evaluation from others, as far as whoever asked for it can know. All of it is public among those who may use the model, but for the digest of coefficients, which is told to
/// those who have them.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ModelIdentity {
    /// One in the clear.
    File {
        /// Of the features and their moments.
        moments: Sha256Hex,
        /// Of the coefficients, as they are computed with.
        coefficients: Sha256Hex,
    },
    /// One that is shared at the nodes.
    Table {
        /// Of the features and their moments.
        moments: Sha256Hex,
        /// Its table, for people.
        table: String,
        /// What the nodes tell this upload, or the table of this training, from others by.
        sha256: Sha256Hex,
    },
}

/// Whether two models are one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SameModel {
    /// They are.
    Yes,
    /// They are not.
    No,
    /// One of them is shared, so nobody can compare.
    Unknown,
}

impl ModelIdentity {
    /// That of a model.
    ///
    /// # Errors
    /// [`Error::Usage`] for coefficients beyond what is computed with.
    pub fn of(model: ModelSource<'_>) -> Result<Self, Error> {
        match model {
            ModelSource::Public(file) => Self::of_file(file),
            ModelSource::Table(table, moments) => Ok(Self::Table {
                moments: of_moments(moments)?,
                table: format!("{}/{}@{}", table.owner, table.name, table.version),
                sha256: table.sha256,
            }),
        }
    }

    /// That of a model in the clear.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn of_file(file: &ModelFile) -> Result<Self, Error> {
        let all = encode_model(&file.model()).map_err(|e| Error::Usage(e.to_string()))?;
        let all: Vec<i64> = all.iter().map(|x| x.0.cast_signed()).collect();
        Ok(Self::File { moments: of_moments(&file.moments)?, coefficients: hash("coefficients", &all)? })
    }

    /// Whether it is that of another evaluation, or of a file.
    pub fn same(&self, other: &Self) -> SameModel {
        match (self, other) {
            _ if self.moments() != other.moments() => SameModel::No,
            (Self::File { coefficients: one, .. }, Self::File { coefficients: other, .. }) if one != other => {
                SameModel::No
            }
            (Self::File { .. }, Self::File { .. }) => SameModel::Yes,
            (Self::Table { sha256: one, .. }, Self::Table { sha256: other, .. }) if one == other => SameModel::Yes,
            _ => SameModel::Unknown,
        }
    }

    fn moments(&self) -> Sha256Hex {
        let (Self::File { moments, .. } | Self::Table { moments, .. }) = self;
        *moments
    }
}

/// By which schema they were made is not a part of the model.
fn of_moments(NamedMoments { features, mean, sd, .. }: &NamedMoments) -> Result<Sha256Hex, Error> {
    hash("moments", &(features, mean, sd))
}

fn hash(of: &str, value: &impl Serialize) -> Result<Sha256Hex, Error> {
    let json = serde_json::to_vec(value).map_err(|e| Error::Bug(format!("a model as JSON: {e}")))?;
    Ok(Sha256Hex::of(&[format!("trefoil/v1/model/{of}/").as_bytes(), &json].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use trefoil_circuits::credit::reference::Model;

    fn file(mean: f64, weight: f64) -> ModelFile {
        let moments = NamedMoments { features: vec!["age".to_owned()], mean: vec![mean], sd: vec![12.0], schema: None };
        ModelFile::new(moments, Model { intercept: 0.125, weights: vec![weight] })
    }

    #[test]
    fn models_are_told_apart_as_far_as_anybody_can() {
        let of = |mean, weight| ModelIdentity::of_file(&file(mean, weight)).expect("a model");
        let table = |upload: &[u8]| {
            let ModelIdentity::File { moments, .. } = of(40.0, 0.5) else { panic!("of a file") };
            ModelIdentity::Table { moments, table: "lead/model@1".to_owned(), sha256: Sha256Hex::of(upload) }
        };
        for (one, other, same) in [
            (of(40.0, 0.5), of(40.0, 0.5), SameModel::Yes),
            (of(40.0, 0.5), of(40.0, 0.25), SameModel::No),
            (of(40.0, 0.5), of(41.0, 0.5), SameModel::No),
            (table(b"1"), table(b"1"), SameModel::Yes),
            (table(b"1"), table(b"2"), SameModel::Unknown),
            (table(b"1"), of(40.0, 0.25), SameModel::Unknown),
            (table(b"1"), of(41.0, 0.5), SameModel::No),
        ] {
            assert_eq!((one.same(&other), other.same(&one)), (same, same), "{one:?} {other:?}");
        }
    }
}
