//! A list for many rows: an edit, a clone and a walk cost what has changed, not what there is.

use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Index, IndexMut};
use std::sync::Arc;

use serde::de::{SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::generation;
use crate::handshake::{self, Kind};

/// Rows of a chunk, and chunks of a block, at most: what one edit copies after a clone.
const CHUNK_ROWS: usize = 64;
const BLOCK_CHUNKS: usize = 32;

/// A list of rows, each with an id that only the server knows, in chunks that are shared between clones.
///
/// A clone costs one reference count for every 2,048 rows, an edit the copy of one chunk, and a diff a look at the
/// chunks that were touched. To other serializers than ours it is a plain list.
///
/// ```
/// use windlass_sync::SyncVec;
///
/// let mut rows: SyncVec<u32> = (0..1_000).collect();
/// rows[500] = 7;
/// rows.remove(0);
/// rows.sort_by_key(|row| std::cmp::Reverse(*row));
/// assert_eq!((rows.len(), rows[0], rows.last()), (999, 999, Some(&1)));
/// ```
///
/// ```
/// use windlass_sync::SyncVec;
///
/// let mut rows = SyncVec::new();
/// assert!(rows.is_empty());
/// rows.push(3);
/// rows.insert(0, 1);
/// rows.extend([2, 9, 8]);
/// rows.sort_by(|a, b| a.cmp(b));
/// rows.swap(0, 1);
/// rows.move_row(4, 0);
/// assert_eq!(rows.to_vec(), [9, 2, 1, 3, 8]);
/// rows.retain(|row| *row != 1);
/// assert_eq!(rows.pop(), Some(8));
/// rows.iter_mut().for_each(|row| *row *= 10);
/// *rows.get_mut(0).unwrap() += 1;
/// assert_eq!((rows.first(), rows.get(1), rows.iter().count()), (Some(&91), Some(&20), 3));
/// rows.truncate(1);
/// rows.clear();
/// assert!(rows.is_empty());
/// ```
pub struct SyncVec<T> {
    blocks: Vec<Block<T>>,
    len: usize,
    /// Changes with anything.
    generation: u64,
    /// Changes with which rows there are, and where.
    order: u64,
}

struct Block<T> {
    chunks: Arc<Vec<Chunk<T>>>,
    len: usize,
    generation: u64,
}

struct Chunk<T> {
    rows: Arc<Vec<Row<T>>>,
    generation: u64,
}

struct Row<T> {
    value: Arc<T>,
    id: u64,
    generation: u64,
}

impl<T> Row<T> {
    fn new(value: T) -> Self {
        let id = generation::next();
        Self { value: Arc::new(value), id, generation: id }
    }
}

/// Where a row is.
#[derive(Clone, Copy)]
struct Place {
    block: usize,
    chunk: usize,
    row: usize,
}

impl<T> SyncVec<T> {
    /// An empty list.
    #[must_use]
    pub fn new() -> Self {
        let generation = generation::next();
        Self { blocks: Vec::new(), len: 0, generation, order: generation }
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The row at an index.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&T> {
        if index >= self.len {
            return None;
        }
        let place = self.place(index);
        Some(&self.blocks[place.block].chunks[place.chunk].rows[place.row].value)
    }

    /// The first row.
    #[must_use]
    pub fn first(&self) -> Option<&T> {
        self.get(0)
    }

    /// The last row.
    #[must_use]
    pub fn last(&self) -> Option<&T> {
        self.get(self.len.checked_sub(1)?)
    }

    /// The rows in order.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { rows: Box::new(self.rows().map(|row| &*row.value)), left: self.len }
    }

    fn rows(&self) -> impl Iterator<Item = &Row<T>> {
        self.blocks.iter().flat_map(|block| block.chunks.iter()).flat_map(|chunk| chunk.rows.iter())
    }

    /// The place of a row; that of the length is behind the last row.
    fn place(&self, mut index: usize) -> Place {
        let last = self.blocks.len().saturating_sub(1);
        for (at, block) in self.blocks.iter().enumerate() {
            if index >= block.len && at < last {
                index -= block.len;
                continue;
            }
            let last = block.chunks.len() - 1;
            for (chunk, Chunk { rows, .. }) in block.chunks.iter().enumerate() {
                if index < rows.len() || chunk == last {
                    return Place { block: at, chunk, row: index };
                }
                index -= rows.len();
            }
        }
        Place { block: 0, chunk: 0, row: 0 }
    }

    /// The rows of the chunk at a place, which is marked as changed.
    fn chunk_mut(&mut self, place: Place) -> &mut Vec<Row<T>> {
        let generation = generation::next();
        self.generation = generation;
        let block = &mut self.blocks[place.block];
        block.generation = generation;
        let chunk = &mut Arc::make_mut(&mut block.chunks)[place.chunk];
        chunk.generation = generation;
        Arc::make_mut(&mut chunk.rows)
    }

    /// Appends a row.
    pub fn push(&mut self, value: T) {
        self.insert(self.len, value);
    }

    /// Inserts a row.
    ///
    /// # Panics
    ///
    /// When the index is beyond the length.
    pub fn insert(&mut self, index: usize, value: T) {
        self.insert_row(index, Row::new(value));
    }

    fn insert_row(&mut self, index: usize, row: Row<T>) {
        assert!(index <= self.len, "insertion at {index} into {} rows", self.len);
        if self.blocks.is_empty() {
            self.blocks.push(Block::of(vec![Chunk::of(Vec::new())]));
        }
        let place = self.place(index);
        let rows = self.chunk_mut(place);
        rows.insert(place.row, row);
        // At the end a full chunk stays whole, so that a list that grows there keeps its chunks full.
        let split = if place.row + 1 == rows.len() { CHUNK_ROWS } else { CHUNK_ROWS / 2 };
        let tail = (rows.len() > CHUNK_ROWS).then(|| rows.split_off(split));
        let block = &mut self.blocks[place.block];
        block.len += 1;
        if let Some(tail) = tail {
            let chunks = Arc::make_mut(&mut block.chunks);
            chunks.insert(place.chunk + 1, Chunk::of(tail));
            if chunks.len() > BLOCK_CHUNKS {
                let split = if place.chunk + 2 == chunks.len() { BLOCK_CHUNKS } else { BLOCK_CHUNKS / 2 };
                let tail = Block::of(chunks.split_off(split));
                block.len -= tail.len;
                self.blocks.insert(place.block + 1, tail);
            }
        }
        self.len += 1;
        self.order = self.generation;
    }

    /// Removes all rows from `len` on.
    pub fn truncate(&mut self, len: usize) {
        if len < self.len {
            let rows: Vec<_> = self.rows().take(len).cloned().collect();
            self.rebuild(rows);
        }
    }

    /// Removes all rows.
    pub fn clear(&mut self) {
        self.truncate(0);
    }

    /// Keeps the rows for which `keep` is true.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        let rows: Vec<_> = self.rows().filter(|row| keep(&row.value)).cloned().collect();
        if rows.len() < self.len {
            self.rebuild(rows);
        }
    }

    /// Sorts the rows; equal ones stay in order.
    pub fn sort_by(&mut self, mut compare: impl FnMut(&T, &T) -> Ordering) {
        let mut rows: Vec<_> = self.rows().cloned().collect();
        rows.sort_by(|a, b| compare(&a.value, &b.value));
        if !rows.iter().zip(self.rows()).all(|(new, old)| new.id == old.id) {
            self.rebuild(rows);
        }
    }

    /// Sorts the rows by a key; equal ones stay in order.
    pub fn sort_by_key<K: Ord>(&mut self, mut key: impl FnMut(&T) -> K) {
        self.sort_by(|a, b| key(a).cmp(&key(b)));
    }

    /// Exchanges two rows.
    ///
    /// # Panics
    ///
    /// When an index is beyond the last row.
    pub fn swap(&mut self, a: usize, b: usize) {
        assert!(a < self.len && b < self.len, "exchange of {a} and {b} of {} rows", self.len);
        if a == b {
            return;
        }
        let (at_a, at_b) = (self.place(a), self.place(b));
        let row_b = self.blocks[at_b.block].chunks[at_b.chunk].rows[at_b.row].clone();
        let row_a = std::mem::replace(&mut self.chunk_mut(at_a)[at_a.row], row_b);
        self.chunk_mut(at_b)[at_b.row] = row_a;
        self.order = self.generation;
    }

    /// Removes a row.
    ///
    /// # Panics
    ///
    /// When the index is beyond the last row.
    pub fn remove(&mut self, index: usize) -> T
    where
        T: Clone,
    {
        Arc::unwrap_or_clone(self.remove_row(index).value)
    }

    /// Removes the last row.
    pub fn pop(&mut self) -> Option<T>
    where
        T: Clone,
    {
        (self.len > 0).then(|| self.remove(self.len - 1))
    }

    /// Moves a row to where it is at index `to` afterwards; it stays the same row to whoever watches.
    ///
    /// # Panics
    ///
    /// When an index is beyond the last row.
    pub fn move_row(&mut self, from: usize, to: usize) {
        assert!(from < self.len && to < self.len, "move from {from} to {to} of {} rows", self.len);
        let row = self.remove_row(from);
        self.insert_row(to, row);
    }

    fn remove_row(&mut self, index: usize) -> Row<T> {
        assert!(index < self.len, "removal of {index} of {} rows", self.len);
        let place = self.place(index);
        let rows = self.chunk_mut(place);
        let row = rows.remove(place.row);
        let empty = rows.is_empty();
        let block = &mut self.blocks[place.block];
        block.len -= 1;
        if empty {
            let chunks = Arc::make_mut(&mut block.chunks);
            chunks.remove(place.chunk);
            if chunks.is_empty() {
                self.blocks.remove(place.block);
            }
        } else {
            self.merge(place);
        }
        self.len -= 1;
        self.order = self.generation;
        row
    }

    /// Joins a chunk that has become small with the next, so that removals leave no crowd of them.
    fn merge(&mut self, place: Place) {
        let generation = self.generation;
        let chunks = &self.blocks[place.block].chunks;
        let Some(next) = chunks.get(place.chunk + 1) else { return };
        if chunks[place.chunk].rows.len() + next.rows.len() > CHUNK_ROWS / 2 {
            return;
        }
        let chunks = Arc::make_mut(&mut self.blocks[place.block].chunks);
        let next = chunks.remove(place.chunk + 1);
        let chunk = &mut chunks[place.chunk];
        chunk.generation = generation;
        Arc::make_mut(&mut chunk.rows).extend(next.rows.iter().cloned());
    }

    fn rebuild(&mut self, rows: Vec<Row<T>>) {
        let mut list: Self = Self::of(rows);
        list.order = list.generation;
        *self = list;
    }

    fn of(rows: Vec<Row<T>>) -> Self {
        let mut list = Self { len: rows.len(), ..Self::new() };
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let mut chunks = Vec::new();
            while chunks.len() < BLOCK_CHUNKS && rows.peek().is_some() {
                chunks.push(Chunk::of(rows.by_ref().take(CHUNK_ROWS).collect()));
            }
            list.blocks.push(Block::of(chunks));
        }
        list
    }
}

