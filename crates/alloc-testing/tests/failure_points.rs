//! One point of a check, run alone: what the report prints works. The tests that fail on purpose are
//! run in a child, by their names.

use std::process::{Command, Output};

use alloc_core::{AllocError, AllocatorExt};
use alloc_testing::{AllocFailures, FailureAllocator};

const POINT: &str = "ALLOC_TESTING_POINT";

/// Three requests; the failure of the last is swallowed.
fn swallows_the_last(gpa: &FailureAllocator) -> Result<(), AllocError> {
    drop(gpa.create(1)?);
    drop(gpa.create(2)?);
    let _ = gpa.create(3);
    Ok(())
}

#[test]
#[ignore = "fails on purpose: run by the others"]
fn planted() {
    AllocFailures::new().check(swallows_the_last);
}

#[test]
#[ignore = "fails on purpose: run by the others"]
fn planted_with_a_name() {
    AllocFailures::new().name("three: blocks").check_in_order(swallows_the_last);
}

#[test]
#[ignore = "fails on purpose: run by the others"]
fn planted_second() {
    AllocFailures::new().check(|gpa| gpa.create(1).map(drop));
    AllocFailures::new().check(swallows_the_last);
}

#[test]
#[ignore = "says how much is run: run by the others"]
fn told() {
    let summary = AllocFailures::new().check(|gpa| gpa.create(1).map(drop));
    println!("{summary}");
}

/// Runs an ignored test of this file, with this point asked for.
fn run(test: &str, point: Option<&str>, more: &[&str]) -> (bool, String) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--ignored", "--nocapture"]).args(more).env_remove(POINT);
    // Nobody reads the stacks of their panics, and to print them takes long.
    command.env("RUST_BACKTRACE", "0");
    command.envs(point.map(|point| (POINT, point)));
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    (status.success(), text)
}

/// The command that a failing check prints: its variable's value, and the test.
fn again(text: &str) -> (String, String) {
    let line = text.lines().find_map(|line| line.trim().strip_prefix("again: ")).expect(text);
    let rest = line.strip_prefix("ALLOC_TESTING_POINT='").expect(line);
    let (point, command) = rest.split_once('\'').expect(line);
    (point.to_owned(), command.trim().to_owned())
}

/// The whole check names the one bad point; the point alone fails in the same way; another passes.
#[test]
fn a_failing_point_can_be_run_alone() {
    let (passed, text) = run("planted", None, &[]);
    assert!(!passed && text.contains("1 point of failure handled wrongly"), "{text}");
    let line = include_str!("failure_points.rs").lines();
    let line = line.take_while(|line| !line.contains("check(swallows_the_last)")).count() + 1;
    assert!(text.contains(&format!("failure_points.rs:{line}:")), "panics at the check: {text}");
    let (point, command) = again(&text);
    assert_eq!(point, format!("planted@{}:{line}:only 2", file!()));
    assert!(command.starts_with("cargo test"), "{command}");
    assert!(command.ends_with(" planted -- --exact"), "{command}");

    for asked in [point.as_str(), "planted:only 2"] {
        let (passed, text) = run("planted", Some(asked), &[]);
        assert!(!passed && text.contains("swallowed: the code returned Ok"), "{text}");
        assert_eq!(again(&text), (point.clone(), command.clone()));
    }
    assert!(run("planted", Some("planted:only 1"), &[]).0);
    assert!(run("planted", Some("planted:pair 0 1"), &[]).0);
}

/// Of two checks in a test the one that failed runs its point, the other all of its own. A name that none
/// has is told at the end.
#[test]
fn a_point_is_of_one_check_of_its_test() {
    let (_, text) = run("planted_second", None, &[]);
    let (point, _) = again(&text);
    let (passed, text) = run("planted_second", Some(&point), &[]);
    assert!(!passed && text.contains("swallowed: the code returned Ok"), "{text}");
    assert_eq!(again(&text).0, point);
    assert!(!text.contains("no check that ran has this name"), "{text}");

    let (passed, text) = run("planted", Some("plant:only 1"), &[]);
    assert!(!passed, "{text}");
    let told = "ALLOC_TESTING_POINT=plant:only 1: no check that ran has this name";
    assert_eq!(text.contains(told), cfg!(target_os = "linux"), "{text}");
}

/// A check with a name is asked for by it; one on the main thread, which has no test's name, by its line.
#[test]
fn a_check_has_a_name() {
    let (_, text) = run("planted_with_a_name", None, &[]);
    let (point, _) = again(&text);
    assert_eq!(point, "three: blocks:only 2");
    let (passed, text) = run("planted_with_a_name", Some(&point), &[]);
    assert!(!passed && again(&text).0 == point, "{text}");

    let (_, text) = run("planted", None, &[]);
    let (of_test, _) = again(&text);
    let (passed, text) = run("planted", Some(&of_test), &["--test-threads=1"]);
    assert!(!passed && of_test.ends_with(&again(&text).0), "{of_test}: {text}");
    let (_, text) = run("planted", None, &["--test-threads=1"]);
    let (point, _) = again(&text);
    assert!(point.ends_with(":only 2"), "{text}");
    let (passed, text) = run("planted", Some(&point), &["--test-threads=1"]);
    assert!(!passed && again(&text).0 == point, "{text}");
}

/// A point runs alone in the check that is asked for, and changes nothing in others. One that the code
/// does not come to, and one that means nothing, fail.
#[test]
fn a_point_is_of_one_check() {
    let all = "1 request, 2 points of failure (0 of 0 pairs), 3 runs";
    let one = "1 request, 1 point of failure (0 of 0 pairs), 1 run";
    for (point, told) in [(None, all), (Some("told:from 0"), one), (Some("planted:only 2"), all)] {
        let (passed, text) = run("told", point, &[]);
        assert!(passed && text.contains(told), "{point:?}: {text}");
    }
    let (passed, text) = run("told", Some("told:only 5"), &[]);
    assert!(!passed && text.contains("the code made 6 requests at first, and 1 now"), "{text}");
    let (passed, text) = run("told", Some("told:hit 2"), &[]);
    assert!(
        !passed && text.contains("the code passed 3 fail points at first, and 0 now"),
        "{text}"
    );
    let (passed, text) = run("told", Some("told:sometimes"), &[]);
    assert!(!passed && text.contains("ALLOC_TESTING_POINT=told:sometimes: no point"), "{text}");
}
