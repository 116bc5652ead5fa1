//! What makes a session durable: when its record is due, and what waits until it is on disk.
//!
//! Turns are counted here as records see them: a flush that changed something that a record holds takes the next
//! number. Whatever must not leave before its cause is saved waits for that number.

use std::collections::VecDeque;
use std::time::Duration;

use windlass_protocol::{Close, CloseCode, Epoch, FrameNumber, Seq};

use crate::record::{Head, JobRecord};
use crate::session::Later;
use crate::{App, Fault, Hook, Output, Record, Session, Time, guard};

/// When a durable session shows what it has done.
///
/// ```
/// use windlass_engine::Durability;
///
/// let is_money = true;
/// let durability = if is_money { Durability::Strict } else { Durability::Eager };
/// assert_ne!(durability, Durability::default(), "eager is the default");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// At once, but for effects that a crash must not contradict. A crash takes back what was not saved, the clients
    /// send it again, and it takes effect once.
    #[default]
    Eager,
    /// When it is on disk: every frame waits for its record.
    Strict,
}

/// How a session is kept on disk.
#[derive(Clone, Copy, Debug)]
pub struct SaveOptions {
    /// What waits for the disk. Default: eager.
    pub durability: Durability,
    /// How long something may be applied and not saved, when nothing asks for it sooner. Default 250 ms. Records of more
    /// than 1 MiB wait longer when saving would take more than a twentieth of a core.
    pub unsaved_max: Duration,
    /// Whether the store answers now; [`Input::Store`](crate::Input::Store) says so later.
    pub store_is_up: bool,
    /// Whether clients are told what is saved. Not where that ends with the process: applied is all there is then, and they
    /// need keep nothing. Default true.
    pub is_told: bool,
}

impl Default for SaveOptions {
    fn default() -> Self {
        Self {
            durability: Durability::Eager,
            unsaved_max: Duration::from_millis(250),
            store_is_up: true,
            is_told: true,
        }
    }
}

/// What a session holds in memory, in bytes. Made on demand; the parts are estimates, the limits that bound them are not.
///
/// ```
/// use windlass_engine::Account;
///
/// let account = Account { record: 900, shadow: 1_000, ..Account::default() };
/// assert_eq!(account.total(), 1_900);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// The record as it was saved last, the state for the most part; 0 while none was.
    pub record: usize,
    /// The state, as JSON: as it was measured last, and what it may have grown by since. It is not counted with the rest:
    /// what it takes in memory is the app's own. 0 while it was neither measured nor shown.
    pub state: usize,
    /// What the clients were told of the view and of the jobs.
    pub shadow: usize,
    /// Frames that were not acknowledged or must wait, and ops that some client was not told.
    pub ring: usize,
    /// Events that were not acknowledged.
    pub events: usize,
    /// Outcomes that were not acknowledged.
    pub outcomes: usize,
    /// The job table.
    pub jobs: usize,
}

impl Account {
    /// All of it but the state.
    #[must_use]
    pub fn total(&self) -> usize {
        self.record + self.shadow + self.ring + self.events + self.outcomes + self.jobs
    }
}

/// A durable session's own part; others have none.
pub(crate) struct Durable<A: App> {
    options: SaveOptions,
    /// The number of the last turn that changed something that a record holds.
    pub(crate) turn: u64,
    /// The last turn whose record is on disk.
    pub(crate) saved: u64,
    /// The last turn whose record was asked for, and did not fail.
    made: u64,
    /// Some record of the session is on disk, of this epoch or an earlier one.
    pub(crate) has_record: bool,
    /// Something has changed that no turn is numbered for.
    pub(crate) touched: bool,
    unsaved_since: Option<Time>,
    /// The record of this turn is to be made at once.
    urgent: u64,
    /// Records that were asked for, oldest first: one that is being written and one that waits.
    writing: VecDeque<Writing>,
    /// What waits for the record of its turn, oldest first.
    held: VecDeque<(u64, Output<A>)>,
    seal: Seal,
    is_down: bool,
    retry_at: Option<Time>,
    /// How long a change may wait for its record.
    interval: Duration,
    record_bytes: usize,
    /// Somebody else has the session now.
    pub(crate) is_fenced: bool,
    /// It was made from a record, and nothing has happened yet.
    pub(crate) unbegun: bool,
    /// The record that it was made from is all that its clients were shown.
    pub(crate) resumable: bool,
}

