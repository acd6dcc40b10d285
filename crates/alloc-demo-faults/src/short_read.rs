//! A record is read into a block: its length, then so many bytes. The file may end in between.

use core::mem::ManuallyDrop;
use std::io;

use alloc_core::{Allocator, AllocatorExt, Owned, fail_point};

/// The form of both twins.
pub type Read =
    for<'a> fn(&'a dyn Allocator, &mut dyn io::Read) -> io::Result<Owned<[u8], &'a dyn Allocator>>;

/// Forgets the block if the file ends inside the record. No allocation fails there: only a fail point shows
/// it, or a file that is cut just so.
///
/// # Errors
///
/// Those of the file, and `OutOfMemory`.
pub fn faulty<'a>(
    gpa: &'a dyn Allocator,
    file: &mut dyn io::Read,
) -> io::Result<Owned<[u8], &'a dyn Allocator>> {
    let mut len = [0];
    file.read_exact(&mut len)?;
    let block = gpa.alloc_fill(usize::from(len[0]), 0u8); // planted
    let mut record = ManuallyDrop::new(block.map_err(|_| io::ErrorKind::OutOfMemory)?);
    fail_point!(faulty::body, io::ErrorKind::UnexpectedEof);
    file.read_exact(&mut record)?;
    Ok(ManuallyDrop::into_inner(record))
}

/// Keeps the block in its owner, which frees it on the way out.
///
/// # Errors
///
/// Those of the file, and `OutOfMemory`.
pub fn corrected<'a>(
    gpa: &'a dyn Allocator,
    file: &mut dyn io::Read,
) -> io::Result<Owned<[u8], &'a dyn Allocator>> {
    let mut len = [0];
    file.read_exact(&mut len)?;
    let block = gpa.alloc_fill(usize::from(len[0]), 0u8);
    let mut record = block.map_err(|_| io::ErrorKind::OutOfMemory)?;
    fail_point!(corrected::body, io::ErrorKind::UnexpectedEof);
    file.read_exact(&mut record)?;
    Ok(record)
}
