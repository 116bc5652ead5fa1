//! What a handler can do besides changing the state.

use std::future::Future;
use std::sync::Arc;

use serde::Serialize;
use windlass_engine::{Audience, Class, Turn};
use windlass_protocol::frame::event_body;
use windlass_protocol::{ChildId, ClientId, JobId, SessionId};

use crate::callback::{LongCallback, Work};
use crate::program::{Post, Program, State};
use crate::services::Services;
use crate::{Error, FutureJob, Job, Outcome, Result};

/// The context of a handler, a status function or an update.
///
/// Everything that it is asked for leaves only when the handler succeeds; a handler that fails leaves no trace.
///
/// ```
/// use windlass::prelude::*;
///
/// #[derive(Clone, Default, Serialize)]
/// struct Shop { open: bool }
///
/// fn open(state: &mut Shop, cx: &mut Cx<Shop>, (): ()) {
///     state.open = true;
///     cx.notify(Level::Success, "The shop is open");
/// }
///
/// let app = App::new(Shop::default).action("open", open);
/// # let _ = app;
/// ```
pub struct Cx<S: State> {
    pub(crate) turn: Turn<Program<S>>,
    /// What [`Cx::reply`] was given.
    pub(crate) reply: Option<String>,
    pub(crate) services: Arc<Services>,
}

impl<S: State> Cx<S> {
    /// Asks for the session's record at once.
    pub(crate) fn save_now(&mut self) -> Result {
        self.turn.save_now();
        Ok(())
    }

    pub(crate) fn new(turn: Turn<Program<S>>, services: &Arc<Services>) -> Self {
        Self { turn, reply: None, services: Arc::clone(services) }
    }

