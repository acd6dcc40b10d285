//! Results as the XML that JUnit's readers take.
#![forbid(unsafe_code)]

use core::fmt;

use super::done::{Done, Tally, Verdict};
use alloc_gpa::counted;

/// A text as XML has it, in content or between quotes; what XML 1.0 cannot hold is replaced.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                '"' => f.write_str("&quot;")?,
                '\n' | '\t' => fmt::Write::write_char(f, letter)?,
                // Char, production 2 of XML 1.0.
                '\0'..' ' | '\u{fffe}' | '\u{ffff}' => f.write_str("\u{fffd}")?,
                _ => fmt::Write::write_char(f, letter)?,
            }
        }
        Ok(())
    }
}

/// The head.
pub(super) struct Begin<'a>(pub(super) &'a Tally);

impl fmt::Display for Begin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { passed, failed, ignored, stray_errors, seed, time, .. } = self.0;
        let errors = usize::from(*stray_errors != 0);
        let (count, seconds) = (passed + failed + ignored + errors, time.as_secs_f64());
        f.write_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n")?;
        writeln!(
            f,
            "<testsuite name=\"alloc-testing\" tests=\"{count}\" failures=\"{failed}\" \
             errors=\"{errors}\" skipped=\"{ignored}\" time=\"{seconds:.6}\">"
        )?;
        writeln!(f, "<properties><property name=\"seed\" value=\"{seed:#x}\"/></properties>")
    }
}

/// A test.
pub(super) struct Case<'a>(pub(super) &'a Done);

impl fmt::Display for Case<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Done { test, verdict, time, kinds, text, .. } = self.0;
        let (module, name) = test.name().rsplit_once("::").unwrap_or(("", test.name()));
        write!(f, "<testcase classname=\"{}\" name=\"{}\"", Text(module), Text(name))?;
        write!(f, " file=\"{}\" line=\"{}\"", Text(test.file), test.line)?;
        write!(f, " time=\"{:.6}\"", time.as_secs_f64())?;
        match verdict {
            Verdict::Passed => f.write_str("/>\n"),
            Verdict::Ignored => {
                let reason = test.ignored.unwrap_or_default();
                writeln!(f, "><skipped message=\"{}\"/></testcase>", Text(reason))
            }
            Verdict::Failed => {
                let kinds = kinds.join(", ");
                let kinds = Text(&kinds);
                writeln!(
                    f,
                    "><failure type=\"{kinds}\" message=\"{kinds}\">{}</failure></testcase>",
                    Text(text)
                )
            }
        }
    }
}

/// The foot. What failed the run and no test is a case of its own: readers look at nothing else.
pub(super) struct End<'a>(pub(super) &'a Tally);

impl fmt::Display for End<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.stray_errors;
        if count != 0 {
            writeln!(
                f,
                "<testcase classname=\"\" name=\"threads that run no test\" time=\"0\">\
                 <error type=\"logged_error\" message=\"logged_error\">{} logged by threads \
                 that run no test</error></testcase>",
                counted(count, "error")
            )?;
        }
        f.write_str("</testsuite>\n</testsuites>\n")
    }
}

#[cfg(test)]
mod tests {
    use super::Text;

    /// Nothing in a text ends the element or the attribute that it stands in.
    #[test]
    fn texts_are_escaped() {
        assert_eq!(
            Text("<a href=\"x\">&\0</a>\n").to_string(),
            "&lt;a href=&quot;x&quot;&gt;&amp;\u{fffd}&lt;/a&gt;\n"
        );
    }
}
