//! What the derive writes into an application's code does not meet the application's own names.

#![no_implicit_prelude]
#![deny(warnings)]
#![forbid(dead_code, unused_variables)]

type Option = u8;
type Result = u8;
type String = u8;
type Some = u8;

/// Has a method for everything, of a name that one might use.
trait Text {
    fn text(&self) -> &'static str;
}

impl<T: ?::core::marker::Sized> Text for T {
    fn text(&self) -> &'static str {
        "mine"
    }
}

#[derive(::serde::Serialize, ::serde::Deserialize, ::gulo::IntegrationEvent)]
#[event(type = "renamed", version = 4, upcast(1 = older, 2 = version, 3 = decode), key(r#type, older, version))]
#[event(aggregate(kind = "thing", id = r#type))]
struct Renamed {
    r#type: Option,
    older: ::core::option::Option<String>,
    version: Result,
    some: Some,
}

#[derive(::serde::Deserialize)]
struct Older {
    number: u8,
}

fn older(old: Older) -> Renamed {
    Renamed { r#type: old.number, older: ::core::option::Option::Some(1), version: 1, some: 1 }
}

fn version(old: Older) -> ::core::result::Result<Renamed, ::std::string::String> {
    ::core::result::Result::Ok(Renamed { version: 2, ..older(old) })
}

fn decode(old: Older) -> Renamed {
    Renamed { version: 3, older: ::core::option::Option::None, ..older(old) }
}

#[::core::prelude::v1::test]
fn fields_functions_and_types_may_have_the_names_that_the_derive_uses() {
    use ::gulo::IntegrationEvent;
    let codec = <::gulo::codec::AnyCodec as ::core::convert::From<_>>::from(::gulo::codec::Json);
    let from = |version: u32| {
        Renamed::upcast(version, ::gulo::codec::Encoded::new(&codec, b"{\"number\":7}")).expect("upcasts")
    };
    ::core::assert_eq!(from(1).key().as_deref(), ::core::option::Option::Some("7/1/1"));
    ::core::assert_eq!(from(2).key().as_deref(), ::core::option::Option::Some("7/1/2"));
    ::core::assert_eq!(from(3).key(), ::core::option::Option::None);
    ::core::assert_eq!(from(3).aggregate().map(|about| about.id).as_deref(), ::core::option::Option::Some("7"));
    ::core::assert_eq!((from(1).some, from(1).text()), (1, "mine"));
}
