//! What is written for one test.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{
    Attribute, Error, FnArg, GenericParam, Ident, ItemFn, Result, ReturnType, Safety, Visibility,
};

use crate::arguments::{self, Arguments, Entry};
use crate::conditions::conditions;

/// A test: the function, taken apart.
struct Test {
    /// What goes to the test that is written, `#[should_panic]` left out.
    attributes: Vec<Attribute>,
    visibility: Visibility,
    name: Ident,
    /// The function, without attributes.
    function: ItemFn,
    /// What calls it; its value is the outcome.
    call: TokenStream,
}

/// What `#[alloc_test]` writes.
pub(crate) fn alloc_test(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let function = syn::parse2::<ItemFn>(item)
        .map_err(|error| Error::new(error.span(), "`#[alloc_test]` stands on a function"))?;
    let tests = function.attrs.iter().find(|attribute| attribute.path().is_ident("test"));
    if let Some(attribute) = tests {
        let message = "`#[alloc_test]` makes it a `#[test]` by itself";
        return Err(Error::new_spanned(attribute, message));
    }
    let arguments = syn::parse2::<Arguments>(arguments)?;
    let test = if arguments.is_plain {
        Test::plain(function)?
    } else if function.sig.inputs.is_empty() {
        Test::of_global(&arguments, function)?
    } else {
        Test::with_allocator(&arguments, function)?
    };
    Ok(match &arguments.entry {
        Some(entry) => test.with_entry(entry)?,
        None => {
            let refusal = refused_in_suites(&test.name);
            let test = test.harnessed(&test.outcome());
            quote!(#refusal #test)
        }
    })
}

impl Test {
    /// A block whose value is the outcome.
    fn outcome(&self) -> TokenStream {
        let Self { function, call, .. } = self;
        quote!({ #function #call })
    }

    /// The test for a harness; `outcome` is how it ended.
    fn harnessed(&self, outcome: &TokenStream) -> TokenStream {
        let Self { attributes, visibility, name, .. } = self;
        quote! {
            #(#attributes)*
            #[::core::prelude::v1::test]
            #visibility fn #name() {
                ::alloc_testing::__private::judge(#outcome)
            }
        }
    }

    /// The test for a harness, and the items that the suite's entry names.
    fn with_entry(mut self, Entry { run, ignored }: &Entry) -> Result<TokenStream> {
        let conditions = conditions(&self.attributes);
        // Without a harness there is no `#[test]`: what is said of the function goes to the function.
        self.function.attrs = self.attributes.clone();
        self.function.attrs.retain(|one| !is_of_test(one));
        self.attributes.retain(|one| is_of_test(one) || is_level(one));
        let outcome = self.outcome();
        let test = self.harnessed(&quote!(#run()));
        let reason = match arguments::ignored(&self.attributes)? {
            Some(reason) => quote!(::core::option::Option::Some(#reason)),
            None => quote!(::core::option::Option::None),
        };
        Ok(quote! {
            #(#conditions)*
            #[allow(dead_code, non_snake_case, reason = "the runner calls it")]
            fn #run() -> ::alloc_testing::__private::Outcome #outcome
            #(#conditions)*
            #[allow(dead_code, non_upper_case_globals, reason = "the runner reads it")]
            const #ignored: ::core::option::Option<&'static ::core::primitive::str> = #reason;
            #test
        })
    }

    /// The test of a function that takes an allocator.
    fn with_allocator(arguments: &Arguments, function: ItemFn) -> Result<Self> {
        check_signature(&function)?;
        let message = "an `#[alloc_test]` has one parameter, its allocator: `gpa: &TestAllocator`; or none, \
                       then it checks the global allocator, a `Sentinel`";
        match function.sig.inputs.iter().collect::<Vec<_>>().as_slice() {
            [FnArg::Receiver(receiver)] => return Err(Error::new_spanned(receiver, message)),
            [_, more, ..] => return Err(Error::new_spanned(more, message)),
            _ => {}
        }
        let name = &function.sig.ident;
        // As if of another file: the test may have this name, too.
        let alloc = Ident::new("alloc", Span::mixed_site());
        let call = match arguments.runs(&function)? {
            Some(block_on) => {
                quote!(#block_on(::alloc_testing::__private::driven(#alloc, #name(#alloc))))
            }
            None => quote!(#name(#alloc)),
        };
        let settings = arguments.settings();
        Self::of(
            function,
            |awaited| quote!(::alloc_testing::__private::outcome(#settings, #awaited, |#alloc| #call)),
        )
    }

    /// The test of a function that takes nothing: it is judged by what it leaves in the global allocator.
    fn of_global(arguments: &Arguments, function: ItemFn) -> Result<Self> {
        check_signature(&function)?;
        if let Some(setting) = arguments.first_setting() {
            let message = "this is about the allocator that a test takes: `gpa: &TestAllocator`; without one \
                           the global allocator is checked, which has no settings";
            return Err(Error::new_spanned(setting, message));
        }
        let name = &function.sig.ident;
        let call = match arguments.runs(&function)? {
            Some(block_on) => quote!(#block_on(#name())),
            None => quote!(#name()),
        };
        Self::of(
            function,
            |awaited| quote!(::alloc_testing::__private::global_outcome(#awaited, || #call)),
        )
    }

    /// The test of a function that takes nothing and has `#[test]`.
    fn plain(function: ItemFn) -> Result<Self> {
        check_signature(&function)?;
        if let Some(input) = function.sig.inputs.first() {
            return Err(Error::new_spanned(input, "a `#[test]` takes nothing"));
        }
        if let Some(token) = &function.sig.asyncness {
            return Err(Error::new_spanned(token, "a `#[test]` is no `async fn`"));
        }
        let name = function.sig.ident.clone();
        Self::of(
            function,
            |awaited| quote!(::alloc_testing::__private::plain_outcome(#awaited, #name)),
        )
    }

    /// Takes the function apart; `call` writes the call of it.
    fn of(mut function: ItemFn, call: impl FnOnce(TokenStream) -> TokenStream) -> Result<Self> {
        let mut attributes = std::mem::take(&mut function.attrs);
        let visibility = std::mem::replace(&mut function.vis, Visibility::Inherited);
        let awaited = arguments::take_awaited(&mut attributes)?;
        if let (Some(_), ReturnType::Type(_, output)) = (&awaited, &function.sig.output) {
            return Err(Error::new_spanned(output, "a test that should panic returns nothing"));
        }
        let awaited =
            awaited.unwrap_or_else(|| quote!(::alloc_testing::__private::Awaited::NoPanic));
        let name = function.sig.ident.clone();
        let call = call(awaited);
        Ok(Self { attributes, visibility, name, function, call })
    }
}

/// What does not compile in a suite, where a test without an entry has an attribute that `#[suite]` did not
/// know: `#[alloc_test]` by another name. The module of a suite has a function of this name that panics,
/// which comes before the one that is imported here.
fn refused_in_suites(name: &Ident) -> TokenStream {
    let import = quote! {
        #[allow(unused_imports, reason = "a suite has its own")]
        use ::alloc_testing::__private::outside_of_suites::*;
    };
    let place = quote_spanned!(name.span()=> const _: () = __place_of_alloc_test(););
    quote!(#import #place)
}

/// Whether an attribute is about a test and not about its function.
fn is_of_test(attribute: &Attribute) -> bool {
    ["cfg", "cfg_attr", "doc", "ignore"].iter().any(|name| attribute.path().is_ident(name))
}

/// Whether an attribute sets the level of lints: it holds for the test's name as well.
fn is_level(attribute: &Attribute) -> bool {
    ["allow", "warn", "deny", "forbid"].iter().any(|name| attribute.path().is_ident(name))
}

/// The function is one that a test harness could call, but for its parameter.
fn check_signature(function: &ItemFn) -> Result<()> {
    let signature = &function.sig;
    if let Some(token) = &signature.constness {
        return Err(Error::new_spanned(token, "a test is no `const fn`"));
    }
    if let Safety::Unsafe(token) = &signature.safety {
        return Err(Error::new_spanned(token, "a test is no `unsafe fn`"));
    }
    if let Some(abi) = &signature.abi {
        return Err(Error::new_spanned(abi, "a test has Rust's own calling convention"));
    }
    let is_lifetime = |param: &&GenericParam| matches!(param, GenericParam::Lifetime(_));
    if let Some(param) = signature.generics.params.iter().find(|param| !is_lifetime(param)) {
        return Err(Error::new_spanned(param, "a test is not generic"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the macro writes for `item`, or its error.
    fn written(arguments: &str, item: &str) -> std::result::Result<String, String> {
        let arguments = arguments.parse().expect("tokens");
        alloc_test(arguments, item.parse().expect("tokens"))
            .map(|tokens| tokens.to_string())
            .map_err(|error| error.to_string())
    }

    /// Attributes and visibility go to the test, the signature stays with the function.
    #[test]
    fn a_test_is_written_around_the_function() {
        let item = "#[ignore] #[doc = \"why\"] pub fn name(gpa: &T) -> Result<(), E> { body(gpa) }";
        let refusal = refused_in_suites(&Ident::new("name", Span::call_site()));
        let expected = quote! {
            #refusal
            #[ignore] #[doc = "why"]
            #[::core::prelude::v1::test]
            pub fn name() {
                ::alloc_testing::__private::judge({
                    fn name(gpa: &T) -> Result<(), E> { body(gpa) }
                    ::alloc_testing::__private::outcome(
                        ::alloc_testing::Settings::new(),
                        ::alloc_testing::__private::Awaited::NoPanic,
                        |alloc| name(alloc)
                    )
                })
            }
        };
        assert_eq!(written("", item), Ok(expected.to_string()));
    }

    /// Arguments become settings, what should panic is awaited, and a future is run.
    #[test]
    fn arguments_are_heard() {
        let text = written(
            "live_bytes = 1 << 12, requests = 3, settings = mine(), block_on = rt::block_on,",
            "#[should_panic(expected = \"boo\")] async fn name(gpa: &T) {}",
        );
        let refusal = refused_in_suites(&Ident::new("name", Span::call_site()));
        let expected = quote! {
            #refusal
            #[::core::prelude::v1::test]
            fn name() {
                ::alloc_testing::__private::judge({
                    async fn name(gpa: &T) {}
                    ::alloc_testing::__private::outcome(
                        ::alloc_testing::__private::settings(mine()).live_bytes(1 << 12).requests(3),
                        ::alloc_testing::__private::Awaited::Panic("boo"),
                        |alloc| rt::block_on(::alloc_testing::__private::driven(alloc, name(alloc)))
                    )
                })
            }
        };
        assert_eq!(text, Ok(expected.to_string()));
        for awaited in ["#[should_panic]", "#[should_panic = \"\"]"] {
            let text = written("", &format!("{awaited} fn name(gpa: &T) {{}}")).expect(awaited);
            assert!(text.contains("Awaited :: Panic (\"\")"), "{text}");
        }
    }

    /// A test that takes nothing is judged by the global allocator.
    #[test]
    fn without_a_parameter_the_global_allocator_is_checked() {
        let cases = [
            ("", "fn name() {}", "NoPanic , || name ())"),
            ("", "#[should_panic] fn name() {}", "Panic (\"\") , || name ())"),
            ("block_on = on", "async fn name() {}", "NoPanic , || on (name ()))"),
        ];
        for (arguments, item, call) in cases {
            let text = written(arguments, item).expect(item);
            let call =
                format!("global_outcome (:: alloc_testing :: __private :: Awaited :: {call}");
            assert!(text.contains(&call), "{text}");
        }
    }

    /// For a suite there are the outcome and the reason to skip it, for both kinds of tests.
    #[test]
    fn a_suite_gets_what_its_entry_names() {
        for (plain, item) in [("", "fn name(gpa: &T) {}"), (", __plain = true", "fn name() {}")] {
            let arguments = format!("__run = run, __ignored = ignored {plain}");
            let ignored = written(&arguments, &format!("#[ignore = \"why\"] {item}")).expect(item);
            for part in ["fn run ()", "const ignored", "Some (\"why\")", "judge (run ())"] {
                assert!(ignored.contains(part), "{part}: {ignored}");
            }
            assert_eq!(ignored.contains("plain_outcome"), !plain.is_empty(), "{ignored}");
            let text = written(&arguments, item).expect(item);
            assert!(text.contains("Option :: None"), "{text}");
            assert!(!text.contains("__place_of_alloc_test"), "{text}");
        }
    }

    /// In a suite, what is said of the function is on the function; the levels of lints are on both.
    #[test]
    fn attributes_are_with_what_they_are_about() {
        let item =
            "#[allow(a)] #[expect(b)] #[doc = \"why\"] #[wrapper] fn name<'a>(gpa: &'a T) {}";
        let text = written("__run = run, __ignored = ignored", item).expect(item);
        assert!(text.contains("# [allow (a)] # [expect (b)] # [wrapper] fn name < 'a >"), "{text}");
        let test =
            "# [allow (a)] # [doc = \"why\"] # [:: core :: prelude :: v1 :: test] fn name ()";
        assert!(text.contains(test), "{text}");
    }

    /// Each thing that cannot be a test says why.
    #[test]
    fn what_is_no_test_is_refused() {
        let cases = [
            ("leaks = 1", "fn f(gpa: &T) {}", "takes `live_bytes`, `requests`"),
            ("requests = 1, requests = 2", "fn f(gpa: &T) {}", "twice"),
            ("block_on = rt::block_on", "fn f(gpa: &T) {}", "is for an `async fn`"),
            ("", "struct S;", "stands on a function"),
            ("requests = 1", "fn f() {}", "about the allocator that a test takes"),
            ("", "async fn f() {}", "needs what runs it"),
            ("block_on = rt::block_on", "fn f() {}", "is for an `async fn`"),
            ("", "fn f(gpa: &T, more: u8) {}", "has one parameter, its allocator"),
            ("", "fn f(&self) {}", "has one parameter, its allocator"),
            ("", "async fn f(gpa: &T) {}", "needs what runs it"),
            ("", "const fn f(gpa: &T) {}", "no `const fn`"),
            ("", "unsafe fn f(gpa: &T) {}", "no `unsafe fn`"),
            ("", "extern \"C\" fn f(gpa: &T) {}", "Rust's own calling convention"),
            ("", "fn f<'a, A: Allocator>(gpa: &'a A) {}", "is not generic"),
            ("", "fn f<const N: usize>(gpa: &T) {}", "is not generic"),
            ("", "#[test] fn f(gpa: &T) {}", "makes it a `#[test]` by itself"),
            ("", "#[should_panic] fn f(gpa: &T) -> R {}", "returns nothing"),
            ("__plain = true", "fn f(x: u8) {}", "takes nothing"),
            ("__plain = true", "async fn f() {}", "no `async fn`"),
            ("__plain = true", "const fn f() {}", "no `const fn`"),
            ("", "#[should_panic(why = \"\")] fn f(gpa: &T) {}", "it takes `expected"),
        ];
        for (arguments, item, part) in cases {
            let error = written(arguments, item).expect_err(item);
            assert!(error.contains(part), "{item}: {error}");
        }
    }
}
