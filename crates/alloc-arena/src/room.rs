//! Making room: where the bytes of an arena come from when the newest chunk has none left.

use core::alloc::Layout;
use core::ptr::NonNull;

use alloc_core::{AllocError, Allocator};

use crate::Arena;
use crate::chunk::{CHUNK_ALIGN, Chunk, HEADER_LEN};
use crate::growth;

impl<A: Allocator> Arena<A> {
    /// Makes the newest chunk have room for a block: a spare one, or longer, or a new one; as long as the
    /// arena likes, or, where the backing refuses that, as long as the block needs.
    pub(crate) fn make_room(&self, layout: Layout) -> Result<(), AllocError> {
        let (size, align) = (layout.size(), layout.align());
        let newest = self.newest.get();
        let newest_len = newest.map_or(0, Chunk::len);
        let fresh = growth::fresh_len(HEADER_LEN, CHUNK_ALIGN, size, align).ok_or(AllocError)?;
        if self.enter_spare(fresh) {
            return Ok(());
        }
        let extended = newest.and_then(|chunk| {
            let cursor = self.cursor.get().addr().get();
            growth::extended_len(cursor, self.cursor_offset(chunk), size, align)
        });
        let like_extended = |needed| self.growth.extended_len(newest_len, needed);
        let like_fresh = self.within_limit(self.growth.chunk_len(newest_len, fresh), fresh);
        if extended.is_some_and(|needed| self.extend(like_extended(needed), needed))
            || self.push_chunk(like_fresh).is_ok()
            || extended.is_some_and(|needed| self.extend(needed, needed))
        {
            return Ok(());
        }
        self.push_chunk(fresh)
    }

    /// Makes a spare chunk of at least `len` bytes the newest; returns whether there is one.
    fn enter_spare(&self, len: usize) -> bool {
        let mut before: Option<Chunk> = None;
        for chunk in Chunk::list(self.spare.get()) {
            if len <= chunk.len() {
                match before {
                    Some(before) => before.link(chunk.older()),
                    None => self.spare.set(chunk.older()),
                }
                self.enter_above(chunk);
                return true;
            }
            before = Some(chunk);
        }
        false
    }

    /// Makes a chunk that is in no list the newest, above those in use.
    fn enter_above(&self, chunk: Chunk) {
        let older = self.newest.get();
        if let Some(older) = older {
            older.retire(self.cursor_offset(older));
        }
        chunk.link(older);
        self.enter(Some(chunk), self.used());
    }

    /// Makes the newest chunk longer where it is, `needed` bytes or more; returns whether the backing and
    /// the limit allowed it.
    fn extend(&self, len: usize, needed: usize) -> bool {
        let Some(newest) = self.newest.get() else { return false };
        let old_len = newest.len();
        let len = old_len.saturating_add(
            self.within_limit(len.saturating_sub(old_len), needed.saturating_sub(old_len)),
        );
        if len <= old_len || self.charge(len - old_len).is_err() {
            return false;
        }
        // SAFETY: it came from this backing.
        let extended = unsafe { newest.resize(&self.backing, len) };
        if extended {
            self.limit.set(newest.limit());
        } else {
            self.discharge(len - old_len);
        }
        extended
    }

    /// Adds a chunk of `len` bytes, which becomes the newest.
    fn push_chunk(&self, len: usize) -> Result<(), AllocError> {
        let chunk = self.request_chunk(len)?;
        self.enter_above(chunk);
        Ok(())
    }

    /// Requests a chunk of `len` bytes, which is in no list yet.
    pub(crate) fn request_chunk(&self, len: usize) -> Result<Chunk, AllocError> {
        let len = len.max(HEADER_LEN);
        self.charge(len)?;
        Chunk::new(&self.backing, len, None).inspect_err(|_| self.discharge(len))
    }

    /// Grows the last block beyond the newest chunk, if the backing makes that longer where it is.
    #[cold]
    #[inline(never)]
    pub(crate) fn grow_last_slow(&self, block: NonNull<u8>, new_size: usize) -> bool {
        let Some(newest) = self.newest.get() else { return false };
        let offset = block.addr().get().wrapping_sub(newest.start().addr().get());
        let Some(needed) = offset.checked_add(new_size) else { return false };
        let like = self.growth.extended_len(newest.len(), needed);
        self.extend(like, needed) || (needed < like && self.extend(needed, needed))
    }
}
