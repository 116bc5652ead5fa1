//! The files of the repository, as git knows them.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A text file: its path from the top of the repository, with `/`, and what it holds.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    /// Below this folder.
    pub(crate) fn is_in(&self, folder: &str) -> bool {
        self.path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// JavaScript that a person wrote.
    pub(crate) fn is_javascript(&self) -> bool {
        (self.path.ends_with(".js") || self.path.ends_with(".mjs")) && !self.is_generated()
    }

    pub(crate) fn is_generated(&self) -> bool {
        self.path.contains("/dist/") || self.path.ends_with("Cargo.lock") || self.path.ends_with("package-lock.json")
    }
}

/// The top of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every file that is tracked, or would be by `git add .`.
pub(crate) fn all() -> Vec<File> {
    let list = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"];
    let output = Command::new("git").args(list).current_dir(root()).output().expect("git is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let paths = String::from_utf8(output.stdout).expect("paths are UTF-8");
    let files: Vec<_> = paths
        .split_terminator('\0')
        // A file may have gone without git knowing, and pictures are no text.
        .filter_map(|path| Some(File { path: path.into(), text: std::fs::read_to_string(root().join(path)).ok()? }))
        .collect();
    assert!(files.iter().any(|file| file.path == "protocol.md"), "git lists the files of another folder");
    files
}

/// One file that must be there.
pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
