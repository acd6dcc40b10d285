//! Stacks of threads that have ended, which libc keeps for later threads.
//!
//! What such a stack holds leads nowhere: the search for leaks passes it over. Each thread that uses
//! a heap is noted by its thread pointer, at which glibc keeps the thread's description: its first
//! word and its third are that very address, and at a fixed distance is the kernel's id of the
//! thread, which is 0 once it has ended and -1 once it was joined. That distance is checked with the
//! calling thread, whose id is known; with another libc no stack is passed over.

use core::ops::Range;
use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering::Relaxed;

use super::maps::Line;
use super::{peek, thread};

/// Stacks that are noted; libc keeps 40 MB of them, so more than these exist only while threads run.
const COUNT: usize = 1024;
/// Places that a thread pointer is looked for in.
const PROBE_COUNT: usize = 16;
/// From the thread pointer to the thread's id, and to the end of the description (glibc 2.36).
const TID_OFFSET: usize = 720;
const LEN: usize = 2304;
/// What libc keeps of the description of a thread that was joined: its first two words.
const USED_LEN: usize = 16;

static POINTERS: [AtomicUsize; COUNT] = [const { AtomicUsize::new(0) }; COUNT];

/// Notes the calling thread.
pub(crate) fn note(pointer: usize) {
    let first = (pointer >> 8).wrapping_mul(0x9e37_79b9) >> 7;
    let places = (0..PROBE_COUNT).map(|step| &POINTERS[first.wrapping_add(step) % COUNT]);
    for place in places {
        // Relaxed, all: each address stands for itself, and what is there is looked at.
        match place.compare_exchange(0, pointer, Relaxed, Relaxed) {
            Err(found) if found != pointer => {}
            _ => return,
        }
    }
    POINTERS[first % COUNT].store(pointer, Relaxed);
}

/// Looks at mappings, in order of their addresses, for such stacks.
pub(crate) struct Ended {
    /// Where the last mapping ended, if it was a guard.
    guard_end: usize,
    /// Whether glibc's descriptions look as expected.
    is_known: bool,
}

impl Ended {
    /// Begins before the first mapping.
    pub(crate) fn new() -> Self {
        Self { guard_end: 0, is_known: tid(thread::pointer()) == Some(thread::current().tid()) }
    }

    /// Returns the parts of the next mapping that somebody may use; the second may be empty.
    pub(crate) fn live_parts(&mut self, mapping: &Line<'_>) -> [Range<usize>; 2] {
        let Line { start, end, readable, writable, shared, name, .. } = *mapping;
        let guard_end = core::mem::take(&mut self.guard_end);
        if !readable && !writable && name.is_empty() {
            self.guard_end = end;
        }
        // A stack of libc's has a guard before it; one that the program gave has what it likes, and
        // may be used for something else by now.
        if !self.is_known || guard_end != start || !writable || shared || !name.is_empty() {
            return [start..end, end..end];
        }
        // Relaxed: each stands for itself.
        let pointers = POINTERS.iter().map(|place| place.load(Relaxed));
        let inside = pointers.filter(|pointer| start < *pointer && *pointer < end);
        let ids = inside.filter_map(|pointer| Some((pointer, tid(pointer)?.cast_signed())));
        match ids.max() {
            // Its result may still be asked for.
            Some((pointer, 0)) => [pointer..end, end..end],
            // Its table of thread-local blocks will be used again.
            Some((pointer, -1)) => [pointer..pointer + USED_LEN, end.min(pointer + LEN)..end],
            _ => [start..end, end..end],
        }
    }
}

/// Returns the id of the living thread that has `addr` on its stack, in the mapping `[start, end)`.
pub(crate) fn thread_at(mapping: Range<usize>, addr: usize) -> Option<u32> {
    if tid(thread::pointer()) != Some(thread::current().tid()) {
        return None;
    }
    // Relaxed: each stands for itself.
    let pointers = POINTERS.iter().map(|place| place.load(Relaxed));
    let above = pointers.filter(|pointer| mapping.contains(pointer) && addr < *pointer).min()?;
    tid(above).filter(|id| 0 < id.cast_signed())
}

/// Returns the id that is written in a thread's description, if there is one.
fn tid(pointer: usize) -> Option<u32> {
    let is_self = |offset| peek::read_word(pointer + offset) == Some(pointer);
    if !is_self(0) || !is_self(16) {
        return None;
    }
    let mut id = [0; 4];
    peek::read(pointer + TID_OFFSET, &mut id).then_some(u32::from_ne_bytes(id))
}

#[cfg(all(test, target_env = "gnu", target_arch = "x86_64"))]
mod tests {
    use super::*;
    use crate::sys::maps;

    /// The stack of a thread that waits is known to another by the thread's id.
    #[test]
    fn a_stack_is_somebodys() {
        let (give, take) = std::sync::mpsc::channel();
        let (done, wait) = std::sync::mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let local = 0u8;
                note(thread::pointer());
                give.send(((&raw const local).addr(), thread::current().tid()))
                    .expect("somebody waits");
                wait.recv().expect("somebody says so");
            });
            let (addr, id) = take.recv().expect("the thread says so");
            let mut found = None;
            maps::for_each(|mapping| {
                let range = mapping.start..mapping.end;
                found = found.or(range.contains(&addr).then(|| thread_at(range, addr)).flatten());
                true
            });
            assert_eq!(found, Some(id));
            let text = maps::describe(addr);
            assert!(text.as_str().starts_with(&std::format!("stack address: of thread {id}")));
            done.send(()).expect("the thread waits");
        });
    }

    /// A thread's stack counts while the thread lives, and not when it has been joined. Looked at in a child, where no
    /// other thread takes the stack meanwhile.
    #[test]
    fn a_joined_thread_leaves_a_dead_stack() {
        let is_live = |inside: usize| {
            let (mut ended, mut is_live) = (Ended::new(), false);
            maps::for_each(|mapping| {
                is_live |= ended.live_parts(mapping).iter().any(|part| part.contains(&inside));
                true
            });
            is_live
        };
        let run = move || {
            let local = 0u8;
            note(thread::pointer());
            let inside = (&raw const local).addr();
            (inside, is_live(inside))
        };
        let (inside, while_alive) = std::thread::spawn(run).join().expect("no panic");
        assert!(while_alive);
        // SAFETY: the child calls nothing but the kernel, and reads what it was given.
        let child = unsafe { libc::fork() };
        if child == 0 {
            thread::current().after_fork();
            // SAFETY: no preconditions.
            unsafe { libc::_exit(i32::from(is_live(inside))) };
        }
        let mut status = 0;
        // SAFETY: a place of ours for the status.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0);
    }
}
