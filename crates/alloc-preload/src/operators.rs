//! C++'s names: `operator new` and `operator delete`, in all their forms.
//!
//! They are answered here, over the heap that serves the process, if the program has none of its
//! own. Otherwise all of them are handed on to the next definition, libstdc++'s: a program that
//! replaces one form relies on the others to call it, as the standard says they do, and that is what
//! libstdc++'s do.
//!
//! No frame here holds anything that needs dropping: exceptions pass through.

use core::ffi::{CStr, c_void};
use core::mem;
use core::ptr::{self, NonNull};

use crate::checked::Checked;
use crate::decided::{operators_are_replaced, strategy};
use crate::family::{self, ALIGN_MIN};
use crate::glibc::GLIBC;
use crate::line::Line;
use crate::sampled::Sampled;
use crate::strategy::Strategy;
use crate::symbols::{self, Next, global_address};

/// Blocks of `operator new`, which `operator delete` takes back.
const NEW: Checked = Checked::NEW;
/// Blocks of `operator new[]`, which `operator delete[]` takes back.
const NEW_ARRAY: Checked = Checked::NEW_ARRAY;
/// Blocks as `malloc` gives them: where the program has some of the operators, all are alike.
const PLAIN: Checked = Checked::MALLOC;

/// `const std::nothrow_t &`.
type NoThrow = *const c_void;

