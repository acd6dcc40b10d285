//! Budgets of a test and of its parts.

use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};

use alloc_core::{AllocatorExt, Owned, UnsizedFree};
use alloc_testing::{Budget, Settings, TestAllocator, run, run_with};

/// The message with which `test` fails under these settings.
fn failure(settings: Settings, test: impl FnOnce(&TestAllocator)) -> String {
    let run = AssertUnwindSafe(|| run_with(settings, test));
    let payload = catch_unwind(run).expect_err("the test fails");
    *payload.downcast::<String>().expect("the report")
}

/// What stays within is no news; the first request beyond is told with its stack, and is served.
#[test]
fn a_test_that_asks_for_too_much_fails() {
    let settings = Settings::new().live_bytes(100).requests(3);
    run_with(settings, |gpa| {
        drop(gpa.alloc_fill(100, 0u8));
        drop(gpa.alloc_fill(50, 0u16));
        drop(gpa.alloc_zeroed::<u8>(1));
    });
    let message = failure(settings, |gpa| {
        let _first = gpa.alloc_fill(60, 0u8).unwrap();
        let _second = gpa.alloc_fill(41, 0u8).expect("served");
        let _third = gpa.alloc_fill(99, 0u8).expect("served");
    });
    assert!(message.contains("was left with 1 budget not kept:"), "{message}");
    assert!(message.contains("exceeded: 101 live bytes of 100, by a request of 41 bytes at"));
    assert!(message.contains("budgets.rs"), "{message}");
    let message = failure(settings, |gpa| {
        for _ in 0..5 {
            drop(gpa.create(1u8));
        }
    });
    assert!(message.contains("exceeded: 4 requests of 3, by a request of 1 byte at"), "{message}");
}

/// Growth counts, what is freed counts no more, whichever way it was freed.
#[test]
fn growth_and_frees_are_counted() {
    run_with(Settings::new().live_bytes(64), |gpa| {
        for _ in 0..10 {
            let block = gpa.alloc_fill(48, 0u8).unwrap();
            let (block, _) = Owned::into_raw_parts(block);
            // SAFETY: the owner was taken apart, so the block is live and this is its only free.
            unsafe { gpa.free_unsized(block.cast()) };
        }
    });
    let message = failure(Settings::new().live_bytes(64), |gpa| {
        let mut list = alloc_core_vec(gpa);
        for item in 0..65 {
            list.push(item);
        }
    });
    assert!(message.contains("live bytes of 64"), "{message}");
}

/// A list of bytes in the memory of a test.
fn alloc_core_vec(gpa: &TestAllocator) -> allocator_api2_02::vec::Vec<u8, &TestAllocator> {
    allocator_api2_02::vec::Vec::new_in(gpa)
}

/// A part of a test gives back what it took before it ends, even if that comes back later.
#[test]
fn a_part_that_does_not_return_its_budget_fails_the_test() {
    run(|gpa| {
        let part = gpa.budget("part").live_bytes(8).requests(1);
        drop(part.create(1u64));
    });
    let message = failure(Settings::new(), |gpa| {
        let part = gpa.budget("cache").requests(1);
        let late = Owned::into_raw_parts(part.create(1u64).unwrap()).0;
        drop(part.create(2u64));
        drop(part);
        // SAFETY: its owner was taken apart, so it is live, and freed here alone.
        unsafe { gpa.free_unsized(late.cast()) };
    });
    assert!(message.contains("was left with 2 budgets not kept:"), "{message}");
    assert!(message.contains("budget \"cache\" exceeded: 2 requests of 1"), "{message}");
    let returned = "budget \"cache\" not returned: 1 block, 8 bytes, live at its end";
    let (_, places) = message.split_once(returned).expect(&message);
    assert!(places.starts_with("\n1 block, 8 bytes of it, allocated at\n"), "{message}");
    assert!(places.contains("budgets.rs:"), "{message}");
    let message = failure(Settings::new(), |gpa| {
        Owned::leak(gpa.budget("cache").create(1u64).unwrap());
    });
    assert!(message.contains("1 block leaked, 8 bytes, 1 budget not kept"), "{message}");
    assert!(message.contains("tag cache"), "{message}");
}

/// A budget that has no end cannot be said to have been kept, whatever its limits.
#[test]
fn a_forgotten_budget_fails_the_test() {
    let message = failure(Settings::new(), |gpa| {
        let part = ManuallyDrop::new(gpa.budget("cache").live_bytes(1).requests(1));
        drop(part.create([1u64; 10]).unwrap());
        drop(part.create([1u64; 10]).unwrap());
    });
    assert!(message.contains("was left with 1 budget not kept:"), "{message}");
    assert!(message.contains("budget \"cache\" had not ended when the test did"), "{message}");
}

/// Takes a block apart, and frees it through the test's own handle.
fn free_elsewhere(gpa: &TestAllocator, block: Owned<u64, &Budget<'_>>) {
    let block = Owned::into_raw_parts(block).0;
    // SAFETY: its owner was taken apart, so it is live, and freed here alone.
    unsafe { gpa.free_unsized(block.cast()) };
}

/// A block that goes back through another handle has come back; one that does not is told, alone.
#[test]
fn a_block_may_come_back_another_way() {
    run(|gpa| {
        let part = gpa.budget("another way");
        free_elsewhere(gpa, part.create(1u64).unwrap());
        drop(part.create(2u64));
    });
    let message = failure(Settings::new(), |gpa| {
        let part = gpa.budget("another way");
        free_elsewhere(gpa, part.create(1u64).unwrap());
        Owned::leak(part.create(2u16).unwrap());
    });
    let returned = "budget \"another way\" not returned: 1 block, 2 bytes, live at its end";
    assert!(message.contains(returned), "{message}");
}

/// What a part asks for counts for the test as well.
#[test]
fn parts_count_for_the_test() {
    let message = failure(Settings::new().requests(1), |gpa| {
        let part = gpa.budget("part");
        drop(part.create(1u64));
        drop(gpa.create(1u64));
    });
    assert!(message.contains("budget of the test exceeded: 2 requests of 1"), "{message}");
}
