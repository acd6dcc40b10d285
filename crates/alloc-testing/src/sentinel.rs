//! The whole process: a global allocator that counts, forbids, and finds what tests leak.

use core::alloc::{GlobalAlloc, Layout};
use core::marker::PhantomData;
use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering::Relaxed;
use std::alloc::System;

mod thread;
mod armed;
mod operation;
mod scope;
mod watch;
mod count;
mod frozen;
#[cfg_attr(
    not(all(
        target_os = "linux",
        target_env = "gnu",
        not(target_feature = "crt-static"),
        any(target_arch = "x86_64", target_arch = "aarch64")
    )),
    allow(dead_code, reason = "elsewhere threads belong to no region by themselves")
)]
mod ending;
mod region;
mod wipe;
mod leaks;
mod text;
#[cfg(all(
    target_os = "linux",
    target_env = "gnu",
    not(target_feature = "crt-static"),
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod inherit;
#[cfg(not(all(
    target_os = "linux",
    target_env = "gnu",
    not(target_feature = "crt-static"),
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
#[path = "sentinel/elsewhere.rs"]
mod inherit;

pub use count::{Counts, count, count_all};
pub use frozen::{Frozen, OnAlloc, forbid_after};
pub(crate) use leaks::with_leaks;
pub use leaks::{Tag, check_leaks};
pub use scope::{NoAlloc, assert_no_alloc, permit_alloc};

/// The global allocator of a test binary, or of a program that must not allocate after its start: it
/// passes every call on to the system's, and watches where it is asked to.
///
/// ```
/// use alloc_testing::{Sentinel, assert_no_alloc, check_leaks, count};
///
/// #[global_allocator]
/// static ALLOC: Sentinel = Sentinel::new();
///
/// # fn main() {
/// let mut numbers = Vec::with_capacity(4);
/// assert_no_alloc(|| numbers.push(1)); // a heap operation in here would fail the test, with its stack
///
/// let (text, counts) = count(|| String::from("four"));
/// assert_eq!((counts.allocations, counts.bytes), (1, text.len() as u64));
///
/// check_leaks(|| drop(vec![1, 2, 3])); // what is lost in here, in any thread, fails the test
/// # }
/// ```
///
/// While nothing is watched, a call costs a load, a compare and a branch more than the system's own: 7
/// instructions for an allocation and its free, of 159 (callgrind, `examples/sentinel_cost.rs`).
///
/// On Linux with glibc as a shared library (x86-64, AArch64) a program with a `Sentinel`, and no other, gets a
/// `pthread_create` that passes a region of [`check_leaks`] on to new threads; elsewhere they are
/// outside of it, unless they [`adopt`](Tag::adopt) its tag.
///
/// The parameter has no meaning for users: it makes that function part of the programs that have such a
/// static, instead of all that link this crate.
#[derive(Debug)]
pub struct Sentinel<P = ()> {
    /// Keeps `pthread_create` in the program.
    _hook: inherit::Hook,
    _program: PhantomData<fn() -> P>,
}

impl<P> Sentinel<P> {
    /// Returns the allocator.
    #[must_use]
    pub const fn new() -> Self {
        Self { _hook: inherit::hook::<P>, _program: PhantomData }
    }
}

impl<P> Default for Sentinel<P> {
    fn default() -> Self {
        Self::new()
    }
}

/// How many regions, counts and the like are at work in the process, and regions whose blocks are still
/// in use: 0: every call is the system's.
///
/// Relaxed, all: a thread sees its own; another one sees what it must see by what made it part of the
/// region: its start, a message.
static ARMED: AtomicUsize = AtomicUsize::new(0);

/// Keeps the sentinel looking at every call while it lives.
#[derive(Debug)]
pub(crate) struct Armed(());

impl Armed {
    pub(crate) fn new() -> Self {
        ARMED.fetch_add(1, Relaxed);
        Self(())
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        ARMED.fetch_sub(1, Relaxed);
    }
}

#[inline(always)]
fn is_armed() -> bool {
    ARMED.load(Relaxed) != 0
}

// SAFETY: `System` and `Gpa` keep the contract of `GlobalAlloc`, and a block is freed and resized by the
// one that it came from, which `region::of` tells by the address. Nothing unwinds.
unsafe impl<P> GlobalAlloc for Sentinel<P> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_armed() {
            // SAFETY: the caller's contract.
            return unsafe { armed::alloc(layout, armed::Fill::Any) };
        }
        // SAFETY: the same contract.
        unsafe { System.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_armed() {
            // SAFETY: the caller's contract.
            return unsafe { armed::alloc(layout, armed::Fill::Zero) };
        }
        // SAFETY: the same contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if is_armed() {
            // SAFETY: the caller's contract.
            return unsafe { armed::dealloc(block, layout) };
        }
        // SAFETY: the same contract; while no region has a block, every block is the system's.
        unsafe { System.dealloc(block, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if is_armed() {
            // SAFETY: the caller's contract.
            return unsafe { armed::realloc(block, layout, new_size) };
        }
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, new_size) }
    }
}

/// What is told if it is.
pub(crate) const NO_SENTINEL: &str = "the global allocator of this program is no `Sentinel`, so nothing can be seen; write\n    \
     #[global_allocator]\n    \
     static ALLOC: alloc_testing::Sentinel = alloc_testing::Sentinel::new();";

/// Refuses to say anything of a program whose global allocator is another one.
#[track_caller]
pub(crate) fn require() {
    if !thread::is_installed() {
        std::panic::panic_any(NO_SENTINEL);
    }
}
