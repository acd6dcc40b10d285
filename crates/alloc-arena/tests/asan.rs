//! Under the address sanitizer a use of what an arena took back is a report: the sanitizer is told.
//! `RUSTFLAGS="-Zsanitizer=address --cfg sanitized" cargo +nightly test -p alloc-arena --test asan --target T`.
#![cfg_attr(sanitized, feature(cfg_sanitize))]

#[cfg(sanitized)]
#[cfg(sanitize = "address")]
mod address {
    use std::env;
    use std::process::Command;

    use alloc_arena::{Arena, Growth, Reset, SharedArena};
    use alloc_core::AllocatorExt;

    const FAULT: &str = "ALLOC_ARENA_FAULT";

    /// Reads a byte of `addr` as a program does that kept a pointer.
    fn read(addr: *const u8) {
        // SAFETY: none: this is the fault that the sanitizer shall see.
        std::hint::black_box(unsafe { addr.read_volatile() });
    }

    fn fault(which: &str) {
        let (mut arena, mut shared) = (Arena::new(), SharedArena::new());
        match which {
            "freed" => {
                let kept = (&arena).create(1u64).unwrap();
                let last = (&arena).create(2u64).unwrap();
                let addr = (&raw const *kept).cast();
                drop(kept);
                read(addr);
                drop(last);
            }
            "reset" => {
                let addr = (&raw const *arena.put(1u64).unwrap()).cast();
                arena.reset(Reset::RetainCapacity);
                read(addr);
            }
            "rewound" => {
                let addr = arena.scope(|inner| (&raw const *inner.put(1u64).unwrap()).cast());
                read(addr);
            }
            "behind" => {
                let text = arena.put_str("text").unwrap();
                read(text.as_ptr().wrapping_add(text.len()));
            }
            "shared, freed" => {
                let addr = (&raw const *(&shared).create(1u64).unwrap()).cast();
                read(addr);
            }
            "shared, reset" => {
                let addr = (&raw const *shared.put(1u64).unwrap()).cast();
                shared.reset(Reset::RetainCapacity);
                read(addr);
            }
            "shared, behind" => {
                let text = shared.put_str("text").unwrap();
                read(text.as_ptr().wrapping_add(text.len()));
            }
            "local, freed" => {
                let local = shared.local_with_growth(Growth::fixed(100));
                let freed = (&local).create(1u64).unwrap();
                let addr = (&raw const *freed).cast();
                let last = (&local).create(2u64).unwrap();
                drop(freed);
                // The chunk, which is the shared arena's last block, grows where it is.
                local.put([0u8; 200]).unwrap();
                drop(last);
                read(addr);
            }
            "none, threads" => std::thread::scope(|threads| {
                for _ in 0..2 {
                    threads.spawn(|| (0..20_000u32).for_each(|n| drop(shared.put(n).unwrap())));
                }
            }),
            "none" => {
                for round in 0..50 {
                    let items = arena.put_iter(0..round * 7).unwrap();
                    assert_eq!(items.len(), round * 7);
                    arena.scope(|inner| inner.put_slice_fill(round * 100, 1u8).map(drop)).unwrap();
                    arena.reset(Reset::RetainWithLimit(round * 50));
                    let items = shared.put_iter(0..round * 7).unwrap();
                    assert_eq!(items.len(), round * 7);
                    shared.local().put_slice_fill(round * 100, 1u8).unwrap();
                    shared.reset(Reset::RetainWithLimit(round * 50));
                }
            }
            other => panic!("{other} is no fault"),
        }
    }

    /// Goal: each late use is told as one of poisoned memory, and legal use is not. Method: this test again,
    /// as a child that makes the fault.
    #[test]
    fn late_uses_are_reported() {
        if let Ok(which) = env::var(FAULT) {
            return fault(&which);
        }
        let shared = ["shared, freed", "shared, reset", "shared, behind", "local, freed"];
        let own = ["freed", "reset", "rewound", "behind", "none", "none, threads"];
        for which in own.into_iter().chain(shared) {
            let mut child = Command::new(env::current_exe().unwrap());
            child.args(["--exact", "address::late_uses_are_reported"]).env(FAULT, which);
            let output = child.output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            let told = stderr.contains("use-after-poison");
            let is_faulty = !which.starts_with("none");
            assert_eq!(told, is_faulty, "{which}: {stderr}");
            assert_eq!(output.status.success(), !is_faulty, "{which}: {stderr}");
        }
    }
}
