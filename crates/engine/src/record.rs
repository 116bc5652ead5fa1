//! What is kept of a session beyond its process: the record, format 1.
//!
//! A record is one line that names the format and a checksum, and one JSON object: what the session owes its clients,
//! its jobs, and the state as the app writes it. The head is written under the session's lock, since it is small and
//! bounded; the state, which is not, by [`Record::encode`] wherever the driver likes.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::hash::Hasher as _;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use siphasher::sip::SipHasher13;
use windlass_protocol::ids::COUNTER_MAX;
use windlass_protocol::limits::CLIENTS_MAX;
use windlass_protocol::{ClientId, Epoch, Seq, SessionId};

use crate::guard::bury;
use crate::{App, Fault, JobStatus, guard};

/// The newest format, and the one that is written. Older ones are read for ever.
pub const RECORD_FORMAT: u64 = 1;

/// A session as it is to be saved: after which turn, and a copy of all that the record holds.
///
/// Save it under `(id, epoch, turn)`; a later turn of the same epoch replaces it, and so does the same turn.
pub struct Record<A: App> {
    /// Whose record it is.
    pub id: SessionId,
    /// The loading of the session that made it.
    pub epoch: Epoch,
    /// The turn after which it was made. [`Input::Saved`](crate::Input::Saved) names it.
    pub turn: u64,
    /// Nothing comes after it unless somebody comes back: the session is parked, or the server goes down.
    pub sealed: bool,
    /// Something waits for it to be on disk: commit at once. Otherwise it may be grouped with what comes.
    pub urgent: bool,
    pub(crate) head: Vec<u8>,
    pub(crate) state: A::State,
}

impl<A: App> Record<A> {
    /// Writes the record as bytes to store. Runs the app's own serialisation, outside any lock.
    ///
    /// # Errors
    ///
    /// A [`Fault`] `record_unserialisable` when the state does not serialise: answer with
    /// [`Input::SaveFailed`](crate::Input::SaveFailed), and tell the operator.
    pub fn encode(self, app: &A) -> Result<Bytes, Fault> {
        let Self { head, state, .. } = self;
        let (mut out, body) = unsealed();
        out.extend_from_slice(&head);
        let written = guard(|| windlass_sync::saving(|| app.save_state(&state, &mut out)));
        bury(state);
        written
            .unwrap_or_else(|panic| Err(format!("panicked: {panic}")))
            .map_err(|text| Fault::failed("record_unserialisable", format!("the state cannot be saved: {text}")))?;
        out.push(b'}');
        seal(&mut out, body);
        Ok(out.into())
    }
}

impl<A: App> fmt::Debug for Record<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither head nor state: both may hold what is secret.
        let Self { id, epoch, turn, sealed, urgent, .. } = self;
        write!(f, "Record({id} {epoch}.{turn} sealed: {sealed} urgent: {urgent})")
    }
}

/// Why a record makes no session.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RestoreError {
    /// It was written by a later version of Windlass. Start that version, or let the session begin afresh.
    UnknownFormat {
        /// The format that it names.
        found: u64,
    },
    /// It is no record, or not as it was written. Let the session begin afresh and look at the disk.
    Corrupt(String),
    /// It is the record of another session: a mistake of the caller's.
    OtherSession(SessionId),
    /// The app does not take its state: its type has changed. Migrate it, or let the session begin afresh.
    State {
        /// What [`App::state_kind`] was when it was saved.
        kind: String,
        /// What the app said.
        text: String,
    },
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownFormat { found } => {
                write!(f, "a record of format {found}, but this version reads up to {RECORD_FORMAT}")
            }
            Self::Corrupt(what) => write!(f, "a corrupt record: {what}"),
            Self::OtherSession(id) => write!(f, "a record of another session, {id}"),
            Self::State { kind, text } if kind.is_empty() => write!(f, "the saved state does not decode: {text}"),
            Self::State { kind, text } => write!(f, "the saved state of kind \"{kind}\" does not decode: {text}"),
        }
    }
}

impl std::error::Error for RestoreError {}

/// All of a record but its state.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Head<'a> {
    pub(crate) id: SessionId,
    pub(crate) epoch: Epoch,
    pub(crate) turn: u64,
    /// It was written by park or drain after the last turn.
    pub(crate) sealed: bool,
    /// After it no client was told of any change, though it may have been told what was saved.
    pub(crate) frozen: bool,
    /// The state differs from what the clients were told.
    pub(crate) ahead: bool,
    /// The key of the hashes of contents.
    pub(crate) hash_key: [u64; 2],
    pub(crate) identity: Option<Arc<str>>,
    /// How many clients it ever had.
    pub(crate) admitted: u64,
    /// Shared documents, once there are any.
    pub(crate) documents: [(); 0],
    #[serde(borrow)]
    pub(crate) clients: Vec<ClientRecord<'a>>,
    #[serde(borrow)]
    pub(crate) jobs: Vec<JobRecord<'a>>,
    /// See [`App::state_kind`].
    #[serde(borrow)]
    pub(crate) kind: Cow<'a, str>,
}

