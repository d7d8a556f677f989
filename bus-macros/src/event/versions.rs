//! `version`, `accepts` and `upcast`: which shapes an event is read from.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::meta::ParseNestedMeta;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprLit, ExprPath, Lit, LitInt, Path, RangeLimits, Result, Token, parenthesized, token};

use crate::attribute::{Shape, value};

const VERSION: Shape = Shape("a number", "version = 2");
const ACCEPTS: Shape = Shape("a range of two numbers", "accepts = 1..=3");
const UPCAST: Shape = Shape("a list of older versions, each with a function", "upcast(1 = from_v1, 2 = from_v2)");

/// A version, and where it is written.
pub(super) struct Version(u32, LitInt);

pub(super) struct Accepts {
    first: u32,
    last: u32,
    written: Expr,
}

pub(super) struct Upcast {
    from: Version,
    function: ExprPath,
}

pub(super) struct Versions {
    version: u32,
    accepts: (u32, u32),
    upcasts: Vec<Upcast>,
}

impl Version {
    pub(super) fn read(meta: &ParseNestedMeta<'_>) -> Result<Self> {
        Self::of(value(meta, VERSION)?)
    }

    fn of(literal: LitInt) -> Result<Self> {
        match literal.base10_parse() {
            Ok(0) => Err(Error::new_spanned(literal, "versions begin at 1")),
            Ok(version) => Ok(Self(version, literal)),
            Err(_) => Err(Error::new_spanned(literal, format!("a version is a whole number from 1 to {}", u32::MAX))),
        }
    }
}

impl Accepts {
    pub(super) fn read(meta: &ParseNestedMeta<'_>) -> Result<Self> {
        let written: Expr = value(meta, ACCEPTS)?;
        let problem = || Error::new_spanned(&written, ACCEPTS.sentence("accepts"));
        let Expr::Range(range) = &written else { return Err(problem()) };
        let ends = [&range.start, &range.end].map(|end| end.as_deref().and_then(number).cloned());
        let ([Some(first), Some(last)], RangeLimits::Closed(_)) = (ends, range.limits) else { return Err(problem()) };
        let (first, last) = (Version::of(first)?.0, Version::of(last)?.0);
        Ok(Self { first, last, written })
    }
}

const fn number(expression: &Expr) -> Option<&LitInt> {
    match expression {
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => Some(number),
        _ => None,
    }
}

impl Upcast {
    pub(super) fn read(meta: &ParseNestedMeta<'_>) -> Result<Vec<Self>> {
        let problem = || Error::new(meta.path.span(), UPCAST.sentence("upcast"));
        if !meta.input.peek(token::Paren) {
            return Err(problem());
        }
        let arms;
        parenthesized!(arms in meta.input);
        let arms: Vec<_> = Punctuated::<Self, Token![,]>::parse_terminated(&arms)?.into_iter().collect();
        if arms.is_empty() {
            return Err(problem());
        }
        Ok(arms)
    }
}

impl Parse for Upcast {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let explained = |error: Error| Error::new(error.span(), UPCAST.sentence("upcast"));
        let from = Version::of(input.parse().map_err(explained)?)?;
        let _: Token![=] = input.parse().map_err(explained)?;
        match input.parse().map_err(explained)? {
            Expr::Path(function) => Ok(Self { from, function }),
            other => Err(Error::new_spanned(other, UPCAST.sentence("upcast"))),
        }
    }
}

impl Versions {
    pub(super) fn checked(
        version: Option<Version>,
        accepts: Option<Accepts>,
        upcasts: Option<Vec<Upcast>>,
    ) -> Result<Self> {
        let upcasts = upcasts.unwrap_or_default();
        let (own, said) = (version.as_ref().map_or(1, |version| version.0), version.is_some());
        let accepted = match &accepts {
            Some(accepts) => accepts.around(own, said)?,
            None => (upcasts.iter().map(|upcast| upcast.from.0).min().unwrap_or(own).min(own), own),
        };
        for (at, upcast) in upcasts.iter().enumerate() {
            let Version(from, literal) = &upcast.from;
            let problem = if upcasts[..at].iter().any(|earlier| earlier.from.0 == *from) {
                format!("version {from} has two functions")
            } else if *from >= own {
                format!("version {from} is not older than the event's own, {}", told(own, said))
            } else if *from < accepted.0 {
                format!("`accepts` leaves out version {from}, so nothing would be upcast from it")
            } else {
                continue;
            };
            return Err(Error::new_spanned(literal, problem));
        }
        Ok(Self { version: own, accepts: accepted, upcasts })
    }

    pub(super) fn consts(&self) -> TokenStream {
        let (version, (first, last)) = (self.version, self.accepts);
        quote! {
            const VERSION: ::core::primitive::u32 = #version;
            const ACCEPTS: ::core::ops::RangeInclusive<::core::primitive::u32> = #first..=#last;
        }
    }

    pub(super) fn upcast(&self, krate: &Path) -> Option<TokenStream> {
        // Names of the method's own: a function of the application's may have them too.
        let [version, older] = ["version", "older"].map(|name| Ident::new(name, Span::mixed_site()));
        let arms = self.upcasts.iter().map(|Upcast { from: Version(from, _), function }| {
            // Where the function is written, for that is where its types do not fit.
            let upcast =
                quote_spanned!(function.span()=> #krate::event::Upcast::<Self>::upcast(#function(#older.decode()?)));
            quote!(#from => #upcast)
        });
        let arms = arms.collect::<Vec<_>>();
        (!arms.is_empty()).then(|| {
            quote! {
                fn upcast(#version: ::core::primitive::u32, #older: #krate::codec::Encoded<'_>) -> #krate::Result<Self> {
                    match #version {
                        #(#arms,)*
                        _ => #older.decode(),
                    }
                }
            }
        })
    }
}

impl Accepts {
    fn around(&self, own: u32, said: bool) -> Result<(u32, u32)> {
        let written = self.written.to_token_stream();
        if self.first > self.last {
            return Err(Error::new_spanned(
                written,
                format!("`accepts` is empty: write `accepts = {}..={}`", self.last, self.first),
            ));
        }
        if (self.first..=self.last).contains(&own) {
            return Ok((self.first, self.last));
        }
        Err(Error::new_spanned(written, format!("`accepts` leaves out the event's own version, {}", told(own, said))))
    }
}

/// The event's own version, and where that comes from.
fn told(own: u32, said: bool) -> String {
    if said { format!("`version = {own}`") } else { "which is 1 where `version = ..` is not said".to_owned() }
}
