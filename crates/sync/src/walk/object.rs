//! Objects of the diffing serializer: structs, maps and the one-member objects of enum variants.
//!
//! As long as keys come in the old order each is compared with the next; from the first that does
//! not, old entries are found by name, and the new tape takes the new order.

use serde::ser::{Serialize, SerializeMap, SerializeStruct, SerializeStructVariant};
use windlass_protocol::ops::{self, Op};

use super::{Halt, Halted, RAW_VALUE, Walk, Walked};
use crate::key::KeyWriter;
use crate::planted::{self, Bug};
use crate::tape::{self, Level, NO_PLACE, Step, TEXT_MAX, same_name};
use crate::word::{self, Tag};

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
    /// Enters an object; its old header.
    #[inline(always)]
    fn open(&mut self, tag: Tag) -> Result<u64, Halt> {
        if let Some(&header) = self.words.get(self.at)
            && can_be_walked(header, tag)
        {
            self.enter();
            self.at += 1;
            return Ok(header);
        }
        self.open_unmarked(tag)
    }

    #[cold]
    fn open_unmarked(&mut self, tag: Tag) -> Result<u64, Halt> {
        if self.halted != Halted::No {
            return Err(Halt);
        }
        self.untrack();
        let header = self.words[self.at];
        if !can_be_walked(header, tag) {
            return Err(self.other_kind());
        }
        self.enter();
        self.at += 1;
        Ok(header)
    }

    fn by_name(&self) -> ByName {
        *self.scratch.by_name.last().expect("the object said that it is walked by name")
    }

    /// Ends the object that was entered last; whether it has changed.
    fn close(&mut self, header: u64) -> bool {
        let level = self.level();
        self.seek(self.old_end(level));
        if level.old < self.from {
            self.seal(level.start, header & !0xffff_ffff);
        }
        self.leave()
    }

    pub(super) fn old_end(&self, level: Level) -> usize {
        level.old + word::size(self.words[level.old])
    }

    /// The object that was entered last is to be written anew.
    fn reopen(&mut self) -> Halt {
        let level = self.level();
        self.leave();
        if level.old < self.from {
            self.scratch.next.truncate(level.start);
            self.from = level.old;
        }
        let halt = self.other_kind();
        self.began = level.out;
        halt
    }

    pub(super) fn open_variant(&mut self, variant: &'static str) -> Result<(), Halt> {
        let header = self.open(Tag::Struct)?;
        let (start, end) = self.tape.templates.span(word::template(header));
        if end - start != 1 || !same_name(self.tape.templates.names[start], variant) {
            return Err(self.reopen());
        }
        self.step = Step::Name(start as u32).pack();
        Ok(())
    }

    /// The variant that was opened last has other fields than before.
    pub(super) fn other_variant(&mut self) -> Halt {
        self.scratch.variants.pop();
        self.reopen()
    }

    pub(super) fn close_variant(&mut self) -> bool {
        self.close(self.words[self.level().old])
    }

    /// Closes the object around the fields of a variant.
    pub(super) fn close_pending_variant(&mut self) -> bool {
        self.scratch.variants.pop();
        self.close_variant()
    }

    #[inline(always)]
    pub(super) fn open_struct<'w>(&'w mut self, name: &'static str) -> Result<Fields<'w, 'a>, Halt> {
        if name.len() == RAW_VALUE.len() && name == RAW_VALUE {
            return Ok(Fields { walk: self, next: NO_PLACE, mode: Mode::Raw, variant: false, changed: false });
        }
        let header = self.open(Tag::Struct)?;
        let next = self.tape.templates.start(word::template(header));
        Ok(Fields { walk: self, next, mode: Mode::InOrder, variant: false, changed: false })
    }

    pub(super) fn open_map<'w>(&'w mut self) -> Result<Entries<'w, 'a>, Halt> {
        self.open(Tag::Map)?;
        let text = self.scratch.text.len();
        Ok(Entries { walk: self, text, mode: Mode::InOrder })
    }
}

#[inline(always)]
fn can_be_walked(header: u64, tag: Tag) -> bool {
    word::is(header, tag) && (tag != Tag::Map || header & word::REPEATED_KEY == 0)
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
    /// The place of the next name of the old template; [`NO_PLACE`] when fields do not come in order.
    next: u32,
    mode: Mode,
    /// It is inside the object of a variant.
    pub(super) variant: bool,
    /// Of JSON text, which is no object: whether it has changed.
    changed: bool,
}

