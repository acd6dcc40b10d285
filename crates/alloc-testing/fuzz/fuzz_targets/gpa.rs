//! See `alloc_testing_fuzz::gpa`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| alloc_testing_fuzz::gpa::run(data));
