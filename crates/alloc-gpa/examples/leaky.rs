//! A program that leaks in two ways, under the checking allocator: run it with
//! `cargo run -p alloc-gpa --example leaky`, and both places are told when it exits.

use std::cell::RefCell;
use std::rc::Rc;

#[global_allocator]
static ALLOC: alloc_gpa::Global = alloc_gpa::Global::new();

/// A page of a book that knows the page on its other side.
struct Page {
    _text: [u8; 100],
    back: RefCell<Option<Rc<Page>>>,
}

impl Page {
    fn new() -> Rc<Self> {
        Rc::new(Self { _text: [0; 100], back: RefCell::new(None) }) // leaks: a cycle
    }
}

/// Makes two pages that keep each other alive.
fn make_cycle() {
    let front = Page::new();
    let back = Page::new();
    *front.back.borrow_mut() = Some(Rc::clone(&back));
    *back.back.borrow_mut() = Some(front);
}

/// Forgets a buffer.
#[expect(clippy::mem_forget, reason = "the leak is what this example shows")]
fn forget_buffer() {
    let buffer = vec![7u8; 1000]; // leaks: forgotten
    std::mem::forget(buffer);
}

/// Leaks in both ways.
pub(crate) fn leak() {
    make_cycle();
    forget_buffer();
    println!("done");
}

fn main() {
    leak();
}
