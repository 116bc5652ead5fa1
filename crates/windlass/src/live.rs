//! A running app, as the rest of the program sees it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::IntoResponse as _;
use axum::routing::{any, get};
use http::header::{CONTENT_TYPE, SET_COOKIE};
use http::{Method, StatusCode};
use windlass_protocol::SessionId;
use windlass_store::{Usage, WriterStats};

use crate::guest::Per;
use crate::hub::Hub;
use crate::nested::{Mount, Nested};
use crate::page::{self, Page};
use crate::program::{State, Update};
use crate::server::hosts_checked;
use crate::{Account, Blocked, Cx, Error, Outcome, Refusals, Result, Stats, hub, lock, upgrade};

/// A running app: cheap to clone, and alive as long as its sessions are wanted.
///
/// ```
/// use windlass::prelude::*;
///
/// #[derive(Clone, Default, Serialize)]
/// struct Demo { count: i64 }
///
/// # async fn run() -> Result {
/// let live = App::new(Demo::default).build()?;
/// let site: axum::Router = axum::Router::new().nest("/app", live.router());
/// # let _ = site;
/// for (pool, stats) in live.pools() {
///     println!("{pool}: {} run, {} wait", stats.running, stats.queued);
/// }
/// # let id: windlass::SessionId = "0f1e2d3c4b5a69788796a5b4".parse().unwrap();
/// live.handle(id).update(|state, _cx| state.count += 1)?;
/// assert_eq!(live.logout("account 17"), 0, "it had no page");
/// live.drain(Duration::from_secs(5)).await
/// # }
/// ```
pub struct Live<S: State> {
    pub(crate) hub: Arc<Hub<S>>,
    router: Router,
    /// The apps that [`App::nest`](crate::App::nest) has put beneath this one.
    nested: Arc<[Nested]>,
}

impl<S: State> Clone for Live<S> {
    fn clone(&self) -> Self {
        Self { hub: Arc::clone(&self.hub), router: self.router.clone(), nested: Arc::clone(&self.nested) }
    }
}

impl<S: State> Live<S> {
    pub(crate) fn new(
        hub: Arc<Hub<S>>,
        page: Option<Page>,
        more: Vec<Router>,
        nested: Vec<Nested>,
        devtools: bool,
    ) -> Self {
        let sockets = Arc::clone(&hub);
        let health = Arc::clone(&hub);
        let mut router = Router::new()
            .route("/windlass/socket", any(move |request: Request| async move { upgrade::upgrade(&sockets, request) }))
            .route(
                "/windlass/{file}",
                get(
                    move |method: Method,
                          axum::extract::Path(file): axum::extract::Path<String>,
                          headers: http::HeaderMap| async move {
                        page::client(&file, devtools, &method, &headers)
                    },
                ),
            )
            .route(
                "/healthz",
                get(move || async move {
                    if health.draining.is_cancelled() {
                        (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response()
                    } else {
                        (StatusCode::OK, "ok\n").into_response()
                    }
                }),
            );
        for routes in more {
            router = router.merge(routes);
        }
        for app in &nested {
            // As a service: a nested router that is merged into another loses its fallback, which is the page.
            router = router.nest_service(app.path, app.router.clone());
        }
        if let Some(page) = page {
            let doors = Arc::clone(&hub);
            router = router.fallback(move |request: Request| async move {
                let mount = Mount::of(&request);
                if let Some(redirect) = mount.redirect(request.uri().query()) {
                    return redirect;
                }
                let mut response = page.respond(request.method(), request.uri(), request.headers());
                // With the page, so that two tabs that are opened at once come with the same one.
                if doors.doors.per == Per::Browser
                    && response
                        .headers()
                        .get(CONTENT_TYPE)
                        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
                    && doors.doors.cookies.known(request.headers()).is_none()
                {
                    let (cookie, _) = doors.doors.cookies.make(
                        request.headers(),
                        &mount.cookie_path(),
                        &doors.options.allowed_origins,
                    );
                    response.headers_mut().insert(SET_COOKIE, cookie);
                }
                response
            });
        }
        let router = origins_checked(router, &hub);
        Self { hub, router, nested: nested.into() }
    }

    /// How often each limit was reached since the app was built.
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # #[derive(Clone, Default, Serialize)] struct Shop { open: bool }
    /// # #[tokio::main] async fn main() -> Result {
    /// let live = App::new(Shop::default).build()?;
    /// assert_eq!(live.refusals(), windlass::Refusals::default());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn refusals(&self) -> Refusals {
        self.hub.counters.read()
    }

    /// The same, answering to loopback names and to those.
    pub(crate) fn answering_to(self, hosts: Vec<String>) -> Self {
        let router = hosts_checked(self.router.clone(), hosts, &self);
        Self { router, ..self }
    }

