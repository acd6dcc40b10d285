//! The allocator sees the line of whoever called the verb: directly, through the erased handle, and
//! through wrappers.

mod common;

use alloc_core::{AlignedSlice, Allocator, AllocatorExt, Counting, Limited, Owned, alloc_print};
use common::{GROWTHS, Ledger};

/// Runs an expression, and asserts that every call it makes on the ledger shows its own line.
macro_rules! at_this_line {
    ($ledger:expr, $call:expr) => {{
        $ledger.sites.borrow_mut().clear();
        let (line, value) = (line!(), $call);
        let sites = std::mem::take(&mut *$ledger.sites.borrow_mut());
        assert!(!sites.is_empty(), "no call in line {line}");
        for site in sites {
            assert_eq!((site.file(), site.line()), (file!(), line), "{}", stringify!($call));
        }
        value
    }};
}

/// Every verb that reaches the allocator.
fn all_verbs<A: Allocator + Copy>(alloc: A, ledger: &Ledger) {
    let single = at_this_line!(ledger, alloc.create(1u8)).unwrap();
    at_this_line!(ledger, alloc.destroy(single));
    let single = at_this_line!(ledger, alloc.create_or_return(1u8)).map_err(|e| e.1).unwrap();
    let copy = at_this_line!(ledger, Owned::try_clone(&single)).unwrap();
    drop(copy);
    at_this_line!(ledger, Owned::into_inner(single));
    let slice = at_this_line!(ledger, alloc.alloc_fill(3, 1u8)).unwrap();
    at_this_line!(ledger, alloc.free(slice));
    let slice = at_this_line!(ledger, alloc.alloc_with(3, |_| 1u8)).unwrap();
    let slice = at_this_line!(ledger, Owned::grow_fill(slice, 9, 2)).unwrap();
    drop(at_this_line!(ledger, Owned::shrink(slice, 1)).unwrap());
    let strings = alloc.alloc_with(3, |_| String::new()).unwrap();
    drop(at_this_line!(ledger, Owned::shrink(strings, 1)).unwrap());
    drop(at_this_line!(ledger, alloc.alloc_zeroed::<u8>(3)).unwrap());
    drop(at_this_line!(ledger, alloc.dupe(&[1, 2])).unwrap());
    drop(at_this_line!(ledger, alloc.dupe_str("abc")).unwrap());
    drop(at_this_line!(ledger, alloc.dupe_z(c"abc")).unwrap());
    drop(at_this_line!(ledger, alloc_print!(alloc, "{}", 1)).unwrap());
    drop(at_this_line!(ledger, alloc.alloc_fill_or_return(3, 1u8)).map_err(|e| e.1).unwrap());
    let mut raw = at_this_line!(ledger, alloc.alloc::<u8>(3)).unwrap();
    at_this_line!(ledger, alloc.resize(&mut raw, 4));
    let raw = at_this_line!(ledger, alloc.remap(raw, 5)).unwrap_or_else(|raw| raw);
    drop(at_this_line!(ledger, alloc.realloc(raw, 400)).map_err(|e| e.1).unwrap());
    let aligned = at_this_line!(ledger, alloc.aligned_alloc::<u8, 64>(3)).unwrap();
    let mut aligned = at_this_line!(ledger, aligned.realloc(5)).map_err(|e| e.1).unwrap();
    at_this_line!(ledger, aligned.resize(6));
    let aligned = aligned.write_with(|_| 0);
    drop(at_this_line!(ledger, AlignedSlice::grow_with(aligned, 900, |_| 0)).unwrap());
}

#[test]
fn a_verb_shows_its_caller() {
    for growth in GROWTHS {
        let ledger = Ledger::with_growth(growth);
        all_verbs(&ledger, &ledger);
    }
}

#[test]
fn the_erased_handle_shows_the_caller() {
    for growth in GROWTHS {
        let ledger = Ledger::with_growth(growth);
        all_verbs(&ledger as &dyn Allocator, &ledger);
    }
}

#[test]
fn two_wrappers_and_a_tag_show_the_caller() {
    for growth in GROWTHS {
        let ledger = Ledger::with_growth(growth);
        let tag = alloc_core::Tag::new("tag");
        let counting = Counting::new(Limited::new(&ledger, usize::MAX));
        all_verbs(&counting, &ledger);
        all_verbs(&counting as &dyn Allocator, &ledger);
        all_verbs(counting.tagged(&tag), &ledger);
    }
}

#[cfg(feature = "lock_api")]
#[test]
fn a_lock_shows_the_caller() {
    for growth in GROWTHS {
        let ledger = Ledger::with_growth(growth);
        let locked: alloc_core::Locked<parking_lot::RawMutex, _> = alloc_core::Locked::new(&ledger);
        all_verbs(&locked, &ledger);
    }
}
