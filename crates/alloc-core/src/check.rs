//! Internal checks that end the process instead of unwinding.

use core::fmt;
use core::mem;
use core::panic::Location;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};

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

/// Tells of a failed check: its message, and its place. See [`set_check_hook`].
pub type CheckHook = fn(fmt::Arguments<'_>, &Location<'_>);

/// Null, or a [`CheckHook`]. Relaxed throughout: the pointer is all there is, and functions need no
/// publishing.
static HOOK: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// Chooses what a failed check calls first. The hook should end the process; if it returns, the
/// default follows.
///
/// The default is the panic machinery, which allocates to print. A library that serves the process's
/// own `malloc` sets a hook that writes straight to a descriptor: the allocator may be in the middle
/// of a change, or hold its lock.
pub fn set_check_hook(hook: CheckHook) {
    HOOK.store(hook as *mut (), Relaxed);
}

/// Ends the process with `message` and the place of its caller; what a failed
/// [`check!`](crate::check) calls.
#[cold]
#[inline(never)]
#[track_caller]
pub fn check_failed(message: fmt::Arguments<'_>) -> ! {
    abort_with(&message, Location::caller())
}

/// A panic cannot leave an `extern "C"` function: the runtime prints the message and aborts. The same
/// holds for a hook that panics.
extern "C" fn abort_with(message: &fmt::Arguments<'_>, site: &Location<'_>) -> ! {
    let hook = HOOK.load(Relaxed);
    if !hook.is_null() {
        // SAFETY: what is stored, and not null, came from a function of this type, and function
        // pointers have the size of data pointers wherever `core` has atomics of that size.
        let hook = unsafe { mem::transmute::<*mut (), CheckHook>(hook) };
        hook(*message, site);
    }
    panic!("internal check failed at {site}: {message}")
}
