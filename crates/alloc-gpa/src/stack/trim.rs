//! Cuts the allocator's own frames off a stack: the first frame shown is the user's.

use core::ops::Range;

use super::resolve::{ResolvedFrame, resolve};
use super::trace::Trace;

/// Paths of functions that stand between a user's call and the allocator.
const INTERNAL_PATHS: [&str; 12] = [
    "alloc_gpa::",
    "alloc_core::",
    "alloc_preload::",
    "alloc_testing::sentinel::",
    "alloc_testing::test_allocator::",
    "alloc_testing::failing::",
    "alloc_testing::failures::heap::",
    "allocator_api2::",
    "alloc::",
    "core::",
    "std::alloc::",
    "__rustc::",
];
/// Symbols that do.
const INTERNAL_PREFIXES: [&str; 3] = ["__rust_", "__rdl_", "__rg_"];
const INTERNAL_SYMBOLS: [&str; 14] = [
    "malloc",
    "free",
    "calloc",
    "realloc",
    "reallocarray",
    "aligned_alloc",
    "posix_memalign",
    "memalign",
    "valloc",
    "pvalloc",
    "cfree",
    "malloc_usable_size",
    "_Znwm",
    "_Znam",
];

/// Parts of the paths of source files that hold such functions: with line tables only, a function's
/// name has no path.
const INTERNAL_FILES: [&str; 7] = [
    "/library/alloc/src/",
    "/library/core/src/",
    "/library/std/src/alloc.rs",
    "alloc-gpa/src/",
    "alloc-core/src/",
    "alloc-preload/src/",
    "alloc-testing/src/sentinel",
];

/// Whether the function is not the user's, as [`is_internal`], or by its source file.
fn is_internal_frame(frame: &ResolvedFrame<'_>) -> bool {
    let file = frame.file.and_then(|file| file.to_str()).unwrap_or("");
    frame.function.is_some_and(is_internal)
        || INTERNAL_FILES.iter().any(|internal| file.contains(internal))
        // As a registry unpacks it.
        || file.contains(concat!("/alloc-gpa-", env!("CARGO_PKG_VERSION"), "/src/"))
        || file.contains(concat!("/alloc-core-", env!("CARGO_PKG_VERSION"), "/src/"))
}

/// Whether the function belongs to an allocator or to the parts of the standard library that call
/// one for the user: `malloc`, `alloc_gpa::…`, `<alloc::vec::Vec<T> as …>::…`, …
pub(crate) fn is_internal(function: &str) -> bool {
    if let Some(inner) = function.strip_prefix('<') {
        // `<Type as Trait>::method`, or `<Type>::method`: the type decides. A type without a path
        // (`T`, `[T]`, `str`) has its method from the trait's crate.
        let (own, of) = inner.split_once(" as ").unwrap_or((inner, ""));
        let own = own.trim_start_matches(['&', '[', '(', '*']).trim_start_matches("mut ");
        let plain = !own.contains("::");
        return is_internal_path(own) || (plain && is_internal_path(of));
    }
    is_internal_path(function)
        || INTERNAL_PREFIXES.iter().any(|prefix| function.starts_with(prefix))
        || INTERNAL_SYMBOLS.contains(&function)
}

fn is_internal_path(path: &str) -> bool {
    INTERNAL_PATHS.iter().any(|internal| path.starts_with(internal))
}

/// Resolves the stack and gives each function to `each` with its return address: from the user's
/// first on, up to where the standard library called the program or thread; all of them if none is
/// the user's. A frame without a symbol is given without names.
pub(crate) fn for_each_frame(trace: &Trace, each: &mut dyn FnMut(usize, ResolvedFrame<'_>)) {
    let shown = users_functions(trace);
    let mut index = 0;
    for_each(trace, &mut |pc, frame| {
        if shown.contains(&index) {
            each(pc, frame);
        }
        index += 1;
    });
}

/// Returns which functions, inlined ones counted, lie from the user's first to the user's last.
fn users_functions(trace: &Trace) -> Range<usize> {
    let (mut count, mut first, mut end) = (0, None, None);
    for_each(trace, &mut |_, frame| {
        let nameless = frame.function.is_none() && frame.file.is_none();
        if first.is_none() && (nameless || !is_internal_frame(&frame)) {
            first = Some(count);
        }
        if end.is_none() && frame.function.is_some_and(is_start) {
            end = Some(count);
        }
        count += 1;
    });
    match (first, end.unwrap_or(count)) {
        (Some(first), end) if first < end => first..end,
        _ => 0..count,
    }
}

/// Whether the standard library's way to `main`, or to a thread's first function, begins here.
fn is_start(function: &str) -> bool {
    function.contains("__rust_begin_short_backtrace")
}

/// Gives every function of the stack, without names where there is no symbol.
fn for_each(trace: &Trace, each: &mut dyn FnMut(usize, ResolvedFrame<'_>)) {
    for pc in trace.as_slice() {
        let mut named = false;
        resolve(*pc, &mut |frame| {
            named = true;
            each(*pc, frame);
        });
        if !named {
            each(*pc, ResolvedFrame { function: None, file: None, line: None });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{is_internal, is_start};

    #[test]
    fn the_way_to_main_is_known() {
        assert!(is_start("std::sys::backtrace::__rust_begin_short_backtrace::<fn(), ()>"));
        assert!(!is_start("leaky::main"));
    }

    /// What is cut off, and what is not.
    #[test]
    fn internal_functions_are_known() {
        for internal in [
            "malloc",
            "_Znwm",
            "__rust_alloc",
            "__rustc::__rust_alloc",
            "alloc_gpa::heap::Heap::alloc",
            "<alloc_gpa::Global as core::alloc::global::GlobalAlloc>::alloc",
            "alloc::alloc::alloc",
            "alloc::raw_vec::RawVec<T,A>::grow_one",
            "<alloc::boxed::Box<T> as core::clone::Clone>::clone",
            "<T as alloc::string::ToString>::to_string",
            "<[T] as alloc::slice::hack::ConvertVec>::to_vec",
            "core::ptr::drop_in_place<alloc::boxed::Box<i32>>",
        ] {
            assert!(is_internal(internal), "{internal}");
        }
        for user in [
            "main",
            "mallocate",
            "my_crate::alloc::make",
            "<my_crate::Thing as core::clone::Clone>::clone",
            "<my_crate::Thing>::new",
            "std::thread::Builder::spawn",
        ] {
            assert!(!is_internal(user), "{user}");
        }
    }
}
