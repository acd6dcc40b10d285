//! What threads share, under every interleaving of two of them with at most three preemptions. Run with
//! `RUSTFLAGS="--cfg loom" cargo test -p alloc-arena --test loom --release`.
//!
//! The models cannot see raw memory. So each block has a cell of loom's beside it, found by its address:
//! loom reports two uses of one cell that nothing orders, and so a block that two threads have at once, or
//! whose last owner's writes have not happened for the next.
#![cfg(all(loom, feature = "alloc"))]

use alloc_arena::{Arena, ArenaPool, Growth, HeapArena, Reset, SharedArena};
use alloc_core::{Allocator, AllocatorExt, Layout};
use alloc_fixed::SharedFixedBuffer;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::Mutex;

fn model(f: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(f);
}

/// A cell for each address.
struct Shadow(Mutex<Vec<(usize, Arc<UnsafeCell<u32>>)>>);

impl Shadow {
    fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Uses the memory at `block`.
    fn write(&self, block: NonNull<u8>) {
        let addr = block.addr().get();
        // Not loom's lock: it orders nothing in the model.
        let mut cells = self.0.lock().unwrap();
        let found = cells.iter().find(|(at, _)| *at == addr).map(|(_, cell)| Arc::clone(cell));
        let cell = found.unwrap_or_else(|| {
            let cell = Arc::new(UnsafeCell::new(0));
            cells.push((addr, Arc::clone(&cell)));
            cell
        });
        drop(cells);
        // SAFETY: loom panics if another use is not ordered with this one.
        cell.with_mut(|count| unsafe { *count += 1 });
    }
}

const WORD: Layout = Layout::new::<u64>();

/// Two threads that need the first chunk at once: each has a block of its own, and no chunk is lost.
#[test]
fn two_threads_make_the_first_chunk() {
    model(|| {
        let arena = Arc::new(SharedArena::new().with_growth(Growth::fixed(64)));
        let other = {
            let arena = Arc::clone(&arena);
            thread::spawn(move || arena.raw_alloc(WORD).unwrap().addr())
        };
        let one = arena.raw_alloc(WORD).unwrap().addr();
        let two = other.join().unwrap();
        assert_ne!(one, two);
        assert!(16 <= arena.used());
    });
}

/// A block that one thread gives back is another's only after that.
#[test]
fn a_freed_block_is_passed_on_in_order() {
    model(|| {
        let arena = Arc::new(SharedArena::new().with_growth(Growth::fixed(256)));
        drop(arena.create(0u64));
        let shadow = Arc::new(Shadow::new());
        let other = {
            let (arena, shadow) = (Arc::clone(&arena), Arc::clone(&shadow));
            thread::spawn(move || {
                let block = arena.raw_alloc(WORD).unwrap();
                shadow.write(block);
                // SAFETY: live, and of this layout.
                unsafe { arena.raw_free(block, WORD) };
            })
        };
        let block = arena.raw_alloc(WORD).unwrap();
        shadow.write(block);
        // SAFETY: live, and of this layout.
        if unsafe { arena.raw_resize(block, WORD, 16) } {
            // SAFETY: within the block, which has 16 bytes now.
            shadow.write(unsafe { block.add(8) });
        }
        other.join().unwrap();
    });
}

/// Two threads that need the chunk to be longer, of which one gives its block back and one grows: what was
/// added is there for who takes it, and nobody's twice.
#[test]
fn a_chunk_is_lengthened_in_order() {
    model(|| {
        // More than two headers, which are larger under loom.
        let buffer: *mut [MaybeUninit<u8>] = Box::leak(Box::new([MaybeUninit::uninit(); 2048]));
        // SAFETY: leaked just now.
        let fixed = SharedFixedBuffer::new(unsafe { &mut *buffer });
        let fixed: *mut SharedFixedBuffer<'_> = Box::leak(Box::new(fixed));
        // SAFETY: as above.
        let arena = SharedArena::over(unsafe { &*fixed }).with_growth(Growth::exact());
        let arena = Arc::new(arena);
        drop(arena.create(0u64));
        let shadow = Arc::new(Shadow::new());
        let other = {
            let (arena, shadow) = (Arc::clone(&arena), Arc::clone(&shadow));
            thread::spawn(move || {
                let block = arena.raw_alloc(WORD).unwrap();
                shadow.write(block);
                // SAFETY: live, and of this layout.
                unsafe { arena.raw_free(block, WORD) };
            })
        };
        let block = arena.raw_alloc(WORD).unwrap();
        shadow.write(block);
        // SAFETY: live, and of this layout.
        if unsafe { arena.raw_resize(block, WORD, 16) } {
            // SAFETY: within the block, which has 16 bytes now.
            shadow.write(unsafe { block.add(8) });
        }
        other.join().unwrap();
        drop(arena);
        // SAFETY: leaked above, and nobody's any more.
        drop(unsafe { Box::from_raw(fixed) });
        // SAFETY: as above.
        drop(unsafe { Box::from_raw(buffer) });
    });
}

/// Local arenas take chunks at once; what they made is there when they are gone.
#[test]
fn local_arenas_share_their_source() {
    model(|| {
        let shared = Arc::new(SharedArena::new().with_growth(Growth::fixed(512)));
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let local = shared.local_with_growth(Growth::fixed(64));
                let value = local.put(1u64).unwrap();
                drop(local);
                assert_eq!(*value, 1);
            })
        };
        let local = shared.local_with_growth(Growth::fixed(64));
        let value = local.put(2u64).unwrap();
        drop(local);
        other.join().unwrap();
        assert_eq!(*value, 2);
    });
}

/// A block that another thread hands back to a heap is used again only after that.
#[test]
fn a_sent_block_comes_back_in_order() {
    model(|| {
        let heap: &'static HeapArena = Box::leak(Box::new(HeapArena::new()));
        let shadow = Arc::new(Shadow::new());
        let sent = [heap.put_send(1u64).unwrap(), heap.put_send(2u64).unwrap()];
        let other = {
            let shadow = Arc::clone(&shadow);
            thread::spawn(move || {
                for value in sent {
                    shadow.write(NonNull::from(&*value).cast());
                    drop(value);
                }
            })
        };
        for _ in 0..2 {
            shadow.write(heap.put_send(3u64).unwrap().map_addr());
        }
        other.join().unwrap();
        // SAFETY: leaked above, and not used any more.
        drop(unsafe { Box::from_raw(std::ptr::from_ref(heap).cast_mut()) });
    });
}

/// Where a value lies.
trait MapAddr {
    fn map_addr(&self) -> NonNull<u8>;
}

impl MapAddr for alloc_arena::SendBox<'_, u64> {
    fn map_addr(&self) -> NonNull<u8> {
        NonNull::from(&**self).cast()
    }
}

/// Two threads, one arena: it is lent to one at a time, and what the one did has happened for the next.
#[test]
fn a_pool_lends_an_arena_to_one_at_a_time() {
    model(|| {
        let pool: ArenaPool<_, 1> = ArenaPool::new(Arena::new, Reset::RetainCapacity);
        let pool = Arc::new(pool);
        let use_one = |pool: &ArenaPool<_, 1>| {
            pool.take().is_some_and(|arena| arena.put(1u8).is_ok() && arena.used() == 1)
        };
        let other = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || use_one(&pool))
        };
        let (one, two) = (use_one(&pool), other.join().unwrap());
        assert!(one || two);
        assert_eq!(pool.free_count(), 1);
    });
}
