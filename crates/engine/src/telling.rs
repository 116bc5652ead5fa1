//! What a session tells its clients: one walk of the view a turn, at most one frame a client.

use std::time::Duration;

use bytes::Bytes;
use windlass_protocol::frame::{self, Extras};
use windlass_protocol::json_patch::{self, NoPatch};
use windlass_protocol::{Dialect, EventId, FrameNumber, Seq};
use windlass_sync::{HashKey, Shadow};

use crate::guard::bury;
use crate::job::JobTable;
use crate::session::{Hold, JOBS, Staged};
use crate::{App, Class, Fault, Output, Scratch, Session, Time, guard};

impl<A: App> Session<A> {
    /// Ends the turn: one walk if somebody can be told, at most one frame a client, and what was staged.
    pub fn flush(&mut self, app: &A, scratch: &mut Scratch, now: Time) {
        match self.hold {
            Hold::Asked => self.hold = Hold::Until(now + HOLD_MAX),
            Hold::Until(until) if until <= now => self.hold = Hold::No,
            Hold::No | Hold::Until(_) => {}
        }
        let mut seals = false;
        if let Some(durable) = &self.durable {
            if durable.is_fenced {
                self.batch.clear(None);
                return;
            }
            seals = durable.is_sealing();
            self.number_turn(now);
            self.end_waits(now);
        }
        if self.hold != Hold::No {
            self.measure_untold(app);
            self.commit();
            self.save(app, now);
            return;
        }
        let told = self.dirty || self.jobs.dirty;
        // A record that is sealed says whether the clients hold what it does.
        let walked = told && (seals || self.clients.iter().any(|client| client.takes()));
        if walked && let Err(fault) = self.walk(app, &mut scratch.ops) {
            self.outputs.push(Output::Fault(fault));
        }
        if !walked {
            self.measure_untold(app);
        }
        let changed = std::mem::take(&mut self.changed);
        self.commit();
        for at in 0..self.clients.len() {
            self.tell(app, at, scratch, changed, now);
        }
        self.save(app, now);
        scratch.trim();
    }

    /// Who was to send again what a crash undid, and has, or has had the time, is told of the state.
    fn end_waits(&mut self, now: Time) {
        for client in &mut self.clients {
            let Some(saves) = client.saves.as_mut().filter(|saves| saves.resend_until.is_some()) else { continue };
            let sent = client.connection.as_ref().is_none_or(|held| client.actions.last >= held.replayed_to);
            if sent || saves.resend_until.is_some_and(|until| until <= now) {
                saves.resend_until = None;
            }
        }
    }

    /// Takes back what has made the state too large, in a turn that nobody is told of.
    fn measure_untold(&mut self, app: &A) {
        if self.dirty && self.batch.has_changed() {
            self.size.untold();
            self.hold_to_size(app);
        }
    }

    /// Writes what changed since the last walk.
    pub(crate) fn walk(&mut self, app: &A, ops: &mut Vec<u8>) -> Result<(), Fault> {
        // Read as soon as the walk begins: whatever it meets, the shadow is what counts afterwards.
        let dirty = std::mem::take(&mut self.dirty);
        if dirty && let Err(fault) = self.diff(app, ops) {
            ops.clear();
            let before = if self.batch.is_fixed { None } else { self.batch.before.take() };
            let Some(before) = before else {
                self.shadow.void();
                return Err(fault);
            };
            bury(std::mem::replace(&mut self.state, before));
            self.take_back(&fault);
            if let Err(second) = self.diff(app, ops) {
                ops.clear();
                self.shadow.void();
                return Err(second);
            }
            return Err(fault);
        }
        if dirty {
            self.hold_told_to_size(app, ops);
        }
        self.changed = !ops.is_empty();
        if self.jobs.dirty {
            let before = ops.len();
            if before > 0 {
                ops.push(b',');
            }
            let written = ops.len();
            let key = HashKey(self.options.hash_key);
            self.jobs_shadow
                .get_or_insert_with(|| told_of_no_jobs(key))
                .diff(&self.jobs.shown(), ops)
                .expect("the job table serialises");
            if ops.len() == written {
                ops.truncate(before);
            }
        }
        self.jobs.dirty = false;
        if ops.starts_with(b"[0,") {
            // The whole root is shorter: it has no `$jobs`, so a snapshot it is.
            ops.clear();
            self.clients.iter_mut().for_each(|client| client.stream.forget());
        }
        Ok(())
    }

    /// Takes back what has made the state too large, though it was walked already.
    fn hold_told_to_size(&mut self, app: &A, ops: &mut Vec<u8>) {
        let was_dirty = self.batch.was_dirty;
        if self.shadow.is_void() {
            self.size.untold()
        } else {
            self.size.told(ops.len())
        }
        if !self.hold_to_size(app) {
            return;
        }
        // The shadow follows the state back. What the pages hold is that, unless they had missed something before.
        ops.clear();
        if was_dirty || self.diff(app, ops).is_err() {
            self.shadow.void();
            self.clients.iter_mut().for_each(|client| client.stream.forget());
        }
        ops.clear();
    }