impl<T: Clone> SyncVec<T> {
    /// The row at an index, to be changed.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        if index >= self.len {
            return None;
        }
        let place = self.place(index);
        let row = &mut self.chunk_mut(place)[place.row];
        row.generation = generation::next();
        Some(Arc::make_mut(&mut row.value))
    }

    /// The rows in order, to be changed. All of them count as changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.generation = generation::next();
        let generation = self.generation;
        self.blocks
            .iter_mut()
            .flat_map(move |block| {
                block.generation = generation;
                Arc::make_mut(&mut block.chunks).iter_mut()
            })
            .flat_map(move |chunk| {
                chunk.generation = generation;
                Arc::make_mut(&mut chunk.rows).iter_mut()
            })
            .map(move |row| {
                row.generation = generation;
                Arc::make_mut(&mut row.value)
            })
    }

    /// The rows as a plain list.
    #[must_use]
    pub fn to_vec(&self) -> Vec<T> {
        self.iter().cloned().collect()
    }
}

impl<T> Block<T> {
    fn of(chunks: Vec<Chunk<T>>) -> Self {
        let len = chunks.iter().map(|chunk| chunk.rows.len()).sum();
        Self { chunks: Arc::new(chunks), len, generation: generation::next() }
    }
}

impl<T> Chunk<T> {
    fn of(rows: Vec<Row<T>>) -> Self {
        Self { rows: Arc::new(rows), generation: generation::next() }
    }
}

