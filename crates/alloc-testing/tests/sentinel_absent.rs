//! A program that links this crate and has no `Sentinel`: nothing of it is replaced, and no verb says
//! that all is well.
#![cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]

use std::panic::catch_unwind;

use alloc_testing::{OnAlloc, assert_no_alloc, check_leaks, count, count_all, forbid_after};

include!("sentinel/object.rs");

/// `pthread_create` is libc's. (With a `Sentinel` it is the program's: `sentinel`.)
#[test]
fn threads_are_created_by_libc() {
    let object = alloc_testing_object_of_pthread_create();
    let name = object.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("libc.so") || name.starts_with("libpthread"), "{name}");
}

/// Each verb refuses, and says what to write.
#[test]
fn verbs_need_a_sentinel() {
    let verbs: [(&str, fn()); 5] = [
        ("assert_no_alloc", || assert_no_alloc(|| ())),
        ("count", || assert_eq!(count(|| 1).0, 1)),
        ("count_all", || assert_eq!(count_all(|| 1).0, 1)),
        ("check_leaks", || check_leaks(|| ())),
        ("forbid_after", || drop(forbid_after("the start", OnAlloc::Record))),
    ];
    for (name, verb) in verbs {
        let payload = catch_unwind(verb).expect_err(name);
        let text = payload.downcast_ref::<&str>().copied().unwrap_or_default();
        assert!(text.contains("#[global_allocator]"), "{name}: {text}");
    }
}
