//! Allocators that enter what they are asked for into accounts.

/// Writes the methods of `Allocator` for a type that passes calls on to `$inner` and enters them into
/// each of `self.accounts()`. With `@unsized`, those of `UnsizedFree`.
///
/// Calls go straight, not through a closure, so that the caller's line stays.
macro_rules! metered {
    (@unsized $self:ident.$inner:ident) => {
        unsafe fn usable_size(&$self, block: NonNull<u8>) -> usize {
            // SAFETY: the caller keeps the same contract towards this method.
            unsafe { $self.$inner.usable_size(block) }
        }

        unsafe fn free_unsized(&$self, block: NonNull<u8>) {
            // SAFETY: live, by the caller's contract.
            let size = unsafe { $self.$inner.usable_size(block) };
            // SAFETY: the caller keeps the same contract towards this method.
            unsafe { $self.$inner.free_unsized(block) };
            for account in $self.accounts() {
                account.enter_free(size);
            }
        }

        fn owns(&$self, ptr: *const u8) -> bool {
            $self.$inner.owns(ptr)
        }
    };
    ($self:ident.$inner:ident) => {
        fn raw_alloc(&$self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
            let block = $self.$inner.raw_alloc(layout);
            for account in $self.accounts() {
                account.enter_request(layout.size(), block.is_ok());
            }
            block
        }

        fn raw_alloc_zeroed(&$self, layout: Layout) -> Result<NonNull<u8>, AllocError> {
            let block = $self.$inner.raw_alloc_zeroed(layout);
            for account in $self.accounts() {
                account.enter_request(layout.size(), block.is_ok());
            }
            block
        }

        unsafe fn raw_resize(&$self, block: NonNull<u8>, layout: Layout, new_size: usize) -> bool {
            // SAFETY: the caller keeps the same contract towards this method.
            let resized = unsafe { $self.$inner.raw_resize(block, layout, new_size) };
            if resized {
                for account in $self.accounts() {
                    account.enter_change(layout.size(), new_size);
                }
            }
            resized
        }

        unsafe fn raw_remap(
            &$self,
            block: NonNull<u8>,
            layout: Layout,
            new_size: usize,
        ) -> Option<NonNull<u8>> {
            // SAFETY: the caller keeps the same contract towards this method.
            let moved = unsafe { $self.$inner.raw_remap(block, layout, new_size) }?;
            for account in $self.accounts() {
                account.enter_change(layout.size(), new_size);
            }
            Some(moved)
        }

        unsafe fn raw_free(&$self, block: NonNull<u8>, layout: Layout) {
            // SAFETY: the caller keeps the same contract towards this method.
            unsafe { $self.$inner.raw_free(block, layout) };
            for account in $self.accounts() {
                account.enter_free(layout.size());
            }
        }
    };
}

pub(super) use metered;
