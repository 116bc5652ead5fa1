//! The Windlass protocol as types: what a client and a server say to each other.
//!
//! Decodes what clients send ([`ClientMessage`]), writes what servers send ([`frame`]), and names
//! every close code and limit. `protocol.md` at the top of the repository is the specification.
//! Performs no I/O and reads no clock; bytes from a peer never panic.
//!
//! ```
//! use windlass_protocol::ClientMessage;
//!
//! let message = ClientMessage::decode(r#"["a",1,"add",2]"#).unwrap();
//! let ClientMessage::Action(action) = message else { panic!("an action") };
//! assert_eq!((action.seq.0, &*action.name, action.payload.get()), (1, "add", "2"));
//! ```

pub mod close;
pub mod frame;
pub mod ids;
pub mod limits;
mod message;
pub mod ops;

pub use close::{Close, CloseCode};
pub use ids::{ClientId, Epoch, EventId, FrameNumber, JobId, Secret, Seq, SessionId, Token};
pub use message::{Action, ClientMessage, DecodeError, Hello};

/// The subprotocol that a client offers and a server chooses.
pub const SUBPROTOCOL: &str = "windlass.v1";
