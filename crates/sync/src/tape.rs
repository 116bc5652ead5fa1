//! What a shadow keeps, and what a walk borrows.

use std::cell::Cell;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use siphasher::sip::SipHasher13;

use crate::plan::Planner;
use crate::walk::list::ListCx;
use crate::walk::object::ByName;
use crate::word::HashKey;

/// The flat memory of what a document's watchers have been told.
pub(crate) struct Tape {
    pub(crate) words: Vec<u64>,
    pub(crate) templates: Templates,
    pub(crate) key: HashKey,
    /// The path of the first number that JSON has no text for, since somebody asked.
    pub(crate) not_finite: Option<Box<str>>,
}

/// The lists of field names that structs were seen with, each kept once, so that a row need not keep them.
pub(crate) struct Templates {
    /// The names of all templates, one after the other. Before each and at the end is [`NO_NAME`], so that a walk
    /// that compares the next name need not look whether there is one.
    pub(crate) names: Vec<&'static str>,
    spans: Vec<(u32, u32)>,
    /// There once they are too many to look through.
    index: HashMap<Box<[&'static str]>, u16, BuildHasherDefault<SipHasher13>>,
    last: u16,
}

/// Stands where no name is: known by its address, which no field's name has.
static NO_NAME: &str = match std::str::from_utf8(&NO_NAME_BYTES) {
    Ok(name) => name,
    Err(_) => "",
};
// A static of its own: equal literals may share one address.
static NO_NAME_BYTES: [u8; 7] = *b"no name";

/// Templates that are looked through faster than hashed; most documents have no more, and need no index.
const FEW: usize = 8;

/// The place of [`NO_NAME`] that is always there.
pub(crate) const NO_PLACE: u32 = 0;

impl Default for Templates {
    fn default() -> Self {
        Self { names: vec![NO_NAME], spans: Vec::new(), index: HashMap::default(), last: 0 }
    }
}

impl Templates {
    /// Whether the name at a place is this one, at the same address. Nearly always it is when the text is the same.
    #[inline(always)]
    pub(crate) fn is_at(&self, place: u32, name: &'static str) -> bool {
        self.names.get(place as usize).is_some_and(|&other| std::ptr::eq(other, name))
    }

    /// Whether there is no name at a place: it is behind the last of a template.
    #[inline(always)]
    pub(crate) fn is_end(&self, place: u32) -> bool {
        self.is_at(place, NO_NAME)
    }

    /// Where the names of `template` are in [`Templates::names`].
    #[inline]
    pub(crate) fn span(&self, template: u16) -> (usize, usize) {
        let (start, end) = self.spans[usize::from(template)];
        (start as usize, end as usize)
    }

    /// Where they begin.
    #[inline(always)]
    pub(crate) fn start(&self, template: u16) -> u32 {
        self.spans[usize::from(template)].0
    }

