//! Strings, each kept once.

use core::fmt;
use core::hash::{BuildHasher, Hasher};
use core::mem::MaybeUninit;

use alloc_core::{AllocError, Allocator, AllocatorExt, Owned};

/// Names a string of an [`Interner`]. Four bytes; of no meaning to another interner. Two are equal if
/// and only if their strings are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Symbol(u32);

impl Symbol {
    /// Returns the number of the string: the first is 0.
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where a string lies in the bytes.
#[derive(Clone, Copy)]
struct Span {
    start: u32,
    len: u32,
    hash: u32,
}

/// No string.
const EMPTY: u32 = u32::MAX;

/// The hash of FNV-1a (Fowler, Noll, Vo), in 64 bits: short strings, no keys. Whoever lets strangers
/// choose the strings gives the interner a keyed [`BuildHasher`] instead.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fnv;

/// A hash in the making.
#[derive(Clone, Copy, Debug)]
pub struct FnvHasher(u64);

impl BuildHasher for Fnv {
    type Hasher = FnvHasher;

    fn build_hasher(&self) -> FnvHasher {
        FnvHasher(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for FnvHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// A table that grows and never shrinks.
struct Table<T, A: Allocator> {
    /// Invariant: the first `len` items are initialised. `None`: there is no memory yet.
    items: Option<Owned<[MaybeUninit<T>], A>>,
    len: usize,
}

impl<T: Copy, A: Allocator + Copy> Table<T, A> {
    /// Makes room for `more` items behind those that are there.
    fn reserve(&mut self, backing: A, more: usize) -> Result<(), AllocError> {
        let needed = self.len.checked_add(more).ok_or(AllocError)?;
        let capacity = self.items.as_ref().map_or(0, |items| items.len());
        if needed <= capacity {
            return Ok(());
        }
        let wanted = needed.max(capacity.saturating_mul(2)).max(16);
        // A backing that cannot double the table may have room for what is needed.
        self.grow(backing, wanted).or_else(|_| self.grow(backing, needed))
    }

    /// Makes room for `capacity` items in all. On an error the table is as it was.
    fn grow(&mut self, backing: A, capacity: usize) -> Result<(), AllocError> {
        let grown = match self.items.take() {
            None => backing.alloc(capacity).map_err(|error| (None, error)),
            Some(items) => {
                backing.realloc(items, capacity).map_err(|(items, error)| (Some(items), error))
            }
        };
        match grown {
            Ok(items) => self.items = Some(items),
            Err((items, error)) => {
                self.items = items;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Adds items; there is room.
    fn extend(&mut self, more: &[T]) {
        let end = self.len + more.len();
        if let Some(place) = self.items.as_mut().and_then(|items| items.get_mut(self.len..end)) {
            place.write_copy_of_slice(more);
            self.len = end;
        }
    }
}

impl<T: Copy, A: Allocator> Table<T, A> {
    fn as_slice(&self) -> &[T] {
        let Some(items) = self.items.as_ref().and_then(|items| items.get(..self.len)) else {
            return &[];
        };
        // SAFETY: the first `len` items are initialised (invariant).
        unsafe { items.assume_init_ref() }
    }
}

/// Keeps each string once, and gives it a number.
///
/// Looking a string up never allocates, whether it is there or not; nor does interning one that is
/// there already. Costs: a hash of the string and about one comparison; a new string is copied.
///
/// ```
/// use alloc_core::Global;
/// use alloc_pool::Interner;
///
/// let mut names = Interner::over(Global);
/// let main = names.intern("main")?;
/// assert_eq!(names.intern("main")?, main);
/// assert_eq!(names.get("main"), Some(main));
/// assert_eq!(names.get("other"), None);
/// assert_eq!(names.resolve(main), Some("main"));
/// # Ok::<(), alloc_core::AllocError>(())
/// ```
pub struct Interner<A: Allocator, S = Fnv> {
    bytes: Table<u8, A>,
    spans: Table<Span, A>,
    /// Open addressing, linear: an index into `spans`, or `EMPTY`. Invariants: its length is zero or a
    /// power of two, and at least 16/15 of the number of strings, so that a search ends.
    table: Option<Owned<[u32], A>>,
    hasher: S,
    backing: A,
}

impl<A: Allocator + Copy> Interner<A> {
    /// Makes an interner over a backing allocator. Takes no memory before the first string.
    #[inline]
    pub const fn over(backing: A) -> Self {
        Self::with_hasher(backing, Fnv)
    }
}

impl<A: Allocator + Copy, S> Interner<A, S> {
    /// The same, with a hash function of one's own.
    #[inline]
    pub const fn with_hasher(backing: A, hasher: S) -> Self {
        Self {
            bytes: Table { items: None, len: 0 },
            spans: Table { items: None, len: 0 },
            table: None,
            hasher,
            backing,
        }
    }
}

impl<A: Allocator + Copy, S: BuildHasher> Interner<A, S> {
    /// Returns the symbol of a string, which is kept if it was not.
    ///
    /// # Errors
    ///
    /// [`AllocError`] if it is new and there is no memory, or 4 GiB of strings are kept already; the
    /// interner is as it was.
    pub fn intern(&mut self, text: &str) -> Result<Symbol, AllocError> {
        let hash = self.hash(text);
        if let Some(found) = self.find(text, hash) {
            return Ok(found);
        }
        let to_u32 = |value: usize| u32::try_from(value).map_err(|_| AllocError);
        let span = Span { start: to_u32(self.bytes.len)?, len: to_u32(text.len())?, hash };
        to_u32(self.bytes.len.checked_add(text.len()).ok_or(AllocError)?)?;
        let index = to_u32(self.spans.len)?;
        // Everything that can fail, before anything changes.
        self.bytes.reserve(self.backing, text.len())?;
        self.spans.reserve(self.backing, 1)?;
        self.reserve_place()?;
        self.bytes.extend(text.as_bytes());
        self.spans.extend(&[span]);
        if let Some(table) = self.table.as_mut() {
            enter(table, hash, index);
        }
        Ok(Symbol(index))
    }

    /// Makes the table have room for one more string: an eighth of its places stays empty; if there is no
    /// memory for a longer one, a sixteenth.
    fn reserve_place(&mut self) -> Result<(), AllocError> {
        let places = self.table.as_ref().map_or(0, |table| table.len());
        if self.spans.len < places / 8 * 7 {
            return Ok(());
        }
        let wanted = places.checked_mul(2).ok_or(AllocError)?.max(16);
        let mut table = match self.backing.alloc_fill(wanted, EMPTY) {
            Ok(table) => table,
            Err(_) if self.spans.len < places / 16 * 15 => return Ok(()),
            Err(error) => return Err(error),
        };
        for (index, span) in self.spans.as_slice().iter().enumerate() {
            enter(&mut table, span.hash, index as u32);
        }
        self.table = Some(table);
        Ok(())
    }
}

impl<A: Allocator, S: BuildHasher> Interner<A, S> {
    /// Returns the symbol of a string that is kept. Never allocates.
    pub fn get(&self, text: &str) -> Option<Symbol> {
        self.find(text, self.hash(text))
    }

    fn hash(&self, text: &str) -> u32 {
        let hash = self.hasher.hash_one(text);
        (hash ^ hash >> 32) as u32
    }

    fn find(&self, text: &str, hash: u32) -> Option<Symbol> {
        let table = self.table.as_ref()?;
        let mask = table.len().checked_sub(1)?;
        let spans = self.spans.as_slice();
        let mut place = hash as usize & mask;
        loop {
            let index = *table.get(place)?;
            // An empty place ends the search: there always is one (invariant).
            let span = spans.get(index as usize)?;
            if span.hash == hash && self.bytes_of(span) == text.as_bytes() {
                return Some(Symbol(index));
            }
            place = (place + 1) & mask;
        }
    }
}

impl<A: Allocator, S> Interner<A, S> {
    /// Returns how many strings are kept.
    #[inline]
    pub const fn len(&self) -> usize {
        self.spans.len
    }

    /// Whether no string is kept.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.spans.len == 0
    }

    /// Returns the string of a symbol; `None` if it is another interner's, and there is none.
    pub fn resolve(&self, symbol: Symbol) -> Option<&str> {
        let span = self.spans.as_slice().get(symbol.index())?;
        // SAFETY: invariant 7 of the crate: the bytes of a `&str`, copied whole.
        Some(unsafe { core::str::from_utf8_unchecked(self.bytes_of(span)) })
    }

    /// Every string with its symbol, in the order of their first interning.
    pub fn iter(&self) -> impl Iterator<Item = (Symbol, &str)> {
        (0..self.spans.len as u32).filter_map(|index| {
            let symbol = Symbol(index);
            Some((symbol, self.resolve(symbol)?))
        })
    }

    fn bytes_of(&self, span: &Span) -> &[u8] {
        let start = span.start as usize;
        self.bytes.as_slice().get(start..start + span.len as usize).unwrap_or(&[])
    }
}

/// Enters a string that is not in the table; there is a place.
fn enter(table: &mut [u32], hash: u32, index: u32) {
    let mask = table.len().wrapping_sub(1);
    let mut place = hash as usize & mask;
    while let Some(entry) = table.get_mut(place) {
        if *entry == EMPTY {
            *entry = index;
            return;
        }
        place = (place + 1) & mask;
    }
}

impl<A: Allocator, S> fmt::Debug for Interner<A, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interner")
            .field("strings", &self.spans.len)
            .field("bytes", &self.bytes.len)
            .finish_non_exhaustive()
    }
}
