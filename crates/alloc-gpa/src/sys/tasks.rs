//! The threads of this process, as `/proc/self/task` lists them, and the time.

use crate::sys::{self, peek, signal};

/// Calls `visit` for the kernel's id of every thread but the calling one; returns whether they could be
/// listed.
pub(crate) fn for_each_other(mut visit: impl FnMut(u32)) -> bool {
    let Some(dir) = peek::open_self(c"/proc/self/task") else { return false };
    let own = sys::thread_id();
    let mut buffer = [0u64; 256];
    let result = loop {
        let room = size_of_val(&buffer);
        // SAFETY: a live buffer of that length, aligned for directory entries (getdents64(2)).
        let len = unsafe { libc::syscall(libc::SYS_getdents64, dir, buffer.as_mut_ptr(), room) };
        let Ok(len) = usize::try_from(len) else { break false };
        if len == 0 {
            break true;
        }
        for_each_name(&buffer, len, |name| {
            let tid = core::str::from_utf8(name).ok().and_then(|name| name.parse().ok());
            if let Some(tid) = tid.filter(|tid| *tid != own && !is_gone(*tid)) {
                visit(tid);
            }
        });
    };
    peek::close(dir);
    result
}

/// Calls `visit` for the names in a buffer of directory entries: inode and offset of 8 bytes each, the
/// entry's length of 2, its type of 1, and the name up to a NUL.
fn for_each_name(buffer: &[u64], len: usize, mut visit: impl FnMut(&[u8])) {
    let mut bytes = [0u8; 2048];
    for (chunk, word) in bytes.chunks_exact_mut(8).zip(buffer) {
        chunk.copy_from_slice(&word.to_ne_bytes());
    }
    let mut start = 0;
    while start + 19 <= len.min(bytes.len()) {
        let entry_len = usize::from(u16::from_ne_bytes([bytes[start + 16], bytes[start + 17]]));
        let end = (start + entry_len).min(bytes.len());
        let name = bytes.get(start + 19..end).unwrap_or_default();
        visit(name.split(|byte| *byte == 0).next().unwrap_or_default());
        start += entry_len.max(19);
    }
}

/// Whether a first thread has ended that the process still lists: it runs no more code.
fn is_gone(tid: u32) -> bool {
    // SAFETY: no preconditions.
    let is_first = tid == unsafe { libc::getpid() }.cast_unsigned();
    is_first && Task::look(tid).is_some_and(|task| task.activity == Activity::Ended)
}

/// What a thread does, by the system's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activity {
    /// It runs, or will as soon as a processor is free.
    Runs,
    /// It waits, and a signal wakes it.
    Waits,
    /// It waits, and no signal wakes it: for a disk, for a child that was made by `vfork`, for a debugger.
    Sleeps,
    Ended,
}

/// A thread, as it was when it was looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    pub(crate) tid: u32,
    pub(crate) activity: Activity,
    /// `PF_...` of the kernel.
    flags: u64,
    /// The signals that it blocks.
    pub(crate) blocked: u64,
}

/// `PF_EXITING`, `PF_IO_WORKER` (`linux/sched.h`).
const EXITING: u64 = 4;
const IO_WORKER: u64 = 0x10;

impl Task {
    /// Looks at a thread of this process; `None`: there is none of that number.
    pub(crate) fn look(tid: u32) -> Option<Self> {
        let mut text = [0u8; 4096];
        let stat = read_of(tid, "stat", &mut text)?;
        // The name before the state may hold parentheses itself.
        let name_end = stat.iter().rposition(|byte| *byte == b')')?;
        let mut fields = stat.get(name_end + 2..)?.split(|byte| *byte == b' ');
        let activity = match fields.next()?.first()? {
            b'R' => Activity::Runs,
            b'S' => Activity::Waits,
            b'Z' | b'X' | b'x' => Activity::Ended,
            _ => Activity::Sleeps,
        };
        let flags = core::str::from_utf8(fields.nth(5)?).ok()?.parse().ok()?;
        let status = read_of(tid, "status", &mut text)?;
        const NAME: &[u8] = b"\nSigBlk:\t";
        let at = status.windows(NAME.len()).position(|window| window == NAME)? + NAME.len();
        let digits = core::str::from_utf8(status.get(at..at + 16)?).ok()?;
        let blocked = u64::from_str_radix(digits, 16).ok()?;
        Some(Self { tid, activity, flags, blocked })
    }

    /// Whether it runs code of the process, or will: not one that is just ending in the kernel, nor the kernel's own
    /// which works for `io_uring`.
    pub(crate) fn runs_code(&self) -> bool {
        let unblockable = signal::bit(libc::SIGKILL) | signal::bit(libc::SIGSTOP);
        let is_kernels = self.flags & IO_WORKER != 0 && self.blocked | unblockable == u64::MAX;
        self.activity != Activity::Ended && self.flags & EXITING == 0 && !is_kernels
    }

    /// Returns the processor time that it has used, in nanoseconds; 0: not known.
    pub(crate) fn processor_time(&self) -> u64 {
        // The clock of a thread by the kernel's id: `CPUCLOCK_PERTHREAD_MASK | CPUCLOCK_SCHED`.
        read_clock(!(self.tid.cast_signed()) << 3 | 6)
    }
}

/// Reads a file of `/proc/self/task/TID`.
fn read_of<'b>(tid: u32, name: &str, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    let mut path = [0; 48];
    let mut text = crate::finding::Detail::EMPTY;
    // It fits.
    let _ = core::fmt::Write::write_fmt(&mut text, format_args!("/proc/self/task/{tid}/{name}"));
    path[..text.as_str().len()].copy_from_slice(text.as_str().as_bytes());
    let file = peek::open_self(core::ffi::CStr::from_bytes_until_nul(&path).ok()?)?;
    let len = peek::read_some(file, buffer);
    peek::close(file);
    buffer.get(..len?)
}

/// Whether the calling thread is the only one that is known of.
pub(crate) fn is_alone() -> bool {
    let mut count = 0;
    for_each_other(|_| count += 1);
    count == 0
}

/// Returns the nanoseconds since some fixed time.
pub(crate) fn now() -> u64 {
    read_clock(libc::CLOCK_MONOTONIC)
}

/// Returns what a clock says, in nanoseconds; 0: there is none.
fn read_clock(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is ours to write.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

/// Waits so many nanoseconds, or less if there is a signal. By a bare system call: libc's function is a cancellation
/// point.
pub(crate) fn pause(nanoseconds: u64) {
    const SECOND: u64 = 1_000_000_000;
    let pause = libc::timespec {
        tv_sec: (nanoseconds / SECOND).cast_signed(),
        tv_nsec: (nanoseconds % SECOND).cast_signed(),
    };
    let rest = core::ptr::null_mut::<libc::timespec>();
    // SAFETY: a valid time, and nothing to be written.
    unsafe { libc::syscall(libc::SYS_nanosleep, &raw const pause, rest) };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thread that waits is listed, the calling one is not.
    #[test]
    fn threads_are_listed() {
        std::thread::scope(|scope| {
            let (sender, receiver) = std::sync::mpsc::channel();
            let (end, ended) = std::sync::mpsc::channel::<()>();
            scope.spawn(move || {
                sender.send(sys::thread_id()).unwrap();
                let _ = ended.recv();
            });
            let other = receiver.recv().unwrap();
            let mut found = std::vec::Vec::new();
            assert!(for_each_other(|tid| found.push(tid)));
            assert!(found.contains(&other) && !found.contains(&sys::thread_id()));
            assert!(!is_alone());
            drop(end);
        });
    }
}
