//! libc's functions on memory and strings, checked against the heap, as a second library to preload
//! beside `alloc-preload`.
//!
//! A program that was not compiled for it says nothing of its own loads and stores. But much of what
//! goes wrong goes wrong inside `memcpy` and `strlen`, and those are calls. `alloc-check --intercept`
//! preloads this library, and each such call is compared with the blocks that it is about, before
//! the work is done.
//!
//! ```text
//!   LD_PRELOAD=liballoc_preload.so:liballoc_intercept.so ./program
//!
//!   program, libstdc++, ...
//!        │ memcpy strlen strcpy wcslen __memcpy_chk ...
//!        ▼
//!   memory, strings, wide ──── checker ────► alloc-preload: is it all in one live block?
//!        │                        ▲           (found once, by name and version)
//!        ▼                        │
//!      bytes: own loops         passed, streams, printed: strstr, fgets, snprintf, ...: the next
//!                               definition, libc's, does the work
//! ```
//!
//! # Invariants
//!
//! 1. Until the loader has called the constructor, each function only does its work: it touches no
//!    memory but its arguments' and this library's own, and calls nobody. The loader, and resolvers
//!    of other libraries, may call it before this library is relocated. What is passed on to libc is the
//!    exception: its definition is looked up.
//! 2. No function here is compiled into a call of itself: the loops are instructions written by hand
//!    or volatile reads, which no compiler takes for `memcpy` or `strlen`. A test reads the code.
//! 3. No function here calls another by its exported name; nothing allocates, waits or unwinds.
//! 4. `memcpy` is `memmove`: old programs have a `memcpy` that allows an overlap.
//! 5. A string is read no further than libc's function would, but for whole aligned vectors, which
//!    never reach into another page.
//!
//! # Drawbacks
//!
//! * Every call pays for a look at the heap's map, checked or not: preload it to find a fault.
//! * What the compiler wrote out in place of a call, and what libc does inside itself (`qsort`, `getline`,
//!   a string that `printf` prints), is not seen.
//! * What `sprintf` and `fgets` write is told when it is done.
//! * An overlap that `memcpy` does not allow is not told.
//! * Linux with glibc, x86-64 (AArch64 is written, not run).

extern crate std;

mod bytes;

// What takes names over: a test's process keeps libc's.
#[cfg(not(test))]
mod checker;
#[cfg(not(test))]
mod next;
#[cfg(not(test))]
mod memory;
#[cfg(not(test))]
mod strings;
#[cfg(not(test))]
mod passed;
#[cfg(all(not(test), target_arch = "x86_64"))]
mod printed;
#[cfg(not(test))]
mod streams;
#[cfg(not(test))]
mod wide;
#[cfg(not(test))]
mod fortified;
