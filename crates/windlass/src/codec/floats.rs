//! JSON that loses no float: what a state is written as in its record.
//!
//! JSON has no text for a NaN or an infinity, and serde_json writes null, which is no float when it is read. So here they
//! are texts that begin with a zero character, as no other text of the state does: those that begin with one get another
//! in front. All other floats are written in full, so that each is read as it was, to the last bit; an `f32` as the `f64`
//! that it is exactly, since a reader that buffers a value (`flatten`, untagged enums) knows only those.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde::ser::{self, Serialize, Serializer};

/// Begins what is no plain text.
const MARK: char = '\0';
const NAN: &str = "\0nan";
const INFINITY: &str = "\0inf";
const NEGATIVE_INFINITY: &str = "\0-inf";

/// Writes a value.
pub(super) fn to_writer(out: impl std::io::Write, value: &impl Serialize) -> serde_json::Result<()> {
    value.serialize(Writing(&mut serde_json::Serializer::new(out)))
}

/// Reads a value that [`to_writer`] has written.
pub(super) fn from_str<T: de::DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = T::deserialize(Reading(&mut json))?;
    json.end()?;
    Ok(value)
}

/// A serializer, or what it is writing, that is told of no float which JSON cannot say.
struct Writing<S>(S);

/// A value for another serializer than ours.
struct Written<'a, T: ?Sized>(&'a T);

impl<T: Serialize + ?Sized> Serialize for Written<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(Writing(serializer))
    }
}

macro_rules! as_they_are {
    ($($method:ident($kind:ty)),* $(,)?) => {
        $(fn $method(self, value: $kind) -> Result<S::Ok, S::Error> {
            self.0.$method(value)
        })*
    };
}

impl<S: Serializer> Serializer for Writing<S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Writing<S::SerializeSeq>;
    type SerializeTuple = Writing<S::SerializeTuple>;
    type SerializeTupleStruct = Writing<S::SerializeTupleStruct>;
    type SerializeTupleVariant = Writing<S::SerializeTupleVariant>;
    type SerializeMap = Writing<S::SerializeMap>;
    type SerializeStruct = Writing<S::SerializeStruct>;
    type SerializeStructVariant = Writing<S::SerializeStructVariant>;

    as_they_are!(
        serialize_bool(bool),
        serialize_i8(i8),
        serialize_i16(i16),
        serialize_i32(i32),
        serialize_i64(i64),
        serialize_i128(i128),
        serialize_u8(u8),
        serialize_u16(u16),
        serialize_u32(u32),
        serialize_u64(u64),
        serialize_u128(u128),
        serialize_bytes(&[u8]),
        serialize_unit_struct(&'static str),
    );

    fn serialize_f32(self, value: f32) -> Result<S::Ok, S::Error> {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<S::Ok, S::Error> {
        if value.is_finite() {
            self.0.serialize_f64(value)
        } else if value.is_nan() {
            self.0.serialize_str(NAN)
        } else {
            self.0.serialize_str(if value > 0.0 { INFINITY } else { NEGATIVE_INFINITY })
        }
    }

    fn serialize_char(self, value: char) -> Result<S::Ok, S::Error> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<S::Ok, S::Error> {
        if value.starts_with(MARK) {
            self.0.serialize_str(&format!("{MARK}{value}"))
        } else {
            self.0.serialize_str(value)
        }
    }

    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.0.serialize_none()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.0.serialize_some(&Written(value))
    }

    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.0.serialize_unit()
    }

    fn serialize_unit_variant(self, name: &'static str, at: u32, variant: &'static str) -> Result<S::Ok, S::Error> {
        self.0.serialize_unit_variant(name, at, variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<S::Ok, S::Error> {
        self.0.serialize_newtype_struct(name, &Written(value))
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        at: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.0.serialize_newtype_variant(name, at, variant, &Written(value))
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        self.0.serialize_seq(len).map(Writing)
    }

    fn serialize_tuple(self, len: usize) -> Result<Self::SerializeTuple, S::Error> {
        self.0.serialize_tuple(len).map(Writing)
    }

    fn serialize_tuple_struct(self, name: &'static str, len: usize) -> Result<Self::SerializeTupleStruct, S::Error> {
        self.0.serialize_tuple_struct(name, len).map(Writing)
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        at: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        self.0.serialize_tuple_variant(name, at, variant, len).map(Writing)
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        self.0.serialize_map(len).map(Writing)
    }

    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Self::SerializeStruct, S::Error> {
        self.0.serialize_struct(name, len).map(Writing)
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        at: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        self.0.serialize_struct_variant(name, at, variant, len).map(Writing)
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

macro_rules! lists {
    ($($kind:ident $method:ident),*) => {
        $(impl<S: ser::$kind> ser::$kind for Writing<S> {
            type Ok = S::Ok;
            type Error = S::Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
                self.0.$method(&Written(value))
            }

            fn end(self) -> Result<S::Ok, S::Error> {
                self.0.end()
            }
        })*
    };
}

lists!(
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field
);

macro_rules! structs {
    ($($kind:ident),*) => {
        $(impl<S: ser::$kind> ser::$kind for Writing<S> {
            type Ok = S::Ok;
            type Error = S::Error;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), S::Error> {
                self.0.serialize_field(key, &Written(value))
            }

            fn skip_field(&mut self, key: &'static str) -> Result<(), S::Error> {
                self.0.skip_field(key)
            }

            fn end(self) -> Result<S::Ok, S::Error> {
                self.0.end()
            }
        })*
    };
}

structs!(SerializeStruct, SerializeStructVariant);

impl<S: ser::SerializeMap> ser::SerializeMap for Writing<S> {
    type Ok = S::Ok;
    type Error = S::Error;

    /// A key is text, and marked as nothing else.
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), S::Error> {
        self.0.serialize_key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
        self.0.serialize_value(&Written(value))
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.0.end()
    }
}

