//! Pools beside their peers.

use std::alloc::Layout;
use std::ptr::{self, NonNull};

use alloc_bench::pools::{
    self, Node, Pool, ROUND, create_destroy, create_only, in_any_order, rounds,
};
use alloc_core::{Allocator, Owned};

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

/// Ours, by the contract's own calls: bare pointers, as Zig's pool hands out.
struct Raw(alloc_pool::Pool<Node>);

impl Pool for Raw {
    type Item = NonNull<Node>;

    #[inline]
    fn create(&mut self, node: Node) -> NonNull<Node> {
        let place = self.0.raw_alloc(Layout::new::<Node>()).expect(ENOUGH).cast();
        // SAFETY: memory for a node, just taken.
        unsafe { place.write(node) };
        place
    }

    #[inline]
    fn destroy(&mut self, item: NonNull<Node>) {
        // SAFETY: the workloads destroy each item once, by the pool that made it.
        unsafe { self.0.raw_free(item.cast(), Layout::new::<Node>()) };
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

fn pool() -> alloc_pool::Pool<Node> {
    alloc_pool::Pool::new()
}

fn map() -> Map {
    Map(alloc_pool::SlotMap::over(alloc_core::Global))
}

fn slab() -> Slab {
    Slab(slab::Slab::new())
}

/// A round of a pool with room for all of it.
fn round_with_room() {
    let pool = pool();
    pool.preheat(ROUND).expect(ENOUGH);
    create_only(&mut Ours(&pool));
}

pub(super) const CASES: &[Case] = &[
    case!("pool/pairs":
        "alloc-pool" => |count| create_destroy(&mut Ours(&pool()), count),
        "slab" => |count| create_destroy(&mut slab(), count),
        "alloc-pool, raw" => |count| create_destroy(&mut Raw(pool()), count),
        "alloc-pool, handles" => |count| create_destroy(&mut map(), count),
    ),
    case!("pool/random":
        "alloc-pool" => |count| in_any_order(&mut Ours(&pool()), count),
        "slab" => |count| in_any_order(&mut slab(), count),
        "alloc-pool, raw" => |count| in_any_order(&mut Raw(pool()), count),
        "alloc-pool, handles" => |count| in_any_order(&mut map(), count),
    ),
    case!("pool/create":
        "alloc-pool" => |count| rounds(count, round_with_room),
        "typed-arena" => |count| rounds(count, || {
            create_only(&mut TypedArena(&typed_arena::Arena::with_capacity(ROUND)));
        }),
        "slab" => |count| rounds(count, || create_only(&mut Slab(slab::Slab::with_capacity(ROUND)))),
    ),
    case!("pool/grow":
        "alloc-pool" => |count| rounds(count, || create_only(&mut Ours(&pool()))),
        "typed-arena" => |count| rounds(count, || {
            create_only(&mut TypedArena(&typed_arena::Arena::new()));
        }),
        "slab" => |count| rounds(count, || create_only(&mut slab())),
        "alloc-pool, handles" => |count| rounds(count, || pools::create_only(&mut map())),
    ),
];
