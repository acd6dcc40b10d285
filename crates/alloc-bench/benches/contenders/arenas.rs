//! Arenas beside their peers.

use std::alloc::Layout;
use std::hint::black_box;
use std::ptr::NonNull;
use std::sync::Mutex;

use alloc_arena::{Reset, SharedArena};
use alloc_bench::arenas::{self, Arena, Shared, threads};
use alloc_bench::{erased, megabytes, pair};
use alloc_core::Allocator;
use alloc_page::PageAllocator;
use bump_scope::traits::BumpAllocatorTyped as _;

use super::{Case, Contender};

const ENOUGH: &str = "a benchmark has enough memory";

/// Ours, over Rust's default allocator.
struct Ours(alloc_arena::Arena);

impl Arena for Ours {
    type Handle<'a> = &'a alloc_arena::Arena;

    #[inline]
    fn allocator(&self) -> &alloc_arena::Arena {
        &self.0
    }

    #[inline]
    fn value(&self, value: u64) -> &mut u64 {
        self.0.put_or_panic(value)
    }

    #[inline]
    fn triple(&self, value: [u64; 3]) -> &mut [u64; 3] {
        self.0.put_or_panic(value)
    }

    #[inline]
    fn slice(&self, items: &[u32]) -> &mut [u32] {
        self.0.put_slice_copy_or_panic(items)
    }

    #[inline]
    fn fill(&self, count: usize, item: u32) -> &mut [u32] {
        self.0.put_slice_fill(count, item).expect(ENOUGH)
    }

    #[inline]
    fn string(&self, text: &str) -> &mut str {
        self.0.put_str_or_panic(text)
    }

    #[inline]
    fn format(&self, number: u64) -> &str {
        self.0.put_fmt_or_panic(format_args!("number {number}"))
    }

    #[inline]
    fn block(&self, layout: Layout) -> NonNull<u8> {
        self.0.raw_alloc(layout).expect(ENOUGH)
    }

    #[inline]
    fn reset(&mut self) {
        assert!(self.0.reset(Reset::RetainCapacity), "the backing has memory");
    }
}

/// The first peer.
struct Bumpalo(bumpalo::Bump);

impl Arena for Bumpalo {
    type Handle<'a> = &'a bumpalo::Bump;

    #[inline]
    fn allocator(&self) -> &bumpalo::Bump {
        &self.0
    }

    #[inline]
    fn value(&self, value: u64) -> &mut u64 {
        self.0.alloc(value)
    }

    #[inline]
    fn triple(&self, value: [u64; 3]) -> &mut [u64; 3] {
        self.0.alloc(value)
    }

    #[inline]
    fn slice(&self, items: &[u32]) -> &mut [u32] {
        self.0.alloc_slice_copy(items)
    }

    #[inline]
    fn fill(&self, count: usize, item: u32) -> &mut [u32] {
        self.0.alloc_slice_fill_copy(count, item)
    }

    #[inline]
    fn string(&self, text: &str) -> &mut str {
        self.0.alloc_str(text)
    }

    #[inline]
    fn format(&self, number: u64) -> &str {
        bumpalo::format!(in &self.0, "number {}", number).into_bump_str()
    }

    #[inline]
    fn block(&self, layout: Layout) -> NonNull<u8> {
        self.0.alloc_layout(layout)
    }

    #[inline]
    fn reset(&mut self) {
        self.0.reset();
    }
}

type Scope = bump_scope::Bump<allocator_api2_02::alloc::Global>;

/// The second peer.
struct BumpScope(Scope);

impl Arena for BumpScope {
    type Handle<'a> = &'a Scope;

    #[inline]
    fn allocator(&self) -> &Scope {
        &self.0
    }

    #[inline]
    fn value(&self, value: u64) -> &mut u64 {
        self.0.alloc(value).into_mut()
    }

    #[inline]
    fn triple(&self, value: [u64; 3]) -> &mut [u64; 3] {
        self.0.alloc(value).into_mut()
    }

    #[inline]
    fn slice(&self, items: &[u32]) -> &mut [u32] {
        self.0.alloc_slice_copy(items).into_mut()
    }

    #[inline]
    fn fill(&self, count: usize, item: u32) -> &mut [u32] {
        self.0.alloc_slice_fill(count, item).into_mut()
    }

    #[inline]
    fn string(&self, text: &str) -> &mut str {
        self.0.alloc_str(text).into_mut()
    }

    #[inline]
    fn format(&self, number: u64) -> &str {
        self.0.alloc_fmt(format_args!("number {number}")).into_mut()
    }

