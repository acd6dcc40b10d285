//! A value and the arena that it borrows from, in one owner that can be moved.

use core::alloc::Layout;
use core::fmt;
use core::mem::{ManuallyDrop, MaybeUninit};
use core::ptr::NonNull;

use alloc_core::{AllocError, Allocator};

use crate::{Arena, Growth, Reset};

/// A type for each lifetime: what an [`InArena`] holds. `Of<'a>` borrows from an arena for `'a`.
///
/// ```
/// use alloc_arena::Family;
///
/// struct Config<'a> {
///     name: &'a str,
/// }
/// struct ConfigFamily;
/// impl Family for ConfigFamily {
///     type Of<'a> = Config<'a>;
/// }
/// ```
pub trait Family {
    /// The type that borrows for `'a`.
    type Of<'a>;
}

/// An arena at an address of its own, in a block of its backing.
struct Home<A: Allocator> {
    /// Invariant: a live block of the arena's backing that fits an `Arena<A>` and holds the arena; nobody
    /// else's.
    arena: NonNull<Arena<A>>,
}

impl<A: Allocator> Home<A> {
    const LAYOUT: Layout = Layout::new::<Arena<A>>();

    fn new(arena: Arena<A>) -> Result<Self, AllocError> {
        let block = arena.backing.raw_alloc(Self::LAYOUT)?.cast();
        // SAFETY: it fits the layout of the arena (promise 1).
        unsafe { block.write(arena) };
        Ok(Self { arena: block })
    }

    fn arena(&self) -> &Arena<A> {
        // SAFETY: the invariant; what changes in an arena is in cells.
        unsafe { self.arena.as_ref() }
    }

    fn arena_mut(&mut self) -> &mut Arena<A> {
        // SAFETY: the invariant; the borrow is unique.
        unsafe { self.arena.as_mut() }
    }
}

impl<A: Allocator> Drop for Home<A> {
    fn drop(&mut self) {
        // SAFETY: the invariant; the block is not used again.
        let arena = unsafe { self.arena.read() };
        // SAFETY: a live block of this backing that fits; it is forgotten here.
        unsafe { arena.backing.raw_free(self.arena.cast(), Self::LAYOUT) };
    }
}

// SAFETY: the arena belongs to its home, which may go where the arena may.
unsafe impl<A: Allocator + Send> Send for Home<A> {}

/// A value and the arena that it borrows from: can be moved, returned, and sent where the value can.
///
/// The value is dropped first, then all memory at once.
///
/// ```
/// use alloc_arena::{Arena, Family, InArena};
/// use alloc_core::AllocError;
///
/// struct Words<'a>(&'a [&'a str]);
/// struct WordsFamily;
/// impl Family for WordsFamily {
///     type Of<'a> = Words<'a>;
/// }
///
/// fn parse(text: &str) -> Result<InArena<WordsFamily>, AllocError> {
///     InArena::new(Arena::new(), |arena| {
///         let text = arena.put_str(text)?;
///         Ok(Words(arena.put_iter(text.split(' '))?))
///     })
/// }
///
/// let words = parse("one arena for all")?;
/// let words = std::thread::spawn(move || words).join().unwrap();
/// assert_eq!(words.with(|words| words.0.len()), 4);
/// # Ok::<(), AllocError>(())
/// ```
///
/// What is borrowed from it ends with it:
///
/// ```compile_fail,E0505
/// # use alloc_arena::{Arena, Family, InArena};
/// # struct Name;
/// # impl Family for Name { type Of<'a> = &'a str; }
/// let name = InArena::<Name>::new(Arena::new(), |arena| Ok::<_, alloc_core::AllocError>(&*arena.put_str("x")?)).unwrap();
/// let kept = name.with(|name| *name);
/// drop(name);
/// println!("{kept}");
/// ```
pub struct InArena<F: Family, A: Allocator = DefaultBacking> {
    /// Invariant: an initialised `F::Of<'a>`, where `'a` is as long as `home` lives. Not a plain field,
    /// for references in it may not be taken for valid while the arena goes.
    value: MaybeUninit<F::Of<'static>>,
    home: Home<A>,
}

/// What an [`InArena`] is over if nothing else is said: the program's own allocator.
#[cfg(feature = "alloc")]
pub type DefaultBacking = alloc_core::Global;
/// What an [`InArena`] is over if nothing else is said: nothing.
#[cfg(not(feature = "alloc"))]
pub type DefaultBacking = alloc_core::NeverAlloc;

