//! A general-purpose allocator that finds leaks, double frees, bad frees, overflows and writes after free, with stacks.
