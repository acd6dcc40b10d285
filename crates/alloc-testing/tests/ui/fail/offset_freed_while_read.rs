//! Bytes at an offset are not freed while somebody reads them.
use alloc_fixed::BitmapHeap;

fn main() {
    let mut block = [0; 512];
    let mut heap = BitmapHeap::<16>::format(&mut block).unwrap();
    let offset = heap.dupe(b"bytes").unwrap();
    let bytes = heap.bytes(offset).unwrap();
    heap.free(offset).unwrap(); //~ E0502
    println!("{bytes:?}");
}
