//! The diffing serializer: walks a value beside the tape and writes an op wherever they differ.
//!
//! While every changed value has as many words as before, words are overwritten in place. Where the
//! sizes differ, the old words so far go to a new tape in one piece, the new words after them, and
//! the walk goes on beside the old ones; at the end the new tape, if there is one, takes the place of
//! the old. Either way each value is walked once.
//!
//! Two things need a value from its beginning again: another kind of value than before, and a list
//! whose items are not where they were. Then the serializer fails with [`Halt`], and
//! [`Walk::value`], the nearest frame that holds the value itself, starts over with what it learned.

mod build;
mod copy;
pub(crate) mod list;
pub(crate) mod object;
mod probe;

use std::fmt::Write as _;

use serde::{Serialize, Serializer};
use windlass_protocol::ops::{self, Op};

use crate::error::{Error, Halt};
use crate::handshake::{self, Kind};
use crate::planted::{self, Bug};
use crate::tape::{PackedStep, Scratch, Step, Tape};
use crate::word::{self, Leaf, Tag};
use build::Build;
use list::{Elements, RowId};
use object::{Entries, Fields};

/// The name under which serde_json hands over text that is JSON already.
const RAW_VALUE: &str = "$serde_json::private::RawValue";

/// One walk of one value.
pub(crate) struct Walk<'a> {
    tape: &'a mut Tape,
    keys: &'a [(&'static str, &'static str)],
    root_key: Option<&'static str>,
    /// The old tape.
    words: Vec<u64>,
    scratch: Box<Scratch>,
    out: &'a mut Vec<u8>,
    /// Where the ops begin in `out`.
    start: usize,
    /// Where the old value of what comes next is; [`NOWHERE`] when nothing goes on.
    at: usize,
    /// From here to `at` the old words belong on the new tape and are not there yet. All of them are in one piece, so
    /// that copying them costs little, and nothing at all when the walk ends with one piece.
    from: usize,
    /// The last step of the path to what comes next.
    step: PackedStep,
    /// Where the ops of the value that ended last begin in `out`, when it has changed.
    began: usize,
    halted: Halted,
    whole_document: bool,
    /// Where an item begins, or its id, that was not tracked before and now is: it is not told by its id, although
    /// its list is.
    unidentified: usize,
    /// The list that arrives next has groups; true when their rows are not those of before.
    groups: Option<bool>,
    /// The sequence that arrives next is a group's.
    in_group: bool,
    /// The list that arrives next is the one on top of the lists, with a plan.
    resume: bool,
    /// How many plans by content the walk is inside of.
    plans: usize,
    /// There are more kinds of structs than a template's number can tell.
    overflow: bool,
}

/// Where no word is: what halts goes there, so that no value that comes after compares equal and none need ask.
const NOWHERE: usize = usize::MAX;

/// Why nothing goes on, and who starts over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Halted {
    No,
    /// The old value is of another kind: the next frame, at this depth of the path, writes the whole.
    Replace(usize),
    /// The list's item is another one: the list says from where on to plan.
    OtherItem,
    /// The list's items are not where they were: the next frame finds out where they are.
    Replan,
    /// For good.
    Failed,
}

/// Whether a value has changed, or why nobody knows yet.
type Walked = Result<bool, Halt>;

impl<'a> Walk<'a> {
    #[inline]
    pub(crate) fn new(
        tape: &'a mut Tape,
        keys: &'a [(&'static str, &'static str)],
        root_key: Option<&'static str>,
        words: Vec<u64>,
        out: &'a mut Vec<u8>,
    ) -> Self {
        Self {
            tape,
            keys,
            root_key,
            words,
            scratch: Scratch::take(),
            start: out.len(),
            out,
            at: 0,
            from: 0,
            step: Step::Root.pack(),
            began: 0,
            halted: Halted::No,
            whole_document: root_key.is_none(),
            unidentified: NOWHERE,
            groups: None,
            in_group: false,
            resume: false,
            plans: 0,
            overflow: false,
        }
    }

