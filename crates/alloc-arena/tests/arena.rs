//! What the arena adds to the contract: what it asks its backing for, and what reset keeps.
#![cfg(feature = "alloc")]

use std::alloc::Layout;
use std::cell::Cell;
use std::ptr::NonNull;

use alloc_arena::{Arena, Reset};
use alloc_core::{AllocError, Allocator, AllocatorExt, Global, Owned, alloc_print};
use alloc_fixed::FixedBuffer;
use alloc_page::{PageAllocator, page_size};
use alloc_testing::RawBlock;
use alloc_testing::hostile::Backing;

/// Counts every call that reaches the backing.
struct Calls<A>(A, Cell<usize>);

impl<A> Calls<A> {
    const fn over(backing: A) -> Self {
        Self(backing, Cell::new(0))
    }

    fn count(&self) {
        self.1.set(self.1.get() + 1);
    }
}

// SAFETY: 1 to 7 are kept by forwarding to `A`, which keeps them.
unsafe impl<A: Allocator> Allocator for Calls<A> {
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        self.count();
        self.0.raw_alloc(layout)
    }

    unsafe fn raw_resize(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        self.count();
        // SAFETY: the same contract.
        unsafe { self.0.raw_resize(block, layout, new_size) }
    }

    unsafe fn raw_remap(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        self.count();
        // SAFETY: the same contract.
        unsafe { self.0.raw_remap(block, layout, new_size) }
    }

    unsafe fn raw_free(&self, block: NonNull<u8>, layout: Layout) {
        self.count();
        // SAFETY: the same contract.
        unsafe { self.0.raw_free(block, layout) };
    }
}

/// A backing that refuses requests once it is told to.
struct Switch<A>(A, Cell<bool>);

// SAFETY: 1 to 7 are kept by forwarding to `A`, or by refusing, which changes nothing.
unsafe impl<A: Allocator> Allocator for Switch<A> {
    alloc_core::forward!(self.0; except raw_alloc, raw_resize, raw_remap);

    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        if self.1.get() { self.0.raw_alloc(layout) } else { Err(AllocError) }
    }

    unsafe fn raw_resize(&self, _: NonNull<u8>, _: Layout, _: usize) -> bool {
        false
    }

    unsafe fn raw_remap(&self, _: NonNull<u8>, _: Layout, _: usize) -> Option<NonNull<u8>> {
        None
    }
}

/// The largest size of [`requests`]; smaller under Miri, as the first chunk is.
const SIZE_MAX: usize = if cfg!(miri) { 70 } else { 700 };

/// A sequence of sizes and alignments that differs from seed to seed; a tenth of them under Miri.
fn requests(seed: u64, count: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let count = if cfg!(miri) { count / 10 } else { count };
    (0..count).map(move |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (1 + (state >> 20) as usize % SIZE_MAX, 1 << ((state >> 50) % 7))
    })
}

/// Makes the same blocks in the same order, and abandons them to the arena.
fn load<A: Allocator>(arena: &Arena<A>, seed: u64, count: usize) {
    for (index, (size, align)) in requests(seed, count).enumerate() {
        let mut block = RawBlock::new(arena, size, align).unwrap();
        assert!(block.addr().is_multiple_of(align));
        block.fill(index as u8);
        let _ = block.into_raw_parts();
    }
}

fn assert_clean(backing: &Backing) {
    assert_eq!(backing.live_count(), 0, "the backing lost blocks");
    assert!(backing.misuses().is_empty(), "{:?}", backing.misuses());
}

/// Takes no memory before the first request, returns all of it at drop.
#[test]
fn drop_frees_every_chunk() {
    let backing = Backing::new().exact_alignment();
    let arena = Arena::over(&backing);
    assert_eq!((backing.live_count(), arena.capacity(), arena.used()), (0, 0, 0));
    load(&arena, 1, 300);
    assert!(3 < backing.live_count(), "several chunks");
    assert!(arena.used() <= arena.capacity());
    drop(arena);
    assert_clean(&backing);
}

