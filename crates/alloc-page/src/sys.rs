//! The operating system: one file per system, each with these functions.
//!
//! | function | returns | for |
//! | --- | --- | --- |
//! | `page_size()` | a power of two | never fails |
//! | `map(len)` | bytes of zeros at a page boundary, or `None` | any length; zero is refused |
//! | `map_placed(place, page)` | the same, a place in it aligned | whole pages |
//! | `map_huge(len)` | the same in pages of 2 MiB, or `None` | multiples of 2 MiB |
//! | `map_secret(place, page)` | as `map_placed`, locked and in no dump | whole pages |
//! | `advise_huge(start, len)` | – | a wish for large pages |
//! | `unmap(start, len)` | whether the pages are gone | a whole block |
//! | `unmap_tail(tail, len)` | whether the memory of the pages is gone | the last pages of a block |
//! | `discard(block, len)` | – | gives physical memory back; the range stays mapped |
//! | `extend(block, old_len, new_len)` | whether the mapping now has `new_len` bytes in place | growth |
//! | `relocate(block, old_len, new_len)` | where it is now, or `None` and nothing has changed | growth |
//! | `relocate_placed(block, old_len, place, page)` | the same, aligned if it moved | growth |
//! | `reserve(place, page)` | addresses without memory, a place in it aligned | whole pages |
//! | `commit(start, len)` | whether there is memory now, zero where there was none | of a reservation |
//! | `zero(start, len)` | whether it was given back, and reads as zeros | committed pages |
//! | `decommit(start, len)` | whether it was given back, and traps | of a reservation |
//! | `hide_from_dumps(start, len)` | an error's number | whole pages |
//! | `lock_all()`, `limit_address_space(len)` | an error's number | the process |
//!
//! Lengths are in bytes; all but that of `map` and `unmap` are multiples of the page size. New pages are
//! zero. None allocates, unwinds, or changes `errno`.

#[cfg(unix)]
mod unix;

#[cfg(unix)]
pub(crate) use unix::{
    advise_huge, commit, decommit, discard, extend, hide_from_dumps, limit_address_space, lock_all,
    map, map_huge, map_placed, map_secret, page_size, relocate, relocate_placed, reserve, unmap,
    unmap_tail, zero,
};

#[cfg(windows)]
mod windows;

#[cfg(all(target_os = "linux", feature = "file"))]
pub(crate) use unix::file_may_have;
#[cfg(windows)]
pub(crate) use windows::{
    advise_huge, commit, decommit, discard, extend, hide_from_dumps, limit_address_space, lock_all,
    map, map_huge, map_placed, map_secret, page_size, relocate, relocate_placed, reserve, unmap,
    unmap_tail, zero,
};

#[cfg(not(any(unix, windows)))]
compile_error!("alloc-page has no file in `src/sys` for this system");

#[cfg(all(test, target_os = "linux"))]
pub(crate) mod watch;
#[cfg(all(test, target_os = "linux"))]
mod tests;
