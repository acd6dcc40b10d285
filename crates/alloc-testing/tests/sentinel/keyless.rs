//! A program where the system refuses what tells the end of a thread.

use std::hint::black_box;
use std::ptr;
use std::thread;

use alloc_testing::check_leaks;
use libtest_mimic::Failed;

/// What the child does.
pub(crate) fn run() {
    // Before the first region, which takes a key: the system gives the lowest one that is free.
    let key = key_of_next();
    assert!(!is_open_after_thread(), "a region ends with its threads");
    // SAFETY: of no consequence but the one wanted: the key of `check_leaks` is refused.
    assert_eq!(unsafe { libc::pthread_key_delete(key) }, 0, "it was that one");
    assert!(!is_open_after_thread(), "also where the system tells no end of one");
}

/// Returns the key that the next who asks for one will get.
fn key_of_next() -> libc::pthread_key_t {
    let mut key = 0;
    // SAFETY: the key is ours to write.
    assert_eq!(unsafe { libc::pthread_key_create(&raw mut key, None) }, 0);
    // SAFETY: ours, and nobody has used it.
    assert_eq!(unsafe { libc::pthread_key_delete(key) }, 0);
    key
}

/// Whether a region whose thread has ended is open when it is over: then a block of it has an owner still.
fn is_open_after_thread() -> bool {
    let at = check_leaks(|| {
        thread::spawn(|| drop(black_box(Box::new(1u8)))).join().unwrap();
        let block = black_box(Box::new(2u8));
        assert!(alloc_gpa::owner_of(&raw const *block).is_some(), "of the region's heap");
        (&raw const *block).addr()
    });
    alloc_gpa::owner_of(ptr::without_provenance(at)).is_some()
}

/// The system may have no memory for a thread-local value; here it has no such key.
pub(crate) fn ends() -> Result<(), Failed> {
    let (output, text) = super::run("keyless");
    super::check(output.status.success() && text.is_empty(), "all is well", &text)
}
