//! What a handler takes and gives back: what is wrong as it is written, and what the compiler is to look at.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, FnArg, Result, ReturnType, Safety, Signature, Type};

use super::Options;
use super::arguments::Arguments;
use super::types;

/// Statements, for where the `terms` are in scope, and errors.
pub(super) fn read(signature: &Signature, options: &Options) -> (Vec<TokenStream>, Vec<Error>) {
    let types = signature.inputs.iter().filter_map(|argument| match argument {
        FnArg::Typed(argument) => Some(&*argument.ty),
        FnArg::Receiver(_) => None,
    });
    let arguments = Arguments { types: types.collect(), generics: &signature.generics, krate: &options.krate };
    let mut results = vec![function(signature, options.raw), Ok(returned(&signature.output))];
    results.extend((0..arguments.types.len()).map(|at| arguments.check(at, options.raw)));
    let (mut checks, mut errors) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(check) => checks.push(check),
            Err(error) => errors.push(error),
        }
    }
    (checks, errors)
}

fn function(signature: &Signature, raw: bool) -> Result<TokenStream> {
    if let Some(receiver) = signature.receiver() {
        let problem = "a handler has no `self`: what it needs it takes as `State(name): State<T>`. A type that is a handler \
                       implements `gulo::handler::Handler`";
        return Err(Error::new_spanned(receiver, problem));
    }
    if signature.asyncness.is_none() {
        let problem = format!("a handler is an `async fn`: write `async fn {}`", signature.ident);
        return Err(Error::new_spanned(signature.fn_token, problem));
    }
    if let Safety::Unsafe(word) = &signature.safety {
        return Err(Error::new_spanned(word, "a handler is not `unsafe`: the bus cannot know what to take care of"));
    }
    if signature.inputs.is_empty() {
        let problem = if raw {
            "a handler of raw messages takes at least one argument: write `Payload(bytes): Payload` or `message: Message`"
        } else {
            "a handler takes its event: write `Event(event): Event<T>`, `T` the type of the event"
        };
        return Err(Error::new_spanned(&signature.ident, problem));
    }
    Ok(TokenStream::new())
}

fn returned(output: &ReturnType) -> TokenStream {
    match output {
        // What `impl` stands for has no name to ask by.
        ReturnType::Type(_, ty) if !types::says_impl(ty) => match *types::arguments(ty, "Result") {
            [Type::Tuple(unit), error] if unit.elems.is_empty() => quote! { let _ = <#error as ErrorOfAHandler>::OK; },
            _ => quote! { let _ = <#ty as ReturnedByAHandler>::OK; },
        },
        _ => TokenStream::new(),
    }
}
