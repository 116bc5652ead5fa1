//! Why an action did not do what was asked, and why there is no connection.

use std::fmt;

/// Why an action has no value.
///
/// ```
/// use windlass_client::ActionError;
///
/// let advice = |error: &ActionError| match error {
///     ActionError::Failed { text, .. } | ActionError::Refused { text, .. } => text.clone(),
///     ActionError::OutboxFull => "try again later".into(),
///     ActionError::SessionGone => "ask for it again".into(),
///     ActionError::OutcomeUnknown => "look whether it was done".into(),
///     ActionError::Stopped { code } => format!("not connected: {code}"),
///     ActionError::Payload { text } | ActionError::Reply { text } => format!("a bug: {text}"),
///     _ => error.to_string(),
/// };
/// let error = ActionError::Stopped { code: "login".into() };
/// assert_eq!((error.code(), &*advice(&error)), ("login", "not connected: login"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ActionError {
    /// The handler returned an error or panicked; nothing changed.
    Failed {
        /// The handler's own code, or `internal`.
        code: String,
        /// What the server says about it.
        text: String,
    },
    /// The action never ran: `unknown_action`, `bad_payload`, `forbidden`, `queue_full`, `too_large` and the like.
    Refused {
        /// Which.
        code: String,
        /// What the server says about it.
        text: String,
    },
    /// Too many actions wait for the server: try again when some have their outcomes.
    OutboxFull,
    /// It was never sent, and the session that it was meant for is gone.
    SessionGone,
    /// It was sent, but whether it was applied will not be known: look at the document of the session that followed.
    OutcomeUnknown,
    /// The client has stopped and comes back only when it is told to; the code says why: `login`, `taken_over`,
    /// `closed`.
    Stopped {
        /// Why.
        code: String,
    },
    /// The payload does not serialise: fix the caller.
    Payload {
        /// What serde says.
        text: String,
    },
    /// The action was applied, and its reply is not of the type that was asked for: fix the caller.
    Reply {
        /// What serde says.
        text: String,
    },
}

impl ActionError {
    /// The code, as protocol.md and the web client spell it.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Failed { code, .. } | Self::Refused { code, .. } | Self::Stopped { code } => code,
            Self::OutboxFull => "outbox_full",
            Self::SessionGone => "session_gone",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Payload { .. } => "payload",
            Self::Reply { .. } => "reply",
        }
    }
}

impl fmt::Display for ActionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { code, text } => write!(f, "the action failed ({code}): {text}"),
            Self::Refused { code, text } => write!(f, "the action was refused ({code}): {text}"),
            Self::OutboxFull => f.write_str("too many actions wait for the server"),
            Self::SessionGone => f.write_str("the session is gone, and the action was never sent"),
            Self::OutcomeUnknown => f.write_str("the action was sent, but whether it was applied will not be known"),
            Self::Stopped { code } => write!(f, "the client has stopped: {code}"),
            Self::Payload { text } => write!(f, "the payload does not serialise: {text}"),
            Self::Reply { text } => write!(f, "the reply is of another type: {text}"),
        }
    }
}

impl std::error::Error for ActionError {}

/// Why there is no connection.
///
/// ```
/// use windlass_client::ConnectError;
///
/// let advice = |error: &ConnectError| match error {
///     ConnectError::Url { url, reason } => format!("{url} is no address: {reason}"),
///     ConnectError::Unreachable { address, .. } => format!("does a server run at {address}?"),
///     ConnectError::NoWindlass { url, .. } => format!("{url} is something else"),
///     ConnectError::Closed { code } if code == "login" => "log in first".into(),
///     ConnectError::Closed { code } => format!("turned away: {code}"),
///     ConnectError::Identity { path, reason } => format!("{}: {reason}", path.display()),
///     _ => error.to_string(),
/// };
/// assert_eq!(advice(&ConnectError::Closed { code: "login".into() }), "log in first");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL names no server that this client can reach: fix the caller.
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody answers there: is the server running, is the address right?
    Unreachable {
        /// Host and port.
        address: String,
        /// What the operating system says.
        reason: String,
    },
    /// Somebody answers, but not as a Windlass server does at its socket: is it the right path and port?
    NoWindlass {
        /// Where.
        url: String,
        /// What was answered.
        reason: String,
    },
    /// The server closed the connection, with a code of protocol.md section 14.
    Closed {
        /// The name of the code.
        code: String,
    },
    /// The identity's file cannot be read or written.
    Identity {
        /// Which file.
        path: std::path::PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url { url, reason } => write!(f, "\"{url}\" is no address of a server: {reason}"),
            Self::Unreachable { address, reason } => {
                write!(f, "nobody answers at {address}: {reason}; is the server running there?")
            }
            Self::NoWindlass { url, reason } => {
                write!(f, "no Windlass server answers at {url}: {reason}; are path and port right?")
            }
            Self::Closed { code } => write!(f, "the server closed the connection: {code}"),
            Self::Identity { path, reason } => write!(f, "the identity in {}: {reason}", path.display()),
        }
    }
}

impl std::error::Error for ConnectError {}
