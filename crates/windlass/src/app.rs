//! The builder: an app is its initial state, its actions, its page.

use std::any::TypeId;
use std::collections::{BTreeMap, HashMap};
use std::future::poll_fn;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::Router;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::net::ToSocketAddrs;
use windlass_engine::Mode;
use windlass_jobs::PoolOptions;

use crate::cell::Patience;
use crate::durable::Kept;
use crate::fields::Field;
use crate::guest::{Authenticate, Login, Per};
use crate::hooks::Hooks;
use crate::hub::{Hub, HubOptions};
use crate::limits::Limits;
use crate::live::Live;
use crate::named::{self, Reviver};
use crate::nested::Nestling;
use crate::page::Page;
use crate::pools::{DEFAULT_POOL, Pools};
use crate::program::{Action, Program, Refusal, Run, State, View, Walks, Whole};
use crate::server::{Server, Signals};
use crate::services::Services;
use crate::test::{Stage, Test};
use crate::types::{AppTypes, Describes, DescribesReply, Untyped};
use crate::{Callback, Cx, Error, Handle, Outcome, Result};

/// An app that is being described.
///
/// ```
/// use windlass::prelude::*;
///
/// #[derive(Clone, Default, Serialize)]
/// struct Counter { count: i64 }
///
/// # #[tokio::main] async fn main() -> Result {
/// let server = App::new(Counter::default)
///     .action("add", |state, _cx, by: i64| state.count += by)
///     .query("is_even", |state, (): ()| Reply(state.count % 2 == 0))
///     .bind("127.0.0.1:0")
///     .await?;
/// assert!(server.addr().port() > 0);
/// # Ok(()) }
/// ```
///
/// ```
/// use windlass::{JobOptions, Limits, PoolOptions, prelude::*};
///
/// #[derive(Clone, Default, Serialize)]
/// struct Demo { rows: Vec<(u64, String)>, log: Vec<String> }
///
/// #[derive(Serialize)]
/// struct Shown { lines: usize }
///
/// struct Short;
///
/// impl View<Demo> for Short {
///     fn view(state: &Demo) -> impl Serialize + '_ { Shown { lines: state.log.len() } }
/// }
///
/// let app = App::new(Demo::default)
///     .view(Short) // what pages see of it
///     .key("rows", "0") // what tells rows apart
///     .action("say", |state, _cx, line: String| state.log.push(line)).in_place()
///     .page(page!("src"))
///     .limits(Limits { actions_per_second: 50, ..Limits::default() })
///     .messages_per_second(100)
///     .bytes_per_second(64 * 1024)
///     .handshakes_max(200)
///     .sessions_max(10_000)
///     .expire_after(Duration::from_secs(3_600))
///     .parked_max(1_000)
///     .parked_bytes_max(64 * 1024 * 1024)
///     .public_url("https://demo.example.org/app")
///     .allowed_origin("https://www.example.org")
///     .require_origin(true)
///     .drain(Duration::from_secs(5))
///     .command_folder("runs")
///     .development(false);
/// let mut t = app.test();
/// t.send("say", "hello");
/// assert_eq!(t.document()["lines"], 1);
/// # let _ = (JobOptions::new(), PoolOptions::default());
/// ```
#[must_use = "an app does nothing before `serve`, `bind` or `build`"]
pub struct App<S: State, V = Whole, M = Untyped> {
    pub(crate) init: Box<dyn Fn() -> S + Send + Sync>,
    pub(crate) actions: Vec<Action<S>>,
    pub(crate) fields: Vec<Field<S>>,
    pub(crate) hooks: Hooks<S>,
    keys: Vec<(&'static str, &'static str)>,
    page: Option<Page>,
    pub(crate) per: Per,
    pub(crate) authenticate: Option<Authenticate>,
    routers: Vec<Router>,
    pub(crate) nestlings: Vec<Nestling>,
    pub(crate) options: HubOptions,
    pub(crate) allowed_hosts: Vec<String>,
    pools: Vec<PoolOptions>,
    pub(crate) callbacks: HashMap<&'static str, TypeId>,
    revivers: HashMap<&'static str, Reviver<S>>,
    pub(crate) kept: Kept<S>,
    #[cfg(unix)]
    pub(crate) commands: Vec<(&'static str, windlass_jobs::Command)>,
    #[cfg(unix)]
    pub(crate) command_folder: Option<std::path::PathBuf>,
    drain: Duration,
    development: bool,
    devtools: Option<bool>,
    blocking_over: Duration,
    pub(crate) problems: Vec<String>,
    pub(crate) types: AppTypes<S>,
    view: PhantomData<fn() -> (V, M)>,
}

impl<S: State> App<S, Whole> {
    /// An app whose sessions begin with what `init` gives, and whose page sees the whole state.
    pub fn new(init: impl Fn() -> S + Send + Sync + 'static) -> Self {
        Self {
            init: Box::new(init),
            actions: Vec::new(),
            fields: Vec::new(),
            hooks: Hooks::default(),
            keys: Vec::new(),
            page: None,
            per: Per::default(),
            authenticate: None,
            routers: Vec::new(),
            nestlings: Vec::new(),
            options: HubOptions {
                message_bytes_max: windlass_protocol::limits::MESSAGE_BYTES_MAX,
                echoes: false,
                limits: Limits::default(),
                trusted: Vec::new(),
                require_origin: false,
                login: Login::default(),
                sessions_max: 100_000,
                state_bytes_max: windlass_engine::STATE_BYTES_MAX,
                allowed_origins: Vec::new(),
                patience: Patience {
                    unused_after: Duration::from_secs(30),
                    park_after: Duration::MAX,
                    expire_after: Duration::MAX,
                },
                stage: None,
            },
            allowed_hosts: Vec::new(),
            pools: vec![PoolOptions { name: DEFAULT_POOL.to_owned(), ..PoolOptions::default() }],
            callbacks: HashMap::new(),
            revivers: HashMap::new(),
            kept: Kept::default(),
            #[cfg(unix)]
            commands: Vec::new(),
            #[cfg(unix)]
            command_folder: None,
            drain: Duration::from_secs(6),
            development: cfg!(debug_assertions),
            devtools: None,
            blocking_over: Duration::from_millis(50),
            problems: Vec::new(),
            types: AppTypes::default(),
            view: PhantomData,
        }
    }

