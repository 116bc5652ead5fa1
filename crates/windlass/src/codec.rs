//! How the app's own value is written into a session's record and read from it, also when its type has changed.

mod floats;

use std::borrow::Cow;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Result;

/// Reads a state of another version.
pub(crate) type Migrate<S> = Box<dyn Fn(u32, Value) -> Result<S> + Send + Sync>;

/// How a state is written, as its record says it behind the version: 1 was plain JSON, where a NaN was null.
const WRITTEN_AS: u32 = 2;

/// Writes and reads states.
pub(crate) struct Codec<S> {
    write: fn(&S, &mut Vec<u8>) -> Result<(), serde_json::Error>,
    count: fn(&S) -> Option<usize>,
    read: fn(&str) -> Result<S, serde_json::Error>,
    /// What was written as plain JSON.
    read_plain: fn(&str) -> Result<S, serde_json::Error>,
    /// The version of the type, and what reads others.
    pub(crate) version: u32,
    pub(crate) migrate: Option<Migrate<S>>,
}

/// How many bytes a value has as JSON; none when it does not serialise.
pub(crate) fn json_bytes(value: &impl Serialize) -> Option<usize> {
    bytes_of(|count| serde_json::to_writer(count, value))
}

fn bytes_of(write: impl FnOnce(&mut Count) -> serde_json::Result<()>) -> Option<usize> {
    let mut count = Count(0);
    write(&mut count).ok().map(|()| count.0)
}

/// Counts what is written to it.
struct Count(usize);

impl std::io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<S: Serialize + DeserializeOwned> Codec<S> {
    pub(crate) fn new() -> Self {
        Self {
            write: |state, out| floats::to_writer(out, state),
            count: |state| bytes_of(|count| floats::to_writer(count, state)),
            read: |text| floats::from_str(text),
            read_plain: |text| serde_json::from_str(text),
            version: 0,
            migrate: None,
        }
    }
}

impl<S> Codec<S> {
    /// What marks the version in a record, and how it is written.
    pub(crate) fn kind(&self) -> Cow<'static, str> {
        match self.version {
            0 => Cow::Borrowed("0/2"),
            version => Cow::Owned(format!("{version}/{WRITTEN_AS}")),
        }
    }

    /// How many bytes [`Codec::write`] writes.
    pub(crate) fn count(&self, state: &S) -> Option<usize> {
        (self.count)(state)
    }

    pub(crate) fn write(&self, state: &S, out: &mut Vec<u8>) -> Result<(), String> {
        (self.write)(state, out).map_err(|error| error.to_string())
    }

    /// A state of this version is read as it is, one of another is migrated; and so is one of this that does not fit, since
    /// a version is easily forgotten.
    pub(crate) fn read(&self, kind: &str, state: &str) -> Result<S, String> {
        let (version, written_as) = kind.split_once('/').unwrap_or((kind, "1"));
        let version = if version.is_empty() { Some(0) } else { version.parse::<u32>().ok() };
        let is_plain = match written_as {
            "1" => true,
            "2" => false,
            _ => return Err(format!("it was written by a later version of Windlass, as \"{kind}\"")),
        };
        let read = if is_plain { self.read_plain } else { self.read };
        let own = (version == Some(self.version)).then(|| read(state));
        let error = match own {
            Some(Ok(state)) => return Ok(state),
            // What it quotes may be secret: line and column say enough.
            Some(Err(error)) => format!("it is another type now (line {}, column {})", error.line(), error.column()),
            None => format!("it is version {} now", self.version),
        };
        let Some((migrate, version)) = self.migrate.as_ref().zip(version) else {
            return Err(format!("{error}, and `App::migrate` is not there for version \"{kind}\""));
        };
        // As plain JSON, a NaN is null.
        let value = if is_plain { serde_json::from_str(state) } else { floats::from_str(state) };
        let value = value.map_err(|error| error.to_string())?;
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
        assert_eq!(codec.read("1/2", r#"{"count":4}"#), Ok(Now { total: 4 }));
        assert!(codec.read("1", "{}").unwrap_err().contains("no count"));
    }

    #[test]
    fn a_number_that_json_cannot_say_is_kept_and_null_to_a_migration() {
        let codec = Codec::<f64>::new();
        let mut written = Vec::new();
        codec.write(&f64::NEG_INFINITY, &mut written).unwrap();
        assert_eq!(codec.count(&f64::NEG_INFINITY), Some(written.len()));
        let text = std::str::from_utf8(&written).unwrap();
        assert_eq!(codec.read(&codec.kind(), text), Ok(f64::NEG_INFINITY));
        let migrate = |_, old: Value| if old.is_null() { Ok(1.0) } else { Err(Error::refuse("unknown", "no null")) };
        let newer = Codec::<f64> { version: 1, migrate: Some(Box::new(migrate)), ..Codec::new() };
        assert_eq!(newer.read("0/2", text), Ok(1.0));
    }

    #[test]
    fn a_state_that_a_later_version_of_windlass_wrote_is_not_guessed_at() {
        assert!(migrating(0).read("0/3", r#"{"count":5}"#).unwrap_err().contains("a later version of Windlass"));
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
