//! A buffer is used again when nobody needs the first message.
use alloc_core::alloc_print;
use alloc_fixed::{FixedBuffer, StackBuffer};

fn main() {
    let mut buffer = StackBuffer::<64>::new();
    let first = FixedBuffer::new(&mut buffer);
    println!("{}", alloc_print!(&first, "Alice").unwrap());
    drop(first);
    let second = FixedBuffer::new(&mut buffer);
    println!("{}", alloc_print!(&second, "Bob").unwrap());
}
