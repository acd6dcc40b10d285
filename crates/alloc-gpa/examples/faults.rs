//! One fault at a time, of those that unsafe Rust can commit, under the checking allocator: run it with
//! `cargo run -p alloc-gpa --example faults twice`. Without a name it lists its cases.
//!
//! The test `corpus` of `alloc-preload` runs all of them. Comments say what a report must hold, as in the
//! C files beside that test.

use std::alloc::{Layout, alloc, dealloc, realloc};
use std::cell::RefCell;
use std::hint::black_box;
use std::mem::ManuallyDrop;
use std::rc::Rc;

use alloc_core::Allocator;

#[global_allocator]
static ALLOC: alloc_gpa::Global = alloc_gpa::Global::new();

static OTHER: alloc_gpa::Gpa = alloc_gpa::Gpa::builder().quiet().build();

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).expect("a layout")
}

/// Frees an address, right or wrong.
#[inline(always)]
fn free(block: *mut u8, size: usize, align: usize) {
    // SAFETY: the allocator says what happens for every address and layout: that is what is shown.
    unsafe { dealloc(black_box(block), layout(size, align)) };
}

/// Takes a block.
#[inline(always)]
fn take(size: usize) -> *mut u8 {
    // SAFETY: the size is not zero.
    black_box(unsafe { alloc(layout(size, 8)) })
}

/// Writes a byte, inside or outside of a block.
#[inline(always)]
fn poke(block: *mut u8, offset: isize) {
    // SAFETY: none; where it is wrong, the allocator says so. The address is mapped, or it traps.
    unsafe { black_box(block).wrapping_offset(offset).write_volatile(1) };
}

/// Reads a byte, inside or outside of a block.
#[inline(always)]
fn peek(block: *mut u8, offset: isize) {
    // SAFETY: as for `poke`.
    black_box(unsafe { black_box(block).wrapping_offset(offset).read_volatile() });
}

struct Node {
    next: RefCell<Option<Rc<Node>>>,
    _bytes: [u8; 40],
}

