//! The traits that users expect of a box, and the ways from one owner to another.

mod common;

use alloc_core::{Allocator, AllocatorExt, CloneIn, FromGlobal, Owned, alloc_print, unsize_owned};
use common::Ledger;
use core::fmt::Write as _;
use std::alloc::System;
use std::borrow::{Borrow, BorrowMut};
use std::collections::{BTreeSet, HashMap};
use std::error::Error;
use std::ffi::CStr;
use std::fmt;
use std::rc::Rc;

#[test]
fn shows_itself_as_its_value() {
    let ledger = Ledger::new();
    let text = ledger.dupe_str("a\n").unwrap();
    assert_eq!((format!("{text}"), format!("{text:?}")), ("a\n".into(), "\"a\\n\"".into()));
    assert_eq!(format!("{text:p}"), format!("{:p}", Owned::as_ptr(&text)));
    assert_eq!(
        format!("{:>3}|{:02x?}", ledger.create(7).unwrap(), ledger.dupe(&[255]).unwrap()),
        "  7|[ff]"
    );
}

#[test]
fn compares_and_hashes_as_its_value() {
    let (a, b) = (Ledger::new(), Ledger::new());
    let (one, two) = (a.dupe(&[1, 2]).unwrap(), b.dupe(&[1, 3]).unwrap());
    assert!(one == one && one != two && one < two);
    assert!(a.dupe_str("x").unwrap() == FromGlobal::new(System).dupe_str("x").unwrap());
    assert_eq!(one.cmp(&a.dupe(&[1, 2]).unwrap()), core::cmp::Ordering::Equal);
    let mut ages = HashMap::new();
    let heap = FromGlobal::new(System);
    ages.insert(heap.dupe_str("Ada").unwrap(), 36);
    assert_eq!(ages.get("Ada"), Some(&36), "found by `str`, through `Borrow` and an equal hash");
    let names: BTreeSet<_> = ["b", "a"].into_iter().map(|n| heap.dupe_str(n).unwrap()).collect();
    assert_eq!(names.first().map(|name| &**name), Some("a"));
    assert!(names.contains("b") && !names.contains("c"));
}

#[test]
fn lends_its_value() {
    fn as_slice(slice: impl AsRef<[u8]>) -> usize {
        slice.as_ref().len()
    }
    let ledger = Ledger::new();
    let mut slice = ledger.dupe(&[3, 1, 2]).unwrap();
    <Owned<_, _> as BorrowMut<[u8]>>::borrow_mut(&mut slice).sort_unstable();
    AsMut::<[u8]>::as_mut(&mut slice)[0] = 0;
    assert_eq!((<Owned<_, _> as Borrow<[u8]>>::borrow(&slice), slice.len()), (&[0, 2, 3][..], 3));
    assert_eq!(as_slice(slice), 3);
}

/// Items move out from both ends; the rest is dropped, and the memory is freed.
#[test]
fn iterates_by_value() {
    let ledger = Ledger::new();
    let shared = Rc::new(());
    let mut items = ledger.alloc_with(6, |index| (index, Rc::clone(&shared))).unwrap().into_iter();
    assert_eq!((items.len(), items.size_hint()), (6, (6, Some(6))));
    assert_eq!(items.next().map(|item| item.0), Some(0));
    assert_eq!(items.next_back().map(|item| item.0), Some(5));
    assert_eq!(items.nth(1).map(|item| item.0), Some(2));
    assert_eq!((items.as_slice().len(), items.as_mut_slice()[0].0), (2, 3));
    assert_eq!(format!("{items:?}"), "IntoIter([(3, ()), (4, ())])");
    assert_eq!(Rc::strong_count(&shared), 3);
    drop(items);
    assert_eq!((Rc::strong_count(&shared), ledger.live_count()), (1, 0));
    let mut all = ledger.dupe(&[1, 2]).unwrap().into_iter();
    assert_eq!(
        (all.next(), all.next(), all.next(), all.next_back()),
        (Some(1), Some(2), None, None)
    );
    assert_eq!(ledger.alloc_fill(4, 1u8).unwrap().into_iter().rev().count(), 4);
    drop(all);
    let aligned = ledger.aligned_alloc::<_, 64>(3).unwrap();
    let mut aligned = aligned.write_with(|index| (index, Rc::clone(&shared))).into_iter();
    assert_eq!(aligned.next_back().map(|item| item.0), Some(2));
    assert_eq!((aligned.len(), Rc::strong_count(&shared)), (2, 3));
    drop(aligned);
    assert_eq!((Rc::strong_count(&shared), ledger.live_count()), (1, 0));
}

