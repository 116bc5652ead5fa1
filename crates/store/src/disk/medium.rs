//! Where the file is, who may have it, and what the operating system says about it.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

use crate::StoreError;

/// Gives the file that a store is kept in. Tests have one that fails.
pub(super) trait Medium: fmt::Debug + Send + Sync + 'static {
    /// What errors name.
    fn path(&self) -> &Path;
    /// The file, if there is one.
    fn open(&self) -> io::Result<Option<Box<dyn StorageBackend>>>;
    /// An empty file beside it, to be made ready.
    fn draft(&self) -> io::Result<Box<dyn StorageBackend>>;
    /// Makes the draft the file, in one step. A process that ends before leaves no half of a store behind.
    fn install(&self) -> io::Result<()>;
}

/// A folder of its own on a disk, locked as long as this lives.
#[derive(Debug)]
pub(super) struct Folder {
    folder: PathBuf,
    file: PathBuf,
    draft: PathBuf,
    _lock: File,
}

const FILE: &str = "sessions.redb";
const DRAFT: &str = "sessions.redb.new";
const LOCK: &str = "lock";

impl Folder {
    /// Makes the folder if there is none, and locks it. Only its owner may read it: records hold private fields.
    pub(super) fn open(folder: &Path) -> Result<Self, StoreError> {
        let fail = |path: &Path| {
            let path = path.to_owned();
            move |error: io::Error| error_of(&error, &path)
        };
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder).map_err(fail(folder))?;
        let lock = folder.join(LOCK);
        let mut file =
            owned(OpenOptions::new().read(true).write(true).create(true)).open(&lock).map_err(fail(&lock))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Only for the message: it may be gone, or about to write its number.
                let _ = file.read_to_string(&mut holder);
                return Err(StoreError::Locked { folder: folder.to_owned(), process: holder.trim().parse().ok() });
            }
            // A file system without locks. The file has one of its own, as far as the system knows any.
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(error_of(&error, &lock)),
        }
        // For whoever comes and finds it locked. A full disk is no reason not to start; the file will tell.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { folder: folder.to_owned(), file: folder.join(FILE), draft: folder.join(DRAFT), _lock: file })
    }
}

impl Medium for Folder {
    fn path(&self) -> &Path {
        &self.file
    }

    fn open(&self) -> io::Result<Option<Box<dyn StorageBackend>>> {
        match OpenOptions::new().read(true).write(true).open(&self.file) {
            Ok(file) => Ok(Some(backend(file)?)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn draft(&self) -> io::Result<Box<dyn StorageBackend>> {
        backend(owned(OpenOptions::new().read(true).write(true).create(true).truncate(true)).open(&self.draft)?)
    }

    fn install(&self) -> io::Result<()> {
        fs::rename(&self.draft, &self.file)?;
        // The name has to be on disk as well. Windows has no such call, and needs none.
        #[cfg(unix)]
        File::open(&self.folder)?.sync_all()?;
        #[cfg(not(unix))]
        let _ = &self.folder;
        Ok(())
    }
}

fn backend(file: File) -> io::Result<Box<dyn StorageBackend>> {
    Ok(Box::new(FileBackend::new(file).map_err(io::Error::other)?))
}

/// Only the owner may read what is made so.
fn owned(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// What the operating system said, as an operator can use it.
pub(super) fn error_of(error: &io::Error, path: &Path) -> StoreError {
    let path = path.to_owned();
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => StoreError::DiskFull(path),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => StoreError::ReadOnly(path),
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof => StoreError::Corrupt { path, why: error.to_string() },
        _ => StoreError::Io { path, why: error.to_string() },
    }
}

/// Counts what is written.
#[derive(Debug, Default)]
pub(super) struct Meters {
    pub(super) written_bytes: AtomicU64,
    pub(super) syncs: AtomicU64,
    pub(super) file_bytes: AtomicU64,
}

/// A file whose writes are counted.
#[derive(Debug)]
pub(super) struct Metered {
    pub(super) inner: Box<dyn StorageBackend>,
    pub(super) meters: Arc<Meters>,
}

impl StorageBackend for Metered {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)?;
        self.meters.file_bytes.store(len, Ordering::Relaxed);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.meters.syncs.fetch_add(1, Ordering::Relaxed);
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.meters.written_bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
        self.inner.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(&self, from: Bound<u64>, to: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(from, to)
    }

    fn try_lock_shared_range(&self, from: Bound<u64>, to: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(from, to)
    }

    fn lock_range(&self, from: Bound<u64>, to: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_range(from, to)
    }

    fn lock_shared_range(&self, from: Bound<u64>, to: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_shared_range(from, to)
    }

    fn unlock_range(&self, from: Bound<u64>, to: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(from, to)
    }

    fn query_lock_range(&self, from: Bound<u64>, to: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.query_lock_range(from, to)
    }
}
