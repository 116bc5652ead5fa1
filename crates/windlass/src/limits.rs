//! What peers may take: each limit by its name, with its default and what happens beyond it, and how often that was.
//!
//! docs/limits.md lists them all, together with those of the protocol; a test compares the page with the code.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::App;
use crate::program::{State, View};

/// What a server's peers may take. See [`App::limits`].
///
/// ```
/// use windlass::{Limits, prelude::*};
///
/// #[derive(Clone, Default, Serialize)]
/// struct Demo { count: i64 }
///
/// let limits = Limits { address_sessions_max: 50, ..Limits::default() };
/// let app = App::new(Demo::default).limits(limits).trusted_proxies(["10.0.0.0/8"]);
/// # let _ = app;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections, counted from accept; by default 64 fewer than the process may have open files. Further ones are closed
    /// at once.
    pub connections_max: usize,
    /// Connections whose first request has not come whole, 1,024. The one that has waited longest makes room.
    pub handshakes_max: usize,
    /// The same of one address, 64. Further ones are closed at once.
    pub address_handshakes_max: usize,
    /// Sockets that an address may open a second, 20; beyond it, and when the reserve is gone, they are closed with
    /// `busy`. One that returns to a session of its own takes none.
    pub address_sockets_per_second: u32,
    /// Sockets that an address has in reserve, 1,000: a large office comes back at once.
    pub address_sockets_reserve: u32,
    /// Sessions that one address may have begun and that are still there, 1,000. Beyond, a new page hears `busy`.
    pub address_sessions_max: usize,
    /// Messages a connection may send a second, 1,000, with as many in reserve. Beyond, it is not read; after ten seconds
    /// without a pause it is closed with `busy`.
    pub messages_per_second: u32,
    /// Bytes a connection may send a second, 1,048,576. Beyond, as for messages.
    pub bytes_per_second: u32,
    /// Actions all pages of a session may send a second, 1,000, with as many in reserve. Beyond, they are not read.
    pub actions_per_second: u32,
    /// From the first byte of a request's headers to the last, 10 seconds; also until the first request begins. Then the
    /// connection is closed.
    pub headers_time_max: Duration,
    /// How long a connection is kept for another request, 30 seconds. Then it is closed.
    pub keep_alive: Duration,
    /// How many bytes of a request's body come a second on average, 1,024, after the first ten seconds. Slower ones fail.
    pub body_bytes_per_second_min: u32,
    /// How long a peer may take none of a response's bytes, 30 seconds. Then the connection is closed.
    pub write_stall_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: open_files_max().saturating_sub(OWN_FILES).max(1),
            handshakes_max: 1_024,
            address_handshakes_max: 64,
            address_sockets_per_second: 20,
            address_sockets_reserve: 1_000,
            address_sessions_max: 1_000,
            messages_per_second: 1_000,
            bytes_per_second: 1_048_576,
            actions_per_second: 1_000,
            headers_time_max: Duration::from_secs(10),
            keep_alive: Duration::from_secs(30),
            body_bytes_per_second_min: 1_024,
            write_stall_max: Duration::from_secs(30),
        }
    }
}

impl Limits {
    /// What is described wrongly.
    pub(crate) fn problems(&self) -> Vec<String> {
        let Self {
            connections_max,
            handshakes_max,
            address_handshakes_max,
            address_sockets_per_second,
            address_sockets_reserve,
            address_sessions_max,
            messages_per_second,
            bytes_per_second,
            actions_per_second,
            headers_time_max,
            keep_alive,
            // None is a rate as well: bodies may then be as slow as they like.
            body_bytes_per_second_min: _,
            write_stall_max,
        } = *self;
        let numbers = [
            ("connections_max", connections_max),
            ("handshakes_max", handshakes_max),
            ("address_handshakes_max", address_handshakes_max),
            ("address_sockets_per_second", address_sockets_per_second as usize),
            ("address_sockets_reserve", address_sockets_reserve as usize),
            ("address_sessions_max", address_sessions_max),
            ("messages_per_second", messages_per_second as usize),
            ("bytes_per_second", bytes_per_second as usize),
            ("actions_per_second", actions_per_second as usize),
        ];
        let times =
            [("headers_time_max", headers_time_max), ("keep_alive", keep_alive), ("write_stall_max", write_stall_max)];
        let few =
            numbers.into_iter().filter(|(_, value)| *value == 0).map(|(name, _)| format!("`{name}` is at least 1"));
        let short = times
            .into_iter()
            .filter(|(_, time)| time.is_zero())
            .map(|(name, _)| format!("`{name}` is more than no time"));
        few.chain(short).collect()
    }
}

