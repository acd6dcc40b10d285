//! The loader's `dlclose`, which takes code away that stacks may name.
//!
//! `dlopen` is left alone: it looks at who calls it, to know where that one wants its libraries from.
//! Nor is it needed: new code is an address that no stack had before, unless other code went first.

use core::ffi::{c_int, c_void};
use core::mem;

use crate::decided::strategy;
use crate::strategy::Strategy;
use crate::symbols::Next;

/// `int dlclose(void *handle)`: see dlopen(3).
///
/// # Safety
///
/// As C's: a handle of `dlopen` that was not closed yet.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C-unwind" fn dlclose(handle: *mut c_void) -> c_int {
    type Close = unsafe extern "C-unwind" fn(*mut c_void) -> c_int;
    static NEXT: Next = Next::new(c"dlclose");
    let next = NEXT.get();
    if next.is_null() {
        // Without a loader there is nothing to close.
        return -1;
    }
    // SAFETY: the function of this name has this type (dlopen(3)).
    let next = unsafe { mem::transmute::<*mut c_void, Close>(next) };
    // SAFETY: the same contract.
    let result = unsafe { next(handle) };
    if matches!(strategy(), Strategy::Gpa | Strategy::Sampled) {
        alloc_gpa::library_closed();
    }
    result
}