/// What is kept of a client.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct ClientRecord<'a> {
    pub(crate) id: ClientId,
    pub(crate) born: u64,
    /// Hashes of the secrets by which it may come back: the one that counts, and one that it was offered.
    pub(crate) token: String,
    pub(crate) offered: Option<String>,
    pub(crate) is_changed: bool,
    /// The highest seq consumed.
    pub(crate) last: Seq,
    /// Hashes of the contents of the last few.
    pub(crate) contents: Vec<u64>,
    #[serde(borrow)]
    pub(crate) outcomes: Vec<OutcomeRecord<'a>>,
    #[serde(borrow)]
    pub(crate) events: Vec<EventRecord<'a>>,
    pub(crate) lost: Vec<LostRecord>,
    /// The epoch and the number of the last frame that it was sent.
    pub(crate) shown: (Epoch, u64),
    /// Whether that frame told it all there was.
    pub(crate) whole: bool,
    /// Which dialect it speaks: 0 compact, 1 patches, 2 patches with `append`.
    pub(crate) dialect: u8,
}

impl ClientRecord<'_> {
    /// As [`Head::oddity`], in a record of that epoch.
    fn oddity(&self, epoch: Epoch) -> Option<&'static str> {
        let Self { born, last, contents, outcomes, events, lost, shown, .. } = self;
        let ids = || events.iter().map(|event| event.id);
        let numbers = [*born, last.0, shown.1].into_iter();
        let numbers =
            numbers.chain(ids().map(|id| id.1)).chain(lost.iter().flat_map(|lost| [lost.until.1, lost.count]));
        let mut epochs = ids().map(|id| id.0).chain(lost.iter().map(|lost| lost.until.0)).chain([shown.0]);
        let mut bodies = outcomes.iter().map(|outcome| &outcome.body).chain(events.iter().map(|event| &event.body));
        let mut seqs = outcomes.iter().map(|outcome| outcome.seq);
        if numbers.into_iter().any(|number| number > COUNTER_MAX) {
            Some(TOO_LARGE)
        } else if epochs.any(|told| told > epoch) {
            Some("something of a later epoch than its own")
        } else if contents.len() as u64 > last.0 || seqs.any(|seq| seq.0 == 0 || seq > *last) {
            Some("an outcome of an action that was not consumed")
        } else if !ids().is_sorted_by(|one, next| one < next) {
            Some("events out of order")
        } else if !bodies.all(|body| is_list(body)) {
            Some("an outcome or an event that is no JSON")
        } else {
            None
        }
    }
}

/// Whether a text can stand within the brackets of a list, as something.
fn is_list(body: &str) -> bool {
    serde_json::from_str::<Vec<IgnoredAny>>(&format!("[{body}]")).is_ok_and(|items| !items.is_empty())
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct OutcomeRecord<'a> {
    pub(crate) seq: Seq,
    #[serde(borrow)]
    pub(crate) body: Cow<'a, str>,
    /// It is to come, or came later than its action was consumed.
    pub(crate) late: bool,
    /// It is still to come.
    pub(crate) pending: bool,
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct EventRecord<'a> {
    pub(crate) id: (Epoch, u64),
    /// `volatile`, `must` or `keyed`.
    #[serde(borrow)]
    pub(crate) class: Cow<'a, str>,
    pub(crate) key: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) body: Cow<'a, str>,
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct LostRecord {
    pub(crate) until: (Epoch, u64),
    pub(crate) count: u64,
}

/// What is kept of a job.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct JobRecord<'a> {
    pub(crate) id: String,
    #[serde(borrow)]
    pub(crate) name: Cow<'a, str>,
    /// What it is told apart by from others that are like it, when that is not its name.
    pub(crate) key: Option<Arc<str>>,
    /// As the page sees it.
    pub(crate) status: JobStatus,
    /// It waits for its turn: nothing of it has run that is not over.
    pub(crate) waits: bool,
    pub(crate) attempt: u32,
    pub(crate) rank: Option<u32>,
    pub(crate) eta_ms: Option<u64>,
    pub(crate) elapsed_ms: u64,
    pub(crate) progress: Option<f64>,
    pub(crate) text: Option<Cow<'a, str>>,
    pub(crate) log: Vec<Cow<'a, str>>,
    pub(crate) hidden: bool,
    pub(crate) cancellable_by_page: bool,
    pub(crate) deserted_after_ms: Option<u64>,
    pub(crate) ended: u64,
    /// What it is started again from, when it can be.
    pub(crate) named: Option<NamedRecord<'a>>,
    /// The process outside that runs it, as the driver names it.
    pub(crate) process: Option<Cow<'a, str>>,
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct NamedRecord<'a> {
    #[serde(borrow)]
    pub(crate) arguments: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) key: Cow<'a, str>,
    pub(crate) rerun_on_restart: bool,
}

