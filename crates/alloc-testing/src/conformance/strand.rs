//! What one thread of a model does, for checkers that schedule threads themselves.

use core::alloc::Layout;
use core::fmt;

use super::probe::unwinding;
use super::shadow::{Block, Id, Shadow};
use super::threads::SharedAlloc;
use super::violation::{Rule, Violation};

/// One thread's part in a model of several: the blocks that it took and still holds.
///
/// [`run_threads`](super::run_threads) leaves the scheduling to the system. loom, shuttle and their
/// like try every interleaving, but need threads and locks of their own; a strand has neither, so it
/// runs on whatever thread calls [`run`](Self::run), and every switch of threads is one of the
/// allocator's.
///
/// ```
/// # use std::{sync::Arc, thread}; // loom's, in a model
/// # mod loom { pub fn model(body: impl Fn()) { body() } }
/// # type MyAllocator = alloc_testing::hostile::Backing;
/// use alloc_core::Layout;
/// use alloc_testing::conformance::Strand;
///
/// loom::model(|| {
///     let alloc = Arc::new(MyAllocator::new());
///     let threads = [0, 1].map(|number| {
///         let alloc = Arc::clone(&alloc);
///         thread::spawn(move || Strand::run(&*alloc, number, &[Layout::new::<[u64; 2]>()]))
///     });
///     let strands = threads.map(|thread| thread.join().unwrap().unwrap());
///     Strand::join(&*alloc, strands).unwrap();
/// });
/// ```
#[must_use = "the blocks of a strand that is not joined are never freed"]
pub struct Strand {
    number: usize,
    blocks: Vec<Block>,
}

impl fmt::Debug for Strand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.blocks.len();
        f.debug_struct("Strand").field("number", &self.number).field("blocks", &count).finish()
    }
}

impl Strand {
    /// Takes a block of each layout and fills it, asks for half its size in place, frees every second
    /// one, and holds the others; a request that is refused is passed over. `number` tells the strands
    /// of a model apart.
    ///
    /// # Errors
    ///
    /// The first [`Violation`] that this thread alone can see.
    pub fn run(
        alloc: SharedAlloc<'_>,
        number: usize,
        layouts: &[Layout],
    ) -> Result<Self, Violation> {
        let mut strand = Self { number, blocks: Vec::new() };
        for (index, &layout) in layouts.iter().enumerate() {
            strand.take(alloc, index, layout)?;
        }
        let taken = std::mem::take(&mut strand.blocks);
        for (index, block) in taken.into_iter().enumerate() {
            let block = strand.halve(alloc, block)?;
            match index % 2 {
                0 => strand.blocks.push(block),
                _ => strand.free(alloc, block)?,
            }
        }
        Ok(strand)
    }

    /// Holds the strands against each other, and frees what they hold.
    ///
    /// # Errors
    ///
    /// The first [`Violation`]: blocks of two strands overlap, or bytes have changed.
    pub fn join(
        alloc: SharedAlloc<'_>,
        strands: impl IntoIterator<Item = Self>,
    ) -> Result<(), Violation> {
        let mut shadow = Shadow::default();
        let mut count = 0;
        let mut held = Vec::new();
        for strand in strands {
            for block in &strand.blocks {
                let range = block.range();
                if let Some(other) = shadow.overlapping(&range).map(Block::range) {
                    let detail = format!(
                        "{:#x}..{:#x} overlaps the live {:#x}..{:#x} of another thread",
                        range.start, range.end, other.start, other.end
                    );
                    return Err(strand.violation(Rule::Exclusive, "join", detail));
                }
                shadow.insert(Block::place(Id(count), block.ptr, block.layout));
                count += 1;
            }
            held.push(strand);
        }
        for strand in held {
            let Self { number, blocks } = strand;
            let strand = Self { number, blocks: Vec::new() };
            blocks.into_iter().try_for_each(|block| strand.free(alloc, block))?;
        }
        Ok(())
    }

    fn take(
        &mut self,
        alloc: SharedAlloc<'_>,
        index: usize,
        layout: Layout,
    ) -> Result<(), Violation> {
        if layout.size() == 0 {
            return Ok(());
        }
        let call = || alloc.raw_alloc(layout);
        let Ok(ptr) = self.guarded("raw_alloc", call)? else { return Ok(()) };
        let start = ptr.addr().get();
        if !start.is_multiple_of(layout.align()) {
            let detail = format!("{start:#x} is no multiple of {}", layout.align());
            return Err(self.violation(Rule::Fit, "raw_alloc", detail));
        }
        let end = start.saturating_add(layout.size());
        let overlaps = |block: &&Block| start < block.range().end && block.range().start < end;
        if let Some(other) = self.blocks.iter().find(overlaps) {
            let detail = format!("{start:#x}..{end:#x} overlaps block {} of this thread", other.id);
            return Err(self.violation(Rule::Exclusive, "raw_alloc", detail));
        }
        let seed = (self.number as u64) << 32 | index as u64;
        // SAFETY: promise 1: valid for reads and writes of the layout's size until it is freed.
        self.blocks.push(unsafe { Block::new(Id(index), ptr, layout, seed) });
        Ok(())
    }

    /// Asks for half the size in place.
    fn halve(&self, alloc: SharedAlloc<'_>, mut block: Block) -> Result<Block, Violation> {
        self.intact("raw_resize", &block)?;
        let (ptr, layout) = (block.ptr, block.layout);
        let new_size = layout.size().div_ceil(2);
        // SAFETY: the block is live and fits; the new size is neither zero nor larger.
        let call = || unsafe { alloc.raw_resize(ptr, layout, new_size) };
        if self.guarded("raw_resize", call)? {
            // SAFETY: promise 6, for a size that is not larger.
            unsafe { block.set_size(ptr, new_size) };
        }
        self.intact("raw_resize", &block)?;
        Ok(block)
    }

    fn free(&self, alloc: SharedAlloc<'_>, block: Block) -> Result<(), Violation> {
        self.intact("raw_free", &block)?;
        // SAFETY: the block is live, fits its layout, and is forgotten.
        self.guarded("raw_free", || unsafe { alloc.raw_free(block.ptr, block.layout) })
    }

    fn intact(&self, operation: &str, block: &Block) -> Result<(), Violation> {
        let Some((index, is, should)) = block.damage() else { return Ok(()) };
        let detail = format!(
            "byte {index} of the live block {} changed from {should:#04x} to {is:#04x}",
            block.id
        );
        Err(self.violation(Rule::HandsOff, operation, detail))
    }

    fn guarded<T>(&self, operation: &str, call: impl FnOnce() -> T) -> Result<T, Violation> {
        unwinding(call).map_err(|message| {
            let detail = format!("the call unwound with \"{message}\"");
            self.violation(Rule::NoUnwind, operation, detail)
        })
    }

    fn violation(&self, rule: Rule, operation: &str, detail: String) -> Violation {
        Violation {
            rule,
            detail,
            check: "strands".to_owned(),
            operation: format!("{operation}, strand {}", self.number),
            steps: vec!["each strand takes its blocks, halves them, frees every second".to_owned()],
            seed: crate::seed(),
        }
    }
}
