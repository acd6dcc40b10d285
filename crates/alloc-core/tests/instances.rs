//! Two allocators of one type cannot be mixed up through any safe call: each verb acts through the
//! handle inside the owner, whichever allocator it is called on. A ledger that is handed a foreign
//! block records a fault, which fails the test.

mod common;

use alloc_core::AllocatorExt;
use common::{GROWTHS, Growth, Ledger};

#[test]
fn free_goes_to_the_allocator_of_the_block() {
    let (a, b) = (Ledger::new(), Ledger::new());
    let slice = a.alloc_fill(4, 1u8).unwrap();
    b.free(slice);
    assert_eq!((a.live_count(), b.calls.get()), (0, 0));
}

#[test]
fn destroy_goes_to_the_allocator_of_the_block() {
    let (a, b) = (Ledger::new(), Ledger::new());
    let single = a.create(42u64).unwrap();
    b.destroy(single);
    assert_eq!((a.live_count(), b.calls.get()), (0, 0));
}

#[test]
fn resize_goes_to_the_allocator_of_the_block() {
    let (a, b) = (Ledger::with_growth(Growth::InPlace), Ledger::with_growth(Growth::InPlace));
    let mut slice = a.alloc::<u16>(4).unwrap();
    assert!(b.resize(&mut slice, 6));
    assert!(a.has(slice.as_ptr().addr(), 12));
    assert!(b.resize(&mut slice, 0));
    assert_eq!((a.live_count(), b.calls.get()), (0, 0));
}

#[test]
fn realloc_goes_to_the_allocator_of_the_block() {
    for growth in GROWTHS {
        let (a, b) = (Ledger::with_growth(growth), Ledger::with_growth(growth));
        let slice = a.alloc::<u16>(4).unwrap();
        let slice = b.realloc(slice, 400).map_err(|(_, error)| error).unwrap();
        assert!(a.has(slice.as_ptr().addr(), 800), "{growth:?}");
        let slice = b.remap(slice, 2).unwrap_or_else(|slice| slice);
        assert!(a.has(slice.as_ptr().addr(), slice.len() * 2), "{growth:?}");
        assert_eq!(b.calls.get(), 0, "{growth:?}");
        drop(slice);
        assert_eq!(a.live_count(), 0, "{growth:?}");
    }
}
