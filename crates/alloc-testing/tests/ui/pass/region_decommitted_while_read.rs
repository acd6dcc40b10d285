//! They are read before.
use alloc_page::{Decommit, Region};

fn main() {
    let mut region = Region::reserve(4096).unwrap();
    region.commit(0..4096).unwrap();
    // SAFETY: committed.
    let bytes = unsafe { region.bytes(0..4096) };
    println!("{}", bytes[0]);
    region.decommit(0..4096, Decommit::Strict).unwrap();
}
