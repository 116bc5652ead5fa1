//! Runs long callbacks on bounded pools of its own threads and as futures on a runtime that it is given, and tells how each of them is getting on.
//!
//! ```
//! use std::sync::mpsc;
//! use std::time::Duration;
//! use windlass_jobs::{Cancelled, End, Job, Pool, PoolOptions, Report, Spec};
//!
//! fn train(job: &Job, epochs: u64) -> Result<f64, Cancelled> {
//!     let mut loss = 1.0;
//!     for i in 0..epochs {
//!         job.checkpoint()?; // the place to stop when someone has cancelled
//!         loss /= 2.0;
//!         job.progress(i + 1, epochs);
//!     }
//!     Ok(loss)
//! }
//!
//! let pool = Pool::new(PoolOptions { threads: 2, ..PoolOptions::default() });
//! let (tx, rx) = mpsc::channel();
//! let owner = 7;
//! pool.submit(
//!     Spec::new("train", owner).every(Duration::from_secs(5)),
//!     |job| train(job, 3),
//!     move |report| tx.send(report).expect("someone listens"),
//! )?;
//! let reports: Vec<_> = rx.iter().collect();
//! assert_eq!(reports.first(), Some(&Report::Started));
//! assert_eq!(reports.last(), Some(&Report::Ended(End::Done(0.125))));
//! # Ok::<(), windlass_jobs::SubmitError>(())
//! ```
//!
//! # What holds
//!
//! - **One end.** [`Report::Ended`] comes exactly once for each job, last, whatever happens: a return, an error, a panic,
//!   a cancel, a timeout, a shutdown, or several of them at once. Reports of one job never overlap.
//! - **Fair.** Owners take turns in the queue; what waits and what runs is bounded for the pool and for each owner.
//! - **On time.** Ticks keep a fixed schedule from the start of the job, and those that were missed are one.
//!   An end is reported from the thread on which it happens, at once.
//! - **Contained.** Panics in a callback, in its destructor, in the destructor of its result or in a sink end in a
//!   report or in the log; the threads live on.
//!
//! # Stopping a job
//!
//! A running thread cannot be stopped from outside. [`JobHandle::cancel`] asks, and [`Job::checkpoint`],
//! [`Job::is_cancelled`] and [`Job::emit`] are where a callback hears it.
//!
//! ```
//! use std::sync::mpsc;
//! use windlass_jobs::{Cancelled, End, Pool, PoolOptions, Report, Spec};
//!
//! let pool = Pool::new(PoolOptions::default());
//! let (tx, rx) = mpsc::channel();
//! let job = pool.submit(
//!     Spec::new("count", 1),
//!     |job| -> Result<(), Cancelled> {
//!         for i in 0.. {
//!             job.emit(i)?; // waits when nobody takes the partial results, and fails after a cancel
//!         }
//!         Ok(())
//!     },
//!     move |report| tx.send(report).expect("someone listens"),
//! )?;
//! while rx.recv() != Ok(Report::Partials) {}
//! assert_eq!(job.take_partials()[0].get(), "0");
//! assert!(job.cancel());
//! assert_eq!(rx.iter().last(), Some(Report::Ended(End::Cancelled)));
//! # Ok::<(), windlass_jobs::SubmitError>(())
//! ```
//!
//! # Jobs of jobs
//!
//! A job starts jobs of its own and collects them: see [`Children`].
//!
//! This crate knows no session, no runtime and no wire. Times come from a [`Clock`], so that tests need not wait.

mod children;
mod clock;
#[cfg(all(unix, not(loom)))]
mod command;
mod family;
#[cfg(all(test, loom))]
mod family_races;
mod feed;
mod guard;
mod job;
mod life;
mod lineage;
mod options;
mod park;
mod pool;
mod priority;
mod queue;
#[cfg(test)]
mod queue_model;
#[cfg(all(test, loom))]
mod races;
mod ranks;
mod report;
mod retry;
mod schedule;
mod slot;
mod sync;
mod tally;
mod task;
mod timers;

pub use children::{Children, FutureChildren};
pub use clock::{Clock, ManualClock, SystemClock};
#[cfg(all(unix, not(loom)))]
pub use command::{
    COMMAND_INPUT_BYTES_MAX, COMMAND_LINE_BYTES_MAX, COMMAND_LINE_TEXT_MAX, Command, CommandError, CommandInput, Exit,
    LineProblem, ReadyCommand, RunFolder,
};
pub use family::{AT_ONCE_MAX, CHILDREN_MAX, Child, Unfinished};
pub use feed::{LINE_BYTES_MAX, LOG_LINES_MAX, PARTIAL_BYTES_MAX, PARTIALS_MAX};
pub use job::{Cancelled, Form, FutureJob, Job, JobHandle, Spec};
pub use options::{PoolOptions, Spawner, Stats, SubmitError};
pub use pool::Pool;
pub use queue::DEPTH_MAX;
pub use report::{End, Progress, Report, Sink};
pub use retry::{ATTEMPTS_MAX, Retry};
pub use schedule::{PERIOD_MAX, PERIOD_MIN};
pub use slot::Slot;
pub use tally::{Active, Tally};
pub use task::BoxFuture;