// SAFETY: it is a value and the arena that the value borrows from; both go together, and whoever has the
// one has the other. The value may be sent for every lifetime by the bound.
unsafe impl<F: Family, A: Allocator + Send> Send for InArena<F, A> where for<'a> F::Of<'a>: Send {}
// SAFETY: a shared one gives out `&F::Of` only, never the arena.
unsafe impl<F: Family, A: Allocator + Sync> Sync for InArena<F, A> where for<'a> F::Of<'a>: Sync {}

impl<F: Family, A: Allocator> InArena<F, A> {
    /// Builds a value in an arena, which may be warm.
    ///
    /// # Errors
    ///
    /// That of `build`, or [`AllocError`] if there is no memory to put the arena itself; the arena is gone
    /// then.
    pub fn new<E: From<AllocError>>(
        arena: Arena<A>,
        build: impl for<'a> FnOnce(&'a Arena<A>) -> Result<F::Of<'a>, E>,
    ) -> Result<Self, E> {
        Self::build(Home::new(arena)?, build).map_err(|(_, error)| error)
    }

    fn build<E>(
        home: Home<A>,
        build: impl for<'a> FnOnce(&'a Arena<A>) -> Result<F::Of<'a>, E>,
    ) -> Result<Self, (Home<A>, E)> {
        let mut place = MaybeUninit::<F::Of<'static>>::uninit();
        let built = build(home.arena()).map(|value| write_short::<F>(&mut place, value));
        if let Err(error) = built {
            return Err((home, error));
        }
        // The value borrows the arena, which stays where it is when its home moves.
        Ok(Self { value: place, home })
    }

    /// Calls `body` with the value.
    ///
    /// What `body` returns may borrow from this owner, not from the arena: the value's own lifetime is
    /// hidden.
    pub fn with<'s, R>(&'s self, body: impl for<'a> FnOnce(&'s F::Of<'a>) -> R) -> R {
        // SAFETY: initialised (invariant). For the compiler it lives for `'s` instead of as long as the
        // arena, which is longer; `body` is made for every lifetime, so it depends on neither.
        let value = unsafe { &*self.value.as_ptr().cast::<F::Of<'s>>() };
        body(value)
    }

    /// Calls `body` with the value and the arena, so that more can be put there.
    ///
    /// As with [`with`](Self::with), nothing of the arena's lifetime leaves `body`, and nothing shorter
    /// than that gets into the value.
    pub fn with_mut<'s, R>(
        &'s mut self,
        body: impl for<'a> FnOnce(&'s mut F::Of<'a>, &'a Arena<A>) -> R,
    ) -> R {
        // SAFETY: as in `with`; the borrow is unique.
        let value = unsafe { &mut *self.value.as_mut_ptr().cast::<F::Of<'s>>() };
        body(value, self.home.arena())
    }

    /// Drops the value, and returns the arena, with whatever is in it.
    pub fn into_arena(self) -> Arena<A> {
        let home = ManuallyDrop::new(self.into_home());
        // SAFETY: the invariant of `Home`, which is not used again, nor dropped.
        let arena = unsafe { home.arena.read() };
        // SAFETY: a live block of this backing that fits; forgotten here.
        unsafe { arena.backing.raw_free(home.arena.cast(), Home::<A>::LAYOUT) };
        arena
    }

    fn into_home(self) -> Home<A> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: moved out once: `this` is not dropped.
        let home = unsafe { (&raw const this.home).read() };
        // SAFETY: initialised (invariant); not used again.
        unsafe { drop_short::<F>(&mut this.value) };
        home
    }

    /// Returns how many bytes of the backing the arena's chunks have.
    pub fn reserved(&self) -> usize {
        self.home.arena().reserved()
    }

    /// Returns how many bytes of the arena are taken.
    pub fn used(&self) -> usize {
        self.home.arena().used()
    }
}

/// Writes a value whose lifetime the place does not tell.
fn write_short<'a, F: Family>(place: &mut MaybeUninit<F::Of<'static>>, value: F::Of<'a>) {
    // SAFETY: a type that differs in lifetimes only has the same layout.
    unsafe { place.as_mut_ptr().cast::<F::Of<'a>>().write(value) };
}

