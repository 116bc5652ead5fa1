//! Hooks: what an app may hear of besides actions.

use crate::fields::Written;
use crate::program::{Refusal, Run, State, View};
use crate::{App, Cx, Outcome, Result};

/// The app's own functions for what happens to a session.
pub(crate) struct Hooks<S: State> {
    pub(crate) init: Option<Visited<S>>,
    pub(crate) connect: Option<Happened<S>>,
    pub(crate) disconnect: Option<Happened<S>>,
    pub(crate) expire: Option<Happened<S>>,
    pub(crate) park: Option<Happened<S>>,
    pub(crate) restore: Option<Happened<S>>,
    pub(crate) change: Option<Changed<S>>,
    pub(crate) error: Option<Failed<S>>,
}

type Happened<S> = Box<dyn Fn(&mut S, &mut Cx<S>) -> Result + Send + Sync>;
type Visited<S> = std::sync::Arc<dyn Fn(&mut S, &mut Cx<S>, &Visit) -> Result + Send + Sync>;
type Changed<S> = Box<dyn Fn(&mut S, &mut Cx<S>, &Written<'_>) -> Result + Send + Sync>;
type Failed<S> = Box<dyn Fn(&mut S, &mut Cx<S>, &Failure<'_>) -> Result + Send + Sync>;

impl<S: State> Default for Hooks<S> {
    fn default() -> Self {
        Self {
            init: None,
            connect: None,
            disconnect: None,
            expire: None,
            park: None,
            restore: None,
            change: None,
            error: None,
        }
    }
}

/// The page that a session is made for, or that it has gone to. The address is what the page says: anybody can write
/// there what they like.
///
/// ```
/// use windlass::prelude::*;
///
/// #[derive(Clone, Default, Serialize)]
/// struct Shop { shelf: String, customer: Option<String> }
///
/// let app = App::new(Shop::default).on_init(|state: &mut Shop, _cx, visit| {
///     if visit.untrusted_path() == "/shop" {
///         state.shelf = visit.untrusted_query().to_owned();
///     }
///     state.customer = visit.identity().map(str::to_owned);
/// });
/// # let _ = app;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    page: String,
    identity: Option<String>,
}

impl Visit {
    pub(crate) fn new(page: String, identity: Option<String>) -> Self {
        Self { page, identity }
    }

    /// The path, as `/rooms/7`.
    #[must_use]
    pub fn untrusted_path(&self) -> &str {
        self.page.split(['?', '#']).next().unwrap_or_default()
    }

    /// What comes after the question mark, as `sort=name&page=2`.
    #[must_use]
    pub fn untrusted_query(&self) -> &str {
        let whole = self.page.split('#').next().unwrap_or_default();
        whole.split_once('?').map_or("", |(_, query)| query)
    }

    /// The first value of that name in the query, decoded.
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # #[derive(Clone, Default, Serialize)] struct Search { text: String }
    /// let app = App::new(Search::default).on_init(|state, _cx, visit| {
    ///     state.text = visit.untrusted_param("q").unwrap_or_default();
    /// });
    /// # let _ = app;
    /// ```
    #[must_use]
    pub fn untrusted_param(&self, name: &str) -> Option<String> {
        let mut pairs = self.untrusted_query().split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.find(|(known, _)| decoded(known).as_deref() == Some(name)).and_then(|(_, value)| decoded(value))
    }

    /// Whose page it is, when the app authenticates: that is known, not said.
    #[must_use]
    pub fn identity(&self) -> Option<&str> {
        self.identity.as_deref()
    }
}

fn decoded(text: &str) -> Option<String> {
    crate::page::percent_decode(&text.replace('+', " "))
}

/// Something that an app's own code has failed at. Whatever it did was taken back.
///
/// ```
/// use windlass::prelude::*;
///
/// #[derive(Clone, Default, Serialize)]
/// struct Shop { problems: Vec<String> }
///
/// let app = App::new(Shop::default)
///     .action("order", |_: &mut Shop, _cx, _: u32| -> Result { Err(Error::refuse("sold_out", "none is left")) })
///     .on_error(|state: &mut Shop, _cx, failure| {
///         state.problems.push(format!("{} failed with {}: {}", failure.what(), failure.code(), failure.text()));
///     });
/// let mut t = app.test();
/// t.send("order", 7);
/// assert_eq!(t.state().problems, ["order failed with sold_out: none is left"]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Failure<'a> {
    pub(crate) what: &'a str,
    pub(crate) code: &'a str,
    pub(crate) text: &'a str,
}

