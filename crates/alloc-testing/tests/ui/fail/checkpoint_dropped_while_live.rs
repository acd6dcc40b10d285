//! A checkpoint is not rewound while what was made through it is alive.
use alloc_arena::Arena;

fn main() {
    let mut arena = Arena::new();
    let mut point = arena.checkpoint();
    let number = point.scope().put(5u8).unwrap();
    point.rewind(); //~ E0499
    println!("{number}");
}
