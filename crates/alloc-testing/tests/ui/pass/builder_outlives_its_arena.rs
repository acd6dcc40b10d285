//! A builder gives its block back by the arena that it was made by, so it does not outlive that.
use alloc_arena::SharedArena;

fn main() {
    let shared = SharedArena::new();
    let text;
    {
        let local = shared.local();
        text = local.build_str().finish();
    }
    assert_eq!(text, "");
}