struct Writing {
    turn: u64,
    sealed: bool,
    /// The highest seq of each client that it holds, by when the client was born.
    seqs: Vec<(u64, Seq)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seal {
    No,
    Asked,
    /// The record of this turn is sealed.
    Made(u64),
}

/// A client's part in a durable session.
#[derive(Debug, Default)]
pub(crate) struct ClientSaves {
    /// A frame for it may only leave when the record of this turn is saved.
    pub(crate) barrier: u64,
    /// So with the turn that is under way.
    pub(crate) must_save: bool,
    /// The highest seq on disk.
    pub(crate) saved: Seq,
    /// The one that it was told, and when.
    pub(crate) told: Seq,
    pub(crate) told_at: Option<Time>,
    /// Actions since the last record, and their bytes.
    pub(crate) actions: usize,
    pub(crate) bytes: usize,
    /// Its welcome waits for this turn's record.
    pub(crate) welcome: Option<u64>,
    /// Until then it is told nothing, unless it has sent again what a crash undid.
    pub(crate) resend_until: Option<Time>,
    /// What it was shown last before this loading: epoch, number, and whether what it was told since says nothing.
    pub(crate) shown: Option<Shown>,
    /// Its next snapshot says that a crash undid something.
    pub(crate) restored: bool,
    /// It is told nothing of what is saved.
    pub(crate) is_silent: bool,
}

/// The last frame that a client was sent before the session was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) epoch: Epoch,
    pub(crate) n: FrameNumber,
    /// The record was sealed and holds what that frame showed: the client goes on from there.
    pub(crate) whole: bool,
    /// One more frame may have come, which told what was saved.
    pub(crate) frozen: bool,
}

impl Shown {
    /// Whether a client that has applied that frame holds what the record holds.
    pub(crate) fn is_all(&self, epoch: Epoch, n: FrameNumber) -> bool {
        self.whole && epoch == self.epoch && (n == self.n || (self.frozen && n == self.n.next()))
    }
}

impl Shown {
    /// Whether a client with that frame may have been shown something after the record was made.
    pub(crate) fn is_before(&self, epoch: Epoch, n: FrameNumber) -> bool {
        let last = if self.frozen { self.n.next() } else { self.n };
        // With a frame of another epoch it missed what it was shown last, and with it that something was undone.
        epoch > Epoch(0) && (epoch != self.epoch || n > last)
    }
}

impl ClientSaves {
    /// What the client's next frame says is saved; `will_be` is when the frame waits for that.
    pub(crate) fn mark(&mut self, will_be: Option<Seq>, now: Time) -> Option<Seq> {
        let saved = will_be.unwrap_or(self.saved);
        (saved > self.told && !self.is_silent).then(|| {
            (self.told, self.told_at) = (saved, Some(now));
            saved
        })
    }

    /// What it is told by its welcome.
    pub(crate) fn welcomed(&mut self) -> Option<Seq> {
        self.told = self.saved;
        (!self.is_silent).then_some(self.saved)
    }

    /// When it is told what is saved, if nothing else is to be told.
    pub(crate) fn mark_due(&self) -> Option<Time> {
        (self.saved > self.told && !self.is_silent)
            .then(|| self.told_at.map_or(Time::default(), |at| at + MARKED_EVERY))
    }

    /// Counts an action that no record holds. True when there are as many as may be.
    pub(crate) fn count(&mut self, bytes: usize) -> bool {
        self.actions += 1;
        self.bytes += bytes;
        self.is_full()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.actions >= UNSAVED_ACTIONS_MAX || self.bytes >= UNSAVED_BYTES_MAX
    }
}

