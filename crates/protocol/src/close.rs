//! Close codes: why a connection ends, and what the client does then.

use std::fmt;
use std::time::Duration;

use crate::Seq;

/// A close code of protocol.md section 14.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseCode {
    /// What was sent is no message of this protocol.
    BadMessage,
    /// `authenticate` refused.
    Login,
    /// No hello within 10 s.
    HelloTimeout,
    /// Another page of this client took over.
    TakenOver,
    /// The session lives on another node.
    Elsewhere,
    /// A seq was left out.
    SequenceGap,
    /// A message over `message_bytes_max`.
    TooLarge,
    /// Another page holds this client.
    InUse,
    /// A limit was reached; nothing was consumed.
    Busy,
    /// The session could not go on.
    SessionFailed,
    /// The server shuts down.
    Draining,
    /// The client answered nothing.
    Silent,
}

impl CloseCode {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 12] = [
        Self::BadMessage,
        Self::Login,
        Self::HelloTimeout,
        Self::TakenOver,
        Self::Elsewhere,
        Self::SequenceGap,
        Self::TooLarge,
        Self::InUse,
        Self::Busy,
        Self::SessionFailed,
        Self::Draining,
        Self::Silent,
    ];

    /// The number in the WebSocket close frame.
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            Self::BadMessage => 4400,
            Self::Login => 4401,
            Self::HelloTimeout => 4408,
            Self::TakenOver => 4409,
            Self::Elsewhere => 4410,
            Self::SequenceGap => 4411,
            Self::TooLarge => 4413,
            Self::InUse => 4423,
            Self::Busy => 4429,
            Self::SessionFailed => 4500,
            Self::Draining => 4503,
            Self::Silent => 4504,
        }
    }

    /// The name in the close frame's reason.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BadMessage => "bad_message",
            Self::Login => "login",
            Self::HelloTimeout => "hello_timeout",
            Self::TakenOver => "taken_over",
            Self::Elsewhere => "elsewhere",
            Self::SequenceGap => "sequence_gap",
            Self::TooLarge => "too_large",
            Self::InUse => "in_use",
            Self::Busy => "busy",
            Self::SessionFailed => "session_failed",
            Self::Draining => "draining",
            Self::Silent => "silent",
        }
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A close as it goes on the wire: a code, and what its reason says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close {
    /// Why.
    pub code: CloseCode,
    /// When the client may come back, for the codes that say so.
    pub retry_after: Option<Duration>,
    /// The action whose message is to blame.
    pub seq: Option<Seq>,
}

impl Close {
    /// A close that blames no action and names no time.
    #[must_use]
    pub fn new(code: CloseCode) -> Self {
        Self { code, retry_after: None, seq: None }
    }

    /// The text of the close frame: a JSON object of at most 123 bytes.
    #[must_use]
    pub fn reason(&self) -> String {
        let mut reason = format!(r#"{{"code":"{}""#, self.code);
        if let Some(after) = self.retry_after {
            reason.push_str(&format!(r#","retry_after_ms":{}"#, after.as_millis()));
        }
        if let Some(seq) = self.seq {
            reason.push_str(&format!(r#","seq":{seq}"#));
        }
        reason.push('}');
        reason
    }
}

impl From<CloseCode> for Close {
    fn from(code: CloseCode) -> Self {
        Self::new(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_specification_names_every_code_and_number() {
        let specification = include_str!("../../../protocol.md");
        for code in CloseCode::ALL {
            let row = format!("| {} | `{}` |", code.number(), code.name());
            assert!(specification.contains(&row), "protocol.md lacks {row}");
        }
    }

    #[test]
    fn the_longest_reason_fits_a_close_frame() {
        let close = Close {
            code: CloseCode::SessionFailed,
            retry_after: Some(Duration::from_millis(u64::MAX)),
            seq: Some(Seq(crate::ids::COUNTER_MAX)),
        };
        assert!(close.reason().len() <= 123, "{}", close.reason());
        assert!(serde_json::from_str::<serde_json::Value>(&close.reason()).is_ok());
    }
}
