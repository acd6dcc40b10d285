//! A crate that says what `::core` is: the macros that write `unsafe` do not ask it.
#![cfg(all(feature = "alloc", not(loom)))]
#![forbid(unsafe_code)]

extern crate self as core;

use std::fmt::Display;

use alloc_arena::{Arena, unsize_arena_box};
use alloc_core::{AllocError, AllocatorExt, unsize_owned};

/// What `::core::ptr` is here.
pub mod ptr {
    /// What the macros could take for the other one.
    pub struct NonNull;

    impl NonNull {
        /// Could return any other pointer.
        pub fn new_unchecked<T: ?Sized>(_: *mut T) -> std::ptr::NonNull<T> {
            unreachable!("the macros asked the wrong core")
        }
    }
}

/// An owner stays that of the same value.
#[test]
fn the_macros_that_unsize_ask_no_other_core() -> Result<(), AllocError> {
    let arena = Arena::new();
    let boxed = unsize_arena_box!(arena.put_box(5)? => dyn Display);
    let owned = unsize_owned!((&arena).create(6)? => dyn Display);
    assert_eq!(format!("{boxed}, {owned}"), "5, 6");
    Ok(())
}
