//! A `Gpa` is for every thread.
use alloc_core::AllocatorExt;
use alloc_gpa::Gpa;

fn main() {
    let gpa = Gpa::new();
    std::thread::scope(|scope| {
        scope.spawn(|| println!("{}", *gpa.create(1u8).unwrap()));
    });
}
