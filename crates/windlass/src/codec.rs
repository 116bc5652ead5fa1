//! How the app's own value is written into a session's record and read from it, also when its type has changed.

use std::borrow::Cow;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Result;

/// Reads a state of another version.
pub(crate) type Migrate<S> = Box<dyn Fn(u32, Value) -> Result<S> + Send + Sync>;

/// Writes and reads states.
pub(crate) struct Codec<S> {
    write: fn(&S, &mut Vec<u8>) -> Result<(), serde_json::Error>,
    read: fn(&str) -> Result<S, serde_json::Error>,
    /// The version of the type, and what reads others.
    pub(crate) version: u32,
    pub(crate) migrate: Option<Migrate<S>>,
}

impl<S: Serialize + DeserializeOwned> Codec<S> {
    pub(crate) fn new() -> Self {
        Self {
            write: |state, out| serde_json::to_writer(out, state),
            read: |text| serde_json::from_str(text),
            version: 0,
            migrate: None,
        }
    }
}

impl<S> Codec<S> {
    /// What marks the version in a record.
    pub(crate) fn kind(&self) -> Cow<'static, str> {
        match self.version {
            0 => Cow::Borrowed(""),
            version => Cow::Owned(version.to_string()),
        }
    }

    pub(crate) fn write(&self, state: &S, out: &mut Vec<u8>) -> Result<(), String> {
        (self.write)(state, out).map_err(|error| error.to_string())
    }

    /// A state of this version is read as it is, one of another is migrated; and so is one of this that does not fit, since
    /// a version is easily forgotten.
    pub(crate) fn read(&self, kind: &str, state: &str) -> Result<S, String> {
        let version = if kind.is_empty() { Some(0) } else { kind.parse().ok() };
        let own = (version == Some(self.version)).then(|| (self.read)(state));
        let error = match own {
            Some(Ok(state)) => return Ok(state),
            // What it quotes may be secret: line and column say enough.
            Some(Err(error)) => format!("it is another type now (line {}, column {})", error.line(), error.column()),
            None => format!("it is version {} now", self.version),
        };
        let Some((migrate, version)) = self.migrate.as_ref().zip(version) else {
            return Err(format!("{error}, and `App::migrate` is not there for version \"{kind}\""));
        };
        let value = serde_json::from_str(state).map_err(|error| error.to_string())?;
        migrate(version, value).map_err(|error| format!("`App::migrate` failed: {}", error.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[derive(Debug, PartialEq, serde::Deserialize, Serialize)]
    struct Now {
        total: u64,
    }

    fn migrating(version: u32) -> Codec<Now> {
        let migrate = |version, old: Value| match (version, &old["count"]) {
            (0 | 1, count) if count.is_u64() => Ok(Now { total: count.as_u64().unwrap_or_default() }),
            _ => Err(Error::refuse("unknown", "no count")),
        };
        Codec { version, migrate: Some(Box::new(migrate)), ..Codec::new() }
    }

    #[test]
    fn a_state_is_read_as_it_was_written_and_an_older_one_is_migrated() {
        let codec = migrating(2);
        let mut written = Vec::new();
        codec.write(&Now { total: 7 }, &mut written).unwrap();
        assert_eq!(codec.read(&codec.kind(), std::str::from_utf8(&written).unwrap()), Ok(Now { total: 7 }));
        assert_eq!(codec.read("1", r#"{"count":5}"#), Ok(Now { total: 5 }));
        assert_eq!(codec.read("", r#"{"count":6}"#), Ok(Now { total: 6 }));
        assert!(codec.read("1", "{}").unwrap_err().contains("no count"));
    }

    #[test]
    fn a_version_that_was_forgotten_is_migrated_all_the_same() {
        assert_eq!(migrating(0).read("", r#"{"count":5}"#), Ok(Now { total: 5 }));
    }

    #[test]
    fn without_a_migration_the_error_says_what_to_add_and_quotes_nothing() {
        let error = Codec::<Now>::new().read("", r#"{"total":"hunter2"}"#).unwrap_err();
        assert!(error.contains("App::migrate") && !error.contains("hunter2"), "{error}");
        assert!(Codec::<Now>::new().read("3", r#"{"total":1}"#).unwrap_err().contains("version 0 now"));
    }
}
