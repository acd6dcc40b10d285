//! The allocator that code under a check is given.

use core::alloc::Layout;
use core::fmt;
use core::panic::Location;
use core::ptr::NonNull;
use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};

use alloc_core::{AllocError, Allocator};
use alloc_gpa::{Builder, Check, Gpa};

use crate::failing::{Fail, FailingAllocator, FailingCounts, InducedFailure};

/// Whether blocks grow in place during a check. Either is a rule, so that no run depends on where blocks
/// happen to lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Growth {
    /// No resize and no remap is granted: each growth is a request, which can fail.
    #[default]
    Refused,
    /// A block may have up to the next power of four bytes in place, always, and more never: a list
    /// that doubles grows by turns in place and by a request.
    Granted,
}

/// What [`FailureAllocator::restores`] found changed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Unrestored {
    /// The state before the operation, around the first difference.
    pub before: String,
    /// The state after it returned its error.
    pub after: String,
    /// The line that asked.
    pub site: &'static Location<'static>,
}

/// The allocator that code under [`check_all_alloc_failures`](crate::check_all_alloc_failures) is
/// given: a fresh checking heap, some of whose requests fail.
#[derive(Debug)]
pub struct FailureAllocator {
    failing: FailingAllocator<Roomy>,
    unrestored: Mutex<Option<Unrestored>>,
}

impl FailureAllocator {
    /// A fresh heap with these settings.
    pub(super) fn new(heap: Builder, growth: Growth, requests: Fail, refusals_max: usize) -> Self {
        let changes = match growth {
            Growth::Refused => Fail::From(0),
            Growth::Granted => Fail::Never,
        };
        let (gpa, has_refused) = (heap.quiet().build(), AtomicBool::new(false));
        let roomy = Roomy { gpa, growth, has_refused };
        let failing = FailingAllocator::new(roomy).requests(requests).changes(changes);
        let failing = failing.refusals_max(refusals_max);
        Self { failing, unrestored: Mutex::new(None) }
    }

    /// Returns the checking heap behind it.
    #[must_use]
    pub const fn gpa(&self) -> &Gpa {
        &self.failing.inner().gpa
    }

    /// Ends the run's heap and checks it, once: as its drop does, which tells nobody.
    pub(super) fn end(&mut self) -> Check {
        let fresh = Gpa::builder().quiet().build();
        core::mem::replace(&mut self.failing.inner_mut().gpa, fresh).deinit()
    }

    /// Returns what was counted so far in this run.
    #[must_use]
    pub fn counts(&self) -> FailingCounts {
        self.failing.counts()
    }

    /// Returns the first request of this run that was made to fail.
    #[must_use]
    pub fn induced_request(&self) -> Option<InducedFailure> {
        self.failing.induced_request()
    }

    /// Whether the code did not stop asking.
    pub(super) fn has_given_in(&self) -> bool {
        self.failing.has_given_in()
    }

    /// Whether a resize or remap was refused: where all are, or by the rule about room.
    pub(super) fn has_refused_change(&self) -> bool {
        let roomy = self.failing.inner();
        match roomy.growth {
            Growth::Refused => self.counts().changes != 0,
            Growth::Granted => roomy.has_refused.load(Relaxed),
        }
    }

    /// Runs code that sets something up: nothing fails in it, and its requests are no points.
    pub fn without_failures<R>(&self, code: impl FnOnce() -> R) -> R {
        self.failing.without_failures(code)
    }

