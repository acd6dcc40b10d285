//! Where the calling thread's stack is.
//!
//! `pthread_getattr_np` would say so, but it takes the thread's own lock, calls `malloc` under it,
//! and a program may call it first (Rust's standard library does, in each new thread): asking from
//! inside that `malloc` would wait for ever. The mappings say the same without a lock: the main
//! thread's stack is named, any other ends at its thread pointer, below which libc places it.

use core::ops::ControlFlow;
use core::sync::atomic::Ordering::Relaxed;

use crate::sys::{maps, pages, peek, thread};

/// `stack_high` of a thread whose stack was not found: all its memory is read with checks.
const UNKNOWN: usize = 1;
/// What is taken for the size of a main thread's stack without limit.
const MAIN_LEN_MAX: usize = 64 << 20;
const TEXT_LEN: usize = 8 << 10;

/// Stack memory that may be read by plain loads.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    /// A multiple of a word.
    start: usize,
    /// 0: nothing may be read.
    word_count: usize,
}

const WORD: usize = size_of::<usize>();

impl Window {
    /// Returns the window of the calling thread, whose stack pointer is `sp`: from there to the
    /// stack's end; nothing if it is on another stack, a coroutine's or a signal's.
    #[inline]
    pub(crate) fn of_thread(sp: usize) -> Self {
        of_thread();
        Self::if_known(sp)
    }

    /// As [`of_thread`](Self::of_thread), and nothing if it was not asked before where the stack is.
    #[inline]
    pub(crate) fn if_known(sp: usize) -> Self {
        let state = thread::current();
        let (low, high) = (state.stack_low.load(Relaxed), state.stack_high.load(Relaxed));
        if low <= sp && sp < high && sp.is_multiple_of(WORD) {
            Self { start: sp, word_count: (high - sp) / WORD }
        } else {
            Self { start: 0, word_count: 0 }
        }
    }

    /// Returns the word at `addr` if the window holds it.
    #[inline(always)]
    pub(crate) fn load(self, addr: usize) -> Option<usize> {
        // One comparison for three questions: the rotation turns an address that is before the
        // window, or not a multiple of a word, into a large number.
        let index = addr.wrapping_sub(self.start).rotate_right(WORD.ilog2());
        if self.word_count <= index {
            return None;
        }
        let word = core::ptr::with_exposed_provenance::<usize>(addr);
        // SAFETY: the word lies between the stack pointer at the time of the capture and the end of
        // this thread's stack (invariant 2 of `stack`): it is mapped, readable and aligned (checked
        // above). Whatever is read is only taken for an address, after checks.
        Some(unsafe { word.read_volatile() })
    }

    /// Whether nothing may be read.
    #[inline]
    pub(crate) fn is_empty(self) -> bool {
        self.word_count == 0
    }

    /// Returns the word that lies so many words above the window's start, if the window holds it.
    #[inline(always)]
    pub(crate) fn at(self, offset: usize) -> Option<usize> {
        if self.word_count <= offset {
            return None;
        }
        let addr = self.start.wrapping_add(offset.wrapping_mul(WORD));
        let word = core::ptr::with_exposed_provenance::<usize>(addr);
        // SAFETY: as in `load`: the window begins at a multiple of a word, and holds this one.
        Some(unsafe { word.read_volatile() })
    }

    /// Returns how many words above the window's start the word at `addr` lies, if the window holds it.
    pub(crate) fn offset(self, addr: usize) -> Option<usize> {
        self.load(addr).map(|_| (addr - self.start) / WORD)
    }

    /// Returns the word at `addr`, of the window by a load, of anything else by a checked read.
    #[inline]
    pub(crate) fn read(self, addr: usize) -> Option<usize> {
        match self.load(addr) {
            None if addr.is_multiple_of(WORD) => peek::read_word(addr),
            word => word,
        }
    }
}

/// Returns the calling thread's stack as `[low, high)`; `low` is 0 if it was not found.
#[inline]
pub(crate) fn of_thread() -> (usize, usize) {
    let state = thread::current();
    if state.stack_high.load(Relaxed) == 0 {
        find();
    }
    (state.stack_low.load(Relaxed), state.stack_high.load(Relaxed))
}

/// Finds the thread's stack and notes it in its state.
#[cold]
#[inline(never)]
fn find() {
    let state = thread::current();
    let (low, high) = look().unwrap_or((0, UNKNOWN));
    state.stack_low.store(low, Relaxed);
    state.stack_high.store(high, Relaxed);
}

