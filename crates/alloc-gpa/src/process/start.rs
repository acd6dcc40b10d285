//! How the process's heap begins: settings, and who is told of findings.

use alloc_core::AllocError;

use crate::config::{Config, OnFinding};
use crate::finding::Finding;
use crate::gpa::Gpa;
use crate::heap::Heap;
use crate::text;

/// How the heap came into the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// As `malloc` of a program that was started with the preloaded library.
    Preload,
    /// As the global allocator of a Rust program.
    Global,
}

/// Prepares the process's heap; further calls do nothing.
pub(crate) fn start(_kind: Start) {}

/// Maps the process's heap at its first use.
#[cold]
#[inline(never)]
pub(crate) fn first_use(process: &'static Gpa) -> Result<&'static Heap, AllocError> {
    let config = Config { on_finding: OnFinding::Continue, ..Config::DEFAULT };
    let heap = process.heap_slow(config)?;
    heap.set_sink(tell);
    Ok(heap)
}

fn tell(_heap: &Heap, finding: &Finding) {
    // Standard error may be closed; there is nowhere else to say so.
    let _ = text::finding(finding, &mut text::StandardError);
}
