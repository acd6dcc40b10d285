//! What may go to another thread, or be used by several, and what may not.
#![cfg(all(feature = "alloc", not(loom)))]

use std::cell::Cell;
use std::rc::Rc;

use alloc_arena::{
    Arena, ArenaBox, ArenaCell, ArenaPool, ArenaState, BoxIntoIter, Drain, DropArena, Family,
    HeapArena, InArena, LocalArena, PooledArena, RefState, Rewind, Scope, SendBox, SharedArena,
    SliceBuilder, TypedArena,
};
use alloc_core::Global;

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

/// A backing for one thread.
type Local = &'static Arena;

struct Plain;
impl Family for Plain {
    type Of<'a> = &'a str;
}

struct Changed;
impl Family for Changed {
    type Of<'a> = Cell<&'a str>;
}

struct WithArena;
impl Family for WithArena {
    type Of<'a> = &'a Arena;
}

#[test]
#[expect(dead_code, reason = "one of the two constants hides the other")]
fn threads_have_what_they_may() {
    assert_threads! {
        Arena: true false,
        Arena<Local>: false false,
        Scope<'_, Global>: false false,
        Rewind<'_, Global>: false false,
        DropArena<'_>: false false,
        TypedArena<u8>: true false,
        TypedArena<Rc<u8>>: false false,
        TypedArena<u8, Local>: false false,
        Drain<'_, Rc<u8>, Global>: false false,
        SliceBuilder<'_, '_, u8, Arena>: false false,
        ArenaBox<'_, u8>: true true,
        ArenaBox<'_, Cell<u8>>: true false,
        ArenaBox<'_, [Rc<u8>]>: false false,
        BoxIntoIter<'_, Cell<u8>>: true false,
        BoxIntoIter<'_, Rc<u8>>: false false,
        ArenaState<Global>: true false,
        ArenaState<Local>: false false,
        RefState<'_, Arena>: false false,
        InArena<Plain>: true true,
        InArena<Plain, Local>: false false,
        InArena<Changed>: true false,
        InArena<WithArena>: false false,
        ArenaCell<Plain, Global>: true false,
        ArenaCell<WithArena, Global>: false false,
        ArenaPool<Global, 2>: true true,
        ArenaPool<Local, 2>: false false,
        PooledArena<'_, Global, 2>: true false,
        PooledArena<'_, Local, 2>: false false,
        SharedArena: true true,
        SharedArena<Arena>: true false,
        SharedArena<Local>: false false,
        LocalArena<'_, Global>: true false,
        LocalArena<'_, Arena>: false false,
        HeapArena: true false,
        HeapArena<Local>: false false,
        SendBox<'_, u8>: true true,
        SendBox<'_, Cell<u8>>: true false,
        SendBox<'_, Rc<u8>>: false false,
    }
}
