//! What a node sends of a job as it goes on: server-sent events.

use crate::job::JobEvent;

/// A line is no longer than this.
const MAX_LINE: usize = 1 << 20;

/// Takes a stream apart into lines, in time linear in its length however it is cut into chunks.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    bytes: Vec<u8>,
    /// Where the line that comes next begins.
    start: usize,
    /// Up to where there is no end of it.
    seen: usize,
}

/// What a line says.
#[derive(Debug)]
pub(crate) enum Said {
    /// The name of the event, to go on from.
    Name(String),
    /// The event.
    Event(Box<JobEvent>),
}

impl Lines {
    /// What has come. `false` if that is a line without an end.
    #[must_use]
    pub(crate) fn push(&mut self, chunk: &[u8]) -> bool {
        self.bytes.drain(..self.start);
        self.seen -= self.start;
        self.start = 0;
        self.bytes.extend_from_slice(chunk);
        self.bytes.len() <= MAX_LINE
    }

    /// The next line, without its end.
    pub(crate) fn next(&mut self) -> Option<&[u8]> {
        let Some(end) = self.bytes[self.seen..].iter().position(|byte| *byte == b'\n') else {
            self.seen = self.bytes.len();
            return None;
        };
        let (start, end) = (self.start, self.seen + end);
        (self.start, self.seen) = (end + 1, end + 1);
        Some(&self.bytes[start..end])
    }
}

impl Said {
    /// Reads a line; nothing, if it says nothing of interest.
    pub(crate) fn read(line: &[u8]) -> serde_json::Result<Option<Self>> {
        if let Some(name) = line.strip_prefix(b"id:") {
            return Ok(Some(Self::Name(String::from_utf8_lossy(name).trim().to_owned())));
        }
        let Some(text) = line.strip_prefix(b"data:") else { return Ok(None) };
        serde_json::from_slice(text).map(|event| Some(Self::Event(event)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_same_however_they_come() {
        let text = b"id: 1\n\ndata: {}\nid: 22\nrest";
        for size in 1..=text.len() {
            let (mut lines, mut all) = (Lines::default(), Vec::new());
            for chunk in text.chunks(size) {
                assert!(lines.push(chunk));
                while let Some(line) = lines.next() {
                    all.push(line.to_vec());
                }
            }
            assert_eq!(all, [&b"id: 1"[..], b"", b"data: {}", b"id: 22"], "chunks of {size}");
        }
        let mut lines = Lines::default();
        assert!(lines.push(&vec![b'\n'; MAX_LINE]));
        while lines.next().is_some() {}
        assert!(lines.push(&vec![b'x'; MAX_LINE]) && lines.next().is_none());
        assert!(!lines.push(b"x"), "a line without an end");
    }
}
