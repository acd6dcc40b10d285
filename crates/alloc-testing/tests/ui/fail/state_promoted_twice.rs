//! The state of an arena is one arena's, once.
use alloc_arena::Arena;

fn main() {
    let (state, _) = Arena::new().into_state();
    let first = state.promote_global();
    let second = state.promote_global(); //~ E0382
    println!("{first:?} {second:?}");
}
