//! A heap in a block of bytes that can be copied elsewhere.
#![forbid(unsafe_code)]

use core::fmt;
use core::marker::PhantomData;

use alloc_core::AllocError;

use crate::bits;

/// A heap of chunks of `CHUNK` bytes in a block that can be moved: copied to another address, written
/// to a file, sent to another process. All that it knows is in the block, and what it hands out are
/// [`Offset`]s.
///
/// An offset that was freed is told from the one that has its chunks now, by a generation of 16 bits;
/// so a double free and a use after free are an error, until the chunk was taken 65,535 times more.
/// Offsets carry no name of their heap: another heap's may lead to bytes here.
///
/// Finding chunks takes time for each 64 of them; all else is constant.
///
/// ```
/// use alloc_fixed::BitmapHeap;
///
/// let mut page = [0u8; 1024];
/// let mut heap = BitmapHeap::<32>::format(&mut page).expect("room for a chunk");
/// let name = heap.dupe(b"a name")?;
/// let number = heap.store(42u64)?;
///
/// let mut moved = page; // to another address
/// let mut heap = BitmapHeap::<32>::attach(&mut moved).expect("a heap of such chunks");
/// assert_eq!(heap.bytes(name), Ok(&b"a name"[..]));
/// assert_eq!(heap.load(number), Ok(42));
/// heap.free(number).unwrap();
/// assert!(heap.load(number).is_err() && heap.free(number).is_err());
/// # Ok::<(), alloc_core::AllocError>(())
/// ```
pub struct BitmapHeap<'block, const CHUNK: usize> {
    /// ```text
    /// | CHUNK: u32 | count: u32 | words of 64 bits, one a chunk | u16 a chunk: generation | chunks |
    /// ```
    /// All in the order of bytes of this machine, not aligned.
    block: &'block mut [u8],
    /// Number of chunks.
    count: usize,
}

/// Where something lies in a [`BitmapHeap`], wherever that is.
pub struct Offset<T: ?Sized> {
    chunk: u32,
    /// In bytes.
    len: u32,
    generation: u16,
    _content: PhantomData<fn(&T)>,
}

/// An offset means nothing in this heap: what it named was freed, or it is another heap's, of which not
/// every one is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaleOffset;

impl fmt::Display for StaleOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the offset names nothing in this heap: freed, or another heap's")
    }
}

impl core::error::Error for StaleOffset {}

/// Values that are their bytes: numbers, and arrays of bytes.
pub trait Plain: Copy {
    /// The bytes of a value.
    type Bytes: AsRef<[u8]> + for<'a> TryFrom<&'a [u8]>;

    /// Returns the bytes of the value.
    fn to_bytes(self) -> Self::Bytes;

    /// Returns the value of bytes.
    fn from_bytes(bytes: Self::Bytes) -> Self;
}

macro_rules! plain {
    ($($type:ty),+) => { $(
        impl Plain for $type {
            type Bytes = [u8; size_of::<$type>()];

            #[inline]
            fn to_bytes(self) -> Self::Bytes {
                self.to_ne_bytes()
            }

            #[inline]
            fn from_bytes(bytes: Self::Bytes) -> Self {
                Self::from_ne_bytes(bytes)
            }
        }
    )+ };
}

plain!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64);

impl<const N: usize> Plain for [u8; N] {
    type Bytes = [u8; N];

    #[inline]
    fn to_bytes(self) -> [u8; N] {
        self
    }

    #[inline]
    fn from_bytes(bytes: [u8; N]) -> Self {
        bytes
    }
}

/// Bytes before the words.
const HEAD_LEN: usize = 8;
/// Bytes of a word of the map.
const WORD_LEN: usize = 8;
/// Bytes of a generation.
const GENERATION_LEN: usize = 2;

/// Where the generations and the chunks begin, and where the chunks end, for so many chunks.
const fn layout(count: usize, chunk_len: usize) -> (usize, usize, usize) {
    let generations = HEAD_LEN + count.div_ceil(bits::WORD) * WORD_LEN;
    let chunks = generations + count * GENERATION_LEN;
    (generations, chunks, chunks + count * chunk_len)
}

impl<'block, const CHUNK: usize> BitmapHeap<'block, CHUNK> {
    /// Evaluated by whatever makes a heap.
    const CHUNK_FITS: () =
        assert!(0 < CHUNK && CHUNK <= 1 << 20, "a chunk has a byte, and at most 1 MiB");

