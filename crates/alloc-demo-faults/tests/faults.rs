//! One test for each fault: over the faulty code in a child, whose verdicts are looked at, and over the
//! corrected twin, where it passes.
//!
//! `ALLOC_DEMO=faulty` runs the former alone, to see the reports.

use std::process::{Command, ExitCode, Output};

use alloc_demo_faults as demo;
use alloc_gpa::{Gpa, Guard};
use alloc_testing::runner::Runner;
use alloc_testing::{
    Sentinel, TestAllocator, alloc_test, assert_no_alloc, check_all_alloc_failures, suites,
};
use serde_json::Value;

/// What sees requests that the program's code does not show.
#[global_allocator]
static GLOBAL: Sentinel = Sentinel::new();

/// Names what a child of this program runs.
const CHILD: &str = "ALLOC_DEMO";

fn main() -> ExitCode {
    match std::env::var(CHILD).ok().as_deref() {
        None => Runner::new(suites![corrected, verdicts]).run(),
        Some("faulty") => Runner::new(suites![faulty]).run(),
        Some("sixty-four") => Runner::new(suites![sixty_four]).run(),
        Some(other) => panic!("{CHILD}={other}: `faulty` or `sixty-four`"),
    }
}

/// The checks that stand in a function, so that sixty-four tests can make them.
mod checks {
    use super::*;

    pub(super) fn partial_insert(insert: demo::partial_insert::Insert) {
        check_all_alloc_failures(|gpa| {
            let mut map = demo::partial_insert::Map::new(gpa);
            insert(&mut map, "colour", "red")?;
            assert_eq!(map.get("colour"), Some("red"));
            insert(&mut map, "size", "9")
        });
    }

    pub(super) fn state_first(push: demo::state_first::Push) {
        check_all_alloc_failures(|gpa| {
            let mut cursor = demo::state_first::Cursor::new(gpa);
            let state = |cursor: &demo::state_first::Cursor<'_>| {
                (cursor.count, cursor.last().map(str::to_owned))
            };
            gpa.restores(&mut cursor, state, |cursor| push(cursor, "first"))?;
            gpa.restores(&mut cursor, state, |cursor| push(cursor, "second"))
        });
    }
}

/// Writes the tests over one of the twins.
macro_rules! tests_of {
    ($twin:ident) => {
        #[alloc_testing::suite]
        mod $twin {
            use super::*;

            #[alloc_test]
            fn early_return(gpa: &TestAllocator) {
                assert_eq!(demo::early_return::$twin(gpa, "12"), Ok(12));
                assert!(demo::early_return::$twin(gpa, "12x").is_err());
            }

            #[test]
            fn swallowed() {
                check_all_alloc_failures(|gpa| demo::swallowed::$twin(gpa, "text").map(drop));
            }

            #[test]
            fn partial_insert() {
                checks::partial_insert(demo::partial_insert::$twin);
            }

            #[test]
            fn clean_up() {
                check_all_alloc_failures(|gpa| demo::clean_up::$twin(gpa, 10).map(drop));
            }

            #[test]
            fn state_first() {
                checks::state_first(demo::state_first::$twin);
            }

            #[alloc_test]
            fn thread_leak(gpa: &TestAllocator) {
                let even = demo::thread_leak::$twin(gpa.shared(), [1, 2, 3]);
                let odd = demo::thread_leak::$twin(gpa.shared(), [1, 2, 4]);
                assert_eq!((even.join().unwrap(), odd.join().unwrap()), (6, 7));
            }

            #[alloc_test]
            fn thread_double_free(gpa: &TestAllocator) {
                assert_eq!(demo::thread_double_free::$twin(gpa.shared(), 5), 5);
            }

            #[test]
            fn growth() {
                let code = |gpa: &_| demo::growth::$twin(gpa, b"a line", b" more").map(drop);
                check_all_alloc_failures(|gpa| code(gpa));
            }

            #[test]
            fn hidden_global() {
                let mut buffer = [0; 16];
                let len = assert_no_alloc(|| demo::hidden_global::$twin(7, &mut buffer));
                assert_eq!(buffer[..len], *b"<7>");
            }

            #[alloc_test(settings = Gpa::builder().guard(Guard::Every))]
            fn write_after_free(gpa: &TestAllocator) {
                assert_eq!(demo::write_after_free::$twin(gpa), 1);
            }
        }
    };
}

tests_of!(faulty);
tests_of!(corrected);

/// Runs this program with other tests; the events of the run.
fn child(what: &str, arguments: &[&str]) -> (Output, Vec<Value>) {
    let program = std::env::current_exe().expect("the path of this program");
    let mut command = Command::new(program);
    command.args(["--format", "json"]).args(arguments).env(CHILD, what);
    let output = command.output().expect("a child");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let events = text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    (output, events)
}

/// What the report on a fault must say, and where.
struct Expected {
    name: &'static str,
    source: &'static str,
    words: &'static str,
}

/// Writes the expectations.
macro_rules! expected {
    ($($name:literal $words:literal)+) => {
        &[$(Expected {
            name: $name,
            source: include_str!(concat!("../src/", $name, ".rs")),
            words: $words,
        }),+]
    };
}

