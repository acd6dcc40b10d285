//! A line grows by a word: in place where it can, else in a new block.

use core::mem::ManuallyDrop;

use alloc_core::{AllocError, Allocator, AllocatorExt};

/// Forgets the old block where the line has to move, which a small one never does in an ordinary test.
///
/// # Errors
///
/// If there is no memory.
pub fn faulty(gpa: &dyn Allocator, line: &[u8], word: &[u8]) -> Result<usize, AllocError> {
    let mut block = ManuallyDrop::new(gpa.alloc::<u8>(line.len())?); // planted
    block.write_copy_of_slice(line);
    let len = line.len() + word.len();
    if gpa.resize(&mut block, len) {
        block[line.len()..].write_copy_of_slice(word);
        drop(ManuallyDrop::into_inner(block));
        return Ok(len);
    }
    let mut moved = gpa.alloc::<u8>(len)?;
    moved[..line.len()].copy_from_slice(&block);
    moved[line.len()..].write_copy_of_slice(word);
    Ok(moved.len())
}

/// Frees it either way.
///
/// # Errors
///
/// If there is no memory.
pub fn corrected(gpa: &dyn Allocator, line: &[u8], word: &[u8]) -> Result<usize, AllocError> {
    let mut block = gpa.alloc::<u8>(line.len())?;
    block.write_copy_of_slice(line);
    let len = line.len() + word.len();
    if gpa.resize(&mut block, len) {
        block[line.len()..].write_copy_of_slice(word);
        return Ok(len);
    }
    let mut moved = gpa.alloc::<u8>(len)?;
    moved[..line.len()].copy_from_slice(&block);
    moved[line.len()..].write_copy_of_slice(word);
    Ok(moved.len())
}
