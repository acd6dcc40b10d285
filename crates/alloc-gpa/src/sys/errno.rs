//! The caller's `errno`, kept across system calls that an allocation makes on the side.

/// Remembers `errno` and puts it back when dropped: C lets no successful `malloc` and no `free`
/// change it.
pub(crate) struct KeepErrno {
    value: libc::c_int,
}

impl KeepErrno {
    /// Remembers the calling thread's `errno`.
    pub(crate) fn new() -> Self {
        Self { value: get() }
    }
}

impl Drop for KeepErrno {
    fn drop(&mut self) {
        set(self.value);
    }
}

/// Returns the calling thread's `errno`.
pub(crate) fn get() -> libc::c_int {
    // SAFETY: the function has no preconditions; it returns the address of a thread-local.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: `place` is this thread's `errno`, which lives as long as the thread.
    unsafe { place.read() }
}

/// Sets the calling thread's `errno`.
pub(crate) fn set(value: libc::c_int) {
    // SAFETY: the function has no preconditions; it returns the address of a thread-local.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: `place` is this thread's `errno`, which lives as long as the thread.
    unsafe { place.write(value) };
}