    /// Shows the page something else than the whole state. See [`View`].
    pub fn view<V: View<S>>(self, _view: V) -> App<S, V> {
        self.become_another()
    }
}

impl<S: State, V, M> App<S, V, M> {
    /// The same app, with another view or another word on its types.
    pub(crate) fn become_another<W, N>(self) -> App<S, W, N> {
        App {
            init: self.init,
            actions: self.actions,
            fields: self.fields,
            hooks: self.hooks,
            keys: self.keys,
            page: self.page,
            per: self.per,
            authenticate: self.authenticate,
            routers: self.routers,
            nestlings: self.nestlings,
            options: self.options,
            allowed_hosts: self.allowed_hosts,
            pools: self.pools,
            callbacks: self.callbacks,
            revivers: self.revivers,
            kept: self.kept,
            #[cfg(unix)]
            commands: self.commands,
            #[cfg(unix)]
            command_folder: self.command_folder,
            drain: self.drain,
            development: self.development,
            devtools: self.devtools,
            blocking_over: self.blocking_over,
            problems: self.problems,
            types: self.types,
            view: PhantomData,
        }
    }
}

impl<S: State, V: View<S>, M> App<S, V, M> {
    /// Registers an action: what a page may ask for by that name, with a payload of that type.
    ///
    /// The handler changes the state; when it returns an error or panics, nothing has changed.
    /// A handler without a payload takes `()`.
    pub fn action<P: DeserializeOwned, O: Outcome>(
        self,
        name: &'static str,
        f: impl Fn(&mut S, &mut Cx<S>, P) -> O + Send + Sync + 'static,
    ) -> Self
    where
        M: Describes<P> + DescribesReply<O>,
    {
        self.register::<P, O>(
            name,
            Mode::Atomic,
            Run::Handler(Box::new(move |state, cx, payload| {
                let payload = serde_json::from_str(payload).map_err(Refusal::Payload)?;
                f(state, cx, payload).into_reply().map_err(Refusal::Error)
            })),
        )
    }

