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
//! * The other threads keep still meanwhile; what only their registers hold is held.
//! * A forked child does not judge its parent's blocks: they count as roots.
//! * Blocks of other heaps, explicit `Gpa`s, are roots; at the exit, all memory of those is.
//!
//! What it cannot see: pointers that are hidden (stored inverted, in files, in the kernel, with the upper
//! bits used). What is only by chance equal to an address hides a leak. If a thread does not keep still,
//! nothing is lost for certain.

use core::sync::atomic::Ordering::Relaxed;

use crate::fault::stop::Right;
use crate::heap::Heap;
use crate::heap::state::State;
use crate::leaks::{Key, LeakKind, Leaks};
use crate::registry;
use crate::sys::mapped::Mapped;
use crate::turn::Turn;

mod cycles;
mod marker;
mod reader;
mod roots;

use marker::{Mark, Marker, SPARE_COUNT};
use reader::Reader;
use roots::Roots;

/// Places that leaks are told apart by, at most; what comes beyond is counted together.
const PLACE_COUNT_MAX: usize = 1 << 16;
/// Groups whose cycles are looked for.
const CYCLE_COUNT_MAX: usize = 256;

/// The registers that a function must keep for its caller, as the caller left them.
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

/// What is called with the registers of its caller's caller, and what it was given.
pub(super) type WithRegisters = extern "C" fn(*mut core::ffi::c_void, &Registers);

/// Saves the caller's registers on the stack, from where it is searched, and calls `work`.
#[cfg(all(target_arch = "x86_64", target_env = "gnu"))]
#[unsafe(naked)]
pub(super) extern "C" fn with_registers(work: WithRegisters, data: *mut core::ffi::c_void) {
    core::arch::naked_asm!(
        "push rbx",
        "push rbp",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov rax, rdi",
        "mov rdi, rsi",
        "mov rsi, rsp",
        "sub rsp, 8",
        "call rax",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbp",
        "pop rbx",
        "ret",
    );
}

/// Saves the caller's registers as far as that is possible, and calls `work`.
#[cfg(not(all(target_arch = "x86_64", target_env = "gnu")))]
pub(super) fn with_registers(work: WithRegisters, data: *mut core::ffi::c_void) {
    work(data, &Registers::save());
}

/// How long another thread's search is waited for, in nanoseconds.
const PATIENCE: u64 = 30_000_000_000;

const AT_WORK: &str = "leaks: not counted: another search is at work";
const NO_MEMORY: &str = "leaks: not counted: no memory for the search";
const NOT_HELD: &str = "leaks: not counted: the heap was being changed when the process was copied";

/// Finds what leaked. `registers` lies in the frame of the exit handler: the stack is searched from
/// there on. The calling thread is inside the allocator.
///
/// # Errors
///
/// Why it could not, as a note.
pub(super) fn search(
    heap: &Heap,
    registers: &Registers,
    moment: Moment,
) -> Result<Leaks, &'static str> {
    let patience = if moment == Moment::Interrupted { 0 } else { PATIENCE };
    let turn = Turn::wait_at_most(&heap.searcher, patience);
    let _turn = turn.ok_or(AT_WORK)?;
    // Of another heap; what this thread was interrupted in, perhaps.
    let right = Right::wait_at_most(patience).ok_or(AT_WORK)?;
    // Words lead to chunks of other heaps, too, which may be ending in a thread that does not keep still.
    registry::looking(|| search_looking(heap, registers, moment, right))
}

