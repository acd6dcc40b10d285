//! A number is read from a copy of a text; if it is none, the function returns early.

use core::mem::ManuallyDrop;
use core::num::ParseIntError;

use alloc_core::{Allocator, AllocatorExt};

/// Forgets the copy on the way out that nobody tests.
///
/// # Errors
///
/// If the text is no number.
pub fn faulty(gpa: &dyn Allocator, text: &str) -> Result<u32, ParseIntError> {
    let copy = ManuallyDrop::new(gpa.dupe_str(text).expect("memory")); // planted
    let number = copy.trim().parse()?;
    drop(ManuallyDrop::into_inner(copy));
    Ok(number)
}

/// Frees the copy before it looks at the result.
///
/// # Errors
///
/// If the text is no number.
pub fn corrected(gpa: &dyn Allocator, text: &str) -> Result<u32, ParseIntError> {
    let copy = ManuallyDrop::new(gpa.dupe_str(text).expect("memory"));
    let number = copy.trim().parse();
    drop(ManuallyDrop::into_inner(copy));
    number
}
