//! Who has which session, as long as this process lives.
//!
//! Epochs of a later process are higher than all of an earlier one, so that nothing of this has to be on disk: a session
//! that nobody of this process has claimed is nobody's.

use std::collections::{HashMap, HashSet};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::{Epoch, Key};

/// The epochs that count, and the keys that are being written.
#[derive(Debug, Default)]
pub(super) struct Fence {
    state: Mutex<State>,
    /// Somebody is through with what was being written.
    through: Condvar,
}

#[derive(Debug, Default)]
struct State {
    held: HashMap<Key, Epoch>,
    /// Keys of the batches that are on their way to the disk. A claim of one waits: it has to give what they leave.
    busy: HashSet<Key>,
}

/// The right to write some keys, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Busy<'a> {
    fence: &'a Fence,
    keys: Vec<Key>,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let mut state = self.fence.state();
        for key in &self.keys {
            state.busy.remove(key);
        }
        drop(state);
        self.fence.through.notify_all();
    }
}

impl Fence {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, once nobody is writing what is asked for.
    fn quiet(&self, mut is_busy: impl FnMut(&State) -> bool) -> MutexGuard<'_, State> {
        let state = self.state();
        self.through.wait_while(state, |state| is_busy(state)).unwrap_or_else(PoisonError::into_inner)
    }

    /// Raises the epoch. Afterwards nothing under an earlier one begins, and all that had begun is through.
    pub(super) fn claim<E>(&self, key: Key, next: impl FnOnce() -> Result<Epoch, E>) -> Result<Epoch, E> {
        let mut state = self.quiet(|state| state.busy.contains(&key));
        let epoch = next()?;
        let before = state.held.insert(key, epoch);
        debug_assert!(before.is_none_or(|before| before < epoch), "epochs of one key grow");
        Ok(epoch)
    }

    /// Gives the session back. False when it belongs to somebody else.
    pub(super) fn release(&self, key: Key, epoch: Epoch) -> bool {
        let mut state = self.state();
        let is_mine = state.held.get(&key) == Some(&epoch);
        if is_mine {
            state.held.remove(&key);
        }
        is_mine
    }

    pub(super) fn holder(&self, key: Key) -> Option<Epoch> {
        self.state().held.get(&key).copied()
    }

    /// Waits until nobody else writes any of these, and keeps others from writing or claiming those that `may_write`,
    /// which hears who has the session, lets through. Says for each whether it did.
    pub(super) fn begin(
        &self,
        keys: &[Key],
        may_write: impl Fn(usize, Option<Epoch>) -> bool,
    ) -> (Vec<bool>, Busy<'_>) {
        let mut state = self.quiet(|state| keys.iter().any(|key| state.busy.contains(key)));
        let allowed: Vec<_> =
            keys.iter().enumerate().map(|(at, key)| may_write(at, state.held.get(key).copied())).collect();
        let keys: Vec<_> = keys.iter().zip(&allowed).filter(|(_, allowed)| **allowed).map(|(key, _)| *key).collect();
        state.busy.extend(&keys);
        drop(state);
        (allowed, Busy { fence: self, keys })
    }
}
