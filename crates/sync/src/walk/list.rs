//! Lists of the diffing serializer: item by item in place, by plan where items are not where they were.
//!
//! A list is walked in place until an item turns up that is another one: its id differs, or, where
//! items have none, two in a row have changed or the length has. Then the items not yet settled are
//! matched with the old ones, by id or by content, the edits between the two are written, and the
//! list is walked once more from there, each item beside its own old words.

use serde::ser::{Serialize, SerializeSeq, SerializeTuple, SerializeTupleStruct, SerializeTupleVariant, Serializer};
use windlass_protocol::ops::{self, Op};

use super::probe::{self, Ids, Probe};
use super::{Halt, Halted, Walk};
use crate::handshake;
use crate::plan::NONE;
use crate::tape::Step;
use crate::word::{self, Tag};

/// Plans by content inside plans by content build each item once a level; deeper ones go index by index.
const PLANS_MAX: usize = 2;

/// What a list that is being walked has to be planned, and to be closed.
#[derive(Clone, Copy)]
pub(crate) struct ListCx {
    /// Where it begins on the new tape.
    start: usize,
    old_end: usize,
    old_count: usize,
    /// Of the path to the list.
    depth: usize,
    /// The field that was declared as the identity of its items.
    declared: Option<&'static str>,
    grouped: bool,
    /// Where the first item begins that is not settled, and its index.
    mark: Mark,
    first: usize,
    /// The list is walked by plan: where its part of [`Scratch::sources`](crate::tape::Scratch) begins.
    plan: Option<usize>,
    /// Of a grouped list: how many rows have come, and the insertion that is open.
    index: usize,
    run: Run,
}

