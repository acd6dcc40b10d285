//! Arenas: values, strings and slices, blocks of any layout, resets and scopes; all forms of them.

use core::alloc::Layout;
use core::cell::Cell;
use core::ffi::CStr;
use core::fmt::Write;
use core::ptr::NonNull;

use alloc_arena::{
    Arena, ArenaBox, ArenaCell, ArenaPool, CStrError, DropArena, Family, Growth, HeapArena, InArena, PooledArena,
    RefState, Reset, SendBox, SharedArena, TypedArena, unsize_arena_box,
};
use alloc_core::{AllocError, Allocator};
use alloc_fixed::{FixedBuffer, SharedFixedBuffer};

type Over<'a> = Arena<&'a FixedBuffer<'a>>;

#[inline(never)]
pub fn put<'a>(arena: &'a Over<'_>, value: u64) -> Result<&'a mut u64, AllocError> {
    arena.put(value)
}

#[inline(never)]
pub fn put_or_return(arena: &Over<'_>, value: [u64; 9]) -> bool {
    arena.put_or_return(value).is_ok()
}

#[inline(never)]
pub fn put_with<'a>(arena: &'a Over<'_>, value: u64) -> Result<&'a mut [u64; 3], AllocError> {
    arena.put_with(|| [value; 3])
}

#[inline(never)]
pub fn put_str<'a>(arena: &'a Over<'_>, text: &str) -> Result<&'a mut str, AllocError> {
    arena.put_str(text)
}

#[inline(never)]
pub fn copied<'a>(arena: &'a Over<'_>, items: &[u32]) -> Result<&'a mut [u32], AllocError> {
    arena.put_slice_copy(items)
}

#[inline(never)]
pub fn filled<'a>(arena: &'a Over<'_>, count: usize) -> Result<&'a mut [u32], AllocError> {
    arena.put_slice_fill(count, 7)
}

#[inline(never)]
pub fn made<'a>(arena: &'a Over<'_>, count: usize) -> Result<&'a mut [usize], AllocError> {
    arena.put_slice_with(count, |index| index)
}

#[inline(never)]
pub fn zeroed<'a>(arena: &'a Over<'_>, count: usize) -> Result<&'a mut [u32], AllocError> {
    arena.put_slice_zeroed(count)
}

#[inline(never)]
pub fn collected<'a>(arena: &'a Over<'_>, items: &[u32]) -> Result<&'a mut [u32], AllocError> {
    arena.put_iter(items.iter().copied().filter(|item| item % 2 == 0))
}

#[inline(never)]
pub fn tried<'a>(arena: &'a Over<'_>, value: Option<u64>) -> Result<&'a mut u64, AllocError> {
    arena.put_try_with(|| value.ok_or(AllocError))
}

#[inline(never)]
pub fn tried_all<'a>(arena: &'a Over<'_>, items: &[Option<u32>]) -> Result<&'a mut [u32], AllocError> {
    arena.put_try_iter(items.iter().map(|item| item.ok_or(AllocError)))
}

#[inline(never)]
pub fn reserve(arena: &Over<'_>, bytes: usize) -> bool {
    arena.reserve(bytes).is_ok()
}

#[inline(never)]
pub fn alloc(arena: &Over<'_>, layout: Layout) -> Result<NonNull<u8>, AllocError> {
    arena.raw_alloc(layout)
}

/// # Safety
///
/// As the function that it calls.
#[inline(never)]
pub unsafe fn remap(
    arena: &Over<'_>,
    block: NonNull<u8>,
    layout: Layout,
    size: usize,
) -> Option<NonNull<u8>> {
    // SAFETY: the caller keeps the same contract.
    unsafe { arena.raw_remap(block, layout, size) }
}

/// # Safety
///
/// As the function that it calls.
#[inline(never)]
pub unsafe fn free(arena: &Over<'_>, block: NonNull<u8>, layout: Layout) {
    // SAFETY: the caller keeps the same contract.
    unsafe { arena.raw_free(block, layout) }
}

#[inline(never)]
pub fn reset(arena: &mut Over<'_>, limit: usize) -> bool {
    arena.reset(Reset::RetainWithLimit(limit)) && arena.reset(Reset::RetainCapacity)
}

#[inline(never)]
pub fn scope(arena: &mut Over<'_>) -> usize {
    arena.scope(|inner| inner.put(5u8).is_ok());
    arena.high_water()
}

#[inline(never)]
pub fn formatted<'a>(arena: &'a Over<'_>, number: u64, text: &str) -> Result<&'a mut str, AllocError> {
    arena.put_fmt(format_args!("{number} of {text}"))
}

#[inline(never)]
pub fn c_strings<'a>(
    arena: &'a Over<'_>,
    text: &str,
    c_text: &CStr,
    number: u64,
) -> Result<[&'a CStr; 3], CStrError> {
    Ok([
        arena.put_cstr(c_text)?,
        arena.put_cstr_from(text)?,
        arena.put_cstr_fmt(format_args!("{number} of {text}"))?,
    ])
}