// Derived, these would ask for `T: Clone`.
impl<T> Clone for SyncVec<T> {
    fn clone(&self) -> Self {
        Self { blocks: self.blocks.clone(), ..*self }
    }
}

impl<T> Clone for Block<T> {
    fn clone(&self) -> Self {
        Self { chunks: Arc::clone(&self.chunks), ..*self }
    }
}

impl<T> Clone for Chunk<T> {
    fn clone(&self) -> Self {
        Self { rows: Arc::clone(&self.rows), ..*self }
    }
}

impl<T> Clone for Row<T> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), ..*self }
    }
}

impl<T> Index<usize> for SyncVec<T> {
    type Output = T;

    fn index(&self, index: usize) -> &T {
        let len = self.len;
        self.get(index).unwrap_or_else(|| panic!("row {index} of {len}"))
    }
}

impl<T: Clone> IndexMut<usize> for SyncVec<T> {
    fn index_mut(&mut self, index: usize) -> &mut T {
        let len = self.len;
        self.get_mut(index).unwrap_or_else(|| panic!("row {index} of {len}"))
    }
}

impl<T> Extend<T> for SyncVec<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        values.into_iter().for_each(|value| self.push(value));
    }
}

impl<T> FromIterator<T> for SyncVec<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let rows = values.into_iter().map(Row::new);
        Self::of(rows.collect())
    }
}

