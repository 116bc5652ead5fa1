//! The client as an app holds it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use serde::de::DeserializeOwned;
use serde::{Deserialize as _, Serialize};
use serde_json::Value;
use tokio::sync::{broadcast, oneshot, watch};
use tokio::task::JoinHandle;

use crate::core::{Core, CoreOptions};
use crate::driver::{self, Shared};
use crate::url::SocketUrl;
use crate::{ActionError, Change, ConnectError, Event, Identity, JobView, Status, random};

/// A session of a Windlass server. Cheap to clone; all clones are the same client.
///
/// When the last clone is dropped, the connection is closed. The session waits on the server for as long as the server
/// keeps it; with an [`Identity`] a later client comes back to it.
///
/// ```no_run
/// use windlass_client::Client;
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::connect("http://127.0.0.1:8080").await?;
/// client.action("add", 2).await?;
/// let left: u64 = client.ask("order", 1).await?; // with a reply
/// client.send("add", 3)?.await?; // waits only where it is awaited
/// client.send_secret("login", "password")?.await?; // kept in no file
/// let demo: serde_json::Value = client.view()?;
/// assert_eq!(client.read(|document| document["count"] == 5), demo["count"] == 5);
/// for job in client.jobs() {
///     client.cancel(&job.id).await?;
/// }
/// println!("{left} left, session {:?}, {:?}, {} wait", client.session(), client.status(), client.pending());
/// println!("{:?}, closed as {:?}", client.traffic(), client.closes());
/// client.status_changes().changed().await?;
/// client.retry(); // at once, and not when the backoff is over
/// let kept = client.identity();
/// client.close().await;
/// let again = Client::builder("http://127.0.0.1:8080").identity(kept).connect().await?;
/// let (_changes, _events) = (again.changes(), again.events());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    task: std::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.finish();
    }
}

/// What a client is made with; [`Client::builder`] begins one.
///
/// ```no_run
/// use windlass_client::Client;
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::builder("http://127.0.0.1:8080")
///     .page("/shop?shelf=books")
///     .outbox_max(100)
///     .identity_file("client.json") // comes back to its session after a restart
///     .connect()
///     .await?;
/// let other = Client::builder("http://127.0.0.1:8080").identity(client.identity()).start()?; // does not wait
/// # drop(other);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Builder {
    url: String,
    page: String,
    outbox_max: usize,
    identity: Option<Identity>,
    identity_file: Option<PathBuf>,
}

impl Builder {
    /// The path and query that the app's `on_init` sees, `/` by default.
    #[must_use]
    pub fn page(mut self, page: impl Into<String>) -> Self {
        self.page = page.into();
        self
    }

    /// How many actions may wait for their outcomes, 1,000 by default; beyond, an action ends with
    /// [`ActionError::OutboxFull`]. Together they hold at most 1 MiB.
    #[must_use]
    pub fn outbox_max(mut self, actions: usize) -> Self {
        self.outbox_max = actions.max(1);
        self
    }

    /// Comes back as the client that [`Client::identity`] gave.
    #[must_use]
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Keeps the identity in this file, so that the app comes back to its session after its own restart, with the
    /// actions that had no outcome. The file is made when it is not there; it holds a secret and is readable for its
    /// owner only. It is written before each action is sent: leave it out where actions are many and may be lost.
    #[must_use]
    pub fn identity_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.identity_file = Some(path.into());
        self
    }

    /// Connects, and returns when the server has welcomed the client.
    ///
    /// # Errors
    ///
    /// When the first attempt fails: so that a wrong address is seen at once. Later the client comes back by itself.
    pub async fn connect(self) -> Result<Client, ConnectError> {
        let client = self.start()?;
        let mut status = client.status_changes();
        let failed = loop {
            match status.borrow_and_update().clone() {
                Status::Live => return Ok(client),
                Status::Waiting { code, .. } | Status::Stopped { code } => break code,
                Status::Connecting => {}
            }
            if status.changed().await.is_err() {
                break "closed".to_owned();
            }
        };
        let error = client.inner.shared.take_failure().unwrap_or(ConnectError::Closed { code: failed });
        client.close().await;
        Err(error)
    }

    /// Begins to connect, and goes on trying; actions wait in the outbox meanwhile.
    ///
    /// # Errors
    ///
    /// When the URL or the identity's file is wrong.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn start(self) -> Result<Client, ConnectError> {
        let socket = SocketUrl::read(&self.url)?;
        let kept = match &self.identity_file {
            Some(path) => Identity::read(path)?,
            None => None,
        };
        let identity = self.identity.or(kept).unwrap_or_else(|| Identity::new(random::hex(12)));
        if let Some(path) = &self.identity_file {
            // Now rather than at the first action: a folder that cannot be written is seen at once.
            identity.write(path)?;
        }
        let options = CoreOptions { page: self.page, outbox_max: self.outbox_max, seed: random::seed() };
        let (shared, tellers) = Shared::new(|now| Core::new(options, identity, now), socket, self.identity_file);
        let shared = Arc::new(shared);
        let task = tokio::spawn(driver::run(Arc::clone(&shared), tellers));
        Ok(Client { inner: Arc::new(Inner { shared, task: std::sync::Mutex::new(Some(task)) }) })
    }
}

