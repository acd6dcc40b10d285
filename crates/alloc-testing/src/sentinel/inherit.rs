//! Threads belong to the region of the thread that started them: `pthread_create` of the program.
//!
//! ```text
//!   std, rayon, C ──► pthread_create ──► create ──► libc's, with `begin`
//!                     (weak, in the                   │ new thread
//!                      program of the Sentinel)       ▼
//!                                      begin: region of the parent, then what was to be started
//!                                      end:   a destructor of a key of libc's: the last thing
//! ```
//!
//! [`hook`] is generic, so its code is made where the static is made: a program that links this crate
//! without a `Sentinel` has no such symbol. In the crate's archive it would be one: linkers take a member
//! of an archive for any symbol that is still undefined, and std's call is.

#![expect(
    clippy::extra_unused_type_parameters,
    reason = "`hook` has one so that its code is made where it is used"
)]

use core::ffi::{c_int, c_void};
use core::hint::black_box;
use core::ptr;
use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::OnceLock;

use super::region::Region;
use super::thread;
use super::wipe::wipe_stack;

mod points;

/// What keeps the symbol in the program.
pub(super) type Hook = extern "C" fn();

/// The program's `pthread_create`, at this function's own address.
///
/// It is weak: several copies of it are one.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
pub(super) extern "C" fn hook<P>() {
    core::arch::naked_asm!(
        ".weak pthread_create",
        ".type pthread_create, @function",
        ".set pthread_create, .",
        "jmp {create}",
        create = sym points::create,
    )
}

/// As on x86-64. (Not run.)
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
pub(super) extern "C" fn hook<P>() {
    core::arch::naked_asm!(
        ".weak pthread_create",
        ".type pthread_create, %function",
        ".set pthread_create, .",
        "b {create}",
        create = sym points::create,
    )
}

/// What a thread does. It may be left by libc's unwinding (`pthread_exit`, cancellation).
type Start = unsafe extern "C-unwind" fn(*mut c_void) -> *mut c_void;
type Create = unsafe extern "C" fn(
    *mut libc::pthread_t,
    *const libc::pthread_attr_t,
    Start,
    *mut c_void,
) -> c_int;

/// What a new thread is told.
struct Package {
    start: Start,
    argument: *mut c_void,
    region: &'static Region,
}

/// Starts a thread, as libc's `pthread_create`.
///
/// # Safety
///
/// As that one.
unsafe extern "C" fn create(
    handle: *mut libc::pthread_t,
    attributes: *const libc::pthread_attr_t,
    start: Start,
    argument: *mut c_void,
) -> c_int {
    let Some(real) = real() else { return libc::EAGAIN };
    let region = thread::with(|thread| thread.region.get()).filter(|region| !region.has_ended());
    let Some(region) = region else {
        // SAFETY: the caller's contract.
        return unsafe { real(handle, attributes, start, argument) };
    };
    region.add_user();
    region.threads.fetch_add(1, Relaxed);
    let package = Package { start, argument, region };
    let package = thread::aside(|| Box::into_raw(Box::new(package)));
    // SAFETY: the caller's contract; `begin` takes a package, which is its own from now on.
    let result = unsafe { real(handle, attributes, begin, package.cast()) };
    if result != 0 {
        // SAFETY: leaked above; no thread was started that could have it.
        thread::aside(|| drop(unsafe { Box::from_raw(package) }));
        leave(region);
    }
    result
}

/// Returns libc's `pthread_create`, or that of a library which was preloaded.
fn real() -> Option<Create> {
    static REAL: AtomicUsize = AtomicUsize::new(0);
    // Relaxed, both: every thread would find the same.
    let mut found = REAL.load(Relaxed);
    if found == 0 {
        // SAFETY: a C string.
        found = unsafe { libc::dlsym(libc::RTLD_NEXT, c"pthread_create".as_ptr()) }.addr();
        REAL.store(found, Relaxed);
    }
    if found == 0 {
        return None;
    }
    let found = ptr::with_exposed_provenance::<c_void>(found);
    // SAFETY: libc's function of that name has this type, but for what may unwind, which libc expects.
    Some(unsafe { core::mem::transmute::<*const c_void, Create>(found) })
}

/// The first function of a thread that belongs to a region.
///
/// # Safety
///
/// `package` is one that `create` leaked, for this thread.
unsafe extern "C-unwind" fn begin(package: *mut c_void) -> *mut c_void {
    let package = package.cast::<Package>();
    // SAFETY: leaked by `create`, for this thread.
    let Package { start, argument, region } = unsafe { package.read() };
    // What is left of it shall not lead to the argument.
    // SAFETY: this thread's own.
    unsafe { package.cast::<u8>().write_bytes(0, size_of::<Package>()) };
    // SAFETY: leaked by `create`; the bytes are its own again, and none of them is dropped.
    let memory = unsafe { Box::from_raw(package.cast::<core::mem::MaybeUninit<Package>>()) };
    thread::aside(|| drop(black_box(memory)));
    let own = ptr::from_ref(region).cast_mut().cast();
    let is_told = KEY.get().is_some_and(|key| {
        // SAFETY: a key that is never deleted.
        unsafe { libc::pthread_setspecific(*key, own) == 0 }
    });
    if is_told {
        thread::with(|thread| thread.region.set(Some(region)));
        // SAFETY: no preconditions.
        region.known.enter(unsafe { libc::gettid() });
    } else {
        // The system had no memory for it: nobody would tell the end, however the thread ends. It belongs to no
        // region.
        leave(region);
    }
    // Of a thread that had this stack before: one of no region, or what a signal left there at its very end.
    wipe_stack();
    // SAFETY: what the caller of `create` passed, together.
    let result = unsafe { start(argument) };
    wipe_stack();
    result
}

/// Whose destructor tells the end of a thread.
static KEY: OnceLock<libc::pthread_key_t> = OnceLock::new();

/// Prepares for threads of a region.
pub(super) fn prepare() {
    KEY.get_or_init(|| {
        let mut key = 0;
        // SAFETY: `key` is ours to write; the function is never unloaded while threads end.
        let result = unsafe { libc::pthread_key_create(&raw mut key, Some(end)) };
        assert_eq!(result, 0, "the system has no key for thread-local values left");
        key
    });
}

/// The end of a thread, as a rule after the destructors of its thread-local values.
///
/// # Safety
///
/// `region` is one, which the calling thread belongs to.
unsafe extern "C" fn end(region: *mut c_void) {
    // SAFETY: a region, by the contract; they are never freed.
    let region = unsafe { &*region.cast_const().cast::<Region>() };
    thread::with(|thread| thread.region.set(None));
    // SAFETY: no preconditions.
    region.known.leave(unsafe { libc::gettid() });
    wipe_stack();
    leave(region);
}

/// A thread belongs to the region no more.
fn leave(region: &Region) {
    // Release: what the thread did comes before, the wipe of its stack, too; pairs with the Acquire of
    // `ending::await_threads`.
    region.threads.fetch_sub(1, Release);
    region.remove_user();
}
