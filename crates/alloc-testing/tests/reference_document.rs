//! The examples of "Memory & Allocators", the chapter that this workspace follows, each with the same
//! behaviour in Rust. What the chapter marks as wrong is under `tests/ui/fail`: it does not compile.

use std::mem::MaybeUninit;
use std::ptr::NonNull;

use alloc_arena::{Arena, Reset};
use alloc_core::{AllocError, Allocator, AllocatorExt, Counting, Limited, Owned, alloc_print};
use alloc_fixed::{FixedBuffer, StackBuffer};
use alloc_gpa::{Check, FindingKind, Gpa};

/// "The Allocator Interface": a slice, an item, an aligned slice, and leak detection at the end.
#[test]
fn the_allocator_interface() -> Result<(), AllocError> {
    let gpa = Gpa::new();
    {
        let numbers = gpa.alloc::<u32>(5)?;
        let mut single = gpa.create(0u32)?;
        *single = 42;
        let aligned = gpa.aligned_alloc::<u8, 16>(64)?;
        assert_eq!((numbers.len(), *single, aligned.len()), (5, 42, 64));
        assert_eq!(aligned.as_ptr().addr() % 16, 0);
    }
    assert_eq!(gpa.deinit(), Check::Ok);
    Ok(())
}

/// "This example demonstrates the core interface with leak detection."
#[test]
fn deinit_reports_a_leak() -> Result<(), AllocError> {
    let gpa = Gpa::builder().quiet().build();
    gpa.create(42u32)?.leak_for_test();
    assert!(matches!(gpa.deinit(), Check::Leak(leaks) if (leaks.count, leaks.bytes) == (1, 4)));
    Ok(())
}

trait LeakForTest {
    fn leak_for_test(self);
}

impl<T, A: Allocator> LeakForTest for Owned<T, A> {
    fn leak_for_test(self) {
        let _: (NonNull<T>, A) = Owned::into_raw_parts(self);
    }
}

/// "Allocator Propagation": the allocator comes first; the caller chooses it, the callee does not
/// care.
#[test]
fn allocator_propagation() {
    fn process_data(gpa: &dyn Allocator, data: &[u8]) -> Result<usize, AllocError> {
        let buffer = gpa.alloc_fill(data.len() * 2, 0u8)?;
        Ok(buffer.len())
    }
    let gpa = Gpa::new();
    let mut memory = StackBuffer::<64>::new();
    assert_eq!(process_data(&gpa, b"data"), Ok(8));
    assert_eq!(process_data(&FixedBuffer::new(&mut memory), b"data"), Ok(8));
    assert_eq!(process_data(&Arena::new(), b"data"), Ok(8));
    assert_eq!(process_data(&alloc_page::PageAllocator, b"data"), Ok(8));
    assert_eq!(process_data(&alloc_core::NeverAlloc, b"data"), Err(AllocError));
    assert_eq!(gpa.deinit(), Check::Ok);
}

/// The parser that stores its allocator, so that its end needs no argument.
#[test]
fn a_struct_that_stores_its_allocator() {
    struct Parser<'a> {
        tokens: allocator_api2_02::vec::Vec<&'static str, &'a dyn Allocator>,
    }
    impl<'a> Parser<'a> {
        fn init(gpa: &'a dyn Allocator) -> Self {
            Self { tokens: allocator_api2_02::vec::Vec::new_in(gpa) }
        }
    }
    let gpa = Gpa::new();
    let mut parser = Parser::init(&gpa);
    parser.tokens.extend(["let", "x", "=", "1"]);
    assert_eq!(parser.tokens.len(), 4);
    assert!(0 < gpa.stats().live_bytes);
    drop(parser);
    assert_eq!(gpa.deinit(), Check::Ok);
}

/// "Caller-Owns": the function uses a buffer and keeps nothing.
#[test]
fn caller_owns() {
    fn process_in_place(buffer: &mut [u8], data: &[u8]) {
        buffer[..data.len()].copy_from_slice(data);
    }
    let mut buffer = [0u8; 8];
    process_in_place(&mut buffer, b"abc");
    assert_eq!(&buffer[..4], b"abc\0");
}

/// "Callee-Returns-Owned": the type says whose it is, and with which allocator it is freed.
#[test]
fn callee_returns_owned() -> Result<(), AllocError> {
    fn allocate_result<A: Allocator + Copy>(
        gpa: A,
        size: usize,
    ) -> Result<Owned<[MaybeUninit<u8>], A>, AllocError> {
        gpa.alloc(size)
    }
    let gpa = Gpa::new();
    let result = allocate_result(&gpa, 100)?;
    assert_eq!(result.len(), 100);
    gpa.free(result);
    assert_eq!(gpa.deinit(), Check::Ok);
    Ok(())
}

