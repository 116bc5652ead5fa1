//! How a session leaves memory: its record is stored, and when nobody has come back by then it goes.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use windlass_engine::{Input, Record};

use super::{Cell, Core, SCRATCH};
use crate::inbox::Entry;
use crate::keeper::{Stored, Storing};
use crate::program::{Program, State};
use crate::{Error, lock};

/// How long sessions wait for somebody to come back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Until one is forgotten in which nothing was ever done.
    pub(crate) unused_after: Duration,
    /// Until one leaves memory.
    pub(crate) park_after: Duration,
    /// Until one is forgotten.
    pub(crate) expire_after: Duration,
}

impl Patience {
    fn shortest(&self) -> Duration {
        self.unused_after.min(self.park_after).min(self.expire_after)
    }
}

impl<S: State> Cell<S> {
    /// Takes the session out of service when nobody needs it: detached for long enough and no job under way. It ends, or
    /// it is parked.
    pub(crate) fn retire(self: &Arc<Self>, patience: &Patience) {
        let detached_at = self.detached_at.load(Ordering::Acquire);
        if detached_at == u64::MAX {
            return;
        }
        let detached = self.hub.uptime().saturating_sub(Duration::from_micros(detached_at));
        if detached < patience.shortest() || !self.take() {
            return;
        }
        let mut core = lock(&self.core);
        let after = if core.session.is_used() { patience.expire_after } else { patience.unused_after };
        let parks = self.hub.program.keeps_states() && core.session.is_used() && detached >= patience.park_after;
        if core.failed || !core.is_idle() {
            // Not now.
        } else if detached >= after {
            self.end(&mut core);
        } else if parks && !core.is_parking {
            self.park_now(&mut core);
        }
        self.give_back(core);
    }

    /// Parks the session now, when nobody is there and nothing is under way.
    pub(crate) fn park(self: &Arc<Self>) {
        if self.take() {
            let mut core = lock(&self.core);
            if self.hub.program.keeps_states() && !core.failed && core.is_idle() {
                self.park_now(&mut core);
            }
            self.give_back(core);
        }
    }

    /// Ends the session, when nobody is there and nothing is under way.
    pub(crate) fn end_if_idle(self: &Arc<Self>) {
        if self.take() {
            let mut core = lock(&self.core);
            if !core.failed && core.is_idle() {
                self.end(&mut core);
            }
            self.give_back(core);
        }
    }

    fn park_now(self: &Arc<Self>, core: &mut Core<S>) {
        if !core.session.is_used() {
            return;
        }
        if !std::mem::replace(&mut core.keeps_records, true) {
            core.session.keep_records(self.hub.keeper.save_options());
        }
        core.is_parking = true;
        self.last_turn(core, Input::Park);
    }

    fn end(self: &Arc<Self>, core: &mut Core<S>) {
        if lock(&self.inbox).close_if_empty() {
            self.last_turn(core, Input::Expire);
            core.failed = true;
            core.end_work();
            self.hub.forget(self);
        }
    }

    fn last_turn(self: &Arc<Self>, core: &mut Core<S>, input: Input<'_, Program<S>>) {
        let (program, now) = (&self.hub.program, self.hub.now());
        core.session.handle(program, input, now);
        SCRATCH.with_borrow_mut(|scratch| core.session.flush(program, scratch, now));
        self.carry_out(core);
        self.step_aside(core);
    }

    /// Hands the role on.
    fn give_back(self: &Arc<Self>, core: MutexGuard<'_, Core<S>>) {
        drop(core);
        // A driver that was called finds nobody calling once this has had the role, so that what it was called for is
        // handed on.
        if !lock(&self.inbox).is_empty() || !self.role.rest() {
            self.role.hand_over();
            self.hub.spawn_driver(Arc::clone(self));
        }
    }

    /// Stores a record; what becomes of it comes into the inbox.
    pub(super) fn save(self: &Arc<Self>, record: Record<Program<S>>) {
        let (turn, cell) = (record.turn, Arc::downgrade(self));
        let told = move |stored| {
            if let Some(cell) = cell.upgrade() {
                cell.tell(Entry::Stored(stored));
            }
        };
        if !record.sealed && !self.hub.keeper.is_durable() {
            // What is not parked goes with the process, wherever in memory it is: nothing is waited for.
            return told(Stored::Saved { turn, bytes: 0, took: Duration::ZERO });
        }
        let hub = Arc::clone(&self.hub);
        let storing = Storing {
            id: self.id,
            epoch: self.epoch,
            turn,
            is_urgent: record.urgent,
            uptime: self.hub.uptime(),
            encode: Box::new(move || record.encode(&hub.program).map_err(|fault| Error::internal(fault.text))),
        };
        self.hub.keeper.store(storing, told);
    }

    /// Leaves memory, when that is asked for and nothing stands against it.
    pub(super) fn step_aside(self: &Arc<Self>, core: &mut Core<S>) {
        if core.is_fenced && !core.failed {
            tracing::warn!(session = %self.id, "another process has taken the session over");
            lock(&self.inbox).close();
            self.hub.let_go(self);
            core.failed = true;
            core.end_work();
        }
        if core.is_parking && core.session.is_sealed() && core.is_idle() && lock(&self.inbox).close_if_empty() {
            core.is_parking = false;
            self.hub.parked(self, core.record_bytes);
        }
    }

    /// Drops the session as the end of its process does: nothing is told, saved or removed.
    pub(crate) fn abandon(self: &Arc<Self>) {
        lock(&self.inbox).close();
        self.hub.let_go(self);
        let mut core = lock(&self.core);
        core.failed = true;
        core.end_work();
    }
}
