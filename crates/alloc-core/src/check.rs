//! Internal checks that end the process instead of unwinding.

use core::fmt;
use core::panic::Location;

/// Whether this build carries the internal checks: the mode `check`, chosen by `--cfg alloc_check`.
pub const CHECKED: bool = cfg!(alloc_check);

/// Aborts with a message if the condition is false, in builds of the mode `check`; costs nothing in
/// builds of the mode `fast`.
///
/// Unlike `debug_assert!` it never unwinds: it is used inside allocators, where unwinding is
/// undefined behaviour.
///
/// ```
/// let (end, len) = (3, 4);
/// alloc_core::check!(end <= len, "end {end} lies past len {len}");
/// ```
#[macro_export]
macro_rules! check {
    ($condition:expr, $($message:tt)+) => {
        if $crate::CHECKED && !$condition {
            $crate::check_failed(::core::format_args!($($message)+));
        }
    };
}

/// Ends the process with `message` and the place of its caller; what a failed [`check!`](crate::check) calls.
#[cold]
#[inline(never)]
#[track_caller]
pub fn check_failed(message: fmt::Arguments<'_>) -> ! {
    abort_with(&message, Location::caller())
}

/// A panic cannot leave an `extern "C"` function: the runtime prints the message and aborts.
extern "C" fn abort_with(message: &fmt::Arguments<'_>, site: &Location<'_>) -> ! {
    panic!("internal check failed at {site}: {message}")
}
