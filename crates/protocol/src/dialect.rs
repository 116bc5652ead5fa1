//! The two ways to write the same life: which of them a connection speaks.
//!
//! A dialect is negotiated as the WebSocket's subprotocol. Everything that a session owes a client
//! is the same in both; only the bytes differ, and the frames of one are of no use in the other.

use crate::message::{ClientMessage, DecodeError};

/// How a client and a server write their messages. Sections 1, 3 and 18 of protocol.md.
///
/// ```
/// use windlass_protocol::{ClientMessage, Dialect};
///
/// let dialect = Dialect::of_subprotocol("windlass.v1.json-patch").unwrap();
/// let message = dialect.decode(r#"{"type":"action","seq":1,"name":"add","payload":2}"#).unwrap();
/// assert!(matches!(message, ClientMessage::Action(action) if action.name == "add"));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// `windlass.v1`: arrays and short ops.
    #[default]
    Compact,
    /// `windlass.v1.json-patch`: objects that say what they are, and patches of RFC 6902.
    JsonPatch {
        /// The hello said that the client knows the one op that is not in the RFC.
        appends: bool,
    },
}

impl Dialect {
    /// Both, before a hello has said more.
    pub const ALL: [Self; 2] = [Self::Compact, Self::JsonPatch { appends: false }];

    /// The name under which it is negotiated.
    #[must_use]
    pub fn subprotocol(self) -> &'static str {
        match self {
            Self::Compact => "windlass.v1",
            Self::JsonPatch { .. } => "windlass.v1.json-patch",
        }
    }

    /// The dialect of that name, if there is one. Names of subprotocols are compared to the letter.
    #[must_use]
    pub fn of_subprotocol(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.subprotocol() == name)
    }

    /// Reads one message.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] when the text is none; the connection is then closed with `bad_message`.
    pub fn decode(self, text: &str) -> Result<ClientMessage<'_>, DecodeError> {
        ClientMessage::decode_in(self, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dialect_is_found_by_its_name_and_no_other() {
        for dialect in Dialect::ALL {
            assert_eq!(Dialect::of_subprotocol(dialect.subprotocol()), Some(dialect));
        }
        for name in ["", "windlass", "Windlass.v1", "windlass.v1.json_patch", "windlass.v2"] {
            assert_eq!(Dialect::of_subprotocol(name), None, "{name}");
        }
    }
}