impl<A: App> Durable<A> {
    /// What a client has that is new to the session.
    pub(crate) fn client(&self) -> Box<ClientSaves> {
        Box::new(ClientSaves { is_silent: !self.options.is_told, ..ClientSaves::default() })
    }

    pub(crate) fn new(options: SaveOptions) -> Self {
        Self {
            options,
            turn: 0,
            saved: 0,
            made: 0,
            has_record: false,
            touched: false,
            unsaved_since: None,
            urgent: 0,
            writing: VecDeque::new(),
            held: VecDeque::new(),
            seal: Seal::No,
            is_down: !options.store_is_up,
            retry_at: None,
            interval: options.unsaved_max,
            record_bytes: 0,
            is_fenced: false,
            unbegun: false,
            resumable: false,
        }
    }

    pub(crate) fn is_strict(&self) -> bool {
        self.options.durability == Durability::Strict
    }

    /// Whether even a plain action must be on disk before it is shown.
    pub(crate) fn holds_all(&self) -> bool {
        self.is_strict() || !self.has_record
    }

    /// What an action hears that cannot be kept safe now.
    pub(crate) fn refusal(&self) -> Option<Later> {
        self.is_down.then_some(Later {
            code: "store_unavailable",
            text: "what this does cannot be saved now",
            retry_after: SAVE_RETRY,
        })
    }

    /// Whether no more may wait for the disk.
    pub(crate) fn is_crowded(&self) -> bool {
        self.held.len() >= HELD_MAX
    }

    /// Keeps an effect until the record of the turn is saved.
    pub(crate) fn hold(&mut self, output: Output<A>) {
        self.urgent = self.turn;
        self.held.push_back((self.turn, output));
    }

    /// Keeps what may be said when the turn is saved that is under way, and that changes what a record holds.
    pub(crate) fn hold_next(&mut self, output: Output<A>) {
        self.urgent = self.turn + 1;
        self.held.push_back((self.turn + 1, output));
    }

    /// Something must leave soon that waits for that turn.
    pub(crate) fn hurry(&mut self, turn: u64) {
        self.urgent = self.urgent.max(turn);
    }

    pub(crate) fn is_waiting(&self, job: windlass_protocol::JobId) -> bool {
        self.held.iter().any(|(_, output)| matches!(output, Output::Start(start) if start.id == job))
    }

    pub(crate) fn is_sealing(&self) -> bool {
        self.seal == Seal::Asked
    }

    /// A sealed record was made and is not on disk.
    pub(crate) fn awaits_seal(&self) -> bool {
        matches!(self.seal, Seal::Made(turn) if self.made >= turn && self.saved < turn)
    }

    fn is_due(&self, now: Time) -> bool {
        self.deadline(true).is_some_and(|at| at <= now)
    }

    /// When the next record is to be made.
    fn deadline(&self, used: bool) -> Option<Time> {
        if !used || self.made >= self.turn || self.writing.len() > 1 || self.is_fenced {
            return None;
        }
        if let Some(at) = self.retry_at {
            return Some(at);
        }
        if self.urgent > self.made {
            return Some(Time::default());
        }
        // What is being written is the one copy that may wait.
        self.unsaved_since.filter(|_| self.writing.is_empty()).map(|since| since + self.interval)
    }
}

impl<A: App> Session<A> {
    /// Makes the session durable: from its first action on it asks for its record to be saved. Call it on a session that
    /// was just made.
    pub fn keep_records(&mut self, options: SaveOptions) {
        self.durable = Some(Box::new(Durable::new(options)));
    }

    /// The number of the last turn that changed something that a record holds; 0 before the first, and always in a
    /// session that keeps no records.
    #[must_use]
    pub fn turn(&self) -> u64 {
        self.durable.as_ref().map_or(0, |durable| durable.turn)
    }