/// "Init/Deinit Pairs".
#[test]
fn init_deinit_pairs() -> Result<(), AllocError> {
    struct Resource<A: Allocator> {
        data: Owned<[u8], A>,
    }
    impl<A: Allocator + Copy> Resource<A> {
        fn init(gpa: A, size: usize) -> Result<Self, AllocError> {
            Ok(Self { data: gpa.alloc_fill(size, 0)? })
        }
    }
    let gpa = Gpa::new();
    let resource = Resource::init(&gpa, 1024)?;
    assert_eq!(resource.data.len(), 1024);
    drop(resource);
    assert_eq!(gpa.deinit(), Check::Ok);
    Ok(())
}

/// "Cleanup Idioms": with the second allocation failing, the first is gone by itself.
#[test]
fn errdefer_is_ownership() {
    struct Resources<A: Allocator> {
        buffers: [Owned<[u8], A>; 2],
    }
    fn create_resources<A: Allocator + Copy>(gpa: A) -> Result<Resources<A>, AllocError> {
        let buffer1 = gpa.alloc_fill(100, 1)?;
        let buffer2 = gpa.alloc_fill(200, 2)?;
        Ok(Resources { buffers: [buffer1, buffer2] })
    }
    let gpa = Gpa::new();
    let counting = Counting::new(&gpa);
    let resources = create_resources(&counting).unwrap();
    assert_eq!(resources.buffers.each_ref().map(|buffer| buffer.len()), [100, 200]);
    drop(resources);
    let limited = Limited::new(&counting, 250);
    assert_eq!(create_resources(&limited).map(drop), Err(AllocError));
    assert_eq!(counting.counts().live_bytes, 0);
    assert_eq!(gpa.deinit(), Check::Ok);
}

/// "Arena Pattern for Request Handling": three requests, one arena, kept small between them.
#[test]
fn arena_pattern_for_request_handling() -> Result<(), AllocError> {
    fn handle_request<'a, A: Allocator>(
        arena: &'a Arena<A>,
        id: u32,
        data: &str,
    ) -> Result<Owned<str, &'a Arena<A>>, AllocError> {
        let id = alloc_print!(arena, "{id}")?;
        let mut parts = allocator_api2_02::vec::Vec::new_in(arena);
        parts.extend(["Processing request ", &id, data]);
        alloc_print!(arena, "{}{}{}", parts[0], parts[1], parts[2])
    }
    let gpa = Gpa::new();
    {
        let mut arena = Arena::over(&gpa);
        let mut responses = Vec::new();
        for id in 0..3 {
            responses.push(handle_request(&arena, id, " data")?.to_string());
            assert!(arena.reset(Reset::RetainWithLimit(4096)));
            assert!(arena.capacity() <= 4096);
        }
        let expected = [0, 1, 2].map(|id| format!("Processing request {id} data"));
        assert_eq!(responses, expected);
    }
    assert_eq!(gpa.deinit(), Check::Ok);
    Ok(())
}

/// "FixedBufferAllocator for Stack-Based Operations": no heap; the buffer is used again.
#[test]
fn fixed_buffer_for_stack_based_operations() {
    fn format_message<'a>(
        fixed: &'a FixedBuffer<'_>,
        name: &str,
        score: i32,
    ) -> Result<&'a str, AllocError> {
        Ok(Owned::leak(alloc_print!(fixed, "User: {name}, Score: {score}")?))
    }
    let mut stack_buffer = StackBuffer::<256>::new();
    let mut fixed = FixedBuffer::new(&mut stack_buffer);
    assert_eq!(format_message(&fixed, "Alice", 100), Ok("User: Alice, Score: 100"));
    // While the first message lives, this line does not compile: `ui/fail/reset_while_live.rs`.
    fixed.reset();
    assert_eq!(format_message(&fixed, "Bob", 200), Ok("User: Bob, Score: 200"));
    let mut tiny = StackBuffer::<4>::new();
    assert_eq!(format_message(&FixedBuffer::new(&mut tiny), "Carol", 3), Err(AllocError));
}