/// Drops the value, whatever its lifetime.
///
/// # Safety
///
/// It is initialised, what it borrows is there, and it is not used again.
unsafe fn drop_short<F: Family>(place: &mut MaybeUninit<F::Of<'static>>) {
    // SAFETY: this function's contract. That the type says `'static` tells a drop nothing: it cannot
    // depend on lifetimes.
    unsafe { place.assume_init_drop() };
}

impl<F: Family, A: Allocator> Drop for InArena<F, A> {
    fn drop(&mut self) {
        // SAFETY: initialised (invariant), and the last use; the arena goes after it, with `home`.
        unsafe { drop_short::<F>(&mut self.value) };
    }
}

impl<F: Family, A: Allocator> fmt::Debug for InArena<F, A>
where
    for<'a> F::Of<'a>: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with(|value| f.debug_tuple("InArena").field(value).finish())
    }
}

/// A value in an arena that is replaced as a whole: a configuration, the diagnostics of a file. The new
/// one is built beside the old one, which stays if that fails.
///
/// Two arenas take turns, so once they are warm a replacement asks the backing for nothing.
///
/// ```
/// use alloc_arena::{ArenaCell, Family, Reset};
/// use alloc_core::{AllocError, Global};
///
/// struct Lines;
/// impl Family for Lines {
///     type Of<'a> = &'a [&'a str];
/// }
///
/// let mut lines = ArenaCell::<Lines, _>::new(Global, Reset::RetainCapacity);
/// assert!(lines.with(|lines| lines.is_none()));
/// for text in ["one", "one\ntwo"] {
///     lines.replace(|arena| {
///         let text = arena.put_str(text)?;
///         Ok::<_, AllocError>(&*arena.put_iter(text.lines())?)
///     })?;
/// }
/// assert_eq!(lines.with(|lines| lines.map(|lines| lines.len())), Some(2));
/// # Ok::<(), AllocError>(())
/// ```
pub struct ArenaCell<F: Family, A: Allocator> {
    current: Option<InArena<F, A>>,
    /// The arena whose turn is next, empty.
    next: Option<Home<A>>,
    backing: A,
    growth: Growth,
    mode: Reset,
}

impl<F: Family, A: Allocator + Clone> ArenaCell<F, A> {
    /// Makes an empty one. Its arenas are over clones of `backing`, and keep between their turns what
    /// `mode` says.
    pub const fn new(backing: A, mode: Reset) -> Self {
        Self { current: None, next: None, backing, growth: Growth::DEFAULT, mode }
    }

    /// The same cell, whose arenas have chunks of the lengths that `growth` says.
    #[must_use]
    pub const fn with_growth(mut self, growth: Growth) -> Self {
        self.growth = growth;
        self
    }

    /// Builds a new value, and then drops the old one with all its memory.
    ///
    /// # Errors
    ///
    /// That of `build`, or [`AllocError`] if there is no memory to put an arena; the old value is still
    /// there then.
    pub fn replace<E: From<AllocError>>(
        &mut self,
        build: impl for<'a> FnOnce(&'a Arena<A>) -> Result<F::Of<'a>, E>,
    ) -> Result<(), E> {
        let home = match self.next.take() {
            Some(home) => home,
            None => Home::new(Arena::over(self.backing.clone()).with_growth(self.growth))?,
        };
        match InArena::build(home, build) {
            Ok(new) => {
                let old = self.current.replace(new);
                self.retire(old);
                Ok(())
            }
            Err((home, error)) => {
                self.keep(home);
                Err(error)
            }
        }
    }

    /// Drops the value with all its memory.
    pub fn clear(&mut self) {
        let old = self.current.take();
        self.retire(old);
    }

    fn retire(&mut self, old: Option<InArena<F, A>>) {
        if let Some(old) = old {
            self.keep(old.into_home());
        }
    }

    fn keep(&mut self, mut home: Home<A>) {
        home.arena_mut().reset(self.mode);
        self.next = Some(home);
    }
}

impl<F: Family, A: Allocator> ArenaCell<F, A> {
    /// Calls `body` with the value, if there is one.
    pub fn with<'s, R>(&'s self, body: impl for<'a> FnOnce(Option<&'s F::Of<'a>>) -> R) -> R {
        match &self.current {
            Some(current) => current.with(|value| body(Some(value))),
            None => body(None),
        }
    }

    /// Returns how many bytes of the backing both arenas have.
    pub fn reserved(&self) -> usize {
        let next = self.next.as_ref().map_or(0, |home| home.arena().reserved());
        self.current.as_ref().map_or(0, InArena::reserved) + next
    }
}
