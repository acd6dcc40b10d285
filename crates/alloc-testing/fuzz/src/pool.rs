//! The pools, and the tables over them.

use std::alloc::Layout;
use std::collections::{HashMap, HashSet};

use alloc_pool::{BufferPool, Handle, Interner, NodePool, Pool, SlotMap};
use alloc_testing::conformance::{self, Options};

use super::{backing, choose, passed, settled};

/// Kinds of allocators.
pub const KINDS: u8 = 6;

/// What a pool's slot has room for.
#[repr(align(256))]
struct Slot {
    _bytes: [u8; 1024],
}

/// Runs a program on one of the pools.
pub fn run(data: &[u8]) {
    let Some((kind, how, program)) = choose(data, KINDS) else { return };
    let behind = backing(how);
    // Sizes up to 1 KiB, and now and then one that no slot has room for.
    let options = Options::new().may_refuse().capacity(20 << 10).align_max(256);
    match kind {
        0 | 1 => {
            let mut pool = Pool::<Slot, _>::over(&behind);
            let _ = pool.preheat(how % 8);
            for part in program.chunks(64) {
                passed(conformance::run_bytes(part, |case| case.run(&pool), &options));
                if kind == 0 { pool.reset() } else { pool.free_all() }
            }
        }
        2 => nodes(&behind, how, program),
        3 => slots(&behind, program),
        4 => texts(&behind, program),
        _ => buffers(&behind, how, program),
    }
    settled(&behind);
}

type Watched<'b> = &'b alloc_testing::hostile::Backing;

/// Nodes against a list of those that are out; two bytes an operation.
fn nodes(backing: Watched<'_>, how: usize, program: &[u8]) {
    let layout = Layout::from_size_align(how % 40 + 1, 1 << (how % 7)).expect("a small layout");
    let Ok(mut pool) = NodePool::new(backing, layout, how % 150 + 1) else { return };
    let mut out = Vec::new();
    for operation in program.chunks_exact(2) {
        let argument = usize::from(operation[1]);
        match (operation[0] % 4, argument.checked_rem(out.len())) {
            (0 | 1, _) => {
                let node = pool.acquire();
                assert_eq!(node.is_some(), out.len() < pool.capacity());
                if let Some(node) = node {
                    assert!(node.addr().get().is_multiple_of(layout.align()));
                    assert!(!out.contains(&node), "handed out twice");
                    // SAFETY: an acquired node has `layout.size()` bytes.
                    unsafe { node.write_bytes(operation[1], layout.size()) };
                    out.push(node);
                }
            }
            (2, Some(index)) => {
                let node = out.swap_remove(index);
                assert_eq!(pool.release(node), Ok(()));
                assert!(pool.release(node).is_err(), "released twice");
            }
            (3, Some(index)) => {
                let node = out[index];
                let inside = node.map_addr(|addr| addr.saturating_add(1));
                assert!(pool.release(inside).is_err() || out.contains(&inside));
            }
            _ => {}
        }
        assert_eq!(pool.available(), pool.capacity() - out.len());
    }
    assert_eq!(
        pool.finish().map_err(|left| left.count),
        if out.is_empty() { Ok(()) } else { Err(out.len()) }
    );
}

/// Handles against a map; two bytes an operation.
fn slots(backing: Watched<'_>, program: &[u8]) {
    let mut map = SlotMap::over(backing);
    let mut model: HashMap<Handle, Box<u8>> = HashMap::new();
    let mut order: Vec<Handle> = Vec::new();
    let mut removed = Vec::new();
    for operation in program.chunks_exact(2) {
        let argument = usize::from(operation[1]);
        match (operation[0] % 4, argument.checked_rem(order.len())) {
            (0 | 1, _) => {
                if let Ok(handle) = map.insert(Box::new(operation[1])) {
                    assert!(
                        model.insert(handle, Box::new(operation[1])).is_none(),
                        "a handle twice"
                    );
                    order.push(handle);
                }
            }
            (2, Some(index)) => {
                let handle = order.swap_remove(index);
                assert_eq!(map.remove(handle), model.remove(&handle));
                removed.push(handle);
            }
            (3, Some(index)) => {
                let bits = order[index].to_bits();
                assert_eq!(Handle::from_bits(bits), Some(order[index]));
                let _ = map.reserve(argument % 9);
            }
            _ => {}
        }
        assert_eq!(map.len(), model.len());
        assert!(removed.iter().rev().take(8).all(|&handle| map.get(handle).is_none()), "stale");
        assert!(model.iter().all(|(&handle, value)| map.get(handle) == Some(value)));
    }
    assert_eq!(map.iter().count(), model.len());
}

/// Texts against a map; the first byte says how long each is.
fn texts(backing: Watched<'_>, program: &[u8]) {
    let mut interner = Interner::over(backing);
    let mut model = HashMap::new();
    let mut rest = program;
    while let Some((&len, after)) = rest.split_first() {
        let (text, after) = after.split_at(usize::from(len % 16).min(after.len()));
        rest = after;
        let text = String::from_utf8_lossy(text).into_owned();
        let known = model.get(&text).copied();
        assert_eq!(interner.get(&text), known);
        let Ok(symbol) = interner.intern(&text) else { continue };
        assert!(known.is_none_or(|known| known == symbol), "another symbol for {text:?}");
        model.insert(text, symbol);
    }
    assert_eq!(interner.len(), model.len());
    let symbols: HashSet<_> = model.values().collect();
    assert_eq!(symbols.len(), model.len(), "a symbol for two texts");
    for (text, &symbol) in &model {
        assert_eq!(interner.resolve(symbol), Some(text.as_str()));
    }
}

/// Buffers and their shares against a list; two bytes an operation.
fn buffers(backing: Watched<'_>, how: usize, program: &[u8]) {
    let Ok(pool) = BufferPool::<_, 16>::new(backing, how % 70 + 1, how % 9 + 1) else { return };
    let mut shares: Vec<(_, u8)> = Vec::new();
    for operation in program.chunks_exact(2) {
        let argument = usize::from(operation[1]);
        match (operation[0] % 4, argument.checked_rem(shares.len())) {
            (0, _) => {
                let free = pool.available();
                let Some(mut buffer) = pool.get() else {
                    assert_eq!(free, 0);
                    continue;
                };
                buffer.get_mut().expect("the only share").fill(operation[1]);
                shares.push((buffer, operation[1]));
            }
            (1, Some(index)) => {
                let (buffer, value) = &shares[index];
                let share = (buffer.clone(), *value);
                shares.push(share);
            }
            (2, Some(index)) => drop(shares.swap_remove(index)),
            (3, Some(index)) => {
                let (buffer, value) = &mut shares[index];
                if let Some(bytes) = buffer.get_mut() {
                    bytes.fill(operation[0]);
                    *value = operation[0];
                }
            }
            _ => {}
        }
        for (buffer, value) in &shares {
            assert!(buffer.iter().all(|byte| byte == value), "another wrote here");
        }
    }
    drop(shares);
    assert_eq!(pool.available(), pool.capacity());
}
