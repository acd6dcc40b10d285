//! Quotes the lines around a place in a source file, if the file is there.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::time::SystemTime;

use crate::escape::escape_short;
use crate::model::Frame;

/// How many lines are quoted before and after the one that is meant.
const AROUND: u32 = 3;
/// Larger files are no source.
const FILE_LEN_MAX: u64 = 4 << 20;
/// The most files that are kept in memory.
const FILES_MAX: usize = 512;
/// The most characters of a line that are quoted.
const LINE_LEN_MAX: usize = 160;

/// Some lines of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) lines: Vec<SourceLine>,
    /// Whether the file was changed after the module was built.
    pub(crate) newer: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceLine {
    pub(crate) number: u32,
    pub(crate) text: String,
    /// Whether it is the line that is meant.
    pub(crate) here: bool,
}

/// A file that was read, or could not be.
type Known = Option<(Vec<String>, SystemTime)>;

/// The source files that frames name, each read once.
#[derive(Default)]
pub(crate) struct Sources {
    files: HashMap<String, Known>,
    modules: HashMap<String, Option<SystemTime>>,
}

impl Sources {
    /// The lines around the place of `frame`.
    pub(crate) fn around(&mut self, frame: &Frame) -> Option<Source> {
        let (path, line) = (frame.file.as_deref()?, frame.line?);
        if !self.files.contains_key(path) {
            if self.files.len() == FILES_MAX {
                return None;
            }
            self.files.insert(path.to_owned(), read(path));
        }
        let (text, changed) = self.files.get(path)?.as_ref()?;
        let built = *self.modules.entry(frame.module.clone()).or_insert_with(|| {
            std::fs::metadata(&frame.module).and_then(|found| found.modified()).ok()
        });
        let (first, last) = (line.saturating_sub(AROUND).max(1), line.saturating_add(AROUND));
        let count = (last - first) as usize + 1;
        let quoted: Vec<String> = text
            .iter()
            .skip(first as usize - 1)
            .take(count)
            .map(|text| text.replace('\t', "    ").trim_end().to_owned())
            .collect();
        // The lines move to the left together.
        let indented = quoted.iter().filter(|text| !text.is_empty());
        let indent = indented.map(|text| text.len() - text.trim_start_matches(' ').len()).min();
        let lines: Vec<SourceLine> = (first..)
            .zip(&quoted)
            .map(|(number, text)| SourceLine {
                number,
                text: escape_short(text.get(indent.unwrap_or(0)..).unwrap_or(""), LINE_LEN_MAX)
                    .into_owned(),
                here: number == line,
            })
            .collect();
        let newer = built.is_some_and(|built| *changed > built);
        lines.iter().any(|line| line.here).then_some(Source { lines, newer })
    }
}

/// The lines of `path`, if it is a regular file of text; does not wait for a pipe.
fn read(path: &str) -> Known {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC);
    let file = options.open(path).ok()?;
    let found = file.metadata().ok()?;
    if !path.starts_with('/') || !found.is_file() || found.len() > FILE_LEN_MAX {
        return None;
    }
    let mut text = String::new();
    file.take(FILE_LEN_MAX).read_to_string(&mut text).ok()?;
    Some((text.lines().map(str::to_owned).collect(), found.modified().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(file: &str, line: u32) -> Frame {
        Frame { file: Some(file.to_owned()), line: Some(line), ..Frame::unresolved(None, 1) }
    }

    /// Lines around the one that is meant, fewer at both ends of the file, none beyond it.
    #[test]
    fn lines_around() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.c");
        std::fs::write(&path, "1\n2\n3\n4\n\t5\n6\x1b[0m\n7\n8\n9\n").unwrap();
        let path = path.to_str().unwrap();
        let mut sources = Sources::default();
        let mut lines = |line| {
            let found = sources.around(&frame(path, line));
            found.map(|found| {
                let text = |line: &SourceLine| {
                    format!("{}{}{}", line.number, if line.here { ">" } else { " " }, line.text)
                };
                found.lines.iter().map(text).collect::<Vec<_>>().join("|")
            })
        };
        assert_eq!(lines(5).unwrap(), "2 2|3 3|4 4|5>    5|6 6\\x1b[0m|7 7|8 8");
        assert_eq!(lines(1).unwrap(), "1>1|2 2|3 3|4 4");
        assert_eq!(lines(9).unwrap(), "6 6\\x1b[0m|7 7|8 8|9>9");
        std::fs::write(dir.path().join("b.c"), "    f {\n\n\tg;\n        h;\n    }\n").unwrap();
        assert_eq!(lines(10), None);
        assert_eq!(lines(u32::MAX), None);
        let path = dir.path().join("b.c");
        let found = sources.around(&frame(path.to_str().unwrap(), 3)).unwrap();
        let text: Vec<_> = found.lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(text, ["f {", "", "g;", "    h;", "}"]);
    }

    /// What is no file of text is not quoted.
    #[test]
    fn strange_files() {
        let mut sources = Sources::default();
        for path in ["/missing/a.c", "/dev/zero", "/proc/self", "a.c", "/bin/true"] {
            assert_eq!(sources.around(&frame(path, 1)), None, "{path}");
        }
    }
}
