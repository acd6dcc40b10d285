//! What runs later cannot use a buffer of this function, unless it takes it along.
use alloc_core::AllocatorExt;
use alloc_fixed::{FixedBuffer, StackBuffer};

fn later() -> impl FnMut() -> u8 {
    let mut buffer = StackBuffer::<64>::new();
    || { //~ E0373
        let fixed: FixedBuffer<'_> = buffer.fixed();
        *(&fixed).create(5u8).unwrap()
    }
}

fn main() {
    println!("{}", later()());
}
