//! Whole pages of the operating system behind the alloc-core contract.