    #[inline]
    fn block(&self, layout: Layout) -> NonNull<u8> {
        self.0.allocate_layout(layout)
    }

    #[inline]
    fn reset(&mut self) {
        self.0.reset();
    }
}

/// Ours: each thread has a local arena of the shared one.
struct Locals(SharedArena);

impl Shared for Locals {
    fn values(&self, count: u64) {
        let local = self.0.local();
        for value in 0..count {
            black_box(local.put_or_panic(value));
        }
    }

    fn reset(&mut self) {
        assert!(self.0.reset(Reset::RetainCapacity), "the backing has memory");
    }
}

/// Ours: all threads bump one chunk.
struct Together(SharedArena);

impl Shared for Together {
    fn values(&self, count: u64) {
        for value in 0..count {
            black_box(self.0.put_or_panic(value));
        }
    }

    fn reset(&mut self) {
        assert!(self.0.reset(Reset::RetainCapacity), "the backing has memory");
    }
}

/// The first peer, which is not `Sync`: behind a lock, an arena for each thread, kept for the next round.
#[derive(Default)]
struct Bumpalos(Mutex<Vec<bumpalo::Bump>>);

impl Shared for Bumpalos {
    fn values(&self, count: u64) {
        let bump = self.0.lock().expect("no thread panics").pop().unwrap_or_default();
        for value in 0..count {
            black_box(bump.alloc(value));
        }
        self.0.lock().expect("no thread panics").push(bump);
    }

    fn reset(&mut self) {
        self.0.get_mut().expect("no thread panics").iter_mut().for_each(bumpalo::Bump::reset);
    }
}

/// The second peer: its pool of arenas.
struct ScopePool(bump_scope::BumpPool<allocator_api2_02::alloc::Global>);

impl Shared for ScopePool {
    fn values(&self, count: u64) {
        let bump = self.0.get();
        for value in 0..count {
            black_box(bump.alloc(value).into_mut());
        }
    }

    fn reset(&mut self) {
        self.0.reset();
    }
}

type OverPages = alloc_arena::Arena<PageAllocator>;

/// What Zig's arena is used over.
fn over_pages() -> OverPages {
    OverPages::over(PageAllocator)
}

fn reset_pages(arena: &mut OverPages) {
    assert!(arena.reset(Reset::RetainCapacity), "the backing has memory");
}

/// A handle that the compiler cannot see through.
fn behind_dyn(arena: &OverPages) -> &dyn Allocator {
    black_box(arena)
}

/// A case of all three.
macro_rules! arena_case {
    ($name:literal, $workload:ident) => {
        Case {
            name: $name,
            contenders: &[
                Contender {
                    name: "alloc-arena",
                    run: |count| arenas::$workload(&mut Ours(alloc_arena::Arena::new()), count),
                },
                Contender {
                    name: "bumpalo",
                    run: |count| arenas::$workload(&mut Bumpalo(bumpalo::Bump::new()), count),
                },
                Contender {
                    name: "bump-scope",
                    run: |count| arenas::$workload(&mut BumpScope(Scope::new()), count),
                },
            ],
        }
    };
}

pub(super) const CASES: &[Case] = &[
    arena_case!("arena/values", values),
    arena_case!("arena/triples", triples),
    arena_case!("arena/slices", slices),
    arena_case!("arena/fills", fills),
    arena_case!("arena/strings", strings),
    arena_case!("arena/texts", texts),
    arena_case!("arena/blocks", blocks),
    arena_case!("arena/grow", grow),
    arena_case!("arena/vectors", vectors),
    case!("arena/threads":
        "alloc-arena" => |count| threads(&mut Locals(SharedArena::new()), count),
        "bumpalo" => |count| threads(&mut Bumpalos::default(), count),
        "bump-scope" => |count| threads(&mut ScopePool(bump_scope::BumpPool::new()), count),
        "alloc-arena one chunk" => |count| threads(&mut Together(SharedArena::new()), count),
    ),
    case!("arena/dyn-pair": "alloc-arena" => |count| pair(&behind_dyn(&over_pages()), count)),
    case!("arena/dyn-lifo": "alloc-arena" => |count| erased::lifo(&over_pages(), count)),
    case!("arena/dyn-blocks":
        "alloc-arena" => |count| erased::blocks(&mut over_pages(), count, reset_pages),
    ),
    case!("arena/dyn-grow":
        "alloc-arena" => |count| erased::long_list(&mut over_pages(), count, reset_pages),
    ),
    case!("arena/dyn-large": "alloc-arena" => |count| megabytes(&behind_dyn(&over_pages()), count)),
];
