//! Objects of the diffing serializer: structs, maps and the one-member objects of enum variants.
//!
//! As long as keys come in the old order each is compared with the next; from the first that does
//! not, old entries are found by name, and the new tape takes the new order.

use serde::ser::{Serialize, SerializeMap, SerializeStruct, SerializeStructVariant};
use windlass_protocol::ops::{self, Op};

use super::{Halt, Halted, RAW_VALUE, Walk};
use crate::key::KeyWriter;
use crate::tape::{self, Step, same_name};
use crate::word::{self, Tag};

/// An object that is being walked. Small, because it is handed about for every row.
#[derive(Clone, Copy)]
pub(crate) struct Open {
    /// Where it begins on the new tape.
    start: usize,
    /// Where its old words begin.
    old: usize,
}

/// An object whose old entries are found by name: where its part of each stack begins.
#[derive(Clone, Copy)]
pub(crate) struct ByName {
    entries: usize,
    names: usize,
    hashes: usize,
    depth: usize,
}

impl ByName {
    pub(super) fn depth(&self) -> usize {
        self.depth
    }
}

impl<'a> Walk<'a> {
    #[inline(always)]
    fn open(&mut self, tag: Tag) -> Result<Open, Halt> {
        let mut header = self.words[self.at];
        if !word::is(header, tag) {
            self.untrack();
            header = self.words[self.at];
        }
        if !word::is(header, tag) || tag == Tag::Map && header & word::REPEATED_KEY != 0 {
            return Err(self.other_kind());
        }
        let open = Open { start: self.position(), old: self.at };
        self.keep(1);
        Ok(open)
    }

    #[inline]
    fn old_header(&self, open: Open) -> u64 {
        self.words[open.old]
    }

    fn old_end(&self, open: Open) -> usize {
        open.old + word::size(self.old_header(open))
    }

    fn by_name(&self) -> ByName {
        *self.scratch.by_name.last().expect("the object said that it is walked by name")
    }

    pub(super) fn open_variant(&mut self, variant: &'static str) -> Result<Open, Halt> {
        let at = self.at;
        let open = self.open(Tag::Struct)?;
        let (start, end) = self.tape.templates.span(word::template(self.old_header(open)));
        if end - start != 1 || !same_name(self.tape.templates.names[start], variant) {
            self.at = at;
            self.drop_opened(open);
            return Err(self.other_kind());
        }
        self.scratch.path.push(Step::Name(variant));
        Ok(open)
    }

    /// The variant that was opened last has other fields than before.
    pub(super) fn other_variant(&mut self) -> Halt {
        if let Some((open, depth)) = self.scratch.variants.pop() {
            self.drop_opened(open);
            return self.bail(Halted::Replace(depth));
        }
        self.other_kind()
    }

    /// Takes back the new words of an object that is to be written anew.
    fn drop_opened(&mut self, open: Open) {
        if self.copying {
            self.scratch.next.truncate(open.start);
        }
    }

    pub(super) fn close_variant(&mut self, open: Open) {
        self.scratch.path.pop();
        self.at = self.old_end(open);
        self.close(open.start, self.old_header(open) & !0xffff_ffff);
    }

    /// Closes the object around the fields of a variant.
    pub(super) fn close_pending_variant(&mut self) {
        let (open, _) = self.scratch.variants.pop().expect("a variant's fields are inside its object");
        self.close_variant(open);
    }

    #[inline(always)]
    pub(super) fn open_struct<'w>(&'w mut self, name: &'static str) -> Result<Fields<'w, 'a>, Halt> {
        if name.len() == RAW_VALUE.len() && name == RAW_VALUE {
            let open = Open { start: 0, old: 0 };
            return Ok(Fields { walk: self, open, next: 0, end: 0, item: false, mode: Mode::Raw, variant: false });
        }
        let item = self.at == self.element_at;
        let open = self.open(Tag::Struct)?;
        let (next, end) = self.tape.templates.span(word::template(self.old_header(open)));
        self.scratch.path.push(Step::Index(0));
        let (next, end) = (next as u32, end as u32);
        Ok(Fields { walk: self, open, next, end, item, mode: Mode::InOrder, variant: false })
    }

    pub(super) fn open_map<'w>(&'w mut self) -> Result<Entries<'w, 'a>, Halt> {
        let item = self.at == self.element_at;
        let open = self.open(Tag::Map)?;
        self.scratch.path.push(Step::Index(0));
        let text = self.scratch.text.len();
        Ok(Entries { walk: self, open, text, item, mode: Mode::InOrder })
    }

    /// The field that arrives says which item of the list this is, when it is a scalar.
    fn identify(&mut self) {
        if word::is_leaf(self.words[self.at]) {
            self.identity_at = self.at;
        }
    }
}

/// Whether a first field of this name is the item's identity.
pub(super) fn is_identity(name: &str) -> bool {
    name == "id" || name == "key"
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    InOrder,
    /// Old entries are found by name: see [`ByName`].
    ByName,
    /// JSON text in a struct's clothes.
    Raw,
}