    /// The session's public id, for a [`Handle`](crate::Handle).
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.turn.session()
    }

    /// Whose session this is, when the app authenticates. See [`App::authenticate`](crate::App::authenticate).
    #[must_use]
    pub fn identity(&self) -> Option<&str> {
        self.turn.identity()
    }

    /// The client whose action this is, or that has come or gone; none in an update or a status function.
    #[must_use]
    pub fn caller(&self) -> Option<ClientId> {
        self.turn.caller()
    }

    /// Answers the action: its promise resolves with the value. Like returning a [`Reply`](crate::Reply), which goes first.
    ///
    /// # Errors
    ///
    /// A value that does not serialise; an update or a status function, where nobody waits for an answer.
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # #[derive(Clone, Default, Serialize)] struct Shop { orders: u64 }
    /// fn order(state: &mut Shop, cx: &mut Cx<Shop>, (): ()) -> Result {
    ///     state.orders += 1;
    ///     cx.reply(&state.orders)
    /// }
    /// let app = App::new(Shop::default).action("order", order);
    /// # let _ = app;
    /// ```
    pub fn reply(&mut self, value: &(impl Serialize + ?Sized)) -> Result {
        if !self.turn.is_action() {
            return Err(Error::internal("`reply` answers an action; here nobody waits for an answer"));
        }
        self.reply = Some(serde_json::to_string(value)?);
        Ok(())
    }

    /// Chooses who hears of what comes next, and how much it matters.
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # #[derive(Clone, Default, Serialize)] struct Shop { open: bool }
    /// fn close(state: &mut Shop, cx: &mut Cx<Shop>, (): ()) -> Result {
    ///     state.open = false;
    ///     cx.to(Audience::Caller).notify(Level::Success, "You have closed the shop");
    ///     cx.to(Audience::Session).must().emit("closed", &())?;
    ///     cx.to(Audience::Session).navigate("/closed")
    /// }
    /// let app = App::new(Shop::default).action("close", close);
    /// # let _ = app;
    /// ```
    pub fn to(&mut self, audience: Audience) -> To<'_, S> {
        To { cx: self, audience: Some(audience), class: None }
    }

    fn tell(&mut self) -> To<'_, S> {
        To { cx: self, audience: None, class: None }
    }

    /// Shows a message to everyone on the session; when nobody is there it may be dropped.
    pub fn notify(&mut self, level: Level, text: impl Into<String>) {
        self.tell().notify(level, text);
    }

    /// Shows a message with an id, a title or a duration; a later one with the same id takes its place.
    ///
    /// ```
    /// use windlass::prelude::*;
    ///
    /// #[derive(Clone, Default, Serialize)]
    /// struct Demo { count: i64 }
    ///
    /// let mut t = App::new(Demo::default).test();
    /// t.update(|_, cx| cx.notify_with(Notify::new(Level::Info, "1 of 3").id("upload")));
    /// t.update(|_, cx| cx.close_notify("upload"));
    /// let kinds: Vec<_> = t.events().into_iter().map(|event| event.kind).collect();
    /// assert_eq!(kinds, ["notify", "close_notify"]);
    /// ```
    pub fn notify_with(&mut self, notify: Notify) {
        self.tell().notify_with(notify);
    }

    /// Takes the message with that id away.
    pub fn close_notify(&mut self, id: impl Into<String>) {
        self.tell().close_notify(id);
    }

    /// Sends the caller's page somewhere else on this origin.
    ///
    /// # Errors
    ///
    /// A url with a scheme or a host is refused.
    pub fn navigate(&mut self, url: impl Into<String>) -> Result {
        self.tell().navigate(url)
    }

    /// Makes the caller's page download something from this origin.
    ///
    /// # Errors
    ///
    /// A url with a scheme or a host is refused.
    ///
    /// ```
    /// use windlass::prelude::*;
    ///
    /// #[derive(Clone, Default, Serialize)]
    /// struct Demo { count: i64 }
    ///
    /// let app = App::new(Demo::default).action("bill", |_, cx: &mut Cx<Demo>, ()| cx.download("/bill.pdf", Some("bill.pdf")));
    /// let mut t = app.test();
    /// t.send("bill", ());
    /// assert_eq!(t.events()[0].body["url"], "/bill.pdf");
    /// ```
    pub fn download(&mut self, url: impl Into<String>, name: Option<&str>) -> Result {
        self.tell().download(url, name)
    }

    /// Tells every page of the session something of the app's own, once; when nobody is there it may be dropped.
    ///
    /// # Errors
    ///
    /// A value that does not serialise; in development, an event that a typed app has not declared.
    pub fn emit(&mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Result {
        self.tell().emit(name, value)
    }

    /// Keeps every frame back, so that what several turns do is shown at once: until [`Cx::release`], or for a second.
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # #[derive(Clone, Default, Serialize)] struct Import { rows: Vec<u64>, total: u64 }
    /// let app = App::new(Import::default)
    ///     .action("begin", |_state, cx: &mut Cx<Import>, ()| cx.hold())
    ///     .action("row", |state, _cx, row: u64| state.rows.push(row))
    ///     .action("end", |state: &mut Import, cx: &mut Cx<Import>, ()| {
    ///         state.total = state.rows.iter().sum();
    ///         cx.release();
    ///     });
    /// # let _ = app;
    /// ```
    pub fn hold(&mut self) {
        self.turn.hold();
    }

    /// Lets frames go that [`Cx::hold`] has kept back.
    pub fn release(&mut self) {
        self.turn.release();
    }

    /// Begins to describe a long callback: a function that runs on a worker thread and whose end is told to this session.
    ///
    /// Nothing happens before [`LongCallback::start`].
    pub fn long_callback<T: Send + 'static>(
        &mut self,
        name: impl Into<String>,
        run: impl Fn(&Job) -> Result<T> + Send + Sync + 'static,
    ) -> LongCallback<'_, S, T> {
        LongCallback::new(self, name.into(), Work::Blocking(Box::new(run)))
    }

    /// Begins to describe a long callback that is a future: it holds no thread while it waits.
    ///
    /// A cancel, a timeout and the end of the server drop it at its next `await`. It must not block a thread for
    /// long; what computes belongs in a [`long_callback`](Self::long_callback). A closure that captures what it needs
    /// may be run again, so it clones that for each run.
    ///
    /// ```
    /// use windlass::prelude::*;
    ///
    /// #[derive(Clone, Default, Serialize)]
    /// struct Chat { answer: String }
    ///
    /// fn ask(_: &mut Chat, cx: &mut Cx<Chat>, question: String) -> Result {
    ///     cx.long_future("answer", move |job| {
    ///         let question = question.clone();
    ///         async move {
    ///             for word in question.split(' ') {
    ///                 job.emit(word).await?;
    ///             }
    ///             Ok(())
    ///         }
    ///     })
    ///     .on_partial(|state, _cx, word: String| state.answer.push_str(&word))
    ///     .start()?;
    ///     Ok(())
    /// }
    /// # let _ = App::new(Chat::default).action("ask", ask);
    /// ```
    pub fn long_future<T, F>(
        &mut self,
        name: impl Into<String>,
        run: impl Fn(FutureJob) -> F + Send + Sync + 'static,
    ) -> LongCallback<'_, S, T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        LongCallback::new(self, name.into(), Work::future(run))
    }

    /// Asks a job of this session to end.
    ///
    /// ```
    /// use windlass::prelude::*;
    ///
    /// #[derive(Clone, Default, Serialize)]
    /// struct Demo { count: i64 }
    ///
    /// fn restart(_: &mut Demo, cx: &mut Cx<Demo>, (): ()) -> Result {
    ///     let job = cx.long_callback("count", |job| { job.checkpoint()?; Ok(()) }).start()?;
    ///     cx.cancel_job(job); // it is asked to end when this turn is over
    ///     Ok(())
    /// }
    /// # let _ = App::new(Demo::default).action("restart", restart);
    /// ```
    pub fn cancel_job(&mut self, job: JobId) {
        self.turn.cancel(job);
    }

    /// Asks a job to end that a job of this session has started, by its number among that job's children, from 1. One
    /// that is over, or not there, changes nothing. See [`Job::children`].
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # use windlass::JobId;
    /// # #[derive(Clone, Default, Serialize)] struct Sweep { job: Option<JobId> }
    /// let app = App::new(Sweep::default).action("stop_run", |sweep: &mut Sweep, cx: &mut Cx<Sweep>, run: u32| {
    ///     if let Some(job) = sweep.job {
    ///         cx.cancel_child(job, run);
    ///     }
    /// });
    /// # let _ = app;
    /// ```
    pub fn cancel_child(&mut self, job: JobId, number: u32) {
        self.turn.cancel_child(ChildId { job, path: vec![number] });
    }

    /// Asks every job of this session with that name to end.
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # #[derive(Clone, Default, Serialize)]
    /// # struct Demo { count: i64 }
    /// let mut t = App::new(Demo::default)
    ///     .action("start", |_, cx: &mut Cx<Demo>, ()| -> Result {
    ///         cx.long_callback("count", |_job| Ok(())).start()?;
    ///         Ok(())
    ///     })
    ///     .action("stop", |_, cx: &mut Cx<Demo>, ()| cx.cancel("count"))
    ///     .test();
    /// t.send("start", ());
    /// t.send("stop", ());
    /// assert_eq!(t.document()["$jobs"][0]["status"], "cancelled");
    /// ```
    pub fn cancel(&mut self, name: impl Into<String>) {
        self.turn.cancel_named(name);
    }

    /// Changes another session, after this turn is kept.
    ///
    /// The change is dropped when that session is gone or 1,024 changes wait for it.
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # #[derive(Clone, Default, Serialize)]
    /// # struct Demo { count: i64 }
    /// let mut t = App::new(Demo::default)
    ///     .action("self", |_, cx: &mut Cx<Demo>, ()| {
    ///         let session = cx.session();
    ///         cx.update(session, |state, _| state.count += 1);
    ///     })
    ///     .test();
    /// t.send("self", ());
    /// assert_eq!(t.document()["count"], 1);
    /// ```
    pub fn update<O: Outcome>(
        &mut self,
        session: SessionId,
        change: impl FnOnce(&mut S, &mut Cx<S>) -> O + Send + 'static,
    ) {
        let update = Box::new(|state: &mut S, cx: &mut Cx<S>| change(state, cx).into_reply().map(drop));
        self.turn.post(Post { session, update });
    }

    /// A key that is the same when this very action is run again: give it to a payment system, say.
    ///
    /// Each call in one handler gives another one, in the same order.
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # #[derive(Clone, Default, Serialize)] struct Shop { paid: Vec<String> }
    /// fn pay(state: &mut Shop, cx: &mut Cx<Shop>, (): ()) {
    ///     let key = cx.key();
    ///     state.paid.push(key); // and to the payment system, which takes it once
    /// }
    /// let app = App::new(Shop::default).action("pay", pay);
    /// # let _ = app;
    /// ```
    pub fn key(&mut self) -> String {
        self.turn.key()
    }

    /// Whether this action may have been applied before, and a crash of the server has undone it.
    ///
    /// ```
    /// use windlass::prelude::*;
    ///
    /// #[derive(Clone, Default, Serialize)]
    /// struct Demo { count: i64 }
    ///
    /// fn greet(state: &mut Demo, cx: &mut Cx<Demo>, (): ()) {
    ///     state.count += 1;
    ///     if !cx.replayed() {
    ///         println!("{:?} of {:?} says hello for the first time", cx.caller(), cx.identity());
    ///     }
    /// }
    /// let mut t = App::new(Demo::default).action("greet", greet).test();
    /// assert!(t.send("greet", ()).is_applied());
    /// ```
    #[must_use]
    pub fn replayed(&self) -> bool {
        self.turn.replayed()
    }
}

