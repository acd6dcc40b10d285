//! Whether there was memory is not ignored by accident.
#![deny(unused_must_use)]
use alloc_core::AllocatorExt;
use alloc_gpa::Gpa;

fn main() {
    let gpa = Gpa::new();
    drop(gpa.dupe(b"bytes"));
}
