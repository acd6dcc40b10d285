//! What holds of the types alone: sizes, and which of them cross threads. All of it is asked of the
//! compiler; that this file compiles is the test, and the sizes are asserted when it runs.

use alloc_core::{
    AlignedIntoIter, AlignedSlice, AllocError, Allocator, AllocatorExt, AsGlobal, Counting, Counts,
    FromGlobal, FromGlobalRef, IntoIter, Limited, NeverAlloc, Owned, Refusal, Tag, Tagged,
};
use std::alloc::System;
use std::cell::Cell;

const WORD: usize = size_of::<usize>();

type Heap = FromGlobal<System>;

#[test]
fn sizes_are_as_promised() {
    assert_eq!(size_of::<&dyn Allocator>(), 2 * WORD);
    assert_eq!(size_of::<Option<&dyn Allocator>>(), 2 * WORD);
    assert_eq!(size_of::<&(dyn Allocator + Sync)>(), 2 * WORD);
    assert_eq!(size_of::<Option<&(dyn Allocator + Sync)>>(), 2 * WORD);
    assert_eq!(size_of::<Heap>(), 0);
    assert_eq!(size_of::<Owned<u64, Heap>>(), WORD);
    assert_eq!(size_of::<Option<Owned<u64, Heap>>>(), WORD);
    assert_eq!(size_of::<Owned<u64, &Heap>>(), 2 * WORD);
    assert_eq!(size_of::<Option<Owned<u64, &Heap>>>(), 2 * WORD);
    assert_eq!(size_of::<Owned<u64, &dyn Allocator>>(), 3 * WORD);
    assert_eq!(size_of::<Option<Owned<u64, &dyn Allocator>>>(), 3 * WORD);
    assert_eq!(size_of::<Owned<[u64], Heap>>(), 2 * WORD);
    assert_eq!(size_of::<Owned<str, &dyn Allocator>>(), 4 * WORD);
    assert_eq!(size_of::<Owned<dyn Send, &Heap>>(), 3 * WORD);
    assert_eq!(size_of::<AlignedSlice<u8, 64, Heap>>(), 2 * WORD);
    assert_eq!(size_of::<AllocError>(), 0);
    assert_eq!(size_of::<Result<Owned<u64, Heap>, AllocError>>(), WORD);
}

/// One way to have `Self::IS` for types that are `Send` (or `Sync`, or `Copy`) and another for the
/// rest: the inherent constant, where its bound holds, goes before the trait's.
macro_rules! is {
    ($bound:ident: $type:ty) => {{
        #[allow(dead_code, reason = "used for the types that have not the bound")]
        trait No {
            const IS: bool = false;
        }
        impl<T: ?Sized> No for T {}
        struct Probe<T: ?Sized>(std::marker::PhantomData<T>);
        #[allow(dead_code, reason = "used for the types that have the bound")]
        impl<T: ?Sized + $bound> Probe<T> {
            const IS: bool = true;
        }
        Probe::<$type>::IS
    }};
}

/// Owners are `Send` and `Sync` exactly when value and handle are.
const _: () = {
    assert!(is!(Send: Owned<u8, Heap>) && is!(Sync: Owned<u8, Heap>));
    assert!(is!(Send: Owned<u8, &Heap>));
    assert!(is!(Send: Owned<u8, &'static (dyn Allocator + Sync)>));
    assert!(!is!(Send: Owned<u8, &'static dyn Allocator>), "the allocator may not be Sync");
    assert!(!is!(Send: Owned<*mut u8, Heap>), "the value is not Send");
    assert!(is!(Send: Owned<Cell<u8>, Heap>) && !is!(Sync: Owned<Cell<u8>, Heap>));
    assert!(is!(Send: IntoIter<u8, Heap>) && is!(Sync: IntoIter<u8, Heap>));
    assert!(!is!(Send: IntoIter<*mut u8, Heap>));
    assert!(is!(Send: AlignedIntoIter<u8, 64, Heap>));
    assert!(!is!(Send: AlignedIntoIter<*mut u8, 64, Heap>));
    assert!(is!(Send: AlignedSlice<u8, 64, Heap>) && is!(Sync: AlignedSlice<u8, 64, Heap>));
    assert!(!is!(Send: AlignedSlice<*mut u8, 64, Heap>));
    assert!(!is!(Sync: AlignedSlice<Cell<u8>, 64, Heap>));
    assert!(!is!(Send: AlignedSlice<u8, 64, &'static dyn Allocator>));
};

/// Allocators and wrappers cross threads when what they wrap does.
const _: () = {
    assert!(is!(Send: Heap) && is!(Sync: Heap) && is!(Copy: Heap));
    assert!(is!(Send: FromGlobalRef<'static, System>) && is!(Sync: FromGlobalRef<'static, System>));
    assert!(!is!(Send: FromGlobalRef<'static, Cell<u8>>));
    assert!(is!(Sync: AsGlobal<Counting<Heap>>) && !is!(Sync: AsGlobal<Cell<u8>>));
    assert!(is!(Send: Counting<Heap>) && is!(Sync: Counting<Heap>));
    assert!(!is!(Sync: Counting<Cell<u8>>) && is!(Send: Counting<Cell<u8>>));
    assert!(is!(Send: Tagged<'static, Heap>) && !is!(Send: Tagged<'static, Cell<u8>>));
    assert!(is!(Sync: Tag) && is!(Send: Tag) && is!(Send: Counts));
    assert!(is!(Sync: Limited<Heap>) && !is!(Sync: Limited<Cell<u8>>));
    assert!(is!(Send: Refusal) && is!(Sync: Refusal));
    assert!(is!(Send: NeverAlloc) && is!(Sync: NeverAlloc) && is!(Copy: NeverAlloc));
    assert!(is!(Send: AllocError) && is!(Sync: AllocError));
};

#[cfg(feature = "alloc")]
const _: () = {
    use alloc_core::Global;
    assert!(is!(Send: Global) && is!(Sync: Global) && is!(Copy: Global));
    assert!(size_of::<Option<Owned<u8, Global>>>() == WORD);
};

#[cfg(feature = "lock_api")]
const _: () = {
    use alloc_core::Locked;
    use parking_lot::RawMutex;
    assert!(is!(Sync: Locked<RawMutex, Cell<u8>>), "that is what it is for");
    assert!(!is!(Sync: Locked<RawMutex, *mut u8>) && !is!(Send: Locked<RawMutex, *mut u8>));
};

/// The verbs take the handle by value, and every kind of handle has them.
#[test]
fn every_handle_has_the_verbs() {
    fn generic<A: Allocator + Copy>(alloc: A) -> Result<Owned<u8, A>, AllocError> {
        alloc.create(1)
    }
    let heap = FromGlobal::new(System);
    let counting = Counting::new(heap);
    let erased: &dyn Allocator = &counting;
    let shared: &(dyn Allocator + Sync) = &counting;
    let rc = std::rc::Rc::new(Counting::new(heap));
    let boxed: Box<dyn Allocator> = Box::new(heap);
    let sum = *heap.create(1).unwrap()
        + *counting.create(1).unwrap()
        + *erased.create(1).unwrap()
        + *shared.create(1).unwrap()
        + *rc.create(1).unwrap()
        + *boxed.create(1).unwrap()
        + *generic(heap).unwrap()
        + *generic(&counting).unwrap()
        + *generic(erased).unwrap();
    assert_eq!(sum, 9);
}
