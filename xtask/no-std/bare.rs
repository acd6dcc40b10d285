//! A program without std, without a heap and without an allocator of its own: the OS-free crates over
//! bytes on the stack and in `.bss`. It ends with 0, or with the number of the check that failed.
#![no_std]
#![no_main]

use alloc_arena::{Arena, Reset};
use alloc_core::{AllocError, AllocatorExt, alloc_print};
use alloc_fixed::{
    FixedBuffer, SharedFixedBuffer, StackBuffer, StaticBytes, StaticList, TlsfHeap, format_into,
};
use alloc_pool::Pool;

static BYTES: StaticBytes<65536> = StaticBytes::new();
static LIST: StaticList<u32, 16> = StaticList::new();

/// Ends the program with a number if a check fails.
macro_rules! check {
    ($number:literal, $condition:expr) => {
        if !$condition {
            return Ok($number);
        }
    };
}

fn run(argument: i32) -> Result<i32, AllocError> {
    let mut stack = StackBuffer::<256>::new();
    check!(2, format_into!(&mut stack, "{argument} argument")? == "1 argument");
    let mut fixed = FixedBuffer::new(&mut stack);
    check!(3, *alloc_print!(&fixed, "{}-{}", argument, 2)? == *"1-2");
    check!(4, fixed.alloc::<u8>(257).is_err());
    fixed.reset();
    check!(5, fixed.used() == 0);

    let heap = TlsfHeap::over(&BYTES);
    let numbers = heap.alloc_with(100, |index| index as u32)?;
    check!(6, numbers.iter().sum::<u32>() == 4950);
    {
        let mut arena = Arena::over(&heap);
        for round in 0..10u64 {
            let sum: u64 = arena.alloc_fill(50, round)?.iter().sum();
            check!(7, sum == 50 * round);
            check!(8, arena.reset(Reset::RetainCapacity));
        }
    }
    {
        let pool = Pool::<[u64; 4], _>::over(&heap);
        let first = pool.create([1; 4])?;
        let second = pool.create([2; 4])?;
        check!(9, first[0] + second[3] == 3);
    }
    drop(numbers);
    check!(10, heap.stats().block_count == 0);

    let mut bytes = StackBuffer::<64>::new();
    let shared = SharedFixedBuffer::new(&mut bytes);
    check!(11, *shared.create(argument)? == 1);
    check!(12, LIST.push(7).is_ok() && LIST.get(0) == Some(&7));
    Ok(0)
}

/// What libc's start calls.
#[unsafe(no_mangle)]
extern "C" fn main(argument_count: i32, _: *const *const u8) -> i32 {
    run(argument_count).unwrap_or(1)
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
