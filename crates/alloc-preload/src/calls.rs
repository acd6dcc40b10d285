//! Functions of libc that read and write the program's memory by system calls, or behind its own
//! buffers: looked at, and passed on.
//!
//! A trap inside a system call is no signal, only an error: what these are given is compared with
//! the heap instead. Whoever asks to read more than a block holds, and gets less, does nothing that
//! is seen: what was read counts. What is to be written counts as it was asked for.
//!
//! Most of these are cancellation points: a thread that is cancelled in one unwinds through the frame
//! here, which holds nothing that needs dropping. `errno` is the called function's.

use core::ffi::{CStr, c_char, c_int, c_uint, c_void};
use core::mem::{self, MaybeUninit};

use alloc_gpa::{Access, check_range, check_start, room_at};

use crate::decided::strategy;
use crate::errno;
use crate::strategy::Strategy;
use crate::symbols::Next;

/// Writes each function: its arguments, what is looked at before the call and after it.
macro_rules! calls {
    ($(
        $name:ident($($arg:ident: $type:ty),*) -> $result:ty:
        $before:expr, |$got:ident| $after:expr;
    )*) => {
        $(
            #[doc = concat!("libc's `", stringify!($name), "`: see its manual page.")]
            ///
            /// # Safety
            ///
            /// As C's. (Under `gpa` what is no live block is told.)
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C-unwind" fn $name($($arg: $type),*) -> $result {
                type Function = unsafe extern "C-unwind" fn($($type),*) -> $result;
                let next = next::$name.get();
                if next.is_null() {
                    errno::set(libc::ENOSYS);
                    return <$result as Answer>::FAILED;
                }
                // SAFETY: the function of this name has this type.
                let next = unsafe { mem::transmute::<*mut c_void, Function>(next) };
                if !matches!(strategy(), Strategy::Gpa | Strategy::Sampled) {
                    // SAFETY: the same contract.
                    return unsafe { next($($arg),*) };
                }
                $before;
                // SAFETY: the same contract.
                let $got = unsafe { next($($arg),*) };
                $after;
                $got
            }
        )*

        /// The next definition of each.
        #[expect(non_upper_case_globals, reason = "named as the functions are")]
        mod next {
            use super::{CStr, Next};

            $(
                pub(super) static $name: Next =
                    match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                        Ok(name) => Next::new(name),
                        Err(_) => panic!("a symbol holds no zero byte"),
                    };
            )*
        }

        /// Looks the next definitions up: later the loader's lock might be held by a thread that
        /// waits for the one that calls.
        pub(crate) fn look_up() {
            $(next::$name.get();)*
        }
    };
}

