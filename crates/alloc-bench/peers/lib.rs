//! Nothing: see `tests/conform.rs`.
