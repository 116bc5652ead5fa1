//! A value that never leaves the server.

use std::cell::Cell;
use std::fmt;
use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value that is null to every serializer, except while the server saves its own record.
///
/// ```
/// use windlass_sync::{Private, saving};
///
/// let token = Private::new("secret");
/// assert_eq!(serde_json::to_string(&token)?, "null");
/// assert_eq!(saving(|| serde_json::to_string(&token))?, "\"secret\"");
/// assert_eq!(format!("{token:?}"), "Private");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Private<T>(T);

thread_local! {
    static SAVING: Cell<bool> = const { Cell::new(false) };
}

/// Runs `save`, during which private values serialise as what they are. For the store's serializer alone.
pub fn saving<R>(save: impl FnOnce() -> R) -> R {
    /// Ends with the closure, also when it panics.
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            SAVING.set(self.0);
        }
    }
    let _restore = Restore(SAVING.replace(true));
    save()
}

impl<T> Private<T> {
    /// Hides a value.
    #[must_use]
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself.
    ///
    /// ```
    /// let password = windlass_sync::Private::new("secret");
    /// assert_eq!(password.into_inner(), "secret");
    /// ```
    #[must_use]
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Private<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Private<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T> From<T> for Private<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T> fmt::Debug for Private<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the value: debug output ends in logs.
        f.write_str("Private")
    }
}

impl<T: Serialize> Serialize for Private<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if SAVING.get() { self.0.serialize(serializer) } else { serializer.serialize_unit() }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Private<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self)
    }
}