calls! {
    read(file: c_int, buffer: *mut c_void, len: usize) -> isize:
        start(buffer, len, "read(2)"), |got| filled(buffer, len, got, "read(2)");
    __read_chk(file: c_int, buffer: *mut c_void, len: usize, room: usize) -> isize:
        start(buffer, len, "read(2)"), |got| filled(buffer, len, got, "read(2)");
    pread(file: c_int, buffer: *mut c_void, len: usize, offset: i64) -> isize:
        start(buffer, len, "pread(2)"), |got| filled(buffer, len, got, "pread(2)");
    pread64(file: c_int, buffer: *mut c_void, len: usize, offset: i64) -> isize:
        start(buffer, len, "pread(2)"), |got| filled(buffer, len, got, "pread(2)");
    __pread_chk(file: c_int, buffer: *mut c_void, len: usize, offset: i64, room: usize) -> isize:
        start(buffer, len, "pread(2)"), |got| filled(buffer, len, got, "pread(2)");
    __pread64_chk(file: c_int, buffer: *mut c_void, len: usize, offset: i64, room: usize) -> isize:
        start(buffer, len, "pread(2)"), |got| filled(buffer, len, got, "pread(2)");
    readv(file: c_int, parts: *const libc::iovec, count: c_int) -> isize:
        nothing(), |got| scattered(parts, count, got, "readv(2)");
    preadv(file: c_int, parts: *const libc::iovec, count: c_int, offset: i64) -> isize:
        nothing(), |got| scattered(parts, count, got, "preadv(2)");
    preadv64(file: c_int, parts: *const libc::iovec, count: c_int, offset: i64) -> isize:
        nothing(), |got| scattered(parts, count, got, "preadv(2)");
    preadv2(file: c_int, parts: *const libc::iovec, count: c_int, offset: i64, flags: c_int) -> isize:
        nothing(), |got| scattered(parts, count, got, "preadv2(2)");
    preadv64v2(file: c_int, parts: *const libc::iovec, count: c_int, offset: i64, flags: c_int) -> isize:
        nothing(), |got| scattered(parts, count, got, "preadv2(2)");
    recv(socket: c_int, buffer: *mut c_void, len: usize, flags: c_int) -> isize:
        start(buffer, len, "recv(2)"), |got| filled(buffer, len, got, "recv(2)");
    __recv_chk(socket: c_int, buffer: *mut c_void, len: usize, room: usize, flags: c_int) -> isize:
        start(buffer, len, "recv(2)"), |got| filled(buffer, len, got, "recv(2)");
    recvfrom(socket: c_int, buffer: *mut c_void, len: usize, flags: c_int, from: *mut c_void, from_len: *mut c_uint) -> isize:
        start(buffer, len, "recvfrom(2)"), |got| filled(buffer, len, got, "recvfrom(2)");
    __recvfrom_chk(socket: c_int, buffer: *mut c_void, len: usize, room: usize, flags: c_int, from: *mut c_void, from_len: *mut c_uint) -> isize:
        start(buffer, len, "recvfrom(2)"), |got| filled(buffer, len, got, "recvfrom(2)");
    recvmsg(socket: c_int, message: *mut libc::msghdr, flags: c_int) -> isize:
        nothing(), |got| received(message, got, "recvmsg(2)");
    readlink(path: *const c_char, buffer: *mut c_void, len: usize) -> isize:
        start(buffer, len, "readlink(2)"), |got| filled(buffer, len, got, "readlink(2)");
    readlinkat(dir: c_int, path: *const c_char, buffer: *mut c_void, len: usize) -> isize:
        start(buffer, len, "readlinkat(2)"), |got| filled(buffer, len, got, "readlinkat(2)");
    getrandom(buffer: *mut c_void, len: usize, flags: c_uint) -> isize:
        start(buffer, len, "getrandom(2)"), |got| filled(buffer, len, got, "getrandom(2)");
    getentropy(buffer: *mut c_void, len: usize) -> c_int:
        start(buffer, len, "getentropy(3)"),
        |got| if got == 0 { filled(buffer, len, len.cast_signed(), "getentropy(3)") };

    write(file: c_int, buffer: *const c_void, len: usize) -> isize:
        taken(buffer, len, "write(2)"), |_got| nothing();
    pwrite(file: c_int, buffer: *const c_void, len: usize, offset: i64) -> isize:
        taken(buffer, len, "pwrite(2)"), |_got| nothing();
    pwrite64(file: c_int, buffer: *const c_void, len: usize, offset: i64) -> isize:
        taken(buffer, len, "pwrite(2)"), |_got| nothing();
    writev(file: c_int, parts: *const libc::iovec, count: c_int) -> isize:
        nothing(), |got| gathered(parts, count, got, "writev(2)");
    pwritev(file: c_int, parts: *const libc::iovec, count: c_int, offset: i64) -> isize:
        nothing(), |got| gathered(parts, count, got, "pwritev(2)");
    pwritev64(file: c_int, parts: *const libc::iovec, count: c_int, offset: i64) -> isize:
        nothing(), |got| gathered(parts, count, got, "pwritev(2)");
    pwritev2(file: c_int, parts: *const libc::iovec, count: c_int, offset: i64, flags: c_int) -> isize:
        nothing(), |got| gathered(parts, count, got, "pwritev2(2)");
    pwritev64v2(file: c_int, parts: *const libc::iovec, count: c_int, offset: i64, flags: c_int) -> isize:
        nothing(), |got| gathered(parts, count, got, "pwritev2(2)");
    send(socket: c_int, buffer: *const c_void, len: usize, flags: c_int) -> isize:
        taken(buffer, len, "send(2)"), |_got| nothing();
    sendto(socket: c_int, buffer: *const c_void, len: usize, flags: c_int, to: *const c_void, to_len: c_uint) -> isize:
        taken(buffer, len, "sendto(2)"), |_got| nothing();
    sendmsg(socket: c_int, message: *const libc::msghdr, flags: c_int) -> isize:
        nothing(), |got| sent(message, got, "sendmsg(2)");

    fread(buffer: *mut c_void, size: usize, count: usize, file: *mut c_void) -> usize:
        start(buffer, size.saturating_mul(count), "fread(3)"),
        |got| items(buffer, size, got, "fread(3)");
    fread_unlocked(buffer: *mut c_void, size: usize, count: usize, file: *mut c_void) -> usize:
        start(buffer, size.saturating_mul(count), "fread(3)"),
        |got| items(buffer, size, got, "fread(3)");
    __fread_chk(buffer: *mut c_void, room: usize, size: usize, count: usize, file: *mut c_void) -> usize:
        start(buffer, size.saturating_mul(count), "fread(3)"),
        |got| items(buffer, size, got, "fread(3)");
    __fread_unlocked_chk(buffer: *mut c_void, room: usize, size: usize, count: usize, file: *mut c_void) -> usize:
        start(buffer, size.saturating_mul(count), "fread(3)"),
        |got| items(buffer, size, got, "fread(3)");
    fwrite(buffer: *const c_void, size: usize, count: usize, file: *mut c_void) -> usize:
        taken(buffer, size.saturating_mul(count), "fwrite(3)"), |_got| nothing();
    fwrite_unlocked(buffer: *const c_void, size: usize, count: usize, file: *mut c_void) -> usize:
        taken(buffer, size.saturating_mul(count), "fwrite(3)"), |_got| nothing();
}

