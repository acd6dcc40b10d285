//! What each verb does, and that on failure nothing is lost.

mod common;

use alloc_core::{AllocError, Allocator, AllocatorExt, Owned, alloc_print};
use common::{GROWTHS, Growth, Ledger};
use core::cell::Cell;
use core::fmt;
use core::mem::MaybeUninit;

/// The value comes back when there is no memory for it.
#[test]
fn create_or_return_loses_nothing() {
    let ledger = Ledger::new();
    let text = String::from("kept");
    let (text, error) = {
        ledger.allowed.set(0);
        ledger.create_or_return(text).unwrap_err()
    };
    assert_eq!((text.as_str(), error), ("kept", AllocError));
    let (text, AllocError) = ledger.alloc_fill_or_return(2, text).unwrap_err();
    let (text, AllocError) = ledger.alloc_fill_or_return(usize::MAX, text).unwrap_err();
    ledger.allowed.set(2);
    let twice = ledger.alloc_fill_or_return(2, text.clone()).map_err(|e| e.1).unwrap();
    let owned = ledger.create_or_return(text).map_err(|e| e.1).unwrap();
    assert_eq!((owned.as_str(), &*twice), ("kept", &["kept".to_owned(), "kept".to_owned()][..]));
    assert_eq!(Owned::into_inner(owned), "kept");
}

/// `create` drops the value that found no memory.
#[test]
fn create_drops_the_value_on_failure() {
    let ledger = Ledger::new();
    ledger.allowed.set(0);
    let shared = std::rc::Rc::new(());
    assert_eq!(ledger.create(shared.clone()).map(drop), Err(AllocError));
    assert_eq!(ledger.alloc_fill(3, shared.clone()).map(drop), Err(AllocError));
    assert_eq!(std::rc::Rc::strong_count(&shared), 1);
}

/// A size that does not fit an address space is the same error, from every verb that multiplies,
/// and the allocator is not asked.
#[test]
fn overflow_is_alloc_error() {
    let ledger = Ledger::new();
    for count in [usize::MAX, usize::MAX / 8, usize::MAX / 8 + 2, isize::MAX as usize / 8 + 1] {
        assert_eq!(ledger.alloc::<u64>(count).map(drop), Err(AllocError));
        assert_eq!(ledger.alloc_zeroed::<u64>(count).map(drop), Err(AllocError));
        assert_eq!(ledger.alloc_fill(count, 1u64).map(drop), Err(AllocError));
        let items = ledger.alloc_with(count, |_| -> u64 { unreachable!() });
        assert_eq!(items.map(drop), Err(AllocError));
        assert_eq!(ledger.aligned_alloc::<u64, 64>(count).map(drop), Err(AllocError));
    }
    assert_eq!(ledger.calls.get(), 0);
}

/// Zero bytes are answered without the allocator, by an aligned address.
#[test]
fn zero_bytes_never_reach_the_allocator() {
    #[repr(align(64))]
    #[derive(Clone, Copy)]
    struct Wide;
    let ledger = Ledger::new();
    assert!(Owned::as_ptr(&ledger.create(Wide).unwrap()).is_aligned());
    assert!(ledger.alloc::<u64>(0).unwrap().as_ptr().is_aligned());
    assert!(ledger.alloc_fill(9, Wide).unwrap().as_ptr().is_aligned());
    assert!(ledger.aligned_alloc::<u8, 4096>(0).unwrap().as_ptr().addr().is_multiple_of(4096));
    assert_eq!(&*ledger.dupe_str("").unwrap(), "");
    assert_eq!(&*alloc_print!(&ledger, "").unwrap(), "");
    assert_eq!(*ledger.alloc_zeroed::<u8>(0).unwrap(), []);
    assert_eq!(ledger.calls.get(), 0);
}

#[test]
fn copies_and_fills() {
    let ledger = Ledger::new();
    assert_eq!(*ledger.dupe(&[1, 2, 3]).unwrap(), [1, 2, 3]);
    assert_eq!(&*ledger.dupe_str("grüße").unwrap(), "grüße");
    let c = ledger.dupe_z(c"text").unwrap();
    assert_eq!((&*c, ledger.live_bytes()), (c"text", 5));
    assert_eq!(*ledger.alloc_fill(3, 'x').unwrap(), ['x'; 3]);
    assert_eq!(*ledger.alloc_with(3, |index| index * 2).unwrap(), [0, 2, 4]);
    assert_eq!(*ledger.alloc_zeroed::<[u16; 2]>(2).unwrap(), [[0, 0], [0, 0]]);
    let mut raw = ledger.alloc::<u8>(2).unwrap();
    raw.write_copy_of_slice(&[7, 8]);
    // SAFETY: both items were written.
    assert_eq!(*unsafe { raw.assume_init() }, [7, 8]);
    let aligned = ledger.aligned_alloc::<u8, 4096>(3).unwrap();
    assert!(aligned.as_ptr().addr().is_multiple_of(4096));
    let less = ledger.aligned_alloc::<u64, 1>(3).unwrap();
    assert!(less.as_ptr().is_aligned(), "the item's own alignment is the larger one");
}

