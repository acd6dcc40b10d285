//! Internal checks: gone in the mode `fast`, an abort with values and place in the mode `check`.

use std::process::{Command, Output};

/// Runs one test of this file in a child process, which sees `ALLOC_CORE_TEST_CHILD`.
fn run(test: &str) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env("ALLOC_CORE_TEST_CHILD", "1")
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap()
}

fn in_child() -> bool {
    std::env::var_os("ALLOC_CORE_TEST_CHILD").is_some()
}

/// A check that fails ends the process, past any `catch_unwind`, and names the caller's line.
#[test]
#[cfg_attr(miri, ignore = "Miri starts no processes")]
fn a_failed_check_aborts() {
    let end = 4;
    let (line, fails) = (line!(), || alloc_core::check_failed(format_args!("end {end}")));
    if in_child() {
        let caught = std::panic::catch_unwind(fails);
        println!("caught: {}", caught.is_err());
        return;
    }
    let output = run("a_failed_check_aborts");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && output.status.code().is_none(), "a signal: {text}");
    assert!(text.contains(&format!("failed at {}:{line}:", file!())), "{text}");
    assert!(text.contains(": end 4"), "{text}");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("caught"), "{text}");
}

/// `check!` does that in the mode `check`, and does not even look at its condition in `fast`.
#[test]
#[cfg_attr(miri, ignore = "Miri starts no processes")]
fn check_follows_the_mode() {
    if in_child() {
        alloc_core::check!(std::hint::black_box(false), "{} and {}", 1, 2);
        return;
    }
    let output = run("check_follows_the_mode");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.success(), !alloc_core::CHECKED, "{text}");
    assert_eq!(text.contains("1 and 2"), alloc_core::CHECKED, "{text}");
    assert_eq!(alloc_core::CHECKED, cfg!(alloc_check));
    let mut looked = false;
    alloc_core::check!(
        {
            looked = true;
            true
        },
        "never"
    );
    assert_eq!(looked, alloc_core::CHECKED);
}

/// A hook sees message and place, and may end the process its own way.
#[test]
#[cfg_attr(miri, ignore = "Miri starts no processes")]
fn a_hook_comes_first() {
    let (line, fails) = (line!(), || alloc_core::check_failed(format_args!("lost {}", 3)));
    if in_child() {
        alloc_core::set_check_hook(|message, site| {
            eprintln!("hook: {message} at {}", site.line());
            std::process::exit(7);
        });
        fails();
    }
    let output = run("a_hook_comes_first");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(7), "{text}");
    assert!(text.contains(&format!("hook: lost 3 at {line}\n")), "{text}");
}
