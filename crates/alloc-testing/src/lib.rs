//! Tests that fail on leaks, failure injection, and a conformance kit for allocators.