    /// Makes a heap in a block, whatever is in it; `None` if it has no room for a chunk. Of more than
    /// 4 GiB it uses the first.
    pub fn format(block: &'block mut [u8]) -> Option<Self> {
        const { Self::CHUNK_FITS };
        let room = block.len().min(u32::MAX as usize).checked_sub(HEAD_LEN + WORD_LEN)?;
        // Each chunk costs its bytes, its generation, and a bit; the last word may be cut.
        let mut count = room / (CHUNK + GENERATION_LEN);
        while layout(count, CHUNK).2 > block.len().min(u32::MAX as usize) {
            count -= 1 + count / (4 * bits::WORD);
        }
        if count == 0 {
            return None;
        }
        let (_, chunks, _) = layout(count, CHUNK);
        block.get_mut(..chunks)?.fill(0);
        let mut heap = Self { block, count };
        heap.write(0, &(CHUNK as u32).to_ne_bytes());
        heap.write(4, &(count as u32).to_ne_bytes());
        Some(heap)
    }

    /// Finds the heap that [`format`](Self::format) made in a block, which may have moved since. `None`
    /// if what is there is no heap of such chunks.
    ///
    /// Whatever the block holds, nothing worse than wrong bytes comes of it.
    ///
    /// Chunks without bytes do not compile:
    ///
    /// ```compile_fail,E0080
    /// let heap = alloc_fixed::BitmapHeap::<0>::attach(&mut [0; 64]);
    /// ```
    pub fn attach(block: &'block mut [u8]) -> Option<Self> {
        const { Self::CHUNK_FITS };
        let number =
            |at: usize| Some(u32::from_ne_bytes(*block.get(at..)?.first_chunk()?) as usize);
        let (chunk_len, count) = (number(0)?, number(4)?);
        let fits = chunk_len == CHUNK
            && count <= block.len() / CHUNK
            && layout(count, CHUNK).2 <= block.len();
        (fits && count != 0).then_some(Self { block, count })
    }

    /// Returns the number of chunks.
    #[inline]
    pub const fn chunk_count(&self) -> usize {
        self.count
    }

    /// Returns the number of chunks in use.
    pub fn used(&self) -> usize {
        (0..self.count.div_ceil(bits::WORD)).map(|word| self.word(word).count_ones() as usize).sum()
    }

    /// Returns the offset of `len` bytes, which hold what they happen to.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if there is no run of chunks that is long enough.
    pub fn alloc(&mut self, len: usize) -> Result<Offset<[u8]>, AllocError> {
        self.take(len)
    }

    /// Returns the offset of a copy of bytes.
    ///
    /// # Errors
    ///
    /// As [`alloc`](Self::alloc).
    pub fn dupe(&mut self, bytes: &[u8]) -> Result<Offset<[u8]>, AllocError> {
        let offset = self.take(bytes.len())?;
        self.write(self.start(&offset), bytes);
        Ok(offset)
    }

    /// Returns the offset of a value.
    ///
    /// # Errors
    ///
    /// As [`alloc`](Self::alloc).
    pub fn store<T: Plain>(&mut self, value: T) -> Result<Offset<T>, AllocError> {
        let bytes = value.to_bytes();
        // Once: another time it might be of another length.
        let bytes = bytes.as_ref();
        let offset = self.take(bytes.len())?;
        self.write(self.start(&offset), bytes);
        Ok(offset)
    }

    /// Returns a value.
    ///
    /// # Errors
    ///
    /// [`StaleOffset`] if it was freed.
    pub fn load<T: Plain>(&self, offset: Offset<T>) -> Result<T, StaleOffset> {
        let bytes = T::Bytes::try_from(self.bytes(offset)?).map_err(|_| StaleOffset)?;
        Ok(T::from_bytes(bytes))
    }

    /// Returns the bytes at an offset.
    ///
    /// # Errors
    ///
    /// [`StaleOffset`] if they were freed.
    pub fn bytes<T: ?Sized>(&self, offset: Offset<T>) -> Result<&[u8], StaleOffset> {
        self.check(&offset)?;
        let start = self.start(&offset);
        self.block.get(start..start + offset.len as usize).ok_or(StaleOffset)
    }

    /// Returns the bytes at an offset, to be written.
    ///
    /// # Errors
    ///
    /// [`StaleOffset`] if they were freed.
    pub fn bytes_mut<T: ?Sized>(&mut self, offset: Offset<T>) -> Result<&mut [u8], StaleOffset> {
        self.check(&offset)?;
        let start = self.start(&offset);
        self.block.get_mut(start..start + offset.len as usize).ok_or(StaleOffset)
    }

