//! Collections for a `static`: what is put in stays where it is for as long as the collection, and
//! needs no lock to be read. An empty one is all zeros, so it lies in `.bss` and takes no room in the
//! file.

mod list;
mod map;
mod strings;

pub use list::StaticList;
pub use map::{Fnv, Lookup, MapFull, StaticMap};
pub use strings::StaticStrings;
