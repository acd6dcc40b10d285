//! Taken apart again, it can be promoted again.
use alloc_arena::Arena;

fn main() {
    let (state, _) = Arena::new().into_state();
    let first = state.promote_global();
    let second = first.into_state().0.promote_global();
    println!("{second:?}");
}
