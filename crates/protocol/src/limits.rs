//! The limits of protocol.md section 15, by name, with their defaults.

/// Bytes in one message from a client; beyond: close `too_large`.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Levels of JSON in one message from a client; beyond: close `bad_message`.
pub const DEPTH_MAX: usize = 64;
/// Members of all objects in one message from a client; beyond: close `bad_message`.
pub const KEYS_MAX: usize = 4_096;
/// Bytes in the name of an action; beyond: close `bad_message`.
pub const NAME_BYTES_MAX: usize = 128;
/// Actions that a client may have sent without an outcome; beyond: the server stops reading.
pub const ACTIONS_IN_FLIGHT: usize = 32;
/// Unacknowledged bytes under way to a client; beyond: the server stops diffing.
pub const WINDOW_BYTES: usize = 64 * 1024;
/// Events kept for a client; beyond: the oldest become one `events_lost`.
pub const EVENTS_MAX: usize = 256;
/// Bytes of events kept for a client; beyond: the oldest become one `events_lost`.
pub const EVENT_BYTES_MAX: usize = 64 * 1024;
/// Outcomes kept for a client until it acknowledges; at half it is asked, beyond: close `busy`.
pub const OUTCOMES_MAX: usize = 64;
/// Bytes of outcomes kept for a client until it acknowledges; at half it is asked, beyond: close `busy`.
pub const OUTCOME_BYTES_MAX: usize = 64 * 1024;
/// Asynchronous actions of one client that run at the same time; beyond: refused `queue_full`.
pub const PENDING_MAX: usize = 8;
/// Clients of one session; beyond: the one idle for longest is evicted.
pub const CLIENTS_MAX: usize = 16;
/// Finished jobs that stay in `$jobs`; beyond: the oldest go.
pub const FINISHED_JOBS_MAX: usize = 20;
/// Levels of jobs that jobs start, beneath a job of `$jobs`.
pub const CHILD_DEPTH_MAX: usize = 4;
/// Running children of a job that are listed beside it; beyond: those that started last are only counted.
pub const ACTIVE_CHILDREN_MAX: usize = 16;
/// Lines of a job's log in `$jobs`; beyond: the oldest go.
pub const JOB_LOG_LINES_MAX: usize = 20;
