//! What the runner does, seen from outside.

use std::process::{Command, Output};

use serde_json::Value;

use crate::{CHILD, many};

/// Runs this program with a suite and arguments.
fn child(suite: &str, arguments: &[&str]) -> Output {
    command(suite, arguments).output().expect("a child")
}

/// Such a run, in an environment that says nothing of it.
fn command(suite: &str, arguments: &[&str]) -> Command {
    let program = std::env::current_exe().expect("the path of this program");
    let mut command = Command::new(program);
    command.args(arguments).env(CHILD, suite);
    for name in
        [alloc_testing::SEED_VARIABLE, "RUST_BACKTRACE", "RUST_LIB_BACKTRACE", "RUST_TEST_THREADS"]
    {
        command.env_remove(name);
    }
    command
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// The events of a run in JSON.
fn events(output: &Output) -> Vec<Value> {
    stdout(output).lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// Lines of a result that differ from run to run: stacks, and the time.
fn normal(text: &str) -> String {
    let mut normal = String::new();
    for line in text.lines().filter(|line| !line.starts_with("    ")) {
        let line = match line.rsplit_once("; ") {
            Some((start, time)) if time.ends_with(" s") => start,
            _ => line,
        };
        let line = line.replace(file!().trim_end_matches("outer.rs"), "");
        normal.push_str(line.trim_end());
        normal.push('\n');
    }
    normal
}

#[alloc_testing::suite]
pub(crate) mod tests {
    use super::*;

    /// One leak, one logged error, one skip, one failure: to the letter.
    #[test]
    fn golden() {
        let output = child("golden", &["--jobs", "1", "--seed", "1"]);
        let expected = include_str!("golden.txt");
        assert_eq!(normal(&stdout(&output)), expected, "{}", stdout(&output));
        assert_eq!(output.status.code(), Some(1));
        assert!(stdout(&output).contains("golden.rs"), "the stack of the leak");
    }

    /// What `cfg_attr` says of a test holds as under the harness.
    #[test]
    fn conditional_attributes() {
        let output = child("conditional", &["--jobs=1", "--seed=1"]);
        let text = stdout(&output);
        assert!(text.contains("result: ok. 3 passed; 0 failed; 2 ignored;"), "{text}");
        assert!(text.contains("skipped_plain ... ignored, plain\n"), "{text}");
        assert_eq!(output.status.code(), Some(0), "{text}");
    }

    /// Attributes mean in a suite what they do under the harness.
    #[test]
    fn attributes_hold() {
        let output = child("attributes", &[]);
        assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
        assert!(stdout(&output).contains("result: ok. 3 passed; 0 failed;"), "{}", stdout(&output));
    }

    /// A panic that no hook tells has its words; one whose value panics when it is dropped ends nothing.
    #[test]
    fn panics_are_told() {
        let output = child("panics", &["--jobs=1"]);
        let text = stdout(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("result: FAILED. 1 passed; 4 failed;"), "{text}");
        for words in [
            ") ----\npanicked: why it failed\n",
            ") ----\npanicked with a value that is no text\n",
            ") ----\npanicked: what was hushed\n",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    /// Records have standard output for themselves.
    #[cfg(unix)]
    #[test]
    fn what_tests_print_is_in_no_record() {
        for format in ["json", "junit"] {
            let output = child("prints", &["--format", format, "--jobs=1"]);
            let error = String::from_utf8_lossy(&output.stderr);
            for words in ["a whole line\n", "half a line", "of a child\n"] {
                assert!(error.contains(words), "{error}");
                assert!(!stdout(&output).contains(words), "{}", stdout(&output));
            }
        }
        assert_eq!(events(&child("prints", &["--format=json"])).len(), 6);
        assert!(stdout(&child("prints", &[])).contains("a whole line\n"));
    }

    /// A test that ends the process has not let the run pass.
    #[cfg(unix)]
    #[test]
    fn the_end_of_the_process_is_told() {
        let output = child("exits", &[]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        let told = "error: odd::exits::ends_the_process ended the process, and the run with it\n";
        assert!(error.ends_with(told), "{error}");
        let output = child("exits-elsewhere", &[]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        let told = "error: a thread that runs no test ended the process, and the run with it\n";
        assert!(error.ends_with(told), "{error}");
    }

    /// Who aborts is named, with all that was said before.
    #[cfg(unix)]
    #[test]
    fn an_abort_is_told() {
        use std::os::unix::process::ExitStatusExt;
        let output = child("aborts", &["panics_in_a_panic"]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.signal().is_some(), "{error}");
        let told = "error: odd::aborts::panics_in_a_panic aborted the process, and the run with it\n\
                    panicked at ";
        for words in [told, ": the first words\n", ": the second words\n"] {
            assert!(error.contains(words), "{words}: {error}");
        }
        let output = child("aborts", &["aborts_in_a_thread"]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.signal().is_some(), "{error}");
        let told = "error: a thread that runs no test aborted the process, and the run with it\n";
        assert!(error.ends_with(told), "{error}");
        // Nobody ends it afterwards, as `abort` does.
        let output = child("aborts", &["is_sent_the_signal"]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{error}");
        let told =
            "error: odd::aborts::is_sent_the_signal aborted the process, and the run with it\n";
        assert!(error.contains(told), "{error}");
        let output = child("aborts", &["has_a_child_that_aborts"]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{error}");
        assert!(!error.contains("aborted the process"), "{error}");
    }

    /// What a text does while it is shown is its test's own; a value that is no text is told to be none.
    #[test]
    fn texts_that_panic_or_log_are_of_their_test() {
        let output = child("logs", &["--jobs=1"]);
        let text = stdout(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        for words in [
            "logged an error: runner::odd::logs: inside\nlogged an error: runner::odd::logs: outside\n",
            ": words of a text\n",
            ": a value that is no text\n",
            "0 passed; 3 failed; 0 ignored; 0 filtered out; 0 leaked, 0 findings, 2 errors logged",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(!text.contains("that run no test"), "{text}");
    }

    /// The environment that the standard harness heeds is heeded.
    #[test]
    fn the_environment_is_heeded() {
        let with = |name, value| {
            let mut command = command("panics", &["carries_a_bomb", "--exact"]);
            command.arg("odd::panics::carries_a_bomb").env(name, value).output().expect("a child")
        };
        let text = stdout(&with("RUST_BACKTRACE", "1"));
        assert!(text.contains("stack backtrace:\n") && text.contains("odd.rs"), "{text}");
        let text = stdout(&with("RUST_BACKTRACE", "0"));
        assert!(!text.contains("stack backtrace:\n"), "{text}");
        let output = with("RUST_TEST_THREADS", "none");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            error.contains("note: RUST_TEST_THREADS=\"none\" is no number from 1 on\n"),
            "{error}"
        );
        // They wait until all run at once.
        let jobs = many::COUNT.to_string();
        let output = command("many", &[]).env("RUST_TEST_THREADS", jobs).output().expect("a child");
        let text = stdout(&output);
        assert!(text.contains("0 passed; 64 failed") && !text.contains("(panic"), "{text}");
    }

    /// The same as lines of JSON and as JUnit's XML, on standard output and in a file.
    #[test]
    fn records() {
        let output = child("golden", &["--format=json", "--seed=1"]);
        let events = events(&output);
        assert_eq!(events.len(), 13, "a line at each end, six tests, of which five were run");
        let is_started = |event: &&Value| event["event"] == "started" && event["type"] == "test";
        assert_eq!(events.iter().filter(is_started).count(), 5);
        let of = |name: &str| events.iter().rfind(|event| event["name"] == name).expect(name);
        assert_eq!(events[0]["seed"], "0x1");
        assert_eq!(of("golden::suite::passes")["event"], "ok");
        let leak = of("golden::suite::leaks");
        assert_eq!((&leak["kinds"][0], &leak["leaked_bytes"]), (&"leak".into(), &8.into()));
        assert!(leak["file"].as_str().is_some_and(|file| file.ends_with("runner/golden.rs")));
        assert_eq!(of("golden::suite::is_skipped")["reason"], "skipped");
        let last = &events[12];
        for (name, number) in [("passed", 2), ("failed", 3), ("ignored", 1), ("logged_errors", 1)] {
            assert_eq!(last[name], number, "{name}");
        }
        let path = std::env::temp_dir().join(format!("runner-{}.xml", std::process::id()));
        let arguments = ["--format", "junit", "--output", path.to_str().expect("text")];
        let output = child("golden", &arguments);
        let xml = std::fs::read_to_string(&path).expect("written");
        std::fs::remove_file(&path).expect("removed");
        assert!(stdout(&output).contains("test golden::suite::passes ... ok\n"));
        assert!(xml.contains("tests=\"6\" failures=\"3\" errors=\"0\" skipped=\"1\""), "{xml}");
        assert!(xml.contains("classname=\"golden::suite::inner\" name=\"fails\""), "{xml}");
        assert!(
            xml.contains("what went &lt;wrong&gt;") && xml.ends_with("</testsuites>\n"),
            "{xml}"
        );
    }

    /// Sixty-four tests at once, each told of its own leak and of no other's.
    #[test]
    fn parallel_tests_do_not_mix() {
        let output = child("many", &["--format", "json", "--jobs", "64"]);
        assert_eq!(output.status.code(), Some(1));
        let events = events(&output);
        // All but the last, which is that of the suite.
        let tests: Vec<_> = events.iter().filter(|event| event["seconds"].is_number()).collect();
        let tests = &tests[..tests.len() - 1];
        assert_eq!(tests.len(), many::COUNT);
        for test in tests {
            let name = test["name"].as_str().expect("a name");
            let number: u64 = name[name.len() - 2..].parse().expect(name);
            assert_eq!(test["leaked_blocks"], 1, "{test}");
            assert_eq!(test["leaked_bytes"], 100 + number, "{test}");
            assert_eq!(test["kinds"], serde_json::json!(["leak"]), "{test}");
        }
    }

    /// Equal seeds, equal orders; another seed, another one.
    #[test]
    fn the_order_is_that_of_the_seed() {
        let order = |seed| {
            let arguments = ["--format=json", "--jobs=1", "--skip=leaks", "--seed", seed];
            let output = child("golden", &arguments);
            let names = events(&output).into_iter().map(|event| event["name"].clone());
            names.collect::<Vec<_>>()
        };
        assert_eq!(order("7"), order("0x7"));
        assert_ne!(order("7"), order("8"));
    }

    /// What cargo and nextest ask: lists, and single tests by their whole names.
    #[test]
    fn tests_are_listed_and_chosen() {
        let list = child("golden", &["--list", "--format", "terse"]);
        assert_eq!(list.status.code(), Some(0));
        let names = stdout(&list);
        let names: Vec<_> =
            names.lines().map(|line| line.strip_suffix(": test").expect(line)).collect();
        assert_eq!(names.len(), 6);
        let ignored = stdout(&child("golden", &["--list", "--format", "terse", "--ignored"]));
        assert_eq!(ignored, "golden::suite::is_skipped: test\n");
        for name in names {
            let output = child("golden", &["--exact", name, "--nocapture"]);
            let text = stdout(&output);
            assert!(text.contains("running 1 test in"), "{text}");
            let is_bad = ["leaks", "logs_an_error", "fails"].iter().any(|bad| name.ends_with(bad));
            assert_eq!(output.status.code(), Some(i32::from(is_bad)), "{text}");
        }
        let skipped = child("golden", &["--exact", "golden::suite::is_skipped", "--ignored"]);
        assert_eq!(skipped.status.code(), Some(1), "it panics when it is asked to run");
        let some = stdout(&child("golden", &["inner", "--skip", "fails"]));
        assert!(some.contains("1 passed; 0 failed; 0 ignored; 5 filtered out"), "{some}");
    }

    /// An error of a thread that runs no test fails the run, though no test.
    #[test]
    fn a_stray_error_fails_the_run() {
        let output = child("strays", &[]);
        let text = stdout(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("1 error logged by threads that run no test"), "{text}");
        assert!(text.contains("1 passed; 0 failed"), "{text}");
        // As a case of its own: there is no other sign that readers of XML know.
        let xml = stdout(&child("strays", &["--format=junit"]));
        assert!(xml.contains("tests=\"2\" failures=\"0\" errors=\"1\""), "{xml}");
        let cases: Vec<_> = xml.lines().filter(|line| line.starts_with("<testcase ")).collect();
        assert_eq!(cases.len(), 2, "{xml}");
        assert!(cases[1].contains("<error type=\"logged_error\""), "{xml}");
    }

    /// What the runner itself leaks is another failure than what tests do.
    #[test]
    fn the_runners_own_leak_is_told_apart() {
        let output = child("own leak", &["no test has this name"]);
        assert_eq!(output.status.code(), Some(3));
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains("the runner itself leaked:\n1 leaked, 8 bytes"), "{error}");
    }

    /// A command line that does not fit, or that is wrong: one line, and no test runs.
    #[test]
    fn a_wrong_command_line_is_refused() {
        let long = "x".repeat(9 * 1024);
        let words = ["y"; 500];
        let too_long = "error: the command line does not fit into the 8192 bytes";
        for (arguments, line) in [
            (&[long.as_str()][..], too_long),
            (&words[..], too_long),
            (&["--colour"], "error: unknown option `--colour`; the options are"),
            (&["--format", "json", "--output", "/"], "error: cannot write /: "),
        ] {
            let output = child("golden", arguments);
            let error = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{error}");
            assert!(error.starts_with(line) && error.lines().count() == 1, "{error}");
            assert!(output.stdout.is_empty());
        }
        // As much as fits does fit: 8 KiB less the names of the lists.
        let fits = "x".repeat(7 * 1024);
        assert_eq!(child("golden", &["--filter", &fits]).status.code(), Some(0));
        let help = child("golden", &["--help"]);
        assert_eq!(help.status.code(), Some(0));
        assert!(stdout(&help).contains("exit status: 0 all that ran passed"));
    }
}