#[test]
fn iterates_by_reference() {
    let ledger = Ledger::new();
    let mut slice = ledger.dupe(&[1, 2, 3]).unwrap();
    for item in &mut slice {
        *item *= 2;
    }
    let mut sum = 0;
    for item in &slice {
        sum += item;
    }
    assert_eq!(sum, 12);
}

#[test]
fn is_what_it_owns() {
    let ledger = Ledger::new();
    let mut numbers = ledger.create(1..4).unwrap();
    assert_eq!((numbers.next(), numbers.next_back(), numbers.len()), (Some(1), Some(3), 1));
    let text = String::from("ab");
    let letters = ledger.create(text.chars()).unwrap();
    let letters = unsize_owned!(letters => dyn Iterator<Item = char> + '_);
    assert_eq!(letters.collect::<Vec<_>>(), ['a', 'b']);
    let mut out = ledger.create(String::new()).unwrap();
    write!(out, "{}", 5).unwrap();
    out.write_char('!').unwrap();
    assert_eq!(*out, "5!");
}

#[test]
fn a_future_runs_in_its_memory() {
    use core::future::Future;
    use core::pin::pin;
    use core::task::{Context, Poll, Waker};
    let heap = FromGlobal::new(System);
    let mut context = Context::from_waker(Waker::noop());
    let ready = heap.create(core::future::ready(5)).unwrap();
    assert_eq!(pin!(ready).poll(&mut context), Poll::Ready(5));
    let pinned = Owned::into_pin(heap.create(async { 6 }).unwrap());
    assert_eq!(pin!(pinned).poll(&mut context), Poll::Ready(6));
}

#[test]
fn an_error_keeps_its_source() {
    #[derive(Debug)]
    struct Outer(fmt::Error);
    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("outer")
        }
    }
    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }
    let heap = FromGlobal::new(System);
    let error: Owned<dyn Error, _> =
        unsize_owned!(heap.create(Outer(fmt::Error)).unwrap() => dyn Error);
    assert_eq!(error.to_string(), "outer");
    assert!(Error::source(&error).is_some_and(|source| source.is::<fmt::Error>()));
}

#[cfg(feature = "std")]
#[test]
fn reads_and_writes() {
    use std::io::{BufRead, Cursor, Read, Seek, SeekFrom, Write};
    let ledger = Ledger::new();
    let mut file = ledger.create(Cursor::new(Vec::new())).unwrap();
    file.write_all(b"one\ntwo\n").unwrap();
    Write::flush(&mut file).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    let mut line = String::new();
    file.read_line(&mut line).unwrap();
    let mut rest = [0; 4];
    file.read_exact(&mut rest).unwrap();
    assert_eq!((line.as_str(), &rest), ("one\n", b"two\n"));
    let error = std::io::Error::from(alloc_core::AllocError);
    assert_eq!(error.kind(), std::io::ErrorKind::OutOfMemory);
}

