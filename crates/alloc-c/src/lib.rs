//! C's malloc behind the alloc-core contract.