impl Client {
    /// Connects to the server whose page or socket has this URL, with a session of its own.
    ///
    /// # Errors
    ///
    /// As [`Builder::connect`].
    pub async fn connect(url: impl Into<String>) -> Result<Self, ConnectError> {
        Self::builder(url).connect().await
    }

    /// A client that is to be set up first.
    pub fn builder(url: impl Into<String>) -> Builder {
        Builder { url: url.into(), page: "/".to_owned(), outbox_max: OUTBOX_MAX, identity: None, identity_file: None }
    }

    /// Asks the server for something and waits for the outcome; the value is the action's reply, null when it has none.
    ///
    /// Works without a connection too: the action waits in the outbox. When the future is dropped, the action goes on.
    ///
    /// # Errors
    ///
    /// [`ActionError`] says what became of it.
    pub async fn action(&self, name: &str, payload: impl Serialize) -> Result<Value, ActionError> {
        self.send(name, payload)?.await
    }

    /// As [`Client::action`], with a reply of a type.
    ///
    /// # Errors
    ///
    /// As [`Client::action`]; [`ActionError::Reply`] when the reply is of another type: the action was applied then.
    pub async fn ask<R: DeserializeOwned>(&self, name: &str, payload: impl Serialize) -> Result<R, ActionError> {
        let reply = self.send(name, payload)?.await?;
        serde_json::from_value(reply).map_err(|error| ActionError::Reply { text: error.to_string() })
    }

    /// Asks the server for something, and does not wait: the outcome is what the [`Pending`] ends with. Actions are
    /// sent in the order of these calls.
    ///
    /// # Errors
    ///
    /// When the action cannot be taken: its payload does not serialise, the outbox is full, the client has stopped.
    pub fn send(&self, name: &str, payload: impl Serialize) -> Result<Pending, ActionError> {
        self.send_with(name, payload, ActionOptions::default())
    }

    /// As [`Client::send`], with a content that is not kept in the [`Identity`]: a process that starts again does not
    /// send it again. So it is for every action that the app declares secret.
    ///
    /// # Errors
    ///
    /// As [`Client::send`].
    pub fn send_secret(&self, name: &str, payload: impl Serialize) -> Result<Pending, ActionError> {
        self.send_with(name, payload, ActionOptions { secret: true, ..ActionOptions::default() })
    }

    /// As [`Client::send`], with all that may be said about it.
    ///
    /// ```no_run
    /// # async fn run(client: windlass_client::Client) -> Result<(), windlass_client::ActionError> {
    /// use windlass_client::{ActionOptions, Until};
    ///
    /// let options = ActionOptions { until: Until::Saved, ..ActionOptions::default() };
    /// let receipt = client.send_with("pay", 100, options)?.await?; // from here on no crash of the server undoes it
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Client::send`].
    pub fn send_with(
        &self,
        name: &str,
        payload: impl Serialize,
        options: ActionOptions,
    ) -> Result<Pending, ActionError> {
        let payload =
            serde_json::to_string(&payload).map_err(|error| ActionError::Payload { text: error.to_string() })?;
        let shared = &self.inner.shared;
        let (ticket, outcome) = shared.act(name, &payload, options)?;
        Ok(Pending { shared: Arc::clone(shared), ticket, outcome })
    }

    /// Cancels a job of this session, by its id.
    ///
    /// # Errors
    ///
    /// As [`Client::action`]; refused with `gone` when no such job runs.
    pub async fn cancel(&self, job: &str) -> Result<(), ActionError> {
        self.action("$cancel", job).await.map(drop)
    }

    /// The document as a value of a type; what the type does not name is left out.
    ///
    /// # Errors
    ///
    /// When the document is of another shape. Before the first snapshot it is null.
    pub fn view<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        self.read(|document| T::deserialize(document))
    }

    /// Looks at the document, which cannot change meanwhile: be quick. Null before the first snapshot.
    pub fn read<T>(&self, look: impl FnOnce(&Value) -> T) -> T {
        look(self.inner.shared.core().document.as_ref().unwrap_or(&Value::Null))
    }

    /// The jobs of the session that are under way or have ended lately.
    #[must_use]
    pub fn jobs(&self) -> Vec<JobView> {
        self.read(|document| Vec::deserialize(&document["$jobs"]).unwrap_or_default())
    }

    /// Waits until the document is as asked, and gives back what `look` found in it.
    ///
    /// ```no_run
    /// # async fn run(client: windlass_client::Client) {
    /// let loss = client.wait_for(|document| document["loss"].as_f64()).await;
    /// # }
    /// ```
    ///
    /// None when the client has ended.
    pub async fn wait_for<T>(&self, mut look: impl FnMut(&Value) -> Option<T>) -> Option<T> {
        let mut changes = self.changes();
        loop {
            if let Some(found) = self.read(&mut look) {
                return Some(found);
            }
            changes.next().await?;
        }
    }

