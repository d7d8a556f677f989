//! What `#[event(..)]` says.

use proc_macro2::TokenTree;
use syn::meta::ParseNestedMeta;
use syn::{Attribute, Data, DeriveInput, Error, Fields, LitStr, Meta, Path, Result, parse_quote};

use super::key::{Aggregate, KEY, Key};
use super::versions::{Accepts, Upcast, Version, Versions};
use crate::attribute::{Shape, krate, name, once, unknown, value};
use crate::words;

const KNOWN: [&str; 9] = ["type", "version", "accepts", "upcast", "topic", "source", "key", "aggregate", "crate"];

const TEXT: &str = "a text in quotes";
const TYPE: Shape = Shape(TEXT, "type = \"user.registered\"");
const TOPIC: Shape = Shape(TEXT, "topic = \"users\"");
const SOURCE: Shape = Shape(TEXT, "source = \"billing\"");
pub(super) const KIND: Shape = Shape(TEXT, "kind = \"user\"");

/// What `IntegrationEvent::TYPE` may be long, in bytes.
const MOST_OF_A_TYPE: usize = 256;

pub(super) struct Said {
    pub(super) krate: Path,
    pub(super) event_type: LitStr,
    pub(super) versions: Versions,
    pub(super) topic: Option<LitStr>,
    pub(super) source: Option<LitStr>,
    pub(super) key: Option<Key>,
    pub(super) aggregate: Option<Aggregate>,
}

#[derive(Default)]
struct Written {
    event_type: Option<LitStr>,
    version: Option<Version>,
    accepts: Option<Accepts>,
    upcasts: Option<Vec<Upcast>>,
    topic: Option<LitStr>,
    source: Option<LitStr>,
    key: Option<Key>,
    aggregate: Option<Aggregate>,
    krate: Option<Path>,
}

pub(super) fn read(input: &DeriveInput) -> Result<Said> {
    if let Some(stray) = inner_attributes(input).into_iter().find(|attribute| attribute.path().is_ident("event")) {
        let problem = "`#[event(..)]` stands above the event and names its fields: `#[event(key = field)]`";
        return Err(Error::new_spanned(stray, problem));
    }
    let mut written = Written::default();
    for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("event")) {
        unnamed(attribute)?;
        attribute.parse_nested_meta(|meta| written.take(&meta))?;
    }
    written.checked(input)
}

/// Of fields and variants: the compiler lets `event` stand there too, and nobody would read it.
fn inner_attributes(input: &DeriveInput) -> Vec<&Attribute> {
    match &input.data {
        Data::Struct(data) => of_fields(&data.fields),
        Data::Enum(data) => data.variants.iter().flat_map(|v| v.attrs.iter().chain(of_fields(&v.fields))).collect(),
        Data::Union(_) => Vec::new(),
    }
}

fn of_fields(fields: &Fields) -> Vec<&Attribute> {
    fields.iter().flat_map(|field| &field.attrs).collect()
}

/// `#[event("user.registered")]`.
fn unnamed(attribute: &Attribute) -> Result<()> {
    let Meta::List(list) = &attribute.meta else { return Ok(()) };
    match list.tokens.clone().into_iter().next() {
        Some(TokenTree::Literal(text)) => Err(Error::new(text.span(), format!("write `type = {text}`"))),
        _ => Ok(()),
    }
}

impl Written {
    fn take(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        match &*name(meta) {
            "type" => once(&mut self.event_type, meta, event_type),
            "version" => once(&mut self.version, meta, Version::read),
            "accepts" => once(&mut self.accepts, meta, Accepts::read),
            "upcast" => once(&mut self.upcasts, meta, Upcast::read),
            "topic" => once(&mut self.topic, meta, |meta| text(meta, TOPIC)),
            "source" => once(&mut self.source, meta, |meta| text(meta, SOURCE)),
            "key" => once(&mut self.key, meta, |meta| Key::read(meta, KEY)),
            "aggregate" => once(&mut self.aggregate, meta, Aggregate::read),
            "crate" => once(&mut self.krate, meta, krate),
            _ => Err(unknown(meta, "event", &KNOWN)),
        }
    }

    fn checked(self, input: &DeriveInput) -> Result<Said> {
        let event_type = self.event_type.ok_or_else(|| missing_type(input))?;
        let versions = Versions::checked(self.version, self.accepts, self.upcasts)?;
        for key in self.key.iter().chain(self.aggregate.as_ref().map(|aggregate| &aggregate.id)) {
            key.check(input)?;
        }
        let krate = self.krate.unwrap_or_else(|| parse_quote!(::gulo));
        let Self { topic, source, key, aggregate, .. } = self;
        Ok(Said { krate, event_type, versions, topic, source, key, aggregate })
    }
}

/// A text that says something.
pub(super) fn text(meta: &ParseNestedMeta<'_>, shape: Shape) -> Result<LitStr> {
    let text: LitStr = value(meta, shape)?;
    if text.value().trim().is_empty() {
        let Shape(_, example) = shape;
        return Err(Error::new_spanned(text, format!("`{}` is empty: write `{example}`", name(meta))));
    }
    Ok(text)
}

fn event_type(meta: &ParseNestedMeta<'_>) -> Result<LitStr> {
    let text = text(meta, TYPE)?;
    let (bytes, value) = (text.value().len(), text.value());
    if bytes > MOST_OF_A_TYPE {
        return Err(Error::new_spanned(text, format!("`type` has {bytes} bytes, and {MOST_OF_A_TYPE} is the most")));
    }
    if value.chars().any(char::is_control) {
        return Err(Error::new_spanned(text, "`type` has a control character in it, such as a line break"));
    }
    Ok(text)
}

fn missing_type(input: &DeriveInput) -> Error {
    let example = words::event_type_of(&input.ident.to_string());
    let problem = format!("an event has a type, its name on the wire: write `#[event(type = \"{example}\")]`");
    Error::new_spanned(&input.ident, problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_type(text: &str) -> Result<Said> {
        read(&parse_quote! { #[event(type = #text)] struct Long; })
    }

    #[test]
    fn a_type_has_at_most_256_bytes() {
        assert!(read_type(&"x".repeat(256)).is_ok());
        let error = read_type(&"é".repeat(129)).err().expect("258 bytes").to_string();
        assert_eq!(error, "`type` has 258 bytes, and 256 is the most");
    }
}