#[inline(never)]
pub fn built<'a>(arena: &'a Over<'_>, items: &[u32]) -> Result<&'a mut [u32], AllocError> {
    let mut built = arena.build_slice();
    built.reserve(items.len())?;
    built.push_slice_copy(items)?;
    built.push_iter(items.iter().copied().filter(|item| item % 2 == 0))?;
    built.push(7)?;
    built.pop();
    built.truncate(3);
    Ok(built.finish())
}

#[inline(never)]
pub fn built_boxes<'a, 'c>(
    arena: &'a Over<'_>,
    counts: &'c [Cell<usize>],
) -> Result<ArenaBox<'a, [Counted<'c>]>, AllocError> {
    let mut built = arena.build_slice();
    built.push_iter(counts.iter().map(Counted))?;
    built.truncate(2);
    Ok(built.finish_box())
}

#[inline(never)]
pub fn built_text<'a>(arena: &'a Over<'_>, text: &str, number: u64) -> Result<&'a CStr, CStrError> {
    let mut built = arena.build_str();
    built.push_str(text)?;
    built.push('x')?;
    built.pop();
    write!(built, "{number}").map_err(|_| AllocError)?;
    built.finish_cstr()
}

#[inline(never)]
pub fn zeroed_value<'a>(arena: &'a Over<'_>) -> Result<&'a mut [u64; 9], AllocError> {
    arena.put_zeroed()
}

#[inline(never)]
pub fn chunk_sum(arena: &Over<'_>) -> usize {
    arena.chunk_stats().fold(arena.room(), |sum, chunk| sum.wrapping_add(chunk.used))
}

#[inline(never)]
pub fn cloned<'a>(arena: &'a Over<'_>, items: &[u32]) -> Result<&'a mut [u32], AllocError> {
    arena.put_slice_clone(items)
}

/// A value with a drop.
pub struct Counted<'c>(&'c Cell<usize>);

/// What an erased one can do.
pub trait Told {
    /// How often one was dropped.
    fn told(&self) -> usize;
}

impl Told for Counted<'_> {
    fn told(&self) -> usize {
        self.0.get()
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().wrapping_add(1));
    }
}

#[inline(never)]
pub fn boxed<'a, 'c>(
    arena: &'a Over<'_>,
    count: &'c Cell<usize>,
) -> Result<ArenaBox<'a, Counted<'c>>, AllocError> {
    arena.put_box(Counted(count))
}

#[inline(never)]
pub fn boxes<'a, 'c>(
    arena: &'a Over<'_>,
    counts: &'c [Cell<usize>],
) -> Result<ArenaBox<'a, [Counted<'c>]>, AllocError> {
    arena.put_box_iter(counts.iter().map(Counted))
}

#[inline(never)]
pub fn box_with<'a, 'c>(
    arena: &'a Over<'_>,
    count: &'c Cell<usize>,
) -> Result<ArenaBox<'a, Counted<'c>>, AllocError> {
    arena.put_box_with(|| Counted(count))
}

#[inline(never)]
pub fn tried_boxes<'a, 'c>(
    arena: &'a Over<'_>,
    counts: &[Option<&'c Cell<usize>>],
) -> Result<ArenaBox<'a, [Counted<'c>]>, AllocError> {
    arena.put_box_try_iter(counts.iter().map(|count| count.map(Counted).ok_or(AllocError)))
}

#[inline(never)]
pub fn split<'a, 'c>(value: ArenaBox<'a, [Counted<'c>]>, mid: usize) -> Option<ArenaBox<'a, [Counted<'c>; 3]>> {
    let (first, second) = ArenaBox::split_at(value, mid).ok()?;
    drop(second);
    first.try_into().ok()
}

#[inline(never)]
pub fn gone_through(value: ArenaBox<'_, [Counted<'_>]>) -> usize {
    value.into_iter().map(|value| value.0.get() & 1).take(3).fold(0, usize::wrapping_add)
}

#[inline(never)]
pub fn erased<'a, 'c>(value: ArenaBox<'a, Counted<'c>>) -> ArenaBox<'a, dyn Told + 'c> {
    unsize_arena_box!(value => dyn Told + 'c)
}

#[inline(never)]
pub fn unbox(value: ArenaBox<'_, [Counted<'_>]>) {
    drop(value);
}

#[inline(never)]
pub fn drops<'v>(arena: &mut DropArena<'v, &'v FixedBuffer<'v>>, count: &'v Cell<usize>) -> bool {
    arena.put(Counted(count)).is_ok() && arena.reset(Reset::RetainCapacity)
}

#[inline(never)]
pub fn drop_rows<'v>(arena: &DropArena<'v, &'v FixedBuffer<'v>>, counts: &'v [Cell<usize>]) -> bool {
    arena.put_iter(counts.iter().map(Counted)).is_ok()
}

type Typed<'a, T> = TypedArena<T, &'a FixedBuffer<'a>>;

