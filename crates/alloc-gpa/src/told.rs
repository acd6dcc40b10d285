//! The program's own function that is told of findings.

use core::mem::ManuallyDrop;
use core::ptr;
use core::sync::atomic::AtomicPtr;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::finding::Finding;
use crate::stack::thread;
use crate::sys;

/// The bit of a thread's [`held`](thread::ThreadState::held) while it is in such a function.
const CALLING: u32 = 1 << 28;

/// A `fn(&Finding)`, or null: nobody is told. All zero: null.
pub(crate) struct Callback(AtomicPtr<()>);

impl Callback {
    /// Sets who is told from now on.
    pub(crate) fn set(&self, callback: Option<fn(&Finding)>) {
        let raw = callback.map_or(ptr::null_mut(), |callback| callback as *mut ());
        // Release: pairs with the Acquire in `call`.
        self.0.store(raw, Release);
    }

    /// Tells of a finding, unless this thread is being told of one: a function that misuses memory
    /// itself is not called again for that. Nor is it called where the thread was interrupted while it may hold
    /// locks that whatever a program does would wait for.
    pub(crate) fn call(&self, finding: &Finding) {
        // Acquire: pairs with the Release in `set`.
        let raw = self.0.load(Acquire);
        if raw.is_null() {
            return;
        }
        let state = thread::current();
        let held = &state.held;
        // Relaxed, both: this thread's own, and its signal handlers'.
        if state.is_unresolving() || held.fetch_or(CALLING, Relaxed) & CALLING != 0 {
            return;
        }
        // SAFETY: only `set` writes it, from a `fn(&Finding)`.
        let callback = unsafe { core::mem::transmute::<*mut (), fn(&Finding)>(raw) };
        let armed = NoUnwind;
        callback(finding);
        let _disarmed = ManuallyDrop::new(armed);
        held.fetch_and(!CALLING, Relaxed);
    }
}

/// Ends the process when it is dropped: by a function of the program's that panics. Nothing unwinds
/// out of an allocator.
struct NoUnwind;

impl Drop for NoUnwind {
    fn drop(&mut self) {
        sys::abort();
    }
}