/// As [`search`], while no chunk goes that is in the map.
fn search_looking(
    heap: &Heap,
    registers: &Registers,
    moment: Moment,
    right: Right,
) -> Result<Leaks, &'static str> {
    let _held = heap.hold_memory().ok_or(NOT_HELD)?;
    if has_none_of_its_own(heap) {
        return Search::begin(heap)?.end(Judgement::Searched);
    }
    let list = match moment {
        // Nobody may be left who would let go of the lock: other heaps are memory like any other.
        Moment::Exit => None,
        Moment::Before => Some(registry::all()),
        Moment::Interrupted => Some(registry::try_all().ok_or(AT_WORK)?),
    };
    // After all locks were taken, which a thread that keeps still may hold.
    let stopped = right.stop();
    let mut search = Search::begin(heap)?;
    let Search { marker, reader, .. } = &mut search;
    let stack_pointer = core::ptr::from_ref(registers).addr();
    let exclusions = [reader.range(), marker.range()];
    let roots = Roots::new(heap, list.as_ref(), stack_pointer, &exclusions).ok_or(NO_MEMORY)?;
    if !roots.is_complete() {
        return Err("leaks: not counted: /proc/self/maps cannot be read");
    }
    registers.0.iter().for_each(|word| marker.consider(*word));
    marker.root(stack_pointer);
    // Only the kernel knows where the alternate stack is.
    if let Ok(stack) = crate::sys::signal::alternate_stack(None) {
        marker.consider(stack.ss_sp.addr());
    }
    stopped.for_each_word(|word| marker.consider(word));
    // A thread that moves a block to another may have the address of the old one nowhere any more.
    heap.for_each_slot(|block, word| {
        if word.state() == State::Resizing {
            marker.root(block.start().addr().get());
        }
    });
    for root in roots.iter() {
        if marker.is_done() {
            break;
        }
        reader.read_pages(root, &mut |words| marker.consider_all(words));
        marker.drain(reader);
    }
    drop(roots);
    if let Some(list) = &list {
        list.for_each_but(heap, |other| {
            other.for_each_slot(|block, word| {
                if word.is_allocated() && !marker.is_done() {
                    marker.inherited(block, reader);
                }
            });
            marker.drain(reader);
        });
    }
    let is_still = stopped.is_complete();
    let leaks = search.end(if is_still { Judgement::Searched } else { Judgement::Doubted });
    // Before the list: who waits for that runs again.
    drop(stopped);
    leaks
}

/// Whether a forked child has no block but its parent's: it has nothing to lose.
fn has_none_of_its_own(heap: &Heap) -> bool {
    // Relaxed: changes in a forked child before any thread runs there.
    let epoch = heap.epoch.load(Relaxed);
    let mut has_one = epoch == 0;
    if !has_one {
        heap.for_each_slot(|_, word| has_one |= word.is_allocated() && word.epoch() == epoch);
    }
    !has_one
}

/// Finds what leaked if the heap ended now: every live block of this process. Lost are those that no
/// other leads to, or only their own cycle. The calling thread is inside the allocator.
///
/// # Errors
///
/// Why it could not, as a note.
pub(crate) fn search_exact(heap: &Heap) -> Result<Leaks, &'static str> {
    let _turn = Turn::wait(&heap.searcher);
    let _held = heap.hold_memory().ok_or(NOT_HELD)?;
    // Words of leaked blocks lead to chunks of other heaps, too, which may be ending.
    registry::looking(|| Search::begin(heap)?.end(Judgement::Exact))
}

/// When leaks are looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// While the process ends.
    Exit,
    /// While it goes on.
    Before,
    /// The same, in a signal handler: it may have interrupted a search.
    Interrupted,
}

/// What makes a block a leak.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Judgement {
    /// That nothing leads to it.
    Searched,
    /// The same, but a thread did not keep still.
    Doubted,
    /// That it is there.
    Exact,
}

/// A search at work.
struct Search<'h> {
    heap: &'h Heap,
    /// Live blocks when it began.
    count: usize,
    marker: Marker<'h>,
    reader: Reader,
}

