//! The diffing serializer: walks a value beside the tape and writes an op wherever they differ.
//!
//! While every changed value has as many words as before, words are overwritten in place. From the
//! first that has not, the walk copies: what it has passed and what it passes from then on go to a
//! new tape, which takes the place of the old one at the end. Either way each value is walked once.
//!
//! Two things need a value from its beginning again: another kind of value than before, and a list
//! whose items are not where they were. Then the serializer fails with [`Halt`], and
//! [`Walk::value`], the nearest frame that holds the value itself, starts over with what it learned.

mod build;
pub(crate) mod list;
pub(crate) mod object;
mod probe;

use std::fmt::Write as _;

use serde::{Serialize, Serializer};
use windlass_protocol::ops::{self, Op};

use crate::error::{Error, Halt};
use crate::handshake::{self, Kind};
use crate::tape::{Scratch, Step, Tape};
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
    /// The old tape, and until the walk copies the new one too.
    words: Vec<u64>,
    scratch: Box<Scratch>,
    out: &'a mut Vec<u8>,
    /// Where the ops begin in `out`.
    start: usize,
    /// Where the old value of what comes next is.
    at: usize,
    copying: bool,
    halted: Halted,
    whole_document: bool,
    /// Where an item of a list begins that may be known by an id.
    element_at: usize,
    /// Where the old word is that says which item this is.
    identity_at: usize,
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

/// What a frame of [`Walk::value`] remembers.
#[derive(Clone, Copy)]
struct Frame {
    at: usize,
    out: usize,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(
        tape: &'a mut Tape,
        keys: &'a [(&'static str, &'static str)],
        root_key: Option<&'static str>,
        words: Vec<u64>,
        out: &'a mut Vec<u8>,
    ) -> Self {
        let mut scratch = Scratch::take();
        scratch.path.extend(root_key.map(Step::Name));
        Self {
            tape,
            keys,
            words,
            scratch,
            start: out.len(),
            out,
            at: 0,
            copying: false,
            halted: Halted::No,
            whole_document: root_key.is_none(),
            element_at: usize::MAX,
            identity_at: usize::MAX,
            groups: None,
            in_group: false,
            resume: false,
            plans: 0,
            overflow: false,
        }
    }

    pub(crate) fn diff<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let walked = if self.words.is_empty() {
            self.copying = true;
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
        self.copying = true;
        let built = self.build(value);
        self.outcome(built)
    }

