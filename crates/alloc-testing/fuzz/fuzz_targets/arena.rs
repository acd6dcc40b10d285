//! See `alloc_testing_fuzz::arena`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| alloc_testing_fuzz::arena::run(data));
