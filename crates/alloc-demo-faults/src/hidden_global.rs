//! A number is shown in a buffer, in code that may not wait for the global allocator.

use core::fmt::Write;

/// Formats into a `String` on the way, which the signature does not tell.
pub fn faulty(number: u32, buffer: &mut [u8; 16]) -> usize {
    let text = format!("<{number}>"); // planted
    buffer[..text.len()].copy_from_slice(text.as_bytes());
    text.len()
}

/// Formats into the buffer.
pub fn corrected(number: u32, buffer: &mut [u8; 16]) -> usize {
    let mut rest = Rest { buffer, len: 0 };
    write!(rest, "<{number}>").expect("12 letters fit");
    rest.len
}

/// What is free of a buffer.
struct Rest<'b> {
    buffer: &'b mut [u8; 16],
    len: usize,
}

impl Write for Rest<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let end = self.len + text.len();
        self.buffer
            .get_mut(self.len..end)
            .ok_or(core::fmt::Error)?
            .copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}
