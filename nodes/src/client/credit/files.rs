//! Models and moments as files.

use crate::{
    Error,
    credit::{NamedMoments, report::Coefficient},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{fmt, fs, path::Path};
use trefoil_circuits::credit::{encode_model, reference::Model};
use zeroize::Zeroize;

/// The version of the form of models.
const FORMAT: u32 = 1;

/// A model in the clear, with all that is needed to use it. Its coefficients may be a secret: they are wiped on drop, and not printed.
#[derive(Clone, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    /// Version of this form: 1.
    pub format: u32,
    /// The features in order, and what they are standardized by.
    pub moments: NamedMoments,
    /// The intercept.
    pub intercept: f64,
    /// The weights of the standardized features.
    pub weights: Vec<f64>,
}

impl ModelFile {
    /// A model of features with these moments.
    pub fn new(moments: NamedMoments, model: Model) -> Self {
        Self { format: FORMAT, moments, intercept: model.intercept, weights: model.weights }
    }

    /// Reads and checks one.
    ///
    /// # Errors
    /// [`Error::System`] if it cannot be read; [`Error::Usage`] for another form, another number of weights than of features, or weights beyond 32.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let file: Self = read_json(path, "a model as `trefoil credit train --out` writes it")?;
        let fault = |cause: String| Err(Error::Usage(format!("{}: {cause}", path.display())));
        if file.format != FORMAT {
            return fault(format!("its format is {} and {FORMAT} is read", file.format));
        }
        check(path, &file.moments)?;
        if file.weights.len() != file.moments.features.len() {
            return fault("weights and features are not equally many".to_owned());
        }
        match encode_model(&file.model()) {
            Ok(_) => Ok(file),
            Err(e) => fault(format!("{e}; correct the coefficients")),
        }
    }

    /// Its coefficients.
    pub fn model(&self) -> Model {
        Model { intercept: self.intercept, weights: self.weights.clone() }
    }

    /// Its coefficients by name, as reports list them.
    pub fn coefficients(&self) -> Vec<Coefficient> {
        let names = std::iter::once("intercept").chain(self.moments.features.iter().map(String::as_str));
        let values = std::iter::once(self.intercept).chain(self.weights.iter().copied());
        let coefficient =
            |(name, value): (&str, f64)| Coefficient { name: name.to_owned(), value, standard_error: None, p: None };
        names.zip(values).map(coefficient).collect()
    }
}

impl Drop for ModelFile {
    fn drop(&mut self) {
        self.intercept.zeroize();
        self.weights.zeroize();
    }
}

impl fmt::Debug for ModelFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelFile").field("features", &self.moments.features).finish_non_exhaustive()
    }
}

/// Reads moments.
///
/// # Errors
/// [`Error::System`] if the file cannot be read, [`Error::Usage`] if it is none of moments.
pub fn read_moments(path: &Path) -> Result<NamedMoments, Error> {
    let moments =
        read_json(path, "moments as `trefoil credit moments` or `trefoil credit share --own-moments` writes them")?;
    check(path, &moments)?;
    Ok(moments)
}

fn check(path: &Path, moments: &NamedMoments) -> Result<(), Error> {
    let NamedMoments { features, mean, sd, .. } = moments;
    let equally = mean.len() == features.len() && sd.len() == features.len();
    if equally && mean.iter().all(|m| m.is_finite()) && sd.iter().all(|sd| sd.is_normal() && *sd > 0.0) {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "{}: features, means and deviations are not equally many, or a deviation is not above 0; take the file as it was written",
        path.display()
    )))
}

/// The longest file of a model, moments or counts, in bytes.
const MOST: u64 = 16 << 20;

/// Reads a small file of JSON.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path, what: &str) -> Result<T, Error> {
    let failed = || Error::system(format!("read {}", path.display()));
    let length = fs::metadata(path).map_err(failed())?.len();
    if length > MOST {
        return Err(Error::Usage(format!("{} has {length} bytes; give {what}", path.display())));
    }
    let text = fs::read(path).map_err(failed())?;
    serde_json::from_slice(&text).map_err(|e| Error::Usage(format!("{}: {e}; give {what}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::credit::{NewFile, digest};

    #[test]
    fn moments_are_the_same_after_they_were_written_and_read() {
        // Marsaglia's xorshift: numbers of all digits, as sums over customers give them.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as f64 / (1_u64 << 53) as f64
        };
        let count = 4000;
        let moments = NamedMoments {
            features: (0..count).map(|k| format!("f{k}")).collect(),
            mean: (0..count).map(|k| random() * f64::from(k % 60 - 30).exp2()).collect(),
            sd: (0..count).map(|k| (random() + 1e-9) * f64::from(k % 60 - 30).exp2()).collect(),
            schema: None,
        };
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("moments.json");
        let mut file = NewFile::create(&path).expect("free");
        file.fill_json(&moments).expect("written");
        file.place().expect("named");
        let read = read_moments(&path).expect("read");
        assert_eq!(digest(&read).expect("a digest"), digest(&moments).expect("a digest"));
    }

    #[test]
    fn a_model_is_not_printed() {
        let moments = NamedMoments { features: vec!["age".to_owned()], mean: vec![40.0], sd: vec![12.0], schema: None };
        let file = ModelFile::new(moments, Model { intercept: 0.125, weights: vec![0.375] });
        let text = format!("{file:?}");
        assert!(text.contains("age") && !text.contains("125") && !text.contains("375"), "{text}");
    }
}
