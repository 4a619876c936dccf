//! A source of bytes that is bounded between two records, and knows on which line each of them begins.

use super::MAX_RECORD_BYTES;
use std::{
    cell::RefCell,
    collections::VecDeque,
    io::{self, Read},
    rc::Rc,
};

/// The kind of the error that a record beyond [`MAX_RECORD_BYTES`] ends with.
pub(super) const TOO_LONG: io::ErrorKind = io::ErrorKind::FileTooLarge;

/// Hands out the bytes of a source. A quote that is never closed must not fill the memory, so there is a limit on what is read for
/// one record.
pub(super) struct Lines<R> {
    source: R,
    state: Rc<RefCell<State>>,
}

/// The view of a [`Lines`] that stays with its maker.
pub(super) struct Tracker(Rc<RefCell<State>>);

/// What has been handed out.
struct State {
    /// Bytes that may still be handed out for the current record.
    left: u64,
    /// Bytes handed out.
    offset: u64,
    /// The current line, from 1.
    line: u64,
    /// Whether the current line has bytes, and whether the last byte was a carriage return.
    begun: bool,
    returned: bool,
    /// Lines with bytes: offset of the first one, and the line. Those before the current record are forgotten.
    starts: VecDeque<(u64, u64)>,
}

impl<R> Lines<R> {
    pub(super) fn new(source: R) -> (Self, Tracker) {
        let starts = VecDeque::new();
        let state = State { left: MAX_RECORD_BYTES, offset: 0, line: 1, begun: false, returned: false, starts };
        let state = Rc::new(RefCell::new(state));
        (Self { source, state: Rc::clone(&state) }, Tracker(state))
    }
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state.borrow_mut();
        if state.left == 0 {
            return Err(io::Error::from(TOO_LONG));
        }
        let read = self.source.read(buffer)?;
        state.left = state.left.saturating_sub(read as u64);
        for &byte in buffer.get(..read).unwrap_or_default() {
            state.take(byte);
        }
        Ok(read)
    }
}

impl Tracker {
    /// Allows the next record its bytes. `offset` is where the one before ended.
    pub(super) fn next_record(&self, offset: u64) {
        let mut state = self.0.borrow_mut();
        state.left = MAX_RECORD_BYTES;
        while state.starts.pop_front_if(|start| start.0 < offset).is_some() {}
    }

    /// The line on which the current record begins: the first one with bytes after the previous record. At the end, the last line.
    pub(super) fn line(&self) -> u64 {
        let state = self.0.borrow();
        state.starts.front().map_or(state.line, |start| start.1)
    }
}

impl State {
    /// Lines end with a line feed, a carriage return, or both.
    fn take(&mut self, byte: u8) {
        let feed_of_return = byte == b'\n' && self.returned;
        self.returned = byte == b'\r';
        if matches!(byte, b'\r' | b'\n') {
            self.line += u64::from(!feed_of_return);
            self.begun = false;
        } else if !self.begun {
            self.begun = true;
            self.starts.push_back((self.offset, self.line));
        }
        self.offset += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_whatever_ends_them() {
        for (text, offset, expected) in
            [("a\n\nb", 2, 3), ("a\r\n\r\nb", 2, 3), ("a\rb\rc", 4, 3), ("\n\na", 0, 3), ("a\n\"x\ny\"\nb", 9, 4)]
        {
            let (mut lines, tracker) = Lines::new(text.as_bytes());
            io::copy(&mut lines, &mut io::sink()).unwrap();
            tracker.next_record(offset);
            assert_eq!(tracker.line(), expected, "{text:?}");
        }
    }

    #[test]
    fn no_more_than_the_limit_is_read_for_a_record() {
        let (mut lines, tracker) = Lines::new(io::repeat(b'x'));
        assert_eq!(io::copy(&mut lines, &mut io::sink()).unwrap_err().kind(), TOO_LONG);
        assert!(tracker.0.borrow().offset <= MAX_RECORD_BYTES + 8192);
    }
}
