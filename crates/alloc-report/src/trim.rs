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

/// Beginnings of the names of what stands between a user's function and the allocator's entry: the
/// standard library in C++, the standard library and the allocators' own crates in Rust.
const PREFIXES: [&str; 16] = [
    "__gnu_cxx::",
    "std::",
    // The same where the demangler gave up.
    "_ZSt",
    "_ZNSt",
    "_ZNKSt",
    "_ZN9__gnu_cxx",
    "core::",
    "alloc::",
    "hashbrown::",
    "allocator_api2::",
    "__rust_",
    "__rdl_",
    "__rg_",
    "__rustc",
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

/// Beginnings of the names of what only a Rust program's, thread's or test's begin calls: all that lies
/// outward is the runtime's, whatever its names.
const BEGIN_PREFIXES: [&str; 3] = [
    "std::sys::backtrace::__rust_begin_short_backtrace",
    "std::sys_common::backtrace::__rust_begin_short_backtrace",
    "test::__rust_begin_short_backtrace",
];

/// Beginnings of the names of what calls a Rust `main`, or a Rust thread's closure.
const RUNTIME_PREFIXES: [&str; 10] = [
    "std::rt::",
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
    let begin = frames.clone().position(is_begin).unwrap_or(total);
    let program = frames.clone().take(begin);
    let mut inner = program.clone().take_while(|frame| is_machinery(frame)).count();
    // The `main` that rustc writes is no user's; C's and C++'s is.
    let in_rust = program.clone().any(is_rust_runtime);
    if program.clone().skip(inner).all(|frame| is_runtime(frame) || (in_rust && is_main(frame))) {
        // No user's function: the runtime allocates for itself, so its functions are of interest.
        inner = program.take_while(|frame| is_entry(frame)).count();
    }
    if inner == total {
        return (0, 0);
    }
    let (mut outer, mut begun) = (0, false);
    for (index, frame) in frames.enumerate() {
        begun |= index > inner && is_begin(frame);
        // The C `main` that rustc writes only calls the runtime.
        let hidden = begun || is_runtime(frame) || (outer > 0 && is_main(frame));
        outer = if hidden && index > inner { outer + 1 } else { 0 };
    }
    (inner, outer)
}

/// Whether glibc or Rust begins a program or a thread there: what lies outward may have no name.
fn is_begin(frame: &Frame) -> bool {
    let begins = |name: &str| {
        name.starts_with("__libc_start_")
            || name == "start_thread"
            || BEGIN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    };
    frame.function.as_deref().is_some_and(begins)
}

fn is_rust_runtime(frame: &Frame) -> bool {
    frame.function.as_deref().is_some_and(|name| name.starts_with("std::rt::"))
}

fn is_main(frame: &Frame) -> bool {
    frame.function.as_deref() == Some("main")
}

/// Whether it is where a program enters the allocator.
fn is_entry(frame: &Frame) -> bool {
    is_preload(frame) || frame.function.as_deref().is_some_and(is_entry_name)
}

fn is_entry_name(name: &str) -> bool {
    let bare = name.split('@').next().unwrap_or(name);
    C_NAMES.contains(&bare)
        || bare.strip_prefix("__libc_").is_some_and(|rest| C_NAMES.contains(&rest))
        || name.starts_with("operator new")
        || name.starts_with("operator delete")
}

fn is_preload(frame: &Frame) -> bool {
    let file = file_name(&frame.module);
    file.starts_with("liballoc_preload") || file.starts_with("liballoc_intercept")
}

fn is_machinery(frame: &Frame) -> bool {
    is_preload(frame) || frame.function.as_deref().is_some_and(is_machinery_name)
}

fn is_machinery_name(name: &str) -> bool {
    let of_library = |candidate: &str| PREFIXES.iter().any(|prefix| candidate.starts_with(prefix));
    is_entry_name(name) || candidates(name).into_iter().any(of_library)
}

fn is_runtime(frame: &Frame) -> bool {
    let Some(name) = frame.function.as_deref() else { return false };
    // glibc's internal alias of an exported function.
    let name = name.strip_prefix("__GI_").unwrap_or(name);
    RUNTIME.contains(&name)
        || is_begin(frame)
        || RUNTIME_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The parts of a name that may say where it belongs: of Rust's `<T as Trait>::f` the `T`, and the
/// trait if it is one of crate `alloc`; of a C++ template the name without its return type.
fn candidates(name: &str) -> [&str; 2] {
    if let Some(rest) = name.strip_prefix('<') {
        let of_alloc = rest.find(" as alloc::").map(|at| &rest[at + " as ".len()..]);
        return [rest, of_alloc.unwrap_or(rest)];
    }
    [name, without_return_type(name)]
}

/// `void a::b<c d>(e)` without `void `.
fn without_return_type(name: &str) -> &str {
    let (mut depth, mut start) = (0_u32, 0);
    for (index, byte) in name.bytes().enumerate() {
        match byte {
            b'<' => depth += 1,
            b'>' => depth = depth.saturating_sub(1),
            b' ' if depth == 0 => start = index + 1,
            b'(' if depth == 0 => return &name[start..],
            _ => {}
        }
    }
    name
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
        let traits = ["<alloc::vec::Vec<u8>>::push", "<T as alloc::string::ToString>::to_string"];
        assert_eq!(
            shown(&[traits[0], traits[1], "<app::T as core::clone::Clone>::clone"]).len(),
            1
        );
        let template = "void std::vector<int, std::allocator<int> >::_M_realloc_insert<int>(int&&)";
        assert_eq!(shown(&["operator new(unsigned long)", template, "int f<std::x>(y)"]).len(), 1);
    }

    /// C++'s `main` is a user's function: what it calls of the standard library is cut away.
    #[test]
    fn main_of_cxx_comes_first() {
        let vector = [
            "operator new(unsigned long)",
            "std::__new_allocator<int>::allocate(unsigned long, void const*)",
            "void std::vector<int, std::allocator<int> >::_M_realloc_insert<int>(int&&)",
            "_ZSt11make_sharedI1NJEESt10shared_ptrINSt9enable_ifIXntsrSt8is_arrayIT_E5valueES4_E4typeEEDpOT0_",
            "main",
            "__libc_start_call_main",
            "_start",
        ];
        assert_eq!(shown(&vector), ["main"]);
        // Before `main`, the library works for itself.
        let pool = ["malloc", "std::pool::pool()", "_GLOBAL__sub_I_eh_alloc.cc", "call_init"];
        assert_eq!(shown(&pool)[0], "_GLOBAL__sub_I_eh_alloc.cc");
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

    /// What calls a Rust `main`, thread or test is cut, also where the stack was not recorded to its end.
    #[test]
    fn rust_begins_are_trimmed() {
        let begin = "std::sys::backtrace::__rust_begin_short_backtrace";
        let main = [
            "malloc",
            "app::f",
            "app::main",
            "core::ops::function::FnOnce::call_once",
            begin,
            "std::rt::lang_start::{{closure}}",
            "<&dyn core::ops::function::Fn<(), Output = i32> as core::ops::function::FnOnce<()>>::call_once",
        ];
        assert_eq!(shown(&main), ["app::f", "app::main"]);
        let thread = [
            "malloc",
            "app::main::{{closure}}",
            begin,
            "std::thread::lifecycle::spawn_unchecked::{{closure}}::{{closure}}",
            "__rust_try",
            "<std::sys::thread::unix::Thread>::new::thread_start",
        ];
        assert_eq!(shown(&thread), ["app::main::{{closure}}"]);
        let test =
            ["malloc", "app::tests::t", "test::__rust_begin_short_backtrace", "test::run_test"];
        assert_eq!(shown(&test), ["app::tests::t"]);
        // The runtime's own block.
        assert_eq!(shown(&["malloc", "std::thread::spawn", begin, "x"]), ["std::thread::spawn"]);
    }

    /// What the runtime allocates for itself is shown as such.
    #[test]
    fn runtimes_own_frames_stay() {
        let start = ["malloc", "alloc::sync::Arc<T>::new", "std::rt::init", "main", "_start"];
        assert_eq!(shown(&start), ["alloc::sync::Arc<T>::new"]);
        assert_eq!(shown(&["malloc", "main", "_start"]), ["main"]);
        // A program without symbols: its own begin has no name.
        assert_eq!(shown(&["malloc", "f", "__libc_start_main_impl", "?"]), ["f"]);
    }
}
