//! Faults of unsafe Rust that uses std's own allocator: one at a time, by name. Without a name it lists
//! them. Comments say what a report must hold, as in the C files beside this one.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::{CString, c_char};
use std::hint::black_box;
use std::mem::ManuallyDrop;
use std::rc::Rc;

unsafe extern "C" {
    fn strlen(text: *const c_char) -> usize;
    fn free(block: *mut u8);
}

fn vec_owned_twice() {
    // case block 100, offset 0
    let mut one = ManuallyDrop::new(vec![1u8; 100]); // alloc
    let start = black_box(one.as_mut_ptr());
    // SAFETY: what breaks the contract is what this case shows.
    drop(unsafe { Vec::from_raw_parts(start, 100, 100) }); // free
    // SAFETY: what breaks the contract is what this case shows.
    drop(unsafe { Vec::from_raw_parts(start, 100, 100) }); // at
}
fn pointer_before_push() {
    // case block 40, offset 0
    let mut numbers = vec![1u32; 10]; // alloc
    let first = black_box(numbers.as_mut_ptr());
    numbers.reserve_exact(100_000); // free
    // SAFETY: what breaks the contract is what this case shows.
    unsafe { first.write_volatile(7) }; // at
    black_box(numbers);
}
fn text_of_temporary() {
    // case block 42, offset 0
    let text =
        black_box(CString::new("a C string whose owner is a temporary one").unwrap().as_ptr()); // free
    // SAFETY: what breaks the contract is what this case shows.
    black_box(unsafe { strlen(text) }); // at
}
fn slice_of_dropped() {
    // case block 800000, offset 400000
    let bytes = vec![1u8; 800_000]; // alloc
    // SAFETY: as the functions ask.
    let slice = unsafe { std::slice::from_raw_parts(black_box(bytes.as_ptr()), 800_000) };
    drop(bytes); // free
    // SAFETY: what breaks the contract is what this case shows.
    black_box(unsafe { (&raw const slice[400_000]).read_volatile() }); // at
}
fn unchecked_index() {
    // case block 32, offset 32
    let mut bytes = vec![1u8; 32]; // alloc
    let index = black_box(32);
    // SAFETY: what breaks the contract is what this case shows.
    unsafe { bytes.as_mut_ptr().add(index).write_volatile(1) }; // at
    drop(black_box(bytes)); // told
}
fn index_that_wrapped() {
    // case block 32, offset -8
    let mut words = vec![1u64; 4]; // alloc
    let index = black_box(0usize).wrapping_sub(1);
    // SAFETY: what breaks the contract is what this case shows.
    unsafe { words.as_mut_ptr().wrapping_add(index).write_volatile(2) }; // at
    drop(black_box(words)); // told
}
fn copied_too_much() {
    // case block 64, offset 64
    let from = [7u8; 72];
    let mut to = vec![0u8; 64]; // alloc
    // SAFETY: what breaks the contract is what this case shows.
    unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), to.as_mut_ptr(), black_box(72)) }; // at
    drop(black_box(to)); // told
}
fn written_beyond_capacity() {
    // case block 48, offset 48
    let mut numbers: Vec<u16> = Vec::with_capacity(24); // alloc
    // SAFETY: what breaks the contract is what this case shows.
    unsafe {
        numbers.set_len(black_box(25));
        *black_box(numbers.as_mut_ptr()).add(24) = 9; // at
        numbers.set_len(24);
    }
    drop(numbers); // told
}
fn read_beyond_length() {
    // case block 64, offset 64
    let numbers = vec![1u64; 8]; // alloc
    // SAFETY: what breaks the contract is what this case shows.
    black_box(unsafe { numbers.as_ptr().add(black_box(8)).read_volatile() }); // at
}
struct Node {
    next: *mut Node,
    value: u64,
}
fn list_with_two_owners() {
    // case block 16, offset 0
    let last = Box::into_raw(Box::new(Node { next: std::ptr::null_mut(), value: 1 })); // alloc
    let heads = [Node { next: last, value: 2 }, Node { next: last, value: 3 }];
    for head in black_box(heads) {
        black_box(head.value);
        // SAFETY: what breaks the contract is what this case shows.
        drop(unsafe { Box::from_raw(head.next) }); // free, at
    }
}
fn node_used_after_removal() {
    // case block 16, offset 8
    let node = black_box(Box::into_raw(Box::new(Node { next: std::ptr::null_mut(), value: 1 }))); // alloc
    // SAFETY: what breaks the contract is what this case shows.
    drop(unsafe { Box::from_raw(node) }); // free
    // SAFETY: what breaks the contract is what this case shows.
    unsafe { (&raw mut (*node).value).write_volatile(5) }; // at
}
fn box_of_a_field() {
    // case block 16, offset 8
    let node = black_box(Box::into_raw(Box::new(Node { next: std::ptr::null_mut(), value: 1 }))); // alloc
    // SAFETY: what breaks the contract is what this case shows.
    drop(unsafe { Box::from_raw(black_box(&raw mut (*node).value)) }); // at
    // SAFETY: as the functions ask.
    drop(unsafe { Box::from_raw(node) });
}
fn box_of_a_local() {
    // case stack address
    let mut local = 5u64;
    // SAFETY: what breaks the contract is what this case shows.
    drop(unsafe { Box::from_raw(black_box(&raw mut local)) }); // at
}
fn box_of_a_static() {
    // case address in
    static NUMBER: u64 = 5;
    // SAFETY: what breaks the contract is what this case shows.
    drop(unsafe { Box::from_raw(black_box((&raw const NUMBER).cast_mut())) }); // at
}
fn box_of_a_number() {
    // case not mapped
    // SAFETY: what breaks the contract is what this case shows.
    drop(unsafe { Box::from_raw(black_box(std::ptr::without_provenance_mut::<u64>(0x1234_5670))) }); // at
}
fn entry_after_growth() {
    // case block 1000, offset 17
    let mut map: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    map.insert(1, vec![0; 1000]); // alloc
    let bytes = black_box(map.get_mut(&1).unwrap().as_mut_ptr());
    map.insert(1, Vec::new()); // free
    // SAFETY: what breaks the contract is what this case shows.
    unsafe { bytes.add(17).write_volatile(1) }; // at
}
fn freed_by_c_and_dropped() {
    // case block 300, offset 0
    let mut bytes = vec![1u8; 300]; // alloc
    // SAFETY: what breaks the contract is what this case shows.
    unsafe { free(black_box(bytes.as_mut_ptr())) }; // free
    drop(bytes); // at
}
fn shared_by_threads() {
    // case block 70000, offset 0
    let raw = Box::into_raw(Box::new([1u8; 70_000])).expose_provenance(); // alloc
    let take = move || {
        let bytes = std::ptr::with_exposed_provenance_mut::<[u8; 70_000]>(raw);
        // SAFETY: what breaks the contract is what this case shows.
        drop(unsafe { Box::from_raw(bytes) }); // free, at
    };
    let threads = [std::thread::spawn(take), std::thread::spawn(take)];
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}
struct Cyclic {
    own: RefCell<Option<Rc<Cyclic>>>,
    _bytes: [u8; 96],
}
fn lost_cycle_of_one() {
    // case lost 128
    let own = Rc::new(Cyclic { own: RefCell::new(None), _bytes: [0; 96] }); // alloc
    *own.own.borrow_mut() = Some(Rc::clone(&own));
}
fn lost_by_unwinding() {
    // case lost 200
    let caught = std::panic::catch_unwind(|| {
        let raw = black_box(Box::into_raw(Box::new([1u8; 200]))); // alloc
        std::panic::resume_unwind(Box::new(black_box(raw).is_null()));
    });
    assert!(caught.is_err());
}
fn lost_texts() {
    // case lost 60, indirect 0
    for i in 0..3 {
        let text = CString::new(format!("text number {i:07}")).expect("no zero"); // alloc
        black_box(text.into_raw()); // alloc
    }
}

/// The cases by name.
macro_rules! cases {
    ($($name:ident)+) => { [$((stringify!($name), $name as fn())),+] };
}

fn main() {
    let cases = cases! {
        vec_owned_twice pointer_before_push text_of_temporary slice_of_dropped unchecked_index
        index_that_wrapped copied_too_much written_beyond_capacity read_beyond_length
        list_with_two_owners node_used_after_removal box_of_a_field box_of_a_local box_of_a_static
        box_of_a_number entry_after_growth freed_by_c_and_dropped shared_by_threads
        lost_cycle_of_one lost_by_unwinding lost_texts
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