pub(crate) struct Fields<'w, 'a> {
    walk: &'w mut Walk<'a>,
    open: Open,
    /// The next name of the old template, and its end.
    next: u32,
    end: u32,
    /// The first field may be the identity of a list's item.
    item: bool,
    mode: Mode,
    /// It is inside the object of a variant.
    pub(super) variant: bool,
}

impl Fields<'_, '_> {
    #[inline(always)]
    fn field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Halt> {
        let walk = &mut *self.walk;
        if self.mode == Mode::InOrder
            && self.next < self.end
            && same_name(walk.tape.templates.names[self.next as usize], name)
        {
            self.next += 1;
            if std::mem::take(&mut self.item) && is_identity(name) {
                walk.identify();
            }
            walk.step(Step::Name(name));
            return walk.value(value);
        }
        self.field_by_name(name, value)
    }

    #[cold]
    fn field_by_name<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Halt> {
        if self.mode == Mode::Raw {
            let mut json = std::mem::take(&mut self.walk.scratch.display);
            json.clear();
            let result = value.serialize(KeyWriter(&mut json)).and_then(|()| self.walk.raw(&json));
            self.walk.scratch.display = json;
            return result;
        }
        let ByName { entries, .. } = self.go_by_name();
        let walk = &mut *self.walk;
        walk.step(Step::Name(name));
        walk.scratch.names.push(name);
        let names = &walk.tape.templates.names;
        let found =
            walk.scratch.entries[entries..].iter_mut().find(|entry| !entry.seen && same_name(names[entry.key], name));
        if let Some(entry) = found {
            entry.seen = true;
            walk.at = entry.value;
            return walk.value(value);
        }
        walk.add(value)
    }

    fn go_by_name(&mut self) -> ByName {
        if self.mode == Mode::ByName {
            return self.walk.by_name();
        }
        self.mode = Mode::ByName;
        let walk = &mut *self.walk;
        walk.start_copying();
        let (entries, names) = (walk.scratch.entries.len(), walk.scratch.names.len());
        let (first, end) = walk.tape.templates.span(word::template(walk.old_header(self.open)));
        let next = self.next as usize;
        walk.scratch.names.extend_from_slice(&walk.tape.templates.names[first..next]);
        let mut at = self.open.old + 1;
        for key in first..end {
            walk.scratch.entries.push(tape::Entry { hash: 0, key, value: at, seen: key < next });
            at += word::size(walk.words[at]);
        }
        let by_name = ByName { entries, names, hashes: 0, depth: walk.scratch.path.len() };
        walk.scratch.by_name.push(by_name);
        by_name
    }

    fn finish(mut self) -> Result<(), Halt> {
        if self.walk.halted != Halted::No {
            return Err(Halt);
        }
        if self.mode == Mode::Raw {
            return Ok(());
        }
        if self.mode == Mode::InOrder && self.next < self.end {
            self.go_by_name();
        }
        let walk = self.walk;
        let mut header = walk.old_header(self.open) & !0xffff_ffff;
        if self.mode == Mode::ByName {
            let ByName { entries, names, .. } = walk.by_name();
            for index in entries..walk.scratch.entries.len() {
                let entry = walk.scratch.entries[index];
                if !entry.seen {
                    walk.step(Step::Name(walk.tape.templates.names[entry.key]));
                    walk.op(Op::Delete);
                    ops::close(walk.out);
                }
            }
            walk.scratch.entries.truncate(entries);
            walk.scratch.by_name.pop();
            header = walk.struct_header(names);
        }
        walk.at = walk.old_end(self.open);
        walk.scratch.path.pop();
        walk.close(self.open.start, header);
        if self.variant {
            walk.close_pending_variant();
        }
        Ok(())
    }
}

impl Walk<'_> {
    /// The header of a struct with the names that are on the stack from `names` on, which it takes off.
    pub(super) fn struct_header(&mut self, names: usize) -> u64 {
        let template = self.tape.templates.intern(&self.scratch.names[names..]);
        self.scratch.names.truncate(names);
        self.overflow |= template.is_none();
        word::struct_header(template.unwrap_or(0), 0)
    }

    /// The header of a map with the hashes of keys that are on the stack from `hashes` on, which it takes off.
    pub(super) fn map_header(&mut self, hashes: usize) -> u64 {
        let keys = &mut self.scratch.hashes[hashes..];
        keys.sort_unstable();
        let repeated = keys.windows(2).any(|pair| pair[0] == pair[1]);
        self.scratch.hashes.truncate(hashes);
        word::tagged(Tag::Map, if repeated { word::REPEATED_KEY } else { 0 })
    }

    /// A member that was not there.
    fn add<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Halt> {
        self.op(Op::Set);
        ops::item(self.out);
        self.build(value)?;
        ops::close(self.out);
        Ok(())
    }
}

impl SerializeStruct for Fields<'_, '_> {
    type Ok = ();
    type Error = Halt;

    #[inline(always)]
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Halt> {
        self.field(name, value)
    }

    #[inline(always)]
    fn end(self) -> Result<(), Halt> {
        if self.mode == Mode::InOrder && self.next == self.end && !self.variant && self.walk.halted == Halted::No {
            self.walk.scratch.path.pop();
            if self.walk.copying {
                self.walk.close(self.open.start, self.walk.old_header(self.open) & !0xffff_ffff);
            }
            return Ok(());
        }
        self.finish()
    }
}

