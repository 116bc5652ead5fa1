//! Reads which item of a list a value is, and nothing else of it.
//!
//! That is the id of a [`Tracked`](crate::Tracked) value or of a row of a [`SyncVec`](crate::SyncVec), else the
//! declared field, else a scalar first field named `id` or `key`.

use serde::ser::{
    Impossible, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::Halt;
use super::object::is_identity;
use crate::handshake::{self, Kind};
use crate::key::KeyWriter;
use crate::tape::Templates;
use crate::word::{self, HashKey, Leaf, Tag};

/// The identity of the item whose old words begin at `at`.
pub(super) fn old_identity(
    words: &[u64],
    templates: &Templates,
    at: usize,
    field: Option<&'static str>,
) -> Option<u64> {
    let header = words[at];
    let leaf = |at: usize| {
        let size = word::size(words[at]);
        word::is_leaf(words[at]).then(|| word::fingerprint(&words[at..at + size]))
    };
    if word::is(header, Tag::Tracked) {
        return Some(words[at + 1]);
    }
    let end = at + word::size(header);
    let mut at = at + 1;
    if word::is(header, Tag::Struct) {
        let (first, last) = templates.span(word::template(header));
        for &name in &templates.names[first..last] {
            match field {
                Some(field) if name == field => return leaf(at),
                None => return if is_identity(name) { leaf(at) } else { None },
                Some(_) => at += word::size(words[at]),
            }
        }
    } else if word::is(header, Tag::Map) {
        while at < end {
            let value = at + word::size(words[at]);
            match field {
                Some(field) if word::key_is(&words[at..], field) => return leaf(value),
                None if ["id", "key"].iter().any(|name| word::key_is(&words[at..], name)) => return leaf(value),
                None => return None,
                Some(_) => at = value + word::size(words[value]),
            }
        }
    }
    None
}

/// A serializer whose result is the identity of one item.
#[derive(Clone, Copy)]
pub(super) struct Probe {
    key: HashKey,
    field: Option<&'static str>,
    /// The value is what the identity is read from.
    inside: bool,
}

impl Probe {
    pub(super) fn item(key: HashKey, field: Option<&'static str>) -> Self {
        Self { key, field, inside: false }
    }

    fn leaf(self, leaf: Leaf) -> Result<Option<u64>, Halt> {
        Ok(self.inside.then(|| word::fingerprint(leaf.words())))
    }

    fn fields(self) -> ProbeFields {
        // A container is no identity.
        let done = self.inside;
        ProbeFields { probe: Self { inside: true, ..self }, found: None, done, matches: false }
    }
}

macro_rules! probed_leaves {
    ($($method:ident: $type:ty => $leaf:expr;)*) => {$(
        fn $method(self, value: $type) -> Result<Option<u64>, Halt> {
            self.leaf($leaf(value.into()))
        }
    )*};
}

impl Serializer for Probe {
    type Ok = Option<u64>;
    type Error = Halt;
    type SerializeSeq = Ignored;
    type SerializeTuple = Ignored;
    type SerializeTupleStruct = Ignored;
    type SerializeTupleVariant = Ignored;
    type SerializeMap = ProbeFields;
    type SerializeStruct = ProbeFields;
    type SerializeStructVariant = Ignored;

    probed_leaves! {
        serialize_bool: bool => Leaf::bool;
        serialize_i8: i8 => Leaf::signed;
        serialize_i16: i16 => Leaf::signed;
        serialize_i32: i32 => Leaf::signed;
        serialize_i64: i64 => Leaf::signed;
        serialize_i128: i128 => Leaf::signed_128;
        serialize_u8: u8 => Leaf::unsigned;
        serialize_u16: u16 => Leaf::unsigned;
        serialize_u32: u32 => Leaf::unsigned;
        serialize_u64: u64 => Leaf::unsigned;
        serialize_u128: u128 => Leaf::unsigned_128;
        serialize_f32: f32 => Leaf::single;
        serialize_f64: f64 => Leaf::double;
    }

    fn serialize_char(self, value: char) -> Result<Option<u64>, Halt> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<Option<u64>, Halt> {
        if self.inside { self.leaf(Leaf::text(self.key, value)) } else { Ok(None) }
    }

    fn collect_str<T: std::fmt::Display + ?Sized>(self, value: &T) -> Result<Option<u64>, Halt> {
        if self.inside { self.serialize_str(&value.to_string()) } else { Ok(None) }
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<Option<u64>, Halt> {
        Ok(None)
    }

    fn serialize_none(self) -> Result<Option<u64>, Halt> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Option<u64>, Halt> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Option<u64>, Halt> {
        self.leaf(Leaf::one(word::NULL))
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Option<u64>, Halt> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<Option<u64>, Halt> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<Option<u64>, Halt> {
        match handshake::accept(name, value) {
            None => value.serialize(self),
            // A tracked field is marked on the tape, which makes it no scalar.
            Some(_) if self.inside => Ok(None),
            Some(Kind::Tracked { id, .. } | Kind::Row { id, .. }) => Ok(Some(id)),
            Some(_) => Ok(None),
        }
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Option<u64>, Halt> {
        Ok(None)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Ignored, Halt> {
        Ok(Ignored)
    }

    fn serialize_tuple(self, _: usize) -> Result<Ignored, Halt> {
        Ok(Ignored)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Ignored, Halt> {
        Ok(Ignored)
    }

    fn serialize_tuple_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Result<Ignored, Halt> {
        Ok(Ignored)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<ProbeFields, Halt> {
        Ok(self.fields())
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<ProbeFields, Halt> {
        let mut fields = self.fields();
        fields.done |= name == super::RAW_VALUE;
        Ok(fields)
    }

    fn serialize_struct_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Result<Ignored, Halt> {
        Ok(Ignored)
    }
}

pub(super) struct ProbeFields {
    probe: Probe,
    found: Option<u64>,
    done: bool,
    /// The key that came last is the identity's.
    matches: bool,
}

impl ProbeFields {
    fn name(&mut self, name: &str) {
        match self.probe.field {
            Some(field) => self.matches = name == field,
            None => {
                self.matches = is_identity(name);
                self.done = !self.matches;
            }
        }
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Halt> {
        if self.matches && !self.done {
            self.found = value.serialize(self.probe)?;
            self.done = true;
        }
        Ok(())
    }
}

impl SerializeStruct for ProbeFields {
    type Ok = Option<u64>;
    type Error = Halt;

    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Halt> {
        if self.done {
            return Ok(());
        }
        self.name(name);
        self.value(value)
    }

    fn end(self) -> Result<Option<u64>, Halt> {
        Ok(self.found)
    }
}

impl SerializeMap for ProbeFields {
    type Ok = Option<u64>;
    type Error = Halt;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Halt> {
        if self.done {
            return Ok(());
        }
        let mut text = String::new();
        key.serialize(KeyWriter(&mut text))?;
        self.name(&text);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Halt> {
        self.value(value)
    }

    fn end(self) -> Result<Option<u64>, Halt> {
        Ok(self.found)
    }
}

/// The parts of what has no identity.
pub(super) struct Ignored;

macro_rules! ignored {
    ($($trait:ident: $method:ident$(, $name:ident)?;)*) => {$(
        impl $trait for Ignored {
            type Ok = Option<u64>;
            type Error = Halt;

            fn $method<T: Serialize + ?Sized>(&mut self, $($name: &'static str,)? _: &T) -> Result<(), Halt> {
                $(let _ = $name;)?
                Ok(())
            }

            fn end(self) -> Result<Option<u64>, Halt> {
                Ok(None)
            }
        }
    )*};
}

ignored! {
    SerializeSeq: serialize_element;
    SerializeTuple: serialize_element;
    SerializeTupleStruct: serialize_field;
    SerializeTupleVariant: serialize_field;
    SerializeStructVariant: serialize_field, name;
}

/// A serializer for a list whose result is whether each of its items, from the first to be told, had an identity.
pub(super) struct Ids<'i> {
    pub(super) key: HashKey,
    pub(super) field: Option<&'static str>,
    /// How many items are not to be told.
    pub(super) skip: usize,
    pub(super) ids: &'i mut Vec<u64>,
    /// Inside a list that shows its groups.
    pub(super) in_group: bool,
}

macro_rules! no_list {
    ($($method:ident($($type:ty),*);)*) => {$(
        fn $method(self, $(_: $type),*) -> Result<bool, Halt> {
            Ok(false)
        }
    )*};
}

impl<'i> Serializer for Ids<'i> {
    type Ok = bool;
    type Error = Halt;
    type SerializeSeq = IdList<'i>;
    type SerializeTuple = IdList<'i>;
    type SerializeTupleStruct = IdList<'i>;
    type SerializeTupleVariant = Impossible<bool, Halt>;
    type SerializeMap = Impossible<bool, Halt>;
    type SerializeStruct = Impossible<bool, Halt>;
    type SerializeStructVariant = Impossible<bool, Halt>;

    no_list! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_f32(f32);
        serialize_f64(f64);
        serialize_char(char);
        serialize_str(&str);
        serialize_bytes(&[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(&'static str);
        serialize_unit_variant(&'static str, u32, &'static str);
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<bool, Halt> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(mut self, name: &'static str, value: &T) -> Result<bool, Halt> {
        match handshake::accept(name, value) {
            Some(Kind::Row { id, .. }) => {
                self.ids.push(id);
                Ok(true)
            }
            Some(Kind::Group { .. }) => {
                self.in_group = true;
                value.serialize(self)
            }
            _ => value.serialize(self),
        }
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<bool, Halt> {
        Ok(false)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<IdList<'i>, Halt> {
        Ok(IdList { ids: self, all: true })
    }

    fn serialize_tuple(self, _: usize) -> Result<IdList<'i>, Halt> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<IdList<'i>, Halt> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Halt> {
        Err(not_a_list())
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Halt> {
        Err(not_a_list())
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, Halt> {
        Err(not_a_list())
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Halt> {
        Err(not_a_list())
    }
}

/// A value that was a list a moment ago and now is none.
pub(super) fn not_a_list() -> Halt {
    serde::ser::Error::custom("a value serialised differently when it was asked again")
}

pub(super) struct IdList<'i> {
    ids: Ids<'i>,
    all: bool,
}

impl IdList<'_> {
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Halt> {
        let Ids { key, field, skip, in_group, .. } = self.ids;
        if skip > 0 {
            self.ids.skip -= 1;
            return Ok(());
        }
        if in_group {
            let ids = Ids { key, field, skip, ids: &mut *self.ids.ids, in_group };
            self.all &= value.serialize(ids)?;
            return Ok(());
        }
        match value.serialize(Probe::item(key, field))? {
            Some(id) => self.ids.ids.push(id),
            None => self.all = false,
        }
        Ok(())
    }
}

macro_rules! id_lists {
    ($($trait:ident: $method:ident),*) => {$(
        impl $trait for IdList<'_> {
            type Ok = bool;
            type Error = Halt;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Halt> {
                self.element(value)
            }

            fn end(self) -> Result<bool, Halt> {
                Ok(self.all)
            }
        }
    )*};
}

id_lists!(
    SerializeSeq: serialize_element,
    SerializeTuple: serialize_element,
    SerializeTupleStruct: serialize_field
);
