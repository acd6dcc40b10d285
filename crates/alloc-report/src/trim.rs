//! Which frames are the machinery of allocation, or what runs before `main`: the first frame that
//! is shown is the user's.

use crate::model::{Frame, file_name};

/// Functions of C and of the loader that allocate or free for their caller.
const C_NAMES: [&str; 14] = [
    "malloc",
    "calloc",
    "realloc",
    "reallocarray",
    "free",
    "cfree",
    "posix_memalign",
    "aligned_alloc",
    "memalign",
    "valloc",
    "pvalloc",
    "malloc_usable_size",
    "free_sized",
    "free_aligned_sized",
];

/// Beginnings of the names of allocation machinery in C++ and Rust.
const PREFIXES: [&str; 38] = [
    "operator new",
    "operator delete",
    "__gnu_cxx::new_allocator",
    "__gnu_cxx::__alloc_traits",
    "std::__new_allocator",
    "std::allocator<",
    "std::allocator_traits<",
    "std::_Vector_base<",
    "std::__allocate_guarded",
    "std::__allocated_ptr",
    "__rust_alloc",
    "__rust_dealloc",
    "__rust_realloc",
    "__rdl_",
    "__rg_",
    "__rustc::__rust",
    "__rustc::__rdl_",
    "__rustc::__rg_",
    "__rustc[",
    "alloc::alloc::",
    "alloc::raw_vec::",
    "alloc::boxed::",
    "alloc::vec::",
    "alloc::string::String::",
    "alloc::string::ToString::",
    "alloc::rc::",
    "alloc::sync::",
    "alloc::slice::",
    "alloc::collections::",
    "core::alloc::",
    "core::ptr::drop_in_place",
    "core::ptr::drop_glue",
    "core::mem::drop",
    "core::clone::Clone::clone",
    "std::alloc::",
    "hashbrown::raw::",
    "alloc_core::",
    "alloc_gpa::",
];

/// Names of what calls `main`, or a thread's first function.
const RUNTIME: [&str; 11] = [
    "_start",
    "__libc_start_main",
    "__libc_start_call_main",
    "__libc_start_main_impl",
    "__libc_start_main@@GLIBC_2.34",
    "start_thread",
    "clone",
    "clone3",
    "__clone",
    "__clone3",
    "thread_start",
];

/// Beginnings of the names of what calls a Rust `main`, or a Rust thread's closure.
const RUNTIME_PREFIXES: [&str; 12] = [
    "std::rt::",
    "std::sys::backtrace::__rust_begin_short_backtrace",
    "std::sys_common::backtrace::__rust_begin_short_backtrace",
    "core::ops::function::FnOnce::call_once",
    "core::ops::function::impls::",
    "<alloc::boxed::Box<F,A> as core::ops::function::FnOnce",
    "<alloc::boxed::Box<dyn core::ops::function::FnOnce",
    "std::panicking::",
    "std::panic::",
    "<core::panic::unwind_safe::AssertUnwindSafe",
    "std::sys::thread::",
    "std::thread::",
];

/// How many frames at the inner and at the outer end are not shown. Never hides all of them.
pub(crate) fn hidden_ends<'f>(frames: impl Iterator<Item = &'f Frame> + Clone) -> (usize, usize) {
    let total = frames.clone().count();
    let inner = frames.clone().take_while(|frame| is_machinery(frame)).count();
    if inner == total {
        // Nothing but machinery: better shown than nothing, without the preload library's part.
        let own = frames.take_while(|frame| is_preload(frame)).count();
        return (if own == total { 0 } else { own }, 0);
    }
    // What runs before `main` is hidden only under a `main` or at the very outer end.
    let mut outer = 0;
    for (index, frame) in frames.enumerate() {
        // The C `main` that rustc writes only calls the runtime.
        let runtime = is_runtime(frame) || (outer > 0 && frame.function.as_deref() == Some("main"));
        outer = if runtime && index > inner { outer + 1 } else { 0 };
    }
    (inner, outer)
}

fn is_preload(frame: &Frame) -> bool {
    file_name(&frame.module).starts_with("liballoc_preload")
}

fn is_machinery(frame: &Frame) -> bool {
    is_preload(frame) || frame.function.as_deref().is_some_and(is_machinery_name)
}

fn is_machinery_name(name: &str) -> bool {
    let bare = name.split('@').next().unwrap_or(name);
    C_NAMES.contains(&bare)
        || bare.strip_prefix("__libc_").is_some_and(|rest| C_NAMES.contains(&rest))
        || PREFIXES.iter().any(|prefix| implementor(name).starts_with(prefix))
}

fn is_runtime(frame: &Frame) -> bool {
    let Some(name) = frame.function.as_deref() else { return false };
    RUNTIME.contains(&name) || RUNTIME_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// `T` of a name that begins `<T as Trait>` or `<T>`, else the name.
fn implementor(name: &str) -> &str {
    name.strip_prefix('<').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(names: &[&str]) -> Vec<Frame> {
        let frame = |name: &&str| Frame {
            function: Some((*name).to_owned()),
            file: Some("f".to_owned()),
            ..Frame::unresolved(None, 1)
        };
        names.iter().map(frame).collect()
    }

    fn shown<'n>(names: &[&'n str]) -> Vec<&'n str> {
        let (inner, outer) = hidden_ends(frames(names).iter());
        names[inner..names.len() - outer].to_vec()
    }

    /// The user's function comes first, in each language.
    #[test]
    fn machinery_is_trimmed() {
        assert_eq!(shown(&["malloc", "f", "main", "_start"]), ["f", "main"]);
        assert_eq!(shown(&["operator new(unsigned long)", "f()", "main"]), ["f()", "main"]);
        let rust = [
            "<alloc::alloc::Global as core::alloc::Allocator>::allocate",
            "alloc::raw_vec::RawVec<T,A>::grow_one",
            "alloc::vec::Vec<T,A>::push",
            "app::read",
            "app::main",
            "core::ops::function::FnOnce::call_once",
            "std::rt::lang_start",
        ];
        assert_eq!(shown(&rust), ["app::read", "app::main"]);
    }

    /// A user's function between two of the machinery stays, and a stack never becomes empty.
    #[test]
    fn users_frames_stay() {
        assert_eq!(shown(&["malloc", "f", "free", "main"]), ["f", "free", "main"]);
        assert_eq!(shown(&["malloc"]), ["malloc"]);
        assert_eq!(shown(&["malloc", "_start"]), ["_start"]);
        assert_eq!(shown(&["mallocate"]), ["mallocate"]);
        assert_eq!(shown(&[]), [""; 0]);
    }
}
