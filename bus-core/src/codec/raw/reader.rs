//! serde's way to read bytes or text.

use serde::de::value::SeqDeserializer;
use serde::de::{self, Visitor};
use serde::forward_to_deserialize_any;

use super::NotRaw;

pub(super) struct Reader<'de>(pub(super) &'de [u8]);

impl<'de> Reader<'de> {
    fn text(&self) -> Result<&'de str, NotRaw> {
        std::str::from_utf8(self.0).map_err(|_| NotRaw("is not UTF-8".to_owned()))
    }
}

impl<'de> de::Deserializer<'de> for Reader<'de> {
    type Error = NotRaw;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, NotRaw> {
        Err(NotRaw::shape())
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotRaw> {
        visitor.visit_borrowed_bytes(self.0)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotRaw> {
        visitor.visit_borrowed_bytes(self.0)
    }

    // `Vec<u8>` asks for a sequence.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotRaw> {
        visitor.visit_seq(SeqDeserializer::new(self.0.iter().copied()))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotRaw> {
        visitor.visit_borrowed_str(self.text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotRaw> {
        visitor.visit_borrowed_str(self.text()?)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, NotRaw> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char option unit unit_struct tuple tuple_struct map struct
        enum identifier ignored_any
    }
}