    /// Everything that the app serves, to be nested in a router of yours.
    ///
    /// The client finds the socket beside its own file, so that nesting needs no setting. Origin and `Host` are checked
    /// here: names that are not loopback's need [`App::allowed_host`](crate::App::allowed_host). Limits on connections
    /// are your listener's. `examples/nest` is such a router.
    ///
    /// Beneath another app, [`App::nest`](crate::App::nest) does all of it. A router that nests this one and is then
    /// merged into a third needs `nest_service`, since axum's `merge` drops the fallback of a nested router, which
    /// serves the page.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// A handle on one session, by its public id.
    #[must_use]
    pub fn handle(&self, session: SessionId) -> Handle<S> {
        Handle::new(Arc::clone(&self.hub), session)
    }

    /// Changes every session that is loaded. How many were reached; one whose inbox is full is left out.
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # #[derive(Clone, Default, Serialize)] struct Shop { open: bool }
    /// # #[tokio::main] async fn main() -> Result {
    /// let live = App::new(Shop::default).build()?;
    /// assert_eq!(live.broadcast(|state, _cx| state.open = true), 0, "nobody is there");
    /// # Ok(()) }
    /// ```
    pub fn broadcast<O: Outcome>(&self, change: impl Fn(&mut S, &mut Cx<S>) -> O + Send + Sync + 'static) -> usize {
        self.broadcast_to(|_| true, change)
    }

    /// Changes those sessions that are loaded and that `chosen` takes, by their ids. Otherwise as [`Live::broadcast`].
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # #[derive(Clone, Default, Serialize)] struct Room { news: String }
    /// # #[tokio::main] async fn main() -> Result {
    /// # let live = App::new(Room::default).build()?;
    /// let members: std::collections::HashSet<windlass::SessionId> = Default::default();
    /// live.broadcast_to(|session| members.contains(&session), |state, _cx| state.news = "Tea!".into());
    /// # Ok(()) }
    /// ```
    pub fn broadcast_to<O: Outcome>(
        &self,
        chosen: impl Fn(SessionId) -> bool,
        change: impl Fn(&mut S, &mut Cx<S>) -> O + Send + Sync + 'static,
    ) -> usize {
        let change = Arc::new(change);
        let sessions = self.hub.all();
        sessions
            .iter()
            .filter(|cell| chosen(cell.id))
            .filter(|cell| {
                let change = Arc::clone(&change);
                cell.update(Box::new(move |state, cx| change(state, cx).into_reply().map(drop))).is_ok()
            })
            .count()
    }

    /// Ends every connection of somebody who has logged out, with `login`. How many sessions were theirs.
    ///
    /// Their sessions stay, and open only to whoever [`App::authenticate`](crate::App::authenticate) knows as them.
    pub fn logout(&self, subject: &str) -> usize {
        self.hub.all().iter().filter(|cell| cell.logout(subject)).count()
    }

