//! The attribute macros of alloc-testing; use them from there.
//!
//! ```text
//! #[alloc_test(live_bytes = 4096)]           #[test]
//! #[ignore]                                  #[ignore]
//! fn parses(gpa: &TestAllocator) {           fn parses() {
//!     BODY                             =>        fn parses(gpa: &TestAllocator) { BODY }
//! }                                              judge(outcome(SETTINGS, AWAITED, |alloc| parses(alloc)))
//!                                            }
//!
//! #[suite]                                   mod tests {
//! mod tests {                                    fn __run_parses() -> Outcome { .. outcome(..) }
//!     #[alloc_test]                    =>        const __ignored_parses: Option<&str> = None;
//!     fn parses(gpa: &TestAllocator) {}          #[test] fn parses() { judge(__run_parses()) }
//! }                                              pub const SUITE: Suite = Suite { tests: &[ .. ] };
//!                                            }     (the first three by `#[alloc_test(__run = .., ..)]`)
//! ```
//!
//! # Drawbacks
//!
//! What they write names the crate `::alloc_testing`: a crate that renames its dependency says
//! `extern crate its_name as alloc_testing;` at the root of the test target. Under `#![forbid(unused_imports)]` no
//! `#[alloc_test]` compiles (E0453), as what it writes has such an import; under `deny` it does.

mod arguments;
mod conditions;
mod suites;
mod written;

use proc_macro::TokenStream;

/// Makes a function a test that fails if it leaks; one with a parameter is handed a fresh checked allocator.
///
/// A leak, any misuse that the allocator finds, a budget that is not kept and a thread that is not
/// joined fail the test, also when it panics for another reason, or as it should.
///
/// ```text
/// #[alloc_test]
/// fn parses(gpa: &TestAllocator) {
///     let config = parse(gpa, INPUT).unwrap();
///     assert_eq!(config.len(), 3);
/// }
/// ```
///
/// The parameter's type is `&TestAllocator`, or what that turns into: `&dyn Allocator`,
/// `impl Allocator + Copy`. A function without a parameter is judged by what it leaves in the global
/// allocator, with the threads that it starts, as by `check_leaks`; that allocator has to be a `Sentinel`, else
/// the test fails and says so. A test may return `()`, an `ExitCode`, or a `Result` of these. Other
/// attributes stay: `#[ignore]`, `#[should_panic]`, `#[cfg(..)]`, documentation, levels of lints. A test that
/// panics as it should fails if
/// it leaks, and a leak is no panic that it should make.
///
/// | argument | |
/// | --- | --- |
/// | `live_bytes = EXPR` | bytes that the test may have live at once, of the allocator that it takes |
/// | `requests = EXPR` | blocks that it may ask that one for |
/// | `settings = EXPR` | `Settings`, or a `Builder` of its heap; the two above are changes to them |
/// | `block_on = PATH` | what runs the test if it is an `async fn`: a function that takes a future and returns its output |
#[proc_macro_attribute]
pub fn alloc_test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let written = written::alloc_test(arguments.into(), item.into());
    written.unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Makes the tests of a module a suite for alloc-testing's own runner: the constant `SUITE`.
///
/// Tests are the functions with `#[alloc_test]` and those with `#[test]`, in the module and in the
/// modules that are written inside it. Under the harness of `rustc --test` they are tests as without
/// the attribute; `#[ignore]`, `#[should_panic]` and `#[cfg(..)]` mean the same to both, also in a
/// `#[cfg_attr(..)]`. What would not be entered is refused: a `#[cfg_attr(.., test)]`, another crate's
/// `#[x::test]`, and a call of a macro, which may write tests, as `conformance!` does (but for a few that are
/// known to write none, such as `thread_local!`). Other attributes are put on the function itself. An
/// `#[alloc_test]` that was imported by another name does not compile in a suite; a `#[test]` that was (`use
/// core::prelude::v1::test as t`) is not seen.
///
/// ```text
/// #[suite]
/// mod tests {
///     #[alloc_test]
///     fn parses(gpa: &TestAllocator) { .. }
/// }
/// alloc_testing::main!(tests);
/// ```
#[proc_macro_attribute]
pub fn suite(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let written = suites::suite(&arguments.into(), item.into());
    written.unwrap_or_else(|error| error.to_compile_error()).into()
}
