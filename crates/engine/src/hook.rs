//! What an app may want to hear of, besides actions and updates.

use crate::Fault;

/// Something that happens to a session. See [`App::hear`](crate::App::hear).
#[derive(Clone, Copy, Debug)]
pub enum Hook<'a> {
    /// A client has a socket that it did not have.
    Connected,
    /// A client has lost its socket.
    Disconnected,
    /// Nobody came back: the session is about to go.
    Expired,
    /// The session is about to leave memory, and comes back when somebody does.
    Parked,
    /// The session was made from its record.
    Restored,
    /// A handler has failed, and what it did was taken back.
    Failed {
        /// The action's name, or what else it was.
        what: &'a str,
        /// How it failed.
        fault: &'a Fault,
    },
}
