//! A line that is put together in a given buffer and written at once: JSON, or text.
#![forbid(unsafe_code)]

use core::fmt;

/// A line of JSON or text. What does not fit is cut off; the callers bound what they put in.
pub(super) struct Line<'b> {
    buffer: &'b mut [u8],
    len: usize,
}

impl<'b> Line<'b> {
    /// Begins a line.
    pub(super) fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, len: 0 }
    }

    /// Begins a JSON object with its type.
    pub(super) fn object(buffer: &'b mut [u8], kind: &str) -> Self {
        let mut line = Self::new(buffer);
        line.raw(b"{\"t\":\"");
        line.raw(kind.as_bytes());
        line.raw(b"\"");
        line
    }

    /// The bytes so far.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.buffer[..self.len]
    }

    /// Ends the object and the line.
    pub(super) fn end(&mut self) {
        self.raw(b"}\n");
    }

    /// Whether less than `count` bytes are free.
    pub(super) fn is_short_of(&self, count: usize) -> bool {
        self.buffer.len() - self.len < count
    }

    /// Empties the line.
    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    /// Cuts the line to `len` bytes.
    pub(super) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Appends bytes as they are.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        let room = &mut self.buffer[self.len..];
        let count = bytes.len().min(room.len());
        room[..count].copy_from_slice(&bytes[..count]);
        self.len += count;
    }

    /// Appends a key, after which a value must come.
    pub(super) fn key(&mut self, key: &str) {
        self.raw(b",\"");
        self.raw(key.as_bytes());
        self.raw(b"\":");
    }

    /// Appends a key and a number.
    pub(super) fn number(&mut self, key: &str, value: impl fmt::Display) {
        self.key(key);
        // Fails only when the buffer is full.
        let _ = fmt::Write::write_fmt(self, format_args!("{value}"));
    }

    /// Appends a key and a string.
    pub(super) fn text(&mut self, key: &str, value: &[u8]) {
        self.key(key);
        self.string(value);
    }

    /// Appends a JSON string. Control characters and bytes that are not UTF-8 become `\u00NN`.
    pub(super) fn string(&mut self, value: &[u8]) {
        self.raw(b"\"");
        for chunk in value.utf8_chunks() {
            for byte in chunk.valid().bytes() {
                match byte {
                    b'"' | b'\\' => self.raw(&[b'\\', byte]),
                    0..0x20 | 0x7f => self.escaped(byte),
                    _ => self.raw(&[byte]),
                }
            }
            chunk.invalid().iter().for_each(|byte| self.escaped(*byte));
        }
        self.raw(b"\"");
    }

    fn escaped(&mut self, byte: u8) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digits = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
        self.raw(&[b'\\', b'u', b'0', b'0', digits[0], digits[1]]);
    }
}

impl fmt::Write for Line<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.is_short_of(text.len()) {
            return Err(fmt::Error);
        }
        self.raw(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Line;

    #[test]
    fn hostile_names_are_escaped() {
        let mut buffer = [0; 256];
        let mut line = Line::object(&mut buffer, "x");
        line.text("name", b"a\"b\\c\nd\x7f\xff\xc3\xa9\xc3\0");
        line.number("n", -5);
        line.end();
        let text = core::str::from_utf8(line.as_bytes()).expect("UTF-8");
        assert_eq!(
            text,
            "{\"t\":\"x\",\"name\":\"a\\\"b\\\\c\\u000ad\\u007f\\u00ff\u{e9}\\u00c3\\u0000\",\"n\":-5}\n"
        );
    }

    #[test]
    fn what_does_not_fit_is_cut_off() {
        let mut buffer = [0; 4];
        let mut line = Line::new(&mut buffer);
        line.raw(b"abcdef");
        assert_eq!(line.as_bytes(), b"abcd");
        assert!(line.is_short_of(1));
        line.clear();
        assert!(!line.is_short_of(4));
    }
}
