//! How our own types tell our own serializers more than serde's data model holds.
//!
//! Right before it hands `&T` to `serialize_newtype_struct`, the type announces what that value is;
//! the serializer takes the announcement, at most once, when the address that arrives is the one
//! announced. Every other serializer sees a newtype, which is transparent. Serde's own buffering
//! (an internally tagged enum around another) hands over other addresses later: they match nothing
//! and the value is walked plainly.

use std::cell::Cell;

use serde::{Serialize, Serializer};

use crate::planted::{self, Bug};

/// The name under which our newtypes arrive.
const NAME: &str = "windlass_sync::handshake";

/// What the value that arrives next is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A value with an id and a generation: what has the same of both is the same.
    Tracked { id: u64, generation: u64 },
    /// A list of groups. The order is a generation of which rows there are and where.
    Groups { order: u64, generation: u64 },
    /// Some rows of such a list, or groups of them.
    Group { generation: u64, rows: usize },
    /// One row of a group.
    Row { id: u64, generation: u64 },
}

thread_local! {
    static ANNOUNCED: Cell<Option<(*const (), Kind)>> = const { Cell::new(None) };
    static GROUPED: Cell<*const ()> = const { Cell::new(std::ptr::null()) };
}

/// Serialises `value` as a newtype that our serializers recognise.
#[inline(always)]
pub(crate) fn announce<T: Serialize + ?Sized, S: Serializer>(
    serializer: S,
    kind: Kind,
    value: &T,
) -> Result<S::Ok, S::Error> {
    ANNOUNCED.set(Some((std::ptr::from_ref(value).cast(), kind)));
    let result = serializer.serialize_newtype_struct(NAME, value);
    // Whoever did not listen must not leave it to somebody else's newtype.
    if !planted::is(Bug::StaleAnnouncement) {
        ANNOUNCED.set(None);
    }
    result
}

/// What was announced of `value`, once.
#[inline(always)]
pub(crate) fn accept<T: ?Sized>(name: &'static str, value: &T) -> Option<Kind> {
    if name.len() != NAME.len() {
        return None;
    }
    let (address, kind) = ANNOUNCED.take()?;
    let same = std::ptr::eq(address, std::ptr::from_ref(value).cast()) || planted::is(Bug::StaleAnnouncement);
    (same && name == NAME).then_some(kind)
}

/// Asks the list of groups at `value`, which is about to be serialised, to show its groups.
pub(crate) fn ask_for_groups<T: ?Sized>(value: &T) {
    GROUPED.set(std::ptr::from_ref(value).cast());
}

/// Whether the groups of `value` were asked for, once.
pub(crate) fn groups_wanted<T: ?Sized>(value: &T) -> bool {
    std::ptr::eq(GROUPED.replace(std::ptr::null()), std::ptr::from_ref(value).cast())
}

/// Forgets what a walk that ended early left behind.
pub(crate) fn reset() {
    ANNOUNCED.set(None);
    GROUPED.set(std::ptr::null());
}