    fn outcome(&mut self, walked: Result<(), Halt>) -> Result<(), Error> {
        if walked.is_err() || self.halted != Halted::No {
            return Err(Halt::failure());
        }
        if self.copying && self.whole_document { self.check_root() } else { Ok(()) }
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
    pub(crate) fn finish(mut self) -> (Vec<u64>, Box<Scratch>) {
        if self.copying {
            std::mem::swap(&mut self.words, &mut self.scratch.next);
            if self.words.capacity() > self.words.len() + self.words.len() / 16 + 64 {
                self.words.shrink_to(self.words.len() + self.words.len() / 32);
            }
        }
        if self.overflow {
            self.words.clear();
            self.tape.templates = Default::default();
        }
        (self.words, self.scratch)
    }

    /// Walks a value beside its old words.
    #[inline(always)]
    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Halt> {
        if self.halted != Halted::No {
            return Err(Halt);
        }
        let frame = Frame { at: self.at, out: self.out.len() };
        let walked = value.serialize(&mut *self);
        if walked.is_ok() && self.out.len() == frame.out {
            return Ok(());
        }
        self.settle(value, frame, walked)
    }

    #[cold]
    #[inline(never)]
    fn settle<T: Serialize + ?Sized>(&mut self, value: &T, frame: Frame, walked: Result<(), Halt>) -> Result<(), Halt> {
        self.start_over(value, frame, walked)?;
        self.shorten(value, frame)
    }

    /// [`Walk::value`] for a list that shows its groups, which would not be plain to another serializer.
    fn grouped_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Halt> {
        let frame = Frame { at: self.at, out: self.out.len() };
        let walked = value.serialize(&mut *self);
        self.start_over(value, frame, walked)
    }

    fn start_over<T: Serialize + ?Sized>(
        &mut self,
        value: &T,
        frame: Frame,
        mut walked: Result<(), Halt>,
    ) -> Result<(), Halt> {
        match self.halted {
            Halted::No => {}
            Halted::Replace(depth) => walked = self.replace(value, frame, depth),
            Halted::Replan => walked = self.replan(value),
            Halted::OtherItem | Halted::Failed => return Err(Halt),
        }
        if walked.is_err() && self.halted == Halted::No {
            self.halted = Halted::Failed;
        }
        walked
    }

    /// Writes the whole value, for one of another kind.
    fn replace<T: Serialize + ?Sized>(&mut self, value: &T, frame: Frame, depth: usize) -> Result<(), Halt> {
        self.halted = Halted::No;
        let scratch = &mut *self.scratch;
        scratch.path.truncate(depth);
        scratch.lists.retain(|list| list.depth() < depth);
        scratch.variants.retain(|&(_, variant)| variant < depth);
        scratch.by_name.retain(|object| object.depth() <= depth);
        self.at = frame.at;
        self.start_copying();
        self.out.truncate(frame.out);
        self.op(Op::Set);
        ops::item(self.out);
        self.build(value)?;
        ops::close(self.out);
        self.at += word::size(self.words[self.at]);
        Ok(())
    }

    /// Sends the plain value where that is shorter than the ops inside it.
    fn shorten<T: Serialize + ?Sized>(&mut self, value: &T, frame: Frame) -> Result<(), Halt> {
        let ops = self.out.len() - frame.out;
        let leaf = word::is_leaf(self.words[frame.at]);
        if leaf || self.plain_size_reaches(self.old_plain(frame), ops) {
            return Ok(());
        }
        let end = self.out.len();
        self.op(Op::Set);
        ops::item(self.out);
        serde_json::to_writer(&mut *self.out, value).map_err(serde::ser::Error::custom)?;
        ops::close(self.out);
        // The ops before this value are parted by a comma from what is kept.
        let plain = end + usize::from(frame.out == self.start);
        if self.out.len() - plain < ops {
            self.out.drain(frame.out..plain);
        } else {
            self.out.truncate(end);
        }
        Ok(())
    }

    /// The new words of the value that a frame holds; those of before where its new ones cannot be told from others'.
    fn old_plain(&self, frame: Frame) -> &[u64] {
        if frame.at == 0 && self.copying { &self.scratch.next } else { &self.words[frame.at..self.at] }
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
                (2, word::payload(word) as usize + 3)
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
    fn build<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Halt> {
        if self.halted != Halted::No {
            return Err(Halt);
        }
        let built = value.serialize(Build(&mut *self));
        if built.is_err() {
            self.halted = Halted::Failed;
        } else if self.halted != Halted::No {
            return Err(Halt);
        }
        built
    }

    fn bail(&mut self, why: Halted) -> Halt {
        self.halted = why;
        Halt
    }

    /// The old value is of another kind than what arrives.
    fn other_kind(&mut self) -> Halt {
        let depth = self.scratch.path.len();
        self.bail(Halted::Replace(depth))
    }

    /// Begins an op on the value that the walk is at.
    fn op(&mut self, op: Op) {
        self.op_at(op, self.scratch.path.len());
    }

    /// Begins an op with the first `depth` steps of the path.
    fn op_at(&mut self, op: Op, depth: usize) {
        let out = &mut *self.out;
        if out.len() > self.start {
            out.push(b',');
        }
        ops::open(out, if depth == 0 && op == Op::Set { Op::Root } else { op });
        for &step in &self.scratch.path[..depth] {
            match step {
                Step::Name(name) => ops::text(out, name),
                Step::Text { start, end } => ops::text(out, &self.scratch.text[start..end]),
                Step::Index(index) => ops::number(out, index),
            }
        }
    }

    #[inline(always)]
    fn step(&mut self, step: Step) {
        if let Some(slot) = self.scratch.path.last_mut() {
            *slot = step;
        }
    }

    /// Where the next word of the new tape goes.
    #[inline(always)]
    fn position(&self) -> usize {
        if self.copying { self.scratch.next.len() } else { self.at }
    }

    /// The next `count` words stay as they are.
    #[inline(always)]
    fn keep(&mut self, count: usize) {
        if self.copying {
            self.copy(count);
        }
        self.at += count;
    }

    /// Not inlined: every leaf has a call of it, and few walks copy.
    #[inline(never)]
    fn copy(&mut self, count: usize) {
        self.scratch.next.extend_from_slice(&self.words[self.at..self.at + count]);
    }

    fn start_copying(&mut self) {
        if !self.copying {
            self.copying = true;
            self.scratch.next.clear();
            self.scratch.next.extend_from_slice(&self.words[..self.at]);
        }
    }

    /// A word that has been passed becomes another.
    fn overwrite(&mut self, position: usize, word: u64) {
        if self.copying {
            self.scratch.next[position] = word;
        } else if self.words[position] != word {
            self.scratch.undo.push((position, self.words[position]));
            self.words[position] = word;
        }
    }

    /// New words take the place of the old value.
    fn store(&mut self, new: &[u64]) {
        let size = word::size(self.words[self.at]);
        if !self.copying && size == new.len() {
            for (offset, &word) in new.iter().enumerate() {
                self.overwrite(self.at + offset, word);
            }
        } else {
            self.start_copying();
            self.scratch.next.extend_from_slice(new);
        }
        self.at += size;
    }

    /// Steps over the marks of a tracked value whose new one arrives plainly.
    fn untrack(&mut self) -> bool {
        let tracked = word::is(self.words[self.at], Tag::Tracked);
        if tracked {
            self.start_copying();
            self.at += 3;
        }
        tracked
    }

    #[inline(always)]
    fn word(&mut self, word: u64, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Halt> {
        if self.words[self.at] == word {
            self.keep(1);
            return Ok(());
        }
        self.changed(Leaf::one(word), write)
    }

    #[inline(always)]
    fn leaf(&mut self, leaf: Leaf, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Halt> {
        let words = leaf.words();
        if words.len() == 1 {
            return self.word(words[0], write);
        }
        if self.words[self.at..].starts_with(words) {
            self.keep(words.len());
            return Ok(());
        }
        self.changed(leaf, write)
    }

    #[cold]
    fn changed(&mut self, leaf: Leaf, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Halt> {
        if self.untrack() {
            return self.leaf(leaf, write);
        }
        if self.at == self.identity_at {
            return Err(self.other_item());
        }
        self.op(Op::Set);
        ops::item(self.out);
        write(self.out);
        ops::close(self.out);
        self.store(leaf.words());
        Ok(())
    }

    #[inline(always)]
    fn text(&mut self, text: &str) -> Result<(), Halt> {
        if let [header, digest, ..] = self.words[self.at..]
            && header == word::tagged(Tag::Text, text.len() as u64)
            && digest == word::digest(self.tape.key, text.as_bytes())
        {
            self.keep(2);
            return Ok(());
        }
        self.changed_text(text)
    }

    fn changed_text(&mut self, text: &str) -> Result<(), Halt> {
        let header = word::tagged(Tag::Text, text.len() as u64);
        let old = self.words[self.at];
        if old != header && word::is(old, Tag::Text) {
            let length = word::payload(old) as usize;
            if 0 < length && length < text.len() && text.is_char_boundary(length) && self.at != self.identity_at {
                let (prefix, whole) = word::digest_prefix(self.tape.key, text.as_bytes(), length);
                if prefix == self.words[self.at + 1] {
                    self.op(Op::Append);
                    ops::text(self.out, &text[length..]);
                    ops::close(self.out);
                    self.store(&[header, whole]);
                    return Ok(());
                }
            }
        }
        self.changed(Leaf::text(self.tape.key, text), |out| ops::string(out, text))
    }

    fn raw(&mut self, json: &str) -> Result<(), Halt> {
        self.leaf(Leaf::raw(self.tape.key, json), |out| out.extend_from_slice(json.as_bytes()))
    }

    #[inline(always)]
    fn tracked<T: Serialize + ?Sized>(&mut self, id: u64, generation: u64, value: &T) -> Result<(), Halt> {
        if let [header, old_id, old_generation, ..] = self.words[self.at..]
            && word::is(header, Tag::Tracked)
            && (old_id, old_generation) == (id, generation)
        {
            self.keep(word::size(header));
            return Ok(());
        }
        self.changed_tracked(id, generation, value)
    }

    fn changed_tracked<T: Serialize + ?Sized>(&mut self, id: u64, generation: u64, value: &T) -> Result<(), Halt> {
        let header = self.words[self.at];
        if !word::is(header, Tag::Tracked) {
            self.start_copying();
            let start = self.scratch.next.len();
            self.scratch.next.extend_from_slice(&[0, id, generation]);
            self.value(value)?;
            self.close(start, word::tagged(Tag::Tracked, 0));
            return Ok(());
        }
        let same_id = self.words[self.at + 1] == id;
        if self.at == self.element_at && !same_id {
            return Err(self.other_item());
        }
        let start = self.position();
        self.keep(3);
        self.value(value)?;
        self.overwrite(start + 1, id);
        self.overwrite(start + 2, generation);
        self.close(start, word::tagged(Tag::Tracked, 0));
        Ok(())
    }

    /// Writes the size of the container that began at `start` into its header.
    #[inline(always)]
    fn close(&mut self, start: usize, header: u64) {
        if self.copying {
            let size = self.scratch.next.len() - start;
            self.scratch.next[start] = header | size as u64;
        }
    }
}

/// Implements the leaves of a serializer in terms of `leaf` and `text`.
macro_rules! leaves {
    ($($method:ident: $type:ty => $leaf:expr, $write:expr;)*) => {$(
        #[inline(always)]
        fn $method(self, value: $type) -> Result<(), Halt> {
            let leaf: Leaf = $leaf(value.into());
            self.leaf(leaf, |out| $write(out, value))
        }
    )*};
}

fn write_integer(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Numbers as serde_json writes them; what is not finite is null.
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
            serialize_f32: f32 => Leaf::single, write_float;
            serialize_f64: f64 => Leaf::double, write_float;
        }

        fn serialize_char(self, value: char) -> Result<(), Halt> {
            self.serialize_str(value.encode_utf8(&mut [0; 4]))
        }

        fn serialize_bytes(self, value: &[u8]) -> Result<(), Halt> {
            value.serialize(self)
        }

        fn serialize_none(self) -> Result<(), Halt> {
            self.serialize_unit()
        }

        fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Halt> {
            value.serialize(self)
        }

        fn serialize_unit(self) -> Result<(), Halt> {
            self.leaf(Leaf::one(word::NULL), |out| out.extend_from_slice(b"null"))
        }

        fn serialize_unit_struct(self, _: &'static str) -> Result<(), Halt> {
            self.serialize_unit()
        }

        fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Halt> {
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
    type Ok = ();
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
    fn serialize_str(self, value: &str) -> Result<(), Halt> {
        self.text(value)
    }

    fn collect_str<T: std::fmt::Display + ?Sized>(self, value: &T) -> Result<(), Halt> {
        // The default would allocate.
        let mut text = std::mem::take(&mut self.scratch.display);
        text.clear();
        let written = write!(text, "{value}").map_err(serde::ser::Error::custom);
        let result = written.and_then(|()| self.text(&text));
        self.scratch.display = text;
        result
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<(), Halt> {
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
    ) -> Result<(), Halt> {
        let open = self.open_variant(variant)?;
        self.value(value)?;
        self.close_variant(open);
        Ok(())
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
        let depth = self.scratch.path.len();
        let open = self.open_variant(variant)?;
        self.scratch.variants.push((open, depth));
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
        let depth = self.scratch.path.len();
        let open = self.open_variant(variant)?;
        self.scratch.variants.push((open, depth));
        if !word::is(self.words[self.at], Tag::Struct) {
            return Err(self.other_variant());
        }
        let mut fields = self.open_struct(name)?;
        fields.variant = true;
        Ok(fields)
    }
}
