//! The system calls of this crate, each as a function that leaves `errno` alone.
//!
//! The three that every block needs go straight to the kernel on x86-64 Linux: no C library, hence no
//! `errno` to keep. All others, and all systems but that one, use the C library.

use core::ffi::{c_int, c_void};
#[cfg(any(target_os = "linux", target_os = "android"))]
use core::ptr;
use core::ptr::NonNull;

/// Of linux/mman.h. The libc crate has neither of them for Android.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) const MREMAP_MAYMOVE: c_int = 1;
#[cfg(any(target_os = "linux", target_os = "android"))]
const MREMAP_FIXED: c_int = 2;

/// `mmap(2)` of memory without a file, or of one; `None` if the system refuses.
///
/// # Safety
///
/// `flags` do not hold `MAP_FIXED`; or the `len` bytes at `hint` are the caller's, and nobody uses what
/// they hold.
#[inline]
pub(super) unsafe fn mmap(
    hint: *mut u8,
    len: usize,
    protection: c_int,
    flags: c_int,
    file: c_int,
) -> Option<NonNull<u8>> {
    if refused("mmap").is_some() {
        return None;
    }
    // SAFETY: this function's own contract.
    let start = unsafe { direct::mmap(hint, len, protection, flags, file) }?;
    note_mapped(if hint.is_null() { len.cast_signed() } else { 0 });
    Some(start)
}

/// `munmap(2)`; returns whether the pages that hold any of the `len` bytes are gone.
///
/// # Safety
///
/// They are pages of ours, and nobody uses them any more if the result is `true`.
#[inline]
pub(super) unsafe fn munmap(start: NonNull<u8>, len: usize) -> bool {
    if refused("munmap").is_some() {
        return false;
    }
    // SAFETY: this function's own contract.
    let is_gone = unsafe { direct::munmap(start, len) };
    note_mapped(if is_gone { -len.cast_signed() } else { 0 });
    is_gone
}

/// `mremap(2)`.
///
/// # Errors
///
/// The system's number; nothing has changed then.
///
/// # Safety
///
/// * `flags` are 0 or `MREMAP_MAYMOVE`.
/// * The `old_len` bytes at `start` are pages of a private mapping of ours; with `MREMAP_MAYMOVE` nobody
///   uses their old address if the result is `Ok`. Or `flags` are 0 and the page behind them is mapped, so
///   that nothing can grow, whosever they are.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[inline]
pub(super) unsafe fn mremap(
    start: NonNull<u8>,
    old_len: usize,
    new_len: usize,
    flags: c_int,
) -> Result<NonNull<u8>, c_int> {
    if let Some(error) = refused("mremap") {
        return Err(error);
    }
    // SAFETY: this function's own contract; without MREMAP_FIXED the target does not count.
    unsafe { direct::mremap(start, old_len, new_len, flags, ptr::null_mut()) }
}

/// The same to a place of the caller's choice; returns whether it was done. If not, nothing has changed but
/// that the target may be gone, and its addresses another thread's.
///
/// # Safety
///
/// * The `old_len` bytes at `start` are pages of a private mapping of ours, and nobody uses their old
///   address if the result is `true`.
/// * The `new_len` bytes at `target` are other pages of ours that nobody uses. They are no longer the
///   caller's.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) unsafe fn mremap_to(
    start: NonNull<u8>,
    old_len: usize,
    new_len: usize,
    target: NonNull<u8>,
) -> bool {
    if refused("mremap").is_some() {
        lose(target, new_len);
        return false;
    }
    let flags = MREMAP_MAYMOVE | MREMAP_FIXED;
    // SAFETY: this function's own contract: what the system unmaps at the target is nobody's.
    let moved = unsafe { direct::mremap(start, old_len, new_len, flags, target.as_ptr()) };
    note_mapped(if moved.is_ok() { -old_len.cast_signed() } else { 0 });
    moved.is_ok()
}

