//! Sixty-four tests that run at once, every one of which leaks another number of bytes.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

use alloc_core::AllocatorExt;
use alloc_testing::TestAllocator;

/// Tests of the suite.
pub(crate) const COUNT: usize = 64;

/// How many have come: all but the first, which the runner runs alone, wait for each other.
static COME: Mutex<usize> = Mutex::new(0);
static ALL_CAME: Condvar = Condvar::new();

/// Returns when all run at once.
///
/// # Panics
///
/// If they never do: where the system has no thread for each, the runner goes on with fewer.
fn wait_for_all() {
    let mut come = COME.lock().unwrap();
    *come += 1;
    ALL_CAME.notify_all();
    let is_missing = |come: &mut usize| *come < COUNT - 1;
    let (_come, waited) =
        ALL_CAME.wait_timeout_while(come, Duration::from_secs(300), is_missing).unwrap();
    assert!(!waited.timed_out(), "the tests do not run at once: are there threads for them?");
}

/// Allocates, frees, and leaks `100 + number` bytes, while the others do the same.
fn leak(gpa: &TestAllocator, number: usize) {
    static FIRST: std::sync::Once = std::sync::Once::new();
    let mut is_first = false;
    FIRST.call_once(|| is_first = true);
    if !is_first {
        wait_for_all();
    }
    for round in 0..50 {
        drop(gpa.alloc_fill(number + round, 1u8).unwrap());
    }
    alloc_core::Owned::leak(gpa.alloc_fill(100 + number, 0u8).unwrap());
}

/// Writes a test for each number.
macro_rules! leaking_tests {
    ($($name:ident $number:literal)*) => {
        #[alloc_testing::suite]
        pub(crate) mod suite {
            use super::*;

            $(
                #[alloc_testing::alloc_test]
                fn $name(gpa: &TestAllocator) {
                    leak(gpa, $number);
                }
            )*
        }
    };
}

leaking_tests! {
    t00 0 t01 1 t02 2 t03 3 t04 4 t05 5 t06 6 t07 7
    t08 8 t09 9 t10 10 t11 11 t12 12 t13 13 t14 14 t15 15
    t16 16 t17 17 t18 18 t19 19 t20 20 t21 21 t22 22 t23 23
    t24 24 t25 25 t26 26 t27 27 t28 28 t29 29 t30 30 t31 31
    t32 32 t33 33 t34 34 t35 35 t36 36 t37 37 t38 38 t39 39
    t40 40 t41 41 t42 42 t43 43 t44 44 t45 45 t46 46 t47 47
    t48 48 t49 49 t50 50 t51 51 t52 52 t53 53 t54 54 t55 55
    t56 56 t57 57 t58 58 t59 59 t60 60 t61 61 t62 62 t63 63
}
