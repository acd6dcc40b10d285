//! Pools, over an erased backing.

use core::alloc::Layout;
use core::ptr::NonNull;

use alloc_core::{AllocError, Allocator, Owned};
use alloc_pool::{
    BoundedArray, Buffer, BufferPool, Handle, Interner, Misuse, NodePool, Outstanding, Pool, Scratch,
    SlotMap, Symbol,
};

type Backing<'a> = &'a dyn Allocator;
type Node = [u64; 4];

#[inline(never)]
pub fn create<'p, 'a>(
    pool: &'p Pool<Node, Backing<'a>>,
    node: Node,
) -> Result<Owned<Node, &'p Pool<Node, Backing<'a>>>, AllocError> {
    pool.create(node)
}

#[inline(never)]
pub fn destroy(node: Owned<Node, &Pool<Node, Backing<'_>>>) {
    drop(node);
}

#[inline(never)]
pub fn preheat(pool: &Pool<Node, Backing<'_>>, count: usize) -> Result<(), AllocError> {
    pool.preheat(count)
}

#[inline(never)]
pub fn reset(pool: &mut Pool<Node, Backing<'_>>) {
    pool.reset();
    pool.shrink_to(100);
    pool.free_all();
}

#[inline(never)]
pub fn nodes(backing: Backing<'_>, node: Layout, count: usize) -> Result<NodePool<Backing<'_>>, AllocError> {
    NodePool::new(backing, node, count)
}

#[inline(never)]
pub fn acquire(nodes: &mut NodePool<Backing<'_>>) -> Option<NonNull<u8>> {
    nodes.acquire()
}

#[inline(never)]
pub fn release(nodes: &mut NodePool<Backing<'_>>, node: NonNull<u8>) -> Result<(), Misuse> {
    nodes.release(node)
}

#[inline(never)]
pub fn finish(nodes: NodePool<Backing<'_>>) -> Result<(), Outstanding> {
    nodes.finish()
}

#[inline(never)]
pub fn buffers(backing: Backing<'_>, len: usize, count: usize) -> Result<BufferPool<Backing<'_>>, AllocError> {
    BufferPool::new(backing, len, count)
}

#[inline(never)]
pub fn buffer<'p, 'a>(pool: &'p BufferPool<Backing<'a>>) -> Option<Buffer<'p, Backing<'a>, 16>> {
    pool.get()
}

#[inline(never)]
pub fn let_go(buffer: Buffer<'_, Backing<'_>, 16>) {
    drop(buffer);
}

#[inline(never)]
pub fn scratch(backing: Backing<'_>, len: usize) -> Result<Scratch<Backing<'_>>, AllocError> {
    Scratch::new(backing, len)
}

#[inline(never)]
pub fn use_scratch(scratch: &Scratch<Backing<'_>>) -> Option<usize> {
    scratch.acquire().map(|buffer| buffer.len())
}

#[inline(never)]
pub fn insert(map: &mut SlotMap<Node, Backing<'_>>, node: Node) -> Result<Handle, (Node, AllocError)> {
    map.insert(node)
}

#[inline(never)]
pub fn remove(map: &mut SlotMap<Node, Backing<'_>>, handle: Handle) -> Option<Node> {
    map.remove(handle)
}

#[inline(never)]
pub fn get<'m>(map: &'m SlotMap<Node, Backing<'_>>, handle: Handle) -> Option<&'m Node> {
    map.get(handle)
}

#[inline(never)]
pub fn intern(names: &mut Interner<Backing<'_>>, name: &str) -> Result<Symbol, AllocError> {
    names.intern(name)
}

#[inline(never)]
pub fn look_up(names: &Interner<Backing<'_>>, name: &str) -> Option<Symbol> {
    names.get(name)
}

#[inline(never)]
pub fn resolve<'n>(names: &'n Interner<Backing<'_>>, symbol: Symbol) -> Option<&'n str> {
    names.resolve(symbol)
}

#[inline(never)]
pub fn array(array: &mut BoundedArray<u32, 8>, index: usize) -> Option<u32> {
    array.push(1).ok()?;
    array.insert(index, 2).ok()?;
    array.remove(index)?;
    array.swap_remove(index)?;
    array.truncate(index);
    array.pop()
}

#[inline(never)]
pub fn items(array: &mut BoundedArray<u32, 8>, more: &[u32], index: usize) -> Option<u32> {
    array.extend_from_slice(more).ok()?;
    array.extend(0..3).ok()?;
    array.resize(index, 5).ok()?;
    array.retain(|item| *item != 2);
    array.dedup();
    let taken = array.drain(index..index.wrapping_add(2))?;
    taken.into_iter().rev().reduce(|one, other| one ^ other)
}

#[inline(never)]
pub fn whole(array: BoundedArray<u32, 8>) -> Option<[u32; 8]> {
    array.into_array().ok()
}

#[inline(never)]
pub fn create_or_return(pool: &Pool<Node, Backing<'_>>, node: Node) -> bool {
    pool.create_or_return(node).is_ok()
}

#[inline(never)]
pub fn alloc(pool: &Pool<Node, Backing<'_>>, layout: Layout) -> Result<NonNull<u8>, AllocError> {
    pool.raw_alloc(layout)
}

#[inline(never)]
pub fn live(pool: &Pool<Node, Backing<'_>>) -> usize {
    pool.live()
}

#[inline(never)]
pub fn capacity(pool: &Pool<Node, Backing<'_>>) -> usize {
    pool.capacity()
}

#[inline(never)]
pub fn write<'b>(buffer: &'b mut Buffer<'_, Backing<'_>, 16>) -> Option<&'b mut [u8]> {
    buffer.get_mut()
}

#[inline(never)]
pub fn share<'p, 'a>(buffer: &Buffer<'p, Backing<'a>, 16>) -> Buffer<'p, Backing<'a>, 16> {
    buffer.clone()
}

#[inline(never)]
pub fn get_mut<'m>(map: &'m mut SlotMap<Node, Backing<'_>>, handle: Handle) -> Option<&'m mut Node> {
    map.get_mut(handle)
}

#[inline(never)]
pub fn room(map: &mut SlotMap<Node, Backing<'_>>, count: usize) -> Result<(), AllocError> {
    map.reserve(count)
}

#[inline(never)]
pub fn listed(map: &SlotMap<Node, Backing<'_>>) -> u64 {
    map.iter().map(|(handle, node)| handle.to_bits() ^ node[0]).fold(0, |sum, bits| sum ^ bits)
}

#[inline(never)]
pub fn vacant(map: &mut SlotMap<Node, Backing<'_>>, node: Node) -> Result<Handle, AllocError> {
    let place = map.vacant_entry()?;
    let handle = place.handle();
    place.insert(node)[0] = 1;
    Ok(handle)
}

#[inline(never)]
pub fn disjoint(map: &mut SlotMap<Node, Backing<'_>>, handles: [Handle; 3]) -> Option<u64> {
    map.get_disjoint_mut(handles).map(|[one, two, three]| one[0] ^ two[0] ^ three[0])
}

#[inline(never)]
pub fn bulk(map: &mut SlotMap<Node, Backing<'_>>) -> u64 {
    map.retain(|handle, node| handle.to_bits() == node[0]);
    map.values_mut().for_each(|node| node[0] = 0);
    let drained = map.drain().rev().fold(0, |sum, (_, node)| sum ^ node[0]);
    map.clear();
    drained ^ map.handles().rev().fold(0, |sum, handle| sum ^ handle.to_bits())
}

#[inline(never)]
pub fn shrink(map: &mut SlotMap<Node, Backing<'_>>) -> Result<(), AllocError> {
    map.shrink_to_fit()
}

#[inline(never)]
pub fn copy<'a>(map: &SlotMap<Node, Backing<'a>>) -> Result<SlotMap<Node, Backing<'a>>, AllocError> {
    map.try_clone()
}

#[inline(never)]
pub fn into_values(map: SlotMap<Node, Backing<'_>>) -> u64 {
    map.into_iter().fold(0, |sum, (_, node)| sum ^ node[0])
}

#[inline(never)]
pub fn names(names: &Interner<Backing<'_>>) -> usize {
    names.iter().map(|(_, name)| name.len()).fold(0, usize::wrapping_add)
}

#[inline(never)]
pub fn end(map: SlotMap<Node, Backing<'_>>, names: Interner<Backing<'_>>, buffers: BufferPool<Backing<'_>>) {
    drop((map, names, buffers));
}
