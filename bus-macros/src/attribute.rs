//! Reading what stands in an attribute, and telling what does not fit there.

use syn::meta::ParseNestedMeta;
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Error, Path, Result, Token};

use crate::words;

pub(crate) fn name(meta: &ParseNestedMeta<'_>) -> String {
    let names: Vec<_> = meta.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
    names.join("::")
}

pub(crate) fn once<T>(
    slot: &mut Option<T>,
    meta: &ParseNestedMeta<'_>,
    read: impl FnOnce(&ParseNestedMeta<'_>) -> Result<T>,
) -> Result<()> {
    if slot.is_some() {
        return Err(Error::new(meta.path.span(), format!("`{}` is said twice", name(meta))));
    }
    *slot = Some(read(meta)?);
    Ok(())
}

pub(crate) fn unknown(meta: &ParseNestedMeta<'_>, of: &str, known: &[&str]) -> Error {
    let known: Vec<_> = known.iter().map(ToString::to_string).collect();
    Error::new(meta.path.span(), words::unknown(&format!("{of}(..)"), "", &name(meta), &known))
}

/// What an attribute's value is, in words and as an example.
#[derive(Clone, Copy)]
pub(crate) struct Shape(pub(crate) &'static str, pub(crate) &'static str);

impl Shape {
    /// "`version` is a number: write `version = 2`".
    pub(crate) fn sentence(self, name: &str) -> String {
        let Self(what, example) = self;
        format!("`{name}` is {what}: write `{example}`")
    }
}

/// What stands behind the `=`.
pub(crate) fn value<T: Parse>(meta: &ParseNestedMeta<'_>, shape: Shape) -> Result<T> {
    value_by(meta, shape, T::parse)
}

fn value_by<T>(meta: &ParseNestedMeta<'_>, shape: Shape, read: impl FnOnce(ParseStream<'_>) -> Result<T>) -> Result<T> {
    let problem = |span| Error::new(span, shape.sentence(&name(meta)));
    if !meta.input.peek(Token![=]) {
        return Err(problem(meta.path.span()));
    }
    let _: Token![=] = meta.input.parse()?;
    read(meta.input).map_err(|error| problem(error.span()))
}

/// `crate = ::path`, for those who have the bus under another name.
pub(crate) fn krate(meta: &ParseNestedMeta<'_>) -> Result<Path> {
    value_by(meta, Shape("a path", "crate = ::path::to::gulo"), |input| input.call(Path::parse_mod_style))
}
