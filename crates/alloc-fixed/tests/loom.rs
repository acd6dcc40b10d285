//! The shared buffer, and the collections for a `static`, under every interleaving of their threads with at
//! most two preemptions. Run with
//! `RUSTFLAGS="--cfg loom" cargo test -p alloc-fixed --test loom --release`.
#![cfg(loom)]

use std::mem::MaybeUninit;

use alloc_core::{Allocator, Layout};
use alloc_fixed::SharedFixedBuffer;
use alloc_testing::conformance::Strand;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

#[path = "loom/statics.rs"]
mod statics;

const LEN: usize = 40;

/// A shared buffer, and for each of its bytes a cell: the model checker sees who accesses it, and
/// whether that is ordered.
struct Model {
    fixed: SharedFixedBuffer<'static>,
    base: usize,
    cells: Vec<UnsafeCell<u8>>,
}

/// The bytes are aligned to 16.
#[repr(align(16))]
struct Bytes([MaybeUninit<u8>; LEN]);

fn model(f: impl Fn(Arc<Model>) + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(move || {
        let bytes = Box::leak(Box::new(Bytes([MaybeUninit::uninit(); LEN])));
        let base = bytes.0.as_ptr().addr();
        let fixed = SharedFixedBuffer::new(&mut bytes.0);
        f(Arc::new(Model { fixed, base, cells: (0..LEN).map(|_| UnsafeCell::new(0)).collect() }));
    });
}

impl Model {
    /// Takes a block and writes its first and last byte.
    fn take(&self, size: usize, align: usize) -> Option<(usize, Layout)> {
        let layout = Layout::from_size_align(size, align).unwrap();
        let block = self.fixed.raw_alloc(layout).ok()?;
        let start = block.addr().get() - self.base;
        self.touch(start, size);
        Some((start, layout))
    }

    /// Writes the first and the last byte: two accesses that are not ordered end the test.
    fn touch(&self, start: usize, size: usize) {
        for index in [start, start + size - 1] {
            // SAFETY: loom checks that no other access is going on.
            self.cells[index].with_mut(|byte| unsafe { *byte += 1 });
        }
    }

    fn give(&self, (start, layout): (usize, Layout)) {
        self.touch(start, layout.size());
        let block = std::ptr::NonNull::new(std::ptr::without_provenance_mut(self.base + start));
        // SAFETY: live, taken with this layout; the buffer reaches its bytes by a pointer of its own.
        unsafe { self.fixed.raw_free(block.unwrap(), layout) };
    }

    fn resize(&self, (start, layout): (usize, Layout), size: usize) -> (usize, Layout) {
        let block = std::ptr::NonNull::new(std::ptr::without_provenance_mut(self.base + start));
        // SAFETY: live, taken with this layout.
        if !unsafe { self.fixed.raw_resize(block.unwrap(), layout, size) } {
            return (start, layout);
        }
        if layout.size() < size {
            self.touch(start + layout.size(), size - layout.size());
        }
        (start, Layout::from_size_align(size, layout.align()).unwrap())
    }
}

/// Two threads take and free; no byte is in two blocks, and each change of hands is ordered. Blocks
/// freed as the last one come back with their padding.
#[test]
fn blocks_change_hands_in_order() {
    model(|model| {
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || {
                let block = model.take(3, 1).unwrap();
                model.give(block);
            })
        };
        let block = model.take(8, 8).unwrap();
        model.give(block);
        other.join().unwrap();
        // Of the two the later one is freed as the last, or the earlier one stays below it.
        assert!(model.fixed.used() <= 8);
    });
}

/// One grows and shrinks its block while the other takes and frees.
#[test]
fn the_last_block_resizes_against_another_thread() {
    model(|model| {
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || {
                let block = model.take(4, 4).unwrap();
                model.give(block);
            })
        };
        let block = model.take(5, 1).unwrap();
        let block = model.resize(block, 9);
        let block = model.resize(block, 2);
        model.give(block);
        other.join().unwrap();
        assert!(model.fixed.used() <= 16);
    });
}

/// What fits once is given once.
#[test]
fn the_last_bytes_go_to_one_thread() {
    model(|model| {
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || model.take(24, 8).is_some())
        };
        let mine = model.take(24, 8).is_some();
        assert!(mine ^ other.join().unwrap());
        assert_eq!(model.fixed.used(), 24);
    });
}

/// The kit's part of a model: two threads take, shrink, free and hold blocks; whatever the interleaving,
/// no byte is in two of them and none changes.
#[test]
fn strands_of_the_kit_keep_apart() {
    model(|model| {
        let layouts = [Layout::new::<u32>(), Layout::new::<u16>()];
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || Strand::run(&model.fixed, 1, &layouts))
        };
        let mine = Strand::run(&model.fixed, 0, &layouts);
        let strands = [mine, other.join().unwrap()].map(|strand| strand.expect("the contract"));
        Strand::join(&model.fixed, strands).expect("the contract");
    });
}
