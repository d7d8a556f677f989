//! A call of the handler, for the sake of the future that it gives.

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::GenericParam;

use super::Function;

/// An expression, and what must stand in a scope around it.
///
/// A macro does not see whether it stands in an `impl`, and so not by which name the function is called there; only where it says
/// `Self` this is sure. All others are called by a copy, which is right in both places.
pub(super) fn of(function: &Function) -> (Option<TokenStream>, TokenStream) {
    let Function { signature, body, .. } = function;
    let in_impl = says_self(signature.to_token_stream()) || says_self(body.clone());
    let copy = (!in_impl).then(|| quote! { #signature #body });
    let generics = signature.generics.params.iter().filter_map(|param| match param {
        GenericParam::Type(param) => Some(&param.ident),
        GenericParam::Const(param) => Some(&param.ident),
        _ => None,
    });
    let arguments = signature.inputs.iter().map(|_| quote!(argument()));
    let (place, name) = (in_impl.then(|| quote!(Self::)), &signature.ident);
    // Where the function's name is, for that is where the compiler then tells of a future that is not `Send`.
    let span = Span::call_site().located_at(name.span());
    (copy, quote_spanned!(span=> #place #name::<#(#generics),*>(#(#arguments),*)))
}

/// Items in a body have a `Self` of their own.
fn says_self(tokens: TokenStream) -> bool {
    let mut in_item = false;
    tokens.into_iter().any(|token| match token {
        TokenTree::Group(group) if in_item && group.delimiter() == Delimiter::Brace => {
            in_item = false;
            false
        }
        TokenTree::Group(group) => !in_item && says_self(group.stream()),
        TokenTree::Ident(ident) if ident == "impl" || ident == "trait" || ident == "struct" || ident == "enum" => {
            in_item = true;
            false
        }
        TokenTree::Ident(ident) => !in_item && ident == "Self",
        TokenTree::Punct(punct) => {
            in_item &= punct.as_char() != ';';
            false
        }
        TokenTree::Literal(_) => false,
    })
}