/// What is told to a chosen audience. See [`Cx::to`].
///
/// ```
/// use windlass::prelude::*;
///
/// #[derive(Clone, Default, Serialize)]
/// struct Demo { count: i64 }
///
/// let mut t = App::new(Demo::default).test();
/// t.update(|_, cx| {
///     cx.to(Audience::Session).must().notify(Level::Info, "kept for pages that are away");
///     cx.to(Audience::Session).latest("price").emit("price", &12)?;
///     cx.to(Audience::Session).notify_with(Notify::new(Level::Info, "two left").id("stock").title("Stock"));
///     cx.to(Audience::Session).close_notify("stock");
///     cx.to(Audience::Caller).download("/bill.pdf", Some("bill.pdf"))?;
///     cx.to(Audience::Caller).navigate("/thanks")
/// });
/// let kinds: Vec<_> = t.events().into_iter().map(|event| event.kind).collect();
/// assert!(kinds.contains(&"download".to_owned()) && kinds.contains(&"navigate".to_owned()));
/// ```
#[must_use = "an audience alone hears nothing"]
pub struct To<'c, S: State> {
    cx: &'c mut Cx<S>,
    /// Whatever is usual for what is told, when none was chosen.
    audience: Option<Audience>,
    class: Option<Class>,
}

impl<S: State> To<'_, S> {
    /// It is kept for pages that are away, as long as there is room; else a page that asks for messages hears how many it
    /// has missed.
    pub fn must(mut self) -> Self {
        self.class = Some(Class::Must);
        self
    }

    /// Of everything told with that name the latest is kept for pages that are away.
    pub fn latest(mut self, name: impl Into<String>) -> Self {
        self.class = Some(Class::Keyed(format!("latest {}", name.into())));
        self
    }

    /// As [`Cx::notify`].
    pub fn notify(self, level: Level, text: impl Into<String>) {
        self.notify_with(Notify::new(level, text));
    }

    /// As [`Cx::notify_with`].
    pub fn notify_with(self, notify: Notify) {
        let class = notify.id.as_ref().map_or(Class::Volatile, |id| Class::Keyed(format!("notify {id}")));
        self.event(Audience::Session, class, "notify", &notify);
    }

    /// As [`Cx::close_notify`].
    pub fn close_notify(self, id: impl Into<String>) {
        let id = id.into();
        let class = Class::Keyed(format!("notify {id}"));
        self.event(Audience::Session, class, "close_notify", &serde_json::json!({ "id": id }));
    }

    /// As [`Cx::navigate`].
    ///
    /// # Errors
    ///
    /// A url with a scheme or a host is refused.
    pub fn navigate(self, url: impl Into<String>) -> Result {
        let url = same_origin(url.into())?;
        self.event(Audience::Caller, Class::Must, "navigate", &serde_json::json!({ "url": url }));
        Ok(())
    }

    /// As [`Cx::download`].
    ///
    /// # Errors
    ///
    /// A url with a scheme or a host is refused.
    pub fn download(self, url: impl Into<String>, name: Option<&str>) -> Result {
        let url = same_origin(url.into())?;
        let mut body = serde_json::json!({ "url": url });
        if let Some(name) = name {
            body["name"] = name.into();
        }
        self.event(Audience::Caller, Class::Must, "download", &body);
        Ok(())
    }

    /// As [`Cx::emit`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn emit(self, name: &str, value: &(impl Serialize + ?Sized)) -> Result {
        let services = &self.cx.services;
        let is_declared = services.events.as_ref().is_none_or(|events| events.contains(&name));
        if services.development && !is_declared {
            return Err(Error::internal(format!(
                "the event \"{name}\" is not declared: add `.event::<T>(\"{name}\")`"
            )));
        }
        let value = serde_json::to_value(value)?;
        self.event(Audience::Session, Class::Volatile, "emit", &serde_json::json!({ "name": name, "value": value }));
        Ok(())
    }

    fn event(self, audience: Audience, class: Class, kind: &str, body: &impl Serialize) {
        let body = event_body(kind, body).expect("what an event is made of here serialises");
        self.cx.turn.event(self.audience.unwrap_or(audience), self.class.unwrap_or(class), body);
    }
}

