//! What is written with other fixed allocators and bounded collections, written with these: a line of theirs,
//! and below it ours.
//!
//! Not under Miri: the thread-safe rows wait in a lock of the system there.
#![cfg(not(any(miri, loom)))]

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

use alloc_core::{
    AllocError, Allocator, AllocatorExt, Counting, Layout, Locked, NeverAlloc, Owned, UnsizedFree,
    alloc_print, forward,
};
use alloc_fixed::{
    BufferFirst, FixedBuffer, HeapFirst, Lookup, SharedFixedBuffer, StackBuffer, StaticList,
    StaticMap, TlsfHeap,
};

/// talc's Source, and an out-of-memory handler: what a heap refuses is asked for once more when something was
/// done about it.
struct Retry<A, F> {
    heap: A,
    /// Whether there is more memory now. It does not allocate here, nor unwind.
    make_room: F,
}

// SAFETY: the promises are kept by forwarding to `A`, which keeps them; the handler keeps its own (no unwind).
unsafe impl<A: Allocator, F: Fn(&A, Layout) -> bool> Allocator for Retry<A, F> {
    forward!(self.heap; except raw_alloc, raw_alloc_zeroed);

    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        match self.heap.raw_alloc(layout) {
            Err(AllocError) if (self.make_room)(&self.heap, layout) => self.heap.raw_alloc(layout),
            result => result,
        }
    }
}

#[test]
fn from_talc() -> Result<(), AllocError> {
    const LEN: usize = 8192;
    let mut memory = [MaybeUninit::<u8>::uninit(); LEN];
    let base = NonNull::from(&mut memory).cast::<u8>();
    // TalcCell::new(Manual); talc.claim(base, 2048)
    // SAFETY: a part of the array, which is used through `base` alone.
    let heap = unsafe { TlsfHeap::from_raw_parts(base, 2048) };
    // talc.allocate(layout), try_grow_in_place, shrink, deallocate
    let layout = Layout::new::<[u64; 10]>();
    let block = heap.raw_alloc(layout)?;
    // SAFETY: live, of that layout; all of it fits the next size.
    let grown = unsafe { heap.raw_resize(block, layout, 160) };
    assert!(grown, "it lies before the top");
    // SAFETY: live, of the size it grew to; used for the last time.
    unsafe { heap.raw_free(block, Layout::new::<[u64; 20]>()) };
    // talc.reserved(heap_end), talc.truncate(heap_end, new_end), talc.extend(heap_end, new_end)
    assert!(heap.truncate(ptr::null()).addr() < base.addr().get() + 32, "nothing is in use");
    // SAFETY: a half of the array.
    assert!(unsafe { heap.extend(base.as_ptr().wrapping_add(4096)) });
    // Source::acquire(talc, layout): here it lends the heap the rest of the array, once
    let asked = Cell::new(0);
    let growing = Retry {
        heap: &heap,
        make_room: |heap: &&TlsfHeap<'_>, layout: Layout| {
            asked.set(asked.get() + layout.size());
            // SAFETY: the array up to its end.
            unsafe { heap.extend(base.as_ptr().wrapping_add(LEN)) }
        },
    };
    let large = (&growing).alloc::<u8>(6000)?;
    assert_eq!((large.len(), asked.get()), (6000, 6000));
    assert!((&growing).alloc::<u8>(6000).is_err(), "there is no more");
    drop(large);
    // claim(other_base, size): a second heap
    let mut second = StackBuffer::<2048>::new();
    let heaps = HeapFirst::new(TlsfHeap::new(&mut second), &heap);
    assert!((&heaps).alloc::<u8>(3000).is_ok(), "from the larger one");
    // counters(): allocation_count, allocated_bytes, available_bytes, fragment_count
    let counted = Counting::new(&heap);
    let (one, two) = ((&counted).create([1u8; 100])?, (&counted).create([2u8; 100])?);
    drop(one);
    assert_eq!((counted.counts().live_blocks, counted.counts().live_bytes), (1, 100));
    let stats = heap.stats();
    assert_eq!((stats.block_count, stats.hole_count), (1, 1));
    drop(two);
    // TalcLock::new(source), lock()
    let locked: Locked<parking_lot::RawMutex, _> = Locked::new(heap);
    assert_eq!(*(&locked).create(5)?, 5);
    assert_eq!(locked.with(|heap| heap.stats().block_count), 0);
    Ok(())
}