impl<T> From<Vec<T>> for SyncVec<T> {
    fn from(values: Vec<T>) -> Self {
        values.into_iter().collect()
    }
}

impl<T> Default for SyncVec<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for SyncVec<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl<T: PartialEq> PartialEq for SyncVec<T> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other)
    }
}

impl<T: Eq> Eq for SyncVec<T> {}

/// The rows of a [`SyncVec`] in order.
pub struct Iter<'a, T> {
    rows: Box<dyn Iterator<Item = &'a T> + 'a>,
    left: usize,
}

impl<'a, T> Iterator for Iter<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        self.left = self.left.saturating_sub(1);
        self.rows.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T> ExactSizeIterator for Iter<'_, T> {}

impl<'a, T> IntoIterator for &'a SyncVec<T> {
    type Item = &'a T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T: Serialize> Serialize for SyncVec<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let kind = Kind::Groups { order: self.order, generation: self.generation };
        handshake::announce(serializer, kind, &Rows(self))
    }
}

/// The list itself: its blocks for a serializer that asked for them, its rows for all others.
struct Rows<'a, T>(&'a SyncVec<T>);

impl<T: Serialize> Serialize for Rows<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let list = self.0;
        let mut seq = serializer.serialize_seq(Some(list.len))?;
        if handshake::groups_wanted(self) {
            list.blocks.iter().try_for_each(|block| seq.serialize_element(block))?;
        } else {
            list.rows().try_for_each(|row| seq.serialize_element(row))?;
        }
        seq.end()
    }
}

impl<T: Serialize> Serialize for Block<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let kind = Kind::Group { generation: self.generation, rows: self.len };
        handshake::announce(serializer, kind, &*self.chunks)
    }
}

impl<T: Serialize> Serialize for Chunk<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let kind = Kind::Group { generation: self.generation, rows: self.rows.len() };
        handshake::announce(serializer, kind, &*self.rows)
    }
}

impl<T: Serialize> Serialize for Row<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        handshake::announce(serializer, Kind::Row { id: self.id, generation: self.generation }, &*self.value)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for SyncVec<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Collect<T> {
            type Value = SyncVec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<SyncVec<T>, A::Error> {
                let mut list = SyncVec::new();
                while let Some(value) = seq.next_element()? {
                    list.push(value);
                }
                Ok(list)
            }
        }

        deserializer.deserialize_seq(Collect(PhantomData))
    }
}
