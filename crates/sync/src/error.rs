//! Why a value could not be walked.

use std::cell::Cell;
use std::fmt;

/// Why a value could not be walked. Nothing was written, and the shadow is void.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The value's own `Serialize` failed, with this text. Report it; the next good walk sends the whole.
    Failed(Box<str>),
    /// The value of a whole document does not serialise to an object. Fix the type.
    NotAnObject,
    /// A root key begins with `$`, which is the protocol's. Rename the field.
    ReservedKey(Box<str>),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(text) => write!(f, "the state does not serialise: {text}"),
            Self::NotAnObject => f.write_str("the state must serialise to an object"),
            Self::ReservedKey(key) => write!(f, "the root key {key:?} begins with $, which is reserved"),
        }
    }
}

impl std::error::Error for Error {}

/// Ends a walk early. The walk itself knows whether it starts over or fails; the text of a failure waits beside it,
/// so that the result of every step is one bit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Halt;

thread_local! {
    static FAILURE: Cell<Option<Error>> = const { Cell::new(None) };
}

impl Halt {
    /// What the value said that failed, once.
    pub(crate) fn failure() -> Error {
        // A walk that was to start over and did not get to.
        FAILURE.take().unwrap_or_else(|| Error::Failed("a value went on after an error of a value inside it".into()))
    }

    /// Forgets a failure that somebody swallowed.
    pub(crate) fn reset() {
        // Not `LocalKey::set`, which is slower for what has a destructor.
        FAILURE.with(|failure| drop(failure.take()));
    }
}

impl serde::ser::Error for Halt {
    #[cold]
    fn custom<T: fmt::Display>(message: T) -> Self {
        FAILURE.set(Some(Error::Failed(message.to_string().into())));
        Halt
    }
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the walk ends here")
    }
}

impl std::error::Error for Halt {}
