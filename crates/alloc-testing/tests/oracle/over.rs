//! An allocator that keeps a header block beside each block of its backing, with a fault on request.

use std::cell::{Cell, RefCell};
use std::ptr::NonNull;

use alloc_core::{AllocError, Allocator, AllocatorExt, Layout};
use alloc_testing::hostile::Backing;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OverFault {
    None,
    LeaksOnFailure,
    LeaksAtRemap,
    Short,
    FooterOutside,
    FreesOtherSize,
    FreesTwice,
    WritesAfterFree,
    NeverRecovers,
    FreesBeforeRemap,
    PageAligned,
    AsksForNothing,
    LeaksSmallOnFailure,
    /// No fault: it asks its backing for very many blocks.
    Chatty,
}

/// Takes two blocks of its backing for each of its own: a header, and the block.
pub(crate) struct Over<'b> {
    backing: &'b Backing,
    fault: OverFault,
    /// Address of each live block, and its header.
    headers: RefCell<Vec<(usize, NonNull<u8>)>>,
    failed: Cell<bool>,
}

impl<'b> Over<'b> {
    pub(crate) const fn new(backing: &'b Backing, fault: OverFault) -> Self {
        Self { backing, fault, headers: RefCell::new(Vec::new()), failed: Cell::new(false) }
    }

    const HEADER: Layout = Layout::new::<[usize; 2]>();

    /// What is asked of the backing for a layout.
    fn asked(&self, layout: Layout) -> Layout {
        let size = match self.fault {
            OverFault::Short if 1 < layout.size() => layout.size() - 1,
            _ => layout.size(),
        };
        let align = match self.fault {
            OverFault::PageAligned => layout.align().min(4096),
            _ => layout.align(),
        };
        Layout::from_size_align(size, align).expect("not larger than a valid layout")
    }

    fn free_header(&self, addr: usize) {
        let mut headers = self.headers.borrow_mut();
        if let Some(index) = headers.iter().position(|&(block, _)| block == addr) {
            let (_, header) = headers.swap_remove(index);
            // SAFETY: a live block of the backing, out of the list now.
            unsafe { self.backing.raw_free(header, Self::HEADER) };
        }
    }

    fn fail(&self, header: NonNull<u8>, layout: Layout) -> AllocError {
        self.failed.set(true);
        let forgotten = match self.fault {
            OverFault::LeaksOnFailure => true,
            OverFault::LeaksSmallOnFailure => layout.size() < 1 << 20,
            _ => false,
        };
        if !forgotten {
            // SAFETY: just taken, and nobody else has it.
            unsafe { self.backing.raw_free(header, Self::HEADER) };
        }
        AllocError
    }
}

// SAFETY: without a fault 1 to 7 hold: blocks are those of the backing. With one this is a lie: the
// backing and the kit look before they touch.
unsafe impl Allocator for Over<'_> {
    fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        if self.fault == OverFault::NeverRecovers && self.failed.get() {
            return Err(AllocError);
        }
        if self.fault == OverFault::Chatty {
            for _ in 0..40 {
                drop(self.backing.create(0u64));
            }
        }
        if self.fault == OverFault::AsksForNothing {
            let nothing = Layout::from_size_align(layout.size() - 1, 1).expect("a smaller size");
            if let Ok(block) = self.backing.raw_alloc(nothing) {
                // SAFETY: just taken, with this layout.
                unsafe { self.backing.raw_free(block, nothing) };
            }
        }
        let header = self.backing.raw_alloc(Self::HEADER)?;
        let Ok(block) = self.backing.raw_alloc(self.asked(layout)) else {
            return Err(self.fail(header, layout));
        };
        self.headers.borrow_mut().push((block.addr().get(), header));
        if self.fault == OverFault::FooterOutside {
            // SAFETY: the backing keeps sixteen bytes of canary there, inside its own memory.
            let footer = unsafe { block.add(layout.size()) };
            // SAFETY: as above; the canary is bytes, which any value is valid for.
            unsafe { footer.write(0x44) };
        }
        Ok(block)
    }

    unsafe fn raw_resize(&self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
        if matches!(self.fault, OverFault::Short | OverFault::PageAligned) {
            return false;
        }
        // SAFETY: the block is the backing's, with this layout.
        unsafe { self.backing.raw_resize(block, layout, new_size) }
    }

    unsafe fn raw_remap(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        new_size: usize,
    ) -> Option<NonNull<u8>> {
        if matches!(self.fault, OverFault::Short | OverFault::PageAligned) {
            return None;
        }
        if self.fault == OverFault::FreesBeforeRemap && self.backing.keeps_freed() {
            // SAFETY: the block is the backing's; it keeps the memory, and answers the remap of a
            // dead block with `None`.
            unsafe { self.backing.raw_free(block, layout) };
        }
        // SAFETY: the block is the backing's, with this layout.
        let moved = unsafe { self.backing.raw_remap(block, layout, new_size) }?;
        let mut headers = self.headers.borrow_mut();
        let entry = headers.iter_mut().find(|(addr, _)| *addr == block.addr().get())?;
        entry.0 = moved.addr().get();
        if self.fault == OverFault::LeaksAtRemap && moved != block {
            let _lost = self.backing.raw_alloc(Self::HEADER);
        }
        Some(moved)
    }

    unsafe fn raw_free(&self, block: NonNull<u8>, layout: Layout) {
        let mut asked = self.asked(layout);
        if self.fault == OverFault::FreesOtherSize {
            asked = Layout::from_size_align(layout.size().next_power_of_two(), layout.align())
                .expect("a small size");
        }
        // SAFETY: the block is the backing's; it records a layout that is wrong.
        unsafe { self.backing.raw_free(block, asked) };
        self.free_header(block.addr().get());
        if self.fault == OverFault::FreesTwice {
            // SAFETY: the backing knows that the block is dead, and records the call.
            unsafe { self.backing.raw_free(block, asked) };
        }
        if self.fault == OverFault::WritesAfterFree && self.backing.keeps_freed() {
            // SAFETY: this backing keeps freed blocks until its drop; it looks at them then.
            unsafe { block.write(0x55) };
        }
    }
}