impl Head<'_> {
    /// What in it no session has written, if there is anything: the checksum is no defence, and the session counts on it.
    fn oddity(&self) -> Option<&'static str> {
        let Self { epoch, turn, admitted, clients, jobs, .. } = self;
        if [epoch.0, *turn, *admitted].into_iter().any(|number| number > COUNTER_MAX) {
            return Some(TOO_LARGE);
        }
        if clients.len() > CLIENTS_MAX {
            return Some("more clients than a session has");
        }
        let mut known = HashSet::new();
        if !clients.iter().all(|client| known.insert(client.id)) {
            return Some("a client twice");
        }
        let mut known = HashSet::new();
        if !jobs.iter().all(|job| known.insert(job.id.as_str())) {
            return Some("a job twice");
        }
        if jobs.iter().any(|job| job.ended > COUNTER_MAX || job.attempt == u32::MAX) {
            return Some(TOO_LARGE);
        }
        clients.iter().find_map(|client| client.oddity(*epoch))
    }

    /// The object, open for the state to follow.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut out = serde_json::to_vec(self).expect("texts and numbers serialise into memory");
        out.pop();
        out.extend_from_slice(b",\"state\":");
        out
    }
}

/// Splits a record into its head and its state, or says what is wrong with it. Never panics.
pub(crate) fn read(bytes: &[u8]) -> Result<(Head<'_>, &RawValue), RestoreError> {
    let corrupt = |what: &str| RestoreError::Corrupt(what.to_owned());
    let line = bytes.iter().take(LINE_MAX).position(|byte| *byte == b'\n').ok_or_else(|| corrupt("no first line"))?;
    let (line, body) = (&bytes[..line], &bytes[line + 1..]);
    let line = std::str::from_utf8(line).map_err(|_| corrupt("the first line is no text"))?;
    let mut words = line.split(' ');
    if words.next() != Some(MAGIC) {
        return Err(corrupt("it does not begin as a record does"));
    }
    let format = words.next().and_then(|word| word.parse().ok()).ok_or_else(|| corrupt("it names no format"))?;
    if format != RECORD_FORMAT {
        return Err(RestoreError::UnknownFormat { found: format });
    }
    let sum = words.next().and_then(|word| u64::from_str_radix(word, 16).ok());
    if sum != Some(checksum(body)) {
        return Err(corrupt("its checksum is another: it was cut short, or changed"));
    }
    // Not as one flattened struct: that would buffer the state as a value.
    let whole = |error: serde_json::Error| RestoreError::Corrupt(format!("it lacks something: {error}"));
    let head = serde_json::from_slice::<Head<'_>>(body).map_err(whole)?;
    let state = serde_json::from_slice::<OnlyState<'_>>(body).map_err(whole)?;
    if let Some(what) = head.oddity() {
        return Err(RestoreError::Corrupt(format!("it holds {what}")));
    }
    Ok((head, state.state))
}

/// Whether a record has jobs that run again when its session is restored. False for what is no record.
#[must_use]
pub fn has_jobs_to_run(record: &[u8]) -> bool {
    let unended = |job: &JobRecord<'_>| !job.status.is_terminal();
    let again = |job: &JobRecord<'_>| job.named.as_ref().is_some_and(|named| job.waits || named.rerun_on_restart);
    read(record).is_ok_and(|(head, _)| head.jobs.iter().any(|job| unended(job) && again(job)))
}

#[derive(Deserialize)]
struct OnlyState<'a> {
    #[serde(borrow)]
    state: &'a RawValue,
}

pub(crate) fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).ok()?;
    }
    Some(bytes)
}

/// The first line of a record, without its checksum yet, and where the body begins.
pub(crate) fn unsealed() -> (Vec<u8>, usize) {
    let line = format!("{MAGIC} {RECORD_FORMAT} {:016x}\n", 0).into_bytes();
    let body = line.len();
    (line, body)
}

/// Writes the checksum of the body into the first line.
pub(crate) fn seal(out: &mut [u8], body: usize) {
    let checksum = format!("{:016x}", checksum(&out[body..]));
    out[body - 17..body - 1].copy_from_slice(checksum.as_bytes());
}

/// Sees what a disk or a person has done, and is no defence against anybody.
fn checksum(body: &[u8]) -> u64 {
    let mut hash = SipHasher13::new_with_keys(1, 2);
    hash.write(body);
    hash.finish()
}

const TOO_LARGE: &str = "a number that no session counts to";
const MAGIC: &str = "windlass-record";
/// More than the first line can have.
const LINE_MAX: usize = 64;
