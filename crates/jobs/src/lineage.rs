//! Whose child a job is, and which families it has itself.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use crate::guard::lock;
use crate::sync::{AtomicU32, Mutex};
use crate::task::Task;

/// Where a job comes from that another job has started.
pub(crate) struct Lineage {
    /// The job that nobody's job has started: what its descendants emit and log goes there.
    pub(crate) root: Arc<dyn Task>,
    /// Which of its parent's children it is, from 1.
    pub(crate) number: u32,
    /// 1 for a child, 2 for a child's child.
    pub(crate) depth: u8,
}

/// A job's children of one kind, whatever they return.
pub(crate) trait Kin: Send + Sync {
    /// Ends all of them, those to come as well.
    fn stop(&self);

    /// Ends the child with that number, or one of its own descendants. False when it is not among them, or is over.
    fn cancel(&self, number: u32, descendants: &[u32]) -> bool;
}

/// The families of one job.
#[derive(Default)]
pub(crate) struct Families {
    known: Mutex<Vec<Weak<dyn Kin>>>,
    last: AtomicU32,
}

impl Families {
    pub(crate) fn add(&self, family: &Arc<dyn Kin>) {
        let mut known = lock(&self.known);
        known.retain(|family| family.strong_count() > 0);
        known.push(Arc::downgrade(family));
    }

    /// The number of the next child.
    pub(crate) fn number(&self) -> u32 {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Ends all of them; false when there are none.
    pub(crate) fn stop(&self) -> bool {
        let families = self.all();
        families.iter().for_each(|family| family.stop());
        !families.is_empty()
    }

    /// Ends one descendant, by its numbers from here on down.
    pub(crate) fn cancel(&self, path: &[u32]) -> bool {
        let Some((&number, descendants)) = path.split_first() else { return false };
        self.all().iter().any(|family| family.cancel(number, descendants))
    }

    fn all(&self) -> Vec<Arc<dyn Kin>> {
        let known = lock(&self.known);
        // Most jobs have none, and end often.
        if known.is_empty() { Vec::new() } else { known.iter().filter_map(Weak::upgrade).collect() }
    }
}
