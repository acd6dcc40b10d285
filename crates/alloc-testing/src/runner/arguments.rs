//! The command line, in a buffer of fixed size.
#![forbid(unsafe_code)]

use core::fmt;
use core::num::NonZeroUsize;
#[cfg(target_os = "linux")]
use std::{fs::File, io::Read};

use alloc_core::{Allocator, AllocatorExt, Owned};
use alloc_fixed::FixedBuffer;

/// Bytes that there are for the command line, and for the lists of what it says.
pub(super) const BUFFER_LEN: usize = 8192;

/// What is done with the tests that were chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    Run,
    List,
    Help,
}

/// Which tests run that are marked to be ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ignored {
    /// None of them.
    Skip,
    /// They alone.
    Only,
    /// They as well.
    Include,
}

/// How results are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Pretty,
    Terse,
    Json,
    JUnit,
}

/// What can be said once.
#[derive(Clone, Copy, Debug)]
enum Said {
    Seed,
    Jobs,
    Format,
    Quiet,
    Output,
    Ignored,
    Exact,
    Task,
}

impl Said {
    fn by(option: &str) -> Option<Self> {
        Some(match option {
            "--seed" => Self::Seed,
            "--jobs" | "--test-threads" | "-j" => Self::Jobs,
            "--format" => Self::Format,
            "--quiet" | "-q" => Self::Quiet,
            "--output" => Self::Output,
            "--ignored" | "--include-ignored" => Self::Ignored,
            "--exact" => Self::Exact,
            "--list" | "--help" | "-h" => Self::Task,
            _ => return None,
        })
    }
}

/// A text that a name is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pattern<'a> {
    None,
    Take(&'a str),
    Skip(&'a str),
}

/// What the command line says. It lies in the fixed buffer.
#[derive(Debug)]
pub(super) struct Options<'a> {
    pub(super) task: Task,
    pub(super) ignored: Ignored,
    pub(super) format: Format,
    pub(super) seed: Option<u64>,
    pub(super) jobs: Option<NonZeroUsize>,
    /// Where JSON or JUnit go, if not to standard output.
    pub(super) output: Option<&'a str>,
    is_exact: bool,
    /// What was said already: a bit of each [`Said`].
    said: u8,
    patterns: Owned<[Pattern<'a>], &'a dyn Allocator>,
}

/// What is wrong with a command line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrong<'a> {
    TooLong,
    NoText,
    Unreadable,
    Unknown(&'a str),
    NoValue(&'a str),
    BadValue {
        option: &'a str,
        value: &'a str,
        valid: &'static str,
    },
    OutputOfLines,
    ListOfRecords,
    /// An option that was given before, by this name or by one that says otherwise.
    Twice(&'a str),
}

impl fmt::Display for Wrong<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(
                f,
                "the command line does not fit into the {BUFFER_LEN} bytes that there are for it"
            ),
            Self::NoText => f.write_str("an argument is no text in UTF-8"),
            Self::Unreadable => {
                f.write_str("the command line cannot be read from /proc/self/cmdline")
            }
            Self::Unknown(option) => write!(f, "unknown option `{option}`; {OPTIONS}"),
            Self::OutputOfLines => f.write_str("`--output` goes with `--format json` or `junit`"),
            Self::ListOfRecords => {
                f.write_str("`--list` goes with `--format pretty` or `terse`: no test runs")
            }
            Self::Twice(option) => {
                write!(f, "`{option}`: this was said before, and only once can be meant")
            }
            Self::NoValue(option) => write!(f, "`{option}` needs a value"),
            Self::BadValue { option, value, valid } => {
                write!(f, "`{value}` is no value of `{option}`; it takes {valid}")
            }
        }
    }
}

const OPTIONS: &str = "the options are --seed, --filter, --skip, --exact, --jobs (or --test-threads), \
                       --list, --ignored, --include-ignored, --format, --output, --nocapture, --help";

/// What `--help` prints.
pub(super) const HELP: &str = "\
usage: [OPTIONS] [FILTER ...]

