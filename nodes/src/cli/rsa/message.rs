//! What is signed, and signatures, from and to files.

use super::args::Format;
use crate::{Error, client::credit::NewFile, keys::HashName};
use base64ct::{Base64, Encoding};
use sha2::{Digest, Sha256, Sha384, Sha512};
use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::Path,
};

/// Bytes that are read at a time.
const CHUNK: usize = 1 << 16;

/// The longest file of a signature that is read: one of 4,096 bits in base64.
const MAX_SIGNATURE: u64 = 1 << 12;

/// Where a result goes: a file that is there when it is complete, or standard output.
pub(super) enum Sink {
    File(NewFile),
    Stdout,
}

impl Sink {
    pub(super) fn create(path: &Path) -> Result<Self, Error> {
        if is_stream(path) { Ok(Self::Stdout) } else { NewFile::create(path).map(Self::File) }
    }

    pub(super) fn write(self, bytes: &[u8]) -> Result<(), Error> {
        match self {
            Self::File(mut file) => {
                file.fill_bytes(bytes)?;
                file.place()
            }
            Self::Stdout => {
                let mut out = io::stdout().lock();
                match out.write_all(bytes).and_then(|()| out.flush()) {
                    Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                    other => other.map_err(Error::system("write to standard output")),
                }
            }
        }
    }
}

pub(super) fn is_stream(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// The digest of a file of any length, read once.
pub(super) fn digest(hash: HashName, path: &Path) -> Result<Vec<u8>, Error> {
    match hash {
        HashName::Sha256 => stream::<Sha256>(path),
        HashName::Sha384 => stream::<Sha384>(path),
        HashName::Sha512 => stream::<Sha512>(path),
    }
}

fn stream<D: Digest>(path: &Path) -> Result<Vec<u8>, Error> {
    let system = || Error::system(format!("read {}", path.display()));
    let mut input: Box<dyn Read> =
        if is_stream(path) { Box::new(io::stdin()) } else { Box::new(File::open(path).map_err(system())?) };
    let (mut digest, mut chunk) = (D::new(), vec![0; CHUNK]);
    loop {
        match input.read(&mut chunk) {
            Ok(0) => return Ok(digest.finalize().to_vec()),
            Ok(n) => digest.update(&chunk[..n]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(system()(e)),
        }
    }
}

pub(super) fn encode(format: Format, signature: &[u8]) -> Vec<u8> {
    match format {
        Format::Raw => signature.to_vec(),
        Format::Base64 => format!("{}\n", Base64::encode_string(signature)).into_bytes(),
    }
}

/// A signature as bytes or in base64: no signature of 2,048 bits or more is text by chance.
pub(super) fn read_signature(path: &Path) -> Result<Vec<u8>, Error> {
    let system = || Error::system(format!("read the signature {}", path.display()));
    if fs::metadata(path).map_err(system())?.len() > MAX_SIGNATURE {
        return Err(Error::Usage(format!("{} is too long for a signature", path.display())));
    }
    let bytes = fs::read(path).map_err(system())?;
    let text = std::str::from_utf8(&bytes).ok().and_then(|text| Base64::decode_vec(text.trim()).ok());
    Ok(text.unwrap_or(bytes))
}
