//! The caller lends the buffer.
use alloc_core::{Owned, alloc_print};
use alloc_fixed::{FixedBuffer, StackBuffer};

fn message<'a>(fixed: &'a FixedBuffer<'_>) -> &'a str {
    Owned::leak(alloc_print!(fixed, "text").unwrap())
}

fn main() {
    let mut buffer = StackBuffer::<64>::new();
    println!("{}", message(&FixedBuffer::new(&mut buffer)));
}
