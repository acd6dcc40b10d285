//! Our allocators behind the `Allocator` traits of others: `allocator_api2` 0.2 and 0.4, and
//! `core::alloc`.
//!
//! The three traits have the same six methods, which are calls of the functions in `block`: they
//! answer requests for zero bytes without the allocator. Blocks have exactly the requested size, so
//! the layout at a free is always the one that the allocator knows.

/// Implements the `Allocator` traits of others for a type that implements ours: `allocator_api2`
/// 0.2 (feature `allocator-api2-02`, on by default: what hashbrown speaks), 0.4 (feature
/// `allocator-api2-04`), and `core::alloc::Allocator` (where the compiler has it, or under the
/// feature `nightly`). Which of them is decided by the features of alloc-core, not by those of the
/// crate that writes this line, and that crate needs no dependency on any of them.
///
/// The type must be local to the invoking crate. Generics stand in brackets, which may be empty; a
/// `where` clause may follow the type.
///
/// The foreign traits ask for one thing more than ours, which promise 3 gives them: a clone or copy
/// of the allocator takes back the blocks of the original.
///
/// ```
/// use alloc_core::{AllocError, Allocator, Layout, NeverAlloc, forward, impl_foreign_allocator};
///
/// struct Named<A> { inner: A, name: &'static str }
///
/// // SAFETY: 1 to 7 are kept by forwarding to `A`, which keeps them.
/// unsafe impl<A: Allocator> Allocator for Named<A> {
///     forward!(self.inner);
/// }
/// impl_foreign_allocator!(impl[A: Allocator] for Named<A>);
///
/// # #[cfg(all(feature = "allocator-api2-02", not(all(feature = "allocator-api2-02-is-core", any(std_allocator, gated_allocator)))))] {
/// use allocator_api2_02::vec::Vec; // or `std::vec::Vec`, from Rust 1.100 on
///
/// let none = Named { inner: NeverAlloc, name: "none" };
/// let mut numbers = Vec::new_in(&none);
/// assert!(numbers.try_reserve(1).is_err(), "{} has no memory", none.name);
/// numbers.extend([(), ()].map(|()| 1).into_iter().take(0));
/// # }
/// ```
#[macro_export]
#[cfg_attr(gated_allocator, allow_internal_unstable(allocator_api))]
macro_rules! impl_foreign_allocator {
    (impl[$($generics:tt)*] for $type:ty $(where $($bounds:tt)*)?) => {
        $crate::__impl_api2_02!([$($generics)*] [$type] [$(where $($bounds)*)?]);
        $crate::__impl_api2_04!([$($generics)*] [$type] [$(where $($bounds)*)?]);
        $crate::__impl_core!([$($generics)*] [$type] [$(where $($bounds)*)?]);
    };
}

// Each of the next three exists twice, and the cfg stands on the definition: inside the body it
// would be asked of the crate that invokes the macro. Where `allocator_api2` 0.2 re-exports core's
// trait, core's impl is the one that counts.

#[doc(hidden)]
#[macro_export]
#[cfg(all(
    feature = "allocator-api2-02",
    not(all(feature = "allocator-api2-02-is-core", any(std_allocator, gated_allocator)))
))]
macro_rules! __impl_api2_02 {
    ($generics:tt $type:tt $bounds:tt) => {
        $crate::__impl_foreign!(api2_02 $generics $type $bounds);
    };
}

#[doc(hidden)]
#[macro_export]
#[cfg(not(all(
    feature = "allocator-api2-02",
    not(all(feature = "allocator-api2-02-is-core", any(std_allocator, gated_allocator)))
)))]
macro_rules! __impl_api2_02 {
    ($generics:tt $type:tt $bounds:tt) => {};
}

#[doc(hidden)]
#[macro_export]
#[cfg(feature = "allocator-api2-04")]
macro_rules! __impl_api2_04 {
    ($generics:tt $type:tt $bounds:tt) => {
        $crate::__impl_foreign!(api2_04 $generics $type $bounds);
    };
}

#[doc(hidden)]
#[macro_export]
#[cfg(not(feature = "allocator-api2-04"))]
macro_rules! __impl_api2_04 {
    ($generics:tt $type:tt $bounds:tt) => {};
}

#[doc(hidden)]
#[macro_export]
#[cfg(any(std_allocator, gated_allocator))]
#[cfg_attr(gated_allocator, allow_internal_unstable(allocator_api))]
macro_rules! __impl_core {
    ($generics:tt $type:tt $bounds:tt) => {
        $crate::__impl_foreign!(core_alloc $generics $type $bounds);
    };
}

#[doc(hidden)]
#[macro_export]
#[cfg(not(any(std_allocator, gated_allocator)))]
macro_rules! __impl_core {
    ($generics:tt $type:tt $bounds:tt) => {};
}