/// `mprotect(2)`; returns whether it was done.
///
/// # Safety
///
/// The `len` bytes at `start` are pages of ours, and nobody uses them in a way that `protection`
/// forbids.
pub(super) unsafe fn mprotect(start: NonNull<u8>, len: usize, protection: c_int) -> bool {
    if refused("mprotect").is_some() {
        return false;
    }
    // SAFETY: this function's own contract.
    done(|| unsafe { libc::mprotect(pointer(start), len, protection) }).is_ok()
}

/// `madvise(2)`.
///
/// # Errors
///
/// The system's number.
///
/// # Safety
///
/// Nobody depends on what `advice` may change of the `len` bytes at `start`.
pub(super) unsafe fn madvise(start: NonNull<u8>, len: usize, advice: c_int) -> Result<(), c_int> {
    if let Some(error) = refused("madvise") {
        return Err(error);
    }
    // SAFETY: this function's own contract.
    done(|| unsafe { libc::madvise(pointer(start), len, advice) })
}

/// `mlock(2)`; returns whether it was done.
pub(super) fn mlock(start: NonNull<u8>, len: usize) -> bool {
    if refused("mlock").is_some() {
        return false;
    }
    // SAFETY: it keeps pages in memory, and changes nothing that a program could see.
    done(|| unsafe { libc::mlock(pointer(start), len) }).is_ok()
}

/// `mlockall(2)`.
///
/// # Errors
///
/// The system's number.
pub(super) fn mlockall(flags: c_int) -> Result<(), c_int> {
    if let Some(error) = refused("mlockall") {
        return Err(error);
    }
    // SAFETY: it keeps pages in memory, and changes nothing that a program could see.
    done(|| unsafe { libc::mlockall(flags) })
}

/// `memfd_secret(2)`; `None` where the kernel has no such memory.
#[cfg(target_os = "linux")]
pub(super) fn memfd_secret() -> Option<c_int> {
    /// The same on every architecture; the C libraries have no function for it.
    const NUMBER: libc::c_long = 447;
    if refused("memfd_secret").is_some() {
        return None;
    }
    // SAFETY: it makes a descriptor, of which it needs no pointers.
    let file = keep_errno(|| unsafe { libc::syscall(NUMBER, libc::O_CLOEXEC) });
    c_int::try_from(file).ok().filter(|file| 0 <= *file)
}

/// Whether a file may have `len` bytes: where RLIMIT_FSIZE is less, the kernel does not only refuse to make it
/// so long, it sends SIGXFSZ, which ends the process. Files that are memory are no exception.
#[cfg(target_os = "linux")]
pub(crate) fn file_may_have(len: usize) -> bool {
    if refused("getrlimit").is_some() {
        return false;
    }
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: it writes the structure.
    let is_known = done(|| unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit) }).is_ok();
    // As wide as a pointer on some systems of 32 bits, wider on others.
    is_known && libc::rlim_t::try_from(len).is_ok_and(|len| len <= limit.rlim_cur)
}

/// `ftruncate(2)`; returns whether the file has `len` bytes now.
#[cfg(target_os = "linux")]
pub(super) fn ftruncate(file: c_int, len: usize) -> bool {
    if refused("ftruncate").is_some() {
        return false;
    }
    let Ok(len) = libc::off_t::try_from(len) else { return false };
    // SAFETY: it takes any descriptor, and touches no memory: nothing is mapped of ours yet.
    done(|| unsafe { libc::ftruncate(file, len) }).is_ok()
}

/// `close(2)`.
///
/// # Safety
///
/// Nobody uses the descriptor any more.
#[cfg(target_os = "linux")]
pub(super) unsafe fn close(file: c_int) {
    refused("close");
    // SAFETY: this function's own contract.
    let _ = done(|| unsafe { libc::close(file) });
}

#[inline]
fn pointer(start: NonNull<u8>) -> *mut c_void {
    start.as_ptr().cast()
}

