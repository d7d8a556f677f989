//! `key` and `aggregate`: texts made of an event's fields and methods.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::meta::ParseNestedMeta;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{
    Data, DeriveInput, Error, Expr, ExprLit, Fields, Ident, Index, Lit, LitStr, Member, Path, Result, Token,
    parenthesized, token,
};

use super::attributes::{KIND, text};
use crate::attribute::{Shape, name, once, unknown, value};
use crate::words;

/// What a text is made of: one part, or several with a `/` between them.
pub(super) struct Key(Vec<Part>);

pub(super) struct Aggregate {
    kind: LitStr,
    pub(super) id: Key,
}

/// A field, a field of a field, or a method without arguments.
struct Part {
    written: Expr,
    /// The event's own field that it begins with; `None` for a method.
    field: Option<Member>,
    /// What stands behind `self.`.
    path: TokenStream,
}

const WHAT: &str = "a field, or a method without arguments, or several";
// Three examples, each in quotes of its own.
pub(super) const KEY: Shape = Shape(WHAT, "key = field`, `key = method()` or `key(field, other)");
const ID: Shape = Shape(WHAT, "id = field`, `id = method()` or `id(field, other)");

impl Key {
    /// Of `name = field` and `name(field, field)`.
    pub(super) fn read(meta: &ParseNestedMeta<'_>, shape: Shape) -> Result<Self> {
        let name = name(meta);
        if !meta.input.peek(token::Paren) {
            return Ok(Self(vec![Part::of(value(meta, shape)?, &name, shape)?]));
        }
        let parts;
        parenthesized!(parts in meta.input);
        let parts = Punctuated::<Expr, Token![,]>::parse_terminated(&parts)?;
        if parts.is_empty() {
            return Err(Error::new(meta.path.span(), shape.sentence(&name)));
        }
        Ok(Self(parts.into_iter().map(|part| Part::of(part, &name, shape)).collect::<Result<_>>()?))
    }

    pub(super) fn check(&self, input: &DeriveInput) -> Result<()> {
        self.0.iter().try_for_each(|part| part.check(input))
    }

