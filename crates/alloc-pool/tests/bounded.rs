//! The bounded array beside a vector of the standard library, and what it does when its users' code panics.

use std::borrow::Borrow;
use std::cell::Cell;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use alloc_core::AllocError;
use alloc_pool::BoundedArray;

mod common;

use common::Numbers;

const N: usize = 12;

/// One operation on several items of both.
fn step(numbers: &mut Numbers, array: &mut BoundedArray<Rc<usize>, N>, model: &mut Vec<Rc<usize>>) {
    match numbers.below(6) {
        0 => {
            let items: Vec<_> = (0..numbers.below(6)).map(|_| Rc::new(numbers.below(3))).collect();
            let fits = model.len() + items.len() <= N;
            assert_eq!(array.extend_from_slice(&items), fits.then_some(()).ok_or(AllocError));
            model.extend(items.into_iter().filter(|_| fits));
        }
        1 => {
            let items: Vec<_> = (0..numbers.below(6)).map(Rc::new).collect();
            let room = array.room();
            assert_eq!(
                array.extend(items.clone()).err().map(|item| *item),
                (room < items.len()).then_some(room)
            );
            model.extend(items.into_iter().take(room));
        }
        2 => {
            let (len, item) = (numbers.below(N + 2), Rc::new(numbers.below(3)));
            assert_eq!(array.resize(len, item.clone()).is_ok(), len <= N);
            if len <= N {
                model.resize(len, item);
            }
        }
        3 => {
            let odd = numbers.below(3);
            array.retain(|item| **item != odd);
            model.retain(|item| **item != odd);
        }
        4 => {
            array.dedup();
            model.dedup();
            array.dedup_by(|one, last| **one == **last + 1);
            model.dedup_by(|one, last| **one == **last + 1);
        }
        _ => {
            let (start, end) = (numbers.below(N + 2), numbers.below(N + 2));
            let fits = start <= end && end <= model.len();
            let taken = array.drain(start..end);
            assert_eq!(taken.is_some(), fits);
            let expected: Vec<_> =
                if fits { model.drain(start..end).collect() } else { Vec::new() };
            let taken: Vec<_> = taken.into_iter().flatten().collect();
            assert_eq!(taken, expected);
        }
    }
}

/// A bounded array agrees with a vector through all that concerns several items.
#[test]
fn several_items_agree_with_a_vector() {
    for seed in 0..if cfg!(miri) { 2 } else { 100 } {
        let mut numbers = Numbers(seed);
        let mut array = BoundedArray::<Rc<usize>, N>::new();
        let mut model = Vec::new();
        for _ in 0..if cfg!(miri) { 20 } else { 100 } {
            step(&mut numbers, &mut array, &mut model);
            assert_eq!(*array, *model);
            assert_eq!(
                (array.room(), array.spare_capacity_mut().len()),
                (N - model.len(), N - model.len())
            );
        }
        let (front, back) = (numbers.below(4), numbers.below(4));
        let (mut items, mut expected) = (array.into_iter(), model.into_iter());
        for _ in 0..front {
            assert_eq!((items.len(), items.next()), (expected.len(), expected.next()));
        }
        for _ in 0..back {
            assert_eq!(items.next_back(), expected.next_back());
        }
        assert_eq!(items.as_slice(), expected.as_slice());
    }
}

/// Ranges of every kind, and those that there are not.
#[test]
fn ranges_that_are_not_there_take_nothing() {
    let full = || BoundedArray::<u8, 4>::from_array([1, 2, 3, 4]);
    assert_eq!(full().drain(..).map(|all| all.len()), Some(4));
    assert_eq!(full().drain(..=1).as_deref(), Some(&[1, 2][..]));
    assert_eq!(full().drain(4..).as_deref(), Some(&[][..]));
    let mut array = full();
    for range in [5..5, 0..5, usize::MAX..usize::MAX] {
        assert_eq!(array.drain(range), None);
    }
    #[expect(clippy::reversed_empty_ranges, reason = "that is what is refused")]
    let reversed = 3..2;
    assert_eq!((array.drain(reversed), array.drain(..=usize::MAX)), (None, None));
    assert_eq!(*array, [1, 2, 3, 4]);
}