    /// The template with these names, in this order; `None` when there are too many.
    pub(crate) fn intern(&mut self, names: &[&'static str]) -> Option<u16> {
        // A table's rows come one after the other.
        if let Some(&(start, end)) = self.spans.get(usize::from(self.last))
            && same_names(&self.names[start as usize..end as usize], names)
        {
            return Some(self.last);
        }
        self.last = match self.find(names) {
            Some(template) => template,
            None => {
                let template = u16::try_from(self.spans.len()).ok()?;
                let start = self.names.len() as u32;
                if self.spans.len() < FEW {
                    self.names.reserve_exact(names.len() + 1);
                }
                self.names.extend_from_slice(names);
                self.spans.push((start, self.names.len() as u32));
                self.names.push(NO_NAME);
                if self.spans.len() > FEW {
                    let not_yet = self.index.len() as u16..=template;
                    for template in not_yet {
                        self.index.insert(self.names_of(template).into(), template);
                    }
                }
                template
            }
        };
        Some(self.last)
    }

    fn find(&self, names: &[&'static str]) -> Option<u16> {
        if self.spans.len() > FEW {
            return self.index.get(names).copied();
        }
        (0..self.spans.len() as u16).find(|&template| same_names(self.names_of(template), names))
    }

    fn names_of(&self, template: u16) -> &[&'static str] {
        let (start, end) = self.span(template);
        &self.names[start..end]
    }

    pub(crate) fn bytes(&self) -> usize {
        self.names.capacity() * 32 + self.spans.capacity() * 8 + self.index.capacity() * 32
    }
}

/// Whether two names are the same; nearly always they are at the same place.
#[inline]
pub(crate) fn same_name(a: &'static str, b: &'static str) -> bool {
    a.len() == b.len() && (std::ptr::eq(a, b) || a == b)
}

fn same_names(a: &[&'static str], b: &[&'static str]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_name(a, b))
}

/// One step of the path to where the walk is.
#[derive(Clone, Copy)]
pub(crate) enum Step {
    /// To the root.
    Root,
    /// The place of a name in [`Templates::names`].
    Name(u32),
    /// A name of no template yet: its place in [`Scratch::names`].
    NewName(u32),
    /// A key of a map: where its bytes begin and end in [`Scratch::text`].
    Text(usize, usize),
    Index(usize),
}

/// A step as one word, which is written for every value and read for every object: two halves that are written
/// apart and read together are a long wait.
#[derive(Clone, Copy)]
pub(crate) struct PackedStep(u64);

impl Step {
    #[inline(always)]
    pub(crate) fn pack(self) -> PackedStep {
        PackedStep(match self {
            Step::Root => 0,
            Step::Name(place) => 1 << 60 | u64::from(place),
            Step::NewName(place) => 2 << 60 | u64::from(place),
            Step::Text(start, end) => 3 << 60 | (start as u64) << 30 | end as u64,
            Step::Index(index) => 4 << 60 | index as u64,
        })
    }
}

impl PackedStep {
    pub(crate) fn unpack(self) -> Step {
        let low = self.0 & ((1 << 60) - 1);
        match self.0 >> 60 {
            0 => Step::Root,
            1 => Step::Name(low as u32),
            2 => Step::NewName(low as u32),
            3 => Step::Text((low >> 30) as usize, low as usize & (TEXT_MAX - 1)),
            _ => Step::Index(low as usize),
        }
    }
}

/// Of the keys along one path, all together: what a packed step can tell, 1 GiB.
pub(crate) const TEXT_MAX: usize = 1 << 30;

/// An object or a list that the walk is inside of.
#[derive(Clone, Copy)]
pub(crate) struct Level {
    /// The step that led to it.
    pub(crate) step: PackedStep,
    /// Where its old words begin.
    pub(crate) old: usize,
    /// Where it begins on the new tape, once its first word is there.
    pub(crate) start: usize,
    /// Where its ops begin in the output.
    pub(crate) out: usize,
}

/// An entry of an object whose keys no longer come in the old order.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) hash: u64,
    /// Of a struct: its name among all names. Of a map: the key's place on the tape.
    pub(crate) key: usize,
    pub(crate) value: usize,
    pub(crate) seen: bool,
}

/// Memory of a walk that is of no use after it; one for all the shadows of a thread.
#[derive(Default)]
pub(crate) struct Scratch {
    /// The new tape, as far as it is no longer the old one.
    pub(crate) next: Vec<u64>,
    /// What the words overwritten in place were.
    pub(crate) undo: Vec<(usize, u64)>,
    /// The objects and lists that the walk is inside of, from the root on.
    pub(crate) levels: Vec<Level>,
    pub(crate) text: String,
    pub(crate) display: String,
    pub(crate) names: Vec<&'static str>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) hashes: Vec<u64>,
    pub(crate) lists: Vec<ListCx>,
    /// The depths of the objects around the fields of enum variants that are being walked.
    pub(crate) variants: Vec<usize>,
    /// The objects that are being walked by name.
    pub(crate) by_name: Vec<ByName>,
    /// For each item of the planned lists that are being walked, where its old words are.
    pub(crate) sources: Vec<usize>,
    /// Where the old items of the list that is being planned are.
    pub(crate) offsets: Vec<usize>,
    pub(crate) planner: Planner,
}

/// Words of a spare tape that a thread keeps: 4 MiB, the shadow of a table of 70,000 rows.
const NEXT_MAX: usize = 1 << 19;

thread_local! {
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

impl Scratch {
    /// The thread's, or a fresh one inside another walk.
    pub(crate) fn take() -> Box<Self> {
        SCRATCH.take().unwrap_or_default()
    }

    /// Gives it back after a walk that came to its end, or did not.
    pub(crate) fn give_back(mut self: Box<Self>, ended: bool) {
        if self.next.capacity() > NEXT_MAX {
            self.next = Vec::new();
        }
        self.next.clear();
        self.undo.clear();
        // What came to its end has taken everything off the stacks again.
        debug_assert!(!ended || self.stacks_are_empty());
        if !ended {
            self.levels.clear();
            self.text.clear();
            self.names.clear();
            self.entries.clear();
            self.hashes.clear();
            self.lists.clear();
            self.variants.clear();
            self.by_name.clear();
            self.sources.clear();
        }
        // Not `LocalKey::set`, which is slower for what has a destructor.
        SCRATCH.with(|scratch| scratch.set(Some(self)));
    }

    fn stacks_are_empty(&self) -> bool {
        self.levels.is_empty()
            && self.text.is_empty()
            && self.names.is_empty()
            && self.entries.is_empty()
            && self.hashes.is_empty()
            && self.lists.is_empty()
            && self.variants.is_empty()
            && self.by_name.is_empty()
            && self.sources.is_empty()
    }
}