impl Fields<'_, '_> {
    #[inline(always)]
    fn field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Halt> {
        let walk = &mut *self.walk;
        if walk.tape.templates.is_at(self.next, name) {
            walk.step = Step::Name(self.next).pack();
            self.next += 1;
            return walk.value(value).map(drop);
        }
        self.field_elsewhere(name, value)
    }

    #[cold]
    #[inline(never)]
    fn field_elsewhere<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Halt> {
        if self.walk.halted != Halted::No {
            return Err(Halt);
        }
        let walk = &mut *self.walk;
        if self.mode == Mode::Raw {
            let mut json = std::mem::take(&mut walk.scratch.display);
            json.clear();
            let result = value.serialize(KeyWriter(&mut json)).and_then(|()| walk.raw(&json));
            walk.scratch.display = json;
            self.changed = result?;
            return Ok(());
        }
        let templates = &walk.tape.templates;
        if self.mode == Mode::InOrder
            && !templates.is_end(self.next)
            && same_name(templates.names[self.next as usize], name)
        {
            walk.step = Step::Name(self.next).pack();
            self.next += 1;
            return walk.value(value).map(drop);
        }
        let ByName { entries, .. } = self.go_by_name();
        let walk = &mut *self.walk;
        walk.step = Step::NewName(walk.scratch.names.len() as u32).pack();
        walk.scratch.names.push(name);
        let names = &walk.tape.templates.names;
        let found =
            walk.scratch.entries[entries..].iter_mut().find(|entry| !entry.seen && same_name(names[entry.key], name));
        if let Some(entry) = found {
            entry.seen = true;
            let value_at = entry.value;
            walk.seek(value_at);
            return walk.value(value).map(drop);
        }
        walk.add(value)
    }

    fn go_by_name(&mut self) -> ByName {
        if self.mode == Mode::ByName {
            return self.walk.by_name();
        }
        self.mode = Mode::ByName;
        let next = std::mem::replace(&mut self.next, NO_PLACE) as usize;
        let walk = &mut *self.walk;
        walk.flush();
        let level = walk.level();
        let (entries, names) = (walk.scratch.entries.len(), walk.scratch.names.len());
        let (first, end) = walk.tape.templates.span(word::template(walk.words[level.old]));
        walk.scratch.names.extend_from_slice(&walk.tape.templates.names[first..next]);
        let mut at = level.old + 1;
        for key in first..end {
            walk.scratch.entries.push(tape::Entry { hash: 0, key, value: at, seen: key < next });
            at += word::size(walk.words[at]);
        }
        let by_name = ByName { entries, names, hashes: 0, depth: walk.scratch.levels.len() };
        walk.scratch.by_name.push(by_name);
        by_name
    }

    #[inline(never)]
    fn finish(mut self) -> Walked {
        if self.walk.halted != Halted::No {
            return Err(Halt);
        }
        if self.mode == Mode::Raw {
            return Ok(self.changed);
        }
        if self.mode == Mode::InOrder && !self.walk.tape.templates.is_end(self.next) {
            self.go_by_name();
        }
        let walk = self.walk;
        let mut header = walk.words[walk.level().old];
        if self.mode == Mode::ByName {
            let ByName { entries, names, .. } = walk.by_name();
            for index in entries..walk.scratch.entries.len() {
                let entry = walk.scratch.entries[index];
                if !entry.seen && !planted::is(Bug::NoDelete) {
                    walk.step = Step::Name(entry.key as u32).pack();
                    walk.op(Op::Delete);
                    ops::close(walk.out);
                }
            }
            walk.scratch.entries.truncate(entries);
            walk.scratch.by_name.pop();
            header = walk.struct_header(names);
        }
        let changed = walk.close(header);
        Ok(if self.variant { walk.close_pending_variant() } else { changed })
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
    type Ok = bool;
    type Error = Halt;

    #[inline(always)]
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Halt> {
        self.field(name, value)
    }

    #[inline(always)]
    fn end(self) -> Walked {
        // Taken apart: moved as a whole it would be read back right after it was written in parts, which waits.
        let Self { walk, next, mode, variant, changed } = self;
        if mode == Mode::InOrder
            && !variant
            && walk.tape.templates.is_end(next)
            && walk.halted == Halted::No
            && walk.scratch.levels.last().is_some_and(|level| level.old >= walk.from)
        {
            return Ok(walk.leave());
        }
        finish(walk, next, mode, variant, changed)
    }
}

/// [`Fields::finish`] with its parts in registers.
#[cold]
#[inline(never)]
fn finish(walk: &mut Walk<'_>, next: u32, mode: Mode, variant: bool, changed: bool) -> Walked {
    Fields { walk, next, mode, variant, changed }.finish()
}

impl SerializeStructVariant for Fields<'_, '_> {
    type Ok = bool;
    type Error = Halt;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Halt> {
        self.field(name, value)
    }

