//! What the crate asks of the operating system: pages, and a few facts. No function here allocates,
//! waits or unwinds. Failure is a value.

pub(crate) mod ended;
pub(crate) mod errno;
pub(crate) mod guards;
pub(crate) mod mapped;
pub(crate) mod maps;
pub(crate) mod pages;
pub(crate) mod presence;
pub(crate) mod peek;
pub(crate) mod signal;
pub(crate) mod standard_error;
pub(crate) mod tasks;
pub(crate) mod thread;
pub(crate) mod try_lock;

/// Returns the kernel's id of the calling thread.
pub(crate) fn thread_id() -> u32 {
    // SAFETY: no arguments, no effects.
    let id = unsafe { libc::syscall(libc::SYS_gettid) };
    u32::try_from(id).unwrap_or(0)
}

/// Returns the name of the calling thread, NUL-padded.
pub(crate) fn thread_name() -> [u8; 16] {
    let mut name = [0u8; 16];
    // SAFETY: PR_GET_NAME writes at most 16 bytes (prctl(2)).
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    name
}

/// Returns the name of another thread of the process, NUL-padded; it may end in a newline.
pub(crate) fn name_of_thread(id: u32) -> [u8; 16] {
    let mut path = [0; 32];
    let mut text = crate::finding::Detail::EMPTY;
    // It fits.
    let _ = core::fmt::Write::write_fmt(&mut text, format_args!("/proc/{id}/comm"));
    path[..text.as_str().len()].copy_from_slice(text.as_str().as_bytes());
    let mut name = [0; 16];
    let path = core::ffi::CStr::from_bytes_until_nul(&path).unwrap_or_default();
    if let Some(file) = peek::open_self(path) {
        // Without a name it is empty.
        let _ = peek::read_some(file, &mut name);
        peek::close(file);
    }
    name
}

/// Ends the process with `status`, without exit handlers.
pub(crate) fn exit_now(status: i32) -> ! {
    // SAFETY: `_exit` has no preconditions.
    unsafe { libc::_exit(status) }
}

/// Ends the process by SIGABRT.
pub(crate) fn abort() -> ! {
    // SAFETY: `abort` has no preconditions.
    unsafe { libc::abort() }
}

/// Writes all of `bytes` to a descriptor, as far as it takes them. By a bare system call, as all that
/// waits here: libc's `write` is a cancellation point, and a thread must not end inside `malloc`.
pub(crate) fn write_all(fd: libc::c_int, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        // SAFETY: a live buffer of that length.
        let count = unsafe { libc::syscall(libc::SYS_write, fd, bytes.as_ptr(), bytes.len()) };
        match usize::try_from(count) {
            Ok(count) if 0 < count => bytes = &bytes[count.min(bytes.len())..],
            _ if errno::get() == libc::EINTR => {}
            _ => return,
        }
    }
}

/// Returns the time since some moment in the past, by a clock that nobody sets.
pub(crate) fn now() -> core::time::Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a live `timespec`; the clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    core::time::Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}
