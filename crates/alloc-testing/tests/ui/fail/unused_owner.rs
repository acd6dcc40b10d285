//! An owner that nobody keeps is freed at once: the compiler says so.
#![deny(unused_must_use)]
use alloc_core::{AllocError, AllocatorExt};
use alloc_gpa::Gpa;

fn fill(gpa: &Gpa) -> Result<(), AllocError> {
    gpa.create(1u8)?; //~ unused_must_use
    Ok(())
}

fn main() {
    fill(&Gpa::new()).unwrap();
}
