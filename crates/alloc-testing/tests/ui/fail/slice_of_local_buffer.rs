//! Text in a buffer on the stack cannot leave the function.
use alloc_core::{Owned, alloc_print};
use alloc_fixed::{FixedBuffer, StackBuffer};

fn message<'a>() -> &'a str {
    let mut buffer = StackBuffer::<64>::new();
    let fixed = FixedBuffer::new(&mut buffer);
    Owned::leak(alloc_print!(&fixed, "text").unwrap()) //~ E0515
}

fn main() {
    println!("{}", message());
}