/// A deserializer, a visitor, or what is between them, that knows the marks.
struct Reading<D>(D);

macro_rules! read_as_they_are {
    ($($method:ident($($name:ident: $kind:ty),*)),* $(,)?) => {
        $(fn $method<V: Visitor<'de>>(self, $($name: $kind,)* visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method($($name,)* Reading(visitor))
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Reading<D> {
    type Error = D::Error;

    read_as_they_are!(
        deserialize_any(),
        deserialize_bool(),
        deserialize_i8(),
        deserialize_i16(),
        deserialize_i32(),
        deserialize_i64(),
        deserialize_i128(),
        deserialize_u8(),
        deserialize_u16(),
        deserialize_u32(),
        deserialize_u64(),
        deserialize_u128(),
        deserialize_char(),
        deserialize_str(),
        deserialize_string(),
        deserialize_bytes(),
        deserialize_byte_buf(),
        deserialize_option(),
        deserialize_unit(),
        deserialize_unit_struct(name: &'static str),
        deserialize_newtype_struct(name: &'static str),
        deserialize_seq(),
        deserialize_tuple(len: usize),
        deserialize_tuple_struct(name: &'static str, len: usize),
        deserialize_map(),
        deserialize_struct(name: &'static str, fields: &'static [&'static str]),
        deserialize_enum(name: &'static str, variants: &'static [&'static str]),
        deserialize_ignored_any(),
    );

    // Not by their own methods, which take nothing but a number.
    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(Reading(visitor))
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(Reading(visitor))
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_identifier(visitor)
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

macro_rules! visit_as_they_are {
    ($($method:ident($kind:ty)),* $(,)?) => {
        $(fn $method<E: de::Error>(self, value: $kind) -> Result<V::Value, E> {
            self.0.$method(value)
        })*
    };
}

/// What a text stands for.
enum Text<'a> {
    Plain(&'a str),
    Float(f64),
}

impl<'a> Text<'a> {
    fn of(text: &'a str) -> Self {
        match text {
            NAN => Self::Float(f64::NAN),
            INFINITY => Self::Float(f64::INFINITY),
            NEGATIVE_INFINITY => Self::Float(f64::NEG_INFINITY),
            _ => Self::Plain(text.strip_prefix(MARK).filter(|rest| rest.starts_with(MARK)).unwrap_or(text)),
        }
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Reading<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    visit_as_they_are!(
        visit_bool(bool),
        visit_i8(i8),
        visit_i16(i16),
        visit_i32(i32),
        visit_i64(i64),
        visit_i128(i128),
        visit_u8(u8),
        visit_u16(u16),
        visit_u32(u32),
        visit_u64(u64),
        visit_u128(u128),
        visit_f32(f32),
        visit_f64(f64),
        visit_char(char),
        visit_bytes(&[u8]),
        visit_borrowed_bytes(&'de [u8]),
        visit_byte_buf(Vec<u8>),
    );

    fn visit_str<E: de::Error>(self, text: &str) -> Result<V::Value, E> {
        match Text::of(text) {
            Text::Plain(text) => self.0.visit_str(text),
            Text::Float(float) => self.0.visit_f64(float),
        }
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<V::Value, E> {
        match Text::of(text) {
            Text::Plain(text) => self.0.visit_borrowed_str(text),
            Text::Float(float) => self.0.visit_f64(float),
        }
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<V::Value, E> {
        if text.starts_with(MARK) { self.visit_str(&text) } else { self.0.visit_string(text) }
    }

    fn visit_none<E: de::Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    fn visit_unit<E: de::Error>(self) -> Result<V::Value, E> {
        self.0.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(Reading(inner))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.0.visit_newtype_struct(Reading(inner))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(Reading(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Reading(members))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<V::Value, A::Error> {
        self.0.visit_enum(Reading(variant))
    }
}

impl<'de, T: DeserializeSeed<'de>> DeserializeSeed<'de> for Reading<T> {
    type Value = T::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T::Value, D::Error> {
        self.0.deserialize(Reading(deserializer))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Reading<A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, A::Error> {
        self.0.next_element_seed(Reading(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Reading<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        self.0.next_key_seed(seed)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        self.0.next_value_seed(Reading(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for Reading<A> {
    type Error = A::Error;
    type Variant = Reading<A::Variant>;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self::Variant), A::Error> {
        self.0.variant_seed(seed).map(|(name, variant)| (name, Reading(variant)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Reading<A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.0.unit_variant()
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, A::Error> {
        self.0.newtype_variant_seed(Reading(seed))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.0.tuple_variant(len, Reading(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.0.struct_variant(fields, Reading(visitor))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};
    use serde_json::value::RawValue;

    use super::*;

    fn written(value: &impl Serialize) -> String {
        let mut out = Vec::new();
        to_writer(&mut out, value).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// As bits: a NaN equals no NaN, and 0 is -0 to every comparison. Which NaN it is does not matter.
    fn bits(float: f64) -> u64 {
        if float.is_nan() { f64::NAN.to_bits() } else { float.to_bits() }
    }

    #[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
    struct All {
        plain: f64,
        single: f32,
        maybe: Option<f64>,
        list: Vec<f64>,
        pair: (f64, String),
        map: BTreeMap<String, f64>,
        numbered: BTreeMap<u32, Option<f32>>,
        new: New,
        variants: Vec<Variant>,
        tagged: Tagged,
        untagged: Vec<Untagged>,
        #[serde(flatten)]
        rest: Rest,
        text: String,
        letter: char,
        wide: i128,
        unit: (),
    }

    #[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
    struct New(f64);

    #[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
    enum Variant {
        Unit,
        New(f64),
        Pair(f64, u8),
        Named { of: f64 },
    }

    #[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
    #[serde(tag = "kind")]
    enum Tagged {
        Loss { of: f64, text: String },
    }

    #[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
    #[serde(untagged)]
    enum Untagged {
        Float(f64),
        Text(String),
        Single { of: f32 },
    }

    #[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
    struct Rest {
        rest: f64,
        rest_of_single: f32,
    }

    fn all(float: f64, single: f32, text: &str, letter: char) -> All {
        All {
            plain: float,
            single,
            maybe: Some(float),
            list: vec![float, 0.5, float],
            pair: (float, text.to_owned()),
            map: BTreeMap::from([(text.to_owned(), float)]),
            numbered: BTreeMap::from([(7, Some(single)), (8, None)]),
            new: New(float),
            variants: vec![Variant::Unit, Variant::New(float), Variant::Pair(float, 1), Variant::Named { of: float }],
            tagged: Tagged::Loss { of: float, text: text.to_owned() },
            untagged: vec![Untagged::Float(float), Untagged::Text(text.to_owned()), Untagged::Single { of: single }],
            rest: Rest { rest: float, rest_of_single: single },
            text: text.to_owned(),
            letter,
            wide: i128::MIN,
            unit: (),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

        /// EXACTLY-ONCE. Every float there is: normal, subnormal, zero of either sign, infinite, none at all.
        #[test]
        fn every_float_comes_back_as_it_was(float: u64, single: u32) {
            let (float, single) = (f64::from_bits(float), f32::from_bits(single));
            let back: f64 = from_str(&written(&float)).unwrap();
            prop_assert_eq!(bits(back), bits(float));
            let back: f32 = from_str(&written(&single)).unwrap();
            prop_assert_eq!(bits(back.into()), bits(single.into()));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn wherever_it_stands_and_beside_whatever_text(
            float in any::<u64>().prop_map(f64::from_bits),
            single in any::<u32>().prop_map(f32::from_bits),
            text in "\\PC{0,4}|\0{1,3}(nan|inf|-inf)?",
            letter: char,
        ) {
            let value = all(float, single, &text, letter);
            let back: All = from_str(&written(&value)).unwrap();
            // The debug form tells a NaN from a number, and the signs of zero.
            prop_assert_eq!(format!("{back:?}"), format!("{value:?}"));
        }
    }

    #[test]
    fn the_ends_of_what_a_float_can_be() {
        let ends = [0.0, -0.0, f64::MIN_POSITIVE, 5e-324, -5e-324, f64::MAX, f64::MIN, f64::EPSILON, 0.1 + 0.2, 1e23];
        for float in ends.into_iter().chain([f64::NAN, f64::INFINITY, f64::NEG_INFINITY]) {
            let value = all(float, float as f32, "\0nan", '\0');
            let back: All = from_str(&written(&value)).unwrap();
            assert_eq!(format!("{back:?}"), format!("{value:?}"));
        }
    }

    #[test]
    fn what_needs_no_mark_is_plain_json() {
        let value = serde_json::json!({ "a": [1, 2.5, null, "text"], "b": { "c": true } });
        assert_eq!(written(&value), value.to_string());
        assert_eq!(from_str::<serde_json::Value>(&written(&value)).unwrap(), value);
        let raw = RawValue::from_string("{\"a\":  1}".to_owned()).unwrap();
        assert_eq!(written(&raw), "{\"a\":  1}");
        assert_eq!(from_str::<Box<RawValue>>(&written(&raw)).unwrap().get(), raw.get());
    }

    #[test]
    fn what_is_no_float_is_none_still() {
        assert!(from_str::<f64>("\"text\"").is_err());
        assert!(from_str::<f64>("null").is_err());
        assert!(from_str::<u64>("\"\\u0000nan\"").is_err());
        assert!(from_str::<f64>("1 2").is_err());
    }
}
