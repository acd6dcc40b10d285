//! Backings that are as unhelpful as the contract allows, and watch what is done to them.

use core::alloc::Layout;
use core::ops::Range;
use core::ptr::NonNull;
use std::alloc::{GlobalAlloc, System};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use alloc_core::{AllocError, Allocator};

use crate::bytes::first_other;
use crate::ledger::{Ledger, Misuse};

/// Bytes in front of a block, at least, and behind it, that nobody may write.
const CANARY_LEN: usize = 16;
const CANARY: u8 = 0xCA;
/// What the bytes of a fresh block are, so that nobody takes them for zeros.
const FRESH: u8 = 0xAA;
/// What the bytes of a freed block are.
const FREED: u8 = 0xDD;

/// Memory of the system for an allocator under test: keeps the contract to the letter and not an
/// inch further.
///
/// By itself it fills fresh and freed blocks, keeps canaries around every block, knows the live
/// ones, and records each [`Misuse`] instead of acting on it. The builder methods make it hostile.
/// On drop it returns everything to the system, also what was leaked.
///
/// ```
/// use alloc_core::AllocatorExt;
/// use alloc_testing::hostile::Backing;
///
/// let backing = Backing::new().exact_alignment().fail_only(1);
/// let first = (&backing).create(5u8).unwrap();
/// assert_eq!(&raw const *first as usize % 2, 1, "one byte gets an odd address");
/// assert!((&backing).create(6u8).is_err(), "request 1 fails");
/// assert_eq!(backing.live_count(), 1);
/// ```
#[derive(Debug)]
pub struct Backing {
    exact: bool,
    never_reuse: bool,
    in_place: InPlace,
    fail: Fail,
    state: Mutex<State>,
}

/// A name and what makes a backing of that kind.
pub type Kind = (&'static str, fn() -> Backing);

/// How resizes and remaps are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InPlace {
    /// A shrink succeeds in place, a growth is refused; a remap moves if it must.
    Shrink,
    Refuse,
    MoveOnRemap,
}

/// Which requests fail. A request is an allocation, or a remap that would be granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fail {
    Never,
    Only(usize),
    From(usize),
}

#[derive(Debug, Default)]
struct State {
    ledger: Ledger,
    /// The memory behind each live block, by the block's address.
    spans: BTreeMap<usize, Span>,
    /// Freed blocks that are kept, filled, until the end.
    graves: Vec<(NonNull<u8>, Layout, Span)>,
    request_count: usize,
    induced_count: usize,
    /// Requests that the system refused.
    refused_count: usize,
}

/// What was taken from the system for one block.
#[derive(Clone, Copy, Debug)]
struct Span {
    base: NonNull<u8>,
    layout: Layout,
    /// The block's offset from `base`, and the size it was allocated with.
    offset: usize,
    size: usize,
}

// SAFETY: the pointers are to memory that the backing alone owns, beside its clients.
unsafe impl Send for State {}

impl Default for Backing {
    fn default() -> Self {
        Self::new()
    }
}

