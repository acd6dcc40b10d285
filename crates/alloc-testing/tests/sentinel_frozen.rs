//! Programs that must not allocate after their start: each is this one, run as a child, whose main thread is
//! its only one. (A harness would allocate in between.)

use std::hint::black_box;
use std::process::{Command, ExitCode, Output};

use alloc_testing::{NoAlloc, OnAlloc, Sentinel, forbid_after, permit_alloc};
use libtest_mimic::{Arguments, Failed, Trial};

#[global_allocator]
static ALLOC: Sentinel = Sentinel::new();

#[cfg(all(
    target_os = "linux",
    target_env = "gnu",
    not(target_feature = "crt-static"),
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
#[path = "sentinel/keyless.rs"]
mod keyless;

const CHILD: &str = "ALLOC_TESTING_FROZEN_CHILD";

fn main() -> ExitCode {
    if let Ok(program) = std::env::var(CHILD) {
        run_program(&program);
        return ExitCode::SUCCESS;
    }
    let trials = vec![
        Trial::test("a_program_ends_at_its_first_allocation", ends),
        Trial::test("a_program_aborts_if_told_so", aborts),
        Trial::test("a_phase_is_told_at_its_end", records),
        Trial::test("what_keeps_to_it_ends_well", keeps_to_it),
        Trial::test("threads_are_frozen_too", freezes_threads),
        Trial::test("a_panic_is_told_as_ever", panics),
        Trial::test("a_region_of_all_threads_asks_other_threads", asks_other_threads),
        Trial::test("a_region_of_all_threads_is_in_no_outer_hole", is_in_no_hole),
        #[cfg(all(
            target_os = "linux",
            target_env = "gnu",
            not(target_feature = "crt-static"),
            any(target_arch = "x86_64", target_arch = "aarch64")
        ))]
        Trial::test("a_region_ends_where_the_system_tells_no_ends_of_threads", keyless::ends),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

const FORMAT_LINE: u32 = line!() + 3;
#[inline(never)]
fn serve(request: u32) -> usize {
    let text = format!("request {request}");
    black_box(&text).len()
}

/// What a child does.
fn run_program(program: &str) {
    let block = Box::new(1u64);
    match program {
        "exit" => {
            let _frozen = forbid_after("the start-up", OnAlloc::Exit(77));
            serve(1);
            eprintln!("went on");
        }
        "abort" => {
            let _frozen = forbid_after("the start-up", OnAlloc::Abort);
            drop(black_box(block));
            eprintln!("went on");
        }
        "record" => {
            let frozen = forbid_after("the start-up", OnAlloc::Record);
            serve(2);
            assert_eq!(frozen.operations(), 2, "an allocation and a free");
            eprintln!("went on");
            drop(frozen);
            eprintln!("went too far");
        }
        "clean" => {
            let frozen = NoAlloc::new().allow_frees().after("the start-up", OnAlloc::Exit(78));
            drop(black_box(block));
            permit_alloc(|| serve(3));
            assert_eq!(frozen.operations(), 0);
            frozen.finish();
            serve(4);
        }
        "thread" => {
            let (start, wait) = std::sync::mpsc::channel();
            let thread = std::thread::spawn(move || {
                wait.recv().unwrap();
                serve(5)
            });
            let _frozen = forbid_after("the start-up", OnAlloc::Exit(79));
            permit_alloc(|| start.send(()).unwrap());
            permit_alloc(|| thread.join().unwrap());
        }
        "panic" => {
            let _frozen = forbid_after("the start-up", OnAlloc::Exit(80));
            panic!("the program's own {}", 1);
        }
        "others" => {
            let (start, wait) = std::sync::mpsc::channel();
            let thread = std::thread::spawn(move || {
                wait.recv().unwrap();
                serve(6)
            });
            NoAlloc::new().all_threads().check(|| {
                permit_alloc(|| start.send(()).unwrap());
                permit_alloc(|| thread.join().unwrap());
            });
        }
        "hole" => permit_alloc(|| {
            NoAlloc::new().all_threads().check(|| drop(black_box(Box::new([1u8; 9]))));
        }),
        #[cfg(all(
            target_os = "linux",
            target_env = "gnu",
            not(target_feature = "crt-static"),
            any(target_arch = "x86_64", target_arch = "aarch64")
        ))]
        "keyless" => keyless::run(),
        other => panic!("no program {other}"),
    }
}

fn run(program: &str) -> (Output, String) {
    let this = std::env::current_exe().expect("a path");
    let mut command = Command::new(this);
    // What the children say is compared: they are not to list their fail points.
    command.env(CHILD, program).env_remove(alloc_testing::FAIL_POINTS_VARIABLE);
    let output = command.output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, text)
}

/// Fails with what the child said.
fn check(holds: bool, what: &str, text: &str) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(format!("not so: {what}\n{text}").into()) }
}

fn names_line(text: &str) -> bool {
    text.contains(&format!("sentinel_frozen.rs:{FORMAT_LINE}\n"))
}

/// The status is the one that was said, and the line of `format!` is named.
fn ends() -> Result<(), Failed> {
    let (output, text) = run("exit");
    check(output.status.code() == Some(77), "the status is 77", &text)?;
    let begins = "alloc-testing: a heap operation after the start-up: an allocation of ";
    check(text.starts_with(begins), "it says what", &text)?;
    check(names_line(&text), "it names the line", &text)?;
    check(!text.contains("went on"), "it ends there", &text)
}

fn aborts() -> Result<(), Failed> {
    let (output, text) = run("abort");
    check(output.status.code().is_none(), "it ends by a signal", &text)?;
    let says = "after the start-up: a free of 8 bytes (align 8), at\n";
    check(text.contains(says), "it says what", &text)?;
    check(text.contains("sentinel_frozen.rs:") && !text.contains("went on"), "and where", &text)
}

/// With `Record` the program goes on to the end of the phase, and fails there.
fn records() -> Result<(), Failed> {
    let (output, text) = run("record");
    check(output.status.code() == Some(101), "the status is a panic's", &text)?;
    let says = "2 heap operations after the start-up; the first: an allocation of ";
    check(text.contains(says), "it says what", &text)?;
    check(names_line(&text), "it names the line", &text)?;
    check(text.contains("went on") && !text.contains("went too far"), "at the end", &text)
}

/// What is permitted, and what comes after the phase, passes.
fn keeps_to_it() -> Result<(), Failed> {
    let (output, text) = run("clean");
    check(output.status.success() && text.is_empty(), "all is well", &text)
}

fn freezes_threads() -> Result<(), Failed> {
    let (output, text) = run("thread");
    check(output.status.code() == Some(79), "the status is 79", &text)
}

/// What a panic allocates is nobody's fault: its message is seen.
fn panics() -> Result<(), Failed> {
    let (output, text) = run("panic");
    check(output.status.code() == Some(101), "the status is a panic's", &text)?;
    check(text.contains("the program's own 1"), "it is told", &text)
}

/// Among other tests' threads this could not be seen.
fn asks_other_threads() -> Result<(), Failed> {
    let (output, text) = run("others");
    check(output.status.code() == Some(101), "the status is a panic's", &text)?;
    check(text.contains(" in a region without; the first: "), "it is told", &text)
}

/// The innermost region decides, whatever surrounds it.
fn is_in_no_hole() -> Result<(), Failed> {
    let (output, text) = run("hole");
    check(output.status.code() == Some(101), "the status is a panic's", &text)?;
    let says = "2 heap operations in a region without; the first: an allocation of 9 bytes";
    check(text.contains(says), "it says what", &text)
}
