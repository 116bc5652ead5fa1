//! Notices actions that block, and runs those where they hold up nobody else.
//!
//! A handler runs on the thread that also reads and writes other sessions' sockets. One that blocks is let through the
//! first time, since nothing in Rust could stop it; from then on tokio is told beforehand, and moves the other sessions
//! to another thread while it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, RuntimeFlavor};

/// An action that has blocked, from [`Live::blocked`](crate::Live::blocked).
///
/// ```
/// use windlass::prelude::*;
///
/// #[derive(Clone, Default, Serialize)]
/// struct Demo { count: i64 }
///
/// # #[tokio::main] async fn main() -> Result {
/// let live = App::new(Demo::default).action("add", |state, _cx, by: i64| state.count += by).build()?;
/// for windlass::Blocked { action, times, longest, .. } in live.blocked() {
///     println!("\"{action}\" has held up other sessions {times} times, for up to {longest:?}");
/// }
/// assert!(live.blocked().is_empty());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Blocked {
    /// The action.
    pub action: &'static str,
    /// How many times it took longer than [`App::blocking_over`](crate::App::blocking_over).
    pub times: u64,
    /// The longest that it took.
    pub longest: Duration,
}

/// How long an action takes, as far as it takes too long.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// How many more runs are isolated: a stall that was not the handler's own is forgotten after so many quick ones.
    isolated: AtomicU32,
    times: AtomicU64,
    longest_us: AtomicU64,
}

impl Pace {
    /// Runs the handler of that action, by itself when it has blocked lately.
    pub(crate) fn run<T>(&self, action: &'static str, limit: Duration, handler: impl FnOnce() -> T) -> T {
        let isolated = self.isolated.load(Ordering::Relaxed);
        let began = Instant::now();
        let outcome = if isolated > 0 && may_block() { apart(handler) } else { handler() };
        let took = began.elapsed();
        if took > limit {
            self.blocked(action, took);
        } else if isolated > 0 {
            self.isolated.store(isolated - 1, Ordering::Relaxed);
        }
        outcome
    }

    #[cold]
    fn blocked(&self, action: &'static str, took: Duration) {
        BLAMED.set(true);
        self.isolated.store(ISOLATED_FOR, Ordering::Relaxed);
        self.longest_us.fetch_max(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        let times = self.times.fetch_add(1, Ordering::Relaxed) + 1;
        // The first, and then ever more rarely: a log that is flooded tells nobody anything.
        if times.is_power_of_two() {
            tracing::warn!(
                action,
                ?took,
                times,
                "an action blocked: heavy work belongs in `cx.long_callback`, waiting for others in `App::async_action`"
            );
        }
    }

    /// What is to be told of it, when it has blocked.
    pub(crate) fn told(&self, action: &'static str) -> Option<Blocked> {
        let times = self.times.load(Ordering::Relaxed);
        let longest = Duration::from_micros(self.longest_us.load(Ordering::Relaxed));
        (times > 0).then_some(Blocked { action, times, longest })
    }
}

/// Who runs turns for many sessions, one after the other.
pub(crate) trait Driving: Send + Sync {
    /// A turn is about to take long: another has to see to the sessions that wait.
    fn step_out(self: Arc<Self>);
    /// It is over.
    fn step_in(&self);
}

/// Runs turns as a driver of many sessions.
pub(crate) fn driving<D: Driving + 'static, T>(driver: &Arc<D>, turns: impl FnOnce() -> T) -> T {
    let before = DRIVER.replace(Some(Arc::clone(driver) as Arc<dyn Driving>));
    let outcome = turns();
    DRIVER.set(before);
    outcome
}

/// Runs what may take long where it holds up no other task, and no session that waits for the same driver.
pub(crate) fn apart<T>(run: impl FnOnce() -> T) -> T {
    let _away = Away::from(DRIVER.take());
    tokio::task::block_in_place(run)
}

/// A driver that is away, until this is dropped: by a panic too.
struct Away(Option<Arc<dyn Driving>>);

impl From<Option<Arc<dyn Driving>>> for Away {
    fn from(driver: Option<Arc<dyn Driving>>) -> Self {
        if let Some(driver) = &driver {
            Arc::clone(driver).step_out();
        }
        Self(driver)
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        if let Some(driver) = self.0.take() {
            driver.step_in();
            DRIVER.set(Some(driver));
        }
    }
}

thread_local! {
    /// The driver whose turns this thread runs.
    static DRIVER: std::cell::Cell<Option<Arc<dyn Driving>>> = const { std::cell::Cell::new(None) };
}

thread_local! {
    /// Something that blocked was warned of by its name since [`take_blamed`].
    static BLAMED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Whether something on this thread was warned of by its name since this was asked last: a second warning about the same
/// would only be longer.
pub(crate) fn take_blamed() -> bool {
    BLAMED.take()
}

/// Whether this thread's other tasks can go on elsewhere.
pub(crate) fn may_block() -> bool {
    Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread)
}

/// How many quick runs in a row make an action one that does not block.
const ISOLATED_FOR: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING_IS_QUICK: Duration = Duration::ZERO;
    const ALL_IS_QUICK: Duration = Duration::MAX;

    #[test]
    fn what_blocks_is_counted_and_what_is_quick_is_not() {
        let pace = Pace::default();
        assert_eq!(pace.run("save", ALL_IS_QUICK, || 7), 7);
        assert_eq!(pace.told("save"), None);
        for _ in 0..3 {
            pace.run("save", NOTHING_IS_QUICK, || std::thread::sleep(Duration::from_micros(1)));
        }
        let told = pace.told("save").unwrap();
        assert_eq!((told.action, told.times), ("save", 3));
        assert!(told.longest > Duration::ZERO);
    }

    #[test]
    fn an_action_that_is_quick_again_is_trusted_again() {
        let pace = Pace::default();
        pace.run("save", NOTHING_IS_QUICK, || std::thread::sleep(Duration::from_micros(1)));
        for left in (0..ISOLATED_FOR).rev() {
            pace.run("save", ALL_IS_QUICK, || ());
            assert_eq!(pace.isolated.load(Ordering::Relaxed), left);
        }
        pace.run("save", ALL_IS_QUICK, || ());
        assert_eq!(pace.isolated.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_was_warned_of_by_its_name_is_not_warned_of_again() {
        take_blamed();
        Pace::default().run("save", ALL_IS_QUICK, || ());
        assert!(!take_blamed());
        Pace::default().run("save", NOTHING_IS_QUICK, || std::thread::sleep(Duration::from_micros(1)));
        assert!(take_blamed() && !take_blamed());
    }

    /// `block_in_place` panics on a runtime of one thread: there the handler just runs.
    #[tokio::test]
    async fn on_a_runtime_of_one_thread_it_just_runs() {
        let pace = Pace::default();
        pace.run("save", NOTHING_IS_QUICK, || std::thread::sleep(Duration::from_micros(1)));
        assert_eq!(pace.run("save", ALL_IS_QUICK, || 7), 7);
    }
}