    fn end(self) -> Walked {
        self.finish()
    }
}

pub(crate) struct Entries<'w, 'a> {
    walk: &'w mut Walk<'a>,
    /// Where the current key begins among the texts.
    text: usize,
    mode: Mode,
}

impl Entries<'_, '_> {
    fn go_by_name(&mut self) -> ByName {
        if self.mode == Mode::ByName {
            return self.walk.by_name();
        }
        self.mode = Mode::ByName;
        let walk = &mut *self.walk;
        walk.flush();
        let (entries, hashes) = (walk.scratch.entries.len(), walk.scratch.hashes.len());
        let mut key = std::mem::take(&mut walk.scratch.display).into_bytes();
        let level = walk.level();
        let mut at = level.old + 1;
        let end = walk.old_end(level);
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
        let by_name = ByName { entries, names: 0, hashes, depth: walk.scratch.levels.len() };
        walk.scratch.by_name.push(by_name);
        by_name
    }

    fn entry<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Halt> {
        let walk = &mut *self.walk;
        if walk.halted != Halted::No {
            return Err(Halt);
        }
        let (start, end) = (self.text, walk.scratch.text.len());
        walk.step = Step::Text(start, end).pack();
        let key = &walk.scratch.text[start..];
        if self.mode == Mode::InOrder
            && walk.at < walk.old_end(walk.level())
            && word::key_is(&walk.words[walk.at..], key)
        {
            walk.at += word::size(walk.words[walk.at]);
            return walk.value(value).map(drop);
        }
        let ByName { entries, .. } = self.go_by_name();
        let walk = &mut *self.walk;
        walk.flush();
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
            let value_at = entry.value;
            walk.seek(value_at);
            return walk.value(value).map(drop);
        }
        walk.add(value)
    }
}

impl SerializeMap for Entries<'_, '_> {
    type Ok = bool;
    type Error = Halt;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Halt> {
        let text = &mut self.walk.scratch.text;
        text.truncate(self.text);
        key.serialize(KeyWriter(text))?;
        if text.len() >= TEXT_MAX {
            return Err(serde::ser::Error::custom("the keys along one path are larger than 1 GiB"));
        }
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Halt> {
        self.entry(value)
    }

    fn end(mut self) -> Walked {
        if self.walk.halted != Halted::No {
            return Err(Halt);
        }
        if self.mode == Mode::InOrder && self.walk.at < self.walk.old_end(self.walk.level()) {
            self.go_by_name();
        }
        let walk = self.walk;
        let mut header = word::tagged(Tag::Map, 0);
        if self.mode == Mode::ByName {
            let ByName { entries, hashes, .. } = walk.by_name();
            for index in entries..walk.scratch.entries.len() {
                let entry = walk.scratch.entries[index];
                if !entry.seen && !planted::is(Bug::NoDelete) {
                    walk.scratch.text.truncate(self.text);
                    let mut text = std::mem::take(&mut walk.scratch.text).into_bytes();
                    word::read_key(&walk.words[entry.key..], &mut text);
                    walk.scratch.text = String::from_utf8(text).expect("keys on the tape were texts");
                    walk.step = Step::Text(self.text, walk.scratch.text.len()).pack();
                    walk.op(Op::Delete);
                    ops::close(walk.out);
                }
            }
            walk.scratch.entries.truncate(entries);
            walk.scratch.by_name.pop();
            header = walk.map_header(hashes);
        }
        walk.scratch.text.truncate(self.text);
        if header & word::REPEATED_KEY != 0 {
            return Err(walk.reopen());
        }
        Ok(walk.close(header))
    }
}