impl<S: State, V: View<S>, M> App<S, V, M> {
    /// What peers may take: connections, rates, times. See [`Limits`] for the defaults, and [`Live::refusals`] for how
    /// often each was reached.
    ///
    /// Limits of an address hold for peers that are not on loopback, and for all when [`App::trusted_proxies`] names some.
    ///
    /// [`Live::refusals`]: crate::Live::refusals
    ///
    /// # Errors
    ///
    /// [`App::build`] gives them: a limit that lets nothing through, by its name.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.problems.extend(limits.problems());
        self.options.limits = limits;
        self
    }
}

/// How often each limit was reached since the app was built. See [`Live::refusals`](crate::Live::refusals).
///
/// ```
/// use windlass::prelude::*;
///
/// #[derive(Clone, Default, Serialize)]
/// struct Demo { count: i64 }
///
/// # #[tokio::main] async fn main() -> Result {
/// let live = App::new(Demo::default).build()?;
/// let refusals = live.refusals();
/// assert_eq!(refusals, windlass::Refusals::default(), "nobody was turned away so far");
/// println!("{} connections too many, {} strange origins", refusals.connections, refusals.origins);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusals {
    /// Connections closed at accept, for `connections_max`.
    pub connections: u64,
    /// Connections cut before their first request was whole, to make room for another: `handshakes_max`.
    pub handshakes: u64,
    /// Connections closed at accept, for `address_handshakes_max`.
    pub address_handshakes: u64,
    /// Sockets closed with `busy`, for `address_sockets_per_second`.
    pub address_sockets: u64,
    /// Pages that heard `busy`, for `address_sessions_max`.
    pub address_sessions: u64,
    /// Pages that heard `busy`, for `sessions_max`.
    pub sessions: u64,
    /// Times that a connection was not read for a while, for `messages_per_second` or `bytes_per_second`.
    pub pauses: u64,
    /// Times that a connection was not read for a while, for `actions_per_second`.
    pub action_pauses: u64,
    /// Connections closed with `busy` that had not paused for ten seconds.
    pub unpaused: u64,
    /// Connections closed without a whole request in time: `headers_time_max`.
    pub headers_late: u64,
    /// Request bodies that were too slow: `body_bytes_per_second_min`.
    pub bodies_slow: u64,
    /// Connections closed whose peer took none of a response: `write_stall_max`.
    pub writes_stalled: u64,
    /// Sockets closed without a hello in time.
    pub hellos_late: u64,
    /// Sockets closed because a message was not whole in time, or in more fragments than it may have.
    pub messages_late: u64,
    /// Sockets closed for a message over `message_bytes_max`.
    pub messages_large: u64,
    /// Pages turned away by `authenticate`, or whose identity has expired.
    pub logins: u64,
    /// Actions and updates that were taken back, for `state_bytes_max`.
    pub states_large: u64,
    /// Hellos with a token that no session knows.
    pub tokens_unknown: u64,
    /// Requests of another origin or, on loopback, for another host.
    pub origins: u64,
}