    /// How many sessions are in memory. [`Live::totals`] counts the others too.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.hub.sessions()
    }

    /// What sessions take up, and what of them is stored.
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # #[derive(Clone, Default, Serialize)] struct Shop { open: bool }
    /// # #[tokio::main] async fn main() -> Result {
    /// let live = App::new(Shop::default).build()?;
    /// let totals = live.totals();
    /// println!("{} here, {} parked, store {:?}", totals.sessions, totals.parked, totals.store);
    /// # assert_eq!((totals.sessions, totals.parked), (0, 0));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn totals(&self) -> Totals {
        let (parked, parked_bytes, evicted) = self.hub.keeper.parked();
        let store = self.hub.keeper.stats();
        let usage = self.hub.keeper.usage();
        Totals { sessions: self.hub.sessions(), parked, parked_bytes, evicted, usage, store }
    }

    /// What one session holds in memory, in bytes; none when it is not in memory. Waits for the turn that is under way.
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # #[derive(Clone, Default, Serialize)] struct Shop { open: bool }
    /// # #[tokio::main] async fn main() -> Result {
    /// # let live = App::new(Shop::default).build()?;
    /// # let session = windlass::SessionId([0; 12]);
    /// if let Some(account) = live.account(session) {
    ///     println!("{} bytes, {} of them of the view", account.total(), account.shadow);
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn account(&self, session: SessionId) -> Option<Account> {
        Some(self.hub.find(session)?.account())
    }

    /// What each pool of long callbacks is busy with, by its name; stuck jobs among it.
    #[must_use]
    pub fn pools(&self) -> Vec<(String, Stats)> {
        self.hub.program.services.pools.stats()
    }

    /// The actions that have blocked, by what [`App::blocking_over`](crate::App::blocking_over) says; none is as it should
    /// be.
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # #[derive(Clone, Default, Serialize)] struct Shop { open: bool }
    /// # #[tokio::main] async fn main() -> Result {
    /// let live = App::new(Shop::default).build()?;
    /// for blocked in live.blocked() {
    ///     println!("{} blocked {} times, {:?} at most", blocked.action, blocked.times, blocked.longest);
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn blocked(&self) -> Vec<Blocked> {
        self.hub.program.actions.iter().filter_map(|action| action.pace.told(action.name)).collect()
    }

    /// Ends gracefully: no new sessions or jobs, jobs asked to end and awaited, sessions saved, clients told when to come
    /// back.
    ///
    /// Takes at most `deadline` and two seconds, the most of it where jobs do not end. Apps that were nested beneath this
    /// one end with it.
    ///
    /// # Errors
    ///
    /// When sessions could not be saved, with [`App::data_dir`](crate::App::data_dir): what they lack, pages send again.
    pub async fn drain(&self, deadline: Duration) -> Result {
        let nested = futures_util::future::join_all(self.nested.iter().map(|app| (app.drain)(deadline)));
        let (own, nested) = tokio::join!(self.drain_alone(deadline), nested);
        nested.into_iter().fold(own, Result::and)
    }

    async fn drain_alone(&self, deadline: Duration) -> Result {
        let began = Instant::now();
        self.hub.draining.cancel();
        self.hub.all().iter().for_each(|cell| cell.drain(hub::RETURN_AFTER));
        let hub = Arc::clone(&self.hub);
        // Waits for threads, so it waits on one.
        let jobs = tokio::task::spawn_blocking(move || hub.program.services.pools.shutdown(deadline));
        self.hub.deferred.close();
        // What is not settled by then is dropped with its session.
        let _ = tokio::time::timeout(deadline, self.hub.deferred.wait()).await;
        match jobs.await {
            Ok(0) | Err(_) => {}
            Ok(lost) => tracing::warn!(lost, "jobs did not end in time"),
        }
        self.hub.closing.cancel();
        // The last turns: what the jobs reported reaches the pages before the close does. Listed once more, for pages
        // that were on their way in; who comes even later finds `closing`.
        for cell in self.hub.all() {
            cell.freeze(hub::RETURN_AFTER);
            cell.run_if_free(None);
        }
        // What jobs have left of their time is the disk's.
        let within = (deadline + SAVED_WITHIN).saturating_sub(began.elapsed()).max(SAVED_WITHIN);
        let hub = Arc::clone(&self.hub);
        let saved = tokio::task::spawn_blocking(move || hub.keeper.flush(within)).await;
        // What was saved is told with the last frame.
        for cell in self.hub.all() {
            cell.run_if_free(None);
            cell.close(hub::draining);
        }
        self.hub.tasks.close();
        let _ = tokio::time::timeout(Duration::from_secs(1), self.hub.tasks.wait()).await;
        let hub = Arc::clone(&self.hub);
        let closed = tokio::task::spawn_blocking(move || hub.keeper.close(SAVED_WITHIN)).await;
        for ended in [saved, closed] {
            ended.map_err(|_| Error::internal("the store panicked"))?.map_err(|unsaved| {
                tracing::error!(%unsaved, "not everything was saved");
                Error::internal(unsaved.to_string())
            })?;
        }
        Ok(())
    }
}

/// How many sessions there are, and what they take up. Given by [`Live::totals`].
///
/// ```
/// use windlass::prelude::*;
///
/// #[derive(Clone, Default, Serialize)]
/// struct Demo { count: i64 }
///
/// # #[tokio::main] async fn main() -> Result {
/// let live = App::new(Demo::default).build()?;
/// let totals = live.totals();
/// assert_eq!((totals.sessions, totals.parked, totals.evicted), (0, 0, 0));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// Sessions in memory.
    pub sessions: usize,
    /// Sessions that this process has parked and that have not come back.
    pub parked: usize,
    /// The bytes of their records.
    pub parked_bytes: usize,
    /// Sessions that were parked and had to go, since there was no room for more.
    pub evicted: u64,
    /// All records that there are, with those of sessions in memory and of earlier processes, and what they take up.
    pub usage: Usage,
    /// What the thread that writes has done, its failures among it; none without [`App::data_dir`](crate::App::data_dir).
    pub store: Option<WriterStats>,
}

/// Saving gets a second at least, also when jobs have used their time up.
const SAVED_WITHIN: Duration = Duration::from_secs(1);

/// A change of a session that was handed over. Given by [`Handle::update`]; it is made whether or not this is kept.
pub struct Updating {
    outcome: tokio::sync::oneshot::Receiver<Result>,
    /// Has the session's record saved at once.
    hurry: Box<dyn FnOnce() + Send>,
}

impl std::fmt::Debug for Updating {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Updating")
    }
}

