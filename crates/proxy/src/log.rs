//! What the proxy tells of itself: one object a happening, which serialises to one line of JSON.

use serde::Serialize;

use crate::{Direction, Fault};

/// Something that happened. Serialises as `{"event": "fault", "ms": 1204, "link": 3, …}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A client has connected.
    Accepted {
        /// Milliseconds since the proxy started.
        ms: u64,
        /// The number of the connection, from 1.
        link: u64,
    },
    /// A client has connected and was reset, since the proxy refuses or nobody listens where it leads.
    Refused {
        /// Milliseconds since the proxy started.
        ms: u64,
        /// The number of the connection.
        link: u64,
        /// Why.
        reason: String,
    },
    /// A fault was done to a connection.
    Fault {
        /// Milliseconds since the proxy started.
        ms: u64,
        /// The number of the connection.
        link: u64,
        /// Which.
        fault: Fault,
        /// The direction whose bytes were counted; none when it was asked for from outside.
        #[serde(skip_serializing_if = "Option::is_none")]
        direction: Option<Direction>,
        /// Bytes that the client had sent and the server was given.
        to_server: u64,
        /// Bytes that the server had sent and the client was given.
        to_client: u64,
    },
    /// A frozen connection goes on.
    Resumed {
        /// Milliseconds since the proxy started.
        ms: u64,
        /// The number of the connection.
        link: u64,
    },
    /// Both sides of a connection are gone.
    Ended {
        /// Milliseconds since the proxy started.
        ms: u64,
        /// The number of the connection.
        link: u64,
        /// Bytes that the server was given.
        to_server: u64,
        /// Bytes that the client was given.
        to_client: u64,
    },
}
