//! Reads of memory that may not be there: the kernel copies it, so a bad address is an answer and
//! not a fault.

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Whether the kernel refused `process_vm_readv` on this process once.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// Copies the bytes at `addr` into all of `buffer`; `false` if one of them cannot be read. May
/// change `errno`. Some 200 ns.
pub(crate) fn read(addr: usize, buffer: &mut [u8]) -> bool {
    // Relaxed: the flag alone is what matters; a thread that sees it late asks once more.
    if REFUSED.load(Relaxed) { read_file(addr, buffer) } else { read_vm(addr, buffer) }
}

/// Returns the word at `addr`, as [`read`].
pub(crate) fn read_word(addr: usize) -> Option<usize> {
    let mut word = [0; size_of::<usize>()];
    read(addr, &mut word).then_some(usize::from_ne_bytes(word))
}

fn read_vm(addr: usize, buffer: &mut [u8]) -> bool {
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let remote =
        libc::iovec { iov_base: core::ptr::without_provenance_mut(addr), iov_len: buffer.len() };
    // SAFETY: the function has no preconditions. The id is asked for each time: a forked child that
    // kept it would read its parent. A thread's id: that of the process is worth nothing once its
    // first thread has ended.
    let pid = unsafe { libc::gettid() };
    // SAFETY: both vectors have one element; `local` spans exactly `buffer`, which is ours to write;
    // the kernel checks `remote`.
    let count = unsafe { libc::process_vm_readv(pid, &local, 1, &remote, 1, 0) };
    if count < 0 && matches!(super::errno::get(), libc::ENOSYS | libc::EPERM) {
        // Relaxed: see `read`.
        REFUSED.store(true, Relaxed);
        return read_file(addr, buffer);
    }
    usize::try_from(count) == Ok(buffer.len())
}

/// As [`read`], through `/proc/self/mem`: for sandboxes that forbid `process_vm_readv`.
fn read_file(addr: usize, buffer: &mut [u8]) -> bool {
    let Some(file) = open_self(c"/proc/thread-self/mem") else { return false };
    let offset = i64::try_from(addr).unwrap_or(i64::MAX);
    let (place, len) = (buffer.as_mut_ptr(), buffer.len());
    // SAFETY: `buffer` is ours to write for its whole length; the descriptor is open.
    let count = unsafe { libc::syscall(libc::SYS_pread64, file, place, len, offset) };
    close(file);
    usize::try_from(count) == Ok(buffer.len())
}

/// Opens a file for reading by a bare system call: libc's `open` is a cancellation point, and a
/// thread must not end inside `malloc`. `/proc/thread-self` and not `/proc/self`, which is empty once
/// the first thread has ended.
pub(crate) fn open_self(path: &core::ffi::CStr) -> Option<libc::c_int> {
    let flags = libc::O_RDONLY | libc::O_CLOEXEC;
    // SAFETY: `openat` takes a directory, a C string that lives across the call, flags and a mode.
    let file = unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags, 0) };
    libc::c_int::try_from(file).ok().filter(|file| 0 <= *file)
}

/// Reads into `buffer` from a descriptor of [`open_self`]; the count of bytes, 0 at the end, `None`
/// on an error.
pub(crate) fn read_some(file: libc::c_int, buffer: &mut [u8]) -> Option<usize> {
    loop {
        // SAFETY: `buffer` is ours to write for its whole length.
        let count =
            unsafe { libc::syscall(libc::SYS_read, file, buffer.as_mut_ptr(), buffer.len()) };
        match usize::try_from(count) {
            Ok(count) => return Some(count),
            Err(_) if super::errno::get() == libc::EINTR => {}
            Err(_) => return None,
        }
    }
}

/// Reads words of a file from the word `index` on; how many there were, 0 on an error.
pub(crate) fn read_words(file: libc::c_int, words: &mut [usize], index: usize) -> usize {
    const WORD_LEN: usize = size_of::<usize>();
    let offset = i64::try_from(index.saturating_mul(WORD_LEN)).unwrap_or(i64::MAX);
    let len = size_of_val(words);
    // SAFETY: `words` is ours to write for its whole length, and any bytes are words.
    let count = unsafe { libc::syscall(libc::SYS_pread64, file, words.as_mut_ptr(), len, offset) };
    usize::try_from(count).unwrap_or(0) / WORD_LEN
}

/// Closes a descriptor of [`open_self`].
pub(crate) fn close(file: libc::c_int) {
    // SAFETY: the descriptor was opened by this crate and is used by nobody else.
    unsafe { libc::syscall(libc::SYS_close, file) };
}

#[cfg(test)]
mod tests {
    use super::{read, read_file, read_word};

    /// Both ways read what is there, and answer for what is not.
    #[test]
    fn reads_are_checked() {
        let word = 0x1234_5678_9abc_def0_usize;
        let addr = (&raw const word).addr();
        assert_eq!(read_word(addr), Some(word));
        let mut bytes = [0; 8];
        assert!(read_file(addr, &mut bytes));
        assert_eq!(usize::from_ne_bytes(bytes), word);
        for bad in [0, 8, usize::MAX - 7, 1 << 63] {
            assert!(!read(bad, &mut bytes));
            assert!(!read_file(bad, &mut bytes));
        }
    }
}
