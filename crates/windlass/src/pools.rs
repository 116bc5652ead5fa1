//! The pools on which an app's long callbacks run, by name.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;
use windlass_jobs::{Pool, PoolOptions, Stats};

use crate::test::Stage;
use crate::{Error, Result};

/// The pool of a callback that names none.
pub(crate) const DEFAULT_POOL: &str = "jobs";

/// The pools of an app, each with its name.
pub(crate) struct Pools(BTreeMap<String, Pool>);

impl Pools {
    /// Starts no thread yet. Futures run on `runtime`; on a `stage`, nothing is due by itself, and each on a thread.
    pub(crate) fn new(
        options: impl IntoIterator<Item = PoolOptions>,
        runtime: &Handle,
        stage: Option<&Arc<Stage>>,
    ) -> Self {
        let pools = options.into_iter().map(|options| {
            let name = options.name.clone();
            let pool = match stage {
                Some(stage) => {
                    let pool = Pool::driven(Stage::options(options), Arc::<Stage>::clone(stage));
                    pool.run_futures_on(Stage::run_future);
                    pool
                }
                None => {
                    let (pool, runtime) = (Pool::new(options), runtime.clone());
                    pool.run_futures_on(move |future| drop(runtime.spawn(future)));
                    pool
                }
            };
            (name, pool)
        });
        Self(pools.collect())
    }

    /// The pool of that name.
    ///
    /// # Errors
    ///
    /// One that names those that there are.
    pub(crate) fn get(&self, name: &str) -> Result<&Pool> {
        self.0.get(name).ok_or_else(|| {
            let known: Vec<_> = self.0.keys().map(String::as_str).collect();
            let known = known.join("\", \"");
            Error::internal(format!("no pool is called \"{name}\": describe it with `App::pool`; there is \"{known}\""))
        })
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Pool> {
        self.0.values()
    }

    /// What each is busy with.
    pub(crate) fn stats(&self) -> Vec<(String, Stats)> {
        self.0.iter().map(|(name, pool)| (name.clone(), pool.stats())).collect()
    }

    /// Ends all jobs, at the same time for each pool; gives how many did not end before the deadline.
    pub(crate) fn shutdown(&self, deadline: Duration) -> usize {
        thread::scope(|scope| {
            let ends: Vec<_> = self.iter().map(|pool| scope.spawn(move || pool.shutdown(deadline))).collect();
            ends.into_iter().map(|end| end.join().unwrap_or_default()).sum()
        })
    }
}
