//! Allocators over a given buffer: no heap, no operating system.
