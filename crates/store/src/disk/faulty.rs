//! A disk for tests: it fails when it is told to, and keeps what was written apart from what would survive a crash.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use redb::StorageBackend;

use super::medium::Medium;

/// The disk. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub(super) struct FaultyDisk(Arc<Mutex<Disk>>);

#[derive(Debug, Default)]
struct Disk {
    file: Option<Image>,
    draft: Option<Image>,
    /// Calls so far that could fail.
    calls: u64,
    /// From which call on calls fail, how many, and with what.
    fault: Option<Fault>,
    /// A file may not be longer.
    room: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    pub(super) from: u64,
    pub(super) count: u64,
    pub(super) kind: ErrorKind,
}

#[derive(Clone, Debug, Default)]
struct Image {
    live: Vec<u8>,
    durable: Vec<u8>,
    /// What was done since the last sync, in order.
    unsynced: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Len(usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Len(len) => bytes.resize(*len, 0),
            Self::Write(at, data) => {
                // A write may have reached the disk when the length it needs has not.
                let end = bytes.len().min(at + data.len());
                if let Some(place) = bytes.get_mut(*at..end) {
                    place.copy_from_slice(&data[..end - at]);
                }
            }
        }
    }
}

impl FaultyDisk {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap()
    }

    /// How many calls there were.
    pub(super) fn calls(&self) -> u64 {
        self.disk().calls
    }

    pub(super) fn fail(&self, fault: impl Into<Option<Fault>>) {
        self.disk().fault = fault.into();
    }

    /// How large a file may become; `None` for any size.
    pub(super) fn room(&self, room: impl Into<Option<u64>>) {
        self.disk().room = room.into();
    }

    /// Changes bytes of the file, as a failing disk does.
    pub(super) fn damage(&self, change: impl FnOnce(&mut Vec<u8>)) {
        let mut disk = self.disk();
        let image = disk.file.as_mut().unwrap();
        change(&mut image.live);
        image.durable.clone_from(&image.live);
    }

    /// The disk after the machine lost its power: what was synced, and of the rest any part of any write.
    pub(super) fn after_power_loss(&self, mut random: impl FnMut(u64) -> u64) -> Self {
        let file = self.disk().file.clone().map(|image| {
            let mut bytes = image.durable;
            for change in image.unsynced {
                match (&change, random(3)) {
                    (_, 0) => {}
                    // Sectors are whole or not written at all.
                    (Change::Write(at, data), 1) => {
                        for (sector, data) in data.chunks(512).enumerate().filter(|_| random(2) == 0) {
                            Change::Write(at + sector * 512, data.to_vec()).apply(&mut bytes);
                        }
                    }
                    _ => change.apply(&mut bytes),
                }
            }
            Image { live: bytes.clone(), durable: bytes, unsynced: Vec::new() }
        });
        Self(Arc::new(Mutex::new(Disk { file, ..Disk::default() })))
    }

    /// The disk after the process was killed: what was written is there.
    pub(super) fn after_kill(&self) -> Self {
        let file = self.disk().file.clone().map(|image| Image { durable: image.live.clone(), ..image });
        Self(Arc::new(Mutex::new(Disk { file, ..Disk::default() })))
    }
}

impl Disk {
    fn call(&mut self) -> io::Result<()> {
        let call = self.calls;
        self.calls += 1;
        match self.fault {
            Some(fault) if call >= fault.from && call - fault.from < fault.count => Err(fault.kind.into()),
            _ => Ok(()),
        }
    }
}

impl Medium for FaultyDisk {
    fn path(&self) -> &Path {
        Path::new("/faulty/sessions.redb")
    }

    fn open(&self) -> io::Result<Option<Box<dyn StorageBackend>>> {
        let mut disk = self.disk();
        disk.call()?;
        Ok(disk.file.is_some().then(|| Box::new(FaultyFile { disk: self.clone(), is_draft: false }) as _))
    }

    fn draft(&self) -> io::Result<Box<dyn StorageBackend>> {
        let mut disk = self.disk();
        disk.call()?;
        disk.draft = Some(Image::default());
        Ok(Box::new(FaultyFile { disk: self.clone(), is_draft: true }))
    }

    fn install(&self) -> io::Result<()> {
        let mut disk = self.disk();
        disk.call()?;
        disk.file = disk.draft.take();
        Ok(())
    }
}

#[derive(Debug)]
struct FaultyFile {
    disk: FaultyDisk,
    is_draft: bool,
}

impl FaultyFile {
    fn with<R>(&self, call: impl FnOnce(&mut Image, Option<u64>, io::Result<()>) -> io::Result<R>) -> io::Result<R> {
        let mut disk = self.disk.disk();
        let (room, called) = (disk.room, disk.call());
        let image = if self.is_draft { disk.draft.as_mut() } else { disk.file.as_mut() };
        call(image.unwrap(), room, called)
    }
}

impl StorageBackend for FaultyFile {
    fn len(&self) -> io::Result<u64> {
        self.with(|image, _, called| called.map(|()| image.live.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.with(|image, _, called| {
            called?;
            let at = usize::try_from(offset).unwrap();
            out.copy_from_slice(image.live.get(at..at + out.len()).ok_or(ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.with(|image, room, called| {
            called?;
            if room.is_some_and(|room| len > room.max(image.live.len() as u64)) {
                return Err(ErrorKind::StorageFull.into());
            }
            let change = Change::Len(usize::try_from(len).unwrap());
            change.apply(&mut image.live);
            image.unsynced.push(change);
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|image, _, called| {
            // What a sync that failed has written is anybody's guess, and the next one does not write it again.
            called?;
            image.durable.clone_from(&image.live);
            image.unsynced.clear();
            Ok(())
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.with(|image, _, called| {
            // One that fails may have come half the way.
            let data = if called.is_ok() { data } else { &data[..data.len() / 2] };
            let change = Change::Write(usize::try_from(offset).unwrap(), data.to_vec());
            change.apply(&mut image.live);
            image.unsynced.push(change);
            called
        })
    }
}