    /// Registers an action that only reads: no copy of the state is taken and nothing is walked afterwards.
    pub fn query<P: DeserializeOwned, O: Outcome>(
        self,
        name: &'static str,
        f: impl Fn(&S, P) -> O + Send + Sync + 'static,
    ) -> Self
    where
        M: Describes<P> + DescribesReply<O>,
    {
        self.register::<P, O>(
            name,
            Mode::Query,
            Run::Query(Box::new(move |state, payload| {
                let payload = serde_json::from_str(payload).map_err(Refusal::Payload)?;
                f(state, payload).into_reply().map_err(Refusal::Error)
            })),
        )
    }

    /// Registers an asynchronous action: it is answered when its future ends, and holds up nothing meanwhile.
    ///
    /// The future is no turn, so it has a [`Handle`] instead of the state; what it wants changed it asks for
    /// by [`Handle::update`](crate::Handle::update). At most 8 run for a page, one more is refused as `queue_full`. It
    /// goes on while the page is away, and is dropped with its session.
    ///
    /// ```
    /// use windlass::prelude::*;
    ///
    /// #[derive(Clone, Default, Serialize)]
    /// struct Weather { asked: u64 }
    ///
    /// let app = App::new(Weather::default).async_action("forecast", |handle, town: String| async move {
    ///     handle.update(|state, _cx| state.asked += 1)?;
    ///     tokio::time::sleep(Duration::from_millis(1)).await; // ask somebody who knows
    ///     Ok::<_, Error>(Reply(format!("rain in {town}")))
    /// });
    /// # let _ = app;
    /// ```
    pub fn async_action<P, O, F>(
        self,
        name: &'static str,
        f: impl Fn(Handle<S>, P) -> F + Send + Sync + 'static,
    ) -> Self
    where
        P: DeserializeOwned + Send + 'static,
        O: Outcome,
        F: Future<Output = O> + Send + 'static,
        M: Describes<P> + DescribesReply<O>,
    {
        let f = Arc::new(f);
        self.register::<P, O>(
            name,
            Mode::Async,
            Run::Async(Box::new(move |payload| {
                let payload: P = serde_json::from_str(payload).map_err(Refusal::Payload)?;
                let f = Arc::clone(&f);
                Ok(Box::new(move |handle, development| {
                    // What blocks in a poll blocks as an action does, and counts as this one.
                    let paced = handle.clone();
                    let mut running = Box::pin(async move { f(handle, payload).await.into_reply() });
                    let running = poll_fn(move |cx| paced.paced(name, || running.as_mut().poll(cx)));
                    Box::pin(async move { running.await.map_err(|error| error.into_fault(name, development)) })
                }))
            })),
        )
    }