/// Moving the arena after its blocks were made loses none of them (the trap of a copied arena).
#[test]
fn a_moved_arena_loses_nothing() {
    let backing = Backing::new();
    let arena = Arena::over(&backing);
    load(&arena, 2, 500);
    let used = arena.used();
    let moved = Box::new(arena);
    load(&moved, 3, 500);
    assert!(used < moved.used());
    drop(moved);
    assert_clean(&backing);
}

/// Chunks grow by half: the number of calls is the logarithm of the load.
#[test]
#[cfg_attr(miri, ignore = "takes minutes under Miri")]
fn chunks_grow_geometrically() {
    let arena = Arena::over(Calls::over(Backing::new().refuse_changes()));
    for _ in 0..100_000 {
        let _ = RawBlock::new(&arena, 64, 8).unwrap().into_raw_parts();
    }
    let chunk_count = arena.backing().0.live_count();
    assert!((10..30).contains(&chunk_count), "{chunk_count} chunks for 6.4 MB");
    assert!(arena.capacity() < 2 * arena.used(), "{arena:?}");
}

/// A request that is larger than the next chunk would be gets exactly what it needs.
#[test]
fn a_large_request_is_not_rounded_up() {
    let arena = Arena::over(Backing::new());
    let block = RawBlock::new(&arena, 1 << 20, 1).unwrap();
    assert_eq!(arena.capacity(), 1 << 20);
    assert_eq!(arena.used(), 1 << 20);
    drop(block);
    assert_eq!(arena.used(), 0, "the last block comes back");
}

/// The last block is freed, shrunk and grown where it is; others are not.
#[test]
fn the_last_block_changes_in_place() {
    let arena = Arena::over(Calls::over(Backing::new()));
    let first = RawBlock::new(&arena, 10, 1).unwrap();
    let mut last = RawBlock::new(&arena, 10, 1).unwrap();
    let (addr, used, calls) = (last.addr(), arena.used(), arena.backing().1.get());
    last.fill(8);
    assert!(last.resize(50) && last.remap(80) && last.resize(10));
    last.assert_filled(10, 8);
    assert_eq!((last.addr(), arena.used()), (addr, used));
    assert_eq!(arena.backing().1.get(), calls, "within the chunk nobody is asked");
    drop(first);
    assert_eq!(arena.used(), used, "not the last");
    let mut below = last;
    let above = RawBlock::new(&arena, 1, 1).unwrap();
    assert!(!below.resize(11));
    assert!(below.resize(9), "a shrink is always granted");
    drop(above);
    assert_eq!(arena.used(), used);
}

/// Where the backing can make the chunk longer in place, the last block grows beyond it, and new
/// blocks follow it: one chunk is all there ever is.
#[test]
fn a_chunk_grows_in_place() {
    let mut buffer = vec![std::mem::MaybeUninit::uninit(); 1 << 16];
    let fixed = FixedBuffer::new(&mut buffer);
    let arena = Arena::over(Calls::over(&fixed));
    let mut block = RawBlock::new(&arena, 100, 1).unwrap();
    let addr = block.addr();
    block.fill(1);
    for size in (200..50_000).step_by(1000) {
        assert!(block.resize(size), "{size}");
    }
    block.assert_filled(100, 1);
    assert_eq!(block.addr(), addr);
    let end = addr + block.layout().size();
    assert!(RawBlock::new(&arena, 10_000, 1).is_ok_and(|above| above.addr() == end));
    assert!(!block.resize(1 << 16), "more than the buffer has");
    assert!(arena.backing().1.get() < 30, "grown geometrically");
    drop(block);
    drop(arena);
    assert_eq!(fixed.used(), 0, "one chunk, given back");
}

/// New blocks too stay in the one chunk that the backing can make longer: each lies right behind the
/// one before.
#[test]
fn new_blocks_make_the_chunk_longer() {
    let mut buffer = vec![std::mem::MaybeUninit::uninit(); 1 << 16];
    let fixed = FixedBuffer::new(&mut buffer);
    let arena = Arena::over(&fixed);
    let addrs: Vec<_> = (0..500)
        .map(|_| RawBlock::new(&arena, 100, 1).unwrap().into_raw_parts().0.addr().get())
        .collect();
    assert!(addrs.windows(2).all(|pair| pair[0] + 100 == pair[1]));
    assert_eq!(arena.used(), 50_000);
}

