//! The attribute macro of alloc-testing; use it from there.
//!
//! ```text
//! #[alloc_test]                              #[test]
//! #[ignore]                                  #[ignore]
//! fn parses(gpa: &TestAllocator) {           fn parses() {
//!     BODY                             =>        fn parses(gpa: &TestAllocator) { BODY }
//! }                                              ::alloc_testing::run(|alloc| parses(alloc))
//!                                            }
//! ```
//!
//! # Drawbacks
//!
//! What it writes names the crate `::alloc_testing`: a crate that renames its dependency calls
//! `run` of that name instead.

use proc_macro::TokenStream;
use quote::quote;
use syn::{Error, FnArg, ItemFn, Result};

/// Makes a function with one parameter a test, and hands it a fresh checked allocator.
///
/// A leak, or any misuse that the allocator finds, fails the test; see `alloc_testing::run`, which
/// it calls.
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
/// `impl Allocator + Copy`. The function may return what a `#[test]` may. Other attributes stay:
/// `#[ignore]`, `#[should_panic]`, `#[cfg(..)]`, documentation.
#[proc_macro_attribute]
pub fn alloc_test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let written = expand(&arguments.into(), item.into());
    written.unwrap_or_else(|error| error.to_compile_error()).into()
}

fn expand(
    arguments: &proc_macro2::TokenStream,
    item: proc_macro2::TokenStream,
) -> Result<proc_macro2::TokenStream> {
    let mut function = syn::parse2::<ItemFn>(item)
        .map_err(|error| Error::new(error.span(), "`#[alloc_test]` stands on a function"))?;
    if !arguments.is_empty() {
        return Err(Error::new_spanned(arguments, "`#[alloc_test]` takes no arguments"));
    }
    check_signature(&function)?;
    let attributes = std::mem::take(&mut function.attrs);
    let visibility = std::mem::replace(&mut function.vis, syn::Visibility::Inherited);
    let name = &function.sig.ident;
    let output = &function.sig.output;
    Ok(quote! {
        #(#attributes)*
        #[::core::prelude::v1::test]
        #visibility fn #name() #output {
            #function
            ::alloc_testing::run(|alloc| #name(alloc))
        }
    })
}

/// The function is one that a test harness could call, but for its parameter.
fn check_signature(function: &ItemFn) -> Result<()> {
    let signature = &function.sig;
    if let Some(token) = &signature.asyncness {
        let message = "an async test calls `alloc_testing::run` around the block that its runtime \
                       runs; `#[alloc_test]` knows no runtime";
        return Err(Error::new_spanned(token, message));
    }
    if let Some(token) = &signature.constness {
        return Err(Error::new_spanned(token, "a test is no `const fn`"));
    }
    if let Some(abi) = &signature.abi {
        return Err(Error::new_spanned(abi, "a test has Rust's own calling convention"));
    }
    if !signature.generics.params.is_empty() {
        return Err(Error::new_spanned(&signature.generics, "a test is not generic"));
    }
    let message = "an `#[alloc_test]` has one parameter, its allocator: `gpa: &TestAllocator`";
    match signature.inputs.iter().collect::<Vec<_>>().as_slice() {
        [FnArg::Typed(_)] => {}
        [FnArg::Receiver(receiver)] => return Err(Error::new_spanned(receiver, message)),
        [] => return Err(Error::new_spanned(&signature.ident, message)),
        [_, more @ ..] => return Err(Error::new_spanned(more[0], message)),
    }
    let tests = function.attrs.iter().find(|attribute| attribute.path().is_ident("test"));
    match tests {
        Some(attribute) => {
            Err(Error::new_spanned(attribute, "`#[alloc_test]` makes it a `#[test]` by itself"))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the macro writes for `item`, or its error.
    fn written(arguments: &str, item: &str) -> std::result::Result<String, String> {
        let arguments = arguments.parse().expect("tokens");
        expand(&arguments, item.parse().expect("tokens"))
            .map(|tokens| tokens.to_string())
            .map_err(|error| error.to_string())
    }

    /// Attributes and visibility go to the test, the signature and the result stay with both.
    #[test]
    fn a_test_is_written_around_the_function() {
        let item = "#[ignore] #[doc = \"why\"] pub fn name(gpa: &T) -> Result<(), E> { body(gpa) }";
        let expected = quote! {
            #[ignore] #[doc = "why"]
            #[::core::prelude::v1::test]
            pub fn name() -> Result<(), E> {
                fn name(gpa: &T) -> Result<(), E> { body(gpa) }
                ::alloc_testing::run(|alloc| name(alloc))
            }
        };
        assert_eq!(written("", item), Ok(expected.to_string()));
    }

    /// Each thing that cannot be a test says why.
    #[test]
    fn what_is_no_test_is_refused() {
        let cases = [
            ("leaks", "fn f(gpa: &T) {}", "takes no arguments"),
            ("", "struct S;", "stands on a function"),
            ("", "fn f() {}", "has one parameter, its allocator"),
            ("", "fn f(gpa: &T, more: u8) {}", "has one parameter, its allocator"),
            ("", "fn f(&self) {}", "has one parameter, its allocator"),
            ("", "async fn f(gpa: &T) {}", "calls `alloc_testing::run` around the block"),
            ("", "const fn f(gpa: &T) {}", "no `const fn`"),
            ("", "extern \"C\" fn f(gpa: &T) {}", "Rust's own calling convention"),
            ("", "fn f<A: Allocator>(gpa: A) {}", "is not generic"),
            ("", "#[test] fn f(gpa: &T) {}", "makes it a `#[test]` by itself"),
        ];
        for (arguments, item, part) in cases {
            let error = written(arguments, item).expect_err(item);
            assert!(error.contains(part), "{item}: {error}");
        }
    }
}
