//! Bytes that many share and each may change for itself.

use core::fmt;
use core::ops::{Deref, DerefMut};
use std::boxed::Box;
use std::fs::File;
use std::io;
use std::vec::Vec;

use memmap2::{Mmap, MmapMut, MmapOptions};

/// Bytes that never change, of which any number of [`PrivateCopy`]s can be had at the price of what each
/// of them changes.
///
/// On Linux a blob above the threshold is a sealed file in memory (`memfd_create(2)`): nobody, not even
/// another process that has it open, can write or cut it, so that no touch of a copy is a fatal signal. A
/// copy is a mapping of its own, whose pages the kernel copies when they are written. Smaller blobs, and
/// all where no such file is to be had, are on the heap, and a copy is a copy.
///
/// ```
/// use alloc_page::CowBlob;
///
/// let model = CowBlob::new(&vec![1; 8 << 20])?;
/// let mut mine = model.private()?;   // no byte is copied yet
/// mine[0] = 2;                       // a page is
/// assert_eq!((model[0], mine[0], mine[1]), (1, 2, 1));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct CowBlob(Content);

enum Content {
    /// Invariant: the file is sealed against writes and changes of its length, and not empty; the
    /// mapping is all of it.
    Sealed {
        file: File,
        bytes: Mmap,
    },
    Heap(Box<[u8]>),
}

/// Bytes of a [`CowBlob`], to be changed at will: nobody else sees it.
pub struct PrivateCopy(Bytes);

enum Bytes {
    Mapped(MmapMut),
    Heap(Box<[u8]>),
}

impl CowBlob {
    /// Blobs of fewer bytes are on the heap, if [`new`](Self::new) makes them: a copy of that many costs
    /// about what a mapping and its first page faults do.
    pub const THRESHOLD: usize = 1 << 20;

    /// Makes a blob of a copy of `bytes`.
    ///
    /// # Errors
    ///
    /// No memory.
    pub fn new(bytes: &[u8]) -> io::Result<Self> {
        Self::with_threshold(bytes, Self::THRESHOLD)
    }

    /// The same, on the heap if `bytes` are fewer than `threshold`, or none.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_threshold(bytes: &[u8], threshold: usize) -> io::Result<Self> {
        let is_small = bytes.is_empty() || bytes.len() < threshold;
        let sealed = if is_small { None } else { sealed(bytes) };
        Ok(Self(match sealed {
            Some(sealed) => sealed,
            None => Content::Heap(boxed(bytes)?),
        }))
    }

    /// Makes a copy that can be changed.
    ///
    /// # Errors
    ///
    /// No memory, or what the system says.
    pub fn private(&self) -> io::Result<PrivateCopy> {
        Ok(PrivateCopy(match &self.0 {
            Content::Sealed { file, .. } => {
                // SAFETY: memmap2 asks that nobody changes the file while it is mapped: it is sealed.
                // What is written here is in pages of this mapping alone.
                Bytes::Mapped(unsafe { MmapOptions::new().map_copy(file) }?)
            }
            Content::Heap(bytes) => Bytes::Heap(boxed(bytes)?),
        }))
    }

    /// Whether copies share the memory of what they do not change.
    #[inline]
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        matches!(self.0, Content::Sealed { .. })
    }
}

/// A copy on the heap.
fn boxed(bytes: &[u8]) -> io::Result<Box<[u8]>> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len()).map_err(|_| io::ErrorKind::OutOfMemory)?;
    copy.extend_from_slice(bytes);
    Ok(copy.into_boxed_slice())
}

/// A sealed file that holds `bytes`, and a mapping of it; `None` where no such file is to be had, or none
/// so large. What of it was made is gone then.
#[cfg(target_os = "linux")]
fn sealed(bytes: &[u8]) -> Option<Content> {
    use std::io::Write;
    use std::os::fd::{AsRawFd, FromRawFd};

    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    if !crate::sys::file_may_have(bytes.len()) || is_refused("memfd_create") {
        return None;
    }
    // SAFETY: a C string; the result is a new descriptor or -1.
    let descriptor = unsafe { libc::memfd_create(c"alloc-page blob".as_ptr(), flags) };
    if descriptor < 0 {
        // The kernel has no such files, allows none (`vm.memfd_noexec`, seccomp), or the process has no
        // descriptor left.
        return None;
    }
    // SAFETY: just made, and nobody else's.
    let mut file = unsafe { File::from_raw_fd(descriptor) };
    if is_refused("write") || file.write_all(bytes).is_err() {
        return None;
    }
    let seals = libc::F_SEAL_WRITE | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
    // SAFETY: it takes a descriptor and a number.
    let seal = || unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) };
    if is_refused("fcntl") || seal() != 0 || is_refused("mmap") {
        return None;
    }
    // Private: before Linux 6.7 a file that is sealed against writes has no shared mapping at all. The
    // pages are the file's all the same, as nobody writes.
    // SAFETY: memmap2 asks that nobody changes the file while it is mapped: it is sealed.
    let bytes = unsafe { MmapOptions::new().map_copy_read_only(&file) }.ok()?;
    Some(Content::Sealed { file, bytes })
}

#[cfg(not(target_os = "linux"))]
fn sealed(_: &[u8]) -> Option<Content> {
    None
}

/// Whether this call is to fail, without being made: in unit tests alone.
#[cfg(all(target_os = "linux", not(test)))]
const fn is_refused(_: &str) -> bool {
    false
}

#[cfg(all(target_os = "linux", test))]
fn is_refused(call: &'static str) -> bool {
    crate::sys::watch::refused(call).is_some()
}

impl Deref for CowBlob {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Content::Sealed { bytes, .. } => bytes,
            Content::Heap(bytes) => bytes,
        }
    }
}

impl Deref for PrivateCopy {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Mapped(bytes) => bytes,
            Bytes::Heap(bytes) => bytes,
        }
    }
}

impl DerefMut for PrivateCopy {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.0 {
            Bytes::Mapped(bytes) => bytes,
            Bytes::Heap(bytes) => bytes,
        }
    }
}

impl fmt::Debug for CowBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CowBlob")
            .field("len", &self.len())
            .field("is_shared", &self.is_shared())
            .finish()
    }
}

impl fmt::Debug for PrivateCopy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateCopy").field("len", &self.len()).finish()
    }
}
