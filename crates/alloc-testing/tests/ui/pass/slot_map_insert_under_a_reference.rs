//! The handle outlives it: a reference is got anew.
use alloc_core::Global;
use alloc_pool::SlotMap;

fn main() {
    let mut map = SlotMap::over(Global);
    let handle = map.insert(1).unwrap();
    map.insert(2).unwrap();
    let value = map.get(handle);
    println!("{value:?}");
}