/// The last block can grow to the last byte that the backing has, if that is less than the arena would
/// like to have.
#[test]
fn the_last_block_grows_to_the_end_of_the_backing() {
    let mut buffer = vec![std::mem::MaybeUninit::uninit(); 4000];
    let fixed = FixedBuffer::new(&mut buffer);
    let arena = Arena::over(&fixed);
    let mut block = RawBlock::new(&arena, 1, 1).unwrap();
    let size_max = 1 + (arena.capacity() - arena.used()) + fixed.remaining();
    assert!(!block.resize(size_max + 1));
    assert!(block.resize(size_max - 1) && block.resize(size_max));
    assert_eq!((fixed.remaining(), arena.used()), (0, size_max));
}

/// Goal: what is taken is told to the byte, over several chunks. Method: blocks that are not aligned
/// leave no padding, so it is the sum of their sizes.
#[test]
fn used_is_the_sum_over_all_chunks() {
    let backing = Backing::new();
    let arena = Arena::over(&backing);
    let mut sum = 0;
    for (size, _) in requests(4, 300) {
        let _ = RawBlock::new(&arena, size, 1).unwrap().into_raw_parts();
        sum += size;
        assert_eq!(arena.used(), sum);
    }
    assert!(3 < backing.live_count(), "several chunks");
}

/// When the backing has less left than the arena would like, it asks for what it needs: the buffer can
/// be used to its last byte.
#[test]
fn the_backing_is_used_to_its_last_byte() {
    let mut buffer = vec![std::mem::MaybeUninit::uninit(); 4000];
    let fixed = FixedBuffer::new(&mut buffer);
    let arena = Arena::over(&fixed);
    let mut count = 0;
    while let Ok(block) = RawBlock::new(&arena, 1, 1) {
        let _ = block.into_raw_parts();
        count += 1;
    }
    assert_eq!(fixed.remaining(), 0);
    assert_eq!(count, arena.capacity());
    assert!(3900 < count, "{count}");
}

/// A loop with the same load makes no call to the backing once it is warm, whatever the blocks are.
#[test]
#[cfg_attr(miri, ignore = "takes minutes under Miri")]
fn a_warm_loop_asks_for_nothing() {
    for seed in 0..20 {
        let mut arena = Arena::over(Calls::over(Backing::new().exact_alignment()));
        for _ in 0..4 {
            load(&arena, seed, 200);
            assert!(arena.reset(Reset::RetainCapacity));
            assert_eq!(arena.used(), 0);
        }
        let calls = arena.backing().1.get();
        for _ in 0..10 {
            load(&arena, seed, 200);
            assert!(arena.reset(Reset::RetainCapacity));
        }
        assert_eq!(arena.backing().1.get(), calls, "seed {seed}");
        assert_eq!(arena.backing().0.live_count(), 1, "a single chunk");
    }
}

/// `RetainCapacity` keeps the capacity to the byte, in one chunk; `FreeAll` keeps nothing.
#[test]
fn reset_retains_the_capacity_in_one_chunk() {
    let backing = Backing::new();
    let mut arena = Arena::over(&backing);
    assert!(arena.reset(Reset::RetainCapacity), "of nothing");
    load(&arena, 5, 300);
    let capacity = arena.capacity();
    assert!(1 < backing.live_count());
    assert!(arena.reset(Reset::RetainCapacity));
    assert_eq!((arena.capacity(), backing.live_count()), (capacity, 1));
    assert!(arena.reset(Reset::FreeAll));
    assert_eq!((arena.capacity(), backing.live_count()), (0, 0));
    load(&arena, 5, 10);
    drop(arena);
    assert_clean(&backing);
}