    /// An expression of type `Option<String>`, in a function that gives one.
    fn text(&self) -> TokenStream {
        let parts = self.0.iter().map(Part::text);
        match &*self.0 {
            [part] => part.text(),
            _ => quote! { ::core::option::Option::Some([#(#parts?),*].join("/")) },
        }
    }
}

impl Part {
    fn of(written: Expr, name: &str, shape: Shape) -> Result<Self> {
        match steps(&written) {
            Some((field, path)) => Ok(Self { written, field, path }),
            None => Err(Error::new_spanned(&written, not_a_part(&written, name, shape))),
        }
    }

    fn check(&self, input: &DeriveInput) -> Result<()> {
        let Some(field) = &self.field else { return Ok(()) };
        let Data::Struct(data) = &input.data else {
            let problem = "an enum has no field that all its variants have: write a method in its place, `method()`";
            return Err(Error::new_spanned(field, problem));
        };
        if data.fields.members().any(|member| member == *field) {
            return Ok(());
        }
        Err(Error::new_spanned(field, no_field(&input.ident, field, &data.fields)))
    }

    fn text(&self) -> TokenStream {
        // Where the part is written, for that is what may not be `Display`; `self` is the method's all the same.
        let span = Span::call_site().located_at(self.written.span());
        let path = &self.path;
        quote_spanned!(span=> __GuloPart(&self.#path).__gulo_text())
    }
}

/// `user_id`, `0`, `customer.id`, `0.1`, `partition_key()` and `customer.key()`, as what stands behind `self.`.
fn steps(expression: &Expr) -> Option<(Option<Member>, TokenStream)> {
    match expression {
        Expr::Path(path) => {
            let field = path.path.get_ident().filter(|ident| *ident != "self")?;
            Some((Some(Member::Named(field.clone())), field.to_token_stream()))
        }
        Expr::Lit(ExprLit { lit: Lit::Int(index), .. }) => {
            let field = Member::Unnamed(Index { index: index.base10_parse().ok()?, span: index.span() });
            Some((Some(field.clone()), field.to_token_stream()))
        }
        // `0.1`, the second field of the first one, is a number to who does not know better.
        Expr::Lit(ExprLit { lit: Lit::Float(indices), .. }) => {
            let (first, second) = indices.base10_digits().split_once('.')?;
            let index = |digits: &str| Some(Index { index: digits.parse().ok()?, span: indices.span() });
            let (first, second) = (index(first)?, index(second)?);
            Some((Some(Member::Unnamed(first.clone())), quote!(#first.#second)))
        }
        Expr::Call(call) if call.args.is_empty() => {
            let Expr::Path(method) = &*call.func else { return None };
            let method = method.path.get_ident()?;
            Some((None, quote!(#method())))
        }
        Expr::Field(field) => {
            let ((first, path), member) = (steps(&field.base)?, &field.member);
            Some((first, quote!(#path.#member)))
        }
        Expr::MethodCall(call) if call.args.is_empty() && call.turbofish.is_none() => {
            let ((first, path), method) = (steps(&call.receiver)?, &call.method);
            Some((first, quote!(#path.#method())))
        }
        _ => None,
    }
}

fn not_a_part(written: &Expr, name: &str, shape: Shape) -> String {
    match written {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => {
            format!("`{name}` names a field, and names have no quotes: write `{name} = {}`", text.value())
        }
        _ if written.to_token_stream().to_string().starts_with("self") => {
            format!("`{name}` begins at the event itself: leave `self` out")
        }
        _ => shape.sentence(name),
    }
}

fn no_field(event: &Ident, field: &Member, fields: &Fields) -> String {
    let name = |member: &Member| member.to_token_stream().to_string();
    let (field, known) = (name(field), fields.members().map(|member| name(&member)).collect::<Vec<_>>());
    if known.is_empty() {
        return format!("`{event}` has no field `{field}`, and no other. A method is written `{field}()`");
    }
    words::unknown(&event.to_string(), "field ", &field, &known)
}

impl Aggregate {
    pub(super) fn read(meta: &ParseNestedMeta<'_>) -> Result<Self> {
        let shape = Shape("a kind and an id", "aggregate(kind = \"user\", id = user_id)");
        let incomplete = || Error::new(meta.path.span(), shape.sentence("aggregate"));
        if !meta.input.peek(token::Paren) {
            return Err(incomplete());
        }
        let (mut kind, mut id) = (None, None);
        meta.parse_nested_meta(|inner| match &*name(&inner) {
            "kind" => once(&mut kind, &inner, kind_of_thing),
            "id" => once(&mut id, &inner, |inner| Key::read(inner, ID)),
            _ => Err(unknown(&inner, "aggregate", &["kind", "id"])),
        })?;
        kind.zip(id).map(|(kind, id)| Self { kind, id }).ok_or_else(incomplete)
    }

    pub(super) fn method(&self, krate: &Path) -> TokenStream {
        let (kind, id) = (&self.kind, self.id.text());
        quote! {
            fn aggregate(&self) -> ::core::option::Option<#krate::event::Aggregate> {
                ::core::option::Option::Some(#krate::event::Aggregate::new(#kind, #id?))
            }
        }
    }
}

fn kind_of_thing(meta: &ParseNestedMeta<'_>) -> Result<LitStr> {
    let kind = text(meta, KIND)?;
    if kind.value().contains('/') {
        let problem = "a kind has no slash: an aggregate is `kind/id` on the wire, and the first slash ends the kind";
        return Err(Error::new_spanned(kind, problem));
    }
    Ok(kind)
}

pub(super) fn method(key: &Key) -> TokenStream {
    let text = key.text();
    quote! {
        fn key(&self) -> ::core::option::Option<::std::string::String> { #text }
    }
}

/// A part as text. What is an `Option` has its own method, which goes before that of the trait for all others: a macro
/// sees no types, and a method of the event may give either. The names are nobody else's, and lints do not ask whether
/// they are used.
pub(super) fn helper() -> TokenStream {
    quote! {
        struct __GuloPart<'part, T: ?::core::marker::Sized>(&'part T);

        impl<T> __GuloPart<'_, ::core::option::Option<T>> {
            fn __gulo_text(&self) -> ::core::option::Option<::std::string::String>
            where
                T: ::core::fmt::Display,
            {
                self.0.as_ref().map(::std::string::ToString::to_string)
            }
        }

        trait __GuloPlain<T: ?::core::marker::Sized> {
            fn __gulo_text(&self) -> ::core::option::Option<::std::string::String>
            where
                T: ::core::fmt::Display;
        }

        impl<T: ?::core::marker::Sized> __GuloPlain<T> for __GuloPart<'_, T> {
            fn __gulo_text(&self) -> ::core::option::Option<::std::string::String>
            where
                T: ::core::fmt::Display,
            {
                ::core::option::Option::Some(::std::string::ToString::to_string(self.0))
            }
        }
    }
}
