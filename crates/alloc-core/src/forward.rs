//! Wrappers by partial override.

/// Writes the methods of [`Allocator`](crate::Allocator) that a wrapper does not override, each as a
/// straight call of the same method of the inner allocator.
///
/// `forward!(self.inner)` writes all five; `forward!(self.inner; except raw_alloc, raw_free)` leaves
/// those two to the wrapper, and `forward!(*self.inner.lock())` reaches it through a guard.
///
/// A wrapper that overrides `raw_alloc` and says nothing of `raw_alloc_zeroed` gets the trait's
/// default for the latter, which goes through its own `raw_alloc`: nothing can slip past it. To
/// forward zero pages too, override both. No other method follows from another one: a wrapper that
/// changes what a growth does overrides `raw_resize` and `raw_remap`.
///
/// ```
/// use alloc_core::{AllocError, Allocator, AllocatorExt, Layout, forward};
/// use core::{cell::Cell, ptr::NonNull};
///
/// /// Counts requests.
/// struct Asked<A>(A, Cell<u32>);
///
/// // SAFETY: 1 to 7 are kept by forwarding to `A`, which keeps them.
/// unsafe impl<A: Allocator> Allocator for Asked<A> {
///     forward!(self.0; except raw_alloc);
///     fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
///         self.1.set(self.1.get() + 1);
///         self.0.raw_alloc(layout)
///     }
/// }
///
/// let asked = Asked(alloc_core::NeverAlloc, Cell::new(0));
/// assert!(asked.create(5).is_err());
/// assert_eq!(asked.1.get(), 1);
/// ```
#[macro_export]
macro_rules! forward {
    (**$self:ident) => { $crate::forward!(@all [** $self] [$self]); };
    (* $self:ident $(. $field:tt $(($($arg:tt)*))?)+) => {
        $crate::forward!(@all [* $self $(. $field $(($($arg)*))?)+] [$self]);
    };
    ($self:ident $(. $field:tt)+) => { $crate::forward!(@all [$self $(. $field)+] [$self]); };
    ($self:ident $(. $field:tt)+; except $($name:ident),+ $(,)?) => {
        $crate::forward!(@one raw_alloc [$self $(. $field)+] [$self] $($name)+);
        $crate::forward!(@one raw_alloc_zeroed [$self $(. $field)+] [$self] $($name)+);
        $crate::forward!(@one raw_resize [$self $(. $field)+] [$self] $($name)+);
        $crate::forward!(@one raw_remap [$self $(. $field)+] [$self] $($name)+);
        $crate::forward!(@one raw_free [$self $(. $field)+] [$self] $($name)+);
        $($crate::forward!(@known $name);)+
    };

    // An overridden method is not written; nor is the zeroed form of an overridden `raw_alloc`.
    (@one raw_alloc $inner:tt $self:tt raw_alloc $($rest:ident)*) => {};
    (@one raw_alloc_zeroed $inner:tt $self:tt raw_alloc $($rest:ident)*) => {};
    (@one raw_alloc_zeroed $inner:tt $self:tt raw_alloc_zeroed $($rest:ident)*) => {};
    (@one raw_resize $inner:tt $self:tt raw_resize $($rest:ident)*) => {};
    (@one raw_remap $inner:tt $self:tt raw_remap $($rest:ident)*) => {};
    (@one raw_free $inner:tt $self:tt raw_free $($rest:ident)*) => {};
    (@one $method:ident $inner:tt $self:tt $other:ident $($rest:ident)*) => {
        $crate::forward!(@one $method $inner $self $($rest)*);
    };
    (@one raw_alloc [$($inner:tt)*] [$self:ident]) => {
        #[inline]
        fn raw_alloc(
            &$self,
            layout: $crate::Layout,
        ) -> ::core::result::Result<::core::ptr::NonNull<u8>, $crate::AllocError> {
            $crate::Allocator::raw_alloc(&$($inner)*, layout)
        }
    };
    (@one raw_alloc_zeroed [$($inner:tt)*] [$self:ident]) => {
        #[inline]
        fn raw_alloc_zeroed(
            &$self,
            layout: $crate::Layout,
        ) -> ::core::result::Result<::core::ptr::NonNull<u8>, $crate::AllocError> {
            $crate::Allocator::raw_alloc_zeroed(&$($inner)*, layout)
        }
    };
    (@one raw_resize [$($inner:tt)*] [$self:ident]) => {
        #[inline]
        unsafe fn raw_resize(
            &$self,
            block: ::core::ptr::NonNull<u8>,
            layout: $crate::Layout,
            new_size: usize,
        ) -> bool {
            // SAFETY: the caller keeps the same contract towards this method.
            unsafe { $crate::Allocator::raw_resize(&$($inner)*, block, layout, new_size) }
        }
    };
    (@one raw_remap [$($inner:tt)*] [$self:ident]) => {
        #[inline]
        unsafe fn raw_remap(
            &$self,
            block: ::core::ptr::NonNull<u8>,
            layout: $crate::Layout,
            new_size: usize,
        ) -> ::core::option::Option<::core::ptr::NonNull<u8>> {
            // SAFETY: the caller keeps the same contract towards this method.
            unsafe { $crate::Allocator::raw_remap(&$($inner)*, block, layout, new_size) }
        }
    };
    (@one raw_free [$($inner:tt)*] [$self:ident]) => {
        #[inline]
        unsafe fn raw_free(&$self, block: ::core::ptr::NonNull<u8>, layout: $crate::Layout) {
            // SAFETY: the caller keeps the same contract towards this method.
            unsafe { $crate::Allocator::raw_free(&$($inner)*, block, layout) }
        }
    };
    (@all $inner:tt $self:tt) => {
        $crate::forward!(@one raw_alloc $inner $self);
        $crate::forward!(@one raw_alloc_zeroed $inner $self);
        $crate::forward!(@one raw_resize $inner $self);
        $crate::forward!(@one raw_remap $inner $self);
        $crate::forward!(@one raw_free $inner $self);
    };
    // A name after `except` that is no method of the trait does not compile.
    (@known raw_alloc) => {};
    (@known raw_alloc_zeroed) => {};
    (@known raw_resize) => {};
    (@known raw_remap) => {};
    (@known raw_free) => {};
}