#[test]
fn print_takes_one_block_of_the_right_size() {
    let ledger = Ledger::new();
    let text = alloc_print!(&ledger, "{} of {:>4}", 3, "ü").unwrap();
    assert_eq!((&*text, ledger.calls.get()), ("3 of    ü", 1));
    assert_eq!(ledger.live_bytes(), text.len());
    ledger.allowed.set(0);
    assert_eq!(alloc_print!(&ledger, "{}", 3).map(drop), Err(AllocError));
    assert_eq!(&*alloc_print!(&ledger as &dyn Allocator, "").unwrap(), "");
}

/// Prints the next of its texts each time.
struct Fickle<'a>(&'a Cell<&'a [&'a str]>);

impl fmt::Display for Fickle<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, rest) = self.0.get().split_first().ok_or(fmt::Error)?;
        self.0.set(rest);
        f.write_str(first)
    }
}

/// An argument that prints something else the second time: the second text counts, whole, in a
/// block of its length.
#[test]
fn print_of_a_fickle_argument() {
    for growth in GROWTHS {
        for (first, second) in [("", "long"), ("long", ""), ("ab", "abcdef"), ("abcdef", "ab")] {
            let ledger = Ledger::with_growth(growth);
            let texts = [first, second];
            let texts = Cell::new(&texts[..]);
            let text = alloc_print!(&ledger, "<{}>", Fickle(&texts)).unwrap();
            assert_eq!(&*text, format!("<{second}>"), "{growth:?}");
            assert_eq!(ledger.live_bytes(), text.len(), "{growth:?}");
        }
        let ledger = Ledger::with_growth(growth);
        let texts = Cell::new(&["once"][..]);
        assert_eq!(alloc_print!(&ledger, "{}", Fickle(&texts)).map(drop), Err(AllocError));
        let texts = Cell::new(&["", "long"][..]);
        ledger.allowed.set(0);
        assert_eq!(alloc_print!(&ledger, "{}", Fickle(&texts)).map(drop), Err(AllocError));
    }
}

/// An argument that drops the error of a write does not get away with half a text.
#[test]
fn print_fails_when_an_error_is_dropped() {
    struct Careless<'a>(Fickle<'a>);
    impl fmt::Display for Careless<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let _ = self.0.fmt(f);
            f.write_str("!")
        }
    }
    let ledger = Ledger::new();
    ledger.allowed.set(1);
    let texts = Cell::new(&["", "long"][..]);
    let text = alloc_print!(&ledger, "{}", Careless(Fickle(&texts)));
    assert_eq!(text.map(drop), Err(AllocError));
}

/// A constructor of three parts fails at each of them in turn; the earlier parts are gone then.
#[test]
fn a_cascade_undoes_itself() {
    struct Database<A: Allocator> {
        _connection: Owned<[u8], A>,
        _buffer: Owned<[u8], A>,
        _cache: Owned<[u8], A>,
    }
    impl<A: Allocator + Copy> Database<A> {
        fn init(gpa: A, conn: &str) -> Result<Self, AllocError> {
            Ok(Self {
                _connection: gpa.dupe(conn.as_bytes())?,
                _buffer: gpa.alloc_fill(1024, 0)?,
                _cache: gpa.alloc_fill(2048, 0)?,
            })
        }
    }
    for allowed in 0..3 {
        let ledger = Ledger::new();
        ledger.allowed.set(allowed);
        assert!(Database::init(&ledger, "localhost").is_err());
        assert_eq!(ledger.live_count(), 0);
        assert_eq!(ledger.calls.get(), 2 * allowed + 1, "{allowed} allocations undone");
    }
    let ledger = Ledger::new();
    let database = Database::init(&ledger as &dyn Allocator, "localhost").unwrap();
    assert_eq!(ledger.live_count(), 3);
    drop(database);
}

/// Owned memory crosses a function boundary; what the type says is whose it is.
#[test]
fn callee_returns_owned() {
    fn double<'a>(
        gpa: &'a dyn Allocator,
        data: &[u8],
    ) -> Result<Owned<[u8], &'a dyn Allocator>, AllocError> {
        let mut buffer = gpa.alloc_fill(data.len() * 2, 0u8)?;
        buffer[..data.len()].copy_from_slice(data);
        Ok(buffer)
    }
    let ledger = Ledger::with_growth(Growth::Moves);
    assert_eq!(*double(&ledger, &[1, 2]).unwrap(), [1, 2, 0, 0]);
    assert!(ledger.alloc::<MaybeUninit<u8>>(1).is_ok());
}
