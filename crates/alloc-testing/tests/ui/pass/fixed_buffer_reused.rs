//! A buffer is used again when nobody needs the first message.
use alloc_core::alloc_print;
use alloc_fixed::FixedBuffer;

fn main() {
    let mut buffer = [0u8; 64];
    let first = FixedBuffer::new(&mut buffer);
    println!("{}", alloc_print!(&first, "Alice").unwrap());
    drop(first);
    let second = FixedBuffer::new(&mut buffer);
    println!("{}", alloc_print!(&second, "Bob").unwrap());
}