/// Ends the compilation if there is a brace among the tokens. The generics and bounds of an impl stand between
/// its `unsafe` and its body: with a body of their own they would be the impl of a trait of the caller's choice,
/// made without a word of `unsafe`. By a path of this crate's: what `::core` is, the caller's crate may say.
#[doc(hidden)]
#[macro_export]
macro_rules! __no_braces {
    ($($token:tt)*) => { $($crate::__no_brace! { $token })* };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __no_brace {
    ({ $($_body:tt)* }) => {
        $crate::__private::compile_error!(
            "a brace among the generics or bounds of `impl_foreign_allocator!`"
        );
    };
    ($_other:tt) => {};
}

/// Writes the impl of one foreign trait.
#[doc(hidden)]
#[macro_export]
#[cfg_attr(gated_allocator, allow_internal_unstable(allocator_api))]
macro_rules! __impl_foreign {
    ($version:ident [$($generics:tt)*] [$type:ty] [$($bounds:tt)*]) => {
        $crate::__no_braces! { $($generics)* $($bounds)* }

        // SAFETY: the functions keep the foreign contract with the promises of ours: blocks fit (1)
        // and are disjoint (2), stay valid while the allocator is moved, shared or cloned (3),
        // nothing unwinds (4), growing and shrinking keep the bytes (6).
        unsafe impl<$($generics)*> $crate::__private::$version::Allocator for $type $($bounds)* {
            #[inline]
            #[track_caller]
            fn allocate(
                &self,
                layout: $crate::Layout,
            ) -> ::core::result::Result<::core::ptr::NonNull<[u8]>, $crate::__private::$version::AllocError> {
                $crate::__private::sliced(
                    $crate::__private::allocate(self, layout),
                    layout.size(),
                    $crate::__private::$version::AllocError,
                )
            }

            #[inline]
            #[track_caller]
            fn allocate_zeroed(
                &self,
                layout: $crate::Layout,
            ) -> ::core::result::Result<::core::ptr::NonNull<[u8]>, $crate::__private::$version::AllocError> {
                $crate::__private::sliced(
                    $crate::__private::allocate_zeroed(self, layout),
                    layout.size(),
                    $crate::__private::$version::AllocError,
                )
            }

            #[inline]
            #[track_caller]
            unsafe fn deallocate(
                &self,
                block: ::core::ptr::NonNull<u8>,
                layout: $crate::Layout,
            ) {
                // SAFETY: the foreign contract is that of the function.
                unsafe { $crate::__private::deallocate(self, block, layout) }
            }

            #[inline]
            #[track_caller]
            unsafe fn grow(
                &self,
                block: ::core::ptr::NonNull<u8>,
                old: $crate::Layout,
                new: $crate::Layout,
            ) -> ::core::result::Result<::core::ptr::NonNull<[u8]>, $crate::__private::$version::AllocError> {
                // SAFETY: the foreign contract is that of the function.
                let block = unsafe { $crate::__private::reallocate(self, block, old, new) };
                $crate::__private::sliced(block, new.size(), $crate::__private::$version::AllocError)
            }

            #[inline]
            #[track_caller]
            unsafe fn grow_zeroed(
                &self,
                block: ::core::ptr::NonNull<u8>,
                old: $crate::Layout,
                new: $crate::Layout,
            ) -> ::core::result::Result<::core::ptr::NonNull<[u8]>, $crate::__private::$version::AllocError> {
                // SAFETY: the foreign contract is that of the function.
                let block = unsafe { $crate::__private::grow_zeroed(self, block, old, new) };
                $crate::__private::sliced(block, new.size(), $crate::__private::$version::AllocError)
            }

            #[inline]
            #[track_caller]
            unsafe fn shrink(
                &self,
                block: ::core::ptr::NonNull<u8>,
                old: $crate::Layout,
                new: $crate::Layout,
            ) -> ::core::result::Result<::core::ptr::NonNull<[u8]>, $crate::__private::$version::AllocError> {
                // SAFETY: the foreign contract is that of the function.
                let block = unsafe { $crate::__private::reallocate(self, block, old, new) };
                $crate::__private::sliced(block, new.size(), $crate::__private::$version::AllocError)
            }
        }
    };
}

// The erased handles: `&dyn Allocator` works through the foreign traits' impls for references.
impl_foreign_allocator!(impl[] for dyn crate::Allocator + '_);
impl_foreign_allocator!(impl[] for dyn crate::Allocator + Send + '_);
impl_foreign_allocator!(impl[] for dyn crate::Allocator + Sync + '_);
impl_foreign_allocator!(impl[] for dyn crate::Allocator + Send + Sync + '_);
impl_foreign_allocator!(impl[] for crate::NeverAlloc);

#[cfg(feature = "allocator-api2-02")]
impl From<crate::AllocError> for allocator_api2_02::alloc::AllocError {
    fn from(_: crate::AllocError) -> Self {
        Self
    }
}

#[cfg(feature = "allocator-api2-04")]
impl From<crate::AllocError> for allocator_api2_04::alloc::AllocError {
    fn from(_: crate::AllocError) -> Self {
        Self
    }
}