    fn register<P, O: Outcome>(mut self, name: &'static str, mode: Mode, run: Run<S>) -> Self
    where
        M: Describes<P> + DescribesReply<O>,
    {
        if name.is_empty() || name.starts_with('$') || name.len() > windlass_protocol::limits::NAME_BYTES_MAX {
            self.problems.push(format!("\"{name}\" cannot be an action: 1 to 128 bytes, no $ at the start"));
        }
        if self.actions.iter().any(|action| action.name == name) {
            self.problems.push(format!("the action \"{name}\" is registered twice"));
        }
        let (payload, reply) = (M::described(), M::described_reply());
        self.actions.push(Action { payload, reply, ..Action::new(name, mode, run) });
        self
    }

    /// Registers an action of the protocol's own.
    pub(crate) fn built_in(mut self, name: &'static str, run: Run<S>) -> Self {
        self.actions.retain(|action| action.name != name);
        self.actions.push(Action::new(name, Mode::Atomic, run));
        self
    }

    /// The action registered last is refused as `stale` when its page had not yet seen all that it was told: for a
    /// "delete the selected row" that must not hit another row.
    ///
    /// A page that was told something a moment before it asked is refused as well, also when that did not matter; and so is
    /// an action that is sent again after the server has lost what the page saw.
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # #[derive(Clone, Default, Serialize)] struct Rows { rows: Vec<u64>, selected: usize }
    /// let app = App::new(Rows::default)
    ///     .action("delete", |state: &mut Rows, _cx, ()| { state.rows.remove(state.selected); })
    ///     .only_if_seen();
    /// # let _ = app;
    /// ```
    pub fn only_if_seen(mut self) -> Self {
        if let Some(action) = self.last_action("only_if_seen") {
            action.only_if_seen = true;
        }
        self
    }

    /// The payload of the action registered last is secret: it is in no log and no outcome, and pages keep it from
    /// their storage, so that after a reload it is not sent again.
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # #[derive(Clone, Default, Serialize)] struct Login { tries: u64 }
    /// let app = App::new(Login::default)
    ///     .action("login", |state: &mut Login, _cx, password: String| state.tries += 1)
    ///     .secret();
    /// # let _ = app;
    /// ```
    pub fn secret(mut self) -> Self {
        if let Some(action) = self.last_action("secret") {
            action.secret = true;
        }
        self
    }

    pub(crate) fn last_action(&mut self, modifier: &str) -> Option<&mut Action<S>> {
        if self.actions.last().is_none_or(|action| action.name.starts_with('$')) {
            self.problems.push(format!("`{modifier}` comes after the action it is about"));
            return None;
        }
        self.actions.last_mut()
    }

    /// The action registered last runs without a copy to go back to: what it has changed stays when it fails.
    ///
    /// For actions on large plain lists that cannot fail half-way.
    pub fn in_place(mut self) -> Self {
        match self.actions.last_mut() {
            Some(action) if action.mode == Mode::Atomic => action.mode = Mode::InPlace,
            _ => self.problems.push("`in_place` comes after the action it is about".to_owned()),
        }
        self
    }

    /// Tells rows of a list apart by a field of theirs: `key("todos", "id")`. The path is dotted.
    ///
    /// Without it, rows are told apart by a first field named `id` or `key`.
    pub fn key(mut self, list: &'static str, field: &'static str) -> Self {
        self.keys.push((list, field));
        self
    }

    /// The folder of the page, from [`page!`](crate::page!).
    pub fn page(mut self, page: Page) -> Self {
        self.page = Some(page);
        self
    }

    /// More routes, beside the page. Another app is put beneath this one by [`App::nest`].
    ///
    /// # Panics
    ///
    /// [`App::build`] does, when one of them is `/healthz` or begins with `/windlass/`: those are taken.
    pub fn router(mut self, router: Router) -> Self {
        self.routers.push(router);
        self
    }

    /// An origin whose pages may connect besides the server's own, as `https://app.example`.
    pub fn allowed_origin(mut self, origin: impl Into<String>) -> Self {
        self.options.allowed_origins.push(origin.into());
        self
    }

    /// The address that people see, when a proxy is in front: `https://app.example`. Its pages may connect, and its host is
    /// answered to, as [`App::allowed_origin`] and [`App::allowed_host`] would have it.
    ///
    /// # Errors
    ///
    /// [`App::build`] gives them: what is no address with `http://` or `https://`.
    pub fn public_url(mut self, url: impl AsRef<str>) -> Self {
        let url = url.as_ref();
        let parts = url.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"));
        let authority = parts.map(|(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default());
        match (parts, authority) {
            (Some((scheme, _)), Some(authority)) if !authority.is_empty() && !authority.contains(['@', ' ']) => {
                self.options.allowed_origins.push(format!("{scheme}://{authority}"));
                self.allowed_hosts.push(authority.to_owned());
            }
            _ => self.problems.push(format!("`public_url` \"{url}\": write https://app.example")),
        }
        self
    }

    /// Whether only pages may connect: requests for a socket, and those that may change something, that come without an
    /// Origin are refused then. By default programs may connect too.
    pub fn require_origin(mut self, require: bool) -> Self {
        self.options.require_origin = require;
        self
    }

    /// A host name that a server on loopback, or an app in a router of yours, answers to besides the loopback ones.
    pub fn allowed_host(mut self, host: impl Into<String>) -> Self {
        self.allowed_hosts.push(host.into());
        self
    }

    #[cfg(test)]
    pub(crate) fn drain_time(&self) -> Duration {
        self.drain
    }

    /// How many long callbacks run at the same time; one for each core by default.
    pub fn threads(mut self, threads: usize) -> Self {
        if threads == 0 {
            self.problems.push("`threads` is at least 1".to_owned());
        }
        self.pools[0].threads = threads.max(1);
        self
    }

    /// Another pool for long callbacks, which name it with [`LongCallback::pool`](crate::LongCallback::pool); the
    /// name in `options` is replaced by this one.
    ///
    /// `"jobs"` is the pool of those that name none, and can be described here too.
    ///
    /// ```
    /// use windlass::prelude::*;
    /// use windlass::PoolOptions;
    ///
    /// #[derive(Clone, Default, Serialize)]
    /// struct Demo { count: i64 }
    ///
    /// let app = App::new(Demo::default)
    ///     .pool("heavy", PoolOptions { threads: 2, queue_max: 10, owner_running_max: 1, ..PoolOptions::default() });
    /// # let _ = app;
    /// ```
    pub fn pool(mut self, name: impl Into<String>, options: PoolOptions) -> Self {
        let options = PoolOptions { name: name.into(), ..options };
        if options.name.is_empty() || options.threads == 0 || options.futures_max == 0 {
            self.problems.push(format!("the pool \"{}\" needs a name, a thread and room for a future", options.name));
        }
        if options.name == DEFAULT_POOL {
            self.pools[0] = options;
        } else if self.pools.iter().any(|known| known.name == options.name) {
            self.problems.push(format!("the pool \"{}\" is described twice", options.name));
        } else {
            self.pools.push(options);
        }
        self
    }

    /// Registers a named callback, which [`Cx::start`] starts. See [`Callback`].
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # #[derive(Clone, Default, Serialize)] struct Demo { count: i64 }
    /// #[derive(Serialize, Deserialize)]
    /// struct Count { to: u64 }
    ///
    /// impl Callback<Demo> for Count {
    ///     const NAME: &'static str = "count";
    ///     type Output = u64;
    ///
    ///     fn run(&self, _: &Job) -> Result<u64> { Ok(self.to) }
    /// }
    /// let app = App::new(Demo::default).callback::<Count>();
    /// # let _ = app;
    /// ```
    pub fn callback<C: Callback<S>>(mut self) -> Self {
        if C::NAME.is_empty() || C::NAME.len() > windlass_protocol::limits::NAME_BYTES_MAX {
            self.problems.push(format!("\"{}\" cannot be a callback: 1 to 128 bytes", C::NAME));
        }
        if self.callbacks.insert(C::NAME, TypeId::of::<C>()).is_some() {
            self.problems.push(format!("the callback \"{}\" is registered twice", C::NAME));
        }
        self.revivers.insert(C::NAME, named::revive::<S, C>);
        self
    }

    /// Sends every text back and has no sessions, so that a conformance suite for WebSockets can judge how connections
    /// are accepted, read, written and closed. Messages may have 32 MiB. See `examples/autobahn_echo`.
    #[doc(hidden)]
    pub fn echo(mut self) -> Self {
        self.options.echoes = true;
        self.options.message_bytes_max = 32 * 1024 * 1024;
        self.options.limits.messages_per_second = u32::MAX;
        self.options.limits.bytes_per_second = u32::MAX;
        self
    }

    /// How many messages a connection may send a second, 1,000 by default, with a second's worth in reserve.
    ///
    /// Beyond it the socket is not read, and nothing is lost; a connection that sends more for 10 seconds without a pause is
    /// closed with `busy` and may come back after 5.
    pub fn messages_per_second(mut self, messages: u32) -> Self {
        if messages == 0 {
            self.problems.push("`messages_per_second` is at least 1".to_owned());
        }
        self.options.limits.messages_per_second = messages.max(1);
        self
    }

    /// How many bytes a connection may send a second, 1,048,576 by default; otherwise as [`App::messages_per_second`].
    pub fn bytes_per_second(mut self, bytes: u32) -> Self {
        if bytes == 0 {
            self.problems.push("`bytes_per_second` is at least 1".to_owned());
        }
        self.options.limits.bytes_per_second = bytes.max(1);
        self
    }

    /// How many connections may be open whose first request has not come whole, 1,024 by default and at least 1.
    ///
    /// For one more the one that has waited longest is cut; after 10 seconds it is anyway. Sockets that are open are not
    /// counted.
    pub fn handshakes_max(mut self, connections: usize) -> Self {
        self.options.limits.handshakes_max = connections.max(1);
        self
    }

    /// How long jobs get to end when the server goes down, 6 seconds by default.
    pub fn drain(mut self, drain: Duration) -> Self {
        self.drain = drain;
        self
    }

    /// How long an action, or one poll of an asynchronous one, may take, 50 ms by default; one that took longer has
    /// blocked.
    ///
    /// A handler runs on a thread that also serves other sessions. One that blocks is warned of by its name, counted in
    /// [`Live::blocked`], and from then on run where it holds up its own session only (on a runtime of several threads).
    /// Heavy work belongs in [`Cx::long_callback`], waiting for others in [`App::async_action`].
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # #[derive(Clone, Default, Serialize)] struct Shop { open: bool }
    /// let app = App::new(Shop::default).blocking_over(Duration::from_millis(10));
    /// # let _ = app;
    /// ```
    pub fn blocking_over(mut self, limit: Duration) -> Self {
        self.blocking_over = limit;
        self
    }

    /// Whether pages see the text of internal errors, and have devtools; by default in a debug build.
    pub fn development(mut self, development: bool) -> Self {
        self.development = development;
        self
    }

    /// Whether a page can open devtools, by `?windlass=devtools` in its address or Alt+Shift+W; by default in
    /// [`development`](Self::development).
    ///
    /// Without them their file is not served. They show a person what their own page was sent and nothing more, so this
    /// keeps a panel from surprising people, and no secret.
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # #[derive(Clone, Default, Serialize)] struct Shop { open: bool }
    /// let app = App::new(Shop::default).devtools(std::env::var_os("SHOP_DEVTOOLS").is_some());
    /// # let _ = app;
    /// ```
    pub fn devtools(mut self, devtools: bool) -> Self {
        self.devtools = Some(devtools);
        self
    }

    /// The running app, for a router of your own.
    ///
    /// # Errors
    ///
    /// What was described wrongly, all of it in one text; a state that is no object.
    ///
    /// # Panics
    ///
    /// Only where `init` or the view does.
    ///
    /// ```
    /// use windlass::prelude::*;
    ///
    /// #[derive(Clone, Default, Serialize)]
    /// struct Counter { count: i64 }
    ///
    /// # #[tokio::main] async fn main() -> Result {
    /// let live = App::new(Counter::default).allowed_host("shop.example").build()?;
    /// let shop = axum::Router::new().nest("/app", live.router());
    /// # let _: axum::Router = shop;
    /// # Ok(()) }
    /// ```
    pub fn build(mut self) -> Result<Live<S>> {
        let hosts = std::mem::take(&mut self.allowed_hosts);
        Ok(self.assemble()?.answering_to(hosts))
    }

    /// The app, which answers to whatever name it is called by.
    pub(crate) fn assemble(mut self) -> Result<Live<S>> {
        let walks = Walks::of::<V>(PhantomData);
        match walks.value(&(self.init)()) {
            Ok(serde_json::Value::Object(root)) => {
                let reserved = root.keys().find(|key| key.starts_with('$'));
                if let Some(key) = reserved {
                    self.problems.push(format!("the state's key \"{key}\": keys that start with $ are reserved"));
                }
                self.problems.extend(self.fields.iter().filter_map(|field| field.misplaced(&root)));
            }
            Ok(_) => self.problems.push("the state must serialise to an object, as a struct does".to_owned()),
            Err(error) => self.problems.push(format!("the initial state does not serialise: {error}")),
        }
        if let Some(page) = &self.page
            && let Err(error) = page.check(self.kept.folder())
        {
            self.problems.push(error.text);
        }
        if self.per == Per::User && self.authenticate.is_none() {
            self.problems.push("`session_per(Per::User)` needs `authenticate`, to know who it is".to_owned());
        }
        if self.options.stage.is_none() {
            self.write_types(&walks)?;
        }
        let patience = &mut self.options.patience;
        self.kept.settle(patience, &mut self.problems);
        #[cfg(unix)]
        let commands = self.ready_commands();
        if !self.problems.is_empty() {
            return Err(Error::internal(self.problems.join("; ")));
        }
        let names: HashMap<_, _> =
            self.actions.iter().enumerate().map(|(index, action)| (action.name, index)).collect();
        let runtime = tokio::runtime::Handle::try_current()
            .map_err(|_| Error::internal("an app is built inside a tokio runtime: call it from an async function"))?;
        let services = Services {
            pools: Pools::new(self.pools, &runtime, self.options.stage.as_ref()),
            callbacks: self.callbacks,
            #[cfg(unix)]
            commands,
            development: self.development,
            events: self.types.events(),
            keeps_jobs: self.kept.is_durable(),
        };
        let (codec, stored) = self.kept.open(self.options.stage.is_some(), self.options.patience.expire_after)?;
        let program = Program {
            codec,
            revivers: self.revivers,
            counters: Arc::default(),
            declared: declared(&self.actions),
            services: Arc::new(services),
            actions: self.actions,
            fields: self.fields,
            hooks: self.hooks,
            names,
            walks,
            development: self.development,
            blocking_over: self.blocking_over,
            warned_of_copy: AtomicBool::new(false),
            warned_of_number: AtomicBool::new(false),
        };
        let hub = Hub::new(program, self.options, self.init, self.keys, (self.per, self.authenticate), stored)?;
        let nested = self.nestlings.into_iter().map(|build| build()).collect::<Result<_>>()?;
        let devtools = self.devtools.unwrap_or(self.development);
        Ok(Live::new(hub, self.page, self.routers, nested, devtools))
    }

    /// The app in a test: a page of it, without sockets and with a time of its own. See [`Test`].
    ///
    /// # Panics
    ///
    /// Where [`App::build`] gives an error.
    #[must_use]
    pub fn test(mut self) -> Test<S> {
        let stage = Arc::new(Stage::new());
        self.options.stage = Some(Arc::clone(&stage));
        Test::new(stage, || self.assemble())
    }

    /// Listens, without accepting yet. Port 0 takes any free one.
    ///
    /// # Errors
    ///
    /// As [`App::build`]; an address that cannot be listened on.
    pub async fn bind(mut self, addr: impl ToSocketAddrs + std::fmt::Display) -> Result<Server<S>> {
        let (hosts, drain) = (std::mem::take(&mut self.allowed_hosts), self.drain);
        let live = self.assemble()?;
        let router = live.router();
        Server::bind(addr, live, router, hosts, drain).await
    }

    /// Listens, prints `listening on http://…`, and serves until SIGTERM or SIGINT.
    ///
    /// # Errors
    ///
    /// As [`App::bind`].
    ///
    /// ```no_run
    /// # use windlass::prelude::*;
    /// # #[derive(Clone, Default, Serialize)] struct Demo { count: i64 }
    /// #[tokio::main]
    /// async fn main() -> Result {
    ///     App::new(Demo::default).serve("127.0.0.1:8080").await
    /// }
    /// ```
    pub async fn serve(self, addr: impl ToSocketAddrs + std::fmt::Display) -> Result {
        let server = self.bind(addr).await?;
        // Before the line: whoever reads it may end the server at once.
        let signals = Signals::new()?;
        println!("listening on http://{}", server.addr());
        server.run_with(signals).await
    }
}

/// What a page has to know of some actions: that the protocol's own are there, and what the app's own ask for.
fn declared<S: State>(actions: &[Action<S>]) -> Option<Box<RawValue>> {
    #[derive(Serialize)]
    struct Asks {
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        only_if_seen: bool,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        secret: bool,
    }
    let asks: BTreeMap<&str, Asks> = actions
        .iter()
        .filter(|action| action.only_if_seen || action.secret || action.name.starts_with('$'))
        .map(|action| (action.name, Asks { only_if_seen: action.only_if_seen, secret: action.secret }))
        .collect();
    (!asks.is_empty()).then(|| serde_json::value::to_raw_value(&asks).expect("names and flags serialise"))
}
