//! Names of functions, files and threads come from strangers: what a terminal would obey is shown.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a terminal would obey `c`, or a reader be misled by it: control characters, and those
/// that reverse or hide text.
fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// `text` with control characters as `\xNN` and other hostile characters as `\u{NNNN}`.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hostile) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match u32::from(c) {
            _ if !is_hostile(c) => shown.push(c),
            code @ 0..=0xff => write!(shown, "\\x{code:02x}").expect("a String takes all text"),
            code => write!(shown, "\\u{{{code:x}}}").expect("a String takes all text"),
        }
    }
    Cow::Owned(shown)
}

/// As [`escape`], cut to at most `chars_max` characters, the cut shown as `…`.
pub(crate) fn escape_short(text: &str, chars_max: usize) -> Cow<'_, str> {
    let shown = escape(text);
    match shown.char_indices().nth(chars_max) {
        None => shown,
        Some((end, _)) => Cow::Owned(format!("{}…", &shown[..end])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing that moves a cursor, changes a colour or reverses text reaches the terminal.
    #[test]
    fn hostile_characters_are_shown() {
        assert_eq!(escape("plain café"), "plain café");
        assert_eq!(escape("a\x1b[31mb\r\n\x7f"), "a\\x1b[31mb\\x0d\\x0a\\x7f");
        assert_eq!(escape("\u{9b}31m"), "\\x9b31m");
        assert_eq!(escape("a\u{202e}b"), "a\\u{202e}b");
    }

    /// The cut counts characters, never splits one.
    #[test]
    fn long_text_is_cut() {
        assert_eq!(escape_short("äöü", 3), "äöü");
        assert_eq!(escape_short("äöüx", 3), "äöü…");
    }
}