fn same_origin(url: String) -> Result<String> {
    // A backslash is a slash to a browser, and control characters vanish: `/\host` and `/<tab>/host` leave the origin.
    let odd = url.contains(|c: char| c.is_control() || c == '\\');
    let scheme = url.split(['/', '?', '#']).next().is_some_and(|head| head.contains(':'));
    if odd || scheme || url.starts_with("//") {
        return Err(Error::internal(format!("\"{url}\" leaves this origin")));
    }
    Ok(url)
}

/// How much a message matters.
///
/// ```
/// use windlass::Level;
///
/// let level = |left: u32| match left {
///     0 => Level::Error,
///     1..=5 => Level::Warning,
///     6..=50 => Level::Info,
///     _ => Level::Success,
/// };
/// assert_eq!(level(3), Level::Warning);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Good to know.
    Info,
    /// It worked.
    Success,
    /// It worked, but.
    Warning,
    /// It did not work.
    Error,
}

/// A message for a person.
///
/// ```
/// use windlass::prelude::*;
///
/// #[derive(Clone, Default, Serialize)]
/// struct Shop { open: bool }
///
/// let mut t = App::new(Shop::default).test();
/// t.update(|_, cx| {
///     cx.notify_with(Notify::new(Level::Warning, "Closing soon").id("closing").duration(Duration::from_secs(9)));
/// });
/// let told = t.events();
/// assert_eq!(told[0].kind, "notify");
/// assert_eq!(told[0].body["duration_ms"], 9_000);
/// ```
#[derive(Clone, Debug, Serialize)]
pub struct Notify {
    level: Level,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
}

impl Notify {
    /// A message.
    #[must_use]
    pub fn new(level: Level, text: impl Into<String>) -> Self {
        Self { level, text: text.into(), id: None, title: None, duration_ms: None }
    }

    /// A name: a later message with the same one takes its place.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// A line above the text.
    ///
    /// ```
    /// use windlass::{Level, Notify};
    ///
    /// let notice = Notify::new(Level::Success, "Your order is on its way").title("Thank you");
    /// # let _ = notice;
    /// ```
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// How long the page shows it; zero until a person closes it. The page's own default otherwise.
    #[must_use]
    pub fn duration(mut self, duration: std::time::Duration) -> Self {
        self.duration_ms = Some(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_sent_only_within_its_origin() {
        for url in ["/a?x=http://b", "b/c", "?x", "#y", "../z"] {
            assert!(same_origin(url.to_owned()).is_ok(), "{url}");
        }
        for url in ["http://x/", "//x/", "/\\x", "javascript:alert(1)", "/\t/x", "data:text/html,x"] {
            assert!(same_origin(url.to_owned()).is_err(), "{url}");
        }
    }
}
