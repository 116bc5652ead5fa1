//! Why a value could not be walked.

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

/// Ends a walk early, up to the frame that knows what to do.
#[derive(Debug)]
pub(crate) enum Halt {
    /// Ours: the walker says why.
    Bail,
    /// The value's own. Boxed, so that the result of every step fits in registers.
    Failed(Box<Error>),
}

impl serde::ser::Error for Halt {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Halt::Failed(Box::new(Error::Failed(message.to_string().into())))
    }
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bail => f.write_str("the walk starts again from an outer value"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Halt {}
