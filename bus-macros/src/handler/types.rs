//! What a macro sees of types: how they are written.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{GenericArgument, Ident, PathArguments, Type};

pub(super) fn is(ty: &Type, ident: &Ident) -> bool {
    matches!(ty, Type::Path(path) if path.path.is_ident(ident))
}

/// `T` of `Event<T>`, whatever path it is written with.
pub(super) fn argument<'a>(ty: &'a Type, name: &str) -> Option<&'a Type> {
    match *arguments(ty, name) {
        [argument] => Some(argument),
        _ => None,
    }
}

/// The types in the `<..>` of a type of this name.
pub(super) fn arguments<'a>(ty: &'a Type, name: &str) -> Vec<&'a Type> {
    let ty = match ty {
        // What a macro was given, and gives on.
        Type::Group(group) => &*group.elem,
        other => other,
    };
    let Type::Path(path) = ty else { return Vec::new() };
    let Some(last) = path.path.segments.last().filter(|last| last.ident == name) else { return Vec::new() };
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return Vec::new() };
    let types = arguments.args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    });
    types.collect()
}

/// Whether a type borrows from something that does not live for ever.
pub(super) fn borrows(ty: &Type) -> bool {
    let mut all = Vec::new();
    flatten(ty.to_token_stream(), &mut all);
    let is = |at: usize, text: &str| all.get(at).is_some_and(|token| token == text);
    (0..all.len()).any(|at| match &*all[at] {
        "&" => !(is(at + 1, "'") && is(at + 2, "static")),
        "'" => !is(at + 1, "static"),
        _ => false,
    })
}

/// Whether `impl Trait` stands in a type.
pub(super) fn says_impl(ty: &Type) -> bool {
    let mut all = Vec::new();
    flatten(ty.to_token_stream(), &mut all);
    all.iter().any(|token| token == "impl")
}

fn flatten(tokens: TokenStream, into: &mut Vec<String>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => flatten(group.stream(), into),
            other => into.push(other.to_string()),
        }
    }
}
