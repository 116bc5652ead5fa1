//! Lists of the diffing serializer: item by item in place, by plan where items are not where they were.
//!
//! A list is walked in place until an item turns up that is another one: its id differs, or, where
//! items have none, two in a row have changed or the length has. Then the items not yet settled are
//! matched with the old ones, by id or by content, the edits between the two are written, and the
//! list is walked once more from there, each item beside its own old words.

use serde::ser::{Serialize, SerializeSeq, SerializeTuple, SerializeTupleStruct, SerializeTupleVariant, Serializer};
use windlass_protocol::ops::{self, Op};

use super::probe::{self, Ids, Probe};
use super::{Halt, Halted, NOWHERE, Walk, Walked};
use crate::handshake;
use crate::plan::NONE;
use crate::planted::{self, Bug};
use crate::tape::Step;
use crate::word::{self, Tag};

/// Plans by content inside plans by content build each item once a level; deeper ones go index by index.
const PLANS_MAX: usize = 2;

/// What a list that is being walked has to be planned, and to be closed.
#[derive(Clone, Copy)]
pub(crate) struct ListCx {
    old_end: usize,
    old_count: usize,
    /// Of the path to the list.
    depth: usize,
    /// The field that was declared as the identity of its items.
    declared: Option<&'static str>,
    /// Its items are walked in place and say which they are.
    identified: bool,
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
    from: usize,
    out: usize,
    next: usize,
    undo: usize,
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
    /// Up to here items say which they are, and are walked in place.
    identified: usize,
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
        if self.halted != Halted::No {
            return Err(Halt);
        }
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
        let (old_end, old_count) = (self.at + word::size(header), self.words[self.at + 1] as usize);
        let declared = if fixed { None } else { self.declared() };
        let depth = self.scratch.levels.len();
        self.enter();
        self.at += 2;
        let mark = self.mark_here();
        let grouped = groups.is_some();
        let in_place = !fixed && !grouped && declared.is_none();
        let identified = in_place
            && old_count > 0
            && probe::old_identity(&self.words, &self.tape.templates, self.at, None).is_some();
        let cx = ListCx {
            old_end,
            old_count,
            depth,
            declared,
            identified,
            grouped,
            mark,
            first: 0,
            plan: None,
            index: 0,
            run: Run::default(),
        };
        self.scratch.lists.push(cx);
        if groups == Some(true) {
            return Err(self.bail(Halted::Replan));
        }
        let mode = match declared {
            _ if grouped => Mode::Grouped,
            _ if fixed => Mode::Fixed,
            Some(field) => Mode::Declared(field),
            None => Mode::InPlace,
        };
        let mut elements = Elements::new(self, old_count, len, mode);
        elements.identified = if identified { old_count } else { 0 };
        Ok(elements)
    }

    /// The identity that was declared for the list at the current path.
    fn declared(&self) -> Option<&'static str> {
        if self.keys.is_empty() {
            return None;
        }
        let scratch = &*self.scratch;
        let steps = || scratch.levels.iter().map(|level| level.step).chain([self.step]);
        let at = |list: &str| {
            let mut names = list.split('.');
            self.root_key.is_none_or(|key| names.next() == Some(key))
                && steps().all(|step| match step.unpack() {
                    Step::Root | Step::Index(_) => true,
                    Step::Name(place) => names.next() == Some(self.tape.templates.names[place as usize]),
                    Step::NewName(place) => names.next() == Some(scratch.names[place as usize]),
                    Step::Text(start, end) => names.next() == Some(&scratch.text[start..end]),
                })
                && names.next().is_none()
        };
        self.keys.iter().find(|(list, _)| at(list)).map(|&(_, field)| field)
    }

    #[inline(always)]
    fn mark_here(&self) -> Mark {
        let (next, undo) = (self.scratch.next.len(), self.scratch.undo.len());
        Mark { at: self.at, from: self.from, out: self.out.len(), next, undo }
    }

    fn return_to(&mut self, mark: Mark) {
        while self.scratch.undo.len() > mark.undo && !planted::is(Bug::NoUndo) {
            if let Some((at, word)) = self.scratch.undo.pop() {
                self.words[at] = word;
            }
        }
        (self.at, self.from) = (mark.at, mark.from);
        self.out.truncate(mark.out);
        self.scratch.next.truncate(mark.next);
    }

    /// Whether what is so many levels inside of the current list's items may say which of them it is in.
    pub(super) fn items_have_ids(&self, levels: usize) -> bool {
        let inside = |list: &ListCx| list.depth + 1 + levels == self.scratch.levels.len();
        self.scratch.lists.last().is_some_and(|list| list.identified && list.plan.is_none() && inside(list))
    }

    fn list(&mut self) -> &mut ListCx {
        self.scratch.lists.last_mut().expect("items come between the start and the end of a list")
    }

    /// The next row of the current list, which is grouped.
    pub(super) fn row<T: Serialize + ?Sized>(&mut self, row: RowId, value: &T) -> Walked {
        if self.halted != Halted::No {
            return Err(Halt);
        }
        let list = self.list();
        let index = list.index;
        list.index += 1;
        if let Some(plan) = list.plan {
            let mut run = list.run;
            let walked = self.planned_item(value, Some(row), index, plan + index, &mut run);
            self.list().run = run;
            return walked.map(|()| true);
        }
        self.step = Step::Index(index).pack();
        self.kept_item(value, Some(row)).map(|()| true)
    }

    /// An item beside its old words; with its id when it is a row.
    #[inline]
    fn kept_item<T: Serialize + ?Sized>(&mut self, value: &T, row: Option<RowId>) -> Result<(), Halt> {
        let Some(row) = row else { return self.value(value).map(drop) };
        let old = self.at;
        if self.words[old + 2] == row.generation {
            self.at += word::container_size(self.words[old]);
            return Ok(());
        }
        let start = self.position();
        self.at += 3;
        self.value(value)?;
        self.mark(old, start, Tag::Row, [None, Some(row.generation)]);
        Ok(())
    }

    #[inline]
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
        self.step = Step::Index(index).pack();
        self.seek(source);
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
            self.op_inside(if run.single { Op::Insert } else { Op::InsertRun }, depth);
            ops::number(self.out, index + usize::from(planted::is(Bug::InsertLate)));
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

    pub(super) fn build_row<T: Serialize + ?Sized>(&mut self, value: &T, row: Option<RowId>) -> Walked {
        let Some(row) = row else { return self.build(value) };
        self.append(&[0, row.id, row.generation]);
        let start = self.scratch.next.len() - 3;
        self.build(value)?;
        self.seal(start, word::tagged(Tag::Row, 0));
        Ok(true)
    }

    fn end_run(&mut self, run: &mut Run) {
        run.left = 0;
        if !run.single {
            ops::close(self.out);
        }
        ops::close(self.out);
    }

    /// Ends the current list; whether it has changed.
    fn end_list(&mut self, count: usize) -> bool {
        let cx = *self.list();
        if let Some(plan) = cx.plan {
            self.scratch.sources.truncate(plan);
        } else if count < cx.old_count {
            self.op_inside(Op::Remove, cx.depth);
            ops::number(self.out, count);
            ops::number(self.out, cx.old_count - count);
            ops::close(self.out);
        }
        self.scratch.lists.pop();
        self.leave_to(cx.depth + 1);
        self.seek(cx.old_end);
        let level = self.level();
        if level.old < self.from {
            self.seal(level.start, word::tagged(Tag::List, 0));
            self.scratch.next[level.start + 1] = count as u64;
        }
        self.leave()
    }

    /// Walks a list whose items are not where they were, from the first that is not settled.
    pub(super) fn replan<T: Serialize + ?Sized>(&mut self, value: &T) -> Walked {
        self.halted = Halted::No;
        let mut cx = *self.list();
        self.leave_to(cx.depth + 1);
        self.return_to(cx.mark);
        self.flush();

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
        self.resume = true;
        self.plans += usize::from(!by_id);
        let walked = value.serialize(&mut *self);
        self.plans -= usize::from(!by_id);
        // What was a list a moment ago and is none now cannot be told.
        if self.resume { Err(probe::not_a_list()) } else { walked }
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
        if !word::is(scratch.next[at], Tag::List) {
            return Err(probe::not_a_list());
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
            self.op_inside(Op::Remove, cx.depth);
            ops::number(self.out, cx.first + at);
            ops::number(self.out, count - usize::from(planted::is(Bug::ShortRemoval)));
            ops::close(self.out);
        }
        for &(from, to) in &planner.moves {
            let (from, to) = if planted::is(Bug::MoveBack) { (to, from) } else { (from, to) };
            self.op_inside(Op::Move, cx.depth);
            ops::number(self.out, cx.first + from);
            ops::number(self.out, cx.first + to);
            ops::close(self.out);
        }
        if !planner.permutation.is_empty() {
            self.op_inside(Op::Permute, cx.depth);
            ops::item(self.out);
            self.out.push(b'[');
            for old in (0..cx.first).chain(planner.permutation.iter().map(|&old| cx.first + old)) {
                ops::number(self.out, old);
            }
            self.out.extend_from_slice(b"]]");
        }
        self.scratch.planner = planner;
    }

    pub(super) fn groups<T: Serialize + ?Sized>(&mut self, order: u64, generation: u64, value: &T) -> Walked {
        if self.halted != Halted::No {
            return Err(Halt);
        }
        let (old, header) = (self.at, self.words[self.at]);
        if !word::is(header, Tag::Groups) {
            return Err(self.other_kind());
        }
        let other_order = self.words[old + 1] != order && !planted::is(Bug::NoOrder);
        if !other_order && self.words[old + 2] == generation {
            self.at += word::container_size(header);
            return Ok(false);
        }
        let start = self.position();
        self.at += 3;
        self.groups = Some(other_order);
        let changed = self.grouped_value(&Grouped(value))?;
        self.mark(old, start, Tag::Groups, [Some(order), Some(generation)]);
        Ok(changed)
    }

    pub(super) fn group<T: Serialize + ?Sized>(&mut self, generation: u64, rows: usize, value: &T) -> Walked {
        if self.halted != Halted::No {
            return Err(Halt);
        }
        if self.list().plan.is_some() {
            return self.planned_group(generation, rows, value);
        }
        let old = self.at;
        if self.words[old + 1] == generation {
            self.at += word::container_size(self.words[old]);
            self.list().index += rows;
            return Ok(false);
        }
        let start = self.position();
        self.at += 3;
        self.in_group = true;
        value.serialize(&mut *self)?;
        self.mark(old, start, Tag::Group, [Some(generation), None]);
        Ok(true)
    }

    fn planned_group<T: Serialize + ?Sized>(&mut self, generation: u64, rows: usize, value: &T) -> Walked {
        self.append(&[0, generation, rows as u64]);
        let start = self.scratch.next.len() - 3;
        self.in_group = true;
        value.serialize(&mut *self)?;
        self.seal(start, word::tagged(Tag::Group, 0));
        Ok(true)
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
        let depth = walk.scratch.levels.len().saturating_sub(1);
        let run = Run::default();
        Self { walk, index: 0, identified: 0, old_count, depth, len, mode, run, changed: None, variant: false }
    }

    #[inline(always)]
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Halt> {
        if self.index >= self.identified {
            return self.other_element(value);
        }
        let walk = &mut *self.walk;
        let at = walk.at;
        walk.step = Step::Index(self.index).pack();
        self.index += 1;
        match walk.value(value) {
            Ok(_) => Ok(()),
            Err(halt) => self.lost(at, halt),
        }
    }

    /// The item that began at `at` may be another one.
    #[cold]
    fn lost(&mut self, at: usize, halt: Halt) -> Result<(), Halt> {
        let walk = &mut *self.walk;
        if walk.halted != Halted::OtherItem || at == NOWHERE {
            return Err(halt);
        }
        // Nothing of it was walked but perhaps its marks.
        let mark = Mark { at, from: walk.from.min(at), ..walk.mark_here() };
        Err(self.plan_from(mark, self.index - 1))
    }

    /// An item without identity beside the one that was in its place.
    fn unidentified<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Halt> {
        let walk = &mut *self.walk;
        let mark = walk.mark_here();
        walk.step = Step::Index(self.index).pack();
        let changed = walk.value(value)?;
        let before = self.changed.take();
        let is_new = changed
            && walk.plans < PLANS_MAX
            && probe::old_identity(&walk.words, &walk.tape.templates, mark.at, None).is_none();
        if is_new {
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
            Mode::Grouped | Mode::Group => return value.serialize(&mut *walk).map(drop),
            Mode::Planned { plan, first } => {
                if self.index >= first {
                    walk.planned_item(value, None, self.index, plan + self.index - first, &mut self.run)?;
                }
            }
            Mode::InPlace | Mode::Declared(_) | Mode::Fixed if self.index >= self.old_count => {
                let length = self.len.map_or(usize::MAX, |len| len.saturating_sub(self.index).max(1));
                walk.insert(value, None, self.index, length, &mut self.run)?;
            }
            Mode::InPlace => return self.unidentified(value),
            Mode::Declared(field) => {
                let new = value.serialize(Probe::item(walk.tape.key, Some(field)))?;
                let old = probe::old_identity(&walk.words, &walk.tape.templates, walk.at, Some(field));
                if new != old {
                    let mark = walk.mark_here();
                    return Err(self.plan_from(mark, self.index));
                }
                walk.step = Step::Index(self.index).pack();
                walk.kept_item(value, None)?;
            }
            Mode::Fixed => {
                walk.step = Step::Index(self.index).pack();
                walk.kept_item(value, None)?;
            }
        }
        self.index += 1;
        Ok(())
    }

    fn finish(self) -> Walked {
        let walk = self.walk;
        if walk.halted != Halted::No {
            return Err(Halt);
        }
        if self.mode == Mode::Group {
            return Ok(true);
        }
        let (count, mut run) = match self.mode {
            Mode::Grouped => (walk.list().index, walk.list().run),
            _ => (self.index, self.run),
        };
        if run.left > 0 {
            walk.end_run(&mut run);
        }
        let changed = walk.end_list(count);
        Ok(if self.variant { walk.close_pending_variant() } else { changed })
    }
}

macro_rules! elements {
    ($($trait:ident: $method:ident),*) => {$(
        impl $trait for Elements<'_, '_> {
            type Ok = bool;
            type Error = Halt;

            #[inline(always)]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Halt> {
                self.element(value)
            }

            fn end(self) -> Walked {
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
