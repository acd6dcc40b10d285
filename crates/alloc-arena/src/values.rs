//! Values straight into an arena: plain references, no owner, no drop.

#![allow(clippy::mut_from_ref, reason = "each call returns memory of its own")]

use core::alloc::Layout;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

pub(crate) use alloc_core::__private::copy_items as copy;
use alloc_core::{AllocError, Allocator};

use crate::Arena;
use crate::fills;
use crate::growing::Growing;

/// What the values below go into.
pub(crate) trait Source: Allocator {
    /// As `raw_alloc`, for a `T`, which has bytes.
    #[inline(always)]
    fn alloc_for<T>(&self) -> Result<NonNull<u8>, AllocError> {
        self.raw_alloc(const { Layout::new::<T>() })
    }

    /// As `raw_alloc`, also for no bytes: then whatever is aligned. The size is a multiple of the alignment.
    #[inline(always)]
    fn alloc_padded(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        if layout.size() == 0 { Ok(layout.dangling_ptr()) } else { self.raw_alloc(layout) }
    }
}

impl<A: Allocator> Source for Arena<A> {
    #[inline(always)]
    fn alloc_for<T>(&self) -> Result<NonNull<u8>, AllocError> {
        Self::alloc_for::<T>(self)
    }

    #[inline(always)]
    fn alloc_padded(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
        // No bytes are found at the cursor, or by the slow way.
        Self::alloc_padded(self, layout)
    }
}

/// A block for a `T`, dangling and aligned for no bytes: for who may give it back. Through a reference to the place
/// the source could reach no byte beside it when it has the block again.
#[inline(always)]
pub(crate) fn block_for<S: Source, T>(source: &S) -> Result<NonNull<MaybeUninit<T>>, AllocError> {
    match size_of::<T>() {
        0 => Ok(NonNull::dangling()),
        _ => Ok(source.alloc_for::<T>()?.cast()),
    }
}

/// Room for a `T`.
#[inline(always)]
pub(crate) fn room<S: Source, T>(source: &S) -> Result<&mut MaybeUninit<T>, AllocError> {
    let block = block_for::<S, T>(source)?;
    // SAFETY: the block fits a `T` and is nobody else's (promises 1 and 2), or there are no bytes; it is
    // live while the source is borrowed, since nobody frees it and by promise 3 (Stable). Any bytes are a
    // `MaybeUninit`.
    Ok(unsafe { &mut *block.as_ptr() })
}

/// Room for `count` items.
#[inline(always)]
pub(crate) fn room_for_slice<S: Source, T>(
    source: &S,
    count: usize,
) -> Result<&mut [MaybeUninit<T>], AllocError> {
    let layout = Layout::array::<T>(count).map_err(|_| AllocError)?;
    room_for_layout(source, layout, count)
}

/// Room for a copy of `items`, whose size is known not to overflow.
#[inline(always)]
pub(crate) fn room_like<'s, S: Source, T>(
    source: &'s S,
    items: &[T],
) -> Result<&'s mut [MaybeUninit<T>], AllocError> {
    room_for_layout(source, Layout::for_value(items), items.len())
}

/// Room for `count` items, whose layout the caller knows.
#[inline(always)]
fn room_for_layout<S: Source, T>(
    source: &S,
    layout: Layout,
    count: usize,
) -> Result<&mut [MaybeUninit<T>], AllocError> {
    alloc_core::check!(layout.size() == count.wrapping_mul(size_of::<T>()), "{count} {layout:?}");
    let block = source.alloc_padded(layout)?.cast();
    // SAFETY: as in `room`, for `count` items in a row.
    Ok(unsafe { NonNull::slice_from_raw_parts(block, count).as_mut() })
}

/// Values whose drop nobody would run do not compile here.
#[inline(always)]
pub(crate) const fn must_not_drop<T>() {
    const {
        assert!(
            !core::mem::needs_drop::<T>(),
            "this value has a drop, which an arena does not run: see `put_box` and `DropArena`"
        );
    }
}

