//! What a handler may return.

use serde::Serialize;

use crate::{Error, Result};

/// What a handler may return: nothing, a [`Reply`], or a [`Result`] of one of them.
///
/// ```
/// use windlass::prelude::*;
///
/// assert_eq!(().into_reply().unwrap(), None);
/// assert_eq!(Reply(7).into_reply().unwrap().as_deref(), Some("7"));
/// let result: Result<Reply<u64>> = Err(Error::refuse("sold_out", "none is left"));
/// assert_eq!(result.into_reply().unwrap_err().code, "sold_out");
/// ```
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`",
    label = "not something that a page can be answered with",
    note = "return `()`, `Reply(value)`, or a `Result` of one of them"
)]
pub trait Outcome {
    /// The reply as JSON, if there is one.
    ///
    /// # Errors
    ///
    /// The handler's own, or a reply that does not serialise.
    fn into_reply(self) -> Result<Option<String>>;
}

/// A value for the page that sent the action: its promise resolves with it.
///
/// ```
/// use windlass::prelude::*;
///
/// #[derive(Clone, Default, Serialize)]
/// struct Shop { orders: u64 }
///
/// fn order(state: &mut Shop, _cx: &mut Cx<Shop>, (): ()) -> Reply<u64> {
///     state.orders += 1;
///     Reply(state.orders)
/// }
///
/// let app = App::new(Shop::default).action("order", order);
/// # let _ = app;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply<T>(pub T);

impl Outcome for () {
    fn into_reply(self) -> Result<Option<String>> {
        Ok(None)
    }
}

impl<T: Serialize> Outcome for Reply<T> {
    fn into_reply(self) -> Result<Option<String>> {
        Ok(Some(serde_json::to_string(&self.0)?))
    }
}

impl<O: Outcome, E: Into<Error>> Outcome for Result<O, E> {
    fn into_reply(self) -> Result<Option<String>> {
        self.map_err(Into::into)?.into_reply()
    }
}
