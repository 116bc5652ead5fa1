//! The shadow of a document: what its watchers have been told.

use serde::Serialize;

use crate::error::{Error, Halt};
use crate::tape::{Tape, Templates};
use crate::walk::Walk;
use crate::word::HashKey;
use crate::{handshake, word};

/// What the watchers of a document, or of one part of it, have been told, as a flat tape of words.
///
/// ```
/// use windlass_sync::{HashKey, Shadow};
///
/// #[derive(serde::Serialize)]
/// struct State { count: u32, text: String }
///
/// let mut shadow = Shadow::new(HashKey([1, 2]));
/// let mut state = State { count: 0, text: "to".into() };
/// let mut out = Vec::new();
/// shadow.snapshot(&state, &mut out)?;
/// assert_eq!(out, br#"{"count":0,"text":"to"}"#);
///
/// state.count += 1;
/// state.text += "ken";
/// out.clear();
/// shadow.diff(&state, &mut out)?;
/// assert_eq!(out, br#"["count",1],[4,"text","ken"]"#);
/// # Ok::<(), windlass_sync::Error>(())
/// ```
pub struct Shadow {
    tape: Tape,
    /// The root key that this part of the document is below.
    root_key: Option<&'static str>,
    /// Declared identities: the dotted path of a list, and the field that its rows are known by.
    keys: Vec<(&'static str, &'static str)>,
}

impl Shadow {
    /// The shadow of a whole document, whose value must serialise to an object. It begins void.
    ///
    /// The key is of the hash over texts: it should be random, and stay with the shadow.
    #[must_use]
    pub fn new(key: HashKey) -> Self {
        let tape = Tape { words: Vec::new(), templates: Templates::default(), key, not_finite: None };
        Self { tape, root_key: None, keys: Vec::new() }
    }

    /// The shadow of the part of a document that is below one root key: any value.
    #[must_use]
    pub fn under(key: HashKey, root_key: &'static str) -> Self {
        Self { root_key: Some(root_key), ..Self::new(key) }
    }

    /// Declares that the rows of `list`, a dotted path of keys, are known by their field `field`.
    pub fn key(&mut self, list: &'static str, field: &'static str) {
        self.keys.push((list, field));
    }

    /// Appends the ops since the last walk to `out`, with commas between them and no brackets around;
    /// nothing when nothing changed. When void, the one op that replaces the whole.
    ///
    /// # Errors
    ///
    /// When the value does not serialise. `out` is as it was and the shadow is void.
    pub fn diff<T: Serialize + ?Sized>(&mut self, value: &T, out: &mut Vec<u8>) -> Result<(), Error> {
        self.walk(out, |walk| walk.diff(value))
    }

    /// Writes the plain value, and from now on tells changes from it.
    ///
    /// # Errors
    ///
    /// When the value does not serialise. `out` is as it was and the shadow is void.
    pub fn snapshot<T: Serialize + ?Sized>(&mut self, value: &T, out: &mut Vec<u8>) -> Result<(), Error> {
        self.void();
        self.walk(out, |walk| walk.snapshot(value))
    }

    fn walk(&mut self, out: &mut Vec<u8>, run: impl FnOnce(&mut Walk<'_>) -> Result<(), Error>) -> Result<(), Error> {
        handshake::reset();
        Halt::reset();
        let start = out.len();
        // A panic of the value's `Serialize` leaves the tape empty, which is void.
        let words = std::mem::take(&mut self.tape.words);
        let mut walk = Walk::new(&mut self.tape, &self.keys, self.root_key, words, out);
        let result = run(&mut walk);
        let (words, scratch) = walk.finish();
        scratch.give_back(result.is_ok());
        match result {
            Ok(()) => self.tape.words = words,
            Err(_) => {
                out.truncate(start);
                self.void();
            }
        }
        result
    }

    /// Forgets: the next diff writes the whole value, as a replacement of the root.
    pub fn void(&mut self) {
        self.tape.words = Vec::new();
        self.tape.templates = Templates::default();
    }

    /// Gives back memory that a larger value has left behind, or growing by doubling.
    pub fn shrink(&mut self) {
        let (len, capacity) = (self.tape.words.len(), self.tape.words.capacity());
        // A large one that still grows would be copied each time.
        if capacity > len * 2 || capacity < SHRUNK_EXACTLY {
            self.tape.words.shrink_to_fit();
        }
    }

    /// Whether the next diff writes the whole value.
    #[must_use]
    pub fn is_void(&self) -> bool {
        self.tape.words.is_empty()
    }

    /// Where a NaN or an infinity was told as null, which is all that JSON has for it, since this was last asked: the
    /// dotted path of the first, for a warning. Inside a value that was told as a whole it is that value's path and
    /// the name of the field, with an ellipsis between.
    ///
    /// ```
    /// use windlass_sync::{HashKey, Shadow};
    ///
    /// #[derive(serde::Serialize)]
    /// struct State { loss: f64 }
    ///
    /// let (mut shadow, mut out) = (Shadow::new(HashKey([1, 2])), Vec::new());
    /// shadow.snapshot(&State { loss: 0.5 }, &mut out)?;
    /// out.clear();
    /// shadow.diff(&State { loss: f64::NAN }, &mut out)?;
    /// assert_eq!(out, br#"["loss",null]"#);
    /// assert_eq!(shadow.take_not_finite().as_deref(), Some("loss"));
    /// assert_eq!(shadow.take_not_finite(), None);
    /// # Ok::<(), windlass_sync::Error>(())
    /// ```
    #[must_use]
    pub fn take_not_finite(&mut self) -> Option<Box<str>> {
        self.tape.not_finite.take()
    }

    /// The memory that the shadow holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.tape.words.capacity() * size_of::<u64>() + self.tape.templates.bytes()
    }
}

/// Words of a tape that is copied in less than a microsecond: 4 KiB.
const SHRUNK_EXACTLY: usize = 512;

impl std::fmt::Debug for Shadow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let root = self.tape.words.first().map(|&word| word::size(word));
        f.debug_struct("Shadow").field("root_key", &self.root_key).field("words", &root).finish_non_exhaustive()
    }
}
