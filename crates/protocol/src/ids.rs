//! The names of things on the wire: sessions, clients, numbers, events, jobs, tokens.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::CHILD_DEPTH_MAX;

/// The highest counter that JavaScript can hold exactly, 2^53 − 1.
pub const COUNTER_MAX: u64 = (1 << 53) - 1;

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The one after this.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let number = u64::deserialize(from)?;
                if number > COUNTER_MAX {
                    return Err(D::Error::custom("a counter is below 2^53"));
                }
                Ok(Self(number))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

counter! {
    /// One loading of a session; it only grows, and it is also the fencing number.
    Epoch
}
counter! {
    /// The number of an action of one client, from 1.
    Seq
}
counter! {
    /// The number of a frame in one client's stream (`n` on the wire).
    FrameNumber
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $bytes]);

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                let mut bytes = [0; $bytes];
                decode_hex(text, &mut bytes).ok_or(BadId)?;
                Ok(Self(bytes))
            }
        }
    };
}

macro_rules! public_id {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
                text.parse().map_err(D::Error::custom)
            }
        }
    };
}

hex_id! {
    /// The public id of a session, 96 random bits, 24 hex digits on the wire. No secret.
    SessionId, 12
}
public_id!(SessionId);
hex_id! {
    /// The id of a client, 96 random bits made by the page, 24 hex digits on the wire.
    ClientId, 12
}
public_id!(ClientId);
hex_id! {
    /// The secret half of a [`Token`], 128 bits from the operating system.
    Secret, 16
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What a client shows to come back to its session: the public session id and a secret.
///
/// `Debug` hides the secret, so that it cannot reach a log line; [`Token::expose`] writes it out.
///
/// ```
/// use windlass_protocol::Token;
///
/// let text = "a1b2c3d4e5f6a7b8c9d0e1f2.00112233445566778899aabbccddeeff";
/// let token: Token = text.parse().unwrap();
/// assert_eq!(token.expose(), text);
/// assert!(!format!("{token:?}").contains("0011"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// Whose token it is.
    pub session: SessionId,
    /// What proves it.
    pub secret: Secret,
}

impl Token {
    /// The token as text, secret included: for a welcome and nothing else.
    #[must_use]
    pub fn expose(&self) -> String {
        let mut text = self.session.to_string();
        text.push('.');
        for byte in self.secret.0 {
            text.push_str(&format!("{byte:02x}"));
        }
        text
    }
}

impl FromStr for Token {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let (session, secret) = text.split_once('.').ok_or(BadId)?;
        Ok(Self { session: session.parse()?, secret: secret.parse()? })
    }
}

macro_rules! pair_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name {
            /// The epoch in which it was made.
            pub epoch: Epoch,
            /// Its number in that epoch, from 1.
            pub n: u64,
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}.{}", self.epoch, self.n)
            }
        }
    };
}

pair_id! {
    /// An event of a session; ids are compared in order. `[epoch, n]` on the wire.
    EventId
}
pair_id! {
    /// One run of a callback; ids are compared in order. `"epoch.n"` on the wire.
    JobId
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (epoch, Seq(n)) = <(Epoch, Seq)>::deserialize(from)?;
        Ok(Self { epoch, n })
    }
}

impl Serialize for JobId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for JobId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<str>::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

impl FromStr for JobId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let (epoch, n) = text.split_once('.').ok_or(BadId)?;
        let counter = |text: &str| text.parse().ok().filter(|number| *number <= COUNTER_MAX).ok_or(BadId);
        Ok(Self { epoch: Epoch(counter(epoch)?), n: counter(n)? })
    }
}

/// A run that a job has started itself, or that such a run has. `"epoch.n.number"` on the wire, with a further number for
/// each level of nesting.
///
/// ```
/// use windlass_protocol::{ChildId, JobId};
///
/// let id: ChildId = "7.1.3".parse().unwrap();
/// assert_eq!((id.job, &*id.path), ("7.1".parse::<JobId>().unwrap(), &[3][..]));
/// assert_eq!(id.to_string(), "7.1.3");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ChildId {
    /// The job at the top.
    pub job: JobId,
    /// The numbers on the way down, each among the children of the one before; from 1, and at most
    /// [`CHILD_DEPTH_MAX`] of them.
    pub path: Vec<u32>,
}

impl fmt::Display for ChildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.job)?;
        self.path.iter().try_for_each(|number| write!(f, ".{number}"))
    }
}

impl Serialize for ChildId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ChildId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<str>::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

impl FromStr for ChildId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let second = text.match_indices('.').nth(1).ok_or(BadId)?.0;
        let (job, path) = (&text[..second], &text[second + 1..]);
        let number = |text: &str| text.parse().ok().filter(|number| *number > 0).ok_or(BadId);
        let path: Vec<u32> = path.split('.').take(CHILD_DEPTH_MAX + 1).map(number).collect::<Result<_, _>>()?;
        if path.len() > CHILD_DEPTH_MAX {
            return Err(BadId);
        }
        Ok(Self { job: job.parse()?, path })
    }
}

/// A text that is no id of the kind asked for. The peer's fault: refuse the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadId;

impl fmt::Display for BadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an id of this kind")
    }
}

impl std::error::Error for BadId {}

fn decode_hex(text: &str, bytes: &mut [u8]) -> Option<()> {
    if text.len() != bytes.len() * 2 {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written() {
        let id: SessionId = "a1b2c3d4e5f6a7b8c9d0e1f2".parse().unwrap();
        assert_eq!(id.to_string(), "a1b2c3d4e5f6a7b8c9d0e1f2");
        let job = JobId { epoch: Epoch(7), n: 3 };
        assert_eq!(job.to_string().parse(), Ok(job));
        assert_eq!(serde_json::from_str::<JobId>("\"7.3\"").unwrap(), job);
        assert!(serde_json::from_str::<ChildId>("\"7.3\"").is_err());
        let child = ChildId { job, path: vec![17, 4] };
        assert_eq!((child.to_string().as_str(), child.to_string().parse()), ("7.3.17.4", Ok(child)));
        assert_eq!(serde_json::from_str::<EventId>("[7,3]").unwrap(), EventId { epoch: Epoch(7), n: 3 });
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in ["", "a1", "A1B2C3D4E5F6A7B8C9D0E1F2", "a1b2c3d4e5f6a7b8c9d0e1f2a", "zzb2c3d4e5f6a7b8c9d0e1f2"] {
            assert_eq!(text.parse::<ClientId>(), Err(BadId), "{text}");
        }
        for text in ["", ".", "1", "1.", "1.x", "-1.2", "9007199254740992.1"] {
            assert_eq!(text.parse::<JobId>(), Err(BadId), "{text}");
        }
        for text in ["", "1.2", "1.2.", "1.2.0", "1.2.x", ".1.2", "1.2.4294967296", "1.2.3.4.5.6.7"] {
            assert_eq!(text.parse::<ChildId>(), Err(BadId), "{text}");
        }
        assert!(serde_json::from_str::<Seq>("9007199254740992").is_err());
        assert!(serde_json::from_str::<Seq>("-1").is_err());
        assert!(serde_json::from_str::<Seq>("1.5").is_err());
    }
}