impl<'h> Search<'h> {
    /// Marks every block of this process as not seen: a forked child's records of its parent's are the
    /// parent's pages, which a mark would copy.
    fn begin(heap: &'h Heap) -> Result<Self, &'static str> {
        // Relaxed: changes in a forked child before any thread runs there.
        let epoch = heap.epoch.load(Relaxed);
        let mut count = 0;
        heap.for_each_slot(|block, word| {
            if word.is_allocated() && (epoch == 0 || word.epoch() == epoch) {
                count += 1;
                Mark::Unseen.set(block);
            }
        });
        let mut reader = Reader::new().ok_or(NO_MEMORY)?;
        if epoch != 0 {
            reader.skip_what_was_forked();
        }
        if !reader.works() {
            return Err("leaks: not counted: the system forbids to read this process's memory");
        }
        let marker = Marker::new(heap, count, places(count)).ok_or(NO_MEMORY)?;
        Ok(Self { heap, count, marker, reader })
    }

    /// Judges what no root leads to, and counts it.
    fn end(self, judgement: Judgement) -> Result<Leaks, &'static str> {
        let Self { heap, count, mut marker, mut reader } = self;
        // Other threads may add some.
        let mut candidates = Mapped::new(count + SPARE_COUNT).ok_or(NO_MEMORY)?;
        let judged = judge(heap, &mut candidates, &mut marker, &mut reader);
        drop(candidates);
        let is_certain = judgement == Judgement::Exact
            || judgement == Judgement::Searched
                && judged
                && reader.is_complete()
                && marker.is_complete();
        let groups = marker.into_groups();
        let mut leaks = Leaks::new(groups, CYCLE_COUNT_MAX).ok_or(NO_MEMORY)?;
        if judgement == Judgement::Doubted {
            leaks.note(
                "leaks: a thread did not keep still: nothing is lost for certain, as only its registers \
                 may hold it",
            );
        } else if !is_certain {
            leaks.note(
                "leaks: not all memory could be searched, so that nothing is lost for certain",
            );
        }
        gather(heap, is_certain, &mut leaks);
        cycles::find(heap, &mut reader, &mut leaks);
        Ok(leaks)
    }
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
            if word.is_allocated() && word.epoch() != epoch && !marker.is_done() {
                marker.inherited(block, reader);
            }
        });
        marker.drain(reader);
    }
    let mut count = 0;
    let mut complete = true;
    heap.for_each_slot(|block, word| {
        let is_own = epoch == 0 || word.epoch() == epoch;
        if word.is_allocated() && is_own && Mark::of(block) == Mark::Unseen {
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
            marker.lost(&block, reader);
        }
    }
    complete
}

/// Counts the blocks by kind and place; those that lost ones lead to are counted by place already.
fn gather(heap: &Heap, is_certain: bool, leaks: &mut Leaks) {
    let Leaks { groups, totals, .. } = leaks;
    // Relaxed: changes in a forked child before any thread runs there.
    let epoch = heap.epoch.load(Relaxed);
    heap.for_each_slot(|block, word| {
        if !word.is_allocated() {
            return;
        }
        // A parent's block has marks of the parent's, if any.
        let is_own = epoch == 0 || word.epoch() == epoch;
        let mark = if is_own { Mark::of(block) } else { Mark::Reachable };
        let kind = match mark {
            Mark::Lost | Mark::LostLoop if is_certain => LeakKind::Lost,
            Mark::Lost | Mark::LostLoop | Mark::Candidate => LeakKind::Possible,
            Mark::Indirect | Mark::Followed => LeakKind::Indirect,
            // Also what was allocated since the search began.
            Mark::Reachable | Mark::Unseen | Mark::Unknown => LeakKind::Reachable,
        };
        // Relaxed: published with the state.
        totals.add(kind, block.size());
        if kind != LeakKind::Reachable && mark != Mark::Indirect {
            marker::count(groups, kind, 0, block, mark);
        }
    });
    groups.sort_unstable_by_key(|group| {
        let Key { kind, stack, tag, holder } = group.key;
        (group.count == 0, kind as u8, core::cmp::Reverse(group.bytes), stack, tag.0, holder)
    });
    leaks.group_count = leaks.groups.partition_point(|group| group.count != 0);
}

/// The length of the table of places for that many blocks: a power of two with room to spare.
fn places(block_count: usize) -> usize {
    (block_count * 2).clamp(64, 2 * PLACE_COUNT_MAX).next_power_of_two()
}
