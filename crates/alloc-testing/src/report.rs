//! Printing from drops.

use core::fmt;

/// Prints to standard error, where the test harness collects it with the test's other output.
///
/// It does not unwind: `eprint!` panics if standard error is closed, and this is called by the drops
/// of allocators and while a test is panicking.
pub(crate) fn print(text: fmt::Arguments<'_>) {
    // The message of that panic would go to standard error too, so there is nowhere to tell it.
    let _ = std::panic::catch_unwind(|| eprint!("{text}"));
}
