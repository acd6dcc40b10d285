//! Code of users that panics in the middle of a verb: nothing leaks, and no item is dropped twice.
//! The ledger fails the test for a block that was not freed.

mod common;

use alloc_core::{AlignedSlice, AllocatorExt, Owned};
use common::{GROWTHS, Ledger};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Counts its live copies; panics at the nth clone, or when it is dropped with a mark.
struct Item<'a> {
    live: &'a Cell<i32>,
    clones_left: &'a Cell<i32>,
    panics: bool,
}

impl<'a> Item<'a> {
    fn new(live: &'a Cell<i32>, clones_left: &'a Cell<i32>, panics: bool) -> Self {
        live.set(live.get() + 1);
        Self { live, clones_left, panics }
    }
}

impl Clone for Item<'_> {
    fn clone(&self) -> Self {
        self.clones_left.set(self.clones_left.get() - 1);
        assert!(0 <= self.clones_left.get(), "clone");
        Self::new(self.live, self.clones_left, false)
    }
}

impl Drop for Item<'_> {
    fn drop(&mut self) {
        self.live.set(self.live.get() - 1);
        assert!(!self.panics || std::thread::panicking(), "drop");
    }
}

/// Runs `f` with a fresh ledger under each growth; it must panic, and leave nothing.
#[track_caller]
fn panics_and_leaves_nothing(message: &str, f: impl Fn(&Ledger, &Cell<i32>, &Cell<i32>)) {
    for growth in GROWTHS {
        let ledger = Ledger::with_growth(growth);
        let (live, clones_left) = (Cell::new(0), Cell::new(2));
        let caught = catch_unwind(AssertUnwindSafe(|| f(&ledger, &live, &clones_left)));
        let payload = caught.expect_err("it panics");
        assert_eq!(payload.downcast_ref::<&str>(), Some(&message), "{growth:?}");
        assert_eq!(live.get(), 0, "items, {growth:?}");
        assert_eq!(ledger.live_count(), 0, "blocks, {growth:?}");
        ledger.assert_no_fault();
    }
}

#[test]
fn clone_in_alloc_fill() {
    panics_and_leaves_nothing("clone", |ledger, live, left| {
        drop(ledger.alloc_fill(5, Item::new(live, left, false)));
    });
}

#[test]
fn clone_in_try_clone() {
    panics_and_leaves_nothing("clone", |ledger, live, left| {
        let slice = ledger.alloc_with(5, |_| Item::new(live, left, false)).unwrap();
        drop(Owned::try_clone(&slice));
    });
    panics_and_leaves_nothing("clone", |ledger, live, left| {
        left.set(0);
        let single = ledger.create(Item::new(live, left, false)).unwrap();
        drop(Owned::try_clone(&single));
    });
}

#[test]
fn clone_in_grow_fill() {
    panics_and_leaves_nothing("clone", |ledger, live, left| {
        let slice = ledger.alloc_with(3, |_| Item::new(live, left, false)).unwrap();
        drop(Owned::grow_fill(slice, 8, Item::new(live, left, false)));
    });
}

#[test]
fn item_in_alloc_with_and_grow_with() {
    fn item<'a>(live: &'a Cell<i32>, left: &'a Cell<i32>, index: usize) -> Item<'a> {
        assert!(index < 4, "item");
        Item::new(live, left, false)
    }
    panics_and_leaves_nothing("item", |ledger, live, left| {
        drop(ledger.alloc_with(9, |index| item(live, left, index)));
    });
    panics_and_leaves_nothing("item", |ledger, live, left| {
        let slice = ledger.alloc_with(2, |index| item(live, left, index)).unwrap();
        drop(Owned::grow_with(slice, 9, |index| item(live, left, index)));
    });
    panics_and_leaves_nothing("item", |ledger, live, left| {
        let slice = ledger.aligned_alloc::<_, 64>(2).unwrap();
        let slice = slice.write_with(|index| item(live, left, index));
        drop(AlignedSlice::grow_with(slice, 9, |index| item(live, left, index)));
    });
}

#[test]
fn drop_of_a_value() {
    panics_and_leaves_nothing("drop", |ledger, live, left| {
        drop(ledger.create(Item::new(live, left, true)));
    });
    panics_and_leaves_nothing("drop", |ledger, live, left| {
        ledger.destroy(ledger.create(Item::new(live, left, true)).unwrap());
    });
}

#[test]
fn drop_of_one_item_of_a_slice() {
    panics_and_leaves_nothing("drop", |ledger, live, left| {
        drop(ledger.alloc_with(5, |index| Item::new(live, left, index == 1)));
    });
    panics_and_leaves_nothing("drop", |ledger, live, left| {
        let slice = ledger.aligned_alloc::<_, 64>(5).unwrap();
        drop(slice.write_with(|index| Item::new(live, left, index == 1)));
    });
}

#[test]
fn drop_in_the_tail_of_a_shrink() {
    panics_and_leaves_nothing("drop", |ledger, live, left| {
        let slice = ledger.alloc_with(5, |index| Item::new(live, left, index == 3)).unwrap();
        drop(Owned::shrink(slice, 2));
    });
    panics_and_leaves_nothing("drop", |ledger, live, left| {
        let slice = ledger.alloc_with(5, |index| Item::new(live, left, index == 3)).unwrap();
        drop(Owned::shrink(slice, 0));
    });
}

#[test]
fn drop_in_the_rest_of_an_iterator() {
    panics_and_leaves_nothing("drop", |ledger, live, left| {
        let slice = ledger.alloc_with(5, |index| Item::new(live, left, index == 3)).unwrap();
        let mut items = slice.into_iter();
        drop(items.next());
        drop(items.next_back());
    });
}

/// The value that found no memory is dropped, also when that panics.
#[test]
fn drop_of_a_value_without_memory() {
    panics_and_leaves_nothing("drop", |ledger, live, left| {
        ledger.allowed.set(0);
        drop(ledger.create(Item::new(live, left, true)));
    });
}

/// An argument that panics while it is printed, at the first and at the second time.
#[test]
fn display_in_print() {
    struct Shown<'a>(&'a Cell<i32>);
    impl core::fmt::Display for Shown<'_> {
        fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            self.0.set(self.0.get() - 1);
            assert!(0 < self.0.get(), "clone");
            f.write_str("shown")
        }
    }
    panics_and_leaves_nothing("clone", |ledger, _, left| {
        left.set(1);
        drop(alloc_core::alloc_print!(ledger, "{}", Shown(left)));
    });
    panics_and_leaves_nothing("clone", |ledger, _, left| {
        drop(alloc_core::alloc_print!(ledger, "{}", Shown(left)));
    });
}