impl SerializeStructVariant for Fields<'_, '_> {
    type Ok = ();
    type Error = Halt;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Halt> {
        self.field(name, value)
    }

    fn end(self) -> Result<(), Halt> {
        self.finish()
    }
}

pub(crate) struct Entries<'w, 'a> {
    walk: &'w mut Walk<'a>,
    open: Open,
    /// Where the current key begins among the texts.
    text: usize,
    /// The first entry may be the identity of a list's item.
    item: bool,
    mode: Mode,
}

impl Entries<'_, '_> {
    fn go_by_name(&mut self) -> ByName {
        if self.mode == Mode::ByName {
            return self.walk.by_name();
        }
        self.mode = Mode::ByName;
        let walk = &mut *self.walk;
        walk.start_copying();
        let (entries, hashes) = (walk.scratch.entries.len(), walk.scratch.hashes.len());
        let mut key = std::mem::take(&mut walk.scratch.display).into_bytes();
        let mut at = self.open.old + 1;
        let end = walk.old_end(self.open);
        while at < end {
            key.clear();
            word::read_key(&walk.words[at..], &mut key);
            let hash = word::hash(walk.tape.key, &key);
            let value = at + word::size(walk.words[at]);
            let seen = at < walk.at;
            if seen {
                walk.scratch.hashes.push(hash);
            }
            walk.scratch.entries.push(tape::Entry { hash, key: at, value, seen });
            at = value + word::size(walk.words[value]);
        }
        key.clear();
        walk.scratch.display = String::from_utf8(key).unwrap_or_default();
        walk.scratch.entries[entries..].sort_unstable_by_key(|entry| (entry.hash, entry.key));
        let by_name = ByName { entries, names: 0, hashes, depth: walk.scratch.path.len() };
        walk.scratch.by_name.push(by_name);
        by_name
    }

    fn entry<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Halt> {
        let walk = &mut *self.walk;
        let (start, end) = (self.text, walk.scratch.text.len());
        walk.step(Step::Text { start, end });
        let key = &walk.scratch.text[start..];
        if self.mode == Mode::InOrder && walk.at < walk.old_end(self.open) && word::key_is(&walk.words[walk.at..], key)
        {
            let identity = std::mem::take(&mut self.item) && is_identity(key);
            walk.keep(word::size(walk.words[walk.at]));
            if identity {
                walk.identify();
            }
            return walk.value(value);
        }
        let ByName { entries, .. } = self.go_by_name();
        let walk = &mut *self.walk;
        let scratch = &mut *walk.scratch;
        let key = &scratch.text[start..];
        let hash = word::hash(walk.tape.key, key.as_bytes());
        scratch.hashes.push(hash);
        word::push_key(&mut scratch.next, key);
        let known = &mut scratch.entries[entries..];
        let first = known.partition_point(|entry| entry.hash < hash);
        let found = known[first..]
            .iter_mut()
            .take_while(|entry| entry.hash == hash)
            .find(|entry| !entry.seen && word::key_is(&walk.words[entry.key..], key));
        if let Some(entry) = found {
            entry.seen = true;
            walk.at = entry.value;
            return walk.value(value);
        }
        walk.add(value)
    }
}

impl SerializeMap for Entries<'_, '_> {
    type Ok = ();
    type Error = Halt;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Halt> {
        let text = &mut self.walk.scratch.text;
        text.truncate(self.text);
        key.serialize(KeyWriter(text))
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Halt> {
        self.entry(value)
    }

    fn end(mut self) -> Result<(), Halt> {
        if self.walk.halted != Halted::No {
            return Err(Halt);
        }
        if self.mode == Mode::InOrder && self.walk.at < self.walk.old_end(self.open) {
            self.go_by_name();
        }
        let walk = self.walk;
        let mut header = word::tagged(Tag::Map, 0);
        if self.mode == Mode::ByName {
            let ByName { entries, hashes, .. } = walk.by_name();
            for index in entries..walk.scratch.entries.len() {
                let entry = walk.scratch.entries[index];
                if !entry.seen {
                    walk.scratch.text.truncate(self.text);
                    let mut text = std::mem::take(&mut walk.scratch.text).into_bytes();
                    word::read_key(&walk.words[entry.key..], &mut text);
                    walk.scratch.text = String::from_utf8(text).expect("keys on the tape were texts");
                    walk.step(Step::Text { start: self.text, end: walk.scratch.text.len() });
                    walk.op(Op::Delete);
                    ops::close(walk.out);
                }
            }
            walk.scratch.entries.truncate(entries);
            walk.scratch.by_name.pop();
            header = walk.map_header(hashes);
        }
        walk.scratch.text.truncate(self.text);
        walk.scratch.path.pop();
        walk.at = walk.old_end(self.open);
        walk.close(self.open.start, header);
        if header & word::REPEATED_KEY != 0 {
            walk.drop_opened(self.open);
            return Err(walk.other_kind());
        }
        Ok(())
    }
}