    pub(crate) fn diff<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let walked = if self.words.is_empty() {
            self.op(Op::Set);
            ops::item(self.out);
            let built = self.build(value);
            ops::close(self.out);
            built
        } else {
            self.value(value)
        };
        self.outcome(walked)
    }

    pub(crate) fn snapshot<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.words.clear();
        let built = self.build(value);
        self.outcome(built)
    }

    #[inline]
    fn outcome(&mut self, walked: Walked) -> Result<(), Error> {
        if walked.is_err() || self.halted != Halted::No {
            return Err(Halt::failure());
        }
        if self.is_copied() {
            self.flush();
            if self.whole_document {
                return self.check_root();
            }
        }
        Ok(())
    }

    fn check_root(&self) -> Result<(), Error> {
        let words = &self.scratch.next;
        let mut at = 0;
        while word::is(words[at], Tag::Tracked) {
            at += 3;
        }
        let reserved = |key: &str| if key.starts_with('$') { Err(Error::ReservedKey(key.into())) } else { Ok(()) };
        if word::is(words[at], Tag::Struct) {
            let (start, end) = self.tape.templates.span(word::template(words[at]));
            return self.tape.templates.names[start..end].iter().copied().try_for_each(reserved);
        }
        if !word::is(words[at], Tag::Map) {
            return Err(Error::NotAnObject);
        }
        let end = at + word::size(words[at]);
        at += 1;
        let mut key = Vec::new();
        while at < end {
            key.clear();
            word::read_key(&words[at..], &mut key);
            reserved(&String::from_utf8_lossy(&key))?;
            at += word::size(words[at]);
            at += word::size(words[at]);
        }
        Ok(())
    }

    /// The words of the new tape, empty when it cannot be kept, and the memory to give back.
    #[inline]
    pub(crate) fn finish(mut self) -> (Vec<u64>, Box<Scratch>) {
        if self.overflow || self.is_copied() {
            self.take_copy();
        }
        (self.words, self.scratch)
    }

    #[cold]
    fn take_copy(&mut self) {
        if self.overflow {
            self.words.clear();
            self.tape.templates = Default::default();
            return;
        }
        if self.halted != Halted::No {
            return;
        }
        self.flush();
        let next = &mut self.scratch.next;
        let fits = |capacity: usize, len: usize| len <= capacity && capacity <= len + len / 16 + 64;
        if fits(next.capacity(), next.len()) {
            std::mem::swap(&mut self.words, next);
        } else {
            // The spare memory is of another shadow's size, and stays with the thread.
            self.words.clear();
            if !fits(self.words.capacity(), next.len()) {
                self.words = Vec::with_capacity(next.len() + next.len() / 32);
            }
            self.words.extend_from_slice(next);
        }
    }

    /// Walks a value beside its old words.
    #[inline(always)]
    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Walked {
        let at = self.at;
        match value.serialize(&mut *self) {
            Ok(false) => Ok(false),
            walked => self.settle(value, at, walked),
        }
    }

    #[cold]
    #[inline(never)]
    fn settle<T: Serialize + ?Sized>(&mut self, value: &T, at: usize, walked: Walked) -> Walked {
        let changed = self.start_over(value, at, walked)?;
        if changed {
            self.shorten(value, at)?;
        }
        Ok(changed)
    }

    /// [`Walk::value`] for a list that shows its groups, which would not be plain to another serializer.
    fn grouped_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Walked {
        let at = self.at;
        let walked = value.serialize(&mut *self);
        self.start_over(value, at, walked)
    }

    fn start_over<T: Serialize + ?Sized>(&mut self, value: &T, at: usize, mut walked: Walked) -> Walked {
        if at == NOWHERE {
            return Err(Halt);
        }
        match self.halted {
            Halted::No => {}
            Halted::Replace(depth) => walked = self.replace(value, at, depth),
            Halted::Replan => walked = self.replan(value),
            Halted::OtherItem | Halted::Failed => return Err(Halt),
        }
        if walked.is_err() && self.halted == Halted::No {
            return Err(self.bail(Halted::Failed));
        }
        walked
    }

    /// Writes the whole value, for one of another kind.
    fn replace<T: Serialize + ?Sized>(&mut self, value: &T, at: usize, depth: usize) -> Walked {
        self.halted = Halted::No;
        self.leave_to(depth);
        let scratch = &mut *self.scratch;
        scratch.lists.retain(|list| list.depth() < depth);
        scratch.variants.retain(|&variant| variant < depth);
        scratch.by_name.retain(|object| object.depth() <= depth);
        self.at = at;
        // Marks of a tracked value that were passed over.
        self.from = self.from.min(at);
        self.out.truncate(self.began);
        self.op(Op::Set);
        ops::item(self.out);
        self.build(value)?;
        ops::close(self.out);
        self.at += word::size(self.words[at]);
        self.from = self.at;
        self.began = self.out.len();
        Ok(true)
    }

    /// Sends the plain value where that is shorter than the ops inside it.
    fn shorten<T: Serialize + ?Sized>(&mut self, value: &T, at: usize) -> Result<(), Halt> {
        let began = self.began;
        let ops = self.out.len() - began;
        if word::is_leaf(self.words[at]) {
            return Ok(());
        }
        let whole = at == 0 && self.is_copied();
        if whole {
            self.flush();
        }
        // The new words where they can be told from others', else those of before.
        let words = if whole { &self.scratch.next } else { &self.words[at..self.at] };
        if self.plain_size_reaches(words, ops) {
            return Ok(());
        }
        let end = self.out.len();
        self.op(Op::Set);
        ops::item(self.out);
        serde_json::to_writer(&mut *self.out, value).map_err(serde::ser::Error::custom)?;
        ops::close(self.out);
        // The ops before this value are parted by a comma from what is kept.
        let plain = end + usize::from(began == self.start);
        if self.out.len() - plain < ops {
            self.out.drain(began..plain);
        } else {
            self.out.truncate(end);
        }
        Ok(())
    }

    /// Whether the JSON of a value has at least `size` bytes; looks at no more of its words than it takes to know.
    fn plain_size_reaches(&self, words: &[u64], size: usize) -> bool {
        let mut bytes = 0;
        let mut at = 0;
        while at < words.len() && bytes < size {
            let word = words[at];
            let (step, least) = if word::is(word, Tag::Struct) {
                let (start, end) = self.tape.templates.span(word::template(word));
                let names = self.tape.templates.names[start..end].iter();
                (1, names.map(|name| name.len() + 3).sum::<usize>() + 1)
            } else if word::is(word, Tag::Key) {
                (word::size(word), word::payload(word) as usize + 3)
            } else if word::is(word, Tag::Text) {
                (2, word::text_length(word) + 3)
            } else if word::is(word, Tag::Raw) {
                (2, word::payload(word) as usize + 1)
            } else if word::is(word, Tag::Map) {
                (1, 1)
            } else if word::is(word, Tag::List) {
                (2, 1)
            } else if word::is_leaf(word) {
                // A digit and a comma; a leaf beyond 2^53 has 16 digits.
                (word::size(word), if word::is(word, Tag::Big) { 17 } else { 2 })
            } else {
                (3, 0)
            };
            at += step;
            bytes += least;
        }
        bytes >= size
    }

    /// Writes a value that has no old words, and its new ones.
    fn build<T: Serialize + ?Sized>(&mut self, value: &T) -> Walked {
        if self.halted != Halted::No {
            return Err(Halt);
        }
        self.flush();
        let built = value.serialize(Build(&mut *self));
        if built.is_err() {
            return Err(self.bail(Halted::Failed));
        }
        if self.halted != Halted::No {
            return Err(Halt);
        }
        built
    }

    fn bail(&mut self, why: Halted) -> Halt {
        self.halted = why;
        self.at = NOWHERE;
        Halt
    }

    /// The old value is of another kind than what arrives.
    fn other_kind(&mut self) -> Halt {
        if self.halted != Halted::No {
            return Halt;
        }
        self.began = self.out.len();
        let depth = self.scratch.levels.len();
        self.bail(Halted::Replace(depth))
    }

    /// Begins an op on the value that the walk is at.
    fn op(&mut self, op: Op) {
        self.op_at(op, self.scratch.levels.len());
        self.write_step(self.step);
    }

    /// Begins an op on the object or list that the walk is inside of at this depth.
    fn op_inside(&mut self, op: Op, depth: usize) {
        self.op_at(op, depth + 1);
    }

    /// Begins an op with the steps that led to the first levels.
    fn op_at(&mut self, op: Op, levels: usize) {
        if self.out.len() > self.start {
            self.out.push(b',');
        }
        let is_root = levels == 0 && matches!(self.step.unpack(), Step::Root) && self.root_key.is_none();
        ops::open(self.out, if is_root && op == Op::Set { Op::Root } else { op });
        if let Some(key) = self.root_key {
            ops::text(self.out, key);
        }
        for level in 0..levels {
            self.write_step(self.scratch.levels[level].step);
        }
    }

    fn write_step(&mut self, step: PackedStep) {
        match step.unpack() {
            Step::Root => {}
            Step::Name(place) => ops::text(self.out, self.tape.templates.names[place as usize]),
            Step::NewName(place) => ops::text(self.out, self.scratch.names[place as usize]),
            Step::Text(start, end) => ops::text(self.out, &self.scratch.text[start..end]),
            Step::Index(index) => ops::number(self.out, index),
        }
    }

    /// Whether the value that the walk is at says which item of a list it is in: it is the item's first, and named so.
    fn is_identity(&self) -> bool {
        let scratch = &*self.scratch;
        let [.., level] = scratch.levels[..] else { return false };
        // Where words were written since the item began, there is no way back to its beginning.
        let by_name = scratch.by_name.last().is_some_and(|object| object.depth() == scratch.levels.len());
        if by_name || self.unidentified == level.old || self.unidentified == self.at || !self.items_have_ids(1) {
            return false;
        }
        match self.step.unpack() {
            Step::Name(place) => {
                self.at == level.old + 1 && object::is_identity(self.tape.templates.names[place as usize])
            }
            Step::Text(start, end) => {
                let key = level.old + 1;
                self.at == key + word::size(self.words[key]) && object::is_identity(&scratch.text[start..end])
            }
            _ => false,
        }
    }

    #[inline(always)]
    fn word(&mut self, word: u64, write: impl FnOnce(&mut Vec<u8>)) -> Walked {
        if self.words.get(self.at) == Some(&word) {
            self.at += 1;
            return Ok(false);
        }
        self.changed(Leaf::one(word), write)
    }

    #[inline(always)]
    fn leaf(&mut self, leaf: Leaf, write: impl FnOnce(&mut Vec<u8>)) -> Walked {
        let words = leaf.words();
        if words.len() == 1 {
            return self.word(words[0], write);
        }
        if self.words.get(self.at..).is_some_and(|old| old.starts_with(words)) {
            self.at += words.len();
            return Ok(false);
        }
        self.changed(leaf, write)
    }

    #[cold]
    #[inline(never)]
    fn changed(&mut self, leaf: Leaf, write: impl FnOnce(&mut Vec<u8>)) -> Walked {
        if self.halted != Halted::No {
            return Err(Halt);
        }
        if self.untrack() {
            return self.leaf(leaf, write);
        }
        if word::is_leaf(self.words[self.at]) && self.is_identity() {
            return Err(self.bail(Halted::OtherItem));
        }
        self.began = self.out.len();
        self.op(Op::Set);
        ops::item(self.out);
        write(self.out);
        ops::close(self.out);
        self.store(leaf.words());
        // It is as short as it can be.
        self.began = self.out.len();
        Ok(true)
    }

    #[inline(always)]
    fn text(&mut self, text: &str) -> Walked {
        if let Some(old) = self.words.get(self.at..)
            && let [header, digest, ..] = *old
            && word::text_is([header, digest], self.tape.key, text.as_bytes())
        {
            self.at += 2;
            return Ok(false);
        }
        self.changed_text(text)
    }

    #[cold]
    #[inline(never)]
    fn changed_text(&mut self, text: &str) -> Walked {
        if self.halted == Halted::No && word::is(self.words[self.at], Tag::Text) {
            let old = [self.words[self.at], self.words[self.at + 1]];
            let length = word::text_length(old[0]);
            if 0 < length
                && length < text.len()
                && text.is_char_boundary(length)
                && !self.is_identity()
                && let Some(new) = word::appended(self.tape.key, old, text.as_bytes())
            {
                self.op(Op::Append);
                ops::text(self.out, &text[length..]);
                ops::close(self.out);
                self.store(&new);
                self.began = self.out.len();
                return Ok(true);
            }
        }
        self.changed(Leaf::text(self.tape.key, text), |out| ops::string(out, text))
    }

    /// A number that JSON has no text for is null.
    #[cold]
    #[inline(never)]
    fn not_finite(&mut self) -> Walked {
        let changed = self.serialize_unit()?;
        if changed {
            self.note_not_finite(None);
        }
        Ok(changed)
    }

    /// Remembers the path of the first such number; of one inside a value that is told as a whole, the value's path
    /// and the field's name.
    fn note_not_finite(&mut self, name: Option<&'static str>) {
        if self.tape.not_finite.is_some() {
            return;
        }
        let mut path = String::from(self.root_key.unwrap_or_default());
        for step in self.scratch.levels.iter().map(|level| level.step).chain([self.step]) {
            let dot = if path.is_empty() { "" } else { "." };
            // Writing to a string does not fail.
            let _ = match step.unpack() {
                Step::Root => Ok(()),
                Step::Name(place) => write!(path, "{dot}{}", self.tape.templates.names[place as usize]),
                Step::NewName(place) => write!(path, "{dot}{}", self.scratch.names[place as usize]),
                Step::Text(start, end) => write!(path, "{dot}{}", &self.scratch.text[start..end]),
                Step::Index(index) => write!(path, "{dot}{index}"),
            };
        }
        if let Some(name) = name {
            let _ = write!(path, "…{name}");
        }
        self.tape.not_finite = Some(path.into());
    }

    fn raw(&mut self, json: &str) -> Walked {
        self.leaf(Leaf::raw(self.tape.key, json), |out| out.extend_from_slice(json.as_bytes()))
    }

    #[inline(always)]
    fn tracked<T: Serialize + ?Sized>(&mut self, id: u64, generation: u64, value: &T) -> Walked {
        if let Some(old) = self.words.get(self.at..)
            && let [header, old_id, old_generation, ..] = *old
            && (old_generation, old_id) == (if planted::is(Bug::IdAlone) { old_generation } else { generation }, id)
            && word::is(header, Tag::Tracked)
        {
            self.at += word::container_size(header);
            return Ok(false);
        }
        self.changed_tracked(id, generation, value)
    }

    #[inline(never)]
    fn changed_tracked<T: Serialize + ?Sized>(&mut self, id: u64, generation: u64, value: &T) -> Walked {
        if self.halted != Halted::No {
            return Err(Halt);
        }
        let (old, header) = (self.at, self.words[self.at]);
        if !word::is(header, Tag::Tracked) {
            self.unidentified = old;
            self.append(&[0, id, generation]);
            let start = self.scratch.next.len() - 3;
            let changed = self.value(value)?;
            self.seal(start, word::tagged(Tag::Tracked, 0));
            return Ok(changed);
        }
        if self.words[old + 1] != id && self.items_have_ids(0) {
            return Err(self.bail(Halted::OtherItem));
        }
        let start = self.position();
        self.at += 3;
        let changed = self.value(value)?;
        self.mark(old, start, Tag::Tracked, [Some(id), Some(generation)]);
        Ok(changed)
    }
}

