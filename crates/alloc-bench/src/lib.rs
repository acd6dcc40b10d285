//! Benchmarks of the workspace's allocators beside their peers.