impl Backing {
    /// Returns a backing that only watches.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            exact: false,
            never_reuse: false,
            in_place: InPlace::Shrink,
            fail: Fail::Never,
            state: Mutex::new(State {
                ledger: Ledger::new(),
                spans: BTreeMap::new(),
                graves: Vec::new(),
                request_count: 0,
                induced_count: 0,
                refused_count: 0,
            }),
        }
    }

    /// Never aligns a block more than asked: its address is an odd multiple of the alignment, so one
    /// of alignment 1 lies at an odd address.
    #[must_use]
    pub const fn exact_alignment(mut self) -> Self {
        self.exact = true;
        self
    }

    /// Never hands an address out twice: freed blocks are kept, filled, and looked at again by
    /// [`misuses`](Self::misuses).
    #[must_use]
    pub const fn never_reuse(mut self) -> Self {
        self.never_reuse = true;
        self
    }

    /// Refuses every resize and remap.
    #[must_use]
    pub const fn refuse_changes(mut self) -> Self {
        self.in_place = InPlace::Refuse;
        self
    }

    /// Refuses every resize, and moves the block at every remap.
    #[must_use]
    pub const fn move_on_remap(mut self) -> Self {
        self.in_place = InPlace::MoveOnRemap;
        self
    }

    /// Fails the request with this index, counted from 0, and no other.
    #[must_use]
    pub const fn fail_only(mut self, index: usize) -> Self {
        self.fail = Fail::Only(index);
        self
    }

    /// Fails the request with this index, counted from 0, and all later ones.
    #[must_use]
    pub const fn fail_from(mut self, index: usize) -> Self {
        self.fail = Fail::From(index);
        self
    }

    /// Returns each kind of hostility with a name; what the conformance kit puts under an allocator.
    #[must_use]
    pub fn kinds() -> [Kind; 5] {
        [
            ("plain", Self::new),
            ("exact alignment", || Self::new().exact_alignment()),
            ("never reuses", || Self::new().never_reuse()),
            ("refuses every resize and remap", || Self::new().refuse_changes()),
            ("moves on every remap", || Self::new().exact_alignment().move_on_remap()),
        ]
    }

    /// Returns the number of live blocks.
    #[must_use]
    pub fn live_count(&self) -> usize {
        self.state().ledger.live.len()
    }

    /// Returns the number of bytes in live blocks.
    #[must_use]
    pub fn live_bytes(&self) -> usize {
        self.state().ledger.live_bytes()
    }

    /// Returns how many requests came so far, granted or not.
    #[must_use]
    pub fn request_count(&self) -> usize {
        self.state().request_count
    }

    /// Returns how many requests were failed on purpose.
    #[must_use]
    pub fn induced_count(&self) -> usize {
        self.state().induced_count
    }

    /// Returns how many requests failed, on purpose or because the system had no memory.
    #[must_use]
    pub fn failed_count(&self) -> usize {
        let state = self.state();
        state.induced_count + state.refused_count
    }

    /// The misuse that was recorded last, without a look at memory.
    pub(crate) fn last_misuse(&self) -> Option<Misuse> {
        self.state().ledger.misuses.last().copied()
    }

    /// Whether the memory of freed blocks stays until the drop, as [`never_reuse`](Self::never_reuse)
    /// asks.
    #[must_use]
    pub const fn keeps_freed(&self) -> bool {
        self.never_reuse
    }

    /// Returns the misuses seen so far, and those that a look at the canaries of all live blocks and
    /// at the kept freed blocks shows now.
    #[must_use]
    pub fn misuses(&self) -> Vec<Misuse> {
        let state = self.state();
        let mut misuses = state.ledger.misuses.clone();
        for (addr, span) in &state.spans {
            let layout = state.ledger.live.get(addr).copied().unwrap_or(span.layout);
            misuses.extend(span.damage(layout));
        }
        for &(block, layout, _) in &state.graves {
            // SAFETY: the memory of a grave belongs to the backing and was filled at the free.
            let bytes = unsafe { NonNull::slice_from_raw_parts(block, layout.size()).as_ref() };
            if let Some(offset) = first_other(bytes, FREED) {
                misuses.push(Misuse::WriteAfterFree { layout, offset });
            }
        }
        misuses
    }

    /// Where `range` touches memory of this backing: the live block that contains it, or the
    /// nearest that it reaches beyond. `None` if it touches none.
    pub(crate) fn containing(&self, range: &Range<usize>) -> Option<Result<(), Range<usize>>> {
        let state = self.state();
        for (&addr, span) in state.spans.range(..range.end) {
            let outer = span.base.addr().get()..span.base.addr().get() + span.layout.size();
            if range.end <= outer.start || outer.end <= range.start {
                continue;
            }
            let size = state.ledger.live.get(&addr).map_or(0, |layout| layout.size());
            let inside = addr <= range.start && range.end <= addr + size;
            return Some(if inside { Ok(()) } else { Err(addr..addr + size) });
        }
        None
    }

    /// Nothing panics while the lock is held, and if it did, the state would still be whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request; whether it is to fail.
    fn fails(&self, state: &mut State) -> bool {
        let index = state.request_count;
        state.request_count += 1;
        let fails = match self.fail {
            Fail::Never => false,
            Fail::Only(only) => index == only,
            Fail::From(first) => first <= index,
        };
        state.induced_count += usize::from(fails);
        fails
    }

    fn take(&self, state: &mut State, layout: Layout) -> Option<NonNull<u8>> {
        let Some(span) = Span::take(layout, self.exact) else {
            state.refused_count += 1;
            return None;
        };
        // SAFETY: `Span::take` made room for the offset, the block and a canary.
        let block = unsafe { span.base.add(span.offset) };
        state.spans.insert(block.addr().get(), span);
        state.ledger.live.insert(block.addr().get(), layout);
        Some(block)
    }

    /// Closes the books on a block that is live by the ledger.
    fn give_back(&self, state: &mut State, block: NonNull<u8>, layout: Layout) {
        let addr = block.addr().get();
        state.ledger.live.remove(&addr);
        let Some(span) = state.spans.remove(&addr) else { return };
        let damage = span.damage(layout);
        state.ledger.misuses.extend(damage);
        // SAFETY: the block spans `layout.size()` bytes, and is no client's any more.
        unsafe { block.write_bytes(FREED, layout.size()) };
        if self.never_reuse { state.graves.push((block, layout, span)) } else { span.give_back() }
    }
}

impl Drop for Backing {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.spans.values().for_each(Span::give_back);
        state.graves.iter().for_each(|(_, _, span)| span.give_back());
    }
}

impl State {
    /// Makes a live block shorter where it is.
    fn shrink(&mut self, block: NonNull<u8>, layout: Layout, new_layout: Layout) {
        let addr = block.addr().get();
        if let Some(span) = self.spans.get(&addr) {
            self.ledger.misuses.extend(span.damage(layout));
            span.write_canary(new_layout.size());
        }
        self.ledger.live.insert(addr, new_layout);
    }
}

