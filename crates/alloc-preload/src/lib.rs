//! The malloc family over the workspace's allocators, as a library to preload: any program that is
//! linked dynamically runs on them, without a change and without a compiler.
//!
//! ```text
//!   LD_PRELOAD=liballoc_preload.so ALLOC_PRELOAD=gpa ./program
//!
//!   program, libc, libstdc++, ...
//!        │  malloc free realloc ...      │  operator new, delete
//!        ▼                               ▼
//!     exports ── which strategy? ──── operators ─── the program has some of its own? ─► libstdc++'s
//!        │            │
//!        │         decided   once, at the first call: the variable, AT_SECURE, the program's malloc
//!        ▼
//!     family<A: UnsizedFree>             C's rules: errno, zero sizes, alignments, overflow
//!        ├─ Checked ─► alloc_gpa::ProcessHeap       `gpa`: finds misuse and leaks
//!        │     └─ foreign                           the loader's early blocks, left alone
//!        └─ GLIBC ───► __libc_malloc, ...           `c`: as without this library
//! ```
//!
//! The settings of `gpa` are in `ALLOC_GPA`; see `alloc-gpa`. Most people call this library through
//! `alloc-check`, which loads it into a program and prints what it found.
//!
//! # Invariants
//!
//! 1. What this library's own code allocates comes from [`alloc_gpa::SideHeap`], never from the names
//!    that it exports: it cannot call itself.
//! 2. The strategy never changes once it is decided, so a block goes back to the heap it came from.
//! 3. All forms of C++'s operators are answered here, over the heap of the C functions, or none is:
//!    no block of one library's `new` reaches another's `delete`.
//! 4. No export unwinds, but those of C++'s operators that throw, and calls of libc that are
//!    cancellation points; these and their callees here hold nothing that needs dropping.
//! 5. No address that a program gives is trusted under `gpa`: what is no live block is told.
//!
//! # Drawbacks
//!
//! * glibc on Linux, x86-64 (AArch64 is written, not run). Programs that are linked statically, gain
//!   rights, or bring their own malloc are not reached; the last kind is told in one line.
//! * Under `gpa` no address is handed out twice, so address space only grows: under a limit such as
//!   `ulimit -v`, memory that was freed does not come back.
//! * Calls that the compiler removed, and blocks that a program takes from `mmap` itself, are unseen.

extern crate std;

mod family;
mod strategy;
mod checked;
#[cfg(not(test))]
mod sampled;
mod glibc;
mod foreign;
mod environment;
mod image;
mod maps;
mod errno;

// What takes names over, and what needs them: a test's process keeps its own malloc.
#[cfg(not(test))]
mod exports;
#[cfg(not(test))]
mod operators;
#[cfg(not(test))]
mod calls;
#[cfg(not(test))]
mod intercepted;
#[cfg(not(test))]
mod loader;
#[cfg(not(test))]
mod questions;
#[cfg(not(test))]
mod decided;
#[cfg(not(test))]
#[macro_use]
mod signals;
#[cfg(not(test))]
mod exec;
#[cfg(not(test))]
mod start;
#[cfg(not(test))]
mod symbols;
#[cfg(not(test))]
mod line;

/// Whatever this library's own code allocates comes from private mappings: it must not call itself.
#[cfg(not(test))]
#[global_allocator]
static OWN: alloc_gpa::SideHeap = alloc_gpa::SideHeap;
