//! `#[derive(IntegrationEvent)]`.

mod attributes;
mod key;
mod versions;

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::{Data, DeriveInput, Error, LitStr, Path, Result, parse_quote};

use attributes::Said;

pub(crate) fn expand(input: &DeriveInput) -> TokenStream {
    let said = check_shape(input).and_then(|()| attributes::read(input));
    said.map_or_else(|error| refusal(input, &error), |said| implementation(input, &said))
}

fn check_shape(input: &DeriveInput) -> Result<()> {
    if let Data::Union(union) = &input.data {
        return Err(Error::new(union.union_token.span, "an event is a struct or an enum, not a union"));
    }
    let Some(lifetime) = input.generics.lifetimes().next() else { return Ok(()) };
    let name = &lifetime.lifetime;
    Err(Error::new_spanned(
        name,
        format!("an event owns what it holds and has no `{name}`: write `String` for `&{name} str`"),
    ))
}

/// The error, and the least that is an event where one is possible: what uses it is not to fail as well.
fn refusal(input: &DeriveInput, error: &Error) -> TokenStream {
    let error = error.to_compile_error();
    if check_shape(input).is_err() {
        return error;
    }
    let event = implement(input, &parse_quote!(::gulo), &quote! { const TYPE: &'static str = ""; });
    quote! { #error #event }
}

fn implementation(input: &DeriveInput, said: &Said) -> TokenStream {
    let (krate, event_type) = (&said.krate, &said.event_type);
    let (versions, upcast) = (said.versions.consts(), said.versions.upcast(krate));
    let topic = said.topic.as_ref().map(|topic| text("TOPIC", topic));
    let source = said.source.as_ref().map(|source| text("SOURCE", source));
    let key = said.key.as_ref().map(key::method);
    let aggregate = said.aggregate.as_ref().map(|aggregate| aggregate.method(krate));
    let helper = (key.is_some() || aggregate.is_some()).then(key::helper);
    let event = implement(
        input,
        krate,
        &quote! {
            const TYPE: &'static str = #event_type;
            #versions
            #topic
            #source
            #key
            #aggregate
            #upcast
        },
    );
    quote! { const _: () = { #helper #event }; }
}

fn text(name: &str, value: &LitStr) -> TokenStream {
    let name = Ident::new(name, Span::call_site());
    quote! { const #name: ::core::option::Option<&'static str> = ::core::option::Option::Some(#value); }
}

fn implement(input: &DeriveInput, krate: &Path, body: &TokenStream) -> TokenStream {
    let ident = &input.ident;
    let mut generics = input.generics.clone();
    if generics.type_params().next().is_some() {
        // Of the whole, not of each parameter: what serde asks of them is serde's to say.
        let (_, of, _) = input.generics.split_for_impl();
        let bounds = quote! { #krate::__private::serde::Serialize + #krate::__private::serde::de::DeserializeOwned };
        let bound = parse_quote! { #ident #of: #bounds + ::core::marker::Send + ::core::marker::Sync + 'static };
        generics.make_where_clause().predicates.push(bound);
    }
    let (with, of, holds) = generics.split_for_impl();
    quote! {
        #[automatically_derived]
        impl #with #krate::IntegrationEvent for #ident #of #holds { #body }
    }
}
