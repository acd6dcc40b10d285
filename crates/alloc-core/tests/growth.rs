//! Every way to change a block's size, under every answer that an allocator may give, with and
//! without bytes, with and without memory. The ledger checks each free against the layout that it
//! knows, and that nothing stays behind.

mod common;

use alloc_core::{AlignedSlice, AllocError, AllocatorExt, Owned};
use common::{GROWTHS, Growth, Ledger};
use core::mem::MaybeUninit;
use std::cell::Cell;

const COUNTS: [usize; 6] = [0, 1, 3, 4, 7, 40];

/// Writes `0..` into a slice that holds anything.
fn number(slice: &mut [MaybeUninit<u32>]) {
    for (index, item) in slice.iter_mut().enumerate() {
        item.write(index as u32);
    }
}

/// Asserts that the first items are those that [`number`] wrote.
fn assert_numbered(slice: &[MaybeUninit<u32>], count: usize) {
    for (index, item) in slice[..count].iter().enumerate() {
        // SAFETY: `number` wrote them, and a change of size keeps the first items.
        assert_eq!(unsafe { item.assume_init() }, index as u32);
    }
}

/// From every count to every other: the first items are kept, the length is the new one, and the
/// address fits `T` also where there are no bytes.
#[test]
fn realloc_keeps_what_fits() {
    for growth in GROWTHS {
        for old in COUNTS {
            for new in COUNTS {
                let ledger = Ledger::with_growth(growth);
                let mut slice = ledger.alloc::<u32>(old).unwrap();
                number(&mut slice);
                let slice = ledger.realloc(slice, new).map_err(|(_, error)| error).unwrap();
                assert_eq!(slice.len(), new);
                assert_numbered(&slice, old.min(new));
                assert!(slice.as_ptr().is_aligned());
                assert_eq!(ledger.live_bytes(), 4 * new, "{growth:?} {old} -> {new}");
            }
        }
    }
}

/// In place or not at all: the address never changes, and on `false` nothing does.
#[test]
fn resize_stays_in_place() {
    for growth in GROWTHS {
        for old in COUNTS {
            for new in COUNTS {
                let ledger = Ledger::with_growth(growth);
                let mut slice = ledger.alloc::<u32>(old).unwrap();
                number(&mut slice);
                let before = slice.as_ptr();
                let room = growth == Growth::InPlace && new <= 4 * old;
                let expected = new == old || (old != 0 && (new == 0 || room));
                let resized = ledger.resize(&mut slice, new);
                assert_eq!(resized, expected, "{growth:?} {old} -> {new}");
                assert_eq!(slice.len(), if resized { new } else { old });
                assert!(slice.as_ptr() == before || slice.is_empty());
                assert_numbered(&slice, old.min(slice.len()));
                assert_eq!(ledger.live_bytes(), 4 * slice.len());
            }
        }
    }
}

/// A remap succeeds where the allocator can do it, and gives the slice back where it cannot.
#[test]
fn remap_gives_the_slice_back() {
    for growth in GROWTHS {
        for old in COUNTS {
            for new in COUNTS {
                let ledger = Ledger::with_growth(growth);
                let mut slice = ledger.alloc::<u32>(old).unwrap();
                number(&mut slice);
                let can = match growth {
                    Growth::Never => false,
                    Growth::InPlace => new <= 4 * old,
                    Growth::Moves => true,
                };
                let expected = new == old || (old != 0 && (new == 0 || can));
                let (remapped, slice) = match ledger.remap(slice, new) {
                    Ok(slice) => (true, slice),
                    Err(slice) => (false, slice),
                };
                assert_eq!(remapped, expected, "{growth:?} {old} -> {new}");
                assert_eq!(slice.len(), if remapped { new } else { old });
                assert_numbered(&slice, old.min(slice.len()));
            }
        }
    }
}

/// Without memory, and with a size that overflows, every verb leaves the slice as it was.
#[test]
fn failures_change_nothing() {
    for growth in [Growth::Never, Growth::Moves] {
        let ledger = Ledger::with_growth(growth);
        let mut slice = ledger.alloc::<u32>(5).unwrap();
        number(&mut slice);
        ledger.allowed.set(0);
        for new in [6, usize::MAX, usize::MAX / 4, usize::MAX / 4 + 2, isize::MAX as usize] {
            assert!(!ledger.resize(&mut slice, new));
            slice = ledger.remap(slice, new).unwrap_err();
            let (back, error) = ledger.realloc(slice, new).unwrap_err();
            slice = back;
            assert_eq!(error, AllocError);
            assert_eq!(slice.len(), 5);
            assert_numbered(&slice, 5);
        }
        let (back, _) = ledger.realloc(slice, 4).unwrap_err();
        assert_eq!(back.len(), 5, "not even a shrink, if it must move");
    }
}

/// Items without a size need no memory, and as many as one likes have room in nothing.
#[test]
fn zero_sized_items_never_reach_the_allocator() {
    let ledger = Ledger::new();
    let mut units = ledger.alloc::<()>(3).unwrap();
    assert!(ledger.resize(&mut units, usize::MAX));
    assert_eq!(units.len(), usize::MAX);
    let units = ledger.remap(units, 7).unwrap();
    let units = ledger.realloc(units, 9).map_err(|(_, error)| error).unwrap();
    let units = units.write_with(|_| ());
    let units = Owned::shrink(Owned::grow_fill(units, 12, ()).unwrap(), 2).unwrap();
    assert_eq!(units.into_iter().count(), 2);
    assert_eq!(*ledger.alloc_zeroed::<()>(4).unwrap(), [(); 4]);
    let aligned = ledger.aligned_alloc::<(), 64>(3).unwrap().realloc(5).unwrap();
    assert!(aligned.as_ptr().addr().is_multiple_of(64));
    let single = ledger.create(()).unwrap();
    Owned::into_inner(single);
    assert_eq!(ledger.calls.get(), 0);
}