/// Writes each form: its symbol, its arguments, how it is served here, and what is done if it is
/// to be handed on and there is no next.
macro_rules! operators {
    ($(
        $(#[$docs:meta])*
        $name:ident = $symbol:literal ($($arg:ident: $type:ty),*) $(-> $result:ty)?:
        $serve:expr, else $otherwise:expr;
    )*) => {
        $(
            $(#[$docs])*
            #[unsafe(export_name = $symbol)]
            pub(crate) unsafe extern "C-unwind" fn $name($($arg: $type),*) $(-> $result)? {
                if !operators_are_replaced() {
                    // SAFETY: the operator's own contract.
                    return unsafe { $serve };
                }
                type Function = unsafe extern "C-unwind" fn($($type),*) $(-> $result)?;
                let next = next::$name.get();
                if next.is_null() {
                    // SAFETY: the operator's own contract.
                    return unsafe { $otherwise };
                }
                // SAFETY: a function of this mangled name has this type.
                let next = unsafe { mem::transmute::<*mut c_void, Function>(next) };
                // SAFETY: the operator's own contract.
                unsafe { next($($arg),*) }
            }
        )*

        /// The next definition of each.
        #[expect(non_upper_case_globals, reason = "named as the functions are")]
        mod next {
            use super::{CStr, Next};

            $(
                pub(super) static $name: Next =
                    match CStr::from_bytes_with_nul(concat!($symbol, "\0").as_bytes()) {
                        Ok(name) => Next::new(name),
                        Err(_) => panic!("a symbol holds no zero byte"),
                    };
            )*
        }

        /// Looks the next definitions up, if they are called: later the loader's lock might be held
        /// by a thread that waits for the one that calls.
        pub(crate) fn look_up() {
            if operators_are_replaced() {
                $(next::$name.get();)*
            }
        }

        /// Whether the program has any of these of its own.
        pub(crate) fn is_any_replaced() -> bool {
            $(!symbols::is_not_replaced(global_address!($symbol)))||*
        }
    };
}

operators! {
    /// `operator new(size_t)`.
    new = "_Znwm"(size: usize) -> *mut c_void:
        throwing(&NEW, size, ALIGN_MIN), else throwing(&PLAIN, size, ALIGN_MIN);
    /// `operator new[](size_t)`.
    new_array = "_Znam"(size: usize) -> *mut c_void:
        throwing(&NEW_ARRAY, size, ALIGN_MIN), else other_new(size, ALIGN_MIN);
    /// `operator new(size_t, nothrow)`.
    new_nothrow = "_ZnwmRKSt9nothrow_t"(size: usize, _tag: NoThrow) -> *mut c_void:
        nothrow(&NEW, size, ALIGN_MIN), else other_new(size, ALIGN_MIN);
    /// `operator new[](size_t, nothrow)`.
    new_array_nothrow = "_ZnamRKSt9nothrow_t"(size: usize, _tag: NoThrow) -> *mut c_void:
        nothrow(&NEW_ARRAY, size, ALIGN_MIN), else other_new(size, ALIGN_MIN);
    /// `operator new(size_t, align_val_t)`.
    new_aligned = "_ZnwmSt11align_val_t"(size: usize, align: usize) -> *mut c_void:
        throwing(&NEW, size, align), else throwing(&PLAIN, size, align);
    /// `operator new[](size_t, align_val_t)`.
    new_array_aligned = "_ZnamSt11align_val_t"(size: usize, align: usize) -> *mut c_void:
        throwing(&NEW_ARRAY, size, align), else other_new(size, align);
    /// `operator new(size_t, align_val_t, nothrow)`.
    new_aligned_nothrow = "_ZnwmSt11align_val_tRKSt9nothrow_t"(size: usize, align: usize, _tag: NoThrow) -> *mut c_void:
        nothrow(&NEW, size, align), else other_new(size, align);
    /// `operator new[](size_t, align_val_t, nothrow)`.
    new_array_aligned_nothrow = "_ZnamSt11align_val_tRKSt9nothrow_t"(size: usize, align: usize, _tag: NoThrow) -> *mut c_void:
        nothrow(&NEW_ARRAY, size, align), else other_new(size, align);

    /// `operator delete(void *)`.
    delete = "_ZdlPv"(block: *mut c_void):
        put(&NEW, block, None, None), else put(&PLAIN, block, None, None);
    /// `operator delete[](void *)`.
    delete_array = "_ZdaPv"(block: *mut c_void):
        put(&NEW_ARRAY, block, None, None), else other_delete(block);
    /// `operator delete(void *, nothrow)`.
    delete_nothrow = "_ZdlPvRKSt9nothrow_t"(block: *mut c_void, _tag: NoThrow):
        put(&NEW, block, None, None), else other_delete(block);
    /// `operator delete[](void *, nothrow)`.
    delete_array_nothrow = "_ZdaPvRKSt9nothrow_t"(block: *mut c_void, _tag: NoThrow):
        put(&NEW_ARRAY, block, None, None), else other_delete(block);
    /// `operator delete(void *, size_t)`.
    delete_sized = "_ZdlPvm"(block: *mut c_void, size: usize):
        put(&NEW, block, Some(size), None), else other_delete(block);
    /// `operator delete[](void *, size_t)`.
    delete_array_sized = "_ZdaPvm"(block: *mut c_void, size: usize):
        put(&NEW_ARRAY, block, Some(size), None), else other_delete(block);
    /// `operator delete(void *, align_val_t)`.
    delete_aligned = "_ZdlPvSt11align_val_t"(block: *mut c_void, align: usize):
        put(&NEW, block, None, Some(align)), else put(&PLAIN, block, None, None);
    /// `operator delete[](void *, align_val_t)`.
    delete_array_aligned = "_ZdaPvSt11align_val_t"(block: *mut c_void, align: usize):
        put(&NEW_ARRAY, block, None, Some(align)), else other_delete_aligned(block, align);
    /// `operator delete(void *, align_val_t, nothrow)`.
    delete_aligned_nothrow = "_ZdlPvSt11align_val_tRKSt9nothrow_t"(block: *mut c_void, align: usize, _tag: NoThrow):
        put(&NEW, block, None, Some(align)), else other_delete_aligned(block, align);
    /// `operator delete[](void *, align_val_t, nothrow)`.
    delete_array_aligned_nothrow = "_ZdaPvSt11align_val_tRKSt9nothrow_t"(block: *mut c_void, align: usize, _tag: NoThrow):
        put(&NEW_ARRAY, block, None, Some(align)), else other_delete_aligned(block, align);
    /// `operator delete(void *, size_t, align_val_t)`.
    delete_sized_aligned = "_ZdlPvmSt11align_val_t"(block: *mut c_void, size: usize, align: usize):
        put(&NEW, block, Some(size), Some(align)), else other_delete_aligned(block, align);
    /// `operator delete[](void *, size_t, align_val_t)`.
    delete_array_sized_aligned = "_ZdaPvmSt11align_val_t"(block: *mut c_void, size: usize, align: usize):
        put(&NEW_ARRAY, block, Some(size), Some(align)), else other_delete_aligned(block, align);
}

/// Allocates from the heap that serves the process, under `gpa` as `checked`; null if there is no
/// memory.
#[inline]
fn get(checked: &Checked, size: usize, align: usize) -> *mut c_void {
    // The standard wants a power of two.
    let align = align.checked_next_power_of_two().unwrap_or(ALIGN_MIN);
    match strategy() {
        Strategy::Gpa => family::allocate(checked, size, align),
        Strategy::Glibc => family::allocate(&GLIBC, size, align),
        Strategy::Sampled => family::allocate(&Sampled::of(*checked), size, align),
        Strategy::Own => get_own(size.max(1), align),
    }
}

/// Allocates from the program's own malloc, as libstdc++ does.
fn get_own(size: usize, align: usize) -> *mut c_void {
    type Malloc = unsafe extern "C" fn(usize) -> *mut c_void;
    type AlignedAlloc = unsafe extern "C" fn(usize, usize) -> *mut c_void;
    if align <= ALIGN_MIN {
        let address = global_address!("malloc");
        // SAFETY: the process's `malloc` has this type.
        let malloc = unsafe { mem::transmute::<*mut c_void, Malloc>(address) };
        // SAFETY: no contract.
        return unsafe { malloc(size) };
    }
    let Some(size) = size.checked_next_multiple_of(align) else { return ptr::null_mut() };
    let address = global_address!("aligned_alloc");
    // SAFETY: the process's `aligned_alloc` has this type.
    let aligned_alloc = unsafe { mem::transmute::<*mut c_void, AlignedAlloc>(address) };
    // SAFETY: a power of two, and a multiple of it.
    unsafe { aligned_alloc(align, size) }
}

/// Frees a block of [`get`] of which the program says what it asked for; `gpa` looks whether it is
/// so, and whether `checked` gave it.
///
/// # Safety
///
/// `block` is null or a live block of `get`. (Under `gpa` anything else is told.)
#[inline]
unsafe fn put(checked: &Checked, block: *mut c_void, size: Option<usize>, align: Option<usize>) {
    match strategy() {
        // SAFETY: the same contract.
        Strategy::Gpa => unsafe { family::free_told(checked, block, size, align) },
        // SAFETY: the same contract.
        Strategy::Glibc => unsafe { family::free(&GLIBC, block) },
        // SAFETY: the same contract.
        Strategy::Sampled => unsafe {
            family::free_told(&Sampled::of(*checked), block, size, align);
        },
        // SAFETY: the same contract.
        Strategy::Own => unsafe { put_own(block) },
    }
}

/// Frees a block of [`get_own`].
///
/// # Safety
///
/// `block` is null or a live block of `get_own`.
unsafe fn put_own(block: *mut c_void) {
    type Free = unsafe extern "C" fn(*mut c_void);
    let address = global_address!("free");
    // SAFETY: the process's `free` has this type.
    let free = unsafe { mem::transmute::<*mut c_void, Free>(address) };
    // SAFETY: the same contract.
    unsafe { free(block) };
}

/// `operator new` as the standard says it (C++17, 21.6.2.1): asks the new-handler for room as long
/// as there is none, and throws if there is no handler.
///
/// # Safety
///
/// The caller can be unwound.
#[inline]
unsafe fn throwing(checked: &Checked, size: usize, align: usize) -> *mut c_void {
    loop {
        let block = get(checked, size, align);
        if !block.is_null() {
            return block;
        }
        // SAFETY: the same contract.
        unsafe { make_room() };
    }
}

/// The forms that return null. If there is no memory, libstdc++'s own is asked: it can catch what
/// the new-handler throws.
///
/// # Safety
///
/// None of its own.
#[inline]
unsafe fn nothrow(checked: &Checked, size: usize, align: usize) -> *mut c_void {
    // What no heap can give is refused once, in the form that libstdc++ calls.
    if size <= isize::MAX.cast_unsigned() {
        let block = get(checked, size, align);
        if !block.is_null() {
            return block;
        }
    }
    // SAFETY: no contract.
    let block = unsafe { nothrow_slow(size, align) };
    // The block is of the form that was called there.
    if let Some(block) = NonNull::new(block.cast())
        && matches!(strategy(), Strategy::Gpa | Strategy::Sampled)
    {
        checked.adopt(block);
    }
    block
}

/// Asks libstdc++'s `operator new(size_t, align_val_t, nothrow)`, which calls the throwing form and
/// catches.
#[cold]
unsafe fn nothrow_slow(size: usize, align: usize) -> *mut c_void {
    type Plain = unsafe extern "C-unwind" fn(usize, NoThrow) -> *mut c_void;
    type Aligned = unsafe extern "C-unwind" fn(usize, usize, NoThrow) -> *mut c_void;
    // Nobody reads the tag.
    let tag: NoThrow = (&raw const PLAIN).cast();
    static PLAIN: Next = Next::new(c"_ZnwmRKSt9nothrow_t");
    static ALIGNED: Next = Next::new(c"_ZnwmSt11align_val_tRKSt9nothrow_t");
    if align <= ALIGN_MIN {
        let next = PLAIN.get();
        if next.is_null() {
            return next;
        }
        // SAFETY: a function of this mangled name has this type.
        let next = unsafe { mem::transmute::<*mut c_void, Plain>(next) };
        // SAFETY: the operator has no contract.
        return unsafe { next(size, tag) };
    }
    let next = ALIGNED.get();
    if next.is_null() {
        return next;
    }
    // SAFETY: a function of this mangled name has this type.
    let next = unsafe { mem::transmute::<*mut c_void, Aligned>(next) };
    // SAFETY: the operator has no contract.
    unsafe { next(size, align, tag) }
}

/// Calls the new-handler; throws `std::bad_alloc` if there is none.
///
/// # Safety
///
/// The caller can be unwound.
#[cold]
#[inline(never)]
unsafe fn make_room() {
    type Handler = unsafe extern "C-unwind" fn();
    type GetHandler = unsafe extern "C-unwind" fn() -> Option<Handler>;
    static GET_HANDLER: Next = Next::new(c"_ZSt15get_new_handlerv");
    static THROW: Next = Next::new(c"_ZSt17__throw_bad_allocv");
    let get_handler = GET_HANDLER.get();
    if !get_handler.is_null() {
        // SAFETY: a function of this mangled name has this type.
        let get_handler = unsafe { mem::transmute::<*mut c_void, GetHandler>(get_handler) };
        // SAFETY: `std::get_new_handler` has no contract.
        if let Some(handler) = unsafe { get_handler() } {
            // SAFETY: a handler makes room, throws, or ends the process.
            return unsafe { handler() };
        }
    }
    let throw = THROW.get();
    if !throw.is_null() {
        // SAFETY: a function of this mangled name has this type.
        let throw = unsafe { mem::transmute::<*mut c_void, Handler>(throw) };
        // SAFETY: the caller can be unwound; nothing in this frame needs dropping.
        unsafe { throw() };
    }
    let mut line = Line::new();
    // A constant text fits.
    let _ =
        core::fmt::Write::write_str(&mut line, "operator new: no memory, and nobody who throws");
    line.tell();
    // SAFETY: no preconditions.
    unsafe { libc::abort() }
}

/// What libstdc++'s other forms do, where there is none: they call the first form, which may be the
/// program's. (A form that should return null throws then; nobody here could catch it.)
///
/// # Safety
///
/// The caller can be unwound.
unsafe fn other_new(size: usize, align: usize) -> *mut c_void {
    type New = unsafe extern "C-unwind" fn(usize) -> *mut c_void;
    type NewAligned = unsafe extern "C-unwind" fn(usize, usize) -> *mut c_void;
    if align <= ALIGN_MIN {
        let address = global_address!("_Znwm");
        // SAFETY: the process's function of this mangled name has this type.
        let new = unsafe { mem::transmute::<*mut c_void, New>(address) };
        // SAFETY: the same contract.
        return unsafe { new(size) };
    }
    let address = global_address!("_ZnwmSt11align_val_t");
    // SAFETY: the process's function of this mangled name has this type.
    let new = unsafe { mem::transmute::<*mut c_void, NewAligned>(address) };
    // SAFETY: the same contract.
    unsafe { new(size, align) }
}

/// What libstdc++'s other forms of `operator delete` do, where there is none: they call the first.
///
/// # Safety
///
/// `block` is null or a live block of the process's `operator new`.
unsafe fn other_delete(block: *mut c_void) {
    type Delete = unsafe extern "C-unwind" fn(*mut c_void);
    let address = global_address!("_ZdlPv");
    // SAFETY: the process's function of this mangled name has this type.
    let delete = unsafe { mem::transmute::<*mut c_void, Delete>(address) };
    // SAFETY: the same contract.
    unsafe { delete(block) };
}

/// As [`other_delete`], for blocks of an alignment that was asked for.
///
/// # Safety
///
/// As [`other_delete`].
unsafe fn other_delete_aligned(block: *mut c_void, align: usize) {
    type Delete = unsafe extern "C-unwind" fn(*mut c_void, usize);
    let address = global_address!("_ZdlPvSt11align_val_t");
    // SAFETY: the process's function of this mangled name has this type.
    let delete = unsafe { mem::transmute::<*mut c_void, Delete>(address) };
    // SAFETY: the same contract.
    unsafe { delete(block, align) };
}
