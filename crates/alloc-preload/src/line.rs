//! One line of text for a person, made without memory.

use core::fmt;

/// Longest line in bytes.
const LEN_MAX: usize = 512;

/// What each line begins with.
const NAME: &[u8] = b"alloc-preload: ";

/// A line that is being made; what does not fit is cut off.
pub(crate) struct Line {
    bytes: [u8; LEN_MAX],
    len: usize,
}

impl Line {
    /// An empty line.
    pub(crate) fn new() -> Self {
        let mut line = Self { bytes: [0; LEN_MAX], len: 0 };
        line.push(NAME);
        line
    }

    /// The text, without the library's name.
    pub(crate) fn text(&self) -> &str {
        core::str::from_utf8(&self.bytes[NAME.len()..self.len]).unwrap_or_default()
    }

    fn push(&mut self, bytes: &[u8]) {
        // One byte is kept for the end of the line.
        let count = bytes.len().min(LEN_MAX - 1 - self.len);
        self.bytes[self.len..self.len + count].copy_from_slice(&bytes[..count]);
        self.len += count;
    }

    /// Writes the library's name and the text to standard error, which may be closed.
    pub(crate) fn tell(mut self) {
        self.bytes[self.len] = b'\n';
        alloc_gpa::process::write_line(&self.bytes[..=self.len]);
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}
