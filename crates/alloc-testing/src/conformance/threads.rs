//! Several threads over one allocator; blocks are freed by whoever comes first.

use core::alloc::Layout;
use core::ops::Range;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::RwLock;

use alloc_core::Allocator;
use parking_lot::Mutex;

use super::probe::{Scene, unwinding};
use super::shadow::{Block, Id, Shadow};
use super::violation::{Rule, Violation};
use crate::bytes::first_other;
use crate::rng::Rng;
use alloc_gpa::counted;

/// Operations of one thread.
const OPERATION_COUNT: usize = if cfg!(miri) { 40 } else { 400 };
/// Blocks that wait for another thread, at most.
const SHARED_MAX: usize = 24;

/// An allocator that may be used from several threads.
pub(super) type SharedAlloc<'a> = &'a (dyn Allocator + Sync);

/// What the threads share. The locks are never held during a call of the allocator under test: they
/// allocate while they wait, and the allocator may be the process's own.
struct Ground<'a> {
    alloc: SharedAlloc<'a>,
    scene: &'a Scene<'a>,
    own: (usize, usize),
    /// Every live block, wherever its [`Block`] is: by address alone.
    live: Mutex<Shadow>,
    /// Blocks for any thread to take.
    shared: Mutex<Vec<Block>>,
    next_id: AtomicUsize,
    /// Set at the first violation: the others stop.
    stop: AtomicBool,
}

/// Runs all threads to their end; returns how many operations they made.
pub(super) fn check(
    alloc: SharedAlloc<'_>,
    scene: &Scene<'_>,
    own: (usize, usize),
) -> Result<usize, Violation> {
    let thread_count = scene.options.threads.max(2);
    let ground = Ground {
        alloc,
        scene,
        own,
        live: Mutex::default(),
        shared: Mutex::default(),
        next_id: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
    };
    // All begin at once. Should the system refuse one, the panic opens the gate to the others, who end.
    let gate = RwLock::new(());
    let outcomes: Vec<Result<(), Violation>> = std::thread::scope(|scope| {
        let shut = gate.write();
        let handles: Vec<_> = (0..thread_count)
            .map(|thread| {
                let (ground, gate) = (&ground, &gate);
                scope.spawn(move || {
                    drop(gate.read());
                    let outcome = ground.work(thread);
                    if outcome.is_err() {
                        // Relaxed: only ends the others' work sooner; nothing else is read by it.
                        ground.stop.store(true, Ordering::Relaxed);
                    }
                    outcome
                })
            })
            .collect();
        drop(shut);
        handles.into_iter().map(|handle| handle.join().expect("work does not panic")).collect()
    });
    outcomes.into_iter().collect::<Result<(), _>>()?;
    let rest = std::mem::take(&mut *ground.shared.lock());
    rest.into_iter().try_for_each(|block| ground.free("main thread", block))?;
    Ok(thread_count * OPERATION_COUNT)
}

