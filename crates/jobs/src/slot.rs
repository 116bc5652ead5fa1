//! A place in a queue that is kept for a job which is still to come.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use crate::job::{Core, Form, FutureJob, Job, JobHandle, Spec};
use crate::options::SubmitError;
use crate::pool::Shared;
use crate::report::Sink;
use crate::task::{Callback, FutureCallback, Task, TypedTask};

/// A place in the queue that is kept for a job. Dropping it gives the place back.
pub struct Slot {
    pub(crate) shared: Arc<Shared>,
    pub(crate) owner: u64,
    pub(crate) form: Form,
}

impl Slot {
    /// Puts a blocking job into this place, as [`Pool::submit`](crate::Pool::submit) does.
    ///
    /// # Errors
    /// A setting of `spec` that is wrong, [`SubmitError::ShuttingDown`] or [`SubmitError::NoThread`].
    ///
    /// # Panics
    /// When the place was kept for a future, or for another owner.
    pub fn submit<T, E>(
        self,
        spec: Spec,
        work: impl Fn(&Job) -> Result<T, E> + Send + Sync + 'static,
        sink: impl Sink<T, E>,
    ) -> Result<JobHandle, SubmitError>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let core = self.core(spec, Form::Blocking)?;
        self.push(Arc::new(TypedTask::new(core, Callback::new(work), sink)))
    }

    /// Puts a future into this place, as [`Pool::submit_future`](crate::Pool::submit_future) does.
    ///
    /// # Errors
    /// As [`submit`](Self::submit).
    ///
    /// # Panics
    /// When the place was kept for a blocking job, or for another owner.
    pub fn submit_future<T, E, F>(
        self,
        spec: Spec,
        work: impl Fn(FutureJob) -> F + Send + Sync + 'static,
        sink: impl Sink<T, E>,
    ) -> Result<JobHandle, SubmitError>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let core = self.core(spec, Form::Future)?;
        self.push(Arc::new(TypedTask::new(core, FutureCallback::new(work), sink)))
    }

    fn core(&self, spec: Spec, form: Form) -> Result<Core, SubmitError> {
        assert!(form == self.form && spec.owner == self.owner, "the place is kept for another job");
        spec.check()?;
        Ok(Core::new(spec, form, self.shared.next_id(), Arc::clone(&self.shared)))
    }

    fn push(self, task: Arc<dyn Task>) -> Result<JobHandle, SubmitError> {
        self.shared.push(&task)?;
        Ok(JobHandle { task })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.shared.release(self.owner, self.form);
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("owner", &self.owner).field("form", &self.form).finish()
    }
}
