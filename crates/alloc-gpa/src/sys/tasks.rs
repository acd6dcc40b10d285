//! The threads of this process, as `/proc/self/task` lists them, and the time.

use crate::sys::{self, peek, signal};

/// How much of a list was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    All,
    /// The kernel ends the list early where a thread ends while it is written down.
    Some,
    /// It cannot be read.
    Nothing,
}

/// Calls `visit` for the kernel's id of every thread but the calling one, and of no other's that the list has.
pub(crate) fn for_each_other(mut visit: impl FnMut(u32)) -> Listed {
    let Some(dir) = peek::open_self(c"/proc/self/task") else { return Listed::Nothing };
    let own = sys::thread_id();
    let mut buffer = [0u64; 256];
    let mut count = 0;
    let result = loop {
        let room = size_of_val(&buffer);
        // SAFETY: a live buffer of that length, aligned for directory entries (getdents64(2)).
        let len = unsafe { libc::syscall(libc::SYS_getdents64, dir, buffer.as_mut_ptr(), room) };
        let Ok(len) = usize::try_from(len) else { break Listed::Nothing };
        if len == 0 {
            break if count < thread_count(dir) { Listed::Some } else { Listed::All };
        }
        for_each_name(&buffer, len, |name| {
            let tid = core::str::from_utf8(name).ok().and_then(|name| name.parse().ok());
            count += u64::from(tid.is_some());
            if let Some(tid) = tid.filter(|tid| *tid != own && !is_gone(*tid)) {
                visit(tid);
            }
        });
    };
    peek::close(dir);
    result
}

/// Returns how many threads there are, by the links of their open folder; 0 where the kernel does not count them.
fn thread_count(dir: libc::c_int) -> u64 {
    let mut stat = core::mem::MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: the call writes one `stat`, for which there is room.
    unsafe { libc::fstat(dir, stat.as_mut_ptr()) };
    // SAFETY: zero bytes are a valid `stat`, written over or not.
    let stat = unsafe { stat.assume_init() };
    #[allow(clippy::useless_conversion, reason = "32 bits on other processors")]
    u64::from(stat.st_nlink).saturating_sub(2)
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
    is_first && matches!(Task::look(tid), Look::Seen(task) if task.activity == Activity::Ended)
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

/// What came of looking at a thread.
pub(crate) enum Look {
    Seen(Task),
    /// There is none of that number.
    Gone,
    /// The system does not say: there may be one. What is not known is as it mostly is.
    Unknown(Task),
}

/// `PF_EXITING`, `PF_IO_WORKER` (`linux/sched.h`).
const EXITING: u64 = 4;
const IO_WORKER: u64 = 0x10;

impl Task {
    /// Looks at a thread of this process.
    pub(crate) fn look(tid: u32) -> Look {
        super::errno::set(0);
        match Self::seen(tid) {
            Some(task) => Look::Seen(task),
            None if matches!(super::errno::get(), libc::ENOENT | libc::ESRCH) => Look::Gone,
            None => Look::Unknown(Self { tid, activity: Activity::Waits, flags: 0, blocked: 0 }),
        }
    }

    /// `None`: `errno` says why, or what was read is not as expected.
    fn seen(tid: u32) -> Option<Self> {
        let mut text = [0u8; 1024];
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
        let file = open_of(tid, "status")?;
        let blocked = blocked_in(|buffer| peek::read_some(file, buffer));
        // Keeps the error of a read.
        let _errno = super::errno::KeepErrno::new();
        peek::close(file);
        Some(Self { tid, activity, flags, blocked: blocked? })
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

/// Returns the mask that a thread's `status` holds, behind a list of groups that may be long: read by pieces.
fn blocked_in(mut read: impl FnMut(&mut [u8]) -> Option<usize>) -> Option<u64> {
    const NAME: &[u8] = b"\nSigBlk:\t";
    const LINE_LEN: usize = NAME.len() + 16;
    let mut text = [0u8; 1024];
    let mut len = 0;
    loop {
        let more = read(&mut text[len..])?;
        let known = &text[..len + more];
        if let Some(line) = known.windows(LINE_LEN).find(|line| line.starts_with(NAME)) {
            let digits = core::str::from_utf8(&line[NAME.len()..]).ok()?;
            return u64::from_str_radix(digits, 16).ok();
        }
        if more == 0 {
            return None;
        }
        // What may be the beginning of it.
        let kept = known.len().min(LINE_LEN - 1);
        let start = known.len() - kept;
        text.copy_within(start..start + kept, 0);
        len = kept;
    }
}

/// Reads a file of `/proc/self/task/TID`, as much of it as there is room for.
fn read_of<'b>(tid: u32, name: &str, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    let file = open_of(tid, name)?;
    let len = peek::read_some(file, buffer);
    // Keeps the error of a read.
    let _errno = super::errno::KeepErrno::new();
    peek::close(file);
    buffer.get(..len?)
}

fn open_of(tid: u32, name: &str) -> Option<libc::c_int> {
    let mut path = [0; 48];
    let mut text = crate::finding::Detail::EMPTY;
    // It fits.
    let _ = core::fmt::Write::write_fmt(&mut text, format_args!("/proc/self/task/{tid}/{name}"));
    path[..text.as_str().len()].copy_from_slice(text.as_str().as_bytes());
    peek::open_self(core::ffi::CStr::from_bytes_until_nul(&path).ok()?)
}

/// Whether the calling thread is the only one that is known of.
pub(crate) fn is_alone() -> bool {
    let mut count = 0;
    let listed = for_each_other(|_| count += 1);
    count == 0 && listed != Listed::Some
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

    /// However many groups there are, and wherever a read ends.
    #[test]
    fn blocked_signals_are_found_behind_long_lines() {
        let groups = "4294967294 ".repeat(500);
        let text = std::format!("Name:\tx\nGroups:\t{groups}\nSigBlk:\t0000000000010a02\nx\n");
        for piece in [1, 7, 100, 1023, 5000] {
            let mut rest = text.as_bytes();
            let read = |buffer: &mut [u8]| {
                let (now, later) = rest.split_at(rest.len().min(piece).min(buffer.len()));
                buffer[..now.len()].copy_from_slice(now);
                rest = later;
                Some(now.len())
            };
            assert_eq!(blocked_in(read), Some(0x10a02), "{piece}");
        }
        assert_eq!(blocked_in(|_| Some(0)), None);
    }

    /// A thread that is not there is gone; one that the system does not tell of may be there.
    #[test]
    fn only_what_is_not_there_is_gone() {
        assert!(matches!(Task::look(u32::MAX >> 1), Look::Gone));
        assert!(matches!(Task::look(sys::thread_id()), Look::Seen(_)));
    }

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
            assert_ne!(for_each_other(|tid| found.push(tid)), Listed::Nothing);
            assert!(found.contains(&other) && !found.contains(&sys::thread_id()));
            assert!(!is_alone());
            drop(end);
        });
    }
}
