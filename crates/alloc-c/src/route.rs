//! Which C function serves a request. Arithmetic only.
#![forbid(unsafe_code)]

use core::alloc::Layout;

/// The alignment that every block of `malloc` has, if it is large enough to hold such a type: that of
/// C's `max_align_t`, which the libc crate does not have for every system. Two pointers is what they all
/// align to, and what Rust's standard library relies on; a system that aligns to more loses nothing but a
/// detour.
pub(crate) const ALIGN_MAX: usize = 2 * size_of::<*const ()>();

/// How a request is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// By `malloc`, `calloc` or `realloc` with its own size.
    Plain(usize),
    /// By the same with this many bytes, at least the alignment.
    Padded(usize),
    /// By the function that takes an alignment.
    Aligned,
}

/// The alignment that every block of `malloc` has, however small: a pointer's. C asks for it of sizes from
/// a pointer's on; for smaller ones compilers rely on it (GCC's `MALLOC_ABI_ALIGNMENT` is a word), and so
/// does every `malloc` that keeps freed blocks in lists.
const ALIGN_ALWAYS: usize = size_of::<*const ()>();

/// Returns how a layout is served; its size is not zero.
///
/// Above a pointer's alignment `malloc` aligns for every type *that fits*: several implementations align 8
/// bytes to 8 and no more. So a size below such an alignment is rounded up to it.
#[inline]
pub(crate) const fn route(layout: Layout) -> Route {
    let (size, align) = (layout.size(), layout.align());
    if align <= ALIGN_ALWAYS {
        Route::Plain(size)
    } else if align <= ALIGN_MAX {
        Route::Padded(if size < align { align } else { size })
    } else {
        Route::Aligned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the libc crate has C's own type, `malloc` aligns to no less than for it.
    #[test]
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn malloc_aligns_to_as_much() {
        assert!(ALIGN_MAX <= align_of::<libc::max_align_t>());
        #[cfg(target_pointer_width = "64")]
        assert_eq!(ALIGN_MAX, align_of::<libc::max_align_t>());
    }

    /// Small sizes and all alignments, against the rule in words.
    #[test]
    fn route_agrees_with_its_rule() {
        for shift in 0..12 {
            let align = 1 << shift;
            for size in 1..100 {
                let expected = match route(Layout::from_size_align(size, align).unwrap()) {
                    Route::Plain(len) if align <= size_of::<usize>() => len == size,
                    Route::Plain(_) => false,
                    Route::Padded(len) => align <= ALIGN_MAX && len == size.max(align),
                    Route::Aligned => ALIGN_MAX < align,
                };
                assert!(expected, "{size} {align}");
            }
        }
    }
}
