//! The malloc family over the workspace's allocators, as a library to preload.

extern crate std;

mod family;
mod strategy;
mod checked;
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
mod decided;
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
