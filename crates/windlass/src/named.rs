//! Named callbacks: a job that is a value, so that it can be written down.

use std::any::{TypeId, type_name};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use windlass_protocol::JobId;

use crate::callback::{LongCallback, Work};
use crate::job_options::JobOptions;
use crate::program::State;
use crate::{Cx, Job, Result, Status};

/// A long callback with a name, whose arguments are its fields. Register it with [`App::callback`](crate::App::callback).
///
/// ```
/// use windlass::prelude::*;
///
/// #[derive(Clone, Default, Serialize)]
/// struct Demo { loss: Option<f64> }
///
/// #[derive(Serialize, Deserialize)]
/// struct Train { epochs: u64 }
///
/// impl Callback<Demo> for Train {
///     const NAME: &'static str = "train";
///     type Output = f64;
///
///     fn run(&self, job: &Job) -> Result<f64> {
///         for epoch in 0..self.epochs {
///             job.checkpoint()?;
///             job.progress(epoch, self.epochs);
///         }
///         Ok(0.1)
///     }
///
///     fn on_status(&self, state: &mut Demo, cx: &mut Cx<Demo>, status: Status<f64>) -> Result {
///         if let Status::Done(loss) = status {
///             state.loss = Some(loss);
///             cx.notify(Level::Success, format!("{} epochs are through", self.epochs));
///         }
///         Ok(())
///     }
/// }
///
/// let app = App::new(Demo::default)
///     .callback::<Train>()
///     .action("train", |_, cx, epochs: u64| cx.start(Train { epochs }).map(drop));
/// # let _ = app;
/// ```
pub trait Callback<S: State>: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The name, in `$jobs` and wherever the job is written down. It has to stay the same from version to version.
    const NAME: &'static str;

    /// What it returns.
    type Output: Serialize + DeserializeOwned + Send + 'static;

    /// The work, on a thread of its pool.
    ///
    /// # Errors
    ///
    /// Its own, which reach [`on_status`](Self::on_status).
    fn run(&self, job: &Job) -> Result<Self::Output>;

    /// The status function: runs in a turn of the session, like an action, and is rolled back like one.
    ///
    /// # Errors
    ///
    /// Its own: nothing of the turn is kept, and the operator and `$jobs` are told.
    fn on_status(&self, state: &mut S, cx: &mut Cx<S>, status: Status<Self::Output>) -> Result {
        let _ = (state, cx, status);
        Ok(())
    }

    /// What to do with each value that [`run`](Self::run) emits.
    ///
    /// # Errors
    ///
    /// As [`on_status`](Self::on_status).
    fn on_partial(&self, state: &mut S, cx: &mut Cx<S>, value: serde_json::Value) -> Result {
        let _ = (state, cx, value);
        Ok(())
    }

    /// How it is run when the start says nothing else.
    fn options(&self) -> JobOptions {
        JobOptions::new()
    }
}

impl<S: State> Cx<S> {
    /// Starts a named callback when this turn is kept.
    ///
    /// # Errors
    ///
    /// As [`LongCallback::start`], and an internal one when the callback is not registered with the app.
    pub fn start<C: Callback<S>>(&mut self, callback: C) -> Result<JobId> {
        let options = callback.options();
        self.start_with(callback, options)
    }

    /// Starts a named callback with other options than its own.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_with<C: Callback<S>>(&mut self, callback: C, options: JobOptions) -> Result<JobId> {
        self.services.knows(C::NAME, TypeId::of::<C>(), type_name::<C>())?;
        let callback = Arc::new(callback);
        let (status, partial, run) = (Arc::clone(&callback), Arc::clone(&callback), callback);
        LongCallback::new(self, C::NAME.to_owned(), Work::Blocking(Box::new(move |job| run.run(job))))
            .options(options)
            .on_status(move |state, cx, told| status.on_status(state, cx, told))
            .on_partial(move |state, cx, value| partial.on_partial(state, cx, value))
            .start()
    }
}