/// Runs a function of the C library that answers 0 or -1.
///
/// # Errors
///
/// The number that it left in `errno`.
pub(super) fn done(call: impl FnOnce() -> c_int) -> Result<(), c_int> {
    keep_errno(|| match call() {
        0 => Ok(()),
        // SAFETY: valid for this thread, and no other thread's business.
        _ => Err(unsafe { errno().read() }),
    })
}

/// Runs a call of the C library, and puts `errno` back to what it was.
///
/// A growth that is refused is not yet a failure of the request it serves: the caller may copy
/// instead. So `errno` must not show it.
#[inline]
pub(super) fn keep_errno<R>(call: impl FnOnce() -> R) -> R {
    let errno = errno();
    // SAFETY: valid for this thread, and no other thread's business.
    let before = unsafe { errno.read() };
    let result = call();
    // SAFETY: as above.
    unsafe { errno.write(before) };
    result
}

/// Where this thread's `errno` is.
#[inline]
fn errno() -> *mut c_int {
    // SAFETY: it has no preconditions; the address is valid as long as the thread is.
    unsafe { errno_location() }
}

#[cfg(any(target_os = "solaris", target_os = "illumos"))]
use libc::___errno as errno_location;
#[cfg(any(target_os = "android", target_os = "netbsd", target_os = "openbsd"))]
use libc::__errno as errno_location;
#[cfg(any(target_os = "linux", target_os = "dragonfly", target_os = "emscripten"))]
use libc::__errno_location as errno_location;
#[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
use libc::__error as errno_location;

/// Straight to the kernel. Sanitizers must see mappings come and go, and so get the C library.
#[cfg(all(
    target_os = "linux",
    target_arch = "x86_64",
    target_pointer_width = "64",
    not(any(miri, sanitized))
))]
mod direct {
    use core::arch::asm;
    use core::ffi::{c_int, c_long};
    use core::ptr::NonNull;

    /// A system call; its result as a pointer. The kernel keeps all registers but `rax`, `rcx` and `r11`:
    /// syscall(2). Every argument fills its register: of a shorter one the upper half would be undefined.
    macro_rules! syscall {
        ($number:expr, $start:expr $(, $register:tt: $value:expr)*) => {{
            let result: *mut u8;
            asm!(
                "syscall",
                inlateout("rax") $number => result,
                in("rdi") $start,
                $(in($register) $value,)*
                lateout("rcx") _,
                lateout("r11") _,
                options(nostack)
            );
            result
        }};
    }

    /// The start of a mapping; `None` for one of the kernel's errors, which are the last 4095 numbers.
    #[inline]
    fn mapped(result: *mut u8) -> Option<NonNull<u8>> {
        if (-4095_isize).cast_unsigned() <= result.addr() { None } else { NonNull::new(result) }
    }

    /// # Safety
    ///
    /// As the function above.
    #[inline]
    pub(super) unsafe fn mmap(
        hint: *mut u8,
        len: usize,
        protection: c_int,
        flags: c_int,
        file: c_int,
    ) -> Option<NonNull<u8>> {
        // SAFETY: mmap(2) with an offset of 0; it changes no memory that anyone uses (contract).
        mapped(unsafe {
            syscall!(
                libc::SYS_mmap,
                hint,
                "rsi": len,
                "rdx": c_long::from(protection),
                "r10": c_long::from(flags),
                "r8": c_long::from(file),
                "r9": 0_usize
            )
        })
    }

    /// # Safety
    ///
    /// As the function above.
    #[inline]
    pub(super) unsafe fn munmap(start: NonNull<u8>, len: usize) -> bool {
        // SAFETY: munmap(2) of pages that nobody uses (contract).
        unsafe { syscall!(libc::SYS_munmap, start.as_ptr(), "rsi": len) }.is_null()
    }