pub(crate) fn collect<S: Source, T>(
    source: &S,
    items: impl Iterator<Item = T>,
) -> Result<&mut [T], AllocError> {
    let mut growing = Growing::new(source, items.size_hint().0)?;
    growing.push_all(items)?;
    Ok(growing.finish())
}

pub(crate) fn collect_results<S: Source, T, E: From<AllocError>>(
    source: &S,
    items: impl Iterator<Item = Result<T, E>>,
) -> Result<&mut [T], E> {
    let mut growing = Growing::new(source, 0)?;
    for item in items {
        growing.push(item?)?;
    }
    Ok(growing.finish())
}

#[inline(always)]
pub(crate) fn put_result<S: Source, T, E: From<AllocError>>(
    source: &S,
    value: impl FnOnce() -> Result<T, E>,
) -> Result<&mut T, E> {
    let block = block_for::<S, T>(source)?;
    match value() {
        // SAFETY: as in `room`.
        Ok(value) => Ok(unsafe { &mut *block.as_ptr() }.write(value)),
        Err(error) => {
            if size_of::<T>() != 0 {
                // SAFETY: the block that was taken for a `T`; live, and nobody else has it.
                unsafe { source.raw_free(block.cast(), Layout::new::<T>()) };
            }
            Err(error)
        }
    }
}

#[inline(always)]
pub(crate) fn fill_with<T>(
    items: &mut [MaybeUninit<T>],
    mut item: impl FnMut(usize) -> T,
) -> &mut [T] {
    for (index, place) in items.iter_mut().enumerate() {
        place.write(item(index));
    }
    // SAFETY: each was written.
    unsafe { items.assume_init_mut() }
}

#[inline(always)]
pub(crate) fn fill<T: Copy>(items: &mut [MaybeUninit<T>], item: T) -> &mut [T] {
    fills::fill(items, MaybeUninit::new(item));
    // SAFETY: each was written.
    unsafe { items.assume_init_mut() }
}

#[cold]
#[inline(never)]
#[track_caller]
pub(crate) fn out_of_memory() -> ! {
    panic!("out of memory in an arena")
}

