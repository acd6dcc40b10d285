//! Calls an allocator and holds every answer against the shadow.

use core::alloc::Layout;
use core::fmt;
use core::ops::Range;
use core::ptr::NonNull;
use std::panic::{AssertUnwindSafe, catch_unwind};

use alloc_core::{AllocError, Allocator, UnsizedFree};

use super::options::Options;
use super::shadow::{Block, Id, Shadow};
use super::violation::{Rule, Violation};
use crate::bytes::first_other;
use crate::hostile::Backing;
use alloc_gpa::counted;

/// No address space holds a block of this many bytes: on 64-bit systems a process has 2^47 bytes of
/// addresses, 2^56 with five levels of page tables for those who ask for it.
pub(super) const TOO_LARGE: usize = 1 << (usize::BITS - 8);

/// What a check is run under.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) check: &'a str,
    pub(super) seed: u64,
    pub(super) options: &'a Options,
    pub(super) backing: Option<&'a Backing>,
    /// How many of the last steps a violation shows.
    pub(super) steps_shown: usize,
}

/// The allocator under test, and what else it can be asked.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) alloc: &'a dyn Allocator,
    /// Where the allocator's own value lies.
    pub(super) own: (usize, usize),
    pub(super) live_bytes: Option<&'a dyn Fn() -> usize>,
    pub(super) unsized_free: Option<&'a dyn UnsizedFree>,
}

/// One call, for the report.
#[derive(Clone, Copy, Debug)]
struct Step {
    call: Call,
    id: Id,
    layout: Layout,
    outcome: &'static str,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Call {
    Alloc,
    AllocZeroed,
    Resize(usize),
    Remap(usize),
    ReallocUnsized(usize),
    Free,
    FreeUnsized,
    Move,
    Drop,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, size, align) = (self.id, self.layout.size(), self.layout.align());
        match self.call {
            Call::Alloc => write!(f, "{id} = raw_alloc(size {size}, align {align})"),
            Call::AllocZeroed => write!(f, "{id} = raw_alloc_zeroed(size {size}, align {align})"),
            Call::Resize(new) => write!(f, "raw_resize({id}, {size} -> {new}, align {align})"),
            Call::Remap(new) => write!(f, "raw_remap({id}, {size} -> {new}, align {align})"),
            Call::ReallocUnsized(new) => write!(f, "realloc_unsized({id}, {size} -> {new})"),
            Call::FreeUnsized => write!(f, "free_unsized({id})"),
            Call::Free => write!(f, "raw_free({id}, size {size}, align {align})"),
            Call::Move => write!(f, "the allocator is moved"),
            Call::Drop => write!(f, "the allocator is dropped"),
        }?;
        f.write_str(self.outcome)
    }
}

/// What a check carries along, also when the allocator moves.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) shadow: Shadow,
    steps: Vec<Step>,
    pub(super) operation_count: usize,
    pub(super) block_count: usize,
    pub(super) refused_count: usize,
}

/// An allocator, its shadow, and the calls made so far.
pub(super) struct Probe<'a> {
    pub(super) subject: Subject<'a>,
    pub(super) scene: &'a Scene<'a>,
    pub(super) state: &'a mut State,
}

impl State {
    fn begin(&mut self, call: Call, id: Id, layout: Layout) {
        self.operation_count += 1;
        self.steps.push(Step { call, id, layout, outcome: "" });
    }

    fn end(&mut self, outcome: &'static str) {
        if let Some(step) = self.steps.last_mut() {
            step.outcome = outcome;
        }
    }

    pub(super) fn violation(&self, scene: &Scene<'_>, rule: Rule, detail: String) -> Violation {
        let steps = &self.steps[self.steps.len().saturating_sub(scene.steps_shown)..];
        Violation {
            rule,
            detail,
            check: scene.check.to_owned(),
            operation: steps.last().map_or_else(|| "the start".to_owned(), ToString::to_string),
            steps: steps.iter().map(ToString::to_string).collect(),
            seed: scene.seed,
        }
    }

    /// Notes that the allocator was moved or is being dropped.
    pub(super) fn note_move(&mut self) {
        self.begin(Call::Move, Id(0), Layout::new::<()>());
    }

