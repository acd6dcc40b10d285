//! What may go to another thread, or be used by several, and what may not.
#![cfg(not(loom))]

use std::cell::Cell;
use std::rc::Rc;

use alloc_core::{
    AlignedIntoIter, AlignedSlice, Allocator, Counting, FromGlobal, IntoIter, Limited, Owned,
    Tagged,
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
type Local = &'static dyn Allocator;

#[test]
#[expect(dead_code, reason = "one of the two constants hides the other")]
fn threads_have_what_they_may() {
    assert_threads! {
        Owned<u8, Heap>: true true,
        Owned<u8, Local>: false false,
        Owned<u8, &(dyn Allocator + Sync)>: true true,
        Owned<Cell<u8>, Heap>: true false,
        Owned<Rc<u8>, Heap>: false false,
        Owned<dyn Fn(), Heap>: false false,
        IntoIter<u8, Local>: false false,
        IntoIter<Cell<u8>, Heap>: true false,
        IntoIter<Rc<u8>, Heap>: false false,
        AlignedSlice<u8, 64, Local>: false false,
        AlignedSlice<Cell<u8>, 64, Heap>: true false,
        AlignedSlice<Rc<u8>, 64, Heap>: false false,
        AlignedIntoIter<Rc<u8>, 64, Heap>: false false,
        Counting<Heap>: true true,
        Counting<Local>: false false,
        Tagged<'_, Heap>: true true,
        Tagged<'_, Local>: false false,
        Limited<Local>: false false,
    }
}
