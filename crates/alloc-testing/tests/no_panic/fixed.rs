//! Fixed buffers and heaps: every call of the contract.

use alloc_core::NeverAlloc;
use alloc_fixed::{BufferFirst, FixedBuffer, SharedFixedBuffer, TlsfHeap};

contract! {
    fixed: FixedBuffer<'_>;
    shared: SharedFixedBuffer<'_>;
    tlsf: TlsfHeap<'_>;
    buffer_first: BufferFirst<'_, NeverAlloc>;
}
