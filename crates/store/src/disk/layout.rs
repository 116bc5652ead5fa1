//! What is in the file: the tables, the header, and what is kept beside each record.

use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, TableError, WriteTransaction};

use crate::{Epoch, Record, Save};

/// Of each session, what is needed without its record: scans read this alone.
pub(super) const SESSIONS: TableDefinition<'_, &[u8; 12], &[u8; 32]> = TableDefinition::new("sessions");
/// The records themselves.
pub(super) const RECORDS: TableDefinition<'_, &[u8; 12], &[u8]> = TableDefinition::new("records");
/// The same sessions in the order in which they may go, so that a scan reads what it finds and nothing else. By a coarse
/// time, see [`Beside::bucket`], so that most saves leave it as it is.
pub(super) const EXPIRIES: TableDefinition<'_, (u64, &[u8; 12]), ()> = TableDefinition::new("expiries");
/// The header.
const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("about");

/// The format of these tables. What is in a record has a version of its own. Format 1 had no [`EXPIRIES`].
pub(super) const FORMAT: u64 = 2;

/// Brings the tables of an earlier format, or none at all, to this one.
pub(super) fn migrate(transaction: &WriteTransaction, from: u64) -> Result<(), redb::Error> {
    let sessions = transaction.open_table(SESSIONS)?;
    transaction.open_table(RECORDS)?;
    let mut expiries = transaction.open_table(EXPIRIES)?;
    if from < 2 {
        for entry in sessions.iter()? {
            let (key, beside) = entry?;
            expiries.insert((Beside::decode(beside.value()).bucket(), key.value()), ())?;
        }
    }
    Ok(())
}

/// The header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct About {
    pub(super) format: u64,
    /// How often the store was opened: the high half of every epoch.
    pub(super) starts: u64,
    /// The latest `now` of a scan.
    pub(super) uptime: u64,
    /// The highest epoch of a record that was removed. 0 where nobody knows: format 1 did not say.
    pub(super) removed: u64,
}

impl About {
    /// `None` when there is no header: then the file is not ours.
    pub(super) fn read(database: &Database) -> Result<Option<Self>, redb::Error> {
        let table = match database.begin_read()?.open_table(ABOUT) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let field = |name| table.get(name).map(|value| value.map(|value| value.value()));
        let Some(format) = field("format")? else { return Ok(None) };
        let (starts, uptime) = (field("starts")?.unwrap_or_default(), field("uptime")?.unwrap_or_default());
        Ok(Some(Self { format, starts, uptime, removed: field("removed")?.unwrap_or_default() }))
    }

    pub(super) fn write(&self, transaction: &WriteTransaction) -> Result<(), redb::Error> {
        let mut table = transaction.open_table(ABOUT)?;
        let Self { format, starts, uptime, removed } = *self;
        for (name, value) in [("format", format), ("starts", starts), ("uptime", uptime), ("removed", removed)] {
            table.insert(name, value)?;
        }
        Ok(())
    }
}

/// What is kept beside each record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Beside {
    pub(super) epoch: Epoch,
    pub(super) turn: u64,
    pub(super) expiry: u64,
    /// How long the record is.
    pub(super) len: u64,
}

impl Beside {
    pub(super) fn of(save: &Save) -> Self {
        let Save { epoch, turn, expiry, .. } = *save;
        Self { epoch, turn, expiry, len: save.bytes.len() as u64 }
    }

    pub(super) fn record(self, bytes: &[u8]) -> Record {
        let Self { epoch, turn, expiry, .. } = self;
        Record { epoch, turn, expiry, bytes: bytes.to_vec().into() }
    }

    /// Where it is in [`EXPIRIES`].
    pub(super) fn bucket(self) -> u64 {
        bucket_of(self.expiry)
    }

    pub(super) fn encode(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (place, value) in bytes.chunks_exact_mut(8).zip([self.epoch.0, self.turn, self.expiry, self.len]) {
            place.copy_from_slice(&value.to_le_bytes());
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8; 32]) -> Self {
        let (words, _) = bytes.as_chunks::<8>();
        let [epoch, turn, expiry, len] = [words[0], words[1], words[2], words[3]].map(u64::from_le_bytes);
        Self { epoch: Epoch(epoch), turn, expiry, len }
    }
}

/// The place in [`EXPIRIES`] of what may go at that time: steps of about a minute, since the time of a session that is busy
/// moves with each of its records.
pub(super) fn bucket_of(expiry: u64) -> u64 {
    expiry >> 6
}