/// Returns the stack as `[low, high)`.
fn look() -> Option<(usize, usize)> {
    // SAFETY: the call has no preconditions.
    let pid = unsafe { libc::getpid() }.cast_unsigned();
    let file = peek::open_self(c"/proc/thread-self/maps")?;
    let found = if thread::current().tid() == pid {
        find_line(file, |line| (line.name == b"[stack]").then(|| (main_low(line), line.end)))
    } else {
        let pointer = thread::pointer();
        let low = query(file, pointer - 1).or_else(|| {
            find_line(file, |line| {
                (line.start < pointer && pointer <= line.end).then_some(line.start)
            })
        });
        low.map(|low| (low, pointer))
    };
    peek::close(file);
    found
}

/// Returns where the mapping that holds `addr` starts, without reading the others; `None` before
/// Linux 6.11.
fn query(file: libc::c_int, addr: usize) -> Option<usize> {
    /// `struct procmap_query` of `linux/fs.h`.
    #[repr(C)]
    #[derive(Default)]
    struct Query {
        size: u64,
        flags: u64,
        addr: u64,
        start: u64,
        /// End, flags, page size, offset, inode, device, name and build id: not asked for.
        rest: [u64; 9],
    }
    /// `_IOWR('f', 17, struct procmap_query)`.
    const PROCMAP_QUERY: libc::c_ulong =
        3 << 30 | (size_of::<Query>() as libc::c_ulong) << 16 | (b'f' as libc::c_ulong) << 8 | 17;
    let mut query =
        Query { size: size_of::<Query>() as u64, addr: addr as u64, ..Query::default() };
    // SAFETY: the kernel reads and writes at most `query.size` bytes of `query`, which is that
    // long; name and build id have no buffers, and no length.
    let result = unsafe { libc::syscall(libc::SYS_ioctl, file, PROCMAP_QUERY, &raw mut query) };
    (result == 0).then_some(usize::try_from(query.start).ok()?)
}

/// Returns how low the main thread's stack, which grows, may come.
fn main_low(line: &maps::Line<'_>) -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is ours to write.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_STACK, &raw mut limit) };
    let len = if result == 0 { usize::try_from(limit.rlim_cur).unwrap_or(0) } else { 0 };
    line.start.min(line.end.saturating_sub(len.min(MAIN_LEN_MAX)))
}

/// Returns what `pick` makes of the first mapping it wants.
fn find_line<R>(file: libc::c_int, pick: impl Fn(&maps::Line<'_>) -> Option<R>) -> Option<R> {
    let buffer = pages::map(TEXT_LEN)?;
    // SAFETY: the mapping is that long, zero, new, and unmapped only after the last use of `text`.
    let text = unsafe { core::ptr::NonNull::slice_from_raw_parts(buffer, TEXT_LEN).as_mut() };
    let found = maps::for_each_line(file, text, |line| match pick(line) {
        Some(found) => ControlFlow::Break(found),
        None => ControlFlow::Continue(()),
    });
    // SAFETY: base and length are those of the mapping above; `text` is not used any more.
    unsafe { pages::unmap(buffer, TEXT_LEN) };
    found?.break_value()
}

#[cfg(test)]
mod tests {
    use super::{WORD, Window, find_line, look, maps, peek, query};

    /// Both ways to find a thread's stack agree, and the bounds hold what is on it.
    #[test]
    fn stacks_are_found() {
        std::thread::spawn(|| {
            let local = 0_usize;
            let addr = (&raw const local).addr();
            let (low, high) = look().expect("found");
            assert!(low < addr && addr < high);
            assert!(high - addr < 64 << 10, "the thread has just begun");
            let file = peek::open_self(c"/proc/thread-self/maps").expect("readable");
            let holds = |line: &maps::Line<'_>| line.start <= addr && addr < line.end;
            let start = find_line(file, |line| holds(line).then_some(line.start));
            assert_eq!(start, Some(low));
            // Before Linux 6.11 there is no such request.
            assert!(query(file, addr).is_none_or(|start| start == low));
            assert_eq!(query(file, 8), None);
            peek::close(file);
        })
        .join()
        .expect("no panic");
    }

    /// Exactly the words of the window are loaded.
    #[test]
    fn windows_have_edges() {
        let words = [11_usize, 22, 33];
        let start = (&raw const words).expose_provenance();
        let window = Window { start, word_count: 2 };
        assert_eq!(window.load(start), Some(11));
        assert_eq!(window.load(start + WORD), Some(22));
        for outside in [0, start - WORD, start - 1, start + 1, start + 2 * WORD, usize::MAX] {
            assert_eq!(window.load(outside), None);
        }
        assert_eq!(window.read(start + 2 * WORD), Some(33), "by the kernel");
        assert_eq!(window.read(start + 1), None);
        assert_eq!(window.read(WORD), None);
        assert_eq!(Window { start: 0, word_count: 0 }.load(0), None);
    }
}