#[inline(never)]
pub fn typed<'t>(arena: &'t Typed<'_, u64>, value: u64) -> Result<&'t mut u64, AllocError> {
    arena.reserve(3)?;
    arena.put(value)
}

#[inline(never)]
pub fn typed_units(arena: &mut Typed<'_, ()>, count: usize) -> Result<usize, AllocError> {
    arena.put(())?;
    arena.put_iter((0..count).map(drop))?;
    Ok(arena.iter_mut().count())
}

#[inline(never)]
pub fn typed_drops<'c>(arena: &mut Typed<'_, Counted<'c>>, counts: &'c [Cell<usize>]) -> usize {
    let is_put = arena.put_iter(counts.iter().map(Counted)).is_ok();
    let sum: usize = arena.iter_mut().map(|value| value.0.get() & 1).fold(0, usize::wrapping_add);
    let taken = arena.drain().take(2).count();
    sum.wrapping_add(taken).wrapping_add(usize::from(is_put && arena.reset(Reset::FreeAll)))
}

#[inline(never)]
pub fn end_typed(arena: Typed<'_, Counted<'_>>) {
    drop(arena);
}

#[inline(never)]
pub fn rewind(arena: &mut Over<'_>) -> bool {
    let mut point = arena.checkpoint();
    let is_put = point.scope().put(1u64).is_ok();
    point.rewind();
    is_put
}

#[inline(never)]
pub fn taken_apart<'b>(
    arena: Arena<&'b FixedBuffer<'b>>,
    backing: &'b FixedBuffer<'b>,
) -> Result<Arena<&'b FixedBuffer<'b>>, RefState<'b, FixedBuffer<'b>>> {
    arena.into_ref_state().promote(backing)
}

/// A borrowed text.
pub struct Text;

impl Family for Text {
    type Of<'a> = &'a str;
}

#[inline(never)]
pub fn together<'b>(
    arena: Over<'b>,
    text: &str,
) -> Result<InArena<Text, &'b FixedBuffer<'b>>, AllocError> {
    InArena::new(arena, |arena| arena.put_str(text).map(|text| &*text))
}

#[inline(never)]
pub fn replaced<'b>(cell: &mut ArenaCell<Text, &'b FixedBuffer<'b>>, text: &str) -> Result<usize, AllocError> {
    cell.replace(|arena| arena.put_str(text).map(|text| &*text))?;
    Ok(cell.with(|text| text.map_or(0, |text| text.len())))
}

type Pool<'a> = ArenaPool<&'a FixedBuffer<'a>, 8>;

#[inline(never)]
pub fn preheat(pool: &mut Pool<'_>, bytes: usize) -> Result<(), AllocError> {
    pool.preheat(bytes)
}

#[inline(never)]
pub fn lend<'p, 'a>(pool: &'p Pool<'a>) -> Option<PooledArena<'p, &'a FixedBuffer<'a>, 8>> {
    pool.take()
}

#[inline(never)]
pub fn use_lent(arena: &mut PooledArena<'_, &FixedBuffer<'_>, 8>) -> bool {
    arena.put(5u8).is_ok() && arena.reset(Reset::FreeAll)
}

#[inline(never)]
pub fn bring_back(arena: PooledArena<'_, &FixedBuffer<'_>, 8>) {
    drop(arena);
}

contract! {
    heap: HeapArena<&FixedBuffer<'_>>;
    shared: SharedArena<&SharedFixedBuffer<'_>>;
}

#[inline(never)]
pub fn reset_heap(arena: &mut HeapArena<&FixedBuffer<'_>>, limit: usize) -> bool {
    arena.reset(Reset::RetainWithLimit(limit))
}

#[inline(never)]
pub fn reset_shared(arena: &mut SharedArena<&SharedFixedBuffer<'_>>, limit: usize) -> bool {
    arena.reset(Reset::RetainWithLimit(limit))
}

#[inline(never)]
pub fn reserve_shared(arena: &mut SharedArena<&SharedFixedBuffer<'_>>, bytes: usize) -> bool {
    arena.reserve(bytes).is_ok()
}

#[inline(never)]
pub fn send<'h>(heap: &'h HeapArena<&FixedBuffer<'_>>, value: u64) -> Result<SendBox<'h, u64>, AllocError> {
    heap.put_send(value)
}

#[inline(never)]
pub fn let_go(value: SendBox<'_, u64>) {
    drop(value);
}

#[inline(never)]
pub fn put_shared(arena: &SharedArena<&SharedFixedBuffer<'_>>, value: u64) -> bool {
    arena.set_limit(1 << 20);
    arena.put(value).is_ok() && arena.put_fmt(format_args!("{value}")).is_ok()
}

#[inline(never)]
pub fn local<'s, 'a>(
    arena: &'s SharedArena<&'a SharedFixedBuffer<'a>>,
    value: u64,
) -> Result<&'s mut u64, AllocError> {
    arena.local_with_growth(Growth::exact()).put(value)
}