A test runs if a filter is part of its name, or if there are none.

  --filter TEXT         a filter, like one without an option
  --skip TEXT           leaves out the tests whose names hold the text
  --exact               filters and --skip are whole names
  --ignored             only the tests marked #[ignore]
  --include-ignored     these as well
  --list                names the tests that would run, and runs none
  --seed N              shuffles the order; alloc_testing::seed() returns it in the tests
  --jobs N              tests at once; else RUST_TEST_THREADS, or as many as processors
  --test-threads N      the same
  --format FORMAT       pretty, terse, json (a line for each event) or junit
  --output PATH         where json or junit go, beside pretty lines on standard output
  --nocapture           accepted; output of tests is never captured
  --                    all that follows are filters
  --help                this text

exit status: 0 all that ran passed; 1 a test failed, leaked or logged an error;
2 a wrong command line, or output that cannot be written; 3 the runner itself leaked
";

/// The command line of this process: each argument with a NUL behind it, in the buffer. The first is
/// the program.
#[cfg(target_os = "linux")]
pub(super) fn read<'a>(
    fixed: &'a FixedBuffer<'_>,
) -> Result<Owned<[u8], &'a dyn Allocator>, Wrong<'static>> {
    let fixed: &dyn Allocator = fixed;
    // Read twice: for the length, so that the text takes no more of the buffer than it needs.
    let open = || File::open("/proc/self/cmdline").map_err(|_| Wrong::Unreadable);
    let mut file = open()?;
    let (mut chunk, mut len) = ([0; 512], 0);
    loop {
        match file.read(&mut chunk).map_err(|_| Wrong::Unreadable)? {
            0 => break,
            more => len += more,
        }
        if BUFFER_LEN < len {
            return Err(Wrong::TooLong);
        }
    }
    let mut text = fixed.alloc_fill(len, 0).map_err(|_| Wrong::TooLong)?;
    open()?.read_exact(&mut text).map_err(|_| Wrong::Unreadable)?;
    Ok(text)
}

/// The same where the system does not show the command line as a file: it comes through the heap.
#[cfg(not(target_os = "linux"))]
pub(super) fn read<'a>(
    fixed: &'a FixedBuffer<'_>,
) -> Result<Owned<[u8], &'a dyn Allocator>, Wrong<'static>> {
    let fixed: &dyn Allocator = fixed;
    let mut text = String::new();
    for argument in std::env::args_os() {
        text += argument.to_str().ok_or(Wrong::NoText)?;
        text.push('\0');
    }
    fixed.dupe(text.as_bytes()).map_err(|_| Wrong::TooLong)
}

/// Reads the arguments behind the program's name.
pub(super) fn parse<'a>(
    text: &'a [u8],
    fixed: &'a FixedBuffer<'_>,
) -> Result<Options<'a>, Wrong<'a>> {
    let fixed: &dyn Allocator = fixed;
    let text = core::str::from_utf8(text).map_err(|_| Wrong::NoText)?;
    let text = text.strip_suffix('\0').unwrap_or(text);
    let count = text.split('\0').count();
    let patterns = fixed.alloc_fill(count, Pattern::None).map_err(|_| Wrong::TooLong)?;
    let mut options = Options {
        task: Task::Run,
        ignored: Ignored::Skip,
        format: Format::Pretty,
        seed: None,
        jobs: None,
        output: None,
        is_exact: false,
        said: 0,
        patterns,
    };
    let mut words = text.split('\0').skip(1);
    let (mut used, mut only_filters) = (0, false);
    while let Some(word) = words.next() {
        let pattern = match word {
            _ if only_filters => Some(Pattern::Take(word)),
            "--" => {
                only_filters = true;
                None
            }
            _ => options.take(word, &mut words)?,
        };
        if let Some(pattern) = pattern {
            options.patterns[used] = pattern;
            used += 1;
        }
    }
    // Cargo passes its own `--quiet` on: a format that was asked for goes before it.
    if options.has_said(Said::Quiet) && !options.has_said(Said::Format) {
        options.format = Format::Terse;
    }
    match options.format {
        Format::Json | Format::JUnit if options.task == Task::List => Err(Wrong::ListOfRecords),
        Format::Pretty | Format::Terse if options.output.is_some() => Err(Wrong::OutputOfLines),
        _ => Ok(options),
    }
}

