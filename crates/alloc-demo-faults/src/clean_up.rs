//! A table of two rows; if there is no memory for the second, a note is written, which needs some, too.

use core::mem::ManuallyDrop;

use alloc_core::{AllocError, Allocator, AllocatorExt};

/// Writes the note before it frees the first row, and leaves if there is no memory for the note.
///
/// # Errors
///
/// If there is no memory.
pub fn faulty(gpa: &dyn Allocator, len: usize) -> Result<u64, AllocError> {
    let first = ManuallyDrop::new(gpa.alloc_fill(len, 1u64)?); // planted
    let second = match gpa.alloc_fill(len, 2u64) {
        Ok(second) => second,
        Err(error) => {
            let note = gpa.print(format_args!("no memory for {len} numbers"))?;
            drop((note, ManuallyDrop::into_inner(first)));
            return Err(error);
        }
    };
    let sum = first.iter().chain(&*second).sum();
    drop(ManuallyDrop::into_inner(first));
    Ok(sum)
}

/// Frees first.
///
/// # Errors
///
/// If there is no memory.
pub fn corrected(gpa: &dyn Allocator, len: usize) -> Result<u64, AllocError> {
    let first = ManuallyDrop::new(gpa.alloc_fill(len, 1u64)?);
    let second = match gpa.alloc_fill(len, 2u64) {
        Ok(second) => second,
        Err(error) => {
            drop(ManuallyDrop::into_inner(first));
            drop(gpa.print(format_args!("no memory for {len} numbers"))?);
            return Err(error);
        }
    };
    let sum = first.iter().chain(&*second).sum();
    drop(ManuallyDrop::into_inner(first));
    Ok(sum)
}
