//! Writes a value's JSON and its words at once: what has no old words to compare with.

use std::fmt::Write as _;

use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};
use windlass_protocol::ops;

use super::list::{Grouped, RowId};
use super::{Halt, RAW_VALUE, Walk, Walked, leaves, serialize_leaves, write_bool, write_float, write_integer};
use crate::handshake::{self, Kind};
use crate::key::KeyWriter;
use crate::word::{self, Leaf, Tag};

pub(super) struct Build<'w, 'a>(pub(super) &'w mut Walk<'a>);

impl<'w, 'a> Build<'w, 'a> {
    fn leaf(self, leaf: Leaf, write: impl FnOnce(&mut Vec<u8>)) -> Walked {
        self.0.scratch.next.extend_from_slice(leaf.words());
        write(self.0.out);
        Ok(true)
    }

    #[cold]
    fn not_finite(self) -> Walked {
        let name = self.0.scratch.names.last().copied();
        self.0.note_not_finite(name);
        self.serialize_unit()
    }

    fn open_list(self, _: Option<usize>, _: bool) -> Result<BuildList<'w, 'a>, Halt> {
        let walk = self.0;
        if std::mem::take(&mut walk.in_group) {
            return Ok(BuildList { walk, start: 0, count: 0, role: Role::Group, variant: None });
        }
        let role = if walk.groups.take().is_some() { Role::Groups } else { Role::Items };
        let start = walk.scratch.next.len();
        walk.scratch.next.extend_from_slice(&[0, 0]);
        walk.out.push(b'[');
        Ok(BuildList { walk, start, count: 0, role, variant: None })
    }

    /// The object around a variant's value: `{"Variant":`.
    fn open_variant(&mut self, variant: &'static str) -> usize {
        let walk = &mut *self.0;
        let start = walk.scratch.next.len();
        let names = walk.scratch.names.len();
        walk.scratch.names.push(variant);
        let header = walk.struct_header(names);
        walk.scratch.next.push(header);
        walk.out.push(b'{');
        ops::string(walk.out, variant);
        walk.out.push(b':');
        start
    }

    /// A list's mark with two words after it, and what it marks.
    fn marked<T: Serialize + ?Sized>(self, tag: Tag, words: [u64; 2], value: &T) -> Walked {
        let walk = self.0;
        let start = walk.scratch.next.len();
        walk.scratch.next.extend_from_slice(&[0, words[0], words[1]]);
        if tag == Tag::Tracked {
            walk.build(value)?;
        } else {
            value.serialize(Build(&mut *walk))?;
        }
        walk.seal_built(start, word::tagged(tag, 0));
        Ok(true)
    }
}

fn close_variant(walk: &mut Walk<'_>, start: usize) {
    walk.out.push(b'}');
    let header = walk.scratch.next[start];
    walk.seal_built(start, header);
}

impl<'w, 'a> Serializer for Build<'w, 'a> {
    type Ok = bool;
    type Error = Halt;
    type SerializeSeq = BuildList<'w, 'a>;
    type SerializeTuple = BuildList<'w, 'a>;
    type SerializeTupleStruct = BuildList<'w, 'a>;
    type SerializeTupleVariant = BuildList<'w, 'a>;
    type SerializeMap = BuildMap<'w, 'a>;
    type SerializeStruct = BuildStruct<'w, 'a>;
    type SerializeStructVariant = BuildStruct<'w, 'a>;

    serialize_leaves!();

    fn serialize_str(self, value: &str) -> Walked {
        let leaf = Leaf::text(self.0.tape.key, value);
        self.leaf(leaf, |out| ops::string(out, value))
    }