impl<'a> Failure<'a> {
    /// The name of the action, or `update`, `status function` or `async action`.
    #[must_use]
    pub fn what(&self) -> &'a str {
        self.what
    }

    /// The code of the error.
    #[must_use]
    pub fn code(&self) -> &'a str {
        self.code
    }

    /// The whole text of the error, also of an internal one, which the page does not get.
    #[must_use]
    pub fn text(&self) -> &'a str {
        self.text
    }
}

impl<S: State, V: View<S>, M> App<S, V, M> {
    /// Prepares a fresh session for its page, before anything else happens in it.
    ///
    /// It knows the page's path and query and, with [`App::authenticate`], whose it is. What it does makes the session no
    /// more worth keeping: one that only looked is forgotten after half a minute.
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # #[derive(Clone, Default, Serialize)] struct Shop { greeting: String }
    /// let app = App::new(Shop::default).on_init(|state, _cx, visit| {
    ///     state.greeting = format!("Hello, {}", visit.identity().unwrap_or("stranger"));
    /// });
    /// # let _ = app;
    /// ```
    pub fn on_init<O: Outcome>(mut self, f: impl Fn(&mut S, &mut Cx<S>, &Visit) -> O + Send + Sync + 'static) -> Self {
        self.hooks.init = Some(std::sync::Arc::new(move |state, cx, visit| f(state, cx, visit).into_reply().map(drop)));
        self
    }

    /// Hears that a page is there which was not; [`Cx::caller`] says which. A socket that takes over from another of the
    /// same page is none.
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # #[derive(Clone, Default, Serialize)] struct Room { online: usize }
    /// let app = App::new(Room::default)
    ///     .on_connect(|state, _cx| state.online += 1)
    ///     .on_disconnect(|state, _cx| state.online -= 1);
    /// # let _ = app;
    /// ```
    pub fn on_connect<O: Outcome>(mut self, f: impl Fn(&mut S, &mut Cx<S>) -> O + Send + Sync + 'static) -> Self {
        self.hooks.connect = Some(Box::new(move |state, cx| f(state, cx).into_reply().map(drop)));
        self
    }

    /// Hears that a page has lost its socket: it was closed, or the network was; it may come back. See
    /// [`App::on_connect`].
    pub fn on_disconnect<O: Outcome>(mut self, f: impl Fn(&mut S, &mut Cx<S>) -> O + Send + Sync + 'static) -> Self {
        self.hooks.disconnect = Some(Box::new(move |state, cx| f(state, cx).into_reply().map(drop)));
        self
    }

    /// Hears that the session goes because nobody came back in time; the last thing that happens in it. A job that it
    /// starts is cancelled at once, updates to other sessions are sent.
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # #[derive(Clone, Default, Serialize)] struct Room { lobby: Option<String> }
    /// let app = App::new(Room::default).on_expire(|_state, cx| println!("{} was forgotten", cx.session()));
    /// # let _ = app;
    /// ```
    pub fn on_expire<O: Outcome>(mut self, f: impl Fn(&mut S, &mut Cx<S>) -> O + Send + Sync + 'static) -> Self {
        self.hooks.expire = Some(Box::new(move |state, cx| f(state, cx).into_reply().map(drop)));
        self
    }

    /// Hears that the session is about to leave memory; it comes back when somebody does, or a [`Handle`](crate::Handle) is
    /// used. What it changes is part of the record. See [`App::park_after`].
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// #[derive(Clone, Default, Serialize, Deserialize)]
    /// struct Search { text: String, #[serde(skip)] hits: Vec<String> }
    ///
    /// let app = App::new(Search::default)
    ///     .park_after(Duration::from_secs(60))
    ///     .on_park(|_state, cx| println!("{} goes to sleep", cx.session()))
    ///     .on_restore(|state, _cx| state.hits = vec![format!("what {} finds", state.text)]);
    /// # let _ = app;
    /// ```
    pub fn on_park<O: Outcome>(mut self, f: impl Fn(&mut S, &mut Cx<S>) -> O + Send + Sync + 'static) -> Self {
        self.hooks.park = Some(Box::new(move |state, cx| f(state, cx).into_reply().map(drop)));
        self
    }

