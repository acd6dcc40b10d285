//! Fail points that a thread has armed are armed in the threads that it starts.

use core::ffi::{c_int, c_void};
use core::mem::MaybeUninit;

use super::{Start, thread};
use crate::fail_point::Inherited;

/// What a new thread is told, before what its region tells it.
struct Package {
    start: Start,
    argument: *mut c_void,
    points: Inherited,
}

/// Starts a thread, as libc's `pthread_create`.
///
/// # Safety
///
/// As that one.
pub(super) unsafe extern "C" fn create(
    handle: *mut libc::pthread_t,
    attributes: *const libc::pthread_attr_t,
    start: Start,
    argument: *mut c_void,
) -> c_int {
    let Some(points) = thread::aside(Inherited::of_this_thread) else {
        // SAFETY: the caller's contract.
        return unsafe { super::create(handle, attributes, start, argument) };
    };
    let package = thread::aside(|| Box::into_raw(Box::new(Package { start, argument, points })));
    // SAFETY: the caller's contract; `begin` takes a package, which is its own from now on.
    let result = unsafe { super::create(handle, attributes, begin, package.cast()) };
    if result != 0 {
        // SAFETY: leaked above; no thread was started that could have it.
        thread::aside(|| drop(unsafe { Box::from_raw(package) }));
    }
    result
}

/// The first function of a thread with armed points.
///
/// # Safety
///
/// `package` is one that `create` leaked, for this thread.
unsafe extern "C-unwind" fn begin(package: *mut c_void) -> *mut c_void {
    let package = package.cast::<Package>();
    // SAFETY: leaked by `create`, for this thread; it is not dropped there.
    let Package { start, argument, points } = unsafe { package.read() };
    // What is left of it shall not lead to the argument.
    // SAFETY: this thread's own.
    unsafe { package.cast::<u8>().write_bytes(0, size_of::<Package>()) };
    // SAFETY: leaked by `create`; none of its bytes is dropped.
    let memory = unsafe { Box::from_raw(package.cast::<MaybeUninit<Package>>()) };
    thread::aside(|| {
        drop(memory);
        points.arm();
    });
    // No guard: libc's unwinding may leave the thread, and then its thread-local values end the armings.
    // SAFETY: what the caller of `create` passed, together.
    let result = unsafe { start(argument) };
    thread::aside(Inherited::disarm);
    result
}
