//! Places in a program that a test can make fail: for failures other than those of an allocator.
//!
//! ```text
//!  fail_point!(load::header, Error::Short);      without the feature: `if false { return Err(..) }`
//!        |
//!        v  with it
//!  static POINT: FailPoint  <--- static ENTRY: &FailPoint, in the linker section `alloc_fail_points`
//!        |                                                       |
//!        v                                                       v
//!  POINT.hit() --> hook, if one is set: shall it fail?      fail_points(): all that were linked
//! ```
//!
//! Who arms points for which test is the hook's business: `alloc_testing::FailPoints`.

/// Marks a place that a test can make fail. Compiled to nothing but in tests.
///
/// | form | what happens there while a test has armed the point |
/// | --- | --- |
/// | `fail_point!(load::header, ERROR)` | `return Err(From::from(ERROR))` |
/// | `fail_point!(load::pages)` | `return Err(From::from(AllocError))`: memory that no allocator here gives |
/// | `fail_point!(load::read => EXPR)` | `EXPR`, of type `()`: a shorter read, a `break`, another `return` |
///
/// The full name of a point is that of its module and what is written: `my_crate::config::load::header`. A
/// name may be written at several places; they are armed together.
///
/// It does something where the feature `fail-points` is on. `alloc-testing` turns it on: with that among
/// the `[dev-dependencies]`, points exist in what `cargo test` builds, and not in what `cargo build` does.
/// Where they exist and none is armed, passing one costs two loads. No `const fn` can have one.
///
/// ```
/// use alloc_core::{AllocError, AllocatorExt, Allocator, Owned, fail_point};
/// use std::io;
///
/// fn load(gpa: &dyn Allocator, mut file: impl io::Read) -> io::Result<Owned<[u8], &dyn Allocator>> {
///     let mut header = gpa.alloc_fill(4, 0u8).map_err(|_| io::ErrorKind::OutOfMemory)?;
///     fail_point!(load::header, io::ErrorKind::UnexpectedEof);
///     file.read_exact(&mut header)?;
///     Ok(header)
/// }
/// # let gpa = alloc_core::FromGlobal::new(std::alloc::System);
/// assert_eq!(load(&gpa, &b"\x7fELF"[..]).unwrap()[1], b'E');
/// ```
#[cfg(feature = "fail-points")]
#[macro_export]
macro_rules! fail_point {
    ($first:ident $(:: $rest:ident)*) => {
        $crate::fail_point!($first $(:: $rest)*, $crate::AllocError)
    };
    ($first:ident $(:: $rest:ident)*, $error:expr $(,)?) => {
        $crate::fail_point!(
            $first $(:: $rest)* =>
            return ::core::result::Result::Err(::core::convert::From::from($error))
        )
    };
    ($first:ident $(:: $rest:ident)* => $action:expr $(,)?) => {{
        static POINT: $crate::FailPoint = $crate::FailPoint::new(
            ::core::concat!(
                ::core::module_path!(), "::", ::core::stringify!($first)
                $(, "::", ::core::stringify!($rest))*
            ),
            ::core::file!(),
            ::core::line!(),
        );
        #[cfg_attr(target_os = "linux", used, unsafe(link_section = "alloc_fail_points"))]
        static ENTRY: &$crate::FailPoint = &POINT;
        if ENTRY.hit() {
            $action
        }
    }};
}

/// Marks a place that a test can make fail; compiled to nothing, as the feature `fail-points` is off.
///
/// `fail_point!(load::header, ERROR)` would return the error, `fail_point!(load::pages)` an `AllocError`,
/// and `fail_point!(load::read => EXPR)` would evaluate the expression.
#[cfg(not(feature = "fail-points"))]
#[macro_export]
macro_rules! fail_point {
    ($first:ident $(:: $rest:ident)*) => {
        $crate::fail_point!($first $(:: $rest)*, $crate::AllocError)
    };
    ($first:ident $(:: $rest:ident)*, $error:expr $(,)?) => {
        $crate::fail_point!(
            $first $(:: $rest)* =>
            return ::core::result::Result::Err(::core::convert::From::from($error))
        )
    };
    ($first:ident $(:: $rest:ident)* => $action:expr $(,)?) => {
        if false {
            $action
        }
    };
}

#[cfg(feature = "fail-points")]
pub use enabled::{FailPoint, FailPointHook, fail_points, set_fail_point_hook};