    /// Takes the chunks of an offset back.
    ///
    /// # Errors
    ///
    /// [`StaleOffset`] if they were freed already; nothing has changed then.
    pub fn free<T: ?Sized>(&mut self, offset: Offset<T>) -> Result<(), StaleOffset> {
        self.check(&offset)?;
        let (chunk, run) = (offset.chunk as usize, run_of::<CHUNK>(offset.len as usize));
        if run == 0 {
            return Ok(());
        }
        bits::for_each_word(chunk, run, |word, bits| {
            let left = self.word(word) & !bits;
            self.write(HEAD_LEN + word * WORD_LEN, &left.to_ne_bytes());
        });
        let next = self.generation(chunk).wrapping_add(1);
        self.write(self.generation_at(chunk), &next.to_ne_bytes());
        Ok(())
    }

    fn take<T: ?Sized>(&mut self, len: usize) -> Result<Offset<T>, AllocError> {
        let small_len = u32::try_from(len).map_err(|_| AllocError)?;
        let run = run_of::<CHUNK>(len);
        let offset = |chunk: usize, generation| Offset {
            chunk: chunk as u32,
            len: small_len,
            generation,
            _content: PhantomData,
        };
        if run == 0 {
            return Ok(offset(0, 0));
        }
        let found = bits::find_zeros(|word| self.word(word), self.count, run);
        let chunk = found.ok_or(AllocError)?;
        bits::for_each_word(chunk, run, |word, bits| {
            let set = self.word(word) | bits;
            self.write(HEAD_LEN + word * WORD_LEN, &set.to_ne_bytes());
        });
        Ok(offset(chunk, self.generation(chunk)))
    }

    /// Whether an offset names chunks that are in use, in the generation that they have.
    fn check<T: ?Sized>(&self, offset: &Offset<T>) -> Result<(), StaleOffset> {
        let (chunk, run) = (offset.chunk as usize, run_of::<CHUNK>(offset.len as usize));
        let is_live = run == 0
            || (chunk < self.count
                && run <= self.count - chunk
                && bits::all_ones(|word| self.word(word), chunk, run)
                && self.generation(chunk) == offset.generation);
        is_live.then_some(()).ok_or(StaleOffset)
    }

    /// Where the bytes of an offset start in the block.
    fn start<T: ?Sized>(&self, offset: &Offset<T>) -> usize {
        layout(self.count, CHUNK).1 + offset.chunk as usize * CHUNK
    }

    fn word(&self, index: usize) -> u64 {
        u64::from_ne_bytes(self.read(HEAD_LEN + index * WORD_LEN))
    }

    const fn generation_at(&self, chunk: usize) -> usize {
        layout(self.count, CHUNK).0 + chunk * GENERATION_LEN
    }

    fn generation(&self, chunk: usize) -> u16 {
        u16::from_ne_bytes(self.read(self.generation_at(chunk)))
    }

    /// Reads bytes of the head; zeros beyond the block, where nothing that was checked leads.
    fn read<const N: usize>(&self, at: usize) -> [u8; N] {
        self.block.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = self.block.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }
}

/// How many chunks so many bytes take.
const fn run_of<const CHUNK: usize>(len: usize) -> usize {
    len.div_ceil(CHUNK)
}

impl<T: ?Sized> Offset<T> {
    /// Returns the number of bytes.
    #[inline]
    #[expect(clippy::len_without_is_empty, reason = "bytes of a value, not of a collection")]
    pub const fn len(&self) -> usize {
        self.len as usize
    }
}

impl<T: ?Sized> Clone for Offset<T> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: ?Sized> Copy for Offset<T> {}

impl<T: ?Sized> PartialEq for Offset<T> {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        (self.chunk, self.len, self.generation) == (other.chunk, other.len, other.generation)
    }
}

impl<T: ?Sized> Eq for Offset<T> {}

impl<T: ?Sized> fmt::Debug for Offset<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Offset(chunk {}, {} bytes, {})", self.chunk, self.len, self.generation)
    }
}

impl<const CHUNK: usize> fmt::Debug for BitmapHeap<'_, CHUNK> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BitmapHeap")
            .field("chunk_count", &self.count)
            .field("used", &self.used())
            .finish_non_exhaustive()
    }
}
