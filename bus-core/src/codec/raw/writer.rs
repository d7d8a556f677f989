//! serde's way to write bytes or text.

use bytes::{BufMut, BytesMut};
use serde::Serialize;
use serde::ser::{Impossible, SerializeSeq, Serializer};

use super::NotRaw;

pub(super) struct Writer<'a>(pub(super) &'a mut BytesMut);

type Done = Result<(), NotRaw>;

macro_rules! refuse {
    ($($method:ident($($argument:ty),*) -> $result:ty;)*) => {
        $(fn $method(self, $(_: $argument),*) -> Result<$result, NotRaw> { Err(NotRaw::shape()) })*
    };
}

impl<'a> Serializer for Writer<'a> {
    type Ok = ();
    type Error = NotRaw;
    type SerializeSeq = Bytes<'a>;
    type SerializeTuple = Impossible<(), NotRaw>;
    type SerializeTupleStruct = Impossible<(), NotRaw>;
    type SerializeTupleVariant = Impossible<(), NotRaw>;
    type SerializeMap = Impossible<(), NotRaw>;
    type SerializeStruct = Impossible<(), NotRaw>;
    type SerializeStructVariant = Impossible<(), NotRaw>;

    fn serialize_bytes(self, bytes: &[u8]) -> Done {
        self.0.put_slice(bytes);
        Ok(())
    }

    fn serialize_str(self, text: &str) -> Done {
        self.serialize_bytes(text.as_bytes())
    }

    // `Vec<u8>` is a sequence to serde.
    fn serialize_seq(self, _: Option<usize>) -> Result<Bytes<'a>, NotRaw> {
        Ok(Bytes(self.0))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, inner: &T) -> Done {
        inner.serialize(self)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Done {
        Err(NotRaw::shape())
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(self, _: &'static str, _: u32, _: &'static str, _: &T) -> Done {
        Err(NotRaw::shape())
    }

    refuse! {
        serialize_bool(bool) -> ();
        serialize_i8(i8) -> ();
        serialize_i16(i16) -> ();
        serialize_i32(i32) -> ();
        serialize_i64(i64) -> ();
        serialize_u8(u8) -> ();
        serialize_u16(u16) -> ();
        serialize_u32(u32) -> ();
        serialize_u64(u64) -> ();
        serialize_f32(f32) -> ();
        serialize_f64(f64) -> ();
        serialize_char(char) -> ();
        serialize_none() -> ();
        serialize_unit() -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_unit_variant(&'static str, u32, &'static str) -> ();
        serialize_tuple(usize) -> Impossible<(), NotRaw>;
        serialize_tuple_struct(&'static str, usize) -> Impossible<(), NotRaw>;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Impossible<(), NotRaw>;
        serialize_map(Option<usize>) -> Impossible<(), NotRaw>;
        serialize_struct(&'static str, usize) -> Impossible<(), NotRaw>;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Impossible<(), NotRaw>;
    }
}

/// A sequence of which everything is a byte.
pub(super) struct Bytes<'a>(&'a mut BytesMut);

impl SerializeSeq for Bytes<'_> {
    type Ok = ();
    type Error = NotRaw;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, element: &T) -> Done {
        element.serialize(Byte(self.0))
    }

    fn end(self) -> Done {
        Ok(())
    }
}

/// One byte of a sequence.
struct Byte<'a>(&'a mut BytesMut);

impl Serializer for Byte<'_> {
    type Ok = ();
    type Error = NotRaw;
    type SerializeSeq = Impossible<(), NotRaw>;
    type SerializeTuple = Impossible<(), NotRaw>;
    type SerializeTupleStruct = Impossible<(), NotRaw>;
    type SerializeTupleVariant = Impossible<(), NotRaw>;
    type SerializeMap = Impossible<(), NotRaw>;
    type SerializeStruct = Impossible<(), NotRaw>;
    type SerializeStructVariant = Impossible<(), NotRaw>;

    fn serialize_u8(self, byte: u8) -> Done {
        self.0.put_u8(byte);
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, inner: &T) -> Done {
        inner.serialize(self)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Done {
        Err(NotRaw::shape())
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(self, _: &'static str, _: u32, _: &'static str, _: &T) -> Done {
        Err(NotRaw::shape())
    }

    refuse! {
        serialize_bytes(&[u8]) -> ();
        serialize_str(&str) -> ();
        serialize_bool(bool) -> ();
        serialize_i8(i8) -> ();
        serialize_i16(i16) -> ();
        serialize_i32(i32) -> ();
        serialize_i64(i64) -> ();
        serialize_u16(u16) -> ();
        serialize_u32(u32) -> ();
        serialize_u64(u64) -> ();
        serialize_f32(f32) -> ();
        serialize_f64(f64) -> ();
        serialize_char(char) -> ();
        serialize_none() -> ();
        serialize_unit() -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_unit_variant(&'static str, u32, &'static str) -> ();
        serialize_seq(Option<usize>) -> Impossible<(), NotRaw>;
        serialize_tuple(usize) -> Impossible<(), NotRaw>;
        serialize_tuple_struct(&'static str, usize) -> Impossible<(), NotRaw>;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Impossible<(), NotRaw>;
        serialize_map(Option<usize>) -> Impossible<(), NotRaw>;
        serialize_struct(&'static str, usize) -> Impossible<(), NotRaw>;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Impossible<(), NotRaw>;
    }
}
