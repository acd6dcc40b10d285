//! An insertion may move every value while one of them is borrowed.
use alloc_core::Global;
use alloc_pool::SlotMap;

fn main() {
    let mut map = SlotMap::over(Global);
    let handle = map.insert(1).unwrap();
    let value = map.get(handle);
    map.insert(2).unwrap(); //~ E0502
    println!("{value:?}");
}
