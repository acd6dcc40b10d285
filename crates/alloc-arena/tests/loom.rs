//! What threads share, under every interleaving of two of them with at most three preemptions. Run with
//! `RUSTFLAGS="--cfg loom" cargo test -p alloc-arena --test loom --release`.
//!
//! The models cannot see raw memory. So each block has a cell of loom's beside it, found by its address:
//! loom reports two uses of one cell that nothing orders, and so a block that two threads have at once, or
//! whose last owner's writes have not happened for the next.
#![cfg(all(loom, feature = "alloc"))]

use alloc_arena::{Arena, ArenaPool, Growth, HeapArena, Reset, SharedArena};
use alloc_core::{AllocError, Allocator, AllocatorExt, Global, Layout};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::AtomicUsize;
use loom::sync::atomic::Ordering::Relaxed;
use loom::thread;
use std::ptr::NonNull;
use std::sync::Mutex;

fn model(f: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(f);
}

/// A cell for each address.
struct Shadow<T = u32>(Mutex<Vec<(usize, Arc<UnsafeCell<T>>)>>);

impl<T: Default> Shadow<T> {
    fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Calls `change` with the cell of `block`.
    fn with(&self, block: NonNull<u8>, change: impl FnOnce(&mut T)) {
        let addr = block.addr().get();
        // Not loom's lock: it orders nothing in the model.
        let mut cells = self.0.lock().unwrap();
        let found = cells.iter().find(|(at, _)| *at == addr).map(|(_, cell)| Arc::clone(cell));
        let cell = found.unwrap_or_else(|| {
            let cell = Arc::new(UnsafeCell::new(T::default()));
            cells.push((addr, Arc::clone(&cell)));
            cell
        });
        drop(cells);
        // SAFETY: loom panics if another use is not ordered with this one.
        cell.with_mut(|value| change(unsafe { &mut *value }));
    }
}

impl Shadow {
    /// Uses the memory at `block`.
    fn write(&self, block: NonNull<u8>) {
        self.with(block, |count| *count += 1);
    }
}

const WORD: Layout = Layout::new::<u64>();

/// How long a block of [`Growable`] can become. Headers are larger under loom.
const ROOM: usize = 2048;

/// A backing that makes every block longer where it is. It has a cell for each block: loom reports two calls
/// for one block that nothing orders.
struct Growable {
    /// The length of each block, by its address.
    lens: Shadow<usize>,
    /// The memory that a resize adds, which this uses.
    added: Arc<Shadow>,
    /// What was freed, with the layout it has in truth. It goes at the end: an address that came again would have
    /// the cells of the block before.
    freed: Mutex<Vec<(NonNull<u8>, Layout)>>,
}

impl Growable {
    fn new(added: &Arc<Shadow>) -> Self {
        Self { lens: Shadow::new(), added: Arc::clone(added), freed: Mutex::default() }
    }

    /// What a block of this alignment has in truth.
    fn room(align: usize) -> Layout {
        Layout::from_size_align(ROOM, align).unwrap()
    }

    /// Changes the length of a block, which must be the layout's.
    fn change(&self, block: NonNull<u8>, layout: Layout, new: usize) {
        self.lens.with(block, |len| assert_eq!(std::mem::replace(len, new), layout.size()));
    }
}

// SAFETY: blocks are the program's allocator's, which has promised the same; none is given out longer than
// `ROOM`, which all of them have.
unsafe impl Allocator for Growable {
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        assert!(layout.size() <= ROOM, "{layout:?}");
        let block = Global.raw_alloc(Self::room(layout.align()))?;
        self.lens.with(block, |len| *len = layout.size());
        Ok(block)
    }

    unsafe fn raw_resize(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        if ROOM < new_size {
            return false;
        }
        self.change(block, layout, new_size);
        for offset in (layout.size()..new_size).step_by(WORD.size()) {
            // SAFETY: within the block, which has `ROOM` bytes.
            self.added.write(unsafe { block.add(offset) });
        }
        true
    }

    unsafe fn raw_remap(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        // SAFETY: the caller keeps the same contract towards `raw_resize`.
        unsafe { self.raw_resize(block, layout, new_size) }.then_some(block)
    }

    unsafe fn raw_free(&self, block: NonNull<u8>, layout: Layout) {
        self.change(block, layout, 0);
        self.freed.lock().unwrap().push((block, Self::room(layout.align())));
    }
}