impl Ground<'_> {
    fn violation(&self, thread: &str, operation: String, rule: Rule, detail: String) -> Violation {
        Violation {
            rule,
            detail,
            check: self.scene.check.to_owned(),
            operation: format!("{operation}, {thread}"),
            steps: vec![format!(
                "{} threads allocate, change and free",
                self.scene.options.threads
            )],
            seed: self.scene.seed,
        }
    }

    /// One thread's life: allocates, changes, hands on, takes over and frees; at last frees its own.
    fn work(&self, thread: usize) -> Result<(), Violation> {
        let name = format!("thread {thread}");
        let mut rng =
            Rng::new(self.scene.seed ^ (thread as u64 + 1).wrapping_mul(0xA5A5_5A5A_1234));
        let mut mine: Vec<Block> = Vec::new();
        for _ in 0..OPERATION_COUNT {
            // Relaxed: see the store.
            if self.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            match rng.below(10) {
                0..4 => mine.extend(self.alloc(&name, &mut rng)?),
                4..6 if !mine.is_empty() => {
                    let block = mine.swap_remove(rng.below(mine.len()));
                    self.free(&name, block)?;
                }
                6 if !mine.is_empty() => {
                    let block = mine.swap_remove(rng.below(mine.len()));
                    mine.push(self.change(&name, &mut rng, block)?);
                }
                7 if !mine.is_empty() => {
                    let block = mine.swap_remove(rng.below(mine.len()));
                    let mut shared = self.shared.lock();
                    let taken = if SHARED_MAX < shared.len() { shared.pop() } else { None };
                    shared.push(block);
                    mine.extend(taken);
                }
                8..10 => {
                    let taken = self.shared.lock().pop();
                    if let Some(block) = taken {
                        self.free(&name, block)?;
                    }
                }
                _ => {}
            }
        }
        mine.into_iter().try_for_each(|block| self.free(&name, block))
    }

    fn alloc(&self, thread: &str, rng: &mut Rng) -> Result<Option<Block>, Violation> {
        let options = self.scene.options;
        // A share of what there is: threads hold blocks at the same time.
        let size_max = (options.size_max() / options.threads.max(1)).clamp(1, 4096);
        let size_max = if rng.below(4) == 0 { size_max } else { size_max.min(128) };
        let align = 1 << rng.below(options.usual_align_max().ilog2().min(6) as usize + 1);
        let layout = Layout::from_size_align(rng.below(size_max) + 1, align)
            .expect("at most 4096 bytes make a layout");
        let zeroed = rng.below(4) == 0;
        let operation = format!("raw_alloc(size {}, align {align})", layout.size());
        let result = unwinding(|| match zeroed {
            true => self.alloc.raw_alloc_zeroed(layout),
            false => self.alloc.raw_alloc(layout),
        });
        let result = result.map_err(|message| {
            let detail = format!("the call unwound with \"{message}\"");
            self.violation(thread, operation.clone(), Rule::NoUnwind, detail)
        })?;
        let Ok(ptr) = result else {
            if options.must_serve(layout) {
                let detail = "a small request was refused".to_owned();
                return Err(self.violation(thread, operation, Rule::Serves, detail));
            }
            return Ok(None);
        };
        self.enter(thread, &operation, ptr, layout)?;
        if zeroed {
            // SAFETY: the block overlaps no other and is readable by promise 1.
            let bytes = unsafe { NonNull::slice_from_raw_parts(ptr, layout.size()).as_ref() };
            if first_other(bytes, 0).is_some() {
                let detail = "a zeroed block holds other bytes".to_owned();
                return Err(self.violation(thread, operation, Rule::Zeroed, detail));
            }
        }
        // Relaxed: only a number; the block travels through mutexes.
        let id = Id(self.next_id.fetch_add(1, Ordering::Relaxed));
        // SAFETY: promise 1: valid for reads and writes until it is freed.
        Ok(Some(unsafe { Block::new(id, ptr, layout, rng.next()) }))
    }

    /// Books a new place; a violation if it overlaps one that is booked.
    fn enter(
        &self,
        thread: &str,
        operation: &str,
        ptr: NonNull<u8>,
        layout: Layout,
    ) -> Result<(), Violation> {
        let start = ptr.addr().get();
        let range = start..start.saturating_add(layout.size());
        let mut live = self.live.lock();
        let overlapped = live.overlapping(&range).map(Block::range);
        let misplaced = self.misplaced(&range, layout.align(), overlapped);
        if let Some((rule, detail)) = misplaced {
            drop(live);
            return Err(self.violation(thread, operation.to_owned(), rule, detail));
        }
        // Relaxed: only a number.
        let id = Id(self.next_id.fetch_add(1, Ordering::Relaxed));
        live.insert(Block::place(id, ptr, layout));
        Ok(())
    }

    fn misplaced(
        &self,
        range: &Range<usize>,
        align: usize,
        overlapped: Option<Range<usize>>,
    ) -> Option<(Rule, String)> {
        let (start, end) = (range.start, range.end);
        if !start.is_multiple_of(align) {
            return Some((Rule::Fit, format!("{start:#x} is no multiple of {align}")));
        }
        if let Some(other) = overlapped {
            let (first, last) = (other.start, other.end);
            let detail = format!("{start:#x}..{end:#x} overlaps the live {first:#x}..{last:#x}");
            return Some((Rule::Exclusive, detail));
        }
        if start < self.own.1 && self.own.0 < end {
            let detail = "the block lies inside the allocator's own value".to_owned();
            return Some((Rule::Stable, detail));
        }
        let outer = self.scene.backing.and_then(|backing| backing.containing(range));
        matches!(outer, Some(Err(_)))
            .then(|| (Rule::Fit, "the block reaches outside the backing's block".to_owned()))
    }

    /// The bytes of a block that this thread holds are its own.
    fn intact(&self, thread: &str, operation: &str, block: &Block) -> Result<(), Violation> {
        let Some((index, is, should)) = block.damage() else { return Ok(()) };
        let detail = format!(
            "byte {index} of a live block of {} changed from {should:#04x} to {is:#04x}",
            counted(block.layout.size(), "byte")
        );
        Err(self.violation(thread, operation.to_owned(), Rule::HandsOff, detail))
    }

    fn free(&self, thread: &str, block: Block) -> Result<(), Violation> {
        let operation = format!("raw_free(size {})", block.layout.size());
        self.intact(thread, &operation, &block)?;
        // Out of the books before the call: afterwards another thread may be given the address.
        self.live.lock().remove_at(block.range().start);
        // SAFETY: the block is live, fits its layout, and is forgotten.
        unwinding(|| unsafe { self.alloc.raw_free(block.ptr, block.layout) }).map_err(|message| {
            let detail = format!("the call unwound with \"{message}\"");
            self.violation(thread, operation, Rule::NoUnwind, detail)
        })
    }

    /// Remaps or resizes a block.
    fn change(&self, thread: &str, rng: &mut Rng, mut block: Block) -> Result<Block, Violation> {
        let (ptr, layout) = (block.ptr, block.layout);
        let new_size = rng.below(layout.size() * 2) + 1;
        let operation = format!("raw_resize or raw_remap({} -> {new_size})", layout.size());
        self.intact(thread, &operation, &block)?;
        let in_place = rng.below(2) == 0;
        self.live.lock().remove_at(block.range().start);
        let place = unwinding(|| match in_place {
            // SAFETY: the block is live and fits; the size is not zero and far below `isize::MAX`.
            true => unsafe { self.alloc.raw_resize(ptr, layout, new_size) }.then_some(ptr),
            // SAFETY: as above.
            false => unsafe { self.alloc.raw_remap(ptr, layout, new_size) },
        });
        let place = place.map_err(|message| {
            let detail = format!("the call unwound with \"{message}\"");
            self.violation(thread, operation.clone(), Rule::NoUnwind, detail)
        })?;
        let Some(new_ptr) = place else {
            self.enter(thread, &operation, ptr, layout)?;
            self.intact(thread, &operation, &block)?;
            return Ok(block);
        };
        let new_layout = Layout::from_size_align(new_size, layout.align())
            .expect("at most 8192 bytes make a layout");
        self.enter(thread, &operation, new_ptr, new_layout)?;
        // SAFETY: the place is booked for this block, and readable by promise 1.
        let wrong = unsafe { block.first_wrong(new_ptr, layout.size().min(new_size)) };
        if let Some((index, is, should)) = wrong {
            let detail = format!("byte {index} was {should:#04x} and is {is:#04x}");
            return Err(self.violation(thread, operation, Rule::Kept, detail));
        }
        // SAFETY: promise 1 for the new place and size.
        unsafe { block.set_size(new_ptr, new_size) };
        Ok(block)
    }
}
