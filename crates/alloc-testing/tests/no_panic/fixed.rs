//! Fixed buffers and heaps: every call of the contract, and the safe calls beside it.

use core::alloc::Layout;
use core::fmt::Write;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use alloc_core::{AllocError, AllocatorExt, NeverAlloc, UnsizedFree};
use alloc_fixed::{
    BitmapHeap, BufferFirst, Checkpoint, FixedBuffer, HeapFirst, Lookup, MaxHeap, Offset, SharedFixedBuffer, StackBuffer,
    StaleOffset, StaticBytes, StaticList, StaticMap, StaticStrings, Text, TlsfHeap, TlsfStats,
    format_into,
};

contract! {
    fixed: FixedBuffer<'_>;
    shared: SharedFixedBuffer<'_>;
    tlsf: TlsfHeap<'_>;
    buffer_first: BufferFirst<'_, NeverAlloc>;
    heap_first: HeapFirst<'_, TlsfHeap<'_>>;
}

/// Writes probes of one call each.
macro_rules! probes {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty $body:block)+) => { $(
        #[inline(never)]
        pub fn $name($($argument: $type),*) -> $result $body
    )+ };
}

type Bitmap<'a> = BitmapHeap<'a, 32>;
type List = StaticList<u32, 8>;
type Map = StaticMap<u32, u32, 16>;
type Uninit = MaybeUninit<u8>;

// A block that others wrote may hold anything.
probes! {
    bitmap_format(block: &mut [u8]) -> Option<Bitmap<'_>> { Bitmap::format(block) }
    bitmap_attach(block: &mut [u8]) -> Option<Bitmap<'_>> { Bitmap::attach(block) }
    bitmap_used(heap: &Bitmap<'_>) -> usize { heap.used() }
    bitmap_alloc(heap: &mut Bitmap<'_>, len: usize) -> Result<Offset<[u8]>, AllocError> { heap.alloc(len) }
    bitmap_dupe(heap: &mut Bitmap<'_>, bytes: &[u8]) -> Result<Offset<[u8]>, AllocError> { heap.dupe(bytes) }
    bitmap_store(heap: &mut Bitmap<'_>, value: u64) -> Result<Offset<u64>, AllocError> { heap.store(value) }
    bitmap_load(heap: &Bitmap<'_>, at: Offset<u64>) -> Result<u64, StaleOffset> { heap.load(at) }
    bitmap_bytes(heap: &Bitmap<'_>, at: Offset<[u8]>) -> bool { heap.bytes(at).is_ok() }
    bitmap_bytes_mut(heap: &mut Bitmap<'_>, at: Offset<[u8]>) -> bool { heap.bytes_mut(at).is_ok() }
    bitmap_free(heap: &mut Bitmap<'_>, at: Offset<[u8]>) -> Result<(), StaleOffset> { heap.free(at) }
}

probes! {
    bytes(bytes: &'static StaticBytes<64>) -> bool { bytes.take().is_some() }
    list_push(list: &List, item: u32) -> Option<&u32> { list.push(item).ok() }
    list_push_in(list: &'static List, item: u32, more: &'static SharedFixedBuffer<'static>) -> bool {
        list.push_in(item, more).is_ok()
    }
    list_get(list: &List, index: usize) -> Option<&u32> { list.get(index) }
    list_fold(list: &List) -> u32 { list.iter().fold(0, |sum, item| sum ^ item) }
    list_len(list: &List) -> usize { list.len() }
    strings_add(strings: &StaticStrings<100>, text: &str) -> bool { strings.add(text).is_ok() }
    strings_owns(strings: &StaticStrings<100>, text: &str) -> bool { strings.owns(text) }
    map_insert(map: &Map, key: u32) -> Option<&u32> { map.insert(key, 1).ok() }
    map_insert_in(map: &'static Map, key: u32, more: &'static SharedFixedBuffer<'static>) -> bool {
        map.insert_in(key, 1, more).is_ok()
    }
    map_insert_absent(map: &Map, key: u32) -> bool { map.insert_absent(key).is_ok() }
    map_get(map: &Map, key: u32) -> bool { matches!(map.get(&key), Lookup::Present(_)) }
    map_peek(map: &Map, key: u32) -> Option<&u32> { map.peek(&key) }
    map_fold(map: &Map) -> u32 { map.iter().fold(0, |sum, (key, value)| sum ^ key ^ value) }
}

probes! {
    format(buffer: &mut [Uninit], number: u32, text: &str) -> bool {
        format_into!(buffer, "{number} of {text}").is_ok()
    }
    text_write(text: &mut Text<'_>, more: &str) -> bool { text.write_str(more).is_ok() }
    text_read(text: &Text<'_>) -> usize { text.as_str().len() }
    text_end(text: Text<'_>) -> &mut str { text.into_str() }
    scope(buffer: &FixedBuffer<'_>, count: usize) -> bool {
        buffer.scope(|scope| scope.alloc::<u64>(count).is_ok())
    }
    with_bytes(bytes: &mut [u8], count: usize) -> bool {
        FixedBuffer::with_bytes(bytes, |buffer| buffer.alloc::<u64>(count).is_ok())
    }
    rewind(buffer: &mut FixedBuffer<'_>, to: Checkpoint) -> bool { buffer.rewind(to) }
    reset(buffer: &mut FixedBuffer<'_>) -> Checkpoint { buffer.reset(); buffer.checkpoint() }
    usage(buffer: &FixedBuffer<'_>) -> usize { buffer.used() ^ buffer.remaining() ^ buffer.capacity() }
    owns(buffer: &FixedBuffer<'_>, bytes: &[u8]) -> bool {
        buffer.owns_slice(bytes) | buffer.is_last(bytes) | buffer.owns_ptr(bytes.as_ptr())
    }
    shared_reset(buffer: &mut SharedFixedBuffer<'_>) -> usize { buffer.reset(); buffer.used() }
    stack(count: usize) -> bool { StackBuffer::<64>::new().fixed().alloc::<u64>(count).is_ok() }
    max_heap(heap: &mut MaxHeap<&FixedBuffer<'_>>, count: usize) -> bool { heap.alloc::<u64>(count).is_ok() }
    tlsf_new(buffer: &mut [Uninit]) -> TlsfHeap<'_> { TlsfHeap::new(buffer) }
    tlsf_stats(heap: &TlsfHeap<'_>) -> TlsfStats { heap.stats() }
    tlsf_truncate(heap: &TlsfHeap<'_>, end: *const u8) -> *const u8 { heap.truncate(end) }
}

/// # Safety
///
/// As the functions that it calls.
#[inline(never)]
pub unsafe fn tlsf_ends<'a>(base: NonNull<u8>, len: usize, end: *const u8) -> TlsfHeap<'a> {
    // SAFETY: the caller keeps the same contract.
    let heap = unsafe { TlsfHeap::from_raw_parts(base, len) };
    // SAFETY: as above.
    unsafe { heap.extend(end) };
    heap
}

/// # Safety
///
/// As the functions that it calls.
#[inline(never)]
pub unsafe fn tlsf_unsized(
    heap: &TlsfHeap<'_>,
    block: NonNull<u8>,
    layout: Layout,
) -> Result<usize, AllocError> {
    // SAFETY: the caller keeps the same contract.
    let block = unsafe { heap.realloc_unsized(block, layout) }?;
    // SAFETY: live, just given.
    let size = unsafe { heap.usable_size(block) };
    // SAFETY: live, used no more.
    unsafe { heap.free_unsized(block) };
    Ok(size)
}
