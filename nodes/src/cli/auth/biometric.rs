//! Biometrics in files.

use crate::{
    Error,
    auth::{MetricSpec, TemplateKind},
    client::{Plain, Probe},
    pki,
};
use std::{
    fmt::Display,
    fs,
    path::{Path, PathBuf},
};
use trefoil_circuits::matching::{Embedding, Kind, Template, synthetic::Irises};
use trefoil_engine::{Lanes, Z64};
use zeroize::Zeroizing;

/// One of three forms.
#[derive(Clone, Debug, clap::Args)]
#[group(multiple = false)]
pub(super) struct BiometricArgs {
    /// An iris code in a file: 1,600 bytes of code, then 800 bytes of mask
    #[arg(long, value_name = "FILE")]
    iris: Option<PathBuf>,
    /// A binary template in a file, all bits of which are valid
    #[arg(long, value_name = "FILE")]
    bits: Option<PathBuf>,
    /// An embedding in a file, compared by its cosine: 32-bit floating-point numbers, little-endian
    #[arg(long, value_name = "FILE")]
    embedding: Option<PathBuf>,
}

/// A template or probe, ready to be split. Wiped on drop.
pub(super) struct Biometric {
    kind: TemplateKind,
    form: Form,
}

enum Form {
    Bits(Zeroizing<Vec<Lanes>>),
    Integers(Zeroizing<Vec<Z64>>),
}

impl BiometricArgs {
    /// Reads the file, if one is named.
    pub(super) fn read(&self) -> Result<Option<Biometric>, Error> {
        if let Some(path) = &self.iris {
            let bytes = contents(path)?;
            let (code, mask) = bytes.split_at(bytes.len().min(Kind::IRIS.code_bits() / 8));
            let template = Template::iris(code, mask).map_err(|e| wrong(path, &e))?;
            return Ok(Some(Biometric { kind: TemplateKind::Iris, form: Form::Bits(template.to_bits()) }));
        }
        if let Some(path) = &self.bits {
            let bytes = contents(path)?;
            let bits =
                Zeroizing::new((0..8 * bytes.len()).map(|k| bytes[k / 8] >> (k % 8) & 1 == 1).collect::<Vec<_>>());
            let template = Template::binary(&bits, None).map_err(|e| wrong(path, &e))?;
            let kind = TemplateKind::Binary { bits: bits.len() as u32 };
            return Ok(Some(Biometric { kind, form: Form::Bits(template.to_bits()) }));
        }
        let Some(path) = &self.embedding else { return Ok(None) };
        let bytes = contents(path)?;
        let (entries, []) = bytes.as_chunks::<4>() else {
            return Err(wrong(path, &"its length is no multiple of 4 bytes"));
        };
        let entries = Zeroizing::new(entries.iter().map(|entry| f32::from_le_bytes(*entry)).collect::<Vec<_>>());
        let embedding = Embedding::new(&entries).map_err(|e| wrong(path, &e))?;
        let kind = TemplateKind::Embedding { dimensions: entries.len() as u32, metric: MetricSpec::Cosine };
        Ok(Some(Biometric { kind, form: Form::Integers(embedding.to_integers()) }))
    }
}

impl Biometric {
    /// What it is.
    pub(super) fn kind(&self) -> TemplateKind {
        self.kind
    }

    /// As it is split.
    pub(super) fn plain(&self) -> Plain<'_> {
        match &self.form {
            Form::Bits(bits) => Plain::Bits(bits),
            Form::Integers(integers) => Plain::Z64(integers),
        }
    }

    /// As a probe.
    pub(super) fn probe(&self) -> Probe<'_> {
        Probe { kind: self.kind, plain: self.plain() }
    }
}

/// Writes a synthetic iris, or another picture of it with so much noise and turned by so many columns.
pub(super) fn write_iris(path: &Path, seed: u64, again: Option<(f64, isize)>) -> Result<(), Error> {
    let mut irises = Irises::new(seed);
    let enrolled = irises.enrol();
    let template = match again {
        Some((noise, turns)) => irises.again(&enrolled, noise, turns),
        None => enrolled,
    };
    let [code, mask] = template.to_iris().map_err(|e| Error::Bug(e.to_string()))?;
    pki::create_private(path, &Zeroizing::new([code.as_slice(), mask.as_slice()].concat()))
}

fn contents(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    fs::read(path).map(Zeroizing::new).map_err(Error::system(format!("read {}", path.display())))
}

fn wrong(path: &Path, fault: &dyn Display) -> Error {
    Error::Usage(format!("{}: {fault}", path.display()))
}
