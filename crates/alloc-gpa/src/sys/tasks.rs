//! The threads of this process, as `/proc/self/task` lists them, and the time.

use crate::sys::{self, peek};

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
    if tid != unsafe { libc::getpid() }.cast_unsigned() {
        return false;
    }
    let mut stat = [0u8; 512];
    let Some(file) = peek::open_self(c"/proc/self/stat") else { return false };
    let len = peek::read_some(file, &mut stat).unwrap_or(0);
    peek::close(file);
    let name_end = stat[..len].iter().rposition(|byte| *byte == b')');
    name_end.is_some_and(|end| stat.get(end + 2) == Some(&b'Z'))
}

/// Whether the calling thread is the only one that is known of.
pub(crate) fn is_alone() -> bool {
    let mut count = 0;
    for_each_other(|_| count += 1);
    count == 0
}

/// Returns the nanoseconds since some fixed time.
pub(crate) fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is ours to write.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
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
