//! Containers of others over our allocators: `allocator_api2` 0.2 and 0.4, hashbrown, and the
//! standard library's where the compiler lets us.
#![cfg_attr(gated_allocator, feature(allocator_api))]

mod common;

/// The same tests for each foreign trait: the containers have one interface.
#[allow(unused_macros, reason = "without any foreign trait")]
macro_rules! suite {
    ($name:ident, $boxed:path, $vec:path, $api:path) => {
        mod $name {
            use crate::common::{GROWTHS, Growth, Ledger};
            use alloc_core::{Allocator, Layout};
            use api::Allocator as Foreign;
            use core::ptr::NonNull;
            use $api as api;
            use $boxed as Box;
            use $vec as Vec;

            /// A vector grows from nothing to a thousand items and shrinks again, under every
            /// answer that an allocator may give to a remap.
            #[test]
            fn vec_grows_and_shrinks() {
                for growth in GROWTHS {
                    let ledger = Ledger::with_growth(growth);
                    let mut items = Vec::new_in(&ledger);
                    items.extend(0..1000u32);
                    items.truncate(300);
                    items.shrink_to_fit();
                    assert!(items.iter().copied().eq(0..300), "{growth:?}");
                    assert_eq!(ledger.live_bytes(), 1200, "{growth:?}");
                    items.clear();
                    items.shrink_to_fit();
                    assert_eq!(ledger.live_count(), 0, "{growth:?}");
                }
            }

            /// The four erased forms and plain references are allocators without a newtype.
            #[test]
            fn handles_are_allocators() {
                fn is_foreign<A: Foreign>(_: A) {}
                let ledger = Ledger::new();
                let mut items = Vec::new_in(&ledger as &dyn Allocator);
                items.push(1);
                let shared: &(dyn Allocator + Send + Sync) = &alloc_core::NeverAlloc;
                is_foreign(shared);
                is_foreign(shared as &(dyn Allocator + Send));
                is_foreign(shared as &(dyn Allocator + Sync));
                is_foreign(&shared as &dyn Allocator);
                is_foreign(alloc_core::NeverAlloc);
                is_foreign(crate::common::Wrapped(&ledger));
            }

            #[test]
            fn boxes_are_freed_with_their_layout() {
                let ledger = Ledger::new();
                let boxed = Box::new_in([7u64; 5], &ledger);
                assert_eq!(ledger.live_bytes(), 40);
                assert_eq!(*boxed, [7; 5]);
            }

            /// Out of memory is a value, and the vector is as it was.
            #[test]
            fn no_memory_is_an_error() {
                let ledger = Ledger::new();
                ledger.allowed.set(1);
                let mut items = Vec::new_in(&ledger);
                items.try_reserve_exact(2).unwrap();
                items.extend([1, 2]);
                assert!(items.try_reserve(1).is_err());
                assert_eq!(items[..], [1, 2]);
                assert!(items.try_reserve(usize::MAX).is_err());
            }

            /// Zero bytes are answered without the allocator: at an allocation, a growth from
            /// nothing, a shrink to nothing, a free, and for items without a size.
            #[test]
            fn zero_bytes_never_reach_the_allocator() {
                let ledger = Ledger::new();
                let empty = Layout::from_size_align(0, 64).unwrap();
                let block = Foreign::allocate(&ledger, empty).unwrap();
                assert_eq!(block.len(), 0);
                assert!(block.cast::<u8>().addr().get().is_multiple_of(64), "aligned");
                let zeroed = Foreign::allocate_zeroed(&ledger, empty).unwrap();
                // SAFETY: allocated just above, of zero bytes.
                unsafe { Foreign::deallocate(&ledger, zeroed.cast(), empty) };
                let full = Layout::from_size_align(10, 64).unwrap();
                assert_eq!(ledger.calls.get(), 0);
                // SAFETY: allocated above with `empty`, which is the smaller one.
                let grown = unsafe { Foreign::grow(&ledger, block.cast(), empty, full) }.unwrap();
                assert_eq!(ledger.calls.get(), 1, "one allocation");
                // SAFETY: live with the layout `full`, which is the larger one.
                let shrunk = unsafe { Foreign::shrink(&ledger, grown.cast(), full, empty) };
                assert_eq!(shrunk.unwrap().len(), 0);
                assert_eq!(ledger.calls.get(), 2, "one free");
                let mut units = Vec::new_in(&ledger);
                units.extend([(), (), ()]);
                assert_eq!(ledger.calls.get(), 2);
            }

            fn bytes(block: NonNull<[u8]>) -> std::vec::Vec<u8> {
                // SAFETY: called with live blocks that were written whole.
                unsafe { block.as_ref() }.to_vec()
            }

            /// A grow and a shrink may ask for another alignment: the block moves to one that has
            /// it, the bytes are kept, and the old block is freed with its own layout.
            #[test]
            fn alignment_may_change() {
                for growth in GROWTHS {
                    let ledger = Ledger::with_growth(growth);
                    let small = Layout::from_size_align(8, 1).unwrap();
                    let large = Layout::from_size_align(16, 256).unwrap();
                    let tight = Layout::from_size_align(4, 2).unwrap();
                    let block = Foreign::allocate(&ledger, small).unwrap();
                    // SAFETY: the block has 8 bytes.
                    unsafe { block.cast::<u8>().write_bytes(9, 8) };
                    let block = block.cast();
                    // SAFETY: live with `small`, which is not larger than `large`.
                    let block = unsafe { Foreign::grow_zeroed(&ledger, block, small, large) };
                    let block = block.unwrap();
                    assert!(block.cast::<u8>().addr().get().is_multiple_of(256));
                    assert_eq!(bytes(block), [9, 9, 9, 9, 9, 9, 9, 9, 0, 0, 0, 0, 0, 0, 0, 0]);
                    // SAFETY: live with `large`, which is not smaller than `tight`.
                    let block = unsafe { Foreign::shrink(&ledger, block.cast(), large, tight) };
                    let block = block.unwrap();
                    assert_eq!(bytes(block), [9; 4], "{growth:?}");
                    // SAFETY: live with `tight`.
                    unsafe { Foreign::deallocate(&ledger, block.cast(), tight) };
                }
            }

            /// Bytes behind the old size are zero, whichever way the block grew; a grow to the
            /// same size is none.
            #[test]
            fn grow_zeroed_zeroes_the_tail() {
                for growth in GROWTHS {
                    let ledger = Ledger::with_growth(growth);
                    let old = Layout::from_size_align(3, 1).unwrap();
                    let new = Layout::from_size_align(7, 1).unwrap();
                    let block = Foreign::allocate_zeroed(&ledger, old).unwrap();
                    assert_eq!(bytes(block), [0; 3]);
                    // SAFETY: the block has 3 bytes.
                    unsafe { block.cast::<u8>().write_bytes(5, 3) };
                    // SAFETY: live with `old`.
                    let block = unsafe { Foreign::grow_zeroed(&ledger, block.cast(), old, new) };
                    let block = block.unwrap();
                    assert_eq!(bytes(block), [5, 5, 5, 0, 0, 0, 0], "{growth:?}");
                    // SAFETY: live with `new`.
                    let same = unsafe { Foreign::grow(&ledger, block.cast(), new, new) };
                    assert_eq!(same.unwrap(), block);
                    // SAFETY: live with `new`.
                    unsafe { Foreign::deallocate(&ledger, block.cast(), new) };
                }
            }

            /// A grow that finds no memory leaves the block as it was.
            #[test]
            fn a_failed_grow_changes_nothing() {
                for growth in [Growth::Never, Growth::Moves] {
                    let ledger = Ledger::with_growth(growth);
                    ledger.allowed.set(1);
                    let old = Layout::from_size_align(3, 1).unwrap();
                    let new = Layout::from_size_align(7, 1).unwrap();
                    let block = Foreign::allocate_zeroed(&ledger, old).unwrap();
                    // SAFETY: live with `old`.
                    let grown = unsafe { Foreign::grow(&ledger, block.cast(), old, new) };
                    assert!(grown.is_err(), "{growth:?}");
                    assert_eq!(bytes(block), [0; 3]);
                    // SAFETY: still live with `old`.
                    unsafe { Foreign::deallocate(&ledger, block.cast(), old) };
                }
            }
        }
    };
}

