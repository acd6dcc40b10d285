//! What decides whether an item is there: `#[cfg(..)]`, also inside `#[cfg_attr(..)]`.
//!
//! A suite is written before the compiler has resolved either, and its entry of a test must be there if and
//! only if the test is.

use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::Attribute;

/// The conditions among these attributes, as attributes; of a `cfg_attr` what is no condition is left out.
pub(crate) fn conditions(attributes: &[Attribute]) -> Vec<TokenStream> {
    let found = attributes.iter().filter_map(|one| condition(one.meta.to_token_stream()));
    found.map(|condition| quote!(#[#condition])).collect()
}

/// The attribute that makes a test of a function where a `cfg_attr` holds.
pub(crate) fn hidden_test(attributes: &[Attribute]) -> Option<&Attribute> {
    attributes.iter().find(|one| {
        let parts = parts_of_cfg_attr(one.meta.to_token_stream());
        parts.is_some_and(|parts| parts[1..].iter().any(is_test))
    })
}

/// What of an attribute decides whether the item is there.
fn condition(attribute: TokenStream) -> Option<TokenStream> {
    if name(&attribute).is_some_and(|name| name == "cfg") {
        return Some(attribute);
    }
    let parts = parts_of_cfg_attr(attribute)?;
    let (predicate, rest) = (&parts[0], parts[1..].to_vec());
    let conditions: Vec<_> = rest.into_iter().filter_map(condition).collect();
    (!conditions.is_empty()).then(|| quote!(cfg_attr(#predicate, #(#conditions),*)))
}

/// Whether an attribute makes a test, or is a `cfg_attr` that does.
fn is_test(attribute: &TokenStream) -> bool {
    let is_named = name(attribute).is_some_and(|name| name == "test" || name == "alloc_test");
    let parts = || parts_of_cfg_attr(attribute.clone());
    is_named || parts().is_some_and(|parts| parts[1..].iter().any(is_test))
}

/// The last part of the path that an attribute begins with.
fn name(attribute: &TokenStream) -> Option<String> {
    let path = attribute.clone().into_iter().take_while(|token| match token {
        TokenTree::Ident(_) => true,
        TokenTree::Punct(mark) => mark.as_char() == ':',
        _ => false,
    });
    path.filter(|token| matches!(token, TokenTree::Ident(_))).last().map(|name| name.to_string())
}

/// What stands between the commas of `cfg_attr(..)`, the predicate first.
fn parts_of_cfg_attr(attribute: TokenStream) -> Option<Vec<TokenStream>> {
    if name(&attribute)? != "cfg_attr" {
        return None;
    }
    let Some(TokenTree::Group(inside)) = attribute.into_iter().last() else { return None };
    let is_comma =
        |token: &TokenTree| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ',');
    let tokens: Vec<_> = inside.stream().into_iter().collect();
    Some(tokens.split(is_comma).map(|part| part.iter().cloned().collect()).collect())
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    /// Conditions stay in the order that they have, with what they depend on; all else goes.
    #[test]
    fn only_conditions_stay() {
        let attributes: [Attribute; 5] = [
            parse_quote!(#[doc = "cfg"]),
            parse_quote!(#[cfg(unix)]),
            parse_quote!(#[cfg_attr(true, ignore = "why", cfg(windows), doc = "a, b")]),
            parse_quote!(#[cfg_attr(all(unix, miri), cfg_attr(feature = "x", should_panic(expected = "y"), cfg(a)))]),
            parse_quote!(#[cfg_attr(unix, ignore)]),
        ];
        let text: Vec<_> = conditions(&attributes).iter().map(ToString::to_string).collect();
        let expected = [
            quote!(#[cfg(unix)]),
            quote!(#[cfg_attr(true, cfg(windows))]),
            quote!(#[cfg_attr(all(unix, miri), cfg_attr(feature = "x", cfg(a)))]),
        ];
        assert_eq!(text, expected.map(|one| one.to_string()));
    }

    /// A test is found at each depth, and only where an attribute is one.
    #[test]
    fn tests_are_found_inside() {
        let hidden = |attribute: Attribute| hidden_test(&[attribute]).is_some();
        assert!(hidden(parse_quote!(#[cfg_attr(unix, test)])));
        assert!(hidden(
            parse_quote!(#[cfg_attr(unix, ignore, alloc_testing::alloc_test(requests = 1))])
        ));
        assert!(hidden(parse_quote!(#[cfg_attr(unix, cfg_attr(miri, core::prelude::v1::test))])));
        assert!(!hidden(parse_quote!(#[cfg_attr(test, ignore)])));
        assert!(!hidden(parse_quote!(#[cfg_attr(unix, cfg(test), doc = "test")])));
        assert!(!hidden(parse_quote!(#[test])));
    }
}
