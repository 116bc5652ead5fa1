//! Why a store could not do what it was asked to.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

/// Why a store could not do what it was asked to. The text of each says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// The store would hold more than this many bytes. Make room, or raise the setting that is named so.
    BytesMax(usize),
    /// The process has loaded so many sessions as epochs can tell apart, 2^32. Start it again.
    EpochsExhausted,
    /// The store has been opened 2^21 times, which is all that epochs have room for. Start with an empty folder.
    StartsExhausted,
    /// The medium did not answer, or answered with this. Try again later.
    Unavailable(String),
    /// Another process has this folder open. End it, or choose another folder.
    Locked {
        /// The folder.
        folder: PathBuf,
        /// The number of the process that has it, when that is known.
        process: Option<u32>,
    },
    /// The folder or the file in it cannot be written to. Change its owner or mode, or choose another folder.
    ReadOnly(PathBuf),
    /// The disk is full, or a quota is used up. The store works again as soon as there is room.
    DiskFull(PathBuf),
    /// The operating system could not read, write or sync this file.
    Io {
        /// The file, or the folder.
        path: PathBuf,
        /// What the operating system said.
        why: String,
    },
    /// What is in this file is no store, or has been damaged. Move it away, or put a copy in its place.
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// This file was written by a later version, which this one cannot read. Start the later version.
    LaterVersion {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The latest format that this version knows.
        known: u64,
    },
    /// Another process has opened this file while this one could not reach it, and has its sessions now.
    /// Nothing more is saved here: start the process again.
    Replaced(PathBuf),
    /// The store has been closed. A closed one cannot be opened again: make another.
    Closed,
}

impl StoreError {
    /// Whether the store may work again by itself, so that trying again later makes sense.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::EpochsExhausted
            | Self::StartsExhausted
            | Self::Corrupt { .. }
            | Self::LaterVersion { .. }
            | Self::Replaced(_)
            | Self::Closed => false,
            Self::BytesMax(_)
            | Self::Unavailable(_)
            | Self::Locked { .. }
            | Self::ReadOnly(_)
            | Self::DiskFull(_)
            | Self::Io { .. } => true,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BytesMax(max) => write!(f, "the store is full, bytes_max is {max}"),
            Self::EpochsExhausted => f.write_str("this process has no epochs left; start it again"),
            Self::StartsExhausted => f.write_str("this store was opened too often; start with an empty folder"),
            Self::Unavailable(why) => write!(f, "the store does not answer: {why}"),
            Self::Locked { folder, process } => {
                let process = process.map(|process| format!(" ({process})")).unwrap_or_default();
                let folder = folder.display();
                write!(f, "another process{process} has {folder} open; end it, or choose another data folder")
            }
            Self::ReadOnly(path) => write!(
                f,
                "{} cannot be written to; change its owner or mode, or choose another data folder",
                path.display()
            ),
            Self::DiskFull(path) => {
                write!(f, "no room left on the disk of {}; free some, and saving goes on by itself", path.display())
            }
            Self::Io { path, why } => write!(f, "{}: {why}; see to the disk", path.display()),
            Self::Corrupt { path, why } => write!(
                f,
                "{} is damaged or no store of ours: {why}; move it away to start afresh, or put a copy in its place",
                path.display()
            ),
            Self::LaterVersion { path, found, known } => write!(
                f,
                "{} has format {found} and this version knows up to {known}; start the version that wrote it",
                path.display()
            ),
            Self::Replaced(path) => {
                write!(
                    f,
                    "another process has opened {} meanwhile and has its sessions; start this one again",
                    path.display()
                )
            }
            Self::Closed => f.write_str("the store has been closed"),
        }
    }
}

impl Error for StoreError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_names_its_file_and_says_what_to_do() {
        let path = PathBuf::from("/data/sessions.redb");
        let table = [
            (StoreError::Locked { folder: path.clone(), process: Some(7) }, "another process (7)"),
            (StoreError::ReadOnly(path.clone()), "change its owner or mode"),
            (StoreError::DiskFull(path.clone()), "free some"),
            (StoreError::Io { path: path.clone(), why: "bad sector".into() }, "bad sector"),
            (StoreError::Corrupt { path: path.clone(), why: "bad page".into() }, "move it away"),
            (StoreError::LaterVersion { path: path.clone(), found: 9, known: 1 }, "format 9"),
            (StoreError::Replaced(path), "start this one again"),
        ];
        for (error, advice) in table {
            let text = error.to_string();
            assert!(text.contains("/data/sessions.redb") && text.contains(advice), "{text}");
        }
    }
}
