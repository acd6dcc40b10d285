//! Names for parts of a program, of which a block's record holds a small number.
//!
//! Names are the process's, so that a finding of one heap and a snapshot of another mean the same by
//! one number; the figures are each heap's own.

use core::alloc::Layout;
use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize};

use alloc_core::{AllocError, Allocator, UnsizedFree};

use crate::gpa::{Gpa, with_stack};
use crate::heap::Heap;
use crate::heap::chunk::Slot;
use crate::lock::Lock;

/// Names at most; a further one is as none.
pub(crate) const TAG_COUNT_MAX: usize = 255;

/// A name: null where there is none yet.
struct Name {
    start: AtomicPtr<u8>,
    len: AtomicUsize,
}

static NAMES: [Name; TAG_COUNT_MAX] =
    [const { Name { start: AtomicPtr::new(ptr::null_mut()), len: AtomicUsize::new(0) } };
        TAG_COUNT_MAX];
/// Guards the entry of names.
static ENTRY: Lock<()> = Lock::new(());

/// The number of a name; 0: no name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TagId(pub(crate) u8);

impl TagId {
    pub(crate) const NONE: Self = Self(0);

    /// Returns the number that a block's record holds.
    #[inline]
    pub(crate) fn of_slot(slot: &Slot) -> Self {
        // Relaxed: published with the block's state, or set by its owner before anybody else has it.
        Self(slot.tag())
    }

    /// Returns the number of a name, entering it if it is new. `NONE` if there are too many.
    pub(crate) fn of(name: &'static str) -> Self {
        if let Some(known) = Self::known(name) {
            return known;
        }
        // Who cannot have the lock for long was forked while another thread had it: no name.
        let Some(_entry) = ENTRY.lock_within_a_second() else { return Self::NONE };
        if let Some(known) = Self::known(name) {
            return known;
        }
        let free = (1..=TAG_COUNT_MAX as u8)
            .zip(&NAMES)
            .find(|(_, place)| place.start.load(Relaxed).is_null());
        let Some((number, place)) = free else { return Self::NONE };
        // Relaxed: published by the Release below.
        place.len.store(name.len(), Relaxed);
        // Release: publishes the length; pairs with the Acquire in `name`.
        place.start.store(name.as_ptr().cast_mut(), Release);
        Self(number)
    }

    /// Returns the number of a name that was entered.
    fn known(name: &str) -> Option<Self> {
        (1..=TAG_COUNT_MAX as u8).map(Self).find(|tag| tag.name() == Some(name))
    }

    /// Returns the name.
    pub(crate) fn name(self) -> Option<&'static str> {
        let place = NAMES.get(usize::from(self.0).checked_sub(1)?)?;
        // Acquire: pairs with the Release in `of`.
        let start = NonNull::new(place.start.load(Acquire))?;
        let bytes = NonNull::slice_from_raw_parts(start, place.len.load(Relaxed));
        // SAFETY: start and length of a `&'static str`, which were stored together, once.
        let bytes: &'static [u8] = unsafe { bytes.as_ref() };
        // SAFETY: as above: UTF-8.
        Some(unsafe { core::str::from_utf8_unchecked(bytes) })
    }
}

/// What belongs to one part of a program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TagStats {
    /// The name that it was given.
    pub name: &'static str,
    /// Live blocks.
    pub live_blocks: u64,
    /// Their bytes.
    pub live_bytes: u64,
    /// The most that `live_bytes` has been.
    pub peak_bytes: u64,
    /// Blocks that were ever allocated.
    pub total_blocks: u64,
    /// Bytes that were ever allocated: every block's size, and what blocks grew by.
    pub total_bytes: u64,
}

/// The figures of one tag.
#[derive(Default)]
struct Figures {
    live_blocks: AtomicU64,
    live_bytes: AtomicU64,
    peak_bytes: AtomicU64,
    total_blocks: AtomicU64,
    total_bytes: AtomicU64,
}

/// The figures of all tags of one heap. All zero: nothing was ever tagged.
///
/// All accesses are relaxed: the figures order nothing, and each stands for itself.
pub(crate) struct TagFigures([Figures; TAG_COUNT_MAX]);

impl TagFigures {
    fn of(&self, tag: TagId) -> Option<&Figures> {
        self.0.get(usize::from(tag.0).checked_sub(1)?)
    }

    /// A block is being freed.
    #[inline]
    pub(crate) fn freed(&self, slot: &Slot, size: usize) {
        let tag = TagId::of_slot(slot);
        if tag != TagId::NONE {
            self.freed_slow(tag, size);
        }
    }

    #[cold]
    fn freed_slow(&self, tag: TagId, size: usize) {
        if let Some(figures) = self.of(tag) {
            figures.live_blocks.fetch_sub(1, Relaxed);
            figures.live_bytes.fetch_sub(size as u64, Relaxed);
        }
    }

    /// A block changes its size.
    #[inline]
    pub(crate) fn resized(&self, slot: &Slot, old: usize, new: usize) {
        let tag = TagId::of_slot(slot);
        if tag != TagId::NONE {
            self.resized_slow(tag, old as u64, new as u64);
        }
    }

