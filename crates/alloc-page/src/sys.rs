//! The operating system: one file per system, each with these functions.
//!
//! | function | returns | for |
//! | --- | --- | --- |
//! | `page_size()` | a power of two | never fails |
//! | `map(len)` | `len` bytes of zeros at a page boundary, or `None` | whole pages, not zero |
//! | `map_aligned(len, align, page)` | the same at a multiple of `align` | `page < align` |
//! | `unmap(block, len)` | whether the pages are gone | a whole block |
//! | `unmap_tail(tail, len)` | whether the memory of the pages is gone | the last pages of a block |
//! | `discard(block, len)` | – | gives physical memory back; the range stays mapped |
//! | `extend(block, old_len, new_len)` | whether the mapping now has `new_len` bytes in place | growth |
//! | `relocate(block, old_len, new_len)` | where it is now, or `None` and nothing has changed | growth |
//!
//! Lengths are in bytes, multiples of the page size. New pages are zero. None allocates, unwinds, or
//! changes `errno`.

#[cfg(unix)]
mod unix;

#[cfg(unix)]
pub(crate) use unix::{discard, extend, map, map_aligned, page_size, relocate, unmap, unmap_tail};

#[cfg(windows)]
mod windows;

#[cfg(windows)]
pub(crate) use windows::{
    discard, extend, map, map_aligned, page_size, relocate, unmap, unmap_tail,
};

#[cfg(not(any(unix, windows)))]
compile_error!("alloc-page has no file in `src/sys` for this system");