/// What a function answers where libc has none of that name.
trait Answer {
    const FAILED: Self;
}

impl Answer for isize {
    const FAILED: Self = -1;
}

impl Answer for c_int {
    const FAILED: Self = -1;
}

impl Answer for usize {
    const FAILED: Self = 0;
}

/// What is to be looked at is known at the other end of the call only.
#[inline]
fn nothing() {}

/// A buffer is about to be filled, nobody knows how far.
#[inline]
fn start(buffer: *mut c_void, len: usize, user: &str) {
    if len != 0 {
        check_start(buffer.addr(), Access::Write, user);
    }
}

/// `got` bytes of a buffer of `len` were filled; a negative number is a failure. (With `MSG_TRUNC` a
/// datagram may be longer than what was filled.)
#[inline]
fn filled(buffer: *mut c_void, len: usize, got: isize, user: &str) {
    match usize::try_from(got) {
        Ok(got) => check_range(buffer.addr(), got.min(len), Access::Write, user),
        Err(_) if errno::get() == libc::EFAULT => refused(buffer, len, user),
        Err(_) => {}
    }
}

/// The kernel could not fill a buffer of `len` bytes: if that is more than its live block holds, it was the
/// page behind the block that stopped it. (A freed one was told before the call.)
#[cold]
fn refused(buffer: *mut c_void, len: usize, user: &str) {
    let room = room_at(buffer.addr());
    if 0 < room && room < len {
        check_range(buffer.addr(), len, Access::Write, user);
    }
}

/// `got` items of `size` bytes were filled.
#[inline]
fn items(buffer: *mut c_void, size: usize, got: usize, user: &str) {
    check_range(buffer.addr(), size.saturating_mul(got), Access::Write, user);
}

/// A buffer is about to be read.
#[inline]
fn taken(buffer: *const c_void, len: usize, user: &str) {
    check_range(buffer.addr(), len, Access::Read, user);
}

/// `got` bytes were spread over buffers.
fn scattered(parts: *const libc::iovec, count: c_int, got: isize, user: &str) {
    let mut left = usize::try_from(got).unwrap_or(0);
    for_each_part(parts, count, got, |part| {
        // After a failure the buffers were still to be written.
        if got < 0 {
            start(part.iov_base, part.iov_len, user);
            refused(part.iov_base, part.iov_len, user);
        }
        let len = part.iov_len.min(left);
        left -= len;
        check_range(part.iov_base.addr(), len, Access::Write, user);
    });
}

/// Bytes were collected from buffers: of all that were asked for.
fn gathered(parts: *const libc::iovec, count: c_int, got: isize, user: &str) {
    for_each_part(parts, count, got, |part| taken(part.iov_base, part.iov_len, user));
}

/// As [`scattered`].
fn received(message: *const libc::msghdr, got: isize, user: &str) {
    if let Some(message) = copied(message, got) {
        scattered(message.msg_iov, count_of(&message), got, user);
    }
}

/// As [`gathered`].
fn sent(message: *const libc::msghdr, got: isize, user: &str) {
    if let Some(message) = copied(message, got) {
        gathered(message.msg_iov, count_of(&message), got, user);
    }
}

fn count_of(message: &libc::msghdr) -> c_int {
    c_int::try_from(message.msg_iovlen).unwrap_or(0)
}

/// Calls `each` for every buffer of a list that a system call has just used.
fn for_each_part(
    parts: *const libc::iovec,
    count: c_int,
    got: isize,
    mut each: impl FnMut(&libc::iovec),
) {
    for index in 0..usize::try_from(count).unwrap_or(0) {
        match copied(parts.wrapping_add(index), got) {
            Some(part) => each(&part),
            None => return,
        }
    }
}

/// Copies what a system call has just read, if it is there: the call succeeded, or it failed over
/// some address, and the kernel is asked once more. `errno` stays.
fn copied<T>(place: *const T, got: isize) -> Option<T> {
    if 0 <= got {
        // SAFETY: the kernel has read it, and it is the caller's to keep until the call returns.
        return Some(unsafe { place.read() });
    }
    let saved = errno::get();
    if saved != libc::EFAULT {
        return None;
    }
    let mut copy = MaybeUninit::<T>::uninit();
    let len = size_of::<T>();
    let local = libc::iovec { iov_base: copy.as_mut_ptr().cast(), iov_len: len };
    let remote = libc::iovec { iov_base: place.cast_mut().cast(), iov_len: len };
    // SAFETY: no preconditions.
    let process = unsafe { libc::getpid() };
    // SAFETY: one local buffer, which is ours; the kernel checks the other.
    let count = unsafe { libc::process_vm_readv(process, &local, 1, &remote, 1, 0) };
    errno::set(saved);
    // SAFETY: all its bytes were written; these are C structures of words, which any bytes are.
    (usize::try_from(count) == Ok(len)).then(|| unsafe { copy.assume_init() })
}