    /// Runs an operation that promises to leave `state` as it was if it returns an error: what
    /// `snapshot` returns before must equal what it returns after. If not, the verdict on this point is
    /// [`Verdict::Unrestored`](crate::Verdict::Unrestored). Nothing fails in `snapshot`.
    ///
    /// ```
    /// use alloc_core::{AllocError, AllocatorExt};
    /// use alloc_testing::{Verdict, all_alloc_failures};
    ///
    /// let points = all_alloc_failures(|gpa| {
    ///     let mut counters = [0, 0];
    ///     gpa.restores(&mut counters, |counters| *counters, |counters| {
    ///         counters[0] += 1; // too early: before what can fail
    ///         drop(gpa.create(1)?);
    ///         counters[1] += 1;
    ///         Ok::<(), AllocError>(())
    ///     })
    /// });
    /// assert!(matches!(points.unwrap_err()[0].verdict, Verdict::Unrestored(_)));
    /// ```
    ///
    /// # Errors
    ///
    /// What the operation returns.
    #[track_caller]
    pub fn restores<T: ?Sized, S: PartialEq + fmt::Debug, R, E>(
        &self,
        state: &mut T,
        snapshot: impl Fn(&T) -> S,
        operation: impl FnOnce(&mut T) -> Result<R, E>,
    ) -> Result<R, E> {
        let site = Location::caller();
        let before = self.without_failures(|| snapshot(state));
        let result = operation(state);
        if result.is_err() {
            let after = self.without_failures(|| snapshot(state));
            if before != after {
                let (before, after) = differing(&format!("{before:?}"), &format!("{after:?}"));
                let found = Unrestored { before, after, site };
                let mut unrestored = self.unrestored.lock().unwrap_or_else(PoisonError::into_inner);
                unrestored.get_or_insert(found);
            }
        }
        result
    }

