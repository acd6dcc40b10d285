//! What may go to another thread, or be used by several, and what may not.

use std::cell::Cell;
use std::rc::Rc;

use alloc_core::FromGlobal;
use alloc_fixed::{
    BitmapHeap, BufferFirst, FixedBuffer, HeapFirst, MaxHeap, Offset, SharedFixedBuffer,
    StaticBytes, StaticList, StaticMap, StaticStrings, Text, TlsfHeap,
};

/// Tells by a value whether a type implements a trait: the inherent constant hides the trait's, where it exists.
macro_rules! is {
    ($type:ty: $trait:ident) => {{
        struct Asked<T: ?Sized>(core::marker::PhantomData<T>);
        trait Otherwise {
            const YES: bool = false;
        }
        impl<T: ?Sized> Otherwise for Asked<T> {}
        impl<T: ?Sized + $trait> Asked<T> {
            const YES: bool = true;
        }
        Asked::<$type>::YES
    }};
}

/// Each line: whether the type is `Send`, and `Sync`.
macro_rules! assert_threads {
    ($($type:ty: $send:literal $sync:literal),+ $(,)?) => {
        $(assert_eq!((is!($type: Send), is!($type: Sync)), ($send, $sync), stringify!($type));)+
    };
}

type Heap = FromGlobal<std::alloc::System>;
/// An allocator for one thread.
type Local = &'static FixedBuffer<'static>;

#[test]
#[expect(dead_code, reason = "one of the two constants hides the other")]
fn threads_have_what_they_may() {
    assert_threads! {
        FixedBuffer<'_>: true false,
        SharedFixedBuffer<'_>: true true,
        BufferFirst<'_, Heap>: true false,
        BufferFirst<'_, Local>: false false,
        TlsfHeap<'_>: true false,
        HeapFirst<'_, Heap>: true false,
        HeapFirst<'_, Local>: false false,
        MaxHeap<Heap>: true true,
        MaxHeap<FixedBuffer<'_>>: true false,
        MaxHeap<Local>: false false,
        BitmapHeap<'_, 16>: true true,
        Offset<Rc<u8>>: true true,
        Text<'_>: true true,
        StaticBytes<16>: true true,
        StaticStrings<16>: true true,
        StaticList<u8, 4>: true true,
        StaticList<Cell<u8>, 4>: false false,
        StaticList<Rc<u8>, 4>: false false,
        StaticMap<u8, u8, 4>: true true,
        StaticMap<Cell<u8>, u8, 4>: true false,
        StaticMap<u8, Cell<u8>, 4>: true false,
        StaticMap<Rc<u8>, u8, 4>: false false,
        StaticMap<u8, Rc<u8>, 4>: false false,
    }
}
