//! A buffer cannot be used again under a live message.
use alloc_core::alloc_print;
use alloc_fixed::{FixedBuffer, StackBuffer};

fn main() {
    let mut buffer = StackBuffer::<64>::new();
    let first = FixedBuffer::new(&mut buffer);
    let message = alloc_print!(&first, "Alice").unwrap();
    let second = FixedBuffer::new(&mut buffer); //~ E0499
    println!("{} {}", message, alloc_print!(&second, "Bob").unwrap());
}