/// Zig's `reset while retaining a buffer`: two chunks, then a limit of 2 leaves one chunk with a
/// capacity of 2.
#[test]
fn reset_retains_up_to_a_limit() {
    let backing = Backing::new();
    let mut arena = Arena::over(&backing);
    let _ = RawBlock::new(&arena, 1, 1).unwrap().into_raw_parts();
    let _ = RawBlock::new(&arena, 1 << 16, 1).unwrap().into_raw_parts();
    assert_eq!(backing.live_count(), 2);
    assert!(arena.reset(Reset::RetainWithLimit(2)));
    assert_eq!((arena.capacity(), backing.live_count()), (2, 1));
    assert!(arena.reset(Reset::RetainWithLimit(1 << 20)), "the limit is no request");
    assert_eq!(arena.capacity(), 2);
    assert!(arena.reset(Reset::RetainWithLimit(0)));
    assert_eq!((arena.capacity(), backing.live_count()), (0, 0));
}

/// Zig's `reset with preheating`: 25 rounds of random sizes at alignment 32.
#[test]
#[cfg_attr(miri, ignore = "takes minutes under Miri")]
fn reset_with_preheating() {
    let mut arena = Arena::over(Backing::new().exact_alignment());
    for round in 0..25 {
        arena.reset(Reset::RetainCapacity);
        let mut total = 0;
        for (size, _) in requests(round, 1000) {
            let block = RawBlock::new(&arena, size, 32).unwrap();
            assert!(block.addr().is_multiple_of(32));
            let _ = block.into_raw_parts();
            total += size;
        }
        assert!(total <= arena.used());
    }
}

/// Goal: a reset whose one chunk the backing refuses says so, leaks nothing, and leaves an arena that
/// works. Method: the backing is switched off for the reset alone; limits around every chunk's size.
#[test]
fn a_refused_reset_leaves_a_valid_arena() {
    for limit in [1, 100, 1000, 2000, 3000, 5000, 10_000, usize::MAX] {
        let mut arena = Arena::over(Switch(Backing::new(), Cell::new(true)));
        load(&arena, 6, 100);
        let before = arena.capacity();
        arena.backing().1.set(false);
        let complete = arena.reset(Reset::RetainWithLimit(limit));
        assert_eq!(complete, arena.capacity() == before.min(limit), "limit {limit}");
        assert!(arena.capacity() <= limit);
        assert!(arena.backing().0.live_count() <= 1);
        assert_eq!(arena.used(), 0);
        arena.backing().1.set(true);
        load(&arena, 6, 100);
        arena.reset(Reset::FreeAll);
        assert_clean(&arena.backing().0);
    }
    let mut arena = Arena::over(Switch(Backing::new(), Cell::new(true)));
    load(&arena, 6, 100);
    arena.backing().1.set(false);
    assert!(!arena.reset(Reset::RetainCapacity), "the backing gives no chunk of that size");
    assert!(0 < arena.capacity(), "one of the old ones is kept");
}

/// Every nth request of the backing fails in turn: the arena reports it, goes on, and leaks nothing.
#[test]
#[cfg_attr(miri, ignore = "takes minutes under Miri")]
fn a_failing_backing_costs_one_request() {
    for index in 0..12 {
        let backing = Backing::new().exact_alignment().fail_only(index);
        let mut arena = Arena::over(&backing);
        for round in 0..3 {
            for (size, align) in requests(7, 100) {
                // A refused chunk is asked for again, smaller: no request fails for one failure.
                let _ = RawBlock::new(&arena, size, align).unwrap().into_raw_parts();
            }
            arena.reset(if round == 0 { Reset::RetainCapacity } else { Reset::FreeAll });
        }
        assert_eq!(backing.induced_count(), 1, "request {index} was reached");
        drop(arena);
        assert_clean(&backing);

        let backing = Backing::new().exact_alignment().fail_from(index);
        let arena = Arena::over(&backing);
        let served = requests(7, 10_000)
            .map_while(|(size, align)| RawBlock::new(&arena, size, align).ok())
            .map(RawBlock::into_raw_parts)
            .count();
        let used = arena.used();
        assert!(served < 10_000 && RawBlock::new(&arena, 1 << 30, 1).is_err());
        assert_eq!(arena.used(), used, "a refusal changes nothing");
        drop(arena);
        assert_clean(&backing);
    }
}

