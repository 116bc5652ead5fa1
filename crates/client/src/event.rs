//! What a client tells besides the document: events of the session, and of its own life.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::ActionError;

/// Something that happens once. Each event of the session comes once and in order.
///
/// ```
/// use windlass_client::Event;
///
/// fn told(event: Event) -> String {
///     match event {
///         Event::Notify(notice) => notice.text,
///         Event::CloseNotify { id } => format!("{id} is over"),
///         Event::Navigate { url } | Event::Download { url, .. } => url,
///         Event::Emit { name, value } => format!("{name}: {value}"),
///         Event::Lost { count } => format!("{count} events were dropped"),
///         Event::Fresh { reason, rejected } => format!("another session ({reason}), {rejected} actions rejected"),
///         Event::Restored => "a crash undid something".into(),
///         Event::Rejected { seq, error } => format!("action {seq}: {error}"),
///         _ => "something newer".into(),
///     }
/// }
/// assert_eq!(told(Event::Lost { count: 3 }), "3 events were dropped");
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A notice for the person.
    Notify(Notify),
    /// The notice with this id is over.
    CloseNotify {
        /// Which.
        id: String,
    },
    /// The server asks for another page.
    Navigate {
        /// Which.
        url: String,
    },
    /// The server offers a file.
    Download {
        /// Where it is.
        url: String,
        /// How it should be called.
        name: Option<String>,
    },
    /// The app's own.
    Emit {
        /// Its name.
        name: String,
        /// Its value.
        value: Value,
    },
    /// So many events were dropped: at the server's bound, or because nobody read them here.
    Lost {
        /// How many.
        count: u64,
    },
    /// Another session has replaced the one there was. What waited for the old one has been rejected.
    Fresh {
        /// `session_gone`; `forgotten` when the session is the same and has let this client go; `in_use` when another process has this identity.
        reason: String,
        /// How many actions were rejected.
        rejected: usize,
    },
    /// A crash of the server undid something; the document shows what is left.
    Restored,
    /// An action that nobody waits for any more ended otherwise than applied.
    Rejected {
        /// Its number.
        seq: u64,
        /// How it ended.
        error: ActionError,
    },
}

/// A notice for the person; a later one with the same id updates the first.
///
/// ```
/// let notice: windlass_client::Notify = serde_json::from_str(r#"{"level":"info","text":"open"}"#).unwrap();
/// assert_eq!((&*notice.level, &*notice.text, notice.id), ("info", "open", None));
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Notify {
    /// `info`, `success`, `warning` or `error`.
    pub level: String,
    /// What it says.
    pub text: String,
    /// Its id, when it can be updated or closed.
    #[serde(default)]
    pub id: Option<String>,
    /// Its title.
    #[serde(default)]
    pub title: Option<String>,
    /// How long it should be shown, in milliseconds.
    #[serde(default)]
    pub duration_ms: Option<u64>,
}

/// A job of the session, as `$jobs` shows it.
///
/// ```
/// let row = r#"{"id":"1.7","name":"train","status":"running","progress":0.5}"#;
/// let job: windlass_client::JobView = serde_json::from_str(row).unwrap();
/// assert_eq!((&*job.id, &*job.status, job.progress), ("1.7", "running", Some(0.5)));
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct JobView {
    /// `epoch.n`; what [`Client::cancel`](crate::Client::cancel) takes.
    pub id: String,
    /// The callback's name.
    pub name: String,
    /// `queued`, `running`, `done`, `failed`, `cancelled`, `timed_out` or `lost`.
    pub status: String,
    /// From 0 to 1, when it is known.
    #[serde(default)]
    pub progress: Option<f64>,
    /// What it is doing, or why it failed.
    #[serde(default)]
    pub text: Option<String>,
    /// How long it has been running, in milliseconds.
    #[serde(default)]
    pub elapsed_ms: Option<u64>,
}

/// How a client is connected.
///
/// ```
/// use windlass_client::Status;
///
/// let told = |status: Status| match status {
///     Status::Connecting => "one moment".to_owned(),
///     Status::Live => "connected".to_owned(),
///     Status::Waiting { code, retry_after } => format!("{code}, again in {retry_after:?}"),
///     Status::Stopped { code } => format!("stopped: {code}"),
///     _ => "?".to_owned(),
/// };
/// assert_eq!(told(Status::Stopped { code: "login".into() }), "stopped: login");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// A connection is being made.
    Connecting,
    /// Actions and changes flow.
    Live,
    /// The connection is lost; the next attempt is made by itself.
    Waiting {
        /// Why: a name of protocol.md section 14, or `lost`.
        code: String,
        /// How long the wait is, from when it began.
        retry_after: Duration,
    },
    /// There is no connection until [`Client::retry`](crate::Client::retry), and after `closed` there is none any more.
    Stopped {
        /// Why: `login`, `taken_over` or `closed`.
        code: String,
    },
}

/// What has changed in the document.
///
/// ```
/// use windlass_client::Change;
///
/// let is_of = |change: &Change, member: &str| match change {
///     Change::Document => true,
///     Change::Ops(ops) => ops.iter().any(|op| op.as_array().is_some_and(|op| op.iter().any(|step| step == member))),
///     _ => true,
/// };
/// assert!(is_of(&Change::Ops([serde_json::json!(["count", 2])].into()), "count"));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Change {
    /// All of it may have.
    Document,
    /// What these ops of protocol.md section 7 say, and nothing else.
    Ops(std::sync::Arc<[Value]>),
}

/// Reads an event of the session; none for one of a later version.
pub(crate) fn read(kind: &str, body: Value) -> Option<Event> {
    #[derive(Deserialize)]
    struct Id {
        id: String,
    }
    #[derive(Deserialize)]
    struct File {
        url: String,
        #[serde(default)]
        name: Option<String>,
    }
    #[derive(Deserialize)]
    struct Emitted {
        name: String,
        #[serde(default)]
        value: Value,
    }
    #[derive(Deserialize)]
    struct Count {
        count: u64,
    }
    Some(match kind {
        "notify" => Event::Notify(serde_json::from_value(body).ok()?),
        "close_notify" => Event::CloseNotify { id: serde_json::from_value::<Id>(body).ok()?.id },
        "navigate" => Event::Navigate { url: serde_json::from_value::<File>(body).ok()?.url },
        "download" => {
            let File { url, name } = serde_json::from_value(body).ok()?;
            Event::Download { url, name }
        }
        "emit" => {
            let Emitted { name, value } = serde_json::from_value(body).ok()?;
            Event::Emit { name, value }
        }
        "events_lost" => Event::Lost { count: serde_json::from_value::<Count>(body).ok()?.count },
        _ => return None,
    })
}