    /// # Safety
    ///
    /// As the function above.
    #[inline]
    pub(super) unsafe fn mremap(
        start: NonNull<u8>,
        old_len: usize,
        new_len: usize,
        flags: c_int,
        target: *mut u8,
    ) -> Result<NonNull<u8>, c_int> {
        // SAFETY: mremap(2): the pages are moved as a whole, or the call fails and leaves them as they were;
        // the last argument counts with MREMAP_FIXED only, and is nobody's memory then (contract).
        let result = unsafe {
            syscall!(
                libc::SYS_mremap,
                start.as_ptr(),
                "rsi": old_len,
                "rdx": new_len,
                "r10": c_long::from(flags),
                "r8": target
            )
        };
        // Errors are negative numbers, which fit.
        mapped(result).ok_or_else(|| result.addr().wrapping_neg() as c_int)
    }
}

/// By the C library.
#[cfg(not(all(
    target_os = "linux",
    target_arch = "x86_64",
    target_pointer_width = "64",
    not(any(miri, sanitized))
)))]
mod direct {
    use core::ffi::{c_int, c_void};
    use core::ptr::NonNull;

    #[cfg(any(target_os = "linux", target_os = "android"))]
    use super::errno;
    use super::{done, keep_errno, pointer};

    #[cfg(target_os = "linux")]
    use libc::mremap as c_mremap;

    #[cfg(target_os = "android")]
    unsafe extern "C" {
        /// The libc crate has it not for Android.
        #[link_name = "mremap"]
        fn c_mremap(
            start: *mut c_void,
            old_len: usize,
            new_len: usize,
            flags: c_int,
            ...
        ) -> *mut c_void;
    }

    #[inline]
    fn mapped(start: *mut c_void) -> Option<NonNull<u8>> {
        if start == libc::MAP_FAILED { None } else { NonNull::new(start.cast()) }
    }

    /// # Safety
    ///
    /// As the function above.
    #[inline]
    pub(super) unsafe fn mmap(
        hint: *mut u8,
        len: usize,
        protection: c_int,
        flags: c_int,
        file: c_int,
    ) -> Option<NonNull<u8>> {
        // SAFETY: an offset of 0; it changes no memory that anyone uses (contract).
        mapped(keep_errno(|| unsafe { libc::mmap(hint.cast(), len, protection, flags, file, 0) }))
    }

    /// # Safety
    ///
    /// As the function above.
    #[inline]
    pub(super) unsafe fn munmap(start: NonNull<u8>, len: usize) -> bool {
        // SAFETY: pages that nobody uses (contract).
        done(|| unsafe { libc::munmap(pointer(start), len) }).is_ok()
    }

    /// # Safety
    ///
    /// As the function above.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[inline]
    pub(super) unsafe fn mremap(
        start: NonNull<u8>,
        old_len: usize,
        new_len: usize,
        flags: c_int,
        target: *mut u8,
    ) -> Result<NonNull<u8>, c_int> {
        let target = target.cast::<c_void>();
        keep_errno(|| {
            // SAFETY: the pages are moved as a whole, or the call fails and leaves them as they were; the
            // last argument counts with MREMAP_FIXED only, and is nobody's memory then (contract).
            let result = unsafe { c_mremap(pointer(start), old_len, new_len, flags, target) };
            // SAFETY: valid for this thread, and no other thread's business.
            mapped(result).ok_or_else(|| unsafe { errno().read() })
        })
    }
}

/// The error that this call is to fail with, without being made: in unit tests alone, which also count here.
#[cfg(not(all(test, target_os = "linux")))]
#[inline]
const fn refused(_: &str) -> Option<c_int> {
    None
}

/// So many bytes more are mapped now.
#[cfg(not(all(test, target_os = "linux")))]
#[inline]
const fn note_mapped(_: isize) {}

/// A move was refused after its target was unmapped: in unit tests alone.
#[cfg(all(any(target_os = "linux", target_os = "android"), not(all(test, target_os = "linux"))))]
const fn lose(_: NonNull<u8>, _: usize) {}

#[cfg(all(test, target_os = "linux"))]
use crate::sys::watch::{lose, note_mapped, refused};
