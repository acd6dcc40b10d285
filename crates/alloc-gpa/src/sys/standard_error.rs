//! Standard error: a pipe that nobody reads any more, a full one, a file at its limit, or nothing.

use core::ptr;

use super::errno;
use super::signal::{self, bit};

const STANDARD_ERROR: libc::c_int = 2;
/// Bytes of a mask as the kernel takes it.
const MASK_LEN: usize = size_of::<u64>();
/// How long a full pipe that does not wait by itself (`O_NONBLOCK`) is waited for: milliseconds.
const WAIT_MAX: libc::c_int = 1000;

/// Writes all of `bytes` to standard error, as far as it takes them. May change `errno`.
///
/// What the program would die of is kept from it: `SIGPIPE` where nobody reads any more, `SIGXFSZ`
/// beyond the limit of a file's length. That of the program's own is left as it is.
pub(crate) fn write(mut bytes: &[u8]) {
    let quiet = Quiet::begin();
    while !bytes.is_empty() {
        // SAFETY: a live buffer of that length.
        let count =
            unsafe { libc::syscall(libc::SYS_write, STANDARD_ERROR, bytes.as_ptr(), bytes.len()) };
        match usize::try_from(count) {
            Ok(count) if 0 < count => bytes = &bytes[count.min(bytes.len())..],
            Ok(_) => break,
            Err(_) => match errno::get() {
                libc::EINTR => {}
                libc::EAGAIN if wait() => {}
                error => {
                    quiet.end(error);
                    return;
                }
            },
        }
    }
    quiet.end(0);
}

/// Waits until a pipe that was full takes more; returns whether it does.
fn wait() -> bool {
    let mut pipe = libc::pollfd { fd: STANDARD_ERROR, events: libc::POLLOUT, revents: 0 };
    // SAFETY: one descriptor's request, which is ours to write.
    0 < unsafe { libc::syscall(libc::SYS_poll, &raw mut pipe, 1, WAIT_MAX) }
}

/// The signals that a write may make, blocked for this thread.
struct Quiet {
    /// The mask before, if it could be changed.
    before: Option<u64>,
    /// The signals that waited for the program already.
    pending: u64,
}

impl Quiet {
    const SIGNALS: u64 = bit(libc::SIGPIPE) | bit(libc::SIGXFSZ);

    fn begin() -> Self {
        let before = signal::mask(libc::SIG_BLOCK, Some(Self::SIGNALS)).ok();
        let mut pending = 0u64;
        // SAFETY: a place of ours for a mask of that length.
        unsafe { libc::syscall(libc::SYS_rt_sigpending, &raw mut pending, MASK_LEN) };
        Self { before, pending }
    }

    /// Takes the signal away that this error came with, and puts the mask back.
    fn end(self, error: libc::c_int) {
        let Some(before) = self.before else { return };
        let made = match error {
            libc::EPIPE => bit(libc::SIGPIPE),
            libc::EFBIG => bit(libc::SIGXFSZ),
            _ => 0,
        };
        let made = made & !self.pending;
        if made != 0 {
            let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            let nowhere = ptr::null_mut::<libc::siginfo_t>();
            // SAFETY: a mask of that length and a time, which the call reads; it does not wait.
            unsafe {
                libc::syscall(
                    libc::SYS_rt_sigtimedwait,
                    &raw const made,
                    nowhere,
                    &raw const now,
                    MASK_LEN,
                );
            }
        }
        // It cannot fail: the same call has worked.
        let _ = signal::mask(libc::SIG_SETMASK, Some(before));
    }
}
