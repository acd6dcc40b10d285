//! Allocators of others behind our contract.

use core::alloc::Layout;
use core::ptr::NonNull;

use crate::AllocError;
use crate::bomb::Bomb;

/// Writes one adapter: the three foreign traits differ in nothing but their path.
macro_rules! inward {
    ($(#[$meta:meta])* $name:ident, $($path:ident)::+) => {
        $(#[$meta])*
        ///
        /// It takes a handle: a reference, or an allocator without a destructor, since one that
        /// unwinds would break promise 4. A call of the foreign allocator that unwinds aborts.
        #[derive(Debug)]
        #[repr(transparent)]
        pub struct $name<A>(A);

        impl<A: $($path)::+::Allocator + Default> Default for $name<A> {
            fn default() -> Self {
                Self::new(A::default())
            }
        }

        impl<A: $($path)::+::Allocator> $name<A> {
            /// Wraps a handle.
            #[inline]
            pub const fn new(inner: A) -> Self {
                const { assert!(!core::mem::needs_drop::<A>(), "wrap a reference instead") }
                Self(inner)
            }

            /// Returns the handle.
            #[inline]
            pub const fn get(&self) -> &A {
                &self.0
            }
        }

        // SAFETY: 1, 2 and 6 are those of the foreign contract, where the block may be larger than
        // we say; a layout with the size that was asked for is one it takes back. 3: it lets the
        // allocator be moved. 4: what unwinds aborts, and there is no destructor. 5: live blocks
        // are their owner's there too. 7: an error leaves the old block as it was.
        unsafe impl<A: $($path)::+::Allocator> $crate::Allocator for $name<A> {
            #[inline]
            fn raw_alloc(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
                let bomb = BOMB;
                let block = self.0.allocate(layout);
                bomb.defuse();
                block.map(NonNull::cast).map_err(|_| AllocError)
            }

            #[inline]
            fn raw_alloc_zeroed(&self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
                let bomb = BOMB;
                let block = self.0.allocate_zeroed(layout);
                bomb.defuse();
                block.map(NonNull::cast).map_err(|_| AllocError)
            }

            #[inline]
            unsafe fn raw_resize(&self, _: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
                layout.size() == new_size
            }

            #[inline]
            unsafe fn raw_remap(
                &self,
                block: NonNull<u8>,
                layout: Layout,
                new_size: usize,
            ) -> Option<NonNull<u8>> {
                let new = Layout::from_size_align(new_size, layout.align()).ok()?;
                let bomb = BOMB;
                let moved = if layout.size() <= new_size {
                    // SAFETY: the block is live and fits the layout, which is not the larger one.
                    unsafe { self.0.grow(block, layout, new) }
                } else {
                    // SAFETY: the block is live and fits the layout, which is the larger one.
                    unsafe { self.0.shrink(block, layout, new) }
                };
                bomb.defuse();
                moved.ok().map(NonNull::cast)
            }

            #[inline]
            unsafe fn raw_free(&self, block: NonNull<u8>, layout: Layout) {
                let bomb = BOMB;
                // SAFETY: the block is live and fits the layout.
                unsafe { self.0.deallocate(block, layout) };
                bomb.defuse();
            }
        }

        $crate::impl_foreign_allocator!(impl[A: $($path)::+::Allocator] for $name<A>);
    };
}

/// What [`Bomb`] says of a call of the foreign allocator.
const BOMB: Bomb = Bomb("an allocator of another crate unwound");

#[cfg(feature = "allocator-api2-02")]
inward! {
    /// An `allocator_api2` 0.2 allocator behind our contract, like `&bumpalo::Bump`.
    FromApi2V02, allocator_api2_02::alloc
}

// That contract says that a clone behaves like the same allocator, and a copy is a clone.
#[cfg(feature = "allocator-api2-02")]
impl<A: Copy> Clone for FromApi2V02<A> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}
#[cfg(feature = "allocator-api2-02")]
impl<A: Copy> Copy for FromApi2V02<A> {}

#[cfg(feature = "allocator-api2-04")]
inward! {
    /// An `allocator_api2` 0.4 allocator behind our contract.
    FromApi2V04, allocator_api2_04::alloc
}

// That contract says that a clone behaves like the same allocator, and a copy is a clone.
#[cfg(feature = "allocator-api2-04")]
impl<A: Copy> Clone for FromApi2V04<A> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}
#[cfg(feature = "allocator-api2-04")]
impl<A: Copy> Copy for FromApi2V04<A> {}

#[cfg(any(std_allocator, gated_allocator))]
inward! {
    /// A `core::alloc::Allocator` behind our contract. It is not `Copy`, whatever `A` is: that
    /// trait does not say that a copy is the same allocator. Its references are.
    FromStd, core::alloc
}
