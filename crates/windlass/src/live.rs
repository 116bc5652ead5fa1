//! A running app, as the rest of the program sees it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse as _;
use axum::routing::{any, get};
use http::header::{CONTENT_TYPE, SET_COOKIE};
use http::{Method, StatusCode};
use windlass_protocol::SessionId;

use crate::guest::Per;
use crate::hub::Hub;
use crate::nested::{Mount, Nested};
use crate::page::{self, Page};
use crate::program::State;
use crate::server::hosts_checked;
use crate::{Blocked, Cx, Outcome, Result, Stats, hub, upgrade};

/// A running app: cheap to clone, and alive as long as its sessions are wanted.
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
    pub(crate) fn new(hub: Arc<Hub<S>>, page: Option<Page>, more: Vec<Router>, nested: Vec<Nested>) -> Self {
        let sockets = Arc::clone(&hub);
        let health = Arc::clone(&hub);
        let mut router = Router::new()
            .route("/windlass/socket", any(move |request: Request| async move { upgrade::upgrade(&sockets, request) }))
            .route(
                "/windlass/{file}",
                get(
                    |method: Method,
                     axum::extract::Path(file): axum::extract::Path<String>,
                     headers: http::HeaderMap| async move { page::client(&file, &method, &headers) },
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
                    let (cookie, _) = doors.doors.cookies.make(request.headers(), &mount.cookie_path());
                    response.headers_mut().insert(SET_COOKIE, cookie);
                }
                response
            });
        }
        Self { hub, router, nested: nested.into() }
    }

    /// The same, answering to loopback names and to those.
    pub(crate) fn answering_to(self, hosts: Vec<String>) -> Self {
        Self { router: hosts_checked(self.router, hosts), ..self }
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

    /// How many sessions there are.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.hub.sessions()
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

    /// Ends gracefully: no new sessions or jobs, jobs asked to end and awaited, clients told when to come back.
    ///
    /// Takes at most `deadline` and a second. Apps that were nested beneath this one end with it.
    pub async fn drain(&self, deadline: Duration) {
        let nested = futures_util::future::join_all(self.nested.iter().map(|app| (app.drain)(deadline)));
        tokio::join!(self.drain_alone(deadline), nested);
    }

    async fn drain_alone(&self, deadline: Duration) {
        self.hub.draining.cancel();
        self.hub.all().iter().for_each(|cell| cell.drain(Duration::from_secs(1)));
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
            cell.run_if_free(None);
            cell.close(hub::draining);
        }
        self.hub.tasks.close();
        let _ = tokio::time::timeout(Duration::from_secs(1), self.hub.tasks.wait()).await;
    }
}

/// A handle on one session, for whatever is no action: a webhook, a timer, another system.
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

    /// The session's public id.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// Changes the session in its next turn, on whatever thread that runs; returns at once.
    ///
    /// The change is rolled back when it fails or panics, like an action.
    ///
    /// # Errors
    ///
    /// `gone` when there is no such session, `busy` when 1,024 changes wait for it.
    pub fn update<O: Outcome>(&self, change: impl FnOnce(&mut S, &mut Cx<S>) -> O + Send + 'static) -> Result {
        self.hub.update(self.session, Box::new(|state, cx| change(state, cx).into_reply().map(drop)))
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
