//! Named callbacks as the jobs of a job.

use windlass_jobs::{Children, FutureChildren, Spec};

use crate::job_options::PATIENCE;
use crate::program::State;
use crate::{Callback, Error};

/// Starts named callbacks among the jobs that a job starts.
///
/// Their name is the callback's, and so are timeouts and retries where [`Callback::options`] has them; their pool, their periods and what happens again
/// or around a page are the first job's. What they return and emit goes to the job that has started them:
/// [`Callback::on_status`] and [`Callback::on_partial`] are not called.
///
/// ```
/// use windlass::prelude::*;
/// use windlass::StartCallback as _;
///
/// #[derive(Clone, Default, Serialize)]
/// struct Lab { best: Option<f64> }
///
/// #[derive(Serialize, Deserialize)]
/// struct Train { rate: f64 }
///
/// impl Callback<Lab> for Train {
///     const NAME: &'static str = "train";
///     type Output = f64;
///
///     fn run(&self, job: &Job) -> Result<f64> {
///         job.checkpoint()?;
///         Ok((self.rate - 0.3).abs())
///     }
/// }
///
/// fn sweep(_: &mut Lab, cx: &mut Cx<Lab>, (): ()) -> Result {
///     cx.long_callback("sweep", |job| {
///         let mut runs = job.children("run").at_once(8);
///         for step in 1..=20 {
///             runs.start_callback(Train { rate: f64::from(step) / 20.0 })?;
///         }
///         Ok(runs.try_join_all()?.into_iter().fold(f64::INFINITY, f64::min))
///     })
///     .on_status(|lab, _cx, status| if let Status::Done(best) = status { lab.best = Some(best) })
///     .start()?;
///     Ok(())
/// }
///
/// let mut t = App::new(Lab::default).action("sweep", sweep).test();
/// t.send("sweep", ());
/// t.jobs().finish("sweep");
/// assert!(t.state().best.is_some_and(|best| best < 1e-9));
/// ```
pub trait StartCallback<T> {
    /// Starts a named callback; gives its number among the children of the job, from 1.
    ///
    /// # Errors
    ///
    /// As [`Children::start`], and an internal one that names the setting which is wrong.
    fn start_callback<S: State, C: Callback<S, Output = T>>(&mut self, callback: C) -> crate::Result<u32>;
}

impl<T: Send + 'static> StartCallback<T> for Children<'_, T, Error> {
    fn start_callback<S: State, C: Callback<S, Output = T>>(&mut self, callback: C) -> crate::Result<u32> {
        let spec = spec::<S, C>(&callback, self.spec())?;
        Ok(self.start_with(spec, move |job| callback.run(job))?)
    }
}

impl<T: Send + 'static> StartCallback<T> for FutureChildren<'_, T, Error> {
    fn start_callback<S: State, C: Callback<S, Output = T>>(&mut self, callback: C) -> crate::Result<u32> {
        let spec = spec::<S, C>(&callback, self.spec())?;
        Ok(self.start_with(spec, move |job| callback.run(job))?)
    }
}

fn spec<S: State, C: Callback<S>>(callback: &C, family: &Spec) -> crate::Result<Spec> {
    let mut spec = callback.options().spec(C::NAME, family.owner, PATIENCE)?;
    spec.soft_timeout = spec.soft_timeout.or(family.soft_timeout);
    spec.hard_timeout = spec.hard_timeout.or(family.hard_timeout);
    spec.retry = spec.retry.or_else(|| family.retry.clone());
    Ok(spec)
}
