//! The wrappers' counters under every interleaving of two threads with at most two preemptions. Run with
//! `RUSTFLAGS="--cfg loom" cargo test -p alloc-core --test loom --release`.
#![cfg(loom)]

use alloc_core::{AllocatorExt, Counting, FromGlobal, Limited};
use loom::sync::Arc;
use loom::thread;
use std::alloc::System;

fn model(f: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(f);
}

/// The peak is the largest sum that was ever live: at least what one thread held by itself, at most
/// both; and both when both were seen live at once.
#[test]
fn counting_misses_no_peak() {
    model(|| {
        let counting = Arc::new(Counting::new(FromGlobal::new(System)));
        let other = {
            let counting = Arc::clone(&counting);
            thread::spawn(move || {
                let block = counting.alloc_fill(2, 0u8).unwrap();
                let seen = counting.counts().live_bytes;
                drop(block);
                seen
            })
        };
        let block = counting.alloc_fill(3, 0u8).unwrap();
        let seen = counting.counts().live_bytes;
        drop(block);
        let seen = seen.max(other.join().unwrap());
        let counts = counting.counts();
        assert_eq!((counts.live_bytes, counts.live_blocks), (0, 0));
        assert_eq!((counts.total_bytes, counts.total_blocks), (5, 2));
        assert!(seen.max(3) <= counts.peak_bytes && counts.peak_bytes <= 5, "{counts:?} {seen}");
        assert_ne!(counts.peak_bytes, 4);
    });
}

/// Two requests that fit only one after the other never pass the limit together, and the bytes of
/// the one that was refused are not lost.
#[test]
fn a_limit_is_never_passed_together() {
    model(|| {
        let counting = Counting::new(FromGlobal::new(System));
        let limited = Arc::new(Limited::new(counting, 4));
        let other = {
            let limited = Arc::clone(&limited);
            thread::spawn(move || drop(limited.alloc_fill(3, 0u8)))
        };
        drop(limited.alloc_fill(3, 0u8));
        other.join().unwrap();
        assert_eq!(limited.used(), 0);
        assert!(limited.inner().counts().peak_bytes <= 4);
        assert!(limited.alloc_fill(4, 0u8).is_ok());
    });
}