    pub(crate) fn diff(&mut self, app: &A, ops: &mut Vec<u8>) -> Result<(), Fault> {
        if self.shadow.is_void() {
            // Nobody holds what it would be compared with.
            self.clients.iter_mut().for_each(|client| client.stream.forget());
            return Ok(());
        }
        match guard(|| app.diff(&self.state, &mut self.shadow, ops)) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Fault::failed(UNSERIALISABLE, error.to_string())),
            Err(panic) => {
                self.shadow.void();
                Err(Fault::failed(UNSERIALISABLE, panic))
            }
        }
    }

    /// Answers every action of the turn with a failure and drops what it staged.
    pub(crate) fn take_back(&mut self, fault: &Fault) {
        let text =
            if fault.code == UNSERIALISABLE { "the state after this action cannot be shown" } else { &fault.text };
        let body = frame::outcome_body("failed", &fault.code, text);
        let Some(mut staged) = self.batch.take_staged() else { return };
        for (client, first) in staged.consumed.drain(..) {
            if let Some(client) = self.clients.iter_mut().find(|known| known.id == client) {
                client.actions.replace_from(first, &body);
            }
        }
        for start in &staged.starts {
            self.jobs.remove(start.id);
        }
    }

    /// Lets go what the turn staged.
    pub(crate) fn commit(&mut self) {
        let mut kept = self.batch.take_staged();
        if let Some(staged) = &mut kept {
            self.let_go(staged);
        }
        self.batch.clear(kept);
    }

    fn let_go(&mut self, staged: &mut Staged<A>) {
        staged.consumed.clear();
        self.used |= !staged.starts.is_empty();
        // Of a session that is not worth a record nothing can be undone.
        let mut durable = self.durable.as_deref_mut().filter(|_| self.used);
        for (to, class, body) in staged.events.drain(..) {
            self.last_event += 1;
            let id = EventId { epoch: self.options.epoch, n: self.last_event };
            for client in self.clients.iter_mut().filter(|client| to.is_none_or(|to| to == client.id)) {
                if let (Class::Must, Some(durable), Some(saves)) = (&class, &mut durable, &mut client.saves) {
                    saves.barrier = durable.turn;
                    durable.hurry(durable.turn);
                }
                client.events.push(id, class.clone(), body.clone());
            }
        }
        let starts = staged.starts.drain(..).map(Output::Start);
        let deferred = staged.deferred.drain(..).map(Output::Defer);
        let outputs = starts.chain(deferred).chain(staged.effects.drain(..));
        let Some(durable) = durable else {
            self.outputs.extend(outputs);
            return;
        };
        for output in outputs {
            match &output {
                Output::Start(_) | Output::Defer(_) | Output::Post(_) => durable.hold(output),
                // Never before the start that it is about.
                Output::Cancel(job) if durable.is_waiting(*job) => durable.hold(output),
                _ => self.outputs.push(output),
            }
        }
    }

    /// Sends a client what it has to be told, if it can be.
    pub(crate) fn tell(&mut self, app: &A, at: usize, scratch: &mut Scratch, changed: bool, now: Time) {
        let is_later = self.has_only_its_last_frame();
        let client = &mut self.clients[at];
        let takes = client.takes() && !is_later;
        let unseen = !takes && (self.dirty || self.jobs.dirty);
        let marks = takes && !client.stream.stale && client.mark_due().is_some_and(|due| due <= now || self.frozen);
        if !unseen && !marks && !client.lacks() && scratch.ops.is_empty() {
            return;
        }
        if !takes {
            client.stream.keep(&scratch.ops);
            let is_full = client.stream.is_full();
            if let Some(held) = &mut client.connection
                && held.ready
                && is_full
            {
                held.full_since.get_or_insert(now);
            }
            return;
        }
        let (n, ack, waits) = (client.stream.n.next(), client.actions.last, client.stream.awaits_snapshot);
        let dialect = client.stream.dialect;
        if !client.stream.stale {
            frame::delta(&mut scratch.frame, dialect, n, ack);
            if changed || !client.stream.pending.is_empty() {
                client.stream.changed_in = n;
            }
            if self.write_ops(app, at, &scratch.ops, &mut scratch.frame).is_ok() {
                frame::delta_ops_end(&mut scratch.frame);
            } else {
                scratch.frame.clear();
                self.clients[at].stream.forget();
            }
        }
        let is_snapshot = self.clients[at].stream.stale;
        if is_snapshot {
            // Others have been told everything by the walk of this very turn, so the tape may be made anew.
            match self.snapshot(app, dialect, n, ack, &mut scratch.frame) {
                Ok(()) => {
                    let stream = &mut self.clients[at].stream;
                    (stream.stale, stream.awaits_snapshot, stream.changed_in) = (false, false, n);
                }
                Err(fault) => {
                    self.outputs.push(Output::Fault(fault));
                    if waits || !self.clients[at].owes() {
                        return;
                    }
                    // Outcomes and events go all the same; the document follows when it can be shown.
                    frame::delta(&mut scratch.frame, dialect, n, ack);
                    frame::delta_ops_end(&mut scratch.frame);
                }
            }
        }
        let (barrier, turn) = (self.barrier(at), self.turn());
        let client = &mut self.clients[at];
        let mut extras = Extras::new(&mut scratch.frame, dialect);
        client.actions.write_unsent(n, &mut extras);
        client.events.write_unsent(n, &mut extras);
        if let Some(saves) = &mut client.saves {
            let will_be = (barrier > 0 && barrier == turn).then_some(client.actions.last);
            saves.mark(will_be, now).into_iter().for_each(|seq| extras.saved(seq));
            if is_snapshot && !client.stream.stale && std::mem::take(&mut saves.restored) {
                extras.restored();
            }
        }
        extras.end();
        let bytes = scratch.take_frame();
        if let (Some(bytes), Some(held)) = (client.stream.push(bytes, barrier), &mut client.connection) {
            held.ready = false;
            self.outputs.push(Output::Send(held.id, bytes));
            if client.actions.is_half_full() && !held.asked_for_outcomes {
                held.asked_for_outcomes = true;
                self.outputs
                    .push(Output::Send(held.id, Bytes::from_static(frame::ask(client.stream.dialect).as_bytes())));
            }
        }
    }

    /// Writes what the client has not been told of the document: what others were told before, and what all are now.
    fn write_ops(&mut self, app: &A, at: usize, ops: &[u8], out: &mut Vec<u8>) -> Result<(), NoPatch> {
        let stream = &mut self.clients[at].stream;
        let (mut pending, dialect) = (std::mem::take(&mut stream.pending), stream.dialect);
        if !pending.is_empty() && !ops.is_empty() {
            pending.push(b',');
        }
        let Dialect::JsonPatch { appends } = dialect else {
            out.extend_from_slice(&pending);
            out.extend_from_slice(ops);
            return Ok(());
        };
        pending.extend_from_slice(ops);
        json_patch::write(out, &pending, appends, || {
            // Beside the shadows, which hold the same and stay as they are.
            let key = HashKey(self.options.hash_key);
            let mut document = Vec::new();
            write_document(app, &self.state, &mut Shadow::new(key), &mut document).ok()?;
            write_jobs(&self.jobs, &mut None, key, &mut document);
            Some(document)
        })
    }

    /// Writes a snapshot frame up to its document, and makes the shadows hold it.
    pub(crate) fn snapshot(
        &mut self,
        app: &A,
        dialect: Dialect,
        n: FrameNumber,
        ack: Seq,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        frame::snapshot(out, dialect, n, ack);
        let began = out.len();
        if let Err(text) = write_document(app, &self.state, &mut self.shadow, out) {
            out.clear();
            self.shadow.void();
            return Err(Fault::failed(UNSERIALISABLE, text));
        }
        self.size.shown(out.len() - began);
        write_jobs(&self.jobs, &mut self.jobs_shadow, HashKey(self.options.hash_key), out);
        self.dirty = false;
        self.jobs.dirty = false;
        Ok(())
    }
}