impl ListCx {
    pub(super) fn depth(&self) -> usize {
        self.depth
    }
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

/// What a row of a group says of itself.
#[derive(Clone, Copy)]
pub(super) struct RowId {
    pub(super) id: u64,
    pub(super) generation: u64,
}

pub(crate) struct Elements<'w, 'a> {
    walk: &'w mut Walk<'a>,
    /// Of the item that comes next.
    index: usize,
    old_count: usize,
    /// Of the path to the list.
    depth: usize,
    /// How many items there will be, when the value says so.
    len: Option<usize>,
    mode: Mode,
    run: Run,
    /// Where the item before began, when it has changed.
    changed: Option<Mark>,
    /// It is inside the object of a variant.
    pub(super) variant: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Item by item, beside what was there.
    InPlace,
    /// The same, but each item's declared field is read first.
    Declared(&'static str),
    /// A tuple, or what is planned no more: items stay where they are.
    Fixed,
    /// Each item beside the old words that the plan found for it.
    Planned { plan: usize, first: usize },
    /// The items are groups, or a group's rows, which say so themselves.
    Grouped,
    /// The same, and the list goes on after them.
    Group,
}

/// The insertion that is open.
#[derive(Clone, Copy, Default)]
struct Run {
    /// How many more items it takes.
    left: usize,
    /// Whether it is of one item only.
    single: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn open_list<'w>(&'w mut self, len: Option<usize>, fixed: bool) -> Result<Elements<'w, 'a>, Halt> {
        if std::mem::take(&mut self.in_group) {
            return Ok(Elements::new(self, 0, len, Mode::Group));
        }
        let groups = self.groups.take();
        if std::mem::take(&mut self.resume) {
            let &mut ListCx { grouped, plan, first, .. } = self.list();
            let plan = plan.expect("a list is walked again by plan");
            let mode = if grouped { Mode::Grouped } else { Mode::Planned { plan, first } };
            return Ok(Elements::new(self, 0, len, mode));
        }
        self.untrack();
        let header = self.words[self.at];
        if !word::is(header, Tag::List) {
            return Err(self.other_kind());
        }
        let start = self.position();
        let (old_end, old_count) = (self.at + word::size(header), self.words[self.at + 1] as usize);
        self.keep(2);
        let declared = if fixed { None } else { self.declared() };
        let depth = self.scratch.path.len();
        let mark = self.mark();
        let grouped = groups.is_some();
        let cx = ListCx {
            start,
            old_end,
            old_count,
            depth,
            declared,
            grouped,
            mark,
            first: 0,
            plan: None,
            index: 0,
            run: Run::default(),
        };
        self.scratch.lists.push(cx);
        self.scratch.path.push(Step::Index(0));
        if groups == Some(true) {
            return Err(self.bail(Halted::Replan));
        }
        let mode = match declared {
            _ if grouped => Mode::Grouped,
            _ if fixed => Mode::Fixed,
            Some(field) => Mode::Declared(field),
            None => Mode::InPlace,
        };
        Ok(Elements::new(self, old_count, len, mode))
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

    #[inline(always)]
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

    /// The item that arrives is not the one that was here.
    pub(super) fn other_item(&mut self) -> Halt {
        self.bail(Halted::OtherItem)
    }

    /// The next row of the current list, which is grouped.
    pub(super) fn row<T: Serialize + ?Sized>(&mut self, row: RowId, value: &T) -> Result<(), Halt> {
        if self.halted != Halted::No {
            return Err(Halt);
        }
        let &mut ListCx { plan, index, mut run, .. } = self.list();
        self.list().index += 1;
        if let Some(plan) = plan {
            let walked = self.planned_item(value, Some(row), index, plan + index, &mut run);
            self.list().run = run;
            return walked;
        }
        self.step(Step::Index(index));
        self.kept_item(value, Some(row))
    }

    /// An item beside its old words; with its id when it is a row.
    fn kept_item<T: Serialize + ?Sized>(&mut self, value: &T, row: Option<RowId>) -> Result<(), Halt> {
        self.element_at = usize::MAX;
        let Some(row) = row else { return self.value(value) };
        if self.words[self.at + 2] == row.generation {
            self.keep(word::size(self.words[self.at]));
            return Ok(());
        }
        let start = self.position();
        self.keep(3);
        self.value(value)?;
        self.overwrite(start + 2, row.generation);
        self.close(start, word::tagged(Tag::Row, 0));
        Ok(())
    }

    fn planned_item<T: Serialize + ?Sized>(
        &mut self,
        value: &T,
        row: Option<RowId>,
        index: usize,
        slot: usize,
        run: &mut Run,
    ) -> Result<(), Halt> {
        let source = self.scratch.sources.get(slot).copied().unwrap_or(NONE);
        if source == NONE {
            let rest = self.scratch.sources.get(slot..).unwrap_or_default();
            let length = rest.iter().take_while(|&&source| source == NONE).count();
            return self.insert(value, row, index, length.max(1), run);
        }
        self.step(Step::Index(index));
        self.at = source;
        self.identity_at = usize::MAX;
        self.kept_item(value, row)
    }

    /// Inserts an item into the client's list; `length` are inserted in one op when none is open.
    fn insert<T: Serialize + ?Sized>(
        &mut self,
        value: &T,
        row: Option<RowId>,
        index: usize,
        length: usize,
        run: &mut Run,
    ) -> Result<(), Halt> {
        if run.left == 0 {
            *run = Run { left: length, single: length == 1 };
            let depth = self.list().depth;
            self.op_at(if run.single { Op::Insert } else { Op::InsertRun }, depth);
            ops::number(self.out, index);
            ops::item(self.out);
            if !run.single {
                self.out.push(b'[');
            }
        } else {
            ops::item(self.out);
        }
        self.build_row(value, row)?;
        if run.left != usize::MAX {
            run.left -= 1;
            if run.left == 0 {
                self.end_run(run);
            }
        }
        Ok(())
    }

    pub(super) fn build_row<T: Serialize + ?Sized>(&mut self, value: &T, row: Option<RowId>) -> Result<(), Halt> {
        let Some(row) = row else { return self.build(value) };
        let start = self.scratch.next.len();
        self.scratch.next.extend_from_slice(&[0, row.id, row.generation]);
        self.build(value)?;
        self.close(start, word::tagged(Tag::Row, 0));
        Ok(())
    }

    fn end_run(&mut self, run: &mut Run) {
        run.left = 0;
        if !run.single {
            ops::close(self.out);
        }
        ops::close(self.out);
    }

    fn end_list(&mut self, count: usize) {
        let cx = *self.list();
        if let Some(plan) = cx.plan {
            self.scratch.sources.truncate(plan);
        } else if count < cx.old_count {
            self.start_copying();
            self.op_at(Op::Remove, cx.depth);
            ops::number(self.out, count);
            ops::number(self.out, cx.old_count - count);
            ops::close(self.out);
        }
        self.scratch.lists.pop();
        self.scratch.path.truncate(cx.depth);
        self.at = cx.old_end;
        if self.copying {
            self.close(cx.start, word::tagged(Tag::List, 0));
            self.scratch.next[cx.start + 1] = count as u64;
        }
    }

    /// Walks a list whose items are not where they were, from the first that is not settled.
    pub(super) fn replan<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Halt> {
        self.halted = Halted::No;
        let mut cx = *self.list();
        self.scratch.path.truncate(cx.depth);
        self.return_to(cx.mark);
        self.start_copying();

        let by_id = self.collect_ids(value, &cx)?;
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

impl<'w, 'a> Elements<'w, 'a> {
    fn new(walk: &'w mut Walk<'a>, old_count: usize, len: Option<usize>, mode: Mode) -> Self {
        let depth = walk.scratch.path.len() - 1;
        Self { walk, index: 0, old_count, depth, len, mode, run: Run::default(), changed: None, variant: false }
    }

    #[inline(always)]
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Halt> {
        if self.mode != Mode::InPlace || self.index >= self.old_count {
            return self.other_element(value);
        }
        let walk = &mut *self.walk;
        let mark = walk.mark();
        walk.step(Step::Index(self.index));
        walk.element_at = walk.at;
        let walked = walk.value(value);
        if walked.is_ok() && walk.out.len() == mark.out && self.changed.is_none() {
            self.index += 1;
            return Ok(());
        }
        self.changed_element(mark, walked)
    }

    /// An item that has changed, or is another one, or comes after one that has changed.
    #[cold]
    fn changed_element(&mut self, mark: Mark, walked: Result<(), Halt>) -> Result<(), Halt> {
        let walk = &mut *self.walk;
        if walked.is_err() {
            return if walk.halted == Halted::OtherItem { Err(self.plan_from(mark, self.index)) } else { walked };
        }
        let before = self.changed.take();
        if walk.out.len() > mark.out
            && walk.plans < PLANS_MAX
            && probe::old_identity(&walk.words, &walk.tape.templates, mark.at, None).is_none()
        {
            if let Some(before) = before {
                return Err(self.plan_from(before, self.index - 1));
            }
            if self.len.is_some_and(|len| len != self.old_count) {
                return Err(self.plan_from(mark, self.index));
            }
            self.changed = Some(mark);
        }
        self.index += 1;
        Ok(())
    }

    /// Has the list planned from the item at `mark` on; what comes before it is settled.
    fn plan_from(&mut self, mark: Mark, first: usize) -> Halt {
        let lists = &mut self.walk.scratch.lists;
        lists.retain(|list| list.depth <= self.depth);
        if let Some(list) = lists.last_mut() {
            list.mark = mark;
            list.first = first;
        }
        self.walk.bail(Halted::Replan)
    }

    fn other_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Halt> {
        let walk = &mut *self.walk;
        if walk.halted != Halted::No {
            return Err(Halt);
        }
        match self.mode {
            Mode::Grouped | Mode::Group => return value.serialize(&mut *walk),
            Mode::Planned { plan, first } => {
                if self.index >= first {
                    walk.planned_item(value, None, self.index, plan + self.index - first, &mut self.run)?;
                }
            }
            Mode::InPlace | Mode::Declared(_) | Mode::Fixed if self.index >= self.old_count => {
                walk.start_copying();
                let length = self.len.map_or(usize::MAX, |len| len.saturating_sub(self.index).max(1));
                walk.insert(value, None, self.index, length, &mut self.run)?;
            }
            Mode::Declared(field) => {
                let new = value.serialize(Probe::item(walk.tape.key, Some(field)))?;
                let old = probe::old_identity(&walk.words, &walk.tape.templates, walk.at, Some(field));
                if new != old {
                    let mark = walk.mark();
                    return Err(self.plan_from(mark, self.index));
                }
                walk.step(Step::Index(self.index));
                walk.kept_item(value, None)?;
            }
            Mode::Fixed | Mode::InPlace => {
                walk.step(Step::Index(self.index));
                walk.kept_item(value, None)?;
            }
        }
        self.index += 1;
        Ok(())
    }

    fn finish(self) -> Result<(), Halt> {
        let walk = self.walk;
        if walk.halted != Halted::No {
            return Err(Halt);
        }
        if self.mode != Mode::Group {
            let (count, mut run) = match self.mode {
                Mode::Grouped => (walk.list().index, walk.list().run),
                _ => (self.index, self.run),
            };
            if run.left > 0 {
                walk.end_run(&mut run);
            }
            walk.end_list(count);
        }
        if self.variant {
            walk.close_pending_variant();
        }
        Ok(())
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
                self.finish()
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
