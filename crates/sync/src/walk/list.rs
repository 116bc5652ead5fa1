//! Lists of the diffing serializer: item by item in place, by plan where items are not where they were.
//!
//! A list is walked in place until an item turns up that is another one: its id differs, or, where
//! items have none, two in a row have changed or the length has. Then the items not yet settled are
//! matched with the old ones, by id or by content, the edits between the two are written, and the
//! list is walked once more from there, each item beside its own old words.

use serde::ser::{Serialize, SerializeSeq, SerializeTuple, SerializeTupleStruct, SerializeTupleVariant, Serializer};
use windlass_protocol::ops::{self, Op};

use super::object::Open;
use super::probe::{self, Ids, Probe};
use super::{Halt, Halted, Walk};
use crate::handshake;
use crate::plan::NONE;
use crate::tape::Step;
use crate::word::{self, Tag};

/// Plans by content inside plans by content build each item once a level; deeper ones go index by index.
const PLANS_MAX: usize = 2;

/// A list that is being walked.
#[derive(Clone, Copy)]
pub(crate) struct ListCx {
    /// Where it begins on the new tape.
    start: usize,
    old_end: usize,
    old_count: usize,
    /// Of the item that comes next.
    index: usize,
    /// How many items there will be, when the value says so.
    len: Option<usize>,
    /// Of the path to the list.
    depth: usize,
    /// The field that was declared as the identity of its items.
    declared: Option<&'static str>,
    /// A tuple: items stay where they are.
    fixed: bool,
    grouped: bool,
    /// Items are known by id.
    identified: bool,
    /// Where the first item begins that is not settled, and its index.
    mark: Mark,
    first: usize,
    /// The item before the current one has changed.
    changed: bool,
    /// The list is walked by plan: where its part of [`Scratch::sources`](crate::tape::Scratch) begins.
    plan: Option<usize>,
    /// How many more items the insertion that is open takes, and whether it is of one only.
    run: usize,
    single: bool,
}

/// A place to return to between two items of a list.
#[derive(Clone, Copy)]
struct Mark {
    at: usize,
    out: usize,
    next: usize,
    undo: usize,
    copying: bool,
}

pub(crate) struct Elements<'w, 'a> {
    walk: &'w mut Walk<'a>,
    /// The items are a group's: the list goes on after them.
    group: bool,
    pub(super) variant: Option<Open>,
}