    pub(super) fn take_unrestored(&self) -> Option<Unrestored> {
        self.unrestored.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

// SAFETY: 1 to 7 are kept by forwarding to `FailingAllocator`, which keeps them.
unsafe impl Allocator for FailureAllocator {
    alloc_core::forward!(self.failing);
}

alloc_core::impl_foreign_allocator!(impl[] for FailureAllocator);

/// Shows two texts around their first difference.
fn differing(before: &str, after: &str) -> (String, String) {
    const LEAD: usize = 40;
    const SHOWN: usize = 160;
    let same = before.chars().zip(after.chars()).take_while(|(before, after)| before == after);
    let skipped = same.count().saturating_sub(LEAD);
    let cut = |text: &str| {
        let mut shown: String = text.chars().skip(skipped).take(SHOWN).collect();
        if skipped != 0 {
            shown.insert_str(0, "...");
        }
        if skipped + SHOWN < text.chars().count() {
            shown.push_str("...");
        }
        shown
    };
    (cut(before), cut(after))
}

/// A checking heap whose blocks have room to grow in place, by a rule.
#[derive(Debug)]
struct Roomy {
    gpa: Gpa,
    growth: Growth,
    /// Whether a change was refused. Relaxed: it publishes nothing, and is read when the code has ended,
    /// and its threads with it.
    has_refused: AtomicBool,
}

impl Roomy {
    /// The bytes that a block of `size` bytes may have in place: the next power of four. It is a
    /// function of the size alone, and never more for a smaller one, so a block has always the room
    /// that its present size promises.
    fn room(size: usize) -> Option<usize> {
        let power = size.checked_next_power_of_two()?;
        if power.trailing_zeros().is_multiple_of(2) { Some(power) } else { power.checked_mul(2) }
    }

    /// The layout that is asked of the heap for `layout`.
    fn roomy(&self, layout: Layout) -> Layout {
        let room = match self.growth {
            Growth::Refused => None,
            Growth::Granted => Self::room(layout.size()),
        };
        room.and_then(|room| Layout::from_size_align(room, layout.align()).ok()).unwrap_or(layout)
    }

    /// Cuts a block that was made with room down to what was asked, so that its canary is where the
    /// user's bytes end. Shrinking in place is always granted by this heap.
    fn cut(&self, block: NonNull<u8>, roomy: Layout, layout: Layout) -> NonNull<u8> {
        if roomy != layout {
            // SAFETY: the block was just handed out with this layout, and the size is not zero, as
            // the caller's is not.
            let is_cut = unsafe { self.gpa.raw_resize(block, roomy, layout.size()) };
            alloc_core::check!(is_cut, "a block of {roomy:?} could not be cut to {layout:?}");
        }
        block
    }

    /// Whether the rule lets a block of this size have the new one in place.
    fn grants(&self, layout: Layout, new_size: usize) -> bool {
        new_size <= layout.size() || new_size <= self.roomy(layout).size()
    }
}

// SAFETY: by number: 1 to 3, 5, 6: the heap's blocks, which span the layout, as they were made with at
// least its size. 4: nothing here panics. 7: nothing is counted here.
unsafe impl Allocator for Roomy {
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        let roomy = self.roomy(layout);
        let block = self.gpa.raw_alloc(roomy)?;
        Ok(self.cut(block, roomy, layout))
    }

    fn raw_alloc_zeroed(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        let roomy = self.roomy(layout);
        let block = self.gpa.raw_alloc_zeroed(roomy)?;
        Ok(self.cut(block, roomy, layout))
    }

    unsafe fn raw_resize(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        // SAFETY: the caller keeps the same contract towards this method.
        let is_granted = self.grants(layout, new_size)
            && unsafe { self.gpa.raw_resize(block, layout, new_size) };
        if !is_granted {
            self.has_refused.store(true, Relaxed);
        }
        is_granted
    }

    unsafe fn raw_remap(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        // SAFETY: the caller keeps the same contract towards this method.
        let resized = unsafe { self.raw_resize(block, layout, new_size) };
        resized.then_some(block)
    }

    unsafe fn raw_free(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller keeps the same contract towards this method.
        unsafe { self.gpa.raw_free(block, layout) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RawBlock;

    /// The room is the next power of four, never less than the size, and monotonous, which `Roomy`
    /// rests on.
    #[test]
    fn room_is_a_rule_about_sizes() {
        let rooms: Vec<_> = [1, 2, 4, 5, 16, 17, 64, 65].map(Roomy::room).to_vec();
        assert_eq!(rooms, [1, 4, 4, 16, 16, 64, 64, 256].map(Some));
        for size in 1..10_000 {
            let (room, next) = (Roomy::room(size).unwrap(), Roomy::room(size + 1).unwrap());
            assert!(size <= room && room <= next && Roomy::room(room) == Some(room), "{size}");
        }
        assert_eq!(Roomy::room(usize::MAX), None);
    }

    /// Growth up to the room is granted for every size and alignment, beyond it never, and the heap
    /// finds nothing wrong: no block is shorter than its size, no canary is lost.
    #[test]
    fn growth_is_granted_up_to_the_room() {
        for size in (1..300).chain([1000, 5000, 16_000, 70_000, 300_000]) {
            for align in [1, 8, 64, 4096] {
                let heap = Gpa::builder();
                let alloc = FailureAllocator::new(heap, Growth::Granted, Fail::Never, 1);
                let room = Roomy::room(size).unwrap();
                let mut block = RawBlock::new(&alloc, size, align).unwrap();
                assert!(!block.resize(room + 1), "{size} {align}");
                assert!(block.resize(room), "{size} {align}");
                assert!(block.remap(size.div_ceil(2)), "{size} {align}");
                drop(block);
                assert_eq!(alloc.gpa().check(), Check::Ok, "{size} {align}");
            }
        }
    }

    /// The room to grow is no room to write: one byte past the end is found, at first and after a growth.
    #[test]
    fn a_write_into_the_room_is_found() {
        for (size, past) in [(5, 5), (9, 9)] {
            let alloc = FailureAllocator::new(Gpa::builder(), Growth::Granted, Fail::Never, 1);
            let layout = Layout::from_size_align(5, 1).unwrap();
            let block = alloc.raw_alloc(layout).unwrap();
            // SAFETY: the block is live and has this layout; the size is not zero.
            assert!(unsafe { alloc.raw_resize(block, layout, size) });
            // SAFETY: the block lies in 16 bytes of the heap's.
            let end = unsafe { block.add(past) };
            // SAFETY: as above: the heap's byte, which it compares with what it wrote there.
            unsafe { end.write(7) };
            let layout = Layout::from_size_align(size, 1).unwrap();
            // SAFETY: the block is live and has this layout.
            unsafe { alloc.raw_free(block, layout) };
            let check = alloc.gpa().check();
            assert!(matches!(check, Check::Misuse { findings: 1, .. }), "{size}: {check:?}");
        }
    }

    #[test]
    fn a_difference_is_shown_with_what_is_around_it() {
        let long = "x".repeat(1000);
        let (before, after) = differing(&format!("{long}1{long}"), &format!("{long}2"));
        assert_eq!(after, format!("...{}2", "x".repeat(40)));
        assert!(
            before.starts_with(&format!("...{}1x", "x".repeat(40))) && before.ends_with("x...")
        );
        assert_eq!(differing("ab", "ac"), ("ab".into(), "ac".into()));
    }
}