impl Span {
    /// Takes memory for a block of `layout` from the system; `None` if there is none.
    fn take(layout: Layout, exact: bool) -> Option<Self> {
        let align = layout.align();
        // The base is a multiple of `2 * align`, so an odd number of alignments after it the block
        // is aligned exactly.
        let offset = match exact {
            true => align * ((CANARY_LEN / align) | 1),
            false => align.max(CANARY_LEN),
        };
        let size = layout.size().checked_add(offset)?.checked_add(CANARY_LEN)?;
        // Miri stops where the system has to refuse, so it is not asked.
        if cfg!(miri) && 1 << 30 < size {
            return None;
        }
        let outer = Layout::from_size_align(size, align.checked_mul(2)?).ok()?;
        // SAFETY: the size is not zero: it includes a canary.
        let base = NonNull::new(unsafe { System.alloc(outer) })?;
        let span = Self { base, layout: outer, offset, size: layout.size() };
        // SAFETY: the memory before the block belongs to the span.
        unsafe { base.write_bytes(CANARY, offset) };
        // SAFETY: `offset` is inside the span.
        let block = unsafe { base.add(offset) };
        // SAFETY: the block is inside the span, by the sum above.
        unsafe { block.write_bytes(FRESH, layout.size()) };
        span.write_canary(layout.size());
        Some(span)
    }

    /// Writes the canary behind a block that is `len` bytes long, at most as long as at first.
    fn write_canary(&self, len: usize) {
        let count = self.layout.size() - self.offset - len;
        // SAFETY: `len` is at most the first size, so the sum stays inside the span.
        let tail = unsafe { self.base.add(self.offset + len) };
        // SAFETY: `count` is what the span holds from there on.
        unsafe { tail.write_bytes(CANARY, count) };
    }

    /// The first byte around the block that is no canary any more.
    fn damage(&self, layout: Layout) -> Option<Misuse> {
        // SAFETY: the bytes before the block are the backing's and were written.
        let head = unsafe { NonNull::slice_from_raw_parts(self.base, self.offset).as_ref() };
        let end = self.offset + layout.size().min(self.size);
        // SAFETY: `end` is inside the span.
        let tail = unsafe { self.base.add(end) };
        // SAFETY: the bytes from there to the span's end are the backing's and were written.
        let tail =
            unsafe { NonNull::slice_from_raw_parts(tail, self.layout.size() - end).as_ref() };
        let offset = match (first_other(head, CANARY), first_other(tail, CANARY)) {
            (Some(index), _) => index as isize - self.offset as isize,
            (None, Some(index)) => (layout.size() + index) as isize,
            (None, None) => return None,
        };
        Some(Misuse::OutOfBounds { layout, offset })
    }

    fn give_back(&self) {
        // SAFETY: taken from the system with this layout, and given back once: the span has left
        // the books, or the backing is being dropped.
        unsafe { System.dealloc(self.base.as_ptr(), self.layout) };
    }
}

// SAFETY: 1, 2: blocks are disjoint parts of memory that the system gave for each alone, with room
// for their offset, so aligned and long enough. 3: that memory does not move. 4: nothing here
// panics. 5: only canaries, fresh and freed bytes are written. 6: a remap copies, a resize only
// shrinks. 7: the books change on success only.
unsafe impl Allocator for Backing {
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        let mut state = self.state();
        if !state.ledger.may_alloc("raw_alloc", layout) || self.fails(&mut state) {
            return Err(AllocError);
        }
        self.take(&mut state, layout).ok_or(AllocError)
    }

    unsafe fn raw_resize(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        let mut state = self.state();
        let Some(new_layout) = state.ledger.may_change("raw_resize", block, layout, new_size)
        else {
            return false;
        };
        if self.in_place != InPlace::Shrink || layout.size() < new_size {
            return false;
        }
        state.shrink(block, layout, new_layout);
        true
    }

    unsafe fn raw_remap(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        let mut state = self.state();
        let new_layout = state.ledger.may_change("raw_remap", block, layout, new_size)?;
        if self.in_place == InPlace::Refuse || self.fails(&mut state) {
            return None;
        }
        if self.in_place == InPlace::Shrink && new_size <= layout.size() {
            state.shrink(block, layout, new_layout);
            return Some(block);
        }
        let new_block = self.take(&mut state, new_layout)?;
        let count = layout.size().min(new_size);
        // SAFETY: the old block is live and has `layout.size()` bytes by the ledger, the new one
        // `new_size`; both are live, so they do not overlap.
        unsafe { new_block.copy_from_nonoverlapping(block, count) };
        self.give_back(&mut state, block, layout);
        Some(new_block)
    }

    unsafe fn raw_free(&self, block: NonNull<u8>, layout: Layout) {
        let mut state = self.state();
        if state.ledger.may_use("raw_free", block, layout) {
            self.give_back(&mut state, block, layout);
        }
    }
}

alloc_core::impl_foreign_allocator!(impl[] for Backing);
