//! What is written for a module of tests.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::{
    AttrStyle, Attribute, Error, Item, ItemFn, ItemMacro, ItemMod, Macro, Meta, MetaList, Path,
    Result, parse_quote,
};

use crate::conditions::{conditions, hidden_test};

/// What `#[suite]` writes.
pub(crate) fn suite(arguments: &TokenStream, item: TokenStream) -> Result<TokenStream> {
    if !arguments.is_empty() {
        return Err(Error::new_spanned(arguments, "`#[suite]` takes no arguments"));
    }
    let module = syn::parse2::<ItemMod>(item)
        .map_err(|error| Error::new(error.span(), "`#[suite]` stands on a module"))?;
    module_of(module)
}

/// The module with its tests written anew, and its suite at the end.
fn module_of(module: ItemMod) -> Result<TokenStream> {
    let Some((_, items)) = module.content else {
        let message = "`#[suite]` stands on a module whose tests are in braces behind its name";
        return Err(Error::new_spanned(&module.ident, message));
    };
    let (mut written, mut tests, mut suites) = (Vec::new(), Vec::new(), Vec::new());
    for item in items {
        refuse_what_is_not_seen(&item)?;
        match item {
            Item::Fn(function) if kind(&function).is_some() => {
                let (test, entry) = test(function);
                written.push(test);
                tests.push(entry);
            }
            Item::Mod(inner) if holds_tests(&inner) => {
                let (name, conditions) = (&inner.ident, conditions(&inner.attrs));
                suites.push(quote!(#(#conditions)* self::#name::SUITE));
                written.push(module_of(inner)?);
            }
            Item::Mod(mut inner) => {
                refuse_others(&mut inner);
                written.push(inner.into_token_stream());
            }
            other => written.push(other.into_token_stream()),
        }
    }
    let refusal = refusal();
    let is_inner = |one: &&Attribute| matches!(one.style, AttrStyle::Inner(_));
    let (inner, outer): (Vec<_>, Vec<_>) = module.attrs.iter().partition(is_inner);
    let (visibility, name) = (&module.vis, &module.ident);
    Ok(quote! {
        #(#outer)*
        #visibility mod #name {
            #(#inner)*

            #(#written)*

            #refusal

            /// The tests of this module.
            #[allow(dead_code, unreachable_pub, reason = "the runner names it")]
            pub const SUITE: ::alloc_testing::runner::Suite = ::alloc_testing::runner::Suite {
                tests: &[#(#tests),*],
                suites: &[#(#suites),*],
            };
        }
    })
}

/// The function by which an `#[alloc_test]` that has no entry, as it has another name here, does not compile.
fn refusal() -> Item {
    parse_quote! {
        #[allow(dead_code, reason = "what would call it does not compile")]
        #[track_caller]
        const fn __place_of_alloc_test() {
            ::core::panic!(
                "a suite does not see this test, whose attribute was imported by another name: write \
                 `#[alloc_test]`"
            )
        }
    }
}

/// Puts that function into a module without tests that a suite sees, and into those inside it.
fn refuse_others(module: &mut ItemMod) {
    let Some((_, items)) = &mut module.content else { return };
    for item in items.iter_mut() {
        if let Item::Mod(inner) = item {
            refuse_others(inner);
        }
    }
    items.push(refusal());
}

/// The attribute that makes a function a test.
fn kind(function: &ItemFn) -> Option<usize> {
    function.attrs.iter().position(|attribute| {
        let last = attribute.path().segments.last();
        last.is_some_and(|last| last.ident == "alloc_test" || last.ident == "test")
    })
}

/// Whether an attribute is the harness's own `#[test]`, which is all that an `#[alloc_test]` can stand in for.
fn is_plain(path: &Path) -> bool {
    let names: Vec<_> = path.segments.iter().map(|part| part.ident.to_string()).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    matches!(names[..], ["test"] | ["core" | "std", "prelude", _, "test"])
}

/// Refuses tests that would be in no entry, so that the runner would pass them over without a word.
fn refuse_what_is_not_seen(item: &Item) -> Result<()> {
    match item {
        Item::Fn(function) => refuse_hidden_test(function),
        Item::Macro(ItemMacro { mac, ident: None, .. }) if writes_tests(mac) => {
            let message = "the tests that `conformance!` writes are a harness's: put it into another test target";
            Err(Error::new_spanned(&mac.path, message))
        }
        Item::Macro(ItemMacro { mac, ident: None, .. }) if !writes_no_tests(mac) => {
            let message = "a suite does not see tests that a macro writes: call it outside, or write the suite with it";
            Err(Error::new_spanned(&mac.path, message))
        }
        _ => Ok(()),
    }
}

/// Refuses a function that is a test only under a condition, or by an attribute that would be lost.
fn refuse_hidden_test(function: &ItemFn) -> Result<()> {
    let (attribute, message) = match kind(function) {
        None => match hidden_test(&function.attrs) {
            Some(attribute) => (
                attribute,
                "a suite does not see this test: write `#[test]` or `#[alloc_test]`, and what it depends on as \
                 `#[cfg(..)]`",
            ),
            None => return Ok(()),
        },
        Some(place) => {
            let attribute = &function.attrs[place];
            if is_plain(attribute.path()) || is_ours(attribute) {
                return Ok(());
            }
            (
                attribute,
                "a suite would run this test without what the attribute does: write `#[test]` or `#[alloc_test]`",
            )
        }
    };
    Err(Error::new_spanned(attribute, message))
}

/// Whether an attribute is `#[alloc_test]`, by whatever path.
fn is_ours(attribute: &Attribute) -> bool {
    attribute.path().segments.last().is_some_and(|last| last.ident == "alloc_test")
}

/// Whether a macro is known that writes no tests, though it writes items.
fn writes_no_tests(called: &Macro) -> bool {
    const KNOWN: [&str; 5] =
        ["thread_local", "lazy_static", "const_assert", "assert_impl_all", "assert_not_impl_any"];
    called.path.segments.last().is_some_and(|last| KNOWN.iter().any(|name| last.ident == name))
}

/// Whether a macro of this crate is called that writes tests.
fn writes_tests(called: &Macro) -> bool {
    called.path.segments.last().is_some_and(|last| last.ident == "conformance")
}

/// Whether there is a test in the module, or in one inside it, or what may write one.
fn holds_tests(module: &ItemMod) -> bool {
    let items = module.content.iter().flat_map(|(_, items)| items);
    items.into_iter().any(|item| match item {
        Item::Fn(function) => kind(function).is_some() || hidden_test(&function.attrs).is_some(),
        Item::Macro(called) => called.ident.is_none() && !writes_no_tests(&called.mac),
        Item::Mod(inner) => holds_tests(inner),
        _ => false,
    })
}

/// What is written for a test, and its entry in the suite.
fn test(mut function: ItemFn) -> (TokenStream, TokenStream) {
    let place = kind(&function).expect("asked for before");
    let name = function.sig.ident.clone();
    let text = name.unraw().to_string();
    let run = format_ident!("__run_{text}");
    let ignored = format_ident!("__ignored_{text}");
    let conditions = conditions(&function.attrs);
    // The line of the function, not that of `#[suite]`.
    let line = quote_spanned!(name.span()=> ::core::line!());
    let entry = quote! {
        #(#conditions)*
        ::alloc_testing::runner::Test {
            name: ::core::concat!(::core::module_path!(), "::", #text),
            file: ::core::file!(),
            line: #line,
            ignored: #ignored,
            run: #run,
        }
    };
    // `#[alloc_test]` stays, or stands in for `#[test]`, and writes what the entry names: it is called once
    // the compiler has resolved `#[cfg_attr(..)]`, so it sees what the harness sees.
    let attribute = &mut function.attrs[place];
    attribute.meta = match &attribute.meta {
        meta if is_plain(meta.path()) => parse_quote! {
            ::alloc_testing::alloc_test(__run = #run, __ignored = #ignored, __plain = true)
        },
        Meta::List(MetaList { path, tokens, .. }) => {
            parse_quote!(#path(__run = #run, __ignored = #ignored, #tokens))
        }
        other => {
            let path = other.path();
            parse_quote!(#path(__run = #run, __ignored = #ignored))
        }
    };
    (function.into_token_stream(), entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(item: &str) -> std::result::Result<String, String> {
        let written = suite(&TokenStream::new(), item.parse().expect("tokens"));
        written.map(|tokens| tokens.to_string()).map_err(|error| error.to_string())
    }

    /// Tests of both kinds, and those of inner modules, are entered; other items stay.
    #[test]
    fn a_suite_holds_all_tests_of_the_module() {
        let text = written(
            "mod tests { use a::b; #[alloc_test(requests = 3)] #[ignore = \"why\"] fn one(gpa: &T) {} \
             mod inner { #[cfg(unix)] #[test] fn two() {} } mod other {} fn helper() {} }",
        )
        .expect("a suite");
        for part in [
            "use a :: b ;",
            "\"::\" , \"one\")",
            "ignored : __ignored_one",
            "suites : & [self :: inner :: SUITE]",
            "# [cfg (unix)] :: alloc_testing :: runner :: Test",
            "\"::\" , \"two\")",
            "# [alloc_test (__run = __run_one , __ignored = __ignored_one , requests = 3)]",
            "alloc_test (__run = __run_two , __ignored = __ignored_two , __plain = true)",
            "mod other { # [allow",
            "fn helper () { }",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(text.matches("pub const SUITE").count(), 2, "{text}");
        assert_eq!(text.matches("const fn __place_of_alloc_test").count(), 3, "{text}");
    }

    /// Attributes inside the braces stay there, as do definitions and macros that write no tests.
    #[test]
    fn what_is_no_test_stays() {
        let text = written(
            "#[path = \"x\"] mod tests { #![allow(unused)] macro_rules! m { () => {} } \
             thread_local! { static X: u8 = 1; } #[::core::prelude::v1::test] fn one() {} }",
        )
        .expect("a suite");
        let start = "# [path = \"x\"] mod tests { # ! [allow (unused)] macro_rules ! m { () => { } } \
                     thread_local ! { static X : u8 = 1 ; }";
        assert!(text.starts_with(start), "{text}");
        assert!(text.contains("__plain = true"), "{text}");
    }

    /// An entry is there if its test is, whatever that depends on.
    #[test]
    fn an_entry_depends_on_what_its_test_does() {
        let item = "mod tests { #[cfg_attr(unix, ignore, cfg(any()))] #[test] fn one() {} \
                    #[cfg_attr(unix, cfg(any()))] mod inner { #[test] fn two() {} } }";
        let text = written(item).expect("a suite");
        let condition = "# [cfg_attr (unix , cfg (any ()))]";
        for place in [":: alloc_testing :: runner :: Test", "self :: inner :: SUITE"] {
            assert!(text.contains(&format!("{condition} {place}")), "{place}: {text}");
        }
    }

    /// What is no module of tests, or would be lost, says why.
    #[test]
    fn what_is_no_suite_is_refused() {
        for (item, part) in [
            ("fn f() {}", "stands on a module"),
            ("mod tests;", "in braces"),
            ("mod tests { #[cfg_attr(unix, test)] fn f() {} }", "does not see this test"),
            ("mod tests { mod inner { #[cfg_attr(x, a::alloc_test)] fn f() {} } }", "does not see"),
            ("mod tests { alloc_testing::conformance!(A::new()); }", "are a harness's"),
            ("mod tests { mod inner { conformance!(A::new()); } }", "are a harness's"),
            ("mod tests { proptest! { #[test] fn f(n in 0..9) {} } }", "that a macro writes"),
            ("mod tests { #[test] fn f() {} mod inner { tests!(1 2); } }", "that a macro writes"),
            ("mod tests { #[test_log::test] fn f() {} }", "without what the attribute does"),
        ] {
            let error = written(item).expect_err(item);
            assert!(error.contains(part), "{item}: {error}");
        }
        let error = suite(
            &quote!(x),
            quote!(
                mod tests {}
            ),
        )
        .expect_err("arguments");
        assert!(error.to_string().contains("takes no arguments"));
    }
}