fn lost_cycle() {
    // case
    let node = || Rc::new(Node { next: RefCell::new(None), _bytes: [0; 40] }); // alloc
    let (a, b) = (node(), node());
    *a.next.borrow_mut() = Some(Rc::clone(&b));
    *b.next.borrow_mut() = Some(a);
}
fn lost_forgotten() {
    // case lost 1000
    let _forgotten = ManuallyDrop::new(vec![1u8; 1000]); // alloc
}
fn lost_box_leaked() {
    // case lost 256
    black_box(Box::leak(Box::new([1u8; 256]))); // alloc
}
fn lost_into_raw() {
    // case lost 8
    black_box(Box::into_raw(Box::new(5u64))); // alloc
}
fn lost_in_thread() {
    // case lost 300
    let leak = || _ = black_box(ManuallyDrop::new(vec![1u8; 300])); // alloc
    std::thread::spawn(leak).join().expect("no panic");
}
fn lost_by_set_len() {
    // case lost 30
    let mut texts = vec![String::from("a text that is thirty bytes on")]; // alloc
    // SAFETY: fewer elements than there are; the text is lost, which is no undefined behaviour.
    unsafe { texts.set_len(0) };
}
fn twice() {
    // case block 100, offset 0
    let block = take(100); // alloc
    free(block, 100, 8); // free
    free(block, 100, 8); // at
}
fn twice_by_boxes() {
    // case block 8, offset 0
    let raw = Box::into_raw(Box::new(7u64)); // alloc
    // SAFETY: the first is right, the second frees again.
    drop(unsafe { Box::from_raw(black_box(raw)) }); // free
    // SAFETY: as above.
    drop(unsafe { Box::from_raw(black_box(raw)) }); // at
}
fn twice_by_threads() {
    // case block 64, offset 0
    let block = take(64).expose_provenance(); // alloc
    let free_it = move || free(std::ptr::with_exposed_provenance_mut(block), 64, 8); // free, at
    std::thread::spawn(free_it).join().expect("no panic");
    std::thread::spawn(free_it).join().expect("no panic");
}
fn inside() {
    // case block 100, offset 16
    let block = take(100); // alloc
    free(block.wrapping_add(16), 84, 8); // at
    free(block, 100, 8);
}
fn on_stack() {
    // case stack address
    let mut local = [0u64; 4];
    free(local.as_mut_ptr().cast(), 32, 8); // at
}
fn on_static() {
    // case address in
    static BYTES: [u64; 4] = [1; 4];
    free(BYTES.as_ptr().cast_mut().cast(), 32, 8); // at
}
fn of_other_gpa() {
    // case block 100
    let block = OTHER.raw_alloc(layout(100, 8)).expect("memory").as_ptr(); // alloc
    free(block, 100, 8); // at
}
fn wrong_size() {
    // case block 100, offset 0
    let block = take(100); // alloc
    free(block, 99, 8); // at
}
fn wrong_align() {
    // case block 100, offset 0
    let block = take(100); // alloc
    free(block, 100, 16); // at
}
fn wrong_capacity() {
    // case block 100, offset 0
    let mut bytes = ManuallyDrop::new(black_box(Vec::<u8>::with_capacity(100))); // alloc
    // SAFETY: the capacity is wrong, which the free shows.
    drop(unsafe { Vec::from_raw_parts(bytes.as_mut_ptr(), 0, 50) }); // at
}
fn wrong_element() {
    // case block 100, offset 0
    let mut bytes = ManuallyDrop::new(black_box(Vec::<u8>::with_capacity(100))); // alloc
    // SAFETY: the alignment is wrong, which the free shows.
    drop(unsafe { Vec::<u32>::from_raw_parts(bytes.as_mut_ptr().cast(), 0, 25) }); // at
}
fn realloc_freed() {
    // case block 100, offset 0
    let block = take(100); // alloc
    free(block, 100, 8); // free
    // SAFETY: the allocator says what happens.
    black_box(unsafe { realloc(black_box(block), layout(100, 8), 200) }); // at
}
fn realloc_wrong_size() {
    // case block 100, offset 0
    let block = take(100); // alloc
    // SAFETY: the allocator says what happens.
    black_box(unsafe { realloc(black_box(block), layout(60, 8), 5000) }); // alloc, at
}
fn write_freed() {
    // case block 100, offset 40
    let block = take(100); // alloc
    free(block, 100, 8); // free
    poke(block, 40); // at
}
fn read_freed() {
    // case block 100, offset 40
    let block = take(100); // alloc
    free(block, 100, 8); // free
    peek(block, 40); // at
}
fn read_freed_large() {
    // case block 2000000, offset 40
    let block = take(2_000_000); // alloc
    free(block, 2_000_000, 8); // free
    peek(block, 40); // at
}
fn read_grown_vec() {
    // case block 2000000, offset 7
    let mut bytes = vec![1u8; 2_000_000]; // alloc
    let old = bytes.as_mut_ptr();
    bytes.reserve_exact(20_000_000); // free
    peek(old, 7); // at
}
fn past() {
    // case block 13, offset 13
    let block = take(13); // alloc
    poke(block, 13); // at
    free(block, 13, 8); // told
}
fn past_vec() {
    // case block 40, offset 40
    let mut numbers = vec![1u32; 10]; // alloc
    poke(numbers.as_mut_ptr().cast(), 40); // at
    drop(numbers); // told
}
fn past_kept() {
    // case block 24, offset 24
    let block = ManuallyDrop::new(vec![1u8; 24]); // alloc
    KEPT.store(block.as_ptr().cast_mut(), std::sync::atomic::Ordering::Relaxed);
    poke(block.as_ptr().cast_mut(), 24); // at
}
fn before() {
    // case block 40, offset -1
    let block = take(40); // alloc
    poke(block, -1); // at
    free(block, 40, 8); // told
}
fn read_past() {
    // case block 104, offset 104
    let block = take(104); // alloc
    peek(block, 104); // at
    free(block, 104, 8);
}

static KEPT: std::sync::atomic::AtomicPtr<u8> =
    std::sync::atomic::AtomicPtr::new(std::ptr::null_mut());

/// The cases by name.
macro_rules! cases {
    ($($name:ident)+) => { [$((stringify!($name), $name as fn())),+] };
}

fn main() {
    let cases = cases! {
        lost_cycle lost_forgotten lost_box_leaked lost_into_raw lost_in_thread lost_by_set_len twice
        twice_by_boxes twice_by_threads inside on_stack on_static of_other_gpa wrong_size wrong_align
        wrong_capacity wrong_element realloc_freed realloc_wrong_size write_freed read_freed
        read_freed_large read_grown_vec past past_vec past_kept before read_past
    };
    let wanted = std::env::args().nth(1);
    for (name, case) in cases {
        if wanted.is_none() {
            println!("{name}");
        } else if wanted.as_deref() == Some(name) {
            case();
            wipe();
            println!("ended");
        }
    }
}

/// Overwrites what is left of pointers on the stack.
#[inline(never)]
fn wipe() {
    black_box([0u8; 65536]);
}