/// Writes the methods that put values into something: into `$source`, a `$source_type`, and what they return
/// lives as long as `$lifetime`, which may be `'_`.
macro_rules! impl_values {
    (impl[$($generics:tt)*] $type:ty, $self:ident => $source:expr, $source_type:ty, $lifetime:lifetime) => {
        /// # Values
        ///
        /// Each returns a plain reference to memory that lives until everything is taken back. The drop of
        /// such a value does not run, so one that has a drop does not compile here. None of them panics for
        /// lack of memory but those whose name ends in `or_panic`; sizes that overflow are
        /// [`AllocError`].
        #[allow(clippy::mut_from_ref, reason = "each call returns memory of its own")]
        impl<$($generics)*> $type {
            /// Puts a value here.
            ///
            /// # Errors
            ///
            /// [`AllocError`] if no memory can be had; the value is gone then.
            #[inline]
            pub fn put<T>(&$self, value: T) -> Result<&$lifetime mut T, AllocError> {
                $crate::values::must_not_drop::<T>();
                match $crate::values::room($source) {
                    Ok(place) => Ok(place.write(value)),
                    Err(error) => Err(error),
                }
            }

            /// Puts a value here, or returns it.
            ///
            /// # Errors
            ///
            /// The value and [`AllocError`] if no memory can be had.
            #[inline]
            pub fn put_or_return<T>(
                &$self,
                value: T,
            ) -> Result<&$lifetime mut T, (T, AllocError)> {
                $crate::values::must_not_drop::<T>();
                match $crate::values::room($source) {
                    Ok(place) => Ok(place.write(value)),
                    Err(error) => Err((value, error)),
                }
            }

            /// Puts what `value` returns here; a large value can so be made where it stays. The memory is
            /// taken first.
            ///
            /// # Errors
            ///
            /// [`AllocError`] if no memory can be had; `value` is not called then.
            #[inline]
            pub fn put_with<T>(
                &$self,
                value: impl FnOnce() -> T,
            ) -> Result<&$lifetime mut T, AllocError> {
                $crate::values::must_not_drop::<T>();
                match $crate::values::room($source) {
                    Ok(place) => Ok(place.write(value())),
                    Err(error) => Err(error),
                }
            }

            /// As [`put_with`](Self::put_with), for what may fail: then the memory goes back, if `value` took
            /// nothing from here that it kept.
            ///
            /// # Errors
            ///
            /// That of `value`, or [`AllocError`] if no memory can be had; `value` is not called then.
            #[inline]
            pub fn put_try_with<T, E: From<AllocError>>(
                &$self,
                value: impl FnOnce() -> Result<T, E>,
            ) -> Result<&$lifetime mut T, E> {
                $crate::values::must_not_drop::<T>();
                $crate::values::put_result($source, value)
            }

            /// Returns room for a value.
            ///
            /// # Errors
            ///
            /// [`AllocError`] if no memory can be had.
            #[inline]
            pub fn put_uninit<T>(
                &$self,
            ) -> Result<&$lifetime mut core::mem::MaybeUninit<T>, AllocError> {
                $crate::values::room($source)
            }

            /// Returns room for `count` items.
            ///
            /// # Errors
            ///
            /// [`AllocError`] if no memory can be had or the size overflows.
            #[inline]
            pub fn put_slice_uninit<T>(
                &$self,
                count: usize,
            ) -> Result<&$lifetime mut [core::mem::MaybeUninit<T>], AllocError> {
                $crate::values::room_for_slice($source, count)
            }

            /// Puts a copy of a slice here.
            ///
            /// # Errors
            ///
            /// [`AllocError`] if no memory can be had.
            #[inline]
            pub fn put_slice_copy<T: Copy>(
                &$self,
                items: &[T],
            ) -> Result<&$lifetime mut [T], AllocError> {
                match $crate::values::room_like($source, items) {
                    Ok(place) => Ok($crate::values::copy(place, items)),
                    Err(error) => Err(error),
                }
            }

            /// Puts clones of the items of a slice here.
            ///
            /// # Errors
            ///
            /// [`AllocError`] if no memory can be had.
            ///
            /// # Panics
            ///
            /// If `clone` does.
            #[inline]
            pub fn put_slice_clone<T: Clone>(
                &$self,
                items: &[T],
            ) -> Result<&$lifetime mut [T], AllocError> {
                $crate::values::must_not_drop::<T>();
                match $crate::values::room_like($source, items) {
                    Ok(place) => Ok(place.write_clone_of_slice(items)),
                    Err(error) => Err(error),
                }
            }

            /// Puts `count` copies of an item here.
            ///
            /// # Errors
            ///
            /// [`AllocError`] if no memory can be had or the size overflows.
            #[inline]
            pub fn put_slice_fill<T: Copy>(
                &$self,
                count: usize,
                item: T,
            ) -> Result<&$lifetime mut [T], AllocError> {
                match $crate::values::room_for_slice($source, count) {
                    Ok(place) => Ok($crate::values::fill(place, item)),
                    Err(error) => Err(error),
                }
            }

            /// Puts `count` items here, each made from its index.
            ///
            /// # Errors
            ///
            /// [`AllocError`] if no memory can be had or the size overflows; `item` is not called then.
            ///
            /// # Panics
            ///
            /// If `item` does.
            #[inline]
            pub fn put_slice_with<T>(
                &$self,
                count: usize,
                item: impl FnMut(usize) -> T,
            ) -> Result<&$lifetime mut [T], AllocError> {
                $crate::values::must_not_drop::<T>();
                match $crate::values::room_for_slice($source, count) {
                    Ok(place) => Ok($crate::values::fill_with(place, item)),
                    Err(error) => Err(error),
                }
            }

            /// Puts a value here whose bytes are all zero, made where it stays.
            ///
            /// # Errors
            ///
            /// [`AllocError`] if no memory can be had.
            #[inline]
            pub fn put_zeroed<T: alloc_core::Zeroable>(
                &$self,
            ) -> Result<&$lifetime mut T, AllocError> {
                $crate::values::must_not_drop::<T>();
                let place = $crate::values::room::<_, T>($source)?;
                // SAFETY: room for a `T` that nobody else has, writable.
                unsafe { place.as_mut_ptr().write_bytes(0, 1) };
                // SAFETY: all bytes are zero, which `T: Zeroable` allows.
                Ok(unsafe { place.assume_init_mut() })
            }

            /// Puts `count` items here whose bytes are all zero.
            ///
            /// # Errors
            ///
            /// [`AllocError`] if no memory can be had or the size overflows.
            #[inline]
            pub fn put_slice_zeroed<T: alloc_core::Zeroable>(
                &$self,
                count: usize,
            ) -> Result<&$lifetime mut [T], AllocError> {
                $crate::values::must_not_drop::<T>();
                let items = $crate::values::room_for_slice($source, count)?;
                // SAFETY: `count` items that nobody else has, writable.
                unsafe { items.as_mut_ptr().write_bytes(0, count) };
                // SAFETY: all bytes are zero, which `T: Zeroable` allows.
                Ok(unsafe { items.assume_init_mut() })
            }

            /// Puts the items of an iterator here. They are written where they stay as long as the
            /// iterator itself takes nothing from here; else they are moved as they grow.
            ///
            /// # Errors
            ///
            /// [`AllocError`] if no memory can be had or the size overflows; the items so far are gone.
            ///
            /// # Panics
            ///
            /// If the iterator does.
            pub fn put_iter<T>(
                &$self,
                items: impl IntoIterator<Item = T>,
            ) -> Result<&$lifetime mut [T], AllocError> {
                $crate::values::must_not_drop::<T>();
                $crate::values::collect($source, items.into_iter())
            }

            /// As [`put_iter`](Self::put_iter), up to the first error, which is returned.
            ///
            /// # Errors
            ///
            /// That of an item, or [`AllocError`] if no memory can be had or the size overflows; the items so
            /// far are gone, and their memory goes back where it is the last.
            ///
            /// # Panics
            ///
            /// If the iterator does.
            pub fn put_try_iter<T, E: From<AllocError>>(
                &$self,
                items: impl IntoIterator<Item = Result<T, E>>,
            ) -> Result<&$lifetime mut [T], E> {
                $crate::values::must_not_drop::<T>();
                $crate::values::collect_results($source, items.into_iter())
            }

            /// As [`put`](Self::put).
            ///
            /// # Panics
            ///
            /// If no memory can be had.
            #[inline]
            #[track_caller]
            pub fn put_or_panic<T>(&$self, value: T) -> &$lifetime mut T {
                match $self.put(value) {
                    Ok(place) => place,
                    Err(AllocError) => $crate::values::out_of_memory(),
                }
            }

            /// As [`put_slice_copy`](Self::put_slice_copy).
            ///
            /// # Panics
            ///
            /// If no memory can be had.
            #[inline]
            #[track_caller]
            pub fn put_slice_copy_or_panic<T: Copy>(
                &$self,
                items: &[T],
            ) -> &$lifetime mut [T] {
                match $self.put_slice_copy(items) {
                    Ok(place) => place,
                    Err(AllocError) => $crate::values::out_of_memory(),
                }
            }

        }

        $crate::texts::impl_texts!(impl[$($generics)*] $type, $self => $source, $lifetime);
        $crate::boxed::impl_boxes!(impl[$($generics)*] $type, $self => $source, $lifetime);
        $crate::builders::impl_builders!(
            impl[$($generics)*] $type, $self => $source, $source_type, $lifetime
        );
    };
}
pub(crate) use impl_values;

impl_values!(impl[A: Allocator] Arena<A>, self => self, Arena<A>, '_);
