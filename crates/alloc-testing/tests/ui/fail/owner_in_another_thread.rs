//! A block of a heap for one thread is freed by that thread.
use std::thread;

use alloc_core::AllocatorExt;
use alloc_fixed::StackBuffer;

fn main() {
    let mut buffer = StackBuffer::<64>::new();
    let fixed = buffer.fixed();
    let number = (&fixed).create(5u8).unwrap();
    thread::scope(|scope| {
        scope.spawn(move || drop(number)); //~ E0277
    });
}
