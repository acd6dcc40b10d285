//! A string that an interner keeps is used after the interner is gone.
use alloc_core::Global;
use alloc_pool::Interner;

fn main() {
    let mut names = Interner::over(Global);
    let main = names.intern("main").unwrap();
    let text = names.resolve(main);
    drop(names); //~ E0505
    println!("{text:?}");
}
