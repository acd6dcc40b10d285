//! The runner, by its own runner: the outer tests run this program again, with suites that fail.
//!
//! The variable `ALLOC_TESTING_CHILD` says which suite a child runs.

use std::process::ExitCode;

use alloc_testing::runner::Runner;
use alloc_testing::suites;

mod golden;
mod many;
mod odd;
mod outer;

/// Names what a child of this program runs.
const CHILD: &str = "ALLOC_TESTING_CHILD";

fn main() -> ExitCode {
    let child = std::env::var(CHILD).ok();
    match child.as_deref() {
        None => Runner::new(suites![outer::tests]).run(),
        Some("golden") => Runner::new(suites![golden::suite]).run(),
        Some("many") => Runner::new(suites![many::suite]).run(),
        Some("own leak") => Runner::new(suites![many::suite]).with_leak_of_its_own().run(),
        Some("conditional") => Runner::new(suites![golden::conditional]).run(),
        Some("strays") => Runner::new(suites![golden::strays]).run(),
        Some("attributes") => Runner::new(suites![odd::attributes]).run(),
        Some("panics") => Runner::new(suites![odd::panics]).run(),
        Some("prints") => Runner::new(suites![odd::prints]).run(),
        Some("aborts") => Runner::new(suites![odd::aborts]).run(),
        Some("logs") => Runner::new(suites![odd::logs]).run(),
        Some("exits") => Runner::new(suites![odd::exits]).run(),
        Some("exits-elsewhere") => Runner::new(suites![odd::exits_elsewhere]).run(),
        Some(other) => panic!("no suite {other}"),
    }
}
