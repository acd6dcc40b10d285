//! Pools beside their peers.

use std::ptr::{self, NonNull};

use alloc_bench::pools::{
    Node, Pool, ROUND, create_destroy, create_only, in_any_order, keep, rounds,
};
use alloc_core::Owned;

use super::{Case, Contender};

const ENOUGH: &str = "a benchmark has enough memory";

/// Ours: owners.
struct Ours<'p>(&'p alloc_pool::Pool<Node>);

impl<'p> Pool for Ours<'p> {
    type Item = Owned<Node, &'p alloc_pool::Pool<Node>>;

    #[inline]
    fn create(&mut self, node: Node) -> Self::Item {
        self.0.create(node).expect(ENOUGH)
    }

    #[inline]
    fn destroy(&mut self, item: Self::Item) {
        drop(item);
    }

    #[inline]
    fn word(item: &Self::Item) -> *const u8 {
        Owned::as_ptr(item).cast_const().cast()
    }
}

/// Ours, owners taken apart: bare pointers, as Zig's pool hands out, and as little checked.
struct Raw(alloc_pool::Pool<Node>);

impl Pool for Raw {
    type Item = NonNull<Node>;

    #[inline]
    fn create(&mut self, node: Node) -> NonNull<Node> {
        Owned::into_raw_parts(self.0.create(node).expect(ENOUGH)).0
    }

    #[inline]
    fn destroy(&mut self, item: NonNull<Node>) {
        // SAFETY: the workloads destroy each item once, by the pool that made it.
        drop(unsafe { Owned::from_raw_parts(item, &self.0) });
    }

    #[inline]
    fn word(item: &NonNull<Node>) -> *const u8 {
        item.as_ptr().cast_const().cast()
    }
}

/// Ours, behind handles that know when they are stale.
struct Map(alloc_pool::SlotMap<Node, alloc_core::Global>);

impl Pool for Map {
    type Item = alloc_pool::Handle;

    #[inline]
    fn create(&mut self, node: Node) -> Self::Item {
        self.0.insert(node).map_err(|(_, error)| error).expect(ENOUGH)
    }

    #[inline]
    fn destroy(&mut self, item: Self::Item) {
        self.0.remove(item);
    }

    #[inline]
    fn word(item: &Self::Item) -> *const u8 {
        // The index, which is what slab hands out.
        ptr::without_provenance(item.to_bits() as u32 as usize)
    }
}

/// The crate slab: indices.
struct Slab(slab::Slab<Node>);

impl Pool for Slab {
    type Item = usize;

    #[inline]
    fn create(&mut self, node: Node) -> usize {
        self.0.insert(node)
    }

    #[inline]
    fn destroy(&mut self, item: usize) {
        self.0.remove(item);
    }

    #[inline]
    fn word(item: &usize) -> *const u8 {
        ptr::without_provenance(*item)
    }
}

/// Ours without taking back: references, as typed-arena's.
struct Typed<'p>(&'p alloc_arena::TypedArena<Node>);

impl<'p> Pool for Typed<'p> {
    type Item = &'p mut Node;

    #[inline]
    fn create(&mut self, node: Node) -> &'p mut Node {
        self.0.put(node).expect(ENOUGH)
    }

    #[inline]
    fn destroy(&mut self, _: &'p mut Node) {}

    #[inline]
    fn word(item: &&'p mut Node) -> *const u8 {
        item.as_ptr().cast()
    }
}

/// The crate typed-arena: references, which nobody gives back.
struct TypedArena<'p>(&'p typed_arena::Arena<Node>);

impl<'p> Pool for TypedArena<'p> {
    type Item = &'p mut Node;

    #[inline]
    fn create(&mut self, node: Node) -> &'p mut Node {
        self.0.alloc(node)
    }

    #[inline]
    fn destroy(&mut self, _: &'p mut Node) {}

    #[inline]
    fn word(item: &&'p mut Node) -> *const u8 {
        item.as_ptr().cast()
    }
}

/// Runs `work` with a new pool of owners.
#[inline]
fn ours<R>(work: impl FnOnce(&mut Ours<'_>) -> R) -> R {
    let pool = alloc_pool::Pool::new();
    keep(&pool);
    work(&mut Ours(&pool))
}

/// Runs `work` with that arena.
#[inline]
fn arena<R>(arena: typed_arena::Arena<Node>, work: impl FnOnce(&mut TypedArena<'_>) -> R) -> R {
    keep(&arena);
    work(&mut TypedArena(&arena))
}

/// Runs `work` with a new arena of ours.
#[inline]
fn typed<R>(work: impl FnOnce(&mut Typed<'_>) -> R) -> R {
    let arena = alloc_arena::TypedArena::new();
    keep(&arena);
    work(&mut Typed(&arena))
}

/// Runs `work` with that pool.
#[inline]
fn with<P: Pool, R>(mut pool: P, work: impl FnOnce(&mut P) -> R) -> R {
    keep(&pool);
    work(&mut pool)
}

fn raw() -> Raw {
    Raw(alloc_pool::Pool::new())
}

fn map() -> Map {
    Map(alloc_pool::SlotMap::over(alloc_core::Global))
}

fn slab() -> Slab {
    Slab(slab::Slab::new())
}

/// A round of a pool with room for all of it.
fn round_with_room() {
    ours(|pool| {
        pool.0.preheat(ROUND).expect(ENOUGH);
        create_only(pool);
    });
}

/// The same of an arena of ours.
fn typed_round_with_room() {
    typed(|arena| {
        arena.0.reserve(ROUND).expect(ENOUGH);
        create_only(arena);
    });
}

/// The same of a typed-arena.
fn arena_round_with_room() {
    arena(typed_arena::Arena::with_capacity(ROUND), |pool| create_only(pool));
}

pub(super) const CASES: &[Case] = &[
    case!("pool/pairs":
        "alloc-pool" => |count| ours(|pool| create_destroy(pool, count)),
        "slab" => |count| with(slab(), |pool| create_destroy(pool, count)),
        "alloc-pool, raw" => |count| with(raw(), |pool| create_destroy(pool, count)),
        "alloc-pool, handles" => |count| with(map(), |pool| create_destroy(pool, count)),
    ),
    case!("pool/random":
        "alloc-pool" => |count| ours(|pool| in_any_order(pool, count)),
        "slab" => |count| with(slab(), |pool| in_any_order(pool, count)),
        "alloc-pool, raw" => |count| with(raw(), |pool| in_any_order(pool, count)),
        "alloc-pool, handles" => |count| with(map(), |pool| in_any_order(pool, count)),
    ),
    case!("pool/create":
        "alloc-pool" => |count| rounds(count, round_with_room),
        "alloc-arena, typed" => |count| rounds(count, typed_round_with_room),
        "typed-arena" => |count| rounds(count, arena_round_with_room),
        "slab" => |count| rounds(count, || {
            with(Slab(slab::Slab::with_capacity(ROUND)), create_only);
        }),
    ),
    case!("pool/grow":
        "alloc-pool" => |count| rounds(count, || ours(|pool| create_only(pool))),
        "alloc-arena, typed" => |count| rounds(count, || typed(|arena| create_only(arena))),
        "typed-arena" => |count| rounds(count, || arena(typed_arena::Arena::new(), |pool| create_only(pool))),
        "slab" => |count| rounds(count, || with(slab(), create_only)),
        "alloc-pool, handles" => |count| rounds(count, || with(map(), create_only)),
    ),
];