impl<'a> Walk<'a> {
    pub(super) fn open_list<'w>(&'w mut self, len: Option<usize>, fixed: bool) -> Result<Elements<'w, 'a>, Halt> {
        if std::mem::take(&mut self.in_group) {
            return Ok(Elements { walk: self, group: true, variant: None });
        }
        let groups = self.groups.take();
        if std::mem::take(&mut self.resume) {
            return Ok(Elements { walk: self, group: false, variant: None });
        }
        self.untrack();
        let header = self.words[self.at];
        if !word::is(header, Tag::List) {
            return Err(self.other_kind());
        }
        let start = self.position();
        let (old_end, old_count) = (self.at + word::size(header), self.words[self.at + 1] as usize);
        self.keep(2);
        let cx = ListCx {
            start,
            old_end,
            old_count,
            index: 0,
            len,
            depth: self.scratch.path.len(),
            declared: self.declared(),
            fixed,
            grouped: groups.is_some(),
            identified: groups.is_some(),
            mark: self.mark(),
            first: 0,
            changed: false,
            plan: None,
            run: 0,
            single: false,
        };
        let depth = cx.depth;
        self.scratch.lists.push(cx);
        self.scratch.path.push(Step::Index(0));
        if groups == Some(true) {
            return Err(self.bail(Halted::Replan(depth)));
        }
        Ok(Elements { walk: self, group: false, variant: None })
    }

    /// The identity that was declared for the list at the current path.
    fn declared(&self) -> Option<&'static str> {
        if self.keys.is_empty() {
            return None;
        }
        let at = |list: &str| {
            let mut names = list.split('.');
            self.scratch.path.iter().all(|step| match *step {
                Step::Name(name) => names.next() == Some(name),
                Step::Text { start, end } => names.next() == Some(&self.scratch.text[start..end]),
                Step::Index(_) => true,
            }) && names.next().is_none()
        };
        self.keys.iter().find(|(list, _)| at(list)).map(|&(_, field)| field)
    }

    fn mark(&self) -> Mark {
        let (next, undo) = (self.scratch.next.len(), self.scratch.undo.len());
        Mark { at: self.at, out: self.out.len(), next, undo, copying: self.copying }
    }

    fn return_to(&mut self, mark: Mark) {
        while self.scratch.undo.len() > mark.undo {
            if let Some((at, word)) = self.scratch.undo.pop() {
                self.words[at] = word;
            }
        }
        self.at = mark.at;
        self.out.truncate(mark.out);
        self.copying = mark.copying;
        self.scratch.next.truncate(mark.next);
    }

    fn list(&mut self) -> &mut ListCx {
        self.scratch.lists.last_mut().expect("items come between the start and the end of a list")
    }

    /// The items of the current list are known by id.
    pub(super) fn identified(&mut self) {
        self.list().identified = true;
    }

    /// The item that arrives is not the one that was here.
    pub(super) fn other_item(&mut self) -> Halt {
        let depth = self.list().depth;
        self.bail(Halted::Replan(depth))
    }

    /// The next item of the current list; of a grouped one with the row's id.
    pub(super) fn item<T: Serialize + ?Sized>(&mut self, value: &T, row: Option<u64>) -> Result<(), Halt> {
        if self.halted != Halted::No {
            return Err(Halt::Bail);
        }
        let cx = *self.list();
        if let Some(plan) = cx.plan {
            self.planned_item(value, row, cx, plan)?;
        } else if cx.index < cx.old_count {
            self.step(Step::Index(cx.index));
            if cx.fixed || row.is_some() {
                self.element_at = usize::MAX;
                self.row(value, row)?;
            } else {
                self.item_in_place(value, cx)?;
            }
        } else {
            self.start_copying();
            let run = cx.len.map_or(usize::MAX, |len| len.saturating_sub(cx.index).max(1));
            self.insert(value, row, run)?;
        }
        self.list().index += 1;
        Ok(())
    }

    fn row<T: Serialize + ?Sized>(&mut self, value: &T, row: Option<u64>) -> Result<(), Halt> {
        if row.is_none() {
            return self.value(value);
        }
        let start = self.position();
        self.keep(2);
        self.value(value)?;
        self.close(start, word::tagged(Tag::Row, 0));
        Ok(())
    }

    #[inline]
    fn item_in_place<T: Serialize + ?Sized>(&mut self, value: &T, cx: ListCx) -> Result<(), Halt> {
        if !cx.changed {
            let mark = self.mark();
            let list = self.list();
            list.mark = mark;
            list.first = cx.index;
        }
        if let Some(field) = cx.declared {
            let new = value.serialize(Probe::item(self.tape.key, Some(field)))?;
            if new != probe::old_identity(&self.words, &self.tape.templates, self.at, Some(field)) {
                return Err(self.other_item());
            }
            self.identified();
        } else {
            self.element_at = self.at;
        }
        let before = self.out.len();
        self.value(value)?;
        let changed = self.out.len() != before;
        let list = self.list();
        if changed && !list.identified {
            let shifted = cx.changed || cx.len.is_some_and(|len| len != cx.old_count);
            list.changed = true;
            if shifted && self.plans < PLANS_MAX {
                return Err(self.other_item());
            }
        } else {
            // A later change alone is no shift; what came before it is settled.
            list.changed = false;
        }
        Ok(())
    }

    fn planned_item<T: Serialize + ?Sized>(
        &mut self,
        value: &T,
        row: Option<u64>,
        cx: ListCx,
        plan: usize,
    ) -> Result<(), Halt> {
        let Some(slot) = cx.index.checked_sub(cx.first) else { return Ok(()) };
        let source = self.scratch.sources.get(plan + slot).copied().unwrap_or(NONE);
        if source == NONE {
            let rest = &self.scratch.sources[(plan + slot).min(self.scratch.sources.len())..];
            let run = rest.iter().take_while(|&&source| source == NONE).count().max(1);
            return self.insert(value, row, run);
        }
        self.step(Step::Index(cx.index));
        self.at = source;
        self.element_at = usize::MAX;
        self.identity_at = usize::MAX;
        self.row(value, row)
    }

    /// Inserts an item into the client's list, in one op with those that follow it.
    fn insert<T: Serialize + ?Sized>(&mut self, value: &T, row: Option<u64>, run: usize) -> Result<(), Halt> {
        let cx = *self.list();
        if cx.run == 0 {
            self.op_at(if run == 1 { Op::Insert } else { Op::InsertRun }, cx.depth);
            ops::number(self.out, cx.index);
            ops::item(self.out);
            if run != 1 {
                self.out.push(b'[');
            }
            let list = self.list();
            list.run = run;
            list.single = run == 1;
        } else {
            ops::item(self.out);
        }
        self.build_row(value, row)?;
        let list = self.list();
        if list.run != usize::MAX {
            list.run -= 1;
            if list.run == 0 {
                self.end_run();
            }
        }
        Ok(())
    }

    pub(super) fn build_row<T: Serialize + ?Sized>(&mut self, value: &T, row: Option<u64>) -> Result<(), Halt> {
        let Some(id) = row else { return self.build(value) };
        let start = self.scratch.next.len();
        self.scratch.next.extend_from_slice(&[0, id]);
        self.build(value)?;
        self.close(start, word::tagged(Tag::Row, 0));
        Ok(())
    }

    fn end_run(&mut self) {
        let list = self.list();
        list.run = 0;
        if !list.single {
            ops::close(self.out);
        }
        ops::close(self.out);
    }

    fn end_list(&mut self) {
        let cx = *self.list();
        if cx.run > 0 {
            self.end_run();
        }
        if let Some(plan) = cx.plan {
            self.scratch.sources.truncate(plan);
        } else if cx.index < cx.old_count {
            self.start_copying();
            self.op_at(Op::Remove, cx.depth);
            ops::number(self.out, cx.index);
            ops::number(self.out, cx.old_count - cx.index);
            ops::close(self.out);
        }
        self.scratch.lists.pop();
        self.scratch.path.truncate(cx.depth);
        self.at = cx.old_end;
        if self.copying {
            self.close(cx.start, word::tagged(Tag::List, 0));
            self.scratch.next[cx.start + 1] = cx.index as u64;
        }
    }

    /// Walks a list whose items are not where they were, from the first that is not settled.
    pub(super) fn replan<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Halt> {
        let Halted::Replan(depth) = self.halted else { unreachable!("the frame looked") };
        self.halted = Halted::No;
        while self.list().depth > depth {
            self.scratch.lists.pop();
        }
        let mut cx = *self.list();
        self.scratch.path.truncate(depth);
        self.return_to(cx.mark);
        self.start_copying();

        let by_id = cx.identified && self.collect_ids(value, &cx)?;
        if !by_id {
            self.collect_contents(value, &cx)?;
        }
        self.scratch.planner.plan(!by_id);
        self.write_edits(&cx);

        let scratch = &mut *self.scratch;
        cx.plan = Some(scratch.sources.len());
        let offsets = &scratch.offsets;
        scratch
            .sources
            .extend(scratch.planner.sources.iter().map(|&source| if source == NONE { NONE } else { offsets[source] }));
        cx.index = 0;
        *self.list() = cx;
        self.scratch.path.push(Step::Index(0));
        self.resume = true;
        self.plans += usize::from(!by_id);
        let walked = value.serialize(&mut *self);
        self.plans -= usize::from(!by_id);
        walked
    }

    /// Gives the planner the ids of both lists; false when an item has none.
    fn collect_ids<T: Serialize + ?Sized>(&mut self, value: &T, cx: &ListCx) -> Result<bool, Halt> {
        let scratch = &mut *self.scratch;
        scratch.planner.old.clear();
        scratch.planner.new.clear();
        scratch.offsets.clear();
        let mut at = cx.mark.at;
        while at < cx.old_end {
            let header = self.words[at];
            if word::is(header, Tag::Group) {
                at += 3;
                continue;
            }
            let id = if word::is(header, Tag::Row) {
                Some(self.words[at + 1])
            } else {
                probe::old_identity(&self.words, &self.tape.templates, at, cx.declared)
            };
            let Some(id) = id else { return Ok(false) };
            scratch.planner.old.push(id);
            scratch.offsets.push(at);
            at += word::size(header);
        }
        let new = &mut scratch.planner.new;
        value.serialize(Ids { key: self.tape.key, field: cx.declared, skip: cx.first, ids: new, in_group: cx.grouped })
    }

    /// Gives the planner a fingerprint of each item of both lists.
    fn collect_contents<T: Serialize + ?Sized>(&mut self, value: &T, cx: &ListCx) -> Result<(), Halt> {
        let scratch = &mut *self.scratch;
        scratch.planner.old.clear();
        scratch.offsets.clear();
        let mut at = cx.mark.at;
        while at < cx.old_end {
            let size = word::size(self.words[at]);
            scratch.planner.old.push(word::fingerprint(&self.words[at..at + size]));
            scratch.offsets.push(at);
            at += size;
        }
        // The new list is built behind the new tape, and taken away again.
        let (next, out) = (self.scratch.next.len(), self.out.len());
        self.build(value)?;
        let scratch = &mut *self.scratch;
        scratch.planner.new.clear();
        let mut at = next;
        while word::is(scratch.next[at], Tag::Tracked) {
            at += 3;
        }
        at += 2;
        let mut index = 0;
        while at < scratch.next.len() {
            let size = word::size(scratch.next[at]);
            if index >= cx.first {
                scratch.planner.new.push(word::fingerprint(&scratch.next[at..at + size]));
            }
            index += 1;
            at += size;
        }
        scratch.next.truncate(next);
        self.out.truncate(out);
        Ok(())
    }

    /// The removals and moves of the plan; insertions are written as their items come.
    fn write_edits(&mut self, cx: &ListCx) {
        let planner = std::mem::take(&mut self.scratch.planner);
        for &(at, count) in &planner.removals {
            self.op_at(Op::Remove, cx.depth);
            ops::number(self.out, cx.first + at);
            ops::number(self.out, count);
            ops::close(self.out);
        }
        for &(from, to) in &planner.moves {
            self.op_at(Op::Move, cx.depth);
            ops::number(self.out, cx.first + from);
            ops::number(self.out, cx.first + to);
            ops::close(self.out);
        }
        if !planner.permutation.is_empty() {
            self.op_at(Op::Permute, cx.depth);
            ops::item(self.out);
            self.out.push(b'[');
            for old in (0..cx.first).chain(planner.permutation.iter().map(|&old| cx.first + old)) {
                ops::number(self.out, old);
            }
            self.out.extend_from_slice(b"]]");
        }
        self.scratch.planner = planner;
    }

    pub(super) fn groups<T: Serialize + ?Sized>(&mut self, order: u64, generation: u64, value: &T) -> Result<(), Halt> {
        let header = self.words[self.at];
        if !word::is(header, Tag::Groups) {
            return Err(self.other_kind());
        }
        let other_order = self.words[self.at + 1] != order;
        if !other_order && self.words[self.at + 2] == generation {
            self.keep(word::size(header));
            return Ok(());
        }
        let start = self.position();
        self.keep(3);
        self.groups = Some(other_order);
        self.grouped_value(&Grouped(value))?;
        self.overwrite(start + 1, order);
        self.overwrite(start + 2, generation);
        self.close(start, word::tagged(Tag::Groups, 0));
        Ok(())
    }

    pub(super) fn group<T: Serialize + ?Sized>(&mut self, generation: u64, rows: usize, value: &T) -> Result<(), Halt> {
        let cx = *self.list();
        if cx.plan.is_some() {
            return self.planned_group(generation, rows, value);
        }
        let header = self.words[self.at];
        if self.words[self.at + 1] == generation {
            self.keep(word::size(header));
            self.list().index += rows;
            return Ok(());
        }
        let start = self.position();
        self.keep(3);
        self.in_group = true;
        value.serialize(&mut *self)?;
        self.overwrite(start + 1, generation);
        self.close(start, word::tagged(Tag::Group, 0));
        Ok(())
    }

    fn planned_group<T: Serialize + ?Sized>(&mut self, generation: u64, rows: usize, value: &T) -> Result<(), Halt> {
        let start = self.scratch.next.len();
        self.scratch.next.extend_from_slice(&[0, generation, rows as u64]);
        self.in_group = true;
        value.serialize(&mut *self)?;
        self.close(start, word::tagged(Tag::Group, 0));
        Ok(())
    }
}

/// A list of groups that shows them to whoever walks it.
pub(super) struct Grouped<'v, T: ?Sized>(pub(super) &'v T);

impl<T: Serialize + ?Sized> Serialize for Grouped<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        handshake::ask_for_groups(self.0);
        self.0.serialize(serializer)
    }
}

impl Elements<'_, '_> {
    #[inline]
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Halt> {
        if self.group || self.walk.list().grouped {
            // A group, or a row of one: it says so itself.
            return value.serialize(&mut *self.walk);
        }
        self.walk.item(value, None)
    }

    fn finish(self) {
        if !self.group {
            self.walk.end_list();
        }
        if let Some(variant) = self.variant {
            self.walk.close_variant(variant);
        }
    }
}

macro_rules! elements {
    ($($trait:ident: $method:ident),*) => {$(
        impl $trait for Elements<'_, '_> {
            type Ok = ();
            type Error = Halt;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Halt> {
                self.element(value)
            }

            fn end(self) -> Result<(), Halt> {
                self.finish();
                Ok(())
            }
        }
    )*};
}

elements!(
    SerializeSeq: serialize_element,
    SerializeTuple: serialize_element,
    SerializeTupleStruct: serialize_field,
    SerializeTupleVariant: serialize_field
);
