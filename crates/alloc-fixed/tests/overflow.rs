//! Sizes, counts and alignments near the end of the address space: every type refuses them cleanly, and
//! is as it was.

use std::alloc::Layout;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use alloc_core::{AllocError, Allocator, AllocatorExt, NeverAlloc};
use alloc_fixed::{
    BitmapHeap, BufferFirst, FixedBuffer, HeapFirst, MaxHeap, SharedFixedBuffer, StackBuffer,
    StaticBytes, TlsfHeap,
};

const LEN: usize = 4096;

/// Layouts that no buffer here can hold: every alignment with the largest sizes that it allows, and
/// small sizes of huge alignments.
fn hopeless() -> Vec<Layout> {
    let max = isize::MAX as usize;
    let mut list = Vec::new();
    for align in (0..usize::BITS - 1).map(|shift| 1 << shift) {
        let size_max = max - (align - 1);
        for less in [0, 1, 7, 8, 15, 16, 17, 31, 32, 63, 4095, 4096] {
            list.extend(
                size_max.checked_sub(less).filter(|size| LEN < *size).map(|size| (size, align)),
            );
        }
        for shift in 13..usize::BITS - 1 {
            list.push(((1 << shift) - 1, align));
            list.push((1 << shift, align));
        }
        if usize::BITS / 2 + 16 < align.ilog2() {
            list.extend([(1, align), (16, align)]);
        }
    }
    let layouts =
        list.into_iter().filter_map(|(size, align)| Layout::from_size_align(size, align).ok());
    layouts.filter(|layout| LEN < layout.size() || LEN < layout.align()).collect()
}

/// Asks for everything hopeless, as blocks, as growths of a live block, and by the verbs. `state` says
/// what must not change.
fn refuses<A: Allocator, S: PartialEq + std::fmt::Debug>(alloc: &A, state: impl Fn() -> S) {
    let small = Layout::new::<[u64; 2]>();
    let block: NonNull<u8> = alloc.raw_alloc(small).unwrap();
    // SAFETY: live, of 16 bytes.
    unsafe { block.cast::<[u8; 16]>().write([5; 16]) };
    let before = state();
    let list = hopeless();
    assert!(2000 < list.len());
    for layout in list {
        assert_eq!(alloc.raw_alloc(layout), Err(AllocError), "{layout:?}");
        assert_eq!(alloc.raw_alloc_zeroed(layout), Err(AllocError), "{layout:?}");
        if Layout::from_size_align(layout.size(), small.align()).is_ok() && LEN < layout.size() {
            // SAFETY: live, taken with this layout; the new size makes a valid one.
            let resized = unsafe { alloc.raw_resize(block, small, layout.size()) };
            // SAFETY: as above; it is as it was.
            let moved = unsafe { alloc.raw_remap(block, small, layout.size()) };
            assert_eq!((resized, moved), (false, None), "{layout:?}");
        }
        assert_eq!(state(), before, "{layout:?}");
    }
    for count in [usize::MAX, usize::MAX - 1, usize::MAX / 2, usize::MAX / 8, usize::MAX / 8 + 2] {
        assert_eq!(alloc.alloc::<u8>(count).map(drop), Err(AllocError), "{count}");
        assert_eq!(alloc.alloc::<u64>(count).map(drop), Err(AllocError), "{count}");
        assert_eq!(alloc.alloc_fill(count, [7u32; 5]).map(drop), Err(AllocError), "{count}");
        assert_eq!(state(), before, "{count}");
    }
    // SAFETY: live, of 16 bytes, which were written.
    assert_eq!(unsafe { block.cast::<[u8; 16]>().read() }, [5; 16]);
    // SAFETY: live, and not used again.
    unsafe { alloc.raw_free(block, small) };
}

#[test]
fn buffers_refuse() {
    let mut buffer = StackBuffer::<LEN>::new();
    let fixed = FixedBuffer::new(&mut buffer);
    refuses(&fixed, || fixed.used());
    // From a place that is aligned to nothing.
    let _odd = fixed.create(1u8).unwrap();
    refuses(&fixed, || fixed.used());

    let mut buffer = StackBuffer::<LEN>::new();
    let shared = SharedFixedBuffer::new(&mut buffer);
    refuses(&shared, || shared.used());
    let _odd = shared.create(1u8).unwrap();
    refuses(&shared, || shared.used());

    let mut buffer = StackBuffer::<LEN>::new();
    let first = BufferFirst::new(FixedBuffer::new(&mut buffer), NeverAlloc);
    refuses(&first, || ());

    let mut buffer = StackBuffer::<LEN>::new();
    let heaps = HeapFirst::new(TlsfHeap::new(&mut buffer), NeverAlloc);
    refuses(&heaps, || heaps.heap().stats());
}

#[test]
fn heaps_refuse() {
    static BYTES: StaticBytes<LEN> = StaticBytes::new();
    let mut memory = [MaybeUninit::uninit(); LEN];
    for heap in [TlsfHeap::new(&mut memory), TlsfHeap::over(&BYTES)] {
        refuses(&heap, || heap.stats());
        // With holes of several sizes, so that lists are searched.
        let blocks: Vec<_> =
            [40, 200, 1000, 1500].map(|size| heap.alloc::<u8>(size).unwrap()).into();
        let mut kept = Vec::new();
        for (index, block) in blocks.into_iter().enumerate() {
            if index % 2 == 1 {
                kept.push(block);
            }
        }
        refuses(&heap, || heap.stats());
        drop(kept);
        heap.check_invariants();
        assert_eq!(heap.stats().top, heap.capacity());
    }
    // A request before there is any memory.
    let heap = TlsfHeap::new(&mut []);
    assert!(hopeless().into_iter().all(|layout| heap.raw_alloc(layout) == Err(AllocError)));
}

#[test]
fn heaps_of_other_kinds_refuse() {
    let mut buffer = StackBuffer::<LEN>::new();
    let mut scratch = MaxHeap::new(FixedBuffer::new(&mut buffer));
    scratch.alloc::<u8>(100).unwrap();
    let mut block = [0u8; LEN];
    let mut bitmap = BitmapHeap::<16>::format(&mut block).unwrap();
    let kept = bitmap.store(5u64).unwrap();
    for count in [usize::MAX, usize::MAX - 15, usize::MAX / 2, usize::MAX / 8 + 1, 1 << 40, 1 << 32]
    {
        assert!(scratch.alloc::<u8>(count).is_err(), "{count}");
        assert!(scratch.alloc::<u64>(count).is_err(), "{count}");
        assert_eq!(scratch.capacity(), 100);
        assert!(bitmap.alloc(count).is_err(), "{count}");
        assert_eq!((bitmap.used(), bitmap.load(kept)), (1, Ok(5)));
    }
}
