//! The search for leaks in a whole process: which live blocks does nothing lead to any more?
//!
//! libc, std and most programs keep memory on purpose until they end, so that a live block alone says
//! little. As LeakSanitizer and Valgrind do, this follows pointers: from all writable memory that is
//! not the heap (statics, stacks, thread-local storage, mappings of the program, the side heap) and
//! the registers of this thread, through every block they lead to. Whatever word has the value of an
//! address inside a live block holds that block.
//!
//! ```text
//!   roots ──► reachable ──► reachable
//!   lost ───► indirect          a block that only lost ones hold
//!   lost ◄──► indirect          a cycle: one of its blocks is the lost one
//! ```
//!
//! * Memory is read through the kernel, not by loads: other threads may be writing to it.
//! * Pages that were never touched are not read, nor made; nor are devices.
//! * Nothing is allocated but mappings of the search's own, which are no roots.
//! * A forked child does not judge its parent's blocks: they count as roots.
//! * Blocks of explicit `Gpa`s belong to other heaps: memory like any other.
//!
//! What it cannot see: pointers that are hidden (stored inverted, in files, with the upper bits
//! used), and those that stand only in another thread's registers. What is only by chance equal to an
//! address hides a leak.

use core::sync::atomic::Ordering::Relaxed;

use super::leaks::{self, Group, LeakKind, Totals};
use crate::heap::Heap;
use crate::stack::StackId;

mod mapped;
mod marker;
mod reader;
mod roots;

use mapped::Mapped;
use marker::{Mark, Marker};
use reader::Reader;
use roots::Roots;

/// Places that leaks are told apart by, at most; what comes beyond is counted together.
const PLACE_COUNT_MAX: usize = 1 << 16;
/// Notes at most.
const NOTE_COUNT_MAX: usize = 4;

/// The registers that a function must keep for its caller, as `exit`'s caller left them.
#[repr(C)]
pub(super) struct Registers([usize; 6]);

impl Registers {
    /// Returns room for the registers in the caller's frame: where they are not read, those in use
    /// are on the stack, since this call is not inlined.
    #[cfg(not(all(target_arch = "x86_64", target_env = "gnu")))]
    #[inline(never)]
    pub(super) fn save() -> Self {
        let mut saved = [0; 6];
        core::hint::black_box(&mut saved);
        Self(saved)
    }
}

/// What was found.
pub(super) struct Leaks {
    groups: Mapped<Group>,
    group_count: usize,
    totals: Totals,
    notes: [&'static str; NOTE_COUNT_MAX],
    note_count: usize,
}

impl Leaks {
    /// The numbers of all live blocks.
    pub(super) fn totals(&self) -> &Totals {
        &self.totals
    }

    /// What leaked, by place, most bytes first.
    pub(super) fn groups(&self) -> &[Group] {
        &self.groups[..self.group_count]
    }

    /// What a reader must know.
    pub(super) fn notes(&self) -> &[&'static str] {
        &self.notes[..self.note_count]
    }

    fn note(&mut self, text: &'static str) {
        if let Some(place) = self.notes.get_mut(self.note_count) {
            *place = text;
            self.note_count += 1;
        }
    }
}

/// Finds what leaked. `registers` lies in the frame of the exit handler: the stack is searched from
/// there on. The calling thread is inside the allocator.
///
/// # Errors
///
/// Why it could not, as a note.
pub(super) fn search(heap: &Heap, registers: &Registers) -> Result<Leaks, &'static str> {
    const NO_MEMORY: &str = "leaks: not counted: no memory for the search";
    let mut count = 0;
    heap.for_each_slot(|block, word| {
        if word.is_allocated() {
            count += 1;
            Mark::Unseen.set(block);
        }
    });
    let mut reader = Reader::new().ok_or(NO_MEMORY)?;
    if !reader.works() {
        return Err("leaks: not counted: the system forbids to read this process's memory");
    }
    let mut marker = Marker::new(heap, count).ok_or(NO_MEMORY)?;
    let stack_pointer = core::ptr::from_ref(registers).addr();
    let exclusions = [reader.range(), marker.range()];
    let roots = Roots::new(heap, stack_pointer, &exclusions).ok_or(NO_MEMORY)?;
    if !roots.is_complete() {
        return Err("leaks: not counted: /proc/self/maps cannot be read");
    }
    registers.0.iter().for_each(|word| marker.consider(*word));
    marker.root(stack_pointer);
    for root in roots.iter() {
        reader.read_pages(root, &mut |words| marker.consider_all(words));
        marker.drain(&mut reader);
    }
    drop(roots);
    let mut candidates = Mapped::new(count).ok_or(NO_MEMORY)?;
    let judged = judge(heap, &mut candidates, &mut marker, &mut reader);
    drop(candidates);
    let mut leaks = Leaks {
        groups: Mapped::new(places(count)).ok_or(NO_MEMORY)?,
        group_count: 0,
        totals: Totals::default(),
        notes: [""; NOTE_COUNT_MAX],
        note_count: 0,
    };
    let is_certain = judged && reader.is_complete() && marker.is_complete();
    if !is_certain {
        leaks.note("leaks: not all memory could be searched, so that nothing is lost for certain");
    }
    if 1 < thread_count() {
        leaks.note(
            "leaks: other threads were running: pointers only in their registers were not seen",
        );
    }
    gather(heap, is_certain, &mut leaks);
    Ok(leaks)
}

