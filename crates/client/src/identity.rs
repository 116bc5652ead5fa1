//! Who a client is, so that it comes back as the same one after its process has ended.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::ConnectError;
use crate::outbox::Kept;
use crate::wire::EventId;

/// Who a client is: its id, its tokens, and the actions that have no outcome yet.
///
/// Holds a secret: keep it where you would keep a password. A serde value, to be stored as you like; or leave that to
/// [`Builder::identity_file`](crate::Builder::identity_file). Two processes must not use one identity at the same time:
/// the later one begins a session of its own.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use windlass_client::{Client, Identity};
///
/// let client = Client::connect("http://127.0.0.1:8080").await?;
/// let kept = serde_json::to_string(&client.identity())?; // a secret
/// client.close().await;
/// let identity: Identity = serde_json::from_str(&kept)?;
/// let same = Client::builder("http://127.0.0.1:8080").identity(identity).connect().await?;
/// # drop(same);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Identity {
    pub(crate) client: String,
    /// The newest first, and the one before it.
    #[serde(default)]
    pub(crate) tokens: Vec<String>,
    #[serde(default)]
    pub(crate) session: Option<String>,
    #[serde(default)]
    pub(crate) epoch: u64,
    #[serde(default)]
    pub(crate) event: EventId,
    #[serde(default)]
    pub(crate) seq: u64,
    #[serde(default)]
    pub(crate) outbox: Vec<Kept>,
}

impl Identity {
    /// That of a client that has been nowhere yet; `client` is 24 random hex digits.
    pub(crate) fn new(client: String) -> Self {
        Self { client, tokens: Vec::new(), session: None, epoch: 0, event: (0, 0), seq: 0, outbox: Vec::new() }
    }

    /// Reads the file, if there is one.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, ConnectError> {
        let failed = |reason: String| ConnectError::Identity { path: path.to_owned(), reason };
        match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| failed(format!("{error}; remove the file to begin a new session"))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    /// Writes the file, whole or not at all, for nobody else to read.
    pub(crate) fn write(&self, path: &Path) -> Result<(), ConnectError> {
        let failed = |reason: String| ConnectError::Identity { path: path.to_owned(), reason };
        let bytes = serde_json::to_vec(self).map_err(|error| failed(error.to_string()))?;
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        write_private(Path::new(&beside), &bytes)
            .and_then(|()| std::fs::rename(&beside, path))
            .map_err(|error| failed(error.to_string()))
    }
}

/// The tokens stay out of log lines.
impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("client", &self.client).field("session", &self.session).finish_non_exhaustive()
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    std::io::Write::write_all(&mut options.open(path)?, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_read_as_it_was_written_and_hides_its_token() {
        let path = std::env::temp_dir().join(format!("windlass-identity-{}", std::process::id()));
        let mut identity = Identity::new("0f1e2d3c4b5a69788796a5b4".to_owned());
        identity.tokens.push("secret".to_owned());
        identity.write(&path).unwrap();
        assert_eq!(Identity::read(&path).unwrap().as_ref(), Some(&identity));
        assert!(!format!("{identity:?}").contains("secret"));
        std::fs::write(&path, "{").unwrap();
        let error = Identity::read(&path).unwrap_err();
        assert!(error.to_string().contains("remove the file"), "{error}");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(Identity::read(&path).unwrap(), None);
    }
}
