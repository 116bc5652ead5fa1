//! A session made from its record, in a new epoch.

use windlass_protocol::{Dialect, FrameNumber, JobId, Seq};

use crate::actions::Actions;
use crate::client::{Client, Tokens};
use crate::durable::{ClientSaves, Durable, Shown};
use crate::event::EventQueue;
use crate::job::JobTable;
use crate::record::{ClientRecord, Head, read, unhex};
use crate::turn::Cause;
use crate::{App, Fault, Hook, Output, RestoreError, Revived, SaveOptions, Session, SessionOptions, Time, guard};

impl<A: App> Session<A> {
    /// Makes a session from what [`Record::encode`](crate::Record::encode) wrote, in a new epoch.
    ///
    /// Clients that return go on where they were when the record was sealed and holds what they were shown last, and get
    /// a snapshot otherwise. Jobs that had not ended run again or are lost, as [`App::revive`] says; asynchronous actions
    /// that had not ended have failed with `lost`. Declare keys before the first input is handled, with which the app
    /// hears [`Hook::Restored`].
    ///
    /// # Errors
    ///
    /// A [`RestoreError`], which says what to do. No bytes make it panic.
    pub fn restore(
        app: &A,
        options: SessionOptions,
        saves: SaveOptions,
        record: &[u8],
        now: Time,
    ) -> Result<Self, RestoreError> {
        let (head, state) = read(record)?;
        if head.id != options.id {
            return Err(RestoreError::OtherSession(head.id));
        }
        if head.epoch >= options.epoch {
            return Err(RestoreError::Corrupt("its epoch is not before the one that loads it".into()));
        }
        let bytes = state.get().len();
        let loaded = guard(|| app.load_state(&head.kind, state));
        let loaded = loaded.unwrap_or_else(|panic| Err(format!("panicked: {panic}")));
        let state = loaded.map_err(|text| RestoreError::State { kind: head.kind.clone().into_owned(), text })?;
        let corrupt = |what: &str| RestoreError::Corrupt(what.to_owned());
        // What a client said before is compared with the hash that it had then.
        let options = SessionOptions { hash_key: head.hash_key, ..options };
        let mut session = Self::new(options, state);
        session.size.is(bytes);
        let resumable = head.sealed && !head.ahead;
        session.jobs = JobTable::restore(&head.jobs).ok_or_else(|| corrupt("a job has no id"))?;
        session.identity.clone_from(&head.identity);
        (session.used, session.admitted) = (true, head.admitted);
        for record in &head.clients {
            let client = restore_client(record, &head, resumable, now, !saves.is_told);
            session.clients.push(client.ok_or_else(|| corrupt("a client has no token"))?);
        }
        let mut durable = Durable::new(saves);
        (durable.has_record, durable.unbegun, durable.resumable) = (true, true, resumable);
        session.durable = Some(Box::new(durable));
        Ok(session)
    }

    /// The first that happens in this epoch.
    pub(crate) fn begin_again(&mut self, app: &A) {
        if self.durable.as_ref().is_some_and(|durable| durable.resumable) {
            // The clients hold the document of the record: from here on it is compared with.
            let shown = self.snapshot(app, Dialect::Compact, FrameNumber(0), Seq(0), &mut Vec::new());
            if let Err(fault) = shown {
                self.outputs.push(Output::Fault(fault));
                self.clients.iter_mut().for_each(|client| client.stream.forget());
            }
        }
        // What is started again goes with no action that shares its turn.
        self.batch.is_fixed = true;
        self.hear(app, &Hook::Restored, Cause::Other);
        let unfinished: Vec<JobId> = self.jobs.all_unfinished().collect();
        for job in unfinished {
            self.revive(app, job);
        }
    }

    /// Starts a job of an earlier loading again, or ends it.
    fn revive(&mut self, app: &A, job: JobId) {
        let Some(unended) = self.jobs.unended(job) else { return };
        let may_run = unended.may_run;
        let revived = guard(|| app.revive(&unended)).unwrap_or_else(|panic| {
            self.outputs.push(Output::Fault(Fault::failed("internal", panic)));
            Revived::Lost(None)
        });
        match revived {
            Revived::Again(work) if may_run => {
                let start = self.jobs.revive::<A>(job, work, self.options.epoch);
                self.batch.staged().starts.extend(start);
            }
            Revived::Again(_) => self.jobs.lose(job),
            Revived::Lost(update) => {
                self.jobs.lose(job);
                if let Some(update) = update {
                    self.tell_app(app, job, update, true);
                }
            }
        }
    }
}

fn restore_client(
    record: &ClientRecord<'_>,
    head: &Head<'_>,
    resumable: bool,
    now: Time,
    is_silent: bool,
) -> Option<Client> {
    let current = unhex(&record.token)?;
    let offered = match &record.offered {
        Some(offered) => Some(unhex(offered)?),
        None => None,
    };
    let (epoch, n) = (record.shown.0, FrameNumber(record.shown.1));
    let whole = resumable && record.whole;
    let mut client = Client::known(record.id, Tokens { current, offered, since: now }, now);
    client.is_changed = record.is_changed;
    client.born = record.born;
    client.actions = Actions::restore(record, &lost());
    client.events = EventQueue::restore(record);
    client.stream.dialect = match record.dialect {
        0 => Dialect::Compact,
        more => Dialect::JsonPatch { appends: more > 1 },
    };
    if !whole {
        client.stream.forget();
        client.stream.awaits_snapshot = true;
    }
    client.saves = Some(Box::new(ClientSaves {
        saved: record.last,
        shown: Some(Shown { epoch, n, whole, frozen: head.frozen }),
        is_silent,
        ..ClientSaves::default()
    }));
    Some(client)
}

/// How an asynchronous action ends whose process has.
fn lost() -> String {
    Fault::failed("lost", "the server started again before this was answered").outcome()
}