/// An unsized owner drops its value and frees the layout that the value really has.
#[test]
fn unsizing_keeps_the_layout() {
    let ledger = Ledger::new();
    let shared = Rc::new(7u64);
    let value = ledger.create((Rc::clone(&shared), [1u64; 3])).unwrap();
    let value = unsize_owned!(value => dyn fmt::Debug);
    assert_eq!((format!("{value:?}").as_str(), ledger.live_bytes()), ("(7, [1, 1, 1])", 32));
    drop(value);
    assert_eq!((Rc::strong_count(&shared), ledger.live_count()), (1, 0));
    let array = unsize_owned!(ledger.create([1, 2]).unwrap() => [i32]);
    assert_eq!(array.into_iter().sum::<i32>(), 3);
    let erased: Owned<u8, &dyn Allocator> = Owned::erase(ledger.create(1u8).unwrap());
    assert_eq!(*erased, 1);
}

#[test]
fn arrays_and_slices() {
    let ledger = Ledger::new();
    let slice: Owned<[u8], _> = ledger.create([1, 2, 3]).unwrap().into();
    let slice = Owned::<[u8; 2], _>::try_from(slice).unwrap_err();
    let array = Owned::<[u8; 3], _>::try_from(slice).unwrap();
    assert_eq!(Owned::into_inner(array), [1, 2, 3]);
}

#[test]
fn bytes_and_text() {
    let ledger = Ledger::new();
    let bytes: Owned<[u8], _> = ledger.dupe_str("grün").unwrap().into();
    let text = Owned::from_utf8(bytes).unwrap();
    assert_eq!(&*text, "grün");
    let (bytes, error) = Owned::from_utf8(ledger.dupe(b"ab\xff").unwrap()).unwrap_err();
    assert_eq!((&*bytes, error.valid_up_to()), (&b"ab\xff"[..], 2));
}

#[test]
fn clones_into_the_same_allocator_and_into_others() {
    let (a, b) = (Ledger::new(), Ledger::new());
    let value = a.create(String::from("x")).unwrap();
    let slice = a.alloc_fill(2, String::from("y")).unwrap();
    let text = alloc_print!(&a, "z").unwrap();
    let c = a.dupe_z(c"c").unwrap();
    assert_eq!(Owned::try_clone(&value).unwrap(), value);
    assert_eq!(Owned::try_clone(&slice).unwrap(), slice);
    assert_eq!(Owned::try_clone(&text).unwrap(), text);
    assert_eq!(Owned::<CStr, _>::try_clone(&c).unwrap(), c);
    assert_eq!(slice.clone_in(&b).unwrap(), slice);
    assert_eq!(a.live_count(), 4);
    a.allowed.set(0);
    assert!(Owned::try_clone(&slice).is_err());
}

/// A leaked value lives as long as the allocator is borrowed; here the test frees it by hand.
#[test]
fn leaked_and_taken_apart() {
    let ledger = Ledger::new();
    let leaked: &mut [u8] = Owned::leak(ledger.dupe(&[1, 2]).unwrap());
    leaked[0] = 9;
    // SAFETY: it was leaked just now, from this allocator, and `leaked` is not used again.
    let back = unsafe { Owned::from_raw_parts(core::ptr::NonNull::from(leaked), &ledger) };
    assert_eq!(*back, [9, 2]);
    let (ptr, alloc) = Owned::into_raw_parts(back);
    // SAFETY: taken apart just now.
    assert_eq!(*unsafe { Owned::from_raw_parts(ptr, alloc) }, [9, 2]);
    let aligned = ledger.aligned_alloc::<u8, 64>(2).unwrap().write_with(|index| index as u8);
    let (ptr, count, alloc) = alloc_core::AlignedSlice::into_raw_parts(aligned);
    // SAFETY: taken apart just now.
    let aligned =
        unsafe { alloc_core::AlignedSlice::<u8, 64, _>::from_raw_parts(ptr, count, alloc) };
    assert_eq!((&*aligned, format!("{aligned:?}")), (&[0, 1][..], "[0, 1]".to_owned()));
    assert!(
        aligned.iter().eq(&aligned)
            && aligned == ledger.aligned_alloc::<u8, 1>(2).unwrap().write_with(|index| index as u8)
    );
    alloc_core::AlignedSlice::leak(ledger.aligned_alloc::<u8, 64>(0).unwrap());
}