    /// The last turn whose record is on disk. What [`turn`](Self::turn) was after a flush is saved when this has reached it.
    #[must_use]
    pub fn saved_turn(&self) -> u64 {
        self.durable.as_ref().map_or(0, |durable| durable.saved)
    }

    /// Whether the session was sealed, and a record on disk holds all of it (or there is nothing worth a record):
    /// it may leave memory.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        let Some(durable) = &self.durable else { return false };
        match durable.seal {
            Seal::Made(turn) => !durable.touched && turn == durable.turn && durable.saved >= turn,
            Seal::Asked => !self.used,
            Seal::No => false,
        }
    }

    /// What it holds in memory.
    #[must_use]
    pub fn account(&self) -> Account {
        let clients = self.clients.iter();
        Account {
            record: self.durable.as_ref().map_or(0, |durable| durable.record_bytes),
            state: self.size.bytes(),
            shadow: self.shadow.bytes() + self.jobs_shadow.as_ref().map_or(0, |shadow| shadow.bytes()),
            ring: clients.clone().map(|client| client.stream.bytes()).sum(),
            events: clients.clone().map(|client| client.events.held_bytes()).sum(),
            outcomes: clients.map(|client| client.actions.bytes()).sum(),
            jobs: self.jobs.bytes(),
        }
    }

    /// What an action hears that must not take effect before it is safe.
    pub(crate) fn refusal(&self) -> Option<Later> {
        let drains =
            self.draining.map(|retry_after| Later { code: "draining", text: "the server is going down", retry_after });
        drains.or_else(|| self.durable.as_ref()?.refusal())
    }

    /// Numbers the turn that is under way, if it changed something that a record holds.
    pub(crate) fn number_turn(&mut self, now: Time) {
        self.used |= self.batch.starts_a_job();
        let (touched, urgent) = (std::mem::take(&mut self.jobs.touched), std::mem::take(&mut self.jobs.urgent));
        let ended = std::mem::take(&mut self.jobs.has_ended);
        let Some(durable) = &mut self.durable else { return };
        durable.touched |= touched;
        if !self.used || !durable.touched {
            return;
        }
        durable.touched = false;
        durable.turn += 1;
        durable.unsaved_since.get_or_insert(now);
        if matches!(durable.seal, Seal::Made(_)) {
            // Somebody came back.
            durable.seal = Seal::No;
        }
        let mut hurries = urgent;
        for client in &mut self.clients {
            let Some(saves) = &mut client.saves else { continue };
            if std::mem::take(&mut saves.must_save) || ended {
                saves.barrier = durable.turn;
            }
            hurries |= saves.is_full();
        }
        if hurries {
            durable.urgent = durable.turn;
        }
    }

    /// The turn whose record must be on disk before a frame for this client may leave; 0 for none.
    pub(crate) fn barrier(&mut self, at: usize) -> u64 {
        let Some(durable) = self.durable.as_mut().filter(|_| self.used) else { return 0 };
        let client = self.clients[at].saves.as_ref().map_or(0, |saves| saves.barrier);
        let barrier = if durable.holds_all() { durable.turn } else { client };
        if barrier <= durable.saved {
            return 0;
        }
        durable.hurry(barrier);
        barrier
    }

    /// Asks for the record to be saved, if it is time.
    pub(crate) fn save(&mut self, app: &A, now: Time) {
        let Some(durable) = self.durable.as_mut().filter(|durable| self.used && !durable.is_fenced) else { return };
        let sealed = durable.is_sealing();
        if sealed {
            // Of its own number, so that no earlier record of the turn is taken for it.
            durable.turn += 1;
            durable.urgent = durable.turn;
            durable.unsaved_since.get_or_insert(now);
            durable.seal = Seal::Made(durable.turn);
        }
        if !durable.is_due(now) {
            return;
        }
        let state = match guard(|| app.copy(&self.state)) {
            Ok(state) => state,
            Err(panic) => {
                durable.retry_at = Some(now + SAVE_RETRY);
                self.outputs.push(Output::Fault(Fault::failed("record_unserialisable", panic)));
                return;
            }
        };
        let (turn, sealed) = (durable.turn, durable.seal == Seal::Made(durable.turn));
        let urgent = durable.urgent > durable.made;
        (durable.made, durable.unsaved_since, durable.retry_at) = (turn, None, None);
        let seqs = self.clients.iter().map(|client| (client.born, client.actions.last)).collect();
        durable.writing.push_back(Writing { turn, sealed, seqs });
        for saves in self.clients.iter_mut().filter_map(|client| client.saves.as_mut()) {
            (saves.actions, saves.bytes) = (0, 0);
        }
        let head = self.head(app, turn, sealed).write();
        let (id, epoch) = (self.options.id, self.options.epoch);
        self.outputs.push(Output::Save(Box::new(Record { id, epoch, turn, sealed, urgent, head, state })));
    }

    fn head<'a>(&'a self, app: &'a A, turn: u64, sealed: bool) -> Head<'a> {
        let epoch = self.options.epoch;
        Head {
            id: self.options.id,
            epoch,
            turn,
            sealed,
            frozen: self.frozen,
            ahead: self.dirty || self.jobs.dirty,
            hash_key: self.options.hash_key,
            identity: self.identity.clone(),
            admitted: self.admitted,
            documents: [],
            clients: self.clients.iter().map(|client| client.record(epoch)).collect(),
            jobs: self.jobs.records().collect::<Vec<JobRecord<'a>>>(),
            kind: app.state_kind(),
        }
    }

    /// The record of a turn is on disk.
    pub(crate) fn saved(&mut self, turn: u64, bytes: usize, took: Duration) {
        let Some(durable) = &mut self.durable else { return };
        let mut last = None;
        while durable.writing.front().is_some_and(|writing| writing.turn <= turn) {
            last = durable.writing.pop_front();
        }
        // One that has failed and was stored all the same, or an answer that came twice.
        let Some(written) = last else { return };
        durable.saved = durable.saved.max(written.turn);
        durable.made = durable.made.max(written.turn);
        (durable.has_record, durable.is_down, durable.retry_at) = (true, false, None);
        durable.record_bytes = bytes;
        self.size.stored(bytes);
        let share = if bytes > LARGE_RECORD { took.saturating_mul(SAVE_SHARE) } else { Duration::ZERO };
        durable.interval = durable.options.unsaved_max.max(share);
        debug_assert!(!written.sealed || durable.seal != Seal::Asked, "sealed records are made by a seal");
        let saved = durable.saved;
        while durable.held.front().is_some_and(|(turn, _)| *turn <= saved) {
            self.outputs.extend(durable.held.pop_front().map(|(_, output)| output));
        }
        for client in &mut self.clients {
            let Some(saves) = &mut client.saves else { continue };
            if let Some((_, seq)) = written.seqs.iter().find(|(born, _)| *born == client.born) {
                saves.saved = saves.saved.max(*seq);
            }
            if saves.welcome.is_some_and(|turn| turn <= saved) {
                saves.welcome = None;
            }
            client.release(saved, &mut self.outputs);
        }
    }

    /// The record of a turn may be on disk or not.
    pub(crate) fn save_failed(&mut self, turn: u64, now: Time) {
        let Some(durable) = &mut self.durable else { return };
        let Some(at) = durable.writing.iter().position(|writing| writing.turn == turn) else { return };
        durable.writing.remove(at);
        durable.is_down = true;
        if durable.writing.is_empty() {
            // All that it held is to be saved again, and more than it held.
            durable.made = durable.saved;
            durable.unsaved_since.get_or_insert(now);
            durable.retry_at = Some(now + SAVE_RETRY);
        }
        self.turn_away();
    }

    /// Says whether the store answers.
    pub(crate) fn store(&mut self, is_up: bool) {
        let Some(durable) = &mut self.durable else { return };
        durable.is_down = !is_up;
        if is_up {
            durable.retry_at = None;
        } else {
            self.turn_away();
        }
    }

    /// Who waits for a welcome that cannot come soon tries again later.
    fn turn_away(&mut self) {
        let Some(durable) = &mut self.durable else { return };
        for client in &self.clients {
            let waits = client.saves.as_ref().is_some_and(|saves| saves.welcome.is_some());
            if let Some(held) = client.connection.as_ref().filter(|_| waits) {
                durable.held.retain(|(_, output)| !matches!(output, Output::Send(to, _) if *to == held.id));
                self.outputs.push(Output::Close(held.id, store_is_down()));
            }
        }
    }

    /// Somebody else has claimed the session: nothing that it does counts any more.
    pub(crate) fn fenced(&mut self) {
        let Some(durable) = &mut self.durable else { return };
        durable.is_fenced = true;
        durable.held.clear();
        self.outputs.clear();
        let close = Close { retry_after: Some(ELSEWHERE_RETRY), ..Close::new(CloseCode::Elsewhere) };
        for client in &mut self.clients {
            let connections = client.connection.take().map(|held| held.id).into_iter();
            for connection in connections.chain(client.contender.take().map(|contender| contender.connection)) {
                self.outputs.push(Output::Close(connection, close));
            }
        }
    }

    /// Seals the session with its next flush, unless something happens after that.
    pub(crate) fn seal(&mut self) {
        if let Some(durable) = &mut self.durable {
            durable.seal = Seal::Asked;
        }
        self.hold = crate::session::Hold::No;
    }

    pub(crate) fn park(&mut self, app: &A) {
        if self.durable.is_some() {
            self.hear(app, &Hook::Parked, crate::turn::Cause::Other);
        }
        self.seal();
    }

    /// One frame may follow a sealed record and be no news to whoever returns: it leaves when all is known that it has to
    /// tell.
    pub(crate) fn has_only_its_last_frame(&self) -> bool {
        self.frozen && self.durable.as_ref().is_some_and(|durable| durable.awaits_seal())
    }

    /// When a durable session has something to do.
    pub(crate) fn save_deadline(&self) -> Option<Time> {
        let durable = self.durable.as_ref()?;
        let marks = self.clients.iter().filter_map(|client| {
            let saves = client.saves.as_ref()?;
            // One that waits for a snapshot is told with it, and that may fail for long.
            let takes = client.takes() && !client.stream.stale && self.hold == crate::session::Hold::No;
            let takes = takes && !self.has_only_its_last_frame();
            let mark = saves.mark_due().filter(|_| takes);
            saves.resend_until.into_iter().chain(mark).min()
        });
        durable.deadline(self.used).into_iter().chain(marks).min()
    }
}