/// Writes the methods of [`UnsizedFree`](crate::UnsizedFree) as straight calls of the inner
/// allocator's.
#[macro_export]
macro_rules! forward_unsized {
    (**$self:ident) => { $crate::forward_unsized!(@all [** $self] [$self]); };
    (* $self:ident $(. $field:tt $(($($arg:tt)*))?)+) => {
        $crate::forward_unsized!(@all [* $self $(. $field $(($($arg)*))?)+] [$self]);
    };
    ($self:ident $(. $field:tt)+) => { $crate::forward_unsized!(@all [$self $(. $field)+] [$self]); };
    (@all [$($inner:tt)*] [$self:ident]) => {
        #[inline]
        unsafe fn usable_size(&$self, block: ::core::ptr::NonNull<u8>) -> usize {
            // SAFETY: the caller keeps the same contract towards this method.
            unsafe { $crate::UnsizedFree::usable_size(&$($inner)*, block) }
        }
        #[inline]
        unsafe fn free_unsized(&$self, block: ::core::ptr::NonNull<u8>) {
            // SAFETY: the caller keeps the same contract towards this method.
            unsafe { $crate::UnsizedFree::free_unsized(&$($inner)*, block) }
        }
        #[inline]
        fn owns(&$self, ptr: *const u8) -> bool {
            $crate::UnsizedFree::owns(&$($inner)*, ptr)
        }
        #[inline]
        unsafe fn realloc_unsized(
            &$self,
            block: ::core::ptr::NonNull<u8>,
            new_layout: $crate::Layout,
        ) -> ::core::result::Result<::core::ptr::NonNull<u8>, $crate::AllocError> {
            // SAFETY: the caller keeps the same contract towards this method.
            unsafe { $crate::UnsizedFree::realloc_unsized(&$($inner)*, block, new_layout) }
        }
    };
}