    /// The changes of the document from now on.
    #[must_use]
    pub fn changes(&self) -> Changes {
        Changes(self.inner.shared.changes())
    }

    /// The events from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        Events(self.inner.shared.events())
    }

    /// How the client is connected.
    #[must_use]
    pub fn status(&self) -> Status {
        self.inner.shared.core().status().clone()
    }

    /// How the client is connected, now and from now on.
    #[must_use]
    pub fn status_changes(&self) -> watch::Receiver<Status> {
        self.inner.shared.status.subscribe()
    }

    /// The public id of the session, once there has been a welcome. No secret.
    #[must_use]
    pub fn session(&self) -> Option<String> {
        self.inner.shared.core().session().map(str::to_owned)
    }

    /// How many actions have no outcome yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.inner.shared.core().pending()
    }

    /// Who this client is, to come back as the same one: see [`Builder::identity`].
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.inner.shared.core().identity()
    }

    /// What the client has read and written since it began.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.inner.shared.traffic()
    }

    /// Why connections have ended since the client began, and how often: names of protocol.md section 14, and `lost`.
    #[must_use]
    pub fn closes(&self) -> BTreeMap<String, u64> {
        self.inner.shared.closes()
    }

    /// Connects now: instead of waiting for the next attempt, or after a stop other than [`Client::close`].
    pub fn retry(&self) {
        self.inner.shared.retry();
    }

    /// Ends the client for all its clones: closes the connection and waits until it is closed. What has no outcome stays
    /// in the identity.
    pub async fn close(self) {
        self.inner.shared.finish();
        let task = self.inner.task.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(task) = task {
            // It does not panic; and if it did, it is over as well.
            _ = task.await;
        }
    }
}

/// How an action is sent, and what its outcome is waited for. See [`Client::send_with`].
///
/// ```
/// use windlass_client::{ActionOptions, Until};
///
/// let options = ActionOptions { until: Until::Saved, secret: true, ..ActionOptions::default() };
/// # let _ = options;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ActionOptions {
    /// Its content is not kept in the [`Identity`]; false by default.
    pub secret: bool,
    /// What the [`Pending`] waits for; [`Until::Applied`] by default.
    pub until: Until,
}

/// What the end of an action is. What was refused or has failed is told at once in any case.
///
/// ```
/// use windlass_client::Until;
///
/// let until = |is_money: bool| if is_money { Until::Saved } else { Until::Applied };
/// assert_eq!(until(false), Until::Applied);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Until {
    /// The document shows its effect. A server that crashes may still undo it; then it is sent again by itself.
    #[default]
    Applied,
    /// Its effect is on the server's disk. With a server that keeps no durable store, the same as applied.
    Saved,
}

/// Bytes of messages, without what the network adds.
///
/// ```
/// let none = windlass_client::Traffic::default();
/// assert_eq!((none.read, none.written, none.reconnects), (0, 0, 0));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Read from the server.
    pub read: u64,
    /// Written to it.
    pub written: u64,
    /// How often a lost connection was followed by another that was welcomed.
    pub reconnects: u64,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("session", &self.session()).field("status", &self.status()).finish()
    }
}

/// The outcome of an action, to be awaited. When it is dropped, the action goes on.
///
/// ```
/// # async fn run(client: windlass_client::Client) -> Result<(), windlass_client::ActionError> {
/// let first = client.send("add", 1)?;
/// let second = client.send("add", 2)?; // both are on their way
/// first.await?;
/// second.await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "an action whose outcome nobody looks at may have failed; drop it on purpose"]
pub struct Pending {
    shared: Arc<Shared>,
    ticket: u64,
    outcome: oneshot::Receiver<Result<Value, ActionError>>,
}

impl Future for Pending {
    type Output = Result<Value, ActionError>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.outcome)
            .poll(task)
            .map(|outcome| outcome.unwrap_or_else(|_| Err(ActionError::Stopped { code: "closed".to_owned() })))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.shared.forget(self.ticket);
    }
}

/// The changes of a document, in order.
///
/// ```
/// # async fn run(client: windlass_client::Client) {
/// let mut changes = client.changes();
/// while let Some(change) = changes.next().await {
///     println!("{change:?}: {}", client.read(|document| document["count"].clone()));
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Changes(broadcast::Receiver<Change>);

impl Changes {
    /// The next one; none when the client has ended. Whoever reads more slowly than 256 changes gets one
    /// [`Change::Document`] for those it has missed.
    pub async fn next(&mut self) -> Option<Change> {
        match self.0.recv().await {
            Ok(change) => Some(change),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(Change::Document),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// The events of a client, in order.
///
/// ```
/// # async fn run(client: windlass_client::Client) {
/// let mut events = client.events();
/// while let Some(event) = events.next().await {
///     println!("{event:?}");
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Events(broadcast::Receiver<Event>);

impl Events {
    /// The next one; none when the client has ended. Whoever reads more slowly than 256 events gets one
    /// [`Event::Lost`] for those it has missed.
    pub async fn next(&mut self) -> Option<Event> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(count)) => Some(Event::Lost { count }),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

const OUTBOX_MAX: usize = 1_000;