/// "Error-Path Cleanup with errdefer": the late failure after three allocations frees all of them.
#[test]
fn error_path_cleanup() {
    struct Database<A: Allocator> {
        connection: Owned<[u8], A>,
        buffer: Owned<[u8], A>,
        cache: Owned<[u8], A>,
    }
    #[derive(Debug, PartialEq)]
    enum InitError {
        Alloc(AllocError),
        ConnectionFailed,
    }
    impl From<AllocError> for InitError {
        fn from(error: AllocError) -> Self {
            Self::Alloc(error)
        }
    }
    impl<A: Allocator + Copy> Database<A> {
        fn init(gpa: A, connection: &str) -> Result<Self, InitError> {
            let database = Self {
                connection: gpa.dupe(connection.as_bytes())?,
                buffer: gpa.alloc_fill(1024, 0)?,
                cache: gpa.alloc_fill(2048, 0)?,
            };
            if connection.len() > 100 { Err(InitError::ConnectionFailed) } else { Ok(database) }
        }
    }
    let gpa = Gpa::new();
    let counting = Counting::new(&gpa);
    let database = Database::init(&counting, "localhost").unwrap();
    assert_eq!(&*database.connection, b"localhost");
    assert_eq!((database.buffer.len(), database.cache.len()), (1024, 2048));
    drop(database);
    let late = Database::init(&counting, &"x".repeat(101)).map(drop);
    assert_eq!(late, Err(InitError::ConnectionFailed));
    assert_eq!(counting.counts().live_bytes, 0);
    // And with each of the three allocations failing in turn.
    for limit in [5, 500, 1500] {
        let failed = Database::init(&Limited::new(&counting, limit), "localhost").map(drop);
        assert_eq!(failed, Err(InitError::Alloc(AllocError)));
        assert_eq!(counting.counts().live_bytes, 0);
    }
    assert_eq!(gpa.deinit(), Check::Ok);
}

/// "Forgetting to Free": the early return of the chapter's wrong example leaks nothing here.
#[test]
fn an_early_return_leaks_nothing() {
    fn leaky(gpa: &Gpa, fails: bool) -> Result<(), AllocError> {
        let _data = gpa.alloc::<u8>(100)?;
        if fails { Err(AllocError) } else { Ok(()) }
    }
    let gpa = Gpa::new();
    assert_eq!((leaky(&gpa, true), leaky(&gpa, false)), (Err(AllocError), Ok(())));
    assert_eq!(gpa.deinit(), Check::Ok);
}

/// "Freeing with the Wrong Allocator": an owner frees through its own handle, whoever is asked; and
/// where raw code does it, the checking allocator says so.
#[test]
fn freeing_with_the_wrong_allocator() -> Result<(), AllocError> {
    let (one, other) = (Gpa::new(), Gpa::builder().quiet().build());
    let data = one.alloc_fill(100, 0u8)?;
    other.free(data);
    assert_eq!(one.detect_leaks().count, 0);

    let data = one.alloc_fill(100, 0u8)?;
    other.create(1u8)?.leak_for_test();
    let (block, _) = Owned::into_raw_parts(data);
    let layout = alloc_core::Layout::new::<[u8; 100]>();
    // SAFETY: `Gpa` checks every address: a block of another instance is told and left alone.
    unsafe { other.raw_free(block.cast(), layout) };
    assert_eq!(other.findings().map(|f| f.kind).collect::<Vec<_>>(), [FindingKind::OtherAllocator]);
    // SAFETY: live, and fits.
    unsafe { one.raw_free(block.cast(), layout) };
    assert_eq!(one.deinit(), Check::Ok);
    Ok(())
}

/// "Use-After-Free": "`GeneralPurposeAllocator` never reuses memory addresses".
#[test]
fn addresses_are_never_reused() -> Result<(), AllocError> {
    let gpa = Gpa::new();
    let first = gpa.create(1u64)?;
    let address = Owned::as_ptr(&first).addr();
    drop(first);
    for _ in 0..1000 {
        let next = gpa.create(2u64)?;
        assert_ne!(Owned::as_ptr(&next).addr(), address);
    }
    assert_eq!(gpa.deinit(), Check::Ok);
    Ok(())
}

/// "Returning Pointers to Stack Memory": what outlives the function is created, and owned.
#[test]
fn what_outlives_the_function_is_owned() -> Result<(), AllocError> {
    fn create_data<A: Allocator + Copy>(gpa: A) -> Result<Owned<u8, A>, AllocError> {
        gpa.create(42)
    }
    let gpa = Gpa::new();
    let data = create_data(&gpa)?;
    assert_eq!(*data, 42);
    gpa.destroy(data);
    assert_eq!(gpa.deinit(), Check::Ok);
    Ok(())
}