#[cfg(all(
    feature = "allocator-api2-02",
    not(all(feature = "allocator-api2-02-is-core", any(std_allocator, gated_allocator)))
))]
suite!(
    api2_02,
    allocator_api2_02::boxed::Box,
    allocator_api2_02::vec::Vec,
    allocator_api2_02::alloc
);

#[cfg(feature = "allocator-api2-04")]
suite!(
    api2_04,
    allocator_api2_04::boxed::Box,
    allocator_api2_04::vec::Vec,
    allocator_api2_04::alloc
);

#[cfg(any(std_allocator, gated_allocator))]
suite!(standard, std::boxed::Box, std::vec::Vec, std::alloc);

/// A map keeps its table in the allocator; no memory is an error from `try_reserve`.
#[cfg(all(
    feature = "allocator-api2-02",
    not(all(feature = "allocator-api2-02-is-core", any(std_allocator, gated_allocator)))
))]
#[test]
fn hashbrown_lives_in_our_memory() {
    let ledger = common::Ledger::new();
    let mut squares = hashbrown::HashMap::new_in(&ledger);
    squares.extend((0..100u32).map(|n| (n, n * n)));
    assert_eq!(squares[&9], 81);
    assert_eq!(ledger.live_count(), 1);
    ledger.allowed.set(0);
    assert!(squares.try_reserve(100_000).is_err());
    assert_eq!(squares.len(), 100);
}
