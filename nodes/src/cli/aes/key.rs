//! The key file.

use crate::{Error, client::AesKey};
use std::{fs::File, io::Read, path::Path};
use zeroize::Zeroizing;

/// Longer than the longest key file, with its line end.
const MOST: u64 = 128;

/// Reads a key of 16, 24 or 32 bytes, or of 32, 48 or 64 hexadecimal digits with or without a line end.
///
/// 32 bytes that are all hexadecimal digits are a key of 16 bytes in text form: that 32 random bytes look like this has the
/// probability 2^-113.
///
/// # Errors
/// [`Error::System`] if it cannot be read, [`Error::Usage`] for anything else. Neither repeats what is in it.
pub(super) fn read(path: &Path) -> Result<AesKey, Error> {
    let system = || Error::system(format!("read the key {}", path.display()));
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST as usize + 1));
    File::open(path).map_err(system())?.take(MOST + 1).read_to_end(&mut bytes).map_err(system())?;
    parse(&bytes).ok_or_else(|| {
        Error::Usage(format!(
            "{} is no AES key: it must hold 16, 24 or 32 bytes, or 32, 48 or 64 hexadecimal digits and at most a line end",
            path.display()
        ))
    })
}

fn parse(bytes: &[u8]) -> Option<AesKey> {
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if matches!(line.len(), 32 | 48 | 64) && line.iter().all(u8::is_ascii_hexdigit) {
        return AesKey::new(&Zeroizing::new(hex::decode(line).ok()?));
    }
    AesKey::new(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(bytes: &[u8]) -> Option<usize> {
        parse(bytes).map(|key| key.size().bits())
    }

    #[test]
    fn raw_and_text_keys_are_told_apart() {
        for n in [16, 24, 32] {
            assert_eq!(bits(&vec![0xfe; n]), Some(8 * n));
            for end in ["", "\n", "\r\n"] {
                assert_eq!(bits(format!("{}{end}", "aB".repeat(n)).as_bytes()), Some(8 * n));
            }
        }
        // A raw key may end like a line.
        assert_eq!(bits(&[b'\n'; 16]), Some(128));
        assert_eq!(bits(&[b'0'; 16]), Some(128));
        assert_eq!(bits(&[b'0'; 32]), Some(128));
        for bad in [&b""[..], &[0; 15], &[0; 17], &[b'0'; 33], &[b'0'; 63], &[b'g'; 64], b"00 11"] {
            assert_eq!(bits(bad), None);
        }
    }

    #[test]
    fn a_refusal_does_not_repeat_the_key() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "5ec3e75ec3e7").expect("written");
        let error = read(file.path()).expect_err("too short").to_string();
        assert!(error.contains("16, 24 or 32") && !error.contains("5ec3e7"), "{error}");
    }
}
