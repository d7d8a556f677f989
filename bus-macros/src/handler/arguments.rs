//! What a handler takes.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, Generics, Path, Result, Type, WherePredicate};

use super::types;

/// What a handler of events takes beside its event, at most.
const MOST: usize = 4;

/// What a handler of raw messages takes, at most.
const MOST_RAW: usize = 5;

pub(super) struct Arguments<'a> {
    pub(super) types: Vec<&'a Type>,
    pub(super) generics: &'a Generics,
    pub(super) krate: &'a Path,
}

impl Arguments<'_> {
    pub(super) fn check(&self, at: usize, raw: bool) -> Result<TokenStream> {
        let ty = self.types[at];
        let problem = if raw { self.misplaced_raw(at) } else { self.misplaced(at) };
        match (problem, types::argument(ty, "Event")) {
            (Some(problem), _) => Err(Error::new_spanned(ty, problem)),
            (None, Some(event)) => self.event(ty, event),
            // Another name for `Event<T>`, it may be.
            (None, None) if at == 0 && !raw && !self.says_event_anywhere() => {
                owned(ty)?;
                Ok(quote! { let _ = <<#ty as FirstOfAHandler>::Event as EventOfAHandler>::OK; })
            }
            (None, None) => self.further(ty),
        }
    }

    fn misplaced(&self, at: usize) -> Option<&'static str> {
        let says_event = |at: usize| types::argument(self.types[at], "Event").is_some();
        if at > 0 && says_event(at) {
            return Some(if says_event(0) {
                "a handler takes one event: write a handler for each"
            } else {
                "the event comes first, before all else that a handler takes"
            });
        }
        (at == 1 + MOST)
            .then_some("a handler takes at most four arguments beside its event: put states together in one type")
    }

    fn misplaced_raw(&self, at: usize) -> Option<&'static str> {
        if types::argument(self.types[at], "Event").is_some() {
            return Some("a handler of raw messages has no event: write `Payload(bytes): Payload` or leave `raw` out");
        }
        (at == MOST_RAW)
            .then_some("a handler of raw messages takes at most five arguments: put states together in one type")
    }

    fn says_event_anywhere(&self) -> bool {
        self.types.iter().any(|ty| types::argument(ty, "Event").is_some())
    }

    fn event(&self, ty: &Type, event: &Type) -> Result<TokenStream> {
        if types::borrows(event) {
            let problem = "a handler owns its event: write a type without borrows. What borrows from a message is read out of \
                           its `Payload`, by a handler of raw messages: `#[gulo::handler(raw)]`";
            return Err(Error::new_spanned(event, problem));
        }
        owned(ty)?;
        let krate = self.krate;
        let event = self.ask(
            event,
            "IntegrationEvent",
            &quote! { <#event as #krate::IntegrationEvent>::VERSION },
            &quote! { <#event as EventOfAHandler>::OK },
        )?;
        Ok(quote! { let _ = <#ty as FirstOfAHandler>::OK; #event })
    }

    fn further(&self, ty: &Type) -> Result<TokenStream> {
        owned(ty)?;
        let krate = self.krate;
        let Some(state) = types::argument(ty, "State") else {
            return self.ask(
                ty,
                "gulo::handler::FromContext",
                &quote! { <#ty as #krate::handler::FromContext>::requirement },
                &quote! { <#ty as TakenByAHandler>::OK },
            );
        };
        let cloned = self.ask(
            state,
            "Clone + Send + Sync + 'static",
            &quote! { <#state as ::core::clone::Clone>::clone },
            &quote! { <#state as StateOfAHandler>::OK },
        )?;
        let taken = quote_spanned!(ty.span()=> OfAHandler::<#ty>::take());
        Ok(quote! { #cloned shared_between_threads::<#state>(); #taken; })
    }

    /// `term`, but of a type parameter `of_param`: what the compiler then says it lacks is to be a trait that it can be given.
    fn ask(&self, ty: &Type, bound: &str, of_param: &TokenStream, term: &TokenStream) -> Result<TokenStream> {
        let Some(param) = self.generics.type_params().find(|param| types::is(ty, &param.ident)) else {
            return Ok(quote! { let _ = #term; });
        };
        let mut predicates = self.generics.where_clause.iter().flat_map(|clause| &clause.predicates);
        let bounds =
            |of: &WherePredicate| matches!(of, WherePredicate::Type(of) if types::is(&of.bounded_ty, &param.ident));
        if param.bounds.is_empty() && !predicates.any(bounds) {
            let name = &param.ident;
            return Err(Error::new_spanned(ty, format!("`{name}` can be any type here: write `<{name}: {bound}>`")));
        }
        Ok(quote! { let _ = #of_param; })
    }
}

fn owned(ty: &Type) -> Result<()> {
    if matches!(ty, Type::Reference(_)) {
        return Err(Error::new_spanned(ty, "a handler takes its arguments by value: write the type without `&`"));
    }
    if types::says_impl(ty) {
        let problem =
            "what a handler takes has a name: behind the handler's own write `<T: ..>`, and `T` in place of `impl ..`";
        return Err(Error::new_spanned(ty, problem));
    }
    Ok(())
}