/// Sizes and alignments that no address space holds are errors, in an empty and in a used arena.
#[test]
#[cfg_attr(miri, ignore = "Miri stops where a heap would refuse")]
fn huge_requests_fail_cleanly() {
    let arena = Arena::new();
    for _ in 0..2 {
        for size in [isize::MAX as usize, isize::MAX as usize - 24, 1 << (usize::BITS - 2)] {
            let layout = Layout::from_size_align(size, 1).unwrap();
            assert_eq!(arena.raw_alloc(layout), Err(AllocError), "{size}");
        }
        let layout = Layout::from_size_align(64, 1 << (usize::BITS - 2)).unwrap();
        assert_eq!(arena.raw_alloc(layout), Err(AllocError));
        assert_eq!(arena.alloc::<u64>(usize::MAX).map(drop), Err(AllocError));
        let mut block = RawBlock::new(&arena, 50, 1).unwrap();
        block.fill(2);
        assert!(!block.resize(isize::MAX as usize) && !block.remap(isize::MAX as usize));
        block.assert_filled(50, 2);
    }
}

/// Alignments from 1 to 2 MiB, whatever address the backing's chunk has.
#[test]
fn alignments_up_to_2_mib() {
    let arena = Arena::over(Backing::new().exact_alignment());
    for shift in 0..=21 {
        let mut block = RawBlock::new(&arena, 3, 1 << shift).unwrap();
        assert!(block.addr().is_multiple_of(1 << shift));
        block.fill(shift);
        block.assert_filled(3, shift);
        let _ = block.into_raw_parts();
    }
}

/// Over pages a chunk fills its last page before another mapping is made.
#[test]
#[cfg_attr(miri, ignore = "Miri knows no mremap")]
fn over_pages() {
    let mut arena = Arena::over(Calls::over(PageAllocator));
    load(&arena, 8, 1000);
    assert!(arena.reset(Reset::RetainCapacity));
    let calls = arena.backing().1.get();
    load(&arena, 8, 1000);
    assert!(arena.backing().1.get() <= calls + 4);
    assert!(arena.reset(Reset::RetainWithLimit(page_size())));
    assert_eq!(arena.capacity(), page_size());
}

/// A list that grows alone in the arena is never copied within a chunk.
#[test]
#[cfg_attr(miri, ignore = "takes minutes under Miri")]
fn a_growing_list_stays_in_place() {
    let arena = Arena::over(Global);
    let mut list = (&arena).alloc_fill(1000, b'x').unwrap();
    let mut moves = 0;
    for len in (2000..1 << 20).step_by(1000) {
        let before = list.as_ptr();
        list = Owned::grow_fill(list, len, b'x').map_err(|(_, error)| error).unwrap();
        moves += usize::from(before != list.as_ptr());
    }
    assert!(moves < 25, "{moves} moves for a thousand growths");
}

/// The reference document's example: an arena per request over a general allocator, at most 4 KiB
/// kept in between.
#[test]
fn reference_handle_request() {
    fn handle_request<'a, A: Allocator + Copy + 'a>(
        arena: A,
        id: u32,
        data: &str,
    ) -> Result<Owned<str, A>, AllocError> {
        let id = alloc_print!(arena, "{id}")?;
        let mut parts = arena.alloc_fill(3, "")?;
        parts.copy_from_slice(&["Processing request ", &id, data]);
        let len = parts.iter().map(|part| part.len()).sum();
        let mut result = arena.alloc_fill(len, 0u8)?;
        let mut offset = 0;
        for part in &*parts {
            result[offset..][..part.len()].copy_from_slice(part.as_bytes());
            offset += part.len();
        }
        Owned::from_utf8(result).map_err(|_| AllocError)
    }
    let backing = Backing::new();
    let mut arena = Arena::over(&backing);
    for id in 0..3 {
        let response = handle_request(&arena, id, " data").unwrap();
        assert_eq!(&*response, format!("Processing request {id} data"));
        drop(response);
        assert!(arena.reset(Reset::RetainWithLimit(4096)));
        assert!(arena.capacity() <= 4096);
    }
    drop(arena);
    assert_clean(&backing);
}

/// An arena goes to another thread, and its chunks with it.
#[test]
fn it_can_be_sent() {
    let backing = Backing::new();
    let arena = Arena::over(&backing);
    load(&arena, 9, 100);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            load(&arena, 9, 100);
            drop(arena);
        });
    });
    assert_clean(&backing);
}