/// Arrays of the language go in and come out, and compare, hash and order as slices do.
#[test]
fn arrays_go_in_and_out() {
    let item = Rc::new(5);
    let array = BoundedArray::<_, 2>::from_array([item.clone(), item.clone()]);
    assert_eq!(array.into_array().map(|items| items.len()).ok(), Some(2));
    assert_eq!(Rc::strong_count(&item), 1);
    let mut short = BoundedArray::<_, 2>::from_array([item.clone()]);
    short = short.into_array().map(drop).expect_err("one is missing");
    assert_eq!((short.len(), Rc::strong_count(&item)), (1, 2));
    assert!(short < BoundedArray::from_array([Rc::new(6)]) && short == [Rc::new(5)][..]);
    let bytes = |text: &str| {
        let mut bytes = BoundedArray::<u8, 8>::new();
        bytes.extend_from_slice(text.as_bytes()).unwrap();
        bytes
    };
    let mut names = HashSet::from([bytes("one"), bytes("two")]);
    assert!(names.contains("one".as_bytes()) && !names.contains("on".as_bytes()));
    assert!(names.remove(&bytes("one")) && names.len() == 1);
    let mut text = bytes("text");
    text.as_mut()[0] = b'n';
    assert_eq!((text.as_ref(), Borrow::<[u8]>::borrow(&text)), (&b"next"[..], &b"next"[..]));
    assert_eq!(BoundedArray::<(), 3>::from_array([(); 3]).into_iter().count(), 3);
    assert!(BoundedArray::<u8, 0>::from_array([]).into_array().is_ok());
}

/// What panics, when its counter says so, on a clone, a question or a drop.
struct Fragile<'c>(usize, &'c Cell<usize>);

impl Clone for Fragile<'_> {
    fn clone(&self) -> Self {
        assert_ne!(self.0, 2, "no clone");
        Self(self.0, self.1)
    }
}

impl Drop for Fragile<'_> {
    fn drop(&mut self) {
        self.1.set(self.1.get() + 1);
        assert_ne!(self.0, 7, "no drop");
    }
}

/// Every item is dropped once, whatever panics.
#[test]
fn panics_lose_and_double_nothing() {
    let drops = Cell::new(0);
    let items = |numbers: [usize; 4]| numbers.map(|number| Fragile(number, &drops));
    let mut array = BoundedArray::<_, 8>::from_array(items([0, 1, 2, 3]));
    let clones = items([0, 1, 2, 3]);
    let result = catch_unwind(AssertUnwindSafe(|| array.extend_from_slice(&clones).is_ok()));
    assert!(result.is_err());
    assert_eq!((array.len(), drops.get()), (6, 0), "two clones came before");
    let result = catch_unwind(AssertUnwindSafe(|| {
        array.retain(|item| {
            assert_ne!(item.0, 3, "no answer");
            item.0 != 0
        });
    }));
    assert!(result.is_err());
    assert_eq!((array.len(), drops.get()), (6, 0), "nothing was dropped");
    let result = catch_unwind(AssertUnwindSafe(|| array.dedup_by(|_, _| panic!("no answer"))));
    assert!(result.is_err() && array.len() == 6);
    drop((array, clones));
    assert_eq!(drops.replace(0), 10);
    // A drop that panics: the iterator, and the array, drop the others all the same.
    let array = BoundedArray::<_, 4>::from_array(items([6, 7, 8, 9]));
    let mut left = array.into_iter();
    assert_eq!(left.next().map(|item| item.0), Some(6));
    assert!(catch_unwind(AssertUnwindSafe(|| drop(left))).is_err());
    assert_eq!(drops.replace(0), 4);
    let mut array = BoundedArray::<_, 4>::from_array(items([6, 7, 8, 9]));
    assert!(catch_unwind(AssertUnwindSafe(|| array.retain(|item| item.0 == 8))).is_err());
    drop(array);
    assert_eq!(drops.get(), 4);
}

/// A drop that panics keeps no other from being dropped, wherever it is, and what stays is of use.
#[test]
fn a_panicking_drop_does_not_end_a_truncation() {
    let drops = Cell::new(0);
    for numbers in [[6, 7, 8, 9], [6, 8, 7, 9], [6, 8, 9, 7]] {
        let items = || numbers.map(|number| Fragile(number, &drops));
        let mut array = BoundedArray::<_, 4>::from_array(items());
        assert!(catch_unwind(AssertUnwindSafe(|| array.truncate(1))).is_err());
        assert_eq!((array.len(), array[0].0, drops.replace(0)), (1, 6, 3));
        array = BoundedArray::from_array(items());
        assert!(catch_unwind(AssertUnwindSafe(|| array.retain(|item| item.0 == 6))).is_err());
        // What was in the variable before counts, too.
        assert_eq!((array.len(), array[0].0, drops.replace(0)), (1, 6, 4));
        assert!(array.push(Fragile(7, &drops)).is_ok());
        assert!(catch_unwind(AssertUnwindSafe(|| array.clear())).is_err());
        assert_eq!((array.len(), drops.replace(0)), (0, 2));
    }
}
