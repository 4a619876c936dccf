//! A text as numbered lines of fields.

use std::io::{BufRead, Read};

use super::error::{Fault, ParseError};

/// The lines of an input that hold anything, and where they stand.
pub(super) struct Lines<R> {
    reader: R,
    left: u64,
    limit: u64,
    /// The current line, counted from 1.
    pub(super) number: u64,
    /// The current line, with its end.
    pub(super) text: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R, limit: u64) -> Self {
        Self { reader, left: limit, limit, number: 0, text: Vec::new() }
    }

    /// Moves to the next line that is not blank; false at the end of the input.
    pub(super) fn advance(&mut self) -> Result<bool, ParseError> {
        loop {
            self.text.clear();
            self.number += 1;
            // One byte more than allowed, to tell a file of exactly the limit from a longer one.
            let mut bounded = self.reader.by_ref().take(self.left.saturating_add(1));
            match bounded.read_until(b'\n', &mut self.text) {
                Err(cause) => return self.fault(Fault::Unreadable(cause.to_string())),
                Ok(0) => {
                    self.number -= 1;
                    return Ok(false);
                }
                Ok(read) if read as u64 > self.left => return self.fault(Fault::TooManyBytes { limit: self.limit }),
                Ok(read) => self.left -= read as u64,
            }
            if fields(&self.text).next().is_some() {
                return Ok(true);
            }
        }
    }

    /// Moves to the next line of the header.
    pub(super) fn require(&mut self, what: &'static str) -> Result<(), ParseError> {
        if self.advance()? {
            return Ok(());
        }
        self.number += 1;
        self.fault(Fault::HeaderTruncated(what))
    }

    /// The fault, on the current line.
    pub(super) fn fault<T>(&self, fault: Fault) -> Result<T, ParseError> {
        Err(ParseError { line: self.number, fault })
    }
}

/// What stands between the white space of a line.
pub(super) fn fields(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty())
}

/// Whether a field is a word and not a number.
pub(super) fn is_name(field: &[u8]) -> bool {
    field.first().is_some_and(u8::is_ascii_alphabetic)
}

/// A field as a number.
pub(super) fn number(field: &[u8]) -> Result<u32, Fault> {
    if !field.iter().all(u8::is_ascii_digit) {
        return Err(Fault::NotANumber(quote(field)));
    }
    field
        .iter()
        .try_fold(0u32, |value, &byte| value.checked_mul(10)?.checked_add(u32::from(byte - b'0')))
        .ok_or_else(|| Fault::NumberTooLarge(quote(field)))
}

/// A field as it may stand in an error message: printable and short, whatever the file holds.
pub(super) fn quote(field: &[u8]) -> String {
    const LONGEST: usize = 24;
    let mut text = field[..field.len().min(LONGEST)].escape_ascii().to_string();
    if field.len() > LONGEST {
        text.push_str("...");
    }
    text
}