macro_rules! counters {
    ($($name:ident),* $(,)?) => {
        /// What [`Refusals`] are read from.
        #[derive(Debug, Default)]
        pub(crate) struct Counters { $(pub(crate) $name: Counter,)* }

        impl Counters {
            pub(crate) fn read(&self) -> Refusals {
                Refusals { $($name: self.$name.0.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters!(
    connections,
    handshakes,
    address_handshakes,
    address_sockets,
    address_sessions,
    sessions,
    pauses,
    action_pauses,
    unpaused,
    headers_late,
    bodies_slow,
    writes_stalled,
    hellos_late,
    messages_late,
    messages_large,
    logins,
    states_large,
    tokens_unknown,
    origins,
);

/// Counts up.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// How many files the process may have open; where nobody says, the usual bound of a service.
fn open_files_max() -> usize {
    std::fs::read_to_string("/proc/self/limits").ok().and_then(|limits| soft_limit(&limits)).unwrap_or(65_536)
}

fn soft_limit(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(usize::MAX),
        number => number.parse().ok(),
    }
}

/// Files that are no connections: the store's, the listener's, the log's.
const OWN_FILES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_open_files_is_read() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max processes             15000                15000                processes \n\
                    Max open files            1024                 524288               files     \n";
        assert_eq!(soft_limit(text), Some(1_024));
        assert_eq!(soft_limit("Max open files unlimited unlimited files"), Some(usize::MAX));
        assert_eq!(soft_limit(""), None);
        assert!(Limits::default().connections_max > 100);
    }

    #[test]
    fn a_limit_that_lets_nothing_through_is_named() {
        assert_eq!(Limits::default().problems(), Vec::<String>::new());
        let limits = Limits { connections_max: 0, keep_alive: Duration::ZERO, ..Limits::default() };
        assert_eq!(limits.problems(), ["`connections_max` is at least 1", "`keep_alive` is more than no time"]);
    }

    /// BOUNDED: the page and the code say the same.
    #[test]
    fn the_page_of_limits_lists_every_limit_with_its_default() {
        let page = include_str!("../../../docs/limits.md");
        let limits = Limits::default();
        let number = |value: u64| {
            let digits = value.to_string();
            let groups: Vec<_> =
                digits.as_bytes().rchunks(3).rev().map(|group| str::from_utf8(group).unwrap()).collect();
            groups.join(",")
        };
        let time = |time: Duration| format!("{} s", time.as_secs());
        use windlass_protocol::limits as wire;
        for (name, default) in [
            ("connections_max", "open files − 64".to_owned()),
            ("handshakes_max", number(limits.handshakes_max as u64)),
            ("address_handshakes_max", number(limits.address_handshakes_max as u64)),
            ("address_sockets_per_second", number(limits.address_sockets_per_second.into())),
            ("address_sockets_reserve", number(limits.address_sockets_reserve.into())),
            ("address_sessions_max", number(limits.address_sessions_max as u64)),
            ("messages_per_second", number(limits.messages_per_second.into())),
            ("bytes_per_second", number(limits.bytes_per_second.into())),
            ("actions_per_second", number(limits.actions_per_second.into())),
            ("headers_time_max", time(limits.headers_time_max)),
            ("keep_alive", time(limits.keep_alive)),
            ("body_bytes_per_second_min", number(limits.body_bytes_per_second_min.into())),
            ("write_stall_max", time(limits.write_stall_max)),
            ("state_bytes_max", number(windlass_engine::STATE_BYTES_MAX as u64)),
            ("message_bytes_max", number(wire::MESSAGE_BYTES_MAX as u64)),
            ("depth", number(wire::DEPTH_MAX as u64)),
            ("keys", number(wire::KEYS_MAX as u64)),
            ("name", number(wire::NAME_BYTES_MAX as u64)),
            ("actions_in_flight", number(wire::ACTIONS_IN_FLIGHT as u64)),
            ("asynchronous actions", number(wire::PENDING_MAX as u64)),
            ("window", number(wire::WINDOW_BYTES as u64)),
            ("events", number(wire::EVENTS_MAX as u64)),
            ("outcomes", number(wire::OUTCOMES_MAX as u64)),
            ("clients", number(wire::CLIENTS_MAX as u64)),
            ("finished jobs", number(wire::FINISHED_JOBS_MAX as u64)),
            ("job log", number(wire::JOB_LOG_LINES_MAX as u64)),
            ("fragments", number(crate::connection::FRAGMENTS_MAX)),
            ("hello", time(crate::connection::HELLO_MAX)),
            ("whole message", time(crate::connection::MESSAGE_TIME_MAX)),
            ("authenticate", time(crate::guest::ASKED_MAX)),
        ] {
            let row = page.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
            let row = row.unwrap_or_else(|| panic!("docs/limits.md has no row `{name}`"));
            let cell = row.split('|').nth(2).unwrap_or_default().trim();
            let is_it = cell == default || cell.strip_prefix(&default).is_some_and(|rest| rest.starts_with([' ', ',']));
            assert!(is_it, "`{name}` is {default}, and docs/limits.md says \"{cell}\"");
        }
        // And every counter is explained.
        let counters = format!("{:?}", Refusals::default());
        let names = counters.split(['{', ',', '}']).skip(1).filter_map(|part| part.split(':').next());
        for name in names.map(str::trim).filter(|name| !name.is_empty()) {
            assert!(page.contains(&format!("`{name}`")), "docs/limits.md does not name the counter `{name}`");
        }
    }
}
