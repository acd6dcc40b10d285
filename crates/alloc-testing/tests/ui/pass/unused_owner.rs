//! An owner that is kept.
#![deny(unused_must_use)]
use alloc_core::{AllocError, AllocatorExt};
use alloc_gpa::Gpa;

fn fill(gpa: &Gpa) -> Result<(), AllocError> {
    let _kept = gpa.create(1u8)?;
    Ok(())
}

fn main() {
    fill(&Gpa::new()).unwrap();
}
