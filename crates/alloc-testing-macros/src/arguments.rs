//! The arguments of `#[alloc_test(..)]`, and what other attributes say of a test.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{
    Attribute, Error, Expr, ExprLit, Ident, ItemFn, Lit, LitBool, LitStr, Meta, Path, Result, Token,
};

/// What stands behind `#[alloc_test`.
#[derive(Default)]
pub(crate) struct Arguments {
    live_bytes: Option<Expr>,
    requests: Option<Expr>,
    settings: Option<Expr>,
    pub(crate) block_on: Option<Path>,
    /// Set by `#[suite]`.
    pub(crate) entry: Option<Entry>,
    /// Whether it stands in for a `#[test]` of a suite, whose function takes nothing; set by `#[suite]`.
    pub(crate) is_plain: bool,
}

/// What the entry of a test in its suite names.
pub(crate) struct Entry {
    /// The function that the runner calls.
    pub(crate) run: Ident,
    /// The constant that says whether the test is skipped, and why.
    pub(crate) ignored: Ident,
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut arguments = Self::default();
        let (mut run, mut ignored) = (None, None);
        while !input.is_empty() {
            let name: Ident = input.parse()?;
            input.parse::<Token![=]>()?;
            let twice = match name.to_string().as_str() {
                "live_bytes" => arguments.live_bytes.replace(input.parse()?).is_some(),
                "requests" => arguments.requests.replace(input.parse()?).is_some(),
                "settings" => arguments.settings.replace(input.parse()?).is_some(),
                "__run" => run.replace(input.parse()?).is_some(),
                "__ignored" => ignored.replace(input.parse()?).is_some(),
                "__plain" => {
                    std::mem::replace(&mut arguments.is_plain, input.parse::<LitBool>()?.value)
                }
                "block_on" => arguments.block_on.replace(input.parse()?).is_some(),
                _ => {
                    let message = "`#[alloc_test]` takes `live_bytes`, `requests`, `settings` and \
                                   `block_on`";
                    return Err(Error::new_spanned(name, message));
                }
            };
            if twice {
                return Err(Error::new_spanned(name, "it stands here twice"));
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        arguments.entry = run.zip(ignored).map(|(run, ignored)| Entry { run, ignored });
        Ok(arguments)
    }
}

impl Arguments {
    /// What is said of the test's own allocator, if anything.
    pub(crate) fn first_setting(&self) -> Option<&Expr> {
        self.live_bytes.as_ref().or(self.requests.as_ref()).or(self.settings.as_ref())
    }

    /// What runs the test, if that is a future.
    pub(crate) fn runs(&self, function: &ItemFn) -> Result<Option<&Path>> {
        match (&self.block_on, &function.sig.asyncness) {
            (None, Some(token)) => {
                let message = "an async test needs what runs it: `#[alloc_test(block_on = PATH)]`; \
                               or call `alloc_testing::run_async` in a test of your runtime";
                Err(Error::new_spanned(token, message))
            }
            (Some(path), None) => Err(Error::new_spanned(path, "`block_on` is for an `async fn`")),
            (block_on, _) => Ok(block_on.as_ref()),
        }
    }

    /// The expression for the settings of the test.
    pub(crate) fn settings(&self) -> TokenStream {
        let base = match &self.settings {
            Some(given) => quote!(::alloc_testing::__private::settings(#given)),
            None => quote!(::alloc_testing::Settings::new()),
        };
        let live_bytes = self.live_bytes.iter();
        let requests = self.requests.iter();
        quote!(#base #(.live_bytes(#live_bytes))* #(.requests(#requests))*)
    }
}

/// Takes `#[should_panic]` out of the attributes; the expression for what it says.
pub(crate) fn take_awaited(attributes: &mut Vec<Attribute>) -> Result<Option<TokenStream>> {
    let place = attributes.iter().position(|one| one.path().is_ident("should_panic"));
    let Some(place) = place else { return Ok(None) };
    let attribute = attributes.remove(place);
    let part = match &attribute.meta {
        Meta::Path(_) => LitStr::new("", proc_macro2::Span::call_site()),
        Meta::NameValue(pair) => text(&pair.value)?,
        Meta::List(list) => {
            let pairs = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)?;
            match pairs.into_iter().collect::<Vec<_>>().as_slice() {
                [Meta::NameValue(pair)] if pair.path.is_ident("expected") => text(&pair.value)?,
                _ => return Err(Error::new_spanned(list, "it takes `expected = \"..\"`")),
            }
        }
    };
    Ok(Some(quote!(::alloc_testing::__private::Awaited::Panic(#part))))
}

/// What `#[ignore]` says, if it is there: the reason, which may be empty.
pub(crate) fn ignored(attributes: &[Attribute]) -> Result<Option<LitStr>> {
    let Some(attribute) = attributes.iter().find(|one| one.path().is_ident("ignore")) else {
        return Ok(None);
    };
    match &attribute.meta {
        Meta::NameValue(pair) => text(&pair.value).map(Some),
        _ => Ok(Some(LitStr::new("", proc_macro2::Span::call_site()))),
    }
}

fn text(value: &Expr) -> Result<LitStr> {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Ok(text.clone()),
        _ => Err(Error::new_spanned(value, "a text in quotes")),
    }
}
