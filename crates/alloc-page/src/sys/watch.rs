//! For unit tests: which system calls a piece of code makes, and what it does when one of them fails.

use core::ffi::c_int;
use core::ptr::NonNull;
use std::cell::{Cell, RefCell};
use std::vec::Vec;

#[derive(Default)]
struct Watch {
    calls: Vec<&'static str>,
    /// Bytes that were mapped and not unmapped.
    mapped_len: isize,
    fails: Option<Failure>,
}

/// A call that fails, without being made.
#[derive(Clone, Copy)]
pub(crate) struct Failure {
    /// Which, from 0.
    pub(crate) number: usize,
    pub(crate) error: c_int,
    /// Where it is a move: whether its target is unmapped first, and mapped again by somebody else.
    pub(crate) loses_target: bool,
}

std::thread_local! {
    /// What this thread did since the watch began; `None`: nobody watches.
    static WATCH: RefCell<Option<Watch>> = const { RefCell::new(None) };
    /// The target that was lost last.
    static LOST: Cell<Option<NonNull<[u8]>>> = const { Cell::new(None) };
}

/// Notes a call; returns the error that it is to fail with.
pub(crate) fn refused(name: &'static str) -> Option<c_int> {
    WATCH.with_borrow_mut(|watch| {
        let watch = watch.as_mut()?;
        watch.calls.push(name);
        let failure = watch.fails?;
        (failure.number == watch.calls.len() - 1).then_some(failure.error)
    })
}

/// Notes that so many bytes more are mapped.
pub(crate) fn note_mapped(more: isize) {
    WATCH.with_borrow_mut(|watch| {
        if let Some(watch) = watch {
            watch.mapped_len += more;
        }
    });
}

/// What the kernel and another thread may do to the target of a move that is refused: it is unmapped, and
/// its addresses become a reservation of somebody else's, of the very kind.
pub(crate) fn lose(target: NonNull<u8>, len: usize) {
    let is_lost = WATCH.with_borrow(|watch| {
        watch.as_ref().and_then(|watch| watch.fails).is_some_and(|failure| failure.loses_target)
    });
    if !is_lost {
        return;
    }
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED;
    // SAFETY: it replaces the target, which is nobody's any more.
    let others = unsafe { libc::mmap(target.as_ptr().cast(), len, libc::PROT_NONE, flags, -1, 0) };
    assert_eq!(others, target.as_ptr().cast());
    note_mapped(-len.cast_signed());
    LOST.set(Some(NonNull::slice_from_raw_parts(target, len)));
}

/// What [`lose`] has put in the place of a target.
pub(crate) fn take_lost() -> Option<NonNull<[u8]>> {
    LOST.take()
}

/// The system calls that `run` makes, in order, and its result.
pub(crate) fn calls<R>(run: impl FnOnce() -> R) -> (Vec<&'static str>, R) {
    let (watch, result) = watched(None, run);
    (watch.calls, result)
}

/// The same, where the call of this number, from 0, fails; and how many bytes stayed mapped.
pub(crate) fn calls_with_failure<R>(
    number: usize,
    run: impl FnOnce() -> R,
) -> (Vec<&'static str>, isize, R) {
    calls_with(Failure { number, error: libc::ENOMEM, loses_target: false }, run)
}

/// The same, where a call fails in a way of its own.
pub(crate) fn calls_with<R>(
    failure: Failure,
    run: impl FnOnce() -> R,
) -> (Vec<&'static str>, isize, R) {
    let (watch, result) = watched(Some(failure), run);
    (watch.calls, watch.mapped_len, result)
}

fn watched<R>(fails: Option<Failure>, run: impl FnOnce() -> R) -> (Watch, R) {
    WATCH.set(Some(Watch { fails, ..Watch::default() }));
    let result = run();
    let watch = WATCH.take().expect("nobody else ends the watch of this thread");
    (watch, result)
}
