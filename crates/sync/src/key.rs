//! Map keys as text, by the rules of serde_json: strings, numbers, booleans, chars, unit variants.

use std::fmt::Write;

use serde::ser::{Error as _, Impossible, Serialize, Serializer};

use crate::error::Halt;

/// Appends the key that is serialised to a text.
pub(crate) struct KeyWriter<'a>(pub(crate) &'a mut String);

impl KeyWriter<'_> {
    fn display(self, value: impl std::fmt::Display) -> Result<(), Halt> {
        write!(self.0, "{value}").map_err(Halt::custom)
    }

    fn refuse<T>(self) -> Result<T, Halt> {
        Err(Halt::custom("a map key must be a string, a number, a boolean or a unit variant"))
    }
}

macro_rules! displayed {
    ($($method:ident: $type:ty,)*) => {$(
        fn $method(self, value: $type) -> Result<(), Halt> {
            self.display(value)
        }
    )*};
}

impl Serializer for KeyWriter<'_> {
    type Ok = ();
    type Error = Halt;
    type SerializeSeq = Impossible<(), Halt>;
    type SerializeTuple = Impossible<(), Halt>;
    type SerializeTupleStruct = Impossible<(), Halt>;
    type SerializeTupleVariant = Impossible<(), Halt>;
    type SerializeMap = Impossible<(), Halt>;
    type SerializeStruct = Impossible<(), Halt>;
    type SerializeStructVariant = Impossible<(), Halt>;

    displayed! {
        serialize_bool: bool,
        serialize_i8: i8,
        serialize_i16: i16,
        serialize_i32: i32,
        serialize_i64: i64,
        serialize_i128: i128,
        serialize_u8: u8,
        serialize_u16: u16,
        serialize_u32: u32,
        serialize_u64: u64,
        serialize_u128: u128,
        serialize_char: char,
    }

    fn serialize_str(self, value: &str) -> Result<(), Halt> {
        self.0.push_str(value);
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<(), Halt> {
        if !value.is_finite() {
            return self.refuse();
        }
        self.0.push_str(&serde_json::to_string(&value).map_err(Halt::custom)?);
        Ok(())
    }

    fn serialize_f64(self, value: f64) -> Result<(), Halt> {
        if !value.is_finite() {
            return self.refuse();
        }
        self.0.push_str(&serde_json::to_string(&value).map_err(Halt::custom)?);
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Halt> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Halt> {
        value.serialize(self)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Halt> {
        value.serialize(self)
    }

    fn collect_str<T: std::fmt::Display + ?Sized>(self, value: &T) -> Result<(), Halt> {
        self.display(value)
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<(), Halt> {
        self.refuse()
    }

    fn serialize_none(self) -> Result<(), Halt> {
        self.refuse()
    }

    fn serialize_unit(self) -> Result<(), Halt> {
        self.refuse()
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Halt> {
        self.refuse()
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Halt> {
        self.refuse()
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, Halt> {
        self.refuse()
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Halt> {
        self.refuse()
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, Halt> {
        self.refuse()
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Halt> {
        self.refuse()
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Halt> {
        self.refuse()
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, Halt> {
        self.refuse()
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Halt> {
        self.refuse()
    }
}
