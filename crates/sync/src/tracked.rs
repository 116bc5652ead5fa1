//! A value that knows whether it has changed.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::generation;
use crate::handshake::{self, Kind};

/// A value that a diff passes over in a few nanoseconds while nobody has touched it, and that a list knows by an id.
///
/// For large single values, values of maps, and the rows of lists up to about 1,000; beyond that
/// [`SyncVec`](crate::SyncVec) is better. A clone is one reference count, and keeps id and generation: it is the same
/// value until one of the two is changed. The first change after a clone copies the value.
///
/// Reading is through `Deref`. Any `&mut` borrow counts as a change, and costs a walk of the value when there was
/// none. Changes through a `Cell` or a lock inside it are not seen.
///
/// ```
/// use windlass_sync::Tracked;
///
/// let mut text = Tracked::new(String::from("to"));
/// let before = text.clone();
/// text.push_str("ken");
/// assert_eq!((&**before, &**text), ("to", "token"));
/// ```
pub struct Tracked<T> {
    value: Arc<T>,
    id: u64,
    generation: u64,
}

impl<T> Tracked<T> {
    /// A value with an id of its own.
    #[must_use]
    pub fn new(value: T) -> Self {
        let id = generation::next();
        Self { value: Arc::new(value), id, generation: id }
    }
}

impl<T: Clone> Tracked<T> {
    /// The value itself, copied if a clone of it is elsewhere.
    ///
    /// ```
    /// let rows = windlass_sync::Tracked::new(vec![1, 2]);
    /// assert_eq!(rows.into_inner(), [1, 2]);
    /// ```
    #[must_use]
    pub fn into_inner(self) -> T {
        Arc::unwrap_or_clone(self.value)
    }
}

impl<T> Deref for Tracked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Clone> DerefMut for Tracked<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.generation = generation::next();
        Arc::make_mut(&mut self.value)
    }
}

impl<T> Clone for Tracked<T> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), ..*self }
    }
}

impl<T> From<T> for Tracked<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: Default> Default for Tracked<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: fmt::Debug> fmt::Debug for Tracked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<T: PartialEq> PartialEq for Tracked<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Tracked<T> {}

impl<T: Serialize> Serialize for Tracked<T> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        handshake::announce(serializer, Kind::Tracked { id: self.id, generation: self.generation }, &*self.value)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Tracked<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::new)
    }
}
