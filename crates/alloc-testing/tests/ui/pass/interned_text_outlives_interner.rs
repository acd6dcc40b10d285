//! The interner goes last.
use alloc_core::Global;
use alloc_pool::Interner;

fn main() {
    let mut names = Interner::over(Global);
    let main = names.intern("main").unwrap();
    let text = names.resolve(main);
    println!("{text:?}");
    drop(names);
}
