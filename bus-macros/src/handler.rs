//! `#[gulo::handler]`: the function as it is, and beside it one that compiles where the function is a handler.

mod arguments;
mod future;
mod signature;
mod terms;
mod types;

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Attribute, Error, Path, Result, Signature, Visibility, parse_quote, token};

use crate::attribute::{krate, name, once, unknown};

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let beside = Options::read(args).and_then(|options| Ok(beside(&read(item.clone())?, &options)));
    let beside = beside.unwrap_or_else(|error| error.to_compile_error());
    quote! { #item #beside }
}

/// What stands in the attribute.
struct Options {
    raw: bool,
    krate: Path,
}

impl Options {
    fn read(args: TokenStream) -> Result<Self> {
        let (mut raw, mut path) = (None, None);
        let read = syn::meta::parser(|meta| match &*name(&meta) {
            "raw" => once(&mut raw, &meta, |_| Ok(())),
            "crate" => once(&mut path, &meta, krate),
            _ => Err(unknown(&meta, "handler", &["raw", "crate"])),
        });
        read.parse2(args)?;
        Ok(Self { raw: raw.is_some(), krate: path.unwrap_or_else(|| parse_quote!(::gulo)) })
    }
}

/// A function whose body is as it came: what is wrong in there is the compiler's to say.
struct Function {
    attributes: Vec<Attribute>,
    signature: Signature,
    body: TokenStream,
}

fn read(item: TokenStream) -> Result<Function> {
    syn::parse2(item).map_err(|error| Error::new(error.span(), "a handler is an `async fn` with a body"))
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        let _: Visibility = input.parse()?;
        let signature = input.parse()?;
        if !input.peek(token::Brace) {
            return Err(input.error("no body"));
        }
        Ok(Self { attributes, signature, body: input.parse()? })
    }
}

fn beside(function: &Function, options: &Options) -> TokenStream {
    let Function { attributes, signature, .. } = function;
    let (mut checks, errors) = signature::read(signature, options);
    let mut copy = None;
    if errors.is_empty() {
        let (around, future) = future::of(function);
        copy = around;
        checks.push(quote! { sent_between_threads(#future); });
    }
    let errors = errors.iter().map(Error::to_compile_error);
    let terms = terms::of(&options.krate, options.raw);
    let configured = attributes.iter().filter(|attribute| attribute.path().is_ident("cfg"));
    let name = format_ident!("__gulo_handler_{}", signature.ident);
    let (generics, _, bounds) = signature.generics.split_for_impl();
    quote! {
        #(#errors)*
        #(#configured)*
        #[doc(hidden)]
        #[allow(warnings)]
        fn #name #generics() #bounds {
            #copy
            {
                #terms
                #(#checks)*
            }
        }
    }
}