/// Tells lost blocks from those that lost ones lead to.
///
/// A candidate is a block that no earlier candidate leads to. A later one still may; so they are
/// followed once more, the last one first: which no later one leads to, nothing leads to, but its
/// own cycle perhaps. `candidates` has room for all blocks.
fn judge(
    heap: &Heap,
    candidates: &mut [usize],
    marker: &mut Marker<'_>,
    reader: &mut Reader,
) -> bool {
    // Relaxed: changes in a forked child before any thread runs there.
    let epoch = heap.epoch.load(Relaxed);
    if epoch != 0 {
        heap.for_each_slot(|block, word| {
            if word.is_allocated() && word.epoch() != epoch && Mark::of(block) == Mark::Unseen {
                marker.root(block.start().addr().get());
                marker.drain(reader);
            }
        });
    }
    let mut count = 0;
    let mut complete = true;
    heap.for_each_slot(|block, word| {
        if word.is_allocated() && Mark::of(block) == Mark::Unseen {
            match candidates.get_mut(count) {
                Some(place) => *place = block.start().addr().get(),
                None => complete = false,
            }
            count += usize::from(complete);
            marker.candidate(block);
            marker.drain(reader);
        }
    });
    for start in candidates[..count].iter().rev() {
        if let Some((block, _)) = heap.live_at(*start)
            && Mark::of(&block) == Mark::Candidate
        {
            marker.lost(&block);
            marker.drain(reader);
        }
    }
    complete
}

/// Counts the blocks by kind and place.
fn gather(heap: &Heap, is_certain: bool, leaks: &mut Leaks) {
    let Leaks { groups, totals, .. } = leaks;
    heap.for_each_slot(|block, word| {
        if !word.is_allocated() {
            return;
        }
        let kind = match Mark::of(block) {
            Mark::Lost if is_certain => LeakKind::Lost,
            Mark::Lost | Mark::Candidate => LeakKind::Possible,
            Mark::Indirect | Mark::Followed => LeakKind::Indirect,
            // Also what was allocated since the search began.
            Mark::Reachable | Mark::Unseen | Mark::Unknown => LeakKind::Reachable,
        };
        // Relaxed, both: published with the state.
        let size = block.slot.size.load(Relaxed);
        totals.add(kind, size);
        if kind != LeakKind::Reachable {
            let stack = block.slot.allocated.load(Relaxed);
            if !leaks::count(groups, kind, stack, size) {
                // A place too many: together with those of unknown origin.
                leaks::count(groups, kind, StackId::NONE.get(), size);
            }
        }
    });
    groups.sort_unstable_by_key(|group| {
        (group.count == 0, group.kind as u8, core::cmp::Reverse(group.bytes), group.stack)
    });
    leaks.group_count = leaks.groups.partition_point(|group| group.count != 0);
}

/// The length of the table of places for that many blocks: a power of two with room to spare.
fn places(block_count: usize) -> usize {
    (block_count * 2).clamp(64, 2 * PLACE_COUNT_MAX).next_power_of_two()
}

/// Returns the number of threads of the process; 1 if it cannot be known.
fn thread_count() -> usize {
    use crate::sys::peek;
    let mut buffer = [0; 1024];
    let Some(file) = peek::open_self(c"/proc/self/stat") else { return 1 };
    let len = peek::read_some(file, &mut buffer).unwrap_or(0);
    peek::close(file);
    // The name, in parentheses, may hold anything; the count is the 18th field after it (proc(5)).
    let Some(name_end) = buffer[..len].iter().rposition(|byte| *byte == b')') else { return 1 };
    let field = buffer[name_end + 1..len].split(|byte| *byte == b' ').nth(18);
    field.and_then(|field| core::str::from_utf8(field).ok()?.parse().ok()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_counted() {
        std::thread::scope(|scope| {
            let (sender, receiver) = std::sync::mpsc::channel::<()>();
            scope.spawn(move || receiver.recv());
            assert!(2 <= thread_count());
            drop(sender);
        });
    }
}