#[cfg(feature = "fail-points")]
mod enabled {
    use core::fmt;
    use core::mem;
    use core::ptr;
    // Not loom's: points are statics, which its atomics cannot be in.
    use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering::Relaxed};

    /// A place that a test can make fail; written by [`fail_point!`](crate::fail_point).
    pub struct FailPoint {
        name: &'static str,
        file: &'static str,
        line: u32,
        /// Whether it was passed. Relaxed throughout, as for `is_armed`: a flag that publishes nothing.
        is_reached: AtomicBool,
        is_armed: AtomicBool,
    }

    /// Whether a point shall fail now.
    pub type FailPointHook = fn(&'static FailPoint) -> bool;

    /// Null, or a [`FailPointHook`]. Relaxed throughout: the pointer is all there is, and functions need no
    /// publishing.
    static HOOK: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

    /// Chooses who is asked at each point whether it shall fail.
    pub fn set_fail_point_hook(hook: FailPointHook) {
        HOOK.store(hook as *mut (), Relaxed);
    }

    impl FailPoint {
        /// What [`fail_point!`](crate::fail_point) makes.
        #[doc(hidden)]
        #[must_use]
        pub const fn new(name: &'static str, file: &'static str, line: u32) -> Self {
            let (is_reached, is_armed) = (AtomicBool::new(false), AtomicBool::new(false));
            Self { name, file, line, is_reached, is_armed }
        }

        /// The full name: the module's, and what is written at the point.
        #[must_use]
        pub const fn name(&self) -> &'static str {
            self.name
        }

        /// The source file, as the compiler was given it.
        #[must_use]
        pub const fn file(&self) -> &'static str {
            self.file
        }

        /// The line in it.
        #[must_use]
        pub const fn line(&self) -> u32 {
            self.line
        }

        /// Whether the program has passed it.
        #[must_use]
        pub fn is_reached(&self) -> bool {
            self.is_reached.load(Relaxed)
        }

        /// Whether a test has armed it.
        #[must_use]
        pub fn is_armed(&self) -> bool {
            self.is_armed.load(Relaxed)
        }

        /// Notes that a test has armed it.
        pub fn note_armed(&self) {
            self.is_armed.store(true, Relaxed);
        }

        /// Passes the point; whether it shall fail.
        #[doc(hidden)]
        #[inline]
        pub fn hit(&'static self) -> bool {
            // Read first, so that threads that pass often share the line.
            if !self.is_reached.load(Relaxed) {
                self.is_reached.store(true, Relaxed);
            }
            let hook = HOOK.load(Relaxed);
            !hook.is_null() && self.ask(hook)
        }

        #[cold]
        #[inline(never)]
        fn ask(&'static self, hook: *mut ()) -> bool {
            // SAFETY: what is stored, and not null, came from a function of this type, and function
            // pointers have the size of data pointers wherever `core` has atomics of that size.
            let hook = unsafe { mem::transmute::<*mut (), FailPointHook>(hook) };
            hook(self)
        }
    }

    impl fmt::Debug for FailPoint {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{} at {}:{}", self.name, self.file, self.line)
        }
    }

    /// One entry that is no point: the linker defines the section's bounds only if there is one.
    #[cfg(target_os = "linux")]
    #[used]
    #[unsafe(link_section = "alloc_fail_points")]
    static NONE: &FailPoint = {
        static NOWHERE: FailPoint = FailPoint::new("", "", 0);
        &NOWHERE
    };

    /// Returns all points that were linked into this program or library, reached or not. Where that is not
    /// known, which is elsewhere than on Linux, there are none.
    pub fn fail_points() -> impl Iterator<Item = &'static FailPoint> {
        section().iter().copied().filter(|point| !point.name.is_empty())
    }

    #[cfg(all(target_os = "linux", not(miri)))]
    fn section() -> &'static [&'static FailPoint] {
        unsafe extern "C" {
            #[link_name = "__start_alloc_fail_points"]
            static START: [usize; 0];
            #[link_name = "__stop_alloc_fail_points"]
            static END: [usize; 0];
        }
        let (start, end) = ((&raw const START), (&raw const END));
        let len = (end.addr() - start.addr()) / size_of::<&FailPoint>();
        // SAFETY: the linker puts both symbols around the section of that name, into which nothing is put
        // but references of this type (`fail_point!`, `NONE`), each aligned and one after the other; they
        // are constants.
        unsafe { core::slice::from_raw_parts(start.cast(), len) }
    }

    #[cfg(not(all(target_os = "linux", not(miri))))]
    fn section() -> &'static [&'static FailPoint] {
        &[]
    }
}
