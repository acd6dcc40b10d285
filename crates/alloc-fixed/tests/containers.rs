//! Containers of other crates take a fixed buffer.
#![cfg(feature = "allocator-api2-02")]

use allocator_api2_02::vec::Vec;

use alloc_fixed::{FixedBuffer, StackBuffer};
use hashbrown::HashMap;

/// A map and a list without a heap; the list is full in good order.
#[test]
fn a_map_and_a_list_in_a_buffer() {
    let mut buffer = StackBuffer::<4096>::new();
    let fixed = FixedBuffer::new(&mut buffer);
    let mut map = HashMap::new_in(&fixed);
    map.extend((0..50u32).map(|i| (i, i * i)));
    assert_eq!(map[&7], 49);
    let mut list = Vec::new_in(&fixed);
    while list.try_reserve(1).is_ok() {
        list.push(1u8);
    }
    assert!(100 < list.len() && fixed.used() <= 4096);
    assert!(map.try_reserve(10_000).is_err());
    drop(list);
    drop(map);
    assert_eq!(fixed.used(), 0, "freed in reverse: nothing is left");
}