impl Drop for Growable {
    fn drop(&mut self) {
        for (block, room) in self.freed.get_mut().unwrap().drain(..) {
            // SAFETY: requested with this layout in `raw_alloc`, and given back.
            unsafe { Global.raw_free(block, room) };
        }
    }
}

/// A backing of so many bytes, which orders nothing: a thread that no one has told of a free may not see it.
struct Budget {
    live: AtomicUsize,
    max: usize,
}

impl Budget {
    fn new(max: usize) -> Self {
        Self { live: AtomicUsize::new(0), max }
    }
}

// SAFETY: blocks are the program's allocator's, which has promised the same; none is changed.
unsafe impl Allocator for Budget {
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        // Relaxed, and apart from the sum below: an old number is seen where no ordering forbids it.
        let live = self.live.load(Relaxed);
        assert!(live + layout.size() <= self.max, "{live} bytes are live");
        // Relaxed: the number alone counts, as below.
        self.live.fetch_add(layout.size(), Relaxed);
        Global.raw_alloc(layout)
    }

    unsafe fn raw_resize(&self, _: NonNull<u8>, _: Layout, _: usize) -> bool {
        false
    }

    unsafe fn raw_remap(&self, _: NonNull<u8>, _: Layout, _: usize) -> Option<NonNull<u8>> {
        None
    }

    unsafe fn raw_free(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: requested with this layout in `raw_alloc`; dead, by the caller's promise.
        unsafe { Global.raw_free(block, layout) };
        self.live.fetch_sub(layout.size(), Relaxed);
    }
}

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

/// Two threads that need the chunk to be longer, of which one gives its block back and one grows: one at a
/// time asks the backing, what was added is there for who takes it, and nobody's twice.
#[test]
fn a_chunk_is_lengthened_in_order() {
    model(|| {
        let shadow = Arc::new(Shadow::new());
        let arena = SharedArena::over(Growable::new(&shadow)).with_growth(Growth::exact());
        let arena = Arc::new(arena);
        drop(arena.create(0u64));
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

/// Two threads that take blocks of a chunk for good, so that it has to be longer for each: who lengthens it
/// gives the backing the layout that the one before made.
#[test]
fn a_chunk_is_lengthened_again_and_again() {
    model(|| {
        let shadow = Arc::new(Shadow::new());
        let arena = SharedArena::over(Growable::new(&shadow)).with_growth(Growth::exact());
        let arena = Arc::new(arena);
        arena.raw_alloc(WORD).unwrap();
        let other = {
            let (arena, shadow) = (Arc::clone(&arena), Arc::clone(&shadow));
            thread::spawn(move || shadow.write(arena.raw_alloc(WORD).unwrap()))
        };
        shadow.write(arena.raw_alloc(WORD).unwrap());
        other.join().unwrap();
        assert_eq!(arena.used(), 24);
    });
}

/// Two threads that need the first chunk at once, of which one gives its own back: what the limit allows
/// again is free in the backing, too.
#[test]
fn the_limit_allows_a_chunk_after_another_is_gone() {
    model(|| {
        let exact = SharedArena::new().with_growth(Growth::exact());
        exact.raw_alloc(WORD).unwrap();
        // Two blocks fit a chunk, and two chunks the limit.
        let len = exact.reserved() + WORD.size();
        let arena = SharedArena::over(Budget::new(2 * len)).with_growth(Growth::fixed(len));
        let arena = Arc::new(arena.with_limit(2 * len));
        let other = {
            let arena = Arc::clone(&arena);
            thread::spawn(move || arena.raw_alloc(WORD).is_ok())
        };
        arena.raw_alloc(WORD).unwrap();
        // Refused where the other thread's chunk counts still, or again.
        let is_full = arena.raw_alloc(WORD).is_err();
        assert!(other.join().unwrap());
        assert!(!is_full || arena.raw_alloc(WORD).is_ok());
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