/// A value that counts how many are alive.
struct Counted<'a>(usize, &'a Cell<usize>);

impl<'a> Counted<'a> {
    fn new(value: usize, live: &'a Cell<usize>) -> Self {
        live.set(live.get() + 1);
        Self(value, live)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.1.set(self.1.get() - 1);
    }
}

/// Items with destructors grow and shrink: each is dropped once, and the rest keep their values.
#[test]
fn grow_and_shrink_drop_each_item_once() {
    for growth in GROWTHS {
        for old in COUNTS {
            for new in COUNTS {
                let ledger = Ledger::with_growth(growth);
                let live = Cell::new(0);
                let slice = ledger.alloc_with(old, |index| Counted::new(index, &live)).unwrap();
                let slice = if old <= new {
                    Owned::grow_with(slice, new, |index| Counted::new(index, &live)).ok().unwrap()
                } else {
                    Owned::shrink(slice, new).ok().unwrap()
                };
                assert_eq!((live.get(), slice.len()), (new, new));
                assert!(slice.as_ptr().is_aligned());
                assert!(slice.iter().map(|item| item.0).eq(0..new), "{growth:?} {old} -> {new}");
                assert_eq!(ledger.live_bytes(), new * size_of::<Counted<'_>>());
                drop(slice);
                assert_eq!(live.get(), 0);
            }
        }
    }
}

/// Destructors of items without a size run as well.
#[test]
fn shrink_drops_zero_sized_items() {
    thread_local!(static DROPPED: Cell<usize> = const { Cell::new(0) });
    struct Unit;
    impl Drop for Unit {
        fn drop(&mut self) {
            DROPPED.with(|dropped| dropped.set(dropped.get() + 1));
        }
    }
    let ledger = Ledger::new();
    let slice = ledger.alloc_with(5, |_| Unit).unwrap();
    let slice = Owned::shrink(slice, 2).ok().unwrap();
    assert_eq!(DROPPED.with(Cell::get), 3);
    drop(slice);
    assert_eq!((DROPPED.with(Cell::get), ledger.calls.get()), (5, 0));
}

/// A shrink or growth that finds no memory returns the slice, and calls nothing and drops nothing.
#[test]
fn grow_and_shrink_without_memory_return_the_slice() {
    let ledger = Ledger::new();
    let live = Cell::new(0);
    let slice = ledger.alloc_with(5, |index| Counted::new(index, &live)).unwrap();
    ledger.allowed.set(0);
    let (slice, AllocError) = Owned::shrink(slice, 2).err().unwrap();
    let (slice, AllocError) =
        Owned::grow_with(slice, 9, |_| -> Counted<'_> { unreachable!() }).err().unwrap();
    let (slice, AllocError) =
        Owned::grow_with(slice, usize::MAX, |_| -> Counted<'_> { unreachable!() }).err().unwrap();
    assert!(slice.iter().map(|item| item.0).eq(0..5));
    assert_eq!(live.get(), 5);
    let plain = Owned::grow_fill(ledger.alloc_fill(0, 1).unwrap(), 3, 1).unwrap_err();
    assert!(plain.0.is_empty());
}

#[test]
#[should_panic(expected = "grow_with from 2 to 1 items")]
fn grow_to_less_panics() {
    let ledger = Ledger::new();
    drop(Owned::grow_fill(ledger.alloc_fill(2, 0).unwrap(), 1, 0));
}

#[test]
#[should_panic(expected = "shrink from 2 to 3 items")]
fn shrink_to_more_panics() {
    let ledger = Ledger::new();
    drop(Owned::shrink(ledger.alloc_fill(2, 0).unwrap(), 3));
}

/// An aligned slice keeps its alignment and its layout through every change of size.
#[test]
fn aligned_slices_keep_their_alignment() {
    for growth in GROWTHS {
        for old in COUNTS {
            for new in COUNTS {
                let ledger = Ledger::with_growth(growth);
                let mut slice = ledger.aligned_alloc::<u32, 256>(old).unwrap();
                number(&mut slice);
                let before = slice.as_ptr();
                if slice.resize(new) {
                    assert!(slice.as_ptr() == before || new == 0);
                    assert_numbered(&slice, old.min(new));
                }
                let slice = slice.realloc(new).map_err(|(_, error)| error).unwrap();
                assert_eq!(slice.len(), new);
                assert_numbered(&slice, old.min(new));
                assert!(slice.as_ptr().addr().is_multiple_of(256), "{growth:?} {old} -> {new}");
                assert_eq!(AlignedSlice::layout(&slice).align(), 256);
                assert_eq!(ledger.live_bytes(), 4 * new);
            }
        }
    }
}

/// An aligned slice whose growth fails is as it was.
#[test]
fn aligned_growth_without_memory_returns_the_slice() {
    let ledger = Ledger::new();
    let slice = ledger.aligned_alloc::<u8, 64>(3).unwrap().write_with(|index| index as u8);
    ledger.allowed.set(0);
    let (slice, AllocError) = AlignedSlice::grow_with(slice, 9, |_| 0).unwrap_err();
    let (slice, AllocError) = AlignedSlice::grow_with(slice, usize::MAX, |_| 0).unwrap_err();
    assert_eq!(*slice, [0, 1, 2]);
    assert!(ledger.aligned_alloc::<u8, 64>(1).is_err());
    assert!(ledger.aligned_alloc::<u64, 64>(usize::MAX).is_err());
    assert!(ledger.aligned_alloc::<u8, 64>(isize::MAX as usize).is_err(), "rounded up");
}
