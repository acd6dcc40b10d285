//! Bytes at an offset are freed after they were read.
use alloc_fixed::BitmapHeap;

fn main() {
    let mut block = [0; 512];
    let mut heap = BitmapHeap::<16>::format(&mut block).unwrap();
    let offset = heap.dupe(b"bytes").unwrap();
    let bytes = heap.bytes(offset).unwrap();
    println!("{bytes:?}");
    heap.free(offset).unwrap();
}
