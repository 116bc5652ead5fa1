//! What a shadow keeps, and what a walk borrows.

use std::cell::Cell;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use siphasher::sip::SipHasher13;

use crate::plan::Planner;
use crate::walk::list::ListCx;
use crate::walk::object::{ByName, Open};
use crate::word::HashKey;

/// The flat memory of what a document's watchers have been told.
pub(crate) struct Tape {
    pub(crate) words: Vec<u64>,
    pub(crate) templates: Templates,
    pub(crate) key: HashKey,
}

/// The lists of field names that structs were seen with, each kept once, so that a row need not keep them.
#[derive(Default)]
pub(crate) struct Templates {
    /// The names of all templates, one after the other.
    pub(crate) names: Vec<&'static str>,
    spans: Vec<(u32, u32)>,
    index: HashMap<Box<[&'static str]>, u16, BuildHasherDefault<SipHasher13>>,
    last: u16,
}

impl Templates {
    /// Where the names of `template` are in [`Templates::names`].
    #[inline]
    pub(crate) fn span(&self, template: u16) -> (usize, usize) {
        let (start, end) = self.spans[usize::from(template)];
        (start as usize, end as usize)
    }

    /// The template with these names, in this order; `None` when there are too many.
    pub(crate) fn intern(&mut self, names: &[&'static str]) -> Option<u16> {
        // A table's rows come one after the other.
        if let Some(&(start, end)) = self.spans.get(usize::from(self.last))
            && same_names(&self.names[start as usize..end as usize], names)
        {
            return Some(self.last);
        }
        self.last = match self.index.get(names) {
            Some(&template) => template,
            None => {
                let template = u16::try_from(self.spans.len()).ok()?;
                let start = self.names.len() as u32;
                self.names.extend_from_slice(names);
                self.spans.push((start, self.names.len() as u32));
                self.index.insert(names.into(), template);
                template
            }
        };
        Some(self.last)
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
    Name(&'static str),
    /// A key of a map: its bytes are in [`Scratch::text`].
    Text {
        start: usize,
        end: usize,
    },
    Index(usize),
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
    /// The new tape, once its words no longer fit in place of the old.
    pub(crate) next: Vec<u64>,
    /// What the words overwritten in place were.
    pub(crate) undo: Vec<(usize, u64)>,
    pub(crate) path: Vec<Step>,
    pub(crate) text: String,
    pub(crate) display: String,
    pub(crate) names: Vec<&'static str>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) hashes: Vec<u64>,
    pub(crate) lists: Vec<ListCx>,
    /// The objects around the fields of enum variants that are being walked, and the depth of each.
    pub(crate) variants: Vec<(Open, usize)>,
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

    pub(crate) fn give_back(mut self: Box<Self>) {
        if self.next.capacity() > NEXT_MAX {
            self.next = Vec::new();
        }
        self.next.clear();
        self.undo.clear();
        self.path.clear();
        self.text.clear();
        self.names.clear();
        self.entries.clear();
        self.hashes.clear();
        self.lists.clear();
        self.variants.clear();
        self.by_name.clear();
        self.sources.clear();
        SCRATCH.set(Some(self));
    }
}
