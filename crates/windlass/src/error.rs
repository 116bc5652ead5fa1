//! What went wrong in the app's own code, and what the page may hear of it.

use std::borrow::Cow;
use std::fmt;

use windlass_engine::Fault;

/// What handlers, callbacks and the server's own functions return.
///
/// ```
/// use windlass::Result;
///
/// fn parsed(text: &str) -> Result<u64> {
///     Ok(text.parse::<u64>()?) // every error can be given on
/// }
/// assert_eq!(parsed("7").unwrap(), 7);
/// assert!(parsed("x").is_err());
/// ```
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

/// An error with a code and a text.
///
/// [`Error::refuse`] is for the page: both reach it as they are. Whatever `?` converts is *internal*: its text
/// goes to the log, and outside development the page gets only the code `internal` and an id to look it up by.
/// It does not implement [`std::error::Error`], so that `?` takes every error, `anyhow`'s included.
///
/// ```
/// use windlass::{Error, Result};
///
/// fn parse(text: &str) -> Result<i64> {
///     if text.is_empty() {
///         return Err(Error::refuse("empty", "say a number"));
///     }
///     Ok(text.parse()?)
/// }
///
/// assert_eq!(parse("").unwrap_err().code, "empty");
/// assert_eq!(parse("x").unwrap_err().code, "internal");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    /// What the page's code can look at.
    pub code: Cow<'static, str>,
    /// What a person can read, whole; what of an internal error reaches the page is decided later.
    pub text: String,
    pub(crate) internal: bool,
}

impl Error {
    /// An error that the page gets as it is.
    #[must_use]
    pub fn refuse(code: impl Into<Cow<'static, str>>, text: impl Into<String>) -> Self {
        Self { code: code.into(), text: text.into(), internal: false }
    }

    /// An error whose text is for the operator.
    #[must_use]
    pub fn internal(text: impl Into<String>) -> Self {
        Self { code: Cow::Borrowed("internal"), text: text.into(), internal: true }
    }

    /// A bounded queue is full: try again later.
    ///
    /// ```
    /// let error = windlass::Error::busy("the printer");
    /// assert!(!error.is_internal() && !error.code.is_empty());
    /// ```
    #[must_use]
    pub fn busy(what: &str) -> Self {
        Self::refuse("busy", format!("{what} is full, try again later"))
    }

    /// Whether its text is kept from the page outside development.
    ///
    /// ```
    /// use windlass::Error;
    ///
    /// let from_below: Error = "x".parse::<u64>().unwrap_err().into();
    /// assert!(from_below.is_internal(), "the page hears only of an id");
    /// assert!(!Error::refuse("sold_out", "none is left").is_internal());
    /// ```
    #[must_use]
    pub fn is_internal(&self) -> bool {
        self.internal
    }

    /// The error as the page gets it; an internal one is logged here.
    pub(crate) fn into_fault(self, what: &str, development: bool) -> Fault {
        self.told(development, |id, text| tracing::error!(%id, what, error = text, "internal error"))
    }

    /// The same for an attempt after which there is another.
    pub(crate) fn into_retried(self, what: &str, attempt: u32, development: bool) -> Fault {
        self.told(development, |id, text| tracing::warn!(%id, what, attempt, error = text, "it is tried again"))
    }

    fn told(self, development: bool, log: impl FnOnce(&str, &str)) -> Fault {
        if !self.internal {
            return Fault::failed(self.code, self.text);
        }
        let id = crate::random::hex_id();
        log(&id, &self.text);
        if development {
            return Fault::failed(self.code, self.text);
        }
        Fault { detail: Some(self.text), ..Fault::failed(self.code, format!("internal error, {id}")) }
    }
}

impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> From<E> for Error {
    fn from(error: E) -> Self {
        let error = error.into();
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        Self::internal(text)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// `main` prints an error by `Debug`, and a person reads that.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text, self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn question_mark_takes_every_error_and_keeps_its_causes() {
        fn fails() -> Result {
            Err(anyhow::anyhow!("no disk").context("cannot save"))?
        }
        let error = fails().unwrap_err();
        assert!(error.is_internal());
        assert_eq!(error.text, "cannot save: no disk");
    }

    #[test]
    fn the_page_gets_an_internal_text_only_in_development() {
        let error = Error::internal("password is hunter2");
        assert_eq!(error.clone().into_fault("x", true).text, "password is hunter2");
        let shown = error.into_fault("x", false);
        assert_eq!(shown.code, "internal");
        assert!(!shown.text.contains("hunter2"), "{}", shown.text);
        assert_eq!(Error::refuse("gone", "that row is gone").into_fault("x", false).text, "that row is gone");
    }
}
