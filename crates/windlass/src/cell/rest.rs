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
        if core.failed {
            // Over.
        } else if !core.is_idle() {
            if parks {
                // It has to stay while something runs, and so much of it need not.
                core.session.forget_shown();
            }
        } else if detached >= after {
            self.end(&mut core);
        } else if parks {
            // Again, when something has happened since it was told to: that has broken the seal.
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
            self.hub.forget(self, core.session.is_used());
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
            self.hub.call_driver(Arc::clone(self));
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
        let program = Arc::clone(&self.hub.program);
        let storing = Storing {
            id: self.id,
            epoch: self.epoch,
            turn,
            is_urgent: record.urgent,
            uptime: self.hub.uptime(),
            encode: Box::new(move || record.encode(&*program).map_err(|fault| Error::internal(fault.text))),
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

#[cfg(test)]
mod tests {
    use std::sync::Condvar;
    use std::sync::Mutex;

    use serde::{Deserialize, Serialize};
    use windlass_engine::ConnectionId;
    use windlass_protocol::{ClientMessage, Dialect, Hello};
    use windlass_store::{Claim, Epoch, Expired, Key, MemoryStore, Node, Outcome, Save, SessionStore, StoreError};

    use super::*;
    use crate::App;
    use crate::guest::Guest;
    use crate::hub::Hub;
    use crate::outlet::Outlet;

    #[derive(Clone, Default, Serialize, Deserialize)]
    struct Counter {
        count: u64,
    }

    /// A disk that takes its time.
    struct Slow {
        store: MemoryStore,
        is_shut: Mutex<bool>,
        opened: Condvar,
    }

    impl Slow {
        fn shut(&self, is_shut: bool) {
            *self.is_shut.lock().unwrap() = is_shut;
            self.opened.notify_all();
        }
    }

    impl SessionStore for Slow {
        fn claim(&self, key: Key, node: Node) -> Result<Claim, StoreError> {
            self.store.claim(key, node)
        }

        fn save(&self, batch: &[Save]) -> Vec<Outcome> {
            drop(self.opened.wait_while(self.is_shut.lock().unwrap(), |is_shut| *is_shut).unwrap());
            self.store.save(batch)
        }

        fn release(&self, key: Key, epoch: Epoch) -> Result<bool, StoreError> {
            self.store.release(key, epoch)
        }

        fn remove(&self, key: Key, epoch: Epoch) -> Result<bool, StoreError> {
            self.store.remove(key, epoch)
        }

        fn expired(&self, now: u64, max: usize) -> Result<Vec<Expired>, StoreError> {
            self.store.expired(now, max)
        }

        fn removed(&self) -> Option<Epoch> {
            self.store.removed()
        }
    }

    /// With the epoch that the page is in, and what of it it has sent.
    fn hello(token: Option<&str>, epoch: u64, sent: u64) -> Hello {
        let token = token.map_or("null".to_owned(), |token| format!("\"{token}\""));
        let known = format!(r#""token":{token},"epoch":{epoch},"n":1,"sent":[{epoch},{sent}]"#);
        let text = format!(r#"["h",{{"client":"0f1e2d3c4b5a69788796a5b4","instance":"01",{known}}}]"#);
        let Ok(ClientMessage::Hello(hello)) = ClientMessage::decode(&text) else { panic!("a hello") };
        *hello
    }

    struct Bench {
        disk: Arc<Slow>,
        hub: Arc<Hub<Counter>>,
        connections: u64,
        token: Option<String>,
        epoch: u64,
        sent: u64,
        welcome: String,
    }

    impl Bench {
        fn new() -> Self {
            let disk = Arc::new(Slow { store: MemoryStore::new(1), is_shut: Mutex::default(), opened: Condvar::new() });
            let hub = Self::hub(&disk);
            Self { disk, hub, connections: 0, token: None, epoch: 0, sent: 0, welcome: String::new() }
        }

        fn hub(disk: &Arc<Slow>) -> Arc<Hub<Counter>> {
            let app = App::new(Counter::default)
                .action("add", |state: &mut Counter, _cx, by: u64| state.count += by)
                .store(Arc::<Slow>::clone(disk));
            Arc::clone(&app.build().unwrap().hub)
        }

        /// The process ends and another begins.
        fn crash(&mut self) {
            self.hub.all().iter().for_each(Cell::abandon);
            self.hub = Self::hub(&self.disk);
        }

        /// Comes in, and says that session and outlet.
        fn come(&mut self) -> (Arc<Cell<Counter>>, Arc<Outlet>) {
            self.connections += 1;
            let outlet = Arc::new(Outlet::new(ConnectionId(self.connections), Dialect::Compact));
            let cell = self
                .hub
                .welcome(&outlet, hello(self.token.as_deref(), self.epoch, self.sent), &Guest::default())
                .unwrap();
            let welcome =
                outlet.pop().map(|frame| String::from_utf8(frame.payload.to_vec()).unwrap()).unwrap_or_default();
            if let Some((_, rest)) = welcome.split_once("\"token\":\"") {
                self.token = rest.split_once('"').map(|(token, _)| token.to_owned());
            }
            self.welcome = welcome;
            (cell, outlet)
        }
    }

    /// Does what the connection's task would, and lets other tasks and the writer go on, until it is so.
    async fn until(cell: &Arc<Cell<Counter>>, so: impl Fn() -> bool) {
        while !so() {
            cell.run_if_free(None);
            tokio::task::yield_now().await;
        }
    }

    /// RESUME. Whoever comes while the record is on its way to the disk keeps the session where it is.
    #[tokio::test]
    async fn who_comes_back_while_a_session_is_parked_finds_it_and_it_is_parked_when_they_have_gone() {
        let mut bench = Bench::new();
        let (cell, outlet) = bench.come();
        cell.texts(&outlet, &mut vec!["[\"a\",1,\"add\",5]".into()]);
        until(&cell, || lock(&cell.core).session.saved_turn() > 0).await;
        bench.disk.shut(true);
        cell.lost(outlet.id);
        cell.park();
        assert!(lock(&cell.core).is_parking);
        let (again, outlet) = bench.come();
        assert!(Arc::ptr_eq(&cell, &again), "it is still here");
        bench.disk.shut(false);
        until(&cell, || cell.hub.keeper.stats().is_some_and(|stats| stats.waiting == 0)).await;
        cell.texts(&outlet, &mut vec!["[\"a\",2,\"add\",1]".into()]);
        assert_eq!(cell.view().unwrap()["count"], 6);
        assert!(bench.hub.find(cell.id).is_some());
        cell.lost(outlet.id);
        cell.park();
        until(&cell, || bench.hub.find(cell.id).is_none()).await;
        let (loaded, _) = bench.come();
        assert!(!Arc::ptr_eq(&cell, &loaded) && loaded.id == cell.id && loaded.epoch > cell.epoch);
        assert_eq!(loaded.view().unwrap()["count"], 6);
    }

    /// EXACTLY-ONCE NO-SILENCE. Its page was told that nobody knew what had become of its first action; now it sends it again.
    #[tokio::test]
    async fn a_session_that_a_crash_kept_from_the_disk_begins_again_for_its_page() {
        let mut bench = Bench::new();
        let (cell, outlet) = bench.come();
        (bench.epoch, bench.sent) = (cell.epoch.0, 1);
        bench.disk.shut(true);
        cell.texts(&outlet, &mut vec!["[\"a\",1,\"add\",5]".into()]);
        assert_eq!(cell.view().unwrap()["count"], 5);
        bench.disk.shut(false);
        let (stranger, first) = (format!("{}.{}", cell.id, "0".repeat(32)), bench.token.clone());
        // Nothing of it reaches the disk: the store is claimed anew before the record comes.
        bench.disk.store.claim(Key(cell.id.0), Node(0)).unwrap();
        until(&cell, || bench.disk.store.usage().sessions <= 1 && bench.hub.find(cell.id).is_none()).await;
        bench.crash();
        bench.token = Some(stranger);
        assert_ne!(bench.come().0.id, cell.id, "it is nobody else's");
        bench.token.clone_from(&first);
        let (again, outlet) = bench.come();
        assert_eq!((again.id, again.view().unwrap()["count"].as_u64()), (cell.id, Some(0)));
        assert!(again.epoch > cell.epoch && bench.welcome.contains("\"ack\":0,\"saved\":0,\"resumed\":false"));
        assert!(!bench.welcome.contains("forgotten"), "{}", bench.welcome);
        again.texts(&outlet, &mut vec!["[\"a\",1,\"add\",5]".into()]);
        until(&again, || lock(&again.core).session.saved_turn() > 0).await;
        assert_eq!(again.view().unwrap()["count"], 5);
        // From now on it is a session as any other, and when its record has gone it is gone.
        bench.crash();
        assert_eq!(bench.come().0.view().unwrap()["count"], 5);
        bench.crash();
        let epoch = bench.disk.store.claim(Key(cell.id.0), Node(0)).unwrap().epoch;
        assert_eq!(bench.disk.store.remove(Key(cell.id.0), epoch), Ok(true));
        assert_ne!(bench.come().0.id, cell.id, "it had a record once: nobody knows what was in it");
    }

    #[tokio::test]
    async fn a_token_that_somebody_made_up_opens_no_session_that_is_parked() {
        let mut bench = Bench::new();
        let (cell, outlet) = bench.come();
        cell.texts(&outlet, &mut vec!["[\"a\",1,\"add\",5]".into()]);
        cell.lost(outlet.id);
        cell.park();
        until(&cell, || bench.hub.find(cell.id).is_none()).await;
        bench.token = Some(format!("{}.{}", cell.id, "0".repeat(32)));
        assert_ne!(bench.come().0.id, cell.id);
    }
}