    /// Hears that the session was made from its record, before anything else happens in it: after it was parked, and
    /// after the server has started again. For what the record does not hold, as fields that serde skips. See
    /// [`App::on_park`].
    pub fn on_restore<O: Outcome>(mut self, f: impl Fn(&mut S, &mut Cx<S>) -> O + Send + Sync + 'static) -> Self {
        self.hooks.restore = Some(Box::new(move |state, cx| f(state, cx).into_reply().map(drop)));
        self
    }

    /// Runs after a page has written to a declared field, in the same turn: when it returns an error, nothing was written.
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # #[derive(Clone, Default, Serialize)] struct Search { text: String, searches: u64 }
    /// let app = App::new(Search::default).field("text", |state| &mut state.text).on_change(
    ///     |state, _cx, written| -> Result {
    ///         if written.path() == "text" && state.text.len() > 100 {
    ///             return Err(Error::refuse("too_long", "at most 100 letters"));
    ///         }
    ///         state.searches += 1;
    ///         Ok(())
    ///     },
    /// );
    /// # let _ = app;
    /// ```
    pub fn on_change<O: Outcome>(
        mut self,
        f: impl Fn(&mut S, &mut Cx<S>, &Written<'_>) -> O + Send + Sync + 'static,
    ) -> Self {
        self.hooks.change = Some(Box::new(move |state, cx, written| f(state, cx, written).into_reply().map(drop)));
        self
    }

    /// Hears that the page's address has changed without a reload: a link within the page, or back and forward.
    ///
    /// An action like any other, by the name `$navigate`.
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # #[derive(Clone, Default, Serialize)] struct Shop { section: String }
    /// let app = App::new(Shop::default).on_navigate(|state, _cx, visit| {
    ///     state.section = visit.untrusted_path().to_owned();
    /// });
    /// # let _ = app;
    /// ```
    pub fn on_navigate<O: Outcome>(self, f: impl Fn(&mut S, &mut Cx<S>, &Visit) -> O + Send + Sync + 'static) -> Self {
        let run = Run::Handler(Box::new(move |state: &mut S, cx: &mut Cx<S>, payload: &str| {
            let page: String = serde_json::from_str(payload).map_err(Refusal::Payload)?;
            let visit = Visit::new(page, cx.identity().map(str::to_owned));
            f(state, cx, &visit).into_reply().map_err(Refusal::Error)
        }));
        self.built_in(NAVIGATE, run)
    }

    /// Hears that a handler, an update, a status function or an asynchronous action has failed or panicked, in a turn of
    /// its own after the rollback: what it changes stays.
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # #[derive(Clone, Default, Serialize)] struct Shop { failures: u64 }
    /// let app = App::new(Shop::default).on_error(|state, cx, failure| {
    ///     state.failures += 1;
    ///     cx.notify(Level::Error, format!("{} did not work: {}", failure.what(), failure.code()));
    /// });
    /// # let _ = app;
    /// ```
    pub fn on_error<O: Outcome>(
        mut self,
        f: impl Fn(&mut S, &mut Cx<S>, &Failure<'_>) -> O + Send + Sync + 'static,
    ) -> Self {
        self.hooks.error = Some(Box::new(move |state, cx, failure| f(state, cx, failure).into_reply().map(drop)));
        self
    }
}

/// The built-in action of a page that has gone elsewhere.
pub(crate) const NAVIGATE: &str = "$navigate";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visit_is_taken_apart() {
        let visit = Visit::new("/a/b?x=1&name=a%20b+c&x=2#top?y=1".into(), None);
        assert_eq!(visit.untrusted_path(), "/a/b");
        assert_eq!(visit.untrusted_query(), "x=1&name=a%20b+c&x=2");
        assert_eq!(visit.untrusted_param("x").as_deref(), Some("1"));
        assert_eq!(visit.untrusted_param("name").as_deref(), Some("a b c"));
        assert_eq!(visit.untrusted_param("y"), None);
        assert_eq!(Visit::new("?%zz=1&b".into(), None).untrusted_param("b").as_deref(), Some(""));
        assert_eq!(Visit::new(String::new(), None).untrusted_path(), "");
    }
}