impl<'a> Options<'a> {
    const fn has_said(&self, what: Said) -> bool {
        self.said & (1 << what as u8) != 0
    }

    /// Notes that something is said, by this option.
    fn say(&mut self, what: Said, option: &'a str) -> Result<(), Wrong<'a>> {
        if self.has_said(what) {
            return Err(Wrong::Twice(option));
        }
        self.said |= 1 << what as u8;
        Ok(())
    }

    /// Takes one word, and its value if it has one; a pattern if it is one.
    fn take(
        &mut self,
        word: &'a str,
        rest: &mut impl Iterator<Item = &'a str>,
    ) -> Result<Option<Pattern<'a>>, Wrong<'a>> {
        if !word.starts_with('-') || word == "-" {
            return Ok(Some(Pattern::Take(word)));
        }
        let (option, given) = match word.split_once('=') {
            Some((option, value)) => (option, Some(value)),
            None => (word, None),
        };
        if let Some(what) = Said::by(option) {
            self.say(what, option)?;
        }
        let mut value = || given.or_else(|| rest.next()).ok_or(Wrong::NoValue(option));
        match option {
            "--filter" => return value().map(|text| Some(Pattern::Take(text))),
            "--skip" => return value().map(|text| Some(Pattern::Skip(text))),
            "--seed" => {
                let (value, valid) = (value()?, "a number of 64 bits, decimal or after 0x");
                let seed = crate::seed::parse(value);
                self.seed = Some(seed.ok_or(Wrong::BadValue { option, value, valid })?);
            }
            "--jobs" | "--test-threads" | "-j" => {
                let (value, valid) = (value()?, "a number from 1 on");
                let jobs = value.parse().ok();
                self.jobs = Some(jobs.ok_or(Wrong::BadValue { option, value, valid })?);
            }
            "--format" => {
                let (value, valid) = (value()?, "pretty, terse, json, junit");
                self.format = match value {
                    "pretty" => Format::Pretty,
                    "terse" => Format::Terse,
                    "json" => Format::Json,
                    "junit" => Format::JUnit,
                    _ => return Err(Wrong::BadValue { option, value, valid }),
                };
            }
            "--output" => self.output = Some(value()?),
            _ if given.is_some() => return Err(Wrong::Unknown(word)),
            "--exact" => self.is_exact = true,
            "--list" => self.task = Task::List,
            "--help" | "-h" => self.task = Task::Help,
            "--ignored" => self.ignored = Ignored::Only,
            "--include-ignored" => self.ignored = Ignored::Include,
            // Heeded when all is read.
            "--quiet" | "-q" => {}
            // Nothing is captured: output goes where it is written to.
            "--nocapture" | "--no-capture" | "--show-output" => {}
            _ => return Err(Wrong::Unknown(word)),
        }
        Ok(None)
    }

    /// Whether the test of this name was chosen.
    pub(super) fn chooses(&self, name: &str) -> bool {
        let hit = |text: &str| if self.is_exact { name == text } else { name.contains(text) };
        let (mut is_taken, mut is_asked) = (false, false);
        for pattern in self.patterns.iter() {
            match *pattern {
                Pattern::None => {}
                Pattern::Take(text) => {
                    is_asked = true;
                    is_taken |= hit(text);
                }
                Pattern::Skip(text) if hit(text) => return false,
                Pattern::Skip(_) => {}
            }
        }
        is_taken || !is_asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc_fixed::StackBuffer;

    /// Calls `look` with what the words behind the program's name say.
    fn parsed<R>(words: &[&str], look: impl FnOnce(Result<&Options<'_>, String>) -> R) -> R {
        let mut stack = StackBuffer::<BUFFER_LEN>::new();
        let fixed = FixedBuffer::new(&mut stack);
        let text: String =
            core::iter::once(&"program").chain(words).map(|w| format!("{w}\0")).collect();
        match parse(text.as_bytes(), &fixed) {
            Ok(options) => look(Ok(&options)),
            Err(wrong) => look(Err(wrong.to_string())),
        }
    }

    /// Each option, in both spellings.
    #[test]
    fn every_option_is_read() {
        parsed(&[], |options| {
            let options = options.expect("nothing is right");
            assert_eq!((options.task, options.ignored), (Task::Run, Ignored::Skip));
            assert_eq!((options.format, options.seed, options.jobs), (Format::Pretty, None, None));
            assert!(options.chooses("any"));
        });
        let words = ["--seed=0x2a", "--jobs", "3", "--format", "json", "--output=x=y", "--ignored"];
        parsed(&words, |options| {
            let options = options.expect("right");
            assert_eq!((options.seed, options.jobs), (Some(42), NonZeroUsize::new(3)));
            assert_eq!((options.format, options.output), (Format::Json, Some("x=y")));
            assert_eq!(options.ignored, Ignored::Only);
        });
        let words = ["--list", "--format", "terse", "--nocapture", "--include-ignored"];
        parsed(&words, |options| {
            let options = options.expect("right");
            assert_eq!((options.task, options.format), (Task::List, Format::Terse));
            assert_eq!(options.ignored, Ignored::Include);
        });
        for (words, format) in [
            (&["-q"][..], Format::Terse),
            (&["-q", "--format", "json"], Format::Json),
            (&["--format", "pretty", "--quiet", "--nocapture", "--nocapture"], Format::Pretty),
        ] {
            parsed(words, |options| assert_eq!(options.expect("right").format, format));
        }
    }

    /// Filters add up, skips win, and either may mean whole names.
    #[test]
    fn filters_choose() {
        let chosen = |words: &[&str]| {
            parsed(words, |options| {
                let options = options.expect("right");
                ["a::one", "a::two", "b::one"].map(|name| options.chooses(name))
            })
        };
        assert_eq!(chosen(&["a::"]), [true, true, false]);
        assert_eq!(chosen(&["--filter", "two", "b::"]), [false, true, true]);
        assert_eq!(chosen(&["--skip", "one"]), [false, true, false]);
        assert_eq!(chosen(&["a::", "--skip=two"]), [true, false, false]);
        assert_eq!(chosen(&["--exact", "a::one", "one"]), [true, false, false]);
        assert_eq!(chosen(&["--exact", "--skip", "one"]), [true, true, true]);
        assert_eq!(chosen(&["none"]), [false, false, false]);
        assert_eq!(chosen(&["--", "--exact", "--", "b::"]), [false, false, true]);
    }

    /// What cannot be is one line that names it and what would be right.
    #[test]
    fn a_wrong_command_line_is_told() {
        for (words, line) in [
            (&["--sed", "1"][..], "unknown option `--sed`; the options are --seed"),
            (&["--seed"], "`--seed` needs a value"),
            (&["--seed", "ten"], "`ten` is no value of `--seed`; it takes a number of 64 bits"),
            (&["--jobs=0"], "`0` is no value of `--jobs`; it takes a number from 1 on"),
            (
                &["--format=xml"],
                "`xml` is no value of `--format`; it takes pretty, terse, json, junit",
            ),
            (&["--output", "x"], "`--output` goes with `--format json` or `junit`"),
            (&["--list=x"], "unknown option `--list=x`"),
            (&["--seed", "1", "--seed=1"], "`--seed`: this was said before"),
            (&["--ignored", "--include-ignored"], "`--include-ignored`: this was said before"),
            (&["-j", "1", "--test-threads=2"], "`--test-threads`: this was said before"),
            (&["--format=json", "--list"], "`--list` goes with `--format pretty` or `terse`"),
            (&["--list", "--output", "x"], "`--output` goes with"),
        ] {
            let error = parsed(words, |options| options.expect_err("wrong"));
            assert!(error.starts_with(line), "{error}");
        }
        // Each word takes a place in a list: 400 of them do not fit, however short.
        let error = parsed(&["x"; 400], |options| options.expect_err("too long"));
        assert_eq!(
            error,
            "the command line does not fit into the 8192 bytes that there are for it"
        );
    }
}
