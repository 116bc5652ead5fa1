//! Windlass: live web apps in Rust, with heavy work behind them.
//!
//! A server keeps one state object per session, a plain serde struct. The page sends actions; handlers change
//! the state; what changed travels as a small diff over one WebSocket, and the page shows it. Long callbacks run
//! on worker threads and tell the session how they are getting on.
//!
//! ```no_run
//! use windlass::prelude::*;
//!
//! #[derive(Clone, Default, Serialize)]
//! struct Demo { count: i64, loss: Option<f64> }
//!
//! fn train(state: &mut Demo, cx: &mut Cx<Demo>, epochs: u64) -> Result {
//!     state.loss = None;
//!     cx.long_callback("train", move |job| {
//!         for i in 0..epochs {
//!             job.checkpoint()?;
//!             job.progress(i, epochs);
//!         }
//!         Ok(0.1)
//!     })
//!     .on_status(|state, cx, status| match status {
//!         Status::Done(loss) => state.loss = Some(loss),
//!         Status::Failed(error) => cx.notify(Level::Error, error.text),
//!         _ => {}
//!     })
//!     .start()?;
//!     Ok(())
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result {
//!     App::new(Demo::default)
//!         .action("add", |state, _cx, by: i64| state.count += by)
//!         .action("train", train)
//!         .serve("127.0.0.1:8080")
//!         .await
//! }
//! ```

mod address;
mod allowance;
mod app;
mod callback;
mod cell;
mod children;
mod codec;
#[cfg(unix)]
mod command;
mod connection;
mod cx;
mod drivers;
mod durable;
mod error;
mod fields;
#[doc(hidden)]
pub mod fuzz;
mod guest;
mod half_open;
mod hooks;
mod hub;
mod inbox;
mod job_options;
mod job_work;
mod keeper;
mod limits;
mod live;
mod named;
mod nested;
mod outcome;
mod outlet;
mod pace;
mod page;
mod parked;
mod pen;
mod pools;
mod program;
mod quota;
mod random;
mod rate;
mod registry;
mod role;
mod server;
mod services;
mod session_jobs;
mod shortage;
mod socket;
mod status;
mod sync;
pub mod test;
mod types;
mod upgrade;
mod uptime;
mod watched;

pub use app::App;
pub use callback::LongCallback;
pub use children::StartCallback;
pub use cx::{Cx, Level, Notify, To};
pub use error::{Error, Result};
pub use fields::{RowKeys, Written};
pub use guest::{Identity, Login, Per};
pub use hooks::{Failure, Visit};
pub use job_options::{Again, Disconnect, JobOptions};
pub use limits::{Limits, Refusals};
pub use live::{Handle, Live, Totals, Updating};
pub use named::Callback;
pub use outcome::{Outcome, Reply};
pub use pace::Blocked;
pub use page::Page;
pub use program::{State, View, Whole};
pub use server::Server;
pub use status::{Classic, Running, Status};
#[cfg(feature = "types")]
#[doc(no_inline)]
pub use ts_rs::TS;
#[cfg(feature = "types")]
pub use types::Typed;
pub use types::{Describes, DescribesReply, Untyped};
pub use windlass_engine::{Account, Audience, Durability};
#[cfg(unix)]
pub use windlass_jobs::{COMMAND_INPUT_BYTES_MAX, COMMAND_LINE_BYTES_MAX, Command};
pub use windlass_jobs::{
    Cancelled, Child, Children, End, FutureChildren, FutureJob, Job, PoolOptions, Retry, Stats, Unfinished,
};
pub use windlass_protocol::{ChildId, ClientId, JobId, SessionId};
pub use windlass_store as store;
pub use windlass_sync::{Private, SyncVec, Tracked, as_text};

/// What an app's module needs; the README's server uses nothing else.
pub mod prelude {
    pub use std::time::Duration;

    pub use serde::{Deserialize, Serialize};

    pub use crate::{
        App, Audience, Callback, Cx, End, Error, FutureJob, Handle, Job, Level, Notify, Outcome, Private, Reply,
        Result, Status, SyncVec, Tracked, View, page,
    };
    #[cfg(feature = "types")]
    pub use ts_rs::TS;

    #[cfg(feature = "types")]
    pub use crate::Typed;
}

/// The page for those who come from Taipy: its code is tested here.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/from-taipy.md")]
struct FromTaipy;

/// The guide to external commands: its code is tested here, its scripts in `tests/tests/commands/`.
#[cfg(all(doctest, unix))]
#[doc = include_str!("../../../docs/commands.md")]
struct Commands;

/// The guide to long callbacks: its code is tested here.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/long-callbacks.md")]
struct LongCallbacks;

/// The page for operators: its code is tested here.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/durability.md")]
struct DurabilityPage;

/// The guide to types: its code is tested here, its scripts in `web-client/test/package.test.js`, its page in `crates/cli/tests/check.rs`.
#[cfg(all(doctest, feature = "types"))]
#[doc = include_str!("../../../docs/types.md")]
struct Types;

#[doc(hidden)]
pub mod __private {
    pub use rust_embed::{self, RustEmbed};
}

/// A lock whose poison does not matter: what it guards is replaced whole, or its session is ended.
pub(crate) fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