impl Updating {
    /// Waits until the change is on disk, for a webhook that is answered only then. Without
    /// [`App::data_dir`](crate::App::data_dir), until it is made. While the store fails this waits.
    ///
    /// ```
    /// # use windlass::prelude::*;
    /// # #[derive(Clone, Default, Serialize, Deserialize)] struct Account { paid: u64 }
    /// async fn webhook(account: Handle<Account>, amount: u64) -> Result {
    ///     account.update(move |state, _cx| state.paid += amount)?.saved().await // from here on no crash undoes it
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The change's own; `gone` when its session went before it was saved.
    pub async fn saved(self) -> Result {
        (self.hurry)();
        self.outcome.await.unwrap_or_else(|_| Err(Error::refuse("gone", "the session went before this was saved")))
    }
}

/// So that a handler may end with the update that it has asked for.
impl Outcome for Updating {
    fn into_reply(self) -> Result<Option<String>> {
        Ok(None)
    }
}

/// Requests that may change something come from pages of this app, or from none.
fn origins_checked<S: State>(router: Router, hub: &Arc<Hub<S>>) -> Router {
    let hub = Arc::clone(hub);
    router.layer(middleware::from_fn(move |request: Request, next: Next| {
        let checked = match *request.method() {
            Method::GET | Method::HEAD | Method::OPTIONS => Ok(()),
            _ => upgrade::check_origin(request.headers(), &hub.options),
        };
        if checked.is_err() {
            hub.counters.origins.add();
        }
        async move {
            match checked {
                Ok(()) => next.run(request).await,
                Err(text) => (StatusCode::FORBIDDEN, text).into_response(),
            }
        }
    }))
}

/// A handle on one session, for whatever is no action: a webhook, a timer, another system.
///
/// ```
/// use windlass::prelude::*;
///
/// #[derive(Clone, Default, Serialize)]
/// struct Demo { count: i64 }
///
/// # async fn webhook(live: &windlass::Live<Demo>, id: windlass::SessionId) -> Result {
/// let session = live.handle(id);
/// assert_eq!(session.session(), id);
/// session.update(|state, cx| {
///     state.count += 1;
///     cx.notify(Level::Info, "paid");
/// })?;
/// println!("{}", session.view()?);
/// # Ok(())
/// # }
/// ```
pub struct Handle<S: State> {
    hub: Arc<Hub<S>>,
    session: SessionId,
}

impl<S: State> Clone for Handle<S> {
    fn clone(&self) -> Self {
        Self { hub: Arc::clone(&self.hub), session: self.session }
    }
}

impl<S: State> Handle<S> {
    pub(crate) fn new(hub: Arc<Hub<S>>, session: SessionId) -> Self {
        Self { hub, session }
    }

    /// Runs a step of an asynchronous action, and notices when it blocks.
    pub(crate) fn paced<T>(&self, action: &'static str, step: impl FnOnce() -> T) -> T {
        let program = &self.hub.program;
        match program.names.get(action) {
            Some(&at) => program.actions[at].pace.run(action, program.blocking_over, step),
            None => step(),
        }
    }

    /// The session's public id.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// Changes the session in its next turn, on whatever thread that runs; returns at once.
    ///
    /// The change is rolled back when it fails or panics, like an action. A session that is parked comes back into memory
    /// first, and this blocks while it is read.
    ///
    /// # Errors
    ///
    /// `gone` when there is no such session, `busy` when 1,024 changes wait for it or there is no room to load it.
    pub fn update<O: Outcome>(
        &self,
        change: impl FnOnce(&mut S, &mut Cx<S>) -> O + Send + 'static,
    ) -> Result<Updating> {
        let (waits, outcome) = tokio::sync::oneshot::channel();
        let made = Arc::new(Mutex::new(None));
        let saving = (waits, Arc::clone(&made));
        let update: Update<S> = Box::new(move |state, cx| {
            let outcome = change(state, cx).into_reply().map(drop);
            *lock(&made) = Some(outcome.clone());
            outcome
        });
        self.hub.update_saved(self.session, update, saving)?;
        let (hub, session) = (Arc::clone(&self.hub), self.session);
        let hurry = move || {
            if hub.keeper.is_durable() {
                // A session that is gone has told so, and one that is so busy saves soon.
                let _ = hub.update(session, Box::new(|_, cx| cx.save_now()));
            }
        };
        Ok(Updating { outcome, hurry: Box::new(hurry) })
    }

    /// What the session's clients see, as JSON. Waits for the turn that is under way.
    ///
    /// # Errors
    ///
    /// `gone` when there is no such session; a view that does not serialise.
    pub fn view(&self) -> Result<serde_json::Value> {
        self.hub.reach(self.session)?.view()
    }
}