#[test]
fn from_rlsf() -> Result<(), AllocError> {
    // Tlsf::<u16, u16, 12, 16>::new(), insert_free_block(&mut pool)
    let mut pool = StackBuffer::<4096>::new();
    let tlsf = TlsfHeap::new(&mut pool);
    // allocate(layout), deallocate(ptr, align), allocation_usable_size(ptr)
    let block = tlsf.raw_alloc(Layout::new::<[u8; 50]>())?;
    // SAFETY: live.
    assert!(50 <= unsafe { tlsf.usable_size(block) });
    let larger = Layout::from_size_align(200, 1).map_err(|_| AllocError)?;
    // reallocate(ptr, layout)
    // SAFETY: live.
    let block = unsafe { tlsf.realloc_unsized(block, larger) }?;
    // SAFETY: live, and used for the last time.
    unsafe { tlsf.free_unsized(block) };
    // iter_blocks(pool): BlockInfo::size, is_occupied
    let stats = tlsf.stats();
    assert_eq!((stats.block_count, stats.used, stats.top), (0, 0, tlsf.capacity()));
    Ok(())
}

#[test]
fn from_zigs_fixed_buffer_and_buffer_first() -> Result<(), AllocError> {
    // FixedBufferAllocator.init(&buffer), allocator()
    let mut stack = StackBuffer::<100>::new();
    let mut fixed = FixedBuffer::new(&mut stack);
    let text = alloc_print!(&fixed, "{}", 100)?;
    // end_index, buffer.len
    assert_eq!((fixed.used(), fixed.remaining(), fixed.capacity()), (3, 97, 100));
    // ownsPtr(p), ownsSlice(s), isLastAllocation(s)
    assert!(fixed.owns_ptr(text.as_ptr()) && fixed.owns_slice(text.as_bytes()));
    assert!(fixed.is_last(text.as_bytes()));
    drop(text);
    // const saved = fba.end_index; .. fba.end_index = saved;
    let saved = fixed.checkpoint();
    Owned::leak((&fixed).create(1u8)?);
    assert!(fixed.rewind(saved) && fixed.used() == 0);
    // reset()
    fixed.reset();
    // threadSafeAllocator()
    let mut bytes = [MaybeUninit::uninit(); 100];
    let shared = SharedFixedBuffer::new(&mut bytes);
    std::thread::scope(|scope| {
        scope.spawn(|| assert!((&shared).create(1u8).is_ok()));
        assert!((&shared).create(2u8).is_ok());
    });
    // BufferFirstAllocator.init(&buffer, fallback)
    let first = BufferFirst::new(fixed, NeverAlloc);
    assert!((&first).create([0u8; 100]).is_ok() && (&first).create([0u8; 101]).is_err());
    Ok(())
}

#[test]
fn from_heapless() {
    // LinearMap / FnvIndexMap in a static: insert(k, v)?, get(&k), iter(), entry(k).or_insert_with(f)
    static MAP: StaticMap<&str, u32, 8> = StaticMap::new();
    assert_eq!(MAP.insert("a", 1), Ok(&1));
    assert_eq!((MAP.peek(&"a"), MAP.get(&"b")), (Some(&1), Lookup::Unknown));
    let value = MAP.peek(&"b").map_or_else(|| MAP.insert("b", "b".len() as u32), Ok);
    assert_eq!((value, MAP.iter().count()), (Ok(&1), 2));
    // Vec in a static, behind a lock: push(x)?, iter(), len()
    static LIST: StaticList<u32, 2> = StaticList::new();
    assert_eq!((LIST.push(1), LIST.push(2), LIST.push(3)), (Ok(&1), Ok(&2), Err(3)));
    assert_eq!((LIST.iter().sum::<u32>(), LIST.len()), (3, 2));
    // String<16>, write!(string, ..)
    let mut stack = StackBuffer::<16>::new();
    assert_eq!(alloc_fixed::format_into!(&mut stack, "{}!", 5).as_deref(), Ok("5!"));
}