    fn collect_str<T: std::fmt::Display + ?Sized>(self, value: &T) -> Walked {
        let mut text = std::mem::take(&mut self.0.scratch.display);
        text.clear();
        let written = write!(text, "{value}").map_err(serde::ser::Error::custom);
        let result = written.and_then(|()| Build(&mut *self.0).serialize_str(&text));
        self.0.scratch.display = text;
        result
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Walked {
        match handshake::accept(name, value) {
            None => value.serialize(self),
            Some(Kind::Tracked { id, generation }) => self.marked(Tag::Tracked, [id, generation], value),
            Some(Kind::Groups { order, generation }) => {
                self.0.groups = Some(false);
                self.marked(Tag::Groups, [order, generation], &Grouped(value))
            }
            Some(Kind::Group { generation, rows }) => {
                self.0.in_group = true;
                self.marked(Tag::Group, [generation, rows as u64], value)
            }
            Some(Kind::Row { id, generation }) => {
                ops::item(self.0.out);
                self.0.build_row(value, Some(RowId { id, generation }))
            }
        }
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        mut self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Walked {
        let start = self.open_variant(variant);
        self.0.build(value)?;
        close_variant(self.0, start);
        Ok(true)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<BuildList<'w, 'a>, Halt> {
        self.open_list(len, false)
    }

    fn serialize_tuple_variant(
        mut self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<BuildList<'w, 'a>, Halt> {
        let start = self.open_variant(variant);
        let mut list = self.open_list(Some(len), true)?;
        list.variant = Some(start);
        Ok(list)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<BuildMap<'w, 'a>, Halt> {
        let walk = self.0;
        let (start, hashes) = (walk.scratch.next.len(), walk.scratch.hashes.len());
        walk.scratch.next.push(0);
        walk.out.push(b'{');
        Ok(BuildMap { walk, start, hashes, empty: true })
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<BuildStruct<'w, 'a>, Halt> {
        let walk = self.0;
        let (start, names) = (walk.scratch.next.len(), walk.scratch.names.len());
        let raw = name == RAW_VALUE;
        if !raw {
            walk.scratch.next.push(0);
            walk.out.push(b'{');
        }
        Ok(BuildStruct { walk, start, names, raw, variant: None })
    }

    fn serialize_struct_variant(
        mut self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<BuildStruct<'w, 'a>, Halt> {
        let start = self.open_variant(variant);
        let mut fields = self.serialize_struct(name, len)?;
        fields.variant = Some(start);
        Ok(fields)
    }
}

enum Role {
    Items,
    /// The items are groups, which write nothing of their own.
    Groups,
    /// The items are a group's.
    Group,
}

pub(super) struct BuildList<'w, 'a> {
    walk: &'w mut Walk<'a>,
    start: usize,
    count: usize,
    role: Role,
    variant: Option<usize>,
}

impl BuildList<'_, '_> {
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Halt> {
        match self.role {
            Role::Items => {
                if self.count > 0 {
                    self.walk.out.push(b',');
                }
                self.count += 1;
                self.walk.build(value).map(drop)
            }
            Role::Groups | Role::Group => value.serialize(Build(&mut *self.walk)).map(drop),
        }
    }

    fn finish(self) {
        let walk = self.walk;
        if !matches!(self.role, Role::Group) {
            walk.out.push(b']');
            let count = match self.role {
                Role::Groups => rows(&walk.scratch.next[self.start + 2..]),
                _ => self.count,
            };
            walk.scratch.next[self.start + 1] = count as u64;
            walk.seal_built(self.start, word::tagged(Tag::List, 0));
        }
        if let Some(start) = self.variant {
            close_variant(walk, start);
        }
    }
}

/// The number of rows in groups.
fn rows(mut groups: &[u64]) -> usize {
    let mut count = 0;
    while let Some(&header) = groups.first() {
        count += groups[2] as usize;
        groups = &groups[word::size(header)..];
    }
    count
}

macro_rules! build_lists {
    ($($trait:ident: $method:ident),*) => {$(
        impl $trait for BuildList<'_, '_> {
            type Ok = bool;
            type Error = Halt;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Halt> {
                self.element(value)
            }

            fn end(self) -> Walked {
                self.finish();
                Ok(true)
            }
        }
    )*};
}

build_lists!(
    SerializeSeq: serialize_element,
    SerializeTuple: serialize_element,
    SerializeTupleStruct: serialize_field,
    SerializeTupleVariant: serialize_field
);

pub(super) struct BuildStruct<'w, 'a> {
    walk: &'w mut Walk<'a>,
    start: usize,
    /// Where its names begin on the stack of names.
    names: usize,
    raw: bool,
    variant: Option<usize>,
}

impl BuildStruct<'_, '_> {
    fn field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Halt> {
        let walk = &mut *self.walk;
        if self.raw {
            let mut json = String::new();
            value.serialize(KeyWriter(&mut json))?;
            let leaf = Leaf::raw(walk.tape.key, &json);
            return Build(walk).leaf(leaf, |out| out.extend_from_slice(json.as_bytes())).map(drop);
        }
        if walk.scratch.names.len() > self.names {
            walk.out.push(b',');
        }
        walk.scratch.names.push(name);
        ops::string(walk.out, name);
        walk.out.push(b':');
        walk.build(value).map(drop)
    }

    fn finish(self) {
        let walk = self.walk;
        if !self.raw {
            walk.out.push(b'}');
            let header = walk.struct_header(self.names);
            walk.seal_built(self.start, header);
        }
        if let Some(start) = self.variant {
            close_variant(walk, start);
        }
    }
}

macro_rules! build_structs {
    ($($trait:ident),*) => {$(
        impl $trait for BuildStruct<'_, '_> {
            type Ok = bool;
            type Error = Halt;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Halt> {
                self.field(name, value)
            }

            fn end(self) -> Walked {
                self.finish();
                Ok(true)
            }
        }
    )*};
}

build_structs!(SerializeStruct, SerializeStructVariant);

pub(super) struct BuildMap<'w, 'a> {
    walk: &'w mut Walk<'a>,
    start: usize,
    /// Where the hashes of its keys begin on the stack of hashes.
    hashes: usize,
    empty: bool,
}

impl SerializeMap for BuildMap<'_, '_> {
    type Ok = bool;
    type Error = Halt;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Halt> {
        let walk = &mut *self.walk;
        if !std::mem::take(&mut self.empty) {
            walk.out.push(b',');
        }
        let start = walk.scratch.text.len();
        key.serialize(KeyWriter(&mut walk.scratch.text))?;
        let text = &walk.scratch.text[start..];
        walk.scratch.hashes.push(word::hash(walk.tape.key, text.as_bytes()));
        word::push_key(&mut walk.scratch.next, text);
        ops::string(walk.out, text);
        walk.out.push(b':');
        walk.scratch.text.truncate(start);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Halt> {
        self.walk.build(value).map(drop)
    }

    fn end(self) -> Walked {
        self.walk.out.push(b'}');
        let header = self.walk.map_header(self.hashes);
        self.walk.seal_built(self.start, header);
        Ok(true)
    }
}
