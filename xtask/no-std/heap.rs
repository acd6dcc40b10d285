//! A program without std whose `#[global_allocator]` is the fixed heap, over bytes in `.bss` and behind
//! a lock of its own: `Vec`, `Box` and `BTreeMap` of the `alloc` crate. It ends with 0, or with the
//! number of the check that failed.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::{boxed::Box, collections::BTreeMap, string::ToString, vec::Vec};
use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use alloc_core::{AsGlobal, Locked};
use alloc_fixed::{StaticBytes, TlsfHeap};

/// The plainest lock.
struct Spin(AtomicBool);

// SAFETY: `lock` returns when it has set the flag from false to true, which one thread can do until
// `unlock` clears it.
unsafe impl lock_api::RawMutex for Spin {
    #[expect(clippy::declare_interior_mutable_const, reason = "the trait asks for it")]
    const INIT: Self = Self(AtomicBool::new(false));
    type Guard = ();

    fn lock(&self) {
        while self.try_lock().is_none() {
            core::hint::spin_loop();
        }
    }

    fn try_lock(&self) -> Option<()> {
        // Acquire: pairs with the Release in `unlock`.
        self.0.compare_exchange(false, true, Acquire, Relaxed).ok().map(drop)
    }

    fn is_locked(&self) -> bool {
        // Relaxed: old when it is returned.
        self.0.load(Relaxed)
    }

    unsafe fn unlock(&self, (): ()) {
        // Release: pairs with the Acquire in `try_lock`.
        self.0.store(false, Release);
    }
}

static BYTES: StaticBytes<262144> = StaticBytes::new();

#[global_allocator]
static HEAP: AsGlobal<Locked<Spin, TlsfHeap<'static>>> =
    AsGlobal::new(Locked::new(TlsfHeap::over(&BYTES)));

/// What libc's start calls.
#[unsafe(no_mangle)]
extern "C" fn main(argument_count: i32, _: *const *const u8) -> i32 {
    let numbers: Vec<i32> = (0..1000).map(|number| number * argument_count).collect();
    if numbers.iter().sum::<i32>() != 499_500 {
        return 1;
    }
    let map: BTreeMap<_, _> = numbers.iter().map(|number| (number.to_string(), *number)).collect();
    if map.get("77").copied() != Some(77) {
        return 2;
    }
    let boxed = Box::new([7u8; 100]);
    let inside = HEAP.get().with(|heap| heap.owns_ptr(boxed.as_ptr()));
    drop((numbers, map, boxed));
    if Vec::<u8>::new().try_reserve(1 << 20).is_ok() {
        return 3;
    }
    let left = HEAP.get().with(|heap| heap.stats().block_count);
    if inside && left == 0 { 0 } else { 4 }
}

#[link(name = "c")]
unsafe extern "C" {
    fn abort() -> !;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: it has no preconditions.
    unsafe { abort() }
}