/// What a client hears whose token cannot be saved.
pub(crate) fn store_is_down() -> Close {
    Close { retry_after: Some(SAVE_RETRY), ..Close::new(CloseCode::Busy) }
}

/// How often a client is told what is saved when there is nothing else to tell.
const MARKED_EVERY: Duration = Duration::from_millis(250);
/// Actions of one client that a crash may undo; then a record is made at once.
const UNSAVED_ACTIONS_MAX: usize = 256;
/// Their bytes.
const UNSAVED_BYTES_MAX: usize = 64 * 1024;
/// Effects that wait for the disk: as many as a session's inbox holds.
const HELD_MAX: usize = 1024;
/// When a record that could not be saved is tried again, and when a client is.
const SAVE_RETRY: Duration = Duration::from_secs(1);
/// Time enough for the other node to have loaded the session.
const ELSEWHERE_RETRY: Duration = Duration::from_millis(500);
/// Beyond this, saving takes time that counts.
const LARGE_RECORD: usize = 1 << 20;
/// A record that took some time to make comes at most once in so many times that: a twentieth of a core.
const SAVE_SHARE: u32 = 20;
/// How long a client that a crash has set back may take to send again what was undone, before it is shown the state.
pub(crate) const RESEND_MAX: Duration = Duration::from_millis(500);