    #[cold]
    fn resized_slow(&self, tag: TagId, old: u64, new: u64) {
        let Some(figures) = self.of(tag) else { return };
        match new.checked_sub(old) {
            Some(more) => figures.grew(more),
            None => {
                figures.live_bytes.fetch_sub(old - new, Relaxed);
            }
        }
    }

    /// Returns the figures of every tag that was used.
    pub(crate) fn iter(&self) -> impl Iterator<Item = TagStats> + '_ {
        (1..=TAG_COUNT_MAX as u8).zip(&self.0).filter_map(|(number, figures)| {
            let name = TagId(number).name()?;
            let total_blocks = figures.total_blocks.load(Relaxed);
            (total_blocks != 0).then(|| TagStats {
                name,
                live_blocks: figures.live_blocks.load(Relaxed),
                live_bytes: figures.live_bytes.load(Relaxed),
                peak_bytes: figures.peak_bytes.load(Relaxed),
                total_blocks,
                total_bytes: figures.total_bytes.load(Relaxed),
            })
        })
    }
}

impl Figures {
    fn grew(&self, size: u64) {
        self.total_bytes.fetch_add(size, Relaxed);
        let live = self.live_bytes.fetch_add(size, Relaxed) + size;
        self.peak_bytes.fetch_max(live, Relaxed);
    }
}

impl Heap {
    /// Enters a part of the program for a block that was just allocated; nobody else uses it yet.
    pub(crate) fn set_tag(&self, start: NonNull<u8>, tag: TagId) {
        let Some(figures) = self.tags.of(tag) else { return };
        let Some((block, size)) = self.live_at(start.addr().get()) else { return };
        // Relaxed: who frees the block got it from this thread.
        block.slot.set_tag(tag.0);
        figures.live_blocks.fetch_add(1, Relaxed);
        figures.total_blocks.fetch_add(1, Relaxed);
        figures.grew(size as u64);
    }
}

/// A handle of a [`Gpa`] whose blocks carry a name: findings and leaks say it, snapshots tell it
/// apart, and [`Gpa::tags`] counts it. From [`Gpa::tagged`].
///
/// A block may be freed and resized through the `Gpa`, or any handle of it; it keeps its name.
#[derive(Clone, Copy, Debug)]
pub struct Tagged<'a> {
    gpa: &'a Gpa,
    tag: TagId,
}

impl<'a> Tagged<'a> {
    pub(crate) fn new(gpa: &'a Gpa, name: &'static str) -> Self {
        Self { gpa, tag: TagId::of(name) }
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> Option<&'static str> {
        self.tag.name()
    }
}

// SAFETY: 1 to 7 are kept by the `Gpa`, which serves every call; a tag is nobody's byte.
unsafe impl Allocator for Tagged<'_> {
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        let heap = self.gpa.heap_or_map()?;
        with_stack(heap, |here| {
            heap.alloc(layout, here).inspect(|block| heap.set_tag(*block, self.tag))
        })
    }

    fn raw_alloc_zeroed(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        let heap = self.gpa.heap_or_map()?;
        with_stack(heap, |here| {
            heap.alloc_zeroed(layout, here).inspect(|block| heap.set_tag(*block, self.tag))
        })
    }

    unsafe fn raw_resize(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        // SAFETY: the caller keeps the same contract towards this method.
        unsafe { self.gpa.raw_resize(block, layout, new_size) }
    }

    unsafe fn raw_remap(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        // SAFETY: as above.
        unsafe { self.gpa.raw_remap(block, layout, new_size) }
    }

    unsafe fn raw_free(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: as above.
        unsafe { self.gpa.raw_free(block, layout) };
    }
}

// SAFETY: the sizes are those that the `Gpa` tells.
unsafe impl UnsizedFree for Tagged<'_> {
    alloc_core::forward_unsized!(self.gpa);
}

alloc_core::impl_foreign_allocator!(impl['a] for Tagged<'a>);

#[cfg(test)]
mod tests {
    use super::*;

    /// Whose turn it is: one test keeps others from entering names, for as long as the machine likes.
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());

    /// Goal: a name is entered also while another thread has the right to for long. Method: that thread has it until
    /// this one sleeps, which it does once it has tried in vain.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_name_waits_to_be_entered() {
        use crate::sys::tasks::{Activity, Look, Task};
        let _turn = TURN.lock().unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        let waiting = crate::sys::thread_id();
        let holder = std::thread::spawn(move || {
            let _entry = ENTRY.lock();
            sender.send(()).unwrap();
            while !matches!(Task::look(waiting), Look::Seen(task) if task.activity == Activity::Waits)
            {
                std::thread::yield_now();
            }
        });
        receiver.recv().unwrap();
        assert_eq!(TagId::of("tag::tests::waits").name(), Some("tag::tests::waits"));
        holder.join().unwrap();
    }

    #[test]
    fn names_are_entered_once() {
        let _turn = TURN.lock().unwrap();
        let one = TagId::of("tag::tests::one");
        assert_ne!(one, TagId::NONE);
        assert_eq!(one, TagId::of("tag::tests::one"));
        let other = TagId::of("tag::tests::other");
        assert_ne!(one, other);
        assert_eq!(
            (one.name(), other.name()),
            (Some("tag::tests::one"), Some("tag::tests::other"))
        );
        assert_eq!(TagId::NONE.name(), None);
    }
}
