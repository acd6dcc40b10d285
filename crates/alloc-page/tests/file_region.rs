//! A file as the memory of an allocator.
#![cfg(feature = "file")]

use std::io::{Read, Seek};

use alloc_core::AllocatorExt;
use alloc_fixed::FixedBuffer;
use alloc_page::FileRegion;

/// What a fixed buffer over a mapped file hands out is in the file afterwards.
#[test]
fn a_fixed_buffer_over_a_file() {
    let mut file = tempfile::tempfile().unwrap();
    file.set_len(10_000).unwrap();
    // SAFETY: a file without a name, which only this test has open and reads after the last write.
    let mut region = unsafe { FileRegion::map(&file) }.unwrap();
    assert_eq!(region.len(), 10_000);
    FixedBuffer::with_bytes(region.as_mut_slice(), |fixed| {
        let text = fixed.dupe_str("kept in the file").unwrap();
        assert!(fixed.owns_slice(text.as_bytes()));
        assert!(fixed.alloc::<u8>(10_000).is_err(), "the file does not grow");
    });
    region.flush().unwrap();
    assert!(region.starts_with(b"kept in the file"));
    drop(region);
    let mut content = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut content).unwrap();
    assert_eq!(content.len(), 10_000);
    assert!(content.starts_with(b"kept in the file\0"));
}

/// An empty file maps to no bytes; one that cannot be written is an error.
#[test]
fn files_that_hold_nothing_or_refuse() {
    let file = tempfile::tempfile().unwrap();
    // SAFETY: as above.
    let mut region = unsafe { FileRegion::map(&file) }.unwrap();
    assert!(region.as_mut_slice().is_empty());
    let named = tempfile::NamedTempFile::new().unwrap();
    named.as_file().set_len(10).unwrap();
    let read_only = std::fs::File::open(named.path()).unwrap();
    // SAFETY: as above.
    assert!(unsafe { FileRegion::map(&read_only) }.is_err());
}
