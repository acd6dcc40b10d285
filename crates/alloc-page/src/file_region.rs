//! A file as memory.

use core::fmt;
use core::ops::Deref;
use std::fs::File;
use std::io;

use memmap2::MmapMut;

/// A file mapped for reading and writing: memory for an allocator over a given buffer, whose content
/// outlives the process.
///
/// All bytes of the file at the time of mapping are in it; it never grows. What is written reaches
/// the file when the system sees fit, at the latest on [`flush`](Self::flush) or when the region is
/// dropped and the system writes back.
///
/// A touch that the file system cannot serve is a fatal signal, as for every file in memory: of a hole, for
/// which the disk has no room left, or of bytes that it cannot read. `posix_fallocate(3)` fills the holes of a
/// file before it is mapped.
///
/// ```
/// use alloc_page::FileRegion;
///
/// let file = tempfile::tempfile()?;
/// file.set_len(4096)?;
/// // SAFETY: an anonymous file of this process alone: nobody truncates or writes it.
/// let mut region = unsafe { FileRegion::map(&file) }?;
/// region.as_mut_slice()[0] = 7;
/// region.flush()?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct FileRegion(MmapMut);

impl FileRegion {
    /// Maps the whole of `file`, which was opened for reading and writing, shared with everyone else
    /// who maps it. The file may be closed afterwards.
    ///
    /// # Errors
    ///
    /// What the system says: the file is no regular file, was opened for less, or there is no room.
    ///
    /// # Safety
    ///
    /// While the region lives
    ///
    /// * nobody truncates the file: a touch behind its end is a fatal signal;
    /// * nobody else, in this process or another, writes to it: its bytes are behind references.
    pub unsafe fn map(file: &File) -> io::Result<Self> {
        // SAFETY: memmap2 asks that the file be not modified, in or out of this process, which is
        // this function's own contract.
        Ok(Self(unsafe { MmapMut::map_mut(file) }?))
    }

    /// Returns the mapped bytes, for an allocator over a given buffer.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// Writes what has changed to the file, and waits until that is done.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn flush(&self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The bytes of the file.
impl Deref for FileRegion {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for FileRegion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileRegion").field("len", &self.len()).finish()
    }
}
