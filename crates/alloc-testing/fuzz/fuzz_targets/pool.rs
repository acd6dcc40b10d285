//! See `alloc_testing_fuzz::pool`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| alloc_testing_fuzz::pool::run(data));