    pub(super) fn note_drop(&mut self) {
        self.begin(Call::Drop, Id(0), Layout::new::<()>());
    }
}

/// Runs `call`; the message of the panic if it unwound.
pub(super) fn unwinding<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call)).map_err(crate::panics::take)
}

fn describe(range: &Range<usize>) -> String {
    format!("{:#x}..{:#x}", range.start, range.end)
}

impl Probe<'_> {
    pub(super) fn violation(&self, rule: Rule, detail: String) -> Violation {
        self.state.violation(self.scene, rule, detail)
    }

    /// Calls the allocator; an unwind is a violation of promise 4.
    pub(super) fn guarded<T>(&self, call: impl FnOnce() -> T) -> Result<T, Violation> {
        unwinding(call).map_err(|message| {
            self.violation(Rule::NoUnwind, format!("the call unwound with \"{message}\""))
        })
    }

    /// Asks for a block; `None` if the allocator refused.
    pub(super) fn alloc(&mut self, layout: Layout) -> Result<Option<Id>, Violation> {
        self.alloc_by(Call::Alloc, layout)
    }

    /// Asks for a zeroed block; `None` if the allocator refused.
    pub(super) fn alloc_zeroed(&mut self, layout: Layout) -> Result<Option<Id>, Violation> {
        self.alloc_by(Call::AllocZeroed, layout)
    }

    /// As [`alloc`](Self::alloc) for a request that the allocator has declared to serve.
    pub(super) fn alloc_served(&mut self, layout: Layout) -> Result<Option<Id>, Violation> {
        let id = self.alloc(layout)?;
        if id.is_none() && self.scene.options.must_serve(layout) {
            let detail = format!(
                "a request for {} at alignment {} was refused; declare Options::capacity, \
                 align_max or may_refuse if that is intended",
                counted(layout.size(), "byte"),
                layout.align()
            );
            return Err(self.violation(Rule::Serves, detail));
        }
        Ok(id)
    }

    fn alloc_by(&mut self, call: Call, layout: Layout) -> Result<Option<Id>, Violation> {
        let id = Id(self.state.block_count);
        self.state.begin(call, id, layout);
        let alloc = self.subject.alloc;
        let result: Result<NonNull<u8>, AllocError> = self.guarded(|| match call {
            Call::AllocZeroed => alloc.raw_alloc_zeroed(layout),
            _ => alloc.raw_alloc(layout),
        })?;
        self.check_backing()?;
        let Ok(ptr) = result else {
            self.state.end("  (refused)");
            self.state.refused_count += 1;
            self.check_others(None, Rule::CleanFailure)?;
            return Ok(None);
        };
        self.state.block_count += 1;
        self.check_place(ptr, layout)?;
        self.check_others(None, Rule::HandsOff)?;
        if let Call::AllocZeroed = call {
            // SAFETY: `check_place` found the block disjoint from all others; by promise 1, which it
            // is trusted for from here on, it is readable.
            let bytes = unsafe { NonNull::slice_from_raw_parts(ptr, layout.size()).as_ref() };
            if let Some(index) = first_other(bytes, 0) {
                let detail = format!("byte {index} of block {id} is {:#04x}", bytes[index]);
                return Err(self.violation(Rule::Zeroed, detail));
            }
        }
        // SAFETY: promise 1: valid for reads and writes of the layout's size until it is freed.
        self.state.shadow.insert(unsafe { Block::new(id, ptr, layout, self.seed_of(id)) });
        self.check_counts(Rule::Counts)?;
        Ok(Some(id))
    }

    fn seed_of(&self, id: Id) -> u64 {
        self.scene.seed ^ (id.0 as u64).wrapping_mul(0xD6E8_FEB8_6659_FD93)
    }

    /// Changes a block in place; whether the allocator did.
    pub(super) fn resize(&mut self, id: Id, new_size: usize) -> Result<bool, Violation> {
        let alloc = self.subject.alloc;
        self.change(id, Call::Resize(new_size), |ptr, layout| {
            // SAFETY: the block is live and fits `layout` by the shadow; callers pass a new size
            // that is not zero and makes a layout.
            unsafe { alloc.raw_resize(ptr, layout, new_size) }.then_some(ptr)
        })
    }

    /// Changes a block, which may move; whether the allocator did.
    pub(super) fn remap(&mut self, id: Id, new_size: usize) -> Result<bool, Violation> {
        let alloc = self.subject.alloc;
        self.change(id, Call::Remap(new_size), |ptr, layout| {
            // SAFETY: as in `resize`.
            unsafe { alloc.raw_remap(ptr, layout, new_size) }
        })
    }

    /// Changes a block by `call`, which returns where it is now, or `None` if it was refused.
    pub(super) fn change(
        &mut self,
        id: Id,
        call: Call,
        change: impl FnOnce(NonNull<u8>, Layout) -> Option<NonNull<u8>>,
    ) -> Result<bool, Violation> {
        let Some((ptr, layout)) = self.state.shadow.get(id).map(|b| (b.ptr, b.layout)) else {
            return Ok(false);
        };
        self.state.begin(call, id, layout);
        let place = self.guarded(|| change(ptr, layout))?;
        self.check_backing()?;
        let (Call::Resize(new_size) | Call::Remap(new_size) | Call::ReallocUnsized(new_size)) =
            call
        else {
            return Ok(false);
        };
        self.changed(id, layout, new_size, place)
    }

    /// What must hold after a resize or remap that put the block at `place`, or refused.
    fn changed(
        &mut self,
        id: Id,
        layout: Layout,
        new_size: usize,
        place: Option<NonNull<u8>>,
    ) -> Result<bool, Violation> {
        let Some(ptr) = place else {
            self.state.end("  (refused)");
            let damage = self.state.shadow.get(id).and_then(Block::damage);
            if let Some((index, is, should)) = damage {
                let detail = format!(
                    "the call was refused, but byte {index} of block {id} changed from \
                     {should:#04x} to {is:#04x}"
                );
                return Err(self.violation(Rule::Kept, detail));
            }
            self.check_others(Some(id), Rule::HandsOff)?;
            self.check_counts(Rule::CleanFailure)?;
            return Ok(false);
        };
        let Some(mut block) = self.state.shadow.remove(id) else { return Ok(false) };
        // SAFETY: callers pass a size that makes a layout with the block's alignment.
        let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        self.check_place(ptr, new_layout)?;
        // SAFETY: the place is no other block's, and by promise 1 it is readable.
        let wrong = unsafe { block.first_wrong(ptr, layout.size().min(new_size)) };
        if let Some((index, is, should)) = wrong {
            let detail = format!(
                "byte {index} of block {id} was {should:#04x} before the call and is {is:#04x} after"
            );
            return Err(self.violation(Rule::Kept, detail));
        }
        self.check_others(None, Rule::HandsOff)?;
        // SAFETY: promise 1 for the new size, at the new place.
        unsafe { block.set_size(ptr, new_size) };
        self.state.shadow.insert(block);
        self.check_counts(Rule::Counts)?;
        Ok(true)
    }

    /// What C's and Rust's `realloc` do: remap, else allocate, copy and free.
    pub(super) fn realloc(&mut self, id: Id, new_size: usize) -> Result<Option<Id>, Violation> {
        if self.remap(id, new_size)? {
            return Ok(Some(id));
        }
        let Some(layout) = self.state.shadow.get(id).map(|block| block.layout) else {
            return Ok(None);
        };
        let Ok(new_layout) = Layout::from_size_align(new_size, layout.align()) else {
            return Ok(None);
        };
        let new_id = self.alloc(new_layout)?;
        if new_id.is_some() {
            self.free(id)?;
        }
        Ok(new_id)
    }

    /// Gives a block back.
    pub(super) fn free(&mut self, id: Id) -> Result<(), Violation> {
        let alloc = self.subject.alloc;
        self.free_by(id, Call::Free, |block| {
            // SAFETY: the block was live and fitting by the shadow, and has left it.
            unsafe { alloc.raw_free(block.ptr, block.layout) }
        })
    }

    /// Gives a block back by `free`.
    pub(super) fn free_by(
        &mut self,
        id: Id,
        call: Call,
        free: impl FnOnce(&Block),
    ) -> Result<(), Violation> {
        let Some(block) = self.state.shadow.remove(id) else { return Ok(()) };
        self.state.begin(call, id, block.layout);
        self.guarded(|| free(&block))?;
        self.check_backing()?;
        self.check_others(None, Rule::HandsOff)?;
        self.check_counts(Rule::Counts)
    }

    /// Gives all blocks back, the youngest and the oldest by turns.
    pub(super) fn free_all(&mut self) -> Result<(), Violation> {
        let mut from_end = true;
        while let count @ 1.. = self.state.shadow.len() {
            let index = if from_end { 0 } else { count - 1 };
            from_end = !from_end;
            if let Some(id) = self.state.shadow.nth_from_last(index) {
                self.free(id)?;
            }
        }
        Ok(())
    }

    /// Promises 1 to 3 for a block that was just handed out, without touching its bytes.
    fn check_place(&self, ptr: NonNull<u8>, layout: Layout) -> Result<(), Violation> {
        let start = ptr.addr().get();
        if !start.is_multiple_of(layout.align()) {
            let detail = format!("{start:#x} is no multiple of {}", layout.align());
            return Err(self.violation(Rule::Fit, detail));
        }
        let Some(end) = start.checked_add(layout.size()) else {
            let detail = format!("{start:#x} + {} exceeds the address space", layout.size());
            return Err(self.violation(Rule::Fit, detail));
        };
        if TOO_LARGE <= layout.size() {
            let detail = format!("{} handed out", counted(layout.size(), "byte"));
            return Err(self.violation(Rule::TooLarge, detail));
        }
        let range = start..end;
        if let Some(other) = self.state.shadow.overlapping(&range) {
            let detail = format!(
                "{} overlaps the live block {} at {}",
                describe(&range),
                other.id,
                describe(&other.range())
            );
            return Err(self.violation(Rule::Exclusive, detail));
        }
        let own = self.subject.own;
        if range.start < own.1 && own.0 < range.end {
            let detail = format!(
                "the block at {} lies inside the allocator's own value at {}: it moves with it",
                describe(&range),
                describe(&(own.0..own.1))
            );
            return Err(self.violation(Rule::Stable, detail));
        }
        if let Some(Err(outer)) = self.scene.backing.and_then(|backing| backing.containing(&range))
        {
            let detail = format!(
                "the block at {} reaches outside the backing's live block at {}",
                describe(&range),
                describe(&outer)
            );
            return Err(self.violation(Rule::Fit, detail));
        }
        Ok(())
    }

    /// Promise 5: no live block has changed, but perhaps `except`, which was looked at already.
    pub(super) fn check_others(&self, except: Option<Id>, rule: Rule) -> Result<(), Violation> {
        for block in self.state.shadow.blocks().filter(|block| Some(block.id) != except) {
            if let Some((index, is, should)) = block.damage() {
                let detail = format!(
                    "byte {index} of the live block {} ({}) changed from {should:#04x} to \
                     {is:#04x}",
                    block.id,
                    counted(block.layout.size(), "byte")
                );
                let rule = if rule == Rule::CleanFailure { Rule::HandsOff } else { rule };
                return Err(self.violation(rule, detail));
            }
        }
        if rule == Rule::CleanFailure { self.check_counts(rule) } else { Ok(()) }
    }

    /// The allocator has broken no rule at its backing, as far as that knows without a search. Looked
    /// at first: a block that was freed there by mistake must not be touched any more.
    fn check_backing(&self) -> Result<(), Violation> {
        match self.scene.backing.and_then(Backing::last_misuse) {
            Some(misuse) => {
                Err(self.violation(Rule::of(misuse), format!("at its backing, {misuse}")))
            }
            None => Ok(()),
        }
    }

    /// The allocator's own count of live bytes, where it has one.
    fn check_counts(&self, rule: Rule) -> Result<(), Violation> {
        let Some(live_bytes) = self.subject.live_bytes else { return Ok(()) };
        let (told, true_bytes) = (self.guarded(live_bytes)?, self.state.shadow.live_bytes());
        if told != true_bytes {
            let detail = format!("it tells {told} live bytes, and {true_bytes} are live");
            return Err(self.violation(rule, detail));
        }
        Ok(())
    }
}