/// Writes the view; its object stays open for the jobs.
fn write_document<A: App>(app: &A, state: &A::State, shadow: &mut Shadow, out: &mut Vec<u8>) -> Result<(), String> {
    match guard(|| app.snapshot(state, shadow, out)) {
        Ok(written) => written.map_err(|error| error.to_string())?,
        Err(panic) => return Err(panic),
    }
    let brace = out.pop();
    debug_assert_eq!(brace, Some(b'}'), "the view is an object");
    Ok(())
}

/// Writes `$jobs` as the last member of the object that is open, and closes it.
fn write_jobs(jobs: &JobTable, shadow: &mut Option<Box<Shadow>>, key: HashKey, out: &mut Vec<u8>) {
    out.extend_from_slice(if out.last() == Some(&b'{') { b"\"$jobs\":" } else { b",\"$jobs\":" });
    if jobs.shows_nothing() {
        *shadow = None;
        out.extend_from_slice(b"[]");
    } else {
        let shadow = shadow.get_or_insert_with(|| Box::new(Shadow::under(key, JOBS)));
        shadow.snapshot(&jobs.shown(), out).expect("the job table serialises");
    }
    out.push(b'}');
}

/// The shadow of an empty list of jobs.
fn told_of_no_jobs(key: HashKey) -> Box<Shadow> {
    let mut shadow = Box::new(Shadow::under(key, JOBS));
    shadow.snapshot(&JobTable::default().shown(), &mut Vec::new()).expect("an empty list serialises");
    shadow
}

/// Longer than a person takes a page that stands still for a quick one.
const HOLD_MAX: Duration = Duration::from_secs(1);
const UNSERIALISABLE: &str = "state_unserialisable";
