//! A block of a heap for many threads is freed by any.
use std::thread;

use alloc_core::AllocatorExt;
use alloc_gpa::Gpa;

fn main() {
    let gpa = Gpa::new();
    let number = gpa.create(5u8).unwrap();
    thread::scope(|scope| {
        scope.spawn(move || drop(number));
    });
}