/// Implements the leaves of a serializer in terms of `leaf` and `text`.
macro_rules! leaves {
    ($($method:ident: $type:ty => $leaf:expr, $write:expr;)*) => {$(
        #[inline(always)]
        fn $method(self, value: $type) -> Walked {
            let leaf: Leaf = $leaf(value.into());
            self.leaf(leaf, |out| $write(out, value))
        }
    )*};
}

fn write_integer(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Numbers as serde_json writes them.
fn write_float(out: &mut Vec<u8>, value: impl Serialize) {
    serde_json::to_writer(out, &value).expect("a float serialises, and a vector takes all");
}

fn write_bool(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

macro_rules! serialize_leaves {
    () => {
        leaves! {
            serialize_bool: bool => Leaf::bool, write_bool;
            serialize_i8: i8 => Leaf::signed, write_integer;
            serialize_i16: i16 => Leaf::signed, write_integer;
            serialize_i32: i32 => Leaf::signed, write_integer;
            serialize_i64: i64 => Leaf::signed, write_integer;
            serialize_i128: i128 => Leaf::signed_128, write_integer;
            serialize_u8: u8 => Leaf::unsigned, write_integer;
            serialize_u16: u16 => Leaf::unsigned, write_integer;
            serialize_u32: u32 => Leaf::unsigned, write_integer;
            serialize_u64: u64 => Leaf::unsigned, write_integer;
            serialize_u128: u128 => Leaf::unsigned_128, write_integer;
        }

        #[inline(always)]
        fn serialize_f32(self, value: f32) -> Walked {
            if value.is_finite() {
                self.leaf(Leaf::single(value), |out| write_float(out, value))
            } else {
                self.not_finite()
            }
        }

        #[inline(always)]
        fn serialize_f64(self, value: f64) -> Walked {
            if value.is_finite() {
                self.leaf(Leaf::double(value), |out| write_float(out, value))
            } else {
                self.not_finite()
            }
        }

        fn serialize_char(self, value: char) -> Walked {
            self.serialize_str(value.encode_utf8(&mut [0; 4]))
        }

        fn serialize_bytes(self, value: &[u8]) -> Walked {
            value.serialize(self)
        }

        fn serialize_none(self) -> Walked {
            self.serialize_unit()
        }

        fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Walked {
            value.serialize(self)
        }

        fn serialize_unit(self) -> Walked {
            self.leaf(Leaf::one(word::NULL), |out| out.extend_from_slice(b"null"))
        }

        fn serialize_unit_struct(self, _: &'static str) -> Walked {
            self.serialize_unit()
        }

        fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Walked {
            self.serialize_str(variant)
        }

        fn serialize_tuple(self, len: usize) -> Result<Self::SerializeTuple, Halt> {
            self.open_list(Some(len), true)
        }

        fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<Self::SerializeTupleStruct, Halt> {
            self.open_list(Some(len), true)
        }
    };
}
use {leaves, serialize_leaves};

impl<'w, 'a> Serializer for &'w mut Walk<'a> {
    type Ok = bool;
    type Error = Halt;
    type SerializeSeq = Elements<'w, 'a>;
    type SerializeTuple = Elements<'w, 'a>;
    type SerializeTupleStruct = Elements<'w, 'a>;
    type SerializeTupleVariant = Elements<'w, 'a>;
    type SerializeMap = Entries<'w, 'a>;
    type SerializeStruct = Fields<'w, 'a>;
    type SerializeStructVariant = Fields<'w, 'a>;

    serialize_leaves!();

    #[inline]
    fn serialize_str(self, value: &str) -> Walked {
        self.text(value)
    }

    fn collect_str<T: std::fmt::Display + ?Sized>(self, value: &T) -> Walked {
        // The default would allocate.
        let mut text = std::mem::take(&mut self.scratch.display);
        text.clear();
        let written = write!(text, "{value}").map_err(serde::ser::Error::custom);
        let result = written.and_then(|()| self.text(&text));
        self.scratch.display = text;
        result
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Walked {
        match handshake::accept(name, value) {
            None => value.serialize(self),
            Some(Kind::Tracked { id, generation }) => self.tracked(id, generation, value),
            Some(Kind::Groups { order, generation }) => self.groups(order, generation, value),
            Some(Kind::Group { generation, rows }) => self.group(generation, rows, value),
            Some(Kind::Row { id, generation }) => self.row(RowId { id, generation }, value),
        }
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Walked {
        self.open_variant(variant)?;
        self.value(value)?;
        Ok(self.close_variant())
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Elements<'w, 'a>, Halt> {
        self.open_list(len, false)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Elements<'w, 'a>, Halt> {
        self.open_variant(variant)?;
        self.scratch.variants.push(self.scratch.levels.len() - 1);
        if !word::is(self.words[self.at], Tag::List) {
            return Err(self.other_variant());
        }
        let mut elements = self.open_list(Some(len), true)?;
        elements.variant = true;
        Ok(elements)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Entries<'w, 'a>, Halt> {
        self.open_map()
    }

    #[inline(always)]
    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Fields<'w, 'a>, Halt> {
        self.open_struct(name)
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Fields<'w, 'a>, Halt> {
        self.open_variant(variant)?;
        self.scratch.variants.push(self.scratch.levels.len() - 1);
        if !word::is(self.words[self.at], Tag::Struct) {
            return Err(self.other_variant());
        }
        let mut fields = self.open_struct(name)?;
        fields.variant = true;
        Ok(fields)
    }
}
