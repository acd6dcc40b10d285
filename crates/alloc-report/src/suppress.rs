//! Suppressions: what the user knows of and does not want to hear again.

use std::fmt;

use crate::Amount;
use crate::model::{Frame, Kind, Leak, file_name};

/// The name by which a suppression means leaks of every kind.
const LEAK: &str = "leak";

/// One line of a suppression file.
#[derive(Debug, Clone)]
pub struct Suppression {
    /// Its line, from 1.
    pub line: usize,
    /// The line's text.
    pub text: String,
    /// Findings that it hid.
    pub findings: u64,
    /// Blocks that it hid.
    pub leaks: Amount,
    /// Only findings of this kind, or `leak`; `None`: all.
    kind: Option<String>,
    pattern: String,
}

impl Suppression {
    /// Whether it hid nothing.
    #[must_use]
    pub fn is_unused(&self) -> bool {
        self.findings == 0 && self.leaks == Amount::default()
    }

    fn matches<'f>(&self, kind: &str, mut frames: impl Iterator<Item = &'f Frame>) -> bool {
        self.kind.as_deref().is_none_or(|wanted| wanted == kind)
            && frames.any(|frame| {
                let matches = |name: &str| glob(&self.pattern, name);
                frame.function.as_deref().is_some_and(matches)
                    || (!frame.module.is_empty()
                        && (matches(&frame.module) || matches(file_name(&frame.module))))
            })
    }
}

/// A line of a suppression file that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MalformedSuppression {
    /// Its line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for MalformedSuppression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl std::error::Error for MalformedSuppression {}

/// The suppressions of a file, each line one, `#` begins a comment line:
///
/// ```text
/// # the cache lives as long as the program
/// leak:cache_*
/// double_free:std::*
/// *libfontconfig.so*
/// ```
///
/// The word before a single `:` is a finding's kind or `leak`; without it the line means everything.
/// The rest is matched against the whole name of each frame's function, against the path of its
/// module, and against the last component of that; `*` stands for any text, `?` for one character.
#[derive(Debug, Clone, Default)]
pub struct Suppressions {
    entries: Vec<Suppression>,
}

impl Suppressions {
    /// Reads the text of a suppression file.
    ///
    /// # Errors
    ///
    /// The first line that is neither empty, nor a comment, nor a suppression.
    pub fn parse(text: &[u8]) -> Result<Self, MalformedSuppression> {
        let mut entries = Vec::new();
        for (index, bytes) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = index + 1;
            let malformed = |reason: String| MalformedSuppression { line, reason };
            let text = std::str::from_utf8(bytes)
                .map_err(|_| malformed("is not UTF-8".to_owned()))?
                .trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let (kind, pattern) = split_kind(text).map_err(malformed)?;
            entries.push(Suppression {
                line,
                text: text.to_owned(),
                findings: 0,
                leaks: Amount::default(),
                kind: kind.map(str::to_owned),
                pattern: pattern.to_owned(),
            });
        }
        Ok(Self { entries })
    }

    /// The suppressions in the order of their lines.
    pub fn iter(&self) -> impl Iterator<Item = &Suppression> {
        self.entries.iter()
    }

    /// Whether a finding is to be hidden; the first line that matches counts it.
    pub(crate) fn hide_finding<'f, I: Iterator<Item = &'f Frame>>(
        &mut self,
        kind: &str,
        count: u64,
        frames: impl Fn() -> I,
    ) -> bool {
        let hit = self.entries.iter_mut().find(|entry| entry.matches(kind, frames()));
        if let Some(entry) = hit {
            entry.findings = entry.findings.saturating_add(count);
            return true;
        }
        false
    }

    /// Whether a leak is to be hidden; the first line that matches counts it.
    pub(crate) fn hide_leak<'f, I: Iterator<Item = &'f Frame>>(
        &mut self,
        leak: &Leak,
        frames: impl Fn() -> I,
    ) -> bool {
        let hit = self.entries.iter_mut().find(|entry| entry.matches(LEAK, frames()));
        if let Some(entry) = hit {
            entry.leaks.add(leak);
            return true;
        }
        false
    }
}

/// The kind, if the line names one, and the pattern. `a::b` is a pattern.
fn split_kind(text: &str) -> Result<(Option<&str>, &str), String> {
    let Some((word, rest)) = text.split_once(':') else { return Ok((None, text)) };
    let is_word = word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if !is_word || (rest.starts_with(':') && !is_kind(word)) {
        return Ok((None, text));
    }
    if !is_kind(word) {
        let known = Kind::NAMES.join(", ");
        return Err(format!("unknown kind \"{word}\"; the kinds are {LEAK}, {known}"));
    }
    match rest.trim() {
        "" => Err(format!("\"{word}:\" without a pattern; * means everything")),
        pattern => Ok((Some(word), pattern)),
    }
}

fn is_kind(word: &str) -> bool {
    word == LEAK || Kind::NAMES.contains(&word)
}

/// Whether all of `text` matches `pattern`. Time is at most the product of both lengths: after a
/// mismatch only the last `*` takes one more character.
fn glob(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    let mut retry = None;
    loop {
        let text_here = text.clone();
        match (pattern.next(), text.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                text = text_here.clone();
                retry = Some((pattern.clone(), text_here));
            }
            (Some('?'), Some(_)) => {}
            (Some(wanted), Some(found)) if wanted == found => {}
            _ => {
                let Some((after_star, mut from)) = retry.take() else { return false };
                if from.next().is_none() {
                    return false;
                }
                pattern = after_star.clone();
                text = from.clone();
                retry = Some((after_star, from));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both wildcards, at each place, against text that fits and text that does not.
    #[test]
    fn globs() {
        for (pattern, text, fits) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything", true),
            ("abc", "abc", true),
            ("abc", "abcd", false),
            ("a*c", "abbbc", true),
            ("a*c", "abbb", false),
            ("*b*", "abc", true),
            ("*bc", "abcbc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*.so*", "/lib/libm.so.6", true),
            ("std::*", "std::x", true),
            ("**a**", "bab", true),
            ("?é", "éé", true),
        ] {
            assert_eq!(glob(pattern, text), fits, "{pattern:?} against {text:?}");
        }
    }

    /// A hostile pattern takes no exponential time.
    #[test]
    fn glob_is_polynomial() {
        let pattern = "*a".repeat(50) + "b";
        assert!(!glob(&pattern, &"a".repeat(5_000)));
    }

    /// Kinds are told from C++ and Rust paths; comments and empty lines are passed over.
    #[test]
    fn lines() {
        let text = b"# c\n\n leak:cache_* \nstd::foo*\ndouble_free:std::x\n/lib/a:b\r\n";
        let parsed = Suppressions::parse(text).unwrap();
        let found: Vec<_> = parsed
            .iter()
            .map(|entry| (entry.line, entry.kind.as_deref(), entry.pattern.as_str()))
            .collect();
        let wanted = [
            (3, Some("leak"), "cache_*"),
            (4, None, "std::foo*"),
            (5, Some("double_free"), "std::x"),
            (6, None, "/lib/a:b"),
        ];
        assert_eq!(found, wanted);
    }

    /// A line that cannot be understood is named.
    #[test]
    fn malformed_lines() {
        let error = |text: &[u8]| Suppressions::parse(text).unwrap_err().to_string();
        assert!(error(b"ok\nlaek:x").starts_with("line 2: unknown kind \"laek\"; the kinds are"));
        assert!(error(b"leak:").starts_with("line 1: \"leak:\" without a pattern"));
        assert_eq!(error(b"\xff"), "line 1: is not UTF-8");
    }
}