const EXPECTED: &[Expected] = expected! {
    "early_return" "1 block leaked, 3 bytes"
    "swallowed" "swallowed: the code returned Ok"
    "partial_insert" "leaked 1 block"
    "clean_up" "leaked 1 block, 80 bytes"
    "state_first" "state not restored by the operation at"
    "thread_leak" "1 block leaked, 24 bytes"
    "thread_double_free" "double free"
    "growth" "leaked 1 block, 6 bytes"
    "hidden_global" "in a region without; the first:"
    "write_after_free" "write after free"
};

impl Expected {
    /// Compares the event of a test with the fault that was planted.
    fn compare(&self, event: &Value) {
        let Self { name, source, words } = self;
        assert_eq!(event["event"], "failed", "{name}: {event:#}");
        let text = event["text"].as_str().expect("a text");
        assert!(text.contains(words), "{name}: no {words:?} in\n{text}");
        let mut lines = source.lines().zip(1..).filter(|(line, _)| line.ends_with("// planted"));
        let (_, number) = lines.next().expect("a planted line");
        assert!(lines.next().is_none(), "{name}: one planted line");
        let place = format!("alloc-demo-faults/src/{name}.rs:{number}");
        let is_end = |rest: &str| !rest.starts_with(|next: char| next.is_ascii_digit());
        let is_named = text.split(&place).skip(1).any(is_end);
        assert!(is_named, "{name}: no {place} in\n{text}");
    }
}

#[alloc_testing::suite]
mod verdicts {
    use super::*;

    /// Each fault is caught by its one test, which names what it is and where.
    #[test]
    fn each_fault_is_caught() {
        let (output, events) = child("faulty", &[]);
        assert_eq!(output.status.code(), Some(1));
        let of =
            |name: &str| events.iter().rfind(|event| event["name"] == format!("faulty::{name}"));
        for expected in EXPECTED {
            expected.compare(of(expected.name).expect(expected.name));
        }
        let last = events.last().expect("an end");
        assert_eq!((&last["failed"], &last["passed"]), (&EXPECTED.len().into(), &0.into()));
    }

    /// Sixty-four of them at once: each is told its own fault, and the sound ones among them pass.
    #[test]
    fn sixty_four_at_once_do_not_mix() {
        let (output, events) = child("sixty-four", &["--jobs", "64"]);
        assert_eq!(output.status.code(), Some(1));
        let tests: Vec<_> = events.iter().filter(|event| event["seconds"].is_number()).collect();
        let tests = &tests[..tests.len() - 1];
        assert_eq!(tests.len(), 64);
        for event in tests {
            let name = event["name"].as_str().expect("a name");
            let number: usize = name[name.len() - 2..].parse().expect(name);
            match KINDS[number % KINDS.len()] {
                "sound" => assert_eq!(event["event"], "ok", "{event:#}"),
                kind => EXPECTED.iter().find(|one| one.name == kind).expect(kind).compare(event),
            }
        }
    }
}

/// What the sixty-four do in turn.
const KINDS: [&str; 8] = [
    "early_return",
    "sound",
    "thread_leak",
    "partial_insert",
    "thread_double_free",
    "state_first",
    "sound",
    "clean_up",
];

/// Makes the check of a kind; the sound ones that of the twins.
fn check(gpa: &TestAllocator, number: usize) {
    match KINDS[number % KINDS.len()] {
        "early_return" => assert!(demo::early_return::faulty(gpa, "12x").is_err()),
        "thread_leak" => {
            let odd = demo::thread_leak::faulty(gpa.shared(), [1, 2, 4]);
            assert_eq!(odd.join().unwrap(), 7);
        }
        "partial_insert" => checks::partial_insert(demo::partial_insert::faulty),
        "thread_double_free" => {
            assert_eq!(demo::thread_double_free::faulty(gpa.shared(), 5), 5);
        }
        "state_first" => checks::state_first(demo::state_first::faulty),
        "clean_up" => {
            check_all_alloc_failures(|gpa| demo::clean_up::faulty(gpa, 10).map(drop));
        }
        _ => {
            assert!(demo::early_return::corrected(gpa, "12x").is_err());
            let odd = demo::thread_leak::corrected(gpa.shared(), [1, 2, 4]);
            assert_eq!(odd.join().unwrap(), 7);
            assert_eq!(demo::thread_double_free::corrected(gpa.shared(), 5), 5);
        }
    }
}

/// Writes a test for each number.
macro_rules! numbered {
    ($($name:ident $number:literal)*) => {
        #[alloc_testing::suite]
        mod sixty_four {
            use super::*;

            $(
                #[alloc_test]
                fn $name(gpa: &TestAllocator) {
                    check(gpa, $number);
                }
            )*
        }
    };
}

numbered! {
    t00 0 t01 1 t02 2 t03 3 t04 4 t05 5 t06 6 t07 7
    t08 8 t09 9 t10 10 t11 11 t12 12 t13 13 t14 14 t15 15
    t16 16 t17 17 t18 18 t19 19 t20 20 t21 21 t22 22 t23 23
    t24 24 t25 25 t26 26 t27 27 t28 28 t29 29 t30 30 t31 31
    t32 32 t33 33 t34 34 t35 35 t36 36 t37 37 t38 38 t39 39
    t40 40 t41 41 t42 42 t43 43 t44 44 t45 45 t46 46 t47 47
    t48 48 t49 49 t50 50 t51 51 t52 52 t53 53 t54 54 t55 55
    t56 56 t57 57 t58 58 t59 59 t60 60 t61 61 t62 62 t63 63
}
