//! Results as lines of JSON (RFC 8259), one for each event.
#![forbid(unsafe_code)]

use core::fmt;

use super::Test;
use super::done::{Done, Tally, Verdict};

/// A text as JSON has it.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for letter in self.0.chars() {
            match letter {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\0'..' ' => write!(f, "\\u{:04x}", u32::from(letter))?,
                _ => fmt::Write::write_char(f, letter)?,
            }
        }
        f.write_str("\"")
    }
}

/// The first line.
pub(super) struct Begin {
    pub(super) count: usize,
    pub(super) seed: u64,
}

impl fmt::Display for Begin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, seed } = self;
        writeln!(
            f,
            r#"{{"type":"suite","event":"started","test_count":{count},"seed":"{seed:#x}"}}"#
        )
    }
}

/// A test that begins.
pub(super) struct Started<'a>(pub(super) &'a Test);

impl fmt::Display for Started<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, r#"{{"type":"test","event":"started","name":{}}}"#, Text(self.0.name()))
    }
}

/// A test that has ended.
pub(super) struct Event<'a>(pub(super) &'a Done);

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Done { test, verdict, time, kinds, .. } = self.0;
        let event = match verdict {
            Verdict::Passed => "ok",
            Verdict::Failed => "failed",
            Verdict::Ignored => "ignored",
        };
        write!(f, r#"{{"type":"test","event":"{event}","name":{}"#, Text(test.name()))?;
        write!(f, r#","file":{},"line":{}"#, Text(test.file), test.line)?;
        match verdict {
            Verdict::Ignored => {
                let reason = test.ignored.unwrap_or_default();
                return writeln!(f, r#","reason":{}}}"#, Text(reason));
            }
            _ => write!(f, r#","seconds":{:.6}"#, time.as_secs_f64())?,
        }
        if *verdict == Verdict::Failed {
            f.write_str(r#","kinds":["#)?;
            for (index, kind) in kinds.iter().enumerate() {
                write!(f, "{}{}", if index == 0 { "" } else { "," }, Text(kind))?;
            }
            let Done { leaked_blocks, leaked_bytes, findings, logged_errors, text, .. } = self.0;
            write!(
                f,
                r#"],"leaked_blocks":{leaked_blocks},"leaked_bytes":{leaked_bytes},"findings":{findings}"#
            )?;
            write!(f, r#","logged_errors":{logged_errors},"text":{}"#, Text(text))?;
        }
        f.write_str("}\n")
    }
}

/// The last line.
pub(super) struct End<'a>(pub(super) &'a Tally);

impl fmt::Display for End<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let event = if self.0.is_good() { "ok" } else { "failed" };
        let Tally { passed, failed, ignored, filtered_out, leaked_blocks, .. } = self.0;
        let Tally { leaked_bytes, findings, logged_errors, stray_errors, time, .. } = self.0;
        write!(f, r#"{{"type":"suite","event":"{event}","passed":{passed},"failed":{failed}"#)?;
        write!(f, r#","ignored":{ignored},"filtered_out":{filtered_out}"#)?;
        write!(f, r#","leaked_blocks":{leaked_blocks},"leaked_bytes":{leaked_bytes}"#)?;
        write!(f, r#","findings":{findings},"logged_errors":{logged_errors}"#)?;
        let seconds = time.as_secs_f64();
        writeln!(f, r#","stray_errors":{stray_errors},"seconds":{seconds:.6}}}"#)
    }
}

#[cfg(test)]
mod tests {
    use super::Text;

    /// Whatever is written is read back as it was.
    #[test]
    fn texts_are_read_back() {
        for text in ["", "plain", "a \"quote\" and a \\", "line\nline\ttab\r\0\u{1f}\u{7f}", "é€😀"]
        {
            let written = Text(text).to_string();
            assert_eq!(serde_json::from_str::<String>(&written).expect(&written), text);
        }
    }
}
